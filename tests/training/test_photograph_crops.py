"""Crops of photographs beside drawn people, and the losses of what is known of them."""

from __future__ import annotations

import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.photographs import write_photographs
from vibe_cli.errors import InputError
from vibe_cli.networks.keypoints import KeypointMaps
from vibe_cli.networks.skeleton import COUNT, LEFT_RIGHT_PAIRS
from vibe_cli.synth.crops import Labels
from vibe_cli.training.augment import TrainingCrops
from vibe_cli.training.keypoint_loss import blobs, keypoint_loss
from vibe_cli.training.photograph_crops import Photographs, photograph_crops


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    return write_photographs(tmp_path / "photos")


def drawn_crops(count: int, size: int = 64) -> TrainingCrops:
    """Drawn people of whom everything is known."""
    rng = np.random.default_rng(1)
    pixels = rng.uniform(-0.9, 0.9, (count, COUNT, 2)).astype(np.float32)
    rotations = np.tile(np.eye(3, dtype=np.float32), (count, 24, 1, 1))
    points = rng.normal(size=(count, COUNT, 3)).astype(np.float32)
    labels = Labels(rotations, np.zeros((count, 10), np.float32), points, pixels)
    return TrainingCrops.of_drawn(np.full((count, size, size, 3), 200, np.uint8), labels)


def test_photographs_to_validate_on_are_not_trained_on(photographs: Path) -> None:
    assert Photographs(photographs).names == ["im00401.jpg", "im00402.jpg", "im00403.jpg"]
    assert Photographs(photographs, validation=True).names == ["im09601.jpg"]


def test_a_picture_that_the_archive_lacks_is_said(photographs: Path) -> None:
    with tarfile.open(photographs / "lspet.tar", "w"):
        pass
    with pytest.raises(InputError, match="3 pictures are missing"):
        Photographs(photographs)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no labelled photographs"):
        Photographs(tmp_path)


def crops_of(photographs: Photographs, first: int, count: int) -> TrainingCrops:
    return photograph_crops(photographs, np.random.default_rng(first), 0, first, count, 64)


def test_crops_depend_on_their_place_alone(photographs: Path) -> None:
    real = Photographs(photographs)
    np.testing.assert_array_equal(crops_of(real, 3, 2).crops, crops_of(real, 3, 2).crops)
    assert (crops_of(real, 3, 3).crops != crops_of(real, 6, 3).crops).any()


def test_every_photograph_comes_round_before_one_comes_again(photographs: Path) -> None:
    real = Photographs(photographs)
    asked: list[int] = []
    sample = real.sample
    real.sample = lambda index: asked.append(index) or sample(index)  # type: ignore[method-assign,func-returns-value]
    for first in (0, 3):
        crops_of(real, first, 3)
    assert sorted(asked[:3]) == sorted(asked[3:]) == [0, 1, 2]


@pytest.fixture
def batch(photographs: Path) -> TrainingCrops:
    return TrainingCrops.stack([crops_of(Photographs(photographs), 0, 2), drawn_crops(2)])


def test_mirrored_twice_crops_are_as_they_were(batch: TrainingCrops) -> None:
    once, twice = batch.mirrored(), batch.mirrored().mirrored()
    assert (once.crops[:, :, ::-1] == batch.crops).all() and (once.points != batch.points).any()
    for name in ("points", "weights", "pairs", "depth", "depth_weights", "root", "root_weights"):
        np.testing.assert_allclose(getattr(twice, name), getattr(batch, name), atol=1e-6)
        assert getattr(once, name).dtype == np.float32


def maps_of(count: int, size: int = 8) -> KeypointMaps:
    torch.manual_seed(0)
    shape = (count, COUNT, size, size)
    return KeypointMaps(
        *(torch.randn(s, requires_grad=True) for s in (shape, shape, (count, len(LEFT_RIGHT_PAIRS), size, size))),
        yaw=torch.randn(count, 12, requires_grad=True),
        root=torch.randn(count, 6, requires_grad=True),
        pooled=torch.zeros(count, 1),
    )


def test_what_is_not_known_of_photographs_teaches_nothing(batch: TrainingCrops) -> None:
    maps = maps_of(4)
    keypoint_loss(maps, batch)[0].backward()
    for value in (maps.depth, maps.yaw, maps.root):
        assert (value.grad[:2] == 0).all() and (value.grad[2:] != 0).any()
    unknown = torch.from_numpy(batch.weights == 0)
    assert unknown.any() and (maps.heat.grad[unknown] == 0).all()


def test_the_loss_of_the_truth_is_the_least(batch: TrainingCrops) -> None:
    maps = maps_of(4)
    truth = replace(maps, heat=(blobs(torch.from_numpy(batch.points), 8) + 1e-6).log())
    assert keypoint_loss(truth, batch)[1]["heat"] < 0.6 * keypoint_loss(maps, batch)[1]["heat"]
