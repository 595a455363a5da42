"""What works by the frame meets clips of every rate: a motion has the same estimate at 30 and at 240 a second."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from vibe_cli.body.body_models import load_body
from vibe_cli.body.joint_regressor import POINTS, JointRegressor
from vibe_cli.motion import pace
from vibe_cli.motion.pose_prior import PosePrior
from vibe_cli.motion.regress import regress_track
from vibe_cli.motion.smplify import FitOptions, Frames, Objective
from vibe_cli.networks.vibe import Vibe, VibeConfig
from vibe_cli.options import MotionOptions
from vibe_cli.results import Person, Track, TrackFeatures


@pytest.mark.parametrize(
    ("rate", "apart"), [(12, 1), (25, 1), (30, 1), (44, 1), (50, 2), (60, 2), (120, 4), (240, 8), (1000, 33)]
)
def test_frames_are_taken_some_thirtieth_of_a_second_apart(rate: float, apart: int) -> None:
    times = 7 + np.arange(500) / rate
    assert pace.frames_apart(times, 500) == apart
    assert pace.frames_apart(np.delete(times, np.arange(5, 480, 12)), 460) == apart, "with frames missing"


def test_nobody_is_cut_into_more_series_than_frames() -> None:
    assert [pace.frames_apart(np.arange(n) / 240, n) for n in (1, 2, 5)] == [1, 2, 5]
    assert pace.frames_apart(None, 100) == 1


def test_series_laid_into_one_another_are_the_whole() -> None:
    whole = torch.arange(22).view(11, 2)
    assert torch.equal(pace.interleaved([whole[rows] for rows in pace.series(11, 4)]), whole)


def recovered(rate: int, seconds: float = 1.5) -> tuple[np.ndarray, Person]:
    """A network with memory over features that change with time, not with frames."""
    torch.manual_seed(0)
    network = Vibe(VibeConfig(features=16, hidden=16, window=16, regressor_hidden=16)).eval()
    nn.init.normal_(network.regressor.decpose.weight, std=0.3)
    model = SimpleNamespace(network=network, camera_origin="pelvis", device=torch.device("cpu"), shape_known=True)
    times = np.arange(round(rate * seconds)) / rate
    features = np.sin(times[:, None] * np.linspace(1, 9, 16) + np.arange(16)).astype(np.float32)
    track = Track(1, np.arange(len(times)), np.ones((len(times), 4)), np.ones(len(times)), np.zeros(len(times)))
    return times, regress_track(TrackFeatures(track, track.boxes, features), model, MotionOptions(), times)


@pytest.mark.parametrize("rate", [60, 240])
def test_a_temporal_network_sees_a_fast_clip_as_it_sees_one_of_its_own_rate(rate: int) -> None:
    (_, slow), (_, fast) = recovered(30), recovered(rate)
    assert len(fast) == rate * 1.5
    assert np.allclose(fast.pose[:: rate // 30], slow.pose, atol=1e-5)
    assert np.allclose(fast.camera[:: rate // 30], slow.camera, atol=1e-5)
    assert np.ptp(fast.pose, axis=0).max() > 0.05


def cost_of_turning(step: float) -> float:
    """What the fit's steadiness costs in a second of somebody whose elbow turns off the regression at a steady speed.

    A frame lasts `step` thirtieths of a second; per frame, as the keypoints count.
    """
    count = 13
    still = torch.eye(3, dtype=torch.float64).expand(count, 24, 3, 3)
    unseen = torch.zeros(count, len(POINTS), dtype=torch.float64)
    frames = Frames(still, torch.ones(count, 3).double(), torch.stack([unseen, unseen], dim=-1), unseen)
    options = FitOptions(stay=0.0, camera=0.0, prior=0.0, data=0.0)
    parts = (frames, JointRegressor(load_body()), PosePrior.load(), torch.zeros(10).double(), options)
    objective = Objective(*parts, steps=np.full(count - 1, step))
    objective.weigh_prior(objective.start)
    moved = objective.start.clone()
    moved[:, 18 * 3] += 0.02 * step * torch.arange(count)
    return float(objective(moved, objective.betas)) / (count - 1)


def test_the_fit_holds_motion_by_its_speed_whatever_the_rate() -> None:
    at_30, at_12 = cost_of_turning(1.0), cost_of_turning(2.5)
    assert at_30 == pytest.approx(0.02**2, rel=1e-6)
    assert at_12 == pytest.approx(at_30, rel=1e-6)
