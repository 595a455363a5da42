"""A second look at people who do not stand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from vibe_cli.geometry.rotations import matrix_from_6d
from vibe_cli.networks.keypoints import KeypointConfig, KeypointMaps, KeypointNet
from vibe_cli.networks.lifter import KeypointPrediction, decode_maps
from vibe_cli.networks.rotation_tta import HIPS, LEAN_RAD, SHOULDERS, TTA, lean_of, predict_tta, turn_back, turn_crops
from vibe_cli.networks.skeleton import COUNT, LEFT_RIGHT_PAIRS

SIZE = 128
DOTS = [[0.0, -40], [0, 10], [30, 10]]  # shoulders, hips and anything, pixels from the middle of the crop


def dots(crops: torch.Tensor) -> KeypointMaps:
    """An eye that finds red shoulders and green hips, and a blue dot, which is every other point."""
    red, green, blue = ((torch.nn.functional.avg_pool2d(crops[:, [i]], 8) + 1e-6).log() for i in range(3))
    heat = blue.repeat(1, COUNT, 1, 1)
    heat[:, SHOULDERS], heat[:, HIPS] = red, green
    still = torch.tensor([1.0, 0, 0, -1, 0, 0]).repeat(len(crops), 1)  # whoever is seen stands, facing the camera
    return KeypointMaps(
        heat,
        torch.ones_like(heat),
        blue.repeat(1, len(LEFT_RIGHT_PAIRS), 1, 1),
        torch.zeros(len(crops), 12),
        still,
        torch.zeros(len(crops), 8),
    )


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
    assert lean_of(decode_maps(dots(crop))).item() == pytest.approx(lean, abs=0.1)
    upright = decode_maps(dots(turn_crops(crop, torch.tensor([lean]))))
    shown = torch.tensor(DOTS) / 64
    room = 1 / max(abs(math.cos(lean)), abs(math.sin(lean)))
    assert torch.allclose(upright.points[0, [SHOULDERS[0], HIPS[0], 0]] * room, shown, atol=0.03)
    seen = turn_back(upright, torch.tensor([lean]))
    placed = seen.points[0, [SHOULDERS[0], HIPS[0], 0]]
    assert torch.allclose(placed, turned(lean, shown), atol=0.04)  # a cell is 0.125 wide
    up = matrix_from_6d(seen.root)[0, :, 1].numpy()
    assert up == pytest.approx([math.sin(lean), -math.cos(lean), 0], abs=1e-5)


def knows(standing: float, lying: float, looks: list[int] | None = None) -> Callable[[torch.Tensor], KeypointMaps]:
    """`dots`, with maps so sharp where the trunk stands, and where it does not."""

    def keypoint_net(crops: torch.Tensor) -> KeypointMaps:
        (looks if looks is not None else []).append(len(crops))
        maps = dots(crops)
        stands = lean_of(decode_maps(maps)).abs() < 0.7
        return replace(maps, heat=maps.heat * torch.where(stands, standing, lying)[:, None, None, None])

    return keypoint_net


def test_only_who_does_not_stand_is_looked_at_again() -> None:
    looks: list[int] = []
    keypoint_net = knows(1.0, 0.4, looks)

    crops = torch.cat([trunk(0.2), trunk(2.0), trunk(-0.5)])
    seen = predict_tta(keypoint_net, crops, flip_test=False, rotation_tta=True)
    assert looks == [3, 1]
    assert matrix_from_6d(seen.root)[:, 0, 1].numpy() == pytest.approx([0, math.sin(2.0), 0], abs=0.1)
    alone = predict_tta(keypoint_net, crops[1:2], flip_test=False, rotation_tta=True)
    assert torch.allclose(alone.points[0], seen.points[1])  # whoever else is in the batch
    once = predict_tta(keypoint_net, crops, flip_test=False, rotation_tta=False)
    assert torch.equal(once.root, dots(crops).root) and torch.allclose(once.points, seen.points, atol=0.1)
    unsure = predict_tta(knows(0.4, 1.0), crops, flip_test=False, rotation_tta=True)  # a less sure one does not count
    assert torch.equal(unsure.root, once.root) and torch.equal(unsure.points[1], decode_maps(dots(crops)).points[1])


def test_an_eye_that_stands_sees_what_it_saw_without_the_second_look() -> None:
    torch.manual_seed(0)
    keypoint_net = KeypointNet(KeypointConfig(width=8, channels=16, size=64)).eval()
    crops = torch.randn(4, 3, 64, 64)
    with torch.no_grad():
        plain, seen = predict_tta(keypoint_net, crops, True, False), predict_tta(keypoint_net, crops, **TTA)
        standing = lean_of(plain).abs() <= LEAN_RAD
        assert standing.any() and not standing.all()
        for name in vars(plain):
            a, b = getattr(plain, name), getattr(seen, name)
            assert torch.equal(a[standing], b[standing]), name
    seen = predict_tta(keypoint_net, crops, **TTA)
    (seen.points.sum() + seen.root.sum()).backward()
    assert keypoint_net.heat.weight.grad.abs().sum() > 0  # through both looks


@pytest.mark.parametrize("lean", [50, -50, 130, 57])
def test_the_second_look_at_somebody_who_lies_across_the_corners_shows_head_and_feet(lean: float) -> None:
    """Their box is a square about them, so that they reach its corners."""
    angle, reach = (
        torch.tensor([math.radians(lean)]),
        0.85 / max(abs(math.cos(math.radians(lean))), abs(math.sin(math.radians(lean)))),
    )
    ends = turned(math.radians(lean), torch.tensor([[0.0, -reach], [0, reach]]))
    y, x = torch.meshgrid(torch.arange(SIZE) / 64 - 1, torch.arange(SIZE) / 64 - 1, indexing="ij")
    for end, sign in zip(ends, (-1, 1), strict=True):
        crop = torch.exp(-((x - end[0]) ** 2 + (y - end[1]) ** 2) / 0.005).expand(1, 3, -1, -1)
        row = turn_crops(crop, angle)[0, 0].amax(1)
        assert row.max() > 0.8 and row.argmax() / 64 - 1 == pytest.approx(sign * 0.85, abs=0.03)


def test_what_is_put_back_beyond_the_crop_counts_for_little() -> None:
    points = torch.zeros(1, COUNT, 2)
    points[0, 0], points[0, 1] = torch.tensor([0.9, 0.9]), torch.tensor([0.98, 0.9])
    seen = KeypointPrediction(
        points,
        torch.ones(1, COUNT),
        torch.zeros(1, COUNT),
        torch.zeros(1, 12),
        torch.ones(1, 6),
        torch.zeros(1, 8),
        torch.ones(1),
    )
    back = turn_back(seen, torch.tensor([math.radians(50)]))
    assert back.points[0, 0].abs().max() > 1
    assert back.confidence[0, :3].tolist() == pytest.approx([0.1, 1.0, 1.0])  # the second was at the edge already
