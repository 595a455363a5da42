"""A crop seen twice, as it is, and mirrored from nearer by: what the two looks agree on is more often right.

The usual test-time flip of keypoint networks (Newell et al. 2016, section 3.2), here for all that ours tells; that the
mirrored look is at another scale as well costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from vibe_cli.networks.keypoints import KeypointMaps
from vibe_cli.networks.skeleton import MIRRORED_KEYPOINTS

MIN_PROBABILITY = 1e-9  # probability, before its logarithm
SECOND_CROP_SCALE = 0.85  # share of the crop's side that the second look sees


def predict_flipped(keypoint_net: Callable[[Tensor], KeypointMaps], crops: Tensor) -> KeypointMaps:
    """Mean prediction for crops (N, 3, S, S) and for the mirror images of their middles, put back.

    Probabilities are averaged, not their logits: where the two disagree, both places stay.
    """
    here, there = keypoint_net(crops), mirror_maps(keypoint_net(mirror_crops(nearer(crops, SECOND_CROP_SCALE))))
    near = [_chances(there.heat) / SECOND_CROP_SCALE**2, _chances(there.union) / SECOND_CROP_SCALE**2, there.depth]
    seen_twice, back = _put_back(torch.cat(near, dim=1), SECOND_CROP_SCALE)
    heat, union, depth = back.split([maps.shape[1] for maps in near], dim=1)
    return KeypointMaps(
        heat=_mean(_chances(here.heat), heat),
        union=_mean(_chances(here.union), union),
        depth=torch.where(seen_twice, (here.depth + depth) / 2, here.depth),
        yaw=_mean(here.yaw.softmax(1), there.yaw.softmax(1)),
        root=(here.root + there.root) / 2,
        pooled=(here.pooled + there.pooled) / 2,
    )


def mirror_crops(crops: Tensor) -> Tensor:
    """Crops (N, 3, S, S) reflected about the middle of the grid, pixel d at 2d/S − 1: d ↔ S − d.

    The first column, whose image lies beyond the last, stays.
    """
    return crops.flip(3).roll(1, 3)


def mirror_maps(maps: KeypointMaps) -> KeypointMaps:
    """Maps of mirrored crops mapped back to the crops themselves: left and right, places and turns exchanged."""
    yaw = [0, *range(maps.yaw.shape[1] - 1, 0, -1)]
    sign = torch.tensor([-1.0, 1, 1], device=maps.root.device)
    root = maps.root.view(-1, 3, 2) * sign[:, None] * sign[:2]
    return KeypointMaps(
        heat=maps.heat.flip(3)[:, MIRRORED_KEYPOINTS],
        depth=maps.depth.flip(3)[:, MIRRORED_KEYPOINTS],
        union=maps.union.flip(3),
        yaw=maps.yaw[:, yaw],
        root=root.flatten(1),
        pooled=maps.pooled,
    )


def nearer(crops: Tensor, share: float) -> Tensor:
    """The middle of crops (N, 3, S, S), a share of their side, as large as they are; pixel d at 2d/S − 1."""
    size = crops.shape[-1]
    at = size / 2 + share * (torch.arange(size, device=crops.device) - size / 2)
    return _sample(crops, at * 2 / (size - 1) - 1, align_corners=True)


def _put_back(maps: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Maps (N, K, h, w) of the middle of crops → where (h, w) it lies in the whole, and the maps there, else 0."""
    size = maps.shape[-1]
    at = ((torch.arange(size, device=maps.device) + 0.5) * 2 / size - 1) / share
    inside = at.abs() < 1
    seen = inside[:, None] & inside
    return seen, _sample(maps, at, align_corners=False) * seen


def _sample(images: Tensor, at: Tensor, align_corners: bool) -> Tensor:
    """Images (N, C, S, S) at a grid of rows and columns `at` (S,), in grid_sample's −1..1."""
    y, x = torch.meshgrid(at, at, indexing="ij")
    grid = torch.stack([x, y], -1).expand(len(images), -1, -1, -1)
    return grid_sample(images, grid, align_corners=align_corners, padding_mode="border")


def _chances(maps: Tensor) -> Tensor:
    """The distributions over the cells of maps (N, K, h, w) of logits."""
    return maps.flatten(2).softmax(-1).view_as(maps)


def _mean(a: Tensor, b: Tensor) -> Tensor:
    """Logits of the mean of two distributions."""
    return ((a + b) / 2).clamp_min(MIN_PROBABILITY).log()
