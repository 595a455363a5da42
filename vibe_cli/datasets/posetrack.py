"""PoseTrack 2018 (Andriluka et al. 2018): crowds, everybody followed, 15 joints marked by hand.

`posetrack_data/annotations/{train,val}/<name>.json` is like COCO's, of a video each. Its 17 keypoints are the nose,
the head's bottom and top, ears (never marked), and COCO's from the shoulders on. Between frames that are labelled, a
person's box is interpolated and the frame is not valid.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vibe_cli.datasets.joints import POSETRACK_17, to_49
from vibe_cli.datasets.reading import About, boxes_of_points, fill_boxes, read_json
from vibe_cli.datasets.sequence import ImageFiles, Sequence

FPS = 25.0  # nominal: the set does not say
ABOUT = About(
    name="posetrack",
    title="PoseTrack 2018",
    url="https://posetrack.net",
    licence="non-commercial research",
    layout="posetrack_data/annotations/{train,val}/<name>.json and images/{train,val}/<name>/000000.jpg",
    splits=("val", "train"),
    task="keypoints",
)


def read(folder: Path, split: str | None = None) -> Iterator[Sequence]:
    """Everybody in every video of a split, from the first frame they are labelled in to the last."""
    split = ABOUT.choose_one(split)
    home = next((place for place in (folder / "posetrack_data", folder) if (place / "annotations").is_dir()), None)
    if home is None:
        raise ABOUT.wrong(f"{folder / 'posetrack_data' / 'annotations'}: missing")
    for file in sorted(ABOUT.need(home / "annotations" / split).glob("*.json")):
        with ABOUT.reading(file):
            people = _people(read_json(file), file.stem, (home, folder))
        yield from people


def _people(content: dict[str, Any], name: str, roots: tuple[Path, Path]) -> list[Sequence]:
    """The people of one video, by track."""
    images = sorted(content["images"], key=lambda image: image["file_name"])
    row_of = {image["id"]: row for row, image in enumerate(images)}
    root = next((root for root in roots if (root / images[0]["file_name"]).is_file()), None)
    if root is None:
        raise ABOUT.wrong(f"{roots[-1] / images[0]['file_name']}: missing")
    tracks: dict[int, dict[int, dict]] = {}
    for note in content["annotations"]:
        if note.get("keypoints"):
            tracks.setdefault(int(note["track_id"]), {})[row_of[note["image_id"]]] = note
    return [_person(f"{name}/{track}", notes, images, root) for track, notes in sorted(tracks.items())]


def _person(name: str, notes: dict[int, dict], images: list[dict], root: Path) -> Sequence:
    """One track; `notes` by row of `images`."""
    first, last = min(notes), max(notes)
    count = last - first + 1
    points, boxes, valid = np.zeros((count, 17, 3)), np.zeros((count, 4)), np.zeros(count, bool)
    for row, note in notes.items():
        points[row - first] = np.asarray(note["keypoints"], np.float64).reshape(17, 3)
        x, y, width, height = note.get("bbox") or (0, 0, 0, 0)
        boxes[row - first], valid[row - first] = (x + width / 2, y + height / 2, width, height), min(width, height) > 0
    points[..., 2] = np.clip(points[..., 2], 0, 1)
    joints2d, _ = to_49(points, POSETRACK_17)
    boxes, valid = (fill_boxes(boxes, valid), valid) if valid.any() else boxes_of_points(joints2d)
    paths = tuple(root / images[row]["file_name"] for row in range(first, last + 1))
    return Sequence(
        name=name, length=count, fps=FPS, frames=ImageFiles(paths), boxes=boxes, valid=valid, joints2d=joints2d
    )
