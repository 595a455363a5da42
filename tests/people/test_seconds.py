"""Time constants are seconds: the same scene has the same people at every rate, and more frames lose nobody."""

from __future__ import annotations

import numpy as np
import pytest

from vibe_cli.people.believe import surest
from vibe_cli.people.steady import smooth_boxes
from vibe_cli.people.track import TrackOptions, link_tracks
from vibe_cli.results import Detections, Track

RATES = (12, 25, 60)


def seen(times: np.ndarray, *people: tuple[float, float, float, float], score: float = 0.9) -> list[Detections]:
    """People (first second, last second, x at zero, pixels a second), each 40 × 100 pixels."""
    frames = []
    for t in times:
        boxes = [[x + speed * t, 200, 40, 100] for first, last, x, speed in people if first <= t < last]
        frames.append(Detections(np.array(boxes).reshape(-1, 4), np.full(len(boxes), score)))
    return frames


@pytest.mark.parametrize("rate", (*RATES, 240))
@pytest.mark.parametrize(
    ("people", "count"),
    [
        ([(0, 1.4, 100, 50), (2.2, 4, 100, 50)], 1),  # hidden for 0.8 s: the same person
        ([(0, 1.2, 100, 50), (2.8, 4, 100, 50)], 2),  # hidden for 1.6 s: not known to be
        ([(0, 4, 100, 50), (2, 2.7, 400, 0)], 1),  # somebody of 0.7 s is too short
        ([(0, 4, 100, 200), (0, 4, 500, -200)], 2),  # they cross
    ],
)
def test_the_same_scene_has_the_same_people_at_every_rate(rate: int, people: list, count: int) -> None:
    times = np.arange(4 * rate) / rate
    tracks = link_tracks(seen(times, *people), times=times).tracks
    assert [track.id for track in tracks] == list(range(1, count + 1))


@pytest.mark.parametrize("rate", RATES)
def test_a_wish_for_shorter_tracks_means_the_same_time_at_every_rate(rate: int) -> None:
    times = np.arange(4 * rate) / rate
    clip = seen(times, (0, 4, 100, 50), (2, 2.5, 400, 0), (3, 3.2, 700, 0))
    assert len(link_tracks(clip, TrackOptions(min_track=10), times).tracks) == 2


@pytest.mark.parametrize("rate", RATES)
def test_a_flicker_is_nobody_at_any_rate(rate: int) -> None:
    times = np.arange(4 * rate) / rate
    clip = seen(times, (0, 4, 100, 50), (2, 2 + 0.9 / rate, 400, 0))
    assert len(link_tracks(clip, TrackOptions(min_track=3), times).tracks) == 1


def test_dropped_frames_and_a_pause_do_not_move_anybody() -> None:
    times = np.delete(np.arange(90) / 30, [*range(5, 40, 4), *range(50, 62)])
    (track,) = link_tracks(seen(times, (0, 3, 100, 300)), times=times).tracks
    assert len(track) == len(times) and not track.filled.any()
    hidden = seen(times, (0, 1, 100, 300), (1.6, 3, 100, 300))
    (track,) = link_tracks(hidden, times=times).tracks
    assert np.allclose(track.boxes[:, 0], 100 + 300 * times, atol=0.5), "filled in by time, not by the count of frames"


def test_after_a_long_pause_in_the_clip_everybody_is_somebody_else() -> None:
    times = np.concatenate([np.arange(40), 1000 + np.arange(40)]) / 25
    clip = seen(np.arange(80) / 25, (0, 4, 100, 0))
    assert [len(track) for track in link_tracks(clip, times=times).tracks] == [40, 40]
    slow = np.arange(80) * 2.0  # a picture every two seconds is no pause
    assert [len(track) for track in link_tracks(clip, times=slow).tracks] == [80]


@pytest.mark.parametrize("after", [0, 12, 24, 60, 300])
def test_more_frames_never_lose_a_person(after: int) -> None:
    """Half a second is enough in a clip of a second; then it goes on, with nobody in it or the person back."""
    times = np.arange(24 + after) / 25
    assert len(link_tracks(seen(times, (0, 0.48, 100, 0)), times=times).tracks) == 1
    back = seen(times, (0, 0.48, 100, 0), (1.52, 1.92, 100, 0))
    kept = link_tracks(back, times=times)
    assert len(kept.tracks) == 1 and kept.unsure == 0
    assert len(kept.tracks[0]) == (12 if after < 24 else 48)


@pytest.mark.parametrize("rate", [25, 80])
def test_who_is_hidden_for_longer_than_seen_is_the_same_person_at_every_rate(rate: int) -> None:
    times = np.arange(60) / 80 if rate == 80 else np.arange(24) / 25
    clip = seen(times, (0, 0.16, 100, 50), (0.56, 9, 100, 50))
    (track,) = link_tracks(clip, TrackOptions(min_track=10), times).tracks
    assert len(track) == len(times)


def test_a_flicker_joined_to_an_appearance_does_not_cost_it() -> None:
    times = np.arange(100) / 25
    clip = seen(times, (0, 0.48, 100, 0), (1.4, 1.44, 100, 0), (2.4, 2.44, 100, 0), (3.4, 3.44, 100, 0))
    (track,) = link_tracks(clip, times=times).tracks
    assert track.frames.tolist() == list(range(12))


def test_a_sure_person_is_not_lost_to_the_weak_finds_that_follow() -> None:
    clip = seen(np.arange(40) / 25, (0, 9, 100, 0)) + seen(np.arange(200) / 25, (0, 9, 100, 0), score=0.2)
    (track,) = link_tracks(clip).tracks
    assert track.frames.tolist() == list(range(40))


def test_the_surest_stretch_has_the_largest_sum() -> None:
    assert surest(np.array([-1.0, 2, -1, 3, -5, 1])) == (1, 4)
    assert surest(np.array([1.0, 1])) == (0, 2) and surest(np.array([-1.0, -2])) == (0, 0)


def test_no_track_crosses_the_start_of_a_scene() -> None:
    times = np.arange(60) / 25
    tracks = link_tracks(seen(times, (0, 9, 100, 0)), times=times, scenes=(0, 20, 50)).tracks
    assert [(track.id, track.frames[0], track.frames[-1]) for track in tracks] == [(1, 0, 19), (2, 20, 49), (3, 50, 59)]
    single = link_tracks(seen(times[:3], (0, 9, 100, 0)), times=times[:3], scenes=range(3)).tracks
    assert [len(track) for track in single] == [1, 1, 1], "photographs, each by itself"


def test_boxes_are_smoothed_by_time_where_frames_are_missing() -> None:
    times = np.delete(np.arange(60) / 25, [10, 11, 12, 30])
    boxes = np.tile([0.0, 200, 50, 120], (len(times), 1))
    boxes[:, 0] = 100 * times
    track = Track(1, np.arange(len(times)), boxes, np.ones(len(times)), np.zeros(len(times), bool))
    assert np.allclose(smooth_boxes(track, times).boxes, boxes, atol=1e-3), "steady motion stays as it is"
    assert not np.allclose(smooth_boxes(track, np.arange(len(times)) / 25).boxes, boxes, atol=0.1)
