"""Two judges of motions, which learn from captured ones: VIBE's discriminator, and its prior MPoser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vibe_cli.geometry.rotations import axis_angle_from_matrix, sixd_from_matrix
from vibe_cli.networks.discriminator import DiscriminatorConfig, MotionDiscriminator, ShapedMotionDiscriminator
from vibe_cli.networks.mposer import Mposer
from vibe_cli.networks.outputs import MotionOutput
from vibe_cli.synth.poses import PoseBank
from vibe_cli.training.distributed import ProcessContext
from vibe_cli.training.loop import Loop, LoopOptions, Schedule
from vibe_cli.training.losses import (
    absolute_discriminator_loss,
    absolute_generator_loss,
    discriminator_loss,
    generator_loss,
    mposer_loss,
)


def captured(bank: PoseBank, rng: np.random.Generator, count: int, length: int) -> Tensor:
    """(count, length, 23, 3, 3): pieces of captured motions, without the root."""
    return torch.from_numpy(np.stack([bank.clip(rng, length)[:, 1:] for _ in range(count)]).astype(np.float32))


class Adversary:
    """A motion discriminator beside a network in training: its verdict, and its own learning.

    VIBE's and DTS-VIBE's reads poses (V eqs. 2 and 3), SPS-Net's the shape with them (S eq. 7, `shaped`).
    """

    def __init__(
        self, rate: float, hidden: int = 1024, shaped: bool = False, context: ProcessContext | None = None
    ) -> None:
        context = context or ProcessContext()
        network = (
            ShapedMotionDiscriminator()
            if shaped
            else MotionDiscriminator(DiscriminatorConfig(hidden=hidden, attention_hidden=hidden))
        )
        self.shaped, self.network = shaped, network.to(context.device)
        self._shared = context.wrap(self.network)  # what learns with the other processes of the run
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=rate, weight_decay=0.0)

    def adversarial_loss(self, output: MotionOutput) -> Tensor:
        """L_adv of what was estimated; the discriminator itself learns nothing here."""
        self.network.requires_grad_(False)
        scores = self.network(self._vectors(output.rotations[:, :, 1:], output.betas))
        self.network.requires_grad_(True)
        return (absolute_generator_loss if self.shaped else generator_loss)(scores)

    def learn(self, fake: MotionOutput, real: Tensor, share: float = 1.0) -> Tensor:
        """Gather gradients of a `share` of a step on estimated motions and captured ones (B, T, 23, 3, 3) of people
        of any shape; its loss."""
        made = self._vectors(fake.rotations[:, :, 1:], fake.betas).detach()
        shapes = torch.randn(len(real), 1, fake.betas.shape[-1], device=made.device).expand(-1, real.shape[1], -1)
        scores = self._shared(torch.cat([self._vectors(real.to(made), shapes), made]))
        loss_of = absolute_discriminator_loss if self.shaped else discriminator_loss
        loss = loss_of(*scores.split([len(real), len(made)]))
        (share * loss).backward()
        return loss.detach()

    def step(self) -> None:
        """Descend on what was gathered."""
        self.optimiser.step()
        self.optimiser.zero_grad()

    def state_dict(self) -> dict:
        """Network and optimiser, for a checkpoint."""
        return {"network": self.network.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        """Take up a checkpoint."""
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])

    def _vectors(self, rotations: Tensor, betas: Tensor) -> Tensor:
        """Rotations (B, T, 23, 3, 3), betas (B, T, 10) → axis-angle poses (B, T, 69), or as SPS-Net's reads them:
        shape, a root that is always at rest (captured motions face no camera), and pose (B, T, 82)."""
        poses = axis_angle_from_matrix(rotations).flatten(2)
        return torch.cat([betas, torch.zeros_like(poses[..., :3]), poses], dim=-1) if self.shaped else poses


@dataclass(frozen=True)
class MposerTraining:
    """Options of the prior's own training."""

    minutes: float = 5.0
    steps: int | None = None
    batch: int = 32  # sequences
    rate: float = 1e-3
    micro_batches: int = 1  # of a step
    divergence: float = 2e-4  # weight of the KL term
    hidden: int = 512
    window: int = 16
    pause: float | None = None
    save_every: float = 240.0
    threads: int = 2
    seed: int = 0


def train_mposer(
    network: Mposer,
    bank: PoseBank,
    options: MposerTraining,
    report: Callable[[str], None],
    out: Path | None = None,
    how: LoopOptions | None = None,
) -> Loop:
    """Train the prior in place on captured motions; resumes from `out`."""
    torch.set_num_threads(options.threads)
    loop = (how or LoopOptions()).loop(
        network,
        Schedule(
            options.minutes,
            options.rate,
            0.0,
            warmup_steps=50,
            clip=1.0,
            steps=options.steps,
            seed=options.seed,
            pause=options.pause,
            save_every=options.save_every,
        ),
        report,
        "mposer",
        out,
        {"config": asdict(network.config)},
    )
    shared = loop.context.wrap(network.train())

    def loss_of(rng: np.random.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        real = captured(bank, rng, options.batch, network.window).to(loop.context.device)
        return mposer_loss(shared(sixd_from_matrix(real)), real, options.divergence)

    while loop.goes_on():
        loop.step_on(options.micro_batches, loss_of)
    network.eval()
    return loop
