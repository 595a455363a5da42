"""Dress, light and draw a synthetic person: an RGBA cut-out and its exact labels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vibe_cli.training.synth.bodies import SynthBody
from vibe_cli.training.synth.textures import colour, fabric, waves

SIZE = 160          # pixels of a cut-out
MARGIN = 1.4        # its side over the person's larger extent
DARK, LIGHT = np.array([0.16, 0.23, 0.36]), np.array([0.62, 0.72, 0.92])  # BGR of skin


@dataclass(frozen=True, eq=False)
class Look:
    """What a person looks like, constant over a clip."""

    betas: np.ndarray         # (10,)
    colours: np.ndarray       # (V, 3) BGR, unlit
    displacement: np.ndarray  # (V,) metres along the normal: cloth and hair
    light: np.ndarray         # (3,) direction of the key light, camera axes
    fill: np.ndarray          # (3,) direction times strength of a second light
    ambient: float
    tint: np.ndarray          # (3,)
    distance: float           # metres from the camera


@dataclass(frozen=True, eq=False)
class Picture:
    """A cut-out with its labels."""

    rgba: np.ndarray       # (SIZE, SIZE, 4) uint8, BGR + alpha, colour premultiplied
    rotations: np.ndarray  # (24, 3, 3) relative, root in camera axes
    betas: np.ndarray      # (10,)
    points: np.ndarray     # (K, 3) metres from the pelvis, camera axes
    pixels: np.ndarray     # (K, 2) in the cut-out


def draw_look(rng: np.random.Generator, body: SynthBody, pictures: list[np.ndarray]) -> Look:
    """A random person: build, skin, clothes, hair, light and distance."""
    colours, displacement = _dress(rng, body, pictures)
    light = rng.normal(size=3) * [1, 0.6, 1] + [0, -0.8, -0.3]
    fill = rng.normal(size=3)
    strength = rng.uniform(0, 0.4) * (rng.random() < 0.4)
    return Look(betas=np.clip(rng.normal(size=10), -2.5, 2.5), colours=np.clip(colours, 0.01, 1),
                displacement=displacement, light=light / np.linalg.norm(light),
                fill=strength * fill / np.linalg.norm(fill), ambient=rng.uniform(0.25, 0.8),
                tint=1 + rng.normal(0, 0.06, 3), distance=np.exp(rng.uniform(np.log(2.2), np.log(12))))


def _dress(rng: np.random.Generator, body: SynthBody, pictures: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    points, part = body.vertices, body.weights.argmax(axis=1)
    away, height = np.abs(points[:, 0]), points[:, 1]
    tone = rng.random()
    skin = (DARK * (1 - tone) + LIGHT * tone) * rng.uniform(0.8, 1.1) + rng.normal(0, 0.02, 3)
    colours = skin + waves(rng, points, 12)[:, None] * 0.02
    displacement = np.zeros(len(points))
    sleeve, leg = rng.choice([0, 0.12, 0.3, 0.6, 0.66]), rng.choice([0.05, 0.2, 0.4, 0.7, 0.85])
    trunk = np.isin(part, [0, 3, 6, 9, 13, 14]) | ((part == 12) & (height < 0.5))
    arm, foot = np.isin(part, [16, 17, 18, 19]), np.isin(part, [7, 8, 10, 11])
    shirt = (trunk & (height > -0.02 - rng.uniform(0, 0.1))) | (arm & (away < 0.17 + sleeve))
    shirt &= rng.random() > 0.06
    trousers = ~shirt & ~foot & (height < 0.02) & (height > -0.08 - leg) & (away < 0.35)
    shoes = foot & (rng.random() < 0.85)
    for garment, thickness in ((shirt, (0.002, 0.03)), (trousers, (0.002, 0.025)), (shoes, (0.005, 0.02))):
        colours[garment] = fabric(rng, points, pictures)[garment]
        folds = 1 + 0.8 * waves(rng, points, rng.uniform(8, 30))
        displacement[garment] = (rng.uniform(*thickness) * folds)[garment]
    if rng.random() < 0.15:  # one-piece
        colours[shirt | trousers] = fabric(rng, points, pictures)[shirt | trousers]
    _add_hair(rng, body, part, colours, displacement)
    if rng.random() < 0.2:  # gloves, one or both
        hands = np.isin(part, [[20, 22], [21, 23], [20, 21, 22, 23]][rng.integers(3)])
        colours[hands] = colour(rng)
    return colours, displacement


def _add_hair(rng: np.random.Generator, body: SynthBody, part: np.ndarray, colours: np.ndarray,
              displacement: np.ndarray) -> None:
    points, eye, ear = body.vertices, body.face_landmarks["eye"], body.face_landmarks["ear"]
    if rng.random() > 0.92:
        return
    scalp = (part == 15) & ((points[:, 1] > eye[1] + 0.045)
                            | ((points[:, 2] < ear[2] + 0.005) & (points[:, 1] > ear[1] - 0.05)))
    tone = np.array([0.08, 0.1, 0.13]) * rng.uniform(0.1, 2.5) if rng.random() < 0.7 else colour(rng) * 0.8
    colours[scalp] = tone + waves(rng, points, 60)[scalp, None] * 0.05
    displacement[scalp] += rng.uniform(0, 0.03)
    if rng.random() < 0.3:
        long = ((points[:, 2] < ear[2]) & (points[:, 1] > 0.33 + rng.uniform(0, 0.15))
                & (np.abs(points[:, 0]) < 0.11) & np.isin(part, [9, 12, 13, 14, 15]))
        colours[long] = tone
        displacement[long] += 0.02


def draw_person(body: SynthBody, look: Look, rotations: np.ndarray) -> Picture:
    """Draw one pose, (24, 3, 3) with the root in camera axes, by a perspective camera framing the person."""
    rest = body.vertices + body.shapedirs @ look.betas
    normals = body.normals(rest)
    rest = rest + normals * look.displacement[:, None]
    world, offsets, points = body.pose(rotations, look.betas)
    blend = (body.weights @ world.reshape(24, 9)).reshape(-1, 3, 3)
    vertices = (blend @ rest[..., None])[..., 0] + body.weights @ offsets
    normals = (blend @ normals[..., None])[..., 0]
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9
    offset, focal = _frame(vertices, look.distance)
    shade = (look.ambient + (1 - look.ambient) * 1.2 * np.clip(normals @ look.light, 0, 1)
             + np.clip(normals @ look.fill, 0, 1)) * (1 - 0.25 * np.clip(normals[:, 1], 0, 1))
    lit = np.clip(look.colours * shade[:, None] * look.tint, 0, 1).astype(np.float32)
    placed = points + offset
    return Picture(rgba=_rasterise(vertices + offset, body.faces, lit, focal), rotations=rotations,
                   betas=look.betas, points=points, pixels=placed[:, :2] / placed[:, 2:] * focal + SIZE / 2)


def _frame(vertices: np.ndarray, distance: float) -> tuple[np.ndarray, float]:
    """Translation (3,) and focal length in pixels that put the person in the middle of the cut-out."""
    offset = -(vertices.min(axis=0) + vertices.max(axis=0)) / 2
    offset[2] = max(distance - vertices[:, 2].mean(), 0.5 - vertices[:, 2].min())
    for _ in range(2):
        placed = vertices + offset
        flat = placed[:, :2] / placed[:, 2:]
        offset[:2] -= (flat.min(axis=0) + flat.max(axis=0)) / 2 * placed[:, 2].mean()
    placed = vertices + offset
    extent = np.ptp(placed[:, :2] / placed[:, 2:], axis=0).max()
    return offset, SIZE / MARGIN / extent


def _rasterise(vertices: np.ndarray, faces: np.ndarray, colours: np.ndarray, focal: float) -> np.ndarray:
    image, depth = np.full((SIZE, SIZE, 3), -1, np.float32), np.full((SIZE, SIZE), 100, np.float32)
    flipped = (vertices * [1, -1, -1]).astype(np.float32)
    field = float(2 * np.arctan(SIZE / 2 / focal))
    image, _ = cv2.triangleRasterize(flipped, faces, colours, image, depth, np.eye(4, dtype=np.float32), field,
                                     0.1, 100.0)
    inside = image[..., 0] >= 0
    rgba = np.zeros((SIZE, SIZE, 4), np.uint8)
    rgba[..., :3] = np.clip(image, 0, 1) * 255 * inside[..., None]
    rgba[..., 3] = inside * 255
    return rgba
