"""A folder of labelled photographs as trainings read it, tiny and made up."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import cv2
import numpy as np

NUMBERS = (401, 402, 403, 9601)


def write_photographs(folder: Path) -> Path:
    """Four photographs, the last to validate on."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    names = [f"im{number:05d}.jpg" for number in NUMBERS]
    human = np.concatenate([rng.uniform(20, 100, (4, 14, 2)), np.ones((4, 14, 1))], axis=-1)
    np.savez(
        folder / "lspet_labels.npz",
        names=np.array(names),
        human=human.astype(np.float32),
        movenet=np.full((4, 2, 17, 3), 0.1, np.float32),
        blazepose=np.full((4, 33, 4), 0.1, np.float32),
        blazepose_world=np.zeros((4, 33, 3), np.float32),
        boxes=np.array([[10, 10, 90, 90, 0.8], [0, 0, 20, 30, 0.2]], np.float32),
        boxes_picture=np.array([0, 2]),
    )
    shades = (np.full((120, 120, 3), 60 * value, np.uint8) for value in range(len(names)))
    packed = (cv2.imencode(".jpg", shade)[1].tobytes() for shade in shades)
    write_archive(folder / "lspet.tar", {f"lspet/{n}": data for n, data in zip(names, packed, strict=True)})
    return folder


def write_scenes(folder: Path) -> Path:
    """One everyday scene more in a folder, with a person boxed."""
    scene = cv2.imencode(".jpg", np.full((80, 90, 3), 120, np.uint8))[1].tobytes()
    write_archive(folder / "scenes.tar", {"a.jpg": scene})
    entry = {"file_name": "a.jpg", "people": [{"box": [10, 10, 30, 50], "crowd": False}], "yolox": []}
    (folder / "scenes.json").write_text(json.dumps([entry]))
    return folder


def write_archive(path: Path, files: dict[str, bytes]) -> None:
    """A tar of those files."""
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
