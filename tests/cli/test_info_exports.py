"""`vibe info` knows what `vibe export` writes, and says what is wrong with what it cannot read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.people import make_moving_result

FORMATS = ("glb", "bvh", "csv", "parquet", "json")


@pytest.fixture
def run(vibe, home: Path) -> Path:
    (home / "run").mkdir()
    make_moving_result().save(home / "run" / "result.npz")
    assert vibe("export", "run", *(word for name in FORMATS for word in ("-f", name))).code == 0
    return home / "run"


def test_every_export_is_described(vibe, run: Path) -> None:
    said = {
        "glb/scene.glb": ("2 skinned bodies", "24 bones", "y up", "1.30 s"),
        "bvh/person_001.bvh": ("24 bones, 40 frames at 30 a second", "LeftUpLeg", "Zrotation Xrotation Yrotation"),
        "glb": ("person_001.glb", "scene.glb"),
        "bvh": ("person_004.bvh",),
        "joints.csv": ("73 rows of 225 columns", "1.30 s"),
        "joints.parquet": ("73 rows of 225 columns", "metres", "l_knee", "320x240"),
        "keypoints.json": ("joints of 2 people", "metres", "l_knee", "320x240"),
    }
    for name, words in said.items():
        answer = vibe("info", run / name)
        assert answer.code == 0, answer.err
        assert all(word in answer.out for word in words), (name, answer.out)


@pytest.mark.parametrize("name", ["x.glb", "x.bvh", "x.csv", "x.parquet"])
@pytest.mark.parametrize("content", [b"", b"glTF but not really, at any length", bytes(range(256))])
def test_what_cannot_be_read_is_one_line_and_a_hint(name: str, content: bytes, vibe, home: Path) -> None:
    (home / name).write_bytes(content)
    answer = vibe("info", name)
    assert answer.code == 3 and len(answer.lines) == 2 and answer.lines[0].startswith(f"error: {name}: cannot be read")


def test_damaged_joints_are_named(vibe, home: Path) -> None:
    (home / "keypoints.json").write_text('{"format": "vibe-keypoints", "people": 3}')
    answer = vibe("info", "keypoints.json")
    assert answer.code == 3 and "damaged" in answer.lines[0] and len(answer.lines) == 2
