"""Real surroundings for synthetic people: what is seen of a panorama, and things that stand about."""

from __future__ import annotations

import math

import cv2
import numpy as np

from vibe_cli.synth.layers import over

FIELDS_OF_VIEW = (35.0, 95.0)  # degrees, of a picture's side
COUNTS, COUNT_SHARES = (1, 2, 4, 8), (0.4, 0.3, 0.2, 0.1)  # things in a picture
SIZES = (0.06, 0.8)  # of the picture's side, a thing's longer one


def look_around(rng: np.random.Generator, panorama: np.ndarray, size: int) -> np.ndarray:
    """(size, size, 3) uint8 BGR of a panorama (h, 2h, 3): a camera at eye level, pitched and rolled a little.

    Exposed, tinted, sharpened and grained anew every time.
    """
    pitch, roll = np.radians(rng.normal(-4, 13)), np.radians(rng.normal(0, 4))
    y, x = (np.mgrid[:size, :size].astype(np.float32) + 0.5) / size * 2 - 1
    x, y = math.cos(roll) * x - math.sin(roll) * y, math.sin(roll) * x + math.cos(roll) * y
    far = 1 / math.tan(math.radians(rng.uniform(*FIELDS_OF_VIEW)) / 2)
    down, ahead = math.cos(pitch) * y - math.sin(pitch) * far, math.sin(pitch) * y + math.cos(pitch) * far
    round_ = np.arctan2(x, ahead) + rng.uniform(0, 2 * math.pi)
    high = np.arctan2(down, np.sqrt(x * x + ahead * ahead))
    height, width = panorama.shape[:2]
    at = ((round_ / (2 * math.pi) % 1) * width - 0.5, (high / math.pi + 0.5) * height - 0.5)
    columns, rows = (a.astype(np.float32) for a in at)
    image: np.ndarray = cv2.remap(panorama, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    image = image[:, ::-1] if rng.random() < 0.5 else image
    exposed = 255 * (np.arange(256) / 255) ** rng.uniform(0.6, 1.6)
    tint = (1 + rng.normal(0, 0.08, 3)) * rng.uniform(0.7, 1.25)
    image = cv2.LUT(np.ascontiguousarray(image), np.multiply.outer(exposed, tint).astype(np.float32)[None])
    if rng.random() < 0.5:
        blurred: np.ndarray = cv2.GaussianBlur(image, (0, 0), 1.2)
        image += (image - blurred) * rng.uniform(0, 1.5)
    image += rng.normal(0, rng.uniform(0, 6), image.shape).astype(np.float32)
    return np.clip(image, 0, 255, out=image).astype(np.uint8)


def strew(rng: np.random.Generator, image: np.ndarray, things: list[np.ndarray]) -> None:
    """Lay one to eight of the things into a picture (size, size, 3) uint8, in place; toys lose some colour."""
    for _ in range(int(rng.choice(COUNTS, p=COUNT_SHARES))):
        thing = _turned(rng, things[rng.integers(len(things))], len(image))
        high, wide = thing.shape[:2]
        x = int(rng.uniform(-0.4 * wide, len(image) - 0.6 * wide))
        y = int(rng.uniform(-0.3 * high, len(image) - 0.6 * high))
        left, top, right, bottom = max(x, 0), max(y, 0), min(x + wide, len(image)), min(y + high, len(image))
        if right - left < 2 or bottom - top < 2:
            continue
        part = thing[top - y : bottom - y, left - x : right - x]
        colour, opaque = part[..., :3], part[..., 3:]
        if rng.random() < 0.5:
            vivid = rng.uniform(0.2, 1)
            colour = colour * vivid + (1 - vivid) * colour.mean(axis=-1, keepdims=True)
        colour = np.clip(colour * (1 + rng.normal(0, 0.15, 3)) * rng.uniform(0.4, 1.15), 0, opaque)
        shown = np.concatenate([colour, opaque], axis=-1).astype(np.uint8)
        image[top:bottom, left:right] = over(image[top:bottom, left:right], shown)


def _turned(rng: np.random.Generator, thing: np.ndarray, size: int) -> np.ndarray:
    """A thing as it may stand in a picture of `size`: turned, mirrored, stretched; (h, w, 4) float32."""
    high, wide = thing.shape[:2]
    angle = rng.normal(0, 12) if rng.random() < 0.8 else rng.uniform(0, 360)
    turn: np.ndarray = cv2.getRotationMatrix2D((wide / 2, high / 2), angle, 1)
    room = np.abs(turn[:, :2]) @ [wide, high]  # what it takes to hold it
    turn[:, 2] += (room - [wide, high]) / 2
    thing = cv2.warpAffine(thing, turn, tuple(int(v) for v in np.ceil(room)))
    high, wide = thing.shape[:2]
    thing = thing[:, ::-1] if rng.random() < 0.5 else thing
    scale = math.exp(rng.uniform(*np.log(SIZES))) * size / max(high, wide)
    shape = max(3, int(wide * scale * rng.uniform(0.75, 1.33))), max(3, int(high * scale))
    return cv2.resize(np.ascontiguousarray(thing), shape, interpolation=cv2.INTER_AREA).astype(np.float32)
