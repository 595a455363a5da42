"""Flow images without pictures: how people whose motion is known would move in a crop (DTS-VIBE's second stream).

Where observations are simulated there are no pictures to take optical flow of, and of drawn clips only what the
encoder saw is kept. But where every point of a body was a frame earlier is known, so the flow of its pixels is:
points along the bones carry their motion to the cells near them. The rest of the crop moves as the camera does.
The images are as small as the flow encoder's averaged ones (`DtsVibeConfig.flow_side`), so what a pixel's flow
lacks in detail is not seen. Beside DIS on six held-out drawn clips, 32 pixels a side, inside the person and where
anything moves, the correlation is 0.56 (0.30 over all of the person, most of whom is still and DIS only errs).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from vibe_cli.geometry.skeleton import PARENTS
from vibe_cli.networks.lifter import fit_camera
from vibe_cli.networks.skeleton import COUNT
from vibe_cli.people.flow import FULL_SPEED

UNIT = 2 * FULL_SPEED  # the displacement, in −1..1 of a crop, that is as bright as a flow image gets
RADIUS = 0.07  # metres about a bone
TRACK_STARTS = 0.15  # share of the clips whose first frame is its track's first and has no flow
DRIFT = 0.03  # of people or cameras, a frame, in −1..1 of the crop
NOISE = 0.045  # of the flow, as bright as the full speed is 1: so much DIS errs on drawn people
GAIN = (0.4, 1.0)  # how much of a motion the flow shows; DIS shows 0.64 of it on drawn people


@dataclass(frozen=True, eq=False)
class Fields:
    """The flow of clips, each frame's to the frame before it; the first frame of a clip has none."""

    images: Tensor  # (B, T − 1, 3, S, S) as flow.flow_images gives them: u, v, speed, 1 at full speed
    drift: Tensor  # (B, T − 1, 2) what the pelvis moves by, in −1..1 of the crop
    scale: Tensor  # (B, T − 1) of the weak-perspective camera of each frame, −1..1 a metre

    def flow(self) -> Tensor:
        """(B, T − 1, 2, S, S) displacements in −1..1 of the crop."""
        return self.images[:, :, :2] * UNIT


def draw_fields(points: Tensor, pixels: Tensor, side: int) -> Fields:
    """Clips' keypoints (B, T, K, 3) metres from the pelvis and where crops show them (B, T, K, 2) → their flow.

    The pelvis moves by a drift drawn for each clip: nobody moves, or the person over a still ground, or the ground
    behind a person whom the camera follows.
    """
    clips, frames = points.shape[0], points.shape[1] - 1
    camera = fit_camera(points[:, 1:, :, :2], pixels[:, 1:], torch.ones_like(pixels[:, 1:, :, 0]))
    scale = camera[..., 0]
    kind = torch.rand(clips, 1, 1, device=points.device)
    speed = DRIFT * (
        torch.randn(clips, 1, 2, device=points.device) + 0.3 * torch.randn(clips, frames, 2, device=points.device)
    )
    drift, ground = speed * (kind < 0.25), -speed * (kind > 0.75)
    moves = scale[..., None, None] * (points[:, :-1] - points[:, 1:])[..., :2] + drift[:, :, None]
    shown = GAIN[0] + (GAIN[1] - GAIN[0]) * torch.rand(clips, 1, 1, 1, device=points.device)
    flow = _spread(pixels[:, 1:], moves * shown, ground.expand(-1, frames, -1), scale, side)
    coarse = NOISE * torch.randn(clips * frames, 2, 4, 4, device=points.device)
    flow = flow / UNIT + interpolate(coarse, (side, side), mode="bilinear").unflatten(0, (clips, frames))
    images = torch.cat([flow, flow.norm(dim=2, keepdim=True)], dim=2).clamp(-1, 1)
    first = torch.rand(clips, device=points.device) < TRACK_STARTS
    images[first, 0] = 0
    return Fields(images, drift.expand(-1, frames, -1), scale)


def _spread(pixels: Tensor, moves: Tensor, ground: Tensor, scale: Tensor, side: int) -> Tensor:
    """Motion of keypoints (…, K, 2) over the cells near the body, of the ground (…, 2) elsewhere → (…, 2, S, S)."""
    blend = _along_bones().to(pixels)
    at, move = blend @ pixels, blend @ moves
    grid = (torch.arange(side, device=pixels.device) + 0.5) * (2 / side) - 1
    width = (2 * (RADIUS * scale).clamp_min(1 / side) ** 2)[..., None, None]
    across = torch.exp(-(grid - at[..., :1]).square() / width)  # (…, P, S)
    down = torch.exp(-(grid - at[..., 1:]).square() / width)
    total = down.mT @ across
    sums = torch.stack([down.mT @ (across * move[..., axis, None]) for axis in (0, 1)], dim=-3)
    cover = (1 - torch.exp(-3 * total))[..., None, :, :]
    return cover * sums / total.clamp_min(1e-6)[..., None, :, :] + (1 - cover) * ground[..., None, None]


def _along_bones() -> Tensor:
    """(P, K) weights that make of the keypoints themselves and of points along the bones of the 24 joints."""
    rows = [torch.eye(COUNT)]
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            part = torch.tensor([0.25, 0.5, 0.75])
            bone = torch.zeros(3, COUNT)
            bone[:, joint], bone[:, parent] = part, 1 - part
            rows.append(bone)
    return torch.cat(rows)
