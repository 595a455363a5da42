"""Stand-ins for the worker processes of a batch."""

from __future__ import annotations

from vibe_cli.batch.plan import Clip
from vibe_cli.batch.pool import Event
from vibe_cli.batch.work import Setup, work


class InlinePool:
    """Does the clips in this process, one after the other, where a real worker takes seconds to start."""

    def __init__(self, size: int, setup: Setup, load: bool) -> None:
        self.size, self._setup = size, setup
        self._clips: dict[int, Clip] = {}
        if load:
            _ = setup.job.model

    def begin(self, slot: int, clip: Clip) -> None:
        """Keep the clip for `wait`."""
        self._clips[slot] = clip

    def wait(self, seconds: float) -> list[Event]:
        """Do one clip."""
        slot = min(self._clips)
        return [Event(slot, "started"), Event(slot, "row", work(self._clips.pop(slot), self._setup))]

    def end(self, slot: int) -> None:
        """Nothing runs."""

    def close(self) -> None:
        """Nothing runs."""
