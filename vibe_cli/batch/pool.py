"""Worker processes of this machine: each holds the model and does one clip at a time; any of them may die."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Literal, Protocol

from vibe_cli.batch.plan import Clip
from vibe_cli.batch.work import Setup, work

TOLD_EVERY = 0.2  # seconds between two words of a worker on how far it is
GRACE = 5.0  # seconds that a worker has to clean up before it is killed
_SPAWN = multiprocessing.get_context("spawn")  # a fork would copy locks that threads of the networks hold

Kind = Literal["ready", "unfit", "started", "progress", "row", "dead"]


@dataclass(frozen=True)
class Event:
    """A worker's message, or its end."""

    slot: int
    kind: Kind
    value: Any = None  # unfit: an exception; progress: (step, done, total); row: a Row; dead: why, in words


class Pool(Protocol):
    """Workers in numbered slots, of which a dead one is replaced when it is needed again."""

    size: int

    def begin(self, slot: int, clip: Clip) -> None:
        """Give a clip to the worker of a slot that has none."""
        ...

    def wait(self, seconds: float) -> list[Event]:
        """The next event, or nothing after so many seconds."""
        ...

    def end(self, slot: int) -> None:
        """End the worker of a slot, whatever it does; nothing more is heard of it."""
        ...

    def close(self) -> None:
        """End all workers."""
        ...


class LocalPool:
    """Processes of this machine."""

    def __init__(self, size: int, setup: Setup, load: bool) -> None:
        """`load`: whether a worker loads the model before its first clip, outside any time limit."""
        self.size = size
        self._setup, self._load = setup, load
        self._workers: dict[int, tuple[BaseProcess, Connection]] = {}

    def begin(self, slot: int, clip: Clip) -> None:
        """Give a clip to the worker of a slot that has none."""
        if slot not in self._workers:
            ours, theirs = _SPAWN.Pipe()
            process = _SPAWN.Process(target=serve, args=(theirs, self._setup, self._load, self.size), daemon=False)
            process.start()
            theirs.close()
            self._workers[slot] = (process, ours)
        try:
            self._workers[slot][1].send(clip)
        except OSError:
            pass  # it has died, which `wait` will say

    def wait(self, seconds: float) -> list[Event]:
        """The next event, or nothing after so many seconds."""
        slots = {pipe: slot for slot, (_, pipe) in self._workers.items()}
        events = []
        for pipe in wait(list(slots), seconds):
            assert isinstance(pipe, Connection)
            slot = slots[pipe]
            try:
                events.append(Event(slot, *pipe.recv()))
            except (EOFError, OSError):
                process = self._workers[slot][0]
                process.join(GRACE)
                reason = _why_dead(process.exitcode)
                self.end(slot)
                events.append(Event(slot, "dead", reason))
        return events

    def end(self, slot: int) -> None:
        """End the worker of a slot, whatever it does; nothing more is heard of it."""
        if slot in self._workers:
            process, pipe = self._workers.pop(slot)
            pipe.close()
            _end([process])

    def close(self) -> None:
        """End all workers."""
        for _, pipe in self._workers.values():
            pipe.close()
        _end([process for process, _ in self._workers.values()])
        self._workers.clear()


def _end(processes: list[BaseProcess]) -> None:
    """Ask processes to clean up, then kill them, and what programs they have started."""
    started = [child for process in processes for child in _children(process.pid)]
    for process in processes:
        process.terminate()
    limit = time.monotonic() + GRACE
    for process in processes:
        process.join(max(0.0, limit - time.monotonic()))
        if process.exitcode is None:
            process.kill()
            process.join()
    for child in started:
        try:
            if child.is_running():
                child.kill()
        except Exception:  # it has ended, or is not ours
            continue


def _children(pid: int | None) -> list[Any]:
    """The programs that a process has started."""
    import psutil

    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.Error:
        return []


def _why_dead(code: int | None) -> str:
    """The end of a worker, in words."""
    if code is not None and code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"its process was killed ({name}" + (", perhaps for want of memory)" if name == "SIGKILL" else ")")
    return f"its process ended with status {code}"


class Stopped(KeyboardInterrupt):
    """The batch asked this worker to end."""


def serve(pipe: Connection, setup: Setup, load: bool, workers: int) -> None:
    """A worker: clip after clip until the pipe ends; what libraries print goes nowhere."""
    _be_a_worker(workers)
    if load:
        try:
            _ = setup.job.model
        except Exception as error:
            pipe.send(("unfit", error))
            return
    try:
        pipe.send(("ready", None))
        while True:
            clip = pipe.recv()
            pipe.send(("started", None))
            pipe.send(("row", work(clip, setup, Told(pipe))))
    except (EOFError, OSError, Stopped):
        return


def _be_a_worker(workers: int) -> None:
    """Leave Ctrl-C to the batch, end with it, say nothing, and take a share of the processors."""

    def stop(*_: object) -> None:
        raise Stopped

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    warnings.simplefilter("ignore")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    sys.stdout = sys.stderr = open(os.devnull, "w")
    if workers > 1 and "OMP_NUM_THREADS" not in os.environ:
        import torch

        torch.set_num_threads(max(1, (os.cpu_count() or 1) // workers))


def _end_with_parent() -> None:
    """Kill this process when the batch has died, at once: another run may begin on the same files."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


class Told:
    """A Progress that says through a pipe how far a step is."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._last = pipe, 0.0

    def __call__(self, items: Iterable[Any], step: str, total: int | None = None) -> Iterator[Any]:
        """The same items."""
        for count, item in enumerate(items):
            if time.monotonic() - self._last > TOLD_EVERY:
                self._last = time.monotonic()
                self._pipe.send(("progress", (step, count, total)))
            yield item
