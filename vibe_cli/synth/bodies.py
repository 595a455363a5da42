"""The open body prepared for drawing many people quickly: a coarse mesh and exact tables for keypoints."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy import sparse
from scipy.optimize import lsq_linear

from vibe_cli.geometry.skeleton import PARENTS, levels_of
from vibe_cli.networks.skeleton import KEYPOINTS_OF_54
from vibe_cli.synth.open_body import coarsen

PARENTS_OR_SELF = np.maximum(PARENTS, 0)
# joints that hang as far from the pelvis, which can be turned together, and their parents
LEVELS = [(np.array(level), PARENTS_OR_SELF[level]) for level in levels_of(PARENTS)[1:]]


@dataclass(frozen=True, eq=False)
class SynthBody:
    """Numpy arrays of the open body; V coarse vertices, K keypoints.

    A drawn person's shape is 11 numbers: ten betas, and how much of a small child they are, 0..1.
    """

    vertices: np.ndarray  # (V, 3)
    shapedirs: np.ndarray  # (V, 3, 11)
    weights: np.ndarray  # (V, 24)
    faces: np.ndarray  # (F, 3) int32
    joints: np.ndarray  # (24, 3)
    joint_dirs: np.ndarray  # (24, 3, 11)
    point_moments: np.ndarray  # (K − 24, 24, 3)      sum of regressor · skinning weight · vertex
    point_moment_dirs: np.ndarray  # (K − 24, 24, 3, 11)  the same of the shape directions
    point_weights: np.ndarray  # (K − 24, 24)
    vertex_faces: sparse.csr_matrix  # (V, F) incidence, to sum face normals
    face_landmarks: dict[str, np.ndarray]  # eye, ear: rest positions, for hair

    @classmethod
    def load(cls, path: Path, faces: int | None = 7000) -> SynthBody:
        """Read the shipped tensors and coarsen the mesh to about `faces` triangles; None keeps it as it is."""
        from safetensors.numpy import load_file

        full = {k: v.astype(np.int64 if k == "faces" else np.float64) for k, v in load_file(path).items()}
        child = full.get("child_dir", np.zeros_like(full["v_template"]))
        shapedirs = np.concatenate([full["shapedirs"], child[..., None]], axis=2)
        if faces is None:
            triangles, index = full["faces"], np.arange(len(full["v_template"]))[:, None]
            blend = np.ones((len(index), 1))
        else:
            triangles, index, blend = coarsen(full["v_template"], full["faces"], faces)
        points = np.concatenate([full["J_regressor"], full["extra_regressor"]])[KEYPOINTS_OF_54][24:]
        weights = full["lbs_weights"] / full["lbs_weights"].sum(axis=1, keepdims=True)
        rest = points @ full["v_template"]
        return cls(
            vertices=np.einsum("vi,vid->vd", blend, full["v_template"][index]),
            shapedirs=np.einsum("vi,vidb->vdb", blend, shapedirs[index]),
            weights=np.einsum("vi,vij->vj", blend, weights[index]),
            faces=triangles.astype(np.int32),
            joints=full["J_regressor"] @ full["v_template"],
            joint_dirs=np.einsum("jv,vdb->jdb", full["J_regressor"], shapedirs),
            point_moments=np.einsum("kv,vj,vd->kjd", points, weights, full["v_template"], optimize=True),
            point_moment_dirs=np.einsum("kv,vj,vdb->kjdb", points, weights, shapedirs, optimize=True),
            point_weights=points @ weights,
            vertex_faces=_incidence(triangles, len(index)),
            face_landmarks={"eye": rest[2], "ear": rest[4]},
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything that cannot be computed from the rest, by name, for `from_arrays`."""
        named = [f.name for f in fields(self) if f.name not in ("vertex_faces", "face_landmarks")]
        plain = {name: getattr(self, name) for name in named}
        return plain | {f"landmark_{name}": point for name, point in self.face_landmarks.items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> SynthBody:
        """The inverse of `arrays`; of any floating type. Ten directions of shape are a body that knows no children."""
        values = {k: v.astype(np.int32 if k == "faces" else np.float64) for k, v in arrays.items()}
        for name in ("shapedirs", "joint_dirs", "point_moment_dirs"):
            lacking = 11 - values[name].shape[-1]
            values[name] = np.concatenate([values[name], np.zeros((*values[name].shape[:-1], lacking))], axis=-1)
        marks = {k.removeprefix("landmark_"): values.pop(k) for k in list(values) if k.startswith("landmark_")}
        return cls(**values, face_landmarks=marks, vertex_faces=_incidence(values["faces"], len(values["vertices"])))

    @cached_property
    def child_betas(self) -> np.ndarray:
        """(10,) betas, within bounds that networks are used to, that come nearest to a small child."""
        columns = self.shapedirs.reshape(-1, 11)
        return lsq_linear(columns[:, :10], columns[:, 10], (-3, 3)).x

    @cached_property
    def part(self) -> np.ndarray:
        """(V,) the joint that moves a vertex most."""
        return self.weights.argmax(axis=1)

    def pose(self, rotations: np.ndarray, shape: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Forward kinematics of (24, 3, 3) relative rotations, for a shape (11,).

        Returns global rotations (24, 3, 3), skinning offsets (24, 3) and keypoints (K, 3), pelvis at the origin.
        """
        joints = self.joints + _blend(self.joint_dirs, shape)
        bones = joints - joints[PARENTS_OR_SELF]
        world, position = np.array(rotations, float), np.zeros((24, 3))
        for level, parents in LEVELS:
            position[level] = position[parents] + (world[parents] @ bones[level, :, None])[..., 0]
            world[level] = world[parents] @ world[level]
        offsets = position - (world @ joints[..., None])[..., 0]
        moments = self.point_moments + _blend(self.point_moment_dirs, shape)  # (K − 24, 24, 3)
        points = moments.reshape(len(moments), 72) @ world.swapaxes(1, 2).reshape(72, 3) + self.point_weights @ offsets
        return world, offsets, np.concatenate([position, points])

    def skin(
        self, world: np.ndarray, offsets: np.ndarray, rest: np.ndarray, normals: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (V, 3) at rest and unit normals (V, 3) moved as `pose` says: world (24, 3, 3), offsets (24, 3).

        Both float32, for pictures; rows of all vertices lie together, which is many times as fast as columns of three.
        """
        turn = np.concatenate([world.reshape(24, 9), offsets], axis=1).T.astype(np.float32) @ self._weight_rows
        turn, shift = turn[:9].reshape(3, 3, -1), turn[9:]  # (3, 3, V), (3, V)
        across = (turn * rows(normals)).sum(axis=1)
        return ((turn * rows(rest)).sum(axis=1) + shift).T, (across / _lengths(across)).T

    def shaped(self, shape: np.ndarray) -> np.ndarray:
        """(V, 3) vertices at rest of a shape (11,)."""
        return self.vertices + _blend(self.shapedirs, shape)

    def normals(self, vertices: np.ndarray) -> np.ndarray:
        """(V, 3) unit vertex normals, float32."""
        corners = rows(vertices).take(self._corners, axis=1)  # (3, 3, F): axis, corner
        (ax, ay, az), (bx, by, bz) = (corners[:, corner] - corners[:, 0] for corner in (1, 2))
        across = np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=1)
        normals = np.ascontiguousarray((self.vertex_faces @ across).T)
        return (normals / _lengths(normals)).T

    def moved_by(self, *joints: int) -> np.ndarray:
        """(V,) bool: vertices that one of the joints moves most."""
        chosen = np.zeros(24, bool)
        chosen[list(joints)] = True
        return chosen[self.part]

    @cached_property
    def _corners(self) -> np.ndarray:
        return np.ascontiguousarray(self.faces.T, np.intp)

    @cached_property
    def _weight_rows(self) -> np.ndarray:
        return np.ascontiguousarray(self.weights.T, np.float32)


def _blend(directions: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """directions (…, 11) @ shape (11,), as one product of a matrix and a vector instead of many short ones."""
    return (directions.reshape(-1, 11) @ shape).reshape(directions.shape[:-1])


def rows(vectors: np.ndarray) -> np.ndarray:
    """(V, 3) → (3, V) float32, each row in one piece: what is done to all of a long row is done much faster."""
    return np.ascontiguousarray(vectors.T, np.float32)


def _lengths(rows: np.ndarray) -> np.ndarray:
    """(V,) lengths of the vectors (3, V), and a little more, to divide by."""
    return np.sqrt(rows[0] ** 2 + rows[1] ** 2 + rows[2] ** 2) + np.float32(1e-9)


def _incidence(faces: np.ndarray, count: int) -> sparse.csr_matrix:
    """(V, F): 1 where a face has the vertex."""
    return sparse.csr_matrix(
        (np.ones(faces.size, np.float32), (faces.ravel(), np.repeat(np.arange(len(faces)), 3))),
        shape=(count, len(faces)),
    )
