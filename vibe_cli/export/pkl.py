"""`vibe_output.pkl`: what scripts for VIBE's output read with `joblib.load`: plain dicts of numpy."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from vibe_cli.export import ExportOptions, chunks
from vibe_cli.geometry import camera
from vibe_cli.geometry.skeleton import JOINT_NAMES, JOINTS_49, JOINTS_54
from vibe_cli.progress import Progress
from vibe_cli.run_folder import replacing_file

if TYPE_CHECKING:
    from vibe_cli.body.body_models import Body
    from vibe_cli.results import Person, Result

FILE_NAME = "vibe_output.pkl"
PICKLE_PROTOCOL = 4  # read by every Python 3 that VIBE's own scripts run on


class Writer:
    """VIBE's layout: person id → arrays over the T frames of that person, camera axes, the pelvis at zero."""

    name = "pkl"
    extension = ".pkl"

    def write(self, result: Result, body: Body, folder: Path, options: ExportOptions, progress: Progress) -> list[Path]:
        """Write one file for everybody. Vertices lie in a scratch file meanwhile, so memory stays small."""
        import joblib

        path = folder / FILE_NAME
        with tempfile.TemporaryDirectory(dir=folder, prefix=".verts-", ignore_cleanup_errors=True) as scratch:
            people = {}
            for person in progress(result.people, "Exporting pkl", len(result.people)):
                people[person.id] = person_fields(person, result, body)
                if options.vertices:
                    people[person.id]["faces"] = body.faces.astype(np.int32)
                    people[person.id]["verts"] = _vertices(person, body, Path(scratch) / f"{person.id}.npy")
            with replacing_file(path) as part, open(part, "wb") as file:
                joblib.dump(people, Unpadded(file), protocol=PICKLE_PROTOCOL)
            people.clear()  # closes the scratch files, which Windows cannot delete while they are open
        return [path]


class Unpadded:
    """A file whose place joblib cannot ask for, so that it puts no padding before arrays.

    joblib pads them since 1.2, for mapping into memory, and earlier ones cannot read that; every one reads this.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, data: Any) -> int:
        """Write bytes, or what has a buffer of them."""
        return self._file.write(data)

    def tell(self) -> int:
        """Not known."""
        raise io.UnsupportedOperation("tell")


def person_fields(person: Person, result: Result, body: Body) -> dict[str, Any]:
    """Everything of a person but the vertices, under VIBE's names."""
    from vibe_cli.body.body_models import joints_of

    joints = joints_of(person, body)
    image_camera = person.image_camera(result.video)
    pixels = camera.project_image(joints, image_camera, result.video.width, result.video.height)
    return {
        "pred_cam": person.camera,
        "orig_cam": image_camera.astype(np.float32),
        "pose": person.pose.reshape(len(person), 72),
        "betas": np.repeat(person.betas[None], len(person), axis=0),
        "joints3d": joints,
        "joints2d": person.keypoints,
        "joints2d_img_coord": pixels.astype(np.float32),
        "bboxes": person.boxes,
        "frame_ids": person.frames,
        "times": result.video.times[person.frames],
        "joint_names": [JOINTS_54[joint] for joint in JOINTS_49],
        "pose_joint_names": list(JOINT_NAMES),
        "body": result.body,
    }


def _vertices(person: Person, body: Body, path: Path) -> np.ndarray:
    """(T, V, 3) float32 vertices in a file that is mapped into memory, computed a chunk at a time."""
    from vibe_cli.body.body_models import vertices_of

    vertices = None
    for part, some in chunks(person):
        values = vertices_of(some, body)
        if vertices is None:
            shape = (len(person), *values.shape[1:])
            vertices = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
        vertices[part] = values
    return np.zeros((0, 0, 3), np.float32) if vertices is None else vertices
