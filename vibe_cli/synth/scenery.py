"""Procedural places that people are seen in: landscapes, streets, rooms, foliage, with the statistics of photographs.

Photographs that are free for any use are few; what these add is what false people are made of: trunks, poles,
window frames, shelves, railings, and textures whose spectrum falls as photographs' does.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from vibe_cli.synth.pictures import Pictures
from vibe_cli.synth.surroundings import look_around, strew
from vibe_cli.synth.textures import background, colour

REAL = 0.6  # share of the places that are seen in a panorama, where there are any
STREWN = 0.55  # share of the places with things about, where there are any
SUN = np.array([0.9, 1.0, 1.1])  # BGR


def place(rng: np.random.Generator, pictures: Pictures, size: int = 192) -> np.ndarray:
    """(size, size, 3) uint8 BGR: somewhere a photograph may have been taken, or plain clutter."""
    if pictures.panoramas and rng.random() < REAL:
        image = look_around(rng, pictures.panoramas[rng.integers(len(pictures.panoramas))], size)
    else:
        image = _drawn_place(rng, pictures, size)
    if pictures.things and rng.random() < STREWN:
        strew(rng, image, pictures.things)
        if rng.random() < 0.4:
            image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.5))
    return image


def _drawn_place(rng: np.random.Generator, pictures: Pictures, size: int) -> np.ndarray:
    kind = rng.random()
    if kind < 0.35:
        return background(rng, pictures, size)
    image = (_outdoors if kind < 0.62 else _indoors if kind < 0.88 else _texture)(rng, size)
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 3.5))
    shade = 1 + rng.uniform(0, 0.35) * cloud(rng, size, size, 1, 2.0, 6)[..., 0]
    image *= cv2.merge([shade * tint for tint in (255 * (1 + rng.normal(0, 0.07, 3))).astype(np.float32)])
    return np.clip(image, 0, 255, out=image).astype(np.uint8)


def cloud(rng: np.random.Generator, h: int, w: int, channels: int, fall: float, finest: int = 128) -> np.ndarray:
    """(h, w, channels) noise of about unit size whose amplitude falls with frequency to the power `fall`."""
    out, cells, total = np.zeros((h, w, channels), np.float32), 2, 0.0
    while cells <= finest:
        layer = (rng.normal(size=(cells, cells, channels)) * cells**-fall).astype(np.float32)
        out += cv2.resize(layer, (w, h), interpolation=cv2.INTER_CUBIC).reshape(h, w, channels)
        total += cells ** (-2 * fall)
        cells *= 2
    return out / math.sqrt(total)


def _tinted(rng: np.random.Generator, h: int, w: int, base: np.ndarray, rough: float) -> np.ndarray:
    """A surface (h, w, 3) of one material: mostly brighter and darker, a little other hues."""
    fall, base = rng.uniform(0.3, 1.1), np.asarray(base, np.float32)
    light, hue = cloud(rng, h, w, 1, fall), cloud(rng, h, w, 3, fall)
    bright = cv2.merge([light * (rough * b) + b for b in base])
    return cv2.scaleAdd(hue, float(0.25 * rough * base.mean()), bright)


def _texture(rng: np.random.Generator, size: int) -> np.ndarray:
    image = _tinted(rng, size, size, colour(rng), rng.uniform(0.2, 0.7))
    for _ in range(int(rng.integers(0, 4))):
        mask = cloud(rng, size, size, 1, rng.uniform(0.6, 1.5)) > rng.uniform(0, 1.2)
        image = np.where(mask, _tinted(rng, size, size, colour(rng), rng.uniform(0.1, 0.6)), image)
    return image.astype(np.float32)


def _outdoors(rng: np.random.Generator, size: int) -> np.ndarray:
    horizon = int(rng.uniform(-0.1, 0.75) * size)
    sky = np.array([1.0, 0.85, 0.7]) if rng.random() < 0.5 else np.full(3, rng.uniform(0.6, 1.0))
    image = _tinted(rng, size, size, sky * rng.uniform(0.6, 1), rng.uniform(0, 0.15))
    for _ in range(int(rng.integers(0, 5))):
        _skyline(rng, image, horizon)
    _add_ground(rng, image, horizon)
    if rng.random() < 0.4:
        _lines(rng, image, max(horizon, 0), vanishing=True)
    for _ in range(int(rng.choice([0, 1, 3, 8]))):
        _pole(rng, image)
    if rng.random() < 0.3:
        _railing(rng, image)
    return image.astype(np.float32)


def _add_ground(rng: np.random.Generator, image: np.ndarray, horizon: int) -> None:
    """One material below the horizon, its grain finer with distance."""
    size = len(image)
    y, x = np.mgrid[max(horizon, 0) : size, :size].astype(np.float32)
    if not y.size:
        return
    far = size / (y - horizon + 0.03 * size)
    flat = _tinted(rng, size, size, _material(rng), rng.uniform(0.1, 0.5)).astype(np.float32)
    grain = rng.uniform(0.2, 1)
    image[max(horizon, 0) :] = cv2.remap(
        flat,
        (x - size / 2) * far * grain + size / 2,
        0.3 * size * far * grain,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )


def _material(rng: np.random.Generator) -> np.ndarray:
    """BGR of grass, sand, asphalt, snow, water or anything."""
    known = np.array(
        [[0.2, 0.5, 0.3], [0.5, 0.65, 0.75], [0.4, 0.4, 0.4], [0.95, 0.95, 0.95], [0.6, 0.45, 0.3], [0.3, 0.4, 0.55]]
    )
    return colour(rng) if rng.random() < 0.3 else known[rng.integers(len(known))] * rng.uniform(0.6, 1.2)


def _skyline(rng: np.random.Generator, image: np.ndarray, horizon: int) -> None:
    """Hills, trees or a house front that stand on the horizon."""
    size, kind = len(image), rng.random()
    if kind < 0.6:
        low = 1.2 if kind < 0.3 else 0.5  # hills | crowns of trees
        top = horizon - (cloud(rng, 1, size, 1, low)[0, :, 0] * 0.5 + 1) * rng.uniform(0.05, 0.5) * size
        mask = (np.arange(size)[:, None] > top) & (np.arange(size)[:, None] < max(horizon, 0) + 1)
        green = np.array([0.2, 0.4, 0.3]) * rng.uniform(0.3, 1.5) if rng.random() < 0.6 else colour(rng)
        image[mask] = _tinted(rng, size, size, green, rng.uniform(0.1, 0.7))[mask]
        return
    left, wide = int(rng.uniform(-0.2, 0.8) * size), int(rng.uniform(0.2, 1) * size)
    x0, x1, y0 = max(left, 0), min(left + wide, size), max(0, int(horizon - rng.uniform(0.2, 1) * size))
    if x1 - x0 < 4 or horizon - y0 < 4:
        return
    image[y0:horizon, x0:x1] = _tinted(rng, horizon - y0, x1 - x0, colour(rng), 0.15)
    _grid(rng, image, (x0, y0, x1, horizon))


def _grid(rng: np.random.Generator, image: np.ndarray, box: tuple[int, int, int, int]) -> None:
    """Windows, shelves or tiles: equal cells in a box, each filled."""
    x0, y0, x1, y1 = box
    nx, ny = int(rng.integers(1, 9)), int(rng.integers(1, 7))
    gap, varied, base = rng.uniform(0.08, 0.4), rng.random() < 0.4, colour(rng)
    for i in range(nx):
        for j in range(ny):
            a = (int(x0 + (i + gap / 2) * (x1 - x0) / nx), int(y0 + (j + gap / 2) * (y1 - y0) / ny))
            b = (int(x0 + (i + 1 - gap / 2) * (x1 - x0) / nx), int(y0 + (j + 1 - gap / 2) * (y1 - y0) / ny))
            tone = colour(rng) if varied else base * rng.uniform(0.7, 1.3)
            cv2.rectangle(image, a, b, tuple(float(v) for v in tone), -1)


def _pole(rng: np.random.Generator, image: np.ndarray) -> None:
    """A trunk, a post, a pipe: long, straight, lit from one side, now and then forked like legs or arms."""
    size = len(image)
    x, wide, lean = rng.uniform(0, size), rng.uniform(1, 0.09 * size), rng.normal(0, 0.12) * size
    y0, y1 = rng.uniform(-0.2, 0.5) * size, rng.uniform(0.55, 1.2) * size
    tone = colour(rng) * rng.uniform(0.3, 1)

    def limb(a: tuple[float, float], b: tuple[float, float], width: float) -> None:
        for k, light in ((1.0, 0.7), (0.55, 1.0), (0.2, 1.25)):
            shift = (1 - k) * width * 0.25
            cv2.line(
                image,
                (int(a[0] + shift), int(a[1])),
                (int(b[0] + shift), int(b[1])),
                tuple(float(v) for v in tone * light),
                max(1, int(width * k)),
                cv2.LINE_AA,
            )

    limb((x, y0), (x + lean, y1), wide)
    for _ in range(int(rng.choice([0, 0, 1, 3]))):
        y = rng.uniform(y0, y1)
        start = x + lean * (y - y0) / (y1 - y0 + 1e-6)
        limb((start, y), (start + rng.normal(0, 0.25) * size, y + rng.normal(0, 0.25) * size), wide * 0.6)


def _railing(rng: np.random.Generator, image: np.ndarray) -> None:
    size, tone = len(image), tuple(float(v) for v in colour(rng))
    top, deep, step = int(rng.uniform(0.2, 0.9) * size), int(rng.uniform(0.1, 0.4) * size), int(rng.integers(4, 30))
    thick = int(rng.integers(1, 4))
    for x in range(int(rng.integers(step)), size, step):
        cv2.line(image, (x, top), (x, top + deep), tone, thick)
    for y in (top, top + deep):
        cv2.line(image, (0, y), (size, y), tone, thick + 1)


def _lines(rng: np.random.Generator, image: np.ndarray, horizon: int, vanishing: bool) -> None:
    """Marks on a floor: tiles, boards, a road or a pitch, towards a point on the horizon or side by side."""
    size, tone = len(image), tuple(float(v) for v in colour(rng))
    centre, spread, thick = rng.uniform(-0.5, 1.5) * size, rng.uniform(10, 90), int(rng.integers(1, 3))
    for k in range(-20, 21):
        end = centre + k * spread * (6 if vanishing else 1)
        cv2.line(image, (int(centre if vanishing else end), horizon), (int(end), size), tone, thick, cv2.LINE_AA)
    for y in horizon + np.cumsum(rng.uniform(2, 8) * 1.5 ** np.arange(8)) * rng.integers(0, 2):
        cv2.line(image, (0, int(y)), (size, int(y)), tone, thick)


def _indoors(rng: np.random.Generator, size: int) -> np.ndarray:
    floor = int(rng.uniform(0.5, 1.1) * size)
    wall = colour(rng) * 0.5 + rng.uniform(0.2, 0.5)
    image = _tinted(rng, size, size, wall, rng.uniform(0, 0.15))
    if rng.random() < 0.5:  # a corner of the room
        x = int(rng.uniform(0, 1) * size)
        image[:, x:] *= rng.uniform(0.6, 1.2)
    for _ in range(int(rng.integers(0, 5))):  # windows, pictures, shelves, doors
        x0, y0 = (rng.uniform(-0.1, 0.9, 2) * size).astype(int)
        x1, y1 = x0 + int(rng.uniform(0.1, 0.6) * size), y0 + int(rng.uniform(0.1, 0.7) * size)
        cv2.rectangle(image, (x0, y0), (x1, y1), tuple(float(v) for v in colour(rng)), -1)
        _grid(rng, image, (x0, y0, x1, y1))
    if floor < size:
        image[floor:] = _tinted(rng, size - floor, size, _material(rng) * 0.8, rng.uniform(0.05, 0.3))
        if rng.random() < 0.5:
            _lines(rng, image, floor, vanishing=rng.random() < 0.6)
    for _ in range(int(rng.integers(0, 6))):
        _furniture(rng, image)
    for _ in range(int(rng.choice([0, 0, 1, 3]))):
        _pole(rng, image)
    return image.astype(np.float32)


def _furniture(rng: np.random.Generator, image: np.ndarray) -> None:
    """A box with a lit top and a shaded side, perhaps on legs: tables, chairs, cupboards, sofas."""
    size, tone = len(image), colour(rng)
    x, y = int(rng.uniform(-0.2, 0.9) * size), int(rng.uniform(0.3, 0.95) * size)
    w, h, d = (int(v * size) for v in (rng.uniform(0.1, 0.7), rng.uniform(0.05, 0.4), rng.uniform(0.02, 0.15)))
    skew = int(rng.normal(0, 0.1) * size)
    legs = rng.random() < 0.5

    def fill(corners: list[tuple[int, int]], light: float) -> None:
        cv2.fillPoly(image, [np.array(corners, np.int32)], tuple(float(v) for v in tone * light))

    if legs:
        thick = max(1, int(rng.uniform(0.01, 0.04) * size))
        for at in (x, x + w - thick):
            fill([(at, y), (at + thick, y), (at + thick, y + h), (at, y + h)], 0.5)
        fill([(x, y), (x + w, y), (x + w, y + max(2, h // 6)), (x, y + max(2, h // 6))], 0.8)
    else:
        fill([(x, y), (x + w, y), (x + w, y + h), (x, y + h)], 0.8)
    fill([(x, y), (x + w, y), (x + w + skew, y - d), (x + skew, y - d)], 1.15)
