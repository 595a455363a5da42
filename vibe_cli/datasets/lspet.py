"""Leeds Sports Pose Extended (Johnson and Everingham 2011): people in hard poses, 14 joints marked by hand.

`joints.mat` holds `joints` (14, 3, N): x, y from 1 and whether it is marked; `images/im00001.jpg` the pictures. The
folder that our keypoint network learns from is read too (`vibe_cli/training/photographs.py`), its archive unpacked into
`lspet/`; its photographs from 09601 on are for validation. Neck and head top count as hidden, as everybody marks them
elsewhere: what is measured are the limbs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vibe_cli.datasets.joints import to_49
from vibe_cli.datasets.reading import About, boxes_of_points, read_mat
from vibe_cli.datasets.sequence import ImageFiles, Sequence
from vibe_cli.geometry.skeleton import LSP_14
from vibe_cli.importing.safe_read import read_npz

FIRST_VALIDATION = 9601  # the number from which photographs are for validation
MARGIN = 1.1  # of a person's box over that of the joints
HIDDEN = 0.5  # confidence of neck and head top
ABOUT = About(
    name="lspet",
    title="Leeds Sports Pose Extended",
    url="https://github.com/axelcarlier/lsp",
    licence="not stated; for research",
    layout="joints.mat and images/im00001.jpg (or lspet_labels.npz and lspet/im00401.jpg, of lspet.tar unpacked)",
    splits=("val", "train"),
    task="keypoints",
)


def read(folder: Path, split: str | None = None) -> Iterator[Sequence]:
    """Everybody of a split, in order of number."""
    validation = ABOUT.choose(split) == "val"
    labelled = folder / "lspet_labels.npz"
    names, joints, pictures = _labelled(labelled, folder) if labelled.is_file() else _published(folder)
    for name, marks in zip(names, joints, strict=True):
        if (number_of(name) >= FIRST_VALIDATION) == validation:
            points = np.where(marks[None, :, 2:] > 0, marks[None], 0).astype(np.float64)
            boxes, valid = boxes_of_points(points, MARGIN)
            points[:, 12:, 2] *= HIDDEN
            joints2d, _ = to_49(points, LSP_14)
            frames = ImageFiles((pictures / name,))
            yield Sequence(Path(name).stem, 1, 1.0, frames=frames, boxes=boxes, valid=valid, joints2d=joints2d)


def _published(folder: Path) -> tuple[list[str], np.ndarray, Path]:
    """Names, joints (N, 14, 3) and the pictures' folder, as the set is published."""
    file, pictures = ABOUT.need(folder / "joints.mat"), ABOUT.need(folder / "images")
    with ABOUT.reading(file):
        joints = np.asarray(read_mat(file, "joints")["joints"], np.float64).transpose(2, 0, 1)
        joints = joints.reshape(-1, 14, 3) - [1, 1, 0]
    return [f"im{number:05d}.jpg" for number in range(1, len(joints) + 1)], joints, pictures


def _labelled(file: Path, folder: Path) -> tuple[list[str], np.ndarray, Path]:
    """The same of the folder that the keypoint network learns from."""
    with ABOUT.reading(file):
        content = read_npz(file)
        names = [Path(str(name)).with_suffix(".jpg").name for name in content["names"]]
        joints = np.asarray(content["human"], np.float64).reshape(-1, 14, 3)
    return names, joints, ABOUT.need(folder / "lspet")


def number_of(name: str) -> int:
    """The number in a photograph's name: im00401.jpg → 401; 0 where there is none."""
    digits = "".join(c for c in Path(name).stem if c.isdigit())
    return int(digits) if digits else 0
