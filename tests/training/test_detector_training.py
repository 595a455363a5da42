"""The detector's training: photographs, drawn scenes, and ImageNet's backbone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.helpers.photographs import write_photographs, write_scenes
from vibe_cli.networks.centre import CentreConfig, CentreNet
from vibe_cli.training.detector import DetectorTraining, train_detector

CONFIG = CentreConfig(backbone="lite0", channels=8, size=64)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photographs with everybody boxed, and one everyday scene."""
    return write_scenes(write_photographs(tmp_path / "photos"))


def test_photographs_alone_train_a_detector_whose_first_blocks_stay(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(1)
    imagenet = CentreNet(CONFIG).backbone.state_dict()
    monkeypatch.setattr("vibe_cli.training.detector.lite0_weights", lambda: imagenet)
    options = DetectorTraining(
        steps=2, photos=str(photos), real=1.0, backbone="lite0", frozen=3, batch=2, size=64, workers=0, threads=1
    )
    loop = train_detector(tmp_path / "nothing drawn", tmp_path / "run.pt", None, CONFIG, options, lambda line: None)
    learnt = loop.averaged.backbone.state_dict()
    assert loop.steps == 2
    assert torch.equal(learnt["stem.weight"], imagenet["stem.weight"])
    assert torch.equal(learnt["blocks.2.project.weight"], imagenet["blocks.2.project.weight"])
    assert not torch.equal(learnt["blocks.3.project.weight"], imagenet["blocks.3.project.weight"])


def test_a_detector_on_lite0_gives_maps_of_stride_8() -> None:
    heat, sides = CentreNet(CONFIG).eval()(torch.zeros(2, 3, 64, 96))
    assert heat.shape == (2, 1, 8, 12) and sides.shape == (2, 4, 8, 12)
