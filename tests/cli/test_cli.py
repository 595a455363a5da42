"""The program as its user meets it: words, files and exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import click
import joblib
import numpy as np
import pytest

from tests.helpers.people import make_person, make_result
from vibe_cli._version import __version__
from vibe_cli.cli import COMMANDS, failures, program
from vibe_cli.cli.options import place_below
from vibe_cli.errors import InputError
from vibe_cli.results import write_npz
from vibe_cli.video.reader import open_video
from vibe_cli.video.writer import VideoWriter

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "numpy", "cv2", "scipy", "rich", "ultralytics", "yaml")


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
    code = (
        "import sys; from vibe_cli.cli import main; code = main(['--help']); "
        "print('loaded', *(name for name in sys.modules if '.' not in name)); sys.exit(code)"
    )
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


@pytest.mark.parametrize(
    "args",
    [
        ["dance"],
        ["export", "--format", "fbx"],
        ["export"],
        ["info"],
        ["demo"],
        ["render", "--style", "oil"],
        ["doctor", "--nonsense"],
    ],
)
def test_wrong_usage_is_one_line_with_a_hint_and_exit_code_2(args: list[str], vibe) -> None:
    answer = vibe(*args)
    assert answer.code == 2 and answer.out == ""
    assert len(answer.lines) == 2 and answer.lines[0].startswith("error: ")
    assert answer.lines[1].startswith("hint: see: vibe") and answer.lines[1].endswith("--help")


def test_an_error_is_one_line_and_a_hint_and_no_traceback(vibe, home: Path) -> None:
    answer = vibe("info", "nowhere.mp4")
    assert answer.code == 3
    assert answer.lines == ["error: nowhere.mp4: no such file or folder", "hint: check the spelling of the path"]


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
    assert answer.lines == ["error: a bug in vibe: ZeroDivisionError: in two lines", f"hint: {failures.ISSUES}"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (MemoryError(), 3),
        (OSError(28, "No space left"), 3),
        (InputError("x"), 3),
        (ValueError("x"), 1),
        (SystemExit(1), 1),
    ],
)
def test_exit_codes(error: BaseException, code: int) -> None:
    assert failures.explain(error)[0] == code


def test_memory_that_torch_could_not_get_is_no_bug() -> None:
    import torch  # which alone raises these

    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60)
    code, message, hint = failures.explain(caught.value)
    assert (code, message) == (3, "not enough memory") and "--batch-size" in hint


def test_ctrl_c_is_said_with_exit_code_130(vibe, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vibe_cli.cli.export.chosen_result", interrupted)
    answer = vibe("export", "-f", "pkl")
    assert answer.code == 130 and "Traceback" not in answer.err and "Ctrl-C" in answer.lines[-1]


def test_a_name_that_the_terminal_cannot_show_is_no_error(home: Path) -> None:
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "vibe_cli.cli", "info", "танец.mp4"], cwd=home, env=env, capture_output=True, text=True
    )
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
    folder = home / "elsewhere" / "run"
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.*"))
    assert files == ["npz/person_003.npz", "obj/person_003/000000.obj", "obj/person_003/000004.obj"]


def test_what_is_made_of_two_runs_in_one_folder_lies_apart(vibe, home: Path) -> None:
    make_clip(home / "clip.mp4", frames=8, width=320, height=240)
    for name in ("a/x", "b/x"):
        run = save_run(home / "output" / name).parent
        assert vibe("export", run, "-f", "npz", "--to", "all").code == 0
        assert vibe("render", run, "--to", "all", "--style", "mask").out.strip() == str(Path("all") / name / "mask.mp4")
    files = sorted(path.relative_to(home / "all").as_posix() for path in (home / "all").rglob("*.*"))
    assert files == ["a/x/mask.mp4", "a/x/npz/person_001.npz", "b/x/mask.mp4", "b/x/npz/person_001.npz"]


@pytest.mark.parametrize(
    ("result", "folder"),
    [("output/a/x", "to/a/x"), ("output/../elsewhere/x", "to/x"), ("outputs/x", "to/x"), ("output", "to/output")],
)
def test_a_run_keeps_its_place_below_the_output_folder_and_its_name_elsewhere(result: str, folder: str, home) -> None:
    path = Path(result) / "result.npz"
    for output in (Path("output"), home / "output"):
        assert place_below(Path("to"), path, output) == Path(folder)
    assert place_below(None, path, Path("output")) == Path(result)


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
    assert answer.code == 3 and "cannot write" in answer.lines[0] and "with --to" in answer.lines[1]


@pytest.mark.parametrize("there", [True, False])
def test_a_command_that_fails_leaves_no_new_folder(there: bool, vibe, home: Path) -> None:
    if there:
        (home / "a").mkdir()
    run = save_run(home / "run", body="smpl").parent
    make_clip(home / "clip.mp4", frames=8, width=320, height=240)
    for command in (("export", run, "-f", "pkl"), ("render", run)):
        assert vibe(*command, "--to", home / "a" / "b").code == 4
        assert (home / "a").exists() == there and not (home / "a" / "b").exists()


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
        assert {name.split("/")[-1] for name in file.files} - {"header"} == set(MEANINGS) - {
            "files"
        }  # of image files alone


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


@pytest.mark.parametrize(("frames", "said"), [(7, " 7 frames"), (9, "more than 8 frames")])
def test_render_with_a_clip_of_other_length_is_refused(vibe, home: Path, frames: int, said: str) -> None:
    make_clip(home / "other.mp4", frames, width=320, height=240)
    answer = vibe("render", save_run(home / "run"), "--video", home / "other.mp4")
    assert answer.code == 3 and said in answer.lines[0] and "--video" in answer.lines[1]
    assert sorted(path.name for path in (home / "run").iterdir()) == ["result.npz"]


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

    for check in (
        doctor.check_device,
        doctor.check_ffmpeg,
        doctor.check_video,
        doctor.check_renderer,
        doctor.check_body,
        doctor.check_smpl,
        doctor.check_libraries,
    ):
        assert doctor.examine(check).works, check.__name__
