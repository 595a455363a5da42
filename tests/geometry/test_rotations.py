"""Facts about rotations."""

from __future__ import annotations

import math

import pytest
import torch

from vibe_cli.geometry.rotations import (
    axis_angle_from_matrix,
    matrix_from_6d,
    matrix_from_axis_angle,
    project_to_rotation,
    quaternion_from_matrix,
    sixd_from_matrix,
)


def axis_angles(count: int = 200) -> torch.Tensor:
    """(count, 3) float64 of every length up to just below π."""
    g = torch.Generator().manual_seed(0)
    axes = torch.nn.functional.normalize(torch.randn(count, 3, generator=g, dtype=torch.float64), dim=-1)
    return axes * torch.linspace(0, math.pi - 1e-6, count, dtype=torch.float64)[:, None]


def test_axis_angle_to_matrix_and_back_is_itself_up_to_half_a_turn():
    vectors = axis_angles()
    assert torch.allclose(axis_angle_from_matrix(matrix_from_axis_angle(vectors)), vectors, atol=1e-7)


def test_a_half_turn_about_any_axis_survives_up_to_sign():
    vectors = torch.tensor(
        [[math.pi, 0, 0], [0, math.pi, 0], [0, 0, math.pi], [math.pi / 2**0.5] * 2 + [0]], dtype=torch.float64
    )
    matrices = matrix_from_axis_angle(vectors)
    assert torch.allclose(matrix_from_axis_angle(axis_angle_from_matrix(matrices)), matrices, atol=1e-9)


def test_a_longer_turn_comes_back_as_the_shorter_one():
    back = axis_angle_from_matrix(matrix_from_axis_angle(torch.tensor([0.0, 1.5 * math.pi, 0.0])))
    assert torch.allclose(back, torch.tensor([0.0, -0.5 * math.pi, 0.0]), atol=1e-5)


def test_a_quarter_turn_about_z_takes_x_to_y():
    matrix = matrix_from_axis_angle(torch.tensor([0.0, 0.0, math.pi / 2]))
    assert torch.allclose(matrix @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]), atol=1e-6)


def test_6d_is_the_first_two_columns_row_by_row():
    matrix = matrix_from_axis_angle(torch.tensor([0.3, -0.5, 0.7]))
    expected = torch.stack([matrix[row, column] for row in range(3) for column in range(2)])
    assert torch.equal(sixd_from_matrix(matrix), expected)
    assert torch.allclose(matrix_from_6d(expected), matrix, atol=1e-6)


def test_any_six_numbers_become_a_rotation():
    g = torch.Generator().manual_seed(1)
    matrices = matrix_from_6d(torch.randn(4, 24, 6, generator=g, dtype=torch.float64))
    eye = torch.eye(3, dtype=torch.float64)
    assert torch.allclose(matrices @ matrices.mT, eye.expand_as(matrices), atol=1e-10)
    assert torch.allclose(torch.linalg.det(matrices), torch.ones(4, 24, dtype=torch.float64))


def test_gram_schmidt_keeps_the_direction_of_the_first_column():
    six = torch.tensor([2.0, 1, 0, 1, 0, 0])  # columns (2, 0, 0) and (1, 1, 0)
    assert torch.allclose(matrix_from_6d(six), torch.eye(3), atol=1e-6)


def test_a_quaternion_has_a_non_negative_real_part_and_unit_length():
    quaternions = quaternion_from_matrix(matrix_from_axis_angle(axis_angles()))
    assert (quaternions[:, 0] >= 0).all()
    assert torch.allclose(quaternions.norm(dim=-1), torch.ones(200, dtype=torch.float64))


def test_the_nearest_rotation_of_a_rotation_is_itself_and_of_a_mirror_is_a_rotation():
    matrices = matrix_from_axis_angle(axis_angles(20))
    assert torch.allclose(project_to_rotation(1.7 * matrices), matrices, atol=1e-9)
    mirrored = matrices * torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64)
    assert (torch.linalg.det(project_to_rotation(mirrored)) > 0.999).all()


@pytest.mark.parametrize(
    "convert, size",
    [
        (matrix_from_axis_angle, 3),
        (matrix_from_6d, 6),
        (lambda v: axis_angle_from_matrix(matrix_from_axis_angle(v)), 3),
    ],
    ids=["rodrigues", "6d", "round trip"],
)
def test_gradients_are_right_in_float64(convert, size):
    g = torch.Generator().manual_seed(2)
    values = torch.randn(5, size, generator=g, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(convert, (values,))


def test_the_gradient_at_no_rotation_is_finite_and_right():
    zero = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(matrix_from_axis_angle, (zero,))


def test_the_gradient_of_axis_angle_at_no_rotation_is_finite():
    zero = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    axis_angle_from_matrix(matrix_from_axis_angle(zero)).sum().backward()
    assert torch.isfinite(zero.grad).all()
