"""Smooth normals and fixed lights: every vertex gets its colour here, so that all rasterisers draw alike."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

AMBIENT = 0.27
KEY = (np.array([-0.45, -0.65, -0.62]), 0.60)  # direction towards the light, camera axes; strength
FILL = (np.array([0.85, 0.10, -0.52]), 0.22)
FACING = 0.25  # light that goes with the eye: surfaces that turn away darken, so that limbs stand out
HIGHLIGHT = 0.10  # strength of the key light's reflection
SHARPNESS = 24  # Blinn-Phong exponent of the reflection


class Topology:
    """The triangles of a body and what follows from them alone."""

    def __init__(self, faces: np.ndarray, count: int) -> None:
        """`faces` (F, 3) index `count` vertices."""
        self.faces = np.ascontiguousarray(faces, np.int32)
        self._corners = np.ascontiguousarray(self.faces.T, np.intp)
        corners = self.faces.ravel()
        incidence = (np.ones(corners.size, np.float32), (corners, np.repeat(np.arange(len(faces)), 3)))
        self._gather = csr_matrix(incidence, shape=(count, len(faces)))
        self.closed = _is_closed(self.faces.astype(np.int64))

    def normals(self, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (V, 3) → outward normals of vertices (V, 3), unit, and of faces (F, 3), twice their area.

        The order of a triangle's corners does not matter: the side that makes the enclosed volume positive is
        outside.
        """
        a, b, c = (vertices.take(corner, axis=0) for corner in self._corners)
        u, v = b - a, c - a
        across = np.stack(
            [
                u[:, 1] * v[:, 2] - u[:, 2] * v[:, 1],
                u[:, 2] * v[:, 0] - u[:, 0] * v[:, 2],
                u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0],
            ],
            axis=1,
        )
        if np.vdot(a - vertices.mean(axis=0), across) < 0:
            across = -across
        smooth = self._gather @ across
        length = np.sqrt(np.einsum("vc,vc->v", smooth, smooth))
        return smooth / np.maximum(length, 1e-12)[:, None], across


def _is_closed(faces: np.ndarray) -> bool:
    """Whether every edge has a triangle on both sides, so that only outsides can be seen."""
    start, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    size = faces.max(initial=0) + 1
    return np.array_equal(np.sort(start * size + end), np.sort(end * size + start))


def lit(normals: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Outward unit normals (V, 3) in camera axes, a colour (3,) 0..1 → the vertices' colours (V, 3) 0..1."""
    brightness = AMBIENT + FACING * np.clip(-normals[:, 2], 0, None)
    for direction, strength in (KEY, FILL):
        brightness += strength * np.clip(normals @ _unit(direction), 0, None)
    half = _unit(_unit(KEY[0]) + (0, 0, -1))
    shine = HIGHLIGHT * np.clip(normals @ half, 0, None) ** SHARPNESS
    return np.clip(brightness[:, None] * colour + shine[:, None], 0, 1).astype(np.float32)


def _unit(vector: np.ndarray) -> np.ndarray:
    return (vector / np.linalg.norm(vector)).astype(np.float32)
