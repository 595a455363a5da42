"""Legs go to the side where the motion expects them."""

from __future__ import annotations

import numpy as np

from vibe_cli.geometry.skeleton import JOINTS_49
from vibe_cli.motion.left_right import fix_leg_swaps

SIDES = np.full(3, 200.0)
LEFT = [row for row, joint in enumerate(JOINTS_49) if joint in (4, 7, 29, 30, 31)]
RIGHT = [row for row, joint in enumerate(JOINTS_49) if joint in (5, 8, 32, 33, 34)]
ANKLES = [[row for row, joint in enumerate(JOINTS_49) if joint == one] for one in (7, 8)]


def legs(left: float, right: float) -> np.ndarray:
    """(3, 49, 3) keypoints of somebody whose legs are at these columns; knees half way from the middle."""
    points = np.zeros((3, 49, 3))
    points[..., 0], points[..., 1], points[..., 2] = 300, 100, 0.9
    for rows, x in ((LEFT, left), (RIGHT, right)):
        points[:, rows, 0] = [300 + (x - 300) / 2 if JOINTS_49[row] in (4, 5) else x for row in rows]
        points[:, rows, 1] = [150 if JOINTS_49[row] in (4, 5) else 200 for row in rows]
    return points


def test_legs_that_agree_with_the_motion_stay() -> None:
    seen = legs(260, 340)
    assert np.array_equal(fix_leg_swaps(seen, legs(270, 350)[..., :2], SIDES), seen)


def test_exchanged_legs_are_exchanged_back_in_their_frames_only() -> None:
    seen = legs(260, 340)
    seen[1] = legs(340, 260)[1]
    seen[1, ANKLES[0], 2] = 0.7
    settled = fix_leg_swaps(seen, legs(265, 335)[..., :2], SIDES)
    assert np.array_equal(settled[..., :2], legs(260, 340)[..., :2])
    assert (settled[1, ANKLES[1], 2] == 0.7).all() and (settled[0, ANKLES[1], 2] == 0.9).all()


def test_a_doubtful_exchange_is_not_made() -> None:
    seen = legs(305, 295)
    assert np.array_equal(fix_leg_swaps(seen, legs(300, 301)[..., :2], SIDES), seen)


def test_a_leg_found_on_the_other_loses_its_confidence() -> None:
    seen = legs(340, 341)
    settled = fix_leg_swaps(seen, legs(262, 338)[..., :2], SIDES)
    assert np.allclose(settled[:, ANKLES[0], 2], 0.09) and (settled[:, ANKLES[1], 2] == 0.9).all()
    feet = [row for row in LEFT if JOINTS_49[row] in (29, 30, 31)]
    assert np.allclose(settled[:, feet, 2], 0.09)
    assert np.array_equal(settled[..., :2], seen[..., :2])


def test_legs_that_are_expected_together_may_be_found_together() -> None:
    seen = legs(300, 301)
    assert np.array_equal(fix_leg_swaps(seen, legs(296, 304)[..., :2], SIDES), seen)
