"""`vibe demo` from clip to folder, with a tiny random model and real files."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import joblib
import numpy as np
import pytest
import torch

from tests.helpers.tiny import BrightDetector, install_model, make_walk
from vibe_cli._version import __version__
from vibe_cli.rendering.renderer import BACKENDS
from vibe_cli.results import Detections, Result
from vibe_cli.video.reader import open_video


@pytest.fixture
def tiny(home: Path, monkeypatch: pytest.MonkeyPatch) -> BrightDetector:
    """The tiny random model in the user's model folder, with a detector that finds what is bright."""
    torch.set_num_threads(1)  # tiny networks gain nothing from more
    install_model(home / ".vibe" / "models")
    detector = BrightDetector()
    monkeypatch.setattr("vibe_cli.zoo.reader.load_detector", lambda name, device, loaded: (detector, name or "bright"))
    return detector


def written(folder: Path) -> list[str]:
    """All files under a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def demo(vibe, *args: object):
    """`vibe demo` with the tiny model; exit code and text."""
    return vibe("demo", "--model", "tiny", "--device", "cpu", *args)


def test_demo_writes_result_report_overlay_and_exports(vibe, home: Path, tiny: BrightDetector) -> None:
    clip = make_walk(home / "мой танец.mp4", people=2)
    answer = demo(vibe, clip, "--render", "--format", "npz")
    assert answer.code == 0, answer.err
    folder = home / "output" / "мой танец"
    assert written(folder) == ["npz/person_001.npz", "npz/person_002.npz", "overlay.mp4", "result.npz", "run.json"]
    assert "2 people in 40 frames" in answer.out and str(Path("output") / "мой танец" / "overlay.mp4") in answer.out
    result = Result.load(folder / "result.npz")
    assert [person.id for person in result.people] == [1, 2] and result.video.frames == 40
    assert result.model == "tiny" and result.body == "open"
    with open_video(folder / "overlay.mp4") as video:
        assert sum(1 for _ in video) == 40 and video.info.fps == 25


def test_run_json_says_what_was_done(vibe, home: Path, tiny: BrightDetector) -> None:
    clip = make_walk(home / "walk.mp4")
    assert demo(vibe, clip, "--render", "--smooth", 2, "--min-track", 5).code == 0
    facts = json.loads((home / "output" / "walk" / "run.json").read_text("utf-8"))
    assert facts["input"]["resolved"] == str(clip) and facts["input"]["fps"] == "25"
    assert facts["options"]["run"]["recover"]["motion"]["smooth"] == 2
    assert facts["options"]["run"]["recover"]["tracking"]["min_track"] == 5
    assert facts["options"]["model"] == facts["model"] == "tiny" and facts["detector"] == "bright"
    assert facts["body"] == "open" and facts["device"] == "cpu" and facts["renderer"] in BACKENDS
    assert facts["frames"] == 40 and len(facts["people"]) == 1 and facts["people"][0]["id"] == 1
    assert facts["dropped_tracks"] == 0 and facts["filled_frames"] == 0 and facts["warnings"] == []
    assert facts["jitter"]["1"]["after"] < facts["jitter"]["1"]["before"]
    assert {"decode", "detect and track", "crop", "encode", "regress", "smooth", "save", "render"} <= set(
        facts["seconds"]
    )
    assert facts["peak_memory_mb"] > 50 and facts["versions"]["vibe"] == __version__
    assert facts["files"] == ["result.npz", "overlay.mp4"]


def test_two_runs_give_identical_results(vibe, home: Path, tiny: BrightDetector) -> None:
    clip = make_walk(home / "walk.mp4", frames=20)
    for name in ("a", "b"):
        assert demo(vibe, clip, "-o", name).code == 0
    results = [(home / name / "walk" / "result.npz").read_bytes() for name in ("a", "b")]
    assert results[0] == results[1]


def test_batch_size_does_not_change_the_motion(vibe, home: Path, tiny: BrightDetector) -> None:
    clip = make_walk(home / "walk.mp4", frames=20, people=2)
    for size in (1, 64):
        assert demo(vibe, clip, "-o", str(size), "--batch-size", size).code == 0
        assert max(tiny.batches) <= size
        tiny.batches.clear()
    one, many = (Result.load(home / size / "walk" / "result.npz") for size in ("1", "64"))
    for a, b in zip(one.people, many.people, strict=True):
        assert np.array_equal(a.frames, b.frames) and np.array_equal(a.boxes, b.boxes)
        assert np.allclose(a.pose, b.pose, atol=1e-4) and np.allclose(a.camera, b.camera, atol=1e-4)


def test_nobody_is_said_with_exit_code_3_and_an_empty_valid_result(vibe, home: Path, tiny) -> None:
    answer = demo(vibe, make_walk(home / "empty.mp4", frames=6, people=0), "--render", "--format", "pkl")
    assert answer.code == 3 and len(answer.lines) == 2 and "nobody was found" in answer.lines[0]
    folder = home / "output" / "empty"
    assert Result.load(folder / "result.npz").people == [] and joblib.load(folder / "vibe_output.pkl") == {}
    assert json.loads((folder / "run.json").read_text())["people"] == []


def test_a_person_chosen_in_a_clip_with_nobody_is_nobody_too(vibe, home: Path, tiny: BrightDetector) -> None:
    answer = demo(vibe, make_walk(home / "empty.mp4", frames=6, people=0), "--person", 2)
    assert answer.code == 3 and len(answer.lines) == 2 and "nobody was found" in answer.lines[0]
    assert Result.load(home / "output" / "empty" / "result.npz").people == []


def test_what_else_is_wrong_is_said_before_that_nobody_was_found(vibe, home: Path, tiny: BrightDetector) -> None:
    (home / "output" / "empty").mkdir(parents=True)
    (home / "output" / "empty" / "side.mp4").write_text("")
    answer = demo(vibe, make_walk(home / "empty.mp4", frames=6, people=0))
    assert answer.code == 3 and len(answer.lines) == 3 and answer.out == ""
    assert answer.lines[0].startswith("warning: left from an earlier run") and "side.mp4" in answer.lines[0]
    assert answer.lines[1].startswith("error: ") and answer.lines[2].startswith("hint: ")


def test_people_of_whom_the_detector_was_unsure_are_not_called_short(vibe, home: Path, tiny: BrightDetector) -> None:
    tiny.min_mean_score = 0.95
    answer = demo(vibe, make_walk(home / "walk.mp4", frames=12))
    assert answer.code == 3 and "1 uncertain appearance in" in answer.lines[0] and "short" not in answer.lines[0]
    assert "--detector yolo11n.pt" in answer.lines[1] and "--min-track" not in answer.lines[1]
    facts = json.loads((home / "output" / "walk" / "run.json").read_text())
    assert facts["dropped_tracks"] == facts["unsure_tracks"] == 1


def test_a_clip_with_people_counts_the_uncertain_ones_apart(vibe, home: Path, tiny, monkeypatch) -> None:
    def doubting(frame: np.ndarray) -> Detections:
        boxes = BrightDetector()._one(frame).boxes
        return Detections(boxes, [0.9, 0.6][: len(boxes)])

    tiny.min_mean_score = 0.8
    monkeypatch.setattr(tiny, "_one", doubting)
    answer = demo(vibe, make_walk(home / "walk.mp4", frames=12, people=2))
    assert answer.code == 0 and "1 person in 12 frames" in answer.out
    assert "1 uncertain appearance was dropped (try another detector" in answer.out and "short" not in answer.out


def test_an_export_that_fails_costs_neither_the_overlay_nor_the_report(vibe, home: Path, tiny: BrightDetector) -> None:
    folder = home / "output" / "walk"
    (folder / "obj").mkdir(parents=True)
    (folder / "obj" / "mine.obj").write_text("a sculpture")
    answer = demo(vibe, make_walk(home / "walk.mp4", frames=4), "--render", "-f", "obj", "-f", "npz")
    assert answer.code == 3 and "mine.obj" in answer.lines[-2] and answer.lines[-1].startswith("hint: ")
    assert answer.lines[0].startswith("warning: obj was not exported") and "1 person in 4 frames" in answer.out
    assert written(folder) == ["npz/person_001.npz", "obj/mine.obj", "overlay.mp4", "result.npz", "run.json"]
    facts = json.loads((folder / "run.json").read_text())
    assert facts["files"] == ["result.npz", "npz", "overlay.mp4"] and "mine.obj" in facts["warnings"][0]


def test_a_clip_of_three_frames_works(vibe, home: Path, tiny: BrightDetector) -> None:
    assert demo(vibe, make_walk(home / "short.mp4", frames=3)).code == 0
    assert len(Result.load(home / "output" / "short" / "result.npz").people[0]) == 3


@pytest.mark.parametrize("name", ["note.mp4", "missing.mp4", "empty.mp4", "folder"])
def test_bad_input_is_one_line_and_leaves_no_folder(name: str, vibe, home: Path, tiny: BrightDetector) -> None:
    (home / "note.mp4").write_text("no video at all\n" * 30)
    (home / "empty.mp4").write_bytes(b"")
    (home / "folder").mkdir()
    answer = demo(vibe, name)
    assert answer.code == 3 and len(answer.lines) == 2 and name in answer.lines[0]
    assert not (home / "output").exists() and tiny.batches == []


def test_one_bad_clip_of_several_does_not_stop_the_rest(vibe, home: Path, tiny: BrightDetector) -> None:
    (home / "note.mp4").write_text("no video at all\n" * 30)
    first, last = make_walk(home / "a" / "x.mp4", frames=5), make_walk(home / "b" / "x.mp4", frames=4)
    answer = demo(vibe, first, home / "note.mp4", last)
    assert answer.code == 5 and "1 of 3 clips failed" in answer.err and "error: " in answer.err
    counts = {
        path.parent.relative_to(home / "output").as_posix(): Result.load(path).video.frames
        for path in (home / "output").rglob("result.npz")
    }
    assert counts == {"a/x": 5, "b/x": 4}


def test_an_output_folder_that_cannot_be_written_stops_before_any_work(vibe, home: Path, tiny) -> None:
    (home / "file").write_text("")
    answer = demo(vibe, make_walk(home / "walk.mp4", frames=3), "--output", home / "file")
    assert answer.code == 3 and "cannot write" in answer.lines[0] and tiny.batches == []


@pytest.mark.parametrize("step", ["Finding people", "Looking at people", "Drawing overlay"])
def test_ctrl_c_leaves_whole_files_only(step: str, vibe, home: Path, tiny, monkeypatch) -> None:
    def interrupting(items, name, total=None):
        for index, item in enumerate(items):
            if name == step and index == 2:
                raise KeyboardInterrupt
            yield item

    monkeypatch.setattr("vibe_cli.cli.demo.terminal_progress", lambda: interrupting)
    answer = demo(vibe, make_walk(home / "walk.mp4", frames=12), "--render")
    assert answer.code == 130 and answer.lines[-1].startswith("error: stopped by Ctrl-C")
    done = ["result.npz", "run.json"] if step == "Drawing overlay" else []
    assert written(home / "output") == [f"walk/{name}" for name in done]
    assert done or not (home / "output").exists()


def test_a_renderer_that_fails_does_not_fail_the_run(vibe, home: Path, tiny, monkeypatch) -> None:
    def broken(*args: object) -> None:
        raise RuntimeError("no GPU")

    monkeypatch.setattr("vibe_cli.rendering.renderer.Renderer", broken)
    answer = demo(vibe, make_walk(home / "walk.mp4", frames=4), "--render")
    assert answer.code == 0 and "nothing was drawn" in answer.err
    assert written(home / "output" / "walk") == ["result.npz", "run.json"]
    assert "no GPU" in json.loads((home / "output" / "walk" / "run.json").read_text())["warnings"][0]


def test_files_of_an_earlier_run_are_pointed_out(vibe, home: Path, tiny: BrightDetector) -> None:
    clip = make_walk(home / "walk.mp4", frames=4)
    assert demo(vibe, clip, "--render").code == 0
    answer = demo(vibe, clip, "--smooth", 0)
    assert answer.code == 0 and "earlier run" in answer.err and "overlay.mp4" in answer.err


def test_an_unknown_model_names_those_there_are(vibe, home: Path, tiny: BrightDetector) -> None:
    answer = vibe("demo", make_walk(home / "walk.mp4", frames=3), "--model", "huge")
    assert answer.code == 4 and "huge" in answer.lines[0] and "tiny" in answer.lines[1]


def test_a_model_that_is_not_there_stops_all_clips_at_once(vibe, home: Path, tiny: BrightDetector) -> None:
    clips = [make_walk(home / name, frames=3) for name in ("a.mp4", "b.mp4")]
    answer = vibe("demo", *clips, "--model", "huge")
    assert answer.code == 4 and len(answer.lines) == 2 and not (home / "output").exists()


def test_a_folder_of_one_photograph_is_a_clip(vibe, home: Path, tiny: BrightDetector) -> None:
    photo = np.full((64, 96, 3), 20, np.uint8)
    photo[8:56, 40:52] = 220
    (home / "photos.d").mkdir()
    cv2.imwrite(str(home / "photos.d" / "one.png"), photo)
    answer = demo(vibe, "photos.d", "--render", "--format", "obj")
    assert answer.code == 0, answer.err
    files = written(home / "output" / "photos.d")
    assert files == ["obj/person_001/000000.obj", "overlay.png", "result.npz", "run.json"]


def test_the_library_recovers_without_writing_anything(home: Path, tiny: BrightDetector) -> None:
    import vibe_cli
    from vibe_cli.zoo.reader import load_model

    before = written(home)
    clip = make_walk(home / "walk.mp4", frames=30)
    result = vibe_cli.recover(clip, load_model("tiny", device="cpu"))
    assert len(result.people[0]) == 30 and written(home) == sorted([*before, "walk.mp4"])
