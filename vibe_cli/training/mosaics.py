"""Photographs with everybody boxed → scenes to train a detector on: cut, scaled, turned and laid beside each other.

Besides the photographs of `training.photographs`, whose `boxes` a network found, the folder holds `scenes.tar` and
`scenes.json`: everyday pictures, a list of {file_name, people: [{box: [x, y, w, h], crowd}], yolox: [[x, y, w, h,
score]]}; people are marked by hand. Whom only the network found is neither wanted nor punished there.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from vibe_cli.datasets.lspet import FIRST_VALIDATION, number_of
from vibe_cli.errors import InputError
from vibe_cli.geometry import boxes as box_maths
from vibe_cli.importing.safe_read import read_npz
from vibe_cli.synth.faults import degrade
from vibe_cli.training.photograph_crops import MAKERS, decode, read_archive
from vibe_cli.training.photographs import agree

GREY = 115  # of what lies beyond a picture
FOUND, DOUBTED = 0.45, 0.1  # scores: from here on a find is a person; between the two it may be one
SAME = 0.45  # overlap (IoU) of a find with a person who is marked
ROOM = 1.08  # a person's box over that of all that is known of the joints
KINDS = (0.45, 0.33, 0.22)  # shares of tiles: single people's photographs, everyday ones with people, and without
TILES = (0.5, 0.15, 0.35)  # shares of scenes of one, two and four pictures
LEAST_SHOWN, WANTED_SHOWN = 0.02, 0.3  # shares of a box inside its tile: to be told of, to be wanted
LEAST_SIDE = 9  # pixels of the larger side, below which nobody is wanted
LYING = 0.04  # share of the tiles that are turned by any angle
ELLIPSE = np.array([[math.cos(a), math.sin(a)] for a in np.linspace(0, 2 * math.pi, 12, endpoint=False)])


@dataclass(frozen=True, eq=False)
class BoxedPicture:
    """A packed picture and its people."""

    packed: bytes
    boxes: np.ndarray  # (P, 4) centre x, centre y, width, height
    wanted: np.ndarray  # (P,) bool: is a person; else may be one, or is a crowd


class PhotoScenes:
    """Scenes out of a folder's photographs."""

    def __init__(self, folder: Path, size: int) -> None:
        """`size` pixels a side. InputError where the folder holds no photographs."""
        self.size = size
        everyday = read_everyday(folder)
        self.kinds = [
            read_single(folder),
            [picture for picture in everyday if len(picture.boxes)],
            [picture for picture in everyday if not len(picture.boxes)],
        ]

    def scene(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(size, size, 3) uint8 RGB, boxes (P, 4) and how much of each is wanted: 1, or 0 of whom may be a person."""
        image = np.full((self.size, self.size, 3), GREY, np.uint8)
        count, found = rng.choice(3, p=TILES), []
        x, y = (int(v) for v in rng.uniform(0.3, 0.7, 2) * self.size)
        columns = [slice(0, x), slice(x, self.size)] if count else [slice(0, self.size)]
        rows = [slice(0, y), slice(y, self.size)] if count == 2 else [slice(0, self.size)]
        for row in rows:
            for column in columns:
                tile, boxes, wanted = self._tile(rng, column.stop - column.start, row.stop - row.start)
                image[row, column] = tile
                found.append((boxes + [column.start, row.start, 0, 0], wanted))
        boxes, wanted = (np.concatenate(values) for values in zip(*found, strict=True))
        return cv2.cvtColor(degrade(rng, image), cv2.COLOR_BGR2RGB), boxes, wanted.astype(np.float32)

    def _tile(self, rng: np.random.Generator, width: int, height: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A picture as (height, width, 3) shows a piece of it, with the boxes (P, 4) of whom it shows."""
        shares = np.array([share if kind else 0.0 for share, kind in zip(KINDS, self.kinds, strict=True)])
        kind = self.kinds[rng.choice(3, p=shares / shares.sum())]
        picture = kind[rng.integers(len(kind))]
        image = decode(picture.packed)
        scale = max(width / image.shape[1], height / image.shape[0]) * math.exp(rng.uniform(-0.5, 0.5))
        angle = rng.normal(0, 0.12) if rng.random() < 0.3 else 0.0
        angle = rng.uniform(-math.pi, math.pi) if rng.random() < LYING else angle
        stretch, c, s = math.exp(rng.normal(0, 0.1)), math.cos(angle), math.sin(angle)
        axes = np.array([[c, -s], [s, c]]) @ np.diag([scale * stretch, scale / stretch])
        axes = axes @ np.diag([rng.choice([-1.0, 1.0]), 1.0])
        centre = np.array(image.shape[1::-1]) / 2
        if len(picture.boxes) and rng.random() < 0.6:
            centre = picture.boxes[rng.integers(len(picture.boxes)), :2]
        start = np.array([width, height]) * (0.5 + rng.uniform(-0.3, 0.3, 2)) - axes @ centre
        boxes, wanted = move_boxes(picture, axes, start, width, height)
        return _warp(image, axes, start, width, height), boxes, wanted


def move_boxes(
    picture: BoxedPicture, axes: np.ndarray, start: np.ndarray, width: int, height: int
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (Q, 4) of whom a tile shows, and whether they are wanted (Q,); a pixel p lies at axes·p + start.

    A person fills an ellipse in their box rather than its corners: of a turned one that is what the new box holds.
    """
    turned = abs(axes[0, 1]) + abs(axes[1, 0]) > 1e-6
    corners = ELLIPSE * 1.08 if turned else np.array([[-1.0, -1], [1, 1]])
    boxes, wanted = [], []
    for box, is_person in zip(picture.boxes, picture.wanted, strict=True):
        points = (box[:2] + corners * box[2:] / 2) @ axes.T + start
        low, high = points.min(axis=0), points.max(axis=0)
        left, right = np.clip(low, 0, [width, height]), np.clip(high, 0, [width, height])
        shown = np.prod(right - left) / max(np.prod(high - low), 1e-6)
        if shown < LEAST_SHOWN or (right - left).min() < 2:
            continue
        boxes.append([*(left + right) / 2, *(right - left)])
        wanted.append(bool(is_person) and shown > WANTED_SHOWN and (right - left).max() >= LEAST_SIDE)
    return np.array(boxes, np.float32).reshape(-1, 4), np.array(wanted, bool)


def read_single(folder: Path) -> list[BoxedPicture]:
    """The photographs of single people to train on: those whom a network found, and always the one who is marked."""
    content = read_npz(folder / "lspet_labels.npz")
    names = [str(name) for name in content["names"]]
    packed = read_archive(folder / "lspet.tar", set(names))
    marked = agree(*(content[maker] for maker in MAKERS)).boxes
    found, row = content["boxes"], content["boxes_picture"]
    there = np.isfinite(found).all(axis=1) & (found[:, 4] > DOUBTED)
    found, row = found[there], row[there]
    order = np.argsort(row, kind="stable")
    ends = np.searchsorted(row[order], np.arange(len(names) + 1))
    out = []
    for i, name in enumerate(names):
        if number_of(name) < FIRST_VALIDATION:
            own = found[order[ends[i] : ends[i + 1]]]
            out.append(BoxedPicture(packed[name], *_with_marked(own, marked[i] * [1, 1, ROOM, ROOM])))
    return out


def _with_marked(found: np.ndarray, marked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Finds (M, 5) x, y, width, height, score and a marked box (4,) → boxes (P, 4) and whether they are wanted."""
    boxes = centred(found[:, :4])
    wanted = found[:, 4] > FOUND
    overlap = box_maths.iou(marked[None], boxes)[0] if len(boxes) else np.zeros(0)
    if len(boxes) and overlap.max() > SAME:
        wanted[overlap.argmax()] = True
        return boxes, wanted
    return np.vstack([boxes, marked]), np.append(wanted, True)


def read_everyday(folder: Path) -> list[BoxedPicture]:
    """The everyday pictures; none where the folder has none."""
    file = folder / "scenes.json"
    if not file.is_file():
        return []
    try:
        listed = json.loads(file.read_text(encoding="utf-8"))
        packed = read_archive(folder / "scenes.tar", {str(entry["file_name"]) for entry in listed})
        return [BoxedPicture(packed[str(entry["file_name"])], *_everyday_boxes(entry)) for entry in listed]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file}: not a list of boxed pictures ({error})", hint="get the folder again") from None


def _everyday_boxes(entry: dict) -> tuple[np.ndarray, np.ndarray]:
    people = np.array([person["box"] for person in entry["people"]], float).reshape(-1, 4)
    crowd = np.array([bool(person["crowd"]) for person in entry["people"]], bool)
    found = np.array(entry["yolox"], float).reshape(-1, 5)
    found = centred(found[found[:, 4] > 2 * DOUBTED, :4])
    people = centred(people)
    if len(people) and len(found):
        found = found[box_maths.iou(found, people).max(axis=1) < SAME]
    return np.vstack([people, found]), np.concatenate([~crowd, np.zeros(len(found), bool)])


def centred(boxes: np.ndarray) -> np.ndarray:
    """Boxes (N, 4) x, y, width, height → centre x, centre y, width, height."""
    return np.concatenate([boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:]], axis=1)


def _warp(image: np.ndarray, axes: np.ndarray, start: np.ndarray, width: int, height: int) -> np.ndarray:
    scale = float(np.sqrt(abs(np.linalg.det(axes))))
    if scale < 0.6:  # averaged down first, or it would be sampled with gaps
        share = scale / 0.75
        small = cv2.resize(image, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
        axes = axes @ np.diag([image.shape[1] / small.shape[1], image.shape[0] / small.shape[0]])
        image = small
    return cv2.warpAffine(image, np.column_stack([axes, start]), (width, height), borderValue=(GREY, GREY, GREY))
