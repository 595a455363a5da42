"""Training crops: labels follow what the crop shows."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from vibe_cli.networks.skeleton import COUNT, LEFT_RIGHT_PAIRS, MIRRORED_KEYPOINTS
from vibe_cli.training.augment import SHOWN, Augmentation, Sample, TrainingCrops, border, cut, known_pairs

SIZE = 96


@pytest.fixture
def sample() -> Sample:
    """A blank picture with a bright dot at each of three joints."""
    rng = np.random.default_rng(1)
    points = rng.uniform(60, 140, (COUNT, 2)).round()
    image = np.zeros((200, 200, 3), np.uint8)
    return Sample(
        image,
        points,
        np.ones(COUNT),
        known_pairs(points),
        np.ones(len(LEFT_RIGHT_PAIRS)),
        np.array([100.0, 100, 80, 80]),
        np.arange(COUNT, dtype=float),
        np.ones(COUNT),
        np.diag([1.0, -1, -1]),
        1.0,
    )


def brightest(crop: np.ndarray) -> np.ndarray:
    """−1..1 of the brightest place."""
    blurred = cv2.GaussianBlur(crop[..., 0], (0, 0), 1.5)
    y, x = np.unravel_index(blurred.argmax(), blurred.shape)
    return np.array([x, y]) * 2 / len(crop) - 1


@pytest.mark.parametrize("seed", range(8))
def test_a_joint_lies_where_the_crop_shows_it(sample: Sample, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vibe_cli.training.augment.degrade", lambda rng, image: image)
    joint = 5
    cv2.circle(sample.image, tuple(int(v) for v in sample.points[joint]), 2, (255, 255, 255), -1)
    row = cut(np.random.default_rng(seed), sample, SIZE, Augmentation(part=0, hidden=0, turned=0.5, bordered=0))
    found = brightest(row.crops[0])
    joints = [joint, MIRRORED_KEYPOINTS[joint]]  # which of them, depends on whether the crop is mirrored
    nearest = min(np.abs(row.points[0, k] - found).max() for k in joints)
    assert nearest < 0.06


def test_pairs_stay_with_their_joints_in_mirrored_crops(sample: Sample) -> None:
    for seed in range(6):
        row = cut(np.random.default_rng(seed), sample, SIZE, Augmentation())
        np.testing.assert_allclose(row.pairs[0], known_pairs(row.points[0]), atol=1e-5)


def test_turning_a_crop_turns_the_root_and_mirroring_mirrors_it(sample: Sample) -> None:
    for seed in range(6):
        root = cut(np.random.default_rng(seed), sample, SIZE, Augmentation(turned=1)).root[0]
        np.testing.assert_allclose(root @ root.T, np.eye(3), atol=1e-5)
        assert np.linalg.det(root) > 0
        assert root[2, 2] == pytest.approx(-1), "it faces the camera still"


def test_without_augmentation_the_box_fills_its_share_of_the_crop(sample: Sample) -> None:
    row = cut(np.random.default_rng(0), sample, SIZE, None)
    np.testing.assert_allclose(row.points[0], (sample.points - 100) / (40 * Augmentation.scale), atol=1e-5)


def test_depth_that_is_not_known_stays_without_weight(sample: Sample) -> None:
    flat = replace(sample, depth_weights=np.zeros(COUNT), root_weight=0.0)
    rng = np.random.default_rng(0)
    batch = TrainingCrops.stack([cut(rng, one, SIZE, Augmentation()) for one in (sample, flat)])
    assert batch.root_weights.tolist() == [1, 0] and batch.depth_weights.any(axis=1).tolist() == [True, False]
    assert batch.crops.shape == (2, SIZE, SIZE, 3)


def test_a_border_cuts_people_off_and_their_joints_stay_known(sample: Sample) -> None:
    sample.image[:] = 200
    low, high = sample.box[:2] - sample.box[2:] / 2, sample.box[:2] + sample.box[2:] / 2
    seen = set()
    for seed in range(24):
        shown = border(np.random.default_rng(seed), sample)
        left, right = shown.box[:2] - shown.box[2:] / 2, shown.box[:2] + shown.box[2:] / 2
        moved = [*(left > low + 1), *(right < high - 1)]
        assert sum(moved) == 1, "one of the box's sides is the border"
        seen.add(moved.index(True))
        assert SHOWN[0] - 0.02 <= np.prod(shown.box[2:] / sample.box[2:]) <= SHOWN[1] + 0.02
        rows, columns = (np.flatnonzero(shown.image.any(axis=(2, axis))) for axis in (1, 0))
        assert right[0] - 1 <= columns.max() and right[1] - 1 <= rows.max(), "what the box holds is shown"
        assert left[0] >= columns.min() and left[1] >= rows.min()
        assert not shown.image.all(), "and beyond the border is nothing"
        assert shown.points is sample.points and shown.weights is sample.weights
    assert seen == {0, 1, 2, 3} and sample.image.all()
