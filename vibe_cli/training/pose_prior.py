"""Fit the shipped pose prior to motion capture: a Gaussian mixture in which left and right count alike.

    python -m vibe_cli.training.pose_prior work/mocap.npz models/open-pose-prior

`mocap.npz` is what the recipe leaves in its work folder; without it: --mocap. Takes a minute or two.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vibe_cli.geometry.rotations import axis_angle_from_matrix, matrix_from_axis_angle, project_to_rotation
from vibe_cli.geometry.skeleton import JOINT
from vibe_cli.motion.pose_prior import JOINTS, SIZE, PosePrior
from vibe_cli.networks.skeleton import MIRRORED_JOINTS
from vibe_cli.synth.mocap import Clip
from vibe_cli.synth.poses import HOLD_OUT_EVERY, mirrored, random_pose
from vibe_cli.zoo.writer import write_model

# Joints whose turn from the mean the capture gets wrong at times, and the most that is believed, radians.
LIMITS = {JOINT["l_ankle"]: 1.6, JOINT["r_ankle"]: 1.6, JOINT["l_wrist"]: 2.2, JOINT["r_wrist"]: 2.2}


@dataclass(frozen=True)
class PriorTraining:
    """How the mixture is fitted."""

    pairs: int = 8  # components fitted; each also counts mirrored
    rounds: int = 40  # of expectation maximisation
    floor: float = 0.05  # radians: the least standard deviation in any direction
    shrink: float = 0.1  # of a covariance towards the whole set's
    broad: float = 0.1  # weight of a component that is the whole set, twice as wide
    seed: int = 0


def split_clips(clips: list[Clip], mean_rotations: np.ndarray) -> tuple[Tensor, Tensor]:
    """Pose vectors of the motions for training and of those held out, (N, D) each; impossible frames are left out."""
    rotations = [
        np.concatenate([c.rotations for i, c in enumerate(clips) if (i % HOLD_OUT_EVERY == 3) == held])
        for held in (False, True)
    ]
    training, held_out = (_vectors(part, mean_rotations) for part in rotations)
    return training, held_out


def mean_rotations_of(clips: list[Clip]) -> np.ndarray:
    """(24, 3, 3): the mean of each joint over the motions for training and their mirror images; the root at rest."""
    poses = np.concatenate([c.rotations for i, c in enumerate(clips) if i % HOLD_OUT_EVERY != 3]).astype(float)
    means = project_to_rotation(torch.from_numpy(poses.mean(0) + mirrored(poses.mean(0)))).numpy()
    means[0] = np.eye(3)
    return means


def mirror_matrix() -> Tensor:
    """(D, D) that takes a pose vector to the mirrored pose's: joints exchanged, y and z of each vector turned."""
    order = [JOINTS.index(MIRRORED_JOINTS[joint]) for joint in JOINTS]
    signs = torch.tensor([1.0, -1, -1], dtype=torch.float64).diag()
    return torch.kron(torch.eye(len(JOINTS), dtype=torch.float64)[order], signs)


def fit_mixture(vectors: Tensor, options: PriorTraining) -> dict[str, Tensor]:
    """Expectation maximisation over poses (N, D) and their mirror images → tensors of a PosePrior, less the means.

    Components come in pairs, one the mirror image of the other, so a pose and its mirror image are equally likely.
    Covariances are shrunk towards the whole set's and have a floor; one broad component of fixed weight keeps a
    pose unlike all others from being punished without limit.
    """
    mirror = mirror_matrix()
    data = torch.cat([vectors, vectors @ mirror.T])
    whole = data.T @ data / len(data)  # the mean of the symmetric set is nearly zero
    floor = options.floor**2 * torch.eye(SIZE, dtype=torch.float64)
    generator = torch.Generator().manual_seed(options.seed)
    means = vectors[_spread(vectors, options.pairs, generator)]
    covariances = (whole / 4 + floor).repeat(options.pairs, 1, 1)
    weights = torch.full((options.pairs,), (1 - options.broad) / options.pairs / 2, dtype=torch.float64)
    for _ in range(options.rounds):
        model = _assemble(means, covariances, weights, 4 * whole + floor, options.broad)
        share = PosePrior({**model, "mean_rotations": torch.eye(3).expand(24, 3, 3)})._logs(data).softmax(-1)
        share = share[:, : options.pairs]
        total = share.sum(0)
        means = share.T @ data / total[:, None]
        weights = total / len(data)  # a component and its mirror image share alike, by symmetry
        for k in range(options.pairs):
            centred = data - means[k]
            spread = (centred * share[:, k, None]).T @ centred / total[k]
            covariances[k] = (1 - options.shrink) * spread + options.shrink * whole + floor
        weights = weights / weights.sum() * (1 - options.broad) / 2
    return _assemble(means, covariances, weights, 4 * whole + floor, options.broad)


def _assemble(means: Tensor, covariances: Tensor, weights: Tensor, broad: Tensor, share: float) -> dict[str, Tensor]:
    """The tensors of a mixture: the pairs' first halves, their mirror images, and the broad component."""
    mirror = mirror_matrix()
    all_covariances = torch.cat([covariances, mirror @ covariances @ mirror.T, broad[None]])
    return {
        "means": torch.cat([means, means @ mirror.T, torch.zeros(1, SIZE, dtype=torch.float64)]),
        "factors": torch.linalg.cholesky(torch.linalg.inv(all_covariances)),
        "log_weights": torch.cat([weights, weights, weights.new_tensor([share])]).log(),
    }


def _spread(vectors: Tensor, count: int, generator: torch.Generator) -> list[int]:
    """Rows far from one another: k-means++ (Arthur and Vassilvitskii 2007)."""
    chosen = [int(torch.randint(len(vectors), (1,), generator=generator))]
    distance = (vectors - vectors[chosen[0]]).square().sum(1)
    while len(chosen) < count:
        chosen.append(int(torch.multinomial(distance, 1, generator=generator)))
        distance = torch.minimum(distance, (vectors - vectors[chosen[-1]]).square().sum(1))
    return chosen


def _vectors(rotations: np.ndarray, means: np.ndarray) -> Tensor:
    joints = list(JOINTS)
    relative = torch.from_numpy(means[joints]).mT @ torch.from_numpy(rotations[:, joints].astype(float))
    vectors = axis_angle_from_matrix(relative)
    believed = torch.stack([vectors[:, JOINTS.index(joint)].norm(dim=-1) < limit for joint, limit in LIMITS.items()])
    return vectors[believed.all(0)].flatten(1)


def measure(prior: PosePrior, training: Tensor, held_out: Tensor, seed: int = 0) -> dict[str, float]:
    """Mean negative log likelihoods (nats) that the card states; poses are wide random ones, or have noise of 0.3."""
    rng, mirror = np.random.default_rng(seed), mirror_matrix()
    both = torch.cat([training, training @ mirror.T])
    covariance = both.T @ both / len(both) + 0.04**2 * torch.eye(SIZE, dtype=torch.float64)
    single = PosePrior(
        {
            "mean_rotations": prior.mean_rotations,
            "means": both.mean(0)[None],
            "factors": torch.linalg.cholesky(torch.linalg.inv(covariance))[None],
            "log_weights": torch.zeros(1),
        }
    )
    wide = prior.vectors(torch.from_numpy(np.stack([random_pose(rng) for _ in range(2000)])))
    noise = torch.from_numpy(rng.normal(0, 0.3, (len(held_out), len(JOINTS), 3)))
    turned = matrix_from_axis_angle(held_out.unflatten(1, (-1, 3))) @ matrix_from_axis_angle(noise)
    noisy = axis_angle_from_matrix(turned).flatten(1)
    poses = {
        "training": training,
        "held out": held_out,
        "held out, mirrored": held_out @ mirror.T,
        "held out, joints turned by noise": noisy,
        "random": wide,
        "mean pose": torch.zeros(1, SIZE, dtype=torch.float64),
    }
    found = {name: float(prior(value).mean()) for name, value in poses.items()}
    return found | {
        "held out, single Gaussian": float(single(held_out).mean()),
        "noisy, single Gaussian": float(single(noisy).mean()),
    }


def make_prior(clips: list[Clip], folder: Path, options: PriorTraining | None = None) -> dict[str, float]:
    """Fit the prior, write its folder's weights and configuration, and return what the card states."""
    means = mean_rotations_of(clips)
    training, held_out = split_clips(clips, means)
    tensors = fit_mixture(training, options or PriorTraining()) | {"mean_rotations": torch.from_numpy(means)}
    tensors = {name: value.float() for name, value in tensors.items()}
    write_model(folder, {"task": "prior", "made_by": "python -m vibe_cli.training.pose_prior"}, tensors)
    return measure(PosePrior(tensors), training, held_out)


def main() -> None:
    """The command line."""
    from vibe_cli.synth.mocap import read_clips, read_mocap

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, help="mocap.npz of the recipe, or a folder or .tar of motion capture")
    parser.add_argument("out", type=Path, help="the model's folder")
    options = parser.parse_args()
    clips = read_clips(options.clips) if options.clips.suffix == ".npz" else read_mocap(options.clips)
    for name, value in make_prior(clips, options.out).items():
        sys.stdout.write(f"{name:35} {value:8.2f}\n")


if __name__ == "__main__":
    main()
