"""AMASS (Mahmood et al. 2019): motion capture as SMPL+H parameters, no pictures.

`<set>/<subject>/<motion>_poses.npz`, or `_stageii.npz` in later releases. The first 66 numbers of a pose are SMPL's
first 22 joints; hands are left at rest. Motions are taken at 25 frames a second, each the nearest one that was
captured; the axes stay AMASS's own, z up.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vibe_cli.datasets.reading import About
from vibe_cli.datasets.sequence import WORLD_Z_UP, Sequence
from vibe_cli.importing.safe_read import read_npz

FPS = 25.0
BODY = 66
ABOUT = About(
    name="amass",
    title="AMASS",
    url="https://amass.is.tue.mpg.de",
    licence="non-commercial research",
    layout="<set>/<subject>/<motion>_poses.npz with poses, trans, betas, gender, mocap_framerate",
    task="none",
)


def read(folder: Path, split: str | None = None) -> Iterator[Sequence]:
    """Every motion, in order of path; files of shapes alone are passed over."""
    ABOUT.choose(split)
    files = [path for path in sorted(folder.rglob("*.npz")) if path.name.endswith(("_poses.npz", "_stageii.npz"))]
    for file in files:
        with ABOUT.reading(file):
            sequence = _motion(read_npz(file), str(file.relative_to(folder).with_suffix("")))
        yield sequence


def _motion(content: dict[str, np.ndarray], name: str) -> Sequence:
    """One file's motion."""
    rate = float(content["mocap_framerate" if "mocap_framerate" in content else "mocap_frame_rate"])
    poses = np.asarray(content["poses"], np.float64)
    rows = every(len(poses), rate, FPS)
    pose = np.zeros((len(rows), 24, 3))
    pose[:, :22] = poses[rows, :BODY].reshape(-1, 22, 3)
    gender = content["gender"][()] if "gender" in content else "neutral"
    gender = (gender.decode() if isinstance(gender, bytes) else str(gender)).lower()
    return Sequence(
        name=name,
        length=len(rows),
        fps=FPS,
        pose=pose,
        trans=content["trans"][rows],
        betas=np.tile(np.asarray(content["betas"]).ravel()[:10], (len(rows), 1)),
        gender=gender,
        axes=WORLD_Z_UP,
    )


def every(count: int, rate: float, wanted: float) -> np.ndarray:
    """Which of `count` frames at `rate` a second are nearest to the times of `wanted` a second; all of a lower rate."""
    if not (np.isfinite(rate) and rate > 0):
        raise ValueError(f"{rate} frames a second")
    if rate <= wanted:
        return np.arange(count)
    times = np.arange(int(np.floor((count - 1) * wanted / rate + 1e-9)) + 1) / wanted
    return np.minimum(np.floor(times * rate + 0.5).astype(int), count - 1)
