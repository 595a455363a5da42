"""Simulated keypoint predictions: poses without pictures, with errors like the keypoint network's.

Thousands a second, endless, and of every motion captured; what was really seen of drawn people (lifting.collect)
is nearer to the truth, but little of it can be had.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool1d

from vibe_cli.networks.lifter import KeypointPrediction
from vibe_cli.networks.skeleton import COUNT, FOLLOWERS, MIRRORED_KEYPOINTS, pair
from vibe_cli.synth.keypoint_body import KeypointBody
from vibe_cli.synth.poses import PoseBank
from vibe_cli.training.noise import predictions

TUMBLED = 0.1  # share of the people who are turned in the picture by any angle
SHAKE = 9  # frames over which a tracker's box is steady
LEGS = sorted(k for name in ("knee", "ankle", "foot", "big_toe", "small_toe", "heel") for k in pair(name))
BELOW = {(a, b): [(a, b), *FOLLOWERS[a, b]] for a, b in FOLLOWERS}  # what goes with a wrist or an ankle


def simulate(
    rng: np.random.Generator, labels: dict[str, Tensor], count: int, pooled: int
) -> tuple[KeypointPrediction, dict[str, Tensor]]:
    """Random labels from random views with simulated predictions: noise, outliers, missing and exchanged points.

    A lifter that reads no `pooled` features sees keypoints of elsewhere as well (`noise.GIVEN`).
    """
    index = torch.from_numpy(rng.integers(len(labels["betas"]), size=count))
    rotations, points = labels["rotations"][index].clone(), labels["points"][index]
    turn = _views(count)
    rotations[:, 0], points = turn @ rotations[:, 0], points @ turn.transpose(1, 2)
    pixels = _frame(points[:, None])[:, 0]
    truth = {"rotations": rotations, "betas": labels["betas"][index], "points": points, "pixels": pixels}
    return predictions(truth, pooled), truth


def simulate_clips(
    rng: np.random.Generator, bank: PoseBank, body: KeypointBody, count: int, length: int, pooled: int
) -> tuple[KeypointPrediction, dict[str, Tensor]]:
    """Pieces of motions, (count · length) frames in order, of errors that last: one leg hidden, sides exchanged."""
    rotations = torch.from_numpy(np.stack([bank.clip(rng, length) for _ in range(count)]).astype(np.float32))
    upright = torch.diag(torch.tensor([1.0, -1, -1]))  # y up, facing +z → y down, facing the camera
    turn = _views(count)[:, None] @ upright
    rotations[:, :, 0] = turn @ rotations[:, :, 0]
    betas = torch.randn(count, 1, 10).clamp(-2.5, 2.5).expand(-1, length, -1)
    points = body(rotations.flatten(0, 1), betas.flatten(0, 1)).unflatten(0, (count, length))
    truth = {"rotations": rotations, "betas": betas, "points": points, "pixels": _frame(points)}
    flat = {k: v.flatten(0, 1) for k, v in truth.items()}
    return _confuse(predictions(flat, pooled, length), count, length), flat


def _frame(points: Tensor) -> Tensor:
    """Points (B, T, K, 3) of clips → where crops of them, from one distance a clip, show them (B, T, K, 2)."""
    count, length = points.shape[:2]
    distance = torch.exp(torch.rand(count, 1, 1, 1) * 1.7 + 0.8)
    flat = points[..., :2] / (points[..., 2:] + distance).clamp_min(0.3)
    low, high = flat.amin(2), flat.amax(2)
    box = torch.cat([(low + high) / 2, (high - low).amax(-1, keepdim=True)], -1).transpose(1, 2)
    box = avg_pool1d(box, SHAKE, 1, SHAKE // 2, count_include_pad=False).transpose(1, 2)[:, :, None]
    side = box[..., 2:] * 1.2 * torch.exp(torch.rand(count, 1, 1, 1) * 0.4 - 0.2)
    return (flat - box[..., :2]) / (side / 2) + torch.rand(count, 1, 1, 2) * 0.3 - 0.15


def _views(count: int) -> Tensor:
    """(count, 3, 3) turns about the vertical by any angle, about the other axes a little; some lie or hang."""
    yaw, pitch, roll = torch.rand(count) * 2 * math.pi, torch.randn(count) * 0.2, torch.randn(count) * 0.15
    roll = torch.where(torch.rand(count) < TUMBLED, torch.rand(count) * 2 * math.pi, roll)
    one, zero = torch.ones(count), torch.zeros(count)

    def stack(rows: list) -> Tensor:
        return torch.stack([torch.stack(row, -1) for row in rows], -2)

    c, s = torch.cos, torch.sin
    about_y = stack([[c(yaw), zero, s(yaw)], [zero, one, zero], [-s(yaw), zero, c(yaw)]])
    about_x = stack([[one, zero, zero], [zero, c(pitch), -s(pitch)], [zero, s(pitch), c(pitch)]])
    about_z = stack([[c(roll), -s(roll), zero], [s(roll), c(roll), zero], [zero, zero, one]])
    return about_z @ about_x @ about_y


def _confuse(seen: KeypointPrediction, count: int, length: int) -> KeypointPrediction:
    """Errors of a side that last for some frames: everything exchanged, the legs only, or one limb's end on the other.

    Where everything is exchanged the facing is turned round with it, half of the time.
    """
    points, depth, yaw = seen.points.clone(), seen.depth.clone(), seen.yaw.clone()
    whole, legs = _spells(count, length, 0.3), _spells(count, length, 0.3)
    swap = torch.arange(COUNT).expand(count * length, COUNT).clone()
    swap[whole] = torch.tensor(MIRRORED_KEYPOINTS)
    swap[:, LEGS] = torch.where((legs & ~whole)[:, None], torch.tensor(MIRRORED_KEYPOINTS)[LEGS], swap[:, LEGS])
    for pairs in BELOW.values():
        for onto in (0, 1):
            there = _spells(count, length, 0.2)
            for both in pairs:
                swap[:, both[1 - onto]] = torch.where(there, swap[:, both[onto]], swap[:, both[1 - onto]])
    turned = whole & (torch.rand(count) < 0.5).repeat_interleave(length)
    yaw[turned] = yaw[turned].roll(yaw.shape[1] // 2, 1)
    take = swap[..., None].expand(-1, -1, 2)
    return replace(
        seen,
        points=points.gather(1, take),
        confidence=seen.confidence.gather(1, swap),
        depth=depth.gather(1, swap),
        yaw=yaw,
    )


def _spells(count: int, length: int, share: float) -> Tensor:
    """(count · length,) bool: in a share of the clips one run of frames."""
    ends = (torch.rand(count, 2) * (length + 1)).long().sort(1).values
    at = torch.arange(length)
    inside = (at >= ends[:, :1]) & (at < ends[:, 1:]) & (torch.rand(count, 1) < share)
    return inside.flatten()
