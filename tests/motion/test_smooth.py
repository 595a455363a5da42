"""Steady people stand where they stood, without the trembling of their boxes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.helpers.people import make_person, make_result
from vibe_cli.body.body_models import joints_of, load_body
from vibe_cli.geometry.camera import project_image
from vibe_cli.motion.filters import jitter
from vibe_cli.motion.smooth import jitter_of, smooth_person, smooth_place

FPS = 25.0


def pixels(person, points: np.ndarray) -> np.ndarray:
    """Points (T, N, 3) of the body in the image (T, N, 2)."""
    video = make_result(frames=len(person)).video
    return project_image(points, person.image_camera(video), video.width, video.height)


def test_a_trembling_box_does_not_move_the_body() -> None:
    """Boxes tremble, cameras make up for it exactly: the body glides, before and after."""
    still = make_person(frames=60)
    rng = np.random.default_rng(0)
    boxes = still.boxes.copy()
    boxes[:, :2] += rng.normal(0, 8, (60, 2))
    boxes[:, 2:] *= rng.uniform(0.8, 1.2, (60, 1))
    size = still.camera[:, :1] * still.boxes[:, 2:3] / boxes[:, 2:3]
    centre = still.boxes[:, :2] + still.camera[:, :1] * still.camera[:, 1:] * still.boxes[:, 2:3] / 2
    camera = np.concatenate([size, (centre - boxes[:, :2]) / (size * boxes[:, 2:3] / 2)], axis=1)
    trembling = replace(still, boxes=boxes, camera=camera)
    point = np.tile([[[0.1, -0.5, 0.0]]], (60, 1, 1))
    assert np.allclose(pixels(trembling, point), pixels(still, point), atol=1e-3)
    smooth = replace(trembling, camera=smooth_place(trembling.camera, trembling.boxes, 1.0, FPS))
    assert np.abs(pixels(smooth, point) - pixels(still, point))[5:-5].max() < 0.5
    apart = np.abs(np.diff(pixels(smooth, point)[:, 0], n=2, axis=0))
    assert apart.max() < 0.5


def test_a_trembling_camera_is_calmed() -> None:
    person = make_person(frames=60)
    shaken = replace(person, camera=person.camera + np.random.default_rng(0).normal(0, 0.03, (60, 3)))
    point = np.zeros((60, 1, 3))
    before, after = (
        np.abs(np.diff(pixels(one, point)[:, 0], n=2, axis=0)).mean()
        for one in (shaken, smooth_person(shaken, 1.0, FPS))
    )
    assert after < before / 3


def test_strength_zero_changes_nothing() -> None:
    person = make_person(frames=10)
    assert smooth_person(person, 0, FPS) is person


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_short_tracks_are_smoothed_without_an_error(frames: int) -> None:
    assert len(smooth_person(make_person(frames=frames), 1.0, FPS)) == frames


def test_smoothing_lowers_the_jitter_of_the_joints() -> None:
    body, rng = load_body(None), np.random.default_rng(0)
    person = make_person(frames=40)
    shaken = replace(person, pose=person.pose + rng.normal(0, 0.05, person.pose.shape))
    before, after = jitter_of(shaken, body), jitter_of(smooth_person(shaken, 1.0, FPS), body)
    assert 0 < after < before / 3
    assert before == pytest.approx(jitter(joints_of(shaken, body)), rel=0.5), "much as all 49 joints tremble"
