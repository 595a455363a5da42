"""MPoser, VIBE's motion prior (Kocabas et al., CVPR 2020, section 3.2): a sequential VAE."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vibe_cli.geometry.rotations import matrix_from_6d


@dataclass(frozen=True)
class MposerConfig:
    """Shape of an MPoser. The paper states GRUs and a latent of 32; the widths are our choice."""

    joints: int = 23  # without the root
    hidden: int = 512  # width of the recurrent states
    layers: int = 2  # recurrent layers of each half
    latent: int = 32  # z, a frame
    window: int = 16  # frames seen at once in training


@dataclass(frozen=True, eq=False)
class MposerOutput:
    """A sequence as the prior rebuilds it, and its latent distribution."""

    pose6d: Tensor  # (B, T, J, 6)
    mean: Tensor  # (B, T, Z)  its norm is the prior loss of the paper
    log_variance: Tensor  # (B, T, Z)

    @property
    def rotations(self) -> Tensor:
        """(B, T, J, 3, 3) rotation matrices."""
        return matrix_from_6d(self.pose6d)

    @property
    def divergence(self) -> Tensor:
        """(B, T) Kullback–Leibler divergence from the standard normal distribution, summed over Z."""
        return 0.5 * (self.mean.square() + self.log_variance.exp() - 1 - self.log_variance).sum(-1)


class Mposer(nn.Module):
    """GRU encoder to a latent per frame, GRU decoder back to poses."""

    def __init__(self, config: MposerConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or MposerConfig()
        self.window = config.window
        self.encoder = nn.GRU(6 * config.joints, config.hidden, config.layers, batch_first=True)
        self.mean = nn.Linear(config.hidden, config.latent)
        self.log_variance = nn.Linear(config.hidden, config.latent)
        self.decoder = nn.GRU(config.latent, config.hidden, config.layers, batch_first=True)
        self.pose = nn.Linear(config.hidden, 6 * config.joints)

    def encode(self, pose6d: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, J, 6) → mean and log variance of the latent, each (B, T, Z)."""
        states, _ = self.encoder(pose6d.flatten(-2))
        return self.mean(states), self.log_variance(states)

    def decode(self, latent: Tensor) -> Tensor:
        """(B, T, Z) → (B, T, J, 6)."""
        states, _ = self.decoder(latent)
        return self.pose(states).unflatten(-1, (self.config.joints, 6))

    def forward(self, pose6d: Tensor) -> MposerOutput:
        """(B, T, J, 6) → its reconstruction; the latent is sampled in training, the mean otherwise."""
        mean, log_variance = self.encode(pose6d)
        latent = mean
        if self.training:
            latent = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        return MposerOutput(self.decode(latent), mean, log_variance)
