"""Data sets as they lie on a user's disk: one small reader each, one type that comes out (`sequence.Sequence`).

A reader is a module with `ABOUT` (reading.About) and `read(folder, split, **options) -> Iterator[Sequence]`, which
streams: a person at a time, pictures only when they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from itertools import islice
from pathlib import Path

from vibe_cli.datasets.reading import About
from vibe_cli.datasets.sequence import Sequence
from vibe_cli.errors import InputError, UsageError

# name on the command line → module; a new data set is one more row
DATASETS = {
    "3dpw": "threedpw",
    "amass": "amass",
    "mpi-inf-3dhp": "mpi_inf_3dhp",
    "human36m": "human36m",
    "penn-action": "penn_action",
    "posetrack": "posetrack",
    "instavariety": "instavariety",
    "kinetics-400": "kinetics",
    "coco-keypoints": "coco",
    "coco-people": "coco_people",
    "lspet": "lspet",
    "synthetic": "synthetic",
    "synth-video": "synth_video",
    "synth-crops": "synth_crops",
}


@dataclass(frozen=True)
class Dataset:
    """A data set in a folder; iterate over it as often as wanted."""

    about: About
    folder: Path
    split: str | None = None
    limit: int | None = None  # at most so many sequences
    options: dict = field(default_factory=dict)  # what its reader takes besides

    @property
    def label(self) -> str:
        """Its name, with the split where it has one."""
        return f"{self.about.name}-{self.split}" if self.split else self.about.name

    def __iter__(self) -> Iterator[Sequence]:
        read = import_module(f"vibe_cli.datasets.{DATASETS[self.about.name]}").read
        empty = True
        everybody = read(self.folder, self.split, **self.options)
        for sequence in islice(filter(in_sight, everybody), self.limit):
            empty = False
            yield sequence
        if empty:
            raise self.about.wrong(f"{self.folder}: nothing of {self.about.title} in it")


def in_sight(person: Sequence) -> bool:
    """Whether a person's box is known in any frame, where the data set has boxes: others cannot be cut out."""
    return person.boxes is None or bool((person.boxes[:, 2:] > 0).any())


def about(name: str) -> About:
    """Facts about the data set of that name; UsageError for an unknown one."""
    if name not in DATASETS:
        raise UsageError(f"no data set named {name}", hint="choose one of: " + ", ".join(DATASETS))
    return import_module(f"vibe_cli.datasets.{DATASETS[name]}").ABOUT


def open_dataset(
    name: str, folder: str | Path, split: str | None = None, limit: int | None = None, **options: object
) -> Dataset:
    """A data set by name, in its official layout under `folder`; InputError where that is not there."""
    known, folder = about(name), Path(folder)
    if limit is not None and limit < 1:
        raise InputError(f"{limit} sequences: at least 1 is needed", hint="use --limit 1 or more")
    return Dataset(known, known.need_folder(folder), known.choose(split), limit, options)


def open_for_training(entry: str) -> Dataset:
    """The data set of `NAME=FOLDER`, or `NAME:SPLIT=FOLDER`; its training split where none is named."""
    called, _, folder = entry.partition("=")
    name, _, split = called.partition(":")
    return open_dataset(name, folder, split or about(name).training)
