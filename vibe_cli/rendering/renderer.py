"""People drawn into their video: every body of a frame in one pass, in depth order, each on its person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from vibe_cli.errors import InputError, UsageError
from vibe_cli.rendering import place
from vibe_cli.rendering.backends import BACKENDS, RendererError, start
from vibe_cli.rendering.light import Topology, lit

if TYPE_CHECKING:
    from vibe_cli.body.body_models import Body
    from vibe_cli.results import Person, Result, VideoInfo

__all__ = [
    "BACKENDS",
    "STYLES",
    "FrameSink",
    "Mesh",
    "Renderer",
    "RendererError",
    "colour_of",
    "output_size",
    "render_result",
]

CHUNK = 32  # frames whose vertices are held at once, a person: 2.7 MB of the open body
PALETTE = np.array(
    [
        (92, 168, 232),
        (244, 150, 96),
        (118, 198, 112),
        (196, 134, 222),
        (246, 208, 92),
        (84, 200, 192),
        (240, 130, 168),
        (160, 166, 92),
        (128, 132, 236),
        (212, 164, 120),
        (206, 208, 214),
        (224, 88, 84),
    ],
    np.uint8,
)


@dataclass(frozen=True)
class Style:
    """How bodies are shown."""

    background: int | None = None  # grey 0..255, or None: the video
    shaded: bool = True  # colour and light, or plain white
    lines: bool = False  # edges of the triangles alone
    opacity: float = 1.0  # over the background
    beside: bool = False  # a second picture to the right, from the side


STYLES = {
    "overlay": Style(opacity=0.94),
    "side": Style(opacity=0.94, beside=True),
    "wireframe": Style(lines=True),
    "plain": Style(background=244),
    "mask": Style(background=0, shaded=False),
}
SIDE = Style(background=244)  # the picture beside


class FrameSink(Protocol):
    """A sink of drawn frames, such as a VideoWriter."""

    def write(self, frame: np.ndarray) -> None:
        """One RGB uint8 frame (height, width, 3)."""
        ...


@dataclass(frozen=True, eq=False)
class Mesh:
    """One person's body in one frame."""

    vertices: np.ndarray  # (V, 3) metres from the pelvis: x right, y down, z into the image
    camera: np.ndarray  # (4,)   sx, sy, tx, ty of the full image
    id: int  # the person's; gives the colour
    depth: float = 0.0  # metres from the camera to the pelvis: who is in front of whom
    colour: tuple[int, int, int] | None = None  # RGB 0..255 instead of colour_of(id)

    def __post_init__(self) -> None:
        for name, shape in (("vertices", (None, 3)), ("camera", (4,))):
            value = np.ascontiguousarray(getattr(self, name), np.float32)
            if value.ndim != len(shape) or value.shape[-1] != shape[-1] or not np.isfinite(value).all():
                raise ValueError(f"Mesh.{name}: expected {shape} finite numbers, got shape {value.shape}")
            object.__setattr__(self, name, value)


def colour_of(person: int) -> tuple[int, int, int]:
    """The RGB colour of a person's id, always the same; ids 1 to 12 are told apart at a glance."""
    if 1 <= person <= len(PALETTE):
        return tuple(PALETTE[person - 1].tolist())
    hue, band = person * 0.618034 % 1, person % 3  # the golden ratio keeps neighbours apart
    hsv = np.array([[[round(hue * 179), 110 + 40 * band, 245 - 35 * band]]], np.uint8)
    return tuple(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0].tolist())


def output_size(style: str, width: int, height: int) -> tuple[int, int]:
    """Width and height of what a style makes of a video of this size."""
    return (width * 2 if _style(style).beside else width), height


class Renderer:
    """Draws frames of one size by egl, osmesa, software, or auto: the first of them that works.

    Use as a context manager, or close it. RendererError (a VibeError) when none can start. The first OpenGL renderer of
    a process sets PYOPENGL_PLATFORM, which PyOpenGL reads at its import.
    """

    def __init__(self, width: int, height: int, backend: str = "auto") -> None:
        self.width, self.height = width, height
        self._rasteriser, self.refused = start(backend)  # refused: what auto tried before, and why not
        self.name = self._rasteriser.name  # egl | osmesa | software
        self.device = self._rasteriser.device  # what draws, in the driver's words
        self._topology: tuple[np.ndarray, int, Topology] | None = None

    def __enter__(self) -> Renderer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the rasteriser's memory back."""
        self._rasteriser.close()

    def render_frame(
        self, frame: np.ndarray | None, meshes: list[Mesh], faces: np.ndarray, style: str = "overlay"
    ) -> np.ndarray:
        """The people of one frame, drawn: RGB uint8 (height, width, 3), twice as wide for the style `side`.

        `frame` is RGB uint8 (height, width, 3), or None for styles with a background of their own; it is not
        changed. `faces` (F, 3) index every mesh's vertices.
        """
        look = _style(style)
        if frame is None and look.background is None:
            raise ValueError(f"the style {style!r} needs a frame")
        if frame is not None and frame.shape != (self.height, self.width, 3):
            raise InputError(
                f"a frame of {frame.shape[1]}×{frame.shape[0]} pixels where {self.width}×{self.height} were expected",
                hint="render a result with the video that it was made from",
            )
        picture = self._picture(look, frame)
        self._draw(picture, meshes, faces, look)
        if not look.beside:
            return picture
        beside = self._picture(SIDE, None)
        turned = [replace(mesh, vertices=place.from_the_side(mesh.vertices)) for mesh in meshes]
        self._draw(beside, turned, faces, SIDE)
        return np.concatenate([picture, beside], axis=1)

    def _picture(self, look: Style, frame: np.ndarray | None) -> np.ndarray:
        if look.background is None:
            return np.array(frame, np.uint8)
        return np.full((self.height, self.width, 3), look.background, np.uint8)

    def _draw(self, picture: np.ndarray, meshes: list[Mesh], faces: np.ndarray, look: Style) -> None:
        """Draw meshes into a picture, each group of overlapping people in one pass."""
        points = [place.to_pixels(mesh.vertices, mesh.camera, self.width, self.height) for mesh in meshes]
        bounds = [place.bounds(some, self.width, self.height) for some in points]
        regions = {index: region for index, region in enumerate(bounds) if region is not None}
        seen = list(regions)
        for (left, top, right, bottom), members in place.disjoint(list(regions.values())):
            group = [seen[member] for member in members]
            depths = place.spread_depths(np.array([meshes[index].depth for index in group]))
            parts = []
            for index, depth in zip(group, depths, strict=True):
                moved = points[index] + np.array([-left, -top, depth], np.float32)
                parts.append(self._coloured(meshes[index], moved, faces, look))
            placed = place.join(parts)
            if not len(placed.faces):
                continue
            line = place.line_width(placed.edges) if placed.edges is not None else 0
            colour, cover = self._rasteriser.draw(placed, right - left, bottom - top, line)
            _lay_over(picture[top:bottom, left:right], colour, cover, look.opacity)

    def _coloured(self, mesh: Mesh, points: np.ndarray, faces: np.ndarray, look: Style) -> place.Placed:
        """A mesh at its place with the colours of its vertices, without triangles that cannot be seen."""
        topology = self._shape(faces, len(mesh.vertices))
        normals, across = topology.normals(mesh.vertices)
        visible = topology.faces[across[:, 2] < 0] if topology.closed else topology.faces
        if look.shaded:
            colour = np.array(mesh.colour or colour_of(mesh.id), np.float32) / 255
            colours = lit(normals, (1 + colour) / 2 if look.lines else colour)  # thin lines need to be pale
        else:
            colours = np.ones_like(normals, np.float32)
        placed = place.Placed(points, colours, visible)
        return place.outlined(placed) if look.lines else placed

    def _shape(self, faces: np.ndarray, count: int) -> Topology:
        """Facts derived from the faces, computed once a body."""
        if self._topology is None or self._topology[0] is not faces or self._topology[1] != count:
            self._topology = (faces, count, Topology(faces, count))
        return self._topology[2]


def render_result(
    result: Result,
    frames: Iterable[tuple[int, np.ndarray]],
    body: Body,
    style: str,
    renderer: Renderer,
    sink: FrameSink,
) -> int:
    """Draw a result over the frames (index, RGB) of its clip, one by one into `sink`; returns how many.

    Frames with nobody pass through. Vertices are computed for CHUNK frames of a person at a time and
    forgotten, so memory does not grow with the clip. `sink` takes frames of `output_size(style, …)`.
    """
    people = [_Motion(person, result.video, body) for person in result.people]
    count = 0
    for index, frame in frames:
        meshes = [mesh for person in people if (mesh := person.mesh_at(index)) is not None]
        sink.write(renderer.render_frame(frame, meshes, body.faces, style))
        count += 1
    return count


class _Motion:
    """One person's meshes by frame, computed a chunk ahead."""

    def __init__(self, person: Person, video: VideoInfo, body: Body) -> None:
        self._person, self._body = person, body
        self._cameras = person.image_camera(video)
        self._depths = person.translation(video)[:, 2]
        self._start, self._vertices = 0, np.zeros((0, 0, 3), np.float32)

    def mesh_at(self, index: int) -> Mesh | None:
        """The person in frame `index`, or None where absent. Ascending indices are cheap."""
        frames = self._person.frames
        row = int(np.searchsorted(frames, index))
        if row == len(frames) or frames[row] != index:
            if row == len(frames):
                self._vertices = self._vertices[:0].copy()
            return None
        if not self._start <= row < self._start + len(self._vertices):
            self._start, self._vertices = row, _vertices(self._person, self._body, row, row + CHUNK)
        return Mesh(self._vertices[row - self._start], self._cameras[row], self._person.id, float(self._depths[row]))


def _vertices(person: Person, body: Body, first: int, last: int) -> np.ndarray:
    """(last − first, V, 3) vertices of some frames of a person."""
    from vibe_cli.body.body_models import vertices_of

    return vertices_of(person.at(slice(first, last)), body)


def _style(name: str) -> Style:
    if name not in STYLES:
        raise UsageError(f"no style is called {name!r}", hint="choose from: " + ", ".join(STYLES))
    return STYLES[name]


def _lay_over(picture: np.ndarray, colour: np.ndarray, cover: np.ndarray, opacity: float) -> None:
    """Lay colour (already times cover) over a region of a picture, in place; all uint8."""
    if opacity < 1:
        colour, cover = cv2.convertScaleAbs(colour, alpha=opacity), cv2.convertScaleAbs(cover, alpha=opacity)
    rest = cv2.merge([cv2.bitwise_not(cover)] * 3)
    picture[:] = cv2.add(cv2.multiply(picture, rest, scale=1 / 255), colour)
