"""Train the four systems as their papers do: their losses, weights, rates and schedules, on data sets (records.py).

What the papers leave open: an epoch is 500 steps (SPS-Net's; the others state epochs only, or nothing), the share of
sequences with 3D labels in a batch is one half, MPoser's weight is 1, DTS-VIBE's refinement is the last fifth of a run
with a flow loss as heavy as its 2D loss. Adam is AdamW without decay. SPS-Net's mask loss (S eq. 5) counts where a data
set gives masks, and compares them with the points of the mesh, each spread over `SPREAD`. The rate falls when the
reconstruction is no better (V 6.1; TCMR says the 3D pose; the other two say nothing and have it too): by the supervised
losses, without discriminator and prior.

Where this is not what they did: TCMR also occludes its crops with objects before it takes features (T section 4, about
a millimetre), and the features here are of the crops as they are. DTS-VIBE's second stream here is a small network
(networks/dts_vibe.py, `small`) on flow images of 32 px, which can be kept with the features; theirs is a ResNet-50 on
whole ones. Its refinement goes on with Adam's moments, at the paper's rate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from vibe_cli.device import exactly
from vibe_cli.networks.mposer import Mposer
from vibe_cli.networks.outputs import MotionOutput
from vibe_cli.networks.sps_net import SpsNet
from vibe_cli.networks.temporal import TemporalNetwork
from vibe_cli.training import losses
from vibe_cli.training.adversary import Adversary, captured
from vibe_cli.training.loop import Loop, LoopOptions, Schedule
from vibe_cli.training.objective import estimate, split
from vibe_cli.training.records import Mixture, Record, about_origin

if TYPE_CHECKING:
    from vibe_cli.synth.poses import PoseBank

EPOCH = 500  # steps
SPREAD = 0.02  # of a surface's points, in −1..1 of the crop


@dataclass(frozen=True)
class PaperTraining:
    """Options of a run; the defaults are VIBE's (sections 3.3 and 6.1)."""

    minutes: float = 60.0
    steps: int | None = 30 * EPOCH
    data: tuple[str, ...] = ()  # data sets, "3dpw=FOLDER" or "3dpw:SPLIT=FOLDER", and records.pt of earlier runs
    encoder: str = "open-encoder"  # of the zoo: whose features are read
    body: str | None = None  # a file of SMPL's, or a body of the zoo; None: the open body
    share_3d: float = 0.5  # of a batch
    batch: int = 32  # sequences
    micro_batches: int = 1  # of a step: each is a batch by itself, and processes share them
    window: int = 16  # frames
    rate: float = 5e-5
    patience: int = 5  # epochs without a better loss, after which the rate falls to a tenth
    joints3d: float = 300.0
    joints2d: float = 300.0
    pose: float = 60.0
    betas: float = 0.06
    squared: bool = False  # D eqs. 4 to 6
    discriminator: bool = True
    adversary: float = 2.0
    discriminator_rate: float = 1e-4
    prior: float = 1.0  # of MPoser, where a run of it is named
    feature: float = 1.0  # S section 4.1
    camera: float = 0.1
    mask: float = 300.0  # where the data set gives masks
    hidden_pose: float = 60.0
    hidden_betas: float = 0.06
    hidden_camera: float = 0.1
    refinement: float = 0.2  # share of a run, of a network with a flow stream
    refinement_rate: float = 1e-5
    flow: float = 200.0
    clip: float = 0.0  # the papers clip no gradients
    pause: float | None = None  # minutes after which this call stops, to be resumed
    save_every: float = 240.0  # seconds
    threads: int = 2
    seed: int = 0

    @property
    def schedule(self) -> Schedule:
        """How long and how fast it is trained."""
        return Schedule(
            self.minutes,
            self.rate,
            0.0,
            warmup_steps=0,
            clip=self.clip,
            steps=self.steps,
            pause=self.pause,
            save_every=self.save_every,
            seed=self.seed,
            shape="plateau",
            epoch=EPOCH,
            patience=self.patience,
            watched="supervised",
        )


PointsOf = Callable[[Tensor, Tensor], Tensor]  # rotations (N, 24, 3, 3) and betas (N, 10) → points (N, V, 3)


class _Fixed(NamedTuple):
    """Modules that an objective reads and does not train; in a tuple, or they would be saved with the network."""

    joints_of: PointsOf
    prior: Mposer | None
    surface_of: PointsOf | None


class PaperObjective(nn.Module):
    """A batch of records → loss, its parts, and the estimates."""

    def __init__(
        self,
        network: TemporalNetwork,
        joints_of: PointsOf,
        options: PaperTraining,
        prior: Mposer | None = None,
        surface_of: PointsOf | None = None,
    ) -> None:
        """`joints_of` makes of rotations (N, 24, 3, 3) and betas (N, 10) the 49 joints (N, 49, 3), `surface_of` points
        (N, V, 3) all over the mesh, about the same origin."""
        super().__init__()
        self.network, self.options = network, options
        self._fixed = _Fixed(exactly(joints_of), prior, exactly(surface_of) if surface_of is not None else None)

    @property
    def frames(self) -> int:
        """Frames of its windows: one more than the network's where two of them are to overlap."""
        return self.network.window + isinstance(self.network, SpsNet)

    def forward(
        self, batch: Record, discriminator: Adversary | None = None, refining: bool = False
    ) -> tuple[Tensor, dict[str, Tensor], MotionOutput]:
        """Tensors (B, T, …) by name; the discriminator that judges, where there is one."""
        o, features = self.options, batch["features"]
        if isinstance(self.network, SpsNet):
            loss, parts, output = self._overlapping(batch)
        else:
            if self.network.flow is not None:
                moved = self.network.encode_flow(batch["flow"].flatten(0, 1)).unflatten(0, features.shape[:2])
                features = torch.cat([features, moved], dim=-1)
            output, at = estimate(self.network, features)
            truth = {name: value[:, at] for name, value in batch.items()}
            loss, parts = losses.supervise_all(lambda one: self._supervise(one, truth), output)
        parts["supervised"] = loss
        if refining:
            parts["flow"] = self._follow(output, batch)
            loss = loss + o.flow * parts["flow"]
        if discriminator is not None:
            parts["adversary"] = discriminator.adversarial_loss(output)
            loss = loss + o.adversary * parts["adversary"]
        if self._fixed.prior is not None:
            parts["prior"] = losses.motion_prior_loss(self._fixed.prior, output)
            loss = loss + o.prior * parts["prior"]
        return loss, {k: v.detach() for k, v in parts.items()}, output

    def _points(self, output: MotionOutput) -> Tensor:
        shape = output.betas.shape[:2]
        return self._fixed.joints_of(output.rotations.flatten(0, 1), output.betas.flatten(0, 1)).unflatten(0, shape)

    def _supervise(self, output: MotionOutput, truth: Record) -> tuple[Tensor, dict[str, Tensor]]:
        """V eq. 1 without L_adv, S eq. 4, or D eqs. 4 to 6; labels (B, T, …)."""
        o, points, known = self.options, self._points(output), truth["valid3d"]
        parts = {
            "joints3d": losses.joints3d_loss(about_origin(points, known), truth["joints3d"], known, o.squared),
            "joints2d": losses.joints2d_loss(points, output.camera, truth["joints2d"], truth["valid2d"], o.squared),
            "pose": losses.pose_loss(output.rotations, truth["rotations"], truth["valid_pose"], o.squared),
            "betas": losses.shape_loss(output.betas, truth["betas"], truth["valid_betas"], o.squared),
        }
        return sum(getattr(o, name) * value for name, value in parts.items()), parts

    def _overlapping(self, batch: Record) -> tuple[Tensor, dict[str, Tensor], MotionOutput]:
        """SPS-Net: two segments a frame apart, and the first with parts hidden where that was seen."""
        o, features = self.options, batch["features"]
        kinds = [features[:, :-1], features[:, 1:], *([batch["hidden"][:, :-1]] if "hidden" in batch else [])]
        first, second, *clouded = split(self.network(torch.cat(kinds)), len(kinds))
        loss, parts = self._supervise(first, {name: value[:, :-1] for name, value in batch.items()})
        parts["same_camera"] = losses.camera_consistency_loss(first.camera[:, 1:], second.camera[:, :-1])
        loss = loss + o.camera * parts["same_camera"]
        if "forecast" in first.extras:
            parts["feature"] = losses.feature_loss(kinds[0], first.extras["forecast"])
            loss = loss + o.feature * parts["feature"]
        if self._fixed.surface_of is not None:
            parts["mask"] = cover_loss(
                self._fixed.surface_of, first, batch["mask"][:, :-1], batch["valid_mask"][:, :-1]
            )
            loss = loss + o.mask * parts["mask"]
        for other in clouded:
            for name, value in losses.occlusion_losses(other, first).items():
                parts[f"hidden_{name}"] = value
                loss = loss + getattr(o, f"hidden_{name}") * value
        return loss, parts, first

    def _follow(self, output: MotionOutput, batch: Record) -> Tensor:
        """D eq. 9: the estimated 2D joints of two frames in the crop of the later, and the flow between them."""
        from vibe_cli.training.motion_fields import UNIT

        points, squares = losses.project(self._points(output), output.camera), batch["squares"]
        centre, half = squares[:, :, None, :2], squares[:, :, None, 2:] / 2
        pixels = centre + points * half
        before = (pixels[:, :-1] - centre[:, 1:]) / half[:, 1:]
        inside = (points[:, 1:].detach().abs() < 1).all(-1) & (batch["there"][:, 1:, None] > 0)
        return losses.flow_loss(points[:, 1:], before, batch["flow"][:, 1:, :2] * UNIT, inside)


def cover_loss(surface_of: PointsOf, output: MotionOutput, mask: Tensor, valid: Tensor) -> Tensor:
    """S eq. 5: what of the masks (B, T, S, S) the projected mesh leaves bare."""
    shape = output.betas.shape[:2]
    surface = surface_of(output.rotations.flatten(0, 1), output.betas.flatten(0, 1)).unflatten(0, shape)
    flat = losses.project(surface, output.camera).flatten(0, 1)
    return losses.mask_loss(losses.soft_silhouette(flat, mask.shape[-1], SPREAD).unflatten(0, shape), mask, valid)


def train_paper(
    network: TemporalNetwork,
    joints_of: PointsOf,
    mixture: Mixture,
    bank: PoseBank | None,
    options: PaperTraining,
    report: Callable[[str], None],
    prior: Mposer | None = None,
    out: Path | None = None,
    surface_of: PointsOf | None = None,
    how: LoopOptions | None = None,
) -> Loop:
    """Train in place; real motions for the discriminator are the bank's. Resumes from `out`."""
    torch.set_num_threads(options.threads)
    how = how or LoopOptions()
    context = how.context
    objective = PaperObjective(network.to(context.device), joints_of, options, prior, surface_of)
    adversary = (
        Adversary(options.discriminator_rate, shaped=isinstance(network, SpsNet), context=context)
        if options.discriminator and prior is None
        else None
    )
    if adversary is not None and bank is None:
        raise ValueError("a discriminator learns from captured motions, and there are none")
    facts, others = {"options": asdict(options)}, {"discriminator": adversary} if adversary else {}
    loop = how.loop(network, options.schedule, report, type(network).__name__, out, facts, others)
    shared, mine = context.wrap(objective.train()), len(context.share(options.micro_batches))

    def loss_of(rng: np.random.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        batch = {k: v.to(context.device) for k, v in mixture.draw(rng, options.batch, objective.frames).items()}
        refining = network.flow is not None and loop.done >= 1 - options.refinement
        loop.own_rate = options.refinement_rate if refining else None
        discriminator = None if refining else adversary
        loss, parts, output = shared(batch, discriminator, refining)
        if discriminator is not None and bank is not None:
            discriminator.learn(output, captured(bank, rng, len(output.betas), output.betas.shape[1]), 1 / mine)
        return loss, parts

    while loop.goes_on():
        loop.step_on(options.micro_batches, loss_of, adversary.step if adversary is not None else lambda: None)
    network.eval()
    return loop
