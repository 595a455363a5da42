"""DTS-VIBE (Li et al., 2021): an RGB and an optical-flow stream, a transformer encoder, a transformer regressor.

What the paper leaves open or makes impossible, and what is done here:
- The regressor reads 157 numbers a frame (144 of the 6D pose, 10 betas, 3 of the camera: Figure 2's "coarse SMPL
  parameters") with 4 heads, and 4 does not divide 157. Three spare numbers, zero at the start and dropped at the
  end, widen its tokens to 160, 40 a head (`token_width`).
- Layers normalise what they read (pre-norm) and nothing normalises what they hand on: so the regressor's tokens
  stay SMPL parameters, which every layer corrects. A norm after the last layer would force one mean and one
  variance on every frame's parameters.
- Attention is told where frames stand, by the sinusoids of Vaswani et al., in its queries and keys only: the
  place in a window then shapes what a frame attends to and not its features.
- The encoder works on the RGB stream alone and the flow features are added to what it gives (section 3.1); the
  first frame of a track has no flow and stands still (`people/flow.py`).
- The feed-forward layers are four times as wide as the tokens, and dropout is 0.1, as in Vaswani et al.
- The flow loss (equation 9) is training's: it needs the poses and cameras of consecutive frames, which are all
  here, and the flow of each crop, which `people/flow.py` states.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, pad

from vibe_cli.errors import ModelError
from vibe_cli.networks.keypoints import Backbone as SmallBackbone
from vibe_cli.networks.outputs import BETAS_SIZE, CAMERA_SIZE, JOINTS, MotionOutput
from vibe_cli.networks.regressor import IDENTITY_6D, INITIAL_CAMERA, POSE6D_SIZE
from vibe_cli.networks.temporal import TemporalNetwork

PARAMETERS = POSE6D_SIZE + BETAS_SIZE + CAMERA_SIZE  # 157
RESNET_FEATURES = 2048
LONGEST_WAVE = 10000.0  # of the positions' sinusoids, over 2π frames


@dataclass(frozen=True)
class DtsVibeConfig:
    """Shape of a DTS-VIBE network; the defaults are the published one's."""

    features: int = 2048  # F, width of the encoder's RGB features
    flow: str | None = "dis"  # method of the optical flow; None leaves the stream out (Table 3)
    flow_encoder: str = "resnet50"  # resnet50 | small: what reads the flow images
    flow_width: int = 16  # channels of the small flow encoder's first stage; it gives 8 times as many
    flow_side: int | None = None  # pixels to which flow images are averaged before they are read; None: as they are
    width: int = 512  # of each stream
    encoder_layers: int = 6
    encoder_heads: int = 8
    regressor_layers: int = 3
    regressor_heads: int = 4
    window: int = 16  # frames seen at once
    dropout: float = 0.1  # in every layer, in training

    @property
    def flow_features(self) -> int:
        """G, width of the flow features; 0 without the stream."""
        if self.flow is None:
            return 0
        return RESNET_FEATURES if self.flow_encoder == "resnet50" else 8 * self.flow_width

    @property
    def token_width(self) -> int:
        """Numbers of a frame in the regressor: the 157 parameters and spares up to a multiple of its heads."""
        return -(-PARAMETERS // self.regressor_heads) * self.regressor_heads


class Attention(nn.Module):
    """Multi-head self-attention over time, equations 1 and 2."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ModelError(f"{heads} heads do not divide {width} features", hint="choose a divisor of the width")
        self.heads = heads
        self.q, self.k, self.v = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.out = nn.Linear(width, width)

    def weights(self, x: Tensor) -> Tensor:
        """(B, T, W) → (B, heads, T, T): how much each frame (row) attends to each; rows sum to 1."""
        placed = x + positions(x.shape[1], x.shape[2]).to(x)
        q, k = (self._split(layer(placed)) for layer in (self.q, self.k))
        return torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, W) → (B, T, W)."""
        return self.out((self.weights(x) @ self._split(self.v(x))).transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        """(B, T, W) → (B, heads, T, W / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Layer(nn.Module):
    """Figure 3: attention and a feed-forward part, each added to what it read."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm, self.forward_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, 4 * width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(4 * width, width)
        )
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, W) → (B, T, W)."""
        x = x + self.drop(self.attention(self.attention_norm(x)))
        return x + self.drop(self.feed_forward(self.forward_norm(x)))


class SmallFlowEncoder(nn.Module):
    """The open family's reader of flow images: the narrow ResNet-18 of our keypoint network, pooled."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.backbone = SmallBackbone(width)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, S, S) → (N, 8·width)."""
        return self.backbone(images)[2].mean((2, 3))


class DtsVibe(TemporalNetwork):
    """RGB and flow features of a sequence → every frame's motion. Any length T ≥ 1 is accepted."""

    config: DtsVibeConfig

    def __init__(self, config: DtsVibeConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DtsVibeConfig()
        self.features, self.window, self.flow = config.features, config.window, config.flow
        self.reduce = nn.Linear(config.features, config.width)
        if self.flow is not None:
            self.flow_encoder = _flow_encoder(config)
            self.reduce_flow = nn.Linear(config.flow_features, config.width)
        self.encoder = _layers(config.encoder_layers, config.width, config.encoder_heads, config.dropout)
        self.coarse = nn.Linear(config.width, PARAMETERS)
        self.regressor = _layers(config.regressor_layers, config.token_width, config.regressor_heads, config.dropout)
        self._start_at_the_mean()

    def _start_at_the_mean(self) -> None:
        """Untrained, it says the rest pose, and its regressor corrects next to nothing."""
        with torch.no_grad():
            mean = torch.tensor([*IDENTITY_6D * JOINTS, *[0.0] * BETAS_SIZE, *INITIAL_CAMERA])
            self.coarse.bias.copy_(mean)
            nn.init.xavier_uniform_(self.coarse.weight, gain=0.01)
            for layer in self.regressor:
                for last in ("attention.out", "feed_forward.3"):
                    nn.init.xavier_uniform_(layer.get_parameter(f"{last}.weight"), gain=0.01)
                    nn.init.zeros_(layer.get_parameter(f"{last}.bias"))

    def encode_flow(self, images: Tensor) -> Tensor:
        """Flow images (N, 3, S, S), S or `flow_side` a multiple of 32 → (N, G)."""
        side = self.config.flow_side
        return self.flow_encoder(images if side is None else adaptive_avg_pool2d(images, side))

    def fuse(self, features: Tensor) -> Tensor:
        """Section 3.1: (B, T, F + G) → (B, T, W), the encoded RGB stream and the flow stream added."""
        rgb, flow = features.split([self.config.features, self.config.flow_features], dim=-1)
        encoded = self.encoder(self.reduce(rgb))
        return encoded if self.flow is None else encoded + self.reduce_flow(flow)

    def forward(self, features: Tensor) -> MotionOutput:
        """Features (B, T, F + G) → MotionOutput over the same T frames."""
        coarse = self.coarse(self.fuse(features))
        tokens = pad(coarse, (0, self.config.token_width - PARAMETERS))
        pose, betas, camera, _ = self.regressor(tokens).split(
            [POSE6D_SIZE, BETAS_SIZE, CAMERA_SIZE, self.config.token_width - PARAMETERS], dim=-1
        )
        return MotionOutput(pose6d=pose.unflatten(-1, (JOINTS, 6)), betas=betas, camera=camera)


def positions(length: int, width: int) -> Tensor:
    """(length, width) sines and cosines of a frame's place (Vaswani et al. 2017, section 3.5)."""
    rate = LONGEST_WAVE ** (-torch.arange(0, width, 2) / width)
    angle = torch.arange(length)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)[:, :width]


def _layers(count: int, width: int, heads: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(*(Layer(width, heads, dropout) for _ in range(count)))


def _flow_encoder(config: DtsVibeConfig) -> nn.Module:
    """The reader of flow images that a configuration names."""
    if config.flow_encoder == "resnet50":
        from vibe_cli.networks.backbone import FeatureBackbone  # torchvision's, which a bare machine lacks

        return FeatureBackbone()
    if config.flow_encoder == "small":
        return SmallFlowEncoder(config.flow_width)
    raise ModelError(f"unknown flow encoder {config.flow_encoder!r}", hint="choose resnet50 or small")
