"""Simulated errors: of our network and of keypoints from elsewhere."""

from __future__ import annotations

import pytest
import torch

from vibe_cli.networks.skeleton import COUNT
from vibe_cli.paths import models_dir
from vibe_cli.synth.keypoint_body import KeypointBody
from vibe_cli.training.noise import (
    SUBSET_MASKS,
    SUBSETS,
    GivenNoise,
    given_predictions,
    own_predictions,
    predictions,
    subsets_of,
)

CLIPS, LENGTH = 60, 4


@pytest.fixture(scope="module")
def truth() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    frames = CLIPS * LENGTH
    body = KeypointBody.load(models_dir() / "open-body" / "weights.safetensors")
    rotations = torch.diag(torch.tensor([1.0, -1, -1])).expand(frames, 24, 3, 3).clone()
    rotations[:, 1:] = torch.eye(3)
    points = body(rotations, torch.zeros(frames, 10))
    return {"rotations": rotations, "betas": torch.zeros(frames, 10), "points": points, "pixels": points[..., :2]}


def test_given_keypoints_are_points_of_one_layout_a_clip(truth: dict) -> None:
    seen = given_predictions(truth, LENGTH)
    told = (seen.confidence > 0).view(CLIPS, LENGTH, COUNT).any(1)
    masks = SUBSET_MASKS
    assert all(any(bool((row <= mask).all()) for mask in masks) for row in told)
    assert not seen.solid.any() and not seen.depth.any() and not seen.yaw.any() and not seen.root.any()


def test_given_keypoints_lie_within_their_noise(truth: dict) -> None:
    calm = GivenNoise(spread=(-5.0, -5.0), outliers=0, exchanged=0, blind=0, missing=(0, 0), cut=0)
    seen = given_predictions(truth, LENGTH, calm)
    there = seen.confidence > 0
    size = (truth["pixels"].amax(1) - truth["pixels"].amin(1)).amax(1)
    off = (seen.points - truth["pixels"]).norm(dim=-1) / size[:, None]
    assert 0.01 < float(off[there].mean()) < 0.04


def test_every_subset_has_the_limbs_and_none_has_all() -> None:
    masks = SUBSET_MASKS
    assert len(masks) == len(SUBSETS) and int(masks.all(0).sum()) >= 10 and not masks.all(1).any()


def test_a_lifter_without_pictures_sees_both_kinds_and_one_with_pictures_ours_alone(truth: dict) -> None:
    torch.manual_seed(0)
    both = predictions(truth, 0, LENGTH).solid.view(CLIPS, LENGTH)
    assert (both == both[:, :1]).all() and 0.4 < float(both.mean()) < 0.8
    assert predictions(truth, 5, LENGTH).solid.all() and predictions(truth, 5, LENGTH).pooled.shape[1] == 5


def test_what_was_seen_loses_depth_and_points_by_whole_clips(truth: dict) -> None:
    torch.manual_seed(0)
    seen = own_predictions(truth, 0, LENGTH)
    part = subsets_of(seen, 0.5, LENGTH)
    solid = part.solid.view(CLIPS, LENGTH)
    assert (solid == solid[:, :1]).all() and 0.3 < float(solid.mean()) < 0.7
    bare = part.solid == 0
    assert not part.depth[bare].any() and (part.confidence[bare] <= seen.confidence[bare]).all()
    assert torch.equal(part.points[~bare], seen.points[~bare])
