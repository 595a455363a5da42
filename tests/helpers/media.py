"""Tiny clips for tests: every frame says its number and which way is up, and survives lossy codecs."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np

BITS = 8  # of a frame's number, as black and white bars across the upper half
RED, BLUE = (200, 30, 30), (30, 30, 200)  # the lower half, left and right

TURN_BACK = {  # how a picture is stored for each value of EXIF's orientation
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, 1),
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: np.rot90(p, -1),
}


def picture(number: int, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    """The frame of that number, RGB uint8 (height, width, 3): bars above, red and blue side by side below."""
    width, height = size
    frame = np.zeros((height, width, 3), np.uint8)
    bar = np.arange(width) * BITS // width
    frame[: height // 2] = np.where(number >> bar & 1, 255, 0)[None, :, None]
    frame[height // 2 :, : width // 2], frame[height // 2 :, width // 2 :] = RED, BLUE
    return frame


def number_of(frame: np.ndarray) -> int:
    """The number that an upright picture shows, at any size of 32 pixels or more."""
    height, width = frame.shape[:2]
    columns = (np.arange(BITS) * 2 + 1) * width // (2 * BITS)
    return int(((frame[height // 4, columns].mean(axis=-1) > 127) << np.arange(BITS)).sum())


def is_upright(frame: np.ndarray) -> bool:
    """Whether red lies at the lower left and blue at the lower right, within what codecs do to colours."""
    height, width = frame.shape[:2]
    left, right = frame[height * 3 // 4, width // 4], frame[height * 3 // 4, width * 3 // 4]
    return bool(np.abs(left.astype(int) - RED).max() < 60 and np.abs(right.astype(int) - BLUE).max() < 60)


def vfr_times(frames: int, fps: Fraction | float = 25) -> np.ndarray:
    """The seconds of a `vfr` clip's frames: three at the rate, then a gap of three, and so on."""
    numbers = np.arange(frames)
    return (numbers + 2 * (numbers // 3)) / float(fps)


def make_clip(
    path: Path,
    frames: int = 12,
    size: tuple[int, int] = (64, 48),
    fps: Fraction | float = 25,
    rotate: int = 0,
    vfr: bool = False,
    audio: bool | str = False,
    codec: str | None = None,
    pix_fmt: str | None = None,
    extra: tuple[str, ...] = (),
) -> Path:
    """Write `frames` pictures of the displayed `size` (width, height) in the container that `path` names.

    `rotate` is the clockwise turn in degrees that the metadata asks of players: the frames are stored turned
    back. `audio` adds a sound track as long as the pictures, of the container's usual codec or of the one
    named. Without `codec` the container's usual one is taken, H.264 for most; `extra` goes to ffmpeg before
    the output's name.
    """
    stored = [np.rot90(picture(n % 2**BITS, size), rotate // 90) for n in range(frames)]
    height, width = stored[0].shape[:2]
    if codec is None:
        codec = {".avi": "mpeg4", ".webm": "libvpx", ".gif": "gif"}.get(path.suffix, "libx264")
    if pix_fmt is None and codec == "libx264":
        pix_fmt = "yuv444p" if width % 2 or height % 2 else "yuv420p"
    rate = Fraction(fps).limit_denominator(1001)
    command = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(rate), "-i", "-"]
    if audio:
        command += ["-f", "lavfi", "-i", f"sine=r=44100:d={frames / float(rate):.6f}"]
        command += ["-c:a", audio] if isinstance(audio, str) else []
    if vfr:
        command += ["-vf", "setpts=(N+2*floor(N/3))/FRAME_RATE/TB", "-fps_mode", "passthrough"]
    command += [
        "-c:v",
        codec,
        *(["-pix_fmt", pix_fmt] if pix_fmt else []),
        *(["-crf", "8", "-preset", "ultrafast"] if codec == "libx264" else ["-q:v", "2"]),
    ]
    target = path.with_name("unturned-" + path.name) if rotate else path
    ffmpeg(*command, *extra, "file:" + str(target), feed=b"".join(frame.tobytes() for frame in stored))
    if rotate:
        ffmpeg("-display_rotation", str(-rotate), "-i", "file:" + str(target), "-c", "copy", "file:" + str(path))
        target.unlink()
    return path


def make_sound(path: Path, seconds: float = 0.5) -> Path:
    """Write a sound file without pictures."""
    ffmpeg("-f", "lavfi", "-i", f"sine=d={seconds}", "file:" + str(path))
    return path


def ffmpeg(*arguments: str, feed: bytes | None = None) -> str:
    """Run the wheel's ffmpeg, overwriting; what it said. CalledProcessError when it fails."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-y", *arguments]
    done = subprocess.run(command, input=feed or b"", capture_output=True)
    said = done.stderr.decode("utf-8", "replace")
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{said}")
    return said


def described(path: Path) -> str:
    """ffmpeg's description of a file: its duration and streams."""
    return ffmpeg("-i", "file:" + str(path), "-c", "copy", "-f", "null", "-").partition("Stream mapping")[0]


def icc_profile(colorants: Sequence[Sequence[float]], gamma: float) -> bytes:
    """A profile of version 2 (ICC.1:2001-04) of a screen: its colorants, XYZ under D50 a row, and one gamma.

    One row makes a profile of grey.
    """
    grey = len(colorants) == 1
    white = (0.9642, 1.0, 0.8249)

    def xyz(values: Sequence[float]) -> bytes:
        return b"XYZ " + bytes(4) + b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))
    text = b"made for a test\0"
    described = b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(8 + 2 + 1 + 67)
    tags = {b"desc": described, b"cprt": b"text" + bytes(4) + text, b"wtpt": xyz(white)}
    if grey:
        tags[b"kTRC"] = curve
    else:
        for letter, colorant in zip(b"rgb", colorants, strict=True):
            tags[bytes([letter]) + b"XYZ"], tags[bytes([letter]) + b"TRC"] = xyz(colorant), curve
    table, data, at = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", at + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    head = bytes(8) + struct.pack(">I", 0x02400000) + b"mntr" + (b"GRAY" if grey else b"RGB ") + b"XYZ "
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + xyz(white)[8:] + bytes(48)
    whole = head + table + data
    return struct.pack(">I", len(whole)) + whole[4:]
