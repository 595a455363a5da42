"""A rasteriser for batches of meshes in plain torch: no extension to compile, the same on a CPU and on a GPU.

Every pixel in the bounding box of every face that faces the camera is tried: inside the face or not, and at what
depth. The nearest face of a pixel is found by the minimum of depth and face number packed into one 64-bit integer.
Its pictures are those of `cv2.triangleRasterize`: pixels' centres at halves, perspective-correct, the same side culled.
Letters: N meshes, V vertices, F faces, S pixels of a picture's side, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

NEAR = 0.1  # metres; faces that reach behind it are left out
TRIES = {"cpu": 1 << 20}  # pixels tried at once, which bounds the memory: about 200 bytes each
MANY = 1 << 25  # the same on other devices
EMPTY = torch.iinfo(torch.int64).max


@dataclass(frozen=True, eq=False)
class Raster:
    """Rasterised buffers of N pictures of S × S pixels."""

    depth: Tensor  # (N, S, S) float32 metres; infinity where there is nothing
    face: Tensor  # (N, S, S) int64; −1 where there is nothing
    values: Tensor  # (N, S, S, C) float32, interpolated from the vertices; 0 where there is nothing


def rasterise(
    vertices: Tensor, faces: Tensor, values: Tensor, focal: Tensor, size: int, at_once: int | None = None
) -> Raster:
    """Draw vertices (N, V, 3) in camera axes (x right, y down, z forward) with values (N, V, C) at them.

    `faces` (F, 3) int64 serve all; `focal` (N,) pixels; the principal point is the middle of the picture. `at_once`
    bounds the memory and changes nothing else.
    """
    device, count = vertices.device, len(vertices)
    at_once = at_once or TRIES.get(device.type, MANY)
    flat = vertices[..., :2] / vertices[..., 2:].clamp_min(1e-6) * focal[:, None, None] + size / 2
    corners = torch.cat([flat, 1 / vertices[..., 2:].clamp_min(1e-6)], -1)  # (N, V, 3): x, y, inverse depth
    mesh, face, low, span = _candidates(corners, vertices[..., 2], faces, size)
    tries = span[:, 0] * span[:, 1]
    ends = tries.cumsum(0)
    nearest = torch.full((count * size * size,), EMPTY, dtype=torch.int64, device=device)
    for first, last in _pieces(ends, at_once):
        part = slice(first, last)
        _try(nearest, corners, faces, (mesh[part], face[part], low[part], span[part], tries[part]), size)
    return _shade(nearest, corners, faces, values, size)


def _candidates(corners: Tensor, depth: Tensor, faces: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Faces that may be seen: mesh (M,), face (M,), first pixel (M, 2) and extent (M, 2) of its bounding box."""
    a, b, c = (corners[:, faces[:, i], :2] for i in range(3))
    turn = (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])
    low = torch.minimum(torch.minimum(a, b), c)
    high = torch.maximum(torch.maximum(a, b), c)
    # pixels whose centres, at halves, lie within
    first = (low - 0.5).ceil().clamp(0, size)
    span = ((high - 0.5).floor().clamp(-1, size - 1) - first + 1).clamp_min(0)
    seen = (turn < 0) & (depth[:, faces].amin(-1) > NEAR) & (span[..., 0] * span[..., 1] > 0)
    mesh, face = seen.nonzero(as_tuple=True)
    return mesh, face, first[mesh, face].long(), span[mesh, face].long()


def _pieces(ends: Tensor, at_once: int) -> list[tuple[int, int]]:
    """Ranges of faces whose bounding boxes hold at most about `at_once` pixels together."""
    if not len(ends):
        return []
    marks = torch.tensor(range(at_once, int(ends[-1]), at_once), dtype=torch.int64, device=ends.device)
    edges = sorted({0, len(ends), *(torch.searchsorted(ends, marks) + 1).tolist()})
    return list(zip(edges[:-1], edges[1:], strict=True))


def _try(nearest: Tensor, corners: Tensor, faces: Tensor, some: tuple[Tensor, ...], size: int) -> None:
    """Enter the pixels of some faces into `nearest` (N·S·S,), depth before number."""
    mesh, face, low, span, tries = some
    row = torch.repeat_interleave(torch.arange(len(tries), device=tries.device), tries)
    step = torch.arange(len(row), device=row.device) - (tries.cumsum(0) - tries)[row]
    wide = span[row, 0]
    x, y = low[row, 0] + step % wide, low[row, 1] + step.div(wide, rounding_mode="floor")
    triangle = corners[mesh[:, None], faces[face]]  # (M, 3, 3)
    share = _barycentric(triangle, x, y, row)
    inverse = (share * triangle[row, :, 2]).sum(-1)
    inside = (share >= 0).all(-1) & (inverse > 0)
    row, x, y = row[inside], x[inside], y[inside]
    bits = (1 / inverse[inside]).view(torch.int32).long()  # positive floats order as their bits do
    pixel = (mesh[row] * size + y) * size + x
    nearest.scatter_reduce_(0, pixel, (bits << 32) | face[row], "amin")


def _barycentric(triangle: Tensor, x: Tensor, y: Tensor, row: Tensor) -> Tensor:
    """(P, 3) shares of the corners of triangles (M, 3, ≥ 2) at the centres of pixels x, y (P,); `row` (P,) which."""
    a, b, c = (triangle[:, i, :2] for i in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    # each share is linear in the pixel: its slopes and its value at the corner a
    slope_b = torch.stack([c[:, 1] - a[:, 1], a[:, 0] - c[:, 0]], -1) / area[:, None]
    slope_c = torch.stack([a[:, 1] - b[:, 1], b[:, 0] - a[:, 0]], -1) / area[:, None]
    apart = torch.stack([x + 0.5, y + 0.5], -1) - a[row]
    share_b, share_c = (apart * slope_b[row]).sum(-1), (apart * slope_c[row]).sum(-1)
    return torch.stack([1 - share_b - share_c, share_b, share_c], -1)


def _shade(nearest: Tensor, corners: Tensor, faces: Tensor, values: Tensor, size: int) -> Raster:
    """Depth, face and interpolated values of the pixels that a face was entered for."""
    count, channels = len(corners), values.shape[-1]
    full = (nearest < EMPTY).nonzero()[:, 0]
    face = nearest[full] & 0xFFFFFFFF
    mesh = full.div(size * size, rounding_mode="floor")
    x, y = full % size, full.div(size, rounding_mode="floor") % size
    index = faces[face]
    triangle = corners[mesh[:, None], index]
    share = _barycentric(triangle, x, y, torch.arange(len(full), device=full.device))
    weight = share * triangle[..., 2]
    weight = weight / weight.sum(-1, keepdim=True)
    drawn = (weight[..., None] * values[mesh[:, None], index]).sum(1)
    depth = torch.full((count * size * size,), torch.inf, device=corners.device)
    depth[full] = (nearest[full] >> 32).int().view(torch.float32)
    out_face = torch.full((count * size * size,), -1, dtype=torch.int64, device=corners.device)
    out_face[full] = face
    out = torch.zeros(count * size * size, channels, device=corners.device)
    out[full] = drawn
    shape = (count, size, size)
    return Raster(depth.view(shape), out_face.view(shape), out.view(*shape, channels))
