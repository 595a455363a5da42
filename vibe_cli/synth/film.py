"""Film a scene: its pictures and, for every frame, everybody's exact labels.

Colours are drawn at twice the size and averaged; labels come from the depth of each person alone, at the size of
the picture. Where the camera is at fault (blur, noise, compression), the labels are not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from vibe_cli.geometry.skeleton import joints
from vibe_cli.synth.faults import compressed
from vibe_cli.synth.labels import (
    FAR,
    NEAR,
    Drawn,
    draw_depth,
    flesh_depth,
    flow_back,
    in_front,
    mask_box,
    nearest,
    points_box,
    visibility,
)
from vibe_cli.synth.room import Camera, ground_shadow
from vibe_cli.synth.stage import Actor, Scene

SAMPLES = 2
THING = 255  # in a mask: something that is nobody; 0 is the place, 1 the first person
# Joints whose shadows are drawn
SHADOWS = joints("pelvis", "spine1", "spine3", "head", "knee", "ankle", "foot", "elbow", "wrist")


@dataclass(frozen=True, eq=False)
class Labels:
    """One person in one frame; camera axes are x right, y down, z forward, metres."""

    rotations: np.ndarray  # (24, 3, 3) relative, the root in camera axes
    trans: np.ndarray  # (3,)    the pelvis
    points: np.ndarray  # (44, 3) joints and surface points
    pixels: np.ndarray  # (44, 2) the same in the picture
    visible: np.ndarray  # (44, 3) bool: in the picture, hidden by the own body, hidden by anything else
    box: np.ndarray  # (4,)    centre x, centre y, width, height of what is seen; zeros when nothing is
    box_full: np.ndarray  # (4,)    of the whole person, also beyond the picture's edges
    share: float  # of the pixels that would be seen alone in a picture without edges, about


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture with its labels."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    mask: np.ndarray  # (H, W)    uint8: 0 the place, i + 1 person i, THING
    flow: np.ndarray  # (H, W, 2) float32 pixels, to the frame before; zeros in the first
    flow_seen: np.ndarray  # (H, W)    bool: the point was in sight then
    people: list[Labels]
    camera: Camera


@dataclass(frozen=True)
class Faults:
    """Defects that a camera adds to its pictures, the same over a clip."""

    curve: np.ndarray  # (1, 256, 3) uint8 of tones
    grey: bool
    shutter: float  # share of the time between frames that it is open: motion blur
    blur: float  # pixels
    grain: float  # grey levels
    quality: int | None  # JPEG's


def draw_faults(rng: np.random.Generator) -> Faults:
    """A random camera: half of them are fair ones."""
    x = np.arange(256) / 255
    tones = (x ** math.exp(rng.uniform(-0.5, 0.35)) - 0.45) * rng.uniform(0.6, 1.3) + 0.45 + rng.uniform(-0.12, 0.12)
    curve = np.clip(tones[:, None] * (1 + rng.normal(size=3) * 0.05) * 255, 0, 255).astype(np.uint8)[None]
    poor = rng.random(4) < 0.5
    return Faults(
        curve,
        grey=rng.random() < 0.05,
        shutter=rng.uniform(0.2, 0.9) * poor[0],
        blur=rng.uniform(0.3, 1.2) * poor[1],
        grain=rng.uniform(1, 9) * poor[2],
        quality=int(rng.uniform(30, 90)) if poor[3] else None,
    )


def film(rng: np.random.Generator, scene: Scene, faults: Faults | None = None) -> Iterator[Frame]:
    """The scene's frames; without `faults` as a perfect camera would see it."""
    flesh, last = flesh_depth(scene.body), None
    for t in range(len(scene.cameras)):
        shot = _Shot(scene, t)
        frame = _label(scene, t, shot, last, flesh)
        yield frame if faults is None else Frame(**{**vars(frame), "image": _develop(rng, frame, faults)})
        last = shot


class _Shot:
    """One frame's geometry and depths, kept until the next has been labelled."""

    def __init__(self, scene: Scene, t: int) -> None:
        self.camera = scene.cameras[t]
        self.posed = [actor.posed(scene.body, t) for actor in scene.actors]
        self.painted, self.seen = scene.room.paint(self.camera)
        self.depth: np.ndarray | None = None  # (H, W) of what is seen, when labelled

    def image(self, scene: Scene) -> np.ndarray:
        """(H, W, 3) uint8 BGR."""
        meshes = [
            (vertices, normals, actor.look.colours * actor.look.tint, scene.body.faces)
            for actor, (vertices, normals, _) in zip(scene.actors, self.posed, strict=True)
        ]
        meshes += [(prop.vertices, prop.normals, prop.colours, prop.faces) for prop in scene.props]
        drawn, cover = _draw_colours(self.camera, meshes, scene)
        joints = np.concatenate([np.zeros((0, 3)), *(points[SHADOWS] for _, _, points in self.posed)])
        dark = ground_shadow(self.seen, joints, scene.sun, strength=0.75 * (1 - 0.6 * scene.ambient))
        return np.clip(self.painted * (dark * (1 - cover))[..., None] + drawn * 255, 0, 255).astype(np.uint8)


def _draw_colours(camera: Camera, meshes: list[tuple], scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Colour (H, W, 3) times cover and cover (H, W), 0..1, of meshes of vertices, normals, colours and faces."""
    size = (camera.height * SAMPLES, camera.width * SAMPLES)
    if not meshes:
        empty = np.zeros((camera.height, camera.width, 4), np.float32)
        return empty[..., :3], empty[..., 3]
    starts = np.cumsum([0, *(len(mesh[0]) for mesh in meshes)])
    placed = camera.place(np.concatenate([mesh[0] for mesh in meshes]))
    normals = np.concatenate([mesh[1] for mesh in meshes])
    shade = scene.ambient + (1 - scene.ambient) * 1.2 * np.clip(normals @ scene.sun, 0, 1)
    shade *= 1 - 0.25 * np.clip(-normals[:, 1], 0, 1)
    colours = np.clip(np.concatenate([mesh[2] for mesh in meshes]) * shade[:, None], 0, 1)
    faces = np.concatenate([mesh[3] + start for mesh, start in zip(meshes, starts, strict=False)]).astype(np.int32)
    faces = in_front(placed, faces)
    picture: np.ndarray = np.full((*size, 3), -1, np.float32)
    depth = np.full(size, FAR, np.float32)
    field = float(2 * np.arctan(camera.height / 2 / camera.focal))
    if len(faces):
        flipped = (placed * [1, -1, -1]).astype(np.float32)
        picture, _ = cv2.triangleRasterize(
            flipped, faces, colours.astype(np.float32), picture, depth, np.eye(4, dtype=np.float32), field, NEAR, FAR
        )
    cover = (picture[..., 0] >= 0).astype(np.float32)
    small = (camera.width, camera.height)
    return (
        cv2.resize(np.clip(picture, 0, 1) * cover[..., None], small, interpolation=cv2.INTER_AREA),
        cv2.resize(cover, small, interpolation=cv2.INTER_AREA),
    )


def _label(scene: Scene, t: int, shot: _Shot, last: _Shot | None, flesh: np.ndarray) -> Frame:
    camera, body = shot.camera, scene.body
    size = (camera.focal, camera.width, camera.height)
    then = None if last is None else last.camera
    drawn = [
        draw_depth(camera.place(vertices), body.faces, *size, None if then is None else then.place(before))
        for (vertices, _, _), (before, _, _) in zip(shot.posed, (last or shot).posed, strict=True)
    ]
    things = [
        draw_depth(camera.place(prop.vertices), prop.faces, *size, None if then is None else then.place(prop.vertices))
        for prop in scene.props
    ]
    background = camera.place(shot.seen)[..., 2].astype(np.float32)
    owner, shot.depth = nearest([one.depth for one in (*drawn, *things)], background)
    count = len(drawn)
    mask = np.where(owner < count, owner + 1, THING).astype(np.uint8)
    flow, seen = np.zeros((*mask.shape, 2), np.float32), np.zeros(mask.shape, bool)
    if last is not None and then is not None and last.depth is not None:
        flow, seen = flow_back(
            owner,
            [one.before for one in (*drawn, *things) if one.before is not None],
            then.place(shot.seen).astype(np.float32),
            then.project,
            last.depth,
        )
    people = [
        _label_person(actor, t, camera, points, vertices, i, mask, drawn, things, background, flesh)
        for i, (actor, (vertices, _, points)) in enumerate(zip(scene.actors, shot.posed, strict=True))
    ]
    image = np.ascontiguousarray(shot.image(scene)[..., ::-1])
    return Frame(image, mask, flow, seen, people, camera)


def _label_person(
    actor: Actor,
    t: int,
    camera: Camera,
    points: np.ndarray,
    vertices: np.ndarray,
    index: int,
    mask: np.ndarray,
    drawn: list[Drawn],
    things: list[Drawn],
    background: np.ndarray,
    flesh: np.ndarray,
) -> Labels:
    rotations = actor.rotations[t].copy()
    rotations[0] = camera.rotation @ rotations[0]
    placed, own = camera.place(points), drawn[index].depth
    pixels = camera.project(placed)
    rest = [one.depth for one in (*drawn[:index], *drawn[index + 1 :], *things)]
    others = np.minimum.reduce([background, *rest])
    box_full = points_box(camera.project(camera.place(vertices)))
    mine = mask == index + 1
    alone = (own < background).sum()
    inside = points_box(
        np.clip(
            box_full.reshape(2, 2)[0] + np.array([[-0.5, -0.5], [0.5, 0.5]]) * box_full[2:],
            0,
            [camera.width, camera.height],
        )
    )
    in_picture = inside[2] * inside[3] / max(box_full[2] * box_full[3], 1e-6)
    return Labels(
        rotations,
        camera.place(actor.pelvis[t]),
        placed,
        pixels,
        visibility(placed, pixels, own, others, flesh),
        mask_box(mine),
        box_full,
        float(mine.sum() / max(alone, 1) * in_picture),
    )


def _develop(rng: np.random.Generator, frame: Frame, faults: Faults) -> np.ndarray:
    """(H, W, 3) uint8 RGB: the picture as the camera renders it."""
    image = frame.image[..., ::-1]
    if faults.shutter > 0 and frame.flow_seen.any():
        y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
        blurred = np.zeros(image.shape, np.float32)
        for share in np.linspace(-0.5, 0.5, 5, dtype=np.float32) * np.float32(faults.shutter):
            at = (x + frame.flow[..., 0] * share, y + frame.flow[..., 1] * share)
            blurred += cv2.remap(image, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        image = blurred / 5
    image = cv2.LUT(np.ascontiguousarray(image).astype(np.uint8), faults.curve)
    if faults.grey:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    if faults.blur > 0:
        image = cv2.GaussianBlur(image, (0, 0), faults.blur)
    if faults.grain > 0:
        image = np.clip(image + rng.standard_normal(image.shape, np.float32) * faults.grain, 0, 255).astype(np.uint8)
    if faults.quality is not None:
        image = compressed(image, faults.quality)
    return np.ascontiguousarray(image[..., ::-1])
