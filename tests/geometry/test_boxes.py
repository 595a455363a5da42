"""Boxes: corners and centres, squares, overlap."""

from __future__ import annotations

import numpy as np
import pytest

from vibe_cli.geometry import boxes

BOX = np.array([[10.0, 20.0, 6.0, 8.0]])


def test_corners_are_half_a_side_from_the_centre() -> None:
    assert boxes.to_corners(BOX).tolist() == [[7, 16, 13, 24]]


def test_corners_and_centres_are_each_others_inverse() -> None:
    some = np.random.default_rng(0).uniform(1, 50, (3, 5, 4))
    assert np.allclose(boxes.from_corners(boxes.to_corners(some)), some)
    assert np.allclose(boxes.to_corners(boxes.from_corners(some)), some)


def test_a_square_has_the_larger_side_times_the_scale() -> None:
    assert boxes.square(BOX, 1.1) == pytest.approx(np.array([[10, 20, 8.8, 8.8]]))
    assert boxes.square(BOX[0]).tolist() == [10, 20, 8, 8]


def test_a_box_overlaps_itself_wholly_and_a_distant_one_not_at_all() -> None:
    assert boxes.iou(BOX, BOX)[0, 0] == pytest.approx(1)
    assert boxes.iou(BOX, BOX + [100, 0, 0, 0])[0, 0] == 0
    assert boxes.iou(BOX, BOX + [6, 0, 0, 0])[0, 0] == 0  # they touch


def test_overlap_is_intersection_over_union() -> None:
    """Half a box to the right: half in common of one and a half."""
    assert boxes.iou(BOX, BOX + [3, 0, 0, 0])[0, 0] == pytest.approx(1 / 3)
    inside = BOX * [1, 1, 0.5, 0.5]
    assert boxes.iou(BOX, inside)[0, 0] == pytest.approx(1 / 4)


def test_overlap_is_a_table_of_all_pairs() -> None:
    many = np.concatenate([BOX, BOX + [3, 0, 0, 0], BOX + [50, 0, 0, 0]])
    table = boxes.iou(BOX, many)
    assert table.shape == (1, 3) and table[0] == pytest.approx([1, 1 / 3, 0])
    assert boxes.iou(np.zeros((0, 4)), many).shape == (0, 3)


def test_boxes_without_area_overlap_nothing() -> None:
    flat = np.array([[10.0, 20.0, 0.0, 0.0]])
    assert boxes.iou(flat, flat)[0, 0] == 0


def test_what_boxes_share_is_measured_by_the_smaller() -> None:
    from vibe_cli.geometry.boxes import shared

    whole, inside, beside, half = [50, 50, 40, 80], [50, 50, 10, 10], [200, 50, 40, 80], [70, 50, 40, 80]
    values = shared(np.array([whole], float), np.array([whole, inside, beside, half], float))
    assert np.allclose(values, [[1, 1, 0, 0.5]])
