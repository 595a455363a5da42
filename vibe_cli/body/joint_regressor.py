"""The 49 output joints of a body without its mesh, as fast as its skeleton.

A joint that is regressed from skinned vertices, Σ_v E_kv Σ_i W_vi (R_i (x_v − j_i) + p_i), is Σ_i R_i M_ki + m_ki o_i
with moments M_ki = Σ_v E_kv W_vi x_v, masses m_ki = Σ_v E_kv W_vi and o_i = p_i − R_i j_i, where R_i, p_i are the
posed rotation and place of skeleton joint i and j_i is its rest place. Moments are computed once; a few are left
of 7,000 vertices. A skeleton joint is the case of mass 1 and moment j_k. Exact, also for SMPL, whose pose blend
shapes move the x_v: they are linear in the pose's rotations, and so are the moments.

`JointRegressor` is for fitting: any body, one shape over many frames, in double precision, with each joint's part for
the derivatives. Training wants the open body's points for another shape in every row, on a GPU, from moments that lie
in its file: `synth.keypoint_body`, by the same `surface_points`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vibe_cli.body.body_models import Body, pose_joints
from vibe_cli.geometry.skeleton import JOINTS_49, PARENTS

POINTS = sorted(set(JOINTS_49))  # which of the 54 joints the 49 are made of: K of them
ROWS_49 = [POINTS.index(joint) for joint in JOINTS_49]  # the 49, as rows among the K
FIRST_ROWS = [JOINTS_49.index(joint) for joint in POINTS]  # the K, as rows among the 49
_SURFACE = [joint - 24 for joint in POINTS if joint >= 24]  # of these, those regressed from vertices
_BONES = [joint for joint in POINTS if joint < 24]
_CHUNK = 512  # frames of pose blend shapes at once


@dataclass(frozen=True, eq=False)
class Posed:
    """A posed skeleton of N frames."""

    world: Tensor  # (N, 24, 3, 3) rotations of the joints in the camera's axes
    places: Tensor  # (N, 24, 3) metres, about the body's origin
    rest: Tensor  # (24, 3) the joints at rest, about the same

    @property
    def offsets(self) -> Tensor:
        """(N, 24, 3): where each joint's rotation leaves the body's origin."""
        return offsets(self.world, self.places, self.rest)


def offsets(world: Tensor, places: Tensor, rest: Tensor) -> Tensor:
    """Rotations (N, 24, 3, 3), posed and rest places (N, 24, 3) → (N, 24, 3) the o_i of above."""
    return places - (world @ rest[..., None])[..., 0]


def surface_points(world: Tensor, offsets: Tensor, moments: Tensor, masses: Tensor) -> Tensor:
    """Rotations (N, 24, 3, 3), `offsets` (N, 24, 3), moments (N, S, 24, 3) and masses (S, 24) → points (N, S, 3)."""
    columns = world.transpose(-1, -2).flatten(1, 2)  # (N, 72, 3)
    return moments.flatten(2).expand(len(columns), -1, -1) @ columns + masses @ offsets


class JointRegressor:
    """K points of a body as a differentiable function of pose and shape; float64, on the CPU."""

    def __init__(self, body: Body) -> None:
        """Moments of a body."""
        surface = body.surface()
        regressor, weights = surface.regressor[_SURFACE].cpu().double(), surface.weights.cpu().double()
        self.joint_template = body.joint_template.cpu().double()
        self.joint_directions = body.joint_directions.cpu().double()
        self.masses = regressor @ weights  # (S, 24)
        # Vertices that no point reads are many; leave them out of the products.
        used = (regressor != 0).any(0).nonzero()[:, 0]
        both = regressor[:, None, used] * weights[used].T  # (S, 24, U)
        self.template = both @ surface.template.cpu().double()[used]  # (S, 24, 3)
        self.directions = torch.einsum("kiv,vcb->kicb", both, surface.directions.cpu().double()[used])
        self.pose_directions = None
        if surface.pose_directions is not None:
            self.pose_directions = torch.einsum("kiv,vcp->kicp", both, surface.pose_directions.cpu().double()[used])

    def rest(self, betas: Tensor) -> Tensor:
        """Shape (10,) → the joints at rest (24, 3), about the body's origin."""
        return self.joint_template + self.joint_directions @ betas

    def moments(self, betas: Tensor, rotations: Tensor | None = None) -> Tensor:
        """(1 or N, S, 24, 3) of the S points on the surface; N where a pose, rotations (N, 24, 3, 3), bends them."""
        shaped = (self.template + self.directions @ betas)[None]
        if self.pose_directions is None or rotations is None:
            return shaped
        bent = (rotations[:, 1:] - torch.eye(3, dtype=rotations.dtype)).flatten(1)  # (N, 207)
        flat = self.pose_directions.flatten(0, 2).T
        return shaped + torch.cat([part @ flat for part in bent.split(_CHUNK)]).unflatten(1, (-1, 24, 3))

    def pose(self, rotations: Tensor, betas: Tensor) -> Posed:
        """Rotations (N, 24, 3, 3), relative to the parent, and shape (10,) → the posed skeleton."""
        rest = self.rest(betas)
        return Posed(*pose_joints(rotations, rest.expand(len(rotations), -1, -1), PARENTS), rest)

    def points(self, posed: Posed, moments: Tensor) -> Tensor:
        """A posed skeleton and `moments` → (N, K, 3), metres from the pelvis."""
        surface = surface_points(posed.world, posed.offsets, moments, self.masses)
        return torch.cat([posed.places[:, _BONES], surface], dim=1) - posed.rest[0]

    def parts(self, posed: Posed, moments: Tensor) -> tuple[Tensor, Tensor]:
        """Each joint's part of each point: masses (K, 24), places (N, K, 24, 3) that sum to the point."""
        bones = torch.zeros(len(_BONES), 24, dtype=torch.float64)
        bones[range(len(_BONES)), _BONES] = 1
        surface = torch.einsum("niab,nkib->nkia", posed.world, moments.expand(len(posed.world), -1, -1, -1))
        surface = surface + self.masses[..., None] * posed.offsets[:, None]
        parts = torch.cat([bones[..., None] * posed.places[:, None], surface], dim=1)
        return torch.cat([bones, self.masses]), parts

    def joints49(self, rotations: Tensor, betas: Tensor) -> Tensor:
        """Rotations (N, 24, 3, 3) and shape (10,) → the 49 joints (N, 49, 3), metres from the pelvis."""
        return self.points(self.pose(rotations, betas), self.moments(betas, rotations))[:, ROWS_49]
