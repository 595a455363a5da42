"""`vibe info` on everything that vibe writes, and on what others write in the same forms."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch

from tests.helpers.people import make_person, make_result
from tests.helpers.tiny import BrightDetector, install_model, make_walk
from vibe_cli.importing.safe_read import read_pickle


@pytest.fixture
def run(vibe, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a finished run with every format and a picture."""
    torch.set_num_threads(1)
    install_model(home / ".vibe" / "models")
    monkeypatch.setattr("vibe_cli.zoo.reader.load_detector", lambda *_: (BrightDetector(), "bright"))
    answer = vibe(
        "demo",
        make_walk(home / "walk.mp4", frames=6, people=2),
        "--model",
        "tiny",
        "--device",
        "cpu",
        "--min-track",
        "3",
        "--render",
        "-f",
        "pkl",
        "-f",
        "npz",
        "-f",
        "obj",
    )
    assert answer.code == 0, answer.err
    return home / "output" / "walk"


def test_info_reads_every_file_and_folder_that_demo_writes(vibe, run: Path) -> None:
    said = {
        "result.npz": "a vibe result",
        "run.json": "the report of a run",
        "overlay.mp4": "a video",
        "vibe_output.pkl": "motion of 2 people in VIBE's layout",
        "npz": "2 .npz files",
        "obj": "12 meshes",
        "npz/person_002.npz": "the layout of AMASS",
        "obj/person_001/000000.obj": "a mesh of ",
        "obj/person_002": "6 meshes",
    }
    assert {path.name for path in run.iterdir()} == {name for name in said if "/" not in name}
    for name, words in said.items():
        answer = vibe("info", run / name)
        assert answer.code == 0 and words in answer.out and answer.err == "", name
    assert "(6, 24, 3)" in vibe("info", run).out


def test_info_on_a_report_says_what_was_done(vibe, run: Path) -> None:
    answer = vibe("info", run / "run.json")
    rows = [line.split() for line in answer.out.splitlines()]
    assert ["model", "tiny"] in rows and ["detector", "bright"] in rows and ["2", "6", "0", "5", "0"] in rows
    assert "detect and track" in answer.out and "torch" in answer.out and "overlay.mp4" in answer.out


def test_info_on_vibes_output_gives_people_shapes_and_meanings(vibe, home: Path) -> None:
    from vibe_cli.body.body_models import load_body
    from vibe_cli.export import ExportOptions, format_writer
    from vibe_cli.progress import quiet

    people = [make_person(3, keypoints=True), make_person(7, frames=np.arange(2, 6))]
    (path,) = format_writer("pkl").write(make_result(people), load_body(), home, ExportOptions(), quiet)
    answer = vibe("info", path)
    rows = [line.split() for line in answer.out.splitlines()]
    assert answer.code == 0 and ["3", "8", "0", "7"] in rows and ["7", "4", "2", "5"] in rows
    for text in ("3/verts", "(8, 7006, 3)", "(8, 49, 3)", "the pelvis at zero", "image pixels", "open"):
        assert text in answer.out, text
    ours, theirs = read_pickle(path), joblib.load(path)
    for number, person in theirs.items():
        for name, value in person.items():
            assert np.array_equal(ours[number][name], value) and type(ours[number][name]) is not str or value == "open"


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_arrays_of_joblib_are_read_as_joblib_reads_them_and_not_into_memory(protocol: int, home: Path) -> None:
    content = {
        "a": np.arange(6.0).reshape(2, 3),
        "f": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "none": None,
        "empty": np.zeros((0, 3), np.float32),
        "big": np.arange(5, dtype=">i4"),
        "n": np.float32(1.5),
        "deep": [{"again": np.ones(2)}],
    }
    joblib.dump(content, home / "x.pkl", protocol=protocol)
    read = read_pickle(home / "x.pkl")
    for name in ("a", "f", "empty", "big"):
        assert np.array_equal(read[name], content[name]) and read[name].dtype == content[name].dtype, name
    assert isinstance(read["a"], np.memmap) and read["none"] is None and read["n"] == 1.5
    assert read["deep"][0]["again"].tolist() == [1, 1]


def test_arrays_of_old_joblib_lie_right_behind_their_record(home: Path) -> None:
    joblib.dump({"a": np.arange(4.0)}, home / "x.pkl", protocol=2)
    data = (home / "x.pkl").read_bytes()
    key = b"numpy_array_alignment_bytes"
    assert key in data
    old = data.replace(b"X" + bytes([len(key), 0, 0, 0]) + key, b"X\x04\0\0\0more")
    padding = data.index(np.arange(4.0).tobytes())
    length = next(n for n in range(16) if data[padding - n - 1] == n and data[padding - n : padding] == b"\xff" * n)
    cut = padding - length - 1 - (len(data) - len(old))
    (home / "old.pkl").write_bytes(old[:cut] + old[cut + length + 1 :])
    assert read_pickle(home / "old.pkl")["a"].tolist() == [0, 1, 2, 3]


def test_info_on_other_peoples_pickles_and_checkpoints_lists_their_arrays(vibe, home: Path) -> None:
    sequence = {
        "sequence": "walk",
        "poses": [np.zeros((5, 72)), np.zeros((5, 72))],
        "trans": [np.zeros((5, 3))] * 2,
        "betas": [np.zeros(10)] * 2,
        "genders": ["m", "f"],
        "cam_poses": np.zeros((5, 4, 4)),
    }
    (home / "3dpw.pkl").write_bytes(pickle.dumps(sequence, protocol=2))
    answer = vibe("info", "3dpw.pkl")
    assert answer.code == 0 and "poses/1" in answer.out and "(5, 72)" in answer.out and "walk" in answer.out
    torch.save({"state": {"layer.weight": torch.zeros(3, 4)}, "epoch": 5}, home / "any.pt")
    answer = vibe("info", "any.pt")
    assert answer.code == 0 and "state/layer.weight" in answer.out and "(3, 4)" in answer.out and "epoch" in answer.out
    np.savez(home / "many.npz", **{f"a{number}": np.zeros(2) for number in range(70)})
    assert "and 10 more" in vibe("info", "many.npz").out
    nested: object = 1.0
    for _ in range(40):
        nested = {"a": nested, "b": nested}  # 2**40 numbers in a few hundred bytes
    (home / "endless.pkl").write_bytes(pickle.dumps(nested))
    assert "and many more" in vibe("info", "endless.pkl").out


def test_info_on_keypoints_counts_people_and_says_how_to_use_them(vibe, home: Path) -> None:
    found = [{"image_id": frame, "keypoints": [1.0, 2.0, 0.5] * 17} for frame in (0, 1, 1)]
    (home / "kp.json").write_text(json.dumps(found))
    answer = vibe("info", "kp.json")
    assert answer.code == 0 and "3 in all, at most 2 in a frame" in answer.out and "--keypoints kp.json" in answer.out


def test_info_on_openposes_folder_counts_people_and_says_how_to_use_it(vibe, home: Path) -> None:
    person = {"pose_keypoints_2d": [1.0, 2.0, 0.5] * 25}
    (home / "openpose").mkdir()
    for frame, count in enumerate((1, 0, 2)):
        file = home / "openpose" / f"clip_{frame:012d}_keypoints.json"
        file.write_text(json.dumps({"people": [person] * count}))
    answer = vibe("info", "openpose")
    assert answer.code == 0 and "3, numbered 0 to 2" in answer.out and "3 in all, at most 2 in a frame" in answer.out
    assert "--keypoints openpose" in answer.out


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", "[" * 100_000, "not JSON"),
        ("a.json", '{"x": 1}', "neither a run's report nor keypoints"),
        ("run.json", '{"report_version": 1, "input": 3, "people": [1]}', "damaged"),
        ("run.json", '{"report_version": 1}', "damaged (KeyError: 'input')"),
        ("a.obj", "# nothing\n", "no vertex"),
        ("a.obj", "\xff\xfe", "no vertex"),
        ("motion.pkl", "x\x9c", "not a video"),
    ],
)
def test_what_cannot_be_read_is_one_line_and_a_hint(name: str, content: str, words: str, vibe, home: Path) -> None:
    (home / name).write_text(content, encoding="utf-8")
    answer = vibe("info", name)
    assert answer.code in (3, 4) and len(answer.lines) == 2 and words in answer.lines[0], answer.err
    assert answer.lines[1].startswith("hint: ")


def test_a_compressed_pickle_says_what_to_do(vibe, home: Path) -> None:
    for compression in (("gzip", 3), ("zlib", 3), ("bz2", 3), ("xz", 3)):
        joblib.dump({1: np.zeros(3)}, home / "c.pkl", compress=compression)
        answer = vibe("info", "c.pkl")
        assert answer.code == 4 and "compressed" in answer.lines[0] and "without compression" in answer.lines[1]


def test_a_name_that_no_file_of_arrays_needs_is_refused_without_alarm(vibe, home: Path) -> None:
    (home / "mine.pkl").write_bytes(pickle.dumps({"when": os.stat_result(range(10))}))
    answer = vibe("info", "mine.pkl")
    assert answer.code == 4 and "asks for os.stat_result" in answer.lines[0]
    assert "if it is your own, save its arrays as .npz" in answer.lines[1]
