"""TCMR (Choi et al., CVPR 2021): the middle frame of a window from all, past and future frames.

The estimated frame of a window of T is frame T // 2, 8 of 16. Edge rule: near a track's ends there is no full
window about a frame, so `motion.regress` repeats the track's first and last features beyond them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vibe_cli.networks.outputs import MotionOutput
from vibe_cli.networks.regressor import Regressor, WithRegressor
from vibe_cli.networks.temporal import TemporalNetwork


@dataclass(frozen=True)
class TcmrConfig(WithRegressor):
    """Shape of a TCMR network; the defaults are the published one's."""

    features: int = 2048  # F, width of the encoder's features
    hidden: int = 1024  # width of each recurrent state
    layers: int = 2  # recurrent layers
    attention_hidden: int = 256  # width in which the three estimates are compared
    window: int = 16  # frames seen at once
    regressor_hidden: int = 1024  # width of the regressor's two hidden layers
    iterations: int = 3  # rounds of error feedback
    dropout: float = 0.5  # between the regressor's layers, in training


@dataclass(frozen=True, eq=False)
class IntegratedFeatures:
    """Features of the middle frame."""

    each: Tensor  # (B, 3, F)  from the past, from all frames, from the future
    integrated: Tensor  # (B, F)     their weighted sum
    scores: Tensor  # (B, 3)     the weights, summing to 1


class Attention(nn.Module):
    """Section 3.3: three features are reduced by a shared layer, compared, and weighted."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.fc = nn.Linear(features, hidden)
        self.attention = nn.Sequential(
            nn.Linear(3 * hidden, hidden),
            nn.Tanh(),
            nn.Linear(hidden, hidden),
            nn.Tanh(),
            nn.Linear(hidden, 3),
            nn.Tanh(),
        )

    def forward(self, each: Tensor) -> Tensor:
        """(B, 3, F) → weights (B, 3), summing to 1."""
        return torch.softmax(self.attention(self.fc(each).flatten(-2)), dim=-1)


class TcmrEncoder(nn.Module):
    """Sections 3.1 to 3.3: G_all in both directions, G_past and G_future without the middle frame."""

    def __init__(self, config: TcmrConfig) -> None:
        super().__init__()
        sizes = (config.features, config.hidden, config.layers)
        self.gru_cur = nn.GRU(*sizes, bidirectional=True, batch_first=True)
        self.gru_bef = nn.GRU(*sizes, batch_first=True)
        self.gru_aft = nn.GRU(*sizes, batch_first=True)
        self.linear_cur = nn.Linear(2 * config.hidden, config.features)
        self.linear_bef = nn.Linear(config.hidden, config.features)
        self.linear_aft = nn.Linear(config.hidden, config.features)
        self.attention = Attention(config.features, config.attention_hidden)

    def forward(self, features: Tensor) -> IntegratedFeatures:
        """A window (B, T ≥ 3, F) → the features of its middle frame."""
        middle = features.shape[1] // 2
        current = self.gru_cur(features)[0][:, middle]
        past = self.gru_bef(features[:, :middle])[0][:, -1]
        future = self.gru_aft(features[:, middle + 1 :].flip(1))[0][:, -1]
        each = torch.stack(
            [
                self.linear_bef(torch.relu(past)),
                self.linear_cur(torch.relu(current)),
                self.linear_aft(torch.relu(future)),
            ],
            dim=1,
        )
        scores = self.attention(each)
        return IntegratedFeatures(each=each, integrated=(scores[..., None] * each).sum(1), scores=scores)


class Tcmr(TemporalNetwork):
    """Features of a window → pose, shape and camera of its middle frame."""

    config: TcmrConfig
    estimates = "middle"
    edges = "repeat"
    shortest = 3  # the middle frame, one before and one after it

    def __init__(self, config: TcmrConfig | None = None) -> None:
        super().__init__()
        self.config = config or TcmrConfig()
        self.features, self.window = self.config.features, self.config.window
        self.encoder = TcmrEncoder(self.config)
        self.regressor = Regressor(self.config.regressor)

    def forward(self, features: Tensor) -> MotionOutput:
        """Features (B, T ≥ 3, F) → MotionOutput of the middle frame, T = 1.

        In training `others` holds what the past and the future alone say of the same frame: all three are
        supervised with it (section 3.4).
        """
        encoded = self.encoder(features)
        output = self.regressor(encoded.integrated[:, None])
        if not self.training:
            return output
        others = {"past": self.regressor(encoded.each[:, :1]), "future": self.regressor(encoded.each[:, 2:])}
        return MotionOutput(output.pose6d, output.betas, output.camera, others)
