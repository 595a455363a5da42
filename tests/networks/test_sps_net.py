"""SPS-Net: who attends to whom, what the forecast sees, how both are fused, and the ablations of Table 3."""

from __future__ import annotations

import pytest
import torch

from vibe_cli.networks import build_network
from vibe_cli.networks.sps_net import FusedFeatures, SpsNet, SpsNetConfig

TINY = SpsNetConfig(features=12, attention_hidden=10, forecast_hidden=6, regressor_hidden=16)


def network(**changes: object) -> SpsNet:
    """A tiny network, the same weights every time, evaluating."""
    torch.manual_seed(0)
    return build_network(SpsNetConfig(**{**vars(TINY), **changes})).eval()


def features(frames: int = 32) -> torch.Tensor:
    """Random features (2, frames, 12)."""
    return torch.randn(2, frames, 12, generator=torch.Generator().manual_seed(1))


def changed_frames(before: torch.Tensor, after: torch.Tensor) -> list[int]:
    """Rows of (B, T, F) that differ."""
    return [t for t in range(before.shape[1]) if not torch.equal(before[:, t], after[:, t])]


def test_the_window_is_of_32_frames_and_all_are_estimated() -> None:
    output = network()(features())
    assert SpsNetConfig().window == 32 and output.pose6d.shape == (2, 32, 24, 6)


def test_attention_rows_sum_to_one_and_are_equation_1() -> None:
    net, x = network(), features()
    weights = net.attention.weights(x)
    assert weights.shape == (2, 32, 32) and torch.allclose(weights.sum(-1), torch.ones(2, 32))
    q, k = net.attention.q(x), net.attention.k(x)
    scores = torch.stack([(q[0, 3] * k[0, j]).sum() for j in range(32)]).exp()
    assert torch.allclose(weights[0, 3], scores / scores.sum(), atol=1e-6)


def test_frames_may_attend_to_each_other_unequally() -> None:
    weights = network().attention.weights(features())
    assert not torch.allclose(weights, weights.transpose(-1, -2), atol=1e-3)


def test_the_latent_feature_is_the_frames_own_and_the_attended_sum() -> None:
    net, x = network(), features()
    expected = x[0, 5] + sum(net.attention.weights(x)[0, 5, other] * x[0, other] for other in range(32))
    assert torch.allclose(net.fuse(x).latent[0, 5], expected, atol=1e-5)


def test_attention_sees_past_and_future() -> None:
    net, x = network(), features()
    other = x.clone()
    other[:, 16] += 1
    assert changed_frames(net.fuse(x).latent, net.fuse(other).latent) == list(range(32))


def test_the_forecast_of_a_frame_uses_the_frame_before_and_nothing_later() -> None:
    net, x = network(), features().requires_grad_()
    forecast = net.fuse(x).forecast  # of frames 1 … 31
    assert forecast.shape == (2, 31, 12)
    for frame in (1, 16, 31):
        (slope,) = torch.autograd.grad(forecast[:, frame - 1].sum(), x, retain_graph=True)
        assert [t for t in range(32) if slope[:, t].any()] == [frame - 1]


def test_the_first_frame_has_no_forecast_and_keeps_its_latent_feature() -> None:
    seen = network().fuse(features())
    assert torch.equal(seen.fused[:, 0], seen.latent[:, 0])
    assert not torch.allclose(seen.fused[:, 1], seen.latent[:, 1])


def test_latent_and_forecast_are_weighed_against_each_other() -> None:
    net = network()
    seen = net.fuse(features())
    assert isinstance(seen, FusedFeatures)
    assert seen.weights.shape == (2, 31, 2) and torch.allclose(seen.weights.sum(-1), torch.ones(2, 31))
    latent, forecast = seen.weights[..., :1] * seen.latent[:, 1:], seen.weights[..., 1:] * seen.forecast
    assert torch.allclose(seen.fused[:, 1:], latent + forecast, atol=1e-6)
    ratio = torch.exp(net.fusion.fc(seen.latent[:, 1:]) - net.fusion.fc(seen.forecast))
    assert torch.allclose(seen.weights[..., :1] / seen.weights[..., 1:], ratio, rtol=1e-4)


def test_a_window_has_one_shape() -> None:
    net = network()
    torch.nn.init.normal_(net.regressor.decshape.weight)
    output = net(features())
    assert torch.equal(output.betas, output.betas[:, :1].expand_as(output.betas))
    assert torch.allclose(output.betas[:, 0], net.regressor(net.fuse(features()).fused).betas.mean(1), atol=1e-6)


def test_training_is_given_the_forecast_to_compare_with_what_came() -> None:
    net = network()
    assert net(features()).extras == {}
    forecast = net.train()(features()).extras["forecast"]
    loss = (features()[:, 1:] - forecast).norm(dim=-1).sum()  # equation 3
    loss.backward()
    assert all(value.grad.any() for value in net.forecasting.parameters())
    assert net.attention.q[0].weight.grad is None


@pytest.mark.parametrize("gone, parts", [("forecasting", ("forecasting", "fusion")), ("attention", ("attention",))])
def test_the_ablations_leave_their_module_out(gone: str, parts: tuple[str, ...]) -> None:
    net, x = network(**{gone: False}), features()
    assert not any(name.partition(".")[0] in parts for name in net.state_dict())
    seen = net.train().fuse(x)
    if gone == "forecasting":
        assert torch.equal(seen.fused, seen.latent) and net(x).extras == {}
    else:
        assert torch.equal(seen.latent, x) and not torch.equal(seen.fused, x)


def test_one_frame_alone_is_estimated() -> None:
    output = network()(features(1))
    assert output.pose6d.shape == (2, 1, 24, 6) and torch.isfinite(output.pose6d).all()
