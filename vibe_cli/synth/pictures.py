"""Pictures that people are dressed with and seen before: photographs, views all round from a place, things cut out."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from vibe_cli.errors import InputError, ModelError
from vibe_cli.video.images import read_image

# Of scikit-image's sample pictures those that its data/README.txt gives as CC0 or public domain.
FREE_PICTURES = [
    "astronaut.png",
    "brick.png",
    "chelsea.png",
    "coffee.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "moon.png",
    "page.png",
    "rocket.jpg",
    "text.png",
]
INSTALL = "install it with: pip install 'vibe-cli[synth]', or use a bundle of `vibe synth pack`"
FORMATS = (".jpg", ".jpeg", ".png", ".webp")
HEIGHT = 320  # pixels of a photograph's shorter side
PANORAMA = 512  # most pixels of a panorama from zenith to nadir
THING = 192  # most pixels of a thing's longer side
GREY, GAMMA = 0.18, 2.2  # of a panorama's radiance: where its median lies, and how it becomes a picture
LONGEST = 8  # times a picture's shorter side: longer ones are rulers and gradients, not photographs
LEAST_CLEAR = 0.05  # share of transparent pixels from which a picture with an alpha channel is a thing cut out


@dataclass(frozen=True, eq=False)
class Pictures:
    """All uint8, BGR."""

    photographs: list[np.ndarray]  # (h, w, 3), for prints and backgrounds
    panoramas: list[np.ndarray] = field(default_factory=list)  # (h, 2h, 3): a row goes all round, the zenith is on top
    things: list[np.ndarray] = field(default_factory=list)  # (h, w, 4), opaque where the thing is, premultiplied

    def __str__(self) -> str:
        counts = {"picture": len(self.photographs), "panorama": len(self.panoramas), "thing": len(self.things)}
        return ", ".join(f"{n} {name}{'s' * (n != 1)}" for name, n in counts.items() if n)


def load_pictures(folder: Path | None = None, ours: list[np.ndarray] | None = None) -> Pictures:
    """A folder of the user's, or `ours`, which also serve where the folder has no photographs: those of a bundle, else
    scikit-image's free samples.

    `.hdr` files (Radiance) are panoramas; pictures that are transparent in part are things. InputError where the
    folder holds none of the three, ModelError where scikit-image is wanted and missing.
    """
    found = Pictures([]) if folder is None else _read_folder(folder)
    if folder is not None and not (found.photographs or found.panoramas or found.things):
        raise InputError(f"{folder}: no background pictures", hint="give a folder of .jpg, .png or .hdr files")
    return found if found.photographs else Pictures(ours or _samples(), found.panoramas, found.things)


def _samples() -> list[np.ndarray]:
    try:
        import skimage.data
    except ImportError:
        raise ModelError("drawing people needs the Python package skimage", hint=INSTALL) from None
    pictures = (read_image(Path(skimage.data.__file__).parent / name) for name in FREE_PICTURES)
    return [_photograph(picture) for picture in pictures if picture is not None]


def _read_folder(folder: Path) -> Pictures:
    found = Pictures([])
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() == ".hdr":
            if (panorama := _read_panorama(path)) is not None:
                found.panoramas.append(panorama)
        elif path.suffix.lower() in FORMATS:
            if (thing := _read_thing(path)) is not None:
                found.things.append(thing)
            elif (picture := read_image(path)) is not None and max(picture.shape[:2]) <= LONGEST * min(
                picture.shape[:2]
            ):
                found.photographs.append(_photograph(picture))
    return found


def _photograph(picture: np.ndarray) -> np.ndarray:
    """RGB of any size → BGR of HEIGHT."""
    scale = HEIGHT / min(picture.shape[:2])
    return cv2.resize(np.ascontiguousarray(picture[..., ::-1]), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _read_panorama(path: Path) -> np.ndarray | None:
    """Radiance as a picture whose median is a middle grey; None where it does not decode."""
    try:
        radiance = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error:
        return None
    if radiance is None or radiance.dtype != np.float32 or min(radiance.shape[:2]) < 2:
        return None
    if abs(radiance.shape[1] / radiance.shape[0] - 2) > 0.02:
        raise InputError(
            f"{path}: {radiance.shape[1]} x {radiance.shape[0]} pixels, no view all round",
            hint="give panoramas that are twice as wide as high, as polyhaven.com has them",
        )
    height = min(PANORAMA, radiance.shape[0])
    radiance = cv2.resize(radiance, (2 * height, height), interpolation=cv2.INTER_AREA)
    radiance = np.nan_to_num(radiance)
    lit = radiance[radiance > 0]
    exposed = radiance / (np.median(lit) if lit.size else 1) * GREY
    return (np.clip(exposed, 0, 1) ** (1 / GAMMA) * 255).astype(np.uint8)


def _read_thing(path: Path) -> np.ndarray | None:
    """A picture cut to what is opaque of it, premultiplied; None where nearly all is, or where it does not decode."""
    from PIL import Image

    try:
        with Image.open(path) as opened:
            if opened.mode not in ("RGBA", "LA", "PA") and "transparency" not in opened.info:
                return None
            rgba = np.array(opened.convert("RGBA"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    rows, columns = np.nonzero(rgba[..., 3] > 127)
    if not len(rows) or (rgba[..., 3] < 128).mean() < LEAST_CLEAR:
        return None
    rgba = rgba[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    rgba[..., :3] = np.rint(rgba[..., :3] * (rgba[..., 3:] / 255.0))
    scale = min(1.0, THING / max(rgba.shape[:2]))
    wide, high = (max(1, round(side * scale)) for side in rgba.shape[1::-1])
    return cv2.resize(np.ascontiguousarray(rgba[..., [2, 1, 0, 3]]), (wide, high), interpolation=cv2.INTER_AREA)
