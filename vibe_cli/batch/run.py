"""A batch from its plan to its reports."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace

from vibe_cli.batch.lock import locked
from vibe_cli.batch.marks import MOTION, read_mark, tidy
from vibe_cli.batch.pieces import LEAST_BYTES, Cutting
from vibe_cli.batch.plan import Clip, Plan
from vibe_cli.batch.pool import LocalPool, Pool
from vibe_cli.batch.remote import pull
from vibe_cli.batch.report import BatchReport
from vibe_cli.batch.schedule import Listener, Policy, Schedule
from vibe_cli.batch.work import FAILED, Row, Setup, finished_row
from vibe_cli.report import plain
from vibe_cli.run_folder import PICTURE_NAME, make_writable

ENGINES = ("local", "ray")
WRITTEN_EVERY = 30.0  # seconds between two reports of a batch under way


@dataclass(frozen=True)
class BatchOptions:
    """How a batch is run; none of it changes a result."""

    workers: int = 1
    engine: str = "local"  # of ENGINES
    address: str | None = None  # of the Ray cluster
    gpus: float | None = None  # of each Ray worker; None: what divides the cluster's among the workers
    piece_frames: int = Cutting.frames  # of the shortest piece of a long clip that several workers share; 0 cuts none
    policy: Policy = field(default_factory=Policy)


def left_to_do(plan: Plan, setup: Setup) -> tuple[list[Clip], dict[str, Row]]:
    """The clips of which something is missing, and the rows of all others."""
    rows = {clip.name: row for clip in plan.clips if (row := finished_row(clip, setup.keys))}
    return [clip for clip in plan.clips if clip.name not in rows], rows


def run_batch(
    plan: Plan,
    setup: Setup,
    options: BatchOptions,
    begin: Callable[[list[Clip]], Listener],
    target: str | None = None,
) -> BatchReport:
    """Run what is missing of a plan, and write the reports, at the end and on the way.

    `begin` is told the clips that are left, and gives whom to tell how it goes. InputError where another run works in
    the output folder. The reports go to the URL `target` too, where there is one. However it ends, what was finished
    is kept, marked and in the reports.
    """
    output = setup.job.output
    make_writable(output)
    with locked(output):
        clips, rows = left_to_do(plan, setup)
        start = time.time()
        job = plain({"model": setup.job.choice, "run": setup.job.options})
        facts = {"options": plain(options), "job": job, "passed_over": plan.passed_over, "seconds": 0.0}
        report = BatchReport(plan.clips, rows, output, facts, target)
        listener = _Reporting(begin(clips), report, start)
        try:
            if clips:
                setup = replace(setup, cutting=_cutting(options, clips))
                with closing(_pool(options, setup, clips)) as pool:
                    Schedule(clips, pool, options.policy, listener).run()
        finally:
            report.facts["seconds"] = round(time.time() - start, 1)
            report.write()
    return report


def _cutting(options: BatchOptions, clips: list[Clip]) -> Cutting:
    """How clips are cut; none where there is one worker, or none can be long."""
    least = 2 * LEAST_BYTES * options.piece_frames
    long = options.workers > 1 and any(clip.size >= least for clip in clips)
    return Cutting(options.piece_frames if long else 0, options.workers)


def _pool(options: BatchOptions, setup: Setup, clips: list[Clip]) -> Pool:
    """The workers, no more than there are clips, unless clips may be cut."""
    marks = (read_mark(clip.folder) for clip in clips)
    load = any(mark is None or MOTION in mark.missing(setup.keys) for mark in marks)
    size = options.workers if setup.cutting.frames else min(options.workers, len(clips))
    if options.engine == "ray":
        from vibe_cli.batch.ray_pool import RayPool

        return RayPool(size, setup, load, options.address, options.gpus)
    return LocalPool(size, setup, load)


class _Reporting:
    """Keeps the rows, writes the reports now and then, and tells a listener."""

    def __init__(self, listener: Listener, report: BatchReport, start: float) -> None:
        self._listener, self._report = listener, report
        self._start = self._written = start

    def began(self, slot: int, clip: Clip) -> None:
        """A worker has begun with a clip."""
        self._listener.began(slot, clip)

    def moved(self, slot: int, step: str, done: int, total: int | None) -> None:
        """A worker is so far with a step."""
        self._listener.moved(slot, step, done, total)

    def ended(self, slot: int, clip: Clip, row: Row, again: bool) -> None:
        """A clip is through, or is tried again later."""
        if row.status == FAILED:
            tidy(clip, self._report.output, again)
        elif clip.remote is not None and clip.remote.target is not None and not again:
            pull(clip, (PICTURE_NAME,))
        if not again:
            self._report.rows[clip.name] = row
        self._listener.ended(slot, clip, row, again)
        now = time.time()
        if now - self._written > WRITTEN_EVERY:
            self._written = now
            self._report.facts["seconds"] = round(now - self._start, 1)
            self._report.write()
