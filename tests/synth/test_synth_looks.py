"""How synthetic people look and what hides them: close-ups, shadows, truncated crops, places."""

from __future__ import annotations

import numpy as np
import pytest

from tests.synth.test_synth import bank, body, cache, pictures  # noqa: F401 (fixtures)
from vibe_cli.synth import poses
from vibe_cli.synth.bodies import SynthBody
from vibe_cli.synth.clutter import lay_clutter
from vibe_cli.synth.crops import CropSource
from vibe_cli.synth.layers import Placement
from vibe_cli.synth.people import (
    AROUND,
    CHILDREN,
    FRAMED,
    MARGIN,
    SIZE,
    contact_shadow,
    draw_look,
    draw_person,
)
from vibe_cli.synth.pictures import Pictures
from vibe_cli.synth.scenery import place


@pytest.mark.parametrize("framed", FRAMED)
def test_a_close_up_is_filled_by_the_joints_it_frames(body: SynthBody, pictures: Pictures, framed: list[int]) -> None:  # noqa: F811
    rng = np.random.default_rng(4)
    look, pose = draw_look(rng, body, pictures), poses.random_pose(rng)
    pose[0] = poses.IMAGE_FROM_WORLD
    close, far = draw_person(body, look, pose, framed), draw_person(body, look, pose)
    seen = close.pixels[framed]
    assert seen.min() > 0 and seen.max() < SIZE
    metre = np.ptp(close.pixels[framed], axis=0).max() / max(np.ptp(close.points[framed, :2], axis=0).max(), 1e-6)
    assert np.ptp(seen, axis=0).max() + 2 * AROUND * metre == pytest.approx(SIZE / MARGIN, rel=0.2)
    assert metre > 1.1 * np.ptp(far.pixels[framed], axis=0).max() / np.ptp(far.points[framed, :2], axis=0).max()


def test_the_shadow_falls_only_on_what_lies_behind() -> None:
    depth = np.full((SIZE, SIZE), 100, np.float32)
    inside = np.zeros((SIZE, SIZE), bool)
    depth[40:120, 40:120], inside[40:120, 40:120] = 3.0, True
    depth[70:90, 70:90] = 2.7  # an arm before the chest
    factors = contact_shadow(depth, inside, 100.0, 0.8)
    assert factors[80, 68] < 0.9 < factors[80, 80] == 1
    assert factors[42, 42] == pytest.approx(1, abs=1e-3)
    assert np.array_equal(contact_shadow(depth, inside, 100.0, 0.0), np.ones((SIZE, SIZE)))


def test_what_is_cut_off_is_only_what_lies_beyond_the_box(cache) -> None:  # noqa: ANN001, F811
    source, rng = CropSource(cache), np.random.default_rng(0)
    crop = Placement(np.full(2, SIZE / 2), SIZE / 2, ends=np.array([50.0, 40, 110, 120]))
    image, alpha = np.full((SIZE, SIZE, 3), 77, np.uint8), np.full((SIZE, SIZE), 255, np.uint8)
    changed = np.stack([(source._cut_off(rng, image, crop, alpha) != 77).any(-1) for _ in range(60)])
    assert not changed[:, 62:98, 72:88].any()  # well inside the box, whatever the edge's tilt
    beyond = changed.mean(axis=0)[[20, 140, 80, 80], [80, 80, 20, 140]]
    assert np.all((beyond > 0.5) & (beyond < 0.95))  # three times in four on every side
    assert not any((source._cut_off(rng, image, crop, alpha * 0) != 77).any() for _ in range(10))


def test_a_crop_of_a_close_up_is_nearly_always_cut_off_and_keeps_its_labels(cache) -> None:  # noqa: ANN001, F811
    source, rng = CropSource(cache), np.random.default_rng(1)
    source.whole[:] = False
    places = [source._compose(rng, 0, 64, True)[1] for _ in range(20)]
    assert all(p.ends is not None for p in places)
    source.whole[:] = True
    assert sum(source._compose(rng, 0, 64, True)[1].ends is not None for _ in range(60)) in range(2, 25)


def test_both_arms_are_raised_in_some_of_the_random_poses(body: SynthBody) -> None:  # noqa: F811
    rng = np.random.default_rng(0)
    points = [body.pose(poses.random_pose(rng), np.zeros(11))[2] for _ in range(200)]
    raised = np.mean([p[[20, 21], 1].min() > p[15, 1] for p in points])
    assert 0.03 < raised < 0.3


def test_places_are_drawn_by_seed(pictures: Pictures) -> None:  # noqa: F811
    def draw(seed: int) -> list[np.ndarray]:
        rng = np.random.default_rng(seed)
        return [place(rng, pictures) for _ in range(10)]

    once, again, other = draw(1), draw(1), draw(2)
    assert all(x.shape == (192, 192, 3) and x.dtype == np.uint8 for x in once)
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(once, other, strict=True))
    assert np.std([x.mean() for x in once]) > 20


def test_a_child_is_small_and_its_head_is_not(body: SynthBody) -> None:  # noqa: F811
    def tall(share: float) -> tuple[float, float]:
        skin, joints = body.vertices + body.shapedirs[..., 10] * share, body.joints + body.joint_dirs[..., 10] * share
        return np.ptp(skin[:, 1]), skin[:, 1].max() - joints[15, 1]

    (grown, head), (child, its_head) = tall(0), tall(1)
    assert child < 0.65 * grown and its_head / child > 1.3 * head / grown


def test_some_people_are_children_and_their_labels_are_of_what_is_drawn(body: SynthBody, pictures: Pictures) -> None:  # noqa: F811
    rng, pose = np.random.default_rng(6), poses.random_pose(np.random.default_rng(1))
    pose[0] = poses.IMAGE_FROM_WORLD
    looks = [draw_look(rng, body, pictures) for _ in range(150)]
    children = [look for look in looks if look.shape[10] > 0]
    assert 0.5 * CHILDREN < len(children) / len(looks) < 1.7 * CHILDREN
    for look in children[:3]:
        drawn = draw_person(body, look, pose)
        assert np.allclose(drawn.points, body.pose(pose, look.shape)[2])
        assert np.array_equal(drawn.betas, look.betas) and np.abs(look.betas).max() < 4.5
        nearest = body.pose(pose, np.append(look.betas, 0))[2]
        anybody = body.pose(pose, np.append(look.shape[:10], 0))[2]
        assert np.abs(nearest - drawn.points).mean() < np.abs(anybody - drawn.points).mean()
    assert all(draw_look(rng, body, pictures, children=0).shape[10] == 0 for _ in range(40))


def test_a_body_of_before_there_were_children_draws_adults(body: SynthBody) -> None:  # noqa: F811
    arrays = body.arrays()
    for name in ("shapedirs", "joint_dirs", "point_moment_dirs"):
        arrays[name] = arrays[name][..., :10]
    old = SynthBody.from_arrays(arrays)
    assert not old.shapedirs[..., 10].any() and np.allclose(old.child_betas, 0, atol=1e-6)
    pose = poses.random_pose(np.random.default_rng(2))
    assert np.allclose(old.pose(pose, np.ones(11))[2], body.pose(pose, np.append(np.ones(10), 0))[2])


def test_those_in_front_of_a_throng_stand_aside(cache) -> None:  # noqa: ANN001, F811
    source, rng = CropSource(cache), np.random.default_rng(0)
    throngs = [
        (company, before)
        for company, before in (source._company(rng, SIZE / 2, 64) for _ in range(150))
        if len(company) > 3
    ]
    assert 5 < len(throngs) < 40
    front = [layer for company, before in throngs for layer, near in zip(company, before, strict=True) if near]
    back = [layer for company, before in throngs for layer, near in zip(company, before, strict=True) if not near]
    middle = [np.mean([layer.opacity(64)[16:48, 28:36].mean() for layer in some]) for some in (front, back)]
    assert middle[0] < 0.7 * middle[1]


def test_clutter_hides_who_stands_behind_it() -> None:
    image, rng = np.full((64, 64, 4), 200, np.uint8), np.random.default_rng(0)
    lay_clutter(rng, image)
    hidden, untouched = image[..., 3] == 0, (image == 200).all(axis=-1)
    assert 10 < hidden.sum() < 3000 and np.mean((image[..., :3][hidden] != 200).any(axis=-1)) > 0.9
    assert np.mean(hidden | untouched) > 0.8  # the rest are edges, half hidden
