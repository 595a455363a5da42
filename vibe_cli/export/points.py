"""Joints of people in space and in the picture, a row a person and frame: what CSV, JSON and Parquet hold.

The points are the 44 of `vibe_cli.body.points`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vibe_cli.export import ExportOptions
from vibe_cli.export.axes import from_camera
from vibe_cli.export.clock import nearest_frames, steady
from vibe_cli.geometry import camera
from vibe_cli.geometry.skeleton import POINT_NAMES

if TYPE_CHECKING:
    from vibe_cli.body.body_models import Body
    from vibe_cli.results import Person, Result

__all__ = ["OWN_AXES", "POINT_NAMES", "Points", "clip_frames", "timed"]
OWN_AXES = "opencv"  # where no others are asked for


class Points:
    """The points of everybody whom one body poses, where they are in space and in the picture."""

    def __init__(self, body: Body) -> None:
        from vibe_cli.body.points import BodyPoints

        self.about_pelvis = BodyPoints(body).about_pelvis

    def placed(self, person: Person, result: Result, axes: str) -> tuple[np.ndarray, np.ndarray]:
        """(T, 44, 3) metres from the camera in axes of that name, and (T, 44, 2) pixels, where the overlay has them."""
        about, video = self.about_pelvis(person), result.video
        pixels = camera.project_image(about, person.image_camera(video), video.width, video.height)
        return (about + person.translation(video)[:, None]) @ from_camera(axes).T, pixels


def timed(result: Result, options: ExportOptions) -> Result:
    """The result at the clip's own time stamps, or at a constant rate where one is asked for."""
    return result if options.fps is None else steady(result, options.fps)


def clip_frames(person: Person, moving: Result, result: Result) -> np.ndarray:
    """(T,) int64 the frames of the clip that are nearest to those of a person in `moving`, which `timed` made of it."""
    if moving is result:
        return person.frames
    return nearest_frames(moving.video.times[person.frames], result.video)
