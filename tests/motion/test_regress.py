"""Sliding windows: any length, no seams, the edge rules, and cameras from keypoints."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from vibe_cli.errors import UsageError
from vibe_cli.geometry.rotations import matrix_from_axis_angle, sixd_from_matrix
from vibe_cli.motion.regress import (
    check_windows,
    estimate_motion,
    place_on_keypoints,
    regress,
    window_starts,
    window_weights,
)
from vibe_cli.networks.lifter import fit_camera
from vibe_cli.networks.outputs import MotionOutput
from vibe_cli.networks.temporal import TemporalNetwork
from vibe_cli.networks.vibe import Vibe, VibeConfig
from vibe_cli.options import MotionOptions
from vibe_cli.results import Person, Track, TrackFeatures


class Echo(TemporalNetwork):
    """Reads the pose off the features: (B, T, 72) axis-angle; so the truth is known for every frame."""

    def __init__(self, estimates: str = "all", window: int = 16) -> None:
        super().__init__()
        self.estimates, self.window = estimates, window

    def forward(self, features: torch.Tensor) -> MotionOutput:
        if self.estimates == "middle":
            features = features[:, self.window // 2 : self.window // 2 + 1]
        pose = sixd_from_matrix(matrix_from_axis_angle(features.unflatten(-1, (24, 3))))
        return MotionOutput(pose, features[..., :10], features[..., :3])


def motion(length: int) -> torch.Tensor:
    return torch.randn(length, 72, generator=torch.Generator().manual_seed(length))


@pytest.mark.parametrize("length", [1, 3, 15, 16, 17, 40, 129])
@pytest.mark.parametrize("estimates", ["all", "middle"])
def test_every_frame_gets_its_own_pose_whatever_the_length(length: int, estimates: str) -> None:
    features = motion(length)
    rotations, betas, camera = regress(Echo(estimates), features, None, None)
    assert torch.allclose(rotations, matrix_from_axis_angle(features.unflatten(-1, (24, 3))), atol=1e-5)
    assert torch.allclose(camera, features[:, :3], atol=1e-5)
    assert torch.allclose(betas, features[:, :10].mean(0), atol=1e-5)


@pytest.mark.parametrize("stride", [1, 5, 8, 16])
def test_windows_cover_every_frame_and_end_with_the_track(stride: int) -> None:
    for length in (16, 17, 31, 32, 33, 100):
        starts = window_starts(length, 16, stride)
        covered = {frame for start in starts for frame in range(start, start + 16)}
        assert covered == set(range(length))
        assert starts[-1] + 16 == length


def test_a_window_counts_its_ends_least_and_never_as_nothing() -> None:
    weights = window_weights(16)
    assert weights.min() > 0
    assert weights[0] < 0.02 * weights.max()
    assert torch.allclose(weights, weights.flip(0), atol=1e-6)


def test_there_is_no_seam_at_window_borders() -> None:
    torch.manual_seed(0)
    network = Vibe(VibeConfig(features=32, hidden=16, window=16, regressor_hidden=32)).eval()
    nn.init.normal_(network.regressor.decpose.weight, std=0.05)
    features = torch.randn(1, 32).repeat(80, 1) + torch.linspace(0, 1, 80)[:, None]
    with torch.inference_mode():
        rotations, _, _ = regress(network, features, 16, 8)
    steps = (rotations[1:] - rotations[:-1]).flatten(1).norm(dim=1)[16:-16]
    assert steps.max() < 3 * steps.median()


def test_frames_beyond_a_tracks_ends_repeat_its_first_and_last() -> None:
    class Sum(Echo):
        def forward(self, features: torch.Tensor) -> MotionOutput:
            return super().forward(features.mean(1, keepdim=True).repeat(1, self.window, 1))

    features = motion(5)
    _, _, camera = regress(Sum("middle", 4), features, None, None)
    first = (features[0] * 3 + features[1]) / 4  # frames −2, −1, 0, 1 about frame 0
    assert torch.allclose(camera[0], first[:3], atol=1e-6)


@pytest.mark.parametrize("window", [4, 5, 24])
def test_a_middle_frame_network_is_given_windows_of_the_length_asked_for(window: int) -> None:
    class Place(Echo):
        def forward(self, features: torch.Tensor) -> MotionOutput:
            self.seen = features
            middle = features.shape[1] // 2
            return Echo.forward(self, features.roll(self.window // 2 - middle, dims=1)[:, : self.window + 1])

    network, features = Place("middle", 16), motion(40)
    if window < 16:
        network.window = window
    _, _, camera = regress(network, features, window, None)
    assert network.seen.shape == (40, window, 72)
    assert torch.equal(network.seen[30, window // 2], features[30])
    assert torch.allclose(camera, features[:, :3], atol=1e-5)


def test_windows_and_strides_that_a_network_cannot_serve_are_usage_errors() -> None:
    middle, every = Echo("middle"), Echo("all")
    middle.shortest = 3
    for network, choices, words in (
        (middle, {"stride": 4}, "stride of 4 frames: this model estimates only the middle"),
        (middle, {"window": 2}, "needs at least 3"),
        (every, {"stride": 17}, "leaves some out: a window has 16"),
        (every, {"window": 8, "stride": 9}, "leaves some out: a window has 8"),
    ):
        with pytest.raises(UsageError, match=words) as caught:
            check_windows(network, MotionOptions(**choices))
        assert caught.value.hint
    for network, choices in (
        (middle, {"stride": 1, "window": 24}),
        (middle, {}),
        (every, {"stride": 16}),
        (every, {"window": 40, "stride": 40}),
    ):
        check_windows(network, MotionOptions(**choices))


def test_a_short_track_is_a_short_window_or_one_filled_with_its_last_frame() -> None:
    class Count(Echo):
        def forward(self, features: torch.Tensor) -> MotionOutput:
            self.seen = features
            return super().forward(features)

    shortened, repeated = Count(window=6), Count(window=6)
    repeated.edges = "repeat"
    features = motion(4)
    for network in (shortened, repeated):
        rotations, betas, camera = regress(network, features, None, None)
        assert len(rotations) == len(camera) == 4
        assert torch.allclose(betas, features[:, :10].mean(0), atol=1e-5), "frames made up do not count"
    assert shortened.seen.shape[1] == 4
    assert torch.equal(repeated.seen[0], torch.cat([features, features[3:], features[3:]]))


@pytest.mark.parametrize("known", [True, False])
def test_betas_that_belong_to_another_body_are_zero(known: bool) -> None:
    features = motion(5)
    model = SimpleNamespace(network=Echo(), camera_origin="pelvis", device=torch.device("cpu"), shape_known=known)
    track = Track(1, np.arange(5), np.ones((5, 4)), np.ones(5), np.zeros(5))
    person = estimate_motion(TrackFeatures(track, track.boxes, features.numpy()), model, MotionOptions())
    assert np.allclose(person.betas, features[:, :10].mean(0) * known, atol=1e-5)


def test_fit_camera_recovers_the_camera_that_projected_the_points() -> None:
    points, camera = torch.randn(6, 20, 2), torch.tensor([[0.8, 0.1, -0.3]]).repeat(6, 1)
    image = camera[:, None, :1] * (points + camera[:, None, 1:])
    assert torch.allclose(fit_camera(points, image, torch.rand(6, 20)), camera, atol=1e-5)


def test_keypoints_place_the_body_where_they_are_sure_and_the_regressed_camera_elsewhere() -> None:
    from vibe_cli.body.body_models import joints_of, load_body

    body, rng = load_body(), np.random.default_rng(0)
    boxes = np.tile([200.0, 150, 100, 100], (2, 1))
    person = Person(
        1,
        np.arange(2),
        boxes,
        rng.normal(0, 0.2, (2, 24, 3)),
        np.zeros(10),
        np.tile([0.5, 0.4, 0.4], (2, 1)),
        np.ones(2),
        np.zeros(2),
        np.zeros((2, 49, 3)),
    )
    pixels = 200 + 40 * (joints_of(person, body)[..., :2] + [0.05, 0.0]) - [0, 50]
    keypoints = np.concatenate([pixels, np.ones((2, 49, 1))], axis=-1)
    keypoints[1, :, 2] = 0
    joints = torch.from_numpy(joints_of(person, body)[..., :2]).double()
    placed = place_on_keypoints(Person(**{**vars(person), "keypoints": keypoints}), joints)
    assert np.allclose(placed.camera[0], [0.8, 0.05, 0.0], atol=1e-4)
    assert np.allclose(placed.camera[1], person.camera[1])
