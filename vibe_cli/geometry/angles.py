"""Joint angles as clinicians name them, in degrees, from the rotations of SMPL's 24 joints.

The neutral zero method: every angle is 0 in the anatomical position (upright, legs straight, feet flat, arms hanging)
and positive the way its name says; the other way is extension, adduction or plantarflexion, and negative.

Hip, knee and ankle are the first two angles of Grood and Suntay's joint coordinate system, which the ISB recommends
(Wu et al. 2002): flexion about the mediolateral axis of the segment above, then abduction. The shoulder's are the upper
arm's direction seen from the thorax (the collar's turn included), projected on the sagittal plane for flexion and on
the frontal plane for abduction; where it points nearly out of that plane the angle is not defined, and NaN. Shoulder
elevation, between the hanging arm and this one, always is. The elbow's is the angle between its two bones, whichever
way the upper arm is twisted.

Bodies in SMPL's layout rest in a T-pose with x to their left, y up and z forward; its legs are straight.
"""

from __future__ import annotations

import numpy as np

from vibe_cli.geometry.skeleton import JOINT, JOINT_NAMES

# name without its side → what its positive values are
ANGLES = {
    "hip_flexion": "thigh forward of the pelvis",
    "hip_abduction": "thigh away from the other",
    "knee_flexion": "heel towards the buttock",
    "ankle_dorsiflexion": "toes towards the shin",
    "shoulder_flexion": "arm forward and up, 180 overhead",
    "shoulder_abduction": "arm out to the side and up, 180 overhead",
    "shoulder_elevation": "arm away from hanging, whichever way",
    "elbow_flexion": "hand towards the shoulder",
}
SIDES = {"l": 1, "r": -1}  # → the direction of x that leads away from the body
ANGLE_NAMES = tuple(f"{side}_{name}" for name in ANGLES for side in SIDES)
IN_PLANE = np.sin(np.radians(20))  # length of a unit vector's projection below which its angle there means nothing


def joint_angles(pose: np.ndarray) -> dict[str, np.ndarray]:
    """Pose (T, 24, 3), axis-angle in radians → name, as in ANGLE_NAMES → (T,) float64 degrees.

    ValueError for another shape. NaN where an angle is not defined: the flexion of an arm that points sideways, the
    abduction of one that points forward. Flexion and abduction of the shoulder are in −90..270, knees, hips and ankles
    in −180..180, elbows and elevations in 0..180.
    """
    if pose.ndim != 3 or pose.shape[1:] != (len(JOINT_NAMES), 3):
        raise ValueError(f"pose: shape {pose.shape}, expected (T, {len(JOINT_NAMES)}, 3)")
    turns = {name: _matrices(pose[:, JOINT[name]]) for name in JOINT_NAMES[1:]}
    found: dict[str, np.ndarray] = {}
    for side, out in SIDES.items():
        flexed, abducted = _leg_angles(turns[f"{side}_hip"])
        arm = (turns[f"{side}_collar"] @ turns[f"{side}_shoulder"])[:, :, 0] * out
        found |= {
            f"{side}_hip_flexion": -flexed,
            f"{side}_hip_abduction": abducted * out,
            f"{side}_knee_flexion": _leg_angles(turns[f"{side}_knee"])[0],
            f"{side}_ankle_dorsiflexion": -_leg_angles(turns[f"{side}_ankle"])[0],
            f"{side}_shoulder_flexion": _in_plane(arm[:, 2], -arm[:, 1]),
            f"{side}_shoulder_abduction": _in_plane(arm[:, 0] * out, -arm[:, 1]),
            f"{side}_shoulder_elevation": _between(-arm[:, 1]),
            f"{side}_elbow_flexion": _between(turns[f"{side}_elbow"][:, 0, 0]),
        }
    return {name: found[name] for name in ANGLE_NAMES}


def _leg_angles(turn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(T, 3, 3) of the segment below in axes of the one above → (T,) degrees about x, and then about z.

    The matrix is Rx·Rz·Ry, whose second column has no part of the turn about the lower segment's own long axis.
    """
    along = turn[:, :, 1]
    about_x = np.arctan2(along[:, 2], along[:, 1])
    about_z = np.arctan2(-along[:, 0], np.hypot(along[:, 1], along[:, 2]))
    return np.degrees(about_x), np.degrees(about_z)


def _in_plane(forward: np.ndarray, down: np.ndarray) -> np.ndarray:
    """(T,) two coordinates of a unit vector → its angle from `down`, −90..270 degrees; NaN where both are small."""
    angle = np.degrees(np.arctan2(forward, down))
    angle = np.where(angle < -90, angle + 360, angle)
    return np.where(np.hypot(forward, down) < IN_PLANE, np.nan, angle)


def _between(cosine: np.ndarray) -> np.ndarray:
    """(T,) cosines → degrees, 0..180."""
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def _matrices(axis_angle: np.ndarray) -> np.ndarray:
    """(T, 3) radians → (T, 3, 3), Rodrigues' formula; in numpy, since who reads angles need not wait for torch."""
    vector = axis_angle.astype(np.float64)
    angle = np.linalg.norm(vector, axis=1)[:, None, None]
    x, y, z = vector.T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
    # sin a / a and (1 − cos a) / a², finite at zero
    return np.eye(3) + np.sinc(angle / np.pi) * cross + 0.5 * np.sinc(angle / (2 * np.pi)) ** 2 * cross @ cross
