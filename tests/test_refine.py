"""Fitting a motion to its keypoints: nearer to them, never worse, and nearer to the truth in 3D."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vibe_cli.body import joints_of, load_body
from vibe_cli.boxes import square
from vibe_cli.refine import RefineOptions, refine_person
from vibe_cli.results import Person
from vibe_cli.skeleton import EVALUATION_14

BOX = square(np.tile([200.0, 150, 100, 200], (24, 1)))


@pytest.fixture(scope="module")
def body() -> object:
    return load_body()


def truth() -> Person:
    """Arms that swing and legs that step, seen from the front."""
    t, pose = np.arange(24) / 24 * 2 * np.pi, np.zeros((24, 24, 3))
    pose[:, 0, 0] = np.pi
    pose[:, 16, 2], pose[:, 17, 2] = -1.1 + 0.4 * np.sin(t), 1.1 + 0.4 * np.cos(t)
    pose[:, 18, 1], pose[:, 1, 2] = -0.8 + 0.3 * np.cos(t), 0.3 * np.sin(t)
    return Person(1, np.arange(24), BOX, pose, np.zeros(10), np.tile([0.8, 0, 0.1], (24, 1)), np.ones(24), np.zeros(24))


def seen(person: Person, body: object) -> np.ndarray:
    """Exact keypoints of a person, (T, 49, 3)."""
    camera, box = person.camera, person.boxes
    flat = camera[:, None, :1] * (joints_of(person, body)[..., :2] + camera[:, None, 1:])
    pixels = box[:, None, :2] + flat * box[:, None, 2:] / 2
    return np.concatenate([pixels, np.ones((*pixels.shape[:2], 1))], axis=-1)


def error(person: Person, right: Person, body: object) -> np.ndarray:
    """(T,) mean distance of the 14 joints about the pelvis, metres."""
    return np.linalg.norm((joints_of(person, body) - joints_of(right, body))[:, EVALUATION_14], axis=-1).mean(1)


def turned(one: Person, other: Person) -> float:
    """The largest angle between two motions' rotations, radians."""
    a, b = (Rotation.from_rotvec(p.pose.reshape(-1, 3).astype(float)) for p in (one, other))
    return float((a * b.inv()).magnitude().max())


def test_exact_keypoints_bring_nearly_every_frame_nearer_to_the_truth(body: object) -> None:
    right, rng = truth(), np.random.default_rng(0)
    wrong = replace(right, pose=right.pose + np.repeat(rng.normal(0, 0.2, (4, 24, 3)), 6, axis=0),
                    keypoints=seen(right, body))
    fitted = refine_person(wrong, body)
    before, after = error(wrong, right, body), error(fitted, right, body)
    assert (after < before).mean() >= 0.9
    assert after.mean() < 0.8 * before.mean()


def test_a_pose_that_fits_stays(body: object) -> None:
    right = truth()
    right = replace(right, keypoints=seen(right, body))
    assert turned(refine_person(right, body), right) < 0.02


def test_keypoints_of_no_confidence_change_nothing(body: object) -> None:
    right = truth()
    noise = np.random.default_rng(0).uniform(0, 300, (24, 49, 3)) * [1, 1, 0]
    person = replace(right, keypoints=noise)
    assert turned(refine_person(person, body), person) < 1e-3


def test_without_keypoints_the_person_is_returned_as_it_is(body: object) -> None:
    person = truth()
    assert refine_person(person, body) is person


def test_a_frame_with_absurd_keypoints_is_not_torn_apart(body: object) -> None:
    right = truth()
    points = seen(right, body)
    points[10, :, :2] += np.random.default_rng(0).normal(0, 40, (49, 2))
    fitted = refine_person(replace(right, keypoints=points), body, RefineOptions(steady=2.0))
    assert error(fitted, right, body)[[9, 11]].max() < 0.06
