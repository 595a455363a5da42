"""The 44 points that the open encoder finds, and how they mirror.

They are 44 of the 54 joints of vibe_cli/geometry/skeleton.py (the finger tips are left out): SMPL's 24 joints, 11
points of face and feet, and 9 regressed joints.
"""

from __future__ import annotations

from vibe_cli.geometry.skeleton import JOINT, JOINT_NAMES, MIRRORED_54, joints

KEYPOINTS_OF_54 = [number for name, number in JOINT.items() if not name.endswith("_tip")]
COUNT = len(KEYPOINTS_OF_54)
MIRRORED_JOINTS = list(MIRRORED_54[: len(JOINT_NAMES)])
MIRRORED_KEYPOINTS = [KEYPOINTS_OF_54.index(MIRRORED_54[k]) for k in KEYPOINTS_OF_54]


def keypoints(*names: str) -> list[int]:
    """Numbers, among the 44, of joints named as `geometry.skeleton.joints` names them."""
    return [KEYPOINTS_OF_54.index(joint) for joint in joints(*names)]


def pair(name: str) -> tuple[int, int]:
    """The left and the right one of a joint, among the 44: `pair("knee")`."""
    left, right = keypoints(name)
    return left, right


LEFT_RIGHT_PAIRS = [(i, m) for i, m in enumerate(MIRRORED_KEYPOINTS) if i < m]
# COCO's 17 keypoints among the 44: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles; left first
COCO_OF_KEYPOINTS = keypoints("nose", "eye", "ear", "shoulder", "elbow", "wrist", "hip_lsp", "knee", "ankle")
# Pairs (left, right) that lie close to the pair in front: hands to wrists; feet, toes and heels to ankles
FOLLOWERS = {
    pair("wrist"): [pair("hand")],
    pair("ankle"): [pair(name) for name in ("foot", "big_toe", "small_toe", "heel")],
}
