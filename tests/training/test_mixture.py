"""Photographs and drawn people in one stream, and the losses of what is known of them."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from vibe_cli.errors import InputError
from vibe_cli.networks.keypoints import KeypointMaps
from vibe_cli.networks.skeleton import COUNT, LEFT_RIGHT_PAIRS
from vibe_cli.training.augment import TrainingCrops
from vibe_cli.training.keypoint_loss import blobs, keypoint_loss
from vibe_cli.training.mixture import DrawnPeople, Mixture, Photographs, mixed_batch

NUMBERS = (401, 402, 403, 9601)


def write_photographs(folder: Path) -> Path:
    """Four photographs, the last to validate on."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    names = [f"im{number:05d}.jpg" for number in NUMBERS]
    human = np.concatenate([rng.uniform(20, 100, (4, 14, 2)), np.ones((4, 14, 1))], axis=-1)
    np.savez(
        folder / "lspet_labels.npz",
        names=np.array(names),
        human=human.astype(np.float32),
        movenet=np.full((4, 2, 17, 3), 0.1, np.float32),
        blazepose=np.full((4, 33, 4), 0.1, np.float32),
    )
    with tarfile.open(folder / "lspet.tar", "w") as archive:
        for value, name in enumerate(names):
            packed = cv2.imencode(".jpg", np.full((120, 120, 3), 60 * value, np.uint8))[1].tobytes()
            info = tarfile.TarInfo(f"lspet/{name}")
            info.size = len(packed)
            archive.addfile(info, io.BytesIO(packed))
    return folder


def write_drawn(folder: Path, count: int = 3, size: int = 64) -> Path:
    """Crops as `vibe synth crops` lays them out."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(1)
    for number in range(count):
        cv2.imwrite(str(folder / "images" / f"{number:06d}.jpg"), np.full((size, size, 3), 200, np.uint8))
    header = {"format": "vibe-synth-crops", "version": 1, "size": size}
    np.savez(
        folder / "labels.npz",
        header=np.array(json.dumps(header)),
        pose=np.zeros((count, 24, 3), np.float32),
        boxes=np.tile([size / 2, size / 2, size - 8, size - 8], (count, 1)).astype(np.float32),
        **{
            f"joints{joints}_{unit}": rng.uniform(5, size - 5, (count, joints, width)).astype(np.float32)
            for joints in (24, 49)
            for unit, width in (("px", 2), ("m", 3))
        },
    )
    return folder


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    return write_photographs(tmp_path / "photos")


@pytest.fixture
def drawn(tmp_path: Path) -> DrawnPeople:
    return DrawnPeople(write_drawn(tmp_path / "drawn"))


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


def test_a_batch_mixes_both_and_depends_on_its_number_alone(photographs: Path, drawn: DrawnPeople) -> None:
    mixture, real = Mixture(batch=8, size=64, real=0.5), Photographs(photographs)
    batch = mixed_batch(mixture, 3, real, drawn)
    assert batch.solid.tolist() == [0] * 4 + [1] * 4
    again = mixed_batch(mixture, 3, real, drawn)
    np.testing.assert_array_equal(batch.crops, again.crops)
    assert (mixed_batch(mixture, 4, real, drawn).crops != batch.crops).any()


def test_every_photograph_comes_round_before_one_comes_again(photographs: Path, drawn: DrawnPeople) -> None:
    real = Photographs(photographs)
    asked: list[int] = []
    sample = real.sample
    real.sample = lambda index: asked.append(index) or sample(index)  # type: ignore[method-assign,func-returns-value]
    for number in range(2):
        mixed_batch(Mixture(batch=6, size=64, real=0.5), number, real, drawn)
    assert sorted(asked[:3]) == sorted(asked[3:]) == [0, 1, 2]


def test_without_photographs_all_are_drawn(drawn: DrawnPeople) -> None:
    assert mixed_batch(Mixture(batch=4, size=64), 0, None, drawn).solid.all()


@pytest.fixture
def batch(photographs: Path, drawn: DrawnPeople) -> TrainingCrops:
    return mixed_batch(Mixture(batch=4, size=64, real=0.5), 0, Photographs(photographs), drawn)


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
