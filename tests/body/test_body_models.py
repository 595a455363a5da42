"""Facts about bodies: skinning, the 49 joints, loading, and what is said when something is missing."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.helpers.bodies import extra_regressor, open_tensors, smpl_arrays, write_official_pickle, write_open_body
from vibe_cli.body import body_models as bodies_module
from vibe_cli.body.body_models import OpenBody, SmplBody, joints_of, load_body, pose_joints, skin, vertices_of
from vibe_cli.errors import ModelError
from vibe_cli.geometry.rotations import matrix_from_axis_angle
from vibe_cli.geometry.skeleton import EVALUATION_14, JOINTS_49, PARENTS
from vibe_cli.importing.checkpoints import smpl_tensors
from vibe_cli.results import Person

IDENTITY = torch.eye(3).expand(1, 24, 3, 3)


def random_pose(count: int, scale: float = 0.5, seed: int = 3) -> torch.Tensor:
    """(count, 24, 3) axis-angle."""
    return scale * torch.randn(count, 24, 3, generator=torch.Generator().manual_seed(seed))


def person_of(pose: torch.Tensor, betas: np.ndarray) -> Person:
    """A track with these poses; all else is zero."""
    count = len(pose)
    return Person(
        id=1,
        frames=np.arange(count),
        boxes=np.zeros((count, 4)),
        pose=pose.numpy(),
        betas=betas,
        camera=np.zeros((count, 3)),
        confidence=np.ones(count),
        filled=np.zeros(count),
    )


@pytest.fixture(scope="module")
def smpl() -> dict[str, torch.Tensor]:
    """A stand-in SMPL as tensors, with its extra regressor."""
    return smpl_tensors(smpl_arrays() | {"J_regressor_extra": extra_regressor()}, "stand-in")


def skin_with_pose_shapes(
    tensors: dict[str, torch.Tensor], rotations: torch.Tensor, betas: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """SMPL by its paper's formulas and our `skin`."""
    shaped = tensors["v_template"] + torch.einsum("vcb,nb->nvc", tensors["shapedirs"], betas)
    joints = tensors["J_regressor"] @ shaped
    offsets = (rotations[:, 1:] - torch.eye(3)).flatten(1)
    shaped = shaped + torch.einsum("vcp,np->nvc", tensors["posedirs"], offsets)
    return skin(rotations, shaped, joints, tensors["lbs_weights"], PARENTS)


def test_our_skinning_and_smplx_agree_on_a_stand_in_smpl(smpl):
    rotations = matrix_from_axis_angle(random_pose(3))
    betas = torch.randn(3, 10, generator=torch.Generator().manual_seed(4))
    vertices, joints = skin_with_pose_shapes(smpl, rotations, betas)
    output = SmplBody(smpl)(rotations, betas)
    assert torch.allclose(output.vertices, vertices, atol=2e-5)
    # the skeleton's joints among the 49 are those of the kinematic chain
    places = [(place, joint) for place, joint in enumerate(JOINTS_49) if joint < 24]
    ours, theirs = zip(*places, strict=True)
    assert torch.allclose(output.joints[:, list(ours)], joints[:, list(theirs)], atol=2e-5)
    pelvis = smpl["J_regressor_extra"][4] @ vertices  # MPII's
    assert torch.allclose(output.joints[:, 39], pelvis, atol=2e-5)


def test_a_pose_of_ours_is_a_pose_of_smpl(smpl):
    """smplx converts axis-angle by its own code; our rotations drive the same mesh, root included."""
    pose, body = random_pose(2), SmplBody(smpl)
    own = body.smpl(betas=torch.zeros(2, 10), global_orient=pose[:, 0], body_pose=pose[:, 1:].flatten(1))
    output = body(matrix_from_axis_angle(pose), torch.zeros(2, 10))
    assert torch.allclose(output.vertices, own.vertices, atol=1e-5)


def test_the_open_body_moves_as_smpl_does(smpl):
    """Given SMPL's own template and weights, and no pose blend shapes, the open body is SMPL."""
    plain = smpl | {"posedirs": torch.zeros_like(smpl["posedirs"])}
    ours = OpenBody(plain | {"extra_regressor": torch.zeros(30, len(smpl["v_template"]))})
    rotations, betas = matrix_from_axis_angle(random_pose(2)), torch.ones(2, 10)
    expected = SmplBody(plain)(rotations, betas).vertices
    assert torch.allclose(ours(rotations, betas).vertices, expected, atol=2e-5)


def test_the_gradient_of_skinning_is_right_in_float64():
    g = torch.Generator().manual_seed(5)
    parents, count = (-1, 0, 0, 1), 5
    pose = 0.5 * torch.randn(1, 4, 3, generator=g, dtype=torch.float64, requires_grad=True)
    vertices = torch.randn(1, count, 3, generator=g, dtype=torch.float64, requires_grad=True)
    joints = torch.randn(1, 4, 3, generator=g, dtype=torch.float64, requires_grad=True)
    weights = torch.softmax(torch.randn(count, 4, generator=g, dtype=torch.float64), -1).requires_grad_()

    def run(pose, vertices, joints, weights):
        return skin(matrix_from_axis_angle(pose), vertices, joints, weights, parents)

    assert torch.autograd.gradcheck(run, (pose, vertices, joints, weights))


def test_a_joint_turns_its_descendants_about_itself_and_nothing_else():
    joints = torch.randn(1, 24, 3, generator=torch.Generator().manual_seed(6))
    rotations = IDENTITY.clone()
    elbow = 18
    rotations[0, elbow] = matrix_from_axis_angle(torch.tensor([0.0, 0.0, torch.pi / 2]))
    _, posed = pose_joints(rotations, joints, PARENTS)
    moved = {j for j in range(24) if not torch.allclose(posed[0, j], joints[0, j], atol=1e-6)}
    assert moved == {20, 22}  # wrist and hand of that arm
    bone = joints[0, 20] - joints[0, elbow]
    turned = torch.stack([-bone[1], bone[0], bone[2]])
    assert torch.allclose(posed[0, 20], joints[0, elbow] + turned, atol=1e-6)


def test_the_rest_pose_is_the_template():
    tensors = open_tensors()
    output, template = OpenBody(tensors)(IDENTITY, torch.zeros(1, 10)), tensors["v_template"]
    assert torch.allclose(output.vertices[0], template, atol=1e-5)
    assert torch.allclose(output.joints[0, 8], tensors["J_regressor"][0] @ template, atol=1e-5)  # mid hip
    assert torch.allclose(output.joints[0, 0], tensors["extra_regressor"][0] @ template, atol=1e-5)  # nose


def test_rest_joints_follow_the_shape():
    tensors = open_tensors()
    betas = torch.randn(2, 10, generator=torch.Generator().manual_seed(7))
    shaped = tensors["v_template"] + torch.einsum("vcb,nb->nvc", tensors["shapedirs"], betas)
    assert torch.allclose(OpenBody(tensors).rest_joints(betas), tensors["J_regressor"] @ shaped, atol=1e-5)


def test_the_14_evaluation_joints_are_right_ankle_to_head_top():
    assert JOINTS_49[EVALUATION_14] == (8, 5, 45, 46, 4, 7, 21, 19, 17, 16, 18, 20, 47, 48)
    assert len(JOINTS_49) == 49


def test_geometry_of_a_person_is_about_the_pelvis_and_free_of_chunks(monkeypatch):
    body = OpenBody(open_tensors())
    person = person_of(random_pose(7), np.linspace(-1, 1, 10))
    vertices, joints = vertices_of(person, body), joints_of(person, body)
    assert vertices.shape == (7, 60, 3) and joints.shape == (7, 49, 3)
    assert np.abs(joints[:, 8]).max() < 1e-6  # mid hip is SMPL's joint 0
    monkeypatch.setattr(bodies_module, "_CHUNK", 2)
    assert np.allclose(vertices_of(person, body), vertices, atol=1e-6)


def test_the_shipped_open_body_loads_and_stands_upright():
    body = load_body()
    assert body.kind == "open" and body.faces.dtype == np.int64
    output = body(IDENTITY, torch.zeros(1, 10))
    height = output.vertices[0, :, 1]
    assert 1.3 < float(height.max() - height.min()) < 2.2  # metres, y up
    nose, l_big_toe, r_big_toe, l_heel = (output.joints[0, i] for i in (0, 19, 22, 21))
    assert nose[1] > l_big_toe[1] + 1 and l_big_toe[2] > l_heel[2]  # head up, facing +z
    assert l_big_toe[0] > r_big_toe[0]  # the subject's left is +x
    assert int(body.faces.max()) < len(height)
    assert torch.allclose(body.lbs_weights.sum(-1), torch.ones(len(height)), atol=2e-3)


def test_an_open_body_in_half_precision_computes_in_single(tmp_path):
    body = load_body(write_open_body(tmp_path / "open-body"))
    assert body(IDENTITY, torch.zeros(1, 10)).vertices.dtype == torch.float32


def test_an_open_body_with_a_wrong_shape_is_refused_by_name(tmp_path):
    tensors = open_tensors()
    tensors["lbs_weights"] = tensors["lbs_weights"][:, :20]
    with pytest.raises(ModelError, match=r"lbs_weights is \(60, 20\) instead of \(60, 24\)"):
        load_body(write_open_body(tmp_path / "b", tensors))


def test_an_smpl_pickle_needs_the_extra_regressor_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("VIBE_HOME", str(tmp_path / "home"))
    path = tmp_path / "a body.pkl"
    arrays = smpl_arrays()
    write_official_pickle(path, arrays)
    with pytest.raises(ModelError, match="J_regressor_extra") as error:
        load_body(path)
    assert "vibe models import" in error.value.hint
    np.save(tmp_path / "J_regressor_extra.npy", extra_regressor())
    body = load_body(path)
    assert body.kind == "smpl"
    template = body(IDENTITY, torch.zeros(1, 10)).vertices[0].numpy()
    assert np.allclose(template, arrays["v_template"], atol=1e-5)


def test_smpl_as_npz_is_the_same_body(tmp_path, smpl):
    np.savez(tmp_path / "x.npz", **smpl_arrays())
    np.save(tmp_path / "extra.npy", extra_regressor())
    body = load_body(tmp_path / "x.npz", extra_joints=tmp_path / "extra.npy")
    rotations = matrix_from_axis_angle(random_pose(1))
    expected = SmplBody(smpl)(rotations, torch.ones(1, 10))
    output = body(rotations, torch.ones(1, 10))
    assert torch.allclose(output.vertices, expected.vertices, atol=1e-6)
    assert torch.allclose(output.joints, expected.joints, atol=1e-6)


def test_a_file_without_a_body_is_refused(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / "a.safetensors")
    with pytest.raises(ModelError, match="v_template is missing"):
        load_body(tmp_path / "a.safetensors")
    with pytest.raises(ModelError, match="no body here"):
        load_body(tmp_path)


def test_the_open_body_never_imports_smplx():
    code = (
        "import sys, torch; from vibe_cli.body.body_models import load_body; b = load_body(); "
        "b(torch.eye(3).expand(1, 24, 3, 3), torch.zeros(1, 10)); assert 'smplx' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
