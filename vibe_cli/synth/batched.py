"""Draw many people at once in torch, on whatever device: the same pictures as `people.draw_person`, by the batch.

Forward kinematics, skinning, normals, shading, rasterising and contact shadows all happen on the device; only looks
are drawn on the CPU, and each may serve many poses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from vibe_cli.body.body_models import pose_joints
from vibe_cli.geometry.skeleton import PARENTS
from vibe_cli.synth.bodies import SynthBody
from vibe_cli.synth.keypoint_body import KeypointBody
from vibe_cli.synth.people import AROUND, MARGIN, SIZE, Look
from vibe_cli.synth.raster import Raster, rasterise


@dataclass(frozen=True, eq=False)
class Looks:
    """L looks as tensors; see `people.Look`."""

    shape: Tensor  # (L, 11)
    colours: Tensor  # (L, V, 3)
    displacement: Tensor  # (L, V)
    light: Tensor  # (L, 3)
    fill: Tensor  # (L, 3)
    ambient: Tensor  # (L,)
    tint: Tensor  # (L, 3)
    distance: Tensor  # (L,)
    contact: Tensor  # (L,)

    @classmethod
    def of(cls, looks: list[Look], device: torch.device | str = "cpu") -> Looks:
        """The same looks on a device."""
        return cls(
            **{
                name: torch.tensor(
                    np.stack([np.asarray(getattr(look, name)) for look in looks]), dtype=torch.float32, device=device
                )
                for name in cls.__dataclass_fields__
            }
        )


@dataclass(frozen=True, eq=False)
class Drawn:
    """N cut-outs with their labels, on the device."""

    rgba: Tensor  # (N, SIZE, SIZE, 4) uint8, BGR + alpha, colour premultiplied
    points: Tensor  # (N, K, 3) metres from the pelvis, camera axes
    pixels: Tensor  # (N, K, 2) in the cut-out
    raster: Raster  # depth and faces: masks, visibility


class PeopleDrawer(nn.Module):
    """Draws the people of one body; move it to a device with `.to`."""

    vertices: Tensor  # (V, 3) at rest, metres
    shapedirs: Tensor  # (V, 3, 11)
    weights: Tensor  # (V, 24)
    faces: Tensor  # (F, 3) int64

    def __init__(self, body: SynthBody) -> None:
        super().__init__()
        self.points = KeypointBody(body)
        for name in ("vertices", "shapedirs", "weights"):
            self.register_buffer(name, torch.from_numpy(getattr(body, name).astype(np.float32)))
        self.register_buffer("faces", torch.from_numpy(body.faces.astype(np.int64)))

    @torch.no_grad()
    def forward(
        self,
        looks: Looks,
        which: Tensor,
        rotations: Tensor,
        framed: list[list[int] | None] | None = None,
        at_once: int | None = None,
    ) -> Drawn:
        """Draw poses (N, 24, 3, 3), roots in camera axes, of the looks `which` (N,).

        `framed` says for each which joints the cut-out is to show, None the whole person. `at_once` bounds the
        rasteriser's memory.
        """
        shape = looks.shape[which]
        rest, normals = self._dress(looks)
        vertices, normals = self._pose(rotations, shape, rest[which], normals[which])
        points = self.points(rotations, shape)
        distance = looks.distance[which]
        offset, focal = _frame(vertices, distance, vertices)
        shown = {i: joints for i, joints in enumerate(framed or []) if joints is not None}
        if shown:
            close = list(shown)
            boxes = torch.stack([_corners(points[i, joints]) for i, joints in shown.items()])
            offset[close], focal[close] = _frame(vertices[close], distance[close], boxes)
        colours = _lit(looks, which, normals)
        placed = vertices + offset[:, None]
        raster = rasterise(placed, self.faces, colours, focal, SIZE, at_once)
        at = points + offset[:, None]
        pixels = at[..., :2] / at[..., 2:] * focal[:, None, None] + SIZE / 2
        return Drawn(_finish(raster, focal / placed[..., 2].mean(1), looks.contact[which]), points, pixels, raster)

    def _dress(self, looks: Looks) -> tuple[Tensor, Tensor]:
        """Vertices (L, V, 3) at rest with clothes and hair, and the normals (L, V, 3) of the bare skin."""
        shaped = self.vertices + torch.einsum("vdb,lb->lvd", self.shapedirs, looks.shape)
        a, b, c = (shaped[:, self.faces[:, i]] for i in range(3))
        across = torch.linalg.cross(b - a, c - a)
        normals = torch.zeros_like(shaped)
        for corner in range(3):
            normals.index_add_(1, self.faces[:, corner], across)
        normals = normals / (normals.norm(dim=-1, keepdim=True) + 1e-9)
        return shaped + normals * looks.displacement[..., None], normals

    def _pose(self, rotations: Tensor, shape: Tensor, rest: Tensor, normals: Tensor) -> tuple[Tensor, Tensor]:
        """Skin (N, V, 3) rest vertices and their normals."""
        joints = self.points.joints + torch.einsum("jdb,nb->njd", self.points.joint_dirs, shape)
        world, position = pose_joints(rotations, joints, PARENTS)
        offsets = position - joints[:, :1] - (world @ joints[..., None])[..., 0]
        moves = torch.cat([world.flatten(2), offsets], -1)  # (N, 24, 12)
        blend = self.weights @ moves  # (N, V, 12)
        turn = blend[..., :9].unflatten(-1, (3, 3))
        posed = (turn * rest[..., None, :]).sum(-1) + blend[..., 9:]
        turned = (turn * normals[..., None, :]).sum(-1)
        return posed, turned / (turned.norm(dim=-1, keepdim=True) + 1e-9)


def _frame(vertices: Tensor, distance: Tensor, shown: Tensor) -> tuple[Tensor, Tensor]:
    """Translations (N, 3) and focal lengths (N,) that put points `shown` (N, P, 3) in the middle of the cut-out."""
    offset = -(shown.amin(1) + shown.amax(1)) / 2
    offset[:, 2] = torch.maximum(distance - vertices[..., 2].mean(1), 0.5 - vertices[..., 2].amin(1))
    for _ in range(2):
        placed = shown + offset[:, None]
        flat = placed[..., :2] / placed[..., 2:]
        offset[:, :2] -= (flat.amin(1) + flat.amax(1)) / 2 * placed[..., 2].mean(1, keepdim=True)
    placed = shown + offset[:, None]
    flat = placed[..., :2] / placed[..., 2:]
    return offset, SIZE / MARGIN / (flat.amax(1) - flat.amin(1)).amax(-1)


def _corners(joints: Tensor) -> Tensor:
    """Joints (J, 3) → the corners (8, 3) of the box around them with some of the person about them."""
    low, high = joints.amin(0) - AROUND, joints.amax(0) + AROUND
    return torch.cartesian_prod(*torch.stack([low, high], 1))


def _lit(looks: Looks, which: Tensor, normals: Tensor) -> Tensor:
    """(N, V, 3) colours under each look's lights."""
    ambient = looks.ambient[which, None]
    key = (normals @ looks.light[which, :, None])[..., 0].clamp(0, 1)
    fill = (normals @ looks.fill[which, :, None])[..., 0].clamp(0, 1)
    shade = (ambient + (1 - ambient) * 1.2 * key + fill) * (1 - 0.25 * normals[..., 1].clamp(0, 1))
    return (looks.colours[which] * shade[..., None] * looks.tint[which, None]).clamp(0, 1)


def _finish(raster: Raster, pixels_a_metre: Tensor, contact: Tensor) -> Tensor:
    """(N, S, S, 4) uint8: contact shadows as in `people.contact_shadow`, and the alpha."""
    inside = raster.face >= 0
    seen = inside.float()
    depth = torch.where(inside, raster.depth, 0)
    blur = _blurs((0.05 * pixels_a_metre).clamp_min(1), depth.shape[-1])
    share = blur @ seen @ blur.mT + 1e-6
    mean = (blur @ depth @ blur.mT) / share
    dark = 1 - contact[:, None, None] * ((depth - mean) / 0.12).clamp(0, 0.7)
    colour = raster.values.clamp(0, 1) * dark[..., None] * 255 * seen[..., None]
    return torch.cat([colour, seen[..., None] * 255], -1).to(torch.uint8)


def _blurs(spread: Tensor, size: int) -> Tensor:
    """(N, S, S) matrices that blur a column by Gaussians of these spreads (N,), mirrored at the ends."""
    at = torch.arange(-size + 1, 2 * size - 1, device=spread.device)
    period = 2 * (size - 1)
    folded = at.remainder(period)
    folded = torch.minimum(folded, period - folded)  # where a pixel beyond the edge is taken from
    apart = torch.arange(size, device=spread.device)[:, None] - at
    reach = (spread * 4).round()[:, None, None]  # OpenCV cuts its kernel off there
    weight = torch.exp(-0.5 * (apart / spread[:, None, None]) ** 2) * (apart.abs() <= reach)
    weight = weight / weight.sum(-1, keepdim=True)
    out = torch.zeros(len(spread), size, size, device=spread.device)
    return out.index_add_(2, folded, weight)
