"""Numbers in the names of pictures: their order, and where the numbers are a clock, their times."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

# A number with decimals; digits between several dots (a date, a version) are numbers without.
_NUMBER = re.compile(r"(?<![\d.])\d+\.\d+(?![\d.]*\d)|\d+")
# Seconds since 1970 as nanoseconds, microseconds and milliseconds, by how many digits they have today.
_EPOCH = {19: 10**9, 16: 10**6, 13: 10**3}
_STEADY = 0.75  # of the steps between numbers have to be the common one, or half of the numbers be there
MIN_CLOCK = 4  # pictures


def in_order(files: Sequence[Path]) -> list[Path]:
    """Files by the numbers in their names (2 before 10, 0.05 before 0.1), equal ones by the name itself.

    Digits on both sides of a dot are one number with decimals, unless two names would then be equal (1.1 and 1.10).
    """
    decimal = [_parts(path.stem, True) for path in files]
    keys = [(_key(parts), path.suffix.casefold(), path.name) for parts, path in zip(decimal, files, strict=True)]
    same = [(key, suffix) for key, suffix, _ in keys]
    names = {(path.stem.casefold(), path.suffix.casefold()) for path in files}
    if any("." in part for parts in decimal for part in parts[1::2]) and len(set(map(str, same))) < len(names):
        keys = [(_key(_parts(path.stem, False)), path.suffix.casefold(), path.name) for path in files]
    return [path for _, path in sorted(zip(keys, files, strict=True))]


def _parts(stem: str, decimals: bool) -> list[str]:
    """Text and numbers by turns, text first."""
    numbers = (_NUMBER if decimals else re.compile(r"\d+")).finditer(stem)
    parts, end = [], 0
    for number in numbers:
        parts += [stem[end : number.start()], number[0]]
        end = number.end()
    return [*parts, stem[end:]]


def _key(parts: list[str]) -> list[tuple[Fraction, str]]:
    """Sorts numbers by value before text, and text without case."""
    return [
        (Fraction(part), "") if place % 2 else (Fraction(-1), part.casefold())
        for place, part in enumerate(parts)
        if part or place % 2
    ]


def clock(files: Sequence[Path], fps: Fraction | None) -> tuple[np.ndarray | None, str | None]:
    """(seconds of each file (N,) float64 from the first on, what was taken for granted); None where names tell none.

    Numbers with decimals are seconds, unless `fps` is given. Whole numbers count frames of `fps` (30 where None) where
    most follow each other at one step or half of them are there, so that missing ones leave their time empty; those
    of 13 to 19 digits are time stamps.
    """
    numbers = _varying(files)
    if numbers is None:
        return None, None
    steps = [after - before for before, after in zip(numbers, numbers[1:], strict=False)]
    if min(steps) <= 0:
        return None, None
    digits = {len(str(number.numerator)) for number in numbers if number.denominator == 1}
    if fps is None and any(number.denominator > 1 for number in numbers):
        return _seconds(numbers), None
    if fps is None and len(digits) == 1 and (unit := _EPOCH.get(next(iter(digits)))):
        return _seconds([number / unit for number in numbers]), None
    step = sorted(steps)[len(steps) // 2] if any(s.denominator > 1 for s in steps) else min(steps)
    near = sum(abs(s / step - 1) < Fraction(1, 4) for s in steps)
    places = [round((number - numbers[0]) / step) for number in numbers]
    missing = places[-1] + 1 - len(places)
    times = np.array([float(place / (fps or Fraction(30))) for place in places])
    few = near < _STEADY * len(steps) and len(places) < places[-1] / 2
    if few or len(set(places)) < len(places):
        return None, "the numbers in their names are too far apart for a clock; images follow each other evenly"
    if not missing:
        return times, None
    gap = next(place for place, s in enumerate(steps) if s / step > Fraction(3, 2))
    return times, (
        f"{missing} numbers are missing among the names (the first after {files[gap].name}); their time is left empty"
    )


def _seconds(numbers: list[Fraction]) -> np.ndarray:
    return np.array([float(number - numbers[0]) for number in numbers])


def _varying(files: Sequence[Path]) -> list[Fraction] | None:
    """The one number in which the names of a series differ; None where they differ in anything else."""
    if len(files) < MIN_CLOCK:
        return None
    series = [_parts(path.stem, True) for path in files]
    width = len(series[0])
    if width < 2 or any(len(parts) != width for parts in series):
        return None
    columns = list(zip(*series, strict=True))
    different = [place for place, column in enumerate(columns) if len({part.casefold() for part in column}) > 1]
    if len(different) != 1 or not different[0] % 2:
        return None
    return [Fraction(part) for part in columns[different[0]]]
