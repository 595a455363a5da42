"""Points read from heat maps: each at its peak, and left and right apart where two places are seen."""

from __future__ import annotations

import torch

from vibe_cli.networks.heatmap_decoding import cell_centres, decode_apart, decode_peaks
from vibe_cli.networks.skeleton import COUNT, LEFT_RIGHT_PAIRS

CELLS = 16
LEFT, RIGHT = 7, 8  # ankles
PAIR = LEFT_RIGHT_PAIRS.index((LEFT, RIGHT))


def blob(*places: tuple[float, float, float]) -> torch.Tensor:
    """(CELLS, CELLS) logits of a distribution with a share of it at each place: column, row, share."""
    grid = torch.arange(CELLS)
    total = sum(
        share * torch.exp(-((grid[:, None] - row) ** 2 + (grid - column) ** 2) / 1.3) for column, row, share in places
    )
    return (total + 1e-7).log()


def maps() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Heat, union and depth of one crop; every pair stands apart in its own columns, depth is the column."""
    heat, union = torch.zeros(1, COUNT, CELLS, CELLS), torch.zeros(1, len(LEFT_RIGHT_PAIRS), CELLS, CELLS)
    for k in range(COUNT):
        heat[0, k] = blob((8, 3, 1))
    for p, (left, right) in enumerate(LEFT_RIGHT_PAIRS):
        heat[0, left], heat[0, right] = blob((11, 4, 1)), blob((5, 4, 1))
        union[0, p] = blob((11, 4, 0.5), (5, 4, 0.5))
    return heat, union, torch.arange(CELLS, dtype=torch.float).expand(1, COUNT, CELLS, CELLS)


def at(column: float, row: float) -> torch.Tensor:
    """The point of a cell."""
    centres = cell_centres(CELLS)
    return torch.stack([centres[int(column)], centres[int(row)]])


def test_a_clear_peak_is_read_where_it_is() -> None:
    heat, _, depth = maps()
    heat[0, LEFT] = blob((10.5, 4, 1))
    points, confidence, depths = decode_peaks(heat, depth)
    assert torch.allclose(points[0, 0], at(8, 3), atol=0.005)
    assert torch.allclose(points[0, LEFT], (at(10, 4) + at(11, 4)) / 2, atol=0.02)
    assert 0.7 < confidence[0, 0] < 1 and abs(float(depths[0, 0]) - 8) < 0.05


def test_sides_that_are_apart_already_stay_as_they_are() -> None:
    heat, union, depth = maps()
    for mine, plain in zip(decode_apart(heat, union, depth), decode_peaks(heat, depth), strict=True):
        assert torch.equal(mine, plain)


def test_a_collapsed_pair_is_parted_where_the_union_has_two_places() -> None:
    heat, union, depth = maps()
    heat[0, LEFT], heat[0, RIGHT] = blob((4, 12, 0.55), (12, 10, 0.45)), blob((4, 12, 0.6), (12, 10, 0.4))
    union[0, PAIR] = blob((4, 12, 0.51), (12, 10, 0.49))
    together = decode_peaks(heat, depth)[0][0]
    assert (together[LEFT] - together[RIGHT]).norm() < 0.05
    points, confidence, depths = decode_apart(heat, union, depth)
    assert torch.allclose(points[0, LEFT], at(12, 10), atol=0.05)  # of the two it is the left that prefers it
    assert torch.allclose(points[0, RIGHT], at(4, 12), atol=0.05)
    assert confidence[0, LEFT] > 0.3 and abs(float(depths[0, LEFT]) - 12) < 0.3


def test_legs_that_are_seen_in_one_place_stay_together() -> None:
    heat, union, depth = maps()
    heat[0, LEFT] = heat[0, RIGHT] = blob((8, 12, 0.9), (12, 10, 0.1))
    union[0, PAIR] = blob((8, 12, 0.6), (12, 10, 0.4))  # less sure of the second place than of the first
    points = decode_apart(heat, union, depth)[0][0]
    assert torch.allclose(points[LEFT], at(8, 12), atol=0.05) and torch.allclose(points[RIGHT], at(8, 12), atol=0.05)


def test_feet_go_with_the_ankles_that_they_are_near() -> None:
    heat, union, depth = maps()
    heat[0, LEFT], heat[0, RIGHT] = blob((4, 11, 1)), blob((12, 11, 1))
    heat[0, 10], heat[0, 11] = blob((12, 12, 1)), blob((4, 12, 1))  # exchanged
    points, _, depths = decode_apart(heat, union, depth)
    assert torch.allclose(points[0, 10], at(4, 12), atol=0.01) and torch.allclose(points[0, 11], at(12, 12), atol=0.01)
    assert abs(float(depths[0, 10]) - 4) < 0.1


def test_pictures_of_a_batch_do_not_touch_each_other() -> None:
    heat, union, depth = maps()
    other = heat.clone()
    other[0, LEFT] = other[0, RIGHT] = blob((4, 12, 0.55), (12, 10, 0.45))
    twice = [torch.cat(pair) for pair in ((heat, other), (union, union), (depth, depth))]
    alone = decode_apart(heat, union, depth)
    for both, one in zip(decode_apart(*twice), alone, strict=True):
        assert torch.equal(both[:1], one)


def test_the_place_that_holds_most_is_read_and_not_a_higher_cell_alone() -> None:
    chances = torch.full((CELLS, CELLS), 1e-7)
    chances[2, 13], chances[9:12, 3:6] = 0.2, 0.1  # a spike, and nine cells of half its height
    points, confidence, _ = decode_peaks(chances.log().repeat(1, COUNT, 1, 1), maps()[2])
    assert torch.allclose(points, at(4, 10).expand_as(points), atol=0.02)
    assert torch.all((confidence > 0.5) & (confidence < 0.8))


def test_left_and_right_are_read_where_most_is_as_well() -> None:
    heat, union, depth = maps()
    chances = torch.full((CELLS, CELLS), 1e-7)
    chances[2, 13], chances[9:12, 3:6] = 0.2, 0.1
    heat[0, LEFT], heat[0, RIGHT] = chances.log(), blob((11, 10, 1))
    union[0, PAIR] = blob((4, 10, 0.5), (11, 10, 0.5))
    points, *_ = decode_apart(heat, union, depth)
    assert torch.allclose(points[0, LEFT], at(4, 10), atol=0.05)
    assert torch.allclose(points[0, RIGHT], at(11, 10), atol=0.05)
