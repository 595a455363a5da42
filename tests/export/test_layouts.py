"""What is exported is read as the programs of others read it: by their index arithmetic, and by old joblib."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch

from tests.helpers.bodies import extra_regressor, smpl_arrays, write_official_pickle
from tests.helpers.people import make_person, make_result
from vibe_cli.body.body_models import load_body, pose_joints
from vibe_cli.errors import UsageError
from vibe_cli.export import LAYOUTS, ExportOptions, format_writer
from vibe_cli.export.npz import REST_PELVIS
from vibe_cli.geometry.rotations import matrix_from_axis_angle
from vibe_cli.geometry.skeleton import JOINT_NAMES, PARENTS
from vibe_cli.progress import quiet
from vibe_cli.results import Result

JOINTS = {"smpl": 24, "smplh": 52, "smplx": 55}


def exported(folder: Path, result: Result | None = None, body: Path | None = None, **options: object) -> dict:
    """npz/person_001.npz as numpy reads it."""
    result = make_result() if result is None else result
    format_writer("npz").write(result, load_body(body), folder, ExportOptions(**options), quiet)
    with np.load(folder / "npz" / "person_001.npz", allow_pickle=False) as file:
        return dict(file)


def test_smplhs_156_numbers_are_the_default(tmp_path: Path) -> None:
    assert exported(tmp_path)["poses"].shape == (8, 156)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_is_read_back_joint_by_joint_as_its_readers_do(layout: str, tmp_path: Path) -> None:
    """Blender's add-ons take three numbers a bone in the model's order; retargeting takes the parts by name."""
    person = make_person()
    person.pose[:, 1:] = np.random.default_rng(0).normal(0, 0.2, (8, 23, 3))
    file = exported(tmp_path, make_result([person]), layout=layout)
    bones = file["poses"].reshape(8, -1, 3)
    assert bones.shape[1] == JOINTS[layout]
    assert np.allclose(bones[:, 1:22], person.pose[:, 1:22], atol=1e-6)
    ends = bones[:, 22:]
    assert np.allclose(ends, person.pose[:, 22:] if layout == "smpl" else 0, atol=1e-6), "hands and face at rest"
    assert file["root_orient"].shape == (8, 3) and np.allclose(file["root_orient"], bones[:, 0])
    assert file["pose_body"].shape == (8, 69 if layout == "smpl" else 63)
    assert np.allclose(file["pose_body"], file["poses"][:, 3 : 3 + file["pose_body"].shape[1]])
    if layout != "smpl":
        assert file["pose_hand"].shape == (8, 90) and np.allclose(file["pose_hand"], file["poses"][:, -90:])
    if layout == "smplx":
        assert file["pose_jaw"].shape == (8, 3) and file["pose_eye"].shape == (8, 6)
    assert str(file["surface_model_type"]) == layout and str(file["gender"]) == "neutral"
    assert file["mocap_frame_rate"].item() == pytest.approx(29.97, abs=0.001)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_body_of_smpls_family_has_its_pelvis_where_ours_has_it(layout: str, tmp_path: Path) -> None:
    """Such a body turns about the pelvis of its template, 0.2 m and more below its origin."""
    result = make_result()
    file = exported(tmp_path, result, layout=layout)
    rest = np.zeros((1, 24, 3)) + REST_PELVIS[layout]
    turn = matrix_from_axis_angle(torch.from_numpy(file["poses"].reshape(8, -1, 3)[:, :1]).double())
    _, joints = pose_joints(turn.expand(-1, 24, -1, -1), torch.from_numpy(rest).expand(8, -1, -1), PARENTS)
    pelvis = joints[:, 0].numpy() + file["trans"]
    ours = result.people[0].translation(result.video)
    assert np.allclose(pelvis[:, :2], ours[:, [0, 2]], atol=1e-4)
    assert np.allclose(pelvis[:, 2], file["camera_height"] - ours[:, 1], atol=1e-4)
    assert 0.2 < -REST_PELVIS[layout][1] < 0.4


def test_feet_are_on_the_ground(tmp_path: Path) -> None:
    file = exported(tmp_path)
    body = load_body(None)
    rotations = matrix_from_axis_angle(torch.from_numpy(file["poses"].reshape(8, -1, 3)[:, :24]))
    betas = torch.from_numpy(file["open_betas"])[None].expand(8, -1)
    skin = body(rotations, betas).vertices - body.rest_joints(betas)[:, :1]
    pelvis = file["trans"] + REST_PELVIS["smplh"]
    assert np.abs(skin[..., 2].amin(1).numpy() + pelvis[:, 2]).max() < 0.01


def test_shapes_of_the_open_body_are_not_passed_off_as_smpls(tmp_path: Path) -> None:
    person = make_person()
    file = exported(tmp_path, make_result([person]))
    assert not file["betas"].any() and np.allclose(file["open_betas"], person.betas)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_smpls_shapes_go_to_smpl_and_smplh_alone(layout: str, tmp_path: Path) -> None:
    person = make_person()
    write_official_pickle(tmp_path / "SMPL_NEUTRAL.pkl", smpl_arrays())
    np.save(tmp_path / "J_regressor_extra.npy", extra_regressor())
    file = exported(tmp_path, make_result([person], body="smpl"), tmp_path / "SMPL_NEUTRAL.pkl", layout=layout)
    assert np.allclose(file["betas"], 0 if layout == "smplx" else person.betas)
    assert np.allclose(file["smpl_betas"], person.betas)


def test_an_unknown_layout_names_those_there_are() -> None:
    with pytest.raises(UsageError) as error:
        ExportOptions(layout="supr")
    assert all(layout in error.value.hint for layout in LAYOUTS)


class OldWrapper:
    """joblib 1.1's record of an array, whose bytes follow at once."""

    def read(self, file) -> np.ndarray:
        state = self.__dict__
        count = int(np.prod(state["shape"]))
        array = np.frombuffer(file.read(count * state["dtype"].itemsize), state["dtype"])
        if state["order"] == "F":
            return array.reshape(state["shape"][::-1]).T
        return array.reshape(state["shape"])


class OldReader(pickle._Unpickler):
    """How joblib reads its files up to 1.1: it knows of no padding."""

    dispatch = pickle._Unpickler.dispatch.copy()

    def __init__(self, file) -> None:
        super().__init__(file)
        self.file = file

    def find_class(self, module: str, name: str) -> type:
        return OldWrapper if name == "NumpyArrayWrapper" else super().find_class(module, name)

    def load_build(self) -> None:
        super().load_build()
        if isinstance(self.stack[-1], OldWrapper):
            self.stack.append(self.stack.pop().read(self.file))

    dispatch[pickle.BUILD[0]] = load_build


def pkl_of(folder: Path) -> Path:
    """vibe_output.pkl of two people."""
    result = make_result([make_person(1, keypoints=True), make_person(2)])
    return format_writer("pkl").write(result, load_body(None), folder, ExportOptions(), quiet)[0]


def test_old_joblib_reads_the_pkl_as_the_new_one_does(tmp_path: Path) -> None:
    path = pkl_of(tmp_path)
    new = joblib.load(path)
    with open(path, "rb") as file:
        old = OldReader(file).load()
    for number in (1, 2):
        assert list(old[number]) == list(new[number])
        for name, value in new[number].items():
            assert np.array_equal(old[number][name], value), name


@pytest.mark.skipif("OLD_JOBLIB" not in os.environ, reason="OLD_JOBLIB names no folder with joblib 1.1.1")
def test_joblib_1_1_itself_reads_the_pkl(tmp_path: Path) -> None:
    """pip install --no-deps --target FOLDER joblib==1.1.1"""
    script = (
        f"import sys; sys.path.insert(0, {os.environ['OLD_JOBLIB']!r}); import joblib; "
        f"people = joblib.load({str(pkl_of(tmp_path))!r}); "
        "print(joblib.__version__, people[2]['verts'].shape[0], people[2]['faces'].max() < people[2]['verts'].shape[1])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["1.1.1", "8", "True"], done.stderr


def test_the_pkl_brings_what_is_needed_to_draw_it(tmp_path: Path) -> None:
    person = joblib.load(pkl_of(tmp_path))[1]
    assert person["faces"].shape[1] == 3 and person["faces"].max() == person["verts"].shape[1] - 1
    assert len(person["joint_names"]) == 49 and person["joint_names"][:2] == ["nose", "neck"]
    assert person["pose_joint_names"] == list(JOINT_NAMES)
    assert np.allclose(np.diff(person["times"]), 1001 / 30000)
