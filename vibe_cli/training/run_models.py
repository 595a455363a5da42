"""A finished run as a model folder: `vibe demo --model runs/open-vibe` and `vibe eval --model` take it as it is.

The open networks read the features of a lifter, so their folders hold the whole encoder that they were trained on:
the keypoint network of the work folder, else the shipped one's, and the run's lifter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vibe_cli.networks.lifter import LifterConfig
from vibe_cli.networks.open_encoder import OpenEncoder, OpenEncoderConfig
from vibe_cli.networks.rotation_tta import TTA

if TYPE_CHECKING:
    from vibe_cli.training.tasks import Job

ENCODER = "encoder"  # the folder of a run's own encoder, beside its network
SHIPPED = ("open-encoder", "open-detector")


def write_run_model(job: Job, name: str, kind: str, weights: dict, out: Path) -> None:
    """Write `out`/config.yaml and weights.safetensors of a finished run, and its encoder beside where it has one.

    `name` is the training's, `kind` that of its settings' class (trainings.TRAININGS), `weights` what the training
    returned. Needs safetensors and yaml, which a bare machine lacks (ImportError there). A motion prior is no model
    of the zoo.
    """
    from vibe_cli.zoo.writer import halved, write_model

    facts = {"made_by": f"vibe train {name}", "data": _data_of(job, weights)}
    if kind in ("TemporalTraining", "LiftingTraining"):
        keypoint_net, sizes, tta = _keypoint_weights(job.inputs.folder)
        lifter = weights if kind == "LiftingTraining" else _start_of(job)
        write_encoder(out / ENCODER, keypoint_net, sizes, lifter, tta)
        network, config = (
            (weights["regressor"], {"network": "regressor", **weights["regressor_config"]})
            if kind == "LiftingTraining"
            else (weights["network"], weights["config"])
        )
        write_model(
            out, {"task": "temporal", "encoder": f"./{ENCODER}", "body": "open-body", **facts}, halved(network), config
        )
    elif kind == "PaperTraining":
        body = "open-body" if job.settings.body is None else _found_from_anywhere(job.settings.body)
        licence = f"as its data allow: {'; '.join(weights['sources'])}{'' if body == 'open-body' else '; SMPL'}"
        write_model(
            out,
            {"task": "temporal", "encoder": job.settings.encoder, "body": body, **facts, "licence": licence},
            halved(weights["network"]),
            weights["config"],
        )
    elif kind == "KeypointTraining":
        lifter, config = _shipped_encoder()
        part = {k.removeprefix("lifter."): v for k, v in lifter.items() if k.startswith("lifter.")}
        write_encoder(
            out,
            weights["averaged"],
            weights["config"],
            {"lifter": part, "lifter_config": asdict(config.lifter)},
            _tta_of(config),
        )
    elif kind == "DetectorTraining":
        from vibe_cli.zoo.reader import find_model

        second_look = {}
        if weights["config"]["backbone"] == "resnet":  # lite0 needs none; others' is as the shipped one's believes
            second_look = {"rescore": find_model(SHIPPED[1]).config["rescore"]}
        write_model(
            out,
            {"task": "detector", **second_look, **facts},
            halved(weights["averaged"]),
            {"network": "centre", **weights["config"]},
        )


def _found_from_anywhere(body: str) -> str:
    """A body's file by its whole path, an imported body by its name."""
    return str(Path(body).resolve()) if Path(body).is_file() else body


def write_encoder(
    folder: Path,
    keypoint_net: Mapping[str, Tensor],
    sizes: Mapping[str, Any],
    lifter: Mapping[str, Any],
    tta: Mapping[str, bool] = TTA,
) -> None:
    """Write an open encoder's folder: the keypoint network's weights and KeypointConfig's values, a lifter's run or
    weights, and its test-time augmentation."""
    from vibe_cli.zoo.writer import halved, write_model

    tensors = {f"keypoint_net.{k}": v for k, v in keypoint_net.items()} | {
        f"lifter.{k}": v for k, v in lifter["lifter"].items()
    }
    widths = LifterConfig(**lifter["lifter_config"])
    config = OpenEncoderConfig(
        **sizes,
        features=widths.features,
        hidden=widths.hidden,
        blocks=widths.blocks,
        any_subset=not widths.pooled,
        flip_test=tta["flip_test"],
        rotation_tta=tta["rotation_tta"],
    )
    write_model(folder, {"task": "encoder"}, halved(tensors), config)


def _data_of(job: Job, weights: dict) -> str:
    """Training data of a run, for the protocol of vibe eval."""
    if sources := weights.get("sources"):
        return "; ".join(sources)
    drawn = "synthetic people, moved by {motions} motions of {frames} frames".format(**job.inputs.describe())
    photos = getattr(job.settings, "photos", None)
    return f"{drawn}; the labelled photographs of {Path(photos).name}" if photos is not None else drawn


def _keypoint_weights(folder: Path | None) -> tuple[dict[str, Tensor], dict, Mapping[str, bool]]:
    """Weights and sizes of the keypoint network that a work folder's features are of, else of the shipped one; and
    how it looks."""
    file = folder / "keypoints.pt" if folder is not None else None
    if file is not None and file.exists():
        state = torch.load(file, weights_only=True, map_location="cpu")
        return state["averaged"], state["config"], TTA  # as the recipe looks at what it keeps
    tensors, config = _shipped_encoder()
    return (
        {k.removeprefix("keypoint_net."): v for k, v in tensors.items() if k.startswith("keypoint_net.")},
        asdict(config.keypoints),
        _tta_of(config),
    )


def _shipped_encoder() -> tuple[dict[str, Tensor], OpenEncoderConfig]:
    """State and configuration of the shipped encoder."""
    from vibe_cli.zoo.reader import find_model, load_network_of

    encoder = load_network_of(find_model(SHIPPED[0]), OpenEncoder)
    return encoder.state_dict(), encoder.config


def _tta_of(config: OpenEncoderConfig) -> dict[str, bool]:
    return {key: getattr(config, key) for key in TTA}


def _start_of(job: Job) -> dict:
    """Weights of the lifter's run, at which a temporal network began."""
    from vibe_cli.training.tasks import warm_start_file
    from vibe_cli.training.weights import read_weights

    return read_weights(warm_start_file(job), "lifter")
