"""Folders of images as clips: natural order, EXIF, mixed sizes and modes, images that do not decode."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.media import is_upright, number_of, picture
from vibe_cli.errors import UsageError
from vibe_cli.video.images import read_image
from vibe_cli.video.reader import VideoReader, open_video


def numbers(reader: VideoReader) -> list[int]:
    """What the frames of a clip say they are."""
    return [number_of(frame) for _, frame in reader]


def save_images(folder: Path, names: list[str], size: tuple[int, int] = (64, 48), **options: object) -> Path:
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        Image.fromarray(picture(number, size)).save(folder / name, **options)
    return folder


def test_images_come_in_natural_order_whatever_their_format(tmp_path: Path) -> None:
    names = ["img1.png", "IMG2.jpg", "img3.BMP", "img10.webp", "img11.tif", "img100.jpeg"]
    folder = save_images(tmp_path / "run", names)
    (folder / "notes.txt").write_text("not an image")
    (folder / "._img1.png").write_bytes(b"left by a Mac")
    with open_video(folder) as reader:
        assert reader.estimated_frames == 6
        assert numbers(reader) == list(range(6)) == numbers(reader)
        assert (reader.info.kind, reader.info.fps, reader.info.has_audio) == ("images", 30, False)
        assert np.allclose(reader.info.times, np.arange(6) / 30)
        assert len(reader.warnings) == 2 and "1: notes.txt" in reader.warnings[1]
        assert "too far apart for a clock" in reader.warnings[0]


def test_the_rate_of_images_can_be_given(tmp_path: Path) -> None:
    folder = save_images(tmp_path / "run", ["1.png", "2.png"])
    with open_video(folder, image_fps=12.5) as reader:
        assert numbers(reader) == [0, 1] and reader.info.fps == Fraction(25, 2)
    with pytest.raises(UsageError):
        open_video(folder, image_fps=0)


def test_one_image_is_a_clip_of_one_frame(tmp_path: Path) -> None:
    save_images(tmp_path, ["a.png"])
    with open_video(tmp_path / "a.png") as reader:
        assert numbers(reader) == [0] and reader.info.frames == 1


@pytest.mark.parametrize("orientation, turn", [(1, 0), (3, 2), (6, 1), (8, 3)])
def test_photographs_are_turned_as_their_exif_says(tmp_path: Path, orientation: int, turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.rot90(picture(5), turn)).save(tmp_path / "a.jpg", exif=exif, quality=95)
    with open_video(tmp_path) as reader:
        assert (reader.width, reader.height) == (64, 48)
        assert numbers(reader) == [5] and is_upright(next(iter(reader))[1])


def test_odd_exif_does_not_end_a_folder(tmp_path: Path) -> None:
    """A tag of a wrong type, which Pillow reads and cannot write again."""
    exif = Image.Exif()
    exif[0x0112], exif[0x0128] = 6, 2
    Image.fromarray(picture(5)).save(tmp_path / "a.jpg", exif=exif, quality=95)
    data = bytearray((tmp_path / "a.jpg").read_bytes())
    at = data.index(b"\x01\x28\x00\x03")
    data[at + 3] = 2  # a short that says it is text
    (tmp_path / "a.jpg").write_bytes(data)
    image = read_image(tmp_path / "a.jpg")
    assert image is not None and np.abs(image.astype(int) - np.rot90(picture(5), -1)).mean() < 8


def test_smaller_images_lie_at_the_top_left_of_the_largest(tmp_path: Path) -> None:
    folder = save_images(tmp_path / "run", ["1.png"], size=(64, 48))
    Image.fromarray(picture(1, (40, 80))).save(folder / "2.png")
    with open_video(folder) as reader:
        frames = [frame for _, frame in reader]
        assert (reader.width, reader.height) == (64, 80)
        assert (frames[0][:48] == picture(0)).all() and frames[0][48:].max() == 0
        assert (frames[1][:, :40] == picture(1, (40, 80))).all() and frames[1][:, 40:].max() == 0
        assert "differ in size" in reader.warnings[0] and "1.png" in reader.warnings[0]


def test_images_that_cannot_be_decoded_are_left_out_and_named(tmp_path: Path) -> None:
    folder = save_images(tmp_path / "run", ["1.jpg", "2.jpg", "3.jpg", "4.jpg"])
    (folder / "2.jpg").write_bytes((folder / "2.jpg").read_bytes()[:400])  # the header is whole
    (folder / "3.jpg").write_text("not a picture")
    with open_video(folder) as reader:
        assert numbers(reader) == [0, 3]
        assert np.allclose(reader.info.times, [0, 3 / 30])
        assert "2.jpg, 3.jpg" in reader.warnings[0]


def test_images_of_other_modes_become_rgb(tmp_path: Path) -> None:
    clear = np.dstack([picture(0), np.full((48, 64), 128, np.uint8)])
    Image.fromarray(clear).save(tmp_path / "1.png")
    Image.fromarray(picture(1)[..., 0].astype(np.uint16) << 8).save(tmp_path / "2.png")  # 16 bits of grey
    Image.fromarray(picture(2)).convert("L").save(tmp_path / "3.png")
    Image.fromarray(picture(3)).convert("P").save(tmp_path / "4.png")
    Image.fromarray(picture(4)).convert("CMYK").save(tmp_path / "5.jpg", quality=95)
    with open_video(tmp_path) as reader:
        frames = [frame for _, frame in reader]
    assert all(frame.shape == (48, 64, 3) and frame.dtype == np.uint8 for frame in frames)
    assert np.abs(frames[0].astype(int) - picture(0) // 2).max() <= 1
    assert (frames[1] == picture(1)[..., :1]).all()
    assert [number_of(frame) for frame in frames[1:]] == [1, 2, 3, 4] and is_upright(frames[4])
