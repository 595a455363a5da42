"""Train the lifter and the regressor: first on simulated observations of poses, then on what the network saw.

Both stages see single frames; the temporal network is trained on top, on sequences (training/temporal.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from vibe_cli.networks.keypoints import KeypointNet
from vibe_cli.networks.lifter import Lifter, Observation, fit_camera, observe
from vibe_cli.networks.outputs import MotionOutput
from vibe_cli.networks.regressor import Regressor
from vibe_cli.networks.skeleton import COUNT, MIRRORED_KEYPOINTS
from vibe_cli.rotations import sixd_from_matrix
from vibe_cli.training.keypoints import LESS_CERTAIN, to_input
from vibe_cli.training.loop import Loop, Schedule
from vibe_cli.training.points import PointBody
from vibe_cli.training.simulate import simulate
from vibe_cli.training.synth.crops import FLIP, CropSource, Labels, mirror_labels

EASY, FRONTAL = 0.5, 0.05  # shares of the crops looked at that are easy, and that are extra frontal views


@dataclass(frozen=True)
class LiftingTraining:
    """Options of both stages."""

    simulated_minutes: float = 4.0
    seen_minutes: float = 8.0
    simulated_share: float = 0.3  # of the second stage's batches
    batch: int = 256
    rate: float = 8e-4
    decay: float = 0.03
    threads: int = 2
    seed: int = 0


def tensors(labels: Labels) -> dict[str, Tensor]:
    """Labels as tensors by name."""
    return {k: torch.as_tensor(getattr(labels, k)) for k in ("rotations", "betas", "points", "pixels")}


def weak_camera(points: Tensor, pixels: Tensor) -> Tensor:
    """The weak-perspective camera (N, 3) that explains labels best."""
    return fit_camera(points[..., :2], pixels, torch.ones_like(pixels[..., 0]))


def lifting_loss(output: MotionOutput, body: PointBody, truth: dict[str, Tensor]) -> tuple[Tensor, dict]:
    """L3D, L2D and LSMPL of VIBE's eq. 1 for N frames, 2D through the best camera so that it cannot hide pose."""
    rotations = output.rotations.flatten(0, -4)
    betas, camera = output.betas.flatten(0, -2), output.camera.flatten(0, -2)
    points = body(rotations, betas)
    joint_weight = torch.ones(24, device=points.device)
    joint_weight[0], joint_weight[[10, 11, 22, 23]] = 3.0, 0.05
    weight = torch.ones(COUNT, device=points.device)
    weight[LESS_CERTAIN] = 0.5
    seen = (truth["pixels"].abs() < 1).all(-1).float() * 0.9 + 0.1
    best = fit_camera(points[..., :2], truth["pixels"], seen)
    flat = best[:, None, :1] * (points[..., :2] + best[:, None, 1:])
    wanted = weak_camera(truth["points"], truth["pixels"])
    shape = (betas - truth["betas"]).abs()
    parts = {
        "rotation": (((rotations - truth["rotations"]) ** 2).sum((2, 3)) * joint_weight).mean(),
        "joints": ((points - truth["points"]).abs().sum(-1) * weight).mean(),
        "pixels": ((flat - truth["pixels"]).abs().sum(-1) * seen * weight).mean(),
        "betas": shape[:, 1:].mean() + 0.2 * shape[:, 0].mean(),  # a crop does not show the size
        "camera": (camera - wanted).abs().mean()}
    scale = {"rotation": 0.6, "joints": 4.0, "pixels": 2.0, "betas": 0.05, "camera": 0.5}
    return sum(scale[k] * v for k, v in parts.items()), parts


@torch.no_grad()
def see(net: KeypointNet, source: CropSource, rng: np.random.Generator, index: np.ndarray,
        augment: bool = True) -> tuple[Observation, dict[str, Tensor]]:
    """Compose crops and observe them."""
    crops, labels = source.batch(rng, index, net.config.size, augment, EASY)
    return observe(net(to_input(crops))), tensors(labels)


def collect(net: KeypointNet, source: CropSource, count: int, seed: int, augment: bool = True,
            ordered: bool = False) -> tuple[Observation, dict[str, Tensor]]:
    """What the network sees of `count` crops: random ones, or the first in order."""
    rng, rows, net = np.random.default_rng(seed), [], net.eval()
    for start in range(0, count, 64):
        n = min(64, count - start)
        index = np.arange(start, start + n) if ordered else source.draw(rng, n, FRONTAL)
        rows.append(see(net, source, rng, index, augment))
    seen, truth = zip(*rows, strict=False)
    return (Observation(**{k: torch.cat([getattr(s, k) for s in seen]) for k in vars(seen[0])}),
            {k: torch.cat([t[k] for t in truth]) for k in truth[0]})


def mirror(seen: Observation, truth: dict[str, Tensor]) -> tuple[Observation, dict[str, Tensor]]:
    """The mirror image of observations and labels; pooled features have none and are blanked."""
    labels = mirror_labels(Labels(**{k: v.numpy() for k, v in truth.items()}))
    flip = torch.from_numpy(FLIP)
    root = seen.root.view(-1, 3, 2) * flip[:, None] * flip[:2]
    yaw = seen.yaw[:, [0, *range(seen.yaw.shape[1] - 1, 0, -1)]]
    return Observation((seen.points * flip[:2])[:, MIRRORED_KEYPOINTS], seen.confidence[:, MIRRORED_KEYPOINTS],
                       seen.depth[:, MIRRORED_KEYPOINTS], yaw, root.flatten(1),
                       torch.zeros_like(seen.pooled)), tensors(labels)


def train_lifter(lifter: Lifter, regressor: Regressor, body: PointBody, stills: dict[str, Tensor],
                 seen: tuple[Observation, dict[str, Tensor]], options: LiftingTraining,
                 report: Callable[[str], None]) -> None:
    """Both stages, in place."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    network = nn.ModuleList([lifter, regressor]).train()
    with torch.no_grad():
        regressor.init_pose.copy_(sixd_from_matrix(stills["rotations"]).mean(0).reshape(1, -1))
        regressor.init_pose[0, :6] = torch.tensor([1.0, 0, 0, -1, 0, 0])  # upright, facing the camera

    def simulated() -> tuple[Observation, dict[str, Tensor]]:
        return simulate(rng, stills, options.batch, lifter.config.pooled)

    def observed() -> tuple[Observation, dict[str, Tensor]]:
        if rng.random() < options.simulated_share:  # or it forgets the poses that the few crops lack
            return simulated()
        index = torch.from_numpy(rng.integers(len(seen[1]["betas"]), size=options.batch))
        batch = seen[0].map(lambda x: x[index]), {k: v[index] for k, v in seen[1].items()}
        return mirror(*batch) if rng.random() < 0.3 else batch

    for name, draw, minutes in (("simulated", simulated, options.simulated_minutes),
                                ("seen", observed, options.seen_minutes)):
        loop = Loop(network, Schedule(minutes, options.rate, options.decay, rise=50, clip=1.0), report, name)
        while loop.goes_on():
            batch, truth = draw()
            loop.step(*lifting_loss(regressor(lifter(batch)[:, None]), body, truth))
    network.eval()
