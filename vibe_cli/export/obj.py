"""Wavefront `.obj`, a mesh a frame in one folder a person, numbered by the clip's frames at a constant rate.

The camera's axes are turned by 180° about x: x right, y up, z towards the camera, so that a person who faces
the camera faces +z, unless other axes are asked for. Metres; people stand where they stood before the camera, which is
the origin.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vibe_cli.errors import UsageError
from vibe_cli.export import ExportOptions, chunks, person_name
from vibe_cli.export.axes import from_camera, where
from vibe_cli.export.clock import steady
from vibe_cli.progress import Progress
from vibe_cli.run_folder import replacing_folder

if TYPE_CHECKING:
    from vibe_cli.body.body_models import Body
    from vibe_cli.results import Person, Result

OWN_AXES = "opengl"


class Writer:
    """Meshes that any 3D program opens."""

    name = "obj"
    extension = ".obj"

    def write(self, result: Result, body: Body, folder: Path, options: ExportOptions, progress: Progress) -> list[Path]:
        """Write obj/person_001/000000.obj and so on; the folder, or nothing when nobody is in the result."""
        result = steady(result, options.fps)
        people = [some for person in result.people if len(some := thinned(person, options.every))]
        if not people:
            if result.people:
                raise UsageError(
                    f"nobody is in a frame that is a multiple of {options.every}", hint="use a smaller --every"
                )
            return []
        mirrored = np.linalg.det(from_camera(options.axes or OWN_AXES)) < 0  # then corners go round the other way
        faces = _face_lines(body.faces[:, ::-1] if mirrored else body.faces)
        with replacing_folder(folder / "obj", r"person_\d+/\d+\.obj") as part:
            meshes = (mesh for person in people for mesh in _meshes(person, result, body, options))
            for person, frame, vertices in progress(meshes, "Exporting obj", sum(map(len, people))):
                path = part / person_name(person) / f"{frame:06d}.obj"
                path.parent.mkdir(exist_ok=True)
                head = _comment(result, person, frame, options)
                path.write_text(head + _vertex_lines(vertices) + faces, encoding="utf-8", newline="\n")
        return [folder / "obj"]


def thinned(person: Person, every: int) -> Person:
    """The person in the clip's frames 0, every, 2 · every …, so that several people stay in step."""
    return person.at(person.frames % every == 0)


def _meshes(
    person: Person, result: Result, body: Body, options: ExportOptions
) -> Iterator[tuple[Person, int, np.ndarray]]:
    """The person, the clip's frame and the vertices (V, 3), in the axes asked for, of every frame."""
    from vibe_cli.body.body_models import vertices_of

    turn = from_camera(options.axes or OWN_AXES).T
    for _, some in chunks(person):
        vertices = vertices_of(some, body)
        if not options.centred:
            vertices = vertices + some.translation(result.video)[:, None]
        for frame, mesh in zip(some.frames, vertices @ turn, strict=True):
            yield person, int(frame), mesh


def _comment(result: Result, person: Person, frame: int, options: ExportOptions) -> str:
    """Units and axes, as OBJ comments."""
    origin = "the pelvis" if options.centred else "the camera"
    axes = where(options.axes or OWN_AXES)
    return (
        f"# person {person.id}, frame {frame} of the clip, {float(result.video.fps):g} frames a second\n"
        f"# metres; {axes}; origin: {origin}\n# body: {result.body}\n"
    )


def _vertex_lines(vertices: np.ndarray) -> str:
    """Vertices (V, 3) as text, to a hundredth of a millimetre."""
    return "v %.5f %.5f %.5f\n" * len(vertices) % tuple(vertices.ravel().tolist())


def _face_lines(faces: np.ndarray) -> str:
    """Triangles (F, 3) as text; OBJ counts from one."""
    return "f %d %d %d\n" * len(faces) % tuple((faces + 1).ravel().tolist())
