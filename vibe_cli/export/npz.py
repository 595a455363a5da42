"""AMASS-style `.npz`, one file a person: what the SMPL add-ons for Blender and motion code read.

AMASS is z-up. The camera's axes (x right, y down, z into the image) become x right, y into the image, z up: a
person who stands before a level camera stands upright and, facing it, looks along −y, as in Blender. The ground, where
the person's feet are lowest, is z = 0. Poses are laid out as one of SMPL's family has them (Pavlakos et al. 2019):

smpl    72  root, body of 23 joints (the last two are the hands)
smplh  156  root, body of 21, the 15 of the left hand, the 15 of the right
smplx  165  root, body of 21, jaw, left eye, right eye, the hands as SMPL-H's
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vibe_cli.export import ExportOptions, chunks, person_name
from vibe_cli.export.axes import from_camera
from vibe_cli.export.clock import nearest_frames, steady
from vibe_cli.importing.library import gender_of
from vibe_cli.progress import Progress
from vibe_cli.run_folder import replacing_folder

if TYPE_CHECKING:
    from vibe_cli.body.body_models import Body
    from vibe_cli.results import Person, Result

CAMERA_TO_Z_UP = from_camera("blender")
AXES = "x right, y into the image, z up; metres; origin on the ground, below the camera"
# Where the neutral body of mean shape has its pelvis at rest, in the coordinates of its template, metres: `trans` moves
# the template, so that the pelvis is at `trans` plus this.
REST_PELVIS = {
    "smpl": np.array([-0.0018, -0.2233, 0.0282]),
    "smplh": np.array([-0.0018, -0.2233, 0.0282]),
    "smplx": np.array([0.0031, -0.3514, 0.0120]),
}
FACE, HANDS = 3 * 3, 2 * 15 * 3  # numbers of jaw and eyes, and of both hands
ON_GROUND = 5  # per cent of the frames may have their lowest point below the ground: one wrong frame lifts nobody


class Writer:
    """AMASS's layout."""

    name = "npz"
    extension = ".npz"

    def write(self, result: Result, body: Body, folder: Path, options: ExportOptions, progress: Progress) -> list[Path]:
        """Write npz/person_001.npz and so on; the folder, or nothing when nobody is in the result."""
        from vibe_cli.results import write_npz

        if not result.people:
            return []
        moving = steady(result, options.fps, options.from_start, options.start)
        with replacing_folder(folder / "npz", r"person_\d+\.npz") as part:
            for person in progress(moving.people, "Exporting npz", len(moving.people)):
                fields = person_fields(person, moving, body, options.layout)
                fields["frame_ids"] = nearest_frames(fields["times"], result.video)
                write_npz(part / f"{person_name(person)}.npz", fields)
        return [folder / "npz"]


def person_fields(person: Person, result: Result, body: Body, layout: str) -> dict[str, np.ndarray]:
    """A person's arrays under AMASS's names, and what they mean; the result is of constant rate."""
    rate = float(result.video.fps)
    pelvis = person.translation(result.video)
    height = ground_below_camera(person, body, pelvis)
    theirs = body.kind != "open" and layout != "smplx"  # SMPL and SMPL-H share their shapes
    rest = rest_pelvis(person, body) if theirs else REST_PELVIS[layout]
    pose, trans = to_z_up(person.pose, pelvis, rest)
    return {
        **laid_out(pose, layout),
        "trans": (trans + [0, 0, height]).astype(np.float32),
        "betas": person.betas if theirs else np.zeros(10, np.float32),
        "num_betas": np.array(10),
        f"{body.kind}_betas": person.betas,
        "gender": np.array(gender_of(body.file)),
        "surface_model_type": np.array(layout),
        "mocap_frame_rate": np.array(rate),
        "mocap_framerate": np.array(rate),
        "mocap_time_length": np.array(len(person) / rate),
        "times": result.video.times[person.frames],
        "start_time": np.array(result.video.times[person.frames[0]]),
        "start_frame": np.array(person.frames[0]),
        "camera_height": np.array(height),
        "up_axis": np.array("z"),
        "axes": np.array(AXES),
        "body": np.array(result.body),
        "model": np.array(result.model),
    }


def laid_out(pose: np.ndarray, layout: str) -> dict[str, np.ndarray]:
    """SMPL's pose (T, 24, 3) → AMASS's `poses` and its parts in a layout; face and hands at rest."""
    count = len(pose)
    flat = pose.reshape(count, 72).astype(np.float32)
    parts = {"root_orient": flat[:, :3], "pose_body": flat[:, 3:66]}
    if layout == "smpl":
        parts["pose_body"] = flat[:, 3:]
    else:
        if layout == "smplx":
            face = np.zeros((count, FACE), np.float32)
            parts |= {"pose_jaw": face[:, :3], "pose_eye": face[:, 3:]}
        parts["pose_hand"] = np.zeros((count, HANDS), np.float32)
    return {"poses": np.concatenate(list(parts.values()), axis=1), **parts}


def to_z_up(pose: np.ndarray, pelvis: np.ndarray, rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pose (T, 24, 3) and pelvis (T, 3) in camera axes → AMASS's pose and `trans` (T, 3), z up.

    The root turns about the rest pelvis (3,), which is not at the origin of SMPL's template: a body stands at
    its pelvis when `trans` is the pelvis less that point, unturned.
    """
    import torch

    from vibe_cli.geometry.rotations import axis_angle_from_matrix, matrix_from_axis_angle

    turn = torch.from_numpy(CAMERA_TO_Z_UP)
    root = axis_angle_from_matrix(turn @ matrix_from_axis_angle(torch.from_numpy(pose[:, 0]).double()))
    turned = pose.copy()
    turned[:, 0] = root.numpy()
    return turned, pelvis @ CAMERA_TO_Z_UP.T - rest


def ground_below_camera(person: Person, body: Body, pelvis: np.ndarray) -> float:
    """Metres from the camera down to where a person with pelvises (T, 3) is lowest; the camera is level."""
    from vibe_cli.body.body_models import vertices_of

    lowest = [vertices_of(some, body)[..., 1].max(axis=1) for _, some in chunks(person)]
    return float(np.percentile(np.concatenate(lowest) + pelvis[:, 1], 100 - ON_GROUND))


def rest_pelvis(person: Person, body: Body) -> np.ndarray:
    """(3,) the pelvis of the person's body at rest, in the template's coordinates."""
    import torch

    betas = torch.from_numpy(person.betas).to(next(body.buffers()).device)
    with torch.inference_mode():
        return body.rest_joints(betas[None])[0, 0].cpu().numpy()
