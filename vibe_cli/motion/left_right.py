"""Which leg is which: keypoints of legs, given to the side where the motion expects them.

A picture of somebody from the side rarely tells the left leg from the right, and a hidden leg is often found on the
other. The temporal network knows where each leg came from; where its motion and the keypoints of a frame disagree
on the side alone, the side is the motion's.
"""

from __future__ import annotations

import numpy as np

from vibe_cli.geometry.skeleton import JOINT, JOINTS_49

# of the 54 joints, left and right
KNEE, ANKLE, *FOOT = ((JOINT[f"l_{n}"], JOINT[f"r_{n}"]) for n in ("knee", "ankle", "big_toe", "small_toe", "heel"))
SWAP_DISTANCE_RATIO = 0.8  # exchanged sides must fit better than this share of the distance as they are
TOGETHER_OF_CROP = 0.04  # of the crop's side: keypoints nearer than this are one place
APART_OF_CROP = 0.08  # of the crop's side: expected places farther than this are two
HIDDEN_CONFIDENCE_RATIO = 0.1  # what is left of the confidence of a leg that was found on the other


def fix_leg_swaps(keypoints: np.ndarray, expected: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Keypoints (T, 49, 3) in pixels with the legs' sides as expected (T, 49, 2) in pixels; `sides` (T,) of the crops.

    In a frame where both legs lie much better on the expected ones exchanged, they are. Where both ankles were found
    in one place but are expected in two, that of the leg expected farther away loses its confidence.
    """
    settled = keypoints.copy()
    as_is, exchanged = (_distance(keypoints, expected, cross) for cross in (False, True))
    swapped = exchanged < SWAP_DISTANCE_RATIO * as_is
    for lefts, rights in (_rows(pair) for pair in (KNEE, ANKLE, *FOOT)):
        settled[np.ix_(swapped, lefts)] = keypoints[np.ix_(swapped, rights)]
        settled[np.ix_(swapped, rights)] = keypoints[np.ix_(swapped, lefts)]
    (left, *_), (right, *_) = _rows(ANKLE)
    one_place = np.linalg.norm(settled[:, left, :2] - settled[:, right, :2], axis=-1) < TOGETHER_OF_CROP * sides
    two_wanted = np.linalg.norm(expected[:, left] - expected[:, right], axis=-1) > APART_OF_CROP * sides
    off = [np.linalg.norm(settled[:, k, :2] - expected[:, k], axis=-1) for k in (left, right)]
    for side, farther in ((0, off[0] > off[1]), (1, off[0] <= off[1])):
        hidden = one_place & two_wanted & farther
        for pair in (ANKLE, *FOOT):
            settled[np.ix_(hidden, _rows(pair)[side], np.array([2]))] *= HIDDEN_CONFIDENCE_RATIO
    return settled


def _rows(pair: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Rows among the 49 of a left and a right joint; the same number of each."""
    left, right = (np.flatnonzero([joint == one for joint in JOINTS_49]) for one in pair)
    return left, right


def _distance(keypoints: np.ndarray, expected: np.ndarray, cross: bool) -> np.ndarray:
    """(T,) summed distance of knees and ankles from where they are expected, weighted by the pair's confidence."""
    total = np.zeros(len(keypoints))
    for pair in (KNEE, ANKLE):
        (left, *_), (right, *_) = _rows(pair)
        sure = np.minimum(keypoints[:, left, 2], keypoints[:, right, 2])
        for seen, wanted in ((left, right), (right, left)) if cross else ((left, left), (right, right)):
            total += sure * np.linalg.norm(keypoints[:, seen, :2] - expected[:, wanted], axis=-1)
    return total
