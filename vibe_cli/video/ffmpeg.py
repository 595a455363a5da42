"""The ffmpeg program: finding it, running it, reading what it says; never waiting on it for ever.

The wheel that brings ffmpeg brings no ffprobe, so a file is probed by decoding one frame through the
`showinfo` filter, whose messages also carry the time stamp of every frame that is decoded.
"""

from __future__ import annotations

import functools
import io
import os
import re
import shutil
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import ffmpeg

from vibe_cli.errors import InputError
from vibe_cli.video.colour import Colour

# Errors, warnings and showinfo's lines, each with its level; no progress line, no keyboard.
_QUIET = ("-hide_banner", "-nostdin", "-nostats", "-loglevel", "repeat+level+info")
_LINE = re.compile(r"^((?:\[[^\]]* @ [^\]]*\] )*)\[(panic|fatal|error|warning|info)\] (.*)$")
_STREAM = re.compile(r"^\s*Stream #0:(\d+)(?:\[\w+\])?(?:\([^)]*\))?: (Video|Audio): (\w+)(.*)$")
_SIZE = re.compile(r", (\d+)x(\d+)[ ,]")
_NO_FILM = ("(attached pic)", "(timed thumbnails)", "(still image)")  # streams that are pictures of one
_DURATION = re.compile(r"^\s*Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)")
_CONFIG = re.compile(r"config in time_base: (\d+)/(\d+), frame_rate: (\d+)/(\d+)")
_FRAME = re.compile(
    r"n: *\d+ pts: *(-?\d+|NOPTS) .*?fmt:(\w+).*? sar:(\d+)/(\d+) s:(\d+)x(\d+) (?:i:(.)(?:.*? type:(\w))?)?"
)
_COLOUR = re.compile(r"color_range:\S+ color_space:(\S+) color_primaries:(\S+) color_trc:(\S+)")
_KEPT_LINES = 400  # of the banner; a file can carry any amount of metadata
_KEPT_ERRORS = 50  # a damaged file can bring one for every block of every frame


@functools.lru_cache(maxsize=1)
def ffmpeg_program() -> str:
    """The system's ffmpeg where it will do, otherwise the wheel's, otherwise the system's as it is.

    It will do from 5.1 (2022) on and with H.264, which some distributions leave out.
    """
    system = shutil.which("ffmpeg")
    if system and _is_recent(system) and " libx264 " in _output_of(system, "-encoders"):
        return system
    try:
        import imageio_ffmpeg

        return imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        if system:
            return system
        raise InputError(
            "the ffmpeg program was not found", hint="install it, or: pip install --force-reinstall imageio-ffmpeg"
        ) from None


@functools.lru_cache(maxsize=8)
def passthrough_option(program: str) -> dict[str, str]:
    """The option that lets each frame out once with its own time: `fps_mode` since 5.1, `vsync` before."""
    return {"fps_mode" if _is_recent(program) else "vsync": "passthrough"}


def _is_recent(program: str) -> bool:
    """Whether it is of version 5.1 or later, told by the one part whose number no distribution rewrites."""
    version = re.search(r"libavutil\s+(\d+)\.\s*(\d+)\.", _output_of(program, "-version"))
    return version is not None and (int(version[1]), int(version[2])) >= (57, 28)


def _output_of(program: str, option: str) -> str:
    """The program's output for one informative option; empty when it cannot run."""
    try:
        done = subprocess.run(
            [program, "-hide_banner", option], stdin=subprocess.DEVNULL, capture_output=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace")


def file_input(path: str | Path, **options: object) -> ffmpeg.nodes.FilterableStream:
    """A local file as an input, whatever its name looks like; a playlist in it cannot reach the network."""
    return ffmpeg.input("file:" + os.fspath(path), protocol_whitelist="file", **options)


def filter_value(path: Path) -> str:
    """A path as the value of a filter's option: escaped for the option, and again for the graph (ffmpeg-filters)."""
    value = re.sub(r"([\\':])", r"\\\1", path.as_posix())
    return re.sub(r"([\\'\[\],;])", r"\\\1", value)


class Stream(NamedTuple):
    """A stream of a file, as ffmpeg's banner describes it."""

    number: int  # among all streams of the file, from 0
    codec: str
    description: str

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of its frames as they are stored; zeros where the header says nothing."""
        size = _SIZE.search(self.description + ",")
        return (int(size[1]), int(size[2])) if size else (0, 0)

    @property
    def is_default(self) -> bool:
        """Whether the file says that players should take it."""
        return "(default)" in self.description


class Messages:
    """The log of one ffmpeg: the banner's lines, the errors, and a time stamp for every decoded frame."""

    def __init__(self) -> None:
        self.banner: list[str] = []  # info lines, the first few hundred
        self.errors: list[str] = []  # without levels and addresses, the first few
        self.error_count = 0
        self.times: list[float | None] = []  # seconds; None where the file has none
        self.time_base: Fraction | None = None
        self.frame_rate: Fraction | None = None
        self.first_frame: re.Match[str] | None = None
        self.colour: Colour | None = None  # of the first frame
        self.matrix = ""  # of its luma and chroma, in ffmpeg's name
        self.interlaced = False  # any frame
        self.reordered = False  # any frame is coded after a later one (B)
        self.status: int | None = None  # the exit status, once it has ended

    def add(self, line: str) -> None:
        """Take in one line of stderr."""
        parts = _LINE.match(line)
        if parts is None:
            return
        context, level, text = parts.groups()
        if context.startswith("[Parsed_showinfo"):
            self._add_showinfo(text)
        elif level in ("panic", "fatal", "error"):
            self.error_count += 1
            if len(self.errors) < _KEPT_ERRORS:
                self.errors.append(_without_prefix(text))
        elif level == "info" and len(self.banner) < _KEPT_LINES:
            self.banner.append(text)

    def _add_showinfo(self, text: str) -> None:
        frame = _FRAME.match(text)
        if frame is not None:
            self.first_frame = self.first_frame or frame
            self.interlaced |= frame[7] in ("T", "B")
            self.reordered |= frame[8] == "B"
            tick = self.time_base if frame[1] != "NOPTS" else None
            self.times.append(float(int(frame[1]) * tick) if tick is not None else None)
            return
        colour = _COLOUR.match(text)
        if colour is not None:
            self.matrix = self.matrix or colour[1]
            self.colour = self.colour or Colour(colour[2], colour[3])
            return
        config = _CONFIG.match(text)
        if config is not None:
            base, scale, rate, per = (int(group) for group in config.groups())
            self.time_base = Fraction(base, scale) if base and scale else None
            self.frame_rate = Fraction(rate, per) if rate and per else None

    @property
    def reason(self) -> str:
        """The first error, which is the most exact one; where there is none, the exit status."""
        return self.errors[0] if self.errors else f"it ended with status {self.status}"

    @property
    def demuxer(self) -> str:
        """The input's format as ffmpeg named it; empty when it could not be opened."""
        line = next((line for line in self.banner if line.startswith("Input #0, ")), "")
        return line.removeprefix("Input #0, ").partition(", from ")[0]

    def streams(self, kind: str) -> list[Stream]:
        """The input's Video or Audio streams; a cover picture is not a video."""
        found = []
        for line in self.banner:
            if line.startswith(("Stream mapping", "Output #0")):
                break
            match = _STREAM.match(line)
            if match and match[2] == kind and match[3] != "none" and not any(word in match[4] for word in _NO_FILM):
                found.append(Stream(int(match[1]), match[3], match[4]))
        return found

    @property
    def duration(self) -> float | None:
        """Seconds as the container's header claims."""
        match = next(filter(None, map(_DURATION.match, self.banner)), None)
        return None if match is None else int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3])


def _without_prefix(text: str) -> str:
    """An error without what only repeats that a file was being opened."""
    return re.sub(r"^(Error opening input: |file:.*: (?=[A-Z]))", "", text.strip().rstrip("."))


if sys.platform == "win32":
    _OWN_GROUP = subprocess.CREATE_NEW_PROCESS_GROUP
else:
    _OWN_GROUP = 0  # a session of its own does it


class FfmpegRun:
    """A running ffmpeg whose messages a thread drains, so that it never blocks on them.

    It has a process group of its own: Ctrl-C in a terminal reaches the program, which then ends ffmpeg.
    """

    def __init__(self, stream: ffmpeg.nodes.OutputStream, *, feed: bool = False) -> None:
        command = ffmpeg.compile(stream.global_args(*_QUIET), cmd=ffmpeg_program(), overwrite_output=True)
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
                stdout=subprocess.DEVNULL if feed else subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                creationflags=_OWN_GROUP,
                start_new_session=not _OWN_GROUP,
            )
        except OSError as error:
            raise InputError(
                f"{command[0]}: ffmpeg does not start ({error.strerror})",
                hint="reinstall it, or: pip install --force-reinstall imageio-ffmpeg",
            ) from None
        self.messages = Messages()
        self._drain = threading.Thread(target=self._read_messages, daemon=True)
        self._drain.start()

    def _read_messages(self) -> None:
        if self._process.stderr is None:
            return
        with open(self._process.stderr.fileno(), "rb", closefd=False) as lines:
            for line in lines:
                self.messages.add(line.decode("utf-8", "replace").rstrip("\r\n"))

    @property
    def stdout(self) -> io.FileIO:
        """The pipe out of ffmpeg, unbuffered."""
        if not isinstance(self._process.stdout, io.FileIO):
            raise ValueError("an ffmpeg that is fed gives nothing back")
        return self._process.stdout

    def write(self, data: memoryview | bytes) -> None:
        """Feed all of `data`; OSError when ffmpeg no longer listens."""
        if self._process.stdin is None:
            raise ValueError("an ffmpeg that is not fed takes nothing")
        view = memoryview(data).cast("B")
        while len(view):
            view = view[self._process.stdin.write(view) :]

    def finish(self) -> int:
        """End the input, wait for ffmpeg and its last message; the exit status."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        return self._reap()

    def kill(self) -> None:
        """End ffmpeg now, if it still runs, and leave no process, thread or pipe behind."""
        if self._process.poll() is None:
            self._process.kill()
        self._reap()

    def _reap(self) -> int:
        status = self.messages.status = self._process.wait()
        self._drain.join()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        return status


def run_to_end(stream: ffmpeg.nodes.OutputStream) -> tuple[int, Messages]:
    """Run ffmpeg with nothing to read from it: its exit status and what it said."""
    run = FfmpegRun(stream)
    try:
        return run.finish(), run.messages
    finally:
        run.kill()
