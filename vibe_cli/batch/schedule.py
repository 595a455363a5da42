"""Which worker does which clip, how long it may take, and what is tried again."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from vibe_cli.batch.pieces import next_pieces
from vibe_cli.batch.plan import Clip
from vibe_cli.batch.pool import Event, Pool
from vibe_cli.batch.work import CUT, FAILED, PIECE, Row
from vibe_cli.errors import VibeError

STARTING = 900.0  # seconds that a worker may take to load its model
FEW = 3  # workers in a row that die before they are ready: then none will live


@dataclass(frozen=True)
class Policy:
    """How a batch treats clips that fail."""

    timeout: float | None = None  # seconds that one clip may take
    retries: int = 1  # tries after the first, of failures that another may not meet


class Listener(Protocol):
    """Whom a batch tells how it goes."""

    def began(self, slot: int, clip: Clip) -> None:
        """A worker has begun with a clip."""
        ...

    def moved(self, slot: int, step: str, done: int, total: int | None) -> None:
        """A worker is so far with a step."""
        ...

    def ended(self, slot: int, clip: Clip, row: Row, again: bool) -> None:
        """A clip is through, or is tried `again` later."""
        ...


@dataclass
class _Turn:
    """A clip in a worker's hands."""

    clip: Clip
    tries: int
    limit: float  # by time.monotonic()
    began: float | None = None  # None while the worker starts


class Schedule:
    """A batch under way."""

    def __init__(self, clips: Iterable[Clip], pool: Pool, policy: Policy, listener: Listener) -> None:
        self.rows: dict[str, Row] = {}
        self._pool, self._policy, self._listener = pool, policy, listener
        self._waiting = deque((clip, 1) for clip in clips)
        self._turns: dict[int, _Turn] = {}
        self._stillborn = 0
        self._pieces: dict[str, tuple[int, float]] = {}  # by the clip: how many of a stage are left, seconds so far

    def run(self) -> dict[str, Row]:
        """All clips, to their ends; rows by the clips' names. VibeError where no worker can be had."""
        while self._waiting or self._turns:
            for slot in range(self._pool.size):
                if slot not in self._turns and self._waiting:
                    self._give(slot)
            for event in self._pool.wait(self._until_next_limit()):
                self._take(event)
            self._end_late_ones()
        return self.rows

    def _give(self, slot: int) -> None:
        clip, tries = self._waiting.popleft()
        self._turns[slot] = _Turn(clip, tries, time.monotonic() + STARTING)
        self._pool.begin(slot, clip)

    def _take(self, event: Event) -> None:
        """Handle a worker's message."""
        slot, turn = event.slot, self._turns.get(event.slot)
        if event.kind == "unfit":
            raise event.value  # no other worker could load the model either: the whole batch's failure
        if turn is None:
            return
        if event.kind == "started":
            self._stillborn = 0
            turn.began = time.monotonic()
            turn.limit = turn.began + (self._policy.timeout or float("inf"))
            self._listener.began(slot, turn.clip)
        elif event.kind == "progress":
            self._listener.moved(slot, *event.value)
        elif event.kind == "row":
            if event.value.passing:
                self._pool.end(slot)  # memory that it lacked, or a device in an odd state, is given back
            self._close(slot, event.value)
        elif event.kind == "dead":
            self._stillborn += turn.began is None
            if self._stillborn >= FEW:
                raise VibeError(f"no worker can be started: {event.value}", hint="try --workers 1, or: vibe doctor")
            if turn.began is None:
                self._waiting.appendleft((turn.clip, turn.tries))
                del self._turns[slot]
            else:
                self._fail(slot, f"{turn.clip.place}: {event.value}", "try it alone: vibe demo", passing=True)

    def _fail(self, slot: int, error: str, hint: str, passing: bool) -> None:
        turn = self._turns[slot]
        seconds = round(time.monotonic() - (turn.began or time.monotonic()), 3)
        self._close(slot, Row(turn.clip.name, FAILED, seconds=seconds, error=error, hint=hint, passing=passing))

    def _close(self, slot: int, row: Row) -> None:
        """A clip's end, or a place at the end of the queue for another try."""
        turn = self._turns.pop(slot)
        again = row.status == FAILED and row.passing and turn.tries <= self._policy.retries
        if row.status in (CUT, PIECE):
            self._go_on(turn.clip, row)
            return
        row = replace(row, tries=turn.tries)
        if again:
            self._waiting.append((turn.clip, turn.tries + 1))
        else:
            self._drop_pieces(turn.clip)
            row = replace(row, seconds=round(row.seconds + self._pieces.pop(turn.clip.name, (0, 0.0))[1], 3))
            self.rows[turn.clip.name] = row
        self._listener.ended(slot, turn.clip, row, again)

    def _go_on(self, clip: Clip, row: Row) -> None:
        """A clip was cut, or one of its pieces is done: what can be done next comes before all other clips."""
        left, seconds = self._pieces.get(clip.name, (1, 0.0))
        pieces = list(row.pieces)
        if clip.piece is not None and left == 1:
            pieces = next_pieces(clip.piece)
        self._waiting.extendleft((replace(clip, piece=piece), 1) for piece in reversed(pieces))
        self._pieces[clip.name] = (len(pieces) or left - 1, seconds + row.seconds)

    def _drop_pieces(self, clip: Clip) -> None:
        """A clip is through: what other workers do of it is of no use."""
        self._waiting = deque(one for one in self._waiting if one[0].name != clip.name)
        for slot in [slot for slot, turn in self._turns.items() if turn.clip.name == clip.name]:
            self._pool.end(slot)
            del self._turns[slot]

    def _until_next_limit(self) -> float:
        limits = [turn.limit - time.monotonic() for turn in self._turns.values()]
        return min(1.0, max(0.0, min(limits, default=1.0)))

    def _end_late_ones(self) -> None:
        """End workers whose clip takes too long."""
        for slot, turn in list(self._turns.items()):
            if time.monotonic() < turn.limit:
                continue
            self._pool.end(slot)
            if turn.began is None:
                raise VibeError(f"a worker was not ready after {STARTING:g} s", hint="see what is slow: vibe doctor")
            hint = "give it longer with --timeout, or look at it alone: vibe demo"
            self._fail(slot, f"{turn.clip.place}: not done after {self._policy.timeout:g} s", hint, passing=False)
