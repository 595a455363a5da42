"""Video in: every frame once, upright, with its own time; no process left; the errors a user can meet."""

from __future__ import annotations

import hashlib
import shutil
import socket
import subprocess
import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.media import ffmpeg, is_upright, make_clip, make_sound, number_of, picture, vfr_times
from vibe_cli.errors import InputError
from vibe_cli.video import ffmpeg as video_ffmpeg
from vibe_cli.video.reader import VideoReader, actual_rate, increasing_times, open_video


def numbers(reader: VideoReader) -> list[int]:
    """What the frames of a clip say they are; also checks that the indices count up."""
    seen = [(index, number_of(frame)) for index, frame in reader]
    assert [index for index, _ in seen] == list(range(len(seen)))
    return [number for _, number in seen]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen]:
    """Every process that the video module starts."""
    processes, popen = [], subprocess.Popen

    def start(*args: object, **options: object) -> subprocess.Popen:
        processes.append(popen(*args, **options))
        return processes[-1]

    video_ffmpeg.ffmpeg_program()
    monkeypatch.setattr(video_ffmpeg.subprocess, "Popen", start)
    return processes


# Frames and their times


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.webm", "a.mov", "a.gif"])
def test_every_frame_comes_out_once_and_in_order(tmp_path: Path, name: str) -> None:
    with open_video(make_clip(tmp_path / name, frames=20)) as reader:
        assert numbers(reader) == list(range(20))
        assert (reader.info.frames, reader.info.fps, reader.info.kind) == (20, 25, "video")
        assert np.allclose(reader.info.times, np.arange(20) / 25, atol=1.1e-3 if name != "a.gif" else 6e-3)


def test_frames_are_rgb_bytes_as_high_and_wide_as_the_reader_says(tmp_path: Path) -> None:
    with open_video(make_clip(tmp_path / "a.mp4", size=(80, 48), frames=3)) as reader:
        assert (reader.width, reader.height) == (80, 48)
        for number, frame in reader:
            assert frame.shape == (48, 80, 3) and frame.dtype == np.uint8
            assert np.abs(frame.astype(int) - picture(number, (80, 48))).mean() < 6


def test_a_clip_can_be_read_again_and_gives_the_same_frames(tmp_path: Path) -> None:
    with open_video(make_clip(tmp_path / "a.mp4")) as reader:
        first, second = ([frame.copy() for _, frame in reader] for _ in range(2))
    assert len(first) == 12 and all((a == b).all() for a, b in zip(first, second, strict=True))


def test_the_path_is_kept_as_the_user_gave_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_clip(tmp_path / "a.mp4", frames=2)
    monkeypatch.chdir(tmp_path)
    with open_video("./a.mp4") as reader:
        assert numbers(reader) == [0, 1] and reader.info.path == "./a.mp4"


def test_info_needs_a_full_iteration(tmp_path: Path) -> None:
    with open_video(make_clip(tmp_path / "a.mp4")) as reader:
        next(iter(reader))
        with pytest.raises(RuntimeError, match="full iteration"):
            _ = reader.info


def test_the_header_gives_an_estimate_for_the_progress_bar(tmp_path: Path) -> None:
    with open_video(make_clip(tmp_path / "a.mp4", frames=15)) as reader:
        assert reader.estimated_frames == 15
    with open_video(make_clip(tmp_path / "a.h264", frames=15)) as reader:
        assert reader.estimated_frames is None and numbers(reader) == list(range(15))


@pytest.mark.parametrize("fps", [Fraction(30000, 1001), Fraction(24000, 1001), Fraction(25, 2)])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_the_rate_is_an_exact_fraction(tmp_path: Path, name: str, fps: Fraction) -> None:
    with open_video(make_clip(tmp_path / name, fps=fps)) as reader:
        assert reader.fps == fps
        assert len(numbers(reader)) == 12 and reader.info.fps == fps


@pytest.mark.parametrize("name", ["a.mp4", "a.webm"])
def test_a_variable_rate_keeps_each_frames_time(tmp_path: Path, name: str) -> None:
    with open_video(make_clip(tmp_path / name, frames=18, vfr=True)) as reader:
        assert numbers(reader) == list(range(18))
        times = vfr_times(18)
        assert np.allclose(reader.info.times, times, atol=1e-3)
        assert float(reader.info.fps) == pytest.approx(17 / times[-1], rel=0.01)


def test_sound_that_starts_first_does_not_move_the_pictures(tmp_path: Path) -> None:
    clip, sound = make_clip(tmp_path / "a.mp4"), make_sound(tmp_path / "a.m4a", seconds=1)
    ffmpeg("-i", str(sound), "-itsoffset", "0.4", "-i", str(clip), "-c", "copy", str(tmp_path / "late.mp4"))
    with open_video(tmp_path / "late.mp4") as reader:
        assert reader.has_audio and numbers(reader) == list(range(12))
        assert np.allclose(reader.info.times, 0.4 + np.arange(12) / 25, atol=1e-3)
        assert not reader.warnings


def test_missing_and_backward_time_stamps_follow_the_frame_before() -> None:
    times, repaired = increasing_times([0.0, 0.5, None, 0.25, 2.0], 6, Fraction(10))
    assert np.allclose(times, [0, 0.5, 0.6, 0.7, 2.0, 2.1]) and repaired == 3


def test_one_stamp_far_ahead_does_not_hold_up_those_after_it() -> None:
    stamps: list[float | None] = [frame / 10 for frame in range(12)]
    stamps[4] = 500.0
    times, repaired = increasing_times(stamps, 12, Fraction(10))
    assert np.allclose(times, np.arange(12) / 10) and repaired == 1
    again = [*stamps[:4], *stamps[:8]]  # the stamps begin anew, as where files were put together
    assert np.allclose(increasing_times(again[:8], 8, Fraction(10))[0], np.arange(8) / 10)


def test_the_rate_is_the_nominal_one_unless_the_times_deny_it() -> None:
    steady = np.arange(50) / 25
    assert actual_rate(steady, Fraction(25)) == 25
    assert actual_rate(np.round(steady, 2), Fraction(25)) == 25
    assert actual_rate(np.delete(steady, [7, 8, 30]), Fraction(25)) == 25  # a few frames are missing
    assert actual_rate(steady * 2, Fraction(25)) == Fraction(25, 2)
    assert actual_rate(np.zeros(1), Fraction(25)) == 25


# What frames look like


@pytest.mark.parametrize("rotate", [90, 180, 270])
def test_rotation_metadata_turns_the_frames_upright(tmp_path: Path, rotate: int) -> None:
    with open_video(make_clip(tmp_path / "a.mp4", size=(64, 48), rotate=rotate)) as reader:
        assert (reader.width, reader.height) == (64, 48)
        assert numbers(reader) == list(range(12))
        assert all(is_upright(frame) for _, frame in reader)


@pytest.mark.parametrize(
    "name, size, codec, pix_fmt",
    [
        ("odd.mkv", (65, 47), "ffv1", "yuv420p"),
        ("odd.mp4", (65, 47), None, None),
        ("ten.mp4", (64, 48), "libx264", "yuv420p10le"),
        ("hevc.mp4", (64, 48), "libx265", "yuv420p10le"),
        ("prores.mov", (64, 48), "prores_ks", "yuv422p10le"),
        ("bgr.avi", (65, 47), "rawvideo", "bgr24"),
    ],
)
def test_odd_sizes_and_deep_colours_come_out_as_they_are(
    tmp_path: Path, name: str, size: tuple[int, int], codec: str, pix_fmt: str
) -> None:
    with open_video(make_clip(tmp_path / name, frames=4, size=size, codec=codec, pix_fmt=pix_fmt)) as reader:
        assert (reader.width, reader.height) == size
        assert numbers(reader) == [0, 1, 2, 3]
        assert all(is_upright(frame) for _, frame in reader)


def test_grey_video_has_three_equal_channels(tmp_path: Path) -> None:
    with open_video(make_clip(tmp_path / "a.mkv", frames=3, codec="ffv1", pix_fmt="gray")) as reader:
        frames = [frame for _, frame in reader]
    assert len(frames) == 3
    assert all((frame == frame[..., :1]).all() for frame in frames) and frames[1].max() > 250


def test_transparent_parts_of_a_video_are_black(tmp_path: Path) -> None:
    clear = "format=rgba,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='if(lt(Y,H/2),255,128*lt(X,W/2))'"
    with open_video(
        make_clip(tmp_path / "a.mov", frames=3, codec="qtrle", pix_fmt="argb", extra=("-vf", clear))
    ) as reader:
        assert numbers(reader) == [0, 1, 2]
        frame = next(iter(reader))[1]
    assert np.abs(frame[40, 10].astype(int) - [100, 15, 15]).max() < 4  # red at half strength
    assert frame[40, 50].max() == 0


def test_pixels_that_are_not_square_are_made_square(tmp_path: Path) -> None:
    with open_video(make_clip(tmp_path / "a.mp4", frames=2, extra=("-vf", "setsar=4/3"))) as reader:
        assert (reader.width, reader.height) == (85, 48)
        assert numbers(reader) == [0, 1]


def test_a_size_that_changes_on_the_way_becomes_the_first_one(tmp_path: Path) -> None:
    parts = [make_clip(tmp_path / "a.ts", frames=5), make_clip(tmp_path / "b.ts", frames=5, size=(96, 80))]
    (tmp_path / "both.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    with open_video(tmp_path / "both.ts") as reader:
        assert numbers(reader) == [*range(5), *range(5)]
        assert reader.info.width == 64 and (np.diff(reader.info.times) > 0).all()


# Damage and errors


@pytest.mark.parametrize("name", ["a.mkv", "a.avi", "a.mp4"])
def test_frames_before_the_damage_are_kept_and_it_is_said(tmp_path: Path, name: str) -> None:
    clip = make_clip(tmp_path / name, frames=60, extra=("-movflags", "faststart", "-g", "5"))
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) * 2 // 3])
    with open_video(clip) as reader:
        seen = numbers(reader)
        assert 20 < len(seen) < 60 and seen[:20] == list(range(20))
        assert reader.info.frames == len(seen) and reader.info.fps == 25
        assert len(reader.warnings) == 1 and name in reader.warnings[0]


def test_damaged_frames_are_the_same_at_each_reading(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", frames=60, size=(320, 240), extra=("-bf", "2"))
    ffmpeg("-i", str(clip), "-c", "copy", "-bsf:v", "noise=amount=100", str(tmp_path / "noise.mkv"))
    with open_video(tmp_path / "noise.mkv") as reader:
        readings = [hashlib.sha256(b"".join(frame.tobytes() for _, frame in reader)).digest() for _ in range(4)]
        assert len(set(readings)) == 1 and "damaged" in reader.warnings[0]


def bad_inputs(folder: Path) -> dict[str, tuple[Path, str]]:
    """Paths that are no clips, and what the message must say."""
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("Dear reader,\nthis is not a video.\n" * 50)
    (folder / "notes.txt").write_text("Dear reader,\nthis is not a video.\n" * 50)
    (folder / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    cut = make_clip(folder / "cut.mp4")  # its index is at its end
    cut.write_bytes(cut.read_bytes()[:2000])
    Image.new("RGB", (32, 32)).save(folder / "cover.jpeg")
    make_sound(folder / "bare.mp3")
    ffmpeg(
        "-i",
        str(folder / "bare.mp3"),
        "-i",
        str(folder / "cover.jpeg"),
        "-map",
        "0",
        "-map",
        "1",
        "-c",
        "copy",
        "-disposition:v",
        "attached_pic",
        str(folder / "cover.mp3"),
    )
    (folder / "nothing").mkdir()
    (folder / "nothing" / "readme.md").write_text("no images")
    expected = {
        "absent.mp4": "no such file",
        "empty.mp4": "empty",
        "nothing": "no images",
        "text.mp4": "text file",
        "notes.txt": "text file",
        "noise.mp4": "not a video",
        "cut.mp4": "not a video, or damaged",
        "bare.mp3": "only sound",
        "cover.mp3": "only sound",
        "broken.jpg": "no image can be decoded",
    }
    return {name: (folder / name, words) for name, words in expected.items()}


def test_what_is_not_a_clip_is_refused_in_one_line_with_a_hint(tmp_path: Path) -> None:
    for name, (path, words) in bad_inputs(tmp_path).items():
        with pytest.raises(InputError, match=words) as caught:
            open_video(path)
        assert name in caught.value.message and "\n" not in caught.value.message and caught.value.hint


@pytest.mark.parametrize("name", ["two words.mp4", "танец 舞.mp4", "-y.mp4", "1:30 a.mp4", "f%03d.mp4", "it's.mp4"])
def test_any_file_name_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    make_clip(tmp_path / name, frames=3)
    monkeypatch.chdir(tmp_path)
    with open_video(name) as reader:
        assert numbers(reader) == [0, 1, 2]


def test_a_playlist_cannot_reach_the_network(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.3)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        playlist = tmp_path / "clip.m3u8"
        playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{address}\n#EXT-X-ENDLIST\n")
        with pytest.raises(InputError):
            open_video(playlist)
        with pytest.raises(TimeoutError):
            server.accept()


# Processes and memory


def test_no_process_stays_when_reading_ends_early(tmp_path: Path, started: list[subprocess.Popen]) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=100, size=(160, 120))
    with open_video(clip) as reader:
        for _ in reader:
            break
        with pytest.raises(KeyboardInterrupt):
            for _ in reader:
                raise KeyboardInterrupt
        held = iter(reader)
        next(held)
    assert len(started) >= 4 and all(process.returncode is not None for process in started)
    with pytest.raises(ValueError, match="closed"):
        next(held)


def test_two_readings_can_run_side_by_side(tmp_path: Path) -> None:
    with open_video(make_clip(tmp_path / "a.mp4")) as reader:
        assert all((a[1] == b[1]).all() for a, b in zip(reader, reader, strict=True))


def test_a_long_clip_takes_no_more_memory_than_a_few_frames(tmp_path: Path) -> None:
    with open_video(make_clip(tmp_path / "a.mp4", frames=80, size=(160, 120))) as reader:
        tracemalloc.start()
        assert sum(1 for _ in reader) == 80
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 10 * 160 * 120 * 3


def test_a_system_ffmpeg_that_is_old_or_has_no_h264_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def choice(version: str, encoders: str) -> str:
        said = {"-version": version, "-encoders": encoders}
        monkeypatch.setattr(video_ffmpeg, "_output_of", lambda program, option: said[option])
        return video_ffmpeg.ffmpeg_program.__wrapped__()

    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/ffmpeg")
    modern, old = "libavutil      59. 39.100 / 59. 39.100", "libavutil      56. 70.100 / 56. 70.100"
    assert choice(modern, " V..... libx264 H.264") == "/usr/bin/ffmpeg"
    assert choice(old, " V..... libx264 H.264") != "/usr/bin/ffmpeg"
    assert choice(modern, " V..... mpeg4 ") != "/usr/bin/ffmpeg"
