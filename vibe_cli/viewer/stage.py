"""Where everybody stands: which way is up, how high the floor is, and bodies that stand on it.

A clip says neither. Up is where upright bodies point, over everybody and all frames; the floor is where their lowest
points are. Distances from one camera are guesses that drift, and with them heights where the camera looks down: what
of a person's height changes over more than about a second is taken for drift, so people stand, step and jump, and
somebody who climbs stairs does so on the spot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vibe_cli.export.axes import from_camera
from vibe_cli.export.points import OWN_AXES, Points
from vibe_cli.geometry.skeleton import JOINT_NAMES, POINT_NAMES

if TYPE_CHECKING:
    from vibe_cli.body.body_models import Body
    from vibe_cli.results import Result

SHARP = 8  # power of how straight a body is, in its say about up
UPRIGHT = 0.05  # mean weight of the frames from which the bodies tell up at all
FARTHEST = np.radians(50)  # of up from the camera's; beyond, nobody stands
LOW = 20  # percentile of heights over a while: a foot on the ground, jumps left aside
WHILE_S = 1.0  # seconds to each side


@dataclass(frozen=True, eq=False)
class Stage:
    """A world with y up and the floor at y = 0, metres."""

    turn: np.ndarray  # (3, 3) camera axes (x right, y down, z into the image) → world
    camera: np.ndarray  # (3,) where the clip's camera stands
    places: dict[int, np.ndarray]  # person → (T, 3) their pelvis
    pixels: dict[int, np.ndarray]  # person → (T, 24, 2) their joints in the clip's picture, where the overlay has them


def stage_of(result: Result, body: Body) -> Stage:
    """Everybody of a result above one floor."""
    points, about, pixels = Points(body), {}, {}
    for person in result.people:
        metres, pixels[person.id] = points.placed(person, result, OWN_AXES)
        about[person.id] = metres - metres[:, :1]
    turn = turn_upright(up_of(about))
    sole = _sole(body)
    seen = {person.id: person.translation(result.video).astype(float) @ turn.T for person in result.people}
    lowest = {number: (about[number] @ turn.T)[..., 1].min(axis=1) + seen[number][:, 1] - sole for number in about}
    ground = {person.id: ground_of(lowest[person.id], result.video.times[person.frames]) for person in result.people}
    floor = float(np.median(np.concatenate(list(ground.values())))) if ground else -1.0
    middle = np.median(np.concatenate(list(seen.values())), axis=0) if seen else np.zeros(3)
    origin = np.array([middle[0], floor, middle[2]])
    places = {number: seen[number] - origin * [1, 0, 1] - ground[number][:, None] * [0, 1, 0] for number in seen}
    return Stage(turn, -origin, places, {number: found[:, : len(JOINT_NAMES)] for number, found in pixels.items()})


def up_of(about: dict[int, np.ndarray]) -> np.ndarray:
    """(3,) up in camera axes, from everybody's points (T, 44, 3): the mean way from ankles to neck of who is straight.

    The camera's own up where nobody stands.
    """
    level = np.array([0.0, -1.0, 0.0])
    if not sum(map(len, about.values())):
        return level
    points = np.concatenate(list(about.values()))
    name = {name: points[:, number] for number, name in enumerate(POINT_NAMES)}
    ankles = (name["l_ankle"] + name["r_ankle"]) / 2
    trunk, legs = _unit(name["neck"] - name["pelvis"]), _unit(name["pelvis"] - ankles)
    weight = np.clip((trunk * legs).sum(axis=1), 0, 1) ** SHARP
    ways = _unit(name["neck"] - ankles)
    if weight.mean() < UPRIGHT:
        return level
    up = _unit((weight[:, None] * ways).sum(axis=0))
    for _ in range(5):  # away from who leans
        near = weight * np.clip(ways @ up, 0, 1) ** (4 * SHARP)
        if near.sum() <= 0:
            return level
        up = _unit((near[:, None] * ways).sum(axis=0))
    return up if up @ level > np.cos(FARTHEST) else level


def turn_upright(up: np.ndarray) -> np.ndarray:
    """(3, 3) camera axes → x right, y up along `up` (3,), z towards the camera: the least turn there."""
    from scipy.spatial.transform import Rotation

    up = from_camera("opengl") @ up
    axis = np.cross(up, [0, 1, 0])
    sine, cosine = np.linalg.norm(axis), up[1]
    least = Rotation.from_rotvec(axis / max(sine, 1e-12) * np.arctan2(sine, cosine)).as_matrix()
    return least @ from_camera("opengl")


def ground_of(lowest: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(T,) the ground below somebody whose lowest point is at heights `lowest` (T,) at seconds `times` (T,)."""
    low = np.array([np.percentile(lowest[np.abs(times - time) <= WHILE_S], LOW) for time in times])
    return np.array([low[np.abs(times - time) <= WHILE_S / 2].mean() for time in times])


def _sole(body: Body) -> float:
    """Metres from the lowest named point of the T-pose down to the soles."""
    import torch

    surface = body.surface()
    with torch.inference_mode():
        points = torch.cat([body.joint_template, surface.regressor @ surface.template])
        return float(points[:, 1].min() - surface.template[:, 1].min())


def _unit(ways: np.ndarray) -> np.ndarray:
    return ways / np.maximum(np.linalg.norm(ways, axis=-1, keepdims=True), 1e-9)
