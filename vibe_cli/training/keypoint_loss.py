"""The keypoint network's losses, each of what is known of a crop and of nothing else."""

from __future__ import annotations

import torch
from torch import Tensor

from vibe_cli.geometry.rotations import matrix_from_6d
from vibe_cli.networks.heatmap_decoding import cell_centres
from vibe_cli.networks.keypoints import KeypointMaps
from vibe_cli.training.augment import TrainingCrops
from vibe_cli.training.keypoints import TARGET_SPREAD, yaw_target

LEAST_PAIR = 0.3  # mass of a pair's targets inside the crop, from which it counts
SCALES = {"heat": 1.0, "soft": 1.0, "depth": 6.0, "union": 0.4, "yaw": 1.0, "root": 0.3}


def keypoint_loss(maps: KeypointMaps, crops: TrainingCrops) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of a batch and its parts.

    Heat maps by spatial cross-entropy with a light soft-argmax term, each point by its weight; the left/right-blind
    maps of pairs; depth at the points, facing and root rotation of those of whom they are known.
    """
    device, size = maps.heat.device, maps.heat.shape[-1]
    points, weights, pairs, pair_weights, depth, root, solid = (
        torch.from_numpy(getattr(crops, name)).to(device)
        for name in ("points", "weights", "pairs", "pair_weights", "depth", "root", "solid")
    )
    weight = weights * inside(points)
    target = blobs(points, size)
    log_heat = maps.heat.flatten(2).log_softmax(-1)
    probability, centres = log_heat.exp().view_as(maps.heat), cell_centres(size).to(device)
    soft = torch.stack([(probability.sum(2) * centres).sum(-1), (probability.sum(3) * centres).sum(-1)], -1)
    both = (blobs(pairs, size) * inside(pairs)[..., None, None]).sum(2)
    mass = both.sum((2, 3))
    log_union = maps.union.flatten(2).log_softmax(-1)
    yaw, share = yaw_target(root), solid.mean().clamp_min(1e-6)
    total = weight.sum().clamp_min(1e-6)
    parts = {
        "heat": -((target.flatten(2) * log_heat).sum(-1) * weight).sum() / total,
        "soft": ((soft - points).abs().sum(-1) * weight).sum() / total,
        "depth": (((maps.depth * target).sum((2, 3)) - depth).abs() * weight * solid[:, None]).mean() / share,
        "union": -(
            ((both / (mass[..., None, None] + 1e-6)).flatten(2) * log_union).sum(-1)
            * (mass > LEAST_PAIR)
            * pair_weights
        ).mean(),
        "yaw": -((yaw * (maps.yaw.log_softmax(-1) - (yaw + 1e-9).log())).sum(-1) * solid).mean() / share,
        "root": (((matrix_from_6d(maps.root) - root) ** 2).sum((1, 2)) * solid).mean() / share,
    }
    return torch.stack([SCALES[name] * part for name, part in parts.items()]).sum(), parts


def inside(points: Tensor) -> Tensor:
    """(…,) 1 where points (…, 2) lie in the crop, −1..1, else 0."""
    return (points.abs() < 1).all(-1).float()


def blobs(points: Tensor, size: int) -> Tensor:
    """Points (…, 2) in −1..1 → distributions over size × size cells (…, size, size), a Gaussian about each."""
    cells = (points * 0.5 + 0.5) * size - 0.5
    away = torch.arange(size, device=points.device) - cells[..., None]
    along = torch.exp(-(away**2) / (2 * TARGET_SPREAD**2))
    grid = along[..., 1, :, None] * along[..., 0, None, :]
    return grid / (grid.sum((-2, -1), keepdim=True) + 1e-6)
