"""Image degradations by cameras and files: exposure, colour casts, blur, low resolution, compression, noise, edges."""

from __future__ import annotations

import math
from functools import cache

import cv2
import numpy as np


def degrade(rng: np.random.Generator, image: np.ndarray, borders: bool = True) -> np.ndarray:
    """Exposure, colour cast, low resolution, blur, compression, noise and (if `borders`) black edges."""
    size = len(image)
    image = cv2.LUT(image, tone_curve(rng))
    if rng.random() < 0.12:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    if rng.random() < 0.35:
        small = max(16, int(rng.uniform(0.3, 0.8) * size))
        image = cv2.resize(cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA), (size, size))
    elif rng.random() < 0.2:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.5))
    elif rng.random() < 0.12:
        image = _motion_blur(rng, image)
    if rng.random() < 0.25:
        image = compressed(image, int(rng.uniform(25, 90)))
    if rng.random() < 0.4:
        noise = _grain()
        y, x = rng.integers(0, max(noise.shape[1] - size, 1), 2)
        grain = noise[rng.integers(len(noise)), y : y + size, x : x + size]
        image = cv2.add(image, grain * rng.uniform(2, 16) - 0.5, dtype=cv2.CV_8U)
    return bordered(rng, image) if borders else image


def compressed(image: np.ndarray, quality: int) -> np.ndarray:
    """A picture (H, W, 3) uint8 as a JPEG file of that quality shows it."""
    shown = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    if shown is None:
        raise ValueError(f"a JPEG picture of {image.shape} does not decode")
    return shown


def bordered(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """One in five has a black edge, under which a fourth channel is zero as well."""
    return _black_border(rng, image) if rng.random() < 0.2 else image


def smeared(image: np.ndarray, lean: float) -> np.ndarray:
    """A crop that was turned by `lean` radians to show somebody upright, with no more than was cut out before.

    As `networks.rotation_tta.turn_crops` leaves it: beyond the crop that it turned, that crop's edge is drawn out.
    """
    import torch  # here, since whoever only draws starts without it in a fifth of the time

    from vibe_cli.networks.rotation_tta import room, turned

    size, angle = len(image), torch.tensor(lean)
    at, shown = torch.arange(size) - size / 2, size / 2 / float(room(angle))  # of the crop before, in this one's pixels
    across, down = (axis.clamp(-shown, shown * (1 - 2 / size)) for axis in turned(at, at[:, None], angle))
    x, y = ((axis + size / 2).numpy() for axis in turned(across, down, -angle))
    return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def tone_curve(rng: np.random.Generator) -> np.ndarray:
    """(1, 256, 3) uint8: exposure, contrast and a colour cast, for cv2.LUT."""
    x = np.arange(256) / 255
    gamma = math.exp(rng.uniform(-0.65, 0.35)) if rng.random() < 0.6 else 1.0
    contrast = rng.uniform(0.5, 1.4) if rng.random() < 0.6 else 1.0
    brightness = rng.uniform(-0.15, 0.15) if rng.random() < 0.6 else 0.0
    y = (x**gamma - 0.45) * contrast + 0.45 + brightness
    return np.clip(y[:, None] * (1 + rng.normal(size=3) * 0.07) * 255, 0, 255).astype(np.uint8)[None]


@cache
def _grain() -> np.ndarray:
    """(4, 400, 400, 3) of noise, of which a crop's is a piece."""
    return np.random.default_rng(3).normal(0, 1, (4, 400, 400, 3)).astype(np.float32)


def _motion_blur(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    length, angle = int(rng.integers(3, 10)), rng.uniform(0, math.pi)
    kernel = np.zeros((length, length), np.float32)
    half = (length - 1) / 2
    reach = np.array([math.cos(angle), math.sin(angle)]) * half
    start, end = (tuple(int(round(half + s * r)) for r in reach) for s in (-1, 1))
    cv2.line(kernel, start, end, 1.0)
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def _black_border(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    width, side, image = int(rng.uniform(0.03, 0.28) * len(image)), rng.integers(5), image.copy()
    view = [image[:width], image[:, :width], image[:, -width:], image[-width:], image[-width:]][side]
    view[:] = 0
    return image
