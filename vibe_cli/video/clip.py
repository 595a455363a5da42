"""The interface of every clip: frames to iterate over, and the times that they were taken at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np

from vibe_cli.results import VideoInfo

AFTER = 3  # frames whose stamps tell one that runs ahead


class VideoReader:
    """A clip to iterate over, as often as wanted: (index, frame) with frames RGB uint8 (height, width, 3).

    Each iteration decodes anew and gives the same frames. `with` ends what still runs at its end.
    """

    width: int  # pixels, as displayed
    height: int
    fps: Fraction  # the nominal rate; `info.fps` is the better one where the rate varies
    has_audio: bool
    kind: str  # video | images | photos
    stream: int | None = None  # of a file of several videos, the one that is read
    estimated_frames: int | None  # before decoding, for progress bars; None when the header says nothing
    warnings: list[str]  # what was wrong with the clip and did not stop its last full iteration

    def __init__(self, path: str) -> None:
        self.path = path  # as the user gave it
        self.warnings = []
        self._info: VideoInfo | None = None

    @property
    def info(self) -> VideoInfo:
        """The clip with the time of every decoded frame: known once it has been iterated over to its end."""
        if self._info is None:
            raise RuntimeError(f"{self.path}: info is known after a full iteration")
        return self._info

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        raise NotImplementedError

    def close(self) -> None:
        """End the iterations that still run."""

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _complete(self, times: np.ndarray, fps: Fraction, warnings: list[str], files: tuple[str, ...] = ()) -> None:
        """Keep what a full iteration has shown."""
        self.warnings = warnings
        self._info = VideoInfo(
            path=self.path,
            width=self.width,
            height=self.height,
            fps=fps,
            times=times,
            has_audio=self.has_audio,
            kind=self.kind,
            files=files,
            stream=self.stream,
        )


def increasing_times(stamps: list[float | None], count: int, fps: Fraction) -> tuple[np.ndarray, int]:
    """Strictly increasing times (count,) float64 seconds, and how many stamps had to be replaced.

    A stamp that is missing or not after the frame before is replaced by that frame's time plus 1 / fps, and so is one
    that runs far ahead of all others: those after it go on from the frame before.
    """
    times, repaired = np.zeros(count), 0
    padded: list[float | None] = [*stamps, *[None] * (count - len(stamps))]
    for index, stamp in enumerate(padded):
        if stamp is not None and index and _is_ahead(stamp, padded[index + 1 : index + 1 + AFTER], times[index - 1]):
            stamp = None
        if stamp is None or (index and stamp <= times[index - 1]):
            stamp = times[index - 1] + float(1 / fps) if index else 0.0
            repaired += 1
        times[index] = stamp
    return times, repaired


def _is_ahead(stamp: float, after: Sequence[float | None], before: float) -> bool:
    """Whether all of the next stamps lie between the frame before and this one."""
    return len(after) == AFTER and all(other is not None and before < other < stamp for other in after)


def actual_rate(times: np.ndarray, nominal: Fraction) -> Fraction:
    """The nominal rate where the time stamps bear it out, otherwise their mean rate.

    They do when their mean is within 1% of it, or when nine steps in ten are: some frames are missing then.
    """
    if len(times) < 2:
        return nominal
    steps = np.diff(times)
    near = np.abs(steps - float(1 / nominal)) <= max(0.01 / nominal, 0.002)
    if abs(steps.mean() * nominal - 1) <= 0.01 or near.mean() >= 0.9:
        return nominal
    return Fraction(1 / steps.mean()).limit_denominator(1001)
