"""Joints of people in space and in the picture, a row a person and frame: what CSV, JSON and Parquet hold.

The 44 points are SMPL's skeleton of 24 joints, then the other named points among the 49 output joints, each once:
nose, eyes, ears, toes and heels, and the joints as LSP, MPII and Human3.6M define them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vibe_cli.export import ExportOptions
from vibe_cli.export.axes import from_camera
from vibe_cli.export.clock import nearest_frames, steady
from vibe_cli.geometry import camera
from vibe_cli.geometry.skeleton import JOINT_NAMES, JOINTS_49, JOINTS_54

if TYPE_CHECKING:
    from vibe_cli.body.body_models import Body
    from vibe_cli.results import Person, Result

_SURFACE = [joint for joint in sorted(set(JOINTS_49)) if joint >= len(JOINT_NAMES)]
POINT_NAMES = (*JOINT_NAMES, *(JOINTS_54[joint] for joint in _SURFACE))
CHUNK = 512  # frames at once
OWN_AXES = "opencv"  # where no others are asked for


class Points:
    """The points of everybody whom one body poses."""

    def __init__(self, body: Body) -> None:
        from vibe_cli.body.joint_regressor import Landmarks

        self._landmarks = Landmarks(body)

    def about_pelvis(self, person: Person) -> np.ndarray:
        """(T, 44, 3) metres in camera axes, the pelvis at zero, in the order of POINT_NAMES."""
        import torch

        from vibe_cli.geometry.rotations import matrix_from_axis_angle

        betas, parts = torch.from_numpy(person.betas).double(), []
        for pose in torch.from_numpy(person.pose).double().split(CHUNK):
            rotations = matrix_from_axis_angle(pose)
            posed = self._landmarks.pose(rotations, betas)
            points = self._landmarks.points(posed, self._landmarks.moments(betas, rotations))
            skeleton = posed.places - posed.rest[0]
            parts.append(torch.cat([skeleton, points[:, -len(_SURFACE) :]], dim=1).numpy())
        return np.concatenate(parts) if parts else np.zeros((0, len(POINT_NAMES), 3))

    def placed(self, person: Person, result: Result, axes: str) -> tuple[np.ndarray, np.ndarray]:
        """(T, 44, 3) metres from the camera in axes of that name, and (T, 44, 2) pixels, where the overlay has them."""
        about, video = self.about_pelvis(person), result.video
        pixels = camera.project_image(about, person.image_camera(video), video.width, video.height)
        return (about + person.translation(video)[:, None]) @ from_camera(axes).T, pixels


def timed(result: Result, options: ExportOptions) -> Result:
    """The result at the clip's own time stamps, or at a constant rate where one is asked for."""
    return result if options.fps is None else steady(result, options.fps)


def clip_frames(person: Person, moving: Result, result: Result) -> np.ndarray:
    """(T,) int64 the frames of the clip that are nearest to those of a person in `moving`, which `timed` made of it."""
    if moving is result:
        return person.frames
    return nearest_frames(moving.video.times[person.frames], result.video)
