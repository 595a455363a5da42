"""From heat maps to points: where most of the probability lies together, and left and right apart where two are seen.

The highest cell by itself may be a spike beside a place of many high cells; the place whose window holds most is right
more often, and is what the confidence speaks of.

A network that cannot tell a left leg from a right one gives both maps the same two peaks, and both are highest on
the leg seen better: read one by one, they collapse onto it. The left/right-blind union map says how many places
there are. Where it has two and the pair took the same, one of them moves to the other place.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vibe_cli.networks.skeleton import FOLLOWERS, LEFT_RIGHT_PAIRS

WINDOW_CELLS = 1.6  # cells, of the Gaussian window around a peak that is read
APART_CELLS = 2.5  # cells, from which two peaks are two places
SECOND_MASS_RATIO = 0.9  # least mass of the second place in the union map, as a share of the first's
SECOND_MASS_MIN = 0.12  # and least mass at all


def cell_centres(count: int, device: torch.device | None = None) -> Tensor:
    """(count,) centres of a row of cells in −1..1."""
    return (torch.arange(count, device=device) + 0.5) / count * 2 - 1


def decode_peaks(heat: Tensor, depth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Soft-argmax within the Gaussian window that holds most of each map.

    (N, K, h, w) logits and depths → points (N, K, 2) in −1..1, confidence (N, K) = the probability in the
    window, depth (N, K) metres as read there.
    """
    probability = heat.flatten(2).softmax(-1).view_as(heat)
    return read_at(probability, _window_mass(probability).flatten(2).argmax(-1), depth)


def decode_apart(heat: Tensor, union: Tensor, depth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As decode_peaks, with left and right of a pair apart where the union map (N, P, h, w) shows two places."""
    probability = heat.flatten(2).softmax(-1).view_as(heat)
    peak, probability = separate_left_right(probability, union.flatten(2).softmax(-1).view_as(union))
    points, confidence, depths = read_at(probability, peak, depth)
    order = assign_extremities(points)
    return _take(points, order), _take(confidence, order), _take(depths, order)


def read_at(probability: Tensor, cell: Tensor, depth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Points, confidence and depth as decode_peaks gives them, around cells (N, K) of maps (N, K, h, w)."""
    h, w = probability.shape[-2:]
    window_y = _window(h, cell // w)
    window_x = _window(w, cell % w)
    local = probability * window_y[..., None] * window_x[..., None, :]
    confidence = local.sum((2, 3))
    local = local / confidence.clamp_min(1e-9)[..., None, None]
    x = (local.sum(2) * cell_centres(w, local.device)).sum(-1)
    y = (local.sum(3) * cell_centres(h, local.device)).sum(-1)
    return torch.stack([x, y], -1), confidence.clamp(0, 1), (local * depth).sum((2, 3))


def _window(count: int, centre: Tensor) -> Tensor:
    """(…,) cells → (…, count) Gaussian weights around them."""
    offset = torch.arange(count, device=centre.device) - centre[..., None]
    return torch.exp(-(offset**2) / (2 * WINDOW_CELLS**2))


def separate_left_right(probability: Tensor, union: Tensor) -> tuple[Tensor, Tensor]:
    """Cells (N, K) and maps to read at, one of a collapsed pair moved to the union map's second place."""
    left, right = (list(side) for side in zip(*LEFT_RIGHT_PAIRS, strict=True))
    w = probability.shape[-1]
    mass, union_mass = _window_mass(probability).flatten(2), _window_mass(union).flatten(2)
    peak = mass.argmax(-1)
    first = torch.where(
        _at(mass[:, left], peak[:, left]) >= _at(mass[:, right], peak[:, right]), peak[:, left], peak[:, right]
    )
    cells = torch.arange(union_mass.shape[-1], device=peak.device)
    far = ((cells // w - (first // w)[..., None]) ** 2 + (cells % w - (first % w)[..., None]) ** 2) > APART_CELLS**2
    second = torch.where(far, union_mass, 0).argmax(-1)
    down, across = (part[:, left] - part[:, right] for part in (peak // w, peak % w))
    near = down**2 + across**2 <= APART_CELLS**2
    there = _at(union_mass, second)
    split = near & (there > SECOND_MASS_MIN) & (there > SECOND_MASS_RATIO * _at(union_mass, first))
    right_moves = _at(mass[:, left], first) * _at(mass[:, right], second) >= _at(mass[:, left], second) * _at(
        mass[:, right], first
    )
    probability = probability.clone()
    for side, moves in ((left, split & ~right_moves), (right, split & right_moves)):
        peak[:, side] = torch.where(moves, second, peak[:, side])
        probability[:, side] = torch.where(moves[..., None, None], union, probability[:, side])
    return peak, probability


def _window_mass(probability: Tensor) -> Tensor:
    """The mass that read_at would find around every cell, (N, K, h, w)."""
    rows, columns = (_window(size, torch.arange(size, device=probability.device)) for size in probability.shape[-2:])
    with torch.autocast(probability.device.type, enabled=False):  # in half precision, neighbours would be alike
        return rows @ probability @ columns.T


def _at(values: Tensor, cell: Tensor) -> Tensor:
    """(N, K, cells) at (N, K) → (N, K)."""
    return values.gather(-1, cell[..., None])[..., 0]


def assign_extremities(points: Tensor) -> Tensor:
    """(N, K) which point serves as which: feet go with the ankle, hands with the wrist that they are near."""
    order = torch.arange(points.shape[1], device=points.device).expand(points.shape[:2]).clone()
    for (lead_left, lead_right), pairs in FOLLOWERS.items():
        for left, right in pairs:

            def gap(a: int, b: int) -> Tensor:
                return (points[:, a] - points[:, b]).norm(dim=-1)

            crossed = gap(left, lead_right) + gap(right, lead_left) < 0.5 * (
                gap(left, lead_left) + gap(right, lead_right)
            )
            order[:, left] = torch.where(crossed, right, left)
            order[:, right] = torch.where(crossed, left, right)
    return order


def _take(values: Tensor, order: Tensor) -> Tensor:
    """Values (N, K, …) with point k taken from order[k]."""
    index = order if values.ndim == 2 else order[..., None].expand_as(values)
    return values.gather(1, index)
