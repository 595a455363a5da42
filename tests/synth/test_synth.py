"""Synthetic people: labels that agree with the picture and follow what is done to it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from vibe_cli.networks.rotation_tta import turn_crops
from vibe_cli.networks.skeleton import KEYPOINTS_OF_54, MIRRORED_KEYPOINTS
from vibe_cli.paths import models_dir
from vibe_cli.synth import poses
from vibe_cli.synth.bodies import SynthBody
from vibe_cli.synth.crops import CropSource, Labels, _stand_up, mirror_labels
from vibe_cli.synth.draw import TUMBLED_IN_TRAINING
from vibe_cli.synth.faults import smeared
from vibe_cli.synth.keypoint_body import KeypointBody
from vibe_cli.synth.layers import Placement
from vibe_cli.synth.mocap import Clip
from vibe_cli.synth.people import SIZE, draw_look, draw_person, draw_poses
from vibe_cli.synth.pictures import Pictures
from vibe_cli.training.augment import TrainingCrops
from vibe_cli.training.keypoint_loss import keypoint_loss, yaw_target
from vibe_cli.training.keypoints import to_input

BODY = models_dir() / "open-body" / "weights.safetensors"


@pytest.fixture(scope="module")
def body() -> SynthBody:
    return SynthBody.load(BODY, faces=None)


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    return Pictures([np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)])


@pytest.fixture(scope="module")
def bank() -> poses.PoseBank:
    rng = np.random.default_rng(0)
    return poses.PoseBank(
        [Clip(str(i), np.stack([poses.random_pose(rng) for _ in range(40)]).astype(np.float32)) for i in range(4)]
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, body: SynthBody, pictures: Pictures, bank: poses.PoseBank) -> Path:
    folder, rng = tmp_path_factory.mktemp("cache"), np.random.default_rng(1)
    drawn = []
    for _ in range(6):
        pose = bank.pose(rng)
        pose[0] = poses.view(rng) @ pose[0]
        drawn.append(draw_person(body, draw_look(rng, body, pictures), pose))
    np.save(folder / "stills_1.npy", np.stack([p.rgba for p in drawn]))
    np.savez(
        folder / "stills_1_labels.npz",
        **{
            f: np.stack([getattr(p, f) for p in drawn]).astype(np.float32)
            for f in ("rotations", "betas", "points", "pixels")
        },
    )
    np.save(folder / "backgrounds.npy", np.full((2, 192, 192, 3), 255, np.uint8))
    return folder


def test_the_points_are_those_of_the_shipped_body(body: SynthBody) -> None:
    from vibe_cli.body.body_models import load_body, pose_joints
    from vibe_cli.geometry.skeleton import JOINTS_49, PARENTS

    rotations = torch.from_numpy(poses.random_pose(np.random.default_rng(2))).float()[None]
    betas = torch.randn(1, 10, generator=torch.Generator().manual_seed(0))
    full = load_body()
    expected = full(rotations, betas).joints[0] - full.rest_joints(betas)[0, 0]
    points = KeypointBody(body)(rotations, betas)[0]
    index = [KEYPOINTS_OF_54.index(k) for k in JOINTS_49]
    assert torch.allclose(points[index], expected, atol=2e-4)
    _, joints = pose_joints(rotations, full.rest_joints(betas), PARENTS)
    assert torch.allclose(points[:24], joints[0] - joints[0, 0], atol=1e-5)
    numpy_points = body.pose(rotations[0].double().numpy(), np.append(betas[0].double().numpy(), 0))[2]
    assert np.allclose(numpy_points, points, atol=1e-4)


def test_the_labels_lie_on_the_drawn_person(cache: Path) -> None:
    source = CropSource(cache)
    for i in range(len(source)):
        near = cv2.dilate(source.cutout(i)[..., 3], np.ones((7, 7)))
        x, y = source.labels.pixels[i, :24].round().astype(int).T
        assert (near[np.clip(y, 0, SIZE - 1), np.clip(x, 0, SIZE - 1)] > 0).mean() > 0.9


def test_equal_seeds_draw_equal_people(body: SynthBody, pictures: Pictures, bank: poses.PoseBank) -> None:
    def draw(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return draw_person(body, draw_look(rng, body, pictures), bank.pose(rng)).rgba

    assert np.array_equal(draw(5), draw(5))
    assert not np.array_equal(draw(5), draw(6))


def test_poses_of_one_look_are_drawn_as_each_by_itself(
    body: SynthBody, pictures: Pictures, bank: poses.PoseBank
) -> None:
    rng = np.random.default_rng(7)
    look, asked = draw_look(rng, body, pictures), [(bank.pose(rng), None), (bank.pose(rng), [12, 15])]
    for drawn, (rotations, framed) in zip(draw_poses(body, look, asked), asked, strict=True):
        alone = draw_person(body, look, rotations, framed)
        assert np.array_equal(drawn.rgba, alone.rgba) and np.array_equal(drawn.pixels, alone.pixels)


def test_a_skin_moves_as_its_joints_do(body: SynthBody) -> None:
    rotations = poses.random_pose(np.random.default_rng(4))
    world, offsets, _ = body.pose(rotations, np.zeros(11))
    normals = body.normals(body.vertices)
    moved, turned = body.skin(world, offsets, body.vertices, normals)
    for v in range(0, len(moved), 911):
        blend = sum(body.weights[v, j] * world[j] for j in range(24))
        assert np.allclose(moved[v], blend @ body.vertices[v] + body.weights[v] @ offsets)
        assert np.allclose(turned[v], blend @ normals[v] / np.linalg.norm(blend @ normals[v]))


def test_labels_follow_the_turn_and_the_mirror_of_the_crop(cache: Path) -> None:
    source, size = CropSource(cache), 128
    place = Placement(np.array([83.0, 76]), 70.0, angle=0.3, flip=True)
    marks = np.zeros((SIZE, SIZE), np.float32)
    x, y = source.labels.pixels[0, 15].round().astype(int)  # the head
    cv2.circle(marks, (int(x), int(y)), 2, 1.0, -1)
    seen = place.sample(marks, size)
    middle = np.argwhere(seen > 0.5).mean(axis=0)[::-1]
    expected = (place.points(np.array([[x, y]]))[0] + 1) / 2 * size - 0.5
    assert np.abs(middle - expected).max() < 1.0


@pytest.mark.parametrize("lean", [-1.6, 1.2, 3.0])
def test_half_of_those_who_lie_or_hang_are_shown_as_they_stand(lean: float) -> None:
    rng, place = np.random.default_rng(0), Placement(np.array([80.0, 80]), 60.0, angle=0.1)
    root = poses.IMAGE_FROM_WORLD @ Rotation.from_euler("z", -lean).as_matrix()  # leans to the picture's right
    turned = [_stand_up(rng, place, root) for _ in range(200)]
    others = [p for p in turned if p is not place]
    rooms = [1 / max(abs(np.sin(p.angle)), abs(np.cos(p.angle))) for p in others]
    assert 70 < len(others) < 130 and all(p.stood_up for p in others)
    assert [p.half for p in others] == pytest.approx([60 * room for room in rooms])
    head = np.array([80 + 30 * np.sin(lean), 80 - 30 * np.cos(lean)])
    x, y = np.mean([p.points(head[None])[0] * room for p, room in zip(others, rooms, strict=True)], axis=0)
    assert abs(x) < 0.1 and -0.5 < y < -0.4  # above the middle, 30 of 60 pixels less what the noise takes
    seen_from_above = np.array([[1.0, 0, 0], [0, 0.1, 1], [0, -1, 0.1]])
    stoops = poses.IMAGE_FROM_WORLD @ Rotation.from_euler("xz", [0.8, -0.4]).as_matrix()
    for root in (poses.IMAGE_FROM_WORLD, seen_from_above, stoops) * 20:
        assert _stand_up(rng, place, root) is place


@pytest.mark.parametrize("lean", [-1.1, 0.9, 2.6])
def test_a_crop_that_stands_up_is_smeared_as_the_second_look_smears_it(lean: float) -> None:
    square = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (192, 192, 3)).astype(np.uint8), (0, 0), 4)
    square = cv2.normalize(square, None, 0, 255, cv2.NORM_MINMAX)
    whole = Placement(np.full(2, 96.0), 48.0)  # beyond it the picture goes on, and a crop does not show that
    room = 1 / max(abs(np.sin(lean)), abs(np.cos(lean)))
    crop = torch.from_numpy(whole.sample(square, 96)).permute(2, 0, 1)[None].float()
    expected = turn_crops(crop, torch.tensor([lean]))
    wider = Placement(np.full(2, 96.0), 48.0 * room, angle=lean).sample(square, 96)

    def off(crop: np.ndarray) -> np.ndarray:
        return np.abs(crop - expected[0].permute(1, 2, 0).numpy()).max(-1)[8:-8, 8:-8]

    assert off(wider).max() > 60 > 20 > np.percentile(off(smeared(wider, lean)), 99)


def test_training_sees_more_people_who_do_not_stand_than_there_are() -> None:
    def share(tumbled: float) -> float:
        rng = np.random.default_rng(0)
        return np.mean([-poses.view(rng, tumbled)[1, 1] < 0.5 for _ in range(1000)])

    assert share(0) < share(poses.TUMBLED) < 0.1 < share(TUMBLED_IN_TRAINING) < 0.25


def test_a_mirrored_pose_is_the_mirror_image_of_its_points(body: SynthBody) -> None:
    rotations = poses.random_pose(np.random.default_rng(3))
    points = body.pose(rotations, np.zeros(11))[2]
    mirrored = body.pose(poses.mirrored(rotations), np.zeros(11))[2]
    wanted = (points * [-1, 1, 1])[MIRRORED_KEYPOINTS]
    assert np.abs(mirrored[:24] - wanted[:24]).max() < 0.02  # the body itself is nearly, not exactly, symmetric


def test_mirroring_labels_twice_gives_them_back() -> None:
    rng = np.random.default_rng(0)
    labels = Labels(
        rng.normal(size=(2, 24, 3, 3)).astype(np.float32),
        np.zeros((2, 10), np.float32),
        rng.normal(size=(2, 44, 3)).astype(np.float32),
        rng.normal(size=(2, 44, 2)).astype(np.float32),
    )
    twice = mirror_labels(mirror_labels(labels))
    for name in ("rotations", "points", "pixels"):
        assert np.allclose(getattr(twice, name), getattr(labels, name))


def test_who_faces_the_camera_falls_into_the_first_bin() -> None:
    facing = torch.diag(torch.tensor([1.0, -1, -1]))[None]
    away = torch.diag(torch.tensor([-1.0, -1, 1]))[None]
    assert yaw_target(facing).argmax() == 0
    assert yaw_target(away).argmax() == 6


def test_the_loss_is_least_for_the_right_heat_maps(cache: Path) -> None:
    from vibe_cli.networks.keypoints import KeypointConfig, KeypointNet

    source, rng = CropSource(cache), np.random.default_rng(0)
    crops, labels = source.batch(rng, np.arange(4), 64)
    maps = KeypointNet(KeypointConfig(width=8, channels=16, size=64))(to_input(crops))
    cells = torch.arange(8)
    at = (torch.from_numpy(labels.pixels) * 0.5 + 0.5) * 8 - 0.5
    right = -((cells - at[..., 0, None, None]) ** 2 + (cells[:, None] - at[..., 1, None, None]) ** 2) / (2 * 0.8**2)
    better = type(maps)(**{**vars(maps), "heat": right})
    batch = TrainingCrops.of_drawn(crops, labels)
    assert keypoint_loss(better, batch)[1]["heat"] < 0.7 * keypoint_loss(maps, batch)[1]["heat"]


def test_a_motion_clip_is_as_long_as_asked_and_continuous(bank: poses.PoseBank) -> None:
    still = np.tile(poses.random_pose(np.random.default_rng(0)), (60, 1, 1, 1)).astype(np.float32)
    clip = poses.PoseBank([Clip("a", still)] * 4).clip(np.random.default_rng(0), 24)
    assert clip.shape == (24, 24, 3, 3)
    assert np.abs(np.diff(clip, axis=0)).max() < 1e-6
    assert np.allclose(clip @ np.swapaxes(clip, -1, -2), np.eye(3), atol=1e-5)
