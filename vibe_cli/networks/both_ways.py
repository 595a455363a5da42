"""A crop seen twice, as it is and mirrored: what the two looks agree on is more often right.

The usual test-time flip of keypoint networks (Newell et al. 2016, section 3.2), here for all that ours tells.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vibe_cli.networks.keypoints import KeypointMaps, KeypointNet
from vibe_cli.networks.skeleton import MIRRORED_KEYPOINTS

LEAST = 1e-9  # probability, before its logarithm


def look_both_ways(eye: Callable[[Tensor], KeypointMaps], crops: Tensor) -> KeypointMaps:
    """What `eye` sees of crops (N, 3, S, S) and of their mirror images, mirrored back: the mean of both.

    Probabilities are averaged, not their logits: where the two disagree, both places stay.
    """
    here, there = eye(crops), mirror_maps(eye(mirror_crops(crops)))
    return KeypointMaps(heat=_mean(here.heat, there.heat, (2, 3)), depth=(here.depth + there.depth) / 2,
                        union=_mean(here.union, there.union, (2, 3)), yaw=_mean(here.yaw, there.yaw, (1,)),
                        root=(here.root + there.root) / 2, pooled=(here.pooled + there.pooled) / 2)


class BothWays(nn.Module):
    """A keypoint network that looks both ways, in place of one that looks once."""

    def __init__(self, eye: KeypointNet) -> None:
        super().__init__()
        self.eye, self.config = eye, eye.config

    def forward(self, crops: Tensor) -> KeypointMaps:
        """As KeypointNet's."""
        return look_both_ways(self.eye, crops)


def mirror_crops(crops: Tensor) -> Tensor:
    """Crops (N, 3, S, S) reflected about the middle of the grid, pixel d at 2d/S − 1: d ↔ S − d.

    The first column, whose image lies beyond the last, stays.
    """
    return crops.flip(3).roll(1, 3)


def mirror_maps(maps: KeypointMaps) -> KeypointMaps:
    """What was seen of mirrored crops, as of the crops themselves: left and right, places and turns exchanged."""
    yaw = [0, *range(maps.yaw.shape[1] - 1, 0, -1)]
    sign = torch.tensor([-1.0, 1, 1], device=maps.root.device)
    root = maps.root.view(-1, 3, 2) * sign[:, None] * sign[:2]
    return KeypointMaps(heat=maps.heat.flip(3)[:, MIRRORED_KEYPOINTS], depth=maps.depth.flip(3)[:, MIRRORED_KEYPOINTS],
                        union=maps.union.flip(3), yaw=maps.yaw[:, yaw], root=root.flatten(1), pooled=maps.pooled)


def _mean(a: Tensor, b: Tensor, over: tuple[int, ...]) -> Tensor:
    """Logits of the mean of two distributions over the dimensions `over`."""
    first, last = over[0], over[-1]
    both = [x.flatten(first, last).softmax(first) for x in (a, b)]
    return ((both[0] + both[1]) / 2).clamp_min(LEAST).log().view_as(a)
