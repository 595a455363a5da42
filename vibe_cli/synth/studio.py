"""The materials of synthetic people, and workers to make them: a body, motions and pictures, shared by workers."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import pickle
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from vibe_cli.errors import InputError, ModelError
from vibe_cli.paths import models_dir
from vibe_cli.synth.bodies import SynthBody
from vibe_cli.synth.bundle import is_bundle, read_bundle
from vibe_cli.synth.mocap import Clip, read_mocap
from vibe_cli.synth.pictures import INSTALL, Pictures, load_pictures
from vibe_cli.synth.poses import HOLD_OUT_EVERY, PoseBank

Made = TypeVar("Made")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # which libraries read once, as they load


@dataclass(frozen=True, eq=False)
class Studio:
    """A body, motions and pictures, from which everything is drawn."""

    body: SynthBody
    clips: list[Clip]
    pictures: Pictures = field(repr=False)

    @cached_property
    def bank(self) -> PoseBank:
        """The motions that may be trained on."""
        return PoseBank(self.clips)

    @cached_property
    def held_out(self) -> PoseBank:
        """Every eighth motion, which training never sees."""
        return PoseBank(self.clips, held_out=True)


def open_studio(mocap: Path, backgrounds: Path | None = None) -> Studio:
    """From motion capture in a folder or archive, or from a bundle; pictures of a folder take the place of ours.

    InputError where there is nothing to draw from, ModelError where a package for it is missing.
    """
    check_sources(mocap, backgrounds)
    if is_bundle(mocap):
        bundle = read_bundle(mocap)
        pictures = load_pictures(backgrounds, bundle.pictures.photographs) if backgrounds else bundle.pictures
        studio = Studio(bundle.body, bundle.clips, pictures)
    else:
        if find_spec("fast_simplification") is None:
            raise ModelError("drawing people needs the Python package fast_simplification", hint=INSTALL)
        pictures, clips = load_pictures(backgrounds), read_mocap(mocap)
        studio = Studio(SynthBody.load(models_dir() / "open-body" / "weights.safetensors"), clips, pictures)
    if len(studio.clips) < HOLD_OUT_EVERY:
        raise InputError(
            f"{mocap}: {len(studio.clips)} motions, and at least {HOLD_OUT_EVERY} are needed",
            hint=f"one in {HOLD_OUT_EVERY} is held out for validation; give more motion capture",
        )
    return studio


def check_sources(mocap: Path, backgrounds: Path | None) -> None:
    """InputError where there is nothing at either."""
    if not mocap.exists():
        raise InputError(
            f"{mocap}: no such file or folder",
            hint="CMU's motion capture is free: mocap.cs.cmu.edu; AMASS: amass.is.tue.mpg.de",
        )
    if backgrounds is not None and not backgrounds.is_dir():
        raise InputError(f"{backgrounds}: no such folder", hint="give --backgrounds a folder of .jpg, .png, .hdr files")


def mark_sources(mocap: Path, backgrounds: Path | None) -> str:
    """The identity of motions and pictures without reading them: a hash of their files' names and sizes."""
    found: list[list[tuple[str, int]]] = []
    for source in (mocap, backgrounds):
        if source is None:
            found.append([])
            continue
        files = sorted(source.rglob("*")) if source.is_dir() else [source]
        found.append(
            [
                (str(file.relative_to(source)) if file != source else file.name, file.stat().st_size)
                for file in files
                if file.is_file()
            ]
        )
    return hashlib.sha256(repr(found).encode()).hexdigest()[:16]


def work(studio: Studio, task: Callable[[Studio, int], Made], numbers: range, workers: int) -> Iterator[Made]:
    """task(studio, number) for every number, in order, by so many processes; who makes what changes nothing."""
    import cv2

    if workers <= 1 or len(numbers) <= 1:
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            yield from map(partial(task, studio), numbers)
        finally:
            cv2.setNumThreads(threads)
        return
    context = multiprocessing.get_context("spawn")
    # By a file: what is handed to a process as it starts holds up the next one until it has been read.
    with tempfile.TemporaryDirectory(prefix="vibe-studio-") as folder:
        file = Path(folder) / "studio.pickle"
        with file.open("wb") as target:
            pickle.dump(studio, target, pickle.HIGHEST_PROTOCOL)
        with one_thread_each():
            pool = context.Pool(min(workers, len(numbers)), _enter, (file,))
        with pool:
            yield from pool.imap(partial(_run, task), numbers)


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Processes begun in here have one thread each for matrix products, where the user has not said otherwise.

    As many threads as processors in each of as many processes wait for one another: half the speed on two processors.
    """
    told = [name for name in THREADS if name not in os.environ]
    os.environ.update(dict.fromkeys(told, "1"))
    try:
        yield
    finally:
        for name in told:
            os.environ.pop(name, None)


def default_workers() -> int:
    """How many processors this process may use."""
    with suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_here: Studio | None = None  # a worker's


def _enter(file: Path) -> None:
    global _here
    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends the workers
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    cv2.setNumThreads(1)
    with file.open("rb") as source:
        _here = pickle.load(source)  # written by the parent a moment ago, where nobody else may write


def _run(task: Callable[[Studio, int], Made], number: int) -> Made:
    if _here is None:
        raise RuntimeError("a worker that was given no studio")
    return task(_here, number)
