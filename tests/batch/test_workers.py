"""Real worker processes: what kills one, or keeps it for ever, is one clip's failure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.faulty import FaultyChoice, make_faulty
from tests.helpers.tiny import install_model, make_walk


@pytest.fixture
def faulty(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny model with a detector that may do anything."""
    install_model(home / ".vibe" / "models")
    monkeypatch.setattr("vibe_cli.cli.run_options.ModelChoice", FaultyChoice)
    return home


def batch(vibe, *args: object):
    """`vibe batch` of the folder `clips`; exit code and text."""
    return vibe("batch", "clips", "-o", "out", "--model", "tiny", "--device", "cpu", *args)


def rows(home: Path) -> dict[str, dict]:
    """The clips of report.json, by name."""
    return {row["clip"]: row for row in json.loads((home / "out" / "report.json").read_text("utf-8"))["clips"]}


def test_a_clip_whose_process_is_killed_costs_no_other(vibe, faulty: Path) -> None:
    make_faulty(faulty / "clips" / "a.mp4", "killed")
    make_walk(faulty / "clips" / "b.mp4", frames=4)
    answer = batch(vibe, "--retries", 0)
    assert answer.code == 5 and "Traceback" not in answer.err
    assert rows(faulty)["b.mp4"]["status"] == "done" and "SIGKILL" in rows(faulty)["a.mp4"]["error"]
    assert not (faulty / "out" / "a.mp4").exists()


@pytest.mark.slow
def test_whatever_a_clip_does_to_its_worker_is_its_own_failure(vibe, faulty: Path) -> None:
    said = {
        "killed": "killed (SIGKILL, perhaps for want of memory)",
        "hangs": "not done after 20 s",
        "deaf": "not done after 20 s",
        "memory": "not enough memory",
        "crash": "killed (SIGSEGV)",
        "bug": "a bug in vibe: ZeroDivisionError",
    }
    for what in (*said, "once"):
        make_faulty(faulty / "clips" / f"{what}.mp4", what)
    make_walk(faulty / "clips" / "walk.mp4", frames=4)
    answer = batch(vibe, "--timeout", 20, "--workers", 2)
    found = rows(faulty)
    assert answer.code == 5 and "Traceback" not in answer.err
    for name, words in said.items():
        assert found[f"{name}.mp4"]["status"] == "failed" and words in found[f"{name}.mp4"]["error"], found
        assert found[f"{name}.mp4"]["tries"] == (1 if name in ("hangs", "deaf") else 2)
    assert found["walk.mp4"]["status"] == "done"
    assert found["once.mp4"]["status"] in ("done", "nobody") and found["once.mp4"]["tries"] == 2
