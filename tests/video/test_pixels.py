"""Pictures as a viewer shows them: turned, in sRGB, of their real range, page by page."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image

from tests.helpers.media import TURN_BACK, ffmpeg, icc_profile, is_upright, number_of, picture
from vibe_cli.video.images import image_size, read_image
from vibe_cli.video.reader import open_video

pillow_heif.register_heif_opener()


@pytest.mark.parametrize(
    "name, mode, options",
    [
        ("a.jpg", "RGB", {"quality": 95}),
        ("a.jpg", "CMYK", {"quality": 95}),
        ("a.png", "RGB", {}),
        ("a.webp", "RGB", {"lossless": True}),
        ("a.tif", "RGB", {}),
        ("a.tif", "RGB", {"compression": "tiff_lzw"}),
        ("a.tif", "CMYK", {}),  # the rows of such a file lie in it as Pillow wants them, and it maps them
        ("a.tif", "RGBA", {}),
        ("a.avif", "RGB", {"quality": 95}),
        ("a.heic", "RGB", {"quality": 95}),
    ],
)
def test_orientation_is_applied_once_in_every_format(tmp_path: Path, name: str, mode: str, options: dict) -> None:
    for orientation, turn_back in TURN_BACK.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = Image.fromarray(np.ascontiguousarray(turn_back(picture(5)))).convert(mode)
        stored.save(tmp_path / name, exif=exif.tobytes(), **options)
        image = read_image(tmp_path / name)
        assert image_size(tmp_path / name) == (64, 48) and image.shape == (48, 64, 3), orientation
        assert number_of(image) == 5 and is_upright(image), orientation


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_colour_of_many_bits_in_tiff_is_turned_and_keeps_its_range(tmp_path: Path, kind: type) -> None:
    """12 bits in 16, of which Pillow keeps the upper eight, and floats, which it does not know."""
    for orientation, turn_back in TURN_BACK.items():
        stored = np.ascontiguousarray(turn_back(picture(5)).astype(kind))
        write_tiff(tmp_path / "a.tif", stored / 255 if kind is np.float32 else stored << 4, orientation)
        assert image_size(tmp_path / "a.tif") == (64, 48)
        assert (read_image(tmp_path / "a.tif") == picture(5)).all(), orientation


def write_tiff(path: Path, pixels: np.ndarray, orientation: int) -> None:
    """Colours (H, W, 3) of 16 bits or of floats in one strip (TIFF 6.0)."""
    height, width = pixels.shape[:2]
    bits, is_float = 8 * pixels.itemsize, pixels.dtype.kind == "f"
    count, at = 11, 8 + 2 + 12 * 11 + 4  # entries, and where what does not fit into them begins
    short, long = 3, 4
    entries = [
        (256, long, 1, width),
        (257, long, 1, height),
        (258, short, 3, at),
        (259, short, 1, 1),
        (262, short, 1, 2),
        (273, long, 1, at + 12),
        (274, short, 1, orientation),
        (277, short, 1, 3),
        (278, long, 1, height),
        (279, long, 1, pixels.nbytes),
        (339, short, 3, at + 6),
    ]
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    more = struct.pack("<6H", *[bits] * 3, *[3 if is_float else 1] * 3)
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, count) + table + bytes(4) + more + pixels.tobytes())


def test_a_dark_picture_of_sixteen_bits_stays_dark_where_its_values_tell(tmp_path: Path) -> None:
    for name, values, largest in (
        ("doubled", picture(3)[..., 0].astype(np.uint16) // 8 * 257, 31),  # bytes made 16 bits by a converter
        ("fifteen", picture(3)[..., 0].astype(np.uint16) * 120, 119),  # no camera has 15 bits
    ):
        Image.fromarray(values).save(tmp_path / f"{name}.png")
        assert read_image(tmp_path / f"{name}.png").max() == largest
    Image.fromarray(picture(3)[..., 0].astype(np.int32) << 23).save(tmp_path / "a.tif")
    assert (read_image(tmp_path / "a.tif") == picture(3)[..., :1]).all()


ADOBE_RGB = np.array([[0.60974, 0.31111, 0.01947], [0.20528, 0.62567, 0.06087], [0.14919, 0.06322, 0.74457]])
SRGB = np.array([[0.43607, 0.22249, 0.01392], [0.38515, 0.71687, 0.09708], [0.14307, 0.06061, 0.71410]])


def in_adobe_rgb(pixels: np.ndarray) -> np.ndarray:
    """The code values of Adobe RGB (1998) for what sRGB pixels show, uint8."""
    value = pixels / 255.0
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    other = (light @ SRGB @ np.linalg.inv(ADOBE_RGB)).clip(0, 1)
    return np.round(255 * other ** (1 / 2.19921875)).astype(np.uint8)


@pytest.mark.parametrize(
    "name, options",
    [
        ("a.jpg", {"quality": 98, "subsampling": 0}),
        ("a.png", {}),
        ("a.tif", {}),
        ("a.webp", {"lossless": True}),
        ("a.avif", {"quality": 98, "subsampling": "4:4:4"}),
        ("a.heic", {"quality": 98, "chroma": 444}),
    ],
)
def test_a_colour_profile_is_applied_in_every_format(tmp_path: Path, name: str, options: dict) -> None:
    stored = Image.fromarray(in_adobe_rgb(picture(5)))
    assert np.abs(np.asarray(stored).astype(int) - picture(5)).max() > 15
    stored.save(tmp_path / name, icc_profile=icc_profile(ADOBE_RGB, 2.19921875), **options)
    image = read_image(tmp_path / name)
    assert np.abs(image[36, [10, 50]].astype(int) - picture(5)[36, [10, 50]]).max() <= 8
    assert np.abs(image.astype(int) - picture(5)).mean() < 4


def test_profiles_of_grey_are_applied_and_damaged_ones_are_none(tmp_path: Path) -> None:
    grey = Image.fromarray(np.full((48, 64), 100, np.uint8))
    grey.save(tmp_path / "a.png", icc_profile=icc_profile([()], 1.0))
    linear = read_image(tmp_path / "a.png")
    assert linear.shape == (48, 64, 3) and abs(int(linear[0, 0, 0]) - 168) <= 2  # of 100 / 255 of white's light
    for odd in (icc_profile(ADOBE_RGB, 2.2)[:150], b"none"):
        Image.fromarray(picture(5)).save(tmp_path / "a.png", icc_profile=odd)
        assert (read_image(tmp_path / "a.png") == picture(5)).all()


def test_an_apng_whose_frames_make_way_and_lie_over_others_is_shown_as_it_was_made(tmp_path: Path) -> None:
    """ffmpeg chooses for each frame what becomes of the one before, and whether it replaces or covers it."""
    still = np.arange(48 * 64).reshape(48, 64) % 251
    pictures = []
    for number in range(8):
        shown = np.dstack([still, still.T.reshape(48, 64), still[::-1], np.full((48, 64), 255)]).astype(np.uint8)
        shown[10:20, 5 * number : 5 * number + 12, :3] = (255, 0, 0)
        if number in (3, 4):
            shown[20:44, 40:60, :3] = np.random.default_rng(number).integers(0, 255, (24, 20, 3))
        if number % 4 == 1:
            shown[30:40, 10:40] = 0
        pictures.append(shown)
    shape = ("-f", "rawvideo", "-pix_fmt", "rgba", "-s", "64x48", "-r", "25", "-i", "-", "-f", "apng")
    ffmpeg(*shape, str(tmp_path / "a.png"), feed=b"".join(p.tobytes() for p in pictures))
    with open_video(tmp_path / "a.png") as reader:
        frames = [frame.astype(int) for _, frame in reader]
    assert [int(np.abs(f - p[..., :3]).max()) <= 1 for f, p in zip(frames, pictures, strict=True)] == [True] * 8


def test_the_stand_in_picture_of_an_apng_and_thumbnails_in_a_tiff_are_no_frames(tmp_path: Path) -> None:
    frames = [Image.fromarray(picture(number)) for number in range(4)]
    frames[3].save(tmp_path / "a.png", save_all=True, append_images=frames[:3], default_image=True, duration=40)
    frames[1].encoderinfo = {"tiffinfo": {254: 1}}
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=[frames[1]])
    for name, numbers in (("a.png", [0, 1, 2]), ("a.tif", [0])):
        with open_video(tmp_path / name) as reader:
            assert [number_of(frame) for _, frame in reader] == numbers and not reader.warnings


def test_pages_of_several_sizes_lie_in_the_largest_and_share_their_range(tmp_path: Path) -> None:
    pages = [Image.fromarray(picture(number, (64, 48) if number % 2 else (96, 72))) for number in (1, 2, 3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with open_video(tmp_path / "a.tif") as reader:
        frames = [frame for _, frame in reader]
        assert (reader.width, reader.height) == (96, 72) and "differ in size" in reader.warnings[0]
    assert [number_of(frames[0][:48, :64]), number_of(frames[1]), number_of(frames[2][:48, :64])] == [1, 2, 3]
    bright, dark = picture(1)[..., 0].astype(np.uint16) << 4, np.full((48, 64), 255, np.uint16)
    Image.fromarray(bright).save(tmp_path / "b.tif", save_all=True, append_images=[Image.fromarray(dark)])
    cv2.imwritemulti(str(tmp_path / "c.tif"), [np.dstack([values] * 3) for values in (dark, bright)])
    for name, largest in (("b.tif", [255, 15]), ("c.tif", [15, 255])):
        with open_video(tmp_path / name) as reader:
            assert [int(frame.max()) for _, frame in reader] == largest
