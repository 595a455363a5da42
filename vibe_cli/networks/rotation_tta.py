"""A second look at people who lie, hang or turn over: the crop turned so that they nearly stand.

Most people stand, in training pictures as in life, and a network is at its best with them. It finds a leaning trunk
well enough to tell by how much it leans, though not always its left from its right; the crop is turned by that angle
and predicted again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample

from vibe_cli.networks.flip_test import predict_flipped
from vibe_cli.networks.keypoints import KeypointMaps, KeypointNet
from vibe_cli.networks.lifter import EDGE_OF_CROP, OUTSIDE_CONFIDENCE_RATIO, KeypointPrediction, decode_maps
from vibe_cli.networks.skeleton import pair

TTA = {"flip_test": True, "rotation_tta": True}  # test-time augmentation of encoders that are made now
LEAN_RAD = math.radians(45)  # from which a trunk is turned
HIPS, SHOULDERS = list(pair("hip")), list(pair("shoulder"))


def predict_tta(
    keypoint_net: Callable[[Tensor], KeypointMaps], crops: Tensor, flip_test: bool, rotation_tta: bool
) -> KeypointPrediction:
    """A keypoint network's prediction for crops (N, 3, S, S), with a flip test or without.

    With `rotation_tta` people who lean are predicted again, turned upright, and that is kept where it is surer: a
    trunk that is hidden or foreshortened leans anywhere.
    """

    def once(some: Tensor) -> KeypointPrediction:
        return decode_maps(predict_flipped(keypoint_net, some) if flip_test else keypoint_net(some))

    seen = once(crops)
    lean = lean_of(seen)
    lying = lean.abs() > LEAN_RAD
    if not rotation_tta or not lying.any():
        return seen
    again = turn_back(once(turn_crops(crops[lying], lean[lying])), lean[lying])
    surer = again.confidence.mean(1) > seen.confidence[lying].mean(1)
    lying, again = lying.nonzero()[surer, 0], again.map(lambda x: x[surer])
    return KeypointPrediction(
        **{
            field.name: getattr(seen, field.name).index_put((lying,), getattr(again, field.name))
            for field in fields(KeypointPrediction)
        }
    )


class TTAKeypointNet(nn.Module):
    """A keypoint network with the test-time augmentation of encoders that are made now: crops → KeypointPrediction."""

    def __init__(self, keypoint_net: KeypointNet) -> None:
        super().__init__()
        self.keypoint_net, self.config = keypoint_net, keypoint_net.config

    def forward(self, crops: Tensor) -> KeypointPrediction:
        """As `predict_tta`, for crops (N, 3, S, S)."""
        return predict_tta(self.keypoint_net, crops, **TTA)


def lean_of(seen: KeypointPrediction) -> Tensor:
    """(N,) radians by which trunks lean to the right of the picture, from the hips to the shoulders; ±π hangs."""
    trunk = seen.points[:, SHOULDERS].mean(1) - seen.points[:, HIPS].mean(1)
    return torch.atan2(trunk[:, 0], -trunk[:, 1])


def turn_crops(crops: Tensor, lean: Tensor) -> Tensor:
    """Crops (N, 3, S, S) turned about their middle so that what leans by (N,) radians stands; pixel d at 2d/S − 1.

    A crop as wide as somebody who leans is too low for them as they stand: what is shown is larger by `room`.
    """
    size = crops.shape[-1]
    at = torch.arange(size, device=crops.device) - size / 2
    y, x = torch.meshgrid(at, at, indexing="ij")
    where = torch.stack(turned(x, y, lean[:, None, None]), -1) * room(lean)[:, None, None, None]
    grid = ((where + size / 2) * 2 / (size - 1) - 1).to(crops.dtype)
    return grid_sample(crops, grid, align_corners=True, padding_mode="border")


def turn_back(seen: KeypointPrediction, lean: Tensor) -> KeypointPrediction:
    """A prediction for turned crops mapped back to the crops themselves.

    The facing alone stays as it was seen: from where one stands, not as the picture is turned.
    """
    x, y = seen.points.unbind(-1)
    points = torch.stack(turned(x, y, lean[:, None]), -1) * room(lean)[:, None, None]
    beyond = (points.abs() >= EDGE_OF_CROP).any(-1) & (seen.points.abs() < EDGE_OF_CROP).all(-1)
    confidence = seen.confidence * torch.where(beyond, OUTSIDE_CONFIDENCE_RATIO, 1.0)
    across, down, deep = seen.root.unflatten(1, (3, 2)).unbind(1)  # of the two columns of 6D
    root = torch.stack([*turned(across, down, lean[:, None]), deep], 1).flatten(1)
    return replace(seen, points=points, confidence=confidence, root=root)


def room(lean: Tensor) -> Tensor:
    """(N,) how much taller than the square around them somebody is who leans by (N,) radians, 1..√2."""
    return 1 / torch.maximum(torch.cos(lean).abs(), torch.sin(lean).abs())


def turned(x: Tensor, y: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Points of the picture, x right and y down, turned clockwise."""
    c, s = torch.cos(angle), torch.sin(angle)
    return c * x - s * y, s * x + c * y
