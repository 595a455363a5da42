"""A person's motion made steady: joints and place in the image smoothed, boxes left as they were cropped."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from vibe_cli.geometry.skeleton import PARENTS
from vibe_cli.motion.filters import jitter, smooth_camera, smooth_rotations

if TYPE_CHECKING:
    from vibe_cli.body.body_models import Body
    from vibe_cli.results import Person


def smooth_person(person: Person, strength: float, fps: float = 25.0, times: np.ndarray | None = None) -> Person:
    """The same person with pose and camera smoothed over time; strength 0 changes nothing.

    `times` are the seconds of the clip's frames, which rule over a constant `fps`.
    """
    import torch

    from vibe_cli.geometry.rotations import axis_angle_from_matrix, matrix_from_axis_angle

    if strength == 0:
        return person
    rotations = matrix_from_axis_angle(torch.from_numpy(person.pose)).numpy()
    at = None if times is None else times[person.frames]
    pose = axis_angle_from_matrix(torch.from_numpy(smooth_rotations(rotations, strength, fps, at))).numpy()
    return replace(person, pose=pose, camera=smooth_place(person.camera, person.boxes, strength, fps, at))


def smooth_place(
    camera: np.ndarray, boxes: np.ndarray, strength: float, fps: float = 25.0, times: np.ndarray | None = None
) -> np.ndarray:
    """Crop cameras (T, 3) of square crops (T, 4), smoothed as what they say about the image → (T, 3).

    A crop's box trembles with the detector, and its camera makes up for that; smoothed by itself it would pass
    the box's trembling on to the body. So size and place are smoothed in one fixed box, the track's middle.
    """
    fixed = np.median(boxes, axis=0)
    ratio = (boxes[:, 2] / fixed[2])[:, None]
    size = camera[:, :1] * ratio  # s in the fixed box
    place = (boxes[:, :2] - fixed[:2]) / (fixed[2] / 2) + size * camera[:, 1:]  # −1..1 of the fixed box
    smooth = smooth_camera(np.concatenate([size, place], axis=1), strength, fps, times)
    size, place = smooth[:, :1], smooth[:, 1:] - (boxes[:, :2] - fixed[:2]) / (fixed[2] / 2)
    return np.concatenate([size / ratio, place / np.where(size == 0, 1, size)], axis=1)


def jitter_of(person: Person, body: Body) -> float:
    """The jitter of the body's 24 joints about the pelvis, mm/frame²; no mesh is computed for it."""
    import torch

    from vibe_cli.body.body_models import pose_joints
    from vibe_cli.geometry.rotations import matrix_from_axis_angle

    betas = torch.from_numpy(person.betas).to(next(body.buffers()).device)
    with torch.inference_mode():
        rest = body.rest_joints(betas[None])
        rotations = matrix_from_axis_angle(torch.from_numpy(person.pose).to(rest.device))
        _, joints = pose_joints(rotations, rest.expand(len(person), -1, -1), PARENTS)
    return round(jitter((joints - joints[:, :1]).cpu().numpy()), 3)
