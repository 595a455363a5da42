"""`vibe batch` from folders to reports, with a tiny random model, real files; no worker processes, for speed."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.helpers.pools import InlinePool
from tests.helpers.tiny import TinyChoice, install_model, make_walk
from vibe_cli.results import Result


@pytest.fixture
def tiny(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny model in the user's model folder, and a folder `clips` with two clips in folders."""
    install_model(home / ".vibe" / "models")
    monkeypatch.setattr("vibe_cli.cli.run_options.ModelChoice", TinyChoice)
    monkeypatch.setattr("vibe_cli.batch.run.LocalPool", InlinePool)
    make_walk(home / "clips" / "a" / "x.mp4", frames=8)
    make_walk(home / "clips" / "b" / "x.mp4", frames=6, people=2)
    return home


def batch(vibe, *args: object):
    """`vibe batch` of the folder `clips` with the tiny model; exit code and text."""
    return vibe("batch", "clips", "-o", "out", "--model", "tiny", "--device", "cpu", *args)


def rows(home: Path) -> dict[str, dict]:
    """The clips of report.json, by name."""
    return {row["clip"]: row for row in json.loads((home / "out" / "report.json").read_text("utf-8"))["clips"]}


def test_a_batch_gives_every_clip_a_result_or_a_reason_and_then_does_nothing_again(vibe, tiny: Path) -> None:
    (tiny / "clips" / "bad.mp4").write_text("no video at all\n" * 30)
    make_walk(tiny / "clips" / "empty.mp4", frames=6, people=0)
    answer = batch(vibe, "--workers", 2)
    assert answer.code == 5, answer.err
    assert {name: row["status"] for name, row in rows(tiny).items()} == {
        "a/x.mp4": "done",
        "b/x.mp4": "done",
        "bad.mp4": "failed",
        "empty.mp4": "nobody",
    }
    assert "a text file, not a video" in rows(tiny)["bad.mp4"]["error"] and "Traceback" not in answer.err
    assert len(Result.load(tiny / "out" / "b" / "x.mp4" / "result.npz").people) == 2
    assert not (tiny / "out" / "bad.mp4").exists() and (tiny / "out" / "a" / "x.mp4" / "picture.jpg").is_file()
    with open(tiny / "out" / "report.csv", newline="", encoding="utf-8") as file:
        assert [(row["clip"], row["people"]) for row in csv.DictReader(file)][:2] == [
            ("a/x.mp4", "1"),
            ("b/x.mp4", "2"),
        ]
    page = (tiny / "out" / "index.html").read_text("utf-8")
    assert 'src="a/x.mp4/picture.jpg"' in page and "a text file, not a video" in page

    (tiny / "clips" / "bad.mp4").unlink()
    before = (tiny / "out" / "a" / "x.mp4" / "result.npz").stat().st_mtime_ns
    again = batch(vibe)
    assert again.code == 0 and "0 clips to run, 3 finished before" in again.err
    assert (tiny / "out" / "a" / "x.mp4" / "result.npz").stat().st_mtime_ns == before


def test_an_export_and_a_drawing_are_added_without_the_networks(vibe, tiny: Path) -> None:
    assert batch(vibe).code == 0
    results = {path: path.stat().st_mtime_ns for path in (tiny / "out").rglob("result.npz")}
    answer = batch(vibe, "--format", "npz", "--style", "plain")
    assert answer.code == 0, answer.err
    assert {path: path.stat().st_mtime_ns for path in results} == results
    assert rows(tiny)["a/x.mp4"]["made"] == ["export:npz", "render:plain"]
    folder = tiny / "out" / "a" / "x.mp4"
    facts = json.loads((folder / "run.json").read_text("utf-8"))
    assert facts["files"] == ["result.npz", "npz", "plain.mp4"] and facts["warnings"] == []
    assert (folder / "npz" / "person_001.npz").is_file() and facts["seconds"].keys() >= {"encode", "render"}
    assert batch(vibe, "--smooth", 2).code == 0
    assert "motion" in rows(tiny)["a/x.mp4"]["made"]


def test_a_file_that_is_not_whole_any_more_is_not_trusted(vibe, tiny: Path) -> None:
    assert batch(vibe).code == 0
    whole = (tiny / "out" / "a" / "x.mp4" / "result.npz").read_bytes()
    (tiny / "out" / "a" / "x.mp4" / "result.npz").write_bytes(whole[:100])
    (tiny / "out" / "a" / "x.mp4" / "result.npz.part").write_bytes(b"half")
    make_walk(tiny / "clips" / "b" / "x.mp4", frames=7)
    assert batch(vibe).code == 0
    assert {name: bool(row["made"]) for name, row in rows(tiny).items()} == {"a/x.mp4": True, "b/x.mp4": True}
    assert (tiny / "out" / "a" / "x.mp4" / "result.npz").read_bytes() == whole
    assert Result.load(tiny / "out" / "b" / "x.mp4" / "result.npz").video.frames == 7
    assert not list((tiny / "out").rglob("*.part"))


def test_a_copied_clip_with_the_same_content_is_not_repeated(vibe, tiny: Path) -> None:
    assert batch(vibe).code == 0
    clip = tiny / "clips" / "a" / "x.mp4"
    content = clip.read_bytes()
    clip.unlink()
    clip.write_bytes(content)
    assert batch(vibe).code == 0 and rows(tiny)["a/x.mp4"]["made"] == []
