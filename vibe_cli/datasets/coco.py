"""COCO keypoints (Lin et al. 2014): people in photographs, 17 keypoints marked by hand; sequences of one frame.

`annotations/person_keypoints_{train,val}2017.json` with `train2017/` and `val2017/`, or one `person_keypoints.json`
with `images/`. Confidence is 1 for a visible keypoint, a half for one that is hidden and marked, 0 for none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vibe_cli.datasets.joints import COCO_17, to_49
from vibe_cli.datasets.reading import About, read_json
from vibe_cli.datasets.sequence import ImageFiles, Sequence

LAYOUT = "annotations/person_keypoints_val2017.json and val2017/000000000139.jpg (or person_keypoints.json and images/)"
URL, LICENCE = "https://cocodataset.org", "CC-BY-4.0 (annotations); each photograph has its own"
ABOUT = About(
    name="coco-keypoints",
    title="COCO keypoints",
    url=URL,
    licence=LICENCE,
    layout=LAYOUT,
    splits=("val", "train"),
    task="keypoints",
)


@dataclass(frozen=True, eq=False)
class Photograph:
    """A picture and everybody who is marked in it."""

    path: Path
    boxes: np.ndarray  # (P, 4) centre x, y, width, height
    crowds: np.ndarray  # (P,) bool: the box is of a crowd
    notes: list[dict]  # COCO's annotations


def photographs(folder: Path, split: str | None = None) -> Iterator[Photograph]:
    """Every picture of a split, in the file's order."""
    split = ABOUT.choose(split)
    places = (
        (folder / "annotations" / f"person_keypoints_{split}2017.json", folder / f"{split}2017"),
        (folder / "person_keypoints.json", folder / "images"),
    )
    file, images = next((place for place in places if place[0].is_file()), places[0])
    with ABOUT.reading(file):
        content = read_json(ABOUT.need(file))
        notes: dict[int, list[dict]] = {}
        for note in content["annotations"]:
            notes.setdefault(note["image_id"], []).append(note)
        listed = [(image["id"], image["file_name"]) for image in content["images"]]
    ABOUT.need(images)
    for number, name in listed:
        with ABOUT.reading(file):
            found = notes.get(number, [])
            corners = np.array([note["bbox"] for note in found], np.float64).reshape(-1, 4)
            boxes = np.concatenate([corners[:, :2] + corners[:, 2:] / 2, corners[:, 2:]], axis=1)
            crowds = np.array([bool(note.get("iscrowd")) for note in found], bool)
        yield Photograph(images / name, boxes, crowds, found)


def read(folder: Path, split: str | None = None) -> Iterator[Sequence]:
    """Everybody with a keypoint, in order of the pictures."""
    for picture in photographs(folder, split):
        for note, box, crowd in zip(picture.notes, picture.boxes, picture.crowds, strict=True):
            if crowd or not any(note.get("keypoints", ())[2::3]):
                continue
            with ABOUT.reading(picture.path):
                points = np.asarray(note["keypoints"], np.float64).reshape(1, 17, 3)
            points[..., 2] /= 2
            joints2d, _ = to_49(points, COCO_17)
            yield person_in(picture, note, box, joints2d)


def person_in(picture: Photograph, note: dict, box: np.ndarray, joints2d: np.ndarray | None = None) -> Sequence:
    """Somebody of a photograph, with a box (4,) and joints (1, 49, 3): a sequence of one frame."""
    name = f"{picture.path.stem}/{note['id']}"
    frames = ImageFiles((picture.path,))
    return Sequence(name=name, length=1, fps=1.0, frames=frames, boxes=box[None], joints2d=joints2d)
