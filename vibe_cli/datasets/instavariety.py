"""InstaVariety (Kanazawa et al. 2019): clips from Instagram with detected 2D keypoints, as TFRecords.

An example is a person's clip of meta/N frames, already cut out: image/encoded (N JPEGs), image/xys (N, 2, 14) and
image/visibilities (N, 14), image/face_pts (N, 3, 5), image/toe_pts (N, 3, 6), in pixels of those pictures. Together
they are 25 keypoints. As the pictures follow the person, boxes come of the keypoints. Copies that the authors
augmented (their names end in _copy01 and on) are passed over, and so are clips stored without their pictures.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vibe_cli.datasets.joints import INSTA_25, to_49
from vibe_cli.datasets.reading import About, boxes_of_points
from vibe_cli.datasets.sequence import EncodedFrames, Sequence
from vibe_cli.datasets.tfrecord import read_examples

FPS = 25.0  # nominal: the set does not say
ABOUT = About(
    name="instavariety",
    title="InstaVariety",
    url="https://github.com/akanazawa/human_dynamics",
    licence="research; the videos are their owners'",
    layout="{train,test}/*.tfrecord",
    splits=("train", "test"),
    task="none",
)


def read(folder: Path, split: str | None = None) -> Iterator[Sequence]:
    """Every clip of every file."""
    split = ABOUT.choose_one(split)
    for file in sorted((folder / split if (folder / split).is_dir() else folder).glob("*.tfrecord")):
        if re.search(r"_copy(?!00)\d\d", file.name):
            continue
        with ABOUT.reading(file):
            for number, example in enumerate(read_examples(file)):
                if example.get("image/encoded"):
                    yield _clip(example, f"{file.stem}/{number}", file)


def _clip(example: dict, name: str, file: Path) -> Sequence:
    """One example."""
    count = int(example["meta/N"][0])
    places = np.asarray(example["image/xys"]).reshape(count, 2, 14)
    seen = np.asarray(example["image/visibilities"]).reshape(count, 1, 14)
    parts = [np.concatenate([places, seen], axis=1), np.asarray(example["image/face_pts"]).reshape(count, 3, 5)]
    toes = example.get("image/toe_pts", ())
    parts.append(np.asarray(toes).reshape(count, 3, 6) if len(toes) else np.zeros((count, 3, 6)))
    points = np.concatenate(parts, axis=2).transpose(0, 2, 1)
    points[..., 2] = points[..., 2] > 0
    joints2d, _ = to_49(points, INSTA_25)
    boxes, valid = boxes_of_points(joints2d)
    return Sequence(
        name=name,
        length=count,
        fps=FPS,
        frames=EncodedFrames(tuple(example["image/encoded"]), str(file)),
        boxes=boxes,
        valid=valid,
        joints2d=joints2d,
    )
