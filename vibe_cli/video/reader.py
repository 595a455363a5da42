"""Video in and out: `open_video` streams the frames of a clip or an image folder, `VideoWriter` writes one.

Frames are RGB uint8 (H, W, 3) as displayed: turned by the rotation metadata, pixels made square, what is
transparent laid over black. They pass one at a time: nothing is dumped to disk, no clip is held in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import IO

import ffmpeg
import numpy as np

from vibe_cli.errors import InputError, UsageError
from vibe_cli.paths import is_utf8
from vibe_cli.results import VideoInfo
from vibe_cli.video.ffmpeg import (
    FfmpegRun,
    Messages,
    ffmpeg_program,
    file_input,
    passthrough_option,
    probe_video,
)
from vibe_cli.video.images import IMAGE_SUFFIXES, image_files, image_size, on_canvas, read_image
from vibe_cli.video.writer import VideoWriter

__all__ = ["IMAGE_FPS", "IMAGE_SUFFIXES", "VideoReader", "VideoWriter", "ffmpeg_program", "open_video"]

IMAGE_FPS = Fraction(30)  # frames a second of a folder of images, which states none


def open_video(path: str | Path, image_fps: Fraction | float = IMAGE_FPS) -> VideoReader:
    """Open a video file, a folder of images or one image.

    `image_fps` is the rate at which images are taken to follow each other; a video file has its own.
    InputError when there is nothing at `path` that can be decoded.
    """
    name, path = os.fspath(path), Path(path)
    try:
        if path.is_dir():
            return ImageReader(name, image_files(path), _positive_rate(image_fps))
        if not path.exists():
            raise InputError(f"{name}: no such file or folder", hint="check the spelling of the path")
        if not path.is_file():
            raise InputError(f"{name}: not a regular file", hint="give a video file or a folder of images")
        with open(path, "rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror})", hint="check that you may read it") from None
    if empty:
        raise InputError(f"{name}: the file is empty", hint="copy or download it again")
    if path.suffix.lower() not in IMAGE_SUFFIXES and not is_utf8(name):
        raise InputError(
            f"{name.encode('utf-8', 'replace').decode()}: its name is not UTF-8, which ffmpeg asks for",
            hint="rename the file, or the folder before it",
        )
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageReader(name, [path], _positive_rate(image_fps))
    return FileReader(name)


def _positive_rate(fps: Fraction | float) -> Fraction:
    rate = Fraction(fps).limit_denominator(1001)
    if rate <= 0:
        raise UsageError(f"{fps} frames a second is no rate", hint="give a positive number, for example 30")
    return rate


class VideoReader:
    """A clip to iterate over, as often as wanted: (index, frame) with frames RGB uint8 (height, width, 3).

    Each iteration decodes anew and gives the same frames. `with` ends what still runs at its end.
    """

    width: int  # pixels, as displayed
    height: int
    fps: Fraction  # the nominal rate; `info.fps` is the better one where the rate varies
    has_audio: bool
    kind: str  # video | images
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

    def _complete(self, times: np.ndarray, fps: Fraction, warnings: list[str]) -> None:
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
        )


class FileReader(VideoReader):
    """A video file, decoded by ffmpeg into a pipe."""

    kind = "video"

    def __init__(self, path: str) -> None:
        super().__init__(path)
        probe = probe_video(Path(path))
        self.width, self.height, self.fps = probe.width, probe.height, probe.fps
        self.has_audio, self.estimated_frames = probe.has_audio, probe.estimated_frames
        self._alpha = probe.alpha
        self._running: set[FfmpegRun] = set()

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        run = FfmpegRun(self._command())
        self._running.add(run)
        count = 0
        try:
            while (frame := _read_frame(run.stdout, (self.height, self.width, 3))) is not None:
                yield count, frame
                count += 1
            status = run.finish()
        finally:
            self._running.discard(run)
            run.kill()
        self._finish(count, status, run.messages)

    def close(self) -> None:
        """End the iterations that still run."""
        while self._running:
            self._running.pop().kill()

    def _command(self) -> ffmpeg.nodes.OutputStream:
        # One decoding thread: several conceal damage in an order of chance, so that no two passes agree, and
        # are no faster beside the conversion. ffmpeg turns the frames first; showinfo then reports each with
        # its time; the fixed size holds for streams whose size changes on the way. Times are kept to the
        # microsecond, or frames that come close together would be taken for a fault.
        filters = ["showinfo", f"scale={self.width}:{self.height}"]
        if self._alpha:
            filters += ["format=gbrap", "premultiply=inplace=1"]
        source = file_input(self.path, threads=1)
        return ffmpeg.output(
            source["V:0"],
            "pipe:",
            f="rawvideo",
            vf=",".join([*filters, "format=rgb24"]),
            pix_fmt="rgb24",
            enc_time_base="1:1000000",
            **passthrough_option(ffmpeg_program()),
        )

    def _finish(self, count: int, status: int, messages: Messages) -> None:
        """Draw up `info` and `warnings`. InputError when nothing was decoded."""
        if not count:
            raise InputError(
                f"{self.path}: none of its frames can be decoded ({messages.reason})",
                hint="check that it plays in a video player",
            )
        times, repaired = increasing_times(messages.times[:count], count, self.fps)
        end, warnings = times[-1] + 1 / self.fps, []
        if status or messages.errors:
            warnings.append(f"{self.path}: damaged ({messages.reason}); {count} frames could be decoded")
        elif messages.duration and end < min(0.9 * messages.duration, messages.duration - 0.5):
            warnings.append(
                f"{self.path}: its header promises {messages.duration:.1f} s, its pictures end after {end:.1f} s"
            )
        if repaired:
            warnings.append(
                f"{self.path}: {repaired} frames have no time stamp or one out of order; "
                "they follow the frame before at the nominal rate"
            )
        self._complete(times, actual_rate(times, self.fps), warnings)


def _read_frame(pipe: IO[bytes], shape: tuple[int, int, int]) -> np.ndarray | None:
    """One whole frame from an unbuffered pipe; None at its end."""
    frame = np.empty(shape, np.uint8)
    view = memoryview(frame).cast("B")
    while len(view):
        size = pipe.readinto(view)
        if not size:
            return None
        view = view[size:]
    return frame


def increasing_times(stamps: list[float | None], count: int, fps: Fraction) -> tuple[np.ndarray, int]:
    """Strictly increasing times (count,) float64 seconds, and how many stamps had to be replaced.

    A stamp that is missing or not after the frame before is replaced by that frame's time plus 1 / fps.
    """
    times, repaired = np.zeros(count), 0
    for index, stamp in enumerate([*stamps, *[None] * (count - len(stamps))]):
        if stamp is None or (index and stamp <= times[index - 1]):
            stamp = times[index - 1] + float(1 / fps) if index else 0.0
            repaired += 1
        times[index] = stamp
    return times, repaired


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


class ImageReader(VideoReader):
    """Images as the frames of a clip.

    Images of different sizes lie at the top left of a frame that holds the largest, the rest black, so that
    pixel positions in each image stay true; `warnings` says so, and names images that cannot be read.
    """

    kind = "images"
    has_audio = False

    def __init__(self, path: str, files: list[Path], fps: Fraction) -> None:
        super().__init__(path)
        self.fps, self.estimated_frames, self._files = fps, len(files), files
        sizes = {file: size for file in files if (size := image_size(file)) is not None}
        if not sizes:
            raise InputError(f"{path}: no image can be decoded", hint="check it in an image viewer")
        self.width = max(width for width, _ in sizes.values())
        self.height = max(height for _, height in sizes.values())
        self._odd = next((file for file, size in sizes.items() if size != (self.width, self.height)), None)

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        times: list[float] = []
        unreadable: list[str] = []
        for position, file in enumerate(self._files):
            image = read_image(file)
            if image is None:
                unreadable.append(file.name)
                continue
            yield len(times), on_canvas(image, self.height, self.width)
            times.append(float(position / self.fps))
        self._finish(times, unreadable)

    def _finish(self, times: list[float], unreadable: list[str]) -> None:
        if not times:
            raise InputError(f"{self.path}: no image can be decoded", hint="check it in an image viewer")
        warnings = []
        if self._odd is not None:
            warnings.append(
                f"{self.path}: the images differ in size ({self._odd.name} is not {self.width}x"
                f"{self.height}); the smaller ones are padded with black at the right and bottom"
            )
        if unreadable:
            warnings.append(
                f"{self.path}: {len(unreadable)} images cannot be decoded and are left out: "
                + ", ".join(unreadable[:5])
                + (", …" if len(unreadable) > 5 else "")
            )
        self._complete(np.array(times), self.fps, warnings)
