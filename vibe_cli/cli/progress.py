"""Progress bars with rate and time left on a terminal, and silence elsewhere."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from vibe_cli.progress import Progress, quiet

Item = TypeVar("Item")


def terminal_progress() -> Progress:
    """Bars on stderr when it is a terminal, otherwise nothing."""
    return show_bar if sys.stderr is not None and sys.stderr.isatty() else quiet


@contextmanager
def counting(step: str, total: int | None = None) -> Iterator[Callable[[], None]]:
    """A bar for work that is no loop of ours: what is given is called after each item of it."""
    bar = iter(terminal_progress()(itertools.count(), step, total))

    def advance() -> None:
        next(bar)

    try:
        yield advance
    finally:
        if isinstance(bar, Generator):
            bar.close()


def show_bar(items: Iterable[Item], step: str, total: int | None = None) -> Iterator[Item]:
    """The same items, with a bar on stderr while they come."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        ProgressColumn,
        SpinnerColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars
    from rich.text import Text

    class Rate(ProgressColumn):
        """How many a second."""

        def render(self, task: Task) -> Text:
            return Text(f"{task.finished_speed or task.speed or 0:.1f}/s", style="progress.data.speed")

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<20}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(step, total=total)
        count = 0
        for item in items:
            yield item
            count += 1
            bars.update(task, completed=count, total=max(total, count) if total is not None else None)
