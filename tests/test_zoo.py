"""The zoo: what ships loads strictly, what does not fit is refused with a hint."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
import yaml
from tiny import install_model

from vibe_cli import zoo
from vibe_cli.errors import ModelError
from vibe_cli.paths import models_dir

SHIPPED = ["open-body", "open-detector", "open-encoder", "open-vibe"]


@pytest.fixture(autouse=True)
def own_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIBE_HOME", str(tmp_path / "home"))
    install_model(tmp_path / "home" / "models")
    return tmp_path / "home" / "models"


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_model_says_what_it_is_and_is_whole(name: str) -> None:
    folder = models_dir() / name
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["licence"] == "CC0-1.0"
    assert config["sha256"] == hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    assert len((folder / "CARD.md").read_text()) > 500


def test_the_shipped_weights_stay_under_60_megabytes() -> None:
    assert sum(p.stat().st_size for p in models_dir().glob("*/weights.safetensors")) < 60e6


def test_the_default_model_encodes_a_crop_and_moves() -> None:
    model = zoo.load_model(device="cpu")
    assert (model.name, model.detector_name, model.body.kind) == ("open-vibe", "open-detector", "open")
    with torch.inference_mode():
        seen = model.encoder(torch.zeros(2, 3, model.crop_size, model.crop_size))
        output = model.network(seen.features[None])
    assert seen.keypoints.shape == (2, 49, 3)
    assert output.rotations.shape == (1, 2, 24, 3, 3)


def test_a_model_of_the_user_is_found_by_name_and_by_folder(own_models: Path) -> None:
    assert zoo.find_model("tiny").folder == own_models / "tiny"
    assert zoo.find_model(own_models / "tiny").name == "tiny"
    assert {"tiny", "open-vibe"} <= {entry.name for entry in zoo.list_models()}


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ModelError, match="no model named nothing") as caught:
        zoo.load_model("nothing")
    assert "open-vibe" in caught.value.hint


def test_weights_that_do_not_fit_their_configuration_are_refused_by_name(own_models: Path) -> None:
    path = own_models / "tiny" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["network"]["hidden"] = 12
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(ModelError, match="misshaped.*encoder.gru.weight_hh_l0"):
        zoo.load_model("tiny")


def test_a_temporal_model_is_no_detector() -> None:
    with pytest.raises(ModelError, match="no detector"):
        zoo.load_model("tiny", detector="open-vibe")
