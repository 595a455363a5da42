"""What follows from a person's parameters: joints and vertices in metres, pixels, angles, a table.

`Person` of `vibe_cli.results` is one of these. Places are in the camera's axes, x right, y down, z into the image, from
the camera in metres; pixels are those of the overlay. Each is computed when it is first asked for, and then kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vibe_cli.errors import ModelError, UsageError
from vibe_cli.geometry import camera
from vibe_cli.geometry.angles import ANGLE_NAMES, joint_angles
from vibe_cli.geometry.skeleton import POINT_NAMES

if TYPE_CHECKING:
    from pandas import DataFrame

    from vibe_cli.body.body_models import Body

COORDINATES = ("x_m", "y_m", "z_m", "x_px", "y_px")
FACTS = ("person", "frame", "time_s", "confidence", "filled")
POINT_COLUMNS = tuple(f"{name}_{coordinate}" for name in POINT_NAMES for coordinate in COORDINATES)
ANGLE_COLUMNS = tuple(f"{name}_deg" for name in ANGLE_NAMES)


@dataclass(eq=False)
class Scene:
    """What people of one result share: the clip, and the body that poses them."""

    video: Any  # VideoInfo: size, time stamps
    kind: str  # open | smpl: whose shapes the people have
    made_with: str | None = None  # the user's body file, where one was used

    @cached_property
    def body(self) -> Body:
        """The body that the result was made with; ModelError where it is not here."""
        from vibe_cli.body.body_models import load_body

        return load_body(body_file(self.kind, self.made_with))

    def same_as(self, other: Scene | None) -> bool:
        """Whether people of the other may be people of this one."""
        return other is not None and (self.video, self.kind, self.made_with) == (
            other.video,
            other.kind,
            other.made_with,
        )


def body_file(kind: str, made_with: str | None = None) -> Path | None:
    """The body file of shapes of a kind: None for the shipped open body, else the user's, else an imported one.

    ModelError where SMPL is needed and is not there.
    """
    from vibe_cli.importing import library

    if kind == "open":
        return None
    path = Path(made_with) if made_with and Path(made_with).is_file() else library.find_body()
    if path is None:
        raise ModelError(
            "this result was made with SMPL, and no SMPL file is known here",
            hint="name it: --body SMPL_NEUTRAL.pkl, or import it: vibe models import SMPL_NEUTRAL.pkl",
        )
    return path


class Derived:
    """The geometry of a person over T frames, which a body makes of pose, shape and camera."""

    id: int
    frames: np.ndarray
    boxes: np.ndarray
    pose: np.ndarray
    betas: np.ndarray
    camera: np.ndarray
    confidence: np.ndarray
    filled: np.ndarray
    scene: Scene | None

    def image_camera(self, video: Any) -> np.ndarray:
        """(T, 4) sx, sy, tx, ty of the full image."""
        raise NotImplementedError

    def translation(self, video: Any) -> np.ndarray:
        """(T, 3) metres, the pelvis in camera axes."""
        raise NotImplementedError

    @property
    def times(self) -> np.ndarray:
        """(T,) float64 seconds of the clip, by its own time stamps."""
        return self._scene.video.times[self.frames]

    @property
    def joints_m(self) -> np.ndarray:
        """(T, 44, 3) float64 metres from the camera, camera axes, in the order of `vibe_cli.skeleton.POINT_NAMES`."""
        return self._points[0]

    @property
    def joints_px(self) -> np.ndarray:
        """(T, 44, 2) float64 the same joints in image pixels, x right and y down from the left upper corner."""
        return self._points[1]

    @cached_property
    def vertices_m(self) -> np.ndarray:
        """(T, V, 3) float32 metres from the camera, camera axes: the mesh, 83 kB a frame; `faces` are its triangles."""
        from vibe_cli.body.body_models import vertices_of

        placed = self.translation(self._scene.video).astype(np.float32)[:, None]
        return vertices_of(self, self._scene.body) + placed

    @property
    def faces(self) -> np.ndarray:
        """(F, 3) int64 triangles of `vertices_m`, the same in every frame."""
        return self._scene.body.faces

    @cached_property
    def angles(self) -> dict[str, np.ndarray]:
        """Name, as `l_knee_flexion` → (T,) float64 degrees; `vibe_cli.geometry.angles` says how each is measured."""
        return joint_angles(self.pose)

    def to_dataframe(self) -> DataFrame:
        """A row a frame: the columns of `joints.csv`, then the angles, as `l_knee_flexion_deg`.

        person, frame, time_s, confidence, filled, then of each joint `l_knee_x_m` `_y_m` `_z_m` `_x_px` `_y_px`.
        UsageError without pandas.
        """
        return table_of([self])

    def _columns(self) -> dict[str, np.ndarray]:
        """The columns of the data frame."""
        count = len(self.frames)
        facts = (np.full(count, self.id), self.frames, self.times, self.confidence, self.filled)
        places = np.concatenate(self._points, axis=2).reshape(count, len(POINT_COLUMNS))
        columns = dict(zip(FACTS, facts, strict=True)) | dict(zip(POINT_COLUMNS, places.T, strict=True))
        return columns | dict(zip(ANGLE_COLUMNS, self.angles.values(), strict=True))

    @property
    def _scene(self) -> Scene:
        """The scene; ValueError for a person who is in no result."""
        if self.scene is None:
            raise ValueError("this person is in no result, whose clip and body say where they are: use result.people")
        return self.scene

    @cached_property
    def _points(self) -> tuple[np.ndarray, np.ndarray]:
        """(T, 44, 3) metres and (T, 44, 2) pixels."""
        from vibe_cli.body.points import BodyPoints

        video = self._scene.video
        about = BodyPoints(self._scene.body).about_pelvis(self)
        pixels = camera.project_image(about, self.image_camera(video), video.width, video.height)
        return about + self.translation(video)[:, None], pixels


def table_of(people: Sequence[Derived]) -> DataFrame:
    """Everybody's rows, one below the other, with the same columns for nobody. UsageError without pandas."""
    try:
        from pandas import DataFrame
    except ModuleNotFoundError:
        raise UsageError(
            "data frames need pandas, which is not installed", hint="pip install 'vibe-cli[pandas]'"
        ) from None

    tables = [person._columns() for person in people]
    names = (*FACTS, *POINT_COLUMNS, *ANGLE_COLUMNS)
    return DataFrame({name: np.concatenate([table[name] for table in tables] or [np.zeros(0)]) for name in names})
