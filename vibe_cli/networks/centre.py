"""The open person detector: a centre heat map and box sides on the keypoint backbone (CenterNet's form)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vibe_cli.networks.keypoints import RESNET_18, Backbone, Pyramid
from vibe_cli.networks.lite_backbone import CHANNELS, LiteBackbone

BOX_UNIT = 64.0  # input pixels; sides are predicted as logarithms of it


@dataclass(frozen=True)
class CentreConfig:
    """Sizes of the detector."""

    backbone: str = "resnet"  # or lite0: EfficientNet-lite0, whose widths are its own
    width: int = 32  # of a ResNet, as the keypoint network's, whose backbone it starts from
    channels: int = 96
    size: int = 256  # pixels of the frame's longer side, as in training
    threshold: float = 0.05  # score from which a find is told; the tracker asks more of a person
    layers: tuple[int, ...] = RESNET_18  # blocks of the backbone's stages


class CentreNet(nn.Module):
    """Frame → people's centres and boxes."""

    def __init__(self, config: CentreConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or CentreConfig()
        self.lite = config.backbone == "lite0"
        self.backbone = LiteBackbone() if self.lite else Backbone(config.width, config.layers)
        inputs = CHANNELS[1:] if self.lite else [config.width * k for k in (2, 4, 8)]
        self.pyramid = Pyramid(inputs, config.channels)
        self.heat = nn.Sequential(nn.Conv2d(config.channels, 64, 3, padding=1), nn.ReLU(True), nn.Conv2d(64, 1, 1))
        self.sides = nn.Sequential(nn.Conv2d(config.channels, 64, 3, padding=1), nn.ReLU(True), nn.Conv2d(64, 4, 1))
        nn.init.constant_(self.heat[-1].get_parameter("bias"), -4.0)  # people are rare: start by finding nobody

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W), normalised as for the keypoint network, sides multiples of 32.

        Returns heat (N, 1, H/8, W/8) logits and sides (N, 4, H/8, W/8): logarithms of the distances left, top,
        right and bottom from a cell's centre to the box, over BOX_UNIT input pixels.
        """
        maps = self.backbone(images)
        x = self.pyramid(maps[1:] if self.lite else maps)  # lite0 gives stride 4 as well
        return self.heat(x).float(), self.sides(x).float()


def sides_to_pixels(sides: Tensor) -> Tensor:
    """Logarithmic sides → input pixels, at most 32 units."""
    return BOX_UNIT * torch.exp(sides.clamp(max=3.5))
