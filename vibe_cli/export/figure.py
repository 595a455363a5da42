"""A person as glTF wants them: a skin in its T-pose, what moves each vertex, and the bones' quaternions over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vibe_cli.export.rig import moves_of, rig_of

if TYPE_CHECKING:
    from vibe_cli.body.body_models import Body
    from vibe_cli.results import Person, VideoInfo

AXES = "opengl"  # glTF's: x right, y up, z towards the camera
INFLUENCES = 4  # bones a vertex in one set of glTF's


@dataclass(frozen=True, eq=False)
class Figure:
    """One person over T frames; float32, metres; the soles of the T-pose at y = 0, below the pelvis at x = z = 0."""

    number: int  # of the person
    betas: np.ndarray  # (10,)
    faces: np.ndarray  # (F, 3) triangles
    vertices: np.ndarray  # (V, 3) at rest
    normals: np.ndarray  # (V, 3) of length 1
    bones: np.ndarray  # (V, 4 or 8) uint8 which bones move a vertex, the heaviest first; 0 where none does
    weights: np.ndarray  # (V, 4 or 8) how much each does; they sum to 1
    joints: np.ndarray  # (24, 3) at rest
    times: np.ndarray  # (T,) seconds from where the scene begins
    quaternions: np.ndarray  # (T, 24, 4) x, y, z, w relative to the parent, the hips' to the world; without flips
    hips: np.ndarray  # (T, 3) from the camera


def figure_of(person: Person, video: VideoInfo, body: Body, origin: float) -> Figure:
    """A person's skin and motion, from `origin` seconds of the clip on.

    SMPL's pose blend shapes have no place in it: its muscles do not bulge.
    """
    import torch

    surface, rig = body.surface(), rig_of(person, body, AXES)
    betas = torch.from_numpy(person.betas).to(surface.template.device)
    with torch.inference_mode():
        shaped = (surface.template + surface.directions @ betas).cpu().double().numpy()
        pelvis = body.rest_joints(betas[None])[0, 0].cpu().double().numpy()
        bones, weights = influences(surface.weights.cpu().double().numpy())
    vertices = shaped - pelvis
    raised = np.array([0, -vertices[:, 1].min(), 0])
    moves = moves_of(person, video, AXES)
    return Figure(
        number=person.id,
        betas=person.betas,
        faces=body.faces,
        vertices=(vertices + raised).astype(np.float32),
        normals=normals_of(vertices, body.faces).astype(np.float32),
        bones=bones,
        weights=weights,
        joints=(rig.joints + raised).astype(np.float32),
        times=(video.times[person.frames] - origin).astype(np.float32),
        quaternions=steady_quaternions(moves.rotations).astype(np.float32),
        hips=moves.hips.astype(np.float32),
    )


def influences(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Skinning weights (V, 24) → bones (V, 4 or 8) uint8 and weights (V, 4 or 8) float32, the heaviest first."""
    count = INFLUENCES * (1 + bool(((weights > 0).sum(axis=1) > INFLUENCES).any()))
    bones = np.argsort(-weights, axis=1, kind="stable")[:, :count]
    heavy = np.take_along_axis(weights, bones, axis=1)
    heavy = (heavy / heavy.sum(axis=1, keepdims=True)).astype(np.float32)
    return np.where(heavy > 0, bones, 0).astype(np.uint8), heavy


def normals_of(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) outward normals of length 1, of the faces around by their areas; up for vertices of no face."""
    first, second, third = (vertices[faces[:, corner]] for corner in range(3))
    across = np.cross(second - first, third - first)
    sums = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(sums, faces[:, corner], across)
    length = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.where(length > 1e-12, sums / np.maximum(length, 1e-12), [0.0, 1.0, 0.0])


def steady_quaternions(rotations: np.ndarray) -> np.ndarray:
    """Rotations (T, J, 3, 3) → (T, J, 4) x, y, z, w, of the two signs the one nearer to the frame before."""
    from scipy.spatial.transform import Rotation

    flat = Rotation.from_matrix(rotations.reshape(-1, 3, 3)).as_quat()
    quaternions = flat.reshape(*rotations.shape[:2], 4)
    turned = (quaternions[1:] * quaternions[:-1]).sum(axis=-1) < 0
    quaternions[1:] *= np.cumprod(np.where(turned, -1, 1), axis=0)[..., None]
    return quaternions
