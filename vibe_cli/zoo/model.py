"""The model that recovers motion, as one value: `reader.load_model` makes it, the stages take it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn

    from vibe_cli.body.body_models import Body
    from vibe_cli.networks.temporal import TemporalNetwork
    from vibe_cli.people.detectors import Detector
    from vibe_cli.people.flow import FlowMethod


@dataclass(frozen=True, eq=False)
class Model:
    """Everything that recovering motion needs, on its device, in evaluation mode."""

    name: str  # of the temporal network
    detector_name: str
    detector: Detector
    encoder: nn.Module  # crops (N, 3, S, S) → EncoderOutput
    network: TemporalNetwork  # features (B, T, F) → MotionOutput
    body: Body
    crop_size: int  # pixels, S
    crop_scale: float  # side of the crop over the larger side of the person's box
    device: torch.device
    dtype: torch.dtype  # in which the encoder computes
    camera_origin: str  # pelvis | body: the point of the body that the network's camera places
    shape_known: bool = True  # whether the network's betas belong to the body; else it is posed with its mean shape
    flow: FlowMethod | None = None  # of the network's flow stream, where it has one
    notes: tuple[str, ...] = ()  # what whoever chose it should know; a run's first warnings


@dataclass(frozen=True, eq=False)
class FrozenEncoder:
    """An encoder by itself, with all of a `Model` that encoding needs."""

    encoder: nn.Module
    crop_size: int
    crop_scale: float
    device: torch.device
    dtype: torch.dtype
    flow: None = None
