"""The keypoint network's losses, each of what is known of a crop and of nothing else."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from vibe_cli.geometry.rotations import matrix_from_6d
from vibe_cli.networks.heatmap_decoding import cell_centres
from vibe_cli.networks.keypoints import YAW_BINS, KeypointMaps
from vibe_cli.training.augment import TrainingCrops

TARGET_SPREAD = 0.8  # cells
YAW_SHARPNESS = 12.0  # of the soft bins of the facing direction
LEAST_PAIR = 0.3  # mass of a pair's targets inside the crop, from which it counts
KNOWN = ("points", "weights", "pairs", "pair_weights", "depth", "depth_weights", "root", "root_weights")
SCALES = {"heat": 0.75, "soft": 0.75, "depth": 6.0, "union": 0.4, "yaw": 1.0, "root": 0.3}


def keypoint_loss(maps: KeypointMaps, crops: TrainingCrops) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of a batch and its parts.

    Heat maps by spatial cross-entropy with a light soft-argmax term, each point by its weight; the left/right-blind
    maps of pairs; depth at the points, facing and root rotation of those of whom they are known.
    """
    device, size = maps.heat.device, maps.heat.shape[-1]
    points, weights, pairs, pair_weights, depth, depth_weights, root, root_weights = (
        torch.from_numpy(np.ascontiguousarray(getattr(crops, name))).to(device) for name in KNOWN
    )
    weight = weights * inside(points)
    target = blobs(points, size)
    log_heat = maps.heat.flatten(2).log_softmax(-1)
    probability, centres = log_heat.exp().view_as(maps.heat), cell_centres(size).to(device)
    soft = torch.stack([(probability.sum(2) * centres).sum(-1), (probability.sum(3) * centres).sum(-1)], -1)
    both = (blobs(pairs, size) * inside(pairs)[..., None, None]).sum(2)
    mass = both.sum((2, 3))
    log_union = maps.union.flatten(2).log_softmax(-1)
    yaw, roots = yaw_target(root), root_weights.sum().clamp_min(1e-6)
    total, deep = weight.sum().clamp_min(1e-6), depth_weights * inside(points)
    parts = {
        "heat": -((target.flatten(2) * log_heat).sum(-1) * weight).sum() / total,
        "soft": ((soft - points).abs().sum(-1) * weight).sum() / total,
        "depth": (((maps.depth * target).sum((2, 3)) - depth).abs() * deep).sum() / deep.sum().clamp_min(1e-6),
        "union": -(
            ((both / (mass[..., None, None] + 1e-6)).flatten(2) * log_union).sum(-1)
            * (mass > LEAST_PAIR)
            * pair_weights
        ).mean(),
        "yaw": -((yaw * (maps.yaw.log_softmax(-1) - (yaw + 1e-9).log())).sum(-1) * root_weights).sum() / roots,
        "root": (((matrix_from_6d(maps.root) - root) ** 2).sum((1, 2)) * root_weights).sum() / roots,
    }
    return torch.stack([SCALES[name] * part for name, part in parts.items()]).sum(), parts


def yaw_target(root: Tensor) -> Tensor:
    """(N, 3, 3) root rotations → (N, YAW_BINS) soft bins of the facing direction; bin 0 faces the camera."""
    yaw = torch.atan2(root[:, 0, 2], -root[:, 2, 2])
    centres = torch.arange(YAW_BINS, device=root.device) * (2 * math.pi / YAW_BINS)
    return (torch.cos(yaw[:, None] - centres) * YAW_SHARPNESS).softmax(-1)


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
