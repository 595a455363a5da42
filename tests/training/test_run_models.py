"""A finished run is a model: what `vibe demo --model` and `vibe eval --model` take."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from tests.helpers.bodies import extra_regressor, smpl_arrays, write_official_pickle
from tests.training.test_train import TINY, TINY_LIFTER, bundle  # noqa: F401 (a fixture)
from vibe_cli.cli import main
from vibe_cli.errors import ModelError
from vibe_cli.networks.rotation_tta import TTA, predict_tta
from vibe_cli.training.task import load_lifter
from vibe_cli.zoo.reader import find_model, load_model, load_network
from vibe_cli.zoo.writer import LICENCE


def train(*words: object) -> None:
    assert main(["train", *map(str, words)]) == 0


@pytest.fixture(scope="module")
def runs(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    folder = tmp_path_factory.mktemp("runs")
    train("lifter", "--data", bundle, "--steps", 3, "--out", folder / "lifter", *TINY_LIFTER)
    train("open-vibe", "--data", bundle, "--start", folder / "lifter", "--steps", 1, "--out", folder / "vibe", *TINY)
    return folder


def test_a_temporal_run_is_a_model_with_the_encoder_it_was_trained_on(runs: Path) -> None:
    model = load_model(runs / "vibe", device="cpu")
    state = torch.load(runs / "vibe" / "weights.pt", weights_only=True)["network"]
    for name, value in model.network.state_dict().items():
        assert torch.allclose(value, state[name].to(torch.float16).to(value), atol=0), name
    lifter, _ = load_lifter(runs / "lifter")
    crops = torch.randn(2, 3, model.crop_size, model.crop_size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        seen = predict_tta(model.encoder.predict_maps, crops, **TTA)  # as the shipped encoder does
        assert torch.allclose(model.encoder(crops).features, lifter(seen), atol=2e-2)
        assert model.network(model.encoder(crops).features[None]).betas.shape == (1, 2, 10)


def test_the_eye_is_the_shipped_one_where_the_run_saw_no_pictures(runs: Path) -> None:
    shipped = load_network(find_model("open-encoder")).keypoint_net.state_dict()
    for run in ("vibe", "lifter"):
        own = load_network(find_model(runs / run / "encoder")).keypoint_net.state_dict()
        assert all(torch.equal(own[name], value) for name, value in shipped.items())


def test_a_lifters_run_is_the_single_frame_model(runs: Path) -> None:
    entry = find_model(runs / "lifter")
    assert load_network(entry).config.features == 16 and entry.config["network"]["network"] == "regressor"
    assert entry.config["made_by"] == "vibe train lifter" and entry.config["licence"] == LICENCE
    assert entry.config["data"] == "synthetic people, moved by 5 motions of 650 frames"
    model = load_model(runs / "lifter", device="cpu")
    features = torch.randn(1, 4, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        together = model.network(features).pose6d
        assert torch.allclose(together[:, 2:3], model.network(features[:, 2:3]).pose6d, atol=1e-5)  # frame by frame


def test_a_moved_run_finds_its_encoder_and_one_without_it_says_so(runs: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(runs / "vibe", tmp_path / "elsewhere ü")
    assert load_model(moved, device="cpu").encoder.features == 16
    shutil.rmtree(moved / "encoder")
    with pytest.raises(ModelError, match="encoder"):
        load_model(moved, device="cpu")


def test_an_unfinished_run_is_no_model(bundle: Path, tmp_path: Path) -> None:  # noqa: F811
    train("lifter", "--data", bundle, "--steps", 30, "--stop-after", 0, "--out", tmp_path / "run", *TINY_LIFTER)
    assert not (tmp_path / "run" / "config.yaml").exists()
    train("lifter", "--data", bundle, "--steps", 30, "--resume", "--out", tmp_path / "run", *TINY_LIFTER)
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text("utf-8"))["task"] == "temporal"


def test_a_run_is_served_with_the_body_that_it_was_trained_with(runs: Path, home: Path) -> None:
    moved = shutil.copytree(runs / "vibe", home / "run")
    assert load_model(moved, device="cpu").body.kind == "open"
    write_official_pickle(home / "SMPL_NEUTRAL.pkl", smpl_arrays())
    np.save(home / "J_regressor_extra.npy", extra_regressor())
    config = yaml.safe_load((moved / "config.yaml").read_text("utf-8"))
    (moved / "config.yaml").write_text(yaml.safe_dump(config | {"body": str(home / "SMPL_NEUTRAL.pkl")}), "utf-8")
    assert load_model(moved, device="cpu").body.kind == "smpl"
    assert load_model(moved, body="open-body", device="cpu").body.kind == "open"
