"""What holds for all four temporal networks alike: VIBE, TCMR, DTS-VIBE, SPS-Net."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.tiny import TEMPORAL, BrightDetector, install_model, make_walk
from vibe_cli.motion.regress import regress
from vibe_cli.networks import build_network, describe, load_network
from vibe_cli.networks.temporal import TemporalNetwork
from vibe_cli.results import Result

WINDOW = 8


def network(name: str) -> TemporalNetwork:
    """A tiny network whose poses move with its features."""
    torch.manual_seed(0)
    net = build_network(TEMPORAL[name]).eval()
    for part, layer in net.named_modules():
        if part.rpartition(".")[2] in ("decpose", "decshape", "deccam", "coarse"):
            torch.nn.init.normal_(layer.weight, std=0.1)
    return net


def walk(name: str, length: int = 40) -> torch.Tensor:
    """Features (length, F + G) that change slowly."""
    config = build_network(TEMPORAL[name]).config
    width = config.features + getattr(config, "flow_features", 0)
    time = torch.linspace(0, 3, length)[:, None]
    return torch.sin(time * torch.linspace(0.5, 1.5, width) + torch.arange(width))


def degrees(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Angle between rotations (…, 3, 3)."""
    return torch.rad2deg(2 * torch.asin(((a - b).flatten(-2).norm(dim=-1) / 8**0.5).clamp(max=1)))


@pytest.mark.parametrize("name", TEMPORAL)
def test_a_network_states_what_serving_it_takes(name: str) -> None:
    net = network(name)
    assert isinstance(net, TemporalNetwork) and net.window == WINDOW
    assert (net.estimates, net.edges) in (("all", "shorten"), ("middle", "repeat"))
    output = net(walk(name)[None, :WINDOW].repeat(3, 1, 1))
    frames = {"all": WINDOW, "middle": 1}[net.estimates]
    assert output.pose6d.shape == (3, frames, 24, 6) and output.rotations.shape == (3, frames, 24, 3, 3)
    assert output.betas.shape == (3, frames, 10) and output.camera.shape == (3, frames, 3)


@pytest.mark.parametrize("name", TEMPORAL)
def test_a_network_is_rebuilt_from_its_description_and_weights(name: str) -> None:
    net, x = network(name), walk(name)[None, :WINDOW]
    described = describe(net.config)
    assert TEMPORAL[name].items() <= described.items()
    assert torch.equal(load_network(described, net.state_dict(), "here")(x).pose6d, net(x).pose6d)


@pytest.mark.parametrize("name", TEMPORAL)
def test_the_batch_of_windows_does_not_change_the_motion(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.inference_mode():
        many = regress(network(name), walk(name), None, None)
        monkeypatch.setattr("vibe_cli.motion.regress.WINDOWS_AT_ONCE", 1)
        one = regress(network(name), walk(name), None, None)
    for a, b in zip(many, one, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here")
@pytest.mark.parametrize("name", TEMPORAL)
def test_the_device_does_not_change_the_motion(name: str) -> None:
    with torch.inference_mode():
        here = regress(network(name), walk(name), None, None)
        there = regress(network(name).to("cuda"), walk(name).to("cuda"), None, None)
    for a, b in zip(here, there, strict=True):
        assert torch.allclose(a, b.cpu(), atol=1e-3)


@pytest.mark.parametrize("name", TEMPORAL)
def test_the_stride_of_windows_hardly_changes_the_motion(name: str) -> None:
    with torch.inference_mode():
        strides = (1, 3, 4) if network(name).estimates == "all" else (None, 1)  # others are refused there
        every, *others = (regress(network(name), walk(name), None, stride) for stride in strides)
    for rotations, betas, camera in others:
        assert degrees(every[0], rotations).max() < 0.06 * degrees(every[0][:1], every[0]).max()
        assert torch.allclose(every[1], betas, atol=0.01) and torch.allclose(every[2], camera, atol=0.04)


@pytest.mark.parametrize("name", TEMPORAL)
@pytest.mark.parametrize("length", [1, 2, 7, 9])
def test_tracks_of_any_length_are_served(name: str, length: int) -> None:
    with torch.inference_mode():
        rotations, betas, camera = regress(network(name), walk(name, length), None, None)
    assert rotations.shape == (length, 24, 3, 3) and betas.shape == (10,) and camera.shape == (length, 3)
    assert torch.isfinite(rotations).all()


@pytest.mark.parametrize("name", TEMPORAL)
def test_every_weight_learns(name: str) -> None:
    net = network(name).train()
    x = walk(name)[None, :WINDOW].repeat(2, 1, 1)
    if net.flow:
        images = torch.randn(2 * WINDOW, 3, 32, 32, generator=torch.Generator().manual_seed(1))
        x = torch.cat([x[..., :16], net.encode_flow(images).unflatten(0, (2, WINDOW))], dim=-1)
    output = net(x)
    outputs = [output, *output.others.values()]
    sum(value.square().sum() for o in outputs for value in (o.pose6d, o.betas, o.camera)).backward()
    assert [part for part, value in net.named_parameters() if value.grad is None or not value.grad.any()] == []


@pytest.mark.parametrize("name", TEMPORAL)
@pytest.mark.parametrize("window", [5, 12])
def test_every_network_takes_windows_of_another_length(name: str, window: int) -> None:
    with torch.inference_mode():
        net, features = network(name), walk(name)
        rotations, betas, camera = regress(net, features, window, None)
        trained = regress(net, features, None, None)
    assert rotations.shape == (40, 24, 3, 3) and camera.shape == (40, 3) and torch.isfinite(rotations).all()
    assert not torch.allclose(rotations, trained[0], atol=1e-6), "the window is not ignored"


@pytest.mark.parametrize("name", TEMPORAL)
def test_demo_runs_with_each_network_whatever_the_batch(
    name: str, vibe, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    install_model(home / ".vibe" / "models", TEMPORAL[name])
    monkeypatch.setattr("vibe_cli.zoo.reader.load_detector", lambda *_: (BrightDetector(), "bright"))
    clip = make_walk(home / "walk.mp4", frames=12, people=2)
    for size in (1, 16):
        answer = vibe(
            "demo", clip, "--model", "tiny", "--device", "cpu", "--no-refine", "--batch-size", size, "-o", str(size)
        )
        assert answer.code == 0, answer.err
    one, many = (Result.load(home / size / "walk" / "result.npz") for size in ("1", "16"))
    assert len(one.people) == 2
    for a, b in zip(one.people, many.people, strict=True):
        assert len(a) == 12 and np.allclose(a.pose, b.pose, atol=1e-4) and np.allclose(a.camera, b.camera, atol=1e-4)


def test_demo_refuses_what_a_middle_frame_network_would_ignore(
    vibe, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_model(home / ".vibe" / "models", TEMPORAL["tcmr"])
    monkeypatch.setattr("vibe_cli.zoo.reader.load_detector", lambda *_: (BrightDetector(), "bright"))
    clips = [make_walk(home / name, frames=3) for name in ("a.mp4", "b.mp4")]
    for choices, words in ((("--stride", "4"), "only the middle frame"), (("--window", "2"), "at least 3")):
        answer = vibe("demo", *clips, "--model", "tiny", "--device", "cpu", *choices)
        assert answer.code == 2 and len(answer.lines) == 2 and words in answer.lines[0], answer.err
        assert answer.lines[1].startswith("hint: ")
    answer = vibe("demo", clips[0], "--model", "tiny", "--device", "cpu", "--window", "5", "--min-track", "1")
    assert answer.code == 0, answer.err
