"""Each format is read back by somebody else's reader: joblib, numpy, trimesh."""

from __future__ import annotations

import json
import os
from pathlib import Path

import joblib
import numpy as np
import pyarrow.parquet
import pytest
import torch
import trimesh

from tests.helpers.people import HEIGHT, WIDTH, make_person, make_result
from vibe_cli.body.body_models import Body, joints_of, load_body, vertices_of
from vibe_cli.errors import InputError, UsageError
from vibe_cli.export import CHUNK, FORMATS, ExportOptions, chunks, format_writer
from vibe_cli.export.npz import REST_PELVIS
from vibe_cli.geometry.rotations import matrix_from_axis_angle
from vibe_cli.progress import quiet
from vibe_cli.results import Result, write_npz


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body(None)


def write(name: str, result: Result, body: Body, folder: Path, **options: object) -> list[Path]:
    return format_writer(name).write(result, body, folder, ExportOptions(**options), quiet)


def test_pkl_has_vibes_keys_shapes_and_types(body: Body, tmp_path: Path) -> None:
    result = make_result([make_person(1, keypoints=True), make_person(7, frames=np.arange(2, 6))])
    (path,) = write("pkl", result, body, tmp_path)
    people = joblib.load(path)
    assert path.name == "vibe_output.pkl" and list(people) == [1, 7] and type(next(iter(people))) is int
    count, vertices = 4, len(body.v_template)
    shapes = {
        "pred_cam": (count, 3),
        "orig_cam": (count, 4),
        "verts": (count, vertices, 3),
        "pose": (count, 72),
        "betas": (count, 10),
        "joints3d": (count, 49, 3),
        "joints2d_img_coord": (count, 49, 2),
        "bboxes": (count, 4),
        "frame_ids": (count,),
    }
    person = people[7]
    assert {name: person[name].shape for name in shapes} == shapes
    assert all(type(person[name]) is np.ndarray for name in shapes)
    assert person["frame_ids"].dtype == np.int64 and person["frame_ids"].tolist() == [2, 3, 4, 5]
    assert person["joints2d"] is None and people[1]["joints2d"].shape == (8, 5, 3)
    assert person["body"] == "open"


def test_pkl_cameras_put_the_vertices_on_the_person(body: Body, tmp_path: Path) -> None:
    """The published drawing rule, orthographic with diag(sx, sy), lands where the crop camera does."""
    result = make_result()
    person = joblib.load(write("pkl", result, body, tmp_path)[0])[1]
    scale, offset = person["orig_cam"][:, None, :2], person["orig_cam"][:, None, 2:]
    drawn = (scale * (person["verts"][..., :2] + offset) + 1) / 2 * [WIDTH, HEIGHT]
    s, t = result.people[0].camera[:, None, :1], result.people[0].camera[:, None, 1:]
    boxes = result.people[0].boxes[:, None]
    in_crop = s * (person["verts"][..., :2] + t)
    assert np.allclose(drawn, boxes[..., :2] + in_crop * boxes[..., 2:] / 2, atol=1e-3)
    assert np.allclose(person["verts"], vertices_of(result.people[0], body), atol=1e-6)


def test_pkl_of_a_track_longer_than_a_chunk_is_whole(body: Body, tmp_path: Path) -> None:
    person = make_person(frames=CHUNK + 3)
    result = make_result([person], frames=CHUNK + 3)
    saved = joblib.load(write("pkl", result, body, tmp_path)[0])[1]
    assert np.allclose(saved["verts"][[0, CHUNK, -1]], vertices_of(person, body)[[0, CHUNK, -1]], atol=1e-6)
    assert np.allclose(saved["joints3d"], joints_of(person, body), atol=1e-6)


def test_pkl_without_vertices_is_small(body: Body, tmp_path: Path) -> None:
    (path,) = write("pkl", make_result(), body, tmp_path, vertices=False)
    assert "verts" not in joblib.load(path)[1] and path.stat().st_size < 50_000


def test_npz_has_amass_fields_and_says_what_they_mean(body: Body, tmp_path: Path) -> None:
    result = make_result([make_person(1), make_person(12, frames=np.arange(3, 8))])
    (folder,) = write("npz", result, body, tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["person_001.npz", "person_012.npz"]
    with np.load(folder / "person_012.npz", allow_pickle=False) as file:
        assert [file[name].shape for name in ("poses", "trans", "betas")] == [(5, 156), (5, 3), (10,)]
        assert [str(file[name]) for name in ("gender", "up_axis", "body")] == ["neutral", "z", "open"]
        for name in ("mocap_frame_rate", "mocap_framerate"):
            assert float(file[name]) == pytest.approx(29.97, abs=0.001)
        assert file["frame_ids"].tolist() == [3, 4, 5, 6, 7]


def test_npz_says_whose_body_it_is(body: Body, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "file", tmp_path / "basicModel_f_lbs_10_207_0_v1.0.0.pkl")
    (path,) = write("npz", make_result(), body, tmp_path)
    with np.load(path / "person_001.npz") as file:
        assert str(file["gender"]) == "female"


def test_npz_stands_upright_faces_the_camera_and_walks_to_the_right(body: Body, tmp_path: Path) -> None:
    """The mesh as AMASS readers pose it: z up, the camera above the origin looking along +y."""
    result = make_result()
    (folder,) = write("npz", result, body, tmp_path, layout="smpl")
    with np.load(folder / "person_001.npz") as file:
        poses, trans, betas = (torch.from_numpy(file[name]) for name in ("poses", "trans", "open_betas"))
        height = float(file["camera_height"])
    trans = trans + torch.from_numpy(REST_PELVIS["smpl"]).float() - body.rest_joints(betas[None])[0, 0]
    rotations = matrix_from_axis_angle(poses.reshape(-1, 24, 3))
    output = body(rotations, betas[None].expand(len(poses), -1))
    vertices = (output.vertices + trans[:, None]).numpy()
    extent = vertices[0].max(0) - vertices[0].min(0)
    assert extent[2] == extent[[1, 2]].max() > 1.5, "the body's height lies along z"
    head, toes = (output.joints + trans[:, None])[0, [38, 19]].numpy()
    assert head[2] > toes[2] + 1, "the head is up"
    assert toes[1] < head[1], "the toes point to the camera, along −y"
    pelvis = vertices.mean(1)
    assert np.all(np.diff(pelvis[:, 0]) > 0), "what moves right in the picture moves right"
    in_camera = vertices_of(result.people[0], body) + result.people[0].translation(result.video)[:, None]
    assert np.allclose(vertices, in_camera[..., [0, 2, 1]] * [1, 1, -1] + [0, 0, height], atol=1e-4)


def test_obj_is_upright_faces_plus_z_and_stands_where_the_person_stood(body: Body, tmp_path: Path) -> None:
    result = make_result([make_person(1), make_person(2, frames=np.arange(2, 6))])
    (folder,) = write("obj", result, body, tmp_path)
    numbers = sorted(path.name for path in (folder / "person_002").iterdir())
    assert numbers == [f"{number:06d}.obj" for number in range(2, 6)]
    mesh = trimesh.load(folder / "person_001" / "000003.obj", process=False)
    assert mesh.faces.shape == body.faces.shape and mesh.vertices.shape == (len(body.v_template), 3)
    assert np.ptp(mesh.vertices[:, 1]) > 1.5
    top, bottom = (mesh.vertices[index(mesh.vertices[:, 1])] for index in (np.argmax, np.argmin))
    assert top[1] > bottom[1] + 1.5
    feet = mesh.vertices[mesh.vertices[:, 1] < bottom[1] + 0.05]
    ankles = mesh.vertices[(mesh.vertices[:, 1] > bottom[1] + 0.1) & (mesh.vertices[:, 1] < bottom[1] + 0.2)]
    assert feet[:, 2].max() > ankles[:, 2].max() + 0.05, "the toes point to the camera, along +z"
    where = result.people[0].translation(result.video)[3] * [1, -1, -1]
    expected = vertices_of(result.people[0], body)[3] * [1, -1, -1] + where
    assert np.allclose(mesh.vertices, expected, atol=1e-4)
    assert mesh.volume > 0.02, "the triangles face outwards"


def test_obj_says_which_body_it_is(body: Body, tmp_path: Path) -> None:
    (folder,) = write("obj", make_result(body="open"), body, tmp_path, every=8)
    assert "# body: open" in (folder / "person_001" / "000000.obj").read_text().splitlines()


def test_obj_centred_has_the_pelvis_at_the_origin(body: Body, tmp_path: Path) -> None:
    (folder,) = write("obj", make_result(), body, tmp_path, centred=True, every=8)
    mesh = trimesh.load(folder / "person_001" / "000000.obj", process=False)
    assert np.abs(mesh.vertices.mean(0)).max() < 0.3


def test_obj_every_counts_frames_of_the_clip_so_that_people_stay_in_step(body: Body, tmp_path: Path) -> None:
    result = make_result([make_person(1), make_person(2, frames=np.arange(1, 8))])
    (folder,) = write("obj", result, body, tmp_path, every=3)
    names = {path.parent.name: [] for path in folder.rglob("*.obj")}
    for path in sorted(folder.rglob("*.obj")):
        names[path.parent.name].append(path.stem)
    assert names == {"person_001": ["000000", "000003", "000006"], "person_002": ["000003", "000006"]}
    with pytest.raises(UsageError, match="0 frames"):
        ExportOptions(every=0)


def people_in(path: Path) -> set[int]:
    """Whose motion an export holds."""
    if path.is_dir():
        return {int(p.stem[-3:]) for p in path.iterdir() if p.stem != "scene"}
    if path.suffix == ".pkl":
        return set(joblib.load(path))
    if path.suffix == ".json":
        return {person["id"] for person in json.loads(path.read_text("utf-8"))["people"]}
    if path.suffix == ".parquet":
        return set(pyarrow.parquet.read_table(path)["person"].to_pylist())
    return {int(line.split(",")[0]) for line in path.read_text("utf-8").splitlines()[1:]}


@pytest.mark.parametrize("name", FORMATS)
def test_a_second_export_takes_the_place_of_the_first(name: str, body: Body, tmp_path: Path) -> None:
    write(name, make_result([make_person(1), make_person(2)]), body, tmp_path)
    (path,) = write(name, make_result([make_person(2)]), body, tmp_path)
    assert people_in(path) == {2}
    assert [p.name for p in tmp_path.iterdir()] == [path.name], "nothing else is left behind"


@pytest.mark.parametrize("name", FORMATS)
def test_an_interrupted_export_leaves_what_was_there_and_nothing_else(
    name: str, body: Body, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = write(name, make_result(), body, tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    calls = iter([None])

    def progress(items, step, total):
        for item in items:
            yield item
            if next(calls, "stop") == "stop":
                raise KeyboardInterrupt

    result = make_result([make_person(1, frames=3), make_person(2, frames=4), make_person(3)])
    with pytest.raises(KeyboardInterrupt):
        format_writer(name).write(result, body, tmp_path, ExportOptions(), progress)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("name", FORMATS)
def test_nobody_exports_without_an_error(name: str, body: Body, tmp_path: Path) -> None:
    written = write(name, make_result([]), body, tmp_path)
    assert written == ([tmp_path / "vibe_output.pkl"] if name == "pkl" else [])
    assert not written or joblib.load(written[0]) == {}
    assert [p for p in tmp_path.iterdir()] == written


def test_chunks_cover_a_track_once_in_order() -> None:
    person = make_person(frames=10)
    parts = list(chunks(person, 4))
    assert [len(some) for _, some in parts] == [4, 4, 2]
    assert np.concatenate([some.frames for _, some in parts]).tolist() == list(range(10))
    assert all(np.array_equal(person.pose[where], some.pose) for where, some in parts)


def test_an_unknown_format_names_those_there_are() -> None:
    with pytest.raises(UsageError) as error:
        format_writer("fbx")
    assert "fbx" in error.value.message and all(name in error.value.hint for name in FORMATS)


def test_every_writer_bears_its_name() -> None:
    assert {name: format_writer(name).name for name in FORMATS} == {name: name for name in FORMATS}
    assert all(os.path.splitext("x" + format_writer(name).extension)[1] == f".{name}" for name in FORMATS)


@pytest.mark.parametrize(
    "change",
    [
        {"people": [1.5]},
        {"people": ["x"]},
        {"people": [0]},
        {"people": 3},
        {"video": {"fps": "0"}},
        {"video": {"fps": "1/0"}},
        {"model": None, "metadata": 5},
        {"version": "new"},
    ],
    ids=str,
)
def test_a_result_whose_header_makes_no_sense_is_refused(change: dict, tmp_path: Path) -> None:
    make_result([make_person(1, frames=3)]).save(tmp_path / "result.npz")
    with np.load(tmp_path / "result.npz") as file:
        arrays = dict(file)
    header = json.loads(str(arrays["header"]))
    changed = {**header, **change, "video": {**header["video"], **change.get("video", {})}}
    write_npz(tmp_path / "bad.npz", arrays | {"header": np.array(json.dumps(changed))})
    with pytest.raises(InputError, match="bad.npz: not a vibe result"):
        Result.load(tmp_path / "bad.npz")
    write_npz(tmp_path / "far.npz", arrays | {"person1/frames": arrays["person1/frames"] + 1000})
    with pytest.raises(InputError, match="frames beyond"):
        Result.load(tmp_path / "far.npz")
