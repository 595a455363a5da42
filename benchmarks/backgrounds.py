"""Gather the free pictures before which the shipped lifter's people stood, as a folder for `make weights BACKGROUNDS=`.

    npm pack @pmndrs/assets@1.7.0 @lobehub/fluent-emoji-3d@1.1.0
    apt-get download blender-data && dpkg-deb -x blender-data_*.deb blender
    pip install OpenEXR
    python benchmarks/backgrounds.py OUT pmndrs-assets-1.7.0.tgz lobehub-fluent-emoji-3d-1.1.0.tgz blender

Panoramas of real places without people: Poly Haven's, CC0, small, from the packages of pmndrs and of Blender. Things:
Microsoft's Fluent emoji, MIT, those that show animals, plants, food, vehicles, clothes and tools, and nobody's face
or hand. Nothing of them is in the models' files or in the repository.
"""

from __future__ import annotations

import base64
import sys
import tarfile
import tempfile
from pathlib import Path

import cv2
import numpy as np

NO_PLACE = {"sky", "studio"}  # of pmndrs': a drawn sea, and a studio that Blender has larger
WITH_PEOPLE = {"sunset"}  # of Blender's: passers-by
THINGS = [
    (0x1F300, 0x1F37F),
    (0x1F381, 0x1F382),
    (0x1F384, 0x1F384),
    (0x1F386, 0x1F3C1),
    (0x1F3C5, 0x1F3C6),
    (0x1F3CD, 0x1F3F4),
    (0x1F400, 0x1F43F),
    (0x1F451, 0x1F462),
    (0x1F484, 0x1F484),
    (0x1F488, 0x1F48E),
    (0x1F490, 0x1F490),
    (0x1F492, 0x1F4FF),
    (0x1F50A, 0x1F52E),
    (0x1F54B, 0x1F54E),
    (0x1F56F, 0x1F573),
    (0x1F576, 0x1F579),
    (0x1F58A, 0x1F58D),
    (0x1F5A5, 0x1F5E2),
    (0x1F5E4, 0x1F5FC),
    (0x1F5FE, 0x1F5FE),
    (0x1F680, 0x1F6A2),
    (0x1F6A4, 0x1F6B3),
    (0x1F6B7, 0x1F6B8),
    (0x1F6BD, 0x1F6BD),
    (0x1F6BF, 0x1F6BF),
    (0x1F6C1, 0x1F6CB),
    (0x1F6CD, 0x1F6FC),
    (0x1F950, 0x1F96F),
    (0x1F980, 0x1F9AE),
    (0x1F9B4, 0x1F9B4),
    (0x1F9EA, 0x1F9FF),
    (0x1FA70, 0x1FA83),
    (0x1FA85, 0x1FA85),
    (0x1FA87, 0x1FABF),
    (0x1FACE, 0x1FADF),
    (0x231A, 0x231B),
    (0x2600, 0x2604),
    (0x260E, 0x260E),
    (0x2614, 0x2618),
    (0x26BD, 0x26BE),
    (0x26C4, 0x26C5),
    (0x26EA, 0x26EA),
    (0x26F0, 0x26F5),
    (0x26FA, 0x26FA),
]


def read_exr(data: bytes) -> np.ndarray:
    """(h, w, 3) float32, BGR."""
    import OpenEXR

    with tempfile.NamedTemporaryFile(suffix=".exr") as file:
        file.write(data)
        file.flush()
        channels = OpenEXR.File(file.name).channels()
    if "R" in channels:
        rgb = np.dstack([channels[name].pixels for name in "RGB"])
    else:
        rgb = channels["RGB" if "RGB" in channels else "RGBA"].pixels[..., :3]
    return np.nan_to_num(rgb[..., ::-1].astype(np.float32), nan=6e4, posinf=6e4)


def panoramas(assets: Path, blender: Path) -> dict[str, np.ndarray]:
    """Name → radiance."""
    found = {}
    with tarfile.open(assets) as archive:
        for member in archive:
            name = Path(member.name).name.removesuffix(".exr.js")
            if member.name.endswith(".exr.js") and name not in NO_PLACE:
                text = archive.extractfile(member).read().decode()
                found[name] = read_exr(base64.b64decode(text.split("base64,")[1].split("'")[0].split('"')[0]))
    for path in sorted(blender.rglob("studiolights/world/*.exr")):
        if path.stem not in WITH_PEOPLE:
            found[f"{path.stem}_b"] = read_exr(path.read_bytes())
    return found


def main() -> None:
    """Write OUT/*.hdr and OUT/*.webp."""
    out, assets, emoji, blender = (Path(argument) for argument in sys.argv[1:5])
    out.mkdir(parents=True, exist_ok=True)
    places = panoramas(assets, blender)
    for name, radiance in places.items():
        cv2.imwrite(str(out / f"{name}.hdr"), np.ascontiguousarray(np.maximum(radiance, 0)))
    things = 0
    with tarfile.open(emoji) as archive:
        for member in archive:
            code, *rest = Path(member.name).stem.split("-")
            if (
                member.name.endswith(".webp")
                and rest in ([], ["fe0f"])
                and any(first <= int(code, 16) <= last for first, last in THINGS)
            ):
                (out / Path(member.name).name).write_bytes(archive.extractfile(member).read())
                things += 1
    print(f"{len(places)} panoramas and {things} things in {out}")


if __name__ == "__main__":
    main()
