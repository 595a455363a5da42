"""Exact labels of drawn people, from the rasteriser's depth: masks, boxes, optical flow, the visibility of joints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from vibe_cli.networks.skeleton import keypoints
from vibe_cli.synth.bodies import SynthBody

FAR = 1000.0  # metres; the depth of pixels that a mesh does not cover
NEAR = 0.1
# Of the 44, those that lie on the skin
SURFACE_POINTS = keypoints("nose", "eye", "ear", "big_toe", "small_toe", "heel")
EARS = keypoints("r_ear", "l_ear")
EAR = 0.07  # metres: an ear is seen from the front, though the cheek is nearer
SKIN = 0.035  # metres that a point of the skin may lie behind what is seen at its pixel
SEEN, HIDDEN_BY_SELF, HIDDEN_BY_OTHERS = 0, 1, 2  # the columns of a visibility array: in the picture, self-occluded, …
SLACK = 0.03  # metres between two depths of the same surface in two frames


@dataclass(frozen=True, eq=False)
class Drawn:
    """One mesh as the camera would see it alone."""

    depth: np.ndarray  # (H, W) float32 metres, FAR where it is not
    before: np.ndarray | None  # (H, W, 3) float32: where the frame before had what is seen here, its camera's axes


def in_front(placed: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """The faces that lie in front of the camera as a whole: the rasteriser draws others all over the picture."""
    if placed[:, 2].min() > NEAR:
        return faces
    return np.ascontiguousarray(faces[(placed[:, 2] > NEAR)[faces].all(axis=1)])


def draw_depth(
    placed: np.ndarray, faces: np.ndarray, focal: float, width: int, height: int, before: np.ndarray | None = None
) -> Drawn:
    """Rasterise vertices (V, 3) in camera axes; `before` (V, 3) is where the frame before had them."""
    depth: np.ndarray = np.full((height, width), FAR, np.float32)
    picture: np.ndarray = np.zeros((height, width, 3), np.float32)
    if before is None:
        low, extent, values = 0.0, 1.0, np.zeros_like(placed, np.float32)
    else:  # the rasteriser interpolates values in 0..1
        low, extent = before.min(axis=0), np.ptp(before, axis=0) + 1e-6
        values = ((before - low) / extent).astype(np.float32)
    field, faces = float(2 * np.arctan(height / 2 / focal)), in_front(placed, faces)
    if not len(faces):
        return Drawn(depth, None if before is None else picture)
    picture, depth = cv2.triangleRasterize(
        (placed * [1, -1, -1]).astype(np.float32),
        faces,
        values,
        picture,
        depth,
        np.eye(4, dtype=np.float32),
        field,
        NEAR,
        FAR,
    )
    return Drawn(depth, None if before is None else (picture * extent + low).astype(np.float32))


def nearest(depths: list[np.ndarray], background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) which of the meshes is seen, −1 for the background, and the depth (H, W) of what is seen."""
    stack = np.stack([background, *depths])
    owner = stack.argmin(axis=0)
    return owner.astype(np.int16) - 1, np.take_along_axis(stack, owner[None], 0)[0]


def mask_box(mask: np.ndarray) -> np.ndarray:
    """(4,) centre x, centre y, width, height of a mask (H, W) in pixels; zeros where it is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return np.zeros(4, np.float32)
    return points_box(np.array([[columns[0], rows[0]], [columns[-1] + 1, rows[-1] + 1]], float))


def points_box(pixels: np.ndarray) -> np.ndarray:
    """(4,) centre x, centre y, width, height of the box around points (N, 2)."""
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    return np.concatenate([(low + high) / 2, high - low]).astype(np.float32)


def flow_back(
    owner: np.ndarray,
    before: list[np.ndarray],
    background: np.ndarray,
    project: Callable[[np.ndarray], np.ndarray],
    depth_before: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Optical flow to the frame before: (H, W, 2) float32 pixels, and whether that point was seen then, (H, W) bool.

    What frame t shows at (x, y) was at (x + u, y + v) in the frame before, as in `vibe_cli.people.flow`. `before` holds
    each mesh's points in the earlier camera's axes, `background` (H, W, 3) those of the place, `project` takes points
    in those axes to pixels, `depth_before` (H, W) is what that frame saw.
    """
    height, width = owner.shape
    points = background.copy()
    for index, there in enumerate(before):
        points[owner == index] = there[owner == index]
    then = project(points)
    y, x = np.mgrid[:height, :width] + 0.5
    column, row = np.floor(then[..., 0]), np.floor(then[..., 1])
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (points[..., 2] > NEAR)
    at = (np.where(inside, row, 0).astype(int), np.where(inside, column, 0).astype(int))
    near = cv2.dilate(depth_before, np.ones((3, 3), np.uint8))[at]  # an edge may have moved by part of a pixel
    seen = inside & (points[..., 2] < near + SLACK + 0.01 * points[..., 2])
    return np.stack([then[..., 0] - x, then[..., 1] - y], -1).astype(np.float32), seen


def visibility(
    placed: np.ndarray, pixels: np.ndarray, own: np.ndarray, others: np.ndarray, flesh: np.ndarray
) -> np.ndarray:
    """(K, 3) bool: in the picture, hidden by the person itself, hidden by somebody or something else.

    `placed` (K, 3) points in camera axes at `pixels` (K, 2); `own` and `others` (H, W) the depths of the person alone
    and of all else; `flesh` (K,) metres of the own body that may lie in front of a point that counts as seen.
    """
    height, width = own.shape
    column, row = np.floor(pixels).astype(np.int64).T
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (placed[:, 2] > NEAR)
    at = (np.where(inside, row, 0), np.where(inside, column, 0))
    behind_self = inside & (placed[:, 2] - own[at] > flesh)
    front = np.minimum(placed[:, 2], np.where(own[at] < FAR, own[at], np.inf))
    return np.stack([inside, behind_self, inside & (others[at] < front - 0.01)], axis=1)


@lru_cache(maxsize=4)
def flesh_depth(body: SynthBody) -> np.ndarray:
    """(K,) metres: how far each of the 44 points may lie behind the own skin and still count as seen.

    For points of the skin SKIN; for joints what a ray through the T-posed body meets around them, by its thinner
    direction (from the front or from the side), and a quarter more.
    """
    points = body.pose(np.tile(np.eye(3), (24, 1, 1)), np.zeros(11))[2] + body.joints[0]
    out = np.full(len(points), SKIN)
    out[EARS] = EAR
    for k in (k for k in range(len(points)) if k not in SURFACE_POINTS):
        reach = []
        for along in (2, 0):
            across = [axis for axis in range(3) if axis != along]
            apart = np.linalg.norm(body.vertices[:, across] - points[k][across], axis=1)
            around = (body.vertices[:, along] - points[k][along])[apart < max(0.04, apart.min() + 0.01)]
            sides = [side[side < 0.3] for side in (around[around > 0], -around[around <= 0])]  # not the other leg
            reach.append(max((np.quantile(side, 0.8) for side in sides if len(side)), default=0.3))
        out[k] = 1.25 * min(reach) + SKIN
    return out
