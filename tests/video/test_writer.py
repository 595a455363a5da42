"""Video out: the source's rate, size, times and sound; plays in browsers; complete or not there at all."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.media import described, ffmpeg, is_upright, make_clip, make_sound, number_of, picture, vfr_times
from vibe_cli.errors import InputError
from vibe_cli.video import ffmpeg as video_ffmpeg
from vibe_cli.video import writer as video_writer
from vibe_cli.video.reader import open_video
from vibe_cli.video.writer import VideoWriter, timing


def write(
    path: Path, frames: int = 12, size: tuple[int, int] = (64, 48), fps: Fraction = Fraction(25), **options: object
) -> Path:
    """Write the pictures of tests/media.py."""
    with VideoWriter(path, *size, fps, **options) as writer:
        for number in range(frames):
            writer.write(picture(number, size))
    return path


def seconds(path: Path, stream: str) -> float:
    """Where a file's first `v` or `a` stream ends, from its packets."""
    ffmpeg("-i", str(path), "-map", f"0:{stream}:0", "-c", "copy", "-f", "framecrc", str(path) + ".crc")
    lines = Path(str(path) + ".crc").read_text().splitlines()
    base = Fraction(next(line.split(": ")[1] for line in lines if line.startswith("#tb")))
    packets = [line.split(",") for line in lines if not line.startswith("#")]
    return float(max(int(packet[2]) + int(packet[3]) for packet in packets) * base)


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001), Fraction(24000, 1001), Fraction(15, 2)])
def test_a_written_clip_reads_back_frame_for_frame_at_the_same_rate(tmp_path: Path, fps: Fraction) -> None:
    with open_video(write(tmp_path / "out.mp4", frames=20, fps=fps)) as reader:
        frames = [frame for _, frame in reader]
        assert [number_of(frame) for frame in frames] == list(range(20))
        assert (reader.info.fps, reader.width, reader.height) == (fps, 64, 48)
        assert np.allclose(reader.info.times, np.arange(20) / float(fps), atol=1e-4)
        assert all(is_upright(frame) for frame in frames) and not reader.warnings


def test_a_written_clip_plays_in_browsers(tmp_path: Path) -> None:
    out = write(tmp_path / "out.mp4")
    said, data = described(out), out.read_bytes()
    assert re.search(r"Video: h264 .*yuv420p\(tv, bt709, progressive\), 64x48", said)
    assert data.index(b"moov") < data.index(b"mdat")  # starts before it is loaded


def test_an_odd_size_grows_by_one_repeated_pixel(tmp_path: Path) -> None:
    size = (63, 47)
    with open_video(write(tmp_path / "out.mp4", frames=3, size=size)) as reader:
        assert (reader.width, reader.height) == (64, 48)
        for number, frame in reader:
            assert np.abs(frame[:47, :63].astype(int) - picture(number, size)).mean() < 15
            assert np.abs(frame[47].astype(int) - frame[46]).max() < 30


def test_a_better_quality_makes_a_closer_picture_and_a_larger_file(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (5, 48, 64, 3), dtype=np.uint8)
    sizes, errors = [], []
    for crf in (5, 45):
        with VideoWriter(tmp_path / "out.mp4", 64, 48, Fraction(25), crf=crf) as writer:
            for frame in noise:
                writer.write(frame)
        with open_video(tmp_path / "out.mp4") as reader:
            errors.append(np.mean([np.abs(frame.astype(int) - noise[index]).mean() for index, frame in reader]))
        sizes.append((tmp_path / "out.mp4").stat().st_size)
    assert sizes[0] > 2 * sizes[1] and errors[0] < errors[1]


def test_frames_of_another_shape_or_type_are_our_mistake(tmp_path: Path) -> None:
    for wrong in (np.zeros((48, 65, 3), np.uint8), np.zeros((48, 64, 3), np.float32)):
        with pytest.raises(ValueError, match="expected"), VideoWriter(tmp_path / "out.mp4", 64, 48, 25) as writer:
            writer.write(wrong)
    assert not list(tmp_path.iterdir())


def test_frames_need_not_lie_in_one_piece(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4", 64, 48, Fraction(25)) as writer:
        writer.write(picture(5)[:, ::-1][:, ::-1])
        writer.write(np.asfortranarray(picture(6)))
    with open_video(tmp_path / "out.mp4") as reader:
        assert [number_of(frame) for _, frame in reader] == [5, 6]


# Time


def test_a_variable_rate_is_kept_frame_by_frame(tmp_path: Path) -> None:
    times = vfr_times(30)
    with open_video(write(tmp_path / "out.mp4", frames=30, fps=Fraction(10), times=times)) as reader:
        assert [number_of(frame) for _, frame in reader] == list(range(30))
        assert np.allclose(reader.info.times, times, atol=1e-4)


def test_times_within_a_frame_of_the_constant_rate_give_exactly_that_rate(tmp_path: Path) -> None:
    times = np.r_[0, np.arange(2, 31)] / 25  # as in .avi files whose second frame is empty
    with open_video(write(tmp_path / "out.mp4", frames=30, times=times)) as reader:
        assert len(list(reader)) == 30
        assert np.allclose(reader.info.times, np.arange(30) / 25, atol=1e-6)


def test_constant_or_own_times_are_told_apart_by_one_frame() -> None:
    grid = np.arange(10) / 25
    assert timing(None, Fraction(25)) == timing(grid, Fraction(25)) == timing(grid + 0.03, Fraction(25)) == (0, None)
    assert timing(grid + 0.5, Fraction(25)) == (0.5, None)
    start, ticks = timing(grid * 2 + 0.5, Fraction(25))
    assert start == 0.5 and ticks == [*range(0, 800_000, 80_000), 760_000]


# Sound


@pytest.mark.parametrize(
    "name, codec, kept",
    [
        ("a.mp4", "aac", "aac"),
        ("a.avi", "libmp3lame", "mp3"),
        ("a.mkv", "pcm_s16le", "aac"),
        ("a.webm", "libvorbis", "aac"),
        ("a.ts", "aac", "aac"),
    ],
)
def test_the_sound_is_taken_over_at_full_length(tmp_path: Path, name: str, codec: str, kept: str) -> None:
    source = make_clip(tmp_path / name, frames=25, audio=codec)
    out = write(tmp_path / "out.mp4", frames=25, audio_from=source)
    assert re.search(rf"Audio: {kept}\b", described(out))
    assert seconds(out, "v") == pytest.approx(1.0, abs=0.01)
    assert seconds(out, "a") == pytest.approx(1.0, abs=0.09)
    with open_video(out) as reader:
        assert reader.has_audio and len(list(reader)) == 25


def test_sound_longer_than_the_pictures_is_not_cut(tmp_path: Path) -> None:
    out = write(tmp_path / "out.mp4", frames=5, audio_from=make_sound(tmp_path / "a.m4a", seconds=2))
    assert seconds(out, "a") == pytest.approx(2.0, abs=0.09) and seconds(out, "v") == pytest.approx(0.2, abs=0.01)


def test_pictures_keep_their_place_beside_the_sound(tmp_path: Path) -> None:
    sound = make_sound(tmp_path / "a.m4a", seconds=2)
    for number, times in enumerate([0.5 + np.arange(12) / 25, 0.5 + vfr_times(12)]):
        out = write(tmp_path / f"{number}.mp4", times=times, audio_from=sound)
        with open_video(out) as reader:
            assert len(list(reader)) == 12
            assert np.allclose(reader.info.times, times, atol=0.5 / 25 + 1e-3)


def test_a_source_without_sound_gives_a_silent_clip(tmp_path: Path) -> None:
    for source in (make_clip(tmp_path / "a.mp4", frames=2), tmp_path):
        assert "Audio" not in described(write(tmp_path / "out.mp4", audio_from=source))


def test_sound_that_cannot_be_decoded_is_left_out_aloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_clip(tmp_path / "a.mkv", frames=2, audio="flac")
    source.write_bytes(source.read_bytes().replace(b"A_FLAC", b"A_FLAX"))
    assert "Audio" not in described(write(tmp_path / "out.mp4", audio_from=source))
    monkeypatch.setattr(video_writer, "audio_codec", lambda path: (None, "Decoder not found"))
    with VideoWriter(tmp_path / "out.mp4", 64, 48, Fraction(25), audio_from=source) as writer:
        writer.write(picture(0))
    assert "a.mkv" in writer.warnings[0] and "Decoder not found" in writer.warnings[0]


# Complete or not there


def test_the_file_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    with VideoWriter(out, 64, 48, Fraction(25)) as writer:
        writer.write(picture(0))
        assert not out.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_file_leaves_the_one_before_as_it_was(tmp_path: Path, error: type[BaseException]) -> None:
    out = tmp_path / "out.mp4"
    out.write_bytes(b"the run before")
    with pytest.raises(error), VideoWriter(out, 64, 48, Fraction(25)) as writer:
        writer.write(picture(0))
        raise error
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"] and out.read_bytes() == b"the run before"
    assert writer._run._process.returncode is not None


def test_a_folder_that_cannot_be_written_to_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "absent" / "out.mp4", tmp_path / "file" / "out.mp4", tmp_path / "folder"):
        with pytest.raises(InputError, match="cannot be written") as caught, VideoWriter(path, 64, 48, Fraction(25)):
            pass
        assert caught.value.hint


@pytest.mark.skipif(os.name == "nt", reason="a shell script stands in for ffmpeg")
@pytest.mark.parametrize("when", ["cat > /dev/null", "true"])
def test_what_ffmpeg_says_when_it_fails_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text(f'#!/bin/sh\n{when}\necho "[out#0 @ 0x1] [error] No space left on device" >&2\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setattr(video_ffmpeg, "ffmpeg_program", lambda: str(program))
    with pytest.raises(InputError, match="No space left on device"):
        write(tmp_path / "out.mp4", frames=50, size=(640, 480))
    assert [path.name for path in tmp_path.iterdir()] == ["ffmpeg"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_leaves_no_partial_file_and_no_process(tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        import itertools, signal
        from vibe_cli.video.reader import open_video
        from vibe_cli.video.writer import VideoWriter
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background ignores it
        with open_video({str(make_clip(tmp_path / "a.mp4"))!r}) as reader:
            with VideoWriter({str(tmp_path / "out.mp4")!r}, 64, 48, reader.fps) as writer:
                for _ in itertools.count():
                    for _, frame in reader:
                        writer.write(frame)
                        print(writer._run._process.pid, flush=True)
        """)
    child = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    encoder = int(child.stdout.readline())
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=30)
    assert "KeyboardInterrupt" in said and child.returncode != 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    with pytest.raises(ProcessLookupError):
        os.kill(encoder, 0)


@pytest.mark.parametrize("name", ["two words.mp4", "танец 舞.mp4", "-y.mp4", "f%03d.mp4"])
def test_any_file_name_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with open_video(write(Path(name), frames=2)) as reader:
        assert [number_of(frame) for _, frame in reader] == [0, 1]
