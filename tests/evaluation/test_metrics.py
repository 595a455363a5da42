"""Facts about the measures of error."""

from __future__ import annotations

import numpy as np
import pytest

from vibe_cli.evaluation.metrics import accel, accel_err, mpjpe, pa_mpjpe, pck, procrustes, pve

RNG = np.random.default_rng(0)
TRUTH = RNG.normal(0, 0.3, (12, 14, 3))


def test_a_shift_of_everything_is_no_error_and_of_one_joint_is_its_share():
    assert mpjpe(TRUTH + 5, TRUTH) < 1e-9
    moved = TRUTH.copy()
    moved[:, 9] += [0.014, 0, 0]
    assert mpjpe(moved, TRUTH) == pytest.approx(1.0)


def test_procrustes_undoes_any_similarity_and_no_mirror():
    turn = np.linalg.qr(RNG.normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    changed = 1.7 * TRUTH @ turn.T + [1, 2, 3]
    assert pa_mpjpe(changed, TRUTH) < 1e-9
    assert np.allclose(procrustes(changed, TRUTH), TRUTH)
    assert pa_mpjpe(TRUTH * [1, 1, -1], TRUTH) > 50


def test_procrustes_is_never_worse_than_the_best_of_many_guesses():
    predicted = TRUTH + RNG.normal(0, 0.1, TRUTH.shape)
    aligned = ((procrustes(predicted, TRUTH) - TRUTH) ** 2).sum()
    for scale in (0.9, 0.95, 1.0, 1.05):
        centred = scale * (predicted - predicted.mean(1, keepdims=True)) + TRUTH.mean(1, keepdims=True)
        assert aligned <= ((centred - TRUTH) ** 2).sum()


def test_steady_motion_has_no_acceleration_and_a_quadratic_one_has_its_second_derivative():
    time = np.arange(12.0)[:, None, None]
    direction = np.zeros((1, 14, 3))
    direction[0, 9, 0] = 1  # one of 14 joints; the hips stay
    assert accel(0.1 * time * direction) == pytest.approx(0, abs=1e-9)
    assert accel(0.007 * time**2 * direction) == pytest.approx(1.0)
    assert accel_err(0.007 * time**2 * direction, 0.1 * time * direction) == pytest.approx(1.0)


def test_an_invisible_frame_takes_its_neighbours_with_it():
    predicted = TRUTH.copy()
    predicted[6, 9] += 1.0  # wrong in frame 6 only, which is not visible
    visible = np.ones(12, dtype=bool)
    visible[6] = False
    assert accel_err(predicted, TRUTH) > 0
    assert accel_err(predicted, TRUTH, visible) == 0


def test_too_few_frames_have_no_acceleration():
    assert accel(TRUTH[:2]) == 0 and accel_err(TRUTH[:1], TRUTH[:1]) == 0


def test_pck_counts_joints_within_the_threshold():
    moved = TRUTH.copy()
    moved[:, 9] += [0.2, 0, 0]
    assert pck(moved, TRUTH) == pytest.approx(13 / 14)
    assert pck(moved, TRUTH, threshold_mm=250) == 1


def test_vertex_error_is_the_mean_distance():
    vertices = RNG.normal(size=(3, 20, 3))
    assert pve(vertices + [0, 0.003, 0.004], vertices) == pytest.approx(5.0)
