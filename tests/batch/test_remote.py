"""Clips and outputs at URLs, by fsspec's file systems of this machine and of memory."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.pools import InlinePool
from tests.helpers.tiny import TinyChoice, install_model, make_walk
from vibe_cli.batch.remote import url_of
from vibe_cli.results import Result

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def memory(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[fsspec.AbstractFileSystem]:
    """A store in memory with a clip, a text called one, and what is none."""
    install_model(home / ".vibe" / "models")
    monkeypatch.setattr("vibe_cli.cli.run_options.ModelChoice", TinyChoice)
    monkeypatch.setattr("vibe_cli.batch.run.LocalPool", InlinePool)
    store = fsspec.filesystem("memory")
    store.store.clear()
    store.pipe("/in/a/x.mp4", make_walk(home / "x.mp4", frames=8).read_bytes())
    store.pipe("/in/bad.mp4", b"no video at all\n" * 30)
    store.pipe("/in/notes.txt", b"no clip")
    yield store
    store.store.clear()


def batch(vibe, *args: object):
    """`vibe batch` of the store's clips; exit code and text."""
    return vibe("batch", "memory://in", "-o", "memory://out", "--model", "tiny", "--device", "cpu", *args)


def rows(store: fsspec.AbstractFileSystem) -> dict[str, dict]:
    """The clips of report.json, by name."""
    return {row["clip"]: row for row in json.loads(store.cat("/out/report.json"))["clips"]}


def test_a_batch_at_urls_leaves_what_one_on_this_machine_does(vibe, home: Path, memory) -> None:
    answer = batch(vibe)
    assert answer.code == 5, answer.err
    assert {name: row["status"] for name, row in rows(memory).items()} == {"a/x.mp4": "done", "bad.mp4": "failed"}
    assert rows(memory)["bad.mp4"]["error"].startswith("memory:///in/bad.mp4: a text file")
    assert (
        "memory:///out/report.json" in answer.out
        and str(home) not in answer.out + memory.cat("/out/index.html").decode()
    )
    assert sorted(path for path in memory.find("/out") if "bad" in path) == []
    assert 'src="a/x.mp4/picture.jpg"' in memory.cat("/out/index.html").decode()
    memory.get("/out/a/x.mp4/result.npz", str(home / "far.npz"))
    assert vibe("batch", "x.mp4", "-o", "near", "--model", "tiny", "--device", "cpu").code == 0
    far, near = Result.load(home / "far.npz"), Result.load(home / "near" / "x.mp4" / "result.npz")
    assert far.video.path == "memory:///in/a/x.mp4"
    assert (far.people[0].pose == near.people[0].pose).all()
    assert json.loads(memory.cat("/out/a/x.mp4/run.json"))["input"]["path"] == "memory:///in/a/x.mp4"


def test_a_batch_at_urls_goes_on_and_adds_an_export_without_the_networks(vibe, home: Path, memory) -> None:
    memory.rm("/in/bad.mp4")
    assert batch(vibe).code == 0
    result = memory.info("/out/a/x.mp4/result.npz")
    answer = batch(vibe)
    assert "0 clips to run, 1 finished before" in answer.err
    assert batch(vibe, "--format", "npz").code == 0
    assert memory.info("/out/a/x.mp4/result.npz") == result and memory.exists("/out/a/x.mp4/npz/person_001.npz")
    assert rows(memory)["a/x.mp4"]["made"] == ["export:npz"]
    memory.rm("/out/a/x.mp4/result.npz")
    assert batch(vibe).code == 0 and memory.exists("/out/a/x.mp4/result.npz")
    memory.pipe("/in/a/x.mp4", make_walk(home / "y.mp4", frames=12).read_bytes())
    assert batch(vibe).code == 0 and rows(memory)["a/x.mp4"]["frames"] == 12


def test_a_store_that_breaks_off_leaves_nothing_half_sent(vibe, home: Path, memory, monkeypatch) -> None:
    memory.rm("/in/bad.mp4")
    put = type(memory).put_file

    def breaks(self, lpath, rpath, **settings):
        put(self, lpath, rpath, **settings)
        if "/a/" in rpath and "run.json" in rpath:
            self.pipe(rpath, b"ha")
            raise ConnectionError("the line is down")

    monkeypatch.setattr(type(memory), "put_file", breaks)
    answer = batch(vibe, "--retries", 1)
    assert answer.code == 5 and "bug" not in answer.err and rows(memory)["a/x.mp4"]["tries"] == 2
    assert "cannot be reached (the line is down)" in rows(memory)["a/x.mp4"]["error"]
    assert not [path for path in memory.find("/out") if path.endswith((".part", ".finished.json", "run.json"))]
    monkeypatch.undo()
    monkeypatch.setattr("vibe_cli.cli.run_options.ModelChoice", TinyChoice)
    monkeypatch.setattr("vibe_cli.batch.run.LocalPool", InlinePool)


def test_folders_by_file_urls_are_folders(vibe, home: Path, memory) -> None:
    make_walk(home / "clips" / "x.mp4", frames=8)
    answer = vibe("batch", (home / "clips").as_uri(), "-o", (home / "out").as_uri(), "--model", "tiny", "--dry-run")
    assert answer.code == 0 and "x.mp4" in answer.out and not (home / "out").exists()
    answer = vibe("batch", (home / "clips").as_uri(), "-o", (home / "out").as_uri(), "--model", "tiny")
    assert answer.code == 0, answer.err
    assert Result.load(home / "out" / "x.mp4" / "result.npz").people and (home / "out" / "report.csv").is_file()
    assert not list((home / "out").rglob("*.part"))


def test_what_is_no_store_is_one_line(vibe, home: Path, memory, monkeypatch: pytest.MonkeyPatch) -> None:
    assert url_of(Path("s3://bucket/a b/c")) == "s3://bucket/a b/c" and url_of(Path("C:/clips")) is None
    assert url_of(Path("file:///tmp/x")) == "file:///tmp/x" and url_of(Path("clips/x")) is None
    answer = vibe("batch", "nosuch://bucket", "--model", "tiny")
    assert answer.code == 2 and "no such kind of store" in answer.err
    assert "nothing is there" in vibe("batch", "memory://nowhere", "--model", "tiny").err
    monkeypatch.setitem(sys.modules, "fsspec", None)
    answer = vibe("batch", "s3://bucket/clips", "--model", "tiny")
    assert answer.code == 2 and "vibe-cli[remote]" in answer.err
