"""Train VIBE's form of temporal network on features of synthetic clips, starting from the single-frame regressor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
from vibe_cli.training.synth.crops import CropSource


@dataclass(frozen=True)
class TemporalTraining:
    """Options of a run."""

    minutes: float = 10.0
    batch: int = 32            # clips
    rate: float = 4e-4
    decay: float = 0.02
    velocity: float = 2.0      # weight of the frame-to-frame motion of joints
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
                   length: int, options: TemporalTraining, report: Callable[[str], None]) -> None:
    """Train in place on windows of the network's length, at random places of the clips."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    with torch.no_grad():
        sets = []
        for observation, labels in ((seen, truth), mirror(seen, truth)):
            features = torch.cat([lifter(observation.map(lambda x, s=s: x[s:s + 1024]))
                                  for s in range(0, len(observation.points), 1024)])
            sets.append((features.unflatten(0, (-1, length)), {k: v.unflatten(0, (-1, length))
                                                               for k, v in labels.items()}))
    network.train()
    loop = Loop(network, Schedule(options.minutes, options.rate, options.decay, rise=50, clip=1.0), report, "temporal")
    while loop.goes_on():
        features, labels = sets[int(rng.random() < 0.35)]
        clips = torch.from_numpy(rng.integers(len(features), size=options.batch))
        at = int(rng.integers(length - network.window + 1))
        window = slice(at, at + network.window)
        output = network(features[clips, window])
        loop.step(*temporal_loss(output, body, {k: v[clips, window] for k, v in labels.items()}, options.velocity))
    network.eval()
