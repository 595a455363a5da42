"""The lifter: features of any subset of the keypoints, wherever they lie and whatever is not known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from vibe_cli.geometry.skeleton import JOINT, JOINTS_49
from vibe_cli.networks.keypoints import YAW_BINS
from vibe_cli.networks.lifter import KeypointPrediction, Lifter, LifterConfig, points_alone
from vibe_cli.networks.open_encoder import OpenEncoder, OpenEncoderConfig
from vibe_cli.networks.skeleton import COUNT, KEYPOINTS_OF_54


@pytest.fixture
def lifter() -> Lifter:
    torch.manual_seed(0)
    return Lifter(LifterConfig(features=16, hidden=32, blocks=1)).eval()


def prediction(count: int = 3) -> KeypointPrediction:
    torch.manual_seed(1)
    return KeypointPrediction(
        torch.rand(count, COUNT, 2) - 0.5,
        torch.rand(count, COUNT) * 0.9 + 0.1,
        torch.randn(count, COUNT),
        torch.randn(count, YAW_BINS).softmax(1),
        torch.randn(count, 6),
        torch.zeros(count, 0),
        torch.ones(count),
    )


def test_what_a_missing_point_holds_changes_nothing(lifter: Lifter) -> None:
    seen = prediction()
    seen = replace(seen, confidence=seen.confidence.index_fill(1, torch.tensor([3, 20]), 0))
    other = seen.points.index_fill(1, torch.tensor([3, 20]), 0.7)
    # the least of weights keeps centre and size defined where nothing is known
    assert torch.allclose(lifter(seen), lifter(replace(seen, points=other)), atol=2e-2)
    assert not torch.allclose(
        lifter(seen), lifter(replace(seen, points=seen.points.index_fill(1, torch.tensor(4), 0.7)))
    )


def test_depth_and_facing_are_read_only_where_they_are_known(lifter: Lifter) -> None:
    seen = prediction()
    changed = replace(seen, depth=seen.depth + 1, root=seen.root + 1, yaw=seen.yaw.roll(3, 1))
    unknown = torch.zeros(3)
    assert torch.equal(lifter(replace(seen, solid=unknown)), lifter(replace(changed, solid=unknown)))
    assert not torch.allclose(lifter(seen), lifter(changed))
    assert not torch.allclose(lifter(seen), lifter(replace(seen, solid=unknown)))


def test_points_alone_are_a_prediction_that_knows_no_more(lifter: Lifter) -> None:
    seen = prediction()
    bare = points_alone(seen.points, seen.confidence)
    assert torch.allclose(lifter(bare), lifter(replace(seen, solid=torch.zeros(3))))


def test_keypoints_of_the_49_are_lifted_as_the_joints_that_they_are() -> None:
    torch.manual_seed(0)
    encoder = OpenEncoder(
        OpenEncoderConfig(width=8, channels=8, size=64, features=16, hidden=32, any_subset=True)
    ).eval()
    assert encoder.lifts_keypoints
    knee, wrist = JOINT["l_knee"], JOINT["r_wrist"]
    keypoints = torch.zeros(1, 49, 3)
    points, confidence = torch.zeros(1, COUNT, 2), torch.zeros(1, COUNT)
    for joint, where, sure in ((knee, (0.1, 0.4), 0.9), (wrist, (-0.3, -0.2), 0.5), (JOINT["nose"], (0.0, -0.6), 0.7)):
        rows = [row for row, j in enumerate(JOINTS_49) if j == joint]
        keypoints[0, rows[-1]] = torch.tensor([*where, sure])  # a layout may name one of several rows alone
        points[0, KEYPOINTS_OF_54.index(joint)] = torch.tensor(where)
        confidence[0, KEYPOINTS_OF_54.index(joint)] = sure
    assert torch.allclose(encoder.lift(keypoints), encoder.lifter(points_alone(points, confidence)))


def test_encoders_of_before_read_the_picture_and_lift_no_keypoints() -> None:
    encoder = OpenEncoder(OpenEncoderConfig(width=8, channels=8, size=64, features=16, hidden=32)).eval()
    assert not encoder.lifts_keypoints and encoder.lifter.config.pooled == 64
    assert encoder(torch.zeros(1, 3, 64, 64)).features.shape == (1, 16)
