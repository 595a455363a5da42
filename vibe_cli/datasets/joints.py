"""The joints of each data set, as numbers among the 54 (vibe_cli/geometry/skeleton.py), and how they become the 49.

None: a joint that none of the 54 is.
"""

from __future__ import annotations

import numpy as np

from vibe_cli.geometry.skeleton import JOINT, JOINTS_49
from vibe_cli.people.keypoint_files import LAYOUTS


def _numbers(names: str) -> tuple[int | None, ...]:
    """Joints by name, among the 54; a dash is a joint that none of them is."""
    return tuple(None if name == "-" else JOINT[name] for name in names.split())


COCO_17 = LAYOUTS[17]  # nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles; left first
OPENPOSE_18 = LAYOUTS[18]  # of 3DPW's poses2d
SMPL_24 = tuple(range(24))
# head, shoulders, elbows, wrists, hips, knees, ankles; left first. The head is marked in its middle.
PENN_13 = _numbers(
    "head_h36m l_shoulder r_shoulder l_elbow r_elbow l_wrist r_wrist l_hip_lsp r_hip_lsp l_knee r_knee l_ankle r_ankle"
)
# nose, head bottom, head top, ears, then as COCO
POSETRACK_17 = _numbers(
    "nose neck_lsp head_top_lsp l_ear r_ear l_shoulder r_shoulder l_elbow r_elbow l_wrist r_wrist l_hip_lsp "
    "r_hip_lsp l_knee r_knee l_ankle r_ankle"
)
# Human3.6M's 32: 0 pelvis, 1..3 right leg, 6..8 left leg, 12 spine, 13 thorax, 14 neck, 15 head, 17..19 left arm,
# 25..27 right arm; the rest are copies and ends.
HUMAN36M_32 = _numbers(
    "pelvis_mpii r_hip_lsp r_knee r_ankle - - l_hip_lsp l_knee l_ankle - - - spine_h36m neck_lsp jaw_h36m "
    "head_h36m - l_shoulder l_elbow l_wrist - - - - - r_shoulder r_elbow r_wrist - - - -"
)
# Its 14 of evaluation in LSP's order: right leg upward, left leg downward, right arm upward, left arm downward,
# thorax for the neck, head for the head's top.
HUMAN36M_14 = tuple(
    HUMAN36M_32.index(joint)
    for joint in _numbers(
        "r_ankle r_knee r_hip_lsp l_hip_lsp l_knee l_ankle r_wrist r_elbow r_shoulder l_shoulder l_elbow l_wrist "
        "neck_lsp head_h36m"
    )
)
# MPI-INF-3DHP's 28: spine3, spine4, spine2, spine, pelvis, neck, head, head_top, then of each side clavicle, shoulder,
# elbow, wrist, hand, and of each side hip, knee, ankle, foot, toe; left first.
MPI_28 = _numbers(
    "- - - spine_h36m pelvis_mpii neck_lsp - head_top_lsp - l_shoulder l_elbow l_wrist - - r_shoulder r_elbow "
    "r_wrist - l_hip_lsp l_knee l_ankle - - r_hip_lsp r_knee r_ankle - -"
)
# Its 17 of the test set: head top, neck, right arm, left arm, right leg, left leg, pelvis, spine, head.
MPI_17 = _numbers(
    "head_top_lsp neck_lsp r_shoulder r_elbow r_wrist l_shoulder l_elbow l_wrist r_hip_lsp r_knee r_ankle "
    "l_hip_lsp l_knee l_ankle pelvis_mpii spine_h36m -"
)
# InstaVariety's 25: heels for ankles in LSP's order, neck, head, nose, eyes, ears, big toes, small toes, ankles.
INSTA_25 = _numbers(
    "r_heel r_knee r_hip l_hip l_knee l_heel r_wrist r_elbow r_shoulder l_shoulder l_elbow l_wrist neck "
    "head_top_lsp nose l_eye r_eye l_ear r_ear l_big_toe r_big_toe l_small_toe r_small_toe l_ankle r_ankle"
)


def to_49(points: np.ndarray, layout: tuple[int | None, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Points (T, J, C) of a layout → the 49 (T, 49, C), zeros where the layout has none, and which it has (49,)."""
    found = np.zeros((len(points), 49, points.shape[2]), np.float32)
    has = np.array([joint in layout for joint in JOINTS_49])
    rows = [layout.index(joint) for joint in JOINTS_49 if joint in layout]
    found[:, has] = points[:, rows]
    return found, has
