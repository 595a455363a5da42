"""Things that hide a part of a person: held in the hands, or standing in a row before them."""

from __future__ import annotations

import cv2
import numpy as np


def hold_things(rng: np.random.Generator, image: np.ndarray, hands: np.ndarray) -> None:
    """A stick, bat, pole or bag in one or both hands (2, 2), −1..1, drawn in place."""
    size = len(image)
    for hand in hands[: rng.integers(1, 3)]:
        at, tone = (hand * 0.5 + 0.5) * size, tuple(float(v) for v in rng.uniform(0, 255, 3))
        reach = rng.normal(size=2) * rng.uniform(0.05, 0.35) * size
        ends = (at - reach * rng.uniform(0, 0.6), at + reach)
        if rng.random() < 0.7:
            a, b = (tuple(int(v) for v in end) for end in ends)
            cv2.line(image, a, b, tone, max(1, int(rng.uniform(0.005, 0.04) * size)), cv2.LINE_AA)
        else:
            box = cv2.boxPoints(
                (tuple(float(v) for v in ends[1]), tuple(rng.uniform(0.05, 0.2, 2) * size), float(rng.uniform(0, 180)))
            )
            cv2.fillPoly(image, [box.astype(np.int32)], tone)


def lay_clutter(rng: np.random.Generator, image: np.ndarray) -> None:
    """Things that stand or lie in a row before the person, as on a table or a shelf; drawn in place."""
    size = len(image)
    line, lean = rng.uniform(0.45, 1.0) * size, rng.normal(0, 0.08)
    for _ in range(int(rng.integers(2, 8))):
        x, (w, h) = rng.uniform(0, size), np.exp(rng.uniform(np.log(0.02), np.log(0.14), 2)) * size
        y = line + lean * (x - size / 2) - h * rng.uniform(0, 1)
        tone = tuple(float(v) for v in rng.uniform(0, 255, 3))
        if rng.random() < 0.5:
            cv2.ellipse(image, (int(x), int(y)), (max(1, int(w)), max(1, int(h))), 0, 0, 360, tone, -1, cv2.LINE_AA)
        else:
            box = cv2.boxPoints(((float(x), float(y)), (float(w) * 2, float(h) * 2), float(rng.normal(0, 8))))
            cv2.fillPoly(image, [box.astype(np.int32)], tone, cv2.LINE_AA)
