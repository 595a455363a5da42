"""3DPW (von Marcard et al. 2018): people outdoors with SMPL's pose and shape, from one moving camera.

`sequenceFiles/<split>/<name>.pkl` is a Python 2 pickle, read without running it. Poses are in the world's axes, and
`cam_poses` (T, 4, 4) brings them into the camera's: R_camera · R(root). Frames with a bad camera are not valid.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from vibe_cli.datasets.joints import OPENPOSE_18, SMPL_24, to_49
from vibe_cli.datasets.reading import MARGIN, About, boxes_of_points
from vibe_cli.datasets.sequence import ImageFiles, Sequence
from vibe_cli.importing.safe_read import read_pickle

FPS = 30.0
GENDERS = {"m": "male", "f": "female"}
ABOUT = About(
    name="3dpw",
    title="3DPW",
    url="https://virtualhumans.mpi-inf.mpg.de/3DPW",
    licence="non-commercial research",
    layout="imageFiles/<name>/image_00000.jpg and sequenceFiles/{train,validation,test}/<name>.pkl",
    splits=("test", "validation", "train"),
)


def read(folder: Path, split: str | None = None) -> Iterator[Sequence]:
    """Everybody in every sequence of a split, in order of name."""
    split = ABOUT.choose_one(split)
    files = sorted(ABOUT.need(folder / "sequenceFiles" / split).glob("*.pkl"))
    images = ABOUT.need(folder / "imageFiles")
    for file in files:
        pictures = ABOUT.need(images / file.stem)
        with ABOUT.reading(file):
            people = _people(read_pickle(file), file.stem, pictures)
        yield from people


def _people(content: dict[str, Any], name: str, pictures: Path) -> list[Sequence]:
    """The people of one file."""
    cameras = np.asarray(content["cam_poses"], np.float64)
    intrinsics = np.asarray(content["cam_intrinsics"], np.float64)
    people = []
    for number, poses in enumerate(content["poses"]):
        poses = np.asarray(poses, np.float64)
        count = len(poses)
        if len(cameras) != count:
            raise ValueError(f"{count} poses and {len(cameras)} cameras")
        pose = poses.reshape(count, 24, 3).copy()
        root = Rotation.from_matrix(cameras[:, :3, :3]) * Rotation.from_rotvec(pose[:, 0])
        pose[:, 0] = root.as_rotvec()
        joints2d, _ = to_49(_points2d(content["poses2d"][number], count), OPENPOSE_18)
        joints3d, has = _joints(content, number, cameras)
        boxes, boxed = _boxes(joints3d, joints2d, intrinsics)
        paths = tuple(pictures / f"image_{row:05d}.jpg" for row in range(count))
        people.append(
            Sequence(
                name=f"{name}/{number}",
                length=count,
                fps=FPS,
                frames=ImageFiles(paths),
                boxes=boxes,
                valid=np.asarray(content["campose_valid"][number], bool) & boxed,
                joints2d=joints2d,
                joints3d=joints3d,
                joints3d_valid=None if joints3d is None else np.tile(has, (count, 1)),
                pose=pose,
                betas=np.tile(np.asarray(content["betas"][number], np.float64).ravel()[:10], (count, 1)),
                gender=GENDERS[str(content["genders"][number])[0].lower()],
                intrinsics=intrinsics,
            )
        )
    return people


def _points2d(points: Any, count: int) -> np.ndarray:
    """poses2d (T, 3, 18) → (T, 18, 3): x, y in pixels and confidence."""
    points = np.asarray(points, np.float64)
    if points.shape != (count, 3, 18):
        raise ValueError(f"poses2d of shape {points.shape}")
    return points.transpose(0, 2, 1)


def _joints(content: dict[str, Any], number: int, cameras: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """jointPositions (T, 72), SMPL's 24 in the world, → the 49 in the camera, metres; None where the file has none."""
    if "jointPositions" not in content:
        return None, np.zeros(49, bool)
    world = np.asarray(content["jointPositions"][number], np.float64).reshape(len(cameras), 24, 3)
    placed = world @ cameras[:, :3, :3].transpose(0, 2, 1) + cameras[:, None, :3, 3]
    return to_49(placed, SMPL_24)


def _boxes(joints3d: np.ndarray | None, joints2d: np.ndarray, intrinsics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """About the joints as the camera sees them, else about the 2D detections."""
    if joints3d is None:
        return boxes_of_points(joints2d)
    before = (joints3d[..., 2:] > 0.1) & (np.abs(joints3d).sum(-1, keepdims=True) > 0)
    flat = joints3d @ intrinsics.T
    points = np.concatenate([flat[..., :2] / np.where(before, flat[..., 2:], 1), before], axis=-1)
    return boxes_of_points(points, MARGIN)
