"""The place of a scene: cameras, and a textured room that they look into, with exact depth and world points.

World axes: x right, y up, z towards the viewer of a front view; metres; the floor is y = 0. Camera axes: x right,
y down, z forward. A pixel's coordinates are those of its area: the first pixel's centre is (0.5, 0.5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from vibe_cli.synth.pictures import Pictures
from vibe_cli.synth.scenery import place

TEXTURE = 256  # pixels of a wall's side
CEILING = 3  # of the six sides: low x, high x, floor, ceiling, low z, high z
SHADOW_STEP = 4  # the shadow is computed for one pixel in so many, each way


@dataclass(frozen=True, eq=False)
class Camera:
    """One frame's camera: `rotation` (3, 3) world → camera axes, `centre` (3,) metres, `focal` pixels."""

    rotation: np.ndarray
    centre: np.ndarray
    focal: float
    width: int
    height: int

    def intrinsics(self) -> np.ndarray:
        """(3, 3) K; the principal point is the picture's middle."""
        return np.array([[self.focal, 0, self.width / 2], [0, self.focal, self.height / 2], [0, 0, 1.0]])

    def place(self, points: np.ndarray) -> np.ndarray:
        """World points (…, 3) → camera axes (…, 3)."""
        return (points - self.centre) @ self.rotation.T

    def project(self, placed: np.ndarray) -> np.ndarray:
        """Points in camera axes (…, 3) → pixels (…, 2)."""
        depth = np.where(np.abs(placed[..., 2:]) < 1e-6, 1e-6, placed[..., 2:])
        return placed[..., :2] / depth * self.focal + np.array([self.width / 2, self.height / 2])

    def rays(self) -> np.ndarray:
        """(H, W, 3) directions in world axes, of unit depth, through the pixels' centres."""
        x = (np.arange(self.width) + 0.5 - self.width / 2) / self.focal
        y = (np.arange(self.height) + 0.5 - self.height / 2) / self.focal
        right, down, forward = self.rotation
        return (y[:, None, None] * down + forward + x[:, None] * right).astype(np.float32)


def camera_path(rng: np.random.Generator, length: int, width: int, height: int, target: np.ndarray) -> list[Camera]:
    """A camera that watches `target` (length, 3): held, moved or shaken, from any side, perhaps zooming."""
    focal = max(width, height) * math.exp(rng.uniform(math.log(0.75), math.log(2.2)))
    tall = math.exp(rng.uniform(math.log(0.3), math.log(1.05)))  # of the picture, a person at the target
    distance = max(focal * 1.7 / (tall * height), 1.8)
    azimuth, pitch = rng.uniform(0, 2 * math.pi), rng.normal(0.1, 0.17)
    kind = rng.random()
    orbit = rng.uniform(-0.5, 0.5) if kind < 0.3 else 0.0
    dolly = rng.uniform(-0.25, 0.35) if kind > 0.6 else 0.0
    zoom = rng.uniform(-0.2, 0.3) if rng.random() < 0.2 else 0.0
    shake = rng.choice([0.0, 0.25, 1.0]) if length > 1 else 0.0
    wander = smooth(rng, length, 6) * shake * np.array([0.05, 0.05, 0.05, 0.02, 0.02, 0.015]) * min(1, distance / 4)
    roll = rng.normal(0, 0.06)
    cameras = []
    for t in range(length):
        share = t / max(length - 1, 1)
        around = azimuth + orbit * share
        away = distance * (1 + dolly * share)
        level = max(0.25, target[t, 1] + away * math.sin(pitch))
        flat = away * math.cos(pitch)
        centre = target[t] * [1, 0, 1] + np.array([math.sin(around) * flat, level, math.cos(around) * flat])
        forward = target[t] - centre
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0, 1.0, 0])
        right /= np.linalg.norm(right)
        look = np.stack([right, np.cross(forward, right), forward])
        turn = Rotation.from_euler("xyz", wander[t, 3:] + [0, 0, roll]).as_matrix()
        cameras.append(Camera(turn @ look, centre + wander[t, :3], focal * (1 + zoom * share), width, height))
    return cameras


def smooth(rng: np.random.Generator, length: int, columns: int, every: int = 8) -> np.ndarray:
    """(length, columns) of slow noise of about unit size, without corners."""
    knots = length // every + 4
    values = rng.normal(size=(knots, columns))
    at = np.arange(length) / every + 1
    low = at.astype(int)
    part = (at - low)[:, None]
    a, b, c, d = (values[low + k] for k in (-1, 0, 1, 2))  # a uniform cubic B-spline
    return (
        1.5
        / 6
        * (
            (1 - part) ** 3 * a
            + (3 * part**3 - 6 * part**2 + 4) * b
            + (-3 * part**3 + 3 * part**2 + 3 * part + 1) * c
            + part**3 * d
        )
    )


@dataclass(frozen=True, eq=False)
class Room:
    """A box seen from within; `atlas` (6 * TEXTURE, TEXTURE, 3) uint8 BGR holds its sides one below the other."""

    low: np.ndarray  # (3,)
    high: np.ndarray  # (3,)
    atlas: np.ndarray

    def paint(self, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
        """The camera's image: (H, W, 3) uint8 BGR and the world points (H, W, 3) float32 that are seen."""
        rays, centre = camera.rays(), camera.centre.astype(np.float32)
        with np.errstate(divide="ignore"):
            reach = (np.where(rays > 0, self.high, self.low).astype(np.float32) - centre) / rays
        axis = reach.argmin(axis=-1)
        points = centre + rays * np.take_along_axis(reach, axis[..., None], -1)
        side = 2 * axis + (np.take_along_axis(rays, axis[..., None], -1)[..., 0] > 0)
        share = (points - self.low.astype(np.float32)) / (self.high - self.low).astype(np.float32)
        across = np.where(axis == 0, share[..., 2], share[..., 0])
        down = np.where(axis == 1, share[..., 2], 1 - share[..., 1])
        u = np.clip(across * TEXTURE - 0.5, 0, TEXTURE - 1)
        v = np.clip(down * TEXTURE - 0.5, 0, TEXTURE - 1) + side * TEXTURE
        image = cv2.remap(self.atlas, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR)
        return image, points


def draw_room(rng: np.random.Generator, pictures: Pictures, reach: np.ndarray) -> Room:
    """A room or yard around the points `reach` (N, 3), its walls at some distance beyond them."""
    margin = np.exp(rng.uniform(math.log(0.6), math.log(9), 4))
    low = np.array([reach[:, 0].min() - margin[0], 0, reach[:, 2].min() - margin[1]])
    high = np.array(
        [reach[:, 0].max() + margin[2], reach[:, 1].max() + rng.uniform(0.4, 6), reach[:, 2].max() + margin[3]]
    )
    sides = [place(rng, pictures, TEXTURE) for _ in range(6)]
    sides[CEILING] = np.full_like(sides[CEILING], sides[CEILING].mean(axis=(0, 1)) * 0.5 + 110)
    return Room(low, high, np.concatenate(sides))


def ground_shadow(points: np.ndarray, joints: np.ndarray, sun: np.ndarray, strength: float) -> np.ndarray:
    """(H, W) factors that darken the floor where joints (N, 3) stand between it and the light from `sun` (3,).

    `points` (H, W, 3) are what the pixels see. A joint throws a soft round shadow, wider the higher it is.
    """
    height, width = points.shape[:2]
    coarse = points[::SHADOW_STEP, ::SHADOW_STEP]
    floor = coarse[..., 1] < 0.02
    out = np.zeros(floor.shape, np.float32)
    if floor.any() and strength > 0:
        slope = sun[[0, 2]] / max(sun[1], 0.35)
        foot = joints[:, [0, 2]] - joints[:, 1:2] * slope
        wide = 0.09 + 0.1 * np.maximum(joints[:, 1], 0)
        gap = ((coarse[floor][:, None, [0, 2]] - foot) ** 2).sum(-1)
        dark = (0.09 / wide) * np.exp(-gap / (2 * wide**2))
        out[floor] = 1 - np.exp(-1.2 * dark.sum(axis=1))
    return 1 - strength * cv2.resize(out, (width, height), interpolation=cv2.INTER_LINEAR)
