"""The joints of each data set, as numbers among the 54 (vibe_cli/geometry/skeleton.py), and how they become the 49.

None: a joint that none of the 54 is.
"""

from __future__ import annotations

import numpy as np

from vibe_cli.geometry.skeleton import JOINTS_49
from vibe_cli.people.keypoint_files import LAYOUTS

COCO_17 = LAYOUTS[17]  # nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles; left first
OPENPOSE_18 = LAYOUTS[18]  # of 3DPW's poses2d
SMPL_24 = tuple(range(24))
# head, shoulders, elbows, wrists, hips, knees, ankles; left first. The head is marked in its middle.
PENN_13 = (53, 16, 17, 18, 19, 20, 21, 46, 45, 4, 5, 7, 8)
# nose, head bottom, head top, ears, then as COCO
POSETRACK_17 = (24, 47, 48, *COCO_17[3:])
# Human3.6M's 32: 0 pelvis, 1..3 right leg, 6..8 left leg, 12 spine, 13 thorax, 14 neck, 15 head, 17..19 left arm,
# 25..27 right arm; the rest are copies and ends.
_H36M_NAMED = {
    0: 49,
    1: 45,
    2: 5,
    3: 8,
    6: 46,
    7: 4,
    8: 7,
    12: 51,
    13: 47,
    14: 52,
    15: 53,
    17: 16,
    18: 18,
    19: 20,
    25: 17,
    26: 19,
    27: 21,
}
HUMAN36M_32 = tuple(_H36M_NAMED.get(joint) for joint in range(32))
# Its 14 of evaluation in LSP's order: right leg upward, left leg downward, right arm upward, left arm downward,
# thorax for the neck, head for the head's top.
HUMAN36M_14 = (3, 2, 1, 6, 7, 8, 27, 26, 25, 17, 18, 19, 13, 15)
# MPI-INF-3DHP's 28: spine3, spine4, spine2, spine, pelvis, neck, head, head_top, then of each side clavicle, shoulder,
# elbow, wrist, hand, and of each side hip, knee, ankle, foot, toe; left first.
MPI_28 = (
    None,
    None,
    None,
    51,
    49,
    47,
    None,
    48,
    None,
    16,
    18,
    20,
    None,
    None,
    17,
    19,
    21,
    None,
    46,
    4,
    7,
    None,
    None,
    45,
    5,
    8,
    None,
    None,
)
# Its 17 of the test set: head top, neck, right arm, left arm, right leg, left leg, pelvis, spine, head.
MPI_17 = (48, 47, 17, 19, 21, 16, 18, 20, 45, 5, 8, 46, 4, 7, 49, 51, None)
# InstaVariety's 25: heels for ankles in LSP's order, neck, head, nose, eyes, ears, big toes, small toes, ankles.
INSTA_25 = (34, 5, 2, 1, 4, 31, 21, 19, 17, 16, 18, 20, 12, 48, 24, 26, 25, 28, 27, 29, 32, 30, 33, 7, 8)


def to_49(points: np.ndarray, layout: tuple[int | None, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Points (T, J, C) of a layout → the 49 (T, 49, C), zeros where the layout has none, and which it has (49,)."""
    found = np.zeros((len(points), 49, points.shape[2]), np.float32)
    has = np.array([joint in layout for joint in JOINTS_49])
    rows = [layout.index(joint) for joint in JOINTS_49 if joint in layout]
    found[:, has] = points[:, rows]
    return found, has
