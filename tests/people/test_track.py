"""Tracking: who is who from frame to frame, what happens in gaps, and how tracks are numbered and chosen."""

from __future__ import annotations

import numpy as np
import pytest

from vibe_cli.errors import UsageError
from vibe_cli.people.steady import smooth_boxes
from vibe_cli.people.track import Sort, TrackOptions, TrackReport, associate, link_tracks
from vibe_cli.results import Detections, Track

WIDTH, HEIGHT = 40.0, 100.0


def frame(*people: tuple[float, float] | None, score: float = 0.9) -> Detections:
    """Detections of people of one size at these centres; None is somebody who was missed."""
    boxes = [[x, y, WIDTH, HEIGHT] for x, y in (p for p in people if p is not None)]
    return Detections(np.array(boxes).reshape(-1, 4), np.full(len(boxes), score))


def walk(frames: int, start: float = 100.0, speed: float = 2.0, missed: range | tuple = ()) -> list[Detections]:
    """One person who walks to the right, and is not detected in the frames `missed`."""
    return [frame(None if t in missed else (start + speed * t, 200.0)) for t in range(frames)]


def test_one_walker_is_one_track_with_the_detected_boxes() -> None:
    report = link_tracks(walk(30))
    assert [track.id for track in report.tracks] == [1] and report.dropped == 0
    track = report.tracks[0]
    assert track.frames.tolist() == list(range(30))  # those before its birth too
    assert track.boxes[:, 0] == pytest.approx(100 + 2 * np.arange(30))
    assert not track.filled.any() and track.scores == pytest.approx(0.9)


@pytest.mark.parametrize("hidden", [range(0), range(27, 34)])
def test_two_people_who_cross_keep_their_ids(hidden: range) -> None:
    """They walk through each other; while they overlap one of them may be missed."""
    clip = [frame((100 + 5 * t, 200), None if t in hidden else (400 - 5 * t, 205)) for t in range(60)]
    report = link_tracks(clip)
    assert len(report.tracks) == 2
    for track in report.tracks:
        steps = np.diff(track.boxes[:, 0])
        assert len(track) == 60 and (np.sign(steps) == np.sign(steps[0])).all()


def test_a_short_gap_is_filled_along_a_straight_line_and_flagged() -> None:
    gap = range(12, 22)
    report = link_tracks(walk(40, missed=gap), TrackOptions(max_age=10))
    (track,) = report.tracks
    assert track.frames.tolist() == list(range(40))
    assert np.flatnonzero(track.filled).tolist() == list(gap)
    assert track.boxes[:, 0] == pytest.approx(100 + 2 * np.arange(40))
    assert (track.scores[12:22] == 0).all() and (track.scores[22:] > 0).all()


def test_a_gap_longer_than_the_age_makes_two_tracks() -> None:
    report = link_tracks(walk(60, missed=range(26, 37)), TrackOptions(max_age=10, min_track=5))
    assert [(track.frames[0], track.frames[-1]) for track in report.tracks] == [(0, 25), (37, 59)]
    assert [track.id for track in report.tracks] == [1, 2]


def test_frames_without_detections_age_tracks() -> None:
    """Empty frames count as misses, so somebody else on the same spot later is somebody else."""
    clip = walk(26) + [Detections.empty()] * 31 + walk(26)
    assert len(link_tracks(clip, TrackOptions(min_track=20)).tracks) == 2
    clip = walk(26, speed=0) + [Detections.empty()] * 30 + walk(26, speed=0)
    assert len(link_tracks(clip, TrackOptions(min_track=20)).tracks) == 1


def test_predictions_after_the_last_detection_are_not_part_of_a_track() -> None:
    (track,) = link_tracks(walk(50, missed=range(30, 50))).tracks
    assert track.frames[-1] == 29 and not track.filled.any()


def test_two_videos_each_start_at_person_one() -> None:
    for _ in range(2):
        assert [track.id for track in link_tracks(walk(30)).tracks] == [1]


def test_ids_follow_appearance_then_size() -> None:
    def clip(t: int) -> Detections:
        boxes = [[500, 200, 40, 90], [100, 200, 60, 140]] + ([[300, 200, 90, 190]] if t >= 5 else [])
        return Detections(np.array(boxes), np.full(len(boxes), 0.9))

    tracks = link_tracks([clip(t) for t in range(60)]).tracks
    assert [(track.id, round(float(track.boxes[0, 0]))) for track in tracks] == [(1, 100), (2, 500), (3, 300)]


def test_the_order_of_detections_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    clip = [
        Detections(
            rng.uniform([0, 0, 20, 40], [600, 400, 80, 160], (6, 4))
            if t % 5 == 0
            else np.array([[100.0 * i + 3 * t, 200 + rng.normal(), 40, 100] for i in range(6)]),
            rng.uniform(0.3, 1, 6),
        )
        for t in range(50)
    ]
    orders = [rng.permutation(6) for _ in clip]
    mixed = [Detections(one.boxes[order], one.scores[order]) for one, order in zip(clip, orders, strict=True)]
    a, b = link_tracks(clip), link_tracks(mixed)
    assert len(a.tracks) == len(b.tracks) > 0 and a.dropped == b.dropped
    for x, y in zip(a.tracks, b.tracks, strict=True):
        assert x.id == y.id and np.array_equal(x.frames, y.frames) and np.array_equal(x.boxes, y.boxes)


def test_resolution_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    clip = [
        frame(
            *(
                (100 + 80 * i + rng.normal(0, 4), 200 + rng.normal(0, 4)) if rng.random() < 0.8 else None
                for i in range(4)
            )
        )
        for _ in range(60)
    ]
    large = [Detections(one.boxes * 7, one.scores) for one in clip]
    for x, y in zip(link_tracks(clip).tracks, link_tracks(large).tracks, strict=True):
        assert np.array_equal(x.frames, y.frames) and np.allclose(7 * x.boxes, y.boxes)


@pytest.mark.parametrize("seed", range(3))
def test_random_detections_do_no_harm(seed: int) -> None:
    """Boxes anywhere, of any size, some without area or not finite."""
    rng = np.random.default_rng(seed)
    clip = []
    for _ in range(80):
        boxes = rng.uniform(-50, 700, (rng.integers(0, 9), 4)).astype(np.float32)
        boxes[rng.random(boxes.shape) < 0.03] = rng.choice([np.nan, np.inf, 0, 1e-3, 1e6])
        clip.append(Detections(boxes, rng.uniform(0, 1, len(boxes))))
    for track in link_tracks(clip, TrackOptions(min_track=1, min_hits=1, iou=0.01)).tracks:
        assert np.isfinite(track.boxes).all() and (track.boxes[:, 2:] > 0).all()
        assert (np.diff(track.frames) == 1).all() and track.frames[-1] < 80
        assert not track.filled[0] and not track.filled[-1]


@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_short_clips_keep_their_people(count: int) -> None:
    """A single photograph of four people has four people; so has a clip of three frames."""
    report = link_tracks([frame((100, 200), (200, 200), (300, 200), (400, 200))] * count)
    assert [track.id for track in report.tracks] == [1, 2, 3, 4]
    assert all(len(track) == count for track in report.tracks)


def test_somebody_missed_once_in_three_frames_is_kept() -> None:
    assert len(link_tracks(walk(3, missed=(0,))).tracks) == 1
    assert len(link_tracks(walk(3, missed=(1,))).tracks) >= 1


def test_an_empty_clip_has_nobody() -> None:
    for clip in ([], [Detections.empty()], [Detections.empty()] * 40):
        report = link_tracks(clip)
        assert report.tracks == [] and report.dropped == 0


def test_short_tracks_are_dropped_and_counted() -> None:
    clip = [frame((100 + t, 200), (400, 200) if 36 <= t else None) for t in range(60)]
    report = link_tracks(clip)
    assert len(report.tracks) == 1 and report.dropped == 1 and report.min_track == 25 and report.unsure == 0
    assert len(link_tracks(clip, TrackOptions(min_track=24)).tracks) == 2


def test_a_detection_or_two_are_nobody() -> None:
    clip = [frame((100 + t, 200), (400, 200) if t in (10, 11, 30) else None) for t in range(60)]
    report = link_tracks(clip, TrackOptions(min_track=1, min_seen=0))
    assert len(report.tracks) == 2 and report.dropped == 0  # asked for one frame, one frame is enough
    report = link_tracks(clip, TrackOptions(min_track=3))
    assert len(report.tracks) == 1 and report.dropped == 0  # never born: two hits in a row, not three


def test_weak_detections_carry_a_track_on_but_start_none() -> None:
    weak = [frame((400, 200), score=0.35) for _ in range(40)]
    assert link_tracks(weak).tracks == []
    carried = [frame((400, 200), score=0.9 if t < 3 else 0.45) for t in range(40)]
    assert [len(track) for track in link_tracks(carried).tracks] == [40]


def test_the_largest_and_longest_are_kept_and_numbered_anew() -> None:
    def clip(t: int) -> Detections:
        boxes = [[100, 200, 40, 90], [400, 200, 90, 190]] + ([[700, 200, 90, 190]] if t >= 30 else [])
        return Detections(np.array(boxes), np.full(len(boxes), 0.9))

    frames = [clip(t) for t in range(60)]
    report = link_tracks(frames, TrackOptions(max_people=1))
    assert [(track.id, round(float(track.boxes[0, 0]))) for track in report.tracks] == [(1, 400)]
    assert report.left_out == 2 and report.dropped == 0
    assert len(link_tracks(frames, TrackOptions(max_people=9)).tracks) == 3


def test_chosen_persons_keep_their_ids() -> None:
    clip = [frame((100, 200), (200, 200), (300, 200))] * 30
    everybody = link_tracks(clip)
    report = link_tracks(clip, TrackOptions(persons=(3, 1)))
    assert [track.id for track in report.tracks] == [1, 3] and report.left_out == 1
    assert np.array_equal(report.tracks[1].boxes, everybody.tracks[2].boxes)


def test_a_person_who_is_not_there_is_a_usage_error_that_says_who_is() -> None:
    with pytest.raises(UsageError, match="no person 7") as caught:
        link_tracks([frame((100, 200), (200, 200))] * 30, TrackOptions(persons=(7,)))
    assert "1, 2" in caught.value.hint


def test_whoever_is_chosen_in_a_clip_with_nobody_is_no_usage_error() -> None:
    for clip in ([], [Detections.empty()] * 40, [frame((100, 200), score=0.9 if t < 3 else 0.2) for t in range(60)]):
        assert link_tracks(clip, TrackOptions(persons=(2,))).tracks == []


@pytest.mark.parametrize(
    "wrong",
    [{"iou": 1.5}, {"min_hits": 0}, {"max_age": -1}, {"min_track": 0}, {"max_people": 0}, {"start_score": -0.1}],
)
def test_options_out_of_range_are_usage_errors(wrong: dict) -> None:
    with pytest.raises(UsageError, match="out of range"):
        TrackOptions(**wrong)


def test_sort_says_which_candidate_each_detection_went_to() -> None:
    sort = Sort()
    assert sort.update(frame((100, 200), (300, 200))).tolist() == [0, 1]
    assert sort.update(frame((301, 200), (101, 200), (600, 200))).tolist() == [1, 0, 2]
    assert sort.update(frame(score=0.9)).tolist() == []
    assert sort.update(Detections(np.array([[0, 0, np.nan, 5]]), np.ones(1))).tolist() == [-1]


def test_the_assignment_has_the_largest_total_overlap() -> None:
    """Taking the best pair first would leave the second prediction alone."""
    predicted = np.array([[0.0, 0, 10, 10], [3, 0, 10, 10]])
    detected = np.array([[2.0, 0, 10, 10], [-3, 0, 10, 10]])
    assert sorted(associate(predicted, detected, 0.3)) == [(0, 1), (1, 0)]
    assert associate(predicted, detected + 100, 0.3) == []
    assert associate(np.zeros((0, 4)), detected, 0.3) == []


def test_an_overlap_below_the_threshold_is_no_match() -> None:
    one, other = np.array([[0.0, 0, 10, 10]]), np.array([[6.0, 0, 10, 10]])  # IoU 0.25
    assert associate(one, other, 0.3) == [] and associate(one, other, 0.2) == [(0, 0)]


def track_of(boxes: np.ndarray) -> Track:
    """A track with these boxes and no gaps."""
    count = len(boxes)
    return Track(1, np.arange(count), boxes, np.ones(count), np.zeros(count, bool))


def test_smoothing_boxes_takes_the_trembling_away() -> None:
    rng = np.random.default_rng(0)
    truth = np.stack([100 + 3.0 * np.arange(80), np.full(80, 200.0), np.full(80, 50.0), np.full(80, 120.0)], axis=1)
    noisy = truth + rng.normal(0, 3, truth.shape)
    smooth = smooth_boxes(track_of(noisy)).boxes
    assert np.abs(smooth - truth).mean() < 0.6 * np.abs(noisy - truth).mean()
    second = [np.abs(np.diff(boxes, n=2, axis=0)).mean() for boxes in (noisy, smooth)]
    assert second[1] < 0.15 * second[0]


def test_smoothing_boxes_leaves_steady_motion_and_growth_alone_to_the_very_ends() -> None:
    t = np.arange(30.0)
    boxes = np.stack([100 + 3 * t, 200 - 2 * t, 50 + t, 120 + 2 * t], axis=1)
    assert np.allclose(smooth_boxes(track_of(boxes)).boxes, boxes, atol=1e-3)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_tracks_of_few_frames_can_be_smoothed(count: int) -> None:
    boxes = np.tile([100.0, 200, 50, 120], (count, 1))
    assert np.allclose(smooth_boxes(track_of(boxes)).boxes, boxes)


def test_smoothed_sizes_stay_within_those_seen() -> None:
    boxes = np.tile([100.0, 200, 50, 120], (20, 1))
    boxes[:3, 2] = [1, 40, 80]
    smooth = smooth_boxes(track_of(boxes)).boxes
    assert smooth[:, 2:].min() >= 1 and smooth[:, 2].max() <= 80


def test_box_smoothing_spans_the_same_time_at_every_rate() -> None:
    """A step is spread over as many seconds at 25 as at 100 frames a second."""
    widths = []
    for fps in (25, 100):
        boxes = np.tile([0.0, 200, 50, 120], (fps * 4, 1))
        boxes[2 * fps :, 0] = 100
        x = smooth_boxes(track_of(boxes), np.arange(len(boxes)) / fps).boxes[:, 0]
        widths.append(((x > 5) & (x < 95)).sum() / fps)
    assert widths[0] == pytest.approx(widths[1], rel=0.25)


def test_a_report_is_about_the_whole_clip() -> None:
    report = link_tracks(iter(walk(30)))  # any iterable
    assert isinstance(report, TrackReport) and report.min_track == 15


def test_a_track_that_is_mostly_guessed_is_dropped_and_counted() -> None:
    box, nobody = Detections([[50, 50, 20, 40]], [0.9]), Detections.empty()
    frames = [box] * 3 + ([nobody] * 9 + [box]) * 5
    assert link_tracks(frames).dropped == link_tracks(frames).unsure == 1
    assert len(link_tracks(frames, TrackOptions(min_seen=0.1)).tracks) == 1


def test_a_track_of_weak_detections_is_dropped_and_counted() -> None:
    clip = [frame((100, 200), score=0.9 if t < 3 else 0.2) for t in range(60)]
    report = link_tracks(clip)
    assert report.tracks == [] and report.dropped == report.unsure == 1
    assert len(link_tracks(clip, TrackOptions(mean_score=0.1)).tracks) == 1


def test_a_detector_says_from_which_score_its_finds_are_believed_unless_the_user_does() -> None:
    clip = [frame((100, 200), score=0.9 if t < 3 else 0.45) for t in range(60)]
    assert len(link_tracks(clip).tracks) == 1
    assert link_tracks(clip, TrackOptions().with_min_mean_score(0.55)).tracks == []
    assert len(link_tracks(clip, TrackOptions(mean_score=0.4).with_min_mean_score(0.55)).tracks) == 1


def test_a_box_that_changes_its_shape_at_once_stays_the_same_person() -> None:
    whole, half = Detections([[100, 150, 60, 200]], [0.9]), Detections([[100, 85, 55, 60]], [0.9])
    frames = [whole] * 20 + [half] * 20 + [whole] * 20
    report = link_tracks(frames)
    assert [len(track) for track in report.tracks] == [60] and report.dropped == 0


def test_a_box_that_holds_the_one_arm_and_then_the_other_stays_the_same_person() -> None:
    left, right = Detections([[320, 300, 161, 370]], [0.9]), Detections([[218, 302, 147, 372]], [0.9])
    assert [len(track) for track in link_tracks([left] * 30 + [right] * 30).tracks] == [60]
    nobody = Detections(np.zeros((0, 4)), np.zeros(0))  # after which it may be somebody else
    assert len(link_tracks([left] * 30 + [nobody] * 4 + [right] * 30).tracks) == 2


def test_somebody_elsewhere_is_not_taken_for_one_who_was_lost() -> None:
    here, there = Detections([[100, 150, 60, 200]], [0.9]), Detections([[180, 150, 60, 200]], [0.9])
    assert [len(track) for track in link_tracks([here] * 30 + [there] * 30).tracks] == [30, 30]
