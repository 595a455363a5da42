"""Photographs in the stream of training crops, beside drawn people: for their looks, as those know all the rest."""

from __future__ import annotations

import tarfile
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from vibe_cli.datasets.lspet import FIRST_VALIDATION, number_of
from vibe_cli.errors import InputError
from vibe_cli.importing.safe_read import read_npz
from vibe_cli.training.augment import Augmentation, Sample, TrainingCrops, cut
from vibe_cli.training.photographs import agree

AUGMENTATION = Augmentation()
MAKERS = ("human", "movenet", "blazepose", "blazepose_world")  # of a folder's labels


class Photographs:
    """Labelled photographs of a folder (`training.photographs` says how they lie), their pictures packed in memory."""

    def __init__(self, folder: Path, validation: bool = False) -> None:
        """Those to train on, or those to validate on. InputError where the folder holds none."""
        archive, labels = folder / "lspet.tar", folder / "lspet_labels.npz"
        if not (archive.is_file() and labels.is_file()):
            raise InputError(f"{folder}: no labelled photographs", hint="it should hold lspet.tar and lspet_labels.npz")
        content = read_npz(labels)
        names = [str(name) for name in content["names"]]
        chosen = [i for i, name in enumerate(names) if (number_of(name) >= FIRST_VALIDATION) == validation]
        self.names = [names[i] for i in chosen]
        self.labels = agree(*(content[maker][chosen] for maker in MAKERS))
        self.human = content["human"][chosen]
        self.packed = read_archive(archive, set(self.names))

    def __len__(self) -> int:
        return len(self.names)

    def sample(self, index: int) -> Sample:
        """A photographed person with what is known of them."""
        labels = self.labels
        return Sample(
            decode(self.packed[self.names[index]]),
            labels.points[index],
            labels.weights[index],
            labels.pairs[index],
            labels.pair_weights[index],
            labels.boxes[index],
            labels.depth[index],
            labels.depth_weights[index],
            labels.roots[index],
            float(labels.root_weights[index]),
        )


def photograph_crops(
    photographs: Photographs, rng: np.random.Generator, seed: int, first: int, count: int, size: int
) -> TrainingCrops:
    """Crops of `count` photographs from place `first` of an endless sequence that the seed alone orders.

    They come round one after another, in an order that changes with every round.
    """
    rows, other = [], None
    for place in range(first, first + count):
        sample = photographs.sample(_in_turn(seed, place, len(photographs)))
        rows.append(cut(rng, sample, size, AUGMENTATION, other))
        other = sample.image
    return TrainingCrops.stack(rows)


def _in_turn(seed: int, place: int, count: int) -> int:
    """Which of `count` comes at a place of an endless sequence of shuffled rounds."""
    turn, at = divmod(place, count)
    return int(_round(seed, turn, count)[at])


@lru_cache(maxsize=2)
def _round(seed: int, turn: int, count: int) -> np.ndarray:
    return np.random.default_rng([seed, 5, turn]).permutation(count)


def decode(packed: bytes) -> np.ndarray:
    """A packed picture → (H, W, 3) uint8 BGR."""
    image = cv2.imdecode(np.frombuffer(packed, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError("a training picture cannot be decoded", hint="get the folder again")
    return image


def read_archive(path: Path, names: set[str]) -> dict[str, bytes]:
    """The packed pictures of an archive by name; nothing is extracted to disk. InputError where one is missing."""
    out: dict[str, bytes] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            name = next((n for n in (Path(member.name).name, Path(member.name).stem) if n in names), None)
            file = archive.extractfile(member) if name is not None and member.isfile() else None
            if name is not None and file is not None:
                out[name] = file.read()
    if missing := sorted(names - set(out)):
        raise InputError(f"{path}: {len(missing)} pictures are missing, {missing[0]} is the first", hint="get it again")
    return out
