"""VIBE (Kocabas et al., CVPR 2020): a recurrent encoder over features, an iterative regressor."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vibe_cli.networks.outputs import MotionOutput
from vibe_cli.networks.regressor import Regressor, WithRegressor
from vibe_cli.networks.temporal import TemporalNetwork


@dataclass(frozen=True)
class VibeConfig(WithRegressor):
    """Shape of a VIBE network; the defaults are the published one's."""

    features: int = 2048  # F, width of the encoder's features
    hidden: int = 1024  # width of the recurrent state
    layers: int = 2  # recurrent layers
    bidirectional: bool = False  # the paper says both directions, its weights have one
    residual: bool = True  # add the frame's own features to the encoder's output
    window: int = 16  # frames seen at once in training
    regressor_hidden: int = 1024  # width of the regressor's two hidden layers
    iterations: int = 3  # rounds of error feedback
    dropout: float = 0.5  # between the regressor's layers, in training


class TemporalEncoder(nn.Module):
    """Section 3.1: a GRU reads the sequence, a linear layer returns to the features' width."""

    def __init__(self, config: VibeConfig) -> None:
        super().__init__()
        self.residual = config.residual
        self.gru = nn.GRU(
            config.features, config.hidden, config.layers, bidirectional=config.bidirectional, batch_first=True
        )
        self.linear = nn.Linear(config.hidden * (1 + config.bidirectional), config.features)

    def forward(self, features: Tensor) -> Tensor:
        """(B, T, F) → (B, T, F)."""
        states, _ = self.gru(features)
        encoded = self.linear(torch.relu(states))
        return encoded + features if self.residual else encoded


class Vibe(TemporalNetwork):
    """Features of a sequence → every frame's pose, shape and camera. Any length T ≥ 1 is accepted."""

    config: VibeConfig

    def __init__(self, config: VibeConfig | None = None) -> None:
        super().__init__()
        self.config = config or VibeConfig()
        self.features, self.window = self.config.features, self.config.window
        self.encoder = TemporalEncoder(self.config)
        self.regressor = Regressor(self.config.regressor)

    def forward(self, features: Tensor) -> MotionOutput:
        """Features (B, T, F) → MotionOutput over the same T frames."""
        return self.regressor(self.encoder(features))
