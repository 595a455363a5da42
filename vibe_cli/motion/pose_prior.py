"""How likely a pose is: a Gaussian mixture over the rotations of 19 joints, fitted to motion capture.

A joint's rotation R relative to its parent is told by the rotation vector v of mean⁻¹·R, radians, where `mean` is
the joint's mean rotation: around zero such vectors are as good as linear, and the half turn at which they jump
lies as far from usual poses as it can. The root is left out (a prior knows nothing of the camera), and so are
toes and fingers, which motion capture did not measure. Bogo et al. 2016 (SMPLify, section 3.1) take the largest
of the components' terms; here all are summed, which has no kinks.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from vibe_cli.errors import ModelError
from vibe_cli.geometry.rotations import axis_angle_from_matrix
from vibe_cli.geometry.skeleton import JOINT_NAMES, joints
from vibe_cli.importing.safe_read import read_safetensors
from vibe_cli.paths import models_dir

POSE_PRIOR = "open-pose-prior"
_LEFT_OUT = joints("pelvis", "foot", "hand")  # the root, and what no keypoint shows
JOINTS = tuple(number for number in range(len(JOINT_NAMES)) if number not in _LEFT_OUT)
SIZE = 3 * len(JOINTS)  # D


class PosePrior(nn.Module):
    """A mixture of K Gaussians over pose vectors of D = 57 numbers."""

    mean_rotations: Tensor  # (24, 3, 3)
    log_weights: Tensor  # (K,)
    means: Tensor  # (K, D)
    factors: Tensor  # (K, D, D)

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        """mean_rotations (24, 3, 3), log_weights (K,), means (K, D), factors (K, D, D).

        A factor F is lower triangular with F·Fᵀ the component's precision, the inverse of its covariance.
        """
        super().__init__()
        for name in ("mean_rotations", "log_weights", "means", "factors"):
            self.register_buffer(name, tensors[name].double())
        diagonals = self.factors.diagonal(dim1=-2, dim2=-1)
        self.constants = self.log_weights + diagonals.log().sum(-1) - SIZE / 2 * math.log(2 * math.pi)

    @classmethod
    def load(cls, path: Path | None = None) -> PosePrior:
        """The shipped prior, or that of a file; ModelError when it is missing or damaged."""
        path = path or models_dir() / POSE_PRIOR / "weights.safetensors"
        tensors = read_safetensors(path)
        count = len(tensors["means"]) if "means" in tensors else 0
        shapes = {
            "mean_rotations": (24, 3, 3),
            "log_weights": (count,),
            "means": (count, SIZE),
            "factors": (count, SIZE, SIZE),
        }
        if {name: tuple(value.shape) for name, value in tensors.items()} != shapes:
            raise ModelError(f"{path}: not a pose prior", hint="reinstall vibe-cli")
        return cls(tensors)

    def vectors(self, rotations: Tensor) -> Tensor:
        """Rotations (N, 24, 3, 3), relative to the parent → pose vectors (N, D) float64, radians."""
        joints = list(JOINTS)
        return axis_angle_from_matrix(self.mean_rotations[joints].mT @ rotations[:, joints].double()).flatten(1)

    def forward(self, vectors: Tensor) -> Tensor:
        """Pose vectors (N, D) → negative log likelihood (N,), in nats."""
        return -self._logs(vectors).logsumexp(-1)

    def bound(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Pose vectors v₀ (N, D) → matrices A (N, D, D), vectors b (N, D) of a bound from above, ½vᵀA·v − bᵀv + c.

        It touches the negative log likelihood at v₀ and nowhere falls below it: as in expectation maximisation, each
        component counts by its share at v₀. A sum of precisions, so A is positive definite.
        """
        share = self._logs(vectors).softmax(-1)
        precisions = self.factors @ self.factors.mT
        pulls = (precisions @ self.means[..., None])[..., 0]
        return torch.einsum("nk,kab->nab", share, precisions), share @ pulls

    def _logs(self, vectors: Tensor) -> Tensor:
        """(N, K) log of each component's part of the density."""
        centred = vectors - self.means[:, None]  # (K, N, D)
        return (self.constants[:, None] - (centred @ self.factors).square().sum(-1) / 2).T
