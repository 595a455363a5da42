"""ResNet-50 without its classifier: a crop becomes 2048 features."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck, ResNet

from vibe_cli.networks.outputs import EncoderOutput


@dataclass(frozen=True)
class BackboneConfig:
    """ResNet-50 leaves nothing to choose."""


class Backbone(ResNet):
    """torchvision's ResNet-50 up to its 7×7 average pool, under torchvision's parameter names.

    Source: He et al. 2016; the weights of SPIN (Kolotouros et al. 2019) fit it as they are.
    """

    crop_size = 224
    features = 2048

    def __init__(self, config: BackboneConfig | None = None) -> None:
        super().__init__(Bottleneck, [3, 4, 6, 3])
        self.config = config or BackboneConfig()
        self.fc = nn.Identity()

    def forward(self, crops: Tensor) -> EncoderOutput:
        """Crops (N, 3, 224, 224), ImageNet-normalised RGB → features (N, 2048); no keypoints."""
        return EncoderOutput(features=super().forward(crops))


class FeatureBackbone(ResNet):
    """The same over other pictures: DTS-VIBE's O-CNN over flow images (Li et al. 2021, section 3.1)."""

    def __init__(self) -> None:
        super().__init__(Bottleneck, [3, 4, 6, 3])
        self.fc = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, S, S) → (N, 2048)."""
        return super().forward(images)
