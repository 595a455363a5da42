"""The base class of temporal networks: what each states of itself, so that one code serves them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from vibe_cli.networks.outputs import MotionOutput

if TYPE_CHECKING:
    from vibe_cli.networks import Config


class TemporalNetwork(nn.Module):
    """Features of a window of frames → motion. `motion/` and `pipeline.py` ask for nothing but this.

    A network overrides what is different about it; the values here are those of most.
    """

    config: Config  # a class of its own for each
    features: int  # F, width of the encoder's features that it reads
    window: int  # frames seen at once, as in training
    shortest: int = 1  # frames of the shortest window it can read
    estimates: str = "all"  # all | middle: which frames of a window are estimated; middle is frame window // 2
    edges: str = "shorten"  # shorten: a track shorter than the window is one window of its own length
    #                          repeat: a track's first and last features are repeated beyond its ends
    flow: str | None = None  # method of the optical flow it reads beside the RGB features (flow.METHODS)

    def forward(self, features: Tensor) -> MotionOutput:
        """Features (B, T, F), with a flow stream (B, T, F + G): a frame's RGB features, then its flow's."""
        raise NotImplementedError

    def encode_flow(self, images: Tensor) -> Tensor:
        """Flow images (N, 3, S, S) of `flow.flow_images` → their features (N, G); asked for only where `flow` is."""
        raise NotImplementedError(f"{type(self).__name__} has no flow stream")
