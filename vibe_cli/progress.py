"""How long steps tell how far they are, and how long they took. Nothing here prints."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class Progress(Protocol):
    """Wraps what a step iterates over: `for frame in progress(video, "Finding people", total)`."""

    def __call__(self, items: Iterable[Item], step: str, total: int | None = None) -> Iterable[Item]:
        """The same items, one by one; `total` is how many are expected, or None."""
        ...


def quiet(items: Iterable[Item], step: str, total: int | None = None) -> Iterable[Item]:
    """Tell nobody."""
    return items


class Stopwatch:
    """Seconds spent a stage, added up over visits; a stage within another is not counted twice."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._within: list[float] = []  # for each stage that is open: the seconds of the stages inside it

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Add the time that the block takes, less that of stages inside it, to a stage."""
        start = time.perf_counter()
        self._within.append(0.0)
        try:
            yield
        finally:
            elapsed = time.perf_counter() - start
            self.seconds[stage] = self.seconds.get(stage, 0.0) + elapsed - self._within.pop()
            if self._within:
                self._within[-1] += elapsed

    def each(self, items: Iterable[Item], stage: str) -> Iterator[Item]:
        """The same items; the time that each takes to come is added to a stage."""
        source = iter(items)
        while True:
            with self(stage):
                try:
                    item = next(source)
                except StopIteration:
                    return
            yield item
