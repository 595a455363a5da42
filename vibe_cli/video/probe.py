"""What a video file is: the stream that is the film, its size, rate and colours, or why there is none."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import ffmpeg

from vibe_cli.errors import InputError
from vibe_cli.video.colour import Colour
from vibe_cli.video.ffmpeg import FfmpegRun, Messages, Stream, file_input, run_to_end

_ALPHA = re.compile(r"^(yuva|gbrap|rgba|bgra|argb|abgr|ya\d|yaf|pal8|ayuv|vuya)")
_TEXT_ART = ("tty", "bin", "xbin", "adf", "idf")  # ffmpeg draws text files as pictures
_UNTOLD = ("unknown", "unspecified", "")
_HD = (1280, 577)  # pixels across or down from which video that does not say so has BT.709's matrix, as players take it
_REAL = 0.5  # of the longest stream's length, below which a stream is a picture or a preview of it
_MOST_HEADER = 64 << 20  # bytes
_PROGRESS = re.compile(r"^(frame|out_time_us)=(\d+)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Probe:
    """Facts about a video file from its header and first decoded frame."""

    stream: int  # the one that is the film, among all streams of the file
    width: int  # pixels as displayed: turned by the rotation metadata, pixels made square
    height: int
    fps: Fraction  # the nominal rate
    alpha: bool  # the frames carry transparency
    has_audio: bool
    interlaced: bool
    colour: Colour  # what its code values mean
    matrix: str  # of luma and chroma where the file does not tell and ffmpeg would take another; empty elsewhere
    estimated_frames: int | None  # by the header's duration; None when it has none
    note: str = ""  # which of several streams it is
    unedited: bool = False  # its edit list is to be left aside


def probe_video(path: Path, stream: int | None = None) -> Probe:
    """Decode the first frames of a video file, of its stream of that number, or of the one that is the film.

    InputError when there is none to decode, or the number is not that of a video.
    """
    specifier = "V:0" if stream is None else str(stream)
    messages = _decode(path, specifier)
    videos = messages.streams("Video")
    if stream is not None and stream not in [one.number for one in videos] and videos:
        raise InputError(
            f"{path}: stream {stream} is no video", hint=f"choose with --stream: {'; '.join(map(_described, videos))}"
        )
    note = ""
    if len(videos) > 1 and stream is None:
        chosen, note = _film(path, videos)
        if chosen.number != videos[0].number:
            specifier = str(chosen.number)
            messages = _decode(path, specifier)
    if messages.first_frame is None or not videos or messages.demuxer in _TEXT_ART:
        raise _unreadable(path, messages)
    number = stream if stream is not None else int(specifier) if specifier.isdigit() else videos[0].number
    described = next(one.description for one in videos if one.number == number)
    pixel_format = messages.first_frame[2]
    sar_x, sar_y, width, height = (int(number) for number in messages.first_frame.group(3, 4, 5, 6))
    aspect = Fraction(sar_x, sar_y) if sar_x and sar_y else Fraction(1)
    if not Fraction(1, 4) <= aspect <= 4:
        aspect = Fraction(1)  # nonsense in the header, not an anamorphic lens
    claimed = re.search(r" (\d+(?:\.\d+)?)(k?) fps", described)
    mean = float(claimed[1]) * (1000 if claimed[2] else 1) if claimed else 0.0
    fps = messages.frame_rate or Fraction(mean).limit_denominator(1001) or Fraction(30)
    frames = None if messages.duration is None else max(1, round(messages.duration * (mean or float(fps))))
    is_hd = width >= _HD[0] or height >= _HD[1]
    return Probe(
        stream=number,
        width=max(1, round(width * aspect)),
        height=height,
        fps=fps,
        alpha=_ALPHA.match(pixel_format) is not None,
        has_audio=bool(messages.streams("Audio")),
        interlaced=messages.interlaced,
        colour=messages.colour or Colour(),
        matrix="bt709" if is_hd and messages.matrix in _UNTOLD and pixel_format.startswith(("yuv", "nv")) else "",
        estimated_frames=frames,
        note=note,
        unedited=messages.reordered and messages.demuxer.startswith("mov") and _has_lost_its_order(path),
    )


def _has_lost_its_order(path: Path) -> bool:
    """Whether an MP4 of pictures that are reordered says no more when each is shown, as some converters leave it.

    Its edit list, made for the times that were there, then cuts the first pictures off.
    """
    with open(path, "rb") as file:
        while len(head := file.read(16)) >= 8:
            size, kind = int.from_bytes(head[:4], "big"), head[4:8]
            size = int.from_bytes(head[8:16], "big") if size == 1 else size
            if kind == b"moov":
                file.seek(8 - len(head), 1)
                header = file.read(min(size, _MOST_HEADER))
                return b"elst" in header and not any(box in header for box in (b"ctts", b"mvex"))
            if size < 8:
                return False
            file.seek(size - len(head), 1)
    return False


def _decode(path: Path, specifier: str) -> Messages:
    """The messages of ffmpeg about the first frames of a stream."""
    frames = ffmpeg.output(file_input(path)[specifier], "-", f="null", vf="showinfo", **{"frames:v": 3})
    return run_to_end(frames)[1]


def _film(path: Path, videos: list[Stream]) -> tuple[Stream, str]:
    """Which of several video streams is the film, and a sentence about it.

    Streams much shorter than the longest are pictures or previews of it. Of the others it is the one that the file
    calls the default, of several such the largest, of equal ones the first.
    """
    lengths = [_length(path, one) for one in videos]
    place = 1 if all(length[1] for length in lengths) else 0
    longest = max(length[place] for length in lengths)
    real = [one for one, length in zip(videos, lengths, strict=True) if length[place] >= _REAL * longest]
    chosen = max(real, key=lambda one: (one.is_default, one.size[0] * one.size[1], -one.number))
    others = "; ".join(_described(one) for one in videos if one is not chosen)
    return chosen, f"{path}: of its {len(videos)} video streams {_described(chosen)} is taken, not {others} (--stream)"


def _length(path: Path, stream: Stream) -> tuple[int, int]:
    """(frames, microseconds) of a stream, which is read for it and not decoded."""
    run = FfmpegRun(ffmpeg.output(file_input(path)[str(stream.number)], "-", f="null", c="copy", progress="pipe:1"))
    try:
        said = b"".join(iter(lambda: run.stdout.read(65536) or b"", b""))
        run.finish()
    finally:
        run.kill()
    last = {name: int(value) for name, value in _PROGRESS.findall(said.decode("ascii", "replace"))}
    return last.get("frame", 0), last.get("out_time_us", 0)


def _described(stream: Stream) -> str:
    width, height = stream.size
    size = f", {width}x{height}" if width else ""
    return f"{stream.number} ({stream.codec}{size}{', the default' if stream.is_default else ''})"


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
    return (None, messages.reason) if status else (tracks[0].codec, tracks[0].description)
