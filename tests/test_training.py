"""Training: the loop that all trainings share, and the recipe from motion capture to model folders."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from vibe_cli.paths import models_dir
from vibe_cli.training.loop import Loop, Schedule

WANTED = torch.tensor([[1.0, -2.0]])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at the clock finds it a hundredth of a second later."""
    ticks = itertools.count()
    monkeypatch.setattr("vibe_cli.training.loop.time", SimpleNamespace(monotonic=lambda: next(ticks) / 100))


def run(loop: Loop, most: int = 10**6) -> None:
    """Fit a line's weights to WANTED."""
    for _ in range(most):
        if not loop.goes_on():
            return
        loss = ((loop.network.weight - WANTED) ** 2).sum()
        loop.step(loss, {"distance": loss.detach()})


def line() -> torch.nn.Linear:
    torch.manual_seed(0)
    return torch.nn.Linear(2, 1, bias=False)


@pytest.mark.usefixtures("clock")
def test_a_run_descends_and_ends_when_its_time_is_spent() -> None:
    loop = Loop(line(), Schedule(minutes=0.1, rate=0.05, decay=0, average=0.9), print, "line")
    run(loop)
    assert loop.done == 1 and loop.spent == pytest.approx(6, abs=0.02) and loop.steps in (600, 601)
    assert torch.allclose(loop.network.weight, WANTED, atol=0.05)
    assert torch.allclose(loop.averaged.weight, WANTED, atol=0.05)


def test_the_averaged_weights_are_those_of_the_last_steps() -> None:
    loop = Loop(line(), Schedule(minutes=9, rate=0.01, decay=0, average=0.5, rise=1), print, "line")
    seen = []
    for _ in range(12):
        run(loop, 1)
        seen.append(loop.network.weight.detach().clone())
    keep = [min(0.5, n / (n + 20)) for n in range(12)]  # the first step is taken as it is
    average = seen[0]
    for k, weight in zip(keep[1:], seen[1:], strict=True):
        average = k * average + (1 - k) * weight
    assert torch.allclose(loop.averaged.weight, average, atol=1e-6)
    assert not torch.allclose(loop.averaged.weight, seen[-1], atol=1e-6)


@pytest.mark.usefixtures("clock")
def test_a_run_that_was_cut_goes_on_where_it_was(tmp_path: Path) -> None:
    schedule = Schedule(minutes=0.01, rate=0.05, save_every=0)
    first = Loop(line(), schedule, print, "line", tmp_path / "line.pt", {"note": "kept"})
    run(first, 5)
    second = Loop(line(), schedule, print, "line", tmp_path / "line.pt")
    assert (second.steps, second.spent) == (5, first.spent)
    assert torch.equal(second.network.weight, first.network.weight)
    assert torch.equal(second.averaged.weight, first.averaged.weight)
    assert second.optimiser.state_dict()["state"].keys() == first.optimiser.state_dict()["state"].keys()
    assert torch.load(tmp_path / "line.pt", weights_only=True)["note"] == "kept"
    assert not list(tmp_path.glob("*.part"))
    run(second)
    third = Loop(line(), schedule, print, "line", tmp_path / "line.pt")
    assert not third.goes_on() and third.steps == second.steps


def test_progress_is_told_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vibe_cli.training.loop.TELL_EVERY", -1)
    lines: list[str] = []
    run(Loop(line(), Schedule(minutes=1, rate=0.05), lines.append, "line"), 2)
    assert len(lines) == 2 and lines[1].startswith("line: 0.0 min, 2 steps, distance ")


@pytest.mark.slow
def test_the_recipe_makes_models_that_load_and_run(tmp_path: Path) -> None:
    pytest.importorskip("skimage", reason="needs vibe-cli[synth]")
    from vibe_cli.training.mocap import Clip
    from vibe_cli.training.recipe import make_models
    from vibe_cli.training.synth.cache import write_clips
    from vibe_cli.training.synth.poses import random_pose
    from vibe_cli.zoo import load_model

    rng, work, out = np.random.default_rng(0), tmp_path / "work", tmp_path / "models"
    work.mkdir()
    shutil.copytree(models_dir() / "open-body", out / "open-body")
    write_clips(work / "mocap.npz", [Clip(str(i), np.repeat(random_pose(rng)[None], 90, 0).astype(np.float32))
                                     for i in range(10)])
    make_models(tmp_path / "none", work, out, minutes=1.0, report=print)
    assert sorted(p.name for p in out.iterdir()) == ["open-body", "open-detector", "open-encoder", "open-vibe"]
    home = tmp_path / "home"
    shutil.copytree(out, home / "models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIBE_HOME", str(home))
        model = load_model()
    assert model.detector.detect([np.zeros((64, 64, 3), np.uint8)])[0].boxes.shape[1] == 4
    with torch.inference_mode():
        seen = model.encoder(torch.zeros(1, 3, model.crop_size, model.crop_size))
        motion = model.network(seen.features[None])
    assert motion.rotations.shape == (1, 1, 24, 3, 3) and bool(motion.rotations.isfinite().all())
