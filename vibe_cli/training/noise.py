"""How keypoints err: of our own network, and of what users bring, as numbers that a simulation draws from.

The lifter and the temporal networks see more of these than of pictures. Errors are relative to the crop for our
network, whose map has cells, and to the person for keypoints of elsewhere, whose crops nobody knows.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from vibe_cli.geometry.rotations import matrix_from_axis_angle, sixd_from_matrix
from vibe_cli.geometry.skeleton import JOINT, JOINTS_49
from vibe_cli.networks.keypoints import YAW_BINS
from vibe_cli.networks.lifter import KeypointPrediction, points_alone
from vibe_cli.networks.rotation_tta import LEAN_RAD, turned
from vibe_cli.networks.skeleton import COUNT, KEYPOINTS_OF_54, MIRRORED_KEYPOINTS
from vibe_cli.people.keypoint_files import LAYOUTS
from vibe_cli.training.keypoint_loss import yaw_target

LIMBS = [JOINT[f"{side}_{name}"] for name in ("shoulder", "elbow", "wrist", "knee", "ankle") for side in "lr"]
# What users bring: the layouts that we read, all of the 49 joints, or the twelve of the limbs alone
SUBSETS = [*LAYOUTS.values(), JOINTS_49, [*LIMBS, JOINT["l_hip_lsp"], JOINT["r_hip_lsp"]]]

# (len(SUBSETS), K) bool: which of our keypoints each of them has
SUBSET_MASKS = torch.tensor([[joint in subset for joint in KEYPOINTS_OF_54] for subset in SUBSETS])


@dataclass(frozen=True)
class OwnNoise:
    """Errors of our keypoint network; lengths in half sides of the crop, depths in metres."""

    spread: tuple[float, float] = (-4.2, -1.7)  # logarithm of a crop's standard deviation, uniform between
    uneven: float = 0.5  # logarithm of a point's over the crop's, standard deviation
    outliers: float = 0.05  # share of the points that are found at another's place
    depth: tuple[float, float] = (0.03, 1.5)  # standard deviation: at least, and so much more for each unit of spread
    blind: float = 0.4  # share of the people who are badly seen,
    missing: tuple[float, float] = (0.03, 0.35)  # and share of the points that are missed of others, and of them
    cut: float = 0.2  # share of the people whose lower half is not in the picture
    facing_rad: float = 0.4  # standard deviation of the root's rotation, where it is least sure


@dataclass(frozen=True)
class GivenNoise:
    """Errors of keypoints from elsewhere; lengths over the person's larger side."""

    spread: tuple[float, float] = (-5.2, -2.9)  # as above: 0.5% to 5%
    uneven: float = 0.5
    definition: float = 0.012  # how far a program's idea of a joint lies from ours, standard deviation
    outliers: float = 0.02
    missing: tuple[float, float] = (0.01, 0.2)
    blind: float = 0.3
    cut: float = 0.08
    exchanged: float = 0.04  # share of the people seen with left and right exchanged
    certain: float = 0.4  # share of the sources that are always sure


GIVEN_SHARE = 0.4  # of the simulated people


def predictions(truth: dict[str, Tensor], pooled: int, length: int = 1) -> KeypointPrediction:
    """Simulated predictions for N frames of labels; how well people are seen is one throw for each `length`.

    A lifter without `pooled` features is shown keypoints of elsewhere for a share of the clips.
    """
    own = own_predictions(truth, pooled, length)
    if pooled:
        return own
    given = given_predictions(truth, length)
    chosen = _throw(len(truth["betas"]), length)[:, 0] < GIVEN_SHARE
    return _where(chosen, given, own)


def own_predictions(
    truth: dict[str, Tensor], pooled: int, length: int = 1, noise: OwnNoise | None = None
) -> KeypointPrediction:
    """Simulated predictions of our network for N frames."""
    noise, frames = noise or OwnNoise(), len(truth["betas"])
    pixels = truth["pixels"]
    sigma = torch.exp(_between(frames, length, noise.spread))[..., None]
    points = _shaken(pixels, sigma, noise.uneven, noise.outliers)
    deviation = noise.depth[0] + sigma[..., 0] * noise.depth[1]
    depth = truth["points"][..., 2] + torch.randn(frames, COUNT) * deviation
    confidence = torch.exp(0.35 - sigma[..., 0] * 4 + torch.randn(frames, COUNT) * 0.3).clamp(0, 1)
    missed = _missed(pixels, length, noise)
    sure = _throw(frames, length)
    yaw = yaw_target(_stood_up(truth["rotations"][:, 0])) * sure + (1 - sure) / YAW_BINS
    lasting = torch.randn(frames // length, 3).repeat_interleave(length, 0)
    off = (lasting + torch.randn(frames, 3)) * noise.facing_rad * (1.1 - sure)
    root = sixd_from_matrix(truth["rotations"][:, 0] @ matrix_from_axis_angle(off))
    return KeypointPrediction(
        points,
        confidence.masked_fill(missed, 0),
        depth,
        yaw,
        root * torch.exp(1 + 0.6 * torch.randn(frames, 1)),
        torch.zeros(frames, pooled),
        torch.ones(frames),
    )


def given_predictions(truth: dict[str, Tensor], length: int = 1, noise: GivenNoise | None = None) -> KeypointPrediction:
    """Simulated keypoints of another program for N frames: points of its layout alone."""
    noise, frames = noise or GivenNoise(), len(truth["betas"])
    pixels, clips = truth["pixels"], frames // length
    size = (pixels.amax(1) - pixels.amin(1)).amax(1)[:, None, None]
    sigma = torch.exp(_between(frames, length, noise.spread))[..., None]
    definition = torch.randn(clips, COUNT, 2).repeat_interleave(length, 0) * noise.definition
    points = _shaken(pixels + definition * size, sigma * size, noise.uneven, noise.outliers)
    confidence = (1 - 6 * sigma[..., 0] * torch.rand(frames, 1) + torch.randn(frames, COUNT) * 0.1).clamp(0.05, 1)
    confidence = torch.where(_throw(frames, length) < noise.certain, 1.0, confidence)
    told = SUBSET_MASKS[torch.randint(len(SUBSETS), (clips,)).repeat_interleave(length)]
    confidence = confidence.masked_fill(~told | _missed(pixels, length, noise), 0)
    exchanged = _throw(frames, length)[:, 0] < noise.exchanged
    order = torch.where(exchanged[:, None], torch.tensor(MIRRORED_KEYPOINTS), torch.arange(COUNT))
    confidence, points = confidence.gather(1, order), points.gather(1, order[..., None].expand(-1, -1, 2))
    return points_alone(points, confidence)


def subsets_of(seen: KeypointPrediction, share: float, length: int = 1) -> KeypointPrediction:
    """The same, of a share of the clips with the points of one of `SUBSETS` alone, as from elsewhere."""
    count = len(seen.points)
    told = SUBSET_MASKS[torch.randint(len(SUBSETS), (count // length,)).repeat_interleave(length)]
    bare = replace(points_alone(seen.points, seen.confidence * told), pooled=torch.zeros_like(seen.pooled))
    return _where(_throw(count, length)[:, 0] < share, bare, seen)


def _where(chosen: Tensor, one: KeypointPrediction, other: KeypointPrediction) -> KeypointPrediction:
    """Rows (N,) of one prediction where they are chosen, else of the other."""

    def pick(name: str) -> Tensor:
        a, b = getattr(one, name), getattr(other, name)
        return torch.where(chosen.view(-1, *[1] * (a.ndim - 1)), a, b)

    return KeypointPrediction(**{field.name: pick(field.name) for field in fields(KeypointPrediction)})


def _throw(frames: int, length: int) -> Tensor:
    """(frames, 1) between 0 and 1, the same for `length` frames in a row."""
    return torch.rand(frames // length, 1).repeat_interleave(length, 0)


def _between(frames: int, length: int, ends: tuple[float, float]) -> Tensor:
    return ends[0] + _throw(frames, length) * (ends[1] - ends[0])


def _shaken(pixels: Tensor, sigma: Tensor, uneven: float, outliers: float) -> Tensor:
    """Points (N, K, 2) with noise of standard deviation (N, 1, 1), some of them at another's place."""
    frames = len(pixels)
    points = pixels + torch.randn(frames, COUNT, 2) * sigma * torch.exp(torch.randn(frames, COUNT, 1) * uneven)
    elsewhere = pixels[:, torch.randperm(COUNT)] + 0.1 * torch.randn_like(points)
    return torch.where(torch.rand(frames, COUNT, 1) < outliers, elsewhere, points)


def _missed(pixels: Tensor, length: int, noise: OwnNoise | GivenNoise) -> Tensor:
    """(N, K) bool: missed here and there, or below where the picture ends."""
    frames = len(pixels)
    blind = _throw(frames, length) < noise.blind
    missing = torch.rand(frames, COUNT) < torch.where(blind, noise.missing[1], noise.missing[0])
    middle = pixels[..., 1].median(1, keepdim=True).values + torch.randn(frames, 1) * 0.2
    return missing | ((_throw(frames, length) < noise.cut) & (pixels[..., 1] > middle))


def _stood_up(root: Tensor) -> Tensor:
    """Root rotations (N, 3, 3) of people whose crop is turned until they stand, where they lean that much."""
    lean = torch.atan2(root[:, 0, 1], -root[:, 1, 1])
    lean = torch.where(lean.abs() > LEAN_RAD, lean, 0)[:, None]
    return torch.stack([*turned(root[:, 0], root[:, 1], -lean), root[:, 2]], 1)
