"""Read motion capture as clips of SMPL rotations: CMU's ASF/AMC and a BVH re-rigging of it, AMASS .npz.

A clip is (T, 24, 3, 3) float32: rotations relative to the parent, SMPL's joint order and T-pose, y up; toes and
fingers are left at rest. The AMC skeleton's axes are known; those of the BVH rig are not documented, so they are
solved from motions that exist in both sets: one rotation of the world and one offset a joint.
CMU's data is free for any use (mocap.cs.cmu.edu); it is read from where the user has it and never shipped.
"""

from __future__ import annotations

import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from scipy.spatial.transform import Rotation

from vibe_cli.errors import InputError
from vibe_cli.geometry.skeleton import PARENTS, joints
from vibe_cli.synth.open_body import rotation_between

FPS = 30
AMC_FPS = 120
AMC_BONES = [
    "root",
    "lfemur",
    "rfemur",
    "lowerback",
    "ltibia",
    "rtibia",
    "upperback",
    "lfoot",
    "rfoot",
    "thorax",
    "lfoot",
    "rfoot",
    "lowerneck",
    "lclavicle",
    "rclavicle",
    "head",
    "lhumerus",
    "rhumerus",
    "lradius",
    "rradius",
    "lhand",
    "rhand",
    "lhand",
    "rhand",
]
LEG_DIRECTION = {
    1: "lfemur",
    2: "rfemur",
    4: "ltibia",
    5: "rtibia",
    7: "ltibia",
    8: "rtibia",
    10: "ltibia",
    11: "rtibia",
}  # the ASF rest pose stands astride; SMPL's legs hang straight down
BVH_JOINTS = [
    "Hip",
    "L_Thigh",
    "R_Thigh",
    "Waist",
    "L_Calf",
    "R_Calf",
    "Spine01",
    "L_Foot",
    "R_Foot",
    "Spine02",
    "L_Foot",
    "R_Foot",
    "NeckTwist01",
    "L_Clavicle",
    "R_Clavicle",
    "Head",
    "L_Upperarm",
    "R_Upperarm",
    "L_Forearm",
    "R_Forearm",
    "L_Hand",
    "R_Hand",
    "L_Hand",
    "R_Hand",
]
AMASS_FILES = ("_poses.npz", "_stageii.npz")  # of SMPL+H and of SMPL-X
AT_REST = joints("foot", "hand")  # toes and fingers: not measured


@dataclass(frozen=True, eq=False)
class Clip:
    """One motion at FPS frames a second."""

    name: str
    rotations: np.ndarray  # (T, 24, 3, 3) float32, relative to the parent


def read_mocap(path: Path) -> list[Clip]:
    """All motions in a .tar archive or folder of .asf/.amc, .bvh and AMASS .npz files, in order of name."""
    files = dict(_files(path))
    raw = {}
    for name in sorted(n for n in files if n.endswith(".amc")):
        skeleton = name.rsplit("_", 1)[0] + ".asf"
        if skeleton in files:
            with _reading(f"{path}: {name}", "not a motion of CMU's"):
                raw[Path(name).stem] = _read_amc(files[name], *_read_asf(files[skeleton]))
    clips = {name: Clip(name, _relative(rotations[:: AMC_FPS // FPS])) for name, rotations in raw.items()}
    bvh = {}
    for name in sorted(n for n in files if n.endswith(".bvh")):
        with _reading(f"{path}: {name}", "not a motion of the re-rigged CMU set, the only .bvh that is read"):
            bvh[Path(name).stem] = _read_bvh(files[name])
    if bvh:
        world, offsets = calibrate(raw, bvh)
        for name, (rotations, fps) in bvh.items():
            step = max(1, round(fps / FPS))
            turned = np.stack([world @ rotations[::step, j] @ offsets[j] for j in range(24)], axis=1)
            clips.setdefault(name.removeprefix("0"), Clip(name, _relative(turned)))
    for name in sorted(n for n in files if n.endswith(AMASS_FILES)):
        clips[name] = Clip(Path(name).stem, read_amass(files[name], f"{path}: {name}"))
    if not clips:
        raise InputError(
            f"{path}: no motion capture found",
            hint="give a folder or .tar of .asf/.amc, .bvh or AMASS _poses.npz files",
        )
    return [clips[name] for name in sorted(clips)]


@contextmanager
def _reading(name: str, what: str) -> Iterator[None]:
    """InputError for whatever a file's parser stumbles over."""
    try:
        yield
    except (
        OSError,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        EOFError,
        ZeroDivisionError,
        RecursionError,
        zipfile.BadZipFile,
    ) as error:
        raise InputError(f"{name}: {what} ({error})", hint="download it again, or remove it") from None


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    wanted = (".asf", ".amc", ".bvh", *AMASS_FILES)
    if path.is_dir():
        yield from ((str(p), p.read_bytes()) for p in sorted(path.rglob("*")) if p.name.endswith(wanted))
        return
    if path.is_file() and not path.stat().st_size:
        raise InputError(f"{path}: an empty file", hint="download it again")
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.isfile() and member.name.endswith(wanted) else None
                if stream is not None:
                    yield member.name, stream.read()
    except (OSError, EOFError, tarfile.TarError, lzma.LZMAError, zlib.error) as error:
        why = getattr(error, "strerror", None) or "not a .tar archive, or a damaged one"
        raise InputError(
            f"{path}: cannot read motion capture: {why}",
            hint="give --mocap a folder or a .tar archive; download a damaged one again",
        ) from None


def _read_asf(data: bytes) -> tuple[dict, dict]:
    """Bones (direction, axis, degrees of freedom) and each bone's parent."""
    text, bones = data.decode("latin1"), {}
    for block in re.findall(r"begin(.*?)end", text.split(":bonedata")[1].split(":hierarchy")[0], re.S):
        fields = dict(re.findall(r"^\s*(name|direction|axis|dof)\s+(.*)$", block, re.M))
        bones[fields["name"].strip()] = (
            np.array(fields["direction"].split(), float),
            np.array(fields["axis"].split()[:3], float),
            fields.get("dof", "").split(),
        )
    parents: dict[str, str] = {}
    for line in text.split(":hierarchy")[1].splitlines():
        words = line.split()
        parents |= {child: words[0] for child in words[1:]}
    return bones, parents


def _read_amc(data: bytes, bones: dict, parents: dict) -> np.ndarray:
    """(T, 24, 3, 3) global rotations at AMC_FPS, already relative to the T-pose."""
    frames: list[dict] = []
    for line in io.StringIO(data.decode("latin1")):
        words = line.split()
        if not words or words[0][0] in "#:":
            continue
        if len(words) == 1:
            frames.append({})
        else:
            frames[-1][words[0]] = [float(w) for w in words[1:]]
    root = np.array([frame["root"] for frame in frames])
    world = {"root": Rotation.from_euler("xyz", root[:, 3:6], degrees=True)}

    def rotation(bone: str) -> Rotation:
        if bone not in world:
            _, axis, freedoms = bones[bone]
            angles = np.zeros((len(frames), 3))
            if freedoms and bone in frames[0]:
                values = np.array([frame[bone] for frame in frames])
                for column, freedom in enumerate(freedoms):
                    if freedom in ("rx", "ry", "rz"):
                        angles[:, "xyz".index(freedom[1])] = values[:, column]
            frame = Rotation.from_euler("xyz", axis, degrees=True)
            world[bone] = (
                rotation(parents[bone]) * frame * Rotation.from_euler("xyz", angles, degrees=True) * frame.inv()
            )
        return world[bone]

    out = np.empty((len(frames), 24, 3, 3))
    for j, bone in enumerate(AMC_BONES):
        rest = np.eye(3)
        if j in LEG_DIRECTION:
            rest = rotation_between(np.array([0, -1.0, 0]), bones[LEG_DIRECTION[j]][0])
        out[:, j] = rotation(bone).as_matrix() @ rest
    return out


def _read_bvh(data: bytes) -> tuple[np.ndarray, float]:
    """(T, 24, 3, 3) global rotations in the rig's own axes, and frames a second."""
    header, motion = data.decode("latin1").split("MOTION")
    names: list[str] = []
    parents: list[int] = []
    stack: list[int] = []
    channels: list[list[str]] = []
    for line in header.splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] in ("ROOT", "JOINT"):
            parents.append(next((s for s in reversed(stack) if s >= 0), -1))
            names.append(words[1].removeprefix("CC_Base_"))
            stack.append(len(names) - 1)
        elif words[0] == "End":
            stack.append(-1)
        elif words[0] == "}":
            stack.pop()
        elif words[0] == "CHANNELS":
            channels.append(words[2:])
    lines = motion.strip().splitlines()
    fps = 1 / float(lines[1].split(":")[1])
    values = np.loadtxt(lines[2:], ndmin=2)
    world: list[Rotation] = []
    column = 0
    for parent, names_of in zip(parents, channels, strict=False):
        turns = [(c[0], column + i) for i, c in enumerate(names_of) if c.endswith("rotation")]
        own = Rotation.from_euler("".join(a for a, _ in turns), values[:, [i for _, i in turns]], degrees=True)
        world.append(own if parent < 0 else world[parent] * own)
        column += len(names_of)
    return np.stack([world[names.index(name)].as_matrix() for name in BVH_JOINTS], axis=1), fps


def read_amass(data: bytes, name: str) -> np.ndarray:
    """(T, 24, 3, 3) of an AMASS .npz file: the first 22 joints of a pose are SMPL's; z up becomes y up.

    The rate stands under either of its two names. InputError where the file is damaged or of another kind.
    """
    with _reading(name, "not a motion of AMASS's"):
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            rate = float(file["mocap_framerate" if "mocap_framerate" in file.files else "mocap_frame_rate"])
            poses = np.asarray(file["poses"], float)
        if not (rate > 0 and poses.ndim == 2 and poses.shape[1] >= 66 and len(poses) and np.isfinite(poses).all()):
            raise ValueError(f"poses {poses.shape} at {rate} frames a second")
    poses = poses[:: max(1, round(rate / FPS)), :66].reshape(-1, 22, 3)
    rotations = np.tile(np.eye(3), (len(poses), 24, 1, 1))
    rotations[:, :22] = Rotation.from_rotvec(poses.reshape(-1, 3)).as_matrix().reshape(-1, 22, 3, 3)
    rotations[:, 0] = Rotation.from_euler("x", -90, degrees=True).as_matrix() @ rotations[:, 0]
    rotations[:, AT_REST] = np.eye(3)
    return rotations.astype(np.float32)


def calibrate(amc: dict, bvh: dict, starts: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """World rotation (3, 3) and joint offsets (24, 3, 3) that turn the BVH rig into SMPL's axes.

    Alternating orthogonal Procrustes on motions in both sets, from several starts: it has local minima.
    """
    pairs = [(amc[name][::20], bvh["0" + name]) for name in amc if "0" + name in bvh]
    if not pairs:
        raise InputError(
            "the BVH files share no motion with AMC files, so their axes cannot be solved",
            hint="give --mocap a set that holds some motions as both .amc and .bvh",
        )
    source, target = [], []
    for wanted, (rig, fps) in pairs:
        at = np.round(np.arange(len(wanted)) * 20 / AMC_FPS * fps).astype(int)
        at = at[at < len(rig)]
        source.append(rig[at])
        target.append(wanted[: len(at)])
    a, b = np.concatenate(source), np.concatenate(target)
    solutions = []
    for start in [np.eye(3), *Rotation.random(starts, random_state=0).as_matrix()]:
        world = start
        for _ in range(30):
            offsets = _nearest_rotation(np.einsum("njba,cb,njcd->jad", a, world, b))
            world = _nearest_rotation(np.einsum("njab,jcb,njdc->ad", b, offsets, a))
        error = np.abs(np.einsum("ab,njbc,jcd->njad", world, a, offsets) - b).mean()
        solutions.append((error, world, offsets))
    _, world, offsets = min(solutions, key=lambda solution: solution[0])
    return world, offsets


def _nearest_rotation(matrix: np.ndarray) -> np.ndarray:
    u, _, vt = np.linalg.svd(matrix)
    u[..., 2] *= np.sign(np.linalg.det(u @ vt))[..., None]
    return u @ vt


def _relative(world: np.ndarray) -> np.ndarray:
    """Global (T, 24, 3, 3) → relative to the parent, unmeasured joints at rest."""
    local = world.copy()
    local[:, 1:] = np.swapaxes(world[:, list(PARENTS[1:])], -1, -2) @ world[:, 1:]
    local[:, AT_REST] = np.eye(3)
    return local.astype(np.float32)


def write_clips(path: Path | IO[bytes], clips: list[Clip]) -> None:
    """Keep motion capture in one .npz for the workers."""
    np.savez(
        path,
        names=[c.name for c in clips],
        lengths=[len(c.rotations) for c in clips],
        rotations=np.concatenate([c.rotations for c in clips]),
    )


def read_clips(path: Path) -> list[Clip]:
    """The inverse of write_clips."""
    with np.load(path, allow_pickle=False) as file:
        ends = np.cumsum(file["lengths"])
        pieces = np.split(file["rotations"], ends[:-1])
        return [Clip(str(name), piece) for name, piece in zip(file["names"], pieces, strict=False)]
