"""Fitting a motion to its keypoints: nearer to the truth in 3D, never worse in 2D, the same whatever the last digit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

import vibe_cli.motion.refine as refine
from tests.helpers.bodies import extra_regressor, smpl_arrays, write_official_pickle
from vibe_cli.body.body_models import Body, joints_of, load_body
from vibe_cli.geometry.boxes import square
from vibe_cli.geometry.rotations import matrix_from_axis_angle, sixd_from_matrix
from vibe_cli.geometry.skeleton import EVALUATION_14
from vibe_cli.motion.refine import refine_person
from vibe_cli.motion.regress import estimate_motion
from vibe_cli.motion.smplify import OPEN_KEYPOINTS, FitOptions
from vibe_cli.networks.outputs import MotionOutput
from vibe_cli.options import MotionOptions
from vibe_cli.results import Person, Track, TrackFeatures


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body()


def waves(rng: np.random.Generator, frames: int, columns: int, size: float) -> np.ndarray:
    """Slow, smooth numbers of a standard deviation near `size`, (frames, columns)."""
    t = np.arange(frames)[:, None, None] / 30
    speed, phase = rng.uniform(0.5, 4.0, (columns, 3)), rng.uniform(0, 2 * np.pi, (columns, 3))
    return size * np.sin(speed * t * 2 + phase).sum(-1) * np.sqrt(2 / 3)


def motion(seed: int, frames: int = 24) -> Person:
    """Somebody who moves all limbs, seen from any side, with a body and a camera of their own."""
    rng, pose = np.random.default_rng(seed), np.zeros((frames, 24, 3))
    pose[:, 1:22] = waves(rng, frames, 63, 0.12).reshape(frames, 21, 3)
    for arm, elbow, side in ((16, 18, 1), (17, 19, -1)):
        pose[:, arm, 2] += side * (rng.uniform(-1.3, 0.6) + waves(rng, frames, 1, 0.3)[:, 0])
        pose[:, elbow, 1] -= side * np.abs(0.7 + waves(rng, frames, 1, 0.4)[:, 0])
    for hip, knee in ((1, 4), (2, 5)):
        lift = np.abs(waves(rng, frames, 1, 0.5)[:, 0])
        pose[:, hip, 0] -= lift
        pose[:, knee, 0] += 1.3 * lift
    facing = Rotation.from_rotvec([np.pi, 0, 0]) * Rotation.from_rotvec([0, rng.uniform(0, 2 * np.pi), 0])
    pose[:, 0] = (facing * Rotation.from_rotvec(waves(rng, frames, 3, 0.15))).as_rotvec()
    boxes = square(np.tile([200.0, 150, 100, 200], (frames, 1)))
    camera = np.array([0.8, 0, 0.1]) + waves(rng, frames, 3, 0.02)
    return Person(1, np.arange(frames), boxes, pose, rng.normal(0, 0.5, 10), camera, np.ones(frames), np.zeros(frames))


def image_of(person: Person, body: Body) -> np.ndarray:
    """The 49 joints in pixels, (T, 49, 2)."""
    flat = person.camera[:, None, :1] * (joints_of(person, body)[..., :2] + person.camera[:, None, 1:])
    return person.boxes[:, None, :2] + flat * person.boxes[:, None, 2:] / 2


def regressed(right: Person, body: Body, degrees: float = 12.0, seed: int = 100) -> Person:
    """The same motion as a network might give it, with exact keypoints: every joint off, the root too, no shape."""
    rng, count = np.random.default_rng(seed), len(right)
    error = np.zeros((count, 24, 3))
    error[:, :22] = (waves(rng, count, 66, np.radians(degrees)) / np.sqrt(3)).reshape(count, 22, 3)
    pose = Rotation.from_rotvec(right.pose.reshape(-1, 3).astype(float)) * Rotation.from_rotvec(error.reshape(-1, 3))
    points = np.concatenate([image_of(right, body), np.ones((count, 49, 1))], axis=-1)
    return replace(
        right,
        pose=pose.as_rotvec().reshape(count, 24, 3),
        betas=np.zeros(10),
        keypoints=points,
        camera=right.camera * [1.03, 1, 1] + [0, 0.02, -0.02],
    )


def error_mm(person: Person, right: Person, body: Body) -> np.ndarray:
    """(T,) mean distance of the 14 joints about the middle of the hips."""
    a, b = (joints_of(p, body)[:, EVALUATION_14] for p in (person, right))
    a, b = (x - x[:, 2:4].mean(1, keepdims=True) for x in (a, b))
    return 1000 * np.linalg.norm(a - b, axis=-1).mean(1)


def error_px(person: Person, body: Body) -> np.ndarray:
    """(T,) mean distance of projected joints from keypoints, weighted by confidence."""
    weight = person.keypoints[..., 2]
    distance = np.linalg.norm(image_of(person, body) - person.keypoints[..., :2], axis=-1)
    return (distance * weight).sum(1) / np.maximum(weight.sum(1), 1e-9)


def turned(one: Person, other: Person) -> float:
    """The largest angle between two motions' rotations, radians."""
    a, b = (Rotation.from_rotvec(p.pose.reshape(-1, 3).astype(float)) for p in (one, other))
    return float((a * b.inv()).magnitude().max())


def test_exact_keypoints_lower_the_3d_error_in_nine_frames_of_ten_and_never_raise_that_in_2d(body: Body) -> None:
    before, after = [], []
    for seed in range(4):
        right = motion(seed)
        start = regressed(right, body, seed=100 + seed)
        fitted = refine_person(start, body)
        assert (error_px(fitted, body) <= error_px(start, body) + 1e-4).all()
        assert error_px(fitted, body).mean() < 0.2 * error_px(start, body).mean()
        before.append(error_mm(start, right, body))
        after.append(error_mm(fitted, right, body))
    before, after = np.concatenate(before), np.concatenate(after)
    assert (after < before).mean() >= 0.9
    assert after.mean() < 0.5 * before.mean()


def test_noisy_keypoints_with_some_far_off_still_help(body: Body) -> None:
    right, rng = motion(5), np.random.default_rng(0)
    start = regressed(right, body)
    points = start.keypoints.copy()
    points[..., :2] += rng.normal(0, 3, points[..., :2].shape)
    points[rng.random(points.shape[:2]) < 0.05, :2] += 60
    start = replace(start, keypoints=points)
    fitted = refine_person(start, body)
    assert error_mm(fitted, right, body).mean() < 0.8 * error_mm(start, right, body).mean()
    assert (error_px(fitted, body) <= error_px(start, body) + 1e-4).all()


def test_of_the_open_encoders_keypoints_the_half_sure_lead_hardly_anywhere(body: Body) -> None:
    right, rng = motion(15), np.random.default_rng(3)
    start = regressed(right, body)
    points, legs = start.keypoints.copy(), [9, 10, 11, 12, 13, 14, 19, 20, 21, 22, 23, 24]
    points[:, legs] += np.concatenate([rng.normal(0, 40, (len(legs), 2)), np.zeros((len(legs), 1))], axis=-1)
    points[:, legs, 2] = 0.5
    start = replace(start, keypoints=points)
    found = [refine_person(start, body, options) for options in (replace(OPEN_KEYPOINTS, trust=1.0), OPEN_KEYPOINTS)]
    trusting, wary = (error_mm(person, right, body) for person in found)
    weighed = replace(start, keypoints=points * [1, 1, 0] + [0, 0, 1] * points**4)  # as that fit counts them
    fitted = replace(found[1], keypoints=weighed.keypoints)
    assert (error_px(fitted, body) <= error_px(weighed, body) + 1e-4).all()
    assert wary.mean() < 0.8 * trusting.mean() and wary.mean() < error_mm(start, right, body).mean()


@pytest.mark.parametrize("options", [FitOptions(), OPEN_KEYPOINTS])
def test_a_change_in_the_last_digit_changes_the_motion_by_no_more_than_1e_4(body: Body, options: FitOptions) -> None:
    """A batch of another size changes an encoder's last digits; 10⁻⁶ here is more than that."""
    right, rng = motion(6), np.random.default_rng(0)
    one = regressed(right, body)
    points = one.keypoints + np.concatenate([rng.normal(0, 4, (24, 49, 2)), np.zeros((24, 49, 1))], axis=-1)
    one = replace(one, keypoints=points)
    nudge = [1e-6 * rng.normal(size=a.shape) for a in (one.pose, one.betas, one.camera, one.keypoints)]
    other = replace(
        one,
        pose=one.pose + nudge[0],
        betas=one.betas + nudge[1],
        camera=one.camera + nudge[2],
        keypoints=one.keypoints + 100 * nudge[3],
    )
    a, b = refine_person(one, body, options), refine_person(other, body, options)
    assert turned(a, one) > 0.1
    assert turned(a, b) < 1e-4
    assert np.abs(a.camera - b.camera).max() < 1e-4 and np.abs(a.betas - b.betas).max() < 1e-3


def test_a_track_in_pieces_is_the_track_in_one(body: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    start = regressed(motion(7, 72), body)
    whole = joints_of(refine_person(start, body), body)
    monkeypatch.setattr(refine, "PIECE", 24)
    pieces = joints_of(refine_person(start, body), body)
    # What the two leave undone differs a little; it may not do so suddenly, at a border.
    apart = 1000 * np.linalg.norm(pieces - whole, axis=-1).mean(1)
    sudden = 1000 * np.linalg.norm(np.diff(pieces - whole, axis=0), axis=-1).mean(1)
    step = 1000 * np.linalg.norm(np.diff(whole, axis=0), axis=-1).mean(1)
    assert apart.mean() < 1 and apart.max() < 10 and sudden.max() < 0.2 * step.mean()


def test_a_body_of_another_build_gets_another_shape(body: Body) -> None:
    right = motion(8)
    right = replace(right, betas=np.array([0.0, 2.5, -2.0, 0, 0, 0, 0, 0, 0, 0]))
    start = regressed(right, body, degrees=5.0)
    fitted = refine_person(start, body)
    bones = [body.rest_joints(torch.from_numpy(p.betas)[None])[0].numpy() for p in (right, start, fitted)]
    bones = [np.linalg.norm(b[[1, 4, 7, 16, 18, 20]] - b[[0, 1, 4, 13, 16, 18]], axis=1) for b in bones]
    bones = [b / b.sum() for b in bones]  # a camera without depth knows proportions, not sizes
    assert np.abs(bones[2] - bones[0]).sum() < 0.75 * np.abs(bones[1] - bones[0]).sum()


def test_a_pose_that_fits_stays(body: Body) -> None:
    right = motion(9)
    start = regressed(right, body, degrees=0.0)
    start = replace(start, camera=right.camera, betas=right.betas)
    fitted = refine_person(start, body)
    assert turned(fitted, right) < 0.12 and error_mm(fitted, right, body).max() < 12
    assert (error_px(fitted, body) <= error_px(start, body) + 1e-4).all()


def test_keypoints_of_no_confidence_or_none_at_all_change_nothing(body: Body) -> None:
    right = motion(10)
    assert refine_person(right, body) is right
    noise = np.random.default_rng(0).uniform(0, 300, (24, 49, 3)) * [1, 1, 0]
    unsure = replace(right, keypoints=noise)
    assert refine_person(unsure, body) is unsure


def test_frames_without_keypoints_follow_their_neighbours_and_stay_in_place(body: Body) -> None:
    right = motion(11)
    start = regressed(right, body)
    points = start.keypoints.copy()
    points[10:13, :, 2] = 0
    fitted = refine_person(replace(start, keypoints=points), body)
    assert np.isfinite(fitted.pose).all() and np.isfinite(fitted.camera).all()
    assert error_mm(fitted, right, body)[10:13].mean() < error_mm(start, right, body)[10:13].mean()


def test_a_frame_with_absurd_keypoints_is_not_torn_apart_nor_are_its_neighbours(body: Body) -> None:
    right = motion(12)
    start = regressed(right, body)
    points = start.keypoints.copy()
    points[10, :, :2] += np.random.default_rng(0).normal(0, 40, (49, 2))
    fitted = refine_person(replace(start, keypoints=points), body)
    assert (error_mm(fitted, right, body) < error_mm(start, right, body))[[9, 11]].all()
    assert error_mm(fitted, right, body)[10] < 1.5 * error_mm(start, right, body)[10]


def test_seventeen_keypoints_are_enough(body: Body) -> None:
    from vibe_cli.geometry.skeleton import JOINTS_49
    from vibe_cli.people.keypoint_files import LAYOUTS

    right = motion(13)
    start = regressed(right, body)
    points = start.keypoints.copy()
    points[:, [row for row, joint in enumerate(JOINTS_49) if joint not in LAYOUTS[17]]] = 0
    start = replace(start, keypoints=points)
    fitted = refine_person(start, body)
    assert (error_mm(fitted, right, body) < error_mm(start, right, body)).mean() >= 0.9
    assert (error_px(fitted, body) <= error_px(start, body) + 1e-4).all()


def test_one_frame_is_a_track_too(body: Body) -> None:
    right = motion(14, 1)
    start = regressed(right, body)
    assert error_px(refine_person(start, body), body)[0] < 0.3 * error_px(start, body)[0]


def test_a_published_model_whose_camera_places_the_bodys_origin_is_fitted_to_given_keypoints(tmp_path: Path) -> None:
    """SMPL's pelvis is not at its origin; such a model has no keypoints of its own."""
    write_official_pickle(tmp_path / "SMPL.pkl", smpl_arrays())
    np.save(tmp_path / "J_regressor_extra.npy", extra_regressor())
    smpl, right = load_body(tmp_path / "SMPL.pkl"), motion(15)
    pelvis = smpl.rest_joints(torch.from_numpy(right.betas)[None])[0, 0].numpy()
    assert np.abs(pelvis[:2]).min() > 0.02
    start = replace(regressed(right, smpl), betas=right.betas)
    camera = right.camera - [0, *pelvis[:2]]

    class Network(torch.nn.Module):
        window, estimates, edges = 24, "all", "shorten"

        def forward(self, features: torch.Tensor) -> MotionOutput:
            pose = sixd_from_matrix(matrix_from_axis_angle(torch.from_numpy(start.pose)))
            betas = torch.from_numpy(right.betas).expand(24, -1)
            return MotionOutput(pose[None], betas[None], torch.from_numpy(camera).float()[None])

    model = SimpleNamespace(
        network=Network(), body=smpl, camera_origin="body", device=torch.device("cpu"), shape_known=True
    )
    track = Track(1, right.frames, right.boxes, right.confidence, right.filled)
    seen = TrackFeatures(track, right.boxes, np.zeros((24, 4)))
    plain = estimate_motion(seen, model, MotionOptions())
    assert np.allclose(plain.camera, right.camera, atol=1e-5)
    given = replace(seen, keypoints=start.keypoints, given=True)
    placed, fitted = (estimate_motion(given, model, MotionOptions(refine=on)) for on in (False, True))
    assert error_px(placed, smpl).mean() <= error_px(replace(plain, keypoints=start.keypoints), smpl).mean()
    assert error_px(fitted, smpl).mean() < 0.5 * error_px(placed, smpl).mean()
