"""With a user's SMPL file skeletons have SMPL's joints, and tables those of its mesh, pose blend shapes and all."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pybvh
import pytest

from tests.helpers.bodies import extra_regressor, smpl_arrays, write_official_pickle
from tests.helpers.gltf import Gltf
from tests.helpers.people import make_moving_result
from vibe_cli.body.body_models import joints_of, load_body
from vibe_cli.export.rig import BONES
from vibe_cli.geometry.skeleton import JOINT_NAMES, JOINTS_49, JOINTS_54


def test_smpls_joints_are_where_its_mesh_has_them_in_every_format(vibe, home: Path) -> None:
    pytest.importorskip("smplx")
    write_official_pickle(home / "SMPL_NEUTRAL.pkl", smpl_arrays())
    np.save(home / "J_regressor_extra.npy", extra_regressor())
    body = load_body(home / "SMPL_NEUTRAL.pkl")
    result = replace(make_moving_result(6), body="smpl")
    (home / "run").mkdir()
    result.save(home / "run" / "result.npz")
    answer = vibe("export", "run", "--body", "SMPL_NEUTRAL.pkl", "--person", 1, "-f", "csv", "-f", "bvh", "-f", "glb")
    assert answer.code == 0, answer.err
    person = result.people[0]
    ours = joints_of(person, body) + person.translation(result.video)[:, None]
    with open(home / "run" / "joints.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = [JOINTS_54[joint] for joint in JOINTS_49]
    places = [[[float(row[f"{name}_{axis}_m"]) for axis in "xyz"] for name in names] for row in rows]
    assert np.abs(np.array(places) - ours).max() < 1e-4
    upright = ours * [1, -1, -1]
    shared = [(BONES[JOINT_NAMES.index(name)], at) for at, name in enumerate(names) if name in JOINT_NAMES]
    motion = pybvh.read_bvh_file(home / "run" / "bvh" / "person_001.bvh", world_up="+y")
    posed = np.asarray(motion.joint_positions())
    scene = Gltf(home / "run" / "glb" / "scene.glb")
    for frame, time in enumerate(scene.times()[0]):
        world = scene.world(time)
        for bone, at in shared:
            assert np.abs(posed[frame, motion.joint_names.index(bone)] - upright[frame, at]).max() < 1e-3
            assert np.abs(world[scene.names.index(bone), :3, 3] - upright[frame, at]).max() < 1e-3
