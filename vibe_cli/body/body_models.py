"""Bodies: joint rotations and shape in, mesh and joints out, for the open body and for a user's SMPL file.

Letters: N bodies, V vertices, J joints. Both bodies share SMPL's 24 joints, pose convention and the 49 output
joints, so a pose drives either; betas belong to the body they were estimated for.
"""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from vibe_cli.errors import ModelError
from vibe_cli.geometry.rotations import matrix_from_axis_angle
from vibe_cli.geometry.skeleton import JOINTS_49, PARENTS, levels_of
from vibe_cli.importing import checkpoints, library
from vibe_cli.importing.safe_read import read_npy, read_safetensors, sniff
from vibe_cli.paths import models_dir, user_models_dir

OPEN_BODY = "open-body"
_CHUNK = 64  # bodies computed at once: 20 MB of vertices and transforms


class Motion(Protocol):
    """What a body can pose: a Person of `vibe_cli.results`, or anything that has these."""

    @property
    def pose(self) -> np.ndarray:
        """(T, 24, 3) axis-angle, radians."""
        ...

    @property
    def betas(self) -> np.ndarray:
        """(10,) shape."""
        ...


@dataclass(frozen=True, eq=False)
class BodyOutput:
    """N posed bodies, metres, in the body's own origin: SMPL's rest pelvis is not at zero."""

    vertices: Tensor  # (N, V, 3)
    joints: Tensor  # (N, 49, 3)


@dataclass(frozen=True, eq=False)
class Surface:
    """Skinning data of a body's vertices, and the joints that are regressed from them."""

    template: Tensor  # (V, 3) at rest, metres
    directions: Tensor  # (V, 3, 10) of shape
    weights: Tensor  # (V, 24) of skinning
    regressor: Tensor  # (30, V) of joints 24..53
    pose_directions: Tensor | None  # (V, 3, 207) of the joints' rotations less the identity; None without any


class Body(nn.Module):
    """The interface of every body."""

    kind: str  # open | smpl: whose betas these are
    faces: np.ndarray  # (F, 3) int64 triangles
    file: Path | None = None  # of the user, where it is read from
    joint_template: Tensor  # (24, 3) at rest, metres
    joint_directions: Tensor  # (24, 3, 10) of shape

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        """v_template (V, 3), shapedirs (V, 3, 10), J_regressor (24, V), faces (F, 3)."""
        super().__init__()
        regressor = tensors["J_regressor"]
        self.faces = tensors["faces"].numpy().astype(np.int64)
        self.register_buffer("joint_template", regressor @ tensors["v_template"])
        self.register_buffer("joint_directions", torch.einsum("jv,vcb->jcb", regressor, tensors["shapedirs"]))

    def rest_joints(self, betas: Tensor) -> Tensor:
        """Shape (N, 10) → the 24 rest joints (N, 24, 3); no pose moves the first, the pelvis."""
        return self.joint_template + torch.einsum("jcb,nb->njc", self.joint_directions, betas)

    def forward(self, rotations: Tensor, betas: Tensor) -> BodyOutput:
        """Rotations (N, 24, 3, 3), the root's first, and shape (N, 10) → N bodies."""
        raise NotImplementedError

    def surface(self) -> Surface:
        """The parts of the skin."""
        raise NotImplementedError


class OpenBody(Body):
    """The open body: SMPL's layout, skinned by `skin`, without pose blend shapes."""

    kind = "open"
    v_template: Tensor  # (V, 3) at rest, metres
    shapedirs: Tensor  # (V, 3, 10)
    lbs_weights: Tensor  # (V, 24)
    extra_regressor: Tensor  # (30, V) of joints 24..53

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        """Tensors as models/open-body has them (`_open_tensors` states names and shapes)."""
        super().__init__(tensors)
        for name in ("v_template", "shapedirs", "lbs_weights", "extra_regressor"):
            self.register_buffer(name, tensors[name])

    def forward(self, rotations: Tensor, betas: Tensor) -> BodyOutput:
        """Rotations (N, 24, 3, 3), the root's first, and shape (N, 10) → N bodies."""
        shaped = self.v_template + torch.einsum("vcb,nb->nvc", self.shapedirs, betas)
        vertices, joints = skin(rotations, shaped, self.rest_joints(betas), self.lbs_weights, PARENTS)
        return BodyOutput(vertices, _select_49(joints, self.extra_regressor @ vertices))

    def surface(self) -> Surface:
        """The parts of the skin."""
        return Surface(self.v_template, self.shapedirs, self.lbs_weights, self.extra_regressor, None)


class SmplBody(Body):
    """SMPL (Loper et al. 2015) from the user's file, computed by smplx."""

    kind = "smpl"
    extra_regressor: Tensor  # (9, V) of joints 45..53

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        """Tensors as `checkpoints.smpl_tensors` makes them, with J_regressor_extra (9, V)."""
        try:
            import smplx  # here only: its licence is non-commercial, and the open body must not need it
            from smplx.utils import Struct
        except ModuleNotFoundError:
            raise ModelError("SMPL bodies need smplx, which is not installed", hint="pip install smplx") from None

        super().__init__(tensors)
        arrays = {name: value.numpy() for name, value in tensors.items()}
        data = Struct(
            v_template=arrays["v_template"],
            f=arrays["faces"],
            weights=arrays["lbs_weights"],
            shapedirs=arrays["shapedirs"],
            posedirs=arrays["posedirs"],
            J_regressor=arrays["J_regressor"],
            kintree_table=np.array([PARENTS, range(24)]),
        )
        with redirect_stdout(io.StringIO()):  # it prints that the file has 10 shape components
            self.smpl = smplx.SMPL(
                "",
                data_struct=data,
                create_betas=False,
                create_global_orient=False,
                create_body_pose=False,
                create_transl=False,
            )
        self.register_buffer("extra_regressor", tensors["J_regressor_extra"])

    def forward(self, rotations: Tensor, betas: Tensor) -> BodyOutput:
        """Rotations (N, 24, 3, 3), the root's first, and shape (N, 10) → N bodies."""
        output = self.smpl(betas=betas, body_pose=rotations[:, 1:], global_orient=rotations[:, :1], pose2rot=False)
        return BodyOutput(output.vertices, _select_49(output.joints, self.extra_regressor @ output.vertices))

    def surface(self) -> Surface:
        """The parts of the skin; 21 of the regressed joints are single vertices."""
        smpl = self.smpl
        picks = torch.nn.functional.one_hot(smpl.vertex_joint_selector.extra_joints_idxs, len(smpl.v_template))
        regressor = torch.cat([picks.to(self.extra_regressor), self.extra_regressor])
        return Surface(
            smpl.v_template, smpl.shapedirs, smpl.lbs_weights, regressor, smpl.posedirs.T.unflatten(0, (-1, 3))
        )


def skin(
    rotations: Tensor, vertices: Tensor, joints: Tensor, lbs_weights: Tensor, parents: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """Linear blend skinning (Loper et al. 2015, equations 2 to 4) → vertices (N, V, 3), joints (N, J, 3).

    `rotations` (N, J, 3, 3) are relative to the parent, `vertices` (N, V, 3) and `joints` (N, J, 3) at rest,
    `lbs_weights` (V, J). The root turns about its own joint.
    """
    world, posed_joints = pose_joints(rotations, joints, parents)
    offset = posed_joints - torch.einsum("njab,njb->nja", world, joints)
    transforms = torch.cat([world, offset[..., None]], dim=-1).flatten(-2)  # (N, J, 12)
    blended = torch.matmul(lbs_weights, transforms).unflatten(-1, (3, 4))  # (N, V, 3, 4)
    posed = (blended[..., :3] * vertices[..., None, :]).sum(-1) + blended[..., 3]
    return posed, posed_joints


def pose_joints(rotations: Tensor, joints: Tensor, parents: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Rotations (N, J, 3, 3), rest joints (N, J, 3) → world rotations (N, J, 3, 3), joints (N, J, 3).

    One step a level of the tree, all joints of a level at once.
    """
    levels = levels_of(parents)
    world, posed = [rotations[:, levels[0]]], [joints[:, levels[0]]]
    for above, level in zip(levels[:-1], levels[1:], strict=True):
        up = [above.index(parents[joint]) for joint in level]
        bones = joints[:, level] - joints[:, [parents[joint] for joint in level]]
        posed.append(posed[-1][:, up] + torch.einsum("njab,njb->nja", world[-1][:, up], bones))
        world.append(world[-1][:, up] @ rotations[:, level])
    order = np.argsort([joint for level in levels for joint in level]).tolist()
    return torch.cat(world, dim=1)[:, order], torch.cat(posed, dim=1)[:, order]


def vertices_of(person: Motion, body: Body) -> np.ndarray:
    """(T, V, 3) float32, metres: x right, y down, z into the image, the pelvis at zero."""
    return _geometry(person, body, "vertices")


def joints_of(person: Motion, body: Body) -> np.ndarray:
    """(T, 49, 3) float32, metres: x right, y down, z into the image, the pelvis at zero."""
    return _geometry(person, body, "joints")


def mean_shape_note(theirs: str, kind: str) -> str:
    """The warning where shapes belong to another kind of body than the one that is posed."""
    return f"the shapes in this result belong to the {theirs} body; the {kind} body is posed with its mean shape"


def load_body(path: Path | str | None = None, extra_joints: Path | str | None = None) -> Body:
    """The shipped open body, or the body of a file or model folder, told by its content.

    `path` is an SMPL .pkl or .npz, a VIBE, TCMR or SPIN checkpoint, or what `vibe models import` made of one, by
    its folder or by its name in the zoo.
    `extra_joints` is J_regressor_extra.npy, of which 9 of SMPL's 49 joints come; without it the file itself,
    its neighbour of that name and the imported models are asked. ModelError where something is missing.
    """
    path = _by_name(Path(path)) if path is not None else models_dir() / OPEN_BODY
    if path.is_dir():
        folder, names = path, ("body.safetensors", "weights.safetensors")
        path = next((folder / name for name in names if (folder / name).is_file()), None)
        if path is None:
            raise ModelError(f"{folder}: no body here", hint="reinstall vibe-cli, or give an SMPL file")
    if sniff(path) != "safetensors":
        tensors = checkpoints.read_official(path).parts.get("body")
    else:
        tensors = read_safetensors(path)
        if "extra_regressor" in tensors:
            return OpenBody(_open_tensors(tensors, path))
        tensors = checkpoints.smpl_tensors(tensors, path)
    if tensors is None:
        raise ModelError(f"{path}: holds no body", hint="give an SMPL file, or a VIBE or TCMR checkpoint")
    body = SmplBody(tensors | {"J_regressor_extra": _extra_regressor(tensors, path, extra_joints)})
    body.file = path.resolve()
    return body


def _by_name(path: Path) -> Path:
    """A path, or the model folder of that name where there is no such path."""
    folders = [] if path.exists() or path.name != str(path) else [user_models_dir() / path, models_dir() / path]
    return next((folder for folder in folders if folder.is_dir()), path)


def _extra_regressor(tensors: dict[str, Tensor], path: Path, given: Path | str | None) -> Tensor:
    """J_regressor_extra (9, V): given, in the file, beside it, or imported."""
    beside = path.with_name("J_regressor_extra.npy")
    if given is None and "J_regressor_extra" in tensors:
        return tensors["J_regressor_extra"]
    if given is None and not beside.is_file():
        regressor = library.find_extra_regressor()
        if regressor is None:
            source = checkpoints.KINDS["joints-extra"].where
            raise ModelError(
                f"{path}: SMPL needs J_regressor_extra.npy as well, for 9 of the 49 joints",
                hint="put that file beside it, or import it or a VIBE or TCMR checkpoint, which "
                f"holds it: vibe models import FILE (from {source})",
            )
        return regressor
    return checkpoints.joint_regressor(read_npy(given or beside), 9, given or beside)


def _open_tensors(tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Check an open body's names and shapes and cast it to float32."""
    count = len(tensors["v_template"]) if "v_template" in tensors else 0
    shapes = {
        "v_template": (count, 3),
        "faces": (None, 3),
        "shapedirs": (count, 3, 10),
        "J_regressor": (24, count),
        "lbs_weights": (count, 24),
        "extra_regressor": (30, count),
    }
    checkpoints.check_shapes(tensors, shapes, path)
    return {name: tensors[name].to(torch.int64 if name == "faces" else torch.float32) for name in shapes}


def _geometry(person: Motion, body: Body, what: str) -> np.ndarray:
    """Vertices or joints of every frame about the pelvis, a chunk of frames at a time."""
    device = body.joint_template.device
    betas = torch.as_tensor(person.betas, device=device)[None]
    parts = []
    with torch.inference_mode():
        pelvis = body.rest_joints(betas)[:, :1]
        for pose in torch.as_tensor(person.pose).split(_CHUNK):
            output = body(matrix_from_axis_angle(pose.to(device)), betas.expand(len(pose), -1))
            parts.append((getattr(output, what) - pelvis).cpu().numpy())
    return np.concatenate(parts)


def _select_49(joints: Tensor, regressed: Tensor) -> Tensor:
    """Joints that the body gives and those regressed from its vertices, 54 in all → the 49 (N, 49, 3)."""
    return torch.cat([joints, regressed], dim=1)[:, list(JOINTS_49)]
