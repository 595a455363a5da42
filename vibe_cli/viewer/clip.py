"""The clip, small enough to travel in a page: H.264 in MP4, of every frame, silent."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vibe_cli.progress import Progress
from vibe_cli.video.reader import open_video
from vibe_cli.video.writer import TICKS, VideoWriter, timing

if TYPE_CHECKING:
    from vibe_cli.results import VideoInfo

LONGEST = 640  # pixels, the longer side
BYTES_A_SECOND = 45_000  # 2.7 MB a minute
LEAST_BYTES = 400_000  # that a clip may have, however short
CRFS = (27, 32, 37, 42)  # H.264's quality, the best that is small enough


def shown_times(video: VideoInfo, frames: range) -> np.ndarray:
    """(N,) seconds at which the video of `small_clip` shows each frame."""
    times = _times_from_zero(video, frames)
    offset, ticks = timing(times, video.fps)
    if ticks is None:
        return offset + np.arange(len(times)) / float(video.fps)
    return offset + np.array(ticks[:-1]) / TICKS


def small_clip(clip: Path, video: VideoInfo, frames: range, progress: Progress) -> bytes:
    """The frames `frames` of a clip as MP4; InputError where they cannot be read."""
    width, height = small_size(video)
    times = _times_from_zero(video, frames)
    most = max(LEAST_BYTES, BYTES_A_SECOND * float(times[-1] - times[0]))
    with tempfile.TemporaryDirectory(prefix="vibe-") as folder:
        source, data = clip, b""
        for number, crf in enumerate(CRFS):
            small = Path(folder) / f"{crf}.mp4"
            with VideoWriter(small, width, height, video.fps, times=times, crf=crf) as writer:
                read = _frames(source, frames if not number else range(len(frames)), (width, height))
                for frame in progress(read, "Making the page's video", len(frames)):
                    writer.write(frame)
            data = small.read_bytes()
            if len(data) <= most:
                break
            source = Path(folder) / f"{CRFS[0]}.mp4"  # it is small already, and faster to read than the clip
    return data


def small_size(video: VideoInfo) -> tuple[int, int]:
    """(width, height) of the page's video, both even."""
    scale = min(1.0, LONGEST / max(video.width, video.height))
    width, height = (max(2, round(side * scale / 2) * 2) for side in (video.width, video.height))
    return width, height


def _times_from_zero(video: VideoInfo, frames: range) -> np.ndarray:
    return video.times[frames.start : frames.stop] - video.times[frames.start]


def _frames(clip: Path, frames: range, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Some frames of a clip, RGB uint8, of a size (width, height)."""
    import cv2

    with open_video(clip) as video:
        for _, frame in islice(video, frames.start, frames.stop):
            yield cv2.resize(frame, size, interpolation=cv2.INTER_AREA) if frame.shape[1::-1] != size else frame
