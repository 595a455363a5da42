"""One run an output folder, and nothing of a name or a link leads out of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.pools import InlinePool
from tests.helpers.tiny import TinyChoice, install_model, make_walk
from vibe_cli.batch.lock import LOCK_NAME, locked
from vibe_cli.batch.plan import plan_batch
from vibe_cli.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
posix = pytest.mark.skipif(os.name == "nt", reason="names and links of POSIX")


@pytest.fixture
def tiny(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny model, no worker processes, and one clip in the folder `clips`."""
    install_model(home / ".vibe" / "models")
    monkeypatch.setattr("vibe_cli.cli.run_options.ModelChoice", TinyChoice)
    monkeypatch.setattr("vibe_cli.batch.run.LocalPool", InlinePool)
    make_walk(home / "clips" / "a.mp4", frames=4)
    return home


def batch(vibe, *args: object):
    """`vibe batch` of the folder `clips`; exit code and text."""
    return vibe("batch", "clips", "-o", "out", "--model", "tiny", "--device", "cpu", *args)


def rows(home: Path) -> dict[str, dict]:
    """The clips of report.json, by name."""
    return {row["clip"]: row for row in json.loads((home / "out" / "report.json").read_text("utf-8"))["clips"]}


def test_a_second_run_on_a_folder_refuses_in_one_line(vibe, tiny: Path) -> None:
    (tiny / "out").mkdir()
    with locked(tiny / "out"):
        answer = batch(vibe)
    assert answer.code == 3 and f"process {os.getpid()}" in answer.err and not (tiny / "out" / "report.json").exists()
    assert batch(vibe).code == 0 and not (tiny / "out" / LOCK_NAME).exists()


@posix
def test_a_lock_does_not_outlive_an_owner_that_is_killed(tmp_path: Path) -> None:
    program = "import sys, time; from pathlib import Path; from vibe_cli.batch.lock import locked\n"
    program += "with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(600)"
    owner = subprocess.Popen([sys.executable, "-c", program, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None and owner.stdout.readline() == "held\n"
    with pytest.raises(InputError, match=f"process {owner.pid}"), locked(tmp_path):
        pass
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    with locked(tmp_path):
        assert (tmp_path / LOCK_NAME).exists()


@posix
def test_hostile_names_get_folders_inside_and_nothing_runs(vibe, tiny: Path) -> None:
    clip = (tiny / "clips" / "a.mp4").read_bytes()
    names = [
        "new\nline.mp4",
        "\x1b[31m.mp4",
        "$(touch ran).mp4",
        "<script>.mp4",
        "-rf.mp4",
        "=1+1.mp4",
        " .mp4",
        "%2e.mp4",
    ]
    names += ["x" * 251 + ".mp4", "..mp4", "…\u202e.mp4", "report.json"]
    for name in names:
        (tiny / "clips" / name).write_bytes(clip)
    answer = batch(vibe, "--include", "*.mp4", "--include", "report.json")
    assert answer.code == 0, answer.err
    found = rows(tiny)
    assert set(names) - {"..mp4"} <= set(found) and all(row["status"] == "done" for row in found.values())
    assert sorted(path.name for path in tiny.iterdir()) == [".vibe", "clips", "out"]
    assert "\x1b" not in answer.out + answer.err
    page, table = (tiny / "out" / "index.html").read_text("utf-8"), (tiny / "out" / "report.csv").read_text("utf-8")
    assert "<script>" not in page and "%3Cscript%3E.mp4/picture.jpg" in page and "\x1b" not in page + table
    assert "\n'=1+1.mp4," in table and "\n'-rf.mp4," in table


@posix
def test_a_link_in_the_output_that_leads_out_is_not_followed(vibe, tiny: Path) -> None:
    (tiny / "elsewhere").mkdir()
    (tiny / "out").mkdir()
    (tiny / "out" / "a.mp4").symlink_to(tiny / "elsewhere")
    assert batch(vibe).code == 5 and "leads out of the output folder" in rows(tiny)["a.mp4"]["error"]
    assert list((tiny / "elsewhere").iterdir()) == []


def test_the_plan_mirrors_the_tree_and_leaves_out_what_is_no_clip(tiny: Path) -> None:
    for name in ("b/x.MOV", "b/x.avi", "b/.hidden.mp4", "old/run/overlay.mp4", "out/y.mp4", "b/notes.txt"):
        (tiny / "clips" / name).parent.mkdir(parents=True, exist_ok=True)
        (tiny / "clips" / name).write_bytes(b"clip")
    for name in ("result.npz", "run.json"):
        (tiny / "clips" / "old" / "run" / name).touch()
    for name in ("shots/1.png", "shots/2.png", "b/thumbnail.jpg"):
        (tiny / "clips" / name).parent.mkdir(exist_ok=True)
        (tiny / "clips" / name).touch()
    output = tiny / "clips" / "out"
    plan = plan_batch([tiny / "clips"], output)
    assert [clip.name for clip in plan.clips] == ["a.mp4", "b/x.MOV", "b/x.avi", "shots"]
    assert [clip.folder for clip in plan.clips] == [output / clip.name for clip in plan.clips]
    assert len(plan.passed_over) == 1 and "1 pictures beside 2 videos" in plan.passed_over[0]
    assert [clip.name for clip in plan_batch([tiny / "clips"], output, ["*.mp4", "shots"], ["b"]).clips] == [
        "a.mp4",
        "shots",
    ]
    several = plan_batch([tiny / "clips" / "b", tiny / "clips" / "shots"], output)
    assert [clip.name for clip in several.clips] == ["b/x.MOV", "b/x.avi", "shots"]
    with pytest.raises(InputError, match="no clip that matches"):
        plan_batch([tiny / "clips"], output, ["*.xyz"])


def test_clips_over_a_limit_are_refused_in_words(vibe, tiny: Path) -> None:
    for option, words in (
        (("--max-megapixels", 0.001), "frames of 96x64 pixels, over the limit of 0.001 million"),
        (("--max-frames", 3), "4 frames, over the limit of 3"),
        (("--max-minutes", 0.001), "0.0 minutes, over the limit of 0.001"),
    ):
        assert batch(vibe, *option).code == 5 and words in rows(tiny)["a.mp4"]["error"]
        answer = vibe("demo", "clips/a.mp4", "--model", "tiny", *option)
        assert answer.code == 3 and words in answer.err and not (tiny / "output").exists()


def test_a_folder_that_vanishes_is_a_reason_and_no_bug(vibe, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_walk(tiny / "clips" / "b.mp4", frames=4)
    wait = InlinePool.wait

    def vanish(self: InlinePool, seconds: float):
        events = wait(self, seconds)
        if (tiny / "clips").exists():
            (tiny / "clips").rename(tiny / "gone")
        return events

    monkeypatch.setattr(InlinePool, "wait", vanish)
    answer = batch(vibe)
    assert answer.code == 5 and rows(tiny)["a.mp4"]["status"] == "done" and "bug" not in answer.err
    assert "b.mp4: No such file or directory" in rows(tiny)["b.mp4"]["error"] and rows(tiny)["b.mp4"]["tries"] == 2
