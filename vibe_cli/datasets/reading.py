"""Steps that the readers share. Every failure is an InputError that says what is missing and where it is had."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vibe_cli.errors import InputError, ModelError

MARGIN = 1.15  # of a person's box over that of its keypoints, which end at the ankles and the eyes
MOST_JSON = 2 << 30  # bytes of one annotation file
TRAINING = ("train", "clips")  # names of splits that are for training


@dataclass(frozen=True)
class About:
    """Facts about a data set, known before it is read."""

    name: str  # on the command line
    title: str
    url: str  # where it is had
    licence: str
    layout: str  # what its folder holds
    splits: tuple[str, ...] = ()  # the first is the default; (): it has none
    task: str = "motion"  # what it is evaluated for: motion | keypoints | detection | none

    def wrong(self, what: str) -> InputError:
        """The error that says what is wrong, what should be there, and where the set is had."""
        return InputError(what, hint=f"{self.title} holds {self.layout}; it is had from {self.url} ({self.licence})")

    def source(self, split: str | None) -> str:
        """The set as a source of training data: its name and split, and its licence."""
        return f"{self.title}{f', {split}' if split else ''} ({self.licence})"

    def choose(self, split: str | None) -> str | None:
        """The split, by default the first; InputError for one that the set does not have."""
        if split is not None and split not in self.splits:
            known = ", ".join(self.splits) or "none"
            raise InputError(f"{self.title} has no split named {split}", hint=f"its splits: {known}")
        return split or next(iter(self.splits), None)

    def choose_one(self, split: str | None) -> str:
        """The same of a set that has splits."""
        chosen = self.choose(split)
        if chosen is None:
            raise ValueError(f"{self.title} has no splits")
        return chosen

    @property
    def training(self) -> str | None:
        """The split to train on, of which models are not measured; None of a set without splits."""
        return next((split for split in TRAINING if split in self.splits), None) or self.choose(None)

    def need_folder(self, folder: Path) -> Path:
        """The folder, where it is one."""
        if not folder.is_dir():
            raise self.wrong(f"{folder}: no such folder" if not folder.exists() else f"{folder}: not a folder")
        return folder

    def need(self, path: Path) -> Path:
        """The path, where it is there."""
        if not path.exists():
            raise self.wrong(f"{path}: missing")
        return path

    @contextmanager
    def reading(self, path: Path) -> Iterator[None]:
        """Whatever a damaged file of this set provokes becomes one InputError that names it."""
        try:
            yield
        except InputError:
            raise
        except ModelError as error:
            raise InputError(error.message, hint=error.hint) from None
        except FileNotFoundError:
            raise self.wrong(f"{path}: missing") from None
        except (KeyError, IndexError, TypeError, ValueError, OSError, AttributeError, RecursionError) as error:
            reason = f"{type(error).__name__}: {str(error).splitlines()[0][:120] if str(error) else ''}"
            raise self.wrong(f"{path}: not as this data set has it ({reason})") from None


def read_json(path: Path) -> Any:
    """The content of a JSON file; ValueError where it is none or absurdly large."""
    if path.stat().st_size > MOST_JSON:
        raise ValueError(f"{path.stat().st_size >> 20} MB of JSON")
    return json.loads(path.read_text(encoding="utf-8"))


def read_mat(path: Path, *names: str) -> dict[str, np.ndarray]:
    """The named variables of a MATLAB file; one of version 7.3 is HDF5, and InputError where h5py is not installed.

    KeyError for a lack.
    """
    from scipy.io import loadmat

    try:
        content = loadmat(str(path), variable_names=names)
    except NotImplementedError:
        return _read_hdf5(path, names)
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged file fails in any way at all; nothing of it is run
        raise ValueError(f"{type(error).__name__}: {error}") from None
    return {name: content[name] for name in names}


def _read_hdf5(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The named variables of a MATLAB 7.3 file, whose arrays lie in it with their axes reversed."""
    try:
        import h5py
    except ModuleNotFoundError:
        raise InputError(
            f"{path}: a MATLAB 7.3 file, for which h5py is needed", hint="pip install 'vibe-cli[datasets]'"
        ) from None
    with h5py.File(path, "r") as file:
        if odd := [name for name in names if not isinstance(file[name], h5py.Dataset) or file[name].dtype.kind == "O"]:
            raise ValueError(f"{', '.join(odd)}: no plain array")
        return {name: np.asarray(file[name]).T for name in names}


def boxes_of_points(points: np.ndarray, margin: float = MARGIN, least: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (T, J, 3) with confidences → boxes (T, 4) about those above 0, and which frames have them (T,).

    A frame of fewer than `least` keypoints gets a box between its neighbours'.
    """
    known = (points[..., 2] > 0).sum(axis=1) >= least
    boxes = np.zeros((len(points), 4), np.float32)
    for row in np.flatnonzero(known):
        there = points[row, points[row, :, 2] > 0, :2]
        low, high = there.min(axis=0), there.max(axis=0)
        boxes[row] = [*(low + high) / 2, *(high - low) * margin]
    return fill_boxes(boxes, known), known


def fill_boxes(boxes: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Boxes (T, 4) with those that are not `known` (T,) interpolated between those that are."""
    if known.all() or not known.any():
        return boxes
    at, rows = np.arange(len(boxes)), np.flatnonzero(known)
    return np.stack([np.interp(at, rows, boxes[rows, column]) for column in range(4)], axis=1).astype(np.float32)
