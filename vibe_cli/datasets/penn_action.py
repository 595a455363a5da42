"""Penn Action (Zhang et al. 2013): short sports videos with 13 joints marked by hand.

`labels/0001.mat` holds x, y and visibility (T, 13), bbox (T, 4) left, top, right, bottom, and `train` (1 or −1);
`frames/0001/000001.jpg` the pictures. Joints that are out of sight are marked too; they count as not labelled.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vibe_cli.datasets.joints import PENN_13, to_49
from vibe_cli.datasets.reading import About, boxes_of_points, fill_boxes, read_mat
from vibe_cli.datasets.sequence import ImageFiles, Sequence
from vibe_cli.geometry import boxes as box_maths

FPS = 30.0  # nominal: the set does not say
ABOUT = About(
    name="penn-action",
    title="Penn Action",
    url="https://dreamdragon.github.io/PennAction",
    licence="research",
    layout="frames/0001/000001.jpg and labels/0001.mat",
    splits=("test", "train"),
    task="keypoints",
)


def read(folder: Path, split: str | None = None) -> Iterator[Sequence]:
    """Every video of a split, in order of number."""
    split = ABOUT.choose(split)
    pictures = ABOUT.need(folder / "frames")
    for file in sorted(ABOUT.need(folder / "labels").glob("*.mat")):
        with ABOUT.reading(file):
            content = read_mat(file, "x", "y", "visibility", "bbox", "train")
            if (int(content["train"].ravel()[0]) == 1) != (split == "train"):
                continue
            sequence = _sequence(content, file, pictures / file.stem)
        yield sequence


def _sequence(content: dict[str, np.ndarray], file: Path, pictures: Path) -> Sequence:
    """One video."""
    points = np.stack([np.asarray(content[key], np.float64) for key in ("x", "y", "visibility")], axis=-1)
    joints2d, _ = to_49(points, PENN_13)
    paths = tuple(pictures / f"{row + 1:06d}.jpg" for row in range(len(points)))
    if not paths[-1].is_file():
        raise ABOUT.wrong(f"{paths[-1]}: missing, {file.name} has labels of {len(points)} frames")
    boxes = np.zeros((len(points), 4))
    known = np.zeros(len(points), bool)
    given = np.asarray(content["bbox"], np.float64).reshape(-1, 4)[: len(points)]  # of some videos it is shorter
    boxes[: len(given)], known[: len(given)] = box_maths.from_corners(given), (given[:, 2:] > given[:, :2]).all(axis=1)
    boxes, valid = (fill_boxes(boxes, known), known) if known.any() else boxes_of_points(joints2d)
    return Sequence(
        name=file.stem,
        length=len(points),
        fps=FPS,
        frames=ImageFiles(paths),
        boxes=boxes,
        valid=valid,
        joints2d=joints2d,
    )
