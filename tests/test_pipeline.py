"""Two passes over a clip: everybody is cut out of the right frame, whatever the batches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from vibe_cli.errors import UsageError
from vibe_cli.networks.open_encoder import OpenEncoder, OpenEncoderConfig
from vibe_cli.networks.outputs import EncoderOutput
from vibe_cli.people.steady import smooth_boxes
from vibe_cli.pipeline import Options, Run, cut_people, encode_tracks
from vibe_cli.progress import quiet
from vibe_cli.results import Track

SIZE = 8


def make_track(number: int, first: int, last: int, x: float = 20.0) -> Track:
    """A box of 16 pixels at x, y = 20 from the first frame to the last."""
    frames = np.arange(first, last + 1)
    boxes = np.tile([x, 20.0, 16.0, 16.0], (len(frames), 1))
    return Track(number, frames, boxes, np.ones(len(frames)), np.zeros(len(frames)))


class Clip:
    """Frames whose every pixel is their number; counts how many were asked for."""

    warnings: list[str] = []

    def __init__(self, frames: int) -> None:
        self.frames, self.asked = frames, 0

    @property
    def info(self) -> Clip:
        return self

    fps = 25

    @property
    def times(self) -> np.ndarray:
        return np.arange(self.frames) / self.fps

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        for index in range(self.frames):
            self.asked += 1
            yield index, np.full((40, 80, 3), index, np.uint8)


class Reader(nn.Module):
    """An "encoder" that says how bright a crop is, and points at its right edge."""

    def forward(self, crops: torch.Tensor) -> EncoderOutput:
        if len(crops) > 4:
            raise MemoryError
        points = torch.tensor([[1.0, 0.0, 0.7]]).expand(len(crops), 1, 3)
        return EncoderOutput(crops.mean(dim=(1, 2, 3))[:, None], points)


class Reading:
    """As much of a model as observing needs."""

    encoder, device, dtype, flow = Reader(), torch.device("cpu"), torch.float32, None
    crop_size, crop_scale = SIZE, 1.25


def test_everybody_is_cut_out_of_their_own_frames_in_order() -> None:
    tracks = [make_track(1, 0, 5), make_track(2, 3, 8, x=50.0)]
    squares = [track.boxes for track in tracks]
    seen: dict[int, list[int]] = {0: [], 1: []}
    for number, crop, before in cut_people(Clip(12), tracks, squares, SIZE):
        assert before is None and crop.shape == (SIZE, SIZE, 3) and len(np.unique(crop)) == 1
        seen[number].append(int(crop[0, 0, 0]))
    assert seen == {0: [0, 1, 2, 3, 4, 5], 1: [3, 4, 5, 6, 7, 8]}


def test_the_frame_before_is_cut_with_the_same_box_and_a_tracks_first_frame_has_none() -> None:
    class Shaded(Clip):
        def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
            for index, frame in super().__iter__():
                frame[:, :, 1] = np.arange(80)
                yield index, frame

    tracks = [make_track(1, 0, 3), make_track(2, 2, 4, x=50.0)]
    tracks[0].boxes[:, 0] += 3 * np.arange(4)
    squares = [track.boxes for track in tracks]
    seen: dict[int, list[int | None]] = {0: [], 1: []}
    for cut in cut_people(Shaded(6), tracks, squares, SIZE, back=1):
        seen[cut.number].append(None if cut.before is None else int(cut.before[0, 0, 0]))
        if cut.before is not None:
            assert np.array_equal(cut.before[..., 1], cut.crop[..., 1]), "the same place of the picture"
    assert seen == {0: [None, 0, 1, 2], 1: [None, 2, 3]}


@pytest.mark.parametrize("batch_size", [1, 4])
def test_flow_features_follow_those_of_the_picture_where_the_network_has_that_stream(batch_size: int) -> None:
    class Brighter:
        def between(self, crops: np.ndarray, before: np.ndarray) -> np.ndarray:
            return (crops.astype(np.float32) - before)[..., :2] / 10

    class Moving(Reading):
        flow = Brighter()

        class network:
            @staticmethod
            def encode_flow(images: torch.Tensor) -> torch.Tensor:
                return images.mean((2, 3))

    tracks = [make_track(1, 0, 5), make_track(2, 3, 8, x=50.0)]
    for seen in encode_tracks(Clip(12), tracks, Moving(), batch_size, Run(quiet)):
        assert seen.features.shape == (6, 1 + 3)
        assert np.array_equal(seen.features[0, 1:], np.zeros(3)), "nobody was followed before"
        assert np.allclose(seen.features[1:, 1:], np.array([1, 1, 2**0.5]) * 0.1 / (SIZE / 8), atol=1e-6)


def test_frames_after_the_last_person_are_not_decoded() -> None:
    clip = Clip(100)
    assert len(list(cut_people(clip, [make_track(1, 2, 4)], [make_track(1, 2, 4).boxes], SIZE))) == 3
    assert clip.asked == 5


@pytest.mark.parametrize("batch_size", [1, 3, 4, 64])
def test_features_come_back_to_their_track_and_frame_whatever_the_batch(batch_size: int) -> None:
    tracks, run = [make_track(1, 0, 5), make_track(2, 3, 8, x=50.0)], Run(quiet)
    observed = encode_tracks(Clip(12), tracks, Reading(), batch_size, run)
    mean, deviation = 0.449, 0.226  # ImageNet's, of the three colours together
    for seen in observed:
        numbers = (seen.features[:, 0] * deviation + mean) * 255
        assert np.array_equal(numbers.round(), seen.track.frames)
    assert bool(run.warnings) == (batch_size > 4), "memory ran out: said, and gone on with smaller batches"
    assert {"decode", "crop", "encode"} <= set(run.watch.seconds)


def test_keypoints_are_given_in_pixels_of_the_image() -> None:
    (seen,) = encode_tracks(Clip(3), [make_track(1, 0, 2, x=30.0)], Reading(), 4, Run(quiet))
    assert np.allclose(seen.keypoints[:, 0], [30 + 16 * 1.25 / 2, 20, 0.7], atol=1e-4)
    assert np.allclose(seen.boxes[:, 2:], 20)


def test_nobody_needs_no_second_pass() -> None:
    clip = Clip(3)
    assert encode_tracks(clip, [], Reading(), 4, Run(quiet)) == [] and clip.asked == 0


def test_crops_are_cut_by_steady_boxes() -> None:
    track = make_track(1, 0, 30)
    track.boxes[:, 0] += np.random.default_rng(0).normal(0, 3, 31)
    (seen,) = encode_tracks(Clip(31), [track], Reading(), 4, Run(quiet))
    assert np.allclose(seen.boxes[:, 0], smooth_boxes(track).boxes[:, 0])
    assert seen.boxes[:, 0].std() < track.boxes[:, 0].std() / 2


def test_a_batch_of_none_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="batch size 0"):
        Options(batch_size=0)


class Given:
    """A source of keypoints of its own: ten of somebody at x, y = 20 in some of the frames."""

    finds_people = True

    def __init__(self, frames: list[int]) -> None:
        points = np.zeros((1, 49, 3))
        points[0, :10] = [[20 + 7 * np.cos(k), 20 + 7 * np.sin(k), 0.9] for k in range(10)]
        self.found = {frame: points for frame in frames}

    def people(self, frames: int) -> dict[int, np.ndarray]:
        return self.found


@pytest.mark.parametrize("given", [[0, 1, 2, 3, 4, 5], [0, 1, 4, 5]])
def test_who_has_keypoints_is_not_looked_at_where_they_alone_make_the_features(given: list[int]) -> None:
    config = OpenEncoderConfig(width=8, channels=8, size=32, features=16, hidden=32, any_subset=True)

    class Lifting(Reading):
        encoder, crop_size = OpenEncoder(config).eval(), 32

    clip, cuts = Clip(6), Run(quiet)
    (seen,) = encode_tracks(clip, [make_track(1, 0, 5)], Lifting(), 4, cuts, Given(given))
    assert clip.asked == (0 if len(given) == 6 else 4), "frames are decoded up to the last that is looked at"
    assert seen.given and np.array_equal(np.flatnonzero(seen.keypoints[..., 2].any(axis=1)), given)
    lifted = seen.features[given]
    assert np.allclose(lifted, lifted[:1], atol=1e-5) and lifted.any()
    for frame in {2, 3} - set(given):
        assert seen.features[frame].any() and not np.allclose(seen.features[frame], lifted[0], atol=1e-3)
