"""The 44 points of people that tables hold: SMPL's 24 joints, then points of the skin, by POINT_NAMES of the skeleton.

Nose, eyes, ears, toes and heels, and the joints as LSP, MPII and Human3.6M define them, are those among the 49 output
joints that the skeleton has not.
"""

from __future__ import annotations

import numpy as np
import torch

from vibe_cli.body.body_models import Body, Motion
from vibe_cli.body.joint_regressor import JointRegressor
from vibe_cli.geometry.rotations import matrix_from_axis_angle
from vibe_cli.geometry.skeleton import JOINT_NAMES, POINT_NAMES

CHUNK = 512  # frames at once


class BodyPoints:
    """The points of everybody whom one body poses."""

    def __init__(self, body: Body) -> None:
        self._regressor = JointRegressor(body)

    def about_pelvis(self, person: Motion) -> np.ndarray:
        """(T, 44, 3) float64 metres in camera axes, the pelvis at zero, in the order of POINT_NAMES."""
        betas, parts = torch.from_numpy(person.betas).double(), []
        for pose in torch.from_numpy(person.pose).double().split(CHUNK):
            rotations = matrix_from_axis_angle(pose)
            posed = self._regressor.pose(rotations, betas)
            points = self._regressor.points(posed, self._regressor.moments(betas, rotations))
            skeleton = posed.places - posed.rest[0]
            skin = points[:, len(JOINT_NAMES) - len(POINT_NAMES) :]
            parts.append(torch.cat([skeleton, skin], dim=1).numpy())
        return np.concatenate(parts) if parts else np.zeros((0, len(POINT_NAMES), 3))
