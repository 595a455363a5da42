"""Rotations: 6D ↔ matrix ↔ axis-angle, in torch; leading dimensions are free.

The 6D form is that of Zhou et al. 2019 as the published VIBE weights use it: a joint's six numbers are a
3×2 matrix row by row, whose columns are made orthonormal.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize


def matrix_from_6d(x: Tensor) -> Tensor:
    """(…, 6) → (…, 3, 3) by Gram–Schmidt on the two columns."""
    columns = x.reshape(*x.shape[:-1], 3, 2)
    first = normalize(columns[..., 0], dim=-1)
    second = columns[..., 1] - (first * columns[..., 1]).sum(-1, keepdim=True) * first
    second = normalize(second, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], dim=-1)


def sixd_from_matrix(matrix: Tensor) -> Tensor:
    """(…, 3, 3) → (…, 6): the first two columns, row by row."""
    return matrix[..., :2].reshape(*matrix.shape[:-2], 6)


def matrix_from_axis_angle(axis_angle: Tensor) -> Tensor:
    """(…, 3) radians → (…, 3, 3), Rodrigues' formula; differentiable at zero."""
    squared = (axis_angle * axis_angle).sum(-1)[..., None, None]
    small = squared < 1e-8
    safe = torch.where(small, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    sine = torch.where(small, 1 - squared / 6, angle.sin() / angle)
    cosine = torch.where(small, 0.5 - squared / 24, (1 - angle.cos()) / safe)
    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).reshape(*x.shape, 3, 3)
    eye = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return eye + sine * cross + cosine * (cross @ cross)


def quaternion_from_matrix(matrix: Tensor) -> Tensor:
    """(…, 3, 3) → (…, 4) unit quaternion w, x, y, z with w ≥ 0; the best conditioned of four forms."""
    m = matrix
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    four = torch.stack([1 + xx + yy + zz, 1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz], dim=-1)
    wx, wy, wz = (m[..., 2, 1] - m[..., 1, 2]), (m[..., 0, 2] - m[..., 2, 0]), (m[..., 1, 0] - m[..., 0, 1])
    xy, xz, yz = (m[..., 1, 0] + m[..., 0, 1]), (m[..., 0, 2] + m[..., 2, 0]), (m[..., 2, 1] + m[..., 1, 2])
    rows = torch.stack(
        [
            torch.stack([four[..., 0], wx, wy, wz], dim=-1),
            torch.stack([wx, four[..., 1], xy, xz], dim=-1),
            torch.stack([wy, xy, four[..., 2], yz], dim=-1),
            torch.stack([wz, xz, yz, four[..., 3]], dim=-1),
        ],
        dim=-2,
    )
    best = four.argmax(dim=-1)[..., None, None].expand(*four.shape[:-1], 1, 4)
    quaternion = normalize(rows.gather(-2, best).squeeze(-2), dim=-1)
    return torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)


def axis_angle_from_matrix(matrix: Tensor) -> Tensor:
    """(…, 3, 3) → (…, 3) radians, angle in 0..π."""
    quaternion = quaternion_from_matrix(matrix)
    vector = quaternion[..., 1:]
    length = vector.norm(dim=-1, keepdim=True)
    angle = 2 * torch.atan2(length, quaternion[..., :1])
    factor = torch.where(length < 1e-7, torch.full_like(length, 2.0), angle / length.clamp_min(1e-7))
    return vector * factor


def project_to_rotation(matrix: Tensor) -> Tensor:
    """(…, 3, 3) → the nearest rotation in the Frobenius norm (chordal mean of a weighted sum)."""
    return _Project.apply(matrix)


class _Project(torch.autograd.Function):
    """The nearest rotation R of M = U·S·Vᵀ, with U and S signed so that R = U·Vᵀ is a rotation.

    dR = U·K·Vᵀ with K_ij = (A_ij − A_ji) / (s_i + s_j) and A = Uᵀ·dM·V: finite where M is a rotation, whereas the
    derivative of U and V by themselves is not.
    """

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, matrix: Tensor) -> Tensor:
        """Signed decomposition and product."""
        u, s, vt = torch.linalg.svd(matrix)
        sign = torch.linalg.det(u @ vt)
        u = torch.cat([u[..., :2], u[..., 2:] * sign[..., None, None]], dim=-1)
        s = torch.cat([s[..., :2], s[..., 2:] * sign[..., None]], dim=-1)
        ctx.save_for_backward(u, s, vt)
        return u @ vt

    @staticmethod
    def backward(ctx: torch.autograd.function.BackwardCFunction, gradient: Tensor) -> Tensor:
        """By the matrix."""
        u, s, vt = tuple(ctx.saved_tensors)
        inner = u.mT @ gradient @ vt.mT
        sums = s[..., :, None] + s[..., None, :]
        return u @ ((inner - inner.mT) / torch.where(sums.abs() < 1e-12, torch.ones_like(sums), sums)) @ vt
