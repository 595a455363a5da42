"""Errors of estimated motion, in millimetres, as the published tables state them.

Joints are the 14 of evaluation (`skeleton.EVALUATION_14`), metres; T frames. Every measure of joints but
PA-MPJPE is taken about the pelvis, the mean of the two hips (2 and 3 of the 14).
"""

from __future__ import annotations

import numpy as np

MM = 1000.0
PCK_THRESHOLD_MM = 150.0
_HIPS = (2, 3)
NAMES_14 = (
    "right ankle",
    "right knee",
    "right hip",
    "left hip",
    "left knee",
    "left ankle",
    "right wrist",
    "right elbow",
    "right shoulder",
    "left shoulder",
    "left elbow",
    "left wrist",
    "neck",
    "head",
)
_OTHER_SIDE = {"left": "right", "right": "left"}
SIDES_EXCHANGED_14 = tuple(
    NAMES_14.index(" ".join(_OTHER_SIDE.get(word, word) for word in joint.split())) for joint in NAMES_14
)


def centre_on_pelvis(joints: np.ndarray) -> np.ndarray:
    """Joints (T, 14, 3) → the same about the pelvis, the mean of the hips."""
    return joints - joints[:, _HIPS].mean(axis=1, keepdims=True)


def joint_errors(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(T, 14) mm: how far each joint is off, about the pelvis."""
    return _distances(centre_on_pelvis(predicted), centre_on_pelvis(truth))


def aligned_errors(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(T, 14) mm: the same after the best similarity (scale, rotation, translation) of every frame by itself."""
    return _distances(procrustes(predicted, truth), truth)


def vertex_errors(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(T,) mm: mean distance of the vertices of meshes (T, V, 3) that share an origin."""
    return _distances(predicted, truth).mean(axis=1)


def accelerations(joints: np.ndarray) -> np.ndarray:
    """(T − 2,) mean acceleration of joints (T, 14, 3), mm per squared frame, of the frames but the first and last."""
    return np.linalg.norm(_acceleration(joints), axis=-1).mean(axis=-1) * MM


def acceleration_errors(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(T − 2,) mean error of the acceleration, mm per squared frame, of the frames but the first and last."""
    return _distances(_acceleration(predicted), _acceleration(truth)).mean(axis=-1)


def whole(visible: np.ndarray) -> np.ndarray:
    """(T − 2,) which of the frames but the first and last are visible (T,) together with both neighbours."""
    seen = np.asarray(visible, dtype=bool)
    return seen[:-2] & seen[1:-1] & seen[2:]


def mpjpe(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Mean per-joint position error of joints (T, 14, 3)."""
    return float(joint_errors(predicted, truth).mean())


def pa_mpjpe(predicted: np.ndarray, truth: np.ndarray) -> float:
    """The same after the best similarity of every frame by itself."""
    return float(aligned_errors(predicted, truth).mean())


def pve(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Mean per-vertex error of meshes (T, V, 3) that share an origin."""
    return float(vertex_errors(predicted, truth).mean())


def pck(predicted: np.ndarray, truth: np.ndarray, threshold_mm: float = PCK_THRESHOLD_MM) -> float:
    """Share 0..1 of joints (T, 14, 3) within `threshold_mm`."""
    return float((joint_errors(predicted, truth) <= threshold_mm).mean())


def accel(joints: np.ndarray) -> float:
    """Mean acceleration of joints (T, 14, 3), mm per squared frame; 0 for fewer than three frames."""
    values = accelerations(joints)
    return float(values.mean()) if len(values) else 0.0


def accel_err(predicted: np.ndarray, truth: np.ndarray, visible: np.ndarray | None = None) -> float:
    """Mean error of the acceleration, mm per squared frame; 0 where nothing is left to compare.

    Only frames that are `visible` (T,) together with both neighbours count.
    """
    errors = acceleration_errors(predicted, truth)
    if visible is not None:
        errors = errors[whole(visible)]
    return float(errors.mean()) if errors.size else 0.0


def sides_exchanged(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(T,) bool: frames of joints (T, 14, 3) that lie nearer to the truth with left and right exchanged."""
    other = joint_errors(predicted[:, SIDES_EXCHANGED_14], truth).mean(axis=1)
    return other < joint_errors(predicted, truth).mean(axis=1)


def procrustes(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Points (T, N, 3) after the similarity that brings each frame closest to `target`; never mirrored.

    Source: Umeyama 1991, equations 40 to 42.
    """
    centre, target_centre = points.mean(1, keepdims=True), target.mean(1, keepdims=True)
    x, y = points - centre, target - target_centre
    u, singular, vt = np.linalg.svd(np.swapaxes(x, 1, 2) @ y)
    sign = np.ones_like(singular)
    sign[:, -1] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * sign[:, None]) @ vt
    scale = (singular * sign).sum(-1) / np.maximum((x**2).sum((1, 2)), 1e-12)
    return scale[:, None, None] * (x @ rotation) + target_centre


def _acceleration(joints: np.ndarray) -> np.ndarray:
    """Second differences over time about the pelvis, (T − 2, 14, 3)."""
    centred = centre_on_pelvis(joints)
    return centred[:-2] - 2 * centred[1:-1] + centred[2:]


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Euclidean distances of points (…, 3) in metres, in mm (…)."""
    return np.linalg.norm(a - b, axis=-1) * MM
