"""A folder of labelled photographs as trainings read it, tiny and made up."""

from __future__ import annotations

import io
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
    )
    with tarfile.open(folder / "lspet.tar", "w") as archive:
        for value, name in enumerate(names):
            packed = cv2.imencode(".jpg", np.full((120, 120, 3), 60 * value, np.uint8))[1].tobytes()
            info = tarfile.TarInfo(f"lspet/{name}")
            info.size = len(packed)
            archive.addfile(info, io.BytesIO(packed))
    return folder
