"""Pictures in files: which a folder holds, how large they are, and their pixels as a viewer shows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vibe_cli.errors import InputError
from vibe_cli.run_folder import CLUTTER
from vibe_cli.video.colour import Colour, shown
from vibe_cli.video.names import in_order

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .apng .bmp .webp .tif .tiff .heic .heif .hif .avif .gif .jp2 .ppm .pgm .pnm".split()
)
VIDEO_SUFFIXES = frozenset(
    ".mp4 .mov .m4v .avi .mkv .webm .mpg .mpeg .mts .m2ts .ts .wmv .flv .3gp .ogv .mxf .vob .mjpeg .mjpg".split()
)
# What Pillow raises on damaged files, and on unknown ones where ultralytics has put its own reader in its place.
_DAMAGED = (OSError, ValueError, SyntaxError, EOFError, ImportError)
_ORIENTATION = 0x0112  # EXIF
_SEQUENCES = ("GIF", "PNG", "WEBP", "TIFF", "AVIF")  # the pictures after the first are frames; in others they are not
_SAMPLED = 32  # pictures of a folder that tell how many bits all of them use


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


def open_picture(file: Path) -> Image:
    """Open a file by Pillow, which learns HEIC from pillow-heif on the way."""
    from PIL import Image

    try:
        import pillow_heif

        pillow_heif.register_heif_opener()
    except ImportError:
        pass  # HEIC then counts as unreadable
    return Image.open(file)


def frame_count(file: Path) -> int:
    """How many frames an animation has; 1 for a picture and for what is none."""
    from PIL import Image

    try:
        with open_picture(file) as image:
            return getattr(image, "n_frames", 1) if image.format in _SEQUENCES else 1
    except (*_DAMAGED, Image.DecompressionBombError):
        return 1


def image_size(file: Path) -> tuple[int, int] | None:
    """(width, height) as displayed, from the header alone; None when it is not an image."""
    from PIL import Image

    try:
        with open_picture(file) as image:
            return _displayed_size(image)
    except (*_DAMAGED, Image.DecompressionBombError):
        return None


def _displayed_size(image: Image) -> tuple[int, int]:
    """Pillow itself turns TIFF, in some versions at opening, so its tags are asked for the stored size."""
    tags = getattr(image, "tag_v2", {})
    width, height = (tags[256], tags[257]) if 256 in tags and 257 in tags else image.size
    return (height, width) if image.getexif().get(_ORIENTATION) in (5, 6, 7, 8) else (width, height)


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


def _turned(pixels: np.ndarray, orientation: int | None) -> np.ndarray:
    """Pixels (H, W, …) turned and mirrored as EXIF's value 1 to 8 says."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    across, down = orientation in (2, 3, 6, 7), orientation in (3, 4, 7, 8)
    return pixels[:: -1 if down else 1, :: -1 if across else 1]


def read_image(file: Path, bits: int | None = None) -> np.ndarray | None:
    """An image as displayed, RGB uint8 (H, W, 3), turned by EXIF, over black; None when it does not decode.

    `bits` is how many of a 16-bit image are used; None: as its largest value tells.
    """
    from PIL import Image

    try:
        with open_picture(file) as image:
            turn = image.getexif().get(_ORIENTATION)
            image.load()
            if image.format == "TIFF" and image.getexif().get(_ORIENTATION) is None:
                turn = None  # Pillow has turned it while loading
            deep = _deep(file, image)
            if deep is not None:
                return np.ascontiguousarray(_turned(to_bytes(deep, bits), turn))
            pixels = _turned(_rgb(image), turn)
            return shown(np.ascontiguousarray(pixels), _colour_of(file))
    except (*_DAMAGED, Image.DecompressionBombError):
        return None


def animation_frames(file: Path) -> Iterator[tuple[np.ndarray, float]]:
    """The frames of an animation, RGB uint8 (H, W, 3), and the seconds that each is shown (0 where untold).

    Thumbnails and masks among the pages of a TIFF are no frames; nor is the stand-in picture of an APNG.
    """
    from PIL import Image

    with open_picture(file) as image:
        for number in range(1 if image.info.get("default_image") else 0, getattr(image, "n_frames", 1)):
            try:
                image.seek(number)
                turn = image.getexif().get(_ORIENTATION)
                if int(getattr(image, "tag_v2", {}).get(254, 0)) & 5:
                    continue
                image.load()
                if image.format == "TIFF":
                    turn = None  # Pillow turns it while loading
                deep = np.asarray(image) if image.mode.startswith("I") or image.mode == "F" else None
                pixels = _turned(_rgb(image) if deep is None else to_bytes(deep, None), turn)
            except (*_DAMAGED, Image.DecompressionBombError):
                return
            yield np.ascontiguousarray(pixels), float(image.info.get("duration", 0) or 0) / 1000


def _rgb(image: Image) -> np.ndarray:
    """A picture of 8 bits as RGB, what is transparent over black."""
    from PIL import Image as images

    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        black = images.new("RGBA", image.size, (0, 0, 0, 255))
        image = images.alpha_composite(black, image.convert("RGBA"))
    return np.array(image.convert("RGB"))


def _deep(file: Path, image: Image) -> np.ndarray | None:
    """The values (H, W) or (H, W, 3) of a picture of more than 8 bits; None for one of 8.

    Pillow cuts colour of 16 bits to its upper eight, so OpenCV reads that of PNG.
    """
    if image.mode.startswith("I") or image.mode == "F":
        return np.asarray(image)
    if image.format == "PNG" and image.mode in ("RGB", "RGBA"):
        with open(file, "rb") as stream:
            if stream.read(25)[24:] != b"\x10":
                return None
        import cv2

        data = np.frombuffer(file.read_bytes(), np.uint8)
        values = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        if values is None or values.dtype != np.uint16 or values.ndim != 3:
            return None
        colour = values[..., 2::-1]
        return colour if values.shape[2] == 3 else (colour * (values[..., 3:] / 65535.0)).astype(np.uint16)
    return None


def used_bits(values: np.ndarray) -> int:
    """How many bits hold the largest value, 8 to 16."""
    return min(16, max(8, int(values.max(initial=0)).bit_length()))


def to_bytes(values: np.ndarray, bits: int | None) -> np.ndarray:
    """Values of 8 to 16 bits, or floats of 0..1, 0..255 or 0..65535, as RGB uint8 (H, W, 3)."""
    if values.dtype.kind == "f":
        values = np.nan_to_num(values, posinf=0, neginf=0)
        top = float(values.max(initial=0))
        full = 1.0 if top <= 1 else 255.0 if top <= 255 else 65535.0
        grey = np.round(values.astype(np.float64) * (255 / full)).clip(0, 255).astype(np.uint8)
    else:
        grey = (values.astype(np.int64) >> (bits or used_bits(values)) - 8).clip(0, 255).astype(np.uint8)
    return grey if grey.ndim == 3 else np.repeat(grey[..., None], 3, axis=2)


def bits_of(files: Sequence[Path]) -> int | None:
    """How many bits the 16-bit images of a folder use, told by a sample of them; None where none has them."""
    from PIL import Image

    found = []
    for file in files[:: max(1, len(files) // _SAMPLED)]:
        try:
            with open_picture(file) as image:
                if image.mode.startswith("I") or image.format == "PNG":
                    deep = _deep(file, image)
                    if deep is not None and deep.dtype.kind != "f":
                        found.append(used_bits(deep))
        except (*_DAMAGED, Image.DecompressionBombError):
            continue
    return max(found, default=None)


def _colour_of(file: Path) -> Colour:
    """Colour properties that HEIC, AVIF and PNG state, in H.273's numbers."""
    with open(file, "rb") as stream:
        head = stream.read(65536)
    if (at := head.find(b"colrnclx")) >= 0 and len(head) >= at + 12:
        return Colour.of_numbers(*(int.from_bytes(head[at + 8 + k : at + 10 + k], "big") for k in (0, 2)))
    if head.startswith(b"\x89PNG") and (at := head.find(b"cICP")) >= 0:
        return Colour.of_numbers(head[at + 4], head[at + 5])
    return Colour()
