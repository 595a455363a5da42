"""Cut-outs laid into crops: what is drawn in their own corner of it is what the whole picture would have shown."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vibe_cli.synth.layers import Placement, over, with_fourth

SIDE, SIZE = 160, 96


def cutout(box: tuple[int, int, int, int]) -> np.ndarray:
    """A premultiplied picture with something soft in the box left, top, right, bottom, and nothing around."""
    left, top, right, bottom = box
    rgba = np.zeros((SIDE, SIDE, 4), np.float32)
    rgba[top:bottom, left:right] = np.random.default_rng(0).uniform(0, 255, (bottom - top, right - left, 4))
    rgba[..., :3] *= rgba[..., 3:] / 255
    return cv2.GaussianBlur(rgba, (3, 3), 0.8).astype(np.uint8)


def crop(channels: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (SIZE, SIZE, channels)).astype(np.uint8)


PLACES = [
    Placement(np.full(2, SIDE / 2), SIDE / 2),
    Placement(np.array([70.0, 95]), 60.0, angle=0.7),
    Placement(np.array([90.0, 60]), 140.0, angle=-2.0, flip=True),
    Placement(np.array([40.0, 30]), 25.0),
]


@pytest.mark.parametrize("box", [(50, 20, 110, 140), (0, 0, SIDE, SIDE), (3, 100, 60, SIDE), (80, 80, 81, 81)])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("channels", [3, 4])
def test_a_layer_covers_a_crop_as_the_whole_cut_out_does(
    box: tuple[int, int, int, int], place: Placement, channels: int
) -> None:
    drawn, below = cutout(box), crop(channels)
    layer, whole = place.layer(drawn, SIZE), place.sample(drawn, SIZE)
    laid = below.copy()
    layer.lay(laid)
    apart = np.abs(laid.astype(int) - over(below, whole))
    assert apart.max() <= 2 and (apart > 0).mean() < 0.02  # a warp's fractions are rounded from another corner
    assert np.abs(layer.opacity(SIZE).astype(int) - whole[..., 3]).max() <= 2
    assert layer.picture.size <= whole.size


@pytest.mark.parametrize(
    "place, drawn",
    [
        (Placement(np.full(2, 80.0), 80.0), np.zeros((SIDE, SIDE, 4), np.uint8)),  # nobody
        (Placement(np.array([500.0, 80]), 40.0), cutout((50, 20, 110, 140))),
    ],
)  # somebody elsewhere
def test_a_layer_of_nothing_changes_nothing(place: Placement, drawn: np.ndarray) -> None:
    layer, laid = place.layer(drawn, SIZE), crop(3)
    layer.lay(laid)
    assert np.array_equal(laid, crop(3)) and not layer.opacity(SIZE).any()


def test_three_channels_are_sampled_as_four_are() -> None:
    image = crop(3)
    four = PLACES[1].sample(with_fourth(image), SIZE)
    assert np.array_equal(PLACES[1].sample(image, SIZE), four[..., :3])
    assert not four[..., 3].any()


def test_what_is_laid_over_a_fourth_channel_hides_it() -> None:
    below, above = with_fourth(crop(3), np.full((SIZE, SIZE), 200, np.uint8)), np.zeros((SIZE, SIZE, 4), np.uint8)
    above[:10], above[10:20, :, 3] = 255, 128
    laid = over(below, above)
    assert (laid[:10, :, 3] == 0).all() and (laid[10:20, :, 3] == 100).all() and (laid[20:, :, 3] == 200).all()
    assert (laid[:10, :, :3] == 255).all() and np.array_equal(laid[20:], below[20:])
