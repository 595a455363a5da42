"""Dress, light and draw a synthetic person: an RGBA cut-out and its exact labels."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from vibe_cli.geometry.skeleton import JOINT, joints
from vibe_cli.synth.bodies import SynthBody, rows
from vibe_cli.synth.heads import add_face, add_hair
from vibe_cli.synth.pictures import Pictures
from vibe_cli.synth.textures import colour, creases, fabric, waves

SIZE = 160  # pixels of a cut-out
MARGIN = 1.4  # its side over the person's larger extent
FAR = 100.0  # metres, the depth where nobody is
DARK, LIGHT = np.array([0.16, 0.23, 0.36]), np.array([0.62, 0.72, 0.92])  # BGR of skin
# Joints a close-up may frame: upper body and hips, chest and arms, head and shoulders, legs.
FRAMED = (
    joints("pelvis", "hip", "neck", "head", "shoulder", "elbow"),
    joints("spine3", "neck", "head", "shoulder", "elbow", "wrist"),
    joints("spine3", "neck", "head", "shoulder"),
    joints("hip", "knee", "ankle"),
)
FRAMED_SHARES = (0.35, 0.3, 0.2, 0.15)
TRUNK = joints("pelvis", "spine1", "spine2", "spine3", "collar")  # that a shirt covers
AROUND = 0.14  # metres of person around those joints
CHILDREN = 0.15  # share of the people
LOOSEST = 2.2  # times as thick as close cloth, of what hangs about a body


@dataclass(frozen=True, eq=False)
class Look:
    """A person's appearance, constant over a clip."""

    shape: np.ndarray  # (11,) betas, and how much of a small child they are, 0..1
    betas: np.ndarray  # (10,) of the label: the nearest without the eleventh
    colours: np.ndarray  # (V, 3) BGR, unlit
    displacement: np.ndarray  # (V,) metres along the normal: cloth and hair
    light: np.ndarray  # (3,) direction of the key light, camera axes
    fill: np.ndarray  # (3,) direction times strength of a second light
    ambient: float
    tint: np.ndarray  # (3,)
    distance: float  # metres from the camera
    contact: float = 0.0  # how dark it is where one part lies close behind another, 0..1


@dataclass(frozen=True, eq=False)
class Picture:
    """A cut-out with its labels."""

    rgba: np.ndarray  # (SIZE, SIZE, 4) uint8, BGR + alpha, colour premultiplied
    rotations: np.ndarray  # (24, 3, 3) relative, root in camera axes
    betas: np.ndarray  # (10,)
    points: np.ndarray  # (K, 3) metres from the pelvis, camera axes
    pixels: np.ndarray  # (K, 2) in the cut-out
    behind: np.ndarray | None = None  # (K,) metres that a point lies behind what is drawn at its pixel; 0: nothing is


def draw_look(rng: np.random.Generator, body: SynthBody, pictures: Pictures, children: float = CHILDREN) -> Look:
    """A random person: build, skin, clothes, hair, light and distance; a child with probability `children`."""
    colours, displacement = _dress(rng, body, pictures)
    light = rng.normal(size=3) * [1, 0.6, 1] + [0, -0.8, -0.3]
    fill = rng.normal(size=3)
    strength = rng.uniform(0, 0.4) * (rng.random() < 0.4)
    build = np.clip(rng.normal(size=10), -2.5, 2.5)
    look = Look(
        shape=np.append(build, 0),
        betas=build,
        colours=np.clip(colours, 0.01, 1),
        displacement=displacement,
        light=light / np.linalg.norm(light),
        fill=strength * fill / np.linalg.norm(fill),
        ambient=rng.uniform(0.35, 0.9),
        tint=1 + rng.normal(0, 0.06, 3),
        distance=np.exp(rng.uniform(np.log(2.2), np.log(12))),
        contact=rng.uniform(0, 0.9),
    )
    return _younger(body, look, rng.uniform(0.2, 1)) if rng.random() < children else look


def _younger(body: SynthBody, look: Look, share: float) -> Look:
    """The same person as a child: builds differ less, and cloth is not thinner but there is less of it."""
    build = look.shape[:10] * (1 - 0.6 * share)
    return replace(
        look,
        shape=np.append(build, share),
        betas=build + share * body.child_betas,
        displacement=look.displacement * (1 - 0.4 * share),
    )


def _dress(rng: np.random.Generator, body: SynthBody, pictures: Pictures) -> tuple[np.ndarray, np.ndarray]:
    points = body.vertices
    away, height = np.abs(points[:, 0]), points[:, 1]
    tone = rng.random()
    skin = (DARK * (1 - tone) + LIGHT * tone) * rng.uniform(0.8, 1.1) + rng.normal(0, 0.02, 3)
    colours = skin + waves(rng, points, 12)[:, None] * 0.02
    displacement = np.zeros(len(points))
    sleeve, leg = rng.choice([0, 0.12, 0.3, 0.6, 0.66]), rng.choice([0.05, 0.2, 0.4, 0.7, 0.85])
    trunk = body.moved_by(*TRUNK) | (body.moved_by(JOINT["neck"]) & (height < 0.5))
    arm, foot = body.moved_by(*joints("shoulder", "elbow")), body.moved_by(*joints("ankle", "foot"))
    shirt = (trunk & (height > -0.02 - rng.uniform(0, 0.1))) | (arm & (away < 0.17 + sleeve))
    shirt &= rng.random() > 0.06
    trousers = ~shirt & ~foot & (height < 0.02) & (height > -0.08 - leg) & (away < 0.35)
    shoes = foot & (rng.random() < 0.85)
    for garment, thickness in ((shirt, (0.002, 0.03)), (trousers, (0.002, 0.025)), (shoes, (0.005, 0.02))):
        covered = points[garment]
        colours[garment] = fabric(rng, covered, pictures) * creases(rng, covered)[:, None]
        folds = 1 + 0.8 * waves(rng, covered, rng.uniform(8, 30))
        loose = rng.uniform(1.2, LOOSEST) if rng.random() < 0.3 else 1.0
        displacement[garment] = rng.uniform(*thickness) * loose * folds
    if rng.random() < 0.15:  # one-piece
        colours[shirt | trousers] = fabric(rng, points[shirt | trousers], pictures)
    if rng.random() < 0.25:  # an open jacket over another shirt
        _open_jacket(rng, points, shirt & trunk, colours)
    add_face(rng, body, colours)
    add_hair(rng, body, colours, displacement)
    if rng.random() < 0.2:  # gloves, one or both
        left, right = joints("l_wrist", "l_hand"), joints("r_wrist", "r_hand")
        hands = (left, right, left + right)[rng.integers(3)]
        colours[body.moved_by(*hands)] = colour(rng)
    return colours, displacement


def _open_jacket(rng: np.random.Generator, points: np.ndarray, chest: np.ndarray, colours: np.ndarray) -> None:
    strip = chest & (points[:, 2] > 0) & (np.abs(points[:, 0]) < rng.uniform(0.015, 0.07))
    colours[strip] = colour(rng) * creases(rng, points[strip])[:, None]


def draw_person(body: SynthBody, look: Look, rotations: np.ndarray, framed: list[int] | None = None) -> Picture:
    """Draw one pose, (24, 3, 3) with the root in camera axes, by a perspective camera.

    The cut-out shows the whole person, or those joints (indices) and what lies around them.
    """
    return draw_poses(body, look, [(rotations, framed)])[0]


def draw_poses(body: SynthBody, look: Look, poses: Iterable[tuple[np.ndarray, list[int] | None]]) -> list[Picture]:
    """As draw_person, several poses of one look, which is dressed once."""
    rest, normals = dressed(body, look)
    return [_draw_pose(body, look, rest, normals, rotations, framed) for rotations, framed in poses]


def dressed(body: SynthBody, look: Look) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) at rest in their clothes, and the normals (V, 3) of the bare skin."""
    bare = body.shaped(look.shape)
    normals = body.normals(bare)
    return bare + normals * look.displacement[:, None], normals


def _draw_pose(
    body: SynthBody, look: Look, rest: np.ndarray, normals: np.ndarray, rotations: np.ndarray, framed: list[int] | None
) -> Picture:
    """One pose of vertices (V, 3) at rest in their clothes, with the normals (V, 3) of the bare skin."""
    world, offsets, points = body.pose(rotations, look.shape)
    vertices, normals = body.skin(world, offsets, rest, normals)
    offset, focal = _frame(vertices, look.distance, vertices if framed is None else _around(points[framed]))
    towards_light, towards_fill = np.stack([look.light, look.fill]).astype(np.float32) @ normals.T
    shade = (
        float(look.ambient)
        + (1 - float(look.ambient)) * 1.2 * np.clip(towards_light, 0, 1)
        + np.clip(towards_fill, 0, 1)
    ) * (1 - 0.25 * np.clip(normals[:, 1], 0, 1))
    lit = np.clip(rows(look.colours) * shade * look.tint[:, None].astype(np.float32), 0, 1).T
    placed = points + offset
    pixels = placed[:, :2] / placed[:, 2:] * focal + SIZE / 2
    rgba, depth = _rasterise(vertices + offset, body.faces, lit, focal, look.contact)
    x, y = np.floor(pixels).astype(int).clip(0, SIZE - 1).T
    return Picture(
        rgba=rgba,
        rotations=rotations,
        betas=look.betas,
        points=points,
        pixels=pixels,
        behind=np.where(rgba[y, x, 3] > 0, placed[:, 2] - depth[y, x], 0),
    )


def _around(joints: np.ndarray) -> np.ndarray:
    """The corners of the box around joints (J, 3) with some of the person about them."""
    low, high = joints.min(axis=0) - AROUND, joints.max(axis=0) + AROUND
    return np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])


def _frame(vertices: np.ndarray, distance: float, shown: np.ndarray) -> tuple[np.ndarray, float]:
    """Translation (3,) and focal length in pixels that put the points `shown` in the middle of the cut-out."""
    at = rows(shown)
    offset = -(at.min(axis=1) + at.max(axis=1)).astype(float) / 2
    offset[2] = max(distance - vertices[:, 2].mean(), 0.5 - vertices[:, 2].min())
    depth = at[2] + np.float32(offset[2])
    for _ in range(2):
        flat = (at[:2] + offset[:2, None].astype(np.float32)) / depth
        offset[:2] -= (flat.min(axis=1) + flat.max(axis=1)) / 2 * depth.mean()
    flat = (at[:2] + offset[:2, None].astype(np.float32)) / depth
    return offset, float(SIZE / MARGIN / (flat.max(axis=1) - flat.min(axis=1)).max())


def _rasterise(
    vertices: np.ndarray, faces: np.ndarray, colours: np.ndarray, focal: float, contact: float
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) in camera axes and their colours (V, 3) in 0..1 → premultiplied BGRA, and depths in metres."""
    image: np.ndarray = np.zeros((SIZE, SIZE, 3), np.float32)
    depth: np.ndarray = np.full((SIZE, SIZE), FAR, np.float32)
    flipped = np.ascontiguousarray(vertices * [1, -1, -1], np.float32)
    image, depth = cv2.triangleRasterize(
        flipped,
        faces,
        np.ascontiguousarray(colours, np.float32),
        image,
        depth,
        np.eye(4, dtype=np.float32),
        float(2 * np.arctan(SIZE / 2 / focal)),
        0.1,
        FAR,
    )
    inside, rgba = depth < FAR, np.zeros((SIZE, SIZE, 4), np.uint8)
    scale = focal / vertices[:, 2].mean()
    where = _surroundings(inside, _contact_reach(scale))
    inside = inside[where]
    light = contact_shadow(depth[where], inside, scale, contact) * inside * 255
    colour = (image[where] * cv2.merge([light] * 3)).astype(np.uint8)
    rgba[where] = cv2.merge([*cv2.split(colour), inside * np.uint8(255)])
    return rgba, depth


def _surroundings(inside: np.ndarray, reach: int) -> tuple[slice, slice]:
    """The rows and columns (of all) that lie within `reach` pixels of what is drawn."""
    x, y, wide, high = cv2.boundingRect(inside.view(np.uint8))
    return (slice(max(y - reach, 0), max(y + high + reach, 1)), slice(max(x - reach, 0), max(x + wide + reach, 1)))


def _contact_reach(pixels_a_metre: float) -> int:
    """Pixels around a person that `contact_shadow` looks at."""
    return math.ceil(4 * _contact_spread(pixels_a_metre)) + 1


def _contact_spread(pixels_a_metre: float) -> float:
    return max(1.0, 0.05 * pixels_a_metre)


def contact_shadow(depth: np.ndarray, inside: np.ndarray, pixels_a_metre: float, strength: float) -> np.ndarray:
    """(H, W) float32 factors: darker where the person nearby is nearer to the camera (a cheap ambient occlusion)."""
    share: np.ndarray = inside.astype(np.float32)
    both = cv2.merge([share, depth * share])
    share, total = cv2.split(cv2.GaussianBlur(both, (0, 0), _contact_spread(pixels_a_metre)))
    behind = (depth - total / (share + np.float32(1e-6))) * np.float32(1 / 0.12)
    return 1 - np.float32(strength) * np.clip(behind, 0, np.float32(0.7), out=behind)
