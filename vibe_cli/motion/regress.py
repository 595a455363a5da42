"""Features to motion: sliding windows over tracks of any length, blended without seams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from vibe_cli.body.joint_regressor import JointRegressor
from vibe_cli.errors import UsageError
from vibe_cli.geometry.camera import crop_points_to_image, image_points_to_crop
from vibe_cli.geometry.rotations import axis_angle_from_matrix, matrix_from_axis_angle, project_to_rotation
from vibe_cli.motion import pace
from vibe_cli.motion.left_right import fix_leg_swaps
from vibe_cli.motion.refine import refine_person
from vibe_cli.motion.smplify import FULL_EVIDENCE, OPEN_KEYPOINTS, FitOptions
from vibe_cli.networks.lifter import fit_camera
from vibe_cli.networks.outputs import MotionOutput
from vibe_cli.options import MotionOptions
from vibe_cli.results import Person, TrackFeatures

if TYPE_CHECKING:
    from vibe_cli.networks.temporal import TemporalNetwork
    from vibe_cli.zoo.model import Model

WINDOWS_AT_ONCE = 64


def estimate_motion(
    seen: TrackFeatures, model: Model, options: MotionOptions, times: np.ndarray | None = None
) -> Person:
    """One track's features → its motion, not yet smoothed: regressed, laid on the keypoints and, if asked for, fitted.

    `times` are the seconds of the clip's frames; None: at the pace that the networks were taught by.
    Where there are keypoints, they place the body in the crop; the regressed camera serves elsewhere. The encoder's
    keypoints of the legs then go to the side where the motion expects them; a user's keypoints are taken as given.
    """
    at = None if times is None else times[seen.track.frames]
    person = regress_track(seen, model, options, at)
    if person.keypoints is None:
        return person
    joints = joints_2d(person, model)
    placed = place_on_keypoints(person, joints)
    if not seen.given:
        placed = replace(placed, keypoints=fix_leg_swaps(person.keypoints, project(placed, joints), placed.boxes[:, 2]))
    if not options.refine:
        return placed
    return refine_person(placed, model.body, FitOptions() if seen.given else OPEN_KEYPOINTS, times=at)


def regress_track(seen: TrackFeatures, model: Model, options: MotionOptions, times: np.ndarray | None = None) -> Person:
    """One track's features → the network's estimate of its motion, which sees `options.window` frames at a time.

    `times` (T,) are the seconds of its frames; of a fast clip, the network sees series of frames at its own pace.
    Betas are averaged over the track, as in the paper, and zero where they belong to another body than the model's.
    """
    features = torch.from_numpy(seen.features).to(model.device)
    with torch.inference_mode():
        rotations, betas, camera = _regress_series(model.network, features, options, times)
        if not model.shape_known:
            betas = torch.zeros_like(betas)
        if model.camera_origin == "body":  # published cameras place the body's own origin, ours its pelvis
            camera[:, 1:] += model.body.rest_joints(betas[None])[0, 0, :2]
    return Person(
        id=seen.track.id,
        frames=seen.track.frames,
        boxes=seen.boxes,
        pose=axis_angle_from_matrix(rotations).cpu().numpy(),
        betas=betas.cpu().numpy(),
        camera=camera.cpu().numpy(),
        confidence=seen.track.scores,
        filled=seen.track.filled,
        keypoints=seen.keypoints,
    )


def _regress_series(
    network: TemporalNetwork, features: Tensor, options: MotionOptions, times: np.ndarray | None
) -> tuple[Tensor, Tensor, Tensor]:
    """`regress` of every series of frames at the network's pace, laid into one another."""
    count = len(features)
    rows = pace.series(count, pace.frames_apart(times, count))
    parts = [regress(network, features[some], options.window, options.stride) for some in rows]
    rotations, betas, camera = zip(*parts, strict=True)
    share = torch.tensor([len(part) / count for part in rotations]).to(features)
    return pace.interleaved(rotations), (share[:, None] * torch.stack(betas)).sum(0), pace.interleaved(camera)


def joints_2d(person: Person, model: Model) -> Tensor:
    """A person's joints (T, 49, 2) float64, metres from the pelvis, right and down."""
    rotations = matrix_from_axis_angle(torch.from_numpy(person.pose).double())
    return JointRegressor(model.body).joints49(rotations, torch.from_numpy(person.betas).double())[..., :2]


def check_windows(network: TemporalNetwork, options: MotionOptions) -> None:
    """UsageError where a network cannot see windows of that length, or not that far apart."""
    window = options.window or network.window
    if window < network.shortest:
        raise UsageError(
            f"a window of {window} frames: this model needs at least {network.shortest}",
            hint=f"use --window {network.shortest} or more, or leave it out: {network.window} is what "
            "the model was trained on",
        )
    if network.estimates == "middle" and options.stride not in (None, 1):
        raise UsageError(
            f"a stride of {options.stride} frames: this model estimates only the middle frame of a "
            "window, so every frame gets a window of its own",
            hint="leave --stride out",
        )
    if options.stride is not None and options.stride > window:
        raise UsageError(
            f"a stride of {options.stride} frames leaves some out: a window has {window}",
            hint=f"use --stride {window} or less, half a window at best",
        )


def regress(
    network: TemporalNetwork, features: Tensor, window: int | None, stride: int | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Features (T, F) → rotations (T, 24, 3, 3), betas (10,), camera (T, 3).

    A network that estimates the middle frame gets one window about every frame, others get windows that overlap;
    `check_windows` says which lengths and strides fit. At a track's ends the network's edge rule holds
    (`TemporalNetwork.edges`).
    """
    length, window = len(features), window or network.window
    if network.estimates == "middle":
        before = window // 2
        around = repeat_ends(features, before, window - 1 - before)
        rotations, betas, camera = _every_middle(network, around, window)
    else:
        if network.edges == "repeat":
            features = repeat_ends(features, 0, max(0, window - length))
        rotations, betas, camera = _blend_windows(network, features, window, stride)
    return rotations[:length], betas[:length].mean(0), camera[:length]


def repeat_ends(features: Tensor, before: int, after: int) -> Tensor:
    """Features (T, F) with the first repeated `before` times and the last `after` times beyond them."""
    return torch.cat([features[:1].expand(before, -1), features, features[-1:].expand(after, -1)])


def window_starts(length: int, window: int, stride: int) -> list[int]:
    """First frames of the windows over a track; the last window ends with the track."""
    if length <= window:
        return [0]
    return [*range(0, length - window, stride), length - window]


def window_weights(window: int) -> Tensor:
    """(window,) how much each frame of a window counts in the blend: Hann's, nearly but nowhere zero at the ends.

    A window that begins or ends so softly leaves no seam.
    """
    return torch.sin(torch.pi * (torch.arange(window) + 0.5) / window) ** 2


def _blend_windows(
    network: TemporalNetwork, features: Tensor, window: int, stride: int | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Weighted mean over all windows that see a frame; of rotations the chordal mean.

    A track shorter than the window is one window of its own length.
    """
    length = len(features)
    window = min(window, length)
    starts = window_starts(length, window, min(stride or max(1, window // 2), window))
    weight = window_weights(window).to(features)
    total = features.new_zeros(length)
    sums = [features.new_zeros(length, *shape) for shape in ((24, 3, 3), (10,), (3,))]
    for chosen in _chunks(starts):
        output = network(torch.stack([features[s : s + window] for s in chosen]))
        for row, start in enumerate(chosen):
            there = slice(start, start + window)
            total[there] += weight
            for target, value in zip(sums, (output.rotations, output.betas, output.camera), strict=True):
                target[there] += value[row] * weight.view(-1, *[1] * (value.ndim - 2))
    rotations, betas, camera = (s / total.view(-1, *[1] * (s.ndim - 1)) for s in sums)
    return project_to_rotation(rotations), betas, camera


def _every_middle(network: TemporalNetwork, features: Tensor, window: int) -> tuple[Tensor, Tensor, Tensor]:
    """Features (T + window − 1, F) → the middle frames of the T windows that begin a frame after each other.

    Frame window // 2 of a window is the one estimated (TCMR estimates frame 8 of 16).
    """
    starts = torch.arange(len(features) - window + 1, device=features.device)[:, None]
    index = starts + torch.arange(window, device=features.device)
    parts: list[MotionOutput] = [network(features[rows]) for rows in index.split(WINDOWS_AT_ONCE)]
    return (
        torch.cat([p.rotations[:, 0] for p in parts]),
        torch.cat([p.betas[:, 0] for p in parts]),
        torch.cat([p.camera[:, 0] for p in parts]),
    )


def _chunks(starts: list[int]) -> Iterator[list[int]]:
    for first in range(0, len(starts), WINDOWS_AT_ONCE):
        yield starts[first : first + WINDOWS_AT_ONCE]


def project(person: Person, joints: Tensor) -> np.ndarray:
    """A person's joints (T, 49, 2), metres from the pelvis, in pixels of the image (T, 49, 2)."""
    points = person.camera[:, None, :1] * (joints.numpy() + person.camera[:, None, 1:])
    return crop_points_to_image(points, person.boxes)


def place_on_keypoints(person: Person, joints: Tensor) -> Person:
    """The same motion with cameras that lay its joints on the keypoints, where these are sure enough.

    `joints` (T, 49, 2) float64 are the person's, metres from the pelvis.
    """
    if person.keypoints is None:
        return person
    points = torch.from_numpy(image_points_to_crop(person.keypoints[..., :2], person.boxes))
    weight = torch.from_numpy(person.keypoints[..., 2]).double()
    sure = (weight.sum(-1) / FULL_EVIDENCE).clamp(0, 1)[:, None].numpy()
    fitted = fit_camera(joints, points, weight + 1e-6).numpy()
    return replace(person, camera=sure * fitted + (1 - sure) * person.camera)
