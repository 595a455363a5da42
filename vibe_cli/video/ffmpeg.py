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
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import ffmpeg

from vibe_cli.errors import InputError
from vibe_cli.video.colour import Colour

# Errors, warnings and showinfo's lines, each with its level; no progress line, no keyboard.
_QUIET = ("-hide_banner", "-nostdin", "-nostats", "-loglevel", "repeat+level+info")
_LINE = re.compile(r"^((?:\[[^\]]* @ [^\]]*\] )*)\[(panic|fatal|error|warning|info)\] (.*)$")
_STREAM = re.compile(r"^\s*Stream #0:\d+(?:\[\w+\])?(?:\([^)]*\))?: (Video|Audio): (\w+)(.*)$")
_DURATION = re.compile(r"^\s*Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)")
_CONFIG = re.compile(r"config in time_base: (\d+)/(\d+), frame_rate: (\d+)/(\d+)")
_FRAME = re.compile(r"n: *\d+ pts: *(-?\d+|NOPTS) .*?fmt:(\w+).*? sar:(\d+)/(\d+) s:(\d+)x(\d+) (?:i:(.))?")
_COLOUR = re.compile(r"color_range:\S+ color_space:\S+ color_primaries:(\S+) color_trc:(\S+)")
_ALPHA = re.compile(r"^(yuva|gbrap|rgba|bgra|argb|abgr|ya\d|yaf|pal8|ayuv|vuya)")
_TEXT_ART = ("tty", "bin", "xbin", "adf", "idf")  # ffmpeg draws text files as pictures
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
        self.interlaced = False  # any frame
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
            tick = self.time_base if frame[1] != "NOPTS" else None
            self.times.append(float(int(frame[1]) * tick) if tick is not None else None)
            return
        colour = _COLOUR.match(text)
        if colour is not None:
            self.colour = self.colour or Colour(colour[1], colour[2])
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

    def streams(self, kind: str) -> list[tuple[str, str]]:
        """(codec, description) of the input's Video or Audio streams; a cover picture is not a video."""
        found = []
        for line in self.banner:
            if line.startswith(("Stream mapping", "Output #0")):
                break
            stream = _STREAM.match(line)
            if stream and stream[1] == kind and stream[2] != "none" and "(attached pic)" not in stream[3]:
                found.append((stream[2], stream[3]))
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


@dataclass(frozen=True)
class Probe:
    """Facts about a video file from its header and first decoded frame."""

    width: int  # pixels as displayed: turned by the rotation metadata, pixels made square
    height: int
    fps: Fraction  # the nominal rate
    alpha: bool  # the frames carry transparency
    has_audio: bool
    interlaced: bool
    colour: Colour  # what its code values mean
    estimated_frames: int | None  # by the header's duration; None when it has none


def probe_video(path: Path) -> Probe:
    """Decode one frame of a video file. InputError when there is none to decode."""
    source = file_input(path)
    _, messages = run_to_end(ffmpeg.output(source["V:0"], "-", f="null", vf="showinfo", **{"frames:v": 3}))
    videos = messages.streams("Video")
    if messages.first_frame is None or not videos or messages.demuxer in _TEXT_ART:
        raise _unreadable(path, messages)
    pixel_format = messages.first_frame[2]
    sar_x, sar_y, width, height = (int(number) for number in messages.first_frame.group(3, 4, 5, 6))
    aspect = Fraction(sar_x, sar_y) if sar_x and sar_y else Fraction(1)
    if not Fraction(1, 4) <= aspect <= 4:
        aspect = Fraction(1)  # nonsense in the header, not an anamorphic lens
    claimed = re.search(r" (\d+(?:\.\d+)?)(k?) fps", videos[0][1])
    mean = float(claimed[1]) * (1000 if claimed[2] else 1) if claimed else 0.0
    fps = messages.frame_rate or Fraction(mean).limit_denominator(1001) or Fraction(30)
    frames = None if messages.duration is None else max(1, round(messages.duration * (mean or float(fps))))
    return Probe(
        width=max(1, round(width * aspect)),
        height=height,
        fps=fps,
        alpha=_ALPHA.match(pixel_format) is not None,
        has_audio=bool(messages.streams("Audio")),
        interlaced=messages.interlaced,
        colour=messages.colour or Colour(),
        estimated_frames=frames,
    )


def _unreadable(path: Path, messages: Messages) -> InputError:
    """Why nothing could be decoded, told apart by how far ffmpeg came."""
    hint = "check that it plays in a video player; if it was copied or downloaded, fetch it again"
    if messages.status is not None and messages.status < 0:
        return InputError(
            f"{path}: ffmpeg crashed on it (signal {-messages.status})",
            hint="update ffmpeg, or: pip install --upgrade imageio-ffmpeg",
        )
    if messages.demuxer in _TEXT_ART or not messages.demuxer and _is_text(path):
        return InputError(f"{path}: a text file, not a video", hint="give a video file or a folder of images")
    if messages.streams("Video"):
        return InputError(f"{path}: none of its frames can be decoded ({messages.reason})", hint=hint)
    if messages.demuxer:
        what = "only sound, no video stream" if messages.streams("Audio") else "no video stream"
        return InputError(f"{path}: {what}", hint="give a video file or a folder of images")
    return InputError(f"{path}: not a video, or damaged (ffmpeg says: {messages.reason})", hint=hint)


def _is_text(path: Path) -> bool:
    with open(path, "rb") as file:
        head = file.read(4096)
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        text = head[: error.start].decode("utf-8") if error.start > len(head) - 4 else "\0"
    return all(c.isprintable() or c.isspace() for c in text)


def audio_codec(path: Path) -> tuple[str | None, str]:
    """(codec, description) of a file's first sound track.

    The codec is None when there is no sound (the description is empty) or when it does not decode (the
    description says why).
    """
    status, messages = run_to_end(ffmpeg.output(file_input(path)["a:0"], "-", f="null", **{"frames:a": 1}))
    tracks = messages.streams("Audio")
    if not tracks:
        return None, ""
    return (None, messages.reason) if status else tracks[0]
