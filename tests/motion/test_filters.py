"""Smoothing: no lag, safe at half turns, the same at every frame rate."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vibe_cli.errors import UsageError
from vibe_cli.geometry.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from vibe_cli.motion.filters import jitter, one_euro, smooth_camera, smooth_rotations

FPS = 25.0


def turns(angles: np.ndarray, axis: tuple[float, float, float] = (0, 0, 1)) -> np.ndarray:
    """Angles (T,) in radians about an axis → (T, 1, 3, 3)."""
    vectors = angles[:, None, None] * np.asarray(axis, float)
    return matrix_from_axis_angle(torch.from_numpy(vectors)).numpy()


def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angle in degrees between rotations (…, 3, 3)."""
    relative = torch.from_numpy(np.swapaxes(a, -1, -2) @ b)
    return np.degrees(axis_angle_from_matrix(relative).norm(dim=-1).numpy())


def swing(seconds: float = 4.0, fps: float = FPS, hertz: float = 1.0, degrees: float = 40.0) -> np.ndarray:
    """Angles (T,) of a limb that swings."""
    return np.radians(degrees) * np.sin(2 * np.pi * hertz * np.arange(round(seconds * fps)) / fps)


def test_the_one_euro_filter_follows_its_published_equations() -> None:
    values = np.array([[0.0], [1.0], [1.0]])
    weight = lambda cutoff: 1 / (1 + 1 / (2 * np.pi * cutoff))  # noqa: E731
    slope = weight(1.0) * 1.0
    first = weight(0.1 + 0.5 * slope)
    slope = weight(1.0) * (1 - first) + (1 - weight(1.0)) * slope
    second = first + weight(0.1 + 0.5 * slope) * (1 - first)
    assert one_euro(values, 0.1, 0.5)[:, 0] == pytest.approx([0, first, second])


def test_the_one_euro_filter_knows_how_long_a_step_is() -> None:
    values = np.random.default_rng(0).normal(size=(30, 2)).cumsum(0)
    in_seconds = one_euro(values, 2.0, 0.5, 1.0, step=0.04)
    in_frames = one_euro(values, 2.0 * 0.04, 0.5, 1.0 * 0.04, step=1.0)
    assert np.allclose(in_seconds, in_frames)  # beta is a cutoff a speed: the time in it cancels
    assert not np.allclose(in_seconds, one_euro(values, 2.0, 0.5, 1.0, step=1.0))


@pytest.mark.parametrize("columns", [1, 3])
def test_columns_are_filtered_each_on_its_own(columns: int) -> None:
    values = np.random.default_rng(1).normal(size=(20, columns))
    alone = [one_euro(values[:, i : i + 1], 0.1, 0.5) for i in range(columns)]
    assert np.allclose(one_euro(values, 0.1, 0.5), np.concatenate(alone, axis=1))


def test_strength_zero_changes_nothing() -> None:
    rotations, cameras = turns(swing()), np.random.default_rng(0).normal(size=(20, 3))
    assert smooth_rotations(rotations, 0.0, FPS) is rotations
    assert smooth_camera(cameras, 0.0, FPS) is cameras


def test_noise_goes_and_the_motion_stays() -> None:
    truth = turns(swing(hertz=0.3))
    noise = turns(np.random.default_rng(0).normal(0, np.radians(4), len(truth)))
    noisy = truth @ noise
    smooth = smooth_rotations(noisy, 1.0, FPS)
    assert between(smooth, truth).mean() < 0.75 * between(noisy, truth).mean()
    trembling = [np.linalg.norm(np.diff(x, n=2, axis=0), axis=(-1, -2)).mean() for x in (noisy, smooth)]
    assert trembling[1] < 0.45 * trembling[0]


@pytest.mark.parametrize("hertz", [0.5, 1, 2, 3])
def test_a_fast_limb_keeps_its_reach(hertz: float) -> None:
    angles = swing(hertz=hertz)
    smooth = smooth_rotations(turns(angles), 1.0, FPS)[25:-25, 0]
    reach = np.arctan2(smooth[:, 1, 0], smooth[:, 0, 0]).max()
    assert reach > 0.9 * angles[25:-25].max()


def test_more_strength_smooths_more() -> None:
    noisy = turns(np.random.default_rng(0).normal(0, 0.1, 80))
    size = [between(smooth_rotations(noisy, s, FPS), turns(np.zeros(80))).mean() for s in (0.25, 0.5, 1.0, 2.0)]
    assert size == sorted(size, reverse=True) and size[-1] < 0.6 * size[0]


def test_smoothing_does_not_lag() -> None:
    """Of all shifts of the truth in time the unshifted one fits the smoothed motion best; a causal pass lags."""
    fps = 200.0
    angles = swing(fps=fps)
    smooth = smooth_rotations(turns(angles), 2.0, fps)
    middle = slice(200, 600)
    shifts = np.arange(-20, 21)

    def lag(motion: np.ndarray) -> int:
        errors = [between(motion[middle], turns(angles[200 - s : 600 - s])).mean() for s in shifts]
        return int(shifts[np.argmin(errors)])

    assert abs(lag(smooth)) <= 1
    causal = one_euro(angles[:, None], 0.25, 0.75, 4.0, 1 / fps)[:, 0]
    assert lag(turns(causal)) >= 3  # 15 ms, so the measure above can tell


def test_a_motion_played_backward_is_smoothed_to_the_same_motion_backward() -> None:
    noisy = turns(np.random.default_rng(2).normal(0, 0.2, 60).cumsum())
    assert np.allclose(smooth_rotations(noisy[::-1], 1.0, FPS)[::-1], smooth_rotations(noisy, 1.0, FPS))


def test_turning_through_half_turns_is_no_jump() -> None:
    """A steady spin passes ±180 degrees, where axis-angle vectors flip, and comes out as the same spin."""
    spin = turns(np.linspace(0, 6 * np.pi, 150), axis=(0.6, 0.0, 0.8))
    smooth = smooth_rotations(spin, 1.0, FPS)
    steps = between(smooth[1:], smooth[:-1])[20:-20]
    assert steps == pytest.approx(np.degrees(6 * np.pi / 149), rel=0.02)
    assert between(smooth, spin)[20:-20].max() < 3


def test_trembling_about_a_half_turn_is_calmed_like_any_other() -> None:
    noise = np.random.default_rng(3).normal(0, 0.05, 80)
    for base in (0.0, np.pi):
        smooth = smooth_rotations(turns(base + noise), 1.0, FPS)
        away = between(smooth, turns(np.full(80, base)))
        assert away.mean() < 0.6 * np.degrees(np.abs(noise)).mean()


def test_turning_the_camera_turns_the_smoothed_motion_alike() -> None:
    motion = turns(np.random.default_rng(4).normal(0, 0.2, 50).cumsum(), axis=(0, 1, 0))
    camera = turns(np.array([2.0]), axis=(0.6, 0.8, 0))[0]
    assert np.allclose(smooth_rotations(camera @ motion, 1.0, FPS), camera @ smooth_rotations(motion, 1.0, FPS))
    assert np.allclose(smooth_rotations(motion @ camera, 1.0, FPS), smooth_rotations(motion, 1.0, FPS) @ camera)


def test_joints_do_not_influence_each_other() -> None:
    rng = np.random.default_rng(5)
    a, b = (turns(rng.normal(0, 0.2, 40).cumsum()) for _ in range(2))
    both = smooth_rotations(np.concatenate([a, b], axis=1), 1.0, FPS)
    assert np.allclose(both[:, :1], smooth_rotations(a, 1.0, FPS))


def test_the_outcome_is_rotations_of_the_same_kind() -> None:
    noisy = turns(np.random.default_rng(6).normal(0, 0.5, 40).cumsum()).astype(np.float32)
    smooth = smooth_rotations(noisy, 1.0, FPS)
    assert smooth.dtype == np.float32 and smooth.shape == noisy.shape
    assert np.allclose(smooth @ np.swapaxes(smooth, -1, -2), np.eye(3), atol=1e-5)
    assert np.allclose(np.linalg.det(smooth), 1, atol=1e-5)


def test_strength_means_the_same_at_25_and_at_60_frames_a_second() -> None:
    """How much of a fast swing is lost does not depend on how often it was filmed."""
    lost = [
        between(smooth_rotations(turns(swing(fps=fps, hertz=3)), 1.0, fps), turns(swing(fps=fps, hertz=3))).mean()
        for fps in (25.0, 60.0, 120.0)
    ]
    assert max(lost) < 1.4 * min(lost)
    misled = between(smooth_rotations(turns(swing(fps=120, hertz=3)), 1.0, 25.0), turns(swing(fps=120, hertz=3)))
    assert misled.mean() < 0.5 * min(lost)  # so the rate is heeded


def test_a_still_camera_becomes_calm_and_a_moving_one_keeps_up() -> None:
    rng = np.random.default_rng(7)
    still = np.array([0.9, 0.05, -0.1]) + rng.normal(0, 0.02, (100, 3))
    assert smooth_camera(still, 1.0, FPS).std(axis=0).max() < 0.6 * still.std(axis=0).min()
    moving = np.stack([np.linspace(0.5, 1.5, 100)] * 3, axis=1)
    assert np.abs(smooth_camera(moving, 1.0, FPS) - moving)[15:-15].max() < 0.01


@pytest.mark.parametrize("frames", [0, 1, 2])
def test_clips_too_short_to_smooth_come_back_as_they_are(frames: int) -> None:
    rotations = turns(np.arange(frames, dtype=float))
    assert np.array_equal(smooth_rotations(rotations, 1.0, FPS), rotations)
    assert np.array_equal(smooth_camera(np.ones((frames, 3)), 1.0, FPS), np.ones((frames, 3)))
    assert jitter(np.ones((frames, 4, 3))) == 0


@pytest.mark.parametrize("strength", [-1.0, float("nan"), float("inf")])
def test_a_strength_that_means_nothing_is_refused(strength: float) -> None:
    with pytest.raises(UsageError, match="strength"):
        smooth_rotations(turns(swing()), strength, FPS)


def test_jitter_is_the_second_difference_in_millimetres() -> None:
    steps = np.arange(10.0)[:, None, None]
    steady = np.broadcast_to(steps * [0.01, 0, 0], (10, 3, 3))
    assert jitter(steady) == pytest.approx(0, abs=1e-9)
    zigzag = np.zeros((10, 2, 3))
    zigzag[1::2, :, 1] = 0.001  # a millimetre up and down: second differences of 2 mm
    assert jitter(zigzag) == pytest.approx(2.0)


def test_time_stamps_rule_over_the_rate() -> None:
    """What comes after a pause does not pull at what was before."""
    times = np.concatenate([np.arange(40) / 60, 10 + np.arange(40) / 60])
    motion = turns(np.repeat([0.0, 0.05], 40))
    by_time = smooth_rotations(motion, 1.0, times=times)
    by_count = smooth_rotations(motion, 1.0, 60)
    errors = [between(smooth, motion).max() for smooth in (by_time, by_count)]
    assert errors[0] < 0.1 * errors[1]
    even = np.arange(80) / 60
    assert np.allclose(smooth_rotations(motion, 1.0, times=even), by_count)
