"""Train the lifter and the regressor: first on simulated observations of poses, then on what the network saw.

Both stages see single frames; the temporal network is trained on top, on sequences (training/temporal.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

import numpy as np
import torch
from torch import Tensor, nn

from vibe_cli.geometry.rotations import sixd_from_matrix
from vibe_cli.geometry.skeleton import JOINT, joints
from vibe_cli.networks.lifter import KeypointPrediction, Lifter, fit_camera
from vibe_cli.networks.outputs import MotionOutput
from vibe_cli.networks.regressor import Regressor
from vibe_cli.networks.rotation_tta import TTAKeypointNet
from vibe_cli.networks.skeleton import COUNT, MIRRORED_KEYPOINTS
from vibe_cli.synth.crops import FLIP, CropSource, Labels, mirror_labels
from vibe_cli.synth.keypoint_body import KeypointBody
from vibe_cli.synth.poses import PoseBank
from vibe_cli.training.augment import LESS_CERTAIN, LESS_CERTAIN_WEIGHT
from vibe_cli.training.distributed import ProcessContext
from vibe_cli.training.keypoints import to_input
from vibe_cli.training.loop import Loop, LoopOptions, Schedule
from vibe_cli.training.losses import aligned
from vibe_cli.training.noise import subsets_of
from vibe_cli.training.simulate import simulate

Batch = tuple[KeypointPrediction, dict[str, Tensor]]  # what was seen of people, and the labels
EASY, FRONTAL = 0.5, 0.05  # shares of the crops looked at that are easy, and that are extra frontal views


@dataclass(frozen=True)
class LiftingTraining:
    """Options of both stages."""

    simulated_minutes: float = 4.0
    seen_minutes: float = 8.0
    simulated_steps: int | None = None  # budgets of steps instead
    seen_steps: int | None = None
    simulated_share: float = 0.3  # of the second stage's batches
    subsets: float = 0.3  # share of what was seen that is shown without depth, and in part, as keypoints from elsewhere
    shaken: bool = True  # whether what was seen is shaken a little, every time anew
    stills: int = 20000  # poses drawn for the first stage where there is no cache of stills
    batch: int = 256
    features: int = 512  # width of the lifter's features, and of the regressor
    hidden: int = 768  # of the lifter
    rate: float = 8e-4
    decay: float = 0.03
    pause: float | None = None  # minutes after which this call stops, to be resumed
    save_every: float = 240.0  # seconds
    threads: int = 2
    seed: int = 0

    def schedule(self, minutes: float, steps: int | None, pause: float | None, stage: int) -> Schedule:
        """How long and how fast a stage is trained."""
        return Schedule(
            minutes,
            self.rate,
            self.decay,
            warmup_steps=50,
            clip=1.0,
            steps=steps,
            pause=pause,
            save_every=self.save_every,
            seed=2 * self.seed + stage,
        )


def tensors(labels: Labels) -> dict[str, Tensor]:
    """Labels as tensors by name."""
    return {k: torch.as_tensor(getattr(labels, k)) for k in ("rotations", "betas", "points", "pixels")}


def weak_camera(points: Tensor, pixels: Tensor) -> Tensor:
    """The weak-perspective camera (N, 3) that explains labels best."""
    return fit_camera(points[..., :2], pixels, torch.ones_like(pixels[..., 0]))


def lifting_loss(output: MotionOutput, body: KeypointBody, truth: dict[str, Tensor]) -> tuple[Tensor, dict]:
    """L3D, L2D and LSMPL of VIBE's eq. 1 for N frames, 2D through the best camera so that it cannot hide pose."""
    rotations = output.rotations.flatten(0, -4)
    betas, camera = output.betas.flatten(0, -2), output.camera.flatten(0, -2)
    points = body(rotations, betas)
    joint_weight = torch.ones(24, device=points.device)
    joint_weight[JOINT["pelvis"]], joint_weight[joints("foot", "hand")] = 3.0, 0.05
    weight = torch.ones(COUNT, device=points.device)
    weight[LESS_CERTAIN] = LESS_CERTAIN_WEIGHT
    seen = (truth["pixels"].abs() < 1).all(-1).float() * 0.9 + 0.1
    best = fit_camera(points[..., :2], truth["pixels"], seen)
    flat = best[:, None, :1] * (points[..., :2] + best[:, None, 1:])
    wanted = weak_camera(truth["points"], truth["pixels"])
    shape = (betas - truth["betas"]).abs()
    laid = aligned(points, truth["points"])  # a pose that is right but turned is worth something: or doubt flattens it
    parts = {
        "rotation": (((rotations - truth["rotations"]) ** 2).sum((2, 3)) * joint_weight).mean(),
        "joints": ((points - truth["points"]).abs().sum(-1) * weight).mean(),
        "aligned": ((laid - truth["points"]).abs().sum(-1) * weight).mean(),
        "pixels": ((flat - truth["pixels"]).abs().sum(-1) * seen * weight).mean(),
        "betas": shape[:, 1:].mean() + 0.2 * shape[:, 0].mean(),  # a crop does not show the size
        "camera": (camera - wanted).abs().mean(),
    }
    scale = {"rotation": 0.6, "joints": 4.0, "aligned": 4.0, "pixels": 2.0, "betas": 0.05, "camera": 0.5}
    return sum(scale[k] * v for k, v in parts.items()), parts


@torch.no_grad()
def predict_crops(net: TTAKeypointNet, crops: np.ndarray) -> KeypointPrediction:
    """Keypoint predictions for crops (N, S, S, 3) uint8 RGB, on the CPU.

    The network computes on its own device, as precisely as in training.
    """
    device = next(net.parameters()).device
    with ProcessContext(device).pictures():
        return net(to_input(crops).to(device)).map(Tensor.cpu)


def collect(
    net: TTAKeypointNet, source: CropSource, count: int, seed: int, augment: bool = True, ordered: bool = False
) -> tuple[KeypointPrediction, dict[str, Tensor]]:
    """Keypoint predictions for `count` crops: random ones, or the first in order."""
    rng, rows, net = np.random.default_rng(seed), [], net.eval()
    for start in range(0, count, 64):
        n = min(64, count - start)
        index = np.arange(start, start + n) if ordered else source.draw(rng, n, FRONTAL)
        crops, labels = source.batch(rng, index, net.config.size, augment, EASY)
        rows.append((predict_crops(net, crops), tensors(labels)))
    return together(*rows)


@overload
def together(*parts: Batch) -> Batch: ...


@overload
def together(*parts: Batch | None) -> Batch | None: ...


def together(*parts: Batch | None) -> Batch | None:
    """Observations and labels of several sets, one after another; None where there are none."""
    there = [part for part in parts if part is not None]
    if not there:
        return None
    seen, truth = zip(*there, strict=True)
    return (
        KeypointPrediction(**{k: torch.cat([getattr(one, k) for one in seen]) for k in vars(seen[0])}),
        {k: torch.cat([one[k] for one in truth]) for k in truth[0]},
    )


def mirror(seen: KeypointPrediction, truth: dict[str, Tensor]) -> tuple[KeypointPrediction, dict[str, Tensor]]:
    """The mirror image of observations and labels; pooled features have none and are blanked."""
    labels = mirror_labels(Labels(**{k: v.numpy() for k, v in truth.items()}))
    flip = torch.from_numpy(FLIP)
    root = seen.root.view(-1, 3, 2) * flip[:, None] * flip[:2]
    yaw = seen.yaw[:, [0, *range(seen.yaw.shape[1] - 1, 0, -1)]]
    return KeypointPrediction(
        (seen.points * flip[:2])[:, MIRRORED_KEYPOINTS],
        seen.confidence[:, MIRRORED_KEYPOINTS],
        seen.depth[:, MIRRORED_KEYPOINTS],
        yaw,
        root.flatten(1),
        torch.zeros_like(seen.pooled),
        seen.solid,
    ), tensors(labels)


def shaken(seen: KeypointPrediction) -> KeypointPrediction:
    """The same with a little more noise and some points missed, or few crops and clips would be known by heart."""
    kept = (torch.rand_like(seen.confidence) > 0.05).float()
    return replace(
        seen,
        points=seen.points + 0.01 * torch.randn_like(seen.points),
        confidence=seen.confidence * kept,
        depth=seen.depth + 0.03 * torch.randn_like(seen.depth),
    )


def draw_stills(bank: PoseBank, body: KeypointBody, count: int, seed: int) -> dict[str, Tensor]:
    """Labels of `count` poses of the bank that face the camera upright, as `simulate` reads them."""
    rng, upright = np.random.default_rng(seed), np.diag([1.0, -1, -1])
    poses = np.stack([bank.pose(rng) for _ in range(count)])
    poses[:, 0] = upright @ poses[:, 0]
    rotations = torch.from_numpy(poses.astype(np.float32))
    betas = torch.from_numpy(rng.normal(size=(count, 10)).clip(-2.5, 2.5).astype(np.float32))
    return {"rotations": rotations, "betas": betas, "points": body(rotations, betas)}


def train_lifter(
    lifter: Lifter,
    regressor: Regressor,
    body: KeypointBody,
    stills: dict[str, Tensor],
    seen: tuple[KeypointPrediction, dict[str, Tensor]] | None,
    options: LiftingTraining,
    report: Callable[[str], None],
    out: Path | None = None,
    how: LoopOptions | None = None,
) -> list[Loop]:
    """Both stages, in place; without anything `seen` the first alone, for both budgets. The loops that were run.

    With `out` the stages resume from there: a file for each, named after it.
    """
    torch.set_num_threads(options.threads)
    how = how or LoopOptions()
    context = how.context
    network, body = nn.ModuleList([lifter, regressor]).to(context.device).train(), body.to(context.device)
    with torch.no_grad():
        regressor.init_pose.copy_(sixd_from_matrix(stills["rotations"]).mean(0).reshape(1, -1))
        regressor.init_pose[0, :6] = torch.tensor([1.0, 0, 0, -1, 0, 0])  # upright, facing the camera

    def simulated(rng: np.random.Generator) -> tuple[KeypointPrediction, dict[str, Tensor]]:
        return simulate(rng, stills, options.batch, lifter.config.pooled)

    def observed(rng: np.random.Generator) -> tuple[KeypointPrediction, dict[str, Tensor]]:
        if rng.random() < options.simulated_share or seen is None:  # or it forgets the poses that the few crops lack
            return simulated(rng)
        index = torch.from_numpy(rng.integers(len(seen[1]["betas"]), size=options.batch))
        batch = seen[0].map(lambda x: x[index]), {k: v[index] for k, v in seen[1].items()}
        batch = mirror(*batch) if rng.random() < 0.3 else batch
        points = shaken(batch[0]) if options.shaken else batch[0]
        return (subsets_of(points, options.subsets) if lifter.any_subset else points), batch[1]

    first, second = ((options.simulated_minutes, options.simulated_steps), (options.seen_minutes, options.seen_steps))
    if seen is None:
        both = None if first[1] is None or second[1] is None else first[1] + second[1]
        stages = [("simulated", simulated, first[0] + second[0], both)]
    else:
        stages = [("simulated", simulated, *first), ("seen", observed, *second)]
    loops, began = [], time.monotonic()
    for number, (name, draw, minutes, steps) in enumerate(stages):
        pause = None if options.pause is None else max(0.0, options.pause - (time.monotonic() - began) / 60)
        schedule = options.schedule(minutes, steps, pause, number)
        file = out.with_name(f"{out.stem}-{name}{out.suffix}") if out else None
        loop = how.loop(network, schedule, report, name, file)
        loops.append(loop)
        while loop.goes_on():
            batch, truth = draw(loop.step_rng())
            batch = batch.map(lambda x: x.to(context.device))
            truth = {k: v.to(context.device) for k, v in truth.items()}
            with context.autocast():
                loss, parts = lifting_loss(regressor(lifter(batch)[:, None]), body, truth)
            loop.step(loss, parts)
        if loop.done < 1:
            break
    network.eval()
    return loops
