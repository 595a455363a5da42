"""COCO's people as boxes, for detectors; `coco.photographs` gives them picture by picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vibe_cli.datasets import coco
from vibe_cli.datasets.reading import About
from vibe_cli.datasets.sequence import Sequence

ABOUT = About(
    name="coco-people",
    title="COCO people",
    url=coco.URL,
    licence=coco.LICENCE,
    layout=coco.LAYOUT,
    splits=coco.ABOUT.splits,
    task="detection",
)


def read(folder: Path, split: str | None = None) -> Iterator[Sequence]:
    """Everybody but crowds, with or without keypoints; sequences of one frame."""
    for picture in coco.photographs(folder, split):
        for note, box, crowd in zip(picture.notes, picture.boxes, picture.crowds, strict=True):
            if not crowd:
                yield coco.person_in(picture, note, box)
