"""DTS-VIBE: its two streams, its attention, and the choices that the paper leaves."""

from __future__ import annotations

import pytest
import torch

from vibe_cli.errors import ModelError
from vibe_cli.networks import build_network, describe
from vibe_cli.networks.dts_vibe import PARAMETERS, Attention, DtsVibe, DtsVibeConfig, positions

TINY = DtsVibeConfig(features=10, flow_encoder="small", flow_width=2, width=16, encoder_layers=2, encoder_heads=4)


def network(**changes: object) -> DtsVibe:
    """A tiny network, the same weights every time, evaluating."""
    torch.manual_seed(0)
    return build_network(DtsVibeConfig(**{**vars(TINY), **changes})).eval()


def features(frames: int = 16, width: int = 10 + 16) -> torch.Tensor:
    """Random features of both streams (2, frames, F + G)."""
    return torch.randn(2, frames, width, generator=torch.Generator().manual_seed(1))


def test_the_published_sizes_are_the_papers() -> None:
    with torch.device("meta"):
        net = build_network(DtsVibeConfig())
    assert len(net.encoder) == 6 and len(net.regressor) == 3 and net.window == 16
    assert net.encoder[0].attention.heads == 8 and net.regressor[0].attention.heads == 4
    assert (net.reduce.in_features, net.reduce.out_features) == (2048, 512)
    assert (net.reduce_flow.in_features, net.reduce_flow.out_features) == (2048, 512)
    assert (net.coarse.in_features, net.coarse.out_features) == (512, 157)


def test_the_regressors_tokens_are_157_parameters_and_three_spares_that_four_heads_divide() -> None:
    assert PARAMETERS == 157 and DtsVibeConfig().token_width == 160
    assert DtsVibeConfig(regressor_heads=1).token_width == 157
    net = network()
    assert net.regressor[0].attention.out.in_features == 160
    output = net(features())
    assert sum(value[0, 0].numel() for value in (output.pose6d, output.betas, output.camera)) == 157


def test_the_regressor_corrects_the_coarse_parameters() -> None:
    net = network()
    for layer in net.regressor:
        for last in (layer.attention.out, layer.feed_forward[-1]):
            torch.nn.init.zeros_(last.weight)
    torch.nn.init.normal_(net.coarse.weight)
    coarse, output = net.coarse(net.fuse(features())), net(features())
    whole = torch.cat([output.pose6d.flatten(-2), output.betas, output.camera], dim=-1)
    assert torch.equal(whole, coarse), "a regressor without weights changes nothing"


def test_untrained_it_stands_near_the_rest_pose() -> None:
    output = network()(features())
    assert torch.allclose(output.rotations, torch.eye(3).expand(2, 16, 24, 3, 3), atol=0.2)
    assert torch.allclose(output.camera[..., 0], torch.full((2, 16), 0.9), atol=0.2)


def test_attention_rows_sum_to_one_and_are_equation_2() -> None:
    torch.manual_seed(0)
    attention, x = Attention(16, 4), features(16, 16)
    weights = attention.weights(x)
    assert weights.shape == (2, 4, 16, 16) and torch.allclose(weights.sum(-1), torch.ones(2, 4, 16))
    placed, head = x + positions(16, 16), slice(8, 12)  # the third head of four
    q, k, v = (
        layer(y)[0, :, head]
        for layer, y in zip((attention.q, attention.k, attention.v), (placed, placed, x), strict=True)
    )
    expected = torch.softmax(q @ k.T / 4**0.5, dim=-1)
    assert torch.allclose(weights[0, 2], expected, atol=1e-6)
    mixed = torch.cat([weights[0, i] @ attention.v(x)[0, :, 4 * i : 4 * i + 4] for i in range(4)], dim=-1)
    assert torch.allclose(attention(x)[0], attention.out(mixed), atol=1e-6)
    assert torch.allclose(mixed[:, head], expected @ v, atol=1e-6)


def test_every_frame_sees_every_other_and_where_it_stands() -> None:
    net, x = network(), features()
    other = x.clone()
    other[:, 8, :10] += 1
    difference = (net.fuse(x) - net.fuse(other)).abs().sum(-1)
    assert (difference > 0).all()
    swapped = x[:, torch.randperm(16, generator=torch.Generator().manual_seed(2))]
    assert not torch.allclose(net.fuse(x).mean(1), net.fuse(swapped).mean(1), atol=1e-4), "order in time matters"


def test_positions_differ_and_do_not_depend_on_the_length() -> None:
    place = positions(64, 16)
    assert torch.equal(positions(7, 16), place[:7]) and positions(3, 5).shape == (3, 5)
    assert (torch.cdist(place, place) + 9 * torch.eye(64)).min() > 0.1


def test_flow_is_added_late_to_its_own_frame() -> None:
    net, x = network(), features()
    moved = x.clone()
    moved[:, 8, 10:] += 1
    change = net.fuse(moved) - net.fuse(x)
    assert [t for t in range(16) if change[:, t].abs().max() > 1e-6] == [8]
    expected = net.reduce_flow(moved[:, 8, 10:]) - net.reduce_flow(x[:, 8, 10:])
    assert torch.allclose(change[:, 8], expected, atol=1e-5)


def test_without_flow_there_is_no_stream_and_no_flow_encoder() -> None:
    net = network(flow=None)
    assert net.flow is None and net.config.flow_features == 0
    assert not any("flow" in name for name in net.state_dict())
    assert net(features(16, 10)).pose6d.shape == (2, 16, 24, 6)


@pytest.mark.parametrize("kind, side, width", [("small", 32, 16), ("resnet50", 32, 2048)])
def test_a_flow_encoder_reads_each_image_by_itself(kind: str, side: int, width: int) -> None:
    net = network(flow_encoder=kind)
    images = torch.randn(3, 3, side, side, generator=torch.Generator().manual_seed(3)).clamp(-1, 1)
    with torch.inference_mode():
        together = net.encode_flow(images)
        assert together.shape == (3, width) == (3, net.config.flow_features)
        assert torch.allclose(net.encode_flow(images[1:2]), together[1:2], atol=1e-4)
        assert not torch.allclose(together[0], together[1], atol=1e-3)


def test_the_flow_encoder_is_part_of_the_networks_weights() -> None:
    names = set(network().state_dict())
    assert "flow_encoder.backbone.conv1.weight" in names
    assert {"flow_encoder.conv1.weight", "flow_encoder.layer4.2.bn3.running_var"} <= set(
        network(flow_encoder="resnet50").state_dict()
    )


def test_training_gives_the_flow_loss_the_joints_of_consecutive_frames() -> None:
    net = network().train()
    output = net(features())
    assert output.pose6d.shape[1] == output.camera.shape[1] == 16
    (output.camera.diff(dim=1).square().sum() + output.pose6d.diff(dim=1).square().sum()).backward()
    assert net.reduce_flow.weight.grad.any() and net.reduce.weight.grad.any()


@pytest.mark.parametrize(
    "changes, words",
    [({"encoder_heads": 3}, "3 heads do not divide 16"), ({"flow_encoder": "large"}, "unknown flow encoder 'large'")],
)
def test_a_shape_that_cannot_be_is_an_error_with_a_hint(changes: dict, words: str) -> None:
    with pytest.raises(ModelError, match=words) as error:
        build_network({**describe(TINY), **changes})
    assert error.value.hint
