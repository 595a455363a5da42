"""Whole pictures with nobody, one or several people in them, and their boxes, to train the detector on."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np

from vibe_cli.synth.crops import CropSource
from vibe_cli.synth.faults import degrade
from vibe_cli.synth.people import SIZE

BUSTS = 0.3  # share of the people who are cut by the lower edge
BUST_HEIGHTS = (0.3, 1.2)  # of the picture's, at least
SOFTENED = 0.85  # share of the people whose edges are
MIN_VISIBLE = 0.25  # of a person's own pixels; fewer, and the person is neither wanted nor punished,
LEAST_SIDE = 26  # nor is one whose box is smaller than this many pixels: a blot, as many things are


class SceneSource:
    """Composes (size, size) pictures from the cut-outs of a work folder."""

    def __init__(self, folder: Path, size: int = 320) -> None:
        self.crops, self.size = CropSource(folder), size
        x, y = np.moveaxis(self.crops.labels.pixels[:, :24], -1, 0)
        only_below = ((x > 0) & (x < SIZE) & (y > 0)).all(axis=1) & (y > SIZE).any(axis=1)
        self.busts = np.flatnonzero(only_below)  # close-ups that the picture's lower edge may cut

    def scene(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One picture (size, size, 3) uint8 RGB, its boxes (N, 4) cx, cy, w, h, and visible shares (N,), 0 of the
        smallest."""
        size = self.size
        image = self._backdrop(rng)
        owner = np.zeros((size, size), np.int16)
        boxes: list[tuple[float, ...]] = []
        areas: list[int] = []
        count = int(rng.choice([0, 1, 2, 3, 4, 6], p=[0.15, 0.35, 0.2, 0.12, 0.1, 0.08]))
        heights = np.exp(rng.uniform(math.log(22), math.log(1.35 * size), count))
        busts = rng.random(count) < BUSTS * (len(self.busts) > 0)
        heights = np.where(busts, np.maximum(heights, rng.uniform(*BUST_HEIGHTS, count) * size), heights)
        level = rng.uniform(0.3, 0.7) * size  # people of a crowd stand on one ground
        for height, bust in sorted(zip(heights, busts, strict=True)):  # who is larger is nearer, and hides others
            person = self._person(rng, height, int(rng.choice(self.busts if bust else self.crops.complete)))
            h, w = person.shape[:2]
            x = int(rng.uniform(-0.35 * w, size - 0.65 * w))
            y = int(
                level - h * 0.5 + rng.normal() * 0.12 * size
                if rng.random() < 0.6
                else rng.uniform(-0.25 * h, size - 0.5 * h)
            )
            y = size - h if bust else y
            box = self._paste(rng, image, owner, person, x, y, len(boxes) + 1)
            if box is not None:
                boxes.append(box)
                areas.append(box[4])
        if rng.random() < 0.35:
            self._occlude(rng, image, owner)
        visible = np.array(
            [(owner == i + 1).sum() / areas[i] * (max(boxes[i][2:4]) >= LEAST_SIDE) for i in range(len(boxes))]
        )
        image = np.ascontiguousarray(degrade(rng, image, borders=False)[..., ::-1])
        return image, np.array([b[:4] for b in boxes], np.float32).reshape(-1, 4), visible

    def _backdrop(self, rng: np.random.Generator) -> np.ndarray:
        size = self.size
        source = self.crops.backgrounds[rng.integers(len(self.crops.backgrounds))]
        side = int(rng.uniform(0.6, 1) * len(source))
        y, x = rng.integers(0, len(source) - side + 1, 2)
        image = cv2.resize(
            np.ascontiguousarray(source[y : y + side, x : x + side]), (size, size), interpolation=cv2.INTER_CUBIC
        )
        if rng.random() < 0.5:  # two different halves: a floor and a wall, or clutter beside a plain
            other = self.crops.backgrounds[rng.integers(len(self.crops.backgrounds))]
            cut = int(rng.uniform(0.2, 0.8) * size)
            half = cv2.resize(other, (size, size))
            if rng.random() < 0.6:
                image[cut:] = half[cut:]
            else:
                image[:, cut:] = half[:, cut:]
        return image

    def _person(self, rng: np.random.Generator, height: float, index: int) -> np.ndarray:
        cutout = self.crops.cutout(index)
        ys, xs = np.nonzero(cutout[..., 3])
        cutout = cutout[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
        if rng.random() < SOFTENED:  # a lens draws no stairs; premultiplied, colour and edge soften alike
            cutout = cv2.GaussianBlur(cutout, (5, 5), rng.uniform(0.5, 1.1))
        scale = height / max(cutout.shape[:2])
        wide, tall = max(2, round(cutout.shape[1] * scale)), max(2, round(cutout.shape[0] * scale))
        cutout = cv2.resize(cutout, (wide, tall), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        return np.ascontiguousarray(cutout[:, ::-1] if rng.random() < 0.5 else cutout)

    def _paste(
        self,
        rng: np.random.Generator,
        image: np.ndarray,
        owner: np.ndarray,
        person: np.ndarray,
        x: int,
        y: int,
        number: int,
    ) -> tuple | None:
        size, (h, w) = self.size, person.shape[:2]
        left, top, right, bottom = max(x, 0), max(y, 0), min(x + w, size), min(y + h, size)
        if right - left < 6 or bottom - top < 6:
            return None
        part = person[top - y : bottom - y, left - x : right - x]
        ys, xs = np.nonzero(part[..., 3] > 127)
        if len(ys) < 40:
            return None
        window = (slice(top, bottom), slice(left, right))
        alpha = part[..., 3:] / 255.0
        image[window] = np.clip(image[window] * (1 - alpha) + part[..., :3] * rng.uniform(0.6, 1.3), 0, 255)
        owner[window][part[..., 3] > 127] = number
        low, high = np.array([xs.min(), ys.min()]), np.array([xs.max(), ys.max()]) + 1
        centre, extent = (low + high) / 2 + [left, top], high - low
        return (*centre, *extent, len(ys))

    def _occlude(self, rng: np.random.Generator, image: np.ndarray, owner: np.ndarray) -> None:
        size = self.size
        w, h = (int(v) for v in rng.uniform(0.05, 0.45, 2) * size)
        x, y = int(rng.uniform(-0.3 * w, size - 0.7 * w)), int(rng.uniform(0, size))
        window = (slice(max(y, 0), min(y + h, size)), slice(max(x, 0), min(x + w, size)))
        target = image[window]
        if target.size:
            source = self.crops.backgrounds[rng.integers(len(self.crops.backgrounds))]
            target[:] = cv2.resize(np.ascontiguousarray(source), target.shape[1::-1])
            owner[window] = 0
