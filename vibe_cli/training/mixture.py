"""Real and drawn people in one stream of training crops: photographs for their looks, drawings for all the rest.

Photographs know where joints are in the picture. Drawn people know everything: every point, depth and facing.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from scipy.spatial.transform import Rotation
from torch.utils.data import IterableDataset

from vibe_cli.datasets.synth_crops import FORMAT, VERSION
from vibe_cli.datasets.synth_video import HALF_PIXEL, read_header
from vibe_cli.errors import InputError
from vibe_cli.geometry.skeleton import JOINTS_49
from vibe_cli.importing.safe_read import read_npz
from vibe_cli.networks.skeleton import COUNT, KEYPOINTS_OF_54, LEFT_RIGHT_PAIRS
from vibe_cli.training.augment import Augmentation, Sample, TrainingCrops, cut, known_pairs
from vibe_cli.training.photographs import agree

FIRST_VALIDATION = 9601  # the number from which photographs are for validation
UNSURE = [KEYPOINTS_OF_54.index(joint) for joint in (3, 6, 9, 13, 14, 22, 23)]  # spine, collars and hands:
UNSURE_WEIGHT = 0.5  # no picture shows where they are
LEAST_SEEN = 50.0  # pixels of a drawn person's larger side


class Source(Protocol):
    """People to learn from, by number."""

    def __len__(self) -> int: ...

    def sample(self, index: int) -> Sample:
        """One of them, decoded."""
        ...


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
        self.labels = agree(content["human"][chosen], content["movenet"][chosen], content["blazepose"][chosen])
        self.human = content["human"][chosen]
        self.packed = read_archive(archive, set(self.names))

    def __len__(self) -> int:
        return len(self.names)

    def sample(self, index: int) -> Sample:
        """A photographed person, of whom depth and facing are not known."""
        labels = self.labels
        return Sample(
            decode(self.packed[self.names[index]]),
            labels.points[index],
            labels.weights[index],
            labels.pairs[index],
            labels.pair_weights[index],
            labels.boxes[index],
        )


class DrawnPeople:
    """Crops that `vibe synth crops` wrote, read when they are asked for."""

    def __init__(self, folder: Path) -> None:
        """InputError where the folder holds none of whom enough is seen."""
        labels = folder / "labels.npz"
        if not labels.is_file():
            raise InputError(f"{folder}: no drawn people", hint="draw them with: vibe synth crops")
        content = read_npz(labels)
        read_header(content, FORMAT, VERSION)
        joints = list(JOINTS_49)
        from_49 = [joints.index(joint) if joint in joints else -1 for joint in KEYPOINTS_OF_54]

        def all_44(name: str) -> np.ndarray:
            out = content[f"joints49_{name}"][:, from_49].astype(np.float32)
            skeleton = [k for k, joint in enumerate(KEYPOINTS_OF_54) if joint < 24]
            out[:, skeleton] = content[f"joints24_{name}"][:, [KEYPOINTS_OF_54[k] for k in skeleton]]
            return out

        self.folder, self.boxes = folder, content["boxes"] - [HALF_PIXEL, HALF_PIXEL, 0, 0]
        self.points, self.depth = all_44("px") - HALF_PIXEL, all_44("m")[..., 2]
        self.roots = Rotation.from_rotvec(content["pose"][:, 0]).as_matrix()
        self.chosen = np.flatnonzero(self.boxes[:, 2:].max(axis=1) >= LEAST_SEEN)
        if not len(self.chosen):
            raise InputError(f"{folder}: nobody is large enough to learn from", hint="draw larger crops: --size")
        self.weights = np.ones(COUNT, np.float32)
        self.weights[UNSURE] = UNSURE_WEIGHT

    def __len__(self) -> int:
        return len(self.chosen)

    def sample(self, index: int) -> Sample:
        """A drawn person, of whom everything is known."""
        row = int(self.chosen[index])
        points = self.points[row]
        return Sample(
            decode((self.folder / "images" / f"{row:06d}.jpg").read_bytes()),
            points,
            self.weights,
            known_pairs(points),
            np.ones(len(LEFT_RIGHT_PAIRS), np.float32),
            self.boxes[row],
            self.depth[row],
            self.roots[row],
        )


@dataclass(frozen=True)
class Mixture:
    """How sources are mixed into batches."""

    batch: int = 48
    size: int = 160  # pixels of a crop
    real: float = 0.55  # share of the crops that are photographs, where there are any
    seed: int = 0
    photographs: Augmentation = Augmentation(part=0.16, hidden=0.35)
    drawn: Augmentation = Augmentation(part=0.08, hidden=0.2)


def mixed_batch(mixture: Mixture, number: int, real: Source | None, drawn: Source) -> TrainingCrops:
    """Batch `number` of a stream: it hangs on the seed and its number alone.

    Photographs come round one after another in an order that changes with every round.
    """
    rng = np.random.default_rng([mixture.seed, number])
    count = round(mixture.batch * mixture.real) if real is not None else 0
    rows, other = [], None
    for place in range(mixture.batch):
        if real is not None and place < count:
            sample, options = (
                real.sample(_in_turn(mixture.seed, number * count + place, len(real))),
                mixture.photographs,
            )
        else:
            sample, options = drawn.sample(int(rng.integers(len(drawn)))), mixture.drawn
        rows.append(cut(rng, sample, mixture.size, options, other))
        other = sample.image
    return TrainingCrops.stack(rows)


class MixedStream(IterableDataset):
    """Endless batches from `start` on; a DataLoader's workers take turns."""

    def __init__(self, mixture: Mixture, photographs: Path | None, drawn: Path, start: int = 0) -> None:
        self.mixture, self.photographs, self.drawn, self.start = mixture, photographs, drawn, start

    def __iter__(self) -> Iterator[TrainingCrops]:
        import torch

        from vibe_cli.training.keypoints import turns

        cv2.setNumThreads(1)
        torch.set_num_threads(1)
        real = Photographs(self.photographs) if self.photographs is not None else None
        drawn = DrawnPeople(self.drawn)
        for number in turns(self.start):
            yield mixed_batch(self.mixture, number, real, drawn)


def number_of(name: str) -> int:
    """The number in a photograph's name: im00401.jpg → 401; 0 where there is none."""
    digits = "".join(c for c in Path(name).stem if c.isdigit())
    return int(digits) if digits else 0


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
