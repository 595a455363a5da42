"""People as numbers for the page: one shape a person, one turn a joint and frame, all in as few bytes as do.

A packed scene is gzip of: four bytes, the length of a header of JSON; the header; arrays, each at a multiple of four
bytes after it. The header's `arrays` say their names, types, shapes and places; numbers are little-endian. The mesh of
a frame is made in the browser, from these, by linear blend skinning; SMPL's pose blend shapes have no place in it.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vibe_cli._version import __version__
from vibe_cli.export.figure import figure_of
from vibe_cli.geometry import camera
from vibe_cli.geometry.skeleton import PARENTS
from vibe_cli.rendering.renderer import colour_of

if TYPE_CHECKING:
    from vibe_cli.body.body_models import Body
    from vibe_cli.results import Person, Result
    from vibe_cli.viewer.stage import Stage

FORMAT_VERSION = 1  # of what scene.js reads
ANGLES = 32767 / np.pi  # steps a radian
METRES = 32767 / 4.0  # steps a metre, of vertices about the pelvis
QUARTERS = 4  # steps a pixel
BONES = 4  # that move a vertex


def packed_scene(result: Result, body: Body, stage: Stage, frames: range, shown: np.ndarray) -> bytes:
    """The frames `frames` of a result; `shown` are the seconds of each in the page's video."""
    video, arrays = result.video, {}
    inside = np.arange(frames.start, frames.stop)
    arrays["times"], arrays["shown"] = video.times[inside].astype(np.float32), np.asarray(shown, np.float32)
    people = []
    for person in result.people:
        rows = np.flatnonzero((person.frames >= frames.start) & (person.frames < frames.stop))
        if len(rows):
            arrays |= _person(person, rows, result, body, stage, frames.start)
            people.append({"id": person.id, "colour": [value / 255 for value in colour_of(person.id)]})
    if people:
        arrays |= _skin(body)
    first, last = int(frames.start), int(frames.stop) - 1
    cuts = [] if video.kind == "photos" else [int(start) for start in video.scenes if first < start <= last]
    focal = camera.default_intrinsics(video.width, video.height)[1, 1]
    header = {
        "version": FORMAT_VERSION,
        "written_by": f"vibe {__version__}",
        "clip": Path(video.path).name,
        "width": video.width,
        "height": video.height,
        "fps": float(video.fps),
        "first": first,
        "cuts": [cut - first for cut in cuts],
        "model": result.model,
        "body": result.body,
        "people": people,
        "parents": list(PARENTS),
        "camera": {
            "place": stage.camera.tolist(),
            "turn": stage.turn.tolist(),
            "fov": float(np.degrees(2 * np.arctan(video.height / 2 / focal))),
        },
    }
    return gzip.compress(pack(header, arrays), 9, mtime=0)


def pack(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> bytes:
    """Header and arrays in one piece."""
    blob, places = bytearray(), []
    for name, values in arrays.items():
        places.append({"name": name, "type": values.dtype.name, "shape": list(values.shape), "at": len(blob)})
        data = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
        blob += data + bytes(-len(data) % 4)
    text = json.dumps(header | {"arrays": places}).encode()
    text += b" " * (-len(text) % 4)
    return len(text).to_bytes(4, "little") + text + bytes(blob)


def _person(
    person: Person, rows: np.ndarray, result: Result, body: Body, stage: Stage, first: int
) -> dict[str, np.ndarray]:
    """The numbers of a person in some of their frames; frames count from `first`."""
    from scipy.spatial.transform import Rotation

    figure = figure_of(person, result.video, body, 0.0)
    pose = person.pose[rows].astype(float)
    root = stage.turn @ Rotation.from_rotvec(pose[:, 0]).as_matrix()
    pose[:, 0] = Rotation.from_matrix(root).as_rotvec()
    values = {
        "frames": (person.frames[rows] - first).astype(np.uint32),
        "angles": _steps(pose * ANGLES),
        "places": stage.places[person.id][rows].astype(np.float32),
        "pixels": _steps(np.clip(stage.pixels[person.id][rows] * QUARTERS, -32768, 32767)),
        "confidence": np.round(np.clip(person.confidence[rows], 0, 1) * 255).astype(np.uint8),
        "filled": person.filled[rows].astype(np.uint8),
        "vertices": np.round((figure.vertices - figure.joints[0]) * METRES).astype(np.int16),
        "joints": (figure.joints - figure.joints[0]).astype(np.float32),
    }
    return {f"{name}{person.id}": value for name, value in values.items()}


def _steps(values: np.ndarray) -> np.ndarray:
    """(T, …) → (T, N) int16: each row less the one before, modulo 2¹⁶, as they are added up again."""
    whole = np.round(values).astype(np.int16).reshape(len(values), -1)
    return np.diff(whole, axis=0, prepend=np.zeros_like(whole[:1]))


def _skin(body: Body) -> dict[str, np.ndarray]:
    """Triangles, and what moves each vertex: BONES bones, weights in 255ths that sum to one."""
    weights = body.surface().weights.cpu().double().numpy()
    bones = np.argsort(-weights, axis=1, kind="stable")[:, :BONES]
    heavy = np.take_along_axis(weights, bones, axis=1)
    whole = np.floor(heavy / heavy.sum(axis=1, keepdims=True) * 255)
    whole[:, 0] += 255 - whole.sum(axis=1)
    faces = body.faces.astype(np.uint16 if len(weights) <= 65536 else np.uint32)
    return {"faces": faces, "bones": bones.astype(np.uint8), "weights": whole.astype(np.uint8)}
