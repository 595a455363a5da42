"""A room of boxes for the example clip: cast rays, painted by formulas, lit by a window's sun and a soft sky.

World axes: x right, y up, z towards the camera; metres; the floor is y = 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

Paint = Callable[[np.ndarray], np.ndarray]  # points (N, 3) → colours (N, 3), RGB 0..1
SUN = np.array([-0.42, 0.80, 0.52]) / np.linalg.norm([-0.42, 0.80, 0.52])  # direction towards the light
SUN_SPREAD = 0.035  # how soft its shadows are
SUN_COLOUR, SKY_COLOUR = np.array([1.00, 0.93, 0.80]) * 0.95, np.array([0.80, 0.90, 1.00]) * 0.62
REACH = 0.9  # metres over which things darken what is near them


@dataclass(frozen=True)
class Camera:
    """A pinhole, level but for its pitch."""

    position: tuple[float, float, float]
    pitch: float  # degrees down
    focal: float  # pixels
    width: int
    height: int

    def axes(self) -> np.ndarray:
        """(3, 3) whose rows are the camera's x right, y down, z forward in the world."""
        c, s = np.cos(np.radians(self.pitch)), np.sin(np.radians(self.pitch))
        return np.array([[1, 0, 0], [0, -c, s], [0, -s, -c]])

    def see(self, points: np.ndarray) -> np.ndarray:
        """World points (N, 3) → camera axes."""
        return (points - self.position) @ self.axes().T

    def rays(self) -> np.ndarray:
        """(height · width, 3) world directions through the pixels' centres, one unit of depth long."""
        y, x = np.mgrid[: self.height, : self.width] + 0.5
        seen = np.stack([(x - self.width / 2) / self.focal, (y - self.height / 2) / self.focal, np.ones_like(x)], -1)
        return seen.reshape(-1, 3) @ self.axes()


@dataclass(frozen=True, eq=False)
class Room:
    """What a camera sees of the room, all (height, width, …)."""

    points: np.ndarray  # (…, 3) world
    depth: np.ndarray  # (…)    along the camera's axis
    sunny: np.ndarray  # (…, 3) linear light that the sun gives
    shady: np.ndarray  # (…, 3) linear light of the sky


def plain(*colour: float) -> Paint:
    """One colour."""
    return lambda points: np.broadcast_to(np.array(colour), points.shape)


def grain(points: np.ndarray, *scales: float) -> np.ndarray:
    """(N,) smooth noise of about −1..1."""
    x, y, z = points.T * np.array(scales)[:, None]
    return (np.sin(x + 2 * np.sin(y)) + np.sin(y + 2 * np.sin(z)) + np.sin(z + 2 * np.sin(x))) / 3


def planks(points: np.ndarray) -> np.ndarray:
    """A wooden floor: boards along x, each with its own tone, dark joints."""
    row = np.floor(points[:, 2] / 0.16)
    along = points[:, 0] + 0.73 * (row * 0.618 % 1)
    board = row * 13 + np.floor(along / 1.4) * 7
    tone = 0.9 + 0.16 * (np.sin(board * 12.9898) * 43758.5453 % 1)
    tone = tone + 0.03 * grain(points * [1, 1, 9], 6, 5, 17)
    joint = (np.abs(points[:, 2] / 0.16 % 1 - 0.5) > 0.485) | (np.abs(along / 1.4 % 1 - 0.5) > 0.4985)
    return np.array([0.67, 0.50, 0.35]) * (tone * np.where(joint, 0.72, 1))[:, None]


def rug(points: np.ndarray) -> np.ndarray:
    """Woven, with a border."""
    x, z = np.abs(points[:, 0] - 0.05) / 1.30, np.abs(points[:, 2] + 0.1) / 0.78
    edge = np.maximum(x, z)
    weave = 1 + 0.05 * np.sin(points[:, 0] * 260) * np.sin(points[:, 2] * 260)
    colour = np.where(((edge > 0.86) & (edge < 0.93))[:, None], [0.72, 0.52, 0.30], [0.44, 0.53, 0.55])
    return colour * weave[:, None]


def wall(points: np.ndarray) -> np.ndarray:
    """Plaster."""
    return np.array([0.80, 0.78, 0.72]) * (1 + 0.012 * grain(points, 2.1, 3.3, 1.7))[:, None]


def doors(points: np.ndarray) -> np.ndarray:
    """The sideboard's wood, with the gaps of its doors and round handles."""
    x, y = points[:, 0], points[:, 1]
    colour = np.array([0.52, 0.34, 0.22]) * (1 + 0.05 * grain(points * [1, 12, 1], 5, 7, 3))[:, None]
    gap = (np.abs((x - 0.78) % 0.46 - 0.23) > 0.224) & (y < 0.66)
    knob = np.hypot((x - 0.78) % 0.46 - 0.40, y - 0.45) < 0.014
    return np.where(gap[:, None], colour * 0.45, np.where(knob[:, None], [0.80, 0.68, 0.40], colour))


def picture(points: np.ndarray) -> np.ndarray:
    """Hills under a sun."""
    x, y = points[:, 0] - 1.48, points[:, 1] - 1.56
    colour = np.array([0.93, 0.80, 0.62]) + 0.2 * y[:, None]
    colour = np.where((np.hypot(x - 0.14, y - 0.08) < 0.07)[:, None], [0.90, 0.45, 0.30], colour)
    for level, tone in ((0.0, [0.52, 0.62, 0.60]), (-0.08, [0.33, 0.47, 0.48]), (-0.16, [0.20, 0.31, 0.36])):
        hill = y < level + 0.05 * np.sin(9 * x + 40 * level)
        colour = np.where(hill[:, None], tone, colour)
    frame = (np.abs(x) > 0.33) | (np.abs(y) > 0.24)
    return np.where(frame[:, None], [0.14, 0.12, 0.11], np.clip(colour, 0, 1))


def cloth(points: np.ndarray) -> np.ndarray:
    """The armchair's cover."""
    return np.array([0.30, 0.46, 0.40]) * (1 + 0.05 * grain(points, 160, 150, 170))[:, None]


def curtain(points: np.ndarray) -> np.ndarray:
    """Folds."""
    folds = np.sin(points[:, 0] * 75 + 0.6 * np.sin(points[:, 1] * 3))
    return np.array([0.86, 0.80, 0.68]) * (1 + 0.13 * folds)[:, None]


def window(points: np.ndarray) -> np.ndarray:
    """A bright sky behind white bars."""
    x, y = points[:, 0] + 1.35, points[:, 1] - 1.62
    sky = np.array([0.78, 0.88, 1.0]) * (1.15 + 0.25 * y)[:, None]
    bar = (np.abs(x) > 0.37) | (np.abs(x) < 0.018) | (np.abs(y) > 0.48) | (np.abs(y - 0.1) < 0.015)
    return np.where(bar[:, None], [0.88, 0.88, 0.86], sky)


# (lowest corner, highest corner, paint)
BOXES: list[tuple[tuple, tuple, Paint]] = [
    ((-9, -1, -9), (9, 0, 9), planks),
    ((-9, 0, -2.2), (9, 4, -1.8), wall),
    ((-9, 0, -1.8), (9, 0.09, -1.783), plain(0.90, 0.89, 0.86)),  # skirting board
    ((-1.25, 0, -0.88), (1.35, 0.008, 0.68), rug),
    ((-1.75, 1.12, -1.8), (-0.95, 2.12, -1.78), window),
    ((-1.98, 0.5, -1.8), (-1.72, 2.3, -1.76), curtain),
    ((-0.98, 0.5, -1.8), (-0.72, 2.3, -1.76), curtain),
    ((-2.05, 2.28, -1.8), (-0.66, 2.31, -1.74), plain(0.25, 0.22, 0.20)),  # its rail
    ((-2.02, 0.12, -1.62), (-1.12, 0.42, -0.92), cloth),  # armchair
    ((-2.02, 0.12, -1.70), (-1.12, 0.88, -1.50), cloth),
    ((-2.10, 0.12, -1.62), (-1.96, 0.60, -0.92), cloth),
    ((-1.18, 0.12, -1.62), (-1.04, 0.60, -0.92), cloth),
    ((-2.05, 0, -1.6), (-1.99, 0.12, -1.0), plain(0.20, 0.15, 0.11)),
    ((-1.15, 0, -1.6), (-1.09, 0.12, -1.0), plain(0.20, 0.15, 0.11)),
    ((0.78, 0.14, -1.78), (2.16, 0.70, -1.36), doors),  # sideboard
    ((0.84, 0, -1.72), (0.89, 0.14, -1.42), plain(0.16, 0.12, 0.09)),
    ((2.05, 0, -1.72), (2.10, 0.14, -1.42), plain(0.16, 0.12, 0.09)),
    ((1.14, 1.31, -1.8), (1.82, 1.81, -1.775), picture),
    ((0.90, 0.70, -1.66), (0.95, 0.95, -1.46), plain(0.62, 0.20, 0.18)),  # books
    ((0.95, 0.70, -1.66), (0.985, 0.91, -1.48), plain(0.20, 0.34, 0.48)),
    ((0.985, 0.70, -1.66), (1.03, 0.97, -1.45), plain(0.82, 0.74, 0.52)),
    ((1.03, 0.70, -1.66), (1.06, 0.90, -1.47), plain(0.22, 0.30, 0.24)),
    ((1.86, 0.70, -1.60), (1.89, 0.98, -1.57), plain(0.20, 0.18, 0.16)),  # lamp
    ((1.74, 0.96, -1.72), (2.01, 1.20, -1.45), plain(0.96, 0.90, 0.78)),
]
GLOWING = {4: 1.0, len(BOXES) - 1: 0.25}  # boxes that give light of their own


def hit(origin: np.ndarray, direction: np.ndarray, low: tuple, high: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Where rays enter a box: the distance (N,), infinite for a miss, and the axis (N,) of the side.

    `origin` and `direction` are (3, N) or (3, 1).
    """
    near, far, axis = np.float32(1e-4), np.float32(np.inf), np.int8(0)
    for number in range(3):
        with np.errstate(divide="ignore"):
            inverse = 1 / direction[number]
        a, b = (low[number] - origin[number]) * inverse, (high[number] - origin[number]) * inverse
        entry, far = np.minimum(a, b), np.minimum(far, np.maximum(a, b))
        axis = np.where(entry > near, np.int8(number), axis)
        near = np.maximum(near, entry)
    return np.where((near <= far) & (near > 1e-4), near, np.float32(np.inf)), axis


def blocked(points: np.ndarray, direction: np.ndarray, reach: float = np.inf) -> np.ndarray:
    """(N,) whether a box lies within `reach` of points (3, N) in a direction (3,)."""
    found = np.zeros(points.shape[1], bool)
    for low, high, _ in BOXES[2:]:
        found |= hit(points, direction[:, None], low, high)[0] < reach
    return found


def around(axis: np.ndarray, count: int, spread: float) -> np.ndarray:
    """(count, 3) directions about an axis (3,), evenly strewn; spread 1 fills the hemisphere by the cosine."""
    turn, radius = np.arange(count) * 2.39996, spread * np.sqrt((np.arange(count) + 0.5) / count)
    helper = np.eye(3)[np.abs(axis).argmin()]
    u = np.cross(axis, helper) / np.linalg.norm(np.cross(axis, helper))
    v = np.cross(axis, u)
    flat = np.outer(radius * np.cos(turn), u) + np.outer(radius * np.sin(turn), v)
    return flat + np.outer(np.sqrt(1 - radius**2), axis)


def cast(camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Depth (N,), box (N,) and axis (N,) that the camera's pixels see."""
    rays, origin = camera.rays().T.astype(np.float32), np.array(camera.position, np.float32)[:, None]
    count = rays.shape[1]
    depth, box, side = np.full(count, np.inf), np.zeros(count, int), np.zeros(count, int)
    for number, (low, high, _) in enumerate(BOXES):
        distance, axis = hit(origin, rays, low, high)
        nearer = distance < depth
        depth[nearer], box[nearer], side[nearer] = distance[nearer], number, axis[nearer]
    return depth, box, side


def light(points: np.ndarray, side: np.ndarray, origin: tuple) -> tuple[np.ndarray, np.ndarray]:
    """How much sun and how much sky reach points (N, 3) on sides facing the camera: (N,) and (N,), 0..1."""
    sun, sky = np.zeros(len(points)), np.zeros(len(points))
    for axis in range(3):
        for sign in (-1, 1):
            chosen = (side == axis) & ((np.array(origin)[axis] > points[:, axis]) == (sign > 0))
            normal = np.eye(3)[axis] * sign
            start = (points[chosen] + normal * 2e-3).T.astype(np.float32)
            if not chosen.any():
                continue
            shares = [blocked(start, direction) for direction in around(SUN, 8, SUN_SPREAD).astype(np.float32)]
            sun[chosen] = max(normal @ SUN, 0) * (1 - np.mean(shares, axis=0))
            shares = [blocked(start, direction, REACH) for direction in around(normal, 16, 0.98).astype(np.float32)]
            sky[chosen] = (0.75 + 0.25 * normal[1]) * (1 - 0.8 * np.mean(shares, axis=0))
    return sun, sky


def paint_room(camera: Camera, samples: int) -> Room:
    """The room as a camera sees it; light is computed once for each block of `samples` × `samples` pixels."""
    coarse = Camera(
        camera.position, camera.pitch, camera.focal / samples, camera.width // samples, camera.height // samples
    )
    depth, _, side = cast(coarse)
    points = np.array(camera.position) + coarse.rays() * depth[:, None]
    size = (camera.width, camera.height)
    sun, sky = (
        cv2.resize(value.reshape(coarse.height, coarse.width), size, interpolation=cv2.INTER_LINEAR)
        for value in light(points, side, camera.position)
    )
    depth, box, _ = cast(camera)
    points = np.array(camera.position) + camera.rays() * depth[:, None]
    colour, glow = np.zeros_like(points), np.zeros(len(points))
    for number, (_, _, paint) in enumerate(BOXES):
        seen = box == number
        colour[seen] = paint(points[seen])
        glow[seen] = GLOWING.get(number, 0)
    shape = (camera.height, camera.width, 3)
    colour, glow = np.clip(colour, 0, None).reshape(shape) ** 2.2, glow.reshape(*shape[:2], 1)
    sunny = colour * sun[..., None] * SUN_COLOUR * (1 - glow)
    shady = colour * (sky[..., None] * SKY_COLOUR * (1 - glow) + glow)
    return Room(
        *(value.astype(np.float32) for value in (points.reshape(shape), depth.reshape(shape[:2]), sunny, shady))
    )
