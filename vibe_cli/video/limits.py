"""How large a clip may be, so that a header that lies, or a stream without an end, stops nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vibe_cli.errors import InputError
from vibe_cli.video.clip import VideoReader


@dataclass(frozen=True)
class Limits:
    """The most that is taken of a clip; 0 is no limit."""

    megapixels: float = 120.0  # of a frame: 8K video has 33, a telephone's photograph up to 108
    minutes: float = 360.0
    frames: int = 1_000_000


class LimitedReader(VideoReader):
    """A clip whose frames end in an InputError where they become too many."""

    def __init__(self, inner: VideoReader, limits: Limits) -> None:
        super().__init__(inner.path)
        self._inner, self._limits = inner, limits
        self.width, self.height, self.fps = inner.width, inner.height, inner.fps
        self.has_audio, self.kind, self.estimated_frames = inner.has_audio, inner.kind, inner.estimated_frames
        self.stream = inner.stream
        if 0 < limits.megapixels * 1e6 < self.width * self.height:
            raise InputError(
                f"{self.path}: frames of {self.width}x{self.height} pixels, over the limit of {limits.megapixels:g} "
                "million",
                hint="scale it down, or allow it: --max-megapixels",
            )
        if self.estimated_frames is not None:
            self._check(self.estimated_frames, "")

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        for index, frame in self._inner:
            self._check(index + 1, " at least")
            yield index, frame
        self.warnings, self._info = self._inner.warnings, self._inner.info

    def close(self) -> None:
        """End the iterations that still run."""
        self._inner.close()

    def _check(self, frames: int, least: str) -> None:
        """InputError for more frames, or more minutes of them, than are allowed."""
        if 0 < self._limits.frames < frames:
            raise InputError(
                f"{self.path}:{least} {frames} frames, over the limit of {self._limits.frames}",
                hint="cut it, or allow it: --max-frames",
            )
        minutes = frames / float(self.fps) / 60
        if self.kind == "video" and 0 < self._limits.minutes < minutes:
            raise InputError(
                f"{self.path}:{least} {minutes:.1f} minutes, over the limit of {self._limits.minutes:g}",
                hint="cut it, or allow it: --max-minutes",
            )
