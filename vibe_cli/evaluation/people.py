"""Detectors on photographs: how many people are found at how many false finds a picture.

A find is right where it overlaps (IoU) a person taller than LEAST_HEIGHT by more than RIGHT, each person once. Finds on
anybody else who is marked (smaller people, crowds, somebody found already) count neither way.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vibe_cli.geometry import boxes as box_maths

if TYPE_CHECKING:
    from vibe_cli.datasets.coco import Photograph
    from vibe_cli.people.detectors import Detector
    from vibe_cli.results import Detections

RATES = (0.25, 0.5, 1.0)  # false finds a picture
LEAST_HEIGHT = 80  # pixels
RIGHT, PASSED_OVER = 0.5, 0.3


@dataclass(frozen=True, eq=False)
class Finds:
    """Detections of all pictures, best first."""

    scores: np.ndarray  # (M,)
    right: np.ndarray  # (M,) bool
    people: int  # to be found
    pictures: int

    @property
    def recall(self) -> np.ndarray:
        """(M,) share of the people found down to each score."""
        return np.cumsum(self.right) / max(self.people, 1)

    @property
    def false(self) -> np.ndarray:
        """(M,) false finds a picture down to each score."""
        return np.cumsum(~self.right) / max(self.pictures, 1)


def find_people(pictures: Iterable[Photograph], detectors: list[Detector]) -> list[Finds]:
    """Run detectors over pictures, one at a time."""
    from vibe_cli.datasets.sequence import ImageFiles

    rows: list[list[tuple[float, bool]]] = [[] for _ in detectors]
    people = count = 0
    for picture in pictures:
        (image,) = ImageFiles((picture.path,)).read()
        wanted = (picture.boxes[:, 3] >= LEAST_HEIGHT) & ~picture.crowds
        people, count = people + int(wanted.sum()), count + 1
        for found, detector in zip(rows, detectors, strict=True):
            found += judge(detector.detect([image])[0], picture.boxes, wanted)
    return [_sorted(found, people, count) for found in rows]


def judge(found: Detections, boxes: np.ndarray, wanted: np.ndarray) -> list[tuple[float, bool]]:
    """Finds, best first, that count: their score and whether they are right; `boxes` (P, 4), `wanted` (P,) bool."""
    rows, taken = [], np.zeros(len(boxes), bool)
    for box, score in zip(found.boxes, found.scores, strict=True):
        overlap = box_maths.iou(box[None], boxes)[0] if len(boxes) else np.zeros(0)
        open_ones = np.where(wanted, overlap, 0)
        best = int(open_ones.argmax()) if len(boxes) else -1
        if best >= 0 and open_ones[best] > RIGHT and not taken[best]:
            taken[best] = True
            rows.append((float(score), True))
        elif not (len(boxes) and overlap.max() > PASSED_OVER):
            rows.append((float(score), False))
    return rows


def summarise(finds: Finds) -> dict:
    """Recall 0..1 and the score's threshold at each rate of false finds."""
    result: dict = {}
    for rate in RATES:
        last = int(np.searchsorted(finds.false, rate, "right")) - 1
        result[f"recall@{rate:g}"] = float(finds.recall[last]) if last >= 0 else 0.0
        result[f"score@{rate:g}"] = float(finds.scores[last]) if last >= 0 else None
    return result | {
        "recall": float(finds.recall[-1]) if len(finds.scores) else 0.0,
        "people": finds.people,
        "pictures": finds.pictures,
    }


def protocol(finds: Finds) -> dict[str, str]:
    """How the numbers came about."""
    return {
        "pictures": f"{finds.pictures}, with {finds.people} people of at least {LEAST_HEIGHT} px",
        "right": f"overlap (IoU) above {RIGHT:g} with a person, each once",
        "passed over": f"finds that overlap anybody else by more than {PASSED_OVER:g}: smaller people, crowds, "
        "people found already",
        "recall": "the share of the people found, at "
        + ", ".join(f"{rate:g}" for rate in RATES)
        + " false finds a picture",
    }


def _sorted(rows: list[tuple[float, bool]], people: int, pictures: int) -> Finds:
    order = np.argsort([-score for score, _ in rows], kind="stable")
    scores, right = np.array([score for score, _ in rows]), np.array([hit for _, hit in rows], bool)
    return Finds(scores[order], right[order], people, pictures)
