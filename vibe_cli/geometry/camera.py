"""Cameras: the crop's weak-perspective camera, the full image's, and metres.

Axes: x right, y down, z into the image. A crop camera (s, tx, ty) projects a point (x, y, z) of the body,
metres from its pelvis, to s·(x + tx), s·(y + ty) in −1..1 of the square crop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Array = TypeVar("Array", np.ndarray, "Tensor")
CROP_SIZE = 224
FOCAL_LENGTH = 5000.0


def crop_to_image_camera(camera: np.ndarray, boxes: np.ndarray, width: int, height: int) -> np.ndarray:
    """Crop camera (T, 3) of square crops `boxes` (T, 4) → full-image camera (T, 4) sx, sy, tx, ty.

    `boxes` holds the side that was really cropped, scale included.
    """
    scale, tx, ty = camera[:, 0], camera[:, 1], camera[:, 2]
    cx, cy, side = boxes[:, 0], boxes[:, 1], boxes[:, 2]
    sx, sy = scale * side / width, scale * side / height
    x = (cx - width / 2) / (width / 2 * sx) + tx
    y = (cy - height / 2) / (height / 2 * sy) + ty
    return np.stack([sx, sy, x, y], axis=1)


def project_image(points: np.ndarray, camera: np.ndarray, width: int, height: int) -> np.ndarray:
    """Body points (T, N, 3) through full-image cameras (T, 4) → pixels (T, N, 2)."""
    scale, offset = camera[:, None, :2], camera[:, None, 2:]
    return (scale * (points[..., :2] + offset) + 1) / 2 * np.array([width, height])


def crop_points_to_image(points: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Points (T, N, 2) in −1..1 of square crops `boxes` (T, 4) → full-image pixels (T, N, 2)."""
    return boxes[:, None, :2] + points * boxes[:, None, 2:3] / 2


def image_points_to_crop(points: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Full-image pixels (T, N, 2) → points (T, N, 2) in −1..1 of square crops `boxes` (T, 4)."""
    return (points - boxes[:, None, :2]) / boxes[:, None, 2:3] * 2


def crop_translation(camera: np.ndarray, focal: float = FOCAL_LENGTH, size: int = CROP_SIZE) -> np.ndarray:
    """Crop camera (T, 3) → translation (T, 3) metres before a crop of `size` pixels seen at `focal`."""
    depth = 2 * focal / (size * camera[:, 0] + 1e-9)
    return np.stack([camera[:, 1], camera[:, 2], depth], axis=1)


def project_crop(points: Array, camera: Array, focal: float = FOCAL_LENGTH, size: int = CROP_SIZE) -> Array:
    """Body points (…, N, 3) and crop cameras (…, 3) → (…, N, 2) in −1..1 of the crop; numpy or torch alike.

    In perspective, at `crop_translation` from the camera: this is what the published networks were trained on.
    """
    depth = 2 * focal / (size * camera[..., None, :1] + 1e-9) + points[..., 2:]
    return (points[..., :2] + camera[..., None, 1:]) / depth * (2 * focal / size)


def default_intrinsics(width: int, height: int) -> np.ndarray:
    """(3, 3) K of an uncalibrated video: focal length = the image's diagonal in pixels, centre in the middle."""
    focal = float(np.hypot(width, height))
    return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])


def metric_translation(camera: np.ndarray, boxes: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Crop camera (T, 3) of square crops (T, 4) → pelvis translation (T, 3) metres, in the camera of K.

    Weak perspective says that a metre covers s·side/2 pixels at the pelvis; K says focal/z.
    """
    pixels_per_metre = camera[:, 0] * boxes[:, 2] / 2
    depth = intrinsics[0, 0] / np.maximum(pixels_per_metre, 1e-6)
    centre = boxes[:, :2] + camera[:, 1:] * pixels_per_metre[:, None]
    offset = (centre - intrinsics[:2, 2]) * (depth / intrinsics[0, 0])[:, None]
    return np.concatenate([offset, depth[:, None]], axis=1)
