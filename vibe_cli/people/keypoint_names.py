"""Which frame of a clip a program's keypoints belong to: by names of files where there are names, else by numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from vibe_cli.errors import InputError

if TYPE_CHECKING:
    from vibe_cli.results import VideoInfo

SHOWN = 5  # names in a warning


class Numbered(dict[int, np.ndarray]):
    """People (P, 49, 3) by the numbers that a program gives its frames.

    `names` are the files that it says its frames came from, by number; `first` is the number of its first frame, where
    that is known; `shares` says that x and y are shares of the picture's width and height.
    """

    def __init__(
        self,
        people: Mapping[int, np.ndarray],
        names: Mapping[int, str] | None = None,
        first: int | None = None,
        shares: bool = False,
    ) -> None:
        super().__init__(people)
        self.names, self.first, self.shares = dict(names or {}), first, shares


def placed(people: Numbered, video: VideoInfo, path: str, warnings: list[str]) -> dict[int, np.ndarray]:
    """People by the frames of a clip; as they were where neither names nor the program tell its first number."""
    if people.shares:
        size = np.array([video.width, video.height, 1], np.float32)
        people = Numbered({number: found * size for number, found in people.items()}, people.names, people.first)
    if video.files and people.names:
        by_name, strange = _by_name(people, video.files)
        if by_name:
            if strange:
                shown = ", ".join(strange[:SHOWN]) + (", …" if len(strange) > SHOWN else "")
                warnings.append(
                    f"{path}: keypoints of {len(strange)} files that are not in the clip are left out: {shown}"
                )
            return by_name
    if video.files:
        places = _numbers(video.files)
        if places and all(number in places for number in people):
            return {places[number]: found for number, found in people.items()}
    if people.names and len(people) == video.frames:  # every frame has its own, whatever the numbers
        return dict(enumerate(people[number] for number in sorted(people)))
    if people.first is not None and all(0 <= number - people.first < video.frames for number in people):
        return {number - people.first: found for number, found in people.items()}
    if min(people) == 1 and max(people) < video.frames and people.first is None:
        warnings.append(f"{path}: frames are taken to be counted from 0, so that number 1 is the clip's second frame")
    return dict(people)


def _by_name(people: Numbered, files: tuple[str, ...]) -> tuple[dict[int, np.ndarray], list[str]]:
    """People by the frames that their pictures are, and the names, sorted, that no frame has."""
    whole, stems = _indices(files)
    found: dict[int, np.ndarray] = {}
    strange = []
    for number, some in people.items():
        if number not in people.names:
            continue
        frame = _frame_of(people.names[number], whole, stems)
        if frame is None:
            strange.append(people.names[number])
        elif frame in found:
            raise InputError(f"{files[frame]}: keypoints twice", hint="give one file of keypoints for each clip")
        else:
            found[frame] = some
    return found, sorted(strange)


def _indices(files: tuple[str, ...]) -> tuple[dict[str, int], dict[str, int | None]]:
    """Frames by file name, and by name without suffix: None where several have it."""
    whole = {file.casefold(): frame for frame, file in enumerate(files)}
    stems: dict[str, int | None] = {}
    for frame, file in enumerate(files):
        stem = _stem(file)
        stems[stem] = None if stem in stems else frame
    return whole, stems


def _frame_of(name: str, whole: dict[str, int], stems: dict[str, int | None]) -> int | None:
    """The frame of a file's name, with or without folders before it and its suffix."""
    name = re.split(r"[\\/]", name)[-1].casefold()
    if name in whole:
        return whole[name]
    return stems.get(name, stems.get(_stem(name)))


def _stem(name: str) -> str:
    """A name without a suffix that is one: 0.05 has none."""
    return re.sub(r"\.[A-Za-z][A-Za-z0-9]*$", "", name).casefold()


def last_number(name: str) -> int | None:
    """The last run of digits in a name; None of one without."""
    digits = re.findall(r"\d+", name)
    return int(digits[-1]) if digits else None


def _numbers(files: tuple[str, ...]) -> dict[int, int]:
    """Frames by the last number in their files' names; none where two have the same or one has none."""
    numbers = [number for file in files if (number := last_number(_stem(file))) is not None]
    return dict(zip(numbers, range(len(files)), strict=True)) if len(set(numbers)) == len(files) else {}
