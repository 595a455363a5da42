"""Progress and summary of `vibe batch`: bars with the time left on a terminal, lines elsewhere, a table at the end."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from vibe_cli.batch.plan import FILES, Clip
from vibe_cli.batch.report import BatchReport, in_words
from vibe_cli.batch.work import DONE, FAILED, NOBODY, Row
from vibe_cli.cli.options import table
from vibe_cli.cli.words import echo
from vibe_cli.paths import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

SHOWN = 40  # clips in the table at the end; of more, only those that failed


def counted(clips: int) -> str:
    """How many clips."""
    return f"{clips} clip{'' if clips == 1 else 's'}"


def told(clip: Clip) -> str:
    """A clip's name, and its folder, as a terminal may show it."""
    folder = clip.remote.target if clip.remote and clip.remote.target else clip.folder
    return printable(f"{clip.name}  →  {folder}")


class Lines:
    """Tells how a batch goes."""

    def __init__(self, planned: int) -> None:
        self._planned, self._through = planned, 0
        self._start = time.monotonic()
        self._bytes = self._all_bytes = 0  # through, and of the clips that are left
        self._clips: dict[int, str] = {}  # by worker
        self._bars: Progress | None = None
        self._overall: TaskID | None = None
        self._tasks: dict[int, TaskID] = {}

    def begin(self, clips: list[Clip]) -> Lines:
        """Say what is left to do, and go on telling."""
        self._start, self._all_bytes = time.monotonic(), sum(clip.size + 1 for clip in clips)
        self._through = self._planned - len(clips)
        done = f", {self._through} finished before" if self._through else ""
        echo(f"{counted(len(clips))} to run{done}", err=True)
        if clips and sys.stderr is not None and sys.stderr.isatty():
            self._show_bars()
        return self

    def stop(self) -> None:
        """Take the bars away."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def began(self, slot: int, clip: Clip) -> None:
        """A worker has begun with a clip."""
        self._clips[slot] = printable(clip.name)
        self.moved(slot, "starting", 0, None)

    def moved(self, slot: int, step: str, done: int, total: int | None) -> None:
        """A worker is so far with a step."""
        if self._bars is None:
            return
        text = f"{_short(self._clips.get(slot, ''))}: {step}"
        if slot not in self._tasks:
            self._tasks[slot] = self._bars.add_task(text, total=total)
        self._bars.update(self._tasks[slot], description=text, completed=done, total=total)

    def ended(self, slot: int, clip: Clip, row: Row, again: bool) -> None:
        """A clip is through, or is tried again later."""
        if again:
            self._say(f"{clip.name}: {row.error}; it is tried again later")
            return
        self._through += 1
        self._bytes += clip.size + 1
        spent = time.monotonic() - self._start
        left = spent * (self._all_bytes / self._bytes - 1)
        if self._bars is not None and self._overall is not None:
            text = f"{self._through} of {counted(self._planned)}" + (f", {_duration(left)} left" if left else "")
            self._bars.update(self._overall, description=text, completed=self._bytes)
        more = f", {_duration(left)} left" if left and self._bars is None else ""
        self._say(f"[{self._through}/{self._planned}{more}] {_said(row)}")

    def _say(self, line: str) -> None:
        if self._bars is None:
            echo(printable(line), err=True)
        else:
            self._bars.console.print(printable(line), markup=False, highlight=False, soft_wrap=True)

    def _show_bars(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=24))
        self._bars = Progress(*columns, console=Console(stderr=True), transient=True)
        self._overall = self._bars.add_task(
            f"{self._through} of {counted(self._planned)}", total=self._all_bytes, completed=0
        )
        self._bars.start()


def _said(row: Row) -> str:
    """One clip's end in a line."""
    if row.status == FAILED:
        return f"{row.clip}: failed: {row.error}" + (f" ({row.hint})" if row.hint else "")
    return f"{row.clip}: {in_words(row)}, {row.seconds:.1f} s"


def _short(name: str, most: int = 40) -> str:
    return name if len(name) <= most else "…" + name[1 - most :]


def _duration(seconds: float) -> str:
    """Hours, minutes or seconds, as people say them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def tell_report(report: BatchReport) -> None:
    """The table at the end, what failed and why, and where the reports lie."""
    rows = report.all_rows()
    shown = rows if len(rows) <= SHOWN else [row for row in rows if row.status not in (DONE, NOBODY)][:SHOWN]
    if shown:
        cells = [("clip", "status", "people", "frames", "seconds")]
        cells += [
            (printable(row.clip), row.status, str(row.people), str(row.frames), f"{row.seconds:.1f}") for row in shown
        ]
        echo(table(cells, indent=""))
    for row in [row for row in rows if row.status == FAILED][:SHOWN]:
        echo(printable(f"{row.clip}: {row.error}" + (f" ({row.hint})" if row.hint else "")), err=True)
    counts = ", ".join(f"{count} {status}" for status, count in report.counts().items() if count)
    echo(f"{counted(len(rows))}: {counts}", err=True)
    for name in FILES:
        echo(report.output / name if report.target is None else f"{report.target}/{name}")
