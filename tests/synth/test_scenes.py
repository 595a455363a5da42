"""Filmed scenes: every label agrees with the picture and with the others."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from tests.synth.test_bundle import make_clips
from vibe_cli.paths import models_dir
from vibe_cli.synth.bodies import SynthBody
from vibe_cli.synth.film import THING, Faults, Frame, draw_faults, film
from vibe_cli.synth.labels import HIDDEN_BY_OTHERS, HIDDEN_BY_SELF, SEEN, draw_depth, mask_box, nearest
from vibe_cli.synth.motion import act, stand
from vibe_cli.synth.pictures import Pictures
from vibe_cli.synth.poses import PoseBank
from vibe_cli.synth.room import Camera, Room, smooth
from vibe_cli.synth.stage import Actor, Scene, SceneOptions, build_scene

NOSE, HEAD, PELVIS = 24, 15, 0


@pytest.fixture(scope="module")
def body() -> SynthBody:
    return SynthBody.load(models_dir() / "open-body" / "weights.safetensors", faces=None)


@pytest.fixture(scope="module")
def bank() -> PoseBank:
    return PoseBank(make_clips())


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (12, 16, 3), np.uint8)
    return Pictures([cv2.resize(noise, (240, 200), interpolation=cv2.INTER_CUBIC)])


@pytest.fixture(scope="module")
def clip(body: SynthBody, bank: PoseBank, pictures: Pictures) -> tuple[Scene, list[Frame]]:
    """Three frames of a scene in which two or more act and the camera moves."""
    for seed in range(6, 50):
        rng = np.random.default_rng(seed)
        scene = build_scene(rng, body, bank, pictures, SceneOptions(192, 144, length=3))
        moved = np.abs(scene.cameras[2].rotation - scene.cameras[0].rotation).max()
        if len(scene.actors) >= 2 and moved > 0.004:
            return scene, list(film(rng, scene))
    raise AssertionError("no such scene")


def standing(body: SynthBody, yaw: float, x: float = 0.0, depth: float = 0.0) -> Actor:
    """Somebody in T-pose, turned by `yaw` radians, as in front of a camera at z = 4."""
    from scipy.spatial.transform import Rotation

    from vibe_cli.synth.people import Look

    count = len(body.vertices)
    look = Look(
        np.zeros(11),
        np.zeros(10),
        np.full((count, 3), 0.5),
        np.zeros(count),
        light=np.array([0, -1.0, 0]),
        fill=np.zeros(3),
        ambient=0.5,
        tint=np.ones(3),
        distance=4.0,
    )
    pose = np.tile(np.eye(3), (1, 24, 1, 1))
    pose[0, 0] = Rotation.from_euler("y", yaw).as_matrix()
    at = np.array([[x, 0.01 - body.vertices[:, 1].min(), depth]])
    return Actor(look, body.vertices, body.normals(body.vertices), pose, at)


def photograph(body: SynthBody, *actors: Actor) -> Frame:
    """A camera at z = 4 that looks along −z at them in an empty room."""
    camera = Camera(np.diag([1.0, -1, -1]), np.array([0, 1.0, 4.0]), 200.0, 240, 160)
    room = Room(np.array([-5.0, 0, -5]), np.array([5.0, 4, 5]), np.full((6 * 256, 256, 3), 90, np.uint8))
    scene = Scene(body, list(actors), [], room, [camera], np.array([0, 1.0, 0]), 0.5, 30.0)
    return next(film(np.random.default_rng(0), scene))


def test_equal_seeds_film_equal_scenes(body: SynthBody, bank: PoseBank, pictures: Pictures) -> None:
    def shoot(seed: int) -> Frame:
        rng = np.random.default_rng(seed)
        scene = build_scene(rng, body, bank, pictures, SceneOptions(96, 64))
        return next(film(rng, scene, draw_faults(rng)))

    one, again, other = shoot(3), shoot(3), shoot(4)
    assert np.array_equal(one.image, again.image) and np.array_equal(one.mask, again.mask)
    assert np.array_equal(one.people[0].pixels, again.people[0].pixels)
    assert not np.array_equal(one.image, other.image)


def test_flow_takes_the_frame_before_to_the_frame(clip: tuple[Scene, list[Frame]]) -> None:
    _, frames = clip
    assert not frames[0].flow_seen.any() and not frames[0].flow.any()
    for before, frame in zip(frames, frames[1:], strict=False):
        height, width = frame.mask.shape
        y, x = np.mgrid[:height, :width].astype(np.float32)
        warped = cv2.remap(before.image, x + frame.flow[..., 0], y + frame.flow[..., 1], cv2.INTER_LINEAR)
        owner = cv2.remap(before.mask, x + frame.flow[..., 0], y + frame.flow[..., 1], cv2.INTER_NEAREST)
        inner = cv2.erode(frame.flow_seen.astype(np.uint8), np.ones((3, 3))) > 0
        assert inner.mean() > 0.6
        moved = np.abs(before.image.astype(float) - frame.image)[inner].mean()
        assert np.abs(warped.astype(float) - frame.image)[inner].mean() < 0.5 * moved
        assert (owner == frame.mask)[inner].mean() > 0.97


def test_flow_of_a_person_is_that_of_the_points_of_its_skin(clip: tuple[Scene, list[Frame]]) -> None:
    scene, frames = clip
    before, now = frames[0].camera, frames[1].camera
    errors = []
    for i, actor in enumerate(scene.actors):
        here, there = (camera.place(actor.posed(scene.body, t)[0]) for t, camera in ((1, now), (0, before)))
        pixels = np.floor(now.project(here)).astype(int)
        inside = ((pixels >= 0) & (pixels < [now.width, now.height])).all(axis=1)
        depth = draw_depth(here, scene.body.faces, now.focal, now.width, now.height).depth
        x, y = np.where(inside[:, None], pixels, 0).T
        inside &= here[:, 2] < depth[y, x] + 0.005  # the others are on the far side
        for v in np.flatnonzero(inside)[::7]:
            x, y = pixels[v]
            if frames[1].mask[y, x] == i + 1:
                wanted = before.project(there[v]) - now.project(here[v])
                errors.append(np.abs(frames[1].flow[y, x] - wanted).max())
    assert len(errors) > 50 and np.median(errors) < 0.2  # a vertex is not in the middle of its pixel


def test_nothing_flows_where_nothing_moves(body: SynthBody) -> None:
    actor = standing(body, 0.3)
    still = replace(actor, rotations=np.repeat(actor.rotations, 2, axis=0), pelvis=np.repeat(actor.pelvis, 2, axis=0))
    camera = Camera(np.diag([1.0, -1, -1]), np.array([0, 1.0, 4.0]), 200.0, 120, 80)
    room = Room(np.array([-5.0, 0, -5]), np.array([5.0, 4, 5]), np.full((6 * 256, 256, 3), 90, np.uint8))
    scene = Scene(body, [still], [], room, [camera] * 2, np.array([0, 1.0, 0]), 0.5, 30.0)
    last = list(film(np.random.default_rng(0), scene))[1]
    assert np.abs(last.flow).max() < 1e-2 and last.flow_seen.all()


def test_joints_lie_on_their_person_and_boxes_around_the_mask(clip: tuple[Scene, list[Frame]]) -> None:
    _, frames = clip
    for frame in frames:
        for i, person in enumerate(frame.people):
            mine = frame.mask == i + 1
            assert np.array_equal(person.box, mask_box(mine))
            near = cv2.dilate(mine.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
            free = person.visible[:24, SEEN] & ~person.visible[:24, HIDDEN_BY_OTHERS]
            x, y = np.floor(person.pixels[:24][free]).astype(int).T
            assert near[y, x].mean() > 0.9 if free.any() else True
            low, high = person.box_full[:2] - person.box_full[2:] / 2, person.box_full[:2] + person.box_full[2:] / 2
            assert ((person.pixels > low - 2) & (person.pixels < high + 2)).all()
            if mine.any():
                assert (person.box[:2] - person.box[2:] / 2 > low - 1.5).all()


def test_parameters_give_the_labelled_joints_on_the_shipped_body(clip: tuple[Scene, list[Frame]]) -> None:
    from vibe_cli.body.body_models import load_body
    from vibe_cli.synth.crop_data import JOINTS

    scene, frames = clip
    full, person = load_body(), frames[1].people[1]
    betas = torch.tensor(scene.actors[1].look.betas, dtype=torch.float32)[None]
    out = full(torch.tensor(person.rotations, dtype=torch.float32)[None], betas).joints[0]
    joints = (out - full.rest_joints(betas)[0, 0]).numpy() + person.trans
    assert np.abs(joints - person.points[JOINTS["49"]]).max() < 1e-3
    camera = frames[1].camera
    projected = person.points @ camera.intrinsics().T
    assert np.allclose(projected[:, :2] / projected[:, 2:], person.pixels, atol=1e-3)


def test_the_body_hides_its_own_nose_from_behind_and_nothing_else_does(body: SynthBody) -> None:
    front = photograph(body, standing(body, 0.0)).people[0]
    back = photograph(body, standing(body, np.pi)).people[0]
    side = photograph(body, standing(body, np.pi / 2)).people[0]
    for person in (front, back, side):
        assert person.visible[:, SEEN].all() and not person.visible[:, HIDDEN_BY_OTHERS].any()
    assert not front.visible[NOSE, HIDDEN_BY_SELF] and back.visible[NOSE, HIDDEN_BY_SELF]
    limbs = [1, 2, 4, 5, 7, 8, 16, 17, 18, 19, 20, 21]
    assert not front.visible[limbs, HIDDEN_BY_SELF].any() and not back.visible[limbs, HIDDEN_BY_SELF].any()
    assert not front.visible[[27, 28], HIDDEN_BY_SELF].any()  # ears
    assert side.visible[[1, 4, 7, 28], HIDDEN_BY_SELF].all()  # the left leg and ear are on the other side
    assert not side.visible[[2, 5, 8, 27], HIDDEN_BY_SELF].any()


def test_who_stands_in_front_hides_who_stands_behind(body: SynthBody) -> None:
    frame = photograph(body, standing(body, 0.0, depth=-1.0), standing(body, 0.0, depth=1.0))
    behind, before = frame.people
    assert behind.visible[[PELVIS, HEAD], HIDDEN_BY_OTHERS].all()
    assert not before.visible[:, HIDDEN_BY_OTHERS].any()
    assert behind.share < 0.6 < 0.95 < before.share
    alone = photograph(body, standing(body, 0.0, x=9.0)).people[0]
    assert alone.share == 0 and not alone.visible[:, SEEN].any() and not alone.box.any()


def test_a_pixel_belongs_to_what_is_nearest() -> None:
    background = np.array([[5.0, 5, 5]], np.float32)
    owner, depth = nearest([np.array([[4.0, 9, 9]], np.float32), np.array([[3.0, 4, 9]], np.float32)], background)
    assert owner.tolist() == [[1, 1, -1]] and depth.tolist() == [[3, 4, 5]]


def test_things_are_nobody(body: SynthBody, bank: PoseBank, pictures: Pictures) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        scene = build_scene(rng, body, bank, pictures, SceneOptions(96, 64))
        empty = next(film(rng, replace(scene, actors=[])))
        assert empty.people == [] and set(np.unique(empty.mask)) <= {0, THING}
        if (empty.mask == THING).any():
            return
    raise AssertionError("no thing in 20 scenes")


def test_a_perfect_camera_changes_nothing_and_a_poor_one_does(body: SynthBody) -> None:
    actor = standing(body, 0.0)
    camera = Camera(np.diag([1.0, -1, -1]), np.array([0, 1.0, 4.0]), 100.0, 96, 64)
    room = Room(np.array([-5.0, 0, -5]), np.array([5.0, 4, 5]), np.full((6 * 256, 256, 3), 90, np.uint8))
    scene = Scene(body, [actor], [], room, [camera], np.array([0, 1.0, 0]), 0.5, 30.0)
    tones = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    fair = Faults(tones, grey=False, shutter=0, blur=0, grain=0, quality=None)

    def shoot(faults: Faults | None) -> np.ndarray:
        return next(film(np.random.default_rng(0), scene, faults)).image

    assert np.array_equal(shoot(None), shoot(fair))
    for fault in ({"grey": True}, {"blur": 1.0}, {"grain": 5.0}, {"quality": 30}):
        poor = replace(fair, **fault)
        image = shoot(poor)
        assert image.shape == (64, 96, 3) and image.dtype == np.uint8
        assert not poor.grey or np.array_equal(image[..., 0], image[..., 2])
        assert poor.grey or not np.array_equal(image, shoot(None))


def test_feet_that_carry_do_not_slide(body: SynthBody) -> None:
    """A leg that swings back under a body of which nothing else moves takes the body forward."""
    from scipy.spatial.transform import Rotation

    pose = np.tile(np.eye(3), (30, 24, 1, 1))
    pose[:, 2] = Rotation.from_euler("x", -60, degrees=True).as_matrix()  # the right leg is held up
    pose[:, 1] = Rotation.from_euler("x", np.linspace(-10, 10, 30)[:, None], degrees=True).as_matrix()
    path = stand(body, pose, np.zeros(11))
    assert path[0].tolist() == pytest.approx([0, 0, 0], abs=0.02) and path[-1, 2] > 0.2
    foot = np.stack([body.pose(p, np.zeros(11))[2][7] for p in pose]) + path
    assert np.abs(np.diff(foot[5:-5, [0, 2]], axis=0)).max() < 0.01


def test_a_foot_that_swings_past_low_does_not_take_the_body_back(body: SynthBody) -> None:
    from scipy.spatial.transform import Rotation

    def about_x(degrees: np.ndarray) -> np.ndarray:
        return Rotation.from_euler("x", degrees[:, None], degrees=True).as_matrix()

    share = np.linspace(0, 1, 24)
    pose = np.tile(np.eye(3), (24, 24, 1, 1))
    pose[:, 1], pose[:, 4] = about_x(-20 + 40 * share), about_x(np.full(24, 12.0))  # stands, its knee a little bent
    pose[:, 2], pose[:, 5] = about_x(20 - 40 * share), about_x(45 * np.abs(np.cos(np.pi * share)))
    feet = np.stack([body.pose(p, np.zeros(11))[2][[7, 8], 1] for p in pose])
    assert (feet[:, 1] < feet[:, 0] - 0.005).any(), "the swinging foot is the lower one for a while"
    assert np.diff(stand(body, pose, np.zeros(11))[:, 2]).min() > 0


def test_a_motion_shorter_than_asked_is_played_to_and_fro(bank: PoseBank) -> None:
    motion = act(np.random.default_rng(0), bank, 100)
    assert motion.shape == (100, 24, 3, 3) and np.isfinite(motion).all()
    assert np.allclose(motion @ motion.swapaxes(-1, -2), np.eye(3), atol=1e-5)
    assert np.abs(np.diff(motion, axis=0)).max() < 0.4


def test_slow_noise_has_no_corners() -> None:
    noise = smooth(np.random.default_rng(0), 400, 2)
    assert 0.3 < noise.std() < 2 and np.abs(np.diff(noise, 2, axis=0)).max() < 0.15


def test_what_lies_partly_behind_the_camera_is_not_drawn_over_the_picture(body: SynthBody) -> None:
    """OpenCV's rasteriser smears triangles that cross the camera's plane over everything."""
    placed = np.array([[-1.0, 0.5, 2], [1, 0.5, 2], [1, 0.5, -1], [-1, 0.5, -1], [-1, 0.5, 5], [1, 0.5, 5]])
    faces = np.array([[0, 2, 1], [0, 3, 2], [0, 1, 5], [0, 5, 4]], np.int32)
    both_ways = np.concatenate([faces, faces[:, ::-1]])
    drawn = draw_depth(placed, both_ways, 100.0, 96, 64)
    seen = drawn.depth < 100
    assert seen.any() and not seen[:32].any(), "the floor lies below the horizon"
    assert drawn.depth[seen].min() > 1.9
