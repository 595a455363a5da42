"""Biovision `.bvh`, one file a person: a skeleton in its T-pose, the way of the hips, and Euler angles a frame.

Metres; x right, y up, z towards the camera, which is the origin, unless other axes are asked for. The bones have the
lengths of the person's body. The rate is constant, and a file begins where its person enters; angles are chosen so that
they do not jump where the rotation does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vibe_cli.export import ExportOptions, person_name
from vibe_cli.export.clock import steady
from vibe_cli.export.rig import BONES, Moves, Rig, moves_of, rig_of
from vibe_cli.geometry.skeleton import PARENTS
from vibe_cli.progress import Progress
from vibe_cli.run_folder import replacing_folder

if TYPE_CHECKING:
    from vibe_cli.body.body_models import Body
    from vibe_cli.results import Result

OWN_AXES = "opengl"


class Writer:
    """Motion for any animation program."""

    name = "bvh"
    extension = ".bvh"

    def write(self, result: Result, body: Body, folder: Path, options: ExportOptions, progress: Progress) -> list[Path]:
        """Write bvh/person_001.bvh and so on; the folder, or nothing when nobody is in the result."""
        if not result.people:
            return []
        moving, axes = steady(result, options.fps, options.from_start, options.start), options.axes or OWN_AXES
        with replacing_folder(folder / "bvh", r"person_\d+\.bvh") as part:
            for person in progress(moving.people, "Exporting bvh", len(moving.people)):
                moves = moves_of(person, moving.video, axes)
                with open(part / f"{person_name(person)}.bvh", "w", encoding="ascii", newline="\n") as file:
                    file.writelines(hierarchy(rig_of(person, body, axes), options.order))
                    file.write(f"MOTION\nFrames: {len(person)}\nFrame Time: {1 / float(moving.video.fps):.8f}\n")
                    file.writelines(motion(moves, options.order))
        return [folder / "bvh"]


def joints_in_order(parent: int = -1) -> list[int]:
    """The joints as a BVH file has them: each one's children follow it, with theirs."""
    return [
        joint
        for child, its_parent in enumerate(PARENTS)
        if its_parent == parent
        for joint in (child, *joints_in_order(child))
    ]


def hierarchy(rig: Rig, order: str) -> Iterator[str]:
    """The skeleton's lines; rotation channels in `order`, for example ZXY."""
    rotations = " ".join(f"{axis}rotation" for axis in order)

    def lines(joint: int, depth: int) -> Iterator[str]:
        tab, inner = "\t" * depth, "\t" * (depth + 1)
        yield f"{tab}{'ROOT' if joint == 0 else 'JOINT'} {BONES[joint]}\n{tab}{{\n"
        yield f"{inner}OFFSET {_numbers(rig.offsets[joint])}\n"
        channels = f"6 Xposition Yposition Zposition {rotations}" if joint == 0 else f"3 {rotations}"
        yield f"{inner}CHANNELS {channels}\n"
        for child, parent in enumerate(PARENTS):
            if parent == joint:
                yield from lines(child, depth + 1)
        if joint in rig.ends:
            yield f"{inner}End Site\n{inner}{{\n{inner}\tOFFSET "
            yield f"{_numbers(rig.ends[joint] - rig.joints[joint])}\n{inner}}}\n"
        yield f"{tab}}}\n"

    yield "HIERARCHY\n"
    yield from lines(0, 0)


def motion(moves: Moves, order: str) -> Iterator[str]:
    """A line a frame: the hips' place, then every joint's angles in degrees, in the order of the hierarchy."""
    angles = euler_angles(moves.rotations[:, joints_in_order()], order)
    for place, row in zip(moves.hips, angles.reshape(len(angles), -1), strict=True):
        yield f"{_numbers(place)} {' '.join(f'{angle:.5f}' for angle in row.tolist())}\n"


def euler_angles(rotations: np.ndarray, order: str) -> np.ndarray:
    """Rotations (T, J, 3, 3) → (T, J, 3) degrees about the axes of `order`, the first outermost, without jumps.

    Of the two triples that make a rotation, each with whole turns, the one nearest to that of the frame before.
    """
    import warnings

    from scipy.spatial.transform import Rotation

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about gimbal lock, in which it puts the third angle to zero
        flat = Rotation.from_matrix(rotations.reshape(-1, 3, 3)).as_euler(order, degrees=True)
    angles = flat.reshape(*rotations.shape[:2], 3)
    other = angles * [1, -1, 1] + 180
    for frame in range(1, len(angles)):
        before = angles[frame - 1]
        both = np.stack([angles[frame], other[frame]])
        both -= 360 * np.round((both - before) / 360)
        nearest = np.abs(both - before).sum(axis=-1).argmin(axis=0)
        angles[frame] = np.take_along_axis(both, nearest[None, :, None], axis=0)[0]
    return angles


def _numbers(values: np.ndarray) -> str:
    """Three numbers, to a thousandth of a millimetre."""
    return " ".join(f"{value:.6f}" for value in values.tolist())
