"""Pictures laid over pictures: where a cut-out goes in a crop, what is seen of it there, and how it covers the rest."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

WARP = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


def crop_axes(half: float, angle: float, flip: bool) -> np.ndarray:
    """(2, 2): −1..1 of a crop of that half side, turn in radians and mirror → pixels from its centre."""
    c, s, f = math.cos(angle), math.sin(angle), -1 if flip else 1
    return half * np.array([[c * f, -s], [s * f, c]])


@dataclass(frozen=True)
class Placement:
    """How a crop samples its source: centre and half side in source pixels, turn, mirror."""

    centre: np.ndarray
    half: float
    angle: float = 0.0
    flip: bool = False
    ends: np.ndarray | None = None  # (4,) left, top, right, bottom of the visible part, where that is not all
    stood_up: bool = False  # turned since the person leans, out of a crop that was not

    def matrix(self) -> np.ndarray:
        """(2, 3): crop coordinates in −1..1 → source pixels."""
        return np.column_stack([crop_axes(self.half, self.angle, self.flip), self.centre])

    def sample(self, image: np.ndarray, size: int) -> np.ndarray:
        """Warp the source (h, w, …) to (size, size, …), pixel d at 2d / size − 1 as in vibe_cli.people.crops."""
        if image.shape[2:] != (3,):
            return cv2.warpAffine(image, self._warp(size), (size, size), flags=WARP)
        four = cv2.cvtColor(image, cv2.COLOR_BGR2BGRA)  # the same pixels in half the time
        return cv2.cvtColor(cv2.warpAffine(four, self._warp(size), (size, size), flags=WARP), cv2.COLOR_BGRA2BGR)

    def layer(self, cutout: np.ndarray, size: int) -> Layer:
        """The part of a premultiplied BGRA cut-out that `sample` shows, and no more of the crop than that."""
        x, y, wide, high = cv2.boundingRect(cv2.extractChannel(cutout, 3))
        if not wide:
            return NOTHING
        warp = self._warp(size)
        (a, b, left), (c, d, top) = cv2.invertAffineTransform(warp).tolist()
        corners = [(u, v) for u in (x - 1, x + wide) for v in (y - 1, y + high)]
        x0, x1 = _pixels([a * u + b * v + left for u, v in corners], size)
        y0, y1 = _pixels([c * u + d * v + top for u, v in corners], size)
        if x0 >= x1 or y0 >= y1:
            return NOTHING
        warp[:, 2] += warp[:, :2] @ [x0, y0]
        return Layer(cv2.warpAffine(cutout, warp, (x1 - x0, y1 - y0), flags=WARP), slice(y0, y1), slice(x0, x1))

    def points(self, pixels: np.ndarray) -> np.ndarray:
        """Source pixels (K, 2) → −1..1 of the crop."""
        return (pixels - self.centre) @ np.linalg.inv(self.matrix()[:, :2]).T

    def _warp(self, size: int) -> np.ndarray:
        """(2, 3): crop pixels → source pixels, as cv2.warpAffine counts them."""
        to_unit = np.array([[2 / size, 0, -1], [0, 2 / size, -1], [0, 0, 1]])
        warp = self.matrix() @ to_unit
        warp[:, 2] -= 0.5
        return warp


def _pixels(ends: list[float], size: int) -> tuple[int, int]:
    """The first of `size` pixels that lies between the ends, and the one after the last."""
    return max(math.floor(min(ends)), 0), min(math.ceil(max(ends)) + 1, size)


@dataclass(frozen=True, eq=False)
class Layer:
    """A premultiplied BGRA picture (h, w, 4) and the rows and columns of a crop that it covers."""

    picture: np.ndarray
    rows: slice
    columns: slice

    def lay(self, crop: np.ndarray) -> None:
        """Cover a crop (size, size, 3), or one with a fourth channel, in place."""
        if self.picture.size:
            crop[self.rows, self.columns] = over(crop[self.rows, self.columns], self.picture)

    def opacity(self, size: int) -> np.ndarray:
        """(size, size) uint8: how much of a crop's pixels it covers."""
        out = np.zeros((size, size), np.uint8)
        out[self.rows, self.columns] = self.picture[..., 3]
        return out


NOTHING = Layer(np.zeros((0, 0, 4), np.uint8), slice(0, 0), slice(0, 0))


def over(below: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Lay a premultiplied BGRA picture over a BGR one, or over one with a fourth channel, which it covers."""
    rest = cv2.bitwise_not(cv2.extractChannel(above, 3))
    if below.shape[2] == 4:
        rest, colour = cv2.merge([rest] * 4), above.copy()
        colour[..., 3] = 0
    else:
        rest, colour = cv2.merge([rest] * 3), cv2.cvtColor(above, cv2.COLOR_BGRA2BGR)
    return cv2.add(cv2.multiply(below, rest, scale=1 / 255), colour)


def with_fourth(image: np.ndarray, fourth: np.ndarray | None = None) -> np.ndarray:
    """A picture (h, w, 3) and a fourth channel (h, w), or zeros."""
    out = cv2.cvtColor(image, cv2.COLOR_BGR2BGRA)
    return cv2.insertChannel(np.zeros(image.shape[:2], np.uint8) if fourth is None else fourth, out, 3)
