"""Facts about cameras: a point stays where it is through every way of projecting it."""

from __future__ import annotations

import numpy as np
import torch

from vibe_cli.geometry.camera import (
    crop_points_to_image,
    crop_to_image_camera,
    crop_translation,
    default_intrinsics,
    image_points_to_crop,
    metric_translation,
    project_crop,
    project_image,
)

WIDTH, HEIGHT = 640, 360
RNG = np.random.default_rng(0)
POINTS = RNG.normal(0, 0.5, (5, 7, 3))
CAMERA = np.column_stack([RNG.uniform(0.7, 1.2, 5), RNG.uniform(-0.2, 0.2, (5, 2))])
BOXES = np.column_stack([RNG.uniform(100, 500, 5), RNG.uniform(100, 250, 5), *[RNG.uniform(80, 200, 5)] * 2])


def weak_perspective(points: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """s·(x + tx), s·(y + ty)."""
    return camera[:, None, :1] * (points[..., :2] + camera[:, None, 1:])


def test_the_image_camera_puts_a_point_where_its_crop_does():
    in_crop = crop_points_to_image(weak_perspective(POINTS, CAMERA), BOXES)
    image_camera = crop_to_image_camera(CAMERA, BOXES, WIDTH, HEIGHT)
    assert np.allclose(project_image(POINTS, image_camera, WIDTH, HEIGHT), in_crop)


def test_a_crops_corners_are_its_boxes_corners():
    corners = crop_points_to_image(np.array([[[-1, -1], [1, 1]]]), np.array([[50.0, 40.0, 20.0, 20.0]]))
    assert corners.tolist() == [[[40.0, 30.0], [60.0, 50.0]]]


def test_points_go_to_the_crop_and_back():
    points = RNG.uniform(0, 300, (5, 9, 2))
    assert np.allclose(crop_points_to_image(image_points_to_crop(points, BOXES), BOXES), points)
    edge = image_points_to_crop(np.array([[[40.0, 30.0], [50.0, 60.0]]]), np.array([[50.0, 40.0, 20.0, 20.0]]))
    assert edge.tolist() == [[[-1, -1], [0, 2]]]


def test_the_metric_camera_puts_the_pelvis_where_the_crop_does_at_any_focal_length():
    pelvis = crop_points_to_image(weak_perspective(np.zeros((5, 1, 3)), CAMERA), BOXES)[:, 0]
    for focal in (300.0, 5000.0):
        intrinsics = np.array([[focal, 0, WIDTH / 2], [0, focal, HEIGHT / 2], [0, 0, 1]])
        seen = metric_translation(CAMERA, BOXES, intrinsics) @ intrinsics.T
        assert np.allclose(seen[:, :2] / seen[:, 2:], pelvis)


def test_a_person_twice_as_large_is_half_as_far():
    intrinsics = default_intrinsics(WIDTH, HEIGHT)
    near = metric_translation(CAMERA * [2, 1, 1], BOXES, intrinsics)[:, 2]
    assert np.allclose(2 * near, metric_translation(CAMERA, BOXES, intrinsics)[:, 2])


def test_the_crops_perspective_is_weak_perspective_for_a_far_camera():
    assert np.allclose(project_crop(POINTS, CAMERA, focal=5e6), weak_perspective(POINTS, CAMERA), atol=1e-3)


def test_the_crops_perspective_is_that_of_its_translation():
    points = POINTS + crop_translation(CAMERA)[:, None]
    expected = 5000 * points[..., :2] / points[..., 2:] / 112
    assert np.allclose(project_crop(POINTS, CAMERA), expected)


def test_projection_is_the_same_in_torch_and_its_gradient_is_right():
    points = torch.tensor(POINTS[:1], requires_grad=True)
    camera = torch.tensor(CAMERA[:1], requires_grad=True)
    assert np.allclose(project_crop(points, camera).detach(), project_crop(POINTS[:1], CAMERA[:1]))
    assert torch.autograd.gradcheck(project_crop, (points, camera))


def test_the_default_focal_length_is_the_diagonal():
    assert default_intrinsics(300, 400)[0, 0] == 500
