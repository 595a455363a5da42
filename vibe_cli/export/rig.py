"""A person as a skeleton that other programs animate: bones of fixed length, their rotations, the way of the hips.

Bones bear the names that Mixamo made common, by which Unity's, Unreal's and Blender's humanoid mappings know them.
At rest the body stands in its T-pose, as its own shape has it; every bone's axes are then those of the world.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vibe_cli.export.axes import from_camera, from_rest
from vibe_cli.geometry.skeleton import JOINT, JOINT_NAMES, PARENTS

if TYPE_CHECKING:
    from vibe_cli.body.body_models import Body
    from vibe_cli.results import Person, VideoInfo

_SIDED = {
    **{"hip": "UpLeg", "knee": "Leg", "ankle": "Foot", "foot": "ToeBase"},
    **{"collar": "Shoulder", "shoulder": "Arm", "elbow": "ForeArm", "wrist": "Hand", "hand": "HandMiddle1"},
}
_MIDDLE = {"pelvis": "Hips", "spine1": "Spine", "spine2": "Spine1", "spine3": "Spine2", "neck": "Neck", "head": "Head"}
_SIDES = {"l": "Left", "r": "Right"}
BONES = tuple(
    _MIDDLE[name] if name in _MIDDLE else _SIDES[name[0]] + _SIDED[name[2:]] for name in JOINT_NAMES
)  # of SMPL's 24 joints, in their order
# where the bones without children end: a named point of the body, or as much farther as their parent is long
_ENDS = {"head": "head_top_lsp", "l_foot": "l_big_toe", "r_foot": "r_big_toe"}
HAND = 0.08  # metres from the knuckles to where a hand ends


@dataclass(frozen=True, eq=False)
class Rig:
    """A body of one shape at rest, in axes of a name, metres, the pelvis at zero."""

    joints: np.ndarray  # (24, 3) float64
    ends: dict[int, np.ndarray]  # joint without children → (3,) where it ends

    @property
    def offsets(self) -> np.ndarray:
        """(24, 3) each joint from its parent; the pelvis's is zero."""
        parents = np.array(PARENTS)
        return np.where(parents[:, None] >= 0, self.joints - self.joints[parents], 0.0)


@dataclass(frozen=True, eq=False)
class Moves:
    """What a rig does over T frames, in the same axes."""

    rotations: np.ndarray  # (T, 24, 3, 3) float64 relative to the parent, the hips' to the world
    hips: np.ndarray  # (T, 3) float64 metres from the camera


def rig_of(person: Person, body: Body, axes: str) -> Rig:
    """The T-pose of a person's body, upright and facing the camera."""
    import torch

    from vibe_cli.geometry.skeleton import JOINTS_49

    device = body.joint_template.device
    betas = torch.from_numpy(person.betas).to(device)[None]
    with torch.inference_mode():
        rest = body.rest_joints(betas)[0].cpu().double().numpy()
        points = body(torch.eye(3, device=device).expand(1, 24, 3, 3), betas).joints[0].cpu().double().numpy()
    ends = {}
    for joint in sorted(set(range(len(PARENTS))) - set(PARENTS)):
        named = _ENDS.get(JOINT_NAMES[joint])
        along = rest[joint] - rest[PARENTS[joint]]
        end = points[JOINTS_49.index(JOINT[named])] if named else rest[joint] + along / np.linalg.norm(along) * HAND
        ends[joint] = (end - rest[0]) @ from_rest(axes).T
    return Rig((rest - rest[0]) @ from_rest(axes).T, ends)


def moves_of(person: Person, video: VideoInfo, axes: str) -> Moves:
    """A person's motion, for the rig in the same axes."""
    from scipy.spatial.transform import Rotation

    turn = from_rest(axes)
    flat = Rotation.from_rotvec(person.pose.reshape(-1, 3).astype(float)).as_matrix()
    rotations = flat.reshape(len(person), len(PARENTS), 3, 3)
    rotations[:, 0] = from_camera("opengl") @ rotations[:, 0]
    return Moves(turn @ rotations @ turn.T, person.translation(video).astype(float) @ from_camera(axes).T)
