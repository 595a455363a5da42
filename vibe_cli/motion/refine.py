"""Fit a regressed motion to 2D keypoints: temporal SMPLify (Bogo et al. 2016), over tracks of any length.

What is fitted is the pose and camera of every frame and one shape for the track; `smplify` holds the objective
and its minimiser. First the shape is found, with poses, on some frames of the track; then, with that shape, the
pose and camera of all frames, a piece of the track at a time, so that the fit's memory does not grow with the
track. A piece is fitted with frames before and after it and fades linearly into its neighbours over these; a frame
hears little of others beyond the fourth, so not much is left to fade, and there is no seam. Of a fast clip, series of
frames some 1/30 s apart are fitted (`pace`). A frame whose
reprojection error would be larger than before keeps the regression.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from vibe_cli.body.body_models import Body
from vibe_cli.body.joint_regressor import FIRST_ROWS, JointRegressor
from vibe_cli.geometry.camera import image_points_to_crop
from vibe_cli.geometry.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from vibe_cli.motion import pace
from vibe_cli.motion.pose_prior import PosePrior
from vibe_cli.motion.smplify import UNKNOWNS, FitOptions, Frames, Objective, minimise
from vibe_cli.results import Person

PIECE, MARGIN = 256, 16  # frames from one piece to the next, and how far a piece reaches into its neighbours
SHAPE_FRAMES = 48  # of which the shape is found


def refine_person(
    person: Person,
    body: Body,
    options: FitOptions | None = None,
    prior: PosePrior | None = None,
    times: np.ndarray | None = None,
) -> Person:
    """The same person with pose, betas and camera that fit the keypoints (49 of them); unchanged without any.

    `times` (T,) are the seconds of the person's frames; None: 30 a second.
    In no frame the mean distance of keypoints from the projected joints, weighted as in the fit, is larger
    than before: such a frame keeps pose and camera. Were its error larger with the new shape, the fit is made again
    with the old one.
    """
    if person.keypoints is None or not person.keypoints[..., 2].any():
        return person
    options, regressor, prior = options or FitOptions(), JointRegressor(body), prior or PosePrior.load()
    frames, regressed = _frames(person, person.keypoints, options.trust), torch.from_numpy(person.betas).double()
    before = _distance(frames, regressor, regressed)
    for betas in (_fit_shape(frames, regressor, prior, regressed, options), regressed):
        fitted = _fit_series(frames, regressor, prior, betas, options, times)
        better = _distance(fitted, regressor, betas) <= before
        kept = Frames(
            torch.where(better[:, None, None, None], fitted.rotations, frames.rotations),
            torch.where(better[:, None], fitted.camera, frames.camera),
            frames.wanted,
            frames.confidence,
        )
        if (_distance(kept, regressor, betas) <= before).all():
            break
    pose = np.where(better.numpy()[:, None, None], axis_angle_from_matrix(kept.rotations).numpy(), person.pose)
    return replace(person, pose=pose, camera=kept.camera.numpy(), betas=betas.numpy())


def _frames(person: Person, keypoints: np.ndarray, trust: float) -> Frames:
    """A person's motion and keypoints, each of them once, and what they count for."""
    seen = keypoints[:, FIRST_ROWS].astype(np.float64)
    points = image_points_to_crop(seen[..., :2], person.boxes.astype(np.float64))
    confidence = np.where(np.isfinite(points).all(-1), seen[..., 2], 0) ** trust
    pose = torch.from_numpy(person.pose.astype(np.float64))
    return Frames(
        matrix_from_axis_angle(pose),
        torch.from_numpy(person.camera.astype(np.float64)),
        torch.from_numpy(np.where(confidence[..., None] > 0, points, 0)),
        torch.from_numpy(confidence),
    )


def _fit_shape(
    frames: Frames, regressor: JointRegressor, prior: PosePrior, betas: Tensor, options: FitOptions
) -> Tensor:
    """(10,) betas that suit frames spread over the track, fitted together with their poses."""
    at = torch.linspace(0, len(frames) - 1, min(SHAPE_FRAMES, len(frames))).round().long()
    return minimise(Objective(frames[at], regressor, prior, betas, options, linked=False), fit_shape=True)[1]


def _fit_series(
    frames: Frames,
    regressor: JointRegressor,
    prior: PosePrior,
    betas: Tensor,
    options: FitOptions,
    times: np.ndarray | None,
) -> Frames:
    """The same frames with poses and cameras fitted, every series of them by itself."""
    count = len(frames)
    parts = []
    for rows in pace.series(count, pace.frames_apart(times, count)):
        some = frames[rows]
        at = None if times is None else times[rows]
        parts.append(_fit_motion(some, regressor, prior, betas, options, pace.steps(at, len(some))))
    rotations, camera = ([getattr(part, name) for part in parts] for name in ("rotations", "camera"))
    return replace(frames, rotations=pace.interleaved(rotations), camera=pace.interleaved(camera))


def _fit_motion(
    frames: Frames,
    regressor: JointRegressor,
    prior: PosePrior,
    betas: Tensor,
    options: FitOptions,
    steps: np.ndarray,
) -> Frames:
    """The same frames with poses and cameras fitted, piece after piece, each faded into the next.

    `steps` (T − 1,) is how long the step to the next frame is.
    """
    sums, totals = torch.zeros(len(frames), UNKNOWNS, dtype=torch.float64), torch.zeros(len(frames), 1).double()
    for first in range(0, len(frames), PIECE):
        there = slice(max(0, first - MARGIN), min(len(frames), first + PIECE + MARGIN))
        between = steps[there.start : there.stop - 1]
        q, _ = minimise(Objective(frames[there], regressor, prior, betas, options, steps=between))
        weight = _fading(len(q), there.start > 0, there.stop < len(frames))
        sums[there] += weight * q
        totals[there] += weight
    rotations, camera = torch.empty_like(frames.rotations), torch.empty_like(frames.camera)
    for first in range(0, len(frames), PIECE):
        rows = slice(first, first + PIECE)
        objective, q = Objective(frames[rows], regressor, prior, betas, options), sums[rows] / totals[rows]
        rotations[rows], camera[rows] = objective.rotations(q), objective.camera(q)
    return replace(frames, rotations=rotations, camera=camera)


def _fading(count: int, before: bool, after: bool) -> Tensor:
    """(count, 1) weights of a piece's frames: rising and falling over 2 · MARGIN where others lie before and after."""
    at, weight = torch.arange(count, dtype=torch.float64) + 0.5, torch.ones(count, dtype=torch.float64)
    if before:
        weight = torch.minimum(weight, at / (2 * MARGIN))
    if after:
        weight = torch.minimum(weight, (count - at) / (2 * MARGIN))
    return weight[:, None]


def _distance(frames: Frames, regressor: JointRegressor, betas: Tensor) -> Tensor:
    """(T,) mean distance of keypoints from joints, weighted as in the fit, halves of the crop's side; 0 without any."""
    parts = []
    for first in range(0, len(frames), PIECE):
        some = frames[first : first + PIECE]
        joints = regressor.points(regressor.pose(some.rotations, betas), regressor.moments(betas, some.rotations))
        image = some.camera[:, None, :1] * (joints[..., :2] + some.camera[:, None, 1:])
        parts.append(((image - some.wanted).norm(dim=-1) * some.confidence).sum(1))
    return torch.cat(parts) / frames.confidence.sum(1).clamp_min(1e-9)
