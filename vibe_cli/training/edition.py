"""The folders of an edition: what the recipe's work folder holds, as models of the zoo."""

from __future__ import annotations

from pathlib import Path

from vibe_cli.importing.systems import SYSTEMS

BESIDE = "./../open-encoder"  # as the other models name the encoder they were made with, wherever they are written


def write_models(work: Path, out: Path) -> None:
    """Weights (float16) and configurations of the trained models; cards and licences are written by people."""
    import shutil

    import torch
    import yaml

    from vibe_cli.networks.centre import CentreConfig
    from vibe_cli.networks.regressor import RegressorConfig
    from vibe_cli.training.run_models import write_encoder
    from vibe_cli.zoo.writer import halved, write_model

    keypoint_net = torch.load(work / "keypoints.pt", weights_only=True)
    motion = torch.load(work / "lifter.pt", weights_only=True)
    detector = torch.load(work / "detector.pt", weights_only=True)
    write_encoder(out / "open-encoder", keypoint_net["averaged"], keypoint_net["config"], motion)
    second_look = {}
    if (work / "rescorer.yaml").exists():
        second_look = {"rescore": yaml.safe_load((work / "rescorer.yaml").read_text(encoding="utf-8"))}
    write_model(
        out / "open-detector",
        {"task": "detector", **second_look},
        halved(detector["averaged"]),
        CentreConfig(**detector["config"]),
    )
    facts = {"task": "temporal", "encoder": BESIDE, "body": "open-body"}
    write_model(out / "open-frame", facts, halved(motion["regressor"]), RegressorConfig(**motion["regressor_config"]))
    for system in SYSTEMS:
        state = torch.load(work / f"{system}.pt", weights_only=True)
        write_model(out / f"open-{system}", facts, halved(state["network"]), state["config"])
    (out / "open-pose-prior").mkdir(exist_ok=True)
    for name in ("weights.safetensors", "config.yaml"):
        shutil.copyfile(work / "open-pose-prior" / name, out / "open-pose-prior" / name)
