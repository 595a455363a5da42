"""Square crops of people, as the networks see them.

The published models' convention: crop pixel d of S shows frame pixel (centre − side/2) + d · side/S, both
counted from the middle of pixel 0. So a point at crop pixel d is 2d/S − 1 in the crop's −1..1, and
`camera.crop_points_to_image` takes it back to where it was seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
ALIAS_FACTOR = 2.0  # crops shrunk by more than this are averaged first


def crop_person(frame: np.ndarray, box_square: np.ndarray, size: int, antialias: bool = True) -> np.ndarray:
    """The square box (4,) of a frame (H, W, 3) uint8 RGB, bilinearly warped to (size, size, 3), zeros outside.

    `box_square` is centre x, centre y, side, side in image pixels, scale included. Up to ALIAS_FACTOR the warp
    is the plain bilinear one of the published models; beyond it bilinear sampling would skip pixels, so the
    region is first averaged down (continuously from that factor on) unless `antialias` is off.
    """
    centre_x, centre_y, side = (float(v) for v in box_square[:3])
    if not (np.isfinite([centre_x, centre_y, side]).all() and side > 0):
        raise ValueError(f"not a square box: {box_square}")
    left, top, step = centre_x - side / 2, centre_y - side / 2, side / size
    if not (antialias and step > ALIAS_FACTOR):
        inverse = np.array([[step, 0, left], [0, step, top]])
    else:
        frame, corner, scale = _shrink_region(frame, left, top, side, step - 1)
        if frame.size == 0:
            return np.zeros((size, size, 3), np.uint8)
        # Averaging keeps areas, so pixel middles go from corner + s to (s + ½) · scale − ½.
        inverse = np.array(
            [
                [step * scale[0], 0, (left - corner[0] + 0.5) * scale[0] - 0.5],
                [0, step * scale[1], (top - corner[1] + 0.5) * scale[1] - 0.5],
            ]
        )
    return cv2.warpAffine(
        frame,
        inverse,
        (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0,
    )


def normalise(
    crops: np.ndarray, mean: tuple[float, ...] = IMAGENET_MEAN, std: tuple[float, ...] = IMAGENET_STD
) -> Tensor:
    """Crops (N, S, S, 3) uint8 RGB → (N, 3, S, S) float32 tensor: (rgb / 255 − mean) / std."""
    import torch

    # One multiply and one add in float32; in memory the channels stay last, which convolutions prefer.
    factor = 1 / (255 * np.asarray(std, np.float64))
    offset = -np.asarray(mean, np.float64) / np.asarray(std, np.float64)
    values = crops.astype(np.float32) * factor.astype(np.float32) + offset.astype(np.float32)
    return torch.from_numpy(values).permute(0, 3, 1, 2)


def _shrink_region(
    frame: np.ndarray, left: float, top: float, side: float, factor: float
) -> tuple[np.ndarray, tuple[int, int], tuple[float, float]]:
    """The part of the frame under a square, shrunk by `factor` with area averaging.

    Returns the part, the frame pixel at its corner, and its exact scale in x and y (pixels may not divide).
    """
    height, width = frame.shape[:2]
    margin = int(np.ceil(2 * factor))
    x0, y0 = max(0, int(left) - margin), max(0, int(top) - margin)
    x1 = min(width, int(np.ceil(left + side)) + margin)
    y1 = min(height, int(np.ceil(top + side)) + margin)
    region = frame[y0 : max(y0, y1), x0 : max(x0, x1)]
    if region.size == 0:
        return region, (x0, y0), (1.0, 1.0)
    shape = max(1, round(region.shape[1] / factor)), max(1, round(region.shape[0] / factor))
    scales = shape[0] / region.shape[1], shape[1] / region.shape[0]
    return cv2.resize(region, shape, interpolation=cv2.INTER_AREA), (x0, y0), scales
