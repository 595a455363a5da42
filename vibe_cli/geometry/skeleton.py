"""The one table of joints: 54 names, SMPL's tree, what mirrors what, and the 49 joints that results hold.

Joints 0..23 are SMPL's skeleton, 24..34 points of face and feet on the skin, 35..44 finger tips, 45..53 joints that are
regressed from the mesh. A joint is named in code by `JOINT["l_knee"]`, never by its number.
"""

from __future__ import annotations

JOINT_NAMES = (
    "pelvis",
    "l_hip",
    "r_hip",
    "spine1",
    "l_knee",
    "r_knee",
    "spine2",
    "l_ankle",
    "r_ankle",
    "spine3",
    "l_foot",
    "r_foot",
    "neck",
    "l_collar",
    "r_collar",
    "head",
    "l_shoulder",
    "r_shoulder",
    "l_elbow",
    "r_elbow",
    "l_wrist",
    "r_wrist",
    "l_hand",
    "r_hand",
)
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)

JOINTS_54 = (
    *JOINT_NAMES,
    *("nose", "r_eye", "l_eye", "r_ear", "l_ear"),
    *("l_big_toe", "l_small_toe", "l_heel", "r_big_toe", "r_small_toe", "r_heel"),
    *("l_thumb_tip", "l_index_tip", "l_middle_tip", "l_ring_tip", "l_pinky_tip"),
    *("r_thumb_tip", "r_index_tip", "r_middle_tip", "r_ring_tip", "r_pinky_tip"),
    *("r_hip_lsp", "l_hip_lsp", "neck_lsp", "head_top_lsp"),
    *("pelvis_mpii", "thorax_mpii", "spine_h36m", "jaw_h36m", "head_h36m"),
)
JOINT = {name: number for number, name in enumerate(JOINTS_54)}  # number, of the 54, by name


def joints(*names: str) -> list[int]:
    """Numbers, of the 54, of joints by name; a name without its side stands for the left and then the right one.

    `joints("pelvis", "knee")` is [0, 4, 5].
    """
    found: list[int] = []
    for name in names:
        found.extend([JOINT[name]] if name in JOINT else [JOINT[f"l_{name}"], JOINT[f"r_{name}"]])
    return found


_OTHER_SIDE = {"l_": "r_", "r_": "l_"}
# Of every one of the 54 the joint that it becomes in a mirror image; those of the middle are their own.
MIRRORED_54 = tuple(JOINT[_OTHER_SIDE.get(name[:2], name[:2]) + name[2:]] for name in JOINTS_54)

# Of every one of the 54 the joint of the skeleton that carries it; −1 of the pelvis.
_CARRIERS = (
    *("head",) * 5,
    *("l_foot", "l_foot", "l_ankle", "r_foot", "r_foot", "r_ankle"),
    *("l_hand",) * 5,
    *("r_hand",) * 5,
    *("pelvis", "pelvis", "neck", "head"),
    *("pelvis", "spine3", "spine2", "head", "head"),
)
PARENTS_54 = PARENTS + tuple(JOINT[name] for name in _CARRIERS)
OPENPOSE_25 = (24, 12, 17, 19, 21, 16, 18, 20, 0, 2, 5, 8, 1, 4, 7, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34)
LSP_14 = (8, 5, 45, 46, 4, 7, 21, 19, 17, 16, 18, 20, 47, 48)
EXTRA_10 = (49, 50, 51, 52, 53, 24, 26, 25, 28, 27)
# The 49 output joints, taken from 54: 24 of the skeleton, 21 vertex picks, 9 of the extra regressor.
JOINTS_49 = OPENPOSE_25 + LSP_14 + EXTRA_10
EVALUATION_14 = slice(25, 39)  # of the 49
# What tables of joints hold: the skeleton's 24, then the other named points among the 49, each once.
_SURFACE = tuple(joint for joint in sorted(set(JOINTS_49)) if joint >= len(JOINT_NAMES))
POINT_NAMES = (*JOINT_NAMES, *(JOINTS_54[joint] for joint in _SURFACE))
# The same 14 from the 17 joints of J_regressor_h36m.npy.
H36M_TO_14 = (6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10)


def levels_of(parents: tuple[int, ...]) -> list[list[int]]:
    """Joints of a tree by their distance from the root."""
    depth: list[int] = []
    for parent in parents:
        depth.append(0 if parent < 0 else depth[parent] + 1)
    return [[joint for joint, d in enumerate(depth) if d == level] for level in range(max(depth) + 1)]
