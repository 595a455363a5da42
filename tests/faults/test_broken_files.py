"""Hundreds of broken files: every one ends as a result or a reason, and nothing else happens."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.helpers.fuzz import broken_videos, mutations
from tests.helpers.tiny import make_walk
from vibe_cli.results import Result

pytestmark = pytest.mark.slow


def everything(folder: Path, but: str) -> set[str]:
    """All files under a folder, apart from those in one of its folders."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if but not in path.parts}


def test_every_broken_video_is_a_result_or_a_reason(vibe, faulty: Path, row) -> None:
    clips = broken_videos(faulty / "clips")
    if hasattr(os, "mkfifo"):
        os.mkfifo(faulty / "clips" / "endless.mp4")
        (faulty / "clips" / "zero.mp4").symlink_to("/dev/zero")
    before = everything(faulty, but="out")
    answer = vibe("batch", "clips", "-o", "out", "--model", "tiny", "--workers", 2, "--timeout", 300, "--retries", 0)
    said = json.loads((faulty / "out" / "report.json").read_text("utf-8"))
    rows = {one["clip"]: one for one in said["clips"]}
    counts = Counter(one["status"] for one in rows.values())
    row(f"{len(clips)} broken videos", ", ".join(f"{count} {status}" for status, count in counts.items()))
    assert answer.code == 5 and "Traceback" not in answer.out + answer.err
    assert len(rows) >= 300 and counts["unfinished"] == 0
    for name, one in rows.items():
        if one["status"] == "failed":
            assert one["error"] and one["hint"], name
            assert "bug in vibe" not in one["error"] and "process was killed" not in one["error"], (name, one["error"])
            assert "not done after" not in one["error"], name
        else:
            Result.load(faulty / "out" / name / "result.npz")
    assert everything(faulty, but="out") == before and not list((faulty / "out").rglob("*.part*"))
    assert all(rows[f"whole{suffix}"]["status"] != "failed" for suffix in (".mp4", ".avi", ".mkv", ".webm"))


def test_every_broken_result_model_and_keypoint_file_is_one_line(vibe, faulty: Path, row) -> None:
    chance = random.Random(1)
    clip = make_walk(faulty / "walk.mp4", frames=6)
    assert vibe("demo", clip, "--model", "tiny").code == 0
    points = {"people": [{"person_id": [-1], "pose_keypoints_2d": [48.0, 32.0, 0.9] * 25}]}
    (faulty / "points").mkdir()
    (faulty / "points" / "walk_000000000000_keypoints.json").write_text(json.dumps(points))
    weights = faulty / ".vibe" / "models" / "tiny" / "weights.safetensors"
    cases = {
        "results": (faulty / "output" / "walk" / "result.npz", ("info", "output/walk/result.npz")),
        "models": (weights, ("demo", clip, "--model", "tiny", "-o", "other")),
        "keypoint files": (
            faulty / "points" / "walk_000000000000_keypoints.json",
            ("demo", clip, "--model", "tiny", "--keypoints", "points", "-o", "other"),
        ),
    }
    for what, (path, command) in cases.items():
        whole, codes = path.read_bytes(), Counter[int]()
        for name, content in [*mutations(whole, chance)][::2]:
            path.write_bytes(content)
            answer = vibe(*command)
            codes[answer.code] += 1
            assert answer.code in (0, 2, 3, 4), (what, name, answer.err)
            assert "Traceback" not in answer.err and (not answer.code or answer.lines), (what, name)
        path.write_bytes(whole)
        row(
            f"{codes.total()} broken {what}", ", ".join(f"{count} exit {code}" for code, count in sorted(codes.items()))
        )
