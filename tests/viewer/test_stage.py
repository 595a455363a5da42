"""Where people stand in the page: up, the floor, and who jumps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.helpers.people import make_person, make_result
from vibe_cli.body.body_models import load_body, vertices_of
from vibe_cli.geometry import camera
from vibe_cli.results import Result
from vibe_cli.viewer.stage import Stage, ground_of, stage_of, up_of

BODY = load_body(None)


def seen_from(tilt: float, heights: np.ndarray) -> Result:
    """Somebody who walks towards a camera that looks down by `tilt` degrees, their pelvis at heights (T,) over it."""
    person = make_person(frames=len(heights))
    down = Rotation.from_euler("x", -tilt, degrees=True)
    root = down * Rotation.from_rotvec(person.pose[:, 0].astype(float))
    there = np.stack([np.linspace(-0.5, 0.5, len(heights)), -heights, np.linspace(6, 4, len(heights))], axis=1)
    place = down.apply(there)
    intrinsics = camera.default_intrinsics(320, 240)
    scale = intrinsics[0, 0] / place[:, 2] * 2 / person.boxes[:, 2]  # crop camera whose metric place is `place`
    pixels = place[:, :2] / place[:, 2:] * intrinsics[0, 0] + intrinsics[:2, 2]
    shift = (pixels - person.boxes[:, :2]) / (scale * person.boxes[:, 2] / 2)[:, None]
    pose = person.pose.copy()
    pose[:, 0] = root.as_rotvec()
    return make_result(
        [replace(person, pose=pose, camera=np.concatenate([scale[:, None], shift], axis=1))], frames=len(heights)
    )


def bottoms(stage: Stage, result: Result) -> np.ndarray:
    """(T,) the height of each frame's lowest vertex."""
    (person,) = result.people
    return (vertices_of(person, BODY) @ stage.turn.T)[..., 1].min(axis=1) + stage.places[person.id][:, 1]


@pytest.mark.parametrize("tilt", [0, 25])
def test_people_stand_on_a_level_floor_whichever_way_the_camera_looks(tilt: float) -> None:
    result = seen_from(tilt, np.full(60, -0.6))
    stage = stage_of(result, BODY)
    up = np.linalg.inv(stage.turn) @ [0, 1, 0]
    truth = Rotation.from_euler("x", -tilt, degrees=True).apply([0, -1, 0])
    assert np.degrees(np.arccos(up @ truth)) < 4
    assert np.abs(bottoms(stage, result)).max() < 0.03
    way = stage.places[1][-1] - stage.places[1][0]
    assert np.abs(way - [1, 0, 2]).max() < 0.2, "to the right, and 2 m towards the camera"
    lens = np.linalg.inv(stage.turn) @ (stage.places[1][0] - stage.camera)
    assert np.abs(lens - result.people[0].translation(result.video)[0])[[0, 2]].max() < 0.2


def test_who_jumps_leaves_the_floor_and_who_drifts_does_not() -> None:
    times = np.arange(180) / 30
    drift = 0.3 * np.sin(times * 0.5)
    jump = np.where((times > 2) & (times < 2.4), 0.4, 0.0)
    above = drift + jump - ground_of(drift + jump, times)
    assert above[(times > 2.1) & (times < 2.3)].min() > 0.3
    assert np.abs(above[(times < 1.5) | (times > 3)]).max() < 0.08


def test_of_people_who_lie_the_cameras_up_is_taken() -> None:
    person = make_person()
    lying = person.pose.copy()
    lying[:, 0] = (Rotation.from_euler("z", 90, degrees=True) * Rotation.from_rotvec(person.pose[0, 0])).as_rotvec()
    stage = stage_of(make_result([replace(person, pose=lying)]), BODY)
    assert np.allclose(stage.turn, np.diag([1, -1, -1]))
    assert np.array_equal(up_of({}), [0, -1, 0])
