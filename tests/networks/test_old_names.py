"""Files of earlier versions load under today's names."""

from __future__ import annotations

import torch
import yaml

from vibe_cli.networks.old_names import renamed_config, renamed_weights
from vibe_cli.networks.open_encoder import OpenEncoderConfig
from vibe_cli.paths import models_dir
from vibe_cli.people.rescore import LogisticRescorer


def test_a_detector_of_an_earlier_version_is_rescored_by_the_same_weights() -> None:
    judge = {"bias": -6.0, "votes": 1.0, "sureness": 2.0, "share": 3.0, "steadiness": 4.0}
    old = {"task": "detector", "verify": {"encoder": "open-encoder", "judge": judge, "proposals_from": 0.05}}
    new = renamed_config(old)
    assert "verify" not in new and new["rescore"]["proposals_from"] == 0.05
    assert LogisticRescorer(**new["rescore"]["weights"]) == LogisticRescorer(-6.0, 1.0, 2.0, 3.0, 4.0)


def test_an_encoder_of_an_earlier_version_keeps_its_test_time_augmentation() -> None:
    old = {"network": {"network": "open_encoder", "size": 96, "both_ways": True, "upright": True}}
    config = dict(renamed_config(old)["network"])
    config.pop("network")
    assert OpenEncoderConfig(**config) == OpenEncoderConfig(size=96, flip_test=True, rotation_tta=True)


def test_names_of_today_stay() -> None:
    config = {"rescore": {"weights": {"bias": 1}}, "network": {"network": "vibe", "upright": 1}}
    assert renamed_config(config) == config


def test_an_eye_is_a_keypoint_network() -> None:
    one = torch.ones(1)
    assert renamed_weights({"eye.heat.weight": one, "lifter.eye.bias": one, "eyes": one}).keys() == {
        "keypoint_net.heat.weight",
        "lifter.eye.bias",
        "eyes",
    }


def test_the_shipped_models_are_read_by_todays_names() -> None:
    for name, key in (("open-detector", "rescore"), ("open-encoder", "network")):
        config = yaml.safe_load((models_dir() / name / "config.yaml").read_text("utf-8"))
        found = renamed_config(config)[key]
        assert not {"judge", "both_ways", "upright"} & set(found)
