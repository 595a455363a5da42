"""AMASS-style `.npz`, one file a person: what the SMPL add-on for Blender and motion code read.

AMASS is z-up. The camera's axes (x right, y down, z into the image) become x right, y into the image, z up: a
person who stands before a level camera stands upright and, facing it, looks along −y, as in Blender.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vibe_cli.export import ExportOptions, person_name
from vibe_cli.importing.library import gender_of
from vibe_cli.progress import Progress
from vibe_cli.run_folder import replacing_folder

if TYPE_CHECKING:
    from vibe_cli.body.body_models import Body
    from vibe_cli.results import Person, Result

CAMERA_TO_Z_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # a rotation: (x, y, z) → (x, z, −y)
AXES = "x right, y into the image, z up; metres; origin at the camera"


class Writer:
    """AMASS's layout."""

    name = "npz"
    extension = ".npz"

    def write(self, result: Result, body: Body, folder: Path, options: ExportOptions, progress: Progress) -> list[Path]:
        """Write npz/person_001.npz and so on; the folder, or nothing when nobody is in the result."""
        from vibe_cli.results import write_npz

        if not result.people:
            return []
        with replacing_folder(folder / "npz", r"person_\d+\.npz") as part:
            for person in progress(result.people, "Exporting npz", len(result.people)):
                write_npz(part / f"{person_name(person)}.npz", person_fields(person, result, body))
        return [folder / "npz"]


def person_fields(person: Person, result: Result, body: Body) -> dict[str, np.ndarray]:
    """A person's arrays under AMASS's names, and what they mean."""
    rate = float(result.video.fps)
    poses, trans = to_z_up(person.pose, person.translation(result.video), rest_pelvis(person, body))
    return {
        "poses": poses.reshape(len(person), 72),
        "trans": trans,
        "betas": person.betas,
        "gender": np.array(gender_of(body.file)),
        "mocap_frame_rate": np.array(rate),
        "mocap_framerate": np.array(rate),
        "frame_ids": person.frames,
        "times": result.video.times[person.frames],
        "up_axis": np.array("z"),
        "axes": np.array(AXES),
        "body": np.array(result.body),
        "model": np.array(result.model),
    }


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
    return turned, (pelvis @ CAMERA_TO_Z_UP.T - rest).astype(np.float32)


def rest_pelvis(person: Person, body: Body) -> np.ndarray:
    """(3,) the pelvis of the person's body at rest, in the template's coordinates."""
    import torch

    betas = torch.from_numpy(person.betas).to(next(body.buffers()).device)
    with torch.inference_mode():
        return body.rest_joints(betas[None])[0, 0].cpu().numpy()
