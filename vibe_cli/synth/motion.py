"""Motion through a place: pieces of motion capture whose feet stay on the floor, whatever the body's build."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from vibe_cli.geometry.skeleton import joints
from vibe_cli.synth.bodies import SynthBody
from vibe_cli.synth.mocap import AT_REST, FPS
from vibe_cli.synth.poses import PoseBank, mirrored

# Joints that a body stands, kneels, sits, lies or hangs on
SUPPORTS = joints("ankle", "foot", "knee", "wrist", "hand", "pelvis", "head")
LOW = 0.03  # metres above the lowest joint that speak against a joint as much as …
SUDDEN = 0.02  # … metres a frame by which it would change the body's speed
STEADY = 1.5  # frames, the width of the smoothing of the path


def act(rng: np.random.Generator, bank: PoseBank, length: int, fps: float = FPS) -> np.ndarray:
    """(length, 24, 3, 3): a piece of a captured motion, y up, from 0.7 to 1.4 of its speed, perhaps mirrored.

    A motion that is too short is played to its end and back again.
    """
    speed = np.exp(rng.uniform(np.log(0.7), np.log(1.4))) * FPS / fps
    need = (length - 1) * speed + 2
    usable = [clip for clip in bank.clips if len(clip) >= min(need, max(map(len, bank.clips)))]
    share = np.sqrt([len(clip) for clip in usable])
    source = usable[rng.choice(len(usable), p=share / share.sum())]
    at = rng.uniform(0, max(len(source) - need, 0)) + np.arange(length) * speed
    last = len(source) - 1
    at = last - np.abs(at % (2 * last) - last) if last else np.zeros(length)
    low = np.minimum(at.astype(int), max(last - 1, 0))
    part = (at - low)[:, None, None, None]
    u, _, vt = np.linalg.svd((1 - part) * source[low] + part * source[np.minimum(low + 1, last)])
    bias = np.zeros((24, 3))
    bias[1:] = rng.normal(0, rng.choice([0.02, 0.06, 0.1]), (23, 3))
    out = (u @ vt) @ Rotation.from_rotvec(bias).as_matrix()
    out[:, AT_REST] = np.eye(3)
    return mirrored(out) if rng.random() < 0.5 else out


def stand(body: SynthBody, rotations: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """(T, 3): where the pelvis must be so that what the body rests on does not slide, from the origin on.

    One joint carries the body, and its steps over the floor are what moves everything else: a low one, under which
    the body goes on as it went, for a foot that swings past the standing one may be as low. The feet are where the
    body's own legs put them (shape (11,)), so no motion has to be scaled. Heights are left at 0.
    """
    points = np.stack([body.pose(pose, shape)[2][SUPPORTS] for pose in rotations])
    steps = (points[:-1] - points[1:]) * [1, 0, 1]  # (T − 1, S, 3) of the pelvis, if that joint stood still
    height = (points[..., 1] - points[..., 1].min(axis=1, keepdims=True))[1:]
    path = np.zeros((len(points), 3))
    going = (
        np.median([step[low.argmin()] for step, low in zip(steps[:9], height[:9], strict=True)], axis=0)
        if len(steps)
        else np.zeros(3)
    )
    for t, (step, low) in enumerate(zip(steps, height, strict=True)):
        going = step[(low / LOW + np.linalg.norm(step - going, axis=1) / SUDDEN).argmin()]
        path[t + 1] = path[t] + going
    return gaussian_filter1d(path, STEADY, axis=0, mode="nearest") if len(path) > 1 else path
