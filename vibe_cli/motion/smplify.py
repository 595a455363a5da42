"""The fit of SMPLify (Bogo et al. 2016) over consecutive frames: its objective, its curvature, its minimiser.

A frame's unknowns q (75) are a rotation vector a joint about a base rotation, and the crop camera's logarithm of
scale and its offsets. L-BFGS runs in float64 on z with q = q₀ + L⁻ᵀz, where L·Lᵀ is each frame's Gauss–Newton
curvature at q₀: in z the valley that pixels and depth make of the objective is nearly round, and few steps lead far.

The result must not depend on the last digit of the input (a batch of another size changes it), and plainly run
L-BFGS does: its steps are quotients of differences of those before. Inputs nudged by 10⁻⁶ came out turned by
1.5·10⁻³ radians after 40 steps and 5·10⁻³ after 80, without a line search by up to 0.3. What helps is to ask it for
little at a time. There are short rounds, each in the units of the curvature where it begins, and in each the prior's
components count by their shares at its beginning, as in expectation maximisation: the prior is then one quadratic
instead of many valleys. So the same nudge ends at about 10⁻⁵ whatever the rounds (2 to 8) and steps (6 to 10), of which
2 of 8 come within 0.2% of the least cost; with the components free it was up to 9·10⁻².

The weights were chosen on held-out motion capture with errors of 5 and 12 degrees a joint and keypoints exact or off
by 3 and 6% of the crop (`benchmarks/refine.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vibe_cli.body.joint_regressor import JointRegressor
from vibe_cli.geometry.rotations import matrix_from_axis_angle
from vibe_cli.geometry.skeleton import PARENTS, joints
from vibe_cli.motion.pose_prior import JOINTS, PosePrior

# Turned more reluctantly: the limbs should follow the limbs
ROOT_AND_TRUNK = joints("pelvis", "spine1", "spine2", "spine3", "neck", "collar")
UNKNOWNS = 24 * 3 + 3
SHORTEST_STEP = 0.5  # in 1/30 s; time stamps may lie closer together, and would hold frames as one
FULL_EVIDENCE = 4.0  # summed confidence of a frame's keypoints from which it counts in full


@dataclass(frozen=True)
class FitOptions:
    """Weights of the fit; errors are in halves of the crop's side, angles in radians."""

    rounds: int = 2  # of L-BFGS, each in the units of the curvature where it begins
    steps: int = 8  # of each
    data: float = 0.008  # weight of a keypoint, whose cost is √(1 + (error / tolerance)²) − 1
    trust: float = 1.0  # power of its confidence by which a keypoint counts
    tolerance: float = 0.05  # error from which a keypoint's cost grows no faster than linearly
    stay: float = 0.05  # of squared turns from the regression
    trunk: float = 2.0  # times as much for root and trunk
    prior: float = 0.001  # of the pose prior's negative log likelihood
    steady: float = 1.0  # of the squared change of turns in 1/30 s
    camera: float = 1.0  # of squared changes of the camera
    shape: float = 0.001  # of squared changes of the betas, for each frame


# For keypoints of the open encoder, which is as often wrong where it is half sure as right; the sure ones lead farther.
OPEN_KEYPOINTS = FitOptions(data=0.016, trust=4.0)


@dataclass(frozen=True, eq=False)
class Frames:
    """T consecutive frames of one person, float64."""

    rotations: Tensor  # (T, 24, 3, 3) regressed, relative to the parent
    camera: Tensor  # (T, 3) crop camera s, tx, ty
    wanted: Tensor  # (T, K, 2) keypoints in −1..1 of the crop
    confidence: Tensor  # (T, K) how much a keypoint counts

    def __len__(self) -> int:
        return len(self.camera)

    def __getitem__(self, rows: slice | Tensor) -> Frames:
        return Frames(self.rotations[rows], self.camera[rows], self.wanted[rows], self.confidence[rows])


class Objective:
    """The cost of fitting some frames, as a function of q (T, 75) and betas (10,)."""

    def __init__(
        self,
        frames: Frames,
        regressor: JointRegressor,
        prior: PosePrior,
        betas: Tensor,
        options: FitOptions,
        linked: bool = True,
        steps: np.ndarray | None = None,
    ) -> None:
        """`betas` are those of the start; `linked` frames follow one another and are held together.

        `steps` (T − 1,) is how long the step to the next frame is, in 1/30 s; None: all 1. What changes in a longer one
        is held less: the cost is of the speed, so that a pause links nothing.
        Before it is asked for a cost or factors, `weigh_prior` says where the prior is bounded.
        """
        self.frames, self.regressor, self.prior, self.betas = frames, regressor, prior, betas
        self.options, self.linked = options, linked
        self.base = frames.rotations.clone()
        self.base[:, JOINTS] = prior.mean_rotations[list(JOINTS)]
        turns = torch.zeros(len(frames), 24, 3, dtype=torch.float64)
        turns[:, JOINTS] = prior.vectors(frames.rotations).unflatten(1, (-1, 3))
        self.start = torch.cat([turns.flatten(1), torch.zeros(len(frames), 3, dtype=torch.float64)], dim=1)
        self.bends = regressor.moments(betas, frames.rotations) - regressor.moments(betas)
        self.evidence = (frames.confidence.sum(1) / FULL_EVIDENCE).clamp(max=1)
        length = np.ones(len(frames) - 1) if steps is None else np.maximum(steps, SHORTEST_STEP)
        self.hold = torch.from_numpy(linked * options.steady / length**2)[:, None]  # (T − 1, 1)
        stay = torch.full((24, 3), options.stay, dtype=torch.float64)
        stay[ROOT_AND_TRUNK] *= options.trunk
        self.stay = torch.cat([stay.flatten(), torch.full((3,), options.camera, dtype=torch.float64)])

    def rotations(self, q: Tensor) -> Tensor:
        """(T, 24, 3, 3)."""
        return self.base @ matrix_from_axis_angle(q[:, :72].unflatten(1, (24, 3)))

    def place(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """Scale (T, 1, 1) and offset (T, 1, 2) of the crop cameras, a point's image being scale · point + offset."""
        camera = self.frames.camera[:, None]
        return camera[..., :1] * q[:, None, 72:73].exp(), camera[..., :1] * camera[..., 1:] + q[:, None, 73:]

    def camera(self, q: Tensor) -> Tensor:
        """(T, 3) crop cameras s, tx, ty."""
        scale, offset = self.place(q)
        return torch.cat([scale, offset / scale], dim=-1)[:, 0]

    def __call__(self, q: Tensor, betas: Tensor) -> Tensor:
        """The cost of all frames together."""
        options, change = self.options, q - self.start
        posed = self.regressor.pose(self.rotations(q), betas)
        scale, offset = self.place(q)
        flat = scale * self.regressor.points(posed, self.moments(betas))[..., :2] + offset
        squared = (flat - self.frames.wanted).square().sum(-1) / options.tolerance**2
        cost = options.data * (self.frames.confidence * ((1 + squared).sqrt() - 1)).sum()
        cost = cost + (self.stay * change.square()).sum()
        cost = cost + (self.evidence * self._unlikeliness(self.pose_vectors(q))).sum() * options.prior
        if self.linked:
            cost = cost + (self.hold * change[:, :72].diff(dim=0).square()).sum()
        return cost + options.shape * len(self.frames) * (betas - self.betas).square().sum()

    def weigh_prior(self, q: Tensor) -> None:
        """Hold the prior's components by what they count for at q, until this is called again."""
        self.bound = self.prior.bound(self.pose_vectors(q))

    def _unlikeliness(self, vectors: Tensor) -> Tensor:
        """Pose vectors (T, D) → (T,): the prior's bound, up to a constant."""
        matrix, pull = self.bound
        return (((matrix @ vectors[..., None])[..., 0] / 2 - pull) * vectors).sum(-1)

    def pose_vectors(self, q: Tensor) -> Tensor:
        """(T, D) of the prior."""
        return q[:, :72].unflatten(1, (24, 3))[:, JOINTS].flatten(1)

    def moments(self, betas: Tensor) -> Tensor:
        """Of the points; pose blend shapes stay as at the start, since they move points by millimetres."""
        return self.regressor.moments(betas) + self.bends

    def factors(self, q: Tensor, betas: Tensor) -> Tensor:
        """(T, 75, 75) lower triangular: Cholesky factors of each frame's Gauss–Newton curvature at q, betas."""
        options = self.options
        jacobian, error = self._jacobian(q, betas)
        spread = (1 + error.square().sum(-1) / options.tolerance**2).sqrt()
        weight = options.data / options.tolerance**2 * self.frames.confidence / spread
        scaled = (jacobian * weight[..., None, None].sqrt()).flatten(1, 2)  # (T, 2K, 75)
        curvature = scaled.mT @ scaled
        index = torch.tensor([3 * joint + axis for joint in JOINTS for axis in range(3)])
        curvature[:, index[:, None], index] += options.prior * self.evidence[:, None, None] * self.bound[0]
        held = (2 * self.stay).repeat(len(self.frames), 1)
        before, after = torch.cat([self.hold[:1], self.hold]), torch.cat([self.hold, self.hold[-1:]])
        if len(before) == len(held):  # the first and the last as if they had two neighbours
            held[:, :72] += 2 * (before + after)
        curvature.diagonal(dim1=1, dim2=2).add_(held)
        return torch.linalg.cholesky(curvature)

    def shape_curvature(self) -> Tensor:
        """(10,): roughly the curvature of the cost by each of the betas."""
        options, scale = self.options, self.frames.camera[:, 0]
        lengths = self.regressor.joint_directions[1:].square().sum((0, 1))  # (10,)
        seen = (self.frames.confidence.mean(1) * scale.square()).sum()
        return options.data / options.tolerance**2 * seen * lengths + 2 * options.shape * len(scale)

    def _jacobian(self, q: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
        """Of the projected points by the unknowns, (T, K, 2, 75), and the points' errors (T, K, 2)."""
        posed, moments = self.regressor.pose(self.rotations(q), betas), self.moments(betas)
        masses, parts = self.regressor.parts(posed, moments)
        carried = _ancestry()
        # From each joint to each point, as far as the joint carries it: what a turn of the joint sweeps.
        arms = torch.einsum("ij,tkic->tkjc", carried, parts) - (masses @ carried)[..., None] * posed.places[:, None]
        axes = (posed.world @ _right_jacobian(q[:, :72].unflatten(1, (24, 3))))[:, None]  # (T, 1, 24, 3, 3)
        turn_x = arms[..., 2:] * axes[..., 1, :] - arms[..., 1:2] * axes[..., 2, :]
        turn_y = arms[..., :1] * axes[..., 2, :] - arms[..., 2:] * axes[..., 0, :]
        scale, offset = self.place(q)
        flat = scale * self.regressor.points(posed, moments)[..., :2]
        turns = scale[..., None] * torch.stack([turn_x, turn_y], dim=2).flatten(3)  # (T, K, 2, 72)
        shifts = torch.eye(2, dtype=flat.dtype).expand(*flat.shape, 2)
        return torch.cat([turns, flat[..., None], shifts], dim=-1), flat + offset - self.frames.wanted


def minimise(objective: Objective, fit_shape: bool = False) -> tuple[Tensor, Tensor]:
    """The unknowns (T, 75) and betas (10,) at the minimum; betas as at the start unless they are fitted."""
    q, betas = objective.start, objective.betas
    for _ in range(objective.options.rounds):
        q, betas = _descend(objective, q, betas, fit_shape)
    return q, betas


def _descend(objective: Objective, q: Tensor, betas: Tensor, fit_shape: bool) -> tuple[Tensor, Tensor]:
    """Some steps of L-BFGS from `q` and `betas`, in units in which the curvature there is nearly the identity."""
    objective.weigh_prior(q)
    factors, steps = objective.factors(q, betas), objective.options.steps
    z = torch.zeros_like(q, requires_grad=True)
    shape = torch.zeros_like(betas, requires_grad=fit_shape)
    unit = objective.shape_curvature().rsqrt()
    optimiser = torch.optim.LBFGS(
        [z, shape] if fit_shape else [z],
        max_iter=steps,
        max_eval=3 * steps,
        history_size=steps,
        tolerance_grad=1e-9,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def moved() -> tuple[Tensor, Tensor]:
        step = torch.linalg.solve_triangular(factors.mT, z[..., None], upper=True)[..., 0]
        return q + step, betas + unit * shape

    def cost() -> Tensor:
        optimiser.zero_grad()
        total = objective(*moved())
        total.backward()
        return total

    with torch.enable_grad():
        optimiser.step(cost)
    with torch.no_grad():
        return moved()


def _right_jacobian(vector: Tensor) -> Tensor:
    """Rotation vectors v (…, 3) → J (…, 3, 3) with exp(v + dv) = exp(v)·exp(J·dv) to first order.

    I − (1 − cos θ)/θ² [v] + (θ − sin θ)/θ³ [v]² (Chirikjian 2011, equation 10.86).
    """
    squared = (vector * vector).sum(-1)[..., None, None]
    small = squared < 1e-6
    safe = torch.where(small, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    first = torch.where(small, 0.5 - squared / 24, (1 - angle.cos()) / safe)
    second = torch.where(small, 1 / 6 - squared / 120, (angle - angle.sin()) / (safe * angle))
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    return torch.eye(3, dtype=vector.dtype) - first * cross + second * cross @ cross


def _ancestry() -> Tensor:
    """(24, 24): 1 where joint i hangs on joint j, or is it."""
    found = torch.eye(24, dtype=torch.float64)
    for joint, parent in enumerate(PARENTS[1:], 1):
        found[joint] += found[parent]
    return found
