"""The 49 joints without a mesh are those of the mesh, for the open body and for SMPL with its pose blend shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from tests.helpers.bodies import extra_regressor, smpl_arrays, write_official_pickle
from vibe_cli.body.body_models import Body, load_body
from vibe_cli.body.joint_regressor import FIRST_ROWS, POINTS, ROWS_49, JointRegressor
from vibe_cli.geometry.rotations import matrix_from_axis_angle
from vibe_cli.geometry.skeleton import JOINTS_49


def agree(body: Body) -> None:
    """Random poses and shape give the mesh's joints, to a micrometre."""
    g = torch.Generator().manual_seed(0)
    rotations = matrix_from_axis_angle(torch.randn(3, 24, 3, generator=g) * 0.6)
    betas = torch.randn(10, generator=g)
    with torch.inference_mode():
        expected = body(rotations, betas.expand(3, -1)).joints - body.rest_joints(betas[None])[:, :1]
    found = JointRegressor(body).joints49(rotations.double(), betas.double())
    assert (found - expected).abs().max() < 2e-6


def test_the_open_bodys_joints_are_those_of_its_mesh() -> None:
    agree(load_body())


def test_an_smpl_bodys_joints_are_those_of_its_mesh(tmp_path: Path) -> None:
    write_official_pickle(tmp_path / "SMPL.pkl", smpl_arrays())
    np.save(tmp_path / "J_regressor_extra.npy", extra_regressor())
    agree(load_body(tmp_path / "SMPL.pkl"))


def test_every_one_of_the_49_is_one_of_the_points_and_each_point_is_found_among_them() -> None:
    assert [POINTS[row] for row in ROWS_49] == list(JOINTS_49)
    assert [JOINTS_49[row] for row in FIRST_ROWS] == POINTS


def test_what_the_joints_carry_sums_to_the_points() -> None:
    regressor, g = JointRegressor(load_body()), torch.Generator().manual_seed(1)
    rotations = matrix_from_axis_angle(torch.randn(2, 24, 3, generator=g, dtype=torch.float64) * 0.6)
    betas = torch.randn(10, generator=g, dtype=torch.float64)
    posed, moments = regressor.pose(rotations, betas), regressor.moments(betas, rotations)
    masses, parts = regressor.parts(posed, moments)
    points = regressor.points(posed, moments)
    assert torch.allclose(parts.sum(2) - posed.rest[0], points)
    assert torch.allclose(masses.sum(1), torch.ones(len(POINTS), dtype=torch.float64), atol=1e-3)
