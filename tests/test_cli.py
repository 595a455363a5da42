"""The program as its user meets it: words, files and exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import click
import cv2
import joblib
import numpy as np
import pytest
import torch
from people import make_person, make_result
from tiny import BrightDetector, install_model, make_walk

from vibe_cli._version import __version__
from vibe_cli.cli import COMMANDS, failures, main, program
from vibe_cli.errors import InputError
from vibe_cli.render import BACKENDS
from vibe_cli.results import Result, write_npz
from vibe_cli.video import VideoWriter, open_video

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("torch", "numpy", "cv2", "scipy", "rich", "ultralytics", "yaml")


class Answer:
    """Exit code and text of one run of the program."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err
        self.lines = err.splitlines()


@pytest.fixture
def vibe(capsys: pytest.CaptureFixture[str]):
    """Runs the program in this process: vibe("info", path)."""
    def run(*args: object) -> Answer:
        capsys.readouterr()
        code = main([os.fspath(arg) if isinstance(arg, Path) else str(arg) for arg in args])
        return Answer(code, *capsys.readouterr())
    return run


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory without a user's own models."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIBE_HOME", str(tmp_path / ".vibe"))
    return tmp_path


def save_run(folder: Path, **fields: object) -> Path:
    """A finished run on the disk."""
    folder.mkdir(parents=True)
    make_result(**fields).save(folder / "result.npz")
    return folder / "result.npz"


def make_clip(path: Path, frames: int = 6, width: int = 64, height: int = 48) -> Path:
    """A grey clip."""
    with VideoWriter(path, width, height, Fraction(25)) as writer:
        for index in range(frames):
            writer.write(np.full((height, width, 3), 40 + 10 * index, np.uint8))
    return path


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    code = ("import sys; from vibe_cli.cli import main; code = main(['--help']); "
            "print('loaded', *(name for name in sys.modules if '.' not in name)); sys.exit(code)")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    text, loaded = done.stdout.rsplit("loaded", 1)
    assert not set(HEAVY) & set(loaded.split())
    for name, line in COMMANDS.items():
        assert f"  {name} " in text and line in " ".join(text.split())


@pytest.mark.skipif(sys.platform == "win32", reason="no times of child processes")
def test_help_takes_less_than_half_a_second() -> None:
    """Processor time, so that a busy machine does not matter; the best of three."""
    import resource

    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "vibe_cli.cli", "--help"]
        subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(3)) < 0.5


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_in_the_words_of_the_list(name: str, vibe) -> None:
    answer = vibe(name, "--help")
    assert answer.code == 0 and f"vibe {name}" in answer.out and "--debug" in answer.out
    command = program.get_command(click.Context(program), name)
    assert command.short_help == COMMANDS[name], "one source for each sentence"
    assert answer.out.isprintable() or "\n" in answer.out


def test_the_program_alone_shows_its_help(vibe) -> None:
    answer = vibe()
    assert answer.code == 0 and "vibe demo" in answer.out and answer.err == ""


def test_version(vibe) -> None:
    assert vibe("--version").out.strip() == f"vibe {__version__}"


@pytest.mark.parametrize("args", [["dance"], ["export", "--format", "fbx"], ["export"], ["info"], ["demo"],
                                  ["render", "--style", "oil"], ["doctor", "--nonsense"]])
def test_wrong_usage_is_one_line_with_a_hint_and_exit_code_2(args: list[str], vibe) -> None:
    answer = vibe(*args)
    assert answer.code == 2 and answer.out == ""
    assert len(answer.lines) == 2 and answer.lines[0].startswith("error: ")
    assert answer.lines[1].startswith("hint: see: vibe") and answer.lines[1].endswith("--help")


def test_an_error_is_one_line_and_a_hint_and_no_traceback(vibe, home: Path) -> None:
    answer = vibe("info", "nowhere.mp4")
    assert answer.code == 3
    assert answer.lines == ["error: nowhere.mp4: no such file or folder",
                            "hint: check the spelling of the path"]


@pytest.mark.parametrize("args", [["--debug", "info", "x"], ["info", "x", "--debug"]])
def test_debug_shows_the_traceback_wherever_it_stands(args: list[str], vibe, home: Path) -> None:
    answer = vibe(*args)
    assert answer.code == 3 and "Traceback" in answer.err and answer.lines[-2].startswith("error: x")


def test_a_bug_says_that_it_is_one(vibe, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise ZeroDivisionError("in two\nlines")

    monkeypatch.setattr("vibe_cli.cli.export.chosen_result", broken)
    answer = vibe("export", "-f", "pkl")
    assert answer.code == 1
    assert answer.lines == ["error: a bug in vibe: ZeroDivisionError: in two lines",
                            f"hint: {failures.ISSUES}"]


@pytest.mark.parametrize(("error", "code"), [
    (KeyboardInterrupt(), 130), (click.Abort(), 130), (MemoryError(), 3), (OSError(28, "No space left"), 3),
    (InputError("x"), 3), (ValueError("x"), 1), (SystemExit(1), 1)])
def test_exit_codes(error: BaseException, code: int) -> None:
    assert failures.explain(error)[0] == code


def test_ctrl_c_is_said_with_exit_code_130(vibe, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vibe_cli.cli.export.chosen_result", interrupted)
    answer = vibe("export", "-f", "pkl")
    assert answer.code == 130 and "Traceback" not in answer.err and "Ctrl-C" in answer.lines[-1]


def test_a_name_that_the_terminal_cannot_show_is_no_error(home: Path) -> None:
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-m", "vibe_cli.cli", "info", "танец.mp4"], cwd=home, env=env,
                          capture_output=True, text=True)
    assert done.returncode == 3 and "no such file" in done.stderr


def test_export_takes_the_newest_run_and_says_which(vibe, home: Path) -> None:
    for age, name in ((5, "old"), (1, "new"), (3, "middle")):
        path = save_run(home / "output" / name)
        os.utime(path, (1e9 - age, 1e9 - age))
    answer = vibe("export", "-f", "pkl", "--no-verts")
    assert answer.code == 0
    newest = Path("output") / "new"
    assert answer.lines == [f"newest run: {newest / 'result.npz'}"]
    assert answer.out.strip() == str(newest / "vibe_output.pkl")
    assert list(joblib.load(newest / "vibe_output.pkl")) == [1]


def test_export_writes_several_formats_where_it_is_told(vibe, home: Path) -> None:
    save_run(home / "run", people=[make_person(3)])
    answer = vibe("export", home / "run", "-f", "npz", "-f", "obj", "--every", 4, "--to", home / "elsewhere")
    assert answer.code == 0 and answer.err == ""
    files = sorted(p.relative_to(home / "elsewhere").as_posix() for p in (home / "elsewhere").rglob("*.*"))
    assert files == ["npz/person_003.npz", "obj/person_003/000000.obj", "obj/person_003/000004.obj"]


def test_export_of_nobody_says_so(vibe, home: Path) -> None:
    answer = vibe("export", save_run(home / "run", people=[]), "-f", "obj")
    assert answer.code == 0 and "nobody" in answer.err


def test_export_without_a_run_tells_how_to_make_one(vibe, home: Path) -> None:
    answer = vibe("export", "-f", "pkl")
    assert answer.code == 3 and "vibe demo" in answer.lines[1]


def test_export_of_something_else_is_refused(vibe, home: Path) -> None:
    (home / "note.npz").write_text("not an archive")
    answer = vibe("export", home / "note.npz", "-f", "pkl")
    assert answer.code == 3 and len(answer.lines) == 2 and "not a vibe result" in answer.lines[0]


def test_a_result_made_with_smpl_asks_for_the_file(vibe, home: Path) -> None:
    answer = vibe("export", save_run(home / "run", body="smpl"), "-f", "pkl")
    assert answer.code == 4 and "--body" in answer.lines[1]


def test_a_folder_that_cannot_be_written_is_said(vibe, home: Path) -> None:
    (home / "file").write_text("")
    answer = vibe("export", save_run(home / "run"), "-f", "pkl", "--to", home / "file" / "x")
    assert answer.code == 3 and "cannot write" in answer.lines[0]


def test_info_on_a_result_gives_people_shapes_units_and_axes(vibe, home: Path) -> None:
    people = [make_person(1), make_person(2, frames=np.arange(3, 8), keypoints=True)]
    answer = vibe("info", save_run(home / "run", people=people).parent)
    assert answer.code == 0
    for text in ("320x240", "30000/1001", "(8, 24, 3)", "radians", "metres", "y down", "open body", "1/pose"):
        assert text in answer.out, text
    rows = [line.split() for line in answer.out.splitlines()]
    assert ["2", "5", "3", "7", "0", "0.80"] in rows


def test_info_explains_every_array_of_a_result(home: Path) -> None:
    from vibe_cli.cli.info import MEANINGS

    with np.load(save_run(home / "run", people=[make_person(keypoints=True)])) as file:
        assert {name.split("/")[-1] for name in file.files} - {"header"} == set(MEANINGS)


def test_info_on_an_empty_result_says_nobody(vibe, home: Path) -> None:
    assert "Nobody" in vibe("info", save_run(home / "run", people=[])).out


def test_info_on_a_video_counts_the_frames(vibe, home: Path) -> None:
    answer = vibe("info", make_clip(home / "два слова.mp4", frames=6))
    assert answer.code == 0
    assert all(text in answer.out for text in ("6 decoded", "64x48", "25 frames a second"))


def test_info_on_a_text_file_is_an_error(vibe, home: Path) -> None:
    (home / "note.mp4").write_text("hello, this is no video\n" * 20)
    answer = vibe("info", "note.mp4")
    assert answer.code == 3 and len(answer.lines) == 2


def test_info_on_an_exported_npz_says_which_axis_is_up(vibe, home: Path) -> None:
    save_run(home / "run")
    vibe("export", home / "run", "-f", "npz")
    answer = vibe("info", home / "run" / "npz" / "person_001.npz")
    assert answer.code == 0 and "poses" in answer.out and "z up" in answer.out


def test_info_on_the_shipped_body_lists_its_tensors(vibe) -> None:
    answer = vibe("info", ROOT / "models" / "open-body" / "weights.safetensors")
    assert answer.code == 0 and "v_template" in answer.out and "(24, " in answer.out


def test_info_on_arrays_with_code_in_them_refuses(vibe, home: Path) -> None:
    import pickle

    class Attack:
        def __reduce__(self):
            return os.system, ("touch " + str(home / "hacked"),)

    (home / "SMPL_NEUTRAL.pkl").write_bytes(pickle.dumps(Attack()))
    answer = vibe("info", "SMPL_NEUTRAL.pkl")
    assert answer.code == 4 and not (home / "hacked").exists() and "Traceback" not in answer.err


def test_info_on_a_foreign_npz_lists_its_arrays(vibe, home: Path) -> None:
    write_npz(home / "any.npz", {"numbers": np.arange(3)})
    answer = vibe("info", "any.npz")
    assert answer.code == 0 and "numbers" in answer.out


def test_render_draws_the_style_into_a_video_of_the_clips_rate(vibe, home: Path) -> None:
    make_clip(home / "clip.mp4", frames=8, width=320, height=240)
    path = save_run(home / "run")
    answer = vibe("render", path, "--style", "mask")
    assert answer.code == 0 and answer.out.strip() == str(home / "run" / "mask.mp4")
    with open_video(home / "run" / "mask.mp4") as video:
        frames = [frame for _, frame in video]
    assert len(frames) == 8 and video.info.fps == Fraction(30000, 1001)
    assert frames[0].max() > 200 and frames[0][0, 0].max() < 30, "a white body on black"


def test_render_finds_the_clip_where_run_json_says_it_is(vibe, home: Path, monkeypatch) -> None:
    clip = make_clip(home / "clip.mp4", frames=8, width=320, height=240)
    path = save_run(home / "run")
    (home / "run" / "run.json").write_text(json.dumps({"input": {"resolved": str(clip)}}))
    (home / "away").mkdir()
    monkeypatch.chdir(home / "away")
    assert vibe("render", path).code == 0 and (home / "run" / "overlay.mp4").is_file()


def test_render_without_its_clip_says_how_to_name_it(vibe, home: Path) -> None:
    answer = vibe("render", save_run(home / "run"))
    assert answer.code == 3 and "--video" in answer.lines[1]


def test_render_with_another_clip_is_refused(vibe, home: Path) -> None:
    make_clip(home / "other.mp4")
    answer = vibe("render", save_run(home / "run"), "--video", home / "other.mp4")
    assert answer.code == 3 and "64x48" in answer.lines[0] and not (home / "run" / "overlay.mp4").exists()


def test_doctor_gives_the_fix_for_what_does_not_work(vibe, home: Path, monkeypatch) -> None:
    from vibe_cli.cli import doctor

    def failing() -> doctor.Finding:
        raise InputError("the ffmpeg program was not found", hint="install it")

    def crashing() -> doctor.Finding:
        raise OSError("odd")

    good = {"vibe": doctor.check_python, "output": lambda: doctor.check_output(Path("output"))}
    monkeypatch.setattr(doctor, "checks", lambda output: good)
    answer = vibe("doctor")
    assert answer.code == 0 and __version__ in answer.out and "GB free" in answer.out
    assert not (home / "output").exists()
    monkeypatch.setattr(doctor, "checks", lambda output: {**good, "ffmpeg": failing, "video": crashing})
    answer = vibe("doctor")
    assert answer.code == 1 and "fix: install it" in answer.out and "OSError: odd" in answer.out
    assert answer.out.count("BAD") == 2


def test_doctor_tries_the_video_the_renderer_and_the_body() -> None:
    from vibe_cli.cli import doctor

    for check in (doctor.check_device, doctor.check_ffmpeg, doctor.check_video, doctor.check_renderer,
                  doctor.check_body, doctor.check_smpl, doctor.check_libraries):
        assert doctor.examine(check).works, check.__name__


@pytest.fixture
def tiny(home: Path, monkeypatch: pytest.MonkeyPatch) -> BrightDetector:
    """The tiny random model in the user's model folder, with a detector that finds what is bright."""
    torch.set_num_threads(1)  # tiny networks gain nothing from more
    install_model(home / ".vibe" / "models")
    detector = BrightDetector()
    monkeypatch.setattr("vibe_cli.zoo.load_detector", lambda name, device: (detector, name or "bright"))
    return detector


def written(folder: Path) -> list[str]:
    """All files under a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def demo(vibe, *args: object) -> Answer:
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
        facts["seconds"])
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
    counts = {path.parent.relative_to(home / "output").as_posix(): Result.load(path).video.frames
              for path in (home / "output").rglob("result.npz")}
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

    monkeypatch.setattr("vibe_cli.render.make_renderer", broken)
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
    assert files == ["obj/person_001/000000.obj", "overlay.mp4", "result.npz", "run.json"]


def test_the_library_recovers_without_writing_anything(home: Path, tiny: BrightDetector) -> None:
    import vibe_cli
    from vibe_cli.zoo import load_model

    before = written(home)
    clip = make_walk(home / "walk.mp4", frames=30)
    result = vibe_cli.recover(clip, load_model("tiny", device="cpu"))
    assert len(result.people[0]) == 30 and written(home) == sorted([*before, "walk.mp4"])


@pytest.mark.slow
def test_a_model_can_be_loaded_after_a_picture_was_drawn() -> None:
    """Mesa's LLVM and triton's in one process: in the wrong order the second ends it."""
    code = ("from vibe_cli.finished import start_renderer; start_renderer(64, 48).close(); "
            "import torchvision.models; print('alive')")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "alive", done.returncode
