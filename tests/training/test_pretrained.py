"""Weights of a published backbone, read as ours."""

from __future__ import annotations

import torch
from torch import nn

from vibe_cli.networks.keypoints import PIXEL_MEAN, PIXEL_STD
from vibe_cli.networks.lite_backbone import LiteBackbone
from vibe_cli.training.pretrained import EPSILON, THEIR_MEAN, THEIR_STD, convert_lite0


def published_state() -> dict[str, torch.Tensor]:
    """A random state under the published names."""
    torch.manual_seed(0)
    state: dict[str, torch.Tensor] = {}

    def add(convolution: str, norm: str, weight: torch.Tensor) -> None:
        count = len(weight)
        state[f"{convolution}.weight"] = torch.randn_like(weight)
        state.update({f"{norm}.{name}": torch.rand(count) + 0.5 for name in ("weight", "running_var")})
        state.update({f"{norm}.{name}": torch.randn(count) for name in ("bias", "running_mean")})

    for name, weight in LiteBackbone().state_dict().items():
        if name.endswith(".weight"):
            if name.startswith("stem"):
                add("_conv_stem", "_bn0", weight)
                continue
            _, number, layer, _ = name.split(".")
            theirs = {"expand": ("_expand_conv", "_bn0"), "depthwise": ("_depthwise_conv", "_bn1")}
            convolution, norm = theirs.get(layer, ("_project_conv", "_bn2"))
            add(f"_blocks.{number}.{convolution}", f"_blocks.{number}.{norm}", weight)
    return state


def normalised(state: dict[str, torch.Tensor], name: str) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(len(state[f"{name}.weight"]), eps=EPSILON).eval()
    norm.load_state_dict({k: state[f"{name}.{k}"] for k in ("weight", "bias", "running_mean", "running_var")}, False)
    return norm


def test_every_weight_finds_its_place_with_the_normalisation_folded_in() -> None:
    state, ours = published_state(), LiteBackbone().eval()
    ours.load_state_dict(convert_lite0(state))
    pixels = torch.rand(1, 3, 16, 16)
    padded = nn.functional.pad((pixels - THEIR_MEAN) / THEIR_STD, (1, 1, 1, 1))
    wanted = normalised(state, "_bn0")(nn.functional.conv2d(padded, state["_conv_stem.weight"], stride=2))
    found = ours.stem((pixels - PIXEL_MEAN) / PIXEL_STD)
    # ours pads with its own grey: what lies inside is the same
    torch.testing.assert_close(found[..., 1:-1, 1:-1], wanted[..., 1:-1, 1:-1], rtol=1e-4, atol=1e-3)


def test_a_block_is_the_published_one() -> None:
    state, ours = published_state(), LiteBackbone().eval()
    ours.load_state_dict(convert_lite0(state))
    x = torch.rand(1, 16, 8, 8)
    expanded = normalised(state, "_blocks.1._bn0")(nn.functional.conv2d(x, state["_blocks.1._expand_conv.weight"]))
    torch.testing.assert_close(ours.blocks[1].expand(x), expanded, rtol=1e-4, atol=1e-4)
