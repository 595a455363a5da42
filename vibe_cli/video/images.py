"""Folders of images: which files, in which order, how large, and their pixels as a viewer shows them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vibe_cli.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
# What Pillow raises on damaged files, and on unknown ones where ultralytics has put its own reader in its place.
_DAMAGED = (OSError, ValueError, SyntaxError, EOFError, ImportError)
_ORIENTATION = 0x0112  # EXIF


def image_files(folder: Path) -> list[Path]:
    """The images of a folder in natural order (img2 before img10), without hidden files and subfolders."""
    files = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]
    if not files:
        suffixes = ", ".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
        raise InputError(f"{folder}: no images in this folder", hint=f"give a video file or a folder of {suffixes}")
    return sorted(files, key=lambda path: _natural_key(path.name))


def _natural_key(name: str) -> tuple:
    """Sorts digits as numbers and letters without case; equal ones by the name itself."""
    return [(int(part), "") if part.isdecimal() else (-1, part.casefold()) for part in re.split(r"(\d+)", name)], name


def on_canvas(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The image at the top left of a black frame (height, width, 3); itself where it fills it."""
    if image.shape[:2] == (height, width):
        return image
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[: image.shape[0], : image.shape[1]] = image[:height, :width]
    return canvas


def image_size(file: Path) -> tuple[int, int] | None:
    """(width, height) as displayed, from the header alone; None when it is not an image."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            width, height = image.size
            turned = image.getexif().get(_ORIENTATION) in (5, 6, 7, 8)
    except (*_DAMAGED, Image.DecompressionBombError):
        return None
    return (height, width) if turned else (width, height)


def _upright(image: Image) -> Image:
    """Turned as its EXIF says. ImageOps.exif_transpose would write the EXIF anew as well, and fail on odd ones."""
    from PIL.Image import Transpose

    turn = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }.get(image.getexif().get(_ORIENTATION))
    return image if turn is None else image.transpose(turn)


def read_image(file: Path) -> np.ndarray | None:
    """An image as displayed (EXIF orientation applied), RGB uint8 (H, W, 3); None when it does not decode."""
    from PIL import Image

    try:
        with Image.open(file) as opened:
            image = _upright(opened)
            if image.mode.startswith("I"):  # 16 bits of grey, which convert() would clip
                grey = (np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
                return np.repeat(grey[..., None], 3, axis=2)
            if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
                black = Image.new("RGBA", image.size, (0, 0, 0, 255))
                image = Image.alpha_composite(black, image.convert("RGBA"))
            return np.array(image.convert("RGB"))
    except (*_DAMAGED, Image.DecompressionBombError):
        return None
