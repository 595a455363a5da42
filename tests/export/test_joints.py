"""Joints in tables: each is read by somebody else's reader and compared in metres."""

from __future__ import annotations

import csv
import json
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch

from vibe_cli.body.body_models import Body, joints_of, load_body, pose_joints
from vibe_cli.export.points import POINT_NAMES, Points
from vibe_cli.geometry import camera
from vibe_cli.geometry.rotations import matrix_from_axis_angle
from vibe_cli.geometry.skeleton import JOINTS_49, JOINTS_54, PARENTS
from vibe_cli.results import Person, Result

NAMES_49 = [JOINTS_54[joint] for joint in JOINTS_49]


@cache
def open_body() -> Body:
    return load_body(None)


def expected(person: Person, result: Result) -> np.ndarray:
    """(T, 49, 3) by way of the mesh, metres in camera axes."""
    return joints_of(person, open_body()) + person.translation(result.video)[:, None]


def table_of(path: Path) -> dict[str, np.ndarray]:
    with open(path, encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    return dict(zip(head, np.array(rows, float).T, strict=True))


def joints_in(table: dict[str, np.ndarray], names: list[str], ends: tuple[str, ...]) -> np.ndarray:
    return np.stack([np.stack([table[f"{name}_{end}"] for end in ends], axis=1) for name in names], axis=1)


def check_table(table: dict[str, np.ndarray], result: Result) -> None:
    """Everybody's rows, in order, with the clip's frames and times and the mesh's joints within 0.1 mm and pixels."""
    video = result.video
    for person in result.people:
        mine = {name: column[table["person"] == person.id] for name, column in table.items()}
        assert mine["frame"].tolist() == person.frames.tolist()
        assert np.allclose(mine["time_s"], video.times[person.frames], atol=1e-6)
        assert np.allclose(mine["confidence"], person.confidence, atol=1e-4)
        assert mine["filled"].astype(bool).tolist() == person.filled.tolist()
        assert np.abs(joints_in(mine, NAMES_49, ("x_m", "y_m", "z_m")) - expected(person, result)).max() < 1e-4
        drawn = camera.project_image(
            joints_of(person, open_body()), person.image_camera(video), video.width, video.height
        )
        assert np.abs(joints_in(mine, NAMES_49, ("x_px", "y_px")) - drawn).max() < 0.02
    assert len(table["person"]) == sum(map(len, result.people))


def test_csv_has_everybodys_joints_in_space_and_picture(vibe, run: Path, result: Result) -> None:
    answer = vibe("export", run, "-f", "csv")
    assert answer.code == 0 and answer.out.strip() == str(run / "joints.csv")
    table = table_of(run / "joints.csv")
    assert len(table) == 5 + 5 * len(POINT_NAMES) == 225
    check_table(table, result)


def test_points_of_the_skeleton_are_those_that_skin_the_mesh(result: Result) -> None:
    person, body = result.people[0], open_body()
    rest = body.rest_joints(torch.from_numpy(person.betas)[None]).expand(len(person), -1, -1)
    _, places = pose_joints(matrix_from_axis_angle(torch.from_numpy(person.pose)), rest, PARENTS)
    mine = Points(body).about_pelvis(person)
    assert np.abs(mine[:, :24] - (places - rest[:, :1]).numpy()).max() < 1e-5
    assert len(set(POINT_NAMES)) == 44 == mine.shape[1]
    assert set(NAMES_49) <= set(POINT_NAMES)


def test_a_rate_resamples_and_else_the_time_stamps_stay(vibe, run: Path, result: Result) -> None:
    assert vibe("export", run, "-f", "csv", "--fps", "50").code == 0
    table = table_of(run / "joints.csv")
    first = table["time_s"][table["person"] == 1]
    assert np.allclose(np.diff(first), 1 / 50, atol=2e-6) and abs(first[0] - result.video.times[0]) < 1e-6
    person = result.people[0]
    frames = table["frame"][table["person"] == 1].astype(int)
    assert np.abs(result.video.times[frames] - first).max() < 0.6 / 30, "the nearest of the clip's"
    at = int(np.argmin(np.abs(result.video.times[person.frames] - first[20])))
    near = joints_in(table, NAMES_49, ("x_m", "y_m", "z_m"))[20]
    assert np.abs(near - expected(person, result)[at]).max() < 0.1, "the motion is at its time"


@pytest.mark.parametrize(
    ("axes", "up", "right", "deeper"),
    [
        ("opencv", (1, -1), (0, 1), (2, 1)),
        ("opengl", (1, 1), (0, 1), (2, -1)),
        ("blender", (2, 1), (0, 1), (1, 1)),
        ("unity", (1, 1), (0, 1), (2, 1)),
        ("unreal", (2, 1), (1, 1), (0, 1)),
    ],
)
def test_axes_point_where_the_other_program_has_them(
    axes: str, up: tuple, right: tuple, deeper: tuple, vibe, run: Path, result: Result
) -> None:
    assert vibe("export", run, "-f", "csv", "--axes", axes).code == 0
    table = table_of(run / "joints.csv")
    theirs = joints_in(table, NAMES_49, ("x_m", "y_m", "z_m"))
    ours = np.concatenate([expected(person, result) for person in result.people])
    for (axis, sign), camera_axis, camera_sign in ((up, 1, -1), (right, 0, 1), (deeper, 2, 1)):
        assert np.abs(theirs[..., axis] * sign - ours[..., camera_axis] * camera_sign).max() < 1e-4


def test_json_says_what_it_holds_and_holds_it(vibe, run: Path, result: Result) -> None:
    answer = vibe("export", run, "-f", "json")
    assert answer.code == 0 and answer.out.strip() == str(run / "keypoints.json")
    content = json.loads((run / "keypoints.json").read_text("utf-8"))
    assert content["axes"].startswith("x right, y down, z into the image; metres")
    assert content["clip"] == {"name": "clip.mp4", "width": 320, "height": 240, "frames": 40, "fps": 30}
    rows = [content["joint_names"].index(name) for name in NAMES_49]
    assert ["l_knee", "l_ankle"] in [[content["joint_names"][end] for end in bone] for bone in content["bones"]]
    assert [person["id"] for person in content["people"]] == [1, 4]
    for theirs, person in zip(content["people"], result.people, strict=True):
        assert theirs["frames"] == person.frames.tolist()
        assert np.allclose(theirs["times"], result.video.times[person.frames], atol=1e-6)
        assert np.abs(np.array(theirs["joints_m"])[:, rows] - expected(person, result)).max() < 1e-4
    one, two = content["people"]
    assert np.allclose(one["keypoints_px"], result.people[0].keypoints, atol=1e-3) and two["keypoints_px"] is None
    intrinsics = np.array(content["intrinsics"])
    pelvis = np.array(one["joints_m"])[:, content["joint_names"].index("pelvis")]
    projected = pelvis @ intrinsics.T
    drawn = np.array(one["joints_px"])[:, content["joint_names"].index("pelvis")]
    assert np.abs(projected[:, :2] / projected[:, 2:] - drawn).max() < 0.1, "K and trans_cam land on the overlay"


def test_parquet_has_csvs_columns_with_types_and_says_what_they_mean(vibe, run: Path, result: Result) -> None:
    answer = vibe("export", run, "-f", "parquet")
    assert answer.code == 0 and answer.out.strip() == str(run / "joints.parquet")
    table = pyarrow.parquet.read_table(run / "joints.parquet")
    types = [str(table.schema.field(name).type) for name in ("person", "frame", "time_s", "filled", "nose_x_px")]
    assert types == ["int32", "int64", "double", "bool", "float"]
    check_table({name: table[name].to_numpy() for name in table.column_names}, result)
    facts = json.loads(table.schema.metadata[b"vibe"])
    assert facts["joint_names"] == list(POINT_NAMES) and facts["clip"]["frames"] == 40


def test_without_pyarrow_parquet_is_refused_and_csv_named(vibe, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    answer = vibe("export", run, "-f", "parquet")
    assert answer.code == 2 and "pyarrow" in answer.lines[0] and "--format csv" in answer.lines[1]
    assert not (run / "joints.parquet").exists()
