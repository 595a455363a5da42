"""Looking at a crop and its mirror image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from vibe_cli.geometry.rotations import matrix_from_6d
from vibe_cli.networks import flip_test
from vibe_cli.networks.flip_test import mirror_crops, mirror_maps, nearer, predict_flipped
from vibe_cli.networks.heatmap_decoding import decode_peaks
from vibe_cli.networks.keypoints import KeypointConfig, KeypointMaps, KeypointNet
from vibe_cli.networks.open_encoder import OpenEncoder, OpenEncoderConfig
from vibe_cli.networks.skeleton import COUNT, LEFT_RIGHT_PAIRS, MIRRORED_KEYPOINTS


@pytest.fixture(scope="module")
def keypoint_net() -> KeypointNet:
    torch.manual_seed(0)
    return KeypointNet(KeypointConfig(width=8, channels=16, size=64)).eval()


@pytest.fixture(scope="module")
def crops() -> torch.Tensor:
    return torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def test_mirroring_keeps_the_grid(crops: torch.Tensor) -> None:
    mirrored = mirror_crops(crops)
    assert torch.equal(mirrored[..., 1:], crops[..., 1:].flip(3))  # d at 2d/S − 1 goes to S − d
    assert torch.equal(mirror_crops(mirrored), crops)


def test_mirroring_maps_twice_gives_them_back_and_once_exchanges_the_sides(
    keypoint_net: KeypointNet, crops: torch.Tensor
) -> None:
    maps = keypoint_net(crops)
    once, twice = mirror_maps(maps), mirror_maps(mirror_maps(maps))
    for name in vars(maps):
        assert torch.equal(getattr(maps, name), getattr(twice, name)), name
    points = decode_peaks(maps.heat, maps.depth)[0]
    assert torch.allclose(
        decode_peaks(once.heat, once.depth)[0], points[:, MIRRORED_KEYPOINTS] * torch.tensor([-1.0, 1]), atol=1e-5
    )
    mirror = torch.diag(torch.tensor([-1.0, 1, 1]))
    assert torch.allclose(matrix_from_6d(once.root), mirror @ matrix_from_6d(maps.root) @ mirror, atol=1e-5)


def test_the_crop_and_its_mirror_image_are_seen_as_mirror_images(
    keypoint_net: KeypointNet, crops: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flip_test, "SECOND_CROP_SCALE", 1.0)
    seen, mirrored = (
        predict_flipped(keypoint_net, crops),
        mirror_maps(predict_flipped(keypoint_net, mirror_crops(crops))),
    )
    for name in vars(seen):
        assert torch.allclose(getattr(seen, name), getattr(mirrored, name), atol=1e-4), name
    assert not torch.allclose(keypoint_net(crops).heat, mirror_maps(keypoint_net(mirror_crops(crops))).heat, atol=1e-2)


def test_the_second_look_is_at_the_middle_and_put_back_there() -> None:
    """An eye that finds the brightest cell: it must say the same place, looking from near."""

    def bright(crops: torch.Tensor) -> KeypointMaps:
        heat = 40 * torch.nn.functional.avg_pool2d(crops.mean(1, keepdim=True), 8).expand(-1, COUNT, -1, -1)
        depth, none = torch.full_like(heat, 2.0), torch.zeros(len(crops), 12)
        return KeypointMaps(heat, depth, heat[:, : len(LEFT_RIGHT_PAIRS)], none, none[:, :6], none[:, :8])

    crops = torch.zeros(2, 3, 128, 128)
    crops[0, :, 76:84, 36:44] = crops[1, :, 60:68, 122:128] = 1.0  # the second is at the edge, and not in the middle
    seen = predict_flipped(bright, crops)
    first, second = decode_peaks(seen.heat, seen.depth)[0][:, 0]
    assert torch.allclose(first, torch.tensor([-0.375, 0.25]), atol=0.05)
    assert second[0] > 0.9 and abs(second[1]) < 0.06
    assert torch.allclose(seen.depth, torch.tensor(2.0))
    assert torch.equal(nearer(crops, 1.0), crops)
    assert torch.equal(nearer(crops, 0.5)[..., ::2, ::2], crops[..., 32:96, 32:96])  # pixel 2d of it is 32 + d


def test_where_the_two_looks_disagree_both_places_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    def maps(place: int) -> KeypointMaps:
        heat = torch.zeros(1, COUNT, 4, 4)
        heat[:, :, 1, place] = 9.0
        return KeypointMaps(
            heat,
            torch.zeros_like(heat),
            torch.zeros(1, len(LEFT_RIGHT_PAIRS), 4, 4),
            torch.zeros(1, 12),
            torch.zeros(1, 6),
            torch.zeros(1, 8),
        )

    monkeypatch.setattr(flip_test, "SECOND_CROP_SCALE", 1.0)
    looks = iter([maps(0), replace(maps(0))])  # the second, mirrored back, says column 3
    heat = predict_flipped(lambda _: next(looks), torch.zeros(1, 3, 32, 32)).heat
    share = heat.flatten(2).softmax(-1).view_as(heat)[0, 0, 1]
    assert share[0] == pytest.approx(0.5, abs=0.01) and share[3] == pytest.approx(0.5, abs=0.01)


def test_an_encoder_looks_both_ways_when_its_configuration_says_so(crops: torch.Tensor) -> None:
    torch.manual_seed(0)
    sizes = dict(width=8, channels=16, size=64, features=32, hidden=32, blocks=1)
    once, twice = (OpenEncoder(OpenEncoderConfig(**sizes, flip_test=both)).eval() for both in (False, True))
    twice.load_state_dict(once.state_dict())
    a, b, c = (net(x).keypoints.detach().numpy() for net, x in ((once, crops), (twice, crops), (twice, crops.flip(0))))
    assert not np.allclose(a, b, atol=1e-3) and np.allclose(b, c[::-1], atol=1e-5)
