"""Finished motion in other programs' formats: a small file a format, one registry, no renderer needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vibe_cli.errors import UsageError
from vibe_cli.progress import Progress

if TYPE_CHECKING:
    from vibe_cli.body.body_models import Body
    from vibe_cli.results import Person, Result

# name → the module that writes it (in its class `Writer`), and one line for people; nothing is imported here
FORMATS: dict[str, tuple[str, str]] = {
    "pkl": ("vibe_cli.export.pkl", "vibe_output.pkl in VIBE's layout, for joblib.load"),
    "npz": ("vibe_cli.export.npz", "npz/person_001.npz …, AMASS's layout, z up, for Blender's add-ons and retargeting"),
    "obj": ("vibe_cli.export.obj", "obj/person_001/000000.obj … a mesh a frame, y up, metres"),
    "bvh": ("vibe_cli.export.bvh", "bvh/person_001.bvh …, a moving skeleton, y up, metres, for animation programs"),
    "glb": (
        "vibe_cli.export.glb",
        "glb/person_001.glb … and scene.glb, skinned bodies in motion, for Blender, Unity, viewers",
    ),
    "csv": ("vibe_cli.export.csv", "joints.csv, a row a person and frame: 44 joints in metres and pixels"),
    "parquet": ("vibe_cli.export.parquet", "joints.parquet, the same with types, by pyarrow"),
    "json": ("vibe_cli.export.json", "keypoints.json, everybody's 2D and 3D joints, and the detected keypoints"),
}
AXES = ("opencv", "opengl", "blender", "unity", "unreal")  # where x, y, z point: axes.py says
ORDERS = ("ZXY", "ZYX", "XYZ", "XZY", "YXZ", "YZX")  # of bvh's rotation channels, the default first
LAYOUTS = ("smplh", "smpl", "smplx")  # of npz's poses, the default first
CHUNK = 64  # frames whose meshes are in memory at once


@dataclass(frozen=True)
class ExportOptions:
    """Options of a writer."""

    vertices: bool = True  # pkl: write the mesh's vertices as well, 83 kB a person and frame
    every: int = 1  # obj: one mesh every so many frames of the clip
    centred: bool = False  # obj: each pelvis at the origin instead of where the person stands
    layout: str = LAYOUTS[0]  # npz: whose joints `poses` has
    fps: Fraction | None = None  # the constant rate; None: the clip's time stamps, or its nominal rate (npz, obj, bvh)
    from_start: bool = False  # npz, bvh, glb: everybody begins with the clip, in their first pose until they enter
    axes: str | None = None  # obj, bvh, csv, parquet, json: one of AXES; None: the format's own
    order: str = ORDERS[0]  # bvh: of the rotation channels
    start: float | None = None  # seconds of the clip where the exported part begins, for clocks; narrow.py cuts it
    end: float | None = None

    def __post_init__(self) -> None:
        if self.every < 1:
            raise UsageError(f"every {self.every} frames: at least 1 is needed", hint="use --every 1 or more")
        if self.layout not in LAYOUTS:
            raise UsageError(f"no such layout: {self.layout}", hint="choose one of: " + ", ".join(LAYOUTS))
        if self.axes is not None and self.axes not in AXES:
            raise UsageError(f"no such axes: {self.axes}", hint="choose one of: " + ", ".join(AXES))
        if self.order not in ORDERS:
            raise UsageError(f"no such order: {self.order}", hint="choose one of: " + ", ".join(ORDERS))
        if self.fps is not None and self.fps <= 0:
            raise UsageError(f"{self.fps} frames a second is no rate", hint="give a positive number, for example 30")


class FormatWriter(Protocol):
    """One format. `write` puts whole files into `folder` or none, and says which."""

    name: str
    extension: str

    def write(self, result: Result, body: Body, folder: Path, options: ExportOptions, progress: Progress) -> list[Path]:
        """Write everybody's motion under `folder`, which exists; the files, or their one folder."""
        ...


def format_writer(name: str) -> FormatWriter:
    """The writer of a format; UsageError names those there are."""
    if name not in FORMATS:
        raise UsageError(f"no such format: {name}", hint="choose one of: " + ", ".join(FORMATS))
    return import_module(FORMATS[name][0]).Writer()


def person_name(person: Person) -> str:
    """The name of a person's file or folder."""
    return f"person_{person.id:03d}"


def chunks(person: Person, size: int = CHUNK) -> Iterator[tuple[slice, Person]]:
    """A person's frames, at most `size` at a time: their place in the track, and a Person of them."""
    for start in range(0, len(person), size):
        part = slice(start, min(start + size, len(person)))
        yield part, person.at(part)
