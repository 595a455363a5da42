"""SPS-Net (Chen et al., 2021): self-attention over a window, a forecast of the next frame, and their fusion.

What the paper leaves open or contradicts, and what is done here:
- Section 4.1 gives the forecasting module two layers "of 2048". Tables 1 and 3 give it 51.43 − 47.23 = 4.20 M
  parameters, half of that. Two layers with 1024 between them have 4.20 M; the table is followed
  (`forecast_hidden`), 2048 is the text's module.
- The three regressors start from HMR's weights and count 3.47 M together, HMR's own count: they are HMR's three
  heads over its two shared layers. Three regressors with layers of their own would have 10 M.
- R_shape gives one shape for all frames (section 3.1): the shapes of a window's frames are averaged.
- A window's first frame has no forecast: its fused feature is its latent one (section 3.4).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from vibe_cli.networks.outputs import MotionOutput
from vibe_cli.networks.regressor import Regressor, WithRegressor
from vibe_cli.networks.temporal import TemporalNetwork


@dataclass(frozen=True)
class SpsNetConfig(WithRegressor):
    """Shape of an SPS-Net; the defaults are the published one's."""

    features: int = 2048  # F, width of the encoder's features
    attention: bool = True  # the self-attention module; False is Table 3's ablation
    forecasting: bool = True  # the forecasting module and the fusion; False is Table 3's ablation
    attention_hidden: int = 2048  # width between the two layers of Q and of K
    forecast_hidden: int = 1024  # width between the two layers of the forecasting module
    window: int = 32  # frames seen at once
    regressor_hidden: int = 1024  # width of the regressors' two shared layers
    iterations: int = 3  # rounds of error feedback
    dropout: float = 0.5  # between the regressors' layers, in training


@dataclass(frozen=True, eq=False)
class FusedFeatures:
    """Features of every frame for the regressors, and their parts."""

    fused: Tensor  # (B, T, F)      F_i
    latent: Tensor  # (B, T, F)      h_i
    forecast: Tensor | None  # (B, T − 1, F)  f'_i of frames 2 … T; None without forecasting
    weights: Tensor | None  # (B, T − 1, 2)  of latent and forecast in frames 2 … T, summing to 1


class SelfAttention(nn.Module):
    """Section 3.2: two attention networks, so that i may attend to j more than j to i."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.q = _two_layers(features, hidden)
        self.k = _two_layers(features, hidden)

    def weights(self, features: Tensor) -> Tensor:
        """Equation 1: (B, T, F) → (B, T, T), row i the weights with which frame i attends; rows sum to 1.

        The inner products are not scaled, as the equation has them.
        """
        return torch.softmax(self.q(features) @ self.k(features).transpose(-1, -2), dim=-1)

    def forward(self, features: Tensor) -> Tensor:
        """Equation 2, h_i = f_i + Σ a_i^l f_l: (B, T, F) → (B, T, F)."""
        return features + self.weights(features) @ features


class Fusion(nn.Module):
    """Figure 4: a shared layer scores the latent and the forecast feature, softmax weighs them.

    The layer has no bias: it would add the same to both scores, which softmax takes away.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.fc = nn.Linear(features, 1, bias=False)

    def forward(self, latent: Tensor, forecast: Tensor) -> tuple[Tensor, Tensor]:
        """Two (B, T, F) → the fused features (B, T, F) and the weights (B, T, 2)."""
        both = torch.stack([latent, forecast], dim=-2)
        weights = torch.softmax(self.fc(both)[..., 0], dim=-1)
        return (weights[..., None] * both).sum(-2), weights


class SpsNet(TemporalNetwork):
    """Features of a sequence → every frame's pose and camera and one shape. Any length T ≥ 1 is accepted."""

    config: SpsNetConfig

    def __init__(self, config: SpsNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or SpsNetConfig()
        self.features, self.window = config.features, config.window
        self.attention = SelfAttention(config.features, config.attention_hidden) if config.attention else None
        self.forecasting = _two_layers(config.features, config.forecast_hidden) if config.forecasting else None
        self.fusion = Fusion(config.features) if config.forecasting else None
        self.regressor = Regressor(config.regressor)

    def fuse(self, features: Tensor) -> FusedFeatures:
        """Sections 3.2 to 3.4: features (B, T, F) → what the regressors read. Without attention h_i = f_i."""
        latent = features if self.attention is None else self.attention(features)
        if self.forecasting is None or self.fusion is None:
            return FusedFeatures(latent, latent, None, None)
        forecast = self.forecasting(features[:, :-1])
        later, weights = self.fusion(latent[:, 1:], forecast)
        return FusedFeatures(torch.cat([latent[:, :1], later], dim=1), latent, forecast, weights)

    def forward(self, features: Tensor) -> MotionOutput:
        """Features (B, T, F) → MotionOutput over the same T frames, betas the same in all of them.

        In training `extras` holds "forecast" (B, T − 1, F), which equation 3 compares with features[:, 1:].
        """
        seen = self.fuse(features)
        output = self.regressor(seen.fused)
        extras = {"forecast": seen.forecast} if self.training and seen.forecast is not None else {}
        return replace(output, betas=output.betas.mean(1, keepdim=True).expand_as(output.betas), extras=extras)


def _two_layers(features: int, hidden: int) -> nn.Sequential:
    """Two fully connected layers, each followed by a leaky ReLU (section 4.1)."""
    return nn.Sequential(nn.Linear(features, hidden), nn.LeakyReLU(), nn.Linear(hidden, features), nn.LeakyReLU())
