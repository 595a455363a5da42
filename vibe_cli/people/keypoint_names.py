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


def place_people(source: object, video: VideoInfo, warnings: list[str]) -> None:
    """Number the people of a source that read a file by the frames of the clip, counted from 0."""
    numbered = getattr(source, "numbered", None)
    if isinstance(numbered, Numbered):
        source.numbered = placed(numbered, video, str(getattr(source, "path", "keypoints")), warnings)  # type: ignore[attr-defined]


def placed(people: Numbered, video: VideoInfo, path: str, warnings: list[str]) -> dict[int, np.ndarray]:
    """People by the frames of a clip; as they were where neither names nor the program tell its first number."""
    if people.shares:
        size = np.array([video.width, video.height, 1], np.float32)
        people = Numbered({number: found * size for number, found in people.items()}, people.names, people.first)
    if video.files and people.names:
        by_name = _by_name(people, video.files)
        if by_name:
            left = sorted(people.names[number] for number in people if number in people.names)
            strange = [name for name in left if _frame_of(name, *_indices(video.files)) is None]
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
    if people.first is not None and all(0 <= number - people.first < video.frames for number in people):
        return {number - people.first: found for number, found in people.items()}
    if min(people) == 1 and max(people) < video.frames and people.first is None:
        warnings.append(f"{path}: frames are taken to be counted from 0, so that number 1 is the clip's second frame")
    return dict(people)


def _by_name(people: Numbered, files: tuple[str, ...]) -> dict[int, np.ndarray]:
    whole, stems = _indices(files)
    found: dict[int, np.ndarray] = {}
    for number, some in people.items():
        frame = _frame_of(people.names[number], whole, stems) if number in people.names else None
        if frame is None:
            continue
        if frame in found:
            raise InputError(f"{files[frame]}: keypoints twice", hint="give one file of keypoints for each clip")
        found[frame] = some
    return found


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


def _numbers(files: tuple[str, ...]) -> dict[int, int]:
    """Frames by the last number in their files' names; none where two have the same or one has none."""
    found = [re.findall(r"\d+", _stem(file))[-1:] for file in files]
    numbers = [int(number[0]) for number in found if number]
    return dict(zip(numbers, range(len(files)), strict=True)) if len(set(numbers)) == len(files) else {}
