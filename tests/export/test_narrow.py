"""Some people, and a part of the clip, in every format; obj in other axes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import joblib
import numpy as np
import pybvh
import pytest
import trimesh

from tests.helpers.gltf import Gltf
from vibe_cli.body.body_models import load_body, vertices_of
from vibe_cli.export.axes import from_camera
from vibe_cli.results import Result


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_one_person_in_a_part_of_the_clip_is_the_same_in_every_format(vibe, run: Path, result: Result) -> None:
    formats = [word for name in ("csv", "json", "pkl", "npz", "bvh", "glb") for word in ("-f", name)]
    answer = vibe("export", run, *formats, "--person", "4", "--start", "0.5", "--end", "0:01")
    assert answer.code == 0, answer.err
    times = result.video.times
    frames = [int(n) for n in result.people[1].frames if 0.5 <= times[n] < 1]
    assert 13 < len(frames) < 17
    rows = rows_of(run / "joints.csv")
    assert [(row["person"], int(row["frame"])) for row in rows] == [("4", frame) for frame in frames]
    assert np.allclose([float(row["time_s"]) for row in rows], times[frames], atol=1e-6)
    (person,) = json.loads((run / "keypoints.json").read_text("utf-8"))["people"]
    assert person["frames"] == frames
    assert joblib.load(run / "vibe_output.pkl")[4]["frame_ids"].tolist() == frames
    with np.load(run / "npz" / "person_004.npz") as file:
        assert int(file["start_frame"]) == frames[0] and len(file["poses"]) == len(frames)
    assert pybvh.read_bvh_file(run / "bvh" / "person_004.bvh", world_up="+y").frame_count == len(frames)
    assert sorted(path.name for path in (run / "glb").iterdir()) == ["person_004.glb", "scene.glb"]
    assert len(Gltf(run / "glb" / "scene.glb").times()[0]) == len(frames)


def test_keypoints_are_cut_with_their_frames(vibe, run: Path, result: Result) -> None:
    assert vibe("export", run, "-f", "json", "--person", "1", "--start", "1").code == 0
    (person,) = json.loads((run / "keypoints.json").read_text("utf-8"))["people"]
    assert np.allclose(person["keypoints_px"], result.people[0].keypoints[person["frames"]], atol=1e-3)


def test_from_start_is_then_from_where_the_part_begins(vibe, run: Path, result: Result) -> None:
    assert vibe("export", run, "-f", "bvh", "-f", "glb", "--from-start", "--start", "0.04", "--end", "0.5").code == 0
    early, late = (pybvh.read_bvh_file(run / "bvh" / f"person_{n}.bvh", world_up="+y") for n in ("001", "004"))
    first = int(np.searchsorted(result.video.times, 0.04))
    assert early.frame_count == late.frame_count == int((result.video.times < 0.5).sum()) - first
    assert {float(clock[0]) for clock in Gltf(run / "glb" / "scene.glb").times()} == {0.0}


def test_the_scene_of_a_part_begins_at_zero_and_its_people_do_not_vanish(vibe, run: Path, result: Result) -> None:
    assert vibe("export", run, "-f", "glb", "--start", "0.4", "--end", "0.8").code == 0
    scene = Gltf(run / "glb" / "scene.glb")
    assert all(clock[0] == 0 and 0.3 < clock[-1] <= 0.4 for clock in scene.times())
    assert not [c for c in scene.json["animations"][0]["channels"] if c["target"]["path"] == "scale"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--person", "2"], ("no person 2", "1, 4")),
        (["--start", "2", "--end", "1.5"], ("not after", "seconds")),
        (["--start", "90"], ("nobody is in that part", "0.00 to 1.30 s")),
        (["--start", "soon"], ("is no time", "--help")),
        (["--end", "1:2:3:4"], ("is no time", "--help")),
    ],
)
def test_what_is_not_there_is_one_line_and_a_hint(options: list[str], said: tuple[str, str], vibe, run: Path) -> None:
    answer = vibe("export", run, "-f", "csv", *options)
    assert answer.code == 2 and len(answer.lines) == 2
    assert said[0] in answer.lines[0] and said[1] in answer.lines[1]
    assert not (run / "joints.csv").exists()


@pytest.mark.parametrize("axes", ["blender", "unity"])
def test_meshes_stand_in_other_axes_and_still_face_outwards(axes: str, vibe, run: Path, result: Result) -> None:
    assert vibe("export", run, "-f", "obj", "--axes", axes, "--person", "4", "--end", "0.1").code == 0
    mesh = trimesh.load(run / "obj" / "person_004" / "000002.obj", process=False)
    person = result.people[1]
    ours = vertices_of(person, load_body(None))[0] + person.translation(result.video)[0]
    assert np.abs(mesh.vertices - ours @ from_camera(axes).T).max() < 1e-3
    assert mesh.volume > 0.02, "as the axes' own hand has it" if axes == "blender" else "mirrored with the axes"
