"""Long clips cut for several workers: the result of one go, whatever dies on the way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.faulty import FaultyChoice, make_faulty
from tests.helpers.pools import InlinePool
from tests.helpers.tiny import TEMPORAL, TinyChoice, install_model, make_walk
from vibe_cli.batch.pieces import FOLDER, Cutting
from vibe_cli.results import Result


def batch(vibe, out: str, *args: object):
    """`vibe batch` of the folder `clips` with the tiny model; exit code and text."""
    return vibe("batch", "clips", "-o", out, "--model", "tiny", "--device", "cpu", "--min-track", 5, *args)


def assert_same(whole: Result, cut: Result) -> None:
    """The people, their ids and their motion are the same."""
    assert [person.id for person in whole.people] == [person.id for person in cut.people]
    assert np.array_equal(whole.video.times, cut.video.times) and whole.video.fps == cut.video.fps
    assert np.array_equal(whole.video.scenes, cut.video.scenes)
    for one, other in zip(whole.people, cut.people, strict=True):
        assert np.array_equal(one.frames, other.frames)
        for name in ("boxes", "pose", "betas", "camera", "keypoints"):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-4, err_msg=name)


@pytest.fixture
def inline(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Workers that are none, and an empty working directory."""
    monkeypatch.setattr("vibe_cli.cli.run_options.ModelChoice", TinyChoice)
    monkeypatch.setattr("vibe_cli.batch.run.LocalPool", InlinePool)
    return home


@pytest.mark.parametrize("system", ["vibe", "dts_vibe"])
def test_a_clip_in_pieces_is_the_clip_in_one_go(vibe, inline: Path, system: str) -> None:
    install_model(inline / ".vibe" / "models", TEMPORAL[system])
    make_walk(inline / "clips" / "a.mp4", frames=31, people=2)
    assert batch(vibe, "whole").code == 0
    answer = batch(vibe, "cut", "--workers", 3, "--piece-frames", 10)
    assert answer.code == 0, answer.err
    whole, cut = (Result.load(inline / out / "a.mp4" / "result.npz") for out in ("whole", "cut"))
    assert len(whole.people) == 2
    assert_same(whole, cut)
    assert not (inline / "cut" / "a.mp4" / FOLDER).exists()
    rows = json.loads((inline / "cut" / "report.json").read_text("utf-8"))["clips"]
    assert [(row["clip"], row["status"], row["people"]) for row in rows] == [("a.mp4", "done", 2)]
    said = json.loads((inline / "cut" / "a.mp4" / "run.json").read_text("utf-8"))
    assert {"decode", "detect and track", "encode"} <= set(said["seconds"])
    assert "0 clips to run" in batch(vibe, "cut", "--workers", 2).err


def test_pieces_that_are_done_are_not_done_again(vibe, inline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_model(inline / ".vibe" / "models")
    make_walk(inline / "clips" / "a.mp4", frames=31)
    done = []

    def wait(self: InlinePool, seconds: float, real=InlinePool.wait):
        done.extend(clip.piece.stage for clip in self._clips.values() if clip.piece)
        if done.count("encode") == 2 and "stopped" not in done:
            done.append("stopped")
            raise KeyboardInterrupt
        return real(self, seconds)

    monkeypatch.setattr(InlinePool, "wait", wait)
    args = ("--workers", 2, "--piece-frames", 10)
    assert batch(vibe, "cut", *args).code == 130
    files = {path: path.stat().st_mtime_ns for path in (inline / "cut" / "a.mp4" / FOLDER).iterdir()}
    assert len(files) == 3 and not (inline / "cut" / "a.mp4" / "result.npz").exists()
    monkeypatch.setattr("vibe_cli.batch.pieces.Pieces._find", None)
    answer = batch(vibe, "cut", *args)
    assert answer.code == 0, answer.err


def test_a_clip_is_cut_into_pieces_of_a_length_no_more_than_workers() -> None:
    assert Cutting(10, 4).edges(19) == [] and Cutting(0, 4).edges(10**6) == []
    assert Cutting(10, 4).edges(31) == [0, 10, 20, 31]
    assert Cutting(10, 2).edges(100) == [0, 50, 100]


@pytest.mark.slow
def test_a_worker_that_dies_in_a_piece_costs_a_try_of_that_piece(
    vibe, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_model(home / ".vibe" / "models")
    monkeypatch.setattr("vibe_cli.cli.run_options.ModelChoice", FaultyChoice)
    make_faulty(home / "clips" / "once.mp4", "once", frames=20)
    make_faulty(home / "clips" / "killed.mp4", "killed", frames=20)
    make_walk(home / "clips" / "walk.mp4", frames=20)
    answer = batch(vibe, "out", "--workers", 2, "--piece-frames", 10)
    rows = {row["clip"]: row for row in json.loads((home / "out" / "report.json").read_text("utf-8"))["clips"]}
    assert answer.code == 5 and "SIGKILL" in rows["killed.mp4"]["error"] and not (home / "out" / "killed.mp4").exists()
    assert rows["walk.mp4"]["status"] == "done" and rows["once.mp4"]["status"] in ("done", "nobody")
