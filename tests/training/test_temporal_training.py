"""Training the four temporal systems on observations of clips: what each is fed, and what it is asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.helpers.tiny import TEMPORAL
from vibe_cli.errors import UsageError
from vibe_cli.geometry.rotations import matrix_from_axis_angle, sixd_from_matrix
from vibe_cli.importing.systems import SYSTEMS
from vibe_cli.motion.regress import regress
from vibe_cli.networks import build_network
from vibe_cli.networks.lifter import Lifter, LifterConfig
from vibe_cli.networks.mposer import Mposer, MposerConfig
from vibe_cli.networks.outputs import MotionOutput
from vibe_cli.networks.regressor import Regressor
from vibe_cli.networks.skeleton import COUNT
from vibe_cli.networks.vibe import Vibe, VibeConfig
from vibe_cli.paths import models_dir
from vibe_cli.people.flow import flow_images
from vibe_cli.synth.keypoint_body import KeypointBody
from vibe_cli.synth.mocap import Clip
from vibe_cli.synth.poses import PoseBank, random_pose
from vibe_cli.training.adversary import Adversary, MposerTraining, captured, train_mposer
from vibe_cli.training.loop import LoopOptions
from vibe_cli.training.motion_fields import UNIT, draw_fields
from vibe_cli.training.objective import Objective, Weights, estimate, hide_points
from vibe_cli.training.simulate import simulate_clips
from vibe_cli.training.temporal import TemporalTraining, open_network, train_temporal
from vibe_cli.training.warm_start import warm_start

WINDOW, DRAWN = 8, 9
TINY = TemporalTraining(steps=2, batch=3, threads=1, discriminator_hidden=8)


@pytest.fixture(scope="module")
def body() -> KeypointBody:
    return KeypointBody.load(models_dir() / "open-body" / "weights.safetensors")


@pytest.fixture(scope="module")
def bank() -> PoseBank:
    rng = np.random.default_rng(0)
    swing = np.sin(np.linspace(0, 12, 60))[:, None, None]
    clips = []
    for index in range(6):
        turn = matrix_from_axis_angle(torch.from_numpy(swing * rng.normal(0, 0.3, (1, 24, 3)))).numpy()
        clips.append(Clip(str(index), (random_pose(rng) @ turn).astype(np.float32)))
    return PoseBank(clips)


@pytest.fixture(scope="module")
def lifter() -> Lifter:
    torch.manual_seed(0)
    return Lifter(LifterConfig(features=16, hidden=16, blocks=1, pooled=5)).eval()


@pytest.fixture(scope="module")
def drawn(bank: PoseBank, body: KeypointBody) -> tuple:
    torch.manual_seed(0)
    return simulate_clips(np.random.default_rng(0), bank, body, 5, DRAWN, 5)


def network(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_network({**TEMPORAL[name], **({"flow_side": 32} if name == "dts_vibe" else {})})


@pytest.mark.parametrize("name", TEMPORAL)
def test_every_system_learns_from_drawn_and_simulated_clips(name: str, body, bank, lifter, drawn) -> None:
    net = network(name)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    trained = train_temporal(net, lifter, body, drawn, DRAWN, bank, replace(TINY, simulated_share=0.5), print)
    assert trained is net and not net.training
    still = [key for key, value in net.named_parameters() if torch.equal(value, before[key])]
    assert still == []
    assert all(bool(value.isfinite().all()) for value in net.state_dict().values())


@pytest.mark.parametrize("name", TEMPORAL)
def test_equal_seeds_give_equal_weights_and_other_seeds_others(name: str, body, bank, lifter, drawn) -> None:
    runs = []
    for seed in (1, 1, 2):
        net = network(name)
        train_temporal(net, lifter, body, drawn, DRAWN, bank, replace(TINY, seed=seed), print)
        runs.append(torch.cat([value.flatten() for value in net.parameters()]))
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])


def test_drawn_clips_shorter_than_the_window_are_windows_of_their_own_length(body, bank, lifter, drawn) -> None:
    seen, truth = (
        part.map(lambda x: x[:12]) if hasattr(part, "map") else {k: v[:12] for k, v in part.items()} for part in drawn
    )
    options = replace(TINY, simulated_share=0.0)
    for name in ("vibe", "dts_vibe", "sps_net"):
        train_temporal(network(name), lifter, body, (seen, truth), 6, bank, options, print)
    with pytest.raises(UsageError, match="6 frames"):
        train_temporal(network("tcmr"), lifter, body, (seen, truth), 6, bank, options, print)


def test_the_loss_of_a_longer_run_falls(body, bank, lifter) -> None:
    told: list[float] = []
    train_temporal(
        network("vibe"),
        lifter,
        body,
        None,
        0,
        bank,
        replace(TINY, steps=30, rate=1e-2, batch=8),
        print,
        how=LoopOptions(watch=lambda step, parts: told.append(parts["joints"])),
    )
    assert np.mean(told[-8:]) < 0.85 * np.mean(told[:8])


@pytest.mark.parametrize("name", ["vibe", "dts_vibe", "sps_net"])
def test_discriminator_and_prior_change_what_is_learnt(name: str, body, bank, lifter) -> None:
    torch.manual_seed(3)
    prior = Mposer(MposerConfig(hidden=8, layers=1, latent=4)).eval().requires_grad_(False)
    weights = []
    for options, judge in ((TINY, None), (replace(TINY, discriminator=True), None), (TINY, prior)):
        net = network(name)
        train_temporal(net, lifter, body, None, 0, bank, options, print, prior=judge)
        weights.append(torch.cat([value.flatten() for value in net.parameters()]))
    assert not torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_tcmr_is_not_judged_by_a_discriminator(body, bank, lifter) -> None:
    with pytest.raises(UsageError):
        train_temporal(network("tcmr"), lifter, body, None, 0, bank, replace(TINY, discriminator=True), print)


def test_a_middle_frame_network_estimates_the_frames_that_it_is_compared_with() -> None:
    net = network("tcmr").eval()
    torch.nn.init.normal_(net.regressor.decpose.weight, std=0.1)
    features = torch.randn(20, 16)
    with torch.inference_mode():
        served, _, _ = regress(net, features, None, None)
        output, at = estimate(net, features[None])
    assert output.rotations.shape[1] == 20 - WINDOW + 1
    assert torch.allclose(output.rotations[0], served[at], atol=1e-5)


def test_past_and_future_of_tcmr_are_supervised_too(body, bank, lifter) -> None:
    net = network("tcmr").train()
    objective = Objective(net, lifter, body, Weights())
    seen, truth = simulate_clips(np.random.default_rng(0), bank, body, 2, objective.frames, 5)
    loss, parts, _ = objective(seen, {k: v.unflatten(0, (2, -1)) for k, v in truth.items()})
    alone = objective._supervise(
        estimate(net, lifter(seen).unflatten(0, (2, -1)))[0],
        {k: v.unflatten(0, (2, -1))[:, 4:7] for k, v in truth.items()},
    )[0]
    assert objective.frames == WINDOW + 2
    assert loss.item() == pytest.approx((alone + parts["past"] + parts["future"]).item(), rel=0.02)


def test_vibe_begins_as_the_single_frame_model() -> None:
    torch.manual_seed(0)
    net = Vibe(VibeConfig(features=16, hidden=8, layers=1, regressor_hidden=16, dropout=0.1)).eval()
    regressor = Regressor(net.config.regressor).eval()
    torch.nn.init.normal_(regressor.decpose.weight, std=0.1)
    warm_start(net, regressor)
    x = torch.randn(2, 9, 16)
    assert torch.equal(net(x).pose6d, regressor(x).pose6d)


@pytest.mark.parametrize("name", TEMPORAL)
def test_every_system_begins_from_a_single_frame_model(name: str) -> None:
    net = network(name).eval()
    regressor = Regressor(build_network(TEMPORAL["vibe"]).config.regressor)
    torch.nn.init.normal_(regressor.init_pose)
    warm_start(net, regressor)
    x = torch.zeros(1, WINDOW, 16 + getattr(net.config, "flow_features", 0))
    assert torch.allclose(net(x).pose6d.flatten(2), regressor.init_pose.expand(1, 1, -1), atol=0.3)


@pytest.mark.parametrize("name", ["tcmr", "dts_vibe"])
def test_fitted_layers_begin_nearer_to_the_single_frame_model(name: str) -> None:
    """Untrained layers lose much of what they read; what they keep is read out best."""
    torch.manual_seed(0)
    regressor = Regressor(build_network(TEMPORAL["vibe"]).config.regressor).eval()
    torch.nn.init.normal_(regressor.decpose.weight, std=0.3)
    windows = torch.cumsum(torch.randn(300, WINDOW, 16), 1) * 0.3
    off = {}
    for fitted in (False, True):
        net = network(name).eval()
        warm_start(net, regressor, windows if fitted else None)
        flow = torch.zeros(300, WINDOW, getattr(net.config, "flow_features", 0))
        output, at = estimate(net, torch.cat([windows, flow], -1))
        off[fitted] = (output.pose6d - regressor(windows).pose6d[:, at]).detach().square().mean()
    assert off[True] < 0.5 * off[False]


def test_the_open_family_has_every_system_with_the_papers_windows() -> None:
    nets = {name: open_network(name) for name in SYSTEMS}
    assert {name: net.window for name, net in nets.items()} == {"vibe": 16, "tcmr": 16, "dts-vibe": 16, "sps-net": 32}
    assert sum(p.numel() for net in nets.values() for p in net.parameters()) < 32e6
    with pytest.raises(UsageError):
        open_network("hmr")


def test_hidden_points_are_three_to_five_and_their_neighbours(bank, body) -> None:
    seen, _ = simulate_clips(np.random.default_rng(0), bank, body, 6, WINDOW, 5)
    spread = replace(
        seen,
        points=torch.arange(COUNT)[:, None].expand(seen.points.shape).float(),
        confidence=torch.ones_like(seen.confidence),
    )
    lost = (hide_points(spread).confidence == 0).sum(1)
    assert set(lost.tolist()) <= {3, 4, 5} and len(set(lost.tolist())) > 1
    heap = replace(seen, points=torch.zeros_like(seen.points), confidence=torch.ones_like(seen.confidence))
    assert bool((hide_points(heap).confidence == 0).all())


def test_drawn_flow_leads_back_to_where_a_joint_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vibe_cli.training.motion_fields.GAIN", (1.0, 1.0))
    torch.manual_seed(0)
    points = torch.randn(6, 1, COUNT, 3) * 0.3
    moved = torch.cat([points, points + torch.tensor([0.04, -0.02, 0])], dim=1)  # every point, over the pelvis
    pixels = 0.8 * moved[..., :2]
    fields = draw_fields(moved, pixels, 32)
    assert fields.images.shape == (6, 1, 3, 32, 32) and fields.images.abs().max() <= 1
    there = fields.images[:, 0].abs().sum((1, 2, 3)) > 0  # not the first frames of tracks
    middle = fields.flow()[there, 0, :, 12:20, 12:20].mean((2, 3))
    wanted = (0.8 * torch.tensor([-0.04, 0.02])) + fields.drift[there, 0]
    assert there.any() and torch.allclose(middle, wanted, atol=0.02)


def test_drawn_flow_is_as_bright_as_flow_of_pictures() -> None:
    flow = np.zeros((1, 64, 64, 2), np.float32)
    flow[..., 0] = 4  # pixels; 4 / 32 in −1..1 of the crop
    assert flow_images(flow)[0, 0, 0, 0] * UNIT == pytest.approx(4 / 32)


@pytest.mark.parametrize("shaped", [False, True])
def test_the_discriminator_learns_to_tell_captured_from_shaken_motions(shaped: bool, bank) -> None:
    torch.manual_seed(0)
    adversary = Adversary(5e-3, 16, shaped)
    rng, told = np.random.default_rng(0), []
    for _ in range(25):
        real = captured(bank, rng, 8, WINDOW)
        pose = torch.cat(
            [torch.eye(3).expand(8, WINDOW, 1, 3, 3), matrix_from_axis_angle(torch.randn(8, WINDOW, 23, 3))], dim=2
        )
        fake = MotionOutput(
            sixd_from_matrix(pose).requires_grad_(), torch.zeros(8, WINDOW, 10), torch.zeros(8, WINDOW, 3)
        )
        told.append(float(adversary.learn(fake, real)))
        adversary.step()
    assert np.mean(told[-5:]) < 0.8 * np.mean(told[:5])
    verdict = adversary.adversarial_loss(fake)
    verdict.backward()
    assert float(verdict.detach()) > 0.3 and fake.pose6d.grad.abs().sum() > 0
    assert all(p.grad is None and p.requires_grad for p in adversary.network.parameters())


def test_mposer_learns_to_rebuild_captured_motions(bank) -> None:
    torch.manual_seed(0)
    told: list[float] = []
    train_mposer(
        Mposer(MposerConfig(hidden=16, layers=1, latent=4, window=WINDOW)),
        bank,
        MposerTraining(steps=30, batch=6, rate=2e-2, threads=1),
        print,
        how=LoopOptions(watch=lambda step, parts: told.append(parts["rebuilt"])),
    )
    assert np.mean(told[-5:]) < 0.7 * np.mean(told[:5])
