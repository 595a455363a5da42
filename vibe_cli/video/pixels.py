"""The pixels of a picture as a viewer shows them: turned, in sRGB, 8 bits a channel, what is transparent over black.

What Pillow leaves to others is done here: pictures of 10 to 32 bits and of floats, orientation, colour profiles (ICC.1
by LittleCMS), and the code values of ITU-T H.273.
"""

from __future__ import annotations

import functools
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vibe_cli.video.colour import Colour, shown

if TYPE_CHECKING:
    from PIL.Image import Image

ORIENTATION = 0x0112  # of EXIF, and of TIFF
_BITS_PER_SAMPLE, _SAMPLE_FORMAT = 258, 339  # of TIFF; the second is 3 where samples are floats
_FLOAT = 1  # "bits" of floats of which 1 is white
_SIGNED = 31  # of whole numbers of 32
MOST_OVER = 0.01  # share of the floats of a picture that may lie above white, as highlights do


def shown_pixels(file: Path, image: Image, bits: int | None = None, page: int = 0) -> np.ndarray:
    """The picture at which an open file stands, RGB uint8 (H, W, 3); `page` is its number in a TIFF.

    `bits` is how many bits white has in a picture of more than 8; None: as the largest value tells.
    """
    turn = image.getexif().get(ORIENTATION)
    image.load()
    if image.format == "TIFF":
        turn = turn if _is_left_unturned(image) else None
    profile = image.info.get("icc_profile")
    deep = deep_values(file, image, page)
    if deep is not None:
        from PIL import Image as images

        pixels = to_bytes(deep, bits)
        pixels = np.array(to_srgb(images.fromarray(pixels), profile)) if profile else pixels
    else:
        pixels = _rgb(image)
    pixels = np.ascontiguousarray(turned(pixels, turn))
    return pixels if profile else shown(pixels, _colour_of(file))


def _is_left_unturned(image: Image) -> bool:
    """Whether a TIFF that is loaded still has its tag: Pillow takes it away as it turns the picture."""
    return image.getexif().get(ORIENTATION) is not None


def turned(pixels: np.ndarray, orientation: int | None) -> np.ndarray:
    """Pixels (H, W, …) turned and mirrored as EXIF's value 1 to 8 says."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    across, down = orientation in (2, 3, 6, 7), orientation in (3, 4, 7, 8)
    return pixels[:: -1 if down else 1, :: -1 if across else 1]


def _rgb(image: Image) -> np.ndarray:
    """A picture of 8 bits in sRGB, what is transparent over black."""
    from PIL import Image as images

    profile, alpha = image.info.get("icc_profile"), None
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
    if image.mode not in ("RGB", "L", "CMYK"):
        image = image.convert("RGB")
    flat = (to_srgb(image, profile) if profile else image).convert("RGB")
    if alpha is not None:
        flat = images.composite(flat, images.new("RGB", flat.size), alpha)
    return np.array(flat)


def to_srgb(image: Image, profile: bytes) -> Image:
    """A picture in RGB, L or CMYK by its colour profile as an ordinary screen shows it, in RGB.

    As it is where the profile is sRGB's own, is damaged, or is of other channels than the picture.
    """
    from PIL import ImageCms

    kinds = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = kinds.get(source.profile.xcolor_space.strip())
        if mode is None or (mode == "CMYK") != (image.mode == "CMYK") or _is_srgb(source):
            return image
        converted = ImageCms.profileToProfile(
            image if image.mode == mode else image.convert(mode),
            source,
            _srgb(),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        return image if converted is None else converted
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image


@functools.lru_cache(maxsize=1)
def _srgb() -> Any:
    from PIL import ImageCms

    return ImageCms.createProfile("sRGB")


def _is_srgb(profile: Any) -> bool:
    name = (profile.profile.profile_description or "").lower()
    return "srgb" in name and "linear" not in name


def deep_values(file: Path, image: Image, page: int = 0) -> np.ndarray | None:
    """The values (H, W) or (H, W, 3) of a loaded picture of more than 8 bits; None for one of 8.

    Pillow cuts colour of 16 bits to its upper eight, so OpenCV reads that of PNG and TIFF.
    """
    if image.mode.startswith("I") or image.mode == "F":
        return np.asarray(image)
    if image.mode not in ("RGB", "RGBA") or not _has_deep_colour(file, image):
        return None
    return read_deep(file, page)


def _has_deep_colour(file: Path, image: Image) -> bool:
    if image.format == "PNG":
        with open(file, "rb") as stream:
            return stream.read(25)[24:] == b"\x10"
    return max(getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (8,))) > 8


def read_deep(file: Path, page: int = 0) -> np.ndarray | None:
    """The colours (H, W, 3) of a PNG or TIFF of 16 bits or floats, a TIFF's turned; None where it is none."""
    import cv2

    try:
        if page:
            pages = cv2.imreadmulti(str(file), start=page, count=1, flags=cv2.IMREAD_UNCHANGED)[1]
            values = pages[0] if len(pages) else None
        else:
            values = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if values is None or values.ndim != 3 or values.shape[2] < 3 or values.dtype == np.uint8:
        return None
    colour = values[..., 2::-1]
    if values.shape[2] == 3:
        return colour
    full = 65535.0 if values.dtype == np.uint16 else 1.0
    return (colour * (values[..., 3:] / full)).astype(values.dtype)


def used_bits(values: np.ndarray) -> int:
    """How many bits white has: 8, 10, 12, 14, 16 or 31, the least that hold the largest value; of floats 1, 8 or 16.

    Bytes that were doubled to 16 bits, as converters write them, have 16, however dark they are.
    """
    if values.dtype.kind == "f":
        finite = values[np.isfinite(values)]
        top = float(np.quantile(finite, 1 - MOST_OVER)) if finite.size else 0.0
        return _FLOAT if top <= 1 else 8 if top <= 255 else 16
    top = int(values.max(initial=0))
    if 255 < top < 65536 and bool(((values >> 8) == (values & 255)).all()):
        return 16
    bits = top.bit_length()
    return max(8, bits + bits % 2) if bits <= 16 else _SIGNED


def to_bytes(values: np.ndarray, bits: int | None) -> np.ndarray:
    """Values of 8 to 32 bits, or floats of 0..1, 0..255 or 0..65535, as RGB uint8 (H, W, 3)."""
    bits = bits or used_bits(values)
    if values.dtype.kind == "f":
        values = np.nan_to_num(values.astype(np.float64), posinf=0, neginf=0)
        grey = np.round(values * (255 / (2**bits - 1))).clip(0, 255).astype(np.uint8)
    else:
        grey = (values.astype(np.int64) >> max(bits - 8, 0)).clip(0, 255).astype(np.uint8)
    return grey if grey.ndim == 3 else np.repeat(grey[..., None], 3, axis=2)


def _colour_of(file: Path) -> Colour:
    """Colour properties that HEIC, AVIF and PNG state, in H.273's numbers."""
    with open(file, "rb") as stream:
        head = stream.read(65536)
    if (at := head.find(b"colrnclx")) >= 0 and len(head) >= at + 12:
        return Colour.of_numbers(*(int.from_bytes(head[at + 8 + k : at + 10 + k], "big") for k in (0, 2)))
    if head.startswith(b"\x89PNG") and (at := head.find(b"cICP")) >= 0:
        return Colour.of_numbers(head[at + 4], head[at + 5])
    return Colour()
