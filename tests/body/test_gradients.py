"""Gradients of rotations, bodies and projection, by finite differences in float64, also where they are delicate."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from vibe_cli.body.body_models import pose_joints, skin
from vibe_cli.geometry.camera import project_crop
from vibe_cli.geometry.rotations import (
    axis_angle_from_matrix,
    matrix_from_6d,
    matrix_from_axis_angle,
    project_to_rotation,
    quaternion_from_matrix,
    sixd_from_matrix,
)
from vibe_cli.networks.lifter import fit_camera

PARENTS = (-1, 0, 1, 1)
AXES = [(1.0, 0, 0), (0, -1.0, 0), (0, 0, 1.0), (1.0, 1, 0), (0.2, -0.5, 0.8)]


def random(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return (torch.randn(*shape, generator=g, dtype=torch.float64) * scale).requires_grad_()


def turns(angle: float) -> Tensor:
    """Rotation vectors of one angle about several axes, (5, 3)."""
    axes = torch.tensor(AXES, dtype=torch.float64)
    return (axes / axes.norm(dim=-1, keepdim=True) * angle).requires_grad_()


def test_gradient_of_6d_to_matrix_and_back() -> None:
    assert gradcheck(matrix_from_6d, (random(4, 6),))
    assert gradcheck(lambda x: sixd_from_matrix(matrix_from_6d(x)), (random(4, 6, seed=1),))


def test_gradient_of_6d_where_the_columns_are_a_rotation_already() -> None:
    six = sixd_from_matrix(torch.eye(3, dtype=torch.float64)).clone().requires_grad_()
    assert gradcheck(matrix_from_6d, (six,))


@pytest.mark.parametrize("angle", [0.0, 1e-9, 5e-5, 1e-4, 2e-4, 1e-3, 1.0, 3.0, math.pi - 1e-4, math.pi, 4.0, 6.0])
def test_gradient_of_axis_angle_to_matrix(angle: float) -> None:
    assert gradcheck(matrix_from_axis_angle, (turns(angle),), eps=1e-6, atol=1e-6)


@pytest.mark.parametrize("angle", [1e-3, 0.3, 1.5, 2.2, 3.0, math.pi - 1e-3, math.pi - 1e-4])
def test_gradient_of_matrix_to_axis_angle_up_to_nearly_half_a_turn(angle: float) -> None:
    """By the nine numbers of the matrix, and through a rotation vector, where it is the identity.

    Left out of the first is the axis (1, 1, 0): two forms of the quaternion are equally good there, and they differ
    for a matrix that is no rotation.
    """
    matrix = matrix_from_axis_angle(turns(angle))[[0, 1, 2, 4]].detach().requires_grad_()
    assert gradcheck(axis_angle_from_matrix, (matrix,), eps=1e-7, atol=1e-4)
    assert gradcheck(quaternion_from_matrix, (matrix,), eps=1e-7, atol=1e-5)
    through = torch.func.vmap(torch.func.jacrev(lambda v: axis_angle_from_matrix(matrix_from_axis_angle(v))))
    eye = torch.eye(3, dtype=torch.float64).expand(len(AXES), 3, 3)
    assert torch.allclose(through(turns(angle).detach()), eye, atol=1e-6)


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-8, 1e-7, 1e-6, 1e-4])
def test_gradient_of_matrix_to_axis_angle_at_and_near_no_turn(angle: float) -> None:
    vector = turns(angle)
    back = axis_angle_from_matrix(matrix_from_axis_angle(vector))
    for axis in range(3):
        (gradient,) = torch.autograd.grad(back[:, axis].sum(), vector, retain_graph=True)
        assert torch.allclose(gradient, torch.eye(3, dtype=torch.float64)[axis].expand_as(gradient), atol=1e-5)


def test_the_gradient_at_half_a_turn_is_finite() -> None:
    vector = turns(math.pi)
    axis_angle_from_matrix(matrix_from_axis_angle(vector)).sum().backward()
    assert torch.isfinite(vector.grad).all()


def test_gradient_of_the_nearest_rotation_also_at_a_rotation() -> None:
    assert gradcheck(project_to_rotation, (random(3, 3, 3),))
    rotation = matrix_from_axis_angle(turns(1.2)).detach().requires_grad_()
    assert gradcheck(project_to_rotation, (rotation,))
    mirror = (rotation.detach() * torch.tensor([1.0, 0.8, -0.5], dtype=torch.float64)).requires_grad_()
    assert gradcheck(project_to_rotation, (mirror,))


def through_rotations(function: Callable) -> Callable:
    """The same as a function of rotation vectors."""
    return lambda vectors, *others: function(matrix_from_axis_angle(vectors), *others)


def test_gradient_of_posed_joints_by_pose_and_rest() -> None:
    posed = through_rotations(lambda rotations, joints: pose_joints(rotations, joints, PARENTS))
    assert gradcheck(posed, (random(2, 4, 3), random(2, 4, 3, seed=1)))
    still = torch.zeros(1, 4, 3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(posed, (still, random(1, 4, 3, seed=2)))


def test_gradient_of_skinning_by_everything_that_is_fitted_or_learned() -> None:
    def skinned(vectors: Tensor, vertices: Tensor, joints: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        return skin(matrix_from_axis_angle(vectors), vertices, joints, weights.softmax(-1), PARENTS)

    assert gradcheck(skinned, (random(2, 4, 3), random(2, 5, 3, seed=1), random(2, 4, 3, seed=2), random(5, 4, seed=3)))


def test_gradient_of_projection_by_points_and_camera() -> None:
    camera = torch.tensor([[0.9, 0.1, -0.2], [0.4, 0.0, 0.3]], dtype=torch.float64, requires_grad=True)
    assert gradcheck(project_crop, (random(2, 5, 3, scale=0.5), camera))


def test_gradient_of_the_best_camera_by_body_image_and_weights() -> None:
    body = random(2, 6, 2)
    image = (0.7 * body.detach() + 0.1 + 0.05 * random(2, 6, 2, seed=1).detach()).requires_grad_()
    weight = random(2, 6, seed=2).detach().abs().requires_grad_()
    assert gradcheck(fit_camera, (body, image, weight))


def test_gradient_of_a_whole_fit_from_pose_to_pixels() -> None:
    joints, camera = random(1, 4, 3, seed=4).detach(), torch.tensor([[0.9, 0.1, -0.2]], dtype=torch.float64)
    assert gradcheck(
        lambda v: project_crop(pose_joints(matrix_from_axis_angle(v), joints, PARENTS)[1], camera), (random(1, 4, 3),)
    )
