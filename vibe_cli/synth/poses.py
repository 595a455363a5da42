"""Poses to draw: motion capture, mixed, mirrored and perturbed, and wide random ones that nobody captured."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from vibe_cli.geometry.skeleton import JOINT, joints
from vibe_cli.networks.skeleton import MIRRORED_JOINTS
from vibe_cli.synth.mocap import AT_REST, Clip

UPPER = joints("spine1", "spine2", "spine3", "neck", "collar", "head", "shoulder", "elbow", "wrist")
LEGS = joints("hip", "knee", "ankle")
LIMBS = joints("hip", "knee", "shoulder", "elbow")
HIPS, SHOULDERS = joints("hip"), joints("shoulder")
MIRROR = np.diag([-1.0, 1, 1])
IMAGE_FROM_WORLD = np.diag([1.0, -1, -1])  # y up, facing +z → y down, facing the camera
HOLD_OUT_EVERY = 8
TUMBLED = 0.04  # share of the people who are seen from anywhere: they lie, hang or turn over


class PoseBank:
    """Motion-capture clips to sample from; every eighth motion is held out for validation."""

    def __init__(self, clips: list[Clip], held_out: bool = False) -> None:
        self.clips = [c.rotations for i, c in enumerate(clips) if (i % HOLD_OUT_EVERY == 3) == held_out]
        self.poses = np.concatenate(self.clips)
        self.weights = _novelty(self.poses)

    def pose(self, rng: np.random.Generator) -> np.ndarray:
        """(24, 3, 3): one pose, as captured, mixed of two, or partly random; root upright as captured."""
        kind, pose = rng.random(), self._any(rng)
        if kind < 0.25:
            pose[UPPER] = self._any(rng)[UPPER]
        elif kind < 0.55:
            wide, part = random_pose(rng), rng.random()
            joints = slice(1, None) if part < 0.5 else UPPER if part < 0.75 else LEGS
            pose[joints] = wide[joints]
        noise = np.zeros((24, 3))
        noise[1:] = rng.normal(0, rng.choice([0.03, 0.1, 0.2]), (23, 3))
        pose = pose @ Rotation.from_rotvec(noise).as_matrix()
        pose[AT_REST] = np.eye(3)
        return mirrored(pose) if rng.random() < 0.5 else pose

    def clip(self, rng: np.random.Generator, length: int) -> np.ndarray:
        """(length, 24, 3, 3): a piece of a motion, played at 0.6 to 1.6 of its speed, perhaps mirrored."""
        speed = np.exp(rng.uniform(np.log(0.6), np.log(1.6)))
        need = int(np.ceil((length - 1) * speed)) + 2
        usable = [c for c in self.clips if len(c) >= need] or [to_and_fro(c, need) for c in self.clips]
        source = usable[rng.choice(len(usable), p=_share([np.sqrt(len(c)) for c in usable]))]
        start = rng.integers(len(source) - need + 1)
        piece = source[start : start + need].astype(float)
        at = np.arange(length) * speed
        low, part = at.astype(int), (at % 1)[:, None, None, None]
        blend = (1 - part) * piece[low] + part * piece[low + 1]
        u, _, vt = np.linalg.svd(blend)
        bias = np.zeros((24, 3))
        bias[1:] = rng.normal(0, rng.choice([0.02, 0.08, 0.15]), (23, 3))
        out = (u @ vt) @ Rotation.from_rotvec(bias).as_matrix()
        out[:, AT_REST] = np.eye(3)
        return mirrored(out) if rng.random() < 0.5 else out

    def _any(self, rng: np.random.Generator) -> np.ndarray:
        return self.poses[np.searchsorted(self.weights, rng.random())].astype(float)


def to_and_fro(motion: np.ndarray, length: int) -> np.ndarray:
    """`length` frames of a motion (T, …) that is played forwards and backwards in turn."""
    last = len(motion) - 1
    return motion[last - np.abs(np.arange(length) % max(1, 2 * last) - last)]


def _share(weights: list) -> np.ndarray:
    return np.asarray(weights, float) / np.sum(weights)


def _novelty(poses: np.ndarray) -> np.ndarray:
    """(n,) cumulative sampling weights that keep standing and walking from drowning the rest."""
    flat = poses[:, LIMBS, :, :2].reshape(len(poses), -1)
    mean = flat.mean(axis=0)
    distance = np.linalg.norm(flat - mean, axis=1)
    weight = 0.3 + (distance / max(distance.mean(), 1e-9)) ** 2
    return np.cumsum(weight) / weight.sum()


def mirrored(rotations: np.ndarray) -> np.ndarray:
    """(…, 24, 3, 3) → the mirror image of the pose: left and right exchanged."""
    return MIRROR @ rotations[..., MIRRORED_JOINTS, :, :] @ MIRROR


def random_pose(rng: np.random.Generator) -> np.ndarray:
    """(24, 3, 3) within loose joint limits: legs that step, kick or sit, arms in any direction."""
    angles, hips, arms = np.zeros((24, 3)), [], []
    sitting = rng.random() < 0.3
    for side, knee, ankle in zip((1, -1), joints("knee"), joints("ankle"), strict=True):
        flexion = rng.uniform(-1.9, -1.1) if sitting else rng.uniform(-1.9, 0.4)
        turn = rng.normal(0, 0.3)
        hips.append([turn, flexion, side * rng.uniform(-0.25, 0.9)])
        angles[knee] = [rng.uniform(0, 2.3) * (rng.random() < 0.85), 0, 0]
        angles[ankle] = rng.normal(0, 0.25, 3)
    for spine in joints("spine1", "spine2", "spine3"):
        angles[spine] = [rng.normal(0.1, 0.15), rng.normal(0, 0.15), rng.normal(0, 0.12)]
    angles[JOINT["neck"]], angles[JOINT["head"]] = rng.normal(0, 0.2, 3), rng.normal(0, 0.25, 3)
    arm = (joints("collar"), joints("elbow"), joints("wrist"))
    for side, collar, elbow, wrist in zip((1, -1), *arm, strict=True):
        arms.append([_somewhere(rng, side), [rng.uniform(-1.2, 1.2), 0, 0]])
        angles[elbow] = [0, -side * rng.uniform(0, 2.4) * (rng.random() < 0.8), 0] + rng.normal(0, 0.1, 3)
        angles[wrist], angles[collar] = rng.normal(0, 0.25, 3), rng.normal(0, 0.1, 3)
    angles[HIPS] = Rotation.from_euler("YXZ", hips).as_rotvec()
    directions, rolls = np.swapaxes(np.array(arms), 0, 1)
    angles[SHOULDERS] = (_arms_towards(directions) * Rotation.from_rotvec(rolls)).as_rotvec()
    if rng.random() < 0.3:  # both arms alike, which few captured motions show: raised, spread, folded
        left, right = np.transpose([joints("shoulder"), joints("elbow")])
        angles[left] = angles[right] * [1, -1, -1]
    return Rotation.from_rotvec(angles).as_matrix()


def _somewhere(rng: np.random.Generator, side: int) -> np.ndarray:
    """(3,) a direction that an arm may point in: most often outwards, often down."""
    direction = rng.normal(size=3)
    if rng.random() < 0.12:  # overhead
        direction = rng.normal(size=3) * 0.35 + [0, 1, 0]
    elif rng.random() < 0.75:
        direction[0] = abs(direction[0]) * side
        if rng.random() < 0.5:
            direction[1] = -abs(direction[1])
    return direction / np.linalg.norm(direction)


def _arms_towards(directions: np.ndarray) -> Rotation:
    """The shortest turns of the left and the right arm, which are spread at rest, into two directions (2, 3)."""
    rest = np.array([[1.0, 0, 0], [-1, 0, 0]])
    axis = np.cross(rest, directions)
    length = np.linalg.norm(axis, axis=1, keepdims=True) + 1e-9
    return Rotation.from_rotvec(axis / length * np.arctan2(length, (rest * directions).sum(axis=1, keepdims=True)))


def view(rng: np.random.Generator, tumbled: float = TUMBLED) -> np.ndarray:
    """(3, 3) that takes a root rotation from y-up world axes to the camera's.

    Yaw is uniform; pitch and roll are small, and with probability `tumbled` it is any orientation at all.
    """
    yaw, kind, fallen = rng.uniform(0, 2 * np.pi), rng.random(), None
    if kind < 0.15:
        fallen = Rotation.from_rotvec(rng.normal(0, 0.6, 3))
    elif kind < 0.15 + tumbled:
        fallen = Rotation.random(random_state=int(rng.integers(1 << 31)))
    camera = [rng.normal(0.08, 0.2), rng.normal(0, 0.08)]
    if fallen is None:
        turn = Rotation.from_euler("yxz", [yaw, *camera])
    else:
        turn = Rotation.from_euler("xz", camera) * fallen * Rotation.from_euler("y", yaw)
    return IMAGE_FROM_WORLD @ turn.as_matrix()
