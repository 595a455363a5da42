"""Scenes: dressed people who act among things in a room, lit by one sun, watched by a moving camera."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from vibe_cli.synth.bodies import SynthBody
from vibe_cli.synth.mocap import FPS
from vibe_cli.synth.motion import act, stand
from vibe_cli.synth.people import Look, draw_look, dressed
from vibe_cli.synth.pictures import Pictures
from vibe_cli.synth.poses import PoseBank
from vibe_cli.synth.room import Camera, Room, camera_path, draw_room
from vibe_cli.synth.textures import fabric

CROWD = (0.35, 0.3, 0.2, 0.15)  # shares of scenes with 1, 2, 3 and 4 people
APART = 0.75  # metres between two people's pelvises
CLEAR = 1.1  # metres between the camera and a pelvis
PROPS = (0.4, 0.2, 0.2, 0.2)  # shares of scenes with 0, 1, 2 and 3 things that stand about
TRIES = 20
CELLS = 6  # of a thing's side: its colours are those of its vertices


@dataclass(frozen=True)
class SceneOptions:
    """Options of a scene."""

    width: int = 640
    height: int = 360
    length: int = 1  # frames; 1 is a photograph, whose poses may be any
    fps: float = float(FPS)
    people: int | None = None  # at most so many; None: 1 to 4


@dataclass(frozen=True, eq=False)
class Actor:
    """Somebody: what they look like, their skin at rest, and their motion in world axes."""

    look: Look
    rest: np.ndarray  # (V, 3) with clothes and hair
    normals: np.ndarray  # (V, 3)
    rotations: np.ndarray  # (T, 24, 3, 3)
    pelvis: np.ndarray  # (T, 3) metres

    def posed(self, body: SynthBody, t: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Vertices (V, 3), unit normals (V, 3) and the 44 points (K, 3) of frame t, world axes."""
        world, offsets, points = body.pose(self.rotations[t], self.look.shape)
        vertices, normals = body.skin(world, offsets, self.rest, self.normals)
        return vertices + self.pelvis[t], normals, points + self.pelvis[t]


@dataclass(frozen=True, eq=False)
class Prop:
    """Something that stands there: a box or a pole."""

    vertices: np.ndarray  # (V, 3) world axes
    normals: np.ndarray  # (V, 3)
    colours: np.ndarray  # (V, 3) BGR
    faces: np.ndarray  # (F, 3) int32


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything that is needed to film it."""

    body: SynthBody
    actors: list[Actor]
    props: list[Prop]
    room: Room
    cameras: list[Camera]  # a frame each
    sun: np.ndarray  # (3,) direction to the light, world axes, y up
    ambient: float
    fps: float


def build_scene(
    rng: np.random.Generator, body: SynthBody, bank: PoseBank, pictures: Pictures, options: SceneOptions
) -> Scene:
    """A random scene; equal generators give equal scenes."""
    count = 1 + rng.choice(len(CROWD), p=CROWD)
    count = count if options.people is None else min(count, options.people)
    cast = [_draw_actor(rng, body, bank, pictures, options) for _ in range(count)]
    actors = _keep_apart(rng, cast)
    follow = rng.choice([0.0, 0.6, 1.0])
    lead = actors[0].pelvis
    target = lead.mean(axis=0) * (1 - follow) + lead * follow + rng.normal(0, 0.15, 3)
    for _ in range(TRIES):
        cameras = camera_path(rng, options.length, options.width, options.height, target)
        near = [_closest(actor, cameras) for actor in actors]
        if near[0] > CLEAR:
            break
    actors = [actors[0], *(actor for actor, metres in zip(actors[1:], near[1:], strict=True) if metres > CLEAR)]
    centres = np.stack([camera.centre for camera in cameras])
    paths = np.concatenate([*(actor.pelvis for actor in actors), centres])
    props = _draw_props(rng, pictures, paths)
    reach = np.concatenate([paths + [0, 1.2, 0], *(prop.vertices for prop in props)])
    sun = rng.normal(size=3) * [1, 0.3, 1] + [0, 1.0, 0]
    return Scene(
        body,
        actors,
        props,
        draw_room(rng, pictures, reach),
        cameras,
        sun / np.linalg.norm(sun),
        ambient=float(rng.uniform(0.35, 0.85)),
        fps=options.fps,
    )


def _draw_actor(
    rng: np.random.Generator, body: SynthBody, bank: PoseBank, pictures: Pictures, options: SceneOptions
) -> Actor:
    look = draw_look(rng, body, pictures)
    rest, normals = dressed(body, look)
    motion = act(rng, bank, options.length, options.fps) if options.length > 1 else bank.pose(rng)[None]
    motion[:, 0] = Rotation.from_euler("y", rng.uniform(0, 2 * math.pi)).as_matrix() @ motion[:, 0]
    actor = Actor(look, rest, normals, motion, stand(body, motion, look.shape))
    lowest = [actor.posed(body, t)[0][:, 1].min() for t in range(0, options.length, 4)]
    floor = np.interp(np.arange(options.length), np.arange(0, options.length, 4), lowest)
    return Actor(look, rest, normals, motion, actor.pelvis - np.stack([0 * floor, floor, 0 * floor], axis=1))


def _keep_apart(rng: np.random.Generator, cast: list[Actor]) -> list[Actor]:
    """The first about the origin, the others around where they meet nobody; who finds no place stays away."""
    actors: list[Actor] = []
    for actor in cast:
        centred = actor.pelvis - actor.pelvis.mean(axis=0) * [1, 0, 1]
        for _ in range(TRIES):
            angle, away = rng.uniform(0, 2 * math.pi), rng.uniform(APART, 1.2 + len(actors)) if actors else 0.0
            path = centred + np.array([math.sin(angle), 0, math.cos(angle)]) * away
            if all(np.linalg.norm((path - other.pelvis)[:, [0, 2]], axis=1).min() > APART for other in actors):
                actors.append(Actor(actor.look, actor.rest, actor.normals, actor.rotations, path))
                break
    return actors


def _closest(actor: Actor, cameras: list[Camera]) -> float:
    return float(np.linalg.norm(np.stack([camera.centre for camera in cameras]) - actor.pelvis, axis=1).min())


def _draw_props(rng: np.random.Generator, pictures: Pictures, paths: np.ndarray) -> list[Prop]:
    """Boxes and poles on the floor where nobody goes; `paths` (N, 3) are places to leave free."""
    props: list[Prop] = []
    for _ in range(rng.choice(len(PROPS), p=PROPS)):
        pole = rng.random() < 0.35
        size = np.array(
            [rng.uniform(0.04, 0.2), rng.uniform(1.5, 3), rng.uniform(0.04, 0.2)]
            if pole
            else [rng.uniform(0.25, 1.3), rng.uniform(0.2, 1.3), rng.uniform(0.25, 1.0)]
        )
        for _ in range(TRIES):
            at = rng.uniform(-4, 4, 2)
            if np.linalg.norm(paths[:, [0, 2]] - at, axis=1).min() > 0.5 + np.hypot(*size[[0, 2]]) / 2:
                turn = Rotation.from_euler("y", rng.uniform(0, math.pi)).as_matrix()
                props.append(_box(rng, pictures, size, turn, np.array([at[0], 0, at[1]])))
                break
    return props


def _box(rng: np.random.Generator, pictures: Pictures, size: np.ndarray, turn: np.ndarray, at: np.ndarray) -> Prop:
    u, v = np.meshgrid(np.linspace(-0.5, 0.5, CELLS + 1), np.linspace(-0.5, 0.5, CELLS + 1))
    grid = np.arange((CELLS + 1) ** 2).reshape(CELLS + 1, CELLS + 1)
    a, b, c, d = (grid[i : CELLS + i, j : CELLS + j].ravel() for i, j in ((0, 0), (0, 1), (1, 1), (1, 0)))
    square = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    points: list[np.ndarray] = []
    normals: list[np.ndarray] = []
    faces: list[np.ndarray] = []
    for axis in range(3):
        for sign in (-1, 1):
            normal = np.eye(3)[axis] * sign
            across = np.eye(3)[(axis + 1) % 3]
            up = np.cross(normal, across)
            points.append(normal * 0.5 + u.reshape(-1, 1) * across + v.reshape(-1, 1) * up)
            faces.append(square + len(grid.ravel()) * len(normals))
            normals.append(np.tile(normal, (grid.size, 1)))
    local = np.concatenate(points) * size
    colours = np.clip(fabric(rng, local * 0.7, pictures), 0.01, 1)
    return Prop(
        (local + [0, size[1] / 2, 0]) @ turn.T + at,
        np.concatenate(normals) @ turn.T,
        colours,
        np.concatenate(faces).astype(np.int32),
    )
