"""Skinned bodies in motion: glTF is read by trimesh, and posed by a reader of the tests' own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import trimesh

from tests.helpers.gltf import Gltf
from vibe_cli.body.body_models import load_body, vertices_of
from vibe_cli.export.figure import steady_quaternions
from vibe_cli.export.points import Points
from vibe_cli.export.rig import BONES
from vibe_cli.results import Person, Result

BODY = load_body(None)
TO_GLTF = np.array([1, -1, -1])


def placed(about_pelvis: np.ndarray, person: Person, result: Result) -> np.ndarray:
    """Points in camera axes about the pelvis → in glTF's from the camera."""
    return (about_pelvis + person.translation(result.video)[:, None]) * TO_GLTF


def test_every_joint_and_vertex_is_where_it_is_at_every_frame(vibe, run: Path, result: Result) -> None:
    answer = vibe("export", run, "-f", "glb")
    assert answer.code == 0 and answer.out.strip() == str(run / "glb")
    assert sorted(p.name for p in (run / "glb").iterdir()) == ["person_001.glb", "person_004.glb", "scene.glb"]
    scene = Gltf(run / "glb" / "scene.glb")
    for skin, person in enumerate(result.people):
        alone = Gltf(run / "glb" / f"person_{person.id:03d}.glb")
        joints = placed(Points(BODY).about_pelvis(person)[:, :24], person, result)
        meshes = placed(vertices_of(person, BODY), person, result)
        clock = result.video.times[person.frames] - result.video.times[0]
        assert np.allclose(alone.times()[0], clock - clock[0], atol=1e-6)
        for frame, time in enumerate(clock):
            for file, number, at in ((scene, skin, time), (alone, 0, time - clock[0])):
                nodes = file.world(np.float32(at))[file.json["skins"][number]["joints"], :3, 3]
                assert np.abs(nodes - joints[frame]).max() < 1e-3
        for frame in (0, len(clock) // 2, len(clock) - 1):
            assert np.abs(scene.skinned(skin, np.float32(clock[frame])) - meshes[frame]).max() < 1e-3


def test_trimesh_opens_it_and_finds_a_body_that_stands_in_its_t_pose(vibe, run: Path) -> None:
    assert vibe("export", run, "-f", "glb").code == 0
    scene = trimesh.load(run / "glb" / "person_001.glb")
    (mesh,) = scene.geometry.values()
    assert mesh.vertices.shape == (len(BODY.v_template), 3) and mesh.faces.shape == BODY.faces.shape
    assert abs(mesh.bounds[0, 1]) < 1e-4 and mesh.bounds[1, 1] > 1.4, "the soles at zero, y up"
    assert np.ptp(mesh.vertices[:, 0]) > 1.2 > np.ptp(mesh.vertices[:, 2]) + 0.5, "arms out, along x"
    assert mesh.volume > 0.02, "the triangles face outwards"
    where = {name: scene.graph[name][0][:3, 3] for name in BONES}
    assert where["LeftHand"][0] > 0.3 and where["RightHand"][0] < -0.3, "it faces +z, its left at +x"
    assert where["Head"][1] > where["Spine"][1] > where["Hips"][1] > where["LeftLeg"][1] > where["LeftFoot"][1] > 0


def test_the_skin_at_rest_is_the_mesh_and_every_vertex_is_held(vibe, run: Path) -> None:
    assert vibe("export", run, "-f", "glb").code == 0
    file = Gltf(run / "glb" / "person_004.glb")
    (mesh,) = file.json["meshes"]
    attributes = mesh["primitives"][0]["attributes"]
    assert np.abs(file.skinned(0, None) - file.array(attributes["POSITION"])).max() < 1e-5
    weights = np.concatenate([file.array(attributes[name]) for name in ("WEIGHTS_0", "WEIGHTS_1")], axis=1)
    assert np.allclose(weights.sum(axis=1), 1, atol=1e-6) and (np.diff(weights, axis=1) <= 0).all()
    normals = file.array(attributes["NORMAL"])
    assert np.allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    assert [file.names[joint] for joint in file.json["skins"][0]["joints"]] == list(BONES)


def test_who_is_not_in_the_picture_is_not_in_the_scene(vibe, run: Path, result: Result) -> None:
    assert vibe("export", run, "-f", "glb").code == 0
    scene, late = Gltf(run / "glb" / "scene.glb"), result.people[1]
    times = result.video.times - result.video.times[0]
    for frame, time in enumerate(times):
        size = np.ptp(scene.skinned(1, np.float32(time)), axis=0).max()
        assert (size > 0.5) == (frame in late.frames), frame
        if frame % 8 == 0:
            assert np.ptp(scene.skinned(0, np.float32(time)), axis=0).max() > 0.5


def test_the_scene_has_the_camera_that_sees_what_was_filmed(vibe, run: Path, result: Result) -> None:
    assert vibe("export", run, "-f", "glb").code == 0
    scene = Gltf(run / "glb" / "scene.glb")
    lens = scene.json["cameras"][0]["perspective"]
    hips = scene.world(0.0)[scene.json["skins"][0]["joints"][0], :3, 3]
    up = hips[1] / -hips[2] / np.tan(lens["yfov"] / 2)
    right = hips[0] / -hips[2] / np.tan(lens["yfov"] / 2) / lens["aspectRatio"]
    pixel = np.array([(1 + right) / 2 * result.video.width, (1 - up) / 2 * result.video.height])
    person = result.people[0]
    seen = person.boxes[0, :2] + person.camera[0, 0] * person.camera[0, 1:] * person.boxes[0, 2] / 2
    assert np.abs(pixel - seen).max() < 0.5, "the pelvis is where the overlay draws it"
    assert (
        "cameras" not in Gltf(run / "glb" / "person_001.glb").json
        or not Gltf(run / "glb" / "person_001.glb").json["cameras"]
    ), "alone for retargeting"


def test_a_rate_puts_the_keys_at_equal_steps(vibe, run: Path) -> None:
    assert vibe("export", run, "-f", "glb", "--fps", "60").code == 0
    assert np.allclose(np.diff(Gltf(run / "glb" / "person_001.glb").times()[0]), 1 / 60, atol=1e-5)


def test_quaternions_do_not_flip() -> None:
    from scipy.spatial.transform import Rotation

    turns = Rotation.from_euler("y", np.linspace(0, 900, 200)[:, None], degrees=True).as_matrix()[:, None]
    quaternions = steady_quaternions(turns)
    assert ((quaternions[1:] * quaternions[:-1]).sum(axis=-1) > 0.9).all()
    assert torch.tensor(quaternions).norm(dim=-1).allclose(torch.ones(200, 1, dtype=torch.float64))
