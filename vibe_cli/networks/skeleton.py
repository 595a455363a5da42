"""The 44 points that the open encoder finds, and how they mirror.

They are 44 of the 54 joints of vibe_cli/geometry/skeleton.py (the finger tips are left out): SMPL's 24 joints, 11
points of face and feet, and 9 regressed joints.
"""

from __future__ import annotations

KEYPOINTS_OF_54 = [*range(24), *range(24, 35), *range(45, 54)]
COUNT = len(KEYPOINTS_OF_54)
MIRRORED_JOINTS = [0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22]
_MIRROR_54 = {
    **dict(enumerate(MIRRORED_JOINTS)),
    24: 24,
    25: 26,
    26: 25,
    27: 28,
    28: 27,
    29: 32,
    30: 33,
    31: 34,
    32: 29,
    33: 30,
    34: 31,
    45: 46,
    46: 45,
    **{k: k for k in range(47, 54)},
}
MIRRORED_KEYPOINTS = [KEYPOINTS_OF_54.index(_MIRROR_54[k]) for k in KEYPOINTS_OF_54]
LEFT_RIGHT_PAIRS = [(i, m) for i, m in enumerate(MIRRORED_KEYPOINTS) if i < m]
# COCO's 17 keypoints among the 44: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles; left first
COCO_OF_KEYPOINTS = [KEYPOINTS_OF_54.index(k) for k in (24, 26, 25, 28, 27, 16, 17, 18, 19, 20, 21, 46, 45, 4, 5, 7, 8)]
# Pairs (left, right) that lie close to the pair in front: hands to wrists; feet, toes and heels to ankles
FOLLOWERS = {
    (20, 21): [(22, 23)],
    (7, 8): [(10, 11), *((KEYPOINTS_OF_54.index(k), KEYPOINTS_OF_54.index(k + 3)) for k in (29, 30, 31))],
}
