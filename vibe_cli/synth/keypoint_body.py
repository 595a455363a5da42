"""The 44 keypoints of the open body without its mesh, for training: a shape in every row, in float32, on any device.

The formula and its fitting twin are `body.joint_regressor`; the moments come with the open body's file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vibe_cli.body.body_models import pose_joints
from vibe_cli.body.joint_regressor import offsets, surface_points
from vibe_cli.device import exactly
from vibe_cli.geometry.skeleton import PARENTS
from vibe_cli.synth.bodies import SynthBody


class KeypointBody(nn.Module):
    """Rotations and betas → keypoints."""

    joints: Tensor  # (24, 3) at rest, metres
    joint_dirs: Tensor  # (24, 3, 11) of shape
    point_moments: Tensor  # (P, 24, 3) of the points on the surface
    point_moment_dirs: Tensor  # (P, 24, 3, 11)
    point_weights: Tensor  # (P, 24)

    def __init__(self, body: SynthBody) -> None:
        super().__init__()
        for name in ("joints", "joint_dirs", "point_moments", "point_moment_dirs", "point_weights"):
            self.register_buffer(name, torch.from_numpy(getattr(body, name).astype(np.float32)))

    @classmethod
    def load(cls, path: Path) -> KeypointBody:
        """From the open body's file."""
        return cls(SynthBody.load(path, faces=None))

    @exactly
    def forward(self, rotations: Tensor, betas: Tensor) -> Tensor:
        """Relative rotations (N, 24, 3, 3), betas (N, 10) → points (N, K, 3) metres, pelvis at the origin.

        In place of betas a drawn person's shape (N, 11), whose last number is how much of a child they are.
        """
        count = betas.shape[1]
        joints = self.joints + torch.einsum("jdb,nb->njd", self.joint_dirs[..., :count], betas)
        moments = self.point_moments + (betas @ self.point_moment_dirs[..., :count].flatten(0, 2).T).unflatten(
            1, (-1, 24, 3)
        )
        world, position = pose_joints(rotations, joints, PARENTS)
        position = position - joints[:, :1]
        surface = surface_points(world, offsets(world, position, joints), moments, self.point_weights)
        return torch.cat([position, surface], 1)
