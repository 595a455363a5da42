"""Binary glTF 2.0: skinned bodies in motion, for Blender, Unity, Unreal, three.js and viewers.

glb/person_001.glb  one person alone, from where they enter: an armature whose bones humanoid mappings know, and a skin
glb/scene.glb       everybody on the clip's clock, where they stood before the camera, and that camera; who is not in
                    the picture has size zero meanwhile

glTF's axes and unit, which importers turn into their own: x right, y up, z towards the camera; metres; the camera is at
the origin. Keys lie at the clip's own time stamps, unless a constant rate is asked for.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vibe_cli._version import __version__
from vibe_cli.export import ExportOptions, person_name
from vibe_cli.export.axes import in_words
from vibe_cli.export.clock import first_frame, steady
from vibe_cli.export.figure import AXES, INFLUENCES, Figure, figure_of
from vibe_cli.export.rig import BONES
from vibe_cli.geometry import camera
from vibe_cli.geometry.skeleton import PARENTS
from vibe_cli.progress import Progress
from vibe_cli.run_folder import replacing_folder

if TYPE_CHECKING:
    import pygltflib

    from vibe_cli.body.body_models import Body
    from vibe_cli.results import Result, VideoInfo

SCENE = "scene.glb"
COLOURS = ((0.45, 0.60, 0.78), (0.85, 0.56, 0.42), (0.52, 0.71, 0.52), (0.72, 0.55, 0.76), (0.80, 0.72, 0.42))
NEAREST_M = 0.05  # that the camera sees


class Writer:
    """glTF in one file."""

    name = "glb"
    extension = ".glb"

    def write(self, result: Result, body: Body, folder: Path, options: ExportOptions, progress: Progress) -> list[Path]:
        """Write glb/person_001.glb and so on, and scene.glb; the folder, or nothing when nobody is in the result."""
        if not result.people:
            return []
        moving = result
        if options.fps is not None or options.from_start:
            moving = steady(result, options.fps, options.from_start, options.start)
        times = moving.video.times
        origin = float(times[first_frame(moving, options.start)])
        end = float(times[times < (np.inf if options.end is None else options.end)].max()) - origin
        figures = []
        with replacing_folder(folder / "glb", r"(person_\d+|scene)\.glb") as part:
            for person in progress(moving.people, "Exporting glb", len(moving.people)):
                figure = figure_of(person, moving.video, body, origin)
                figures.append(figure)
                alone = replace(figure, times=figure.times - figure.times[0])
                (part / f"{person_name(person)}.glb").write_bytes(packed([alone], moving))
            (part / SCENE).write_bytes(packed(figures, moving, end))
        return [folder / "glb"]


def packed(figures: list[Figure], result: Result, end: float | None = None) -> bytes:
    """One file of people; with an `end` in seconds also the camera, and people only while they are in the picture."""
    import pygltflib as gltf

    pack = Pack(result)
    for figure in figures:
        pack.add_figure(figure)
        if end is not None:
            pack.hide_outside(figure, end)
    if end is not None:
        pack.add_camera(result.video)
    file = pack.file
    file.animations = [gltf.Animation(name="motion", channels=pack.channels, samplers=pack.samplers)]
    file.buffers = [gltf.Buffer(byteLength=len(pack.blob))]
    file.set_binary_blob(bytes(pack.blob))
    return b"".join(file.save_to_bytes())


class Pack:
    """A glTF file that grows: nodes, and the bytes that they refer to."""

    def __init__(self, result: Result) -> None:
        import pygltflib as gltf

        facts = {
            "axes": in_words(AXES),
            "model": result.model,
            "body": result.body,
            "clip": Path(result.video.path).name,
        }
        self.file = gltf.GLTF2(
            asset=gltf.Asset(version="2.0", generator=f"vibe {__version__}"),
            scene=0,
            scenes=[gltf.Scene(name="clip", nodes=[], extras=facts)],
        )
        self.blob = bytearray()
        self.channels: list[pygltflib.AnimationChannel] = []
        self.samplers: list[pygltflib.AnimationSampler] = []
        self.armatures: dict[int, int] = {}  # person → node

    def add_figure(self, figure: Figure) -> None:
        """A person: an armature node with the bones below it, a node of the skin beside it, and their motion."""
        import pygltflib as gltf

        name = f"person_{figure.number:03d}"
        armature = self._add_node(name=name, children=[], extras={"betas": figure.betas.tolist()})
        first = len(self.file.nodes)
        for joint, parent in enumerate(PARENTS):
            offset = figure.joints[joint] - (figure.joints[parent] if parent >= 0 else 0)
            children = [first + child for child, its in enumerate(PARENTS) if its == joint]
            self._add_node(name=BONES[joint], translation=offset.tolist(), children=children)
        self.file.nodes[armature].children.append(first)
        inverse = np.tile(np.eye(4, dtype=np.float32), (len(PARENTS), 1, 1))
        inverse[:, 3, :3] = -figure.joints  # column by column, as glTF has matrices
        skin = gltf.Skin(
            name=name,
            inverseBindMatrices=self._add_array(inverse.reshape(-1, 16), gltf.MAT4),
            joints=list(range(first, first + len(PARENTS))),
            skeleton=armature,
        )
        self.file.skins.append(skin)
        mesh = self._add_mesh(figure, name)
        body = self._add_node(name=f"{name}_body", mesh=mesh, skin=len(self.file.skins) - 1)
        self.file.scenes[0].nodes += [armature, body]
        self.armatures[figure.number] = armature
        clock = self._add_array(figure.times, gltf.SCALAR, bounds=True)
        self._animate(first, "translation", clock, self._add_array(figure.hips, gltf.VEC3))
        for joint in range(len(PARENTS)):
            values = self._add_array(figure.quaternions[:, joint], gltf.VEC4)
            self._animate(first + joint, "rotation", clock, values)

    def hide_outside(self, figure: Figure, end: float) -> None:
        """Give an armature size zero before its person enters and after they have left."""
        import pygltflib as gltf

        times, sizes = [float(figure.times[0])], [1]
        if times[0] > 0:
            times, sizes = [0.0, *times], [0, 1]
        step = float(np.diff(figure.times).mean()) if len(figure.times) > 1 else 0.04
        if figure.times[-1] + step / 2 < end:
            times, sizes = [*times, float(figure.times[-1]) + step], [*sizes, 0]
        if len(times) > 1:
            clock = self._add_array(np.array(times, np.float32), gltf.SCALAR, bounds=True)
            values = np.repeat(np.array(sizes, np.float32)[:, None], 3, axis=1)
            self._animate(
                self.armatures[figure.number], "scale", clock, self._add_array(values, gltf.VEC3), gltf.ANIM_STEP
            )

    def add_camera(self, video: VideoInfo) -> None:
        """The camera that took the clip, at the origin, looking along −z."""
        import pygltflib as gltf

        focal = camera.default_intrinsics(video.width, video.height)[1, 1]
        lens = gltf.Perspective(
            yfov=2 * float(np.arctan(video.height / 2 / focal)), aspectRatio=video.width / video.height, znear=NEAREST_M
        )
        self.file.cameras.append(gltf.Camera(type=gltf.PERSPECTIVE, perspective=lens, name="camera"))
        self.file.scenes[0].nodes.append(self._add_node(name="camera", camera=0))

    def _add_mesh(self, figure: Figure, name: str) -> int:
        import pygltflib as gltf

        attributes: dict[str, int] = {
            "POSITION": self._add_array(figure.vertices, gltf.VEC3, gltf.ARRAY_BUFFER, bounds=True),
            "NORMAL": self._add_array(figure.normals, gltf.VEC3, gltf.ARRAY_BUFFER),
        }
        for number, at in enumerate(range(0, figure.bones.shape[1], INFLUENCES)):
            some = slice(at, at + INFLUENCES)
            attributes[f"JOINTS_{number}"] = self._add_array(figure.bones[:, some], gltf.VEC4, gltf.ARRAY_BUFFER)
            attributes[f"WEIGHTS_{number}"] = self._add_array(figure.weights[:, some], gltf.VEC4, gltf.ARRAY_BUFFER)
        small = len(figure.vertices) < np.iinfo(np.uint16).max
        faces = figure.faces.ravel().astype(np.uint16 if small else np.uint32)
        indices = self._add_array(faces, gltf.SCALAR, gltf.ELEMENT_ARRAY_BUFFER)
        colour = [*COLOURS[(figure.number - 1) % len(COLOURS)], 1.0]
        matt = gltf.PbrMetallicRoughness(baseColorFactor=colour, metallicFactor=0.0, roughnessFactor=0.8)
        self.file.materials.append(gltf.Material(name=name, pbrMetallicRoughness=matt, alphaCutoff=None))
        part = gltf.Primitive(
            attributes=gltf.Attributes(**attributes), indices=indices, material=len(self.file.materials) - 1
        )
        self.file.meshes.append(gltf.Mesh(name=f"{name}_body", primitives=[part]))
        return len(self.file.meshes) - 1

    def _add_node(self, **fields: Any) -> int:
        import pygltflib as gltf

        self.file.nodes.append(gltf.Node(**fields))
        return len(self.file.nodes) - 1

    def _animate(self, node: int, path: str, clock: int, values: int, way: str = "LINEAR") -> None:
        import pygltflib as gltf

        self.samplers.append(gltf.AnimationSampler(input=clock, output=values, interpolation=way))
        target = gltf.AnimationChannelTarget(node=node, path=path)
        self.channels.append(gltf.AnimationChannel(sampler=len(self.samplers) - 1, target=target))

    def _add_array(self, values: np.ndarray, kind: str, target: int | None = None, bounds: bool = False) -> int:
        """An accessor of rows of `kind`, and the view of its own that it reads, at a multiple of four bytes."""
        import pygltflib as gltf

        types = {"float32": gltf.FLOAT, "uint16": gltf.UNSIGNED_SHORT, "uint32": gltf.UNSIGNED_INT}
        component = types.get(values.dtype.name, gltf.UNSIGNED_BYTE)
        data = np.ascontiguousarray(values).tobytes()
        self.file.bufferViews.append(
            gltf.BufferView(buffer=0, byteOffset=len(self.blob), byteLength=len(data), target=target)
        )
        self.blob += data + bytes(-len(data) % 4)
        rows = values.reshape(len(values), -1)
        accessor = gltf.Accessor(
            bufferView=len(self.file.bufferViews) - 1, componentType=component, count=len(values), type=kind
        )
        if bounds:
            accessor.min, accessor.max = rows.min(axis=0).tolist(), rows.max(axis=0).tolist()
        self.file.accessors.append(accessor)
        return len(self.file.accessors) - 1
