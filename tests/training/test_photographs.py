"""Labels of photographs: what several makers of marks agree on."""

from __future__ import annotations

import numpy as np
import pytest

from vibe_cli.networks.skeleton import KEYPOINTS_OF_54, LEFT_RIGHT_PAIRS
from vibe_cli.training.photographs import BLAZE, COCO, HUMAN, OURS, PhotoLabels, agree

ANKLES = [KEYPOINTS_OF_54.index(7), KEYPOINTS_OF_54.index(8)]
ANKLE_PAIR = LEFT_RIGHT_PAIRS.index(tuple(ANKLES))
HEEL = KEYPOINTS_OF_54.index(31)


class Marks:
    """One person whom all makers mark alike, to be changed by a test."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        limbs = np.stack([np.where(np.arange(12) % 2, 60.0, 140.0), 20 + 15.0 * np.arange(12)], axis=1)
        self.limbs = limbs + rng.uniform(-1, 1, limbs.shape)
        self.human = np.zeros((1, 14, 3))
        self.human[0, HUMAN, :2], self.human[..., 2] = self.limbs, 1
        self.human[0, 12:, :2] = [[100, 30], [100, 5]]
        self.movenet = np.full((1, 2, 17, 3), 0.8)
        self.movenet[..., :2] = [100, 12]
        self.movenet[0, :, COCO, :2] = self.limbs[:, None]
        self.blazepose = np.full((1, 33, 4), 0.9)
        self.blazepose[..., :2] = [100, 12]
        self.blazepose[0, BLAZE, :2] = self.limbs
        self.blazepose[0, 29, :2] = self.limbs[0] + [-4, 6]
        self.world = np.zeros((1, 33, 3))
        self.world[0, BLAZE, :2] = (self.limbs - [100, 95]) / 100
        self.world[0, BLAZE[0], 2] = 0.3  # the left foot is set back

    def labels(self) -> PhotoLabels:
        return agree(self.human, self.movenet, self.blazepose, self.world)


@pytest.fixture
def marks() -> Marks:
    return Marks()


def test_what_all_agree_on_is_a_label_of_full_weight(marks: Marks) -> None:
    labels = marks.labels()
    np.testing.assert_allclose(labels.points[0, OURS], marks.limbs, atol=1e-4)
    assert (labels.weights[0, OURS] == 1).all()
    assert labels.pair_weights[0, ANKLE_PAIR] == 1


def test_a_joint_that_nobody_marked_has_no_weight_and_does_not_widen_the_box(marks: Marks) -> None:
    marks.human[0, HUMAN[0]] = 0  # as the data set writes it
    marks.movenet[0, :, COCO[0], 2] = 0
    marks.blazepose[0, BLAZE[0], 2] = 0
    labels = marks.labels()
    assert labels.weights[0, ANKLES[0]] == 0
    left = labels.boxes[0, 0] - labels.boxes[0, 2] / 2
    assert left > 50, "the box reaches to the picture's corner"


def test_networks_that_agree_fill_in_what_the_hand_left_out(marks: Marks) -> None:
    marks.human[0, HUMAN[0]] = 0
    labels = marks.labels()
    np.testing.assert_allclose(labels.points[0, ANKLES[0]], marks.limbs[0], atol=1e-4)
    assert 0 < labels.weights[0, ANKLES[0]] < 1


def test_a_hand_that_stands_alone_counts_less(marks: Marks) -> None:
    marks.movenet[0, :, COCO[0], 2] = marks.blazepose[0, BLAZE[0], 2] = 0.1
    labels = marks.labels()
    assert 0 < labels.weights[0, ANKLES[0]] < 1
    np.testing.assert_allclose(labels.points[0, ANKLES[0]], marks.limbs[0], atol=1e-4)


def test_a_hand_against_agreeing_networks_is_believed_by_nobody(marks: Marks) -> None:
    marks.human[0, HUMAN[0], :2] += [25, 40]
    assert marks.labels().weights[0, ANKLES[0]] == 0


def test_exchanged_sides_say_where_the_pair_is_but_not_which_is_left(marks: Marks) -> None:
    marks.human[0, [HUMAN[0], HUMAN[1]]] = marks.human[0, [HUMAN[1], HUMAN[0]]]
    labels = marks.labels()
    assert (labels.weights[0, ANKLES] == 0).all()
    assert labels.pair_weights[0, ANKLE_PAIR] > 0.5
    np.testing.assert_allclose(sorted(labels.pairs[0, ANKLE_PAIR, :, 0]), sorted(marks.limbs[:2, 0]), atol=1e-4)


def test_a_heel_is_taken_from_a_network_that_has_the_ankle_right(marks: Marks) -> None:
    assert marks.labels().weights[0, HEEL] > 0
    np.testing.assert_allclose(marks.labels().points[0, HEEL], marks.blazepose[0, 29, :2], atol=1e-4)
    marks.blazepose[0, BLAZE[0], :2] += 40
    assert marks.labels().weights[0, HEEL] == 0


def test_depth_and_facing_are_blazeposes_where_its_trunk_lies_right(marks: Marks) -> None:
    labels = marks.labels()
    assert labels.depth[0, ANKLES].tolist() == pytest.approx([0.3, 0]) and (labels.depth_weights[0, OURS] > 0).all()
    left, _, forward = labels.roots[0].T
    # in these marks the left side is to the right, and shoulders lie below hips: upside down, seen from behind
    assert left[0] > 0.9 and forward[2] > 0.9 and labels.root_weights[0] > 0
    np.testing.assert_allclose(labels.roots[0].T @ labels.roots[0], np.eye(3), atol=1e-5)


def test_nothing_is_known_of_depth_where_blazepose_has_two_joints_wrong(marks: Marks) -> None:
    marks.blazepose[0, BLAZE[4:6], :2] += 70
    labels = marks.labels()
    assert not labels.depth_weights.any() and not labels.root_weights.any()
