"""Outputs of networks: typed tensors, and the one place where the packed vector theta is opened.

Letters: N crops, B sequences, T frames, F feature width, K keypoints.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from vibe_cli.geometry.rotations import axis_angle_from_matrix, matrix_from_6d

JOINTS = 24
CAMERA_SIZE, POSE_SIZE, BETAS_SIZE = 3, 3 * JOINTS, 10


@dataclass(frozen=True, eq=False)
class EncoderOutput:
    """Features and keypoints of N crops."""

    features: Tensor  # (N, F)
    keypoints: Tensor | None = None  # (N, K, 3)  x, y in −1..1 of the crop and confidence 0..1, or None


@dataclass(frozen=True, eq=False)
class MotionOutput:
    """The motion that a temporal network estimates; T is 1 where it estimates the middle frame only."""

    pose6d: Tensor  # (B, T, 24, 6)  rotations of SMPL's joints in 6D (geometry/rotations.py)
    betas: Tensor  # (B, T, 10)     shape; the paper averages it over a sequence
    camera: Tensor  # (B, T, 3)      crop camera s, tx, ty
    others: dict[str, MotionOutput] = field(default_factory=dict)  # by name; only in training
    extras: dict[str, Tensor] = field(default_factory=dict)  # what losses need besides; only in training

    @property
    def rotations(self) -> Tensor:
        """(B, T, 24, 3, 3) rotation matrices."""
        half = self.pose6d.dtype in (torch.float16, torch.bfloat16)  # of a network under autocast
        return matrix_from_6d(self.pose6d.float() if half else self.pose6d)

    @property
    def pose_aa(self) -> Tensor:
        """(B, T, 24, 3) axis-angle, radians."""
        return axis_angle_from_matrix(self.rotations)

    @property
    def theta(self) -> Tensor:
        """(B, T, 85) packed: camera, axis-angle pose, betas."""
        return pack_theta(self.camera, self.pose_aa.flatten(-2), self.betas)


def pack_theta(camera: Tensor, pose: Tensor, betas: Tensor) -> Tensor:
    """Camera (…, 3), axis-angle pose (…, 72) and betas (…, 10) → theta (…, 85)."""
    return torch.cat([camera, pose, betas], dim=-1)


def split_theta(theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Theta (…, 85) → camera (…, 3), axis-angle pose (…, 72), betas (…, 10)."""
    camera, pose, betas = theta.split([CAMERA_SIZE, POSE_SIZE, BETAS_SIZE], dim=-1)
    return camera, pose, betas
