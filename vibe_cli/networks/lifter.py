"""From what the keypoint network saw to features that a temporal network reads: the second half of the encoder."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from vibe_cli.networks.heatmap_decoding import decode_apart, decode_peaks
from vibe_cli.networks.keypoints import YAW_BINS, KeypointMaps
from vibe_cli.networks.skeleton import COUNT

FULL_CONFIDENCE = 0.7  # the probability in a peak's window that a clear point reaches
EDGE = 0.97  # a point found this near the crop's border may lie outside it,
OUTSIDE = 0.1  # and this much of its confidence is left


@dataclass(frozen=True, eq=False)
class KeypointPrediction:
    """What was seen in N crops; K points."""

    points: Tensor  # (N, K, 2) −1..1 of the crop
    confidence: Tensor  # (N, K) 0..1
    depth: Tensor  # (N, K) metres behind the pelvis
    yaw: Tensor  # (N, YAW_BINS) probabilities of the facing direction
    root: Tensor  # (N, 6) root rotation in 6D
    pooled: Tensor  # (N, 8·width) features of the whole crop; zeros where there was no picture

    def map(self, function: object) -> KeypointPrediction:
        """The same with every tensor passed through a function."""
        return KeypointPrediction(**{f.name: function(getattr(self, f.name)) for f in fields(self)})


def decode_maps(maps: KeypointMaps) -> KeypointPrediction:
    """Decode the keypoint network's maps."""
    points, probability, depth = decode_apart(maps.heat, maps.union, maps.depth)
    inside = (points.abs() < EDGE).all(-1)
    confidence = (probability / FULL_CONFIDENCE).clamp(0, 1) * torch.where(inside, 1.0, OUTSIDE)
    return KeypointPrediction(points, confidence, depth, maps.yaw.softmax(-1), maps.root, maps.pooled)


def decode_points(maps: KeypointMaps) -> tuple[Tensor, Tensor]:
    """Points (N, K, 2) in −1..1 and how sure they are (N, K): their peak's probability, 0 at the crop's border."""
    points, probability, _ = decode_peaks(maps.heat, maps.depth)
    return points, probability * (points.abs() < EDGE).all(-1)


@dataclass(frozen=True)
class LifterConfig:
    """Sizes of the lifter."""

    features: int = 512  # F, width of the features it gives
    hidden: int = 768  # width of its residual blocks
    blocks: int = 2
    pooled: int = 256  # width of the keypoint network's pooled features
    dropout: float = 0.1  # in the residual blocks, in training


class Lifter(nn.Module):
    """A residual multi-layer perceptron over points, depths, confidences and facing."""

    def __init__(self, config: LifterConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or LifterConfig()
        self.seen = nn.Linear(4 * COUNT + YAW_BINS + 6 + 3, config.hidden)
        self.picture = nn.Sequential(nn.LayerNorm(config.pooled), nn.Linear(config.pooled, config.hidden, bias=False))
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
        x = torch.cat(
            [flat, seen.depth * seen.confidence, seen.confidence, seen.yaw, seen.root, centre[:, 0], size.log()], dim=1
        )
        x = self.seen(x) + self.picture(seen.pooled)
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
