"""Video in and out: `open_video` streams the frames of a clip or an image folder, `VideoWriter` writes one.

Frames are RGB uint8 (H, W, 3) as displayed: turned by the rotation metadata, pixels made square, what is
transparent laid over black. They pass one at a time: nothing is dumped to disk, no clip is held in memory.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from fractions import Fraction
from io import FileIO
from pathlib import Path

import ffmpeg
import numpy as np

from vibe_cli.errors import InputError, UsageError
from vibe_cli.paths import is_utf8
from vibe_cli.video.clip import VideoReader, actual_rate, increasing_times
from vibe_cli.video.colour import write_table
from vibe_cli.video.ffmpeg import (
    FfmpegRun,
    Messages,
    ffmpeg_program,
    file_input,
    filter_value,
    passthrough_option,
)
from vibe_cli.video.images import IMAGE_SUFFIXES, RAW_SUFFIXES, frame_count, image_files
from vibe_cli.video.probe import probe_video
from vibe_cli.video.stills import IMAGE_FPS, AnimationReader, ImageReader
from vibe_cli.video.writer import VideoWriter

__all__ = ["IMAGE_FPS", "IMAGE_SUFFIXES", "VideoReader", "VideoWriter", "ffmpeg_program", "open_video"]

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.+)")
# An address without its beginning, as browsers show them
_WEB_PAGE = re.compile(r"(?:www\.[\w-]+|(?:[\w-]+\.)*[\w-]+)\.(?:com|be|org|net|tv|io|gov|edu)/\S+", re.IGNORECASE)
_APNG_SUFFIXES = (".png", ".apng")  # ffmpeg reads them: Pillow 13 disposes of frames that lie over others wrongly
# What ffmpeg says of time stamps; the pictures are whole.
_OF_TIMES = re.compile(r"\b[dp]ts\b|time ?stamps?", re.IGNORECASE)


def open_video(
    path: str | Path | VideoReader,
    image_fps: Fraction | float | None = None,
    photos: bool = False,
    stream: int | None = None,
) -> VideoReader:
    """Open a video file, a folder of images or one image; a clip that is open already is itself.

    `image_fps` is the rate at which images are taken to follow each other, IMAGE_FPS where neither it nor their
    names tell; a video file has its own. `photos` takes images as photographs, each by itself.
    `stream` is the number of a video file's stream; None: the one that is the film.
    InputError when there is nothing at `path` that can be decoded.
    """
    if isinstance(path, VideoReader):
        return path
    name, path = os.fspath(path), Path(path)
    try:
        if path.is_dir():
            files, passed_over = image_files(path)
            return ImageReader(name, files, _positive_rate(image_fps), passed_over, photos)
        if not path.exists() and (address := _ADDRESS.match(name)):
            link = f"{address[1]}://{address[2]}"
            raise InputError(
                f"{link}: an address, not a file here", hint=f"fetch it first: yt-dlp '{link}', or curl -LO"
            )
        if not path.exists() and _WEB_PAGE.match(name):
            raise InputError(
                f"{name}: no such file, but like an address", hint=f"fetch it first: yt-dlp 'https://{name}'"
            )
        if path.is_symlink() and not path.exists():
            raise InputError(
                f"{name}: a link to {os.readlink(path)}, which is not there", hint="mount or copy what it leads to"
            )
        if not path.exists():
            raise InputError(f"{name}: no such file or folder", hint="check the spelling of the path")
        if not path.is_file():
            raise InputError(f"{name}: not a regular file", hint="give a video file or a folder of images")
        with open(path, "rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror})", hint="check that you may read it") from None
    if path.suffix.lower() in RAW_SUFFIXES:
        raise InputError(f"{name}: a camera's raw file", hint="develop it first: save it as JPEG, TIFF or PNG")
    if empty:
        raise InputError(f"{name}: the file is empty", hint="copy or download it again")
    if path.suffix.lower() not in IMAGE_SUFFIXES and not is_utf8(name):
        raise InputError(
            f"{name.encode('utf-8', 'replace').decode()}: its name is not UTF-8, which ffmpeg asks for",
            hint="rename the file, or the folder before it",
        )
    if path.suffix.lower() in IMAGE_SUFFIXES - {".gif"}:
        frames = 1 if photos else frame_count(path)
        if frames < 2:
            return ImageReader(name, [path], _positive_rate(image_fps), photos=photos)
        if path.suffix.lower() not in _APNG_SUFFIXES or not is_utf8(name):
            return AnimationReader(name, frames, _positive_rate(image_fps))
    given = {"--fps": image_fps is not None, "--photos": photos}
    return FileReader(name, [option for option, chosen in given.items() if chosen], stream)


def _positive_rate(fps: Fraction | float | None) -> Fraction | None:
    if fps is None:
        return None
    rate = Fraction(fps).limit_denominator(1001)
    if rate <= 0:
        raise UsageError(f"{fps} frames a second is no rate", hint="give a positive number, for example 30")
    return rate


class FileReader(VideoReader):
    """A video file, decoded by ffmpeg into a pipe."""

    kind = "video"

    def __init__(self, path: str, of_images: Sequence[str] = (), stream: int | None = None) -> None:
        """`of_images` are the options given that have no meaning for a video."""
        super().__init__(path)
        self._notes = [f"{path}: a video, for which {option} means nothing" for option in of_images]
        probe = probe_video(Path(path), stream)
        self._notes += [probe.note] if probe.note else []
        self.stream = probe.stream if probe.note or stream is not None else None
        self._stream, self._matrix = probe.stream, probe.matrix
        self.width, self.height, self.fps = probe.width, probe.height, probe.fps
        self.has_audio, self.estimated_frames = probe.has_audio, probe.estimated_frames
        self._alpha, self._interlaced, self._colour = probe.alpha, probe.interlaced, probe.colour
        self._input = {"ignore_editlist": 1} if probe.unedited else {}
        self._running: set[FfmpegRun] = set()

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        if self._colour.is_ordinary:
            yield from self._frames(None)
            return
        with tempfile.TemporaryDirectory(prefix="vibe-") as folder:
            write_table(Path(folder) / "table.cube", self._colour)
            yield from self._frames(Path(folder) / "table.cube")

    def _frames(self, table: Path | None) -> Iterator[tuple[int, np.ndarray]]:
        run = FfmpegRun(self._command(table))
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

    def _command(self, table: Path | None) -> ffmpeg.nodes.OutputStream:
        # One decoding thread: several conceal damage in an order of chance, so that no two passes agree, and
        # are no faster beside the conversion. ffmpeg turns the frames first; showinfo then reports each with
        # its time; the fixed size holds for streams whose size changes on the way. Times are kept to the
        # microsecond, or frames that come close together would be taken for a fault.
        filters = ["showinfo"]
        if self._interlaced:
            filters.append("bwdif=mode=send_frame:deint=interlaced")
        matrix = f":in_color_matrix={self._matrix}" if self._matrix else ""
        filters.append(f"scale={self.width}:{self.height}{matrix}")
        if table is not None:
            filters += ["format=gbrp10le", f"lut3d=file={filter_value(table)}:interp=tetrahedral"]
        if self._alpha:
            filters += ["format=gbrap", "premultiply=inplace=1"]
        source = file_input(self.path, threads=1, **self._input)
        return ffmpeg.output(
            source[str(self._stream)],
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
        end = times[-1] + 1 / self.fps
        warnings = list(self._notes)
        faults = [error for error in messages.errors if not _OF_TIMES.search(error)]
        if faults or (status and not messages.errors):
            reason = faults[0] if faults else messages.reason
            warnings.append(f"{self.path}: damaged ({reason}); {count} frames could be decoded")
        elif messages.duration and end < min(0.9 * messages.duration, messages.duration - 0.5):
            warnings.append(
                f"{self.path}: its header promises {messages.duration:.1f} s, its pictures end after {end:.1f} s"
            )
        if messages.errors and not faults and not repaired:
            warnings.append(f"{self.path}: its time stamps are odd ({messages.errors[0]}); every frame was decoded")
        if repaired:
            warnings.append(
                f"{self.path}: {repaired} frames have no time stamp or one out of order; "
                "they follow the frame before at the nominal rate"
            )
        self._complete(times, actual_rate(times, self.fps), warnings)


def _read_frame(pipe: FileIO, shape: tuple[int, int, int]) -> np.ndarray | None:
    """One whole frame from an unbuffered pipe; None at its end."""
    frame = np.empty(shape, np.uint8)
    view = frame.data.cast("B")
    while len(view):
        size = pipe.readinto(view)
        if not size:
            return None
        view = view[size:]
    return frame
