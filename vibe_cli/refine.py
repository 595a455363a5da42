"""Fit a regressed motion to the 2D keypoints it came with: SMPLify (Bogo et al. 2016) over a whole track at once.

Every joint's rotation gets a correction; all frames are fitted together by accelerated gradient descent of fixed
steps, whose result, unlike that of a line search, does not jump when the input changes in its last digit. The data
term is robust and weighted by the keypoints' confidence, the camera is the best one for the pose (closed form, so it
cannot hide an error of pose), and two priors hold the corrections: they stay small, so what 2D does not show stays
as regressed, and they change slowly. A frame whose fit is not better keeps the regression.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from vibe_cli.body import Body, pose_joints
from vibe_cli.boxes import to_corners
from vibe_cli.networks.lifter import fit_camera
from vibe_cli.results import Person
from vibe_cli.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from vibe_cli.skeleton import JOINTS_49, PARENTS

# (row among the 49 keypoints, joint of the skeleton) of the limbs and neck
TARGETS = [(JOINTS_49.index(joint), joint) for joint in (1, 2, 4, 5, 7, 8, 12, 16, 17, 18, 19, 20, 21)]
TRUNK = [0, 3, 6, 9, 12, 13, 14]  # corrected more reluctantly: the limbs should follow the limbs


@dataclass(frozen=True)
class RefineOptions:
    """Weights of the fit."""

    steps: int = 100         # of gradient descent
    rate: float = 0.008      # length of a step; the largest curvature is about 200
    tolerance: float = 0.05  # error, in halves of the crop's side, from which it counts linearly only
    stay: float = 0.02       # weight of the squared corrections, radians²
    trunk: float = 4.0       # times as much for the trunk
    steady: float = 0.1      # weight of the squared change of corrections from frame to frame


def refine_person(person: Person, body: Body, options: RefineOptions | None = None) -> Person:
    """The same person with a pose that fits its keypoints (49 of them); unchanged when it has none."""
    if person.keypoints is None:
        return person
    options = options or RefineOptions()
    rows, joints = (list(column) for column in zip(*TARGETS, strict=True))
    corner, side = to_corners(person.boxes)[:, None, :2], person.boxes[:, None, 2:]
    points = (person.keypoints[:, rows, :2] - corner) / side * 2 - 1
    wanted, weight = (torch.from_numpy(x.astype(np.float64)) for x in (points, person.keypoints[:, rows, 2]))
    start = matrix_from_axis_angle(torch.from_numpy(person.pose.astype(np.float64)))
    rest = body.rest_joints(torch.from_numpy(person.betas)[None].to(body.joint_template.device)).cpu()
    rest = rest.double().expand(len(person), -1, -1)

    def errors(rotations: Tensor) -> Tensor:
        """(T,) weighted robust reprojection error under the best camera."""
        _, posed = pose_joints(rotations, rest, PARENTS)
        flat = posed[:, joints, :2]
        camera = fit_camera(flat, wanted, weight + 1e-6)
        error = (camera[:, None, :1] * (flat + camera[:, None, 1:]) - wanted).norm(dim=-1)
        return (weight * torch.nn.functional.huber_loss(error, torch.zeros_like(error), reduction="none",
                                                        delta=options.tolerance) / options.tolerance).sum(1)

    correction = _minimise(start, errors, options)
    with torch.no_grad():
        fitted = start @ matrix_from_axis_angle(correction)
        better = (errors(fitted) < errors(start))[:, None, None, None]
        pose = axis_angle_from_matrix(torch.where(better, fitted, start)).numpy()
    return replace(person, pose=pose.astype(np.float32))


def _minimise(start: Tensor, errors: object, options: RefineOptions) -> Tensor:
    """Corrections (T, 24, 3), axis-angle, of rotations (T, 24, 3, 3)."""
    stay = torch.full((24, 1), options.stay, dtype=start.dtype)
    stay[TRUNK] *= options.trunk
    correction = torch.zeros(len(start), 24, 3, dtype=start.dtype, requires_grad=True)
    optimiser = torch.optim.SGD([correction], lr=options.rate, momentum=0.9, nesterov=True)
    with torch.enable_grad():
        for _ in range(options.steps):
            optimiser.zero_grad()
            loss = errors(start @ matrix_from_axis_angle(correction)).sum() + (stay * correction**2).sum()
            loss = loss + options.steady * (correction.diff(dim=0) ** 2).sum()
            loss.backward()
            optimiser.step()
    return correction.detach()
