"""Facts about the networks; tiny ones, random weights."""

from __future__ import annotations

import pytest
import torch

from vibe_cli.errors import ModelError
from vibe_cli.networks import build_network, describe, load_network
from vibe_cli.networks.discriminator import DiscriminatorConfig, MotionDiscriminator
from vibe_cli.networks.mposer import Mposer, MposerConfig, MposerOutput
from vibe_cli.networks.outputs import pack_theta, split_theta
from vibe_cli.networks.regressor import Regressor, RegressorConfig
from vibe_cli.networks.tcmr import TcmrConfig
from vibe_cli.networks.vibe import VibeConfig

VIBE = VibeConfig(features=20, hidden=8, regressor_hidden=12)
TCMR = TcmrConfig(features=20, hidden=8, attention_hidden=6, regressor_hidden=12)
TINY = [VIBE, VibeConfig(features=20, hidden=8, bidirectional=True, residual=False, layers=1), TCMR]


def network(config: object) -> torch.nn.Module:
    """The network of a configuration, evaluating, with the same random weights every time."""
    torch.manual_seed(0)
    return build_network(config).eval()


def features(batch: int = 3, frames: int = 16, width: int = 20) -> torch.Tensor:
    """Random features (batch, frames, width)."""
    return torch.randn(batch, frames, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("config", TINY)
def test_a_network_states_its_window_and_returns_the_frames_it_says(config):
    net = network(config)
    output = net(features())
    frames = {"all": 16, "middle": 1}[net.estimates]
    assert net.window == 16
    assert output.pose6d.shape == (3, frames, 24, 6)
    assert output.betas.shape == (3, frames, 10) and output.camera.shape == (3, frames, 3)
    assert output.rotations.shape == (3, frames, 24, 3, 3) and output.theta.shape == (3, frames, 85)


@pytest.mark.parametrize("config", TINY)
def test_the_batch_a_sequence_is_in_does_not_change_it(config):
    net = network(config)
    together, alone = net(features()), net(features()[1:2])
    assert torch.allclose(together.pose6d[1:2], alone.pose6d, atol=1e-6)


@pytest.mark.parametrize("config", TINY)
def test_a_network_is_rebuilt_from_its_description_and_weights(config):
    net = network(config)
    copy = load_network(describe(config), net.state_dict(), "here")
    assert torch.equal(copy(features()).pose6d, net(features()).pose6d)
    half = load_network(config, {k: v.half() for k, v in net.state_dict().items()}, "here")
    assert half.regressor.fc1.weight.dtype == torch.float32
    assert torch.allclose(half(features()).pose6d, net(features()).pose6d, atol=1e-2)


def test_a_network_is_rebuilt_with_the_buffers_that_are_not_saved():
    config = {"network": "open_encoder", "width": 4, "channels": 8, "size": 32, "features": 16, "hidden": 16}
    net = network(config)
    crops = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    copy = load_network(config, net.state_dict(), "here")
    assert torch.equal(copy(crops).features, net(crops).features)


@pytest.mark.parametrize("config", TINY)
def test_every_weight_of_a_network_learns(config):
    net = network(config).train()
    output = net(features())
    outputs = [output, *output.others.values()]
    sum(value.square().sum() for o in outputs for value in (o.pose6d, o.betas, o.camera)).backward()
    idle = [name for name, value in net.named_parameters() if value.grad is None or not value.grad.any()]
    assert idle == []


def test_the_published_names_are_kept():
    names = set(network(VIBE).state_dict())
    assert {
        "encoder.gru.weight_ih_l0",
        "encoder.gru.bias_hh_l1",
        "encoder.linear.weight",
        "regressor.fc1.weight",
        "regressor.decpose.bias",
        "regressor.init_cam",
    } <= names
    names = set(network(TCMR).state_dict())
    assert {
        "encoder.gru_cur.weight_ih_l1_reverse",
        "encoder.gru_bef.weight_hh_l0",
        "encoder.linear_aft.weight",
        "encoder.attention.fc.weight",
        "encoder.attention.attention.4.bias",
    } <= names
    names = set(network(DiscriminatorConfig(hidden=8)).state_dict())
    assert {"gru.weight_ih_l1", "attention.attention.6.weight", "fc.weight"} <= names


def test_published_sizes_give_published_shapes():
    with torch.device("meta"):
        names = ("vibe", "backbone", "regressor")
        vibe, backbone, regressor = (build_network({"network": name}) for name in names)
    shapes = {name: tuple(value.shape) for name, value in vibe.state_dict().items()}
    assert shapes["encoder.gru.weight_ih_l0"] == (3072, 2048)
    assert shapes["regressor.fc1.weight"] == (1024, 2205)
    assert not any(name.startswith("fc.") for name in backbone.state_dict())
    # SPS-Net's table gives VIBE 48.30 M: that counts the image encoder with SPIN's own regressor
    count = sum(p.numel() for net in (vibe, backbone, regressor) for p in net.parameters())
    assert count / 1e6 == pytest.approx(48.30, abs=0.02)


@pytest.mark.parametrize(
    "values, words",
    [
        ({"network": "vibes"}, "unknown network 'vibes'"),
        ({"network": "vibe", "widht": 3}, "unknown vibe settings: widht"),
        ({}, "unknown network None"),
        (object(), "no network's configuration"),
    ],
)
def test_a_wrong_configuration_is_an_error_with_the_choices(values, words):
    with pytest.raises(ModelError, match=words) as error:
        build_network(values)
    assert error.value.hint


@pytest.mark.parametrize(
    "values",
    [
        {"network": "vibe", "features": "many"},
        {"network": "tcmr", "hidden": -3},
        {"network": "sps_net", "features": None},
        {"network": "dts_vibe", "regressor_heads": 0},
        {"network": "vibe", "layers": 1.5},
    ],
)
def test_settings_of_which_nothing_can_be_made_are_an_error_of_the_model(values):
    with pytest.raises(ModelError, match=f"no network can be made of the settings of '{values['network']}'") as error:
        build_network(values)
    assert error.value.hint


def test_weights_that_do_not_fit_are_listed():
    weights = network(VIBE).state_dict()
    weights["regressor.fc3.weight"] = weights.pop("regressor.fc2.weight")
    weights["encoder.linear.bias"] = torch.zeros(7)
    with pytest.raises(ModelError) as error:
        load_network(VIBE, weights, "model.safetensors")
    for words in (
        "model.safetensors",
        "missing: regressor.fc2.weight",
        "unexpected: regressor.fc3.weight",
        "misshaped: encoder.linear.bias (7,) instead of (20,)",
    ):
        assert words in error.value.message


def test_an_untrained_regressor_says_the_mean_and_feeds_its_estimate_back():
    torch.manual_seed(0)
    regressor = Regressor(RegressorConfig(features=4, hidden=8)).eval()
    output = regressor(torch.randn(2, 3, 4))
    assert torch.allclose(output.rotations, torch.eye(3).expand(2, 3, 24, 3, 3), atol=0.1)
    assert torch.allclose(output.camera[..., 0], torch.full((2, 3), 0.9), atol=0.1)
    # with no weight on the features each round sees only the estimate: x ← x + c·x, three times
    for value in regressor.parameters():
        torch.nn.init.zeros_(value)
    regressor.fc1.weight.data[0, 4 + 144 + 10] = 1  # the camera's scale
    regressor.fc2.weight.data[0, 0] = 1
    regressor.deccam.weight.data[0, 0] = 0.5
    assert torch.allclose(regressor(torch.zeros(1, 1, 4)).camera[..., 0], torch.tensor(0.9 * 1.5**3))


def test_vibe_sees_the_past_and_in_both_directions_the_future():
    def reach(config):
        net, x = network(config), features(1)
        changed = x.clone()
        changed[:, 8] += 1
        difference = (net.encoder(changed) - net.encoder(x)).abs().sum(-1)[0]
        return [t for t in range(16) if difference[t] > 1e-7]

    assert reach(VIBE) == list(range(8, 16))
    assert reach(VibeConfig(features=20, hidden=8, bidirectional=True)) == list(range(16))


def test_without_its_weights_vibe_passes_the_frames_own_features_on():
    net = network(VIBE)
    for value in net.encoder.parameters():
        torch.nn.init.zeros_(value)
    assert torch.equal(net.encoder(features()), features())


def test_tcmrs_past_and_future_do_not_see_the_middle_frame():
    net, x = network(TCMR), features(1)
    changed = x.clone()
    changed[:, 8] += 1
    before, after = net.encoder(x), net.encoder(changed)
    assert torch.equal(before.each[:, 0], after.each[:, 0])
    assert torch.equal(before.each[:, 2], after.each[:, 2])
    assert not torch.allclose(before.each[:, 1], after.each[:, 1])
    early, late = x.clone(), x.clone()
    early[:, 0] += 1
    late[:, 15] += 1
    assert not torch.allclose(net.encoder(early).each[:, 0], before.each[:, 0])
    assert torch.equal(net.encoder(early).each[:, 2], before.each[:, 2])
    assert not torch.allclose(net.encoder(late).each[:, 2], before.each[:, 2])


def test_tcmrs_weights_of_past_all_and_future_sum_to_one():
    encoded = network(TCMR).encoder(features())
    assert torch.allclose(encoded.scores.sum(-1), torch.ones(3))
    assert torch.allclose(encoded.integrated, (encoded.scores[..., None] * encoded.each).sum(1))


def test_tcmr_tells_past_and_future_apart_only_in_training():
    net = network(TCMR)
    assert net(features()).others == {}
    others = net.train()(features()).others
    assert set(others) == {"past", "future"} and others["past"].pose6d.shape == (3, 1, 24, 6)


@pytest.mark.parametrize("pooling", ["attention", "concat"])
def test_the_discriminator_gives_one_number_a_sequence(pooling):
    net = network(DiscriminatorConfig(hidden=8, attention_hidden=6, pooling=pooling))
    motion = torch.randn(2, 16, 69, generator=torch.Generator().manual_seed(2))
    scores = net(motion)
    assert scores.shape == (2, 1)
    assert not torch.allclose(net(motion.flip(1)), scores)  # order in time matters


def test_attention_of_equal_weights_is_the_mean_and_concat_is_mean_and_maximum():
    states = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(3))
    attention = network(DiscriminatorConfig(hidden=8)).attention
    torch.nn.init.zeros_(attention.attention[6].weight)
    assert torch.allclose(attention(states), states.mean(1), atol=1e-6)
    concat = MotionDiscriminator(DiscriminatorConfig(hidden=8, pooling="concat")).attention
    assert torch.equal(concat(states), torch.cat([states.mean(1), states.max(1).values], -1))


def test_an_unknown_pooling_is_an_error():
    with pytest.raises(ModelError, match="unknown pooling 'max'"):
        MotionDiscriminator(DiscriminatorConfig(pooling="max"))


def test_mposer_learns_to_rebuild_a_motion_through_32_numbers_a_frame():
    torch.manual_seed(0)
    net = Mposer(MposerConfig(joints=3, hidden=32, layers=1))
    time = torch.linspace(0, 3, 8)
    motion = torch.stack([torch.sin(time + k) for k in range(18)], -1).view(1, 8, 3, 6)
    optimizer = torch.optim.Adam(net.parameters(), 2e-2)
    for _ in range(40):
        output = net(motion)
        loss = (output.pose6d - motion).square().mean() + 1e-3 * output.divergence.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    output = net.eval()(motion)
    assert output.mean.shape == (1, 8, 32) and output.rotations.shape == (1, 8, 3, 3, 3)
    assert (output.pose6d - motion).square().mean() < 0.1 * motion.square().mean()


def test_mposer_samples_in_training_and_repeats_itself_in_use():
    net = Mposer(MposerConfig(joints=2, hidden=4))
    poses = torch.randn(1, 4, 2, 6, generator=torch.Generator().manual_seed(4))
    assert not torch.equal(net.train()(poses).pose6d, net(poses).pose6d)
    assert torch.equal(net.eval()(poses).pose6d, net(poses).pose6d)


def test_the_divergence_of_a_standard_normal_is_zero():
    output = MposerOutput(torch.zeros(1, 2, 1, 6), torch.zeros(1, 2, 3), torch.zeros(1, 2, 3))
    assert torch.equal(output.divergence, torch.zeros(1, 2))
    shifted = MposerOutput(output.pose6d, torch.full((1, 2, 3), 2.0), output.log_variance)
    assert torch.allclose(shifted.divergence, torch.full((1, 2), 6.0))


def test_theta_is_packed_and_split_in_one_order():
    theta = torch.arange(85.0)
    camera, pose, betas = split_theta(theta)
    assert camera.tolist() == [0, 1, 2] and pose[0] == 3 and betas.tolist() == list(range(75, 85))
    assert torch.equal(pack_theta(camera, pose, betas), theta)


def test_the_backbone_sees_each_crop_by_itself():
    net = network({"network": "backbone"})
    crops = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        output = net(crops)
        assert output.features.shape == (2, 2048) and output.keypoints is None
        assert torch.allclose(net(crops[1:]).features, output.features[1:], atol=1e-4)
