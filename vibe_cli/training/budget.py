"""The time of a recipe of several stages: each gets its share of what is left, so that the whole keeps its budget."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vibe_cli.errors import VibeError
from vibe_cli.run_folder import write_json

SHORTEST = 0.02  # minutes that a stage gets even where nothing is left, or its model would not be there at all


class Budget:
    """Minutes for stages by their shares. What was spent before an interruption is in `file` and counts."""

    def __init__(self, minutes: float, shares: dict[str, float], file: Path, report: Callable[[str], None]) -> None:
        self.minutes, self.shares, self.file, self.report = minutes, dict(shares), file, report
        self.spent: dict[str, float] = json.loads(file.read_text("utf-8")) if file.exists() else {}

    @property
    def left(self) -> float:
        """Minutes that nobody has spent."""
        return self.minutes - sum(self.spent.values())

    @contextmanager
    def stage(self, name: str) -> Iterator[float]:
        """The minutes that a stage may take; the time that the block takes is counted as its."""
        ahead = list(self.shares)[list(self.shares).index(name) :]
        minutes = max(SHORTEST, self.left * self.shares[name] / sum(self.shares[stage] for stage in ahead))
        self.report(f"{name}: {minutes:.1f} of the {max(0.0, self.left):.1f} minutes left")
        start, counts = time.monotonic(), True
        try:
            yield minutes
        except VibeError:  # what was asked for cannot be: nothing has begun
            counts = False
            raise
        finally:
            if counts:
                self.spent[name] = self.spent.get(name, 0.0) + (time.monotonic() - start) / 60
                write_json(self.file, self.spent)
