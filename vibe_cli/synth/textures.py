"""Colours, patterns and backgrounds: procedural, mixed with photographs that are free for any use."""

from __future__ import annotations

import cv2
import numpy as np

from vibe_cli.synth.pictures import Pictures


def colour(rng: np.random.Generator) -> np.ndarray:
    """(3,) BGR in 0..1: greys three times in ten, any hue otherwise."""
    if rng.random() < 0.3:
        return np.full(3, rng.uniform(0.03, 0.97)) + rng.normal(0, 0.03, 3)
    hsv = np.array([[[rng.uniform(0, 360), rng.uniform(0.1, 1), rng.uniform(0.1, 1)]]], np.float32)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0].astype(float)


def waves(rng: np.random.Generator, points: np.ndarray, frequency: float) -> np.ndarray:
    """(V,) smooth noise of about −1..1 over points in space."""
    k, phase = rng.normal(size=(6, 3)) * frequency, rng.uniform(0, 2 * np.pi, 6)
    # long rows of single precision are many times as fast as short ones of double
    return np.sin((k @ points.T + phase[:, None]).astype(np.float32)).sum(axis=0).astype(float) * (1.6 / len(k))


def creases(rng: np.random.Generator, points: np.ndarray) -> np.ndarray:
    """(V,) factors of brightness: the folds of cloth, thin dark ridges of no one direction."""
    stretch = rng.uniform(0.3, 1.0, 3)
    ridges = 1 - np.abs(waves(rng, points * stretch, rng.uniform(12, 40)))
    return 1 - rng.uniform(0, 0.45) * np.clip(ridges, 0, 1) ** 2


def fabric(rng: np.random.Generator, points: np.ndarray, pictures: Pictures) -> np.ndarray:
    """(V, 3) colours of a garment over rest-pose points: plain, striped, mottled, printed or with a badge."""
    base, kind = colour(rng), rng.random()
    out = np.tile(base, (len(points), 1))
    if kind < 0.25:
        stripes = np.sin(points[:, rng.integers(3)] * rng.uniform(25, 120) + rng.uniform(0, 6))
        out = np.where((stripes > rng.uniform(-0.6, 0.6))[:, None], base, colour(rng))
    elif kind < 0.45:
        out = out + waves(rng, points, rng.uniform(5, 40))[:, None] * 0.5 * (colour(rng) - base)
    elif kind < 0.65:
        picture, scale = _photograph(rng, pictures), rng.uniform(60, 300)
        x = (points[:, 0] * scale + rng.integers(999)).astype(int) % picture.shape[1]
        y = (-points[:, 1] * scale + rng.integers(999)).astype(int) % picture.shape[0]
        out = picture[y, x] / 255.0 * (0.5 + 0.5 * base)
    elif kind < 0.75:
        centre = rng.normal(0, 0.15, 3) * [1, 1, 0] + [0, 0.3, 0.1]
        badge = np.linalg.norm(points - centre, axis=1) < rng.uniform(0.05, 0.2)
        out = np.where(badge[:, None], colour(rng), base)
    return out


def background(rng: np.random.Generator, pictures: Pictures, size: int = 192) -> np.ndarray:
    """(size, size, 3) uint8: a piece of a picture or a plain or shaded wall, most often cluttered with shapes."""
    kind = rng.random()
    image = (_piece(rng, size, size, pictures) if kind < 0.4 else _surface(rng, size, size, pictures)).copy()
    if kind > 0.25:
        for _ in range(int(rng.choice([2, 8, 40, 120]))):
            _add_shape(rng, image, pictures)
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image.astype(np.float32), (0, 0), rng.uniform(0.5, 4))
    cells = int(rng.integers(2, 12))
    light = cv2.resize(
        rng.normal(0, 1, (cells, cells, 3)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC
    )
    return np.clip(image + light * rng.uniform(0, 18), 0, 255).astype(np.uint8)


def _photograph(rng: np.random.Generator, pictures: Pictures) -> np.ndarray:
    return pictures.photographs[rng.integers(len(pictures.photographs))]


def _surface(rng: np.random.Generator, h: int, w: int, pictures: Pictures) -> np.ndarray:
    kind = rng.random()
    if kind < 0.45:
        return np.full((h, w, 3), np.clip(colour(rng), 0, 1) * 255)
    if kind < 0.7:
        a, b, angle = np.clip(colour(rng), 0, 1) * 255, np.clip(colour(rng), 0, 1) * 255, rng.uniform(0, 6.28)
        y, x = np.mgrid[:h, :w]
        slope = x * np.cos(angle) + y * np.sin(angle)
        return a + (b - a) * ((slope - slope.min()) / (np.ptp(slope) + 1e-6))[..., None]
    return _piece(rng, h, w, pictures)


def _piece(rng: np.random.Generator, h: int, w: int, pictures: Pictures) -> np.ndarray:
    picture = _photograph(rng, pictures)
    tall = max(2, min(int(picture.shape[0] * rng.uniform(0.25, 1)), picture.shape[0]))
    wide = max(2, min(int(tall * w / h) + 1, picture.shape[1]))
    y, x = rng.integers(picture.shape[0] - tall + 1), rng.integers(picture.shape[1] - wide + 1)
    piece = cv2.resize(picture[y : y + tall, x : x + wide], (w, h)).astype(np.float32)
    if rng.random() < 0.5:
        piece = piece[:, ::-1]
    if rng.random() < 0.3:
        piece = piece[::-1]
    return piece[..., rng.permutation(3)] * rng.uniform(0.5, 1.4, 3) + rng.uniform(-40, 40)


def _add_shape(rng: np.random.Generator, image: np.ndarray, pictures: Pictures) -> None:
    size = len(image)
    radius = int(np.clip(4 * rng.pareto(1.2) + 3, 3, size * 0.47))
    mask = np.zeros(image.shape[:2], np.uint8)
    centre, kind = tuple(int(v) for v in rng.integers(0, size, 2)), rng.integers(3)
    if kind == 0:
        axes = (radius, max(2, int(radius * rng.uniform(0.15, 1))))
        cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
    elif kind == 1:
        sides = (radius * 2, max(2, radius * 2 * rng.uniform(0.08, 1)))
        box = cv2.boxPoints((centre, sides, float(rng.choice([0, 90, rng.uniform(0, 180)]))))
        cv2.fillPoly(mask, [box.astype(np.int32)], 1)
    else:
        corners = np.array(centre) + rng.normal(0, radius, (rng.integers(3, 7), 2))
        cv2.fillPoly(mask, [corners.astype(np.int32)], 1)
    ys, xs = np.nonzero(mask)
    if len(ys) < 4:
        return
    window = slice(ys.min(), ys.max() + 1), slice(xs.min(), xs.max() + 1)
    inside = mask[window] > 0
    fill = _surface(rng, inside.shape[0], inside.shape[1], pictures)
    fill = fill * (1 + rng.normal(0, 0.25) * np.linspace(-1, 1, inside.shape[1])[None, :, None])
    image[window][inside] = fill[inside]
