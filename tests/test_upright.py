"""A second look at people who do not stand."""

from __future__ import annotations

import math

import pytest
import torch

from vibe_cli.networks.keypoints import KeypointConfig, KeypointMaps, KeypointNet
from vibe_cli.networks.lifter import Observation, observe
from vibe_cli.networks.skeleton import COUNT, LEFT_RIGHT_PAIRS
from vibe_cli.networks.upright import HIPS, LEANS, SHOULDERS, lean_of, see, turn_back, turn_crops
from vibe_cli.rotations import matrix_from_6d

SIZE = 128
DOTS = [[0.0, -40], [0, 10], [30, 10]]  # shoulders, hips and anything, pixels from the middle of the crop


def dots(crops: torch.Tensor) -> KeypointMaps:
    """An eye that finds red shoulders and green hips, and a blue dot, which is every other point."""
    red, green, blue = ((torch.nn.functional.avg_pool2d(crops[:, [i]], 8) + 1e-6).log() for i in range(3))
    heat = blue.repeat(1, COUNT, 1, 1)
    heat[:, SHOULDERS], heat[:, HIPS] = red, green
    still = torch.tensor([1.0, 0, 0, -1, 0, 0]).repeat(len(crops), 1)  # whoever is seen stands, facing the camera
    return KeypointMaps(heat, torch.ones_like(heat), blue.repeat(1, len(LEFT_RIGHT_PAIRS), 1, 1),
                        torch.zeros(len(crops), 12), still, torch.zeros(len(crops), 8))


def trunk(lean: float) -> torch.Tensor:
    """A crop (1, 3, SIZE, SIZE) of dots: a trunk that leans, and the blue one beside its hips, on its right."""
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    places = SIZE / 2 + turned(lean, torch.tensor(DOTS))
    return torch.stack([torch.exp(-((x - a) ** 2 + (y - b) ** 2) / 72) for a, b in places])[None]


def turned(lean: float, points: torch.Tensor) -> torch.Tensor:
    c, s = math.cos(lean), math.sin(lean)
    return points @ torch.tensor([[c, s], [-s, c]])


@pytest.mark.parametrize("lean", [-2.5, -1.2, 0.0, 0.9, math.pi / 2, 3.1])
def test_a_leaning_trunk_is_turned_until_it_stands_and_what_is_seen_there_is_put_back(lean: float) -> None:
    crop = trunk(lean)
    assert lean_of(observe(dots(crop))).item() == pytest.approx(lean, abs=0.1)
    upright = observe(dots(turn_crops(crop, torch.tensor([lean]))))
    shown = torch.tensor(DOTS) / 64
    assert torch.allclose(upright.points[0, [SHOULDERS[0], HIPS[0], 0]], shown, atol=0.02)
    seen = turn_back(upright, torch.tensor([lean]))
    placed = seen.points[0, [SHOULDERS[0], HIPS[0], 0]]
    assert torch.allclose(placed, turned(lean, shown), atol=0.04)  # a cell is 0.125 wide
    up = matrix_from_6d(seen.root)[0, :, 1].numpy()
    assert up == pytest.approx([math.sin(lean), -math.cos(lean), 0], abs=1e-5)


def test_only_who_does_not_stand_is_looked_at_again() -> None:
    looks = []

    def eye(crops: torch.Tensor) -> KeypointMaps:
        looks.append(len(crops))
        return dots(crops)

    crops = torch.cat([trunk(0.2), trunk(2.0), trunk(-0.5)])
    seen = see(eye, crops, both_ways=False)
    assert looks == [3, 1]
    assert matrix_from_6d(seen.root)[:, 0, 1].numpy() == pytest.approx([0, math.sin(2.0), 0], abs=0.1)
    alone = see(dots, crops[1:2], both_ways=False)
    assert torch.allclose(alone.points[0], seen.points[1])  # whoever else is in the batch
    once = see(dots, crops, both_ways=False, upright=False)
    assert torch.equal(once.root, dots(crops).root) and torch.allclose(once.points, seen.points, atol=0.05)


def test_an_eye_that_stands_sees_what_it_saw_without_the_second_look() -> None:
    torch.manual_seed(0)
    eye = KeypointNet(KeypointConfig(width=8, channels=16, size=64)).eval()
    crops = torch.randn(4, 3, 64, 64)
    with torch.no_grad():
        plain, seen = see(eye, crops, upright=False), see(eye, crops)
        standing = lean_of(plain).abs() <= LEANS
        for name in vars(plain):
            a, b = getattr(plain, name), getattr(seen, name)
            assert torch.equal(a[standing], b[standing]), name
    assert isinstance(seen, Observation)
