"""`keypoints.json`: everybody's joints in space and in the picture, and the 2D keypoints that were detected.

A header says what the numbers mean; below `people`, arrays over the T frames of a person: `joints_m` (T, 44, 3),
`joints_px` (T, 44, 2) where the overlay draws them, and `keypoints_px` (T, K, 3), x, y and confidence as detected, or
null where there are none.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vibe_cli._version import __version__
from vibe_cli.export import ExportOptions
from vibe_cli.export.axes import in_words
from vibe_cli.export.points import OWN_AXES, POINT_NAMES, Points, clip_frames, timed
from vibe_cli.geometry import camera
from vibe_cli.geometry.skeleton import JOINT_NAMES, PARENTS
from vibe_cli.progress import Progress
from vibe_cli.run_folder import replacing_file

if TYPE_CHECKING:
    from vibe_cli.body.body_models import Body
    from vibe_cli.results import Person, Result

FILE_NAME = "keypoints.json"
FORMAT, FORMAT_VERSION = "vibe-keypoints", 1


class Writer:
    """JSON, a person at a time."""

    name = "json"
    extension = ".json"

    def write(self, result: Result, body: Body, folder: Path, options: ExportOptions, progress: Progress) -> list[Path]:
        """Write one file for everybody, or nothing when nobody is in the result."""
        if not result.people:
            return []
        points, moving, axes = Points(body), timed(result, options), options.axes or OWN_AXES
        with replacing_file(folder / FILE_NAME) as part, open(part, "w", encoding="utf-8", newline="\n") as file:
            head = json.dumps(header(result, axes))
            file.write(head[:-1] + ', "people": [')
            for number, person in enumerate(progress(moving.people, "Exporting json", len(moving.people))):
                file.write(",\n" if number else "\n")
                fields = person_fields(person, moving, points, axes)
                fields["frames"] = clip_frames(person, moving, result).tolist()
                file.write(json.dumps(fields, separators=(",", ":"), allow_nan=False))
            file.write("\n]}\n")
        return [folder / FILE_NAME]


def header(result: Result, axes: str) -> dict[str, Any]:
    """The meaning and unit of the numbers."""
    video = result.video
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "written_by": f"vibe {__version__}",
        "model": result.model,
        "body": result.body,
        "axes": in_words(axes),
        "clip": {
            "name": Path(video.path).name,  # files that go to others do not say whose computer it was
            "width": video.width,
            "height": video.height,
            "frames": video.frames,
            "fps": float(video.fps),
        },
        "intrinsics": camera.default_intrinsics(video.width, video.height).tolist(),
        "joint_names": list(POINT_NAMES),
        "bones": [[PARENTS[joint], joint] for joint in range(1, len(JOINT_NAMES))],
    }


def person_fields(person: Person, result: Result, points: Points, axes: str) -> dict[str, Any]:
    """One person as an object."""
    metres, pixels = points.placed(person, result, axes)
    return {
        "id": person.id,
        "frames": person.frames.tolist(),
        "times": rounded(result.video.times[person.frames], 6),
        "confidence": rounded(person.confidence, 4),
        "filled": person.filled.tolist(),
        "boxes_px": rounded(person.boxes, 2),
        "joints_m": rounded(metres, 5),
        "joints_px": rounded(pixels, 2),
        "keypoints_px": None if person.keypoints is None else rounded(person.keypoints, 3),
    }


def rounded(values: np.ndarray, digits: int) -> list[Any]:
    """Nested lists of short numbers."""
    return np.round(values.astype(float), digits).tolist()
