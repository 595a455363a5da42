"""What people bring in: animations, turned pictures, deep and bright ones, odd names, and what is passed over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.media import BLUE, RED, ffmpeg, make_clip, number_of, picture
from vibe_cli.errors import InputError
from vibe_cli.video.colour import Colour, displayed
from vibe_cli.video.images import read_image
from vibe_cli.video.reader import open_video


@pytest.mark.parametrize("name", ["a.webp", "a.png", "a.tif", "a.avif"])
def test_animations_have_all_their_frames(tmp_path: Path, name: str) -> None:
    frames = [Image.fromarray(picture(number)) for number in range(5)]
    timed = {} if name == "a.tif" else {"duration": [40, 40, 40, 200, 40]}
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **timed)
    with open_video(tmp_path / name) as reader:
        assert [number_of(frame) for _, frame in reader] == list(range(5))
        if timed:
            assert np.allclose(reader.info.times, [0, 0.04, 0.08, 0.12, 0.32], atol=1e-3)


def test_twelve_bits_in_sixteen_look_like_eight(tmp_path: Path) -> None:
    Image.fromarray(picture(3)[..., 0].astype(np.uint16) << 4).save(tmp_path / "0.png")
    dark = (picture(3)[..., 0].astype(np.uint16) << 4) // 8
    Image.fromarray(dark).save(tmp_path / "1.png")
    with open_video(tmp_path) as reader:
        bright, faint = (frame for _, frame in reader)
    assert (bright == picture(3)[..., :1]).all()
    assert faint.max() == 31  # by the range of the folder, not its own


def test_floats_of_zero_to_one_are_not_black(tmp_path: Path) -> None:
    Image.fromarray(picture(3)[..., 0].astype(np.float32) / 255).save(tmp_path / "a.tif")
    assert (read_image(tmp_path / "a.tif") == picture(3)[..., :1]).all()


def test_high_dynamic_range_looks_like_its_ordinary_twin(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=3)
    hdr = (
        "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709,zscale=t=linear:npl=203,format=gbrpf32le,"
        "zscale=p=bt2020,zscale=t=smpte2084:m=bt2020nc:r=tv:npl=203,format=yuv420p10le"
    )
    tags = ("-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc")
    ffmpeg("-i", str(clip), "-vf", hdr, "-c:v", "libx265", "-x265-params", "crf=8", *tags, str(tmp_path / "b.mp4"))
    with open_video(clip) as plain, open_video(tmp_path / "b.mp4") as bright:
        for (_, ours), (_, theirs) in zip(bright, plain, strict=True):
            assert np.abs(ours.astype(int) - theirs).mean() < 10


def test_white_is_white_and_greys_keep_their_code_in_high_dynamic_range() -> None:
    """203 cd/m² are 58.07% of PQ and 75% of HLG (BT.2408, table 1); a hundredth of that is far below the knee."""
    for transfer, white in (("smpte2084", 0.5807), ("arib-std-b67", 0.75)):
        assert displayed(np.full((1, 3), white), Colour("bt2020", transfer)) == pytest.approx(0.963, abs=0.006)
        assert displayed(np.ones((1, 3)), Colour("bt2020", transfer)).max() <= 1
    grey = displayed(np.full((1, 3), 0.4), Colour("bt2020", "bt709"))
    assert np.allclose(grey, 0.4, atol=1e-3)


def test_interlaced_pictures_are_not_combed(tmp_path: Path) -> None:
    fields = np.zeros((20, 48, 64, 3), np.uint8)
    for number, field in enumerate(fields):
        field[:, number * 2 : number * 2 + 16] = 255
    woven = fields[::2].copy()
    woven[:, 1::2] = fields[1::2, 1::2]
    clip = tmp_path / "a.mp4"
    shape = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "64x48", "-r", "25", "-i", "-", "-pix_fmt", "yuv420p")
    flags = ("-vf", "setfield=tff", "-flags", "+ildct+ilme", "-c:v", "libx264", "-x264-params", "tff=1", "-crf", "5")
    ffmpeg(*shape, *flags, str(clip), feed=woven.tobytes())
    with open_video(clip) as reader:
        frames = [frame.astype(int) for _, frame in reader]
    assert len(frames) == 10
    assert max(np.abs(f[8:-8:2] - f[9:-7:2]).mean() for f in frames[1:-1]) < 4


def test_video_of_high_definition_that_states_no_matrix_has_the_one_of_its_size(tmp_path: Path) -> None:
    for width, matrix in ((1280, "bt709"), (64, "smpte170m")):
        frame = picture(0, (width, 16)).tobytes()
        shape = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x16", "-r", "25", "-i", "-")
        untold = f"scale=out_color_matrix={matrix}:out_range=tv,format=yuv420p,setparams=colorspace=unknown"
        ffmpeg(*shape, "-vf", untold, "-c:v", "libx264", "-crf", "1", str(tmp_path / "a.mp4"), feed=frame)
        with open_video(tmp_path / "a.mp4") as reader:
            ((_, shown),) = reader
        assert np.abs(shown[12, [width // 4, 3 * width // 4]] - np.array([RED, BLUE])).max() <= 4


def join(path: Path, *clips: Path) -> Path:
    """One file of the video streams of several."""
    inputs = [word for clip in clips for word in ("-i", str(clip))]
    maps = [word for number in range(len(clips)) for word in ("-map", str(number))]
    ffmpeg(*inputs, *maps, "-c", "copy", str(path))
    return path


def test_of_several_videos_in_a_file_it_is_the_one_that_is_the_film(tmp_path: Path) -> None:
    large = make_clip(tmp_path / "large.mkv", frames=9, size=(96, 72))
    small = make_clip(tmp_path / "small.mkv", frames=9)
    preview = make_clip(tmp_path / "preview.mkv", frames=2, size=(128, 96))
    for name, clips, film in (
        ("default.mkv", (small, large), 0),
        ("large.ts", (small, large), 1),  # which has no default
        ("long.mp4", (preview, small), 1),
    ):
        with open_video(join(tmp_path / name, *clips)) as reader:
            frames = [frame for _, frame in reader]
            assert len(frames) == 9 and frames[0].shape[1] == (96 if clips[film] is large else 64)
            assert reader.info.stream == film and "2 video streams" in reader.warnings[0]
    with open_video(tmp_path / "default.mkv", stream=1) as reader:
        assert next(iter(reader))[1].shape[1] == 96 and reader.stream == 1
    with pytest.raises(InputError, match="stream 7 is no video") as caught:
        open_video(tmp_path / "default.mkv", stream=7)
    assert "1 (h264, 96x72)" in caught.value.hint


def test_digits_of_every_script_are_numbers(tmp_path: Path) -> None:
    for name in ("٩", "١٠", "١١", "١٣"):  # 9, 10, 11, 13
        Image.fromarray(picture(len(list(tmp_path.iterdir())))).save(tmp_path / f"img{name}.png")
    with open_video(tmp_path, image_fps=10) as reader:
        assert [number_of(frame) for _, frame in reader] == [0, 1, 2, 3]
        assert np.allclose(reader.info.times, [0, 0.1, 0.2, 0.4])


def test_names_are_numbers_with_decimals_and_seconds(tmp_path: Path) -> None:
    for number in range(12):
        Image.fromarray(picture(number)).save(tmp_path / f"{number / 20:g}.png")
    with open_video(tmp_path) as reader:
        assert [number_of(frame) for _, frame in reader] == list(range(12))
        assert np.allclose(reader.info.times, np.arange(12) / 20) and reader.info.fps == 20


def test_gaps_in_numbers_are_gaps_in_time(tmp_path: Path) -> None:
    numbers = [0, 1, 2, 3, 8, 9, 10]
    for number in numbers:
        Image.fromarray(picture(number)).save(tmp_path / f"img_{number:03d}.png")
    with open_video(tmp_path, image_fps=10) as reader:
        assert [number_of(frame) for _, frame in reader] == numbers
        assert np.allclose(reader.info.times, np.array(numbers) / 10)
        assert "4 numbers are missing" in reader.warnings[0] and "img_003.png" in reader.warnings[0]


def test_what_is_passed_over_is_counted_and_named(tmp_path: Path) -> None:
    Image.fromarray(picture(0)).save(tmp_path / "IMG_0.JPG")
    Image.fromarray(picture(1)).save(tmp_path / "IMG_1.AVIF", quality=95)
    Image.fromarray(picture(2)).save(tmp_path / "IMG_2.GIF")
    (tmp_path / "IMG_3.CR2").write_bytes(b"raw")
    (tmp_path / "more").mkdir()
    with open_video(tmp_path) as reader:
        assert len(list(reader)) == 3
        assert "2: IMG_3.CR2, more" in reader.warnings[0]


def test_a_folder_of_one_animation_says_that_its_first_picture_is_read(tmp_path: Path) -> None:
    first, *others = (Image.fromarray(picture(number)) for number in (4, 5, 6))
    first.save(tmp_path / "a.webp", save_all=True, append_images=others, lossless=True)
    with open_video(tmp_path) as reader:
        assert len(list(reader)) == 1 and "the first picture alone is read" in reader.warnings[0]


def test_a_file_of_several_photographs_says_that_one_is_read(tmp_path: Path) -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    first, *others = (Image.fromarray(picture(number)) for number in (4, 5, 6))
    first.save(tmp_path / "burst.heic", quality=95, save_all=True, append_images=others)
    with open_video(tmp_path / "burst.heic") as reader:
        assert [number_of(frame) for _, frame in reader] == [4]
        assert "the main one is read; there are 1: burst.heic" in reader.warnings[0]


def test_odd_time_stamps_are_not_damage(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", frames=30, size=(64, 48), extra=("-bf", "2"))
    data = (tmp_path / "a.mp4").read_bytes()
    assert b"ctts" in data
    (tmp_path / "b.mp4").write_bytes(data.replace(b"ctts", b"free"))
    with open_video(tmp_path / "b.mp4") as reader:
        assert [number_of(frame) for _, frame in reader] == list(range(30))
        assert not any("damaged" in warning for warning in reader.warnings)
        assert any("time stamp" in warning for warning in reader.warnings)


def test_addresses_and_folders_of_videos_are_told_apart_from_what_is_missing(tmp_path: Path) -> None:
    for address in ("https://example.org/a.mp4", "https:/example.org/a.mp4"):
        with pytest.raises(InputError, match="https://example.org/a.mp4: an address") as caught:
            open_video(address)
        assert "yt-dlp" in caught.value.hint
    with pytest.raises(InputError, match="like an address") as caught:
        open_video("youtube.com/watch?v=abc")
    assert "yt-dlp 'https://youtube.com" in caught.value.hint
    (tmp_path / "link.mp4").symlink_to("elsewhere/a.mp4")
    with pytest.raises(InputError, match="a link to elsewhere/a.mp4, which is not there"):
        open_video(tmp_path / "link.mp4")
    (tmp_path / "link.mp4").unlink()
    (tmp_path / "IMG_1.CR2").write_bytes(b"II*\0")
    with pytest.raises(InputError, match="a camera's raw file"):
        open_video(tmp_path / "IMG_1.CR2")
    make_clip(tmp_path / "a.mp4", frames=2)
    with pytest.raises(InputError, match="1 video") as caught:
        open_video(tmp_path)
    assert "batch" in caught.value.hint


def test_an_image_that_is_too_large_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(picture(0)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(InputError, match="too large"):
        open_video(tmp_path / "a.png")
