"""Human3.6M (Ionescu et al. 2014): eleven actors in a studio, from four sides.

`S1/MyPoseFeatures/D3_Positions_mono/<action>.<camera>.cdf` holds 32 joints in millimetres and the camera's axes,
`D2_Positions` the same in pixels, `S1/Videos/<action>.<camera>.mp4` the pictures, all at 50 frames a second; every
second one is taken. Of the 32, 17 are joints in their own right.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vibe_cli.datasets.cdf import read_cdf
from vibe_cli.datasets.joints import HUMAN36M_14, HUMAN36M_32, to_49
from vibe_cli.datasets.reading import About, boxes_of_points
from vibe_cli.datasets.sequence import Sequence, VideoFrames

MM, FPS, STEP = 1000.0, 25.0, 2
SUBJECTS = {"test": ("S9", "S11"), "train": ("S1", "S5", "S6", "S7", "S8")}
BROKEN = {("S11", "Directions.54138969")}  # its video is damaged in every copy
ABOUT = About(
    name="human36m",
    title="Human3.6M",
    url="http://vision.imar.ro/human3.6m",
    licence="academic research, by agreement",
    layout="S9/MyPoseFeatures/D3_Positions_mono/<action>.<camera>.cdf, S9/MyPoseFeatures/D2_Positions/… and "
    "S9/Videos/<action>.<camera>.mp4",
    splits=("test", "train"),
)


def read(folder: Path, split: str | None = None) -> Iterator[Sequence]:
    """Every action and camera of the subjects of a split that are there."""
    for subject in SUBJECTS[ABOUT.choose_one(split)]:
        if not (folder / subject).is_dir():
            continue
        home = folder / subject
        for file in sorted(ABOUT.need(home / "MyPoseFeatures" / "D3_Positions_mono").glob("*.cdf")):
            if (subject, file.stem) in BROKEN:
                continue
            flat = ABOUT.need(home / "MyPoseFeatures" / "D2_Positions" / file.name)
            video = ABOUT.need(home / "Videos" / f"{file.stem}.mp4")
            with ABOUT.reading(file):
                sequence = _sequence(f"{subject}/{file.stem}", _positions(file, 3), _positions(flat, 2), video)
            yield sequence


def _sequence(name: str, placed: np.ndarray, flat: np.ndarray, video: Path) -> Sequence:
    """Joints (T, 32, 3) in millimetres and (T, 32, 2) in pixels, at 50 a second."""
    if len(placed) != len(flat):
        raise ValueError(f"{len(placed)} frames in 3D and {len(flat)} in 2D")
    rows = np.arange(0, len(placed), STEP)
    placed, flat = placed[rows] / MM, flat[rows]
    joints3d, has = to_49(placed, HUMAN36M_32)
    joints2d, _ = to_49(np.concatenate([flat, np.ones((*flat.shape[:2], 1))], axis=-1), HUMAN36M_32)
    boxes, _ = boxes_of_points(joints2d)
    return Sequence(
        name=name,
        length=len(rows),
        fps=FPS,
        frames=VideoFrames(video, rows),
        boxes=boxes,
        joints2d=joints2d,
        joints3d=joints3d,
        joints3d_valid=np.tile(has, (len(rows), 1)),
        protocol14=placed[:, list(HUMAN36M_14)],
    )


def _positions(file: Path, dimensions: int) -> np.ndarray:
    """The variable Pose, (1, T, 32 · dimensions) → (T, 32, dimensions)."""
    pose = read_cdf(file)["Pose"]
    return np.asarray(pose, np.float64).reshape(-1, 32, dimensions)
