"""The second look: parts grow into wholes, several finds of one person become one, backgrounds are dropped."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from vibe_cli.geometry import boxes as box_maths
from vibe_cli.networks.keypoints import KeypointMaps
from vibe_cli.people.rescore import LogisticRescorer, RescoredDetector, box_of_points
from vibe_cli.results import Detections

RESCORER = LogisticRescorer(bias=-6, proposal_logit=0, mean_confidence=12, confident_share=0, self_iou=0)
PERSON = np.array([[160.0, 120, 60, 120]])


class Proposer:
    """Always proposes the same boxes."""

    name = "proposer"

    def __init__(self, boxes: list) -> None:
        self.boxes = np.array(boxes, float).reshape(-1, 4)

    def detect(self, frames: list[np.ndarray]) -> list[Detections]:
        return [Detections(self.boxes, np.full(len(self.boxes), 0.4)) for _ in frames]


class CornerEncoder(nn.Module):
    """Sees its points at the corners of whatever is bright, and is unsure where nothing is."""

    def __init__(self, strength: float = 20.0) -> None:
        super().__init__()
        self.config, self.strength = SimpleNamespace(scale=1.2), strength
        self.register_buffer("gain", torch.ones(1))

    def predict_maps(self, crops: torch.Tensor) -> KeypointMaps:
        cells = crops.shape[-1] // 8
        heat = torch.zeros(len(crops), 44, cells, cells)
        for n, crop in enumerate(crops):
            bright = torch.nn.functional.avg_pool2d((crop.mean(0) > 1.5).float()[None], 8)[0] > 0.5
            rows, columns = bright.any(1).nonzero()[:, 0], bright.any(0).nonzero()[:, 0]
            if len(rows):
                for k in range(44):
                    heat[n, k, rows[-(k % 2)], columns[-(k // 2 % 2)]] = self.strength
        blank = torch.zeros_like(heat)
        return KeypointMaps(
            heat, blank, blank, torch.zeros(len(crops), 12), torch.zeros(len(crops), 6), torch.zeros(len(crops), 8)
        )


def scene() -> np.ndarray:
    frame = np.zeros((240, 320, 3), np.uint8)
    frame[60:180, 130:190] = 255
    return frame


def verified(boxes: list) -> Detections:
    return RescoredDetector(Proposer(boxes), CornerEncoder(), RESCORER).detect([scene()])[0]


def test_a_box_on_a_part_grows_to_the_person() -> None:
    found = verified([[160, 100, 70, 90]])
    assert len(found) == 1
    assert box_maths.iou(found.boxes, PERSON)[0, 0] > 0.7 > box_maths.iou(np.array([[160.0, 100, 70, 90]]), PERSON)


def test_the_less_sure_the_points_the_nearer_the_box_stays_to_the_proposal() -> None:
    part, rescorer = (
        np.array([[160.0, 100, 70, 90]]),
        LogisticRescorer(bias=0, proposal_logit=0, mean_confidence=0, confident_share=0, self_iou=0),
    )
    unsure, doubtful, sure = (
        RescoredDetector(Proposer(part), CornerEncoder(strength), rescorer).detect([scene()])[0].boxes
        for strength in (4.2, 5, 20)
    )
    assert np.array_equal(unsure, part)
    assert np.allclose(sure, verified([part]).boxes) and box_maths.iou(sure, PERSON)[0, 0] > 0.7
    shares = (doubtful - part)[0, [1, 3]] / (sure - part)[0, [1, 3]]  # of the way, of the top and of the height
    assert ((shares > 0.1) & (shares < 0.9)).all()


def test_finds_that_come_to_the_same_box_are_one_person() -> None:
    assert len(verified([[160, 100, 70, 90], [158, 140, 70, 90], [160, 120, 60, 120]])) == 1


def test_a_box_on_the_background_is_dropped() -> None:
    assert len(verified([[40, 40, 40, 60]])) == 0
    assert len(verified([[40, 40, 40, 60], [160, 120, 60, 120]])) == 1


def test_no_proposals_are_nobody() -> None:
    assert len(verified([])) == 0


def test_more_votes_make_a_surer_find() -> None:
    rescorer = LogisticRescorer(bias=0, proposal_logit=1, mean_confidence=0, confident_share=0, self_iou=0)
    one, two = (
        RescoredDetector(Proposer([[160, 120, 60, 120]] * n), CornerEncoder(), rescorer, 0).detect([scene()])[0]
        for n in (1, 2)
    )
    assert two.scores[0] > one.scores[0]
    assert np.isclose(one.scores[0], 0.4) and np.isclose(two.scores[0], 1 - 0.6**2)


def test_few_sure_points_leave_the_box_as_it_was() -> None:
    box, points = np.array([10.0, 10, 4, 4]), np.random.default_rng(0).uniform(0, 20, (44, 2))
    assert np.array_equal(box_of_points(points, np.r_[np.ones(5), np.zeros(39)], box), box)
    assert not np.array_equal(box_of_points(points, np.ones(44), box), box)


def test_a_judge_learns_which_evidence_tells() -> None:
    from vibe_cli.training.fit_rescorer import fit_rescorer

    rng = np.random.default_rng(0)
    evidence = rng.normal(size=(400, 4))
    rescorer = fit_rescorer(evidence, evidence[:, 1] > 0.2)
    assert rescorer.mean_confidence > 5 * max(
        abs(rescorer.proposal_logit), abs(rescorer.confident_share), abs(rescorer.self_iou)
    )
    assert ((rescorer.scores(evidence) > 0.5) == (evidence[:, 1] > 0.2)).mean() > 0.95


def test_a_hand_within_a_whole_person_is_a_part_and_a_neighbour_is_not() -> None:
    from vibe_cli.people.rescore import suppressed

    whole, hand, neighbour = [100, 100, 60, 160], [120, 100, 20, 20], [160, 100, 50, 150]
    boxes = np.array([whole, hand, neighbour], float)
    assert suppressed(boxes, np.array([0.3, 0.9, 0.9])).tolist() == [False, True, False]
    assert suppressed(boxes, np.array([0.01, 0.9, 0.9])).tolist() == [False, False, False]


def test_an_outstretched_hand_beside_somebody_is_a_part() -> None:
    from vibe_cli.people.rescore import suppressed

    boxes = np.array([[274, 298, 103, 396], [213, 284, 15, 39]], float)
    assert suppressed(boxes, np.array([0.9, 0.9])).tolist() == [False, True]


def test_of_two_views_of_one_person_the_whole_is_kept_unless_the_other_is_much_surer() -> None:
    from vibe_cli.people.rescore import suppressed

    whole_and_half = np.array([[273, 299, 176, 395], [273, 200, 177, 176]], float)
    assert suppressed(whole_and_half, np.array([0.5, 0.7])).tolist() == [False, True]
    assert suppressed(whole_and_half, np.array([0.1, 0.7])).tolist() == [True, False]
    alike = np.array([[202, 302, 187, 388], [264, 263, 330, 303]], float)
    assert suppressed(alike, np.array([0.61, 0.15])).tolist() == [False, True]


def test_people_side_by_side_are_two() -> None:
    from vibe_cli.people.rescore import suppressed

    boxes = np.array([[100, 100, 60, 160], [140, 105, 55, 150]], float)
    assert suppressed(boxes, np.array([0.9, 0.6])).tolist() == [False, False]
