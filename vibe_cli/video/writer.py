"""Writing video that plays everywhere: H.264, yuv420p, .mp4, with the source's rate, times and sound."""

from __future__ import annotations

import os
import re
import struct
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import ffmpeg
import numpy as np

from vibe_cli.errors import InputError
from vibe_cli.video.ffmpeg import (
    FfmpegRun,
    ffmpeg_program,
    file_input,
    passthrough_option,
)
from vibe_cli.video.probe import audio_codec

CRF = 20  # H.264's constant rate factor: 0 lossless … 51 worst; 20 shows no artefacts
PRESET = "veryfast"  # H.264's effort: on two cores the encoder keeps up with the renderer
SOUND_BITRATE = "192k"
TICKS = 1_000_000  # a second, in the time stamps that travel with frames of variable rate
# The colours of HD video, and said so: players guess them from the size otherwise.
_COLOURS = (
    "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p,setsar=1,"
    "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709"
)


class VideoWriter:
    """Writes RGB uint8 frames (height, width, 3) to an .mp4 that browsers play, renamed when complete.

    `fps` is kept as an exact fraction. `times`, the seconds of each frame (VideoInfo.times), is for sources
    of variable rate: where it strays more than a frame from the constant rate, every frame keeps its own
    time. The sound of `audio_from` is copied, or converted to AAC where .mp4 players would not know it; it
    is never cut. yuv420p has no odd sizes: an odd width or height grows by one pixel, the last column or
    row repeated. `crf` is the quality, smaller is better. `warnings` says what could not be kept.

    Frames go to `<name>.part.mp4` beside `path`; on an exception or Ctrl-C it is removed and `path` is
    as before. InputError when the file cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        width: int,
        height: int,
        fps: Fraction,
        audio_from: str | Path | None = None,
        times: np.ndarray | None = None,
        crf: int = CRF,
    ) -> None:
        self.path = Path(path)
        self.width, self.height, self.fps, self.crf = width, height, Fraction(fps), crf
        self.warnings: list[str] = []
        self._audio_from = audio_from
        self._offset, self._ticks = timing(times, self.fps)
        self._part = self.path.with_name(self.path.stem + ".part.mp4")
        self._run: FfmpegRun | None = None
        self._count = 0

    def __enter__(self) -> VideoWriter:
        if self.path.is_dir():
            raise self._unwritable("it is a folder")
        try:
            self._part.write_bytes(b"")
        except OSError as error:
            raise self._unwritable(error.strerror) from None
        try:
            self._run = FfmpegRun(self._command(), feed=True)
            if self._ticks is not None:
                self._feed(matroska_header(self._even_width, self._even_height))
        except BaseException:
            self._discard()
            raise
        return self

    def write(self, frame: np.ndarray) -> None:
        """Append a frame, RGB uint8 (height, width, 3)."""
        shape = (self.height, self.width, 3)
        if frame.shape != shape or frame.dtype != np.uint8:
            raise ValueError(f"frame {frame.shape} {frame.dtype}, expected {shape} uint8")
        if self.width % 2 or self.height % 2:
            frame = np.pad(frame, ((0, self.height % 2), (0, self.width % 2), (0, 0)), mode="edge")
        frame = np.ascontiguousarray(frame)
        if self._ticks is not None:
            start, end = self._ticks[self._count : self._count + 2]
            self._feed(matroska_frame(start, end - start, frame.nbytes))
        self._feed(frame.data)
        self._count += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._discard()
            return
        try:
            if not self._count:
                raise ValueError(f"{self.path}: no frame was written")
            if self._running.finish() or not self._part.stat().st_size:
                raise self._failure()
            os.replace(self._part, self.path)
        except OSError as error:  # on Windows, a player that has the file open
            self._discard()
            raise self._unwritable(error.strerror) from None
        except BaseException:
            self._discard()
            raise

    @property
    def _running(self) -> FfmpegRun:
        if self._run is None:
            raise ValueError(f"{self.path}: not open for writing")
        return self._run

    @property
    def _even_width(self) -> int:
        return self.width + self.width % 2

    @property
    def _even_height(self) -> int:
        return self.height + self.height % 2

    def _feed(self, data: memoryview | bytes) -> None:
        try:
            self._running.write(data)
        except OSError:  # ffmpeg has ended: it has said why
            self._running.finish()
            raise self._failure() from None

    def _unwritable(self, why: str | None) -> InputError:
        return InputError(
            f"{self.path}: cannot be written ({why})",
            hint="choose an output folder that exists and that you may write to",
        )

    def _failure(self) -> InputError:
        return InputError(
            f"{self.path}: cannot be written (ffmpeg says: {self._running.messages.reason})",
            hint="check the free disk space, and the video encoders with: vibe doctor",
        )

    def _discard(self) -> None:
        """End ffmpeg and remove what it has written."""
        if self._run is not None:
            self._run.kill()
        self._part.unlink(missing_ok=True)

    def _command(self) -> ffmpeg.nodes.OutputStream:
        if self._ticks is None:
            options = {
                "f": "rawvideo",
                "pix_fmt": "rgb24",
                "framerate": str(self.fps),
                "s": f"{self._even_width}x{self._even_height}",
            }
            timed = {}
        else:
            options = {"f": "matroska"}
            # without B-frames: with them, older ffmpegs end the track before its last frames
            timed = {"enc_time_base": "1:90000", "video_track_timescale": 90000, "bf": 0}
        frames = ffmpeg.input("pipe:0", protocol_whitelist="pipe", itsoffset=f"{self._offset:.6f}", **options)
        tracks, sound = self._sound()
        return ffmpeg.output(
            frames["v:0"],
            *tracks,
            "file:" + os.fspath(self._part),
            f="mp4",
            movflags="+faststart",
            vf=_COLOURS,
            colorspace="bt709",
            color_primaries="bt709",
            color_trc="bt709",
            color_range="tv",
            **{"c:v": "libx264", "preset": PRESET, "crf": self.crf},
            **timed,
            **sound,
            **passthrough_option(ffmpeg_program()),
        )

    def _sound(self) -> tuple[list[ffmpeg.nodes.FilterableStream], dict[str, str]]:
        """The source's first sound track and how it is taken over; nothing where it has none."""
        if self._audio_from is None or not Path(self._audio_from).is_file():
            return [], {}
        codec, description = audio_codec(Path(self._audio_from))
        if codec is None:
            if description:
                self.warnings.append(f"{self._audio_from}: its sound is left out ({description})")
            return [], {}
        rate = re.search(r"(\d+) Hz", description)
        copied = codec == "aac" or (codec == "mp3" and rate is not None and int(rate[1]) >= 16000)
        how = {"c:a": "copy"} if copied else {"c:a": "aac", "b:a": SOUND_BITRATE}
        return [file_input(self._audio_from)["a:0"]], how


def timing(times: np.ndarray | None, fps: Fraction) -> tuple[float, list[int] | None]:
    """(seconds before the first frame, ticks from there or None where the constant rate does).

    The ticks are one more than the frames: the last is the end of the last frame.
    The constant rate does while no frame is more than one frame from its place: the source then keeps its
    exact rate, and nobody hears the difference. A first frame within one frame of zero is at zero.
    """
    if times is None or len(times) == 0:
        return 0.0, None
    step = float(1 / fps)
    start = float(times[0])
    drift = times - start - np.arange(len(times)) * step
    if np.abs(drift).max() <= 1.001 * step:
        return (start if start > 1.001 * step else 0.0), None
    ticks = np.round((np.append(times, times[-1] + step) - start) * TICKS).astype(np.int64)
    return start, ticks.tolist()


# Frames with their own time stamps reach ffmpeg as a Matroska stream (RFC 8794, RFC 9559) of raw pictures in
# its simplest form, one cluster a frame.


def matroska_header(width: int, height: int) -> bytes:
    """The head of a Matroska stream with one track of raw RGB pictures, TICKS a second."""
    ebml = _element(0x1A45DFA3, _element(0x4282, b"matroska"))
    info = _element(0x1549A966, _element(0x2AD7B1, _number(1_000_000_000 // TICKS)))
    picture = _element(
        0xE0, _element(0xB0, _number(width)) + _element(0xBA, _number(height)) + _element(0x2EB524, b"RGB\x18")
    )
    track = _element(
        0xAE,
        _element(0xD7, _number(1))
        + _element(0x73C5, _number(1))
        + _element(0x83, _number(1))
        + _element(0x86, b"V_UNCOMPRESSED")
        + picture,
    )
    segment_of_unknown_size = struct.pack(">I", 0x18538067) + b"\x01" + b"\xff" * 7
    return ebml + segment_of_unknown_size + info + _element(0x1654AE6B, track)


def matroska_frame(ticks: int, duration: int, size: int) -> bytes:
    """The header before the `size` bytes of a frame shown at `ticks` for `duration` ticks."""
    block = _element_head(0xA1, size + 4) + b"\x81\x00\x00\x00"  # track 1, at the cluster's time
    inner = _element(0x9B, _number(duration)) + block
    group = _element(0xE7, _number(ticks)) + _element_head(0xA0, len(inner) + size) + inner
    return _element_head(0x1F43B675, len(group) + size) + group


def _element(identity: int, payload: bytes) -> bytes:
    return _element_head(identity, len(payload)) + payload


def _element_head(identity: int, size: int) -> bytes:
    """An element's identity and its size in eight bytes, of which the first marks that length."""
    return identity.to_bytes((identity.bit_length() + 7) // 8, "big") + struct.pack(">Q", (1 << 56) | size)


def _number(value: int) -> bytes:
    return value.to_bytes(8, "big")
