"""The lite backbone: shapes, what stays frozen, and the gradients of its own depthwise convolution."""

from __future__ import annotations

import pytest
import torch

from vibe_cli.networks import lite_backbone
from vibe_cli.networks.lite_backbone import CHANNELS, Depthwise, LiteBackbone


def test_maps_lie_at_four_strides() -> None:
    with torch.inference_mode():
        maps = LiteBackbone()(torch.zeros(1, 3, 64, 96))
    assert [tuple(m.shape) for m in maps] == [
        (1, c, 64 // s, 96 // s) for c, s in zip(CHANNELS, (4, 8, 16, 32), strict=True)
    ]


def test_frozen_blocks_get_no_gradient_and_the_rest_does() -> None:
    net = LiteBackbone(frozen=2)
    net(torch.rand(1, 3, 32, 32))[3].sum().backward()
    assert net.stem.weight.grad is None and net.blocks[1].project.weight.grad is None
    assert net.blocks[2].project.weight.grad is not None


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (5, 1), (3, 2), (5, 2)])
def test_the_depthwise_gradients_are_autograds(kernel: int, stride: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lite_backbone, "GRADIENT_SHARE", 1)  # all pictures tell the kernel's
    torch.manual_seed(0)
    layer, x = Depthwise(4, kernel, stride).train(), torch.randn(3, 4, 8, 12)
    found = []
    for fast in (True, False):
        layer.zero_grad()
        picture = x.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            result = layer(picture)
        (result.float() ** 2).sum().backward()
        found.append([picture.grad, layer.weight.grad, layer.bias.grad])
    for fast, plain in zip(*found, strict=True):
        torch.testing.assert_close(fast.float(), plain, rtol=0.03, atol=0.03 * float(plain.abs().max()))


def test_a_sampled_gradient_is_right_on_average() -> None:
    torch.manual_seed(1)
    layer, x = Depthwise(2, 3, 1).train(), torch.randn(12, 2, 8, 8)

    def gradient() -> torch.Tensor:
        layer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            layer(x).float().sum().backward()
        return layer.weight.grad.clone()

    mean = torch.stack([gradient() for _ in range(300)]).mean(0)
    layer.zero_grad()
    layer(x).sum().backward()
    error = (mean - layer.weight.grad).abs().max() / layer.weight.grad.abs().max()
    assert error < 0.35
