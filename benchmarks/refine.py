"""What the fit to keypoints costs and gains: seconds as ratios, and errors on motion capture where that is given.

usage: python benchmarks/refine.py [MOCAP.npz]

The cost is that of 1,500 frames, beside 100 steps of gradient descent on the same frames, which is what the fit was
before it was L-BFGS. MOCAP.npz is the recipe's work/mocap.npz: of its held-out motions, 60 frames each from any side
are given errors that are smooth in time, and keypoints that are exact, or off by a share of the crop's side, half of
that smooth in time and half not.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from vibe_cli.body.body_models import Body, load_body
from vibe_cli.body.joint_regressor import Landmarks
from vibe_cli.evaluation.metrics import centre_on_pelvis
from vibe_cli.geometry.rotations import matrix_from_axis_angle
from vibe_cli.geometry.skeleton import EVALUATION_14
from vibe_cli.motion.refine import refine_person
from vibe_cli.motion.smplify import FitOptions
from vibe_cli.results import Person
from vibe_cli.synth.mocap import read_clips
from vibe_cli.synth.poses import HOLD_OUT_EVERY, view

FRAMES, STEPS = 1500, 100


def smooth(rng: np.random.Generator, frames: int, shape: tuple[int, ...], step: int = 15) -> np.ndarray:
    """Noise of unit deviation that changes over `step` frames, (frames, *shape)."""
    knots, at = rng.normal(size=(frames // step + 3, *shape)), np.arange(frames) / step
    low = at.astype(int)
    part = ((1 - np.cos(np.pi * (at - low))) / 2).reshape(-1, *[1] * len(shape))
    return ((1 - part) * knots[low] + part * knots[low + 1]) / np.sqrt((1 - part) ** 2 + part**2)


def joints(person: Person, landmarks: Landmarks) -> np.ndarray:
    """(T, 49, 3) metres."""
    rotations = matrix_from_axis_angle(torch.from_numpy(person.pose).double())
    return landmarks.joints49(rotations, torch.from_numpy(person.betas).double()).numpy()


def pixels(person: Person, landmarks: Landmarks) -> np.ndarray:
    """The joints in pixels, (T, 49, 2)."""
    flat = person.camera[:, None, :1] * (joints(person, landmarks)[..., :2] + person.camera[:, None, 1:])
    return person.boxes[:, None, :2] + flat * person.boxes[:, None, 2:] / 2


def spoil(right: Person, landmarks: Landmarks, rng: np.random.Generator, degrees: float, noise: float) -> Person:
    """A motion as regressed with errors of `degrees` a joint, and its keypoints off by `noise` of the crop's side."""
    count = len(right)
    error = smooth(rng, count, (24, 3)) * np.radians(degrees) / np.sqrt(3)
    error[:, [10, 11, 22, 23]] = 0
    pose = Rotation.from_rotvec(right.pose.reshape(-1, 3).astype(float)) * Rotation.from_rotvec(error.reshape(-1, 3))
    off = (smooth(rng, count, (49, 2), 4) + rng.normal(size=(count, 49, 2))) * np.sqrt(0.5) * noise * 200
    points = np.concatenate([pixels(right, landmarks) + off, np.ones((count, 49, 1))], axis=-1)
    return replace(right, pose=pose.as_rotvec().reshape(count, 24, 3), betas=np.zeros(10), keypoints=points)


def motions(path: Path, count: int, length: int = 60) -> list[Person]:
    """Pieces of held-out motions, each with a body and a view of its own."""
    rng, found = np.random.default_rng(5), []
    held = [c.rotations for i, c in enumerate(read_clips(path)) if i % HOLD_OUT_EVERY == 3]
    clips = [clip for clip in held if len(clip) > length]
    for number in range(count):
        clip = clips[number % len(clips)]
        first = rng.integers(len(clip) - length + 1)
        rotations = clip[first : first + length].astype(float)
        rotations[:, 0] = view(rng) @ rotations[:, 0]
        pose = Rotation.from_matrix(rotations.reshape(-1, 3, 3)).as_rotvec().reshape(length, 24, 3)
        boxes, camera = np.tile([320.0, 240, 200, 200], (length, 1)), np.tile([0.85, 0, 0], (length, 1))
        found.append(
            Person(1, np.arange(length), boxes, pose, rng.normal(0, 0.7, 10), camera, np.ones(length), np.zeros(length))
        )
    return found


def cost(body: Body) -> None:
    """Print what 1,500 frames cost."""
    rng = np.random.default_rng(0)
    pose = smooth(rng, FRAMES, (24, 3)) * 0.2
    person = Person(
        1,
        np.arange(FRAMES),
        np.tile([320.0, 240, 200, 200], (FRAMES, 1)),
        pose,
        np.zeros(10),
        np.tile([0.85, 0, 0], (FRAMES, 1)),
        np.ones(FRAMES),
        np.zeros(FRAMES),
    )
    start = spoil(person, Landmarks(body), rng, 12, 0.03)
    begin = time.process_time()
    refine_person(start, body)
    fit = time.process_time() - begin
    descent = descend(start, body)
    print(
        f"{FRAMES} frames: the fit takes {fit / descent:.2f} of the time of {STEPS} steps of gradient descent "
        f"({fit:.1f} s and {descent:.1f} s of CPU here)"
    )


def descend(person: Person, body: Body) -> float:
    """Seconds of CPU of plain gradient descent on the 24 joints' places in the image."""
    from vibe_cli.body.body_models import pose_joints
    from vibe_cli.geometry.skeleton import JOINTS_49, PARENTS
    from vibe_cli.networks.lifter import fit_camera

    names = (1, 2, 4, 5, 7, 8, 12, 16, 17, 18, 19, 20, 21)
    wanted = torch.from_numpy(person.keypoints[:, [JOINTS_49.index(j) for j in names], :2] / 100).double()
    start = matrix_from_axis_angle(torch.from_numpy(person.pose).double())
    rest = body.rest_joints(torch.zeros(1, 10)).double().expand(len(person), -1, -1)
    turns = torch.zeros(len(person), 24, 3, dtype=torch.float64, requires_grad=True)
    optimiser, begin = torch.optim.SGD([turns], lr=0.001, momentum=0.9, nesterov=True), time.process_time()
    for _ in range(STEPS):
        optimiser.zero_grad()
        flat = pose_joints(start @ matrix_from_axis_angle(turns), rest, PARENTS)[1][:, list(names), :2]
        camera = fit_camera(flat, wanted, torch.ones_like(wanted[..., 0]))
        error = (camera[:, None, :1] * (flat + camera[:, None, 1:]) - wanted).norm(dim=-1)
        loss = torch.nn.functional.huber_loss(error, torch.zeros_like(error), reduction="sum", delta=0.05)
        (loss + (turns**2).sum() + (turns.diff(dim=0) ** 2).sum()).backward()
        optimiser.step()
    return time.process_time() - begin


def gain(body: Body, path: Path, count: int = 14) -> None:
    """Print errors in 3D and 2D before and after, by how far the start and the keypoints are off."""
    landmarks = Landmarks(body)
    print("degrees  noise   MPJPE, mm        frames better   pixels of a 200-pixel crop   frames worse in 2D")
    for degrees, noise in ((12, 0), (5, 0), (12, 0.03), (12, 0.06)):
        rng, rows = np.random.default_rng(1), []
        for right in motions(path, count):
            start = spoil(right, landmarks, rng, degrees, noise)
            fitted = refine_person(start, body, FitOptions())
            truth = centre_on_pelvis(joints(right, landmarks)[:, EVALUATION_14])
            rows.append(
                [
                    [
                        1000
                        * np.linalg.norm(
                            centre_on_pelvis(joints(p, landmarks)[:, EVALUATION_14]) - truth, axis=-1
                        ).mean(1),
                        np.linalg.norm(pixels(p, landmarks) - p.keypoints[..., :2], axis=-1).mean(1),
                    ]
                    for p in (start, fitted)
                ]
            )
        (mm, px), (fitted_mm, fitted_px) = np.concatenate(rows, axis=-1)
        print(
            f"{degrees:7}  {noise:5}   {mm.mean():5.1f} → {fitted_mm.mean():5.1f}    {(fitted_mm < mm).mean():10.1%}"
            f"      {px.mean():6.2f} → {fitted_px.mean():5.2f}      {(fitted_px > px + 1e-4).sum():15}"
        )


if __name__ == "__main__":
    shared = load_body()
    cost(shared)
    if len(sys.argv) > 1:
        gain(shared, Path(sys.argv[1]))
