"""Some people, and some of the clip: what is exported of a result."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vibe_cli.errors import UsageError
from vibe_cli.results import Result

_SLACK = 1e-6  # seconds by which a time stamp may miss its decimal


def narrowed(
    result: Result, persons: tuple[int, ...] = (), start: float | None = None, end: float | None = None
) -> Result:
    """The people of these ids, all where there are none, in frames whose time stamp t is start ≤ t < end, in seconds.

    Frames keep their numbers and times. UsageError for an id that is not there, and where nothing is left.
    """
    known = [person.id for person in result.people]
    for number in persons:
        if number not in known:
            there = ", ".join(map(str, known)) or "nobody"
            raise UsageError(f"no person {number} in this result", hint=f"choose among those in it: {there}")
    if start is not None and end is not None and end <= start:
        raise UsageError(f"--end {end:g} is not after --start {start:g}", hint="both are seconds of the clip")
    people = [person for person in result.people if not persons or person.id in persons]
    if start is None and end is None:
        return replace(result, people=people)
    low, high = -np.inf if start is None else start - _SLACK, np.inf if end is None else end - _SLACK
    seen = [result.video.times[person.frames] for person in people]
    inside = [person.at((times >= low) & (times < high)) for person, times in zip(people, seen, strict=True)]
    left = [person for person in inside if len(person)]
    if people and not left:
        every = np.concatenate(seen)
        raise UsageError(
            "nobody is in that part of the clip", hint=f"people are there from {every.min():.2f} to {every.max():.2f} s"
        )
    return replace(result, people=left)
