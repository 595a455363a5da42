"""VIBE's motion discriminator (Kocabas et al., CVPR 2020, section 3.2): is this a real sequence of poses?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vibe_cli.errors import ModelError
from vibe_cli.networks.sps_net import SelfAttention as MotionAttention


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Shape of a motion discriminator; the defaults are the published one's."""

    features: int = 69  # numbers a frame: the axis-angle pose without the root
    hidden: int = 1024  # width of the recurrent state
    layers: int = 2  # recurrent layers
    pooling: str = "attention"  # attention | concat (the ablation: average and maximum side by side)
    attention_hidden: int = 1024  # width of the attention's layers
    attention_layers: int = 2  # hidden layers of the attention
    dropout: float = 0.1  # in the attention, in training


class SelfAttention(nn.Module):
    """Equation 4: an MLP scores each frame's state, softmax over time weights their sum.

    The published weights were trained with tanh after the last layer too.
    """

    def __init__(self, features: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for layer in range(layers):
            blocks += [nn.Linear(features if layer == 0 else hidden, hidden), nn.Tanh(), nn.Dropout(dropout)]
        self.attention = nn.Sequential(*blocks, nn.Linear(hidden if layers else features, 1), nn.Tanh())

    def forward(self, states: Tensor) -> Tensor:
        """(B, T, H) → (B, H)."""
        weights = torch.softmax(self.attention(states), dim=1)
        return (weights * states).sum(1)


class ConcatPooling(nn.Module):
    """The static pooling of the ablation: average and maximum over time, concatenated."""

    def forward(self, states: Tensor) -> Tensor:
        """(B, T, H) → (B, 2H)."""
        return torch.cat([states.mean(1), states.amax(1)], dim=-1)


class MotionDiscriminator(nn.Module):
    """A GRU over the poses, pooled over time, one number a sequence: near 1 for real, near 0 for made up."""

    def __init__(self, config: DiscriminatorConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DiscriminatorConfig()
        if config.pooling not in ("attention", "concat"):
            raise ModelError(f"unknown pooling {config.pooling!r}", hint="choose attention or concat")
        self.gru = nn.GRU(config.features, config.hidden, config.layers, batch_first=True)
        self.attention: SelfAttention | ConcatPooling
        if config.pooling == "attention":
            self.attention = SelfAttention(
                config.hidden, config.attention_hidden, config.attention_layers, config.dropout
            )
            self.fc = nn.Linear(config.hidden, 1)
        else:
            self.attention = ConcatPooling()
            self.fc = nn.Linear(2 * config.hidden, 1)

    def forward(self, motion: Tensor) -> Tensor:
        """Poses (B, T, 69), axis-angle without the root → score (B, 1), as equations 2 and 3 take it."""
        states, _ = self.gru(motion)
        return self.fc(self.attention(states))


class ShapedMotionDiscriminator(nn.Module):
    """SPS-Net's discriminator (Chen et al. 2021, Figure 5): self-attention over frames of pose and shape, averaged."""

    def __init__(self, features: int = 82) -> None:
        super().__init__()
        self.attention = MotionAttention(features, features)
        self.classifier = nn.Linear(features, 1)

    def forward(self, motion: Tensor) -> Tensor:
        """Shape and axis-angle pose (B, T, 82) → the chance (B, 1) that it is real."""
        return torch.sigmoid(self.classifier(self.attention(motion).mean(1)))
