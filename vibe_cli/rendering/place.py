"""Where meshes fall in the image: pixels, the order of people in depth, and the regions that need drawing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vibe_cli.geometry import camera

REACH = 4.0  # metres between people from which their order alone matters: no limb spans it
VEIL = 0.5  # how much a wireframe darkens what lies behind it: on a busy picture thin lines drown
MARGIN = 2  # pixels around a mesh that its lines and soft edges may touch


@dataclass(frozen=True, eq=False)
class Placed:
    """Triangles in the image, ready for a rasteriser."""

    points: np.ndarray  # (N, 3) float32  x, y in pixels, depth in metres, larger is farther
    colours: np.ndarray  # (N, 3) float32  0..1
    faces: np.ndarray  # (M, 3) int32
    edges: np.ndarray | None = None  # (N, 3) float32  for lines: pixels to each edge of the corner's triangle


def to_pixels(vertices: np.ndarray, full_camera: np.ndarray, width: int, height: int) -> np.ndarray:
    """Body vertices (V, 3) metres through a full-image camera (4,) → (V, 3): x, y in pixels, z in metres."""
    xy = camera.project_image(vertices[None], full_camera[None], width, height)[0]
    return np.concatenate([xy, vertices[:, 2:]], axis=1).astype(np.float32)


def from_the_side(vertices: np.ndarray) -> np.ndarray:
    """Bodies (V, 3) turned by 90° about the vertical: who faces the camera looks to the image's left."""
    return np.stack([vertices[:, 2], vertices[:, 1], -vertices[:, 0]], axis=1)


def spread_depths(depths: np.ndarray) -> np.ndarray:
    """Depths of people (P,) in metres → the same order with gaps of at most REACH, the nearest at 0.

    Keeps the depth buffer precise when one person's depth is wild.
    """
    order = np.argsort(depths, kind="stable")
    gaps = np.diff(np.asarray(depths, float)[order], prepend=np.asarray(depths, float)[order[:1]])
    spread = np.empty(len(depths))
    spread[order] = np.cumsum(np.minimum(gaps, REACH))
    return spread


def bounds(points: np.ndarray, width: int, height: int) -> tuple[int, int, int, int] | None:
    """The pixels left, top, right, bottom that points (N, 2 or more) may touch, or None outside the image."""
    low = np.clip(np.floor(points[:, :2].min(axis=0)) - MARGIN, 0, (width, height)).astype(int)
    high = np.clip(np.ceil(points[:, :2].max(axis=0)) + MARGIN, 0, (width, height)).astype(int)
    return (*low.tolist(), *high.tolist()) if (high > low).all() else None


def disjoint(regions: list[tuple[int, int, int, int]]) -> list[tuple[tuple[int, int, int, int], list[int]]]:
    """Join regions that overlap, until none do; each comes with the indices of those joined in it.

    People in different regions cannot hide each other, so the empty image between them need not be drawn.
    """
    groups = [(region, [index]) for index, region in enumerate(regions)]
    joined = True
    while joined:
        joined = False
        for i, (a, members) in enumerate(groups):
            for j in range(len(groups) - 1, i, -1):
                b = groups[j][0]
                if a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]:
                    a = (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
                    groups[i] = a, (members := members + groups.pop(j)[1])
                    joined = True
    return groups


def join(parts: list[Placed]) -> Placed:
    """Several people as one set of triangles, for one pass."""
    starts = np.cumsum([0] + [len(part.points) for part in parts[:-1]])
    edges = None if parts[0].edges is None else np.concatenate([part.edges for part in parts])
    return Placed(
        np.concatenate([part.points for part in parts]),
        np.concatenate([part.colours for part in parts]),
        np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=True)], dtype=np.int32),
        edges,
    )


def outlined(placed: Placed) -> Placed:
    """The same triangles with corners of their own, which know how far they are from the three edges."""
    points = placed.points[placed.faces]  # (M, 3 corners, 3)
    opposite = np.roll(points[..., :2], -2, axis=1) - np.roll(points[..., :2], -1, axis=1)
    length = np.hypot(opposite[..., 0], opposite[..., 1])
    u, v = points[:, 1, :2] - points[:, 0, :2], points[:, 2, :2] - points[:, 0, :2]
    area = np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])
    edges = np.zeros_like(points)
    edges[:, range(3), range(3)] = area[:, None] / np.maximum(length, 1e-6)
    return Placed(
        points.reshape(-1, 3),
        placed.colours[placed.faces].reshape(-1, 3),
        np.arange(len(points) * 3, dtype=np.int32).reshape(-1, 3),
        edges.reshape(-1, 3),
    )


def line_width(edges: np.ndarray) -> float:
    """Pixels: thin enough for a fine mesh to stay a mesh."""
    return float(np.clip(0.3 * np.median(edges.max(axis=1)), 0.25, 1.5))
