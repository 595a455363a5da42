"""Crops: the published sampling grid, black outside, no skipped pixels when people are large."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vibe_cli.geometry.camera import crop_points_to_image
from vibe_cli.people.crops import IMAGENET_MEAN, IMAGENET_STD, crop_person, normalise


def box(x: float, y: float, side: float) -> np.ndarray:
    return np.array([x, y, side, side])


def ramp(height: int, width: int) -> np.ndarray:
    """A frame whose red is its column and green its row (below 256)."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y, np.full_like(x, 7)], axis=-1).astype(np.uint8)


def test_a_crop_of_its_own_size_is_the_picture() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    assert np.array_equal(crop_person(frame, box(60, 40, 64), 64), frame[8:72, 28:92])


@pytest.mark.parametrize("side", [48.0, 64.0, 100.0])
def test_crop_pixel_d_shows_the_left_edge_plus_d_steps(side: float) -> None:
    """The published models' grid, and the one in which −1..1 of a crop goes back to the image."""
    crop = crop_person(ramp(200, 220), box(110, 100, side), 64).astype(float)
    d = np.arange(64)
    assert np.abs(crop[10, :, 0] - (110 - side / 2 + d * side / 64)).max() <= 0.51
    assert np.abs(crop[:, 10, 1] - (100 - side / 2 + d * side / 64)).max() <= 0.51
    points = np.stack([2 * d / 64 - 1, 2 * d / 64 - 1], axis=-1)
    places = crop_points_to_image(points[None], box(110, 100, side)[None])[0]
    assert np.abs(crop[d, d, :2] - places).max() <= 0.51


def test_outside_the_frame_is_black() -> None:
    frame = np.full((50, 60, 3), 200, np.uint8)
    crop = crop_person(frame, box(0, 0, 40), 40)
    assert (crop[:19] == 0).all() and (crop[:, :19] == 0).all() and (crop[21:, 21:] == 200).all()
    for size in (8, 40):
        assert not crop_person(frame, box(500, 500, 40), size).any()
        assert not crop_person(frame, box(-500, 20, 40), size).any()


def test_red_stays_red() -> None:
    frame = np.zeros((40, 40, 3), np.uint8)
    frame[..., 0] = 255
    crop = crop_person(frame, box(20, 20, 30), 16)
    assert tuple(crop[8, 8]) == (255, 0, 0)
    assert tuple(crop_person(frame, box(20, 20, 38), 8)[4, 4]) == (255, 0, 0)


def test_large_people_are_averaged_down_instead_of_skipping_pixels() -> None:
    y, x = np.mgrid[:600, :600]
    checks = np.repeat(((x + y) % 2 * 255)[..., None], 3, axis=2).astype(np.uint8)
    plain = crop_person(checks, box(300, 300, 511), 64, antialias=False)
    averaged = crop_person(checks, box(300, 300, 511), 64)
    assert plain.std() > 20  # moiré
    assert averaged[2:-2, 2:-2].std() < 5 and abs(averaged[2:-2, 2:-2].mean() - 127.5) < 2


@pytest.mark.parametrize("side", [150.0, 201.5, 233.0])
def test_averaging_does_not_shift_the_picture(side: float) -> None:
    frame = ramp(256, 256)
    plain = crop_person(frame, box(128.3, 127.6, side), 32, antialias=False).astype(float)
    averaged = crop_person(frame, box(128.3, 127.6, side), 32).astype(float)
    difference = (averaged - plain)[2:-2, 2:-2, :2]
    assert np.abs(difference.mean(axis=(0, 1))).max() < 0.3 and np.abs(difference).max() <= 1  # of steps over 4


def test_averaging_sets_in_without_a_step() -> None:
    """A person who walks up to the camera passes the factor of two unnoticed."""
    frame = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    before, after = (crop_person(frame, box(100, 100, side), 64).astype(float) for side in (127.99, 128.01))
    assert np.abs(before - after).mean() < 2


def test_crops_partly_outside_are_averaged_alike() -> None:
    frame = np.full((300, 300, 3), 100, np.uint8)
    crop = crop_person(frame, box(0, 150, 256), 32)
    assert not crop[:, :15].any() and (crop[4:-4, 18:] == 100).all()


@pytest.mark.parametrize("bad", [box(1, 1, 0), box(1, 1, -3), box(np.nan, 1, 5), box(1, 1, np.inf)])
def test_a_box_that_is_none_is_our_mistake(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="square box"):
        crop_person(np.zeros((8, 8, 3), np.uint8), bad, 4)


def test_normalising_gives_channels_first_with_the_published_mean_and_deviation() -> None:
    crops = np.random.default_rng(0).integers(0, 256, (2, 5, 5, 3), dtype=np.uint8)
    tensor = normalise(crops)
    assert tensor.shape == (2, 3, 5, 5) and tensor.dtype == torch.float32
    assert tensor.is_contiguous(memory_format=torch.channels_last)
    wanted = (crops / 255 - IMAGENET_MEAN) / IMAGENET_STD
    assert np.allclose(tensor.numpy(), wanted.transpose(0, 3, 1, 2), atol=1e-6)
    other = normalise(crops, (0.5,) * 3, (1.0,) * 3)[0, 2, 3, 4]
    assert float(other) == pytest.approx(crops[0, 3, 4, 2] / 255 - 0.5, abs=1e-6)
