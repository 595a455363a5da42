"""Errors of estimated motion, in millimetres, as the published tables state them.

Joints are the 14 of evaluation (`skeleton.EVALUATION_14`), metres; T frames. Every measure of joints but
PA-MPJPE is taken about the pelvis, the mean of the two hips (2 and 3 of the 14).
"""

from __future__ import annotations

import numpy as np

MM = 1000.0
PCK_THRESHOLD_MM = 150.0
_HIPS = (2, 3)


def centre_on_pelvis(joints: np.ndarray) -> np.ndarray:
    """Joints (T, 14, 3) → the same about the pelvis, the mean of the hips."""
    return joints - joints[:, _HIPS].mean(axis=1, keepdims=True)


def mpjpe(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Mean per-joint position error of joints (T, 14, 3)."""
    return _mean_distance(centre_on_pelvis(predicted), centre_on_pelvis(truth))


def pa_mpjpe(predicted: np.ndarray, truth: np.ndarray) -> float:
    """The same after the best similarity (scale, rotation, translation) of every frame by itself."""
    return _mean_distance(procrustes(predicted, truth), truth)


def pve(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Mean per-vertex error of meshes (T, V, 3) that share an origin."""
    return _mean_distance(predicted, truth)


def pck(predicted: np.ndarray, truth: np.ndarray, threshold_mm: float = PCK_THRESHOLD_MM) -> float:
    """Share 0..1 of joints (T, 14, 3) within `threshold_mm`."""
    distances = np.linalg.norm(centre_on_pelvis(predicted) - centre_on_pelvis(truth), axis=-1)
    return float((distances * MM <= threshold_mm).mean())


def accel(joints: np.ndarray) -> float:
    """Mean acceleration of joints (T, 14, 3), mm per squared frame; 0 for fewer than three frames."""
    acceleration = _acceleration(joints)
    return float(np.linalg.norm(acceleration, axis=-1).mean()) * MM if len(acceleration) else 0.0


def accel_err(predicted: np.ndarray, truth: np.ndarray, visible: np.ndarray | None = None) -> float:
    """Mean error of the acceleration, mm per squared frame; 0 where nothing is left to compare.

    Only frames that are `visible` (T,) together with both neighbours count.
    """
    distances = np.linalg.norm(_acceleration(predicted) - _acceleration(truth), axis=-1)
    if visible is not None:
        seen = np.asarray(visible, dtype=bool)
        distances = distances[seen[:-2] & seen[1:-1] & seen[2:]]
    return float(distances.mean()) * MM if distances.size else 0.0


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


def _mean_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Mean Euclidean distance of points in metres, in mm."""
    return float(np.linalg.norm(a - b, axis=-1).mean()) * MM
