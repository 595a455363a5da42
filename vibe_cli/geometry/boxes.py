"""Boxes as rows of (centre x, centre y, width, height) in image pixels, and their few operations."""

from __future__ import annotations

import numpy as np


def from_corners(corners: np.ndarray) -> np.ndarray:
    """(…, 4) left, top, right, bottom → (…, 4) centre x, centre y, width, height."""
    low, high = corners[..., :2], corners[..., 2:]
    return np.concatenate([(low + high) / 2, high - low], axis=-1)


def to_corners(boxes: np.ndarray) -> np.ndarray:
    """(…, 4) centre x, centre y, width, height → (…, 4) left, top, right, bottom."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return np.concatenate([centre - half, centre + half], axis=-1)


def square(boxes: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """The square of side `scale` · max(width, height) about each box's centre; (…, 4) → (…, 4)."""
    side = scale * boxes[..., 2:].max(axis=-1, keepdims=True)
    return np.concatenate([boxes[..., :2], side, side], axis=-1)


def shared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Boxes (N, 4) and (M, 4) → (N, M): what each pair has in common, as a share of the smaller of the two."""
    common, area_a, area_b = _common(a, b)
    return common / np.maximum(np.minimum(area_a, area_b), 1e-9)


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of every box of `a` (N, 4) with every box of `b` (M, 4) → (N, M)."""
    common, area_a, area_b = _common(a, b)
    return common / np.maximum(area_a + area_b - common, 1e-9)


def _common(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Area that each pair has in common (N, M), and the areas of both (N, 1) and (1, M)."""
    one, other = to_corners(a)[:, None], to_corners(b)[None]
    low, high = np.maximum(one[..., :2], other[..., :2]), np.minimum(one[..., 2:], other[..., 2:])
    return np.clip(high - low, 0, None).prod(axis=-1), a[:, None, 2:].prod(axis=-1), b[None, :, 2:].prod(axis=-1)
