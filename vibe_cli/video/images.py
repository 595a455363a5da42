"""Pictures in files: which a folder holds, how large they are, and their pixels as a viewer shows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vibe_cli.errors import InputError
from vibe_cli.run_folder import CLUTTER
from vibe_cli.video.names import in_order
from vibe_cli.video.pixels import ORIENTATION, deep_values, read_deep, shown_pixels, to_bytes, used_bits

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .apng .bmp .webp .tif .tiff .heic .heif .hif .avif .gif .jp2 .ppm .pgm .pnm".split()
)
VIDEO_SUFFIXES = frozenset(
    ".mp4 .mov .m4v .avi .mkv .webm .mpg .mpeg .mts .m2ts .ts .wmv .flv .3gp .ogv .mxf .vob .mjpeg .mjpg".split()
)
RAW_SUFFIXES = frozenset(".dng .cr2 .cr3 .crw .nef .nrw .arw .srf .orf .rw2 .raf .pef .x3f .srw .iiq".split())
# What Pillow raises on damaged files, and on unknown ones where ultralytics has put its own reader in its place.
_DAMAGED = (OSError, ValueError, SyntaxError, EOFError, ImportError)
_SUBFILE = 254  # of TIFF: bit 0 a thumbnail, bit 2 a mask
_TIFF_SUFFIXES = (".tif", ".tiff")
_SEQUENCES = ("GIF", "PNG", "WEBP", "TIFF", "AVIF")  # the pictures after the first are frames; in others they are not
_SAMPLED = 32  # pictures of a folder, or pages, that tell how many bits all of them use


def image_files(folder: Path) -> tuple[list[Path], list[str]]:
    """The images of a folder in the order of the numbers in their names, and the names of what is passed over.

    Hidden files and what file managers leave are no content. InputError where there is no image.
    """
    entries = [path for path in folder.iterdir() if not path.name.startswith(".") and path.name not in CLUTTER]
    files = [path for path in entries if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()]
    if not files:
        videos = sum(path.suffix.lower() in VIDEO_SUFFIXES for path in entries)
        if videos:
            raise InputError(
                f"{folder}: no images in this folder, but {videos} video{'s' if videos > 1 else ''}",
                hint=f"a folder of videos is a batch: vibe batch {folder}, or name them: vibe demo {folder}/*",
            )
        suffixes = ", ".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
        there = f" (but {counted(sorted(path.name for path in entries))})" if entries else ""
        raise InputError(
            f"{folder}: no images in this folder{there}", hint=f"give a video file or a folder of {suffixes}"
        )
    return in_order(files), sorted(path.name for path in entries if path not in set(files))


def counted(names: Sequence[str]) -> str:
    """How many there are, and the first few names."""
    return f"{len(names)}: " + ", ".join(names[:5]) + (", …" if len(names) > 5 else "")


def on_canvas(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The image at the top left of a black frame (height, width, 3); itself where it fills it."""
    if image.shape[:2] == (height, width):
        return image
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[: image.shape[0], : image.shape[1]] = image[:height, :width]
    return canvas


@contextmanager
def open_picture(file: Path) -> Iterator[Image]:
    """A file opened by Pillow, which learns HEIC from pillow-heif on the way.

    It gets a stream: it maps files that it opens by name, and turns rows of mapped TIFFs into one another (Pillow 13).
    """
    from PIL import Image

    try:
        import pillow_heif

        pillow_heif.register_heif_opener()
    except ImportError:
        pass  # HEIC then counts as unreadable
    with open(file, "rb") as stream, Image.open(stream) as image:
        yield image


def frame_count(file: Path) -> int:
    """How many frames an animation has; 1 for a picture and for what is none."""
    from PIL import Image

    try:
        with open_picture(file) as image:
            return max(1, len(frame_numbers(image)))
    except (*_DAMAGED, Image.DecompressionBombError):
        return 1


def frame_numbers(image: Image) -> list[int]:
    """Which of an open file's pictures are frames: thumbnails, masks and the stand-in picture of an APNG are none."""
    if image.format not in _SEQUENCES:
        return [0]
    numbers = range(1 if image.info.get("default_image") else 0, getattr(image, "n_frames", 1))
    if image.format != "TIFF" or len(numbers) < 2:
        return list(numbers)
    found = []
    for number in numbers:
        try:
            image.seek(number)
        except _DAMAGED:
            break
        if not int(getattr(image, "tag_v2", {}).get(_SUBFILE, 0)) & 5:
            found.append(number)
    image.seek(0)
    return found or [0]


def other_pictures(file: Path) -> int:
    """How many more pictures a file of several photographs has (HEIC of a burst), of which one is its main."""
    from PIL import Image

    try:
        with open_picture(file) as image:
            return getattr(image, "n_frames", 1) - 1 if image.format == "HEIF" else 0
    except (*_DAMAGED, Image.DecompressionBombError):
        return 0


def image_size(file: Path) -> tuple[int, int] | None:
    """(width, height) as displayed, from the header alone; None when it is not an image."""
    sizes = frame_sizes(file, first=True)
    return sizes[0] if sizes else None


def frame_sizes(file: Path, first: bool = False) -> list[tuple[int, int]]:
    """(width, height) of a picture, or of every frame that differs in size, the `first` alone; none of no image."""
    from PIL import Image

    try:
        with open_picture(file) as image:
            if first or image.format != "TIFF":
                return [_displayed_size(image)]
            sizes = []
            for number in frame_numbers(image):
                image.seek(number)
                sizes.append(_displayed_size(image))
            return sizes
    except Image.DecompressionBombError:
        return []
    except _DAMAGED:
        colour = _unknown_to_pillow(file)
        return [] if colour is None else [(colour.shape[1], colour.shape[0])]


def _displayed_size(image: Image) -> tuple[int, int]:
    """Pillow itself turns TIFF, in some versions at opening, so its tags are asked for the stored size."""
    tags = getattr(image, "tag_v2", {})
    width, height = (tags[256], tags[257]) if 256 in tags and 257 in tags else image.size
    return (height, width) if image.getexif().get(ORIENTATION) in (5, 6, 7, 8) else (width, height)


def _unknown_to_pillow(file: Path) -> np.ndarray | None:
    """The values (H, W, 3) of a TIFF that Pillow does not know, one of floats in colour; None of other files."""
    try:
        return read_deep(file) if file.suffix.lower() in _TIFF_SUFFIXES else None
    except OSError:
        return None


def why_unreadable(file: Path) -> str:
    """The reason why an image could not be read, in a few words."""
    from PIL import Image

    try:
        with open_picture(file) as image:
            image.load()
    except Image.DecompressionBombError:
        return f"too large, over {2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6} million pixels"
    except _DAMAGED:
        pass
    return "cannot be decoded"


def read_image(file: Path, bits: int | None = None) -> np.ndarray | None:
    """An image as displayed, RGB uint8 (H, W, 3), turned by EXIF, over black; None when it does not decode.

    `bits` is how many bits white has in an image of more than 8; None: as its largest value tells.
    """
    from PIL import Image

    try:
        with open_picture(file) as image:
            return shown_pixels(file, image, bits)
    except Image.DecompressionBombError:
        return None
    except _DAMAGED:
        colour = _unknown_to_pillow(file)
        return None if colour is None else to_bytes(colour, bits)


def animation_frames(file: Path) -> Iterator[tuple[np.ndarray, float]]:
    """The frames of an animation, RGB uint8 (H, W, 3), and the seconds that each is shown (0 where untold)."""
    from PIL import Image

    with open_picture(file) as image:
        numbers = frame_numbers(image)
        bits = _bits_of_pages(file, image, numbers)
        for number in numbers:
            try:
                image.seek(number)
                pixels = shown_pixels(file, image, bits, number)
            except (*_DAMAGED, Image.DecompressionBombError):
                return
            yield pixels, float(image.info.get("duration", 0) or 0) / 1000


def _bits_of_pages(file: Path, image: Image, numbers: Sequence[int]) -> int | None:
    """How many bits the pages of a TIFF use, told by a sample of them; None where they have 8, or cannot be read."""
    if image.format != "TIFF":
        return None
    found = []
    for number in numbers[:: max(1, len(numbers) // _SAMPLED)]:
        try:
            image.seek(number)
            image.load()
            deep = deep_values(file, image, number)
        except _DAMAGED:
            break
        if deep is not None:
            found.append(used_bits(deep))
    return max(found, default=None)


def bits_of(files: Sequence[Path]) -> int | None:
    """How many bits the deep images of a folder use, told by a sample of them; None where none has more than 8."""
    from PIL import Image

    found = []
    for file in files[:: max(1, len(files) // _SAMPLED)]:
        try:
            with open_picture(file) as image:
                if image.mode.startswith("I") or image.mode == "F" or image.format in ("PNG", "TIFF"):
                    image.load()
                    deep = deep_values(file, image)
                    if deep is not None:
                        found.append(used_bits(deep))
        except (*_DAMAGED, Image.DecompressionBombError):
            continue
    return max(found, default=None)
