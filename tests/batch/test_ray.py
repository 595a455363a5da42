"""The Ray engine, where Ray is installed: the files of the local one, and a worker's death is one clip's failure."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.helpers.faulty import FaultyChoice, make_faulty
from tests.helpers.tiny import install_model, make_walk


@pytest.fixture
def clips(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two clips, and the tiny model with a detector that may do anything."""
    install_model(home / ".vibe" / "models")
    monkeypatch.setattr("vibe_cli.cli.run_options.ModelChoice", FaultyChoice)
    for name in ("a.mp4", "b.mp4"):
        make_walk(home / "clips" / name, frames=6)
    return home / "clips"


@pytest.mark.slow
def test_two_ray_workers_give_the_local_files_and_survive_a_death(vibe, home: Path, clips: Path) -> None:
    pytest.importorskip("ray")
    make_faulty(clips / "killed.mp4", "killed")
    for engine in ("ray", "local"):
        answer = vibe("batch", clips, "-o", engine, "--model", "tiny", "--engine", engine, "--workers", 2)
        assert answer.code == 5, answer.err
        rows = {row["clip"]: row for row in json.loads((home / engine / "report.json").read_text("utf-8"))["clips"]}
        assert {name: row["status"] for name, row in rows.items()} == {
            "a.mp4": "done",
            "b.mp4": "done",
            "killed.mp4": "failed",
        }
        assert rows["killed.mp4"]["tries"] == 2
    for name in ("a.mp4", "b.mp4"):
        assert (home / "ray" / name / "result.npz").read_bytes() == (home / "local" / name / "result.npz").read_bytes()


def test_without_ray_its_engine_is_one_line(vibe, home: Path, clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    answer = vibe("batch", clips, "-o", "out", "--model", "tiny", "--engine", "ray")
    assert answer.code == 2 and "Ray is not installed" in answer.err and "vibe-cli[ray]" in answer.lines[-1]
    assert vibe("batch", clips, "--address", "x:1").code == 2
