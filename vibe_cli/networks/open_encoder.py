"""The open encoder: a crop's 2.5D keypoints, and features lifted from them; our stand-in for SPIN's backbone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vibe_cli.geometry.skeleton import JOINTS_49
from vibe_cli.networks.keypoints import PIXEL_MEAN, PIXEL_STD, KeypointConfig, KeypointMaps, KeypointNet
from vibe_cli.networks.lifter import Lifter, LifterConfig, points_alone
from vibe_cli.networks.outputs import EncoderOutput
from vibe_cli.networks.rotation_tta import predict_tta
from vibe_cli.networks.skeleton import COUNT, KEYPOINTS_OF_54

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
KEYPOINTS_49 = [KEYPOINTS_OF_54.index(k) for k in JOINTS_49]
# Of every keypoint the rows, among the 49, that are that joint; 49, which is none, where there are fewer than most have
ROWS_OF_KEYPOINTS = [[row for row, k in enumerate(KEYPOINTS_49) if k == keypoint] for keypoint in range(COUNT)]
MOST_ROWS = max(map(len, ROWS_OF_KEYPOINTS))
ROWS_OF_KEYPOINTS = [rows + [len(KEYPOINTS_49)] * (MOST_ROWS - len(rows)) for rows in ROWS_OF_KEYPOINTS]


@dataclass(frozen=True)
class OpenEncoderConfig:
    """Sizes of both halves."""

    width: int = 32  # of the keypoint network
    channels: int = 96
    size: int = 128  # pixels of a crop
    scale: float = KeypointConfig.scale  # side of the crop over the larger side of the person's box
    features: int = 512  # F
    hidden: int = 768  # of the lifter
    blocks: int = 2  # of the lifter
    layers: tuple[int, ...] = KeypointConfig.layers  # blocks of the keypoint network's stages
    flip_test: bool = False  # whether every crop is seen twice, as it is and mirrored (flip_test.py)
    rotation_tta: bool = False  # whether who does not stand is seen again, turned (rotation_tta.py)
    any_subset: bool = False  # whether the lifter takes any keypoints, also from elsewhere; else the picture as well

    @property
    def keypoints(self) -> KeypointConfig:
        """The keypoint network's part."""
        return KeypointConfig(self.width, self.channels, self.size, self.scale, self.layers)

    @property
    def lifter(self) -> LifterConfig:
        """The lifter's part."""
        pooled = 0 if self.any_subset else 8 * self.width
        return LifterConfig(self.features, self.hidden, self.blocks, pooled)


class OpenEncoder(nn.Module):
    """Crops → features and the 49 joints as 2D keypoints."""

    gain: Tensor  # (3, 1, 1) which with the shift brings ImageNet's mean and deviation to the keypoint network's
    shift: Tensor  # (3, 1, 1)

    def __init__(self, config: OpenEncoderConfig | None = None) -> None:
        super().__init__()
        self.config = config or OpenEncoderConfig()
        self.features = self.config.features
        self.keypoint_net = KeypointNet(self.config.keypoints)
        self.lifter = Lifter(self.config.lifter)
        mean, std = (torch.tensor(x).view(3, 1, 1) for x in (IMAGENET_MEAN, IMAGENET_STD))
        self.register_buffer("gain", std / PIXEL_STD, persistent=False)
        self.register_buffer("shift", (mean - PIXEL_MEAN) / PIXEL_STD, persistent=False)

    @property
    def lifts_keypoints(self) -> bool:
        """Whether `lift` serves: its lifter takes any keypoints."""
        return self.lifter.any_subset

    def forward(self, crops: Tensor) -> EncoderOutput:
        """(N, 3, size, size) RGB, normalised by ImageNet's mean and deviation as for every encoder."""
        seen = predict_tta(self.predict_maps, crops, self.config.flip_test, self.config.rotation_tta)
        keypoints = torch.cat([seen.points, seen.confidence[..., None]], dim=-1)[:, KEYPOINTS_49]
        return EncoderOutput(features=self.lifter(seen), keypoints=keypoints)

    def lift(self, keypoints: Tensor) -> Tensor:
        """Features (N, F) of keypoints of elsewhere (N, 49, 3): x, y in −1..1 of the crop, confidence, 0 where missing.

        Only where the configuration says `any_subset`.
        """
        rows = torch.nn.functional.pad(keypoints, (0, 0, 0, 1))[:, ROWS_OF_KEYPOINTS]  # (N, K, MOST_ROWS, 3)
        surest = rows[..., 2].argmax(-1)[..., None, None].expand(-1, -1, 1, 3)
        points = rows.gather(2, surest)[:, :, 0]
        return self.lifter(points_alone(points[..., :2], points[..., 2]))

    def predict_maps(self, crops: Tensor) -> KeypointMaps:
        """Run the keypoint network on crops of any size that is a multiple of 32 → its maps."""
        return self.keypoint_net(crops * self.gain + self.shift)
