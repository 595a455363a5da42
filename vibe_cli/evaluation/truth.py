"""The truth of a sequence as evaluation needs it: 14 joints and, where the body is known, its mesh.

Which 14 depends on the bodies that take part. SMPL's with J_regressor_h36m.npy: rows of that regressor applied to the
vertices (`skeleton.H36M_TO_14`), as the published protocol has it. Otherwise: the 14 LSP joints among the 49.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from vibe_cli.body.body_models import Body, BodyOutput, load_body
from vibe_cli.datasets.sequence import Sequence
from vibe_cli.errors import InputError, ModelError
from vibe_cli.geometry.rotations import matrix_from_axis_angle
from vibe_cli.geometry.skeleton import EVALUATION_14, H36M_TO_14
from vibe_cli.importing.library import find_body, list_imported, says_gender
from vibe_cli.importing.safe_read import read_safetensors

if TYPE_CHECKING:
    from pathlib import Path

CHUNK = 64  # bodies at once
FACINGS = ("front", "side", "back", "not upright")
NEARLY = 0.5  # cosine: within 60 degrees
LSP, H36M = "14 LSP joints of the body's 49", "14 of Human3.6M's 17 joints (J_regressor_h36m)"


@dataclass(frozen=True, eq=False)
class Truth:
    """Ground truth of T frames."""

    joints: np.ndarray  # (T, 14, 3) metres, camera axes
    valid: np.ndarray  # (T,) frames that count
    vertices: np.ndarray | None  # (T, V, 3) metres about the body's origin; None where no mesh is known
    body: str | None  # open | smpl: of the vertices
    facing: np.ndarray  # (T,) index into FACINGS, −1 where it is not known


class Geometry:
    """Joints and meshes of bodies, and which bodies the truth has."""

    def __init__(self) -> None:
        """Nothing is loaded before it is asked for."""
        self.bodies: dict[tuple[str, str], Body] = {}
        self.notes: list[str] = []
        self.regressor = h36m_regressor()

    def kind_of_joints(self, body: Body) -> str:
        """Which 14 a body gives: LSP or H36M."""
        return H36M if body.kind == "smpl" and self.regressor is not None else LSP

    def fourteen(self, output: BodyOutput, kind: str) -> Tensor:
        """(N, 14, 3) of posed bodies; kind: LSP or H36M."""
        if kind == LSP or self.regressor is None:
            return output.joints[:, EVALUATION_14]
        return (self.regressor.to(output.vertices) @ output.vertices)[:, list(H36M_TO_14)]

    def posed(self, body: Body, pose: np.ndarray, betas: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
        """Pose (T, 24, 3) and betas (T, 10) → joints (T, 14, 3), vertices (T, V, 3) about the body's origin."""
        joints, vertices = [], []
        device = body.joint_template.device
        with torch.inference_mode():
            for start in range(0, len(pose), CHUNK):
                part = slice(start, start + CHUNK)
                output = body(
                    matrix_from_axis_angle(torch.from_numpy(pose[part]).to(device)),
                    torch.from_numpy(betas[part]).to(device),
                )
                joints.append(self.fourteen(output, kind).cpu().numpy())
                vertices.append(output.vertices.cpu().numpy())
        return np.concatenate(joints), np.concatenate(vertices)

    def truth_of(self, sequence: Sequence, kind: str) -> Truth:
        """The truth of a sequence; InputError where it has none, ModelError where its body is not here."""
        facing = facings(sequence.pose) if sequence.pose is not None else np.full(len(sequence), -1)
        valid = sequence.valid.copy()
        self.notes += [sequence.note] if sequence.note else []
        if sequence.pose is not None and sequence.betas is not None:
            body = self.body_of(sequence)
            kind = kind if body.kind == "smpl" else LSP
            joints, vertices = self.posed(body, sequence.pose, sequence.betas, kind)
            return Truth(joints, valid & sequence.smpl_valid, vertices, body.kind, facing)
        if sequence.protocol14 is not None:
            return Truth(sequence.protocol14, valid, None, None, facing)
        known = valid & False
        if sequence.joints3d_valid is not None:
            known = sequence.joints3d_valid[:, EVALUATION_14].all(axis=1)
        if sequence.joints3d is not None and known.any():
            return Truth(sequence.joints3d[:, EVALUATION_14], valid & known, None, None, facing)
        raise InputError(
            f"{sequence.name}: has no joints in 3D to compare with",
            hint="evaluate on 3dpw, mpi-inf-3dhp, human36m or synthetic",
        )

    def body_of(self, sequence: Sequence) -> Body:
        """The body of the truth: the open one, or the user's SMPL of the sequence's gender, else any SMPL of theirs."""
        gender = sequence.gender or "neutral"
        key = (sequence.body, gender if sequence.body == "smpl" else "")
        if key not in self.bodies:
            self.bodies[key] = load_body(None if sequence.body == "open" else self._smpl(gender))
        return self.bodies[key]

    def _smpl(self, gender: str) -> Path:
        path = smpl_of(gender)
        if path is not None:
            return path
        path = find_body()
        if path is None:
            raise ModelError(
                "the truth of this data set is given as SMPL parameters, and no SMPL body is here",
                hint="import one: vibe models import SMPL_NEUTRAL.pkl (SMPL_MALE.pkl and SMPL_FEMALE.pkl "
                "as well, for the published protocol)",
            )
        self.notes.append(
            f"the truth of {gender} people is posed on {path.parent.name}, for no {gender} SMPL is imported"
        )
        return path


def facings(pose: np.ndarray) -> np.ndarray:
    """Pose (T, 24, 3) in camera axes → which way each frame faces, (T,) index into FACINGS."""
    root = matrix_from_axis_angle(torch.from_numpy(pose[:, 0].astype(np.float64))).numpy()
    towards, up = -root[:, 2, 2], -root[:, 1, 1]  # the body faces its z, and its y is up; the image's y is down
    upright = np.where(towards > NEARLY, 0, np.where(towards < -NEARLY, 2, 1))
    return np.where(up < NEARLY, 3, upright)


def h36m_regressor() -> Tensor | None:
    """J_regressor_h36m (17, V), where the user has imported it."""
    for entry in list_imported():
        if entry.kind == "joints-h36m":
            return read_safetensors(entry.folder / "weights.safetensors")["regressor"]
    return None


def smpl_of(gender: str) -> Path | None:
    """The imported SMPL body whose name or file says that gender."""
    for entry in list_imported():
        if entry.kind == "smpl" and says_gender(entry, gender):
            return entry.folder / "body.safetensors"
    return None
