"""YOLOX and its like in ONNX files, as person detectors.

YOLOX: Ge et al. 2021, "YOLOX: Exceeding YOLO Series in 2021". Two forms of export are told apart by what they put out:
candidates (1, A, 5 + C), of centre, size, objectness and a score a class, in units of a grid's cells or in pixels; and
finished finds, corners and score (1, M, 5) with or without the numbers of their classes (1, M).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vibe_cli.errors import ModelError
from vibe_cli.geometry import boxes as box_maths
from vibe_cli.people.onnx_session import OnnxNetwork, fit_frame
from vibe_cli.people.track import MEAN_SCORE
from vibe_cli.results import Detections

if TYPE_CHECKING:
    import torch

STRIDES = (8, 16, 32)  # pixels of a cell's side, a grid after the other
PERSON = 0  # of COCO's classes
OVERLAP = 0.65  # of two boxes that overlap more than this (IoU) the better one is kept, as YOLOX's authors evaluate
MOST_PEOPLE = 100
LEAST_SCORE = 0.1  # weak finds carry a track on, and start none
HINT = "use an export of YOLOX, such as yolox_nano.onnx (vibe models fetch yolox-nano)"


class OnnxDetector:
    """A YOLOX of one class or of COCO's in an ONNX file."""

    min_mean_score = MEAN_SCORE

    def __init__(self, path: str | Path, device: torch.device | str = "cpu", threshold: float = LEAST_SCORE) -> None:
        self.network, self.threshold = OnnxNetwork(path, device), threshold
        self.name = Path(path).stem
        shapes, size = self.network.outputs, self.network.size
        self.finished = is_finished(shapes)
        cells = sum((size[0] // stride) * (size[1] // stride) for stride in STRIDES)
        if not self.finished and not (
            len(shapes) == 1 and len(shapes[0]) == 3 and shapes[0][1] == cells and shapes[0][2] > 5
        ):
            raise ModelError(
                f"{path}: no detector that vibe knows: its outputs are {list(map(tuple, shapes))}", hint=HINT
            )

    def detect(self, frames: list[np.ndarray]) -> list[Detections]:
        """The people of each RGB uint8 frame (H, W, 3), best first."""
        if not frames:
            return []
        fitted = [fit_frame(frame, self.network.size) for frame in frames]
        if self.finished:
            rows = [self._finds(image) for image, _ in fitted]
        else:
            (output,) = self.network(np.stack([image for image, _ in fitted]))
            rows = [self._candidates(one) for one in output]
        return [
            place(corners / scale, scores, frame, self.threshold)
            for (corners, scores), (_, scale), frame in zip(rows, fitted, frames, strict=True)
        ]

    def _candidates(self, output: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(A, 5 + C) → corners (A, 4) in the network's pixels and scores (A,)."""
        output = output.astype(np.float64)
        people = output[:, 5:].argmax(axis=1) == PERSON
        scores = output[:, 4] * output[:, 5 + PERSON]
        boxes = output[:, :4] if is_decoded(output, self.network.size) else decode_grid(output, self.network.size)
        return box_maths.to_corners(boxes[people]), scores[people]

    def _finds(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One picture → corners (M, 4) in its pixels and scores (M,)."""
        finds, *labels = self.network(image[None])
        people = labels[0][0] == PERSON if labels else slice(None)
        found = finds[0][people].astype(np.float64)
        return found[:, :4], found[:, 4]


def is_finished(shapes: list[tuple[int, ...]]) -> bool:
    """Whether outputs of these shapes are finds: (1, M, 5), and maybe their classes (1, M)."""
    boxes = len(shapes[0]) == 3 and shapes[0][2] == 5
    return boxes and (len(shapes) == 1 or (len(shapes) == 2 and len(shapes[1]) == 2))


def cells_of(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Column and row (A, 2) of every cell of the grids of a picture of `size` (H, W), and its side in pixels (A, 1)."""
    places, sides = [], []
    for stride in STRIDES:
        rows, columns = np.mgrid[: size[0] // stride, : size[1] // stride]
        places.append(np.stack([columns, rows], axis=-1).reshape(-1, 2))
        sides.append(np.full((rows.size, 1), stride))
    return np.concatenate(places), np.concatenate(sides)


def decode_grid(output: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Raw candidates (A, 4 or more) → boxes (A, 4) in pixels: the offset from the cell, and the logarithm of the size,
    both in cells."""
    places, sides = cells_of(size)
    return np.concatenate([(output[:, :2] + places) * sides, np.exp(np.minimum(output[:, 2:4], 20)) * sides], axis=1)


def is_decoded(output: np.ndarray, size: tuple[int, int]) -> bool:
    """Whether candidates (A, 4 or more) are boxes in pixels already: their middles lie by their cells, and no side is
    negative, as the logarithms of raw ones are for nearly half of them."""
    places, sides = cells_of(size)
    away = np.abs(output[:, :2] - (places + 0.5) * sides) / sides
    raw = np.abs(output[:, :2] - 0.5)
    return bool((output[:, 2:4] >= 0).all() and np.median(away) < np.median(raw))


def place(corners: np.ndarray, scores: np.ndarray, frame: np.ndarray, least: float) -> Detections:
    """Corners (M, 4) in the frame's pixels and scores (M,) → the people, each once, best first, cut at its borders."""
    import torch
    from torchvision.ops import nms

    sure = np.isfinite(corners).all(axis=1) & (scores >= least)
    corners, scores = corners[sure], np.clip(scores[sure], 0, 1)
    kept = nms(torch.from_numpy(corners), torch.from_numpy(scores), OVERLAP)[:MOST_PEOPLE].numpy()
    height, width = frame.shape[:2]
    boxes = box_maths.from_corners(np.clip(corners[kept], 0, [width, height, width, height]))
    inside = (boxes[:, 2:] >= 1).all(axis=1)
    return Detections(boxes[inside], scores[kept][inside])
