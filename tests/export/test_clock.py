"""Exports at a constant rate follow the time stamps, not the count of frames."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.people import make_person, make_result
from vibe_cli.body.body_models import load_body
from vibe_cli.errors import UsageError
from vibe_cli.export import ExportOptions, format_writer
from vibe_cli.export.clock import nearest_frames, nominal_rate, slerp, steady
from vibe_cli.progress import quiet
from vibe_cli.results import Result


def at_times(times: np.ndarray, fps: Fraction, first: int = 0) -> Result:
    """Somebody whose left elbow turns by a radian a second, from a frame of the clip on."""
    person = make_person(frames=np.arange(first, len(times)))
    person.pose[:, 18, 1] = times[first:]
    result = make_result([person], frames=len(times))
    return replace(result, video=replace(result.video, fps=fps, times=times))


DROPPED = np.delete(np.arange(48), np.arange(5, 47, 12)) / 30  # every twelfth frame is missing
PAUSED = np.concatenate([np.arange(10) / 30, 0.9 + np.arange(10) / 30])  # the camera pauses, and its mean rate is 16


@pytest.mark.parametrize("times", [DROPPED, PAUSED], ids=["dropped", "paused"])
def test_motion_lasts_as_long_as_the_clip_and_is_where_its_time_says(times: np.ndarray, tmp_path: Path) -> None:
    result = at_times(times, Fraction((len(times) - 1) / times[-1]).limit_denominator(1001))
    format_writer("npz").write(result, load_body(None), tmp_path, ExportOptions(), quiet)
    with np.load(tmp_path / "npz" / "person_001.npz") as file:
        rate = float(file["mocap_frame_rate"])
        assert rate == 30, "the commonest step's, not the mean rate"
        clock = np.arange(len(file["poses"])) / rate
        assert abs(clock[-1] - times[-1]) < 1 / 60
        assert np.allclose(file["poses"][:, 55], clock, atol=1e-3), "the elbow's angle says the time"
        assert np.allclose(file["times"], clock, atol=1e-6)
        assert np.abs(times[file["frame_ids"]] - clock).max() <= 0.3


def test_a_common_rate_is_named_where_time_stamps_are_rounded_or_tremble() -> None:
    even = np.arange(48)
    for fps in (Fraction(12), Fraction(30), Fraction(30000, 1001), Fraction(499, 20)):
        assert nominal_rate(at_times(even / float(fps), fps).video) == fps, "of exact time stamps as it is"
    rounded = np.round(even[:24] / 12, 3)
    assert nominal_rate(at_times(rounded, Fraction(11506, 959)).video) == 12
    trembling = even[:24] / 30 + 0.006 * np.sin(7 * even[:24])
    assert nominal_rate(at_times(trembling, Fraction(29081, 964)).video) == 30
    assert nominal_rate(at_times(np.round(even / 27, 3), Fraction(27)).video) == 27, "27 is none of the common ones"


def test_pictures_with_gaps_in_their_numbers_are_exported_at_their_times(tmp_path: Path) -> None:
    numbers = [0, 1, 2, 3, 9, 10, 11]
    result = at_times(np.array(numbers) / 30, Fraction(30))
    video = replace(result.video, files=tuple(f"{n:04}.jpg" for n in numbers), scenes=np.array([0, 4]))
    result = replace(result, video=replace(video, kind="images"))
    for name in ("npz", "bvh", "glb", "obj", "csv", "json", "pkl"):
        assert format_writer(name).write(result, load_body(None), tmp_path, ExportOptions(), quiet)
    with np.load(tmp_path / "npz" / "person_001.npz") as file:
        assert np.allclose(file["poses"][:, 55], np.arange(12) / 30, atol=1e-3)
        assert file["frame_ids"].tolist()[:4] == [0, 1, 2, 3] and file["frame_ids"].tolist()[9:] == [4, 5, 6]
    assert steady(result).video.scenes.tolist() == [0, 9]


def test_a_chosen_rate_is_kept_and_the_motion_is_as_fast(tmp_path: Path) -> None:
    result = at_times(np.arange(50) / 25, Fraction(25))
    options = ExportOptions(fps=Fraction(60))
    format_writer("npz").write(result, load_body(None), tmp_path, options, quiet)
    with np.load(tmp_path / "npz" / "person_001.npz") as file:
        assert float(file["mocap_framerate"]) == 60 and len(file["poses"]) == 118
        assert np.allclose(file["poses"][:, 55], np.arange(118) / 60, atol=1e-3)
    format_writer("obj").write(result, load_body(None), tmp_path, replace(options, fps=Fraction(5)), quiet)
    assert len(list((tmp_path / "obj" / "person_001").iterdir())) == 11


def test_who_enters_late_starts_late_and_stands_still_before_where_that_is_asked(tmp_path: Path) -> None:
    result = at_times(PAUSED, Fraction(30), first=10)
    format_writer("npz").write(result, load_body(None), tmp_path, ExportOptions(), quiet)
    with np.load(tmp_path / "npz" / "person_001.npz") as file:
        assert int(file["start_frame"]) == 27 and float(file["start_time"]) == pytest.approx(0.9)
        assert len(file["poses"]) == 10
    format_writer("npz").write(result, load_body(None), tmp_path, ExportOptions(from_start=True), quiet)
    with np.load(tmp_path / "npz" / "person_001.npz") as file:
        assert int(file["start_frame"]) == 0 and len(file["poses"]) == 37
        assert np.allclose(file["poses"][:28], file["poses"][27]), "the first pose until then"


def test_a_steady_clip_is_exported_frame_by_frame() -> None:
    result = make_result(frames=30)
    assert steady(result) is result and steady(result, Fraction(30000, 1001)) is result
    jittery = replace(result.video, times=np.round(result.video.times, 2))
    assert steady(replace(result, video=jittery)).people[0].pose is result.people[0].pose


def test_who_is_away_for_a_while_moves_on_and_nothing_comes_too_early(tmp_path: Path) -> None:
    frames = np.delete(np.arange(12), [4, 5, 6, 7])
    person = make_person(frames=frames)
    person.pose[:, 18, 1] = 0.1 * frames
    (moved,) = steady(make_result([person], frames=12)).people
    assert moved.frames.tolist() == list(range(12))
    assert np.allclose(moved.pose[:, 18, 1], 0.1 * np.arange(12), atol=1e-5)
    assert np.allclose(moved.boxes[:, 0], 60 + np.arange(12), atol=1e-4)


def test_the_nominal_rate_is_that_of_most_steps() -> None:
    video = at_times(np.delete(np.arange(60), [10, 11, 12, 30, 31, 44]) * 1001 / 30000, Fraction(26)).video
    assert nominal_rate(video) == Fraction(30000, 1001)
    assert nominal_rate(at_times(np.zeros(1), Fraction(24)).video) == 24


def test_rotations_go_the_shortest_way_at_constant_speed() -> None:
    first, second = np.array([[[0, 3.0, 0]]]), np.array([[[0, -3.0, 0]]])
    middle = slerp(first, second, np.array([0.5]))
    assert np.abs(middle[0, 0, 1]) == pytest.approx(np.pi, abs=1e-6), "through the half turn, not through rest"
    assert np.allclose(slerp(np.zeros((1, 1, 3)), first, np.array([0.25])), first / 4)


def test_nobody_and_one_frame_have_a_clock_too() -> None:
    alone = at_times(np.array([0.5]), Fraction(30))
    assert len(steady(alone, Fraction(10)).people[0]) == 1 and nearest_frames(np.array([0.5]), alone.video) == [0]
    nobody = replace(alone, people=[])
    assert steady(nobody).people == []
    brief = at_times(PAUSED, Fraction(30), first=19)
    assert len(steady(brief, Fraction(2)).people[0]) == 1, "between two samples, and still there"


def test_a_rate_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="0 frames a second"):
        ExportOptions(fps=Fraction(0))
    with pytest.raises(UsageError, match="too many"):
        steady(at_times(np.array([0, 1, 1e7]), Fraction(30)), Fraction(30))
