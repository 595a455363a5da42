"""Train VIBE's form of temporal network on features of synthetic clips, starting from the single-frame regressor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from vibe_cli.networks.keypoints import KeypointNet
from vibe_cli.networks.lifter import Lifter, Observation, observe
from vibe_cli.networks.outputs import MotionOutput
from vibe_cli.networks.regressor import Regressor
from vibe_cli.networks.vibe import Vibe
from vibe_cli.training.keypoints import to_input
from vibe_cli.training.lifting import lifting_loss, mirror, tensors
from vibe_cli.training.loop import Loop, Schedule
from vibe_cli.training.points import PointBody
from vibe_cli.training.simulate import simulate_clips
from vibe_cli.training.synth.crops import CropSource
from vibe_cli.training.synth.poses import PoseBank


@dataclass(frozen=True)
class TemporalTraining:
    """Options of a run."""

    minutes: float = 10.0
    batch: int = 32            # clips
    rate: float = 4e-4
    decay: float = 0.02
    velocity: float = 2.0      # weight of the frame-to-frame motion of joints
    simulated_share: float = 0.5  # of the batches
    threads: int = 2
    seed: int = 0


@torch.no_grad()
def collect_clips(net: KeypointNet, source: CropSource, length: int, count: int,
                  seed: int) -> tuple[Observation, dict[str, Tensor]]:
    """What the network sees of the first `count` clips, (count·length) frames in order."""
    rng, net, seen, truth = np.random.default_rng(seed), net.eval(), [], []
    for clip in range(count):
        crops, labels = source.clip(rng, clip * length, length, net.config.size)
        seen.append(observe(net(to_input(crops))))
        truth.append(tensors(labels))
    return (Observation(**{k: torch.cat([getattr(s, k) for s in seen]) for k in vars(seen[0])}),
            {k: torch.cat([t[k] for t in truth]) for k in truth[0]})


def start_from(network: Vibe, regressor: Regressor) -> None:
    """Begin as the single-frame model: its regressor, and a recurrent part that adds nothing yet."""
    network.regressor.load_state_dict(regressor.state_dict())
    nn.init.zeros_(network.encoder.linear.weight)
    nn.init.zeros_(network.encoder.linear.bias)


def temporal_loss(output: MotionOutput, body: PointBody, truth: dict[str, Tensor],
                  velocity: float) -> tuple[Tensor, dict]:
    """The single-frame loss of every frame and L1 of joint velocities; labels (B, T, …)."""
    loss, parts = lifting_loss(output, body, {k: v.flatten(0, 1) for k, v in truth.items()})
    batch, length = output.betas.shape[:2]
    points = body(output.rotations.flatten(0, 1), output.betas.flatten(0, 1)).view(batch, length, -1, 3)
    parts["velocity"] = (points.diff(dim=1) - truth["points"].diff(dim=1)).abs().sum(-1).mean()
    return loss + velocity * parts["velocity"], parts


def train_temporal(network: Vibe, lifter: Lifter, body: PointBody, seen: Observation, truth: dict[str, Tensor],
                   length: int, bank: PoseBank, options: TemporalTraining, report: Callable[[str], None]) -> None:
    """Train in place on windows of the network's length, at random places of the clips.

    A share of the batches are motions of the bank, seen by a simulated eye: of clips that were drawn there are too
    few, and the network would learn them by heart.
    """
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    rng, lifter = np.random.default_rng(options.seed), lifter.eval().requires_grad_(False)
    sets = [(one.map(lambda x: x.unflatten(0, (-1, length))),
             {k: v.unflatten(0, (-1, length)) for k, v in labels.items()})
            for one, labels in ((seen, truth), mirror(seen, truth))]

    def batch() -> tuple[Observation, dict[str, Tensor]]:
        if rng.random() < options.simulated_share:
            return simulate_clips(rng, bank, body, options.batch, network.window, lifter.config.pooled)
        observed, labels = sets[int(rng.random() < 0.35)]
        clips = torch.from_numpy(rng.integers(len(observed.points), size=options.batch))
        at = int(rng.integers(length - network.window + 1))
        window = slice(at, at + network.window)
        return (observed.map(lambda x: x[clips, window].flatten(0, 1)),
                {k: v[clips, window].flatten(0, 1) for k, v in labels.items()})

    network.train()
    loop = Loop(network, Schedule(options.minutes, options.rate, options.decay, rise=50, clip=1.0), report, "temporal")
    while loop.goes_on():
        observed, labels = batch()
        features = lifter(_shaken(observed)).unflatten(0, (-1, network.window))
        labels = {k: v.unflatten(0, (-1, network.window)) for k, v in labels.items()}
        loop.step(*temporal_loss(network(features), body, labels, options.velocity))
    network.eval()


def _shaken(seen: Observation) -> Observation:
    """The same with a little more noise and some points missed, or few clips would be known by heart."""
    kept = (torch.rand_like(seen.confidence) > 0.05).float()
    return replace(seen, points=seen.points + 0.01 * torch.randn_like(seen.points), confidence=seen.confidence * kept,
                   depth=seen.depth + 0.03 * torch.randn_like(seen.depth))
