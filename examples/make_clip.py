"""Make the example clip: a person of the open body, moving by keyframes of ours, in a room of boxes.

    python examples/make_clip.py examples/dance.mp4

Nothing in it is anybody else's: no motion capture, no photographs. Equal seeds give equal frames.
World axes: x right, y up, z towards the camera; metres; the floor is y = 0.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import torch
from room import SKY_COLOUR, SUN, SUN_COLOUR, Camera, Room, paint_room
from scipy.interpolate import PchipInterpolator
from scipy.spatial.transform import Rotation

from vibe_cli.body.body_models import Body, load_body, skin
from vibe_cli.geometry.skeleton import JOINT_NAMES, PARENTS
from vibe_cli.rendering.light import Topology
from vibe_cli.video.writer import VideoWriter

WIDTH, HEIGHT, FPS, FRAMES, SEED = 640, 480, Fraction(25), 120, 7
SAMPLES = 2  # pictures are drawn at twice the size
SHADOW_SIZE, SHADOW_REACH = 768, 1.6  # the shadow map: pixels, metres to each side of the person
ARMS_DOWN = 80  # degrees from the T-pose to arms that hang
NEAR, FAR = 0.1, 100.0
SOFT = [(x, y) for x in (-1.5, 0, 1.5) for y in (-1.5, 0, 1.5)]  # pixels of the map that are averaged
CELL, CELLS = 0.02, 160  # the darkness under the feet: metres, and how many to a side

# Seconds → degrees of each channel; between keys the curve is smooth and never overshoots.
#  lift, arm: shoulder up from hanging, forward;  elbow: bent;  hip: out to the side;  walk: strength of stepping
KEYS = {
    "walk": {0.0: 1, 1.2: 1, 1.55: 0},
    "lift_left": {0.0: 6, 1.3: 8, 1.9: 165, 2.15: 160, 2.7: 22, 3.1: 20, 3.45: 88, 3.95: 88, 4.4: 12},
    "lift_right": {0.0: 6, 1.3: 8, 1.9: 165, 2.15: 160, 2.5: 105, 3.1: 105, 3.45: 88, 3.95: 88, 4.4: 12},
    "elbow_left": {0.0: 18, 1.3: 20, 1.9: 14, 2.3: 20, 2.8: 62, 3.1: 62, 3.45: 12, 3.95: 12, 4.4: 24},
    "elbow_right": {0.0: 18, 1.3: 20, 1.9: 14, 2.2: 20, 2.5: 72, 3.1: 72, 3.45: 12, 3.95: 12, 4.4: 24},
    "hip_left": {0.0: 3, 1.5: 3, 1.9: 10, 3.0: 8, 3.35: 26, 3.6: 7, 3.95: 8, 4.2: 4},
    "hip_right": {0.0: 3, 1.5: 3, 1.9: 10, 3.0: 8, 3.35: 7, 3.6: 10, 3.95: 24, 4.2: 4},
    "crouch": {0.0: 4, 1.55: 5, 1.75: 20, 2.0: 4, 3.0: 6, 3.3: 22, 3.55: 8, 3.8: 22, 4.1: 8, 4.8: 6},
    "turn": {0.0: -14, 0.9: -4, 1.5: 0, 3.2: 4, 4.0: 6, 4.8: 42},
    "lean": {0.0: 0, 1.9: 0, 2.6: 7, 3.1: 6, 3.35: -8, 3.6: 0, 3.9: 9, 4.3: 0},
    "x": {0.0: -0.10, 1.4: -0.08, 3.0: -0.08, 3.4: 0.16, 3.6: 0.20, 4.1: 0.0, 4.8: 0.0},
}


def curve(name: str, seconds: float) -> float:
    """A channel's value, held after its last key."""
    times, values = list(KEYS[name]), list(KEYS[name].values())
    return float(PchipInterpolator(times, values)(np.clip(seconds, times[0], times[-1])))


def pose_at(seconds: float) -> np.ndarray:
    """(24, 3, 3) rotations relative to the parent, the root's in world axes."""
    turns = {name: Rotation.identity() for name in JOINT_NAMES}
    walk, crouch, lean = (curve(name, seconds) for name in ("walk", "crouch", "lean"))
    step = 2 * np.pi * 1.15 * seconds  # 1.15 double steps a second
    for side, sign in (("l", 1), ("r", -1)):
        name = {"l": "left", "r": "right"}[side]
        swing = sign * np.sin(step) * walk
        lift, elbow = curve(f"lift_{name}", seconds), curve(f"elbow_{name}", seconds)
        knee = 62 * max(swing, 0) ** 1.2 + crouch
        thigh = 40 * max(swing, 0) + crouch / 2 + 6 * min(swing, 0)
        turns[f"{side}_hip"] = Rotation.from_euler("xz", [-thigh, sign * curve(f"hip_{name}", seconds)], degrees=True)
        turns[f"{side}_knee"] = Rotation.from_euler("x", knee, degrees=True)
        turns[f"{side}_ankle"] = Rotation.from_euler("x", 0.45 * (thigh - knee), degrees=True)
        turns[f"{side}_shoulder"] = shoulder(sign, lift, -26 * swing)
        turns[f"{side}_collar"] = Rotation.from_euler("z", sign * 0.10 * max(lift - 30, 0), degrees=True)
        wave = 24 * np.sin(2 * np.pi * 2.6 * seconds) * np.clip((elbow - 30) / 40, 0, 1) * (sign < 0)
        turns[f"{side}_elbow"] = bend(sign, elbow + wave, lift)
    turns["spine1"] = Rotation.from_euler("xz", [2, -0.5 * lean], degrees=True)
    turns["spine2"] = Rotation.from_euler("yz", [5 * np.sin(step) * walk, -0.5 * lean], degrees=True)
    turns["spine3"] = Rotation.from_euler("y", 4 * np.sin(step) * walk, degrees=True)
    turns["neck"] = Rotation.from_euler("xyz", [4, -0.4 * curve("turn", seconds), 0.5 * lean], degrees=True)
    turns["pelvis"] = Rotation.from_euler("yxz", [curve("turn", seconds) - 5 * np.sin(step) * walk, 1, 0], degrees=True)
    return np.stack([turns[name].as_matrix() for name in JOINT_NAMES])


def shoulder(sign: int, lift: float, swing: float) -> Rotation:
    """The arm hanging, raised sideways by `lift` and swung forward by `swing` degrees."""
    raised = Rotation.from_euler("z", sign * (lift - ARMS_DOWN), degrees=True)
    return Rotation.from_euler("x", -swing, degrees=True) * raised * Rotation.from_euler("x", 12, degrees=True)


def bend(sign: int, degrees: float, lift: float) -> Rotation:
    """An elbow: it bends forward while the arm hangs, upward when the arm is raised."""
    up = np.clip((lift - 40) / 45, 0, 1) * np.pi / 2
    axis = np.array([0, -np.cos(up), np.sin(up)]) * sign
    return Rotation.from_rotvec(axis * np.radians(degrees))


@dataclass(frozen=True, eq=False)
class Person:
    """The dressed body: what does not change from frame to frame."""

    rest: np.ndarray  # (V, 3) with cloth and hair
    bare: np.ndarray  # (V, 3) as the body file has it: where the colours are looked up
    joints: np.ndarray  # (24, 3)
    weights: torch.Tensor  # (V, 24)
    topology: Topology

    @classmethod
    def dress(cls, body: Body) -> Person:
        """Cloth and hair stand a little off the skin."""
        bare = body.v_template.numpy().astype(float)
        topology = Topology(body.faces, len(bare))
        normals, _ = topology.normals(bare.astype(np.float32))
        garment = wardrobe(bare)
        folds = 1 + 0.5 * np.sin(bare @ [31, 47, 23]) * np.sin(bare @ [-19, 38, 41])
        off = 0.011 * garment["shirt"] * folds + 0.014 * garment["trousers"] * folds
        off += 0.012 * garment["shoes"] + 0.020 * garment["hair"]
        return cls(bare + normals * off[:, None], bare, body.joint_template.numpy(), body.lbs_weights, topology)

    def posed(self, rotations: np.ndarray) -> np.ndarray:
        """(V, 3) in world axes, the pelvis at the origin."""
        turn, rest, joints = (
            torch.from_numpy(np.asarray(value, np.float32))[None] for value in (rotations, self.rest, self.joints)
        )
        return skin(turn, rest, joints, self.weights, PARENTS)[0][0].numpy().astype(float)


def wardrobe(points: np.ndarray) -> dict[str, np.ndarray]:
    """Which garment covers rest-pose points (..., 3): T-pose, pelvis at the origin."""
    away, y, z = np.abs(points[..., 0]), points[..., 1], points[..., 2]
    scalp = (y > 0.655 + 0.5 * np.clip(z - 0.06, 0, 1)) | ((z < 0.045) & (y > 0.56) & (away < 0.2))
    collar = 0.455 - 0.9 * np.clip(z - 0.02, 0, 0.05)
    return {
        "hair": scalp & (away < 0.2),
        "shirt": (y > -0.06) & (y < collar + 0.25 * (away > 0.12)) & (away < 0.35) & (y < 0.52),
        "trousers": (y <= -0.06) & (y > -0.925) & (away < 0.4),
        "shoes": y <= -0.925,
    }


def albedo(points: np.ndarray) -> np.ndarray:
    """Colours (..., 3) RGB 0..1 of rest-pose points (..., 3)."""
    x, y, z = np.moveaxis(points, -1, 0)
    garment = wardrobe(points)
    colour = np.broadcast_to([0.80, 0.60, 0.49], points.shape).copy()  # skin
    colour *= (1 + 0.03 * np.sin(points @ [90, 120, 70]))[..., None]
    stripe = np.sin(y * 2 * np.pi / 0.085) > 0.55
    colour[garment["shirt"]] = [0.86, 0.33, 0.22]
    colour[garment["shirt"] & stripe & (np.abs(x) < 0.22) & (y < 0.37)] = [0.95, 0.90, 0.82]
    colour[garment["trousers"]] = [0.17, 0.24, 0.38]
    colour[garment["trousers"] & (y > -0.10)] = [0.22, 0.15, 0.10]  # belt
    colour[garment["shoes"]] = [0.74, 0.73, 0.72]
    colour[garment["shoes"] & (y < -1.005)] = [0.35, 0.32, 0.30]  # sole
    colour[garment["hair"]] = [0.16, 0.10, 0.07]
    for side in (-1, 1):
        eye = np.hypot((x - side * 0.0305) / 1.5, y - 0.634) < 0.0062
        brow = (np.abs(x - side * 0.033) < 0.017) & (np.abs(y - 0.656) < 0.0035)
        colour[(eye | brow) & (z > 0.10)] = [0.10, 0.08, 0.08]
    colour[(np.abs(x) < 0.022) & (np.abs(y - 0.553) < 0.005) & (z > 0.09)] = [0.62, 0.32, 0.30]
    return colour


def camera(scale: float = 1.0) -> Camera:
    """At the height of the chest, looking down a little; `scale` makes smaller pictures."""
    scale *= SAMPLES
    return Camera((0.0, 1.38, 4.5), 4.2, 915.0 * scale, round(WIDTH * scale), round(HEIGHT * scale))


class Shadow:
    """Where a posed person keeps the sun away, by the depths that the sun sees."""

    def __init__(self, vertices: np.ndarray, faces: np.ndarray) -> None:
        """World `vertices` (V, 3)."""
        right = np.cross([0, 1, 0], SUN)
        right /= np.linalg.norm(right)
        self.axes = np.stack([right, np.cross(right, SUN), -SUN]).astype(np.float32)  # y down, z away from the sun
        self.centre = vertices.mean(axis=0).astype(np.float32)
        self.distance = 50.0  # far away, so that its rays are nearly parallel
        self.scale = SHADOW_SIZE / 2 / SHADOW_REACH
        points = (vertices - self.centre) @ self.axes.T + [0, 0, self.distance]
        _, self.depth = rasterise(
            points, faces, np.zeros_like(points), self.scale * self.distance, (SHADOW_SIZE, SHADOW_SIZE)
        )

    def __call__(self, points: np.ndarray, bias: float = 0.02) -> np.ndarray:
        """(...) how much of the sun reaches world points (..., 3), 0..1; soft at the edges."""
        seen = ((points - self.centre) @ self.axes.T).astype(np.float32)
        z = seen[..., 2] + np.float32(self.distance)
        across = seen[..., :2] * (self.scale * self.distance / z[..., None]) + SHADOW_SIZE / 2
        clear, inside = np.ones(z.shape, np.float32), ((across > 2) & (across < SHADOW_SIZE - 3)).all(axis=-1)
        x, y = across[inside].T
        reached = [
            self.depth[np.rint(y + dy).astype(int), np.rint(x + dx).astype(int)] > z[inside] - bias for dx, dy in SOFT
        ]
        clear[inside] = np.mean(reached, axis=0)
        return clear


def rasterise(
    points: np.ndarray, faces: np.ndarray, values: np.ndarray, focal: float, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Points (V, 3) in camera axes with values (V, 3) 0..1 → values (height, width, 3) and depth, FAR for none."""
    height = size[0]
    settings = cv2.TriangleRasterizeSettings()
    settings.setCullingMode(cv2.RASTERIZE_CULLING_NONE)
    settings.setShadingType(cv2.RASTERIZE_SHADING_SHADED)
    image, depth = np.zeros((*size, 3), np.float32), np.full(size, FAR, np.float32)
    field = float(2 * np.arctan(height / 2 / focal))
    return cv2.triangleRasterize(
        (points * [1, -1, -1]).astype(np.float32),
        faces,
        values.astype(np.float32),
        image,
        depth,
        np.eye(4, dtype=np.float32),
        field,
        NEAR,
        FAR,
        settings,
    )


def draw(person: Person, view: Camera, room: Room, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """One frame, RGB uint8, `SAMPLES` times smaller than the camera's picture."""
    vertices = person.posed(pose_at(seconds))
    vertices += [curve("x", seconds), -vertices[:, 1].min() + 0.008, 0.0]
    faces, size = person.topology.faces, (view.height, view.width)
    normals, _ = person.topology.normals(vertices.astype(np.float32))
    seen = view.see(vertices)
    rest, depth = rasterise(seen, faces, (person.bare + 1.2) / 2.4, view.focal, size)
    normal, _ = rasterise(seen, faces, (normals + 1) / 2, view.focal, size)
    shadow = Shadow(vertices, faces)
    light = room.sunny * shadow(room.points)[..., None] + room.shady * near_feet(vertices, room.points)[..., None]
    covered = (depth < room.depth) & (depth < FAR)
    ratio = depth[covered] / room.depth[covered]
    points = (1 - ratio[:, None]) * np.array(view.position) + ratio[:, None] * room.points[covered]
    light[covered] = shade(rest[covered], normal[covered], points, shadow)
    light = cv2.resize(
        light.astype(np.float32), (view.width // SAMPLES, view.height // SAMPLES), interpolation=cv2.INTER_AREA
    )
    picture = 255 * np.clip(light * 1.12, 0, 1) ** (1 / 2.2) + rng.normal(0, 0.8, light.shape)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def near_feet(vertices: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(...) how much of the sky reaches world points (..., 3) of the floor beside what touches it, 0..1."""
    low = vertices[vertices[:, 1] < 0.15]
    across = np.clip(low[:, [0, 2]] / CELL + CELLS / 2, 0, CELLS - 1).astype(int)
    dark = np.zeros((CELLS, CELLS), np.float32)
    np.add.at(dark, (across[:, 1], across[:, 0]), 1 - low[:, 1] / 0.15)
    dark = cv2.GaussianBlur(np.minimum(dark, 1), (0, 0), 0.05 / CELL)
    cells = (points[..., [0, 2]] / CELL + CELLS / 2).astype(np.float32)
    on_floor = points[..., 1] < 0.02
    return 1 - 0.6 * on_floor * cv2.remap(dark, cells[..., 0], cells[..., 1], cv2.INTER_LINEAR)


def shade(rest: np.ndarray, normal: np.ndarray, points: np.ndarray, shadow: Shadow) -> np.ndarray:
    """Linear light (N, 3) of the person's pixels, from rasterised rest points and normals (N, 3), 0..1."""
    normal = normal * 2 - 1
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
    colour = albedo(rest * 2.4 - 1.2) ** 2.2
    sun = np.clip(normal @ SUN, 0, 1) * shadow(points + 0.012 * normal, 0.015)
    sky = 0.62 + 0.30 * normal[:, 1] + 0.22 * normal[:, 2]  # the ceiling, and the room's bright side
    return colour * (sun[:, None] * SUN_COLOUR + sky[:, None] * SKY_COLOUR)


def frames(seed: int = SEED) -> Iterator[np.ndarray]:
    """All frames of the clip, RGB uint8 (HEIGHT, WIDTH, 3)."""
    rng, view, person = np.random.default_rng(seed), camera(), Person.dress(load_body(None))
    room = paint_room(view, SAMPLES)
    for number in range(FRAMES):
        yield draw(person, view, room, number / float(FPS), rng)


def main(path: Path) -> None:
    """Write the clip."""
    with VideoWriter(path, WIDTH, HEIGHT, FPS, crf=24) as writer:
        for frame in frames():
            writer.write(frame)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
