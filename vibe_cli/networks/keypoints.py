"""The keypoint network: 44 points in a crop, each with its depth, and which way the person faces.

A narrow ResNet with a feature pyramid to stride 8; one heat map a point, decoded around its peak (heatmap_decoding.py).
The expectation over the whole map (soft-argmax) would average a left and a right leg into the middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.functional import interpolate

from vibe_cli.networks.skeleton import COUNT, LEFT_RIGHT_PAIRS

YAW_BINS = 12
PIXEL_MEAN, PIXEL_STD = 0.45, 0.25
STRIDE = 8
RESNET_18 = (2, 2, 2, 2)
DEEP = (2, 2, 4, 4)  # as networks are made now: where the maps are small, more blocks cost little


@dataclass(frozen=True)
class KeypointConfig:
    """Sizes of the keypoint network."""

    width: int = 32  # channels of the first stage; 2, 4 and 8 times as many follow
    channels: int = 96  # of the pyramid
    size: int = 128  # pixels of a crop, a multiple of 32
    scale: float = 1.2  # side of the crop over the larger side of the person's box: found best, benchmarks/WEIGHTS.md
    layers: tuple[int, ...] = RESNET_18  # blocks of the four stages


@dataclass(frozen=True)
class KeypointMaps:
    """Raw outputs for N crops; K points, h = w = size / 8."""

    heat: Tensor  # (N, K, h, w) logits, a distribution over cells for each point
    depth: Tensor  # (N, K, h, w) metres behind the pelvis, if the point were in that cell
    union: Tensor  # (N, P, h, w) logits, left and right of a pair together
    yaw: Tensor  # (N, YAW_BINS) logits of the facing direction; bin 0 faces the camera
    root: Tensor  # (N, 6) root rotation in 6D
    pooled: Tensor  # (N, 8·width) mean of the last stage


class Block(nn.Module):
    """Two convolutions added to what they read (He et al. 2016), under torchvision's names.

    Our own, as a bare machine that trains has no torchvision.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = (
            None
            if stride == 1 and inputs == outputs
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) → (N, outputs, H / stride, W / stride)."""
        way = x if self.downsample is None else self.downsample(x)
        return self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))) + way)


class Backbone(nn.Module):
    """A ResNet with `width` channels in its first stage; returns the maps at strides 8, 16, 32.

    `layers` are the blocks of its four stages.
    """

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def __init__(self, width: int, layers: Sequence[int] = RESNET_18) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        for stage, (inputs, outputs) in enumerate(((1, 1), (1, 2), (2, 4), (4, 8)), start=1):
            first = Block(inputs * width, outputs * width, 1 if stage == 1 else 2)
            rest = (Block(outputs * width, outputs * width, 1) for _ in range(layers[stage - 1] - 1))
            setattr(self, f"layer{stage}", nn.Sequential(first, *rest))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 3, H, W) → maps of 2, 4 and 8 times `width` channels."""
        x = self.layer1(self.maxpool(self.relu(self.bn1(self.conv1(x)))))
        eight = self.layer2(x)
        sixteen = self.layer3(eight)
        return eight, sixteen, self.layer4(sixteen)


class Pyramid(nn.Module):
    """Brings three maps, at strides 8, 16 and 32 and of so many `inputs` channels, together at stride 8."""

    def __init__(self, inputs: Sequence[int], channels: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(_block(count, channels, 1) for count in inputs)
        self.smooth = nn.ModuleList(_block(channels, channels, 3) for _ in range(2))

    def forward(self, maps: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """→ (N, channels, H/8, W/8)."""
        eight, sixteen, thirty_two = (layer(x) for layer, x in zip(self.lateral, maps, strict=False))
        x = self.smooth[0](interpolate(thirty_two, scale_factor=2, mode="nearest") + sixteen)
        return self.smooth[1](interpolate(x, scale_factor=2, mode="nearest") + eight)


class KeypointNet(nn.Module):
    """Crop → KeypointMaps."""

    def __init__(self, config: KeypointConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or KeypointConfig()
        self.backbone = Backbone(config.width, config.layers)
        self.pyramid = Pyramid([config.width * k for k in (2, 4, 8)], config.channels)
        self.heat = nn.Conv2d(config.channels, COUNT, 1)
        self.depth = nn.Conv2d(config.channels, COUNT, 1)
        self.union = nn.Conv2d(config.channels, len(LEFT_RIGHT_PAIRS), 1)
        self.facing = nn.Sequential(nn.Linear(8 * config.width, 256), nn.ReLU(True), nn.Linear(256, YAW_BINS + 6))

    def forward(self, crops: Tensor) -> KeypointMaps:
        """(N, 3, size, size), RGB less PIXEL_MEAN over PIXEL_STD → maps in float32."""
        maps = self.backbone(crops)
        pooled = maps[2].mean((2, 3))
        facing = self.facing(pooled).float()
        x = self.pyramid(maps)
        return KeypointMaps(
            heat=self.heat(x).float(),
            depth=self.depth(x).float(),
            union=self.union(x).float(),
            yaw=facing[:, :YAW_BINS],
            root=facing[:, YAW_BINS:],
            pooled=pooled.float(),
        )


def _block(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(True)
    )
