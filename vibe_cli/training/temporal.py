"""Train a temporal network of any of the four systems on what the encoder sees of clips, drawn and simulated.

How each system's training differs:
- VIBE: every frame of a window is supervised; the discriminator or MPoser where they are asked for.
- TCMR: the middle frame of each of a few windows that follow one another, three times (all frames, past, future).
- DTS-VIBE: the flow stream reads flow that is drawn from the labels (motion_fields.py); the last part of a run is
  the refinement, with the flow loss, a fifth of the rate and no discriminator (section 3.2).
- SPS-Net: windows of 32; two that overlap share their cameras, some points are hidden and the estimates must stay.
  A drawn clip shorter than the window is one window of its own length, as a short track is in use.
The losses beyond the single frame's (lifting.py) are weighted so that, at the start of a run, their ratios to the
joints' loss are about the papers' (objective.Weights).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vibe_cli.errors import UsageError
from vibe_cli.networks.dts_vibe import DtsVibe, DtsVibeConfig
from vibe_cli.networks.lifter import KeypointPrediction, Lifter
from vibe_cli.networks.mposer import Mposer
from vibe_cli.networks.rotation_tta import TTAKeypointNet
from vibe_cli.networks.sps_net import SpsNet, SpsNetConfig
from vibe_cli.networks.tcmr import Tcmr, TcmrConfig
from vibe_cli.networks.temporal import TemporalNetwork
from vibe_cli.networks.vibe import Vibe, VibeConfig
from vibe_cli.synth.crops import CropSource
from vibe_cli.synth.keypoint_body import KeypointBody
from vibe_cli.synth.poses import PoseBank
from vibe_cli.training.adversary import Adversary, captured
from vibe_cli.training.distributed import ProcessContext
from vibe_cli.training.lifting import Batch, mirror, predict_crops, shaken, tensors, together
from vibe_cli.training.loop import Loop, LoopOptions, Schedule
from vibe_cli.training.noise import subsets_of
from vibe_cli.training.objective import Objective, Weights
from vibe_cli.training.simulate import simulate_clips


@dataclass(frozen=True)
class TemporalTraining:
    """Options of a run."""

    minutes: float = 10.0
    steps: int | None = None  # a budget of steps instead: then equal seeds give equal weights
    batch: int = 16  # clips
    micro_batches: int = 1  # of a step: each is a batch by itself, and processes share them
    consecutive: int = 3  # windows of a clip, for a network that estimates its window's middle frame
    rate: float = 4e-4
    decay: float = 0.02
    weights: Weights = Weights()
    simulated_share: float = 0.5  # of the batches
    mirrored_share: float = 0.35  # of the drawn batches
    subsets: float = 0.3  # share of the drawn clips shown without depth, and in part, as keypoints from elsewhere
    discriminator: bool = False
    discriminator_rate: float = 4e-4
    discriminator_hidden: int = 256
    refinement: float = 0.2  # share of a run in which DTS-VIBE is refined
    clip: float = 1.0  # largest norm of the gradient
    pause: float | None = None  # minutes after which this call stops, to be resumed
    save_every: float = 240.0  # seconds
    threads: int = 2
    seed: int = 0

    def adversary(self, network: TemporalNetwork, context: ProcessContext) -> Adversary | None:
        """The discriminator that a network is trained against, where one is asked for."""
        if not self.discriminator:
            return None
        return Adversary(self.discriminator_rate, self.discriminator_hidden, isinstance(network, SpsNet), context)

    @property
    def schedule(self) -> Schedule:
        """How long and how fast it is trained."""
        return Schedule(
            self.minutes,
            self.rate,
            self.decay,
            warmup_steps=50,
            clip=self.clip,
            steps=self.steps,
            seed=self.seed,
            pause=self.pause,
            save_every=self.save_every,
        )


def open_network(system: str, features: int = 512) -> TemporalNetwork:
    """The open family's untrained network of a system (systems.SYSTEMS), for features of the open encoder.

    Narrower than the papers', for features that are a quarter as wide and models that are small to ship.
    """
    width = features
    networks = {
        "vibe": lambda: Vibe(
            VibeConfig(features=features, hidden=width, bidirectional=True, regressor_hidden=width, dropout=0.1)
        ),
        "tcmr": lambda: Tcmr(
            TcmrConfig(
                features=features,
                hidden=3 * width // 4,
                attention_hidden=width // 4,
                regressor_hidden=width,
                dropout=0.1,
            )
        ),
        "dts-vibe": lambda: DtsVibe(
            DtsVibeConfig(features=features, flow_encoder="small", flow_width=16, flow_side=32, width=width // 2)
        ),
        "sps-net": lambda: SpsNet(
            SpsNetConfig(
                features=features,
                attention_hidden=width,
                forecast_hidden=width // 2,
                regressor_hidden=width,
                dropout=0.1,
            )
        ),
    }
    if system not in networks:
        raise UsageError(f"unknown system {system!r}", hint="choose one of: " + ", ".join(networks))
    return networks[system]()


@torch.no_grad()
def collect_clips(net: TTAKeypointNet, source: CropSource, length: int, count: int, seed: int) -> Batch:
    """Keypoint predictions for the first `count` clips, (count·length) frames in order."""
    rng, net, rows = np.random.default_rng(seed), net.eval(), []
    for clip in range(count):
        crops, labels = source.clip(rng, clip * length, length, net.config.size)
        rows.append((predict_crops(net, crops), tensors(labels)))
    return together(*rows)


@torch.no_grad()
def windows_of(lifter: Lifter, seen: KeypointPrediction, length: int, window: int, most: int = 4000) -> Tensor:
    """Features (N, T, F) of windows of observed clips of `length` frames, `most` of them at most; whole clips where
    they are shorter."""
    features = lifter.eval()(seen).unflatten(0, (-1, length))
    windows = features.unfold(1, min(window, length), 4).movedim(-1, 2).flatten(0, 1)
    return windows[:: max(1, -(-len(windows) // most))].contiguous()


class Clips:
    """Batches of windows: of drawn clips, their mirror images, and simulated motions.

    A share of the batches are motions of the bank with simulated predictions: drawn clips are too few, and the network
    would learn them by heart.
    """

    def __init__(
        self,
        drawn: Batch | None,
        length: int,
        bank: PoseBank,
        body: KeypointBody,
        pooled: int,
        options: TemporalTraining,
    ) -> None:
        self.bank, self.body, self.pooled, self.options, self.length = bank, body, pooled, options, length
        self.sets = (
            []
            if drawn is None
            else [
                (
                    one.map(lambda x: x.unflatten(0, (-1, length))),
                    {k: v.unflatten(0, (-1, length)) for k, v in labels.items()},
                )
                for one, labels in (drawn, mirror(*drawn))
            ]
        )

    def draw(self, rng: np.random.Generator, frames: int) -> Batch:
        """Observations ((batch · T), …) and labels (batch, T, …) of windows of T frames; T is fewer than `frames`
        where the drawn clips are shorter."""
        o = self.options
        if not self.sets or rng.random() < o.simulated_share:
            seen, labels = simulate_clips(rng, self.bank, self.body, o.batch, frames, self.pooled)
            return seen, {k: v.unflatten(0, (o.batch, frames)) for k, v in labels.items()}
        observed, labels = self.sets[int(rng.random() < o.mirrored_share)]
        clips = torch.from_numpy(rng.integers(len(observed.points), size=o.batch))
        frames = min(frames, self.length)
        at = int(rng.integers(self.length - frames + 1))
        window = slice(at, at + frames)
        seen = observed.map(lambda x: x[clips, window].flatten(0, 1))
        if not self.pooled:  # such a lifter reads any keypoints
            seen = subsets_of(seen, o.subsets, frames)
        return seen, {k: v[clips, window] for k, v in labels.items()}


def _check_middle(network: TemporalNetwork, options: TemporalTraining, length: int | None) -> None:
    """UsageError where a network that estimates its window's middle frame cannot be trained so.

    `length` is that of the drawn clips, None where there are none.
    """
    if options.discriminator and network.estimates == "middle":
        raise UsageError(
            "a network that estimates one frame makes no motion to be judged",
            hint="train it without the discriminator, as TCMR's paper does",
        )
    if length is not None and network.estimates == "middle" and length < network.window:
        raise UsageError(
            f"clips of {length} frames hold no window of {network.window}",
            hint="draw longer clips, or train on simulated motions alone",
        )


def train_temporal(
    network: TemporalNetwork,
    lifter: Lifter,
    body: KeypointBody,
    drawn: Batch | None,
    length: int,
    bank: PoseBank,
    options: TemporalTraining,
    report: Callable[[str], None],
    prior: Mposer | None = None,
    out: Path | None = None,
    keep: Callable[[Loop], object] = lambda loop: None,
    how: LoopOptions | None = None,
) -> TemporalNetwork:
    """Train in place, and return the network in evaluation mode.

    `drawn` are observations and labels of clips of `length` frames, all in a row; None: simulated motions alone.
    With a `prior` its loss is added; with `out` the run resumes from there; `keep` is given the loop.
    """
    _check_middle(network, options, None if drawn is None else length)
    torch.set_num_threads(options.threads)
    how = how or LoopOptions()
    context = how.context
    network.to(context.device)
    lifter, body = lifter.eval().requires_grad_(False).to(context.device), body.to(context.device)
    objective = Objective(network, lifter, body, options.weights, options.consecutive, prior)
    adversary = options.adversary(network, context)
    clips = Clips(drawn, length, bank, copy.deepcopy(body).cpu(), lifter.config.pooled, options)
    facts, others = {"options": asdict(options)}, {"discriminator": adversary} if adversary else {}
    loop = how.loop(network, options.schedule, report, type(network).__name__, out, facts, others)
    keep(loop)
    shared, mine = context.wrap(objective.train()), len(context.share(options.micro_batches))

    def loss_of(rng: np.random.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        observed, labels = clips.draw(rng, objective.frames)
        observed = shaken(observed).map(lambda x: x.to(context.device))
        labels = {k: v.to(context.device) for k, v in labels.items()}
        refining = network.flow is not None and loop.done >= 1 - options.refinement
        loop.own_rate = 0.2 * loop.rate() if refining else None
        judge = adversary if not refining else None
        loss, parts, output = shared(observed, labels, judge, refining)
        if judge is not None:
            judge.learn(output, captured(bank, rng, len(output.betas), output.betas.shape[1]), 1 / mine)
        return loss, parts

    while loop.goes_on():
        loop.step_on(options.micro_batches, loss_of, adversary.step if adversary is not None else lambda: None)
    return network.eval()
