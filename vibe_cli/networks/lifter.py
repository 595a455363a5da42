"""From what the keypoint network saw to features that a temporal network reads: the second half of the encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from vibe_cli.networks.heatmap_decoding import decode_apart, decode_peaks
from vibe_cli.networks.keypoints import YAW_BINS, KeypointMaps
from vibe_cli.networks.skeleton import COUNT

FULL_PROBABILITY = 0.7  # the probability in a peak's window that a clear point reaches
EDGE_OF_CROP = 0.97  # a point found this near the crop's border may lie outside it,
OUTSIDE_CONFIDENCE_RATIO = 0.1  # and this much of its confidence is left


@dataclass(frozen=True, eq=False)
class KeypointPrediction:
    """Keypoints with depth, facing and root rotation of N crops; K points."""

    points: Tensor  # (N, K, 2) −1..1 of the crop
    confidence: Tensor  # (N, K) 0..1
    depth: Tensor  # (N, K) metres behind the pelvis
    yaw: Tensor  # (N, YAW_BINS) probabilities of the facing direction
    root: Tensor  # (N, 6) root rotation in 6D
    pooled: Tensor  # (N, 8·width) features of the whole crop; zeros where there was no picture
    solid: Tensor  # (N,) 1 where depth, facing and root are known, 0 where points and confidence are all

    def map(self, function: Callable[[Tensor], Tensor]) -> KeypointPrediction:
        """The same with every tensor passed through a function."""
        return KeypointPrediction(**{f.name: function(getattr(self, f.name)) for f in fields(self)})


def decode_maps(maps: KeypointMaps) -> KeypointPrediction:
    """Decode the keypoint network's maps."""
    points, probability, depth = decode_apart(maps.heat, maps.union, maps.depth)
    inside = (points.abs() < EDGE_OF_CROP).all(-1)
    confidence = (probability / FULL_PROBABILITY).clamp(0, 1) * torch.where(inside, 1.0, OUTSIDE_CONFIDENCE_RATIO)
    solid = torch.ones_like(depth[:, 0])
    return KeypointPrediction(points, confidence, depth, maps.yaw.softmax(-1), maps.root, maps.pooled, solid)


def decode_points(maps: KeypointMaps) -> tuple[Tensor, Tensor]:
    """Points (N, K, 2) in −1..1 and how sure they are (N, K): their peak's probability, 0 at the crop's border."""
    points, probability, _ = decode_peaks(maps.heat, maps.depth)
    return points, probability * (points.abs() < EDGE_OF_CROP).all(-1)


def points_alone(points: Tensor, confidence: Tensor) -> KeypointPrediction:
    """Keypoints of elsewhere, points (N, K, 2) in −1..1 of the crop and confidence (N, K), as a prediction.

    What has no confidence is missing. Depth, facing and the crop's features are unknown.
    """
    points, count = points * (confidence > 0)[..., None], len(points)
    return KeypointPrediction(
        points,
        confidence,
        torch.zeros_like(confidence),
        points.new_zeros(count, YAW_BINS),
        points.new_zeros(count, 6),
        points.new_zeros(count, 0),
        points.new_zeros(count),
    )


@dataclass(frozen=True)
class LifterConfig:
    """Sizes of the lifter."""

    features: int = 512  # F, width of the features it gives
    hidden: int = 768  # width of its residual blocks
    blocks: int = 2
    pooled: int = 0  # width of the crop's features that it reads as well; 0: none, and any subset of the points will do
    dropout: float = 0.1  # in the residual blocks, in training


class Lifter(nn.Module):
    """A residual multi-layer perceptron over points, depths, confidences and facing.

    Martinez et al. 2017 ("A simple yet effective baseline for 3d human pose estimation"), here from any subset of the
    points, each with its confidence, with or without what a network told of depth and facing.
    """

    def __init__(self, config: LifterConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or LifterConfig()
        self.any_subset = not config.pooled
        inputs = 4 * COUNT + YAW_BINS + 6 + 3
        self.seen = nn.Linear(inputs + COUNT + 1 if self.any_subset else inputs, config.hidden)
        if config.pooled:
            self.picture = nn.Sequential(
                nn.LayerNorm(config.pooled), nn.Linear(config.pooled, config.hidden, bias=False)
            )
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(config.hidden),
                nn.Linear(config.hidden, config.hidden),
                nn.GELU(),
                nn.Dropout(config.dropout),
                nn.Linear(config.hidden, config.hidden),
            )
            for _ in range(config.blocks)
        )
        self.out = nn.Sequential(nn.LayerNorm(config.hidden), nn.Linear(config.hidden, config.features), nn.GELU())

    def forward(self, seen: KeypointPrediction) -> Tensor:
        """→ (N, F)."""
        weight = seen.confidence[..., None] + 1e-3
        centre = (seen.points * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True)
        offset = seen.points - centre
        size = ((offset**2 * weight).sum((1, 2)) / weight.sum((1, 2))).sqrt()[:, None] + 1e-3
        flat = (offset / size[..., None] * seen.confidence[..., None]).flatten(1)
        known = seen.solid[:, None] if self.any_subset else 1.0
        depth = seen.depth * seen.confidence * known
        x = [flat, depth, seen.confidence, seen.yaw * known, seen.root * known, centre[:, 0], size.log()]
        if self.any_subset:
            x = self.seen(torch.cat([*x, (seen.confidence > 0).float(), seen.solid[:, None]], dim=1))
        else:
            x = self.seen(torch.cat(x, dim=1)) + self.picture(seen.pooled)
        for block in self.blocks:
            x = x + block(x)
        return self.out(x)


def fit_camera(body: Tensor, image: Tensor, weight: Tensor) -> Tensor:
    """The crop camera (…, 3) that lays body points best, by weighted least squares, on image points.

    Body points (…, K, 2) metres, image points (…, K, 2) in −1..1, weights (…, K) ≥ 0 and not all zero.
    """
    weight = (weight / weight.sum(-1, keepdim=True).clamp_min(1e-9))[..., None]
    body_mean, image_mean = (body * weight).sum(-2), (image * weight).sum(-2)
    a, b = body - body_mean[..., None, :], image - image_mean[..., None, :]
    scale = (a * b * weight).sum((-1, -2)) / (a * a * weight).sum((-1, -2)).clamp_min(1e-9)
    scale = scale.clamp_min(1e-3)[..., None]  # a mirrored or vanishing body is no camera
    return torch.cat([scale, image_mean / scale - body_mean], dim=-1)
