"""A network that begins with the weights of a shallower or a deeper one."""

from __future__ import annotations

import pytest
import torch

from vibe_cli.networks.keypoints import KeypointConfig, KeypointNet
from vibe_cli.training.keypoints import freeze_first_layers
from vibe_cli.training.weights import take_over


def keypoint_net(*layers: int, width: int = 8) -> KeypointNet:
    torch.manual_seed(sum(layers))
    net = KeypointNet(KeypointConfig(width=width, channels=16, size=64, layers=layers)).train()
    with torch.no_grad():
        for _ in range(2):  # that normalisation has something to remember
            net(torch.randn(4, 3, 64, 64))
    return net.eval()


@torch.no_grad()
def test_a_deeper_network_begins_as_the_one_it_takes_over() -> None:
    shallow, deep, crops = keypoint_net(2, 2, 2, 2), keypoint_net(2, 2, 4, 3), torch.randn(2, 3, 64, 64)
    assert not torch.allclose(deep(crops).heat, shallow(crops).heat, atol=1e-2)
    take_over(deep, shallow.state_dict())
    assert torch.allclose(deep(crops).heat, shallow(crops).heat, atol=1e-4)
    assert torch.allclose(deep(crops).pooled, shallow(crops).pooled, atol=1e-4)


def test_what_a_deeper_network_adds_can_learn() -> None:
    deep = keypoint_net(2, 2, 3, 2)
    take_over(deep, keypoint_net(2, 2, 2, 2).state_dict())
    deep(torch.randn(2, 3, 64, 64)).heat.square().mean().backward()
    assert deep.backbone.layer3[2].bn2.weight.grad.abs().max() > 0


@torch.no_grad()
def test_a_shallower_network_keeps_the_blocks_that_it_has() -> None:
    deep, shallow, crops = keypoint_net(2, 2, 3, 3), keypoint_net(2, 2, 2, 2), torch.randn(2, 3, 64, 64)
    for block in (deep.backbone.layer3[2], deep.backbone.layer4[2]):
        block.bn2.weight.zero_()
        block.bn2.bias.zero_()
    take_over(shallow, deep.state_dict())
    assert torch.allclose(deep(crops).heat, shallow(crops).heat, atol=1e-4)


def test_nothing_else_may_differ() -> None:
    with pytest.raises(RuntimeError):
        take_over(keypoint_net(2, 2, 2, 2), keypoint_net(2, 2, 2, 2, width=16).state_dict())
    lacking = keypoint_net(2, 2, 2, 2).state_dict()
    del lacking["heat.weight"]
    with pytest.raises(RuntimeError, match="heat.weight"):
        take_over(keypoint_net(2, 2, 2, 2), lacking)


def test_frozen_layers_stay_and_the_others_learn() -> None:
    net = KeypointNet(KeypointConfig(width=8, channels=16, size=64)).train()
    freeze_first_layers(net)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.1)
    maps = net(torch.randn(4, 3, 64, 64))
    (maps.heat.mean() + maps.root.mean()).backward()
    optimiser.step()
    first = ("backbone.conv1", "backbone.bn1", "backbone.layer1")
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert not any(name.startswith(first) for name in changed)
    assert {"backbone.layer2.0.conv1.weight", "backbone.layer2.0.bn1.running_mean", "heat.weight"} <= changed
