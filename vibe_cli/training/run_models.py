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
    from vibe_cli.training.detector import DetectorTraining
    from vibe_cli.training.papers import PaperTraining
    from vibe_cli.training.task import Job

ENCODER = "encoder"  # the folder of a run's own encoder, beside its network
SHIPPED = ("open-encoder", "open-detector")


def write_temporal_network(job: Job, name: str, weights: dict[str, Any], out: Path) -> None:
    """An open temporal network of a run, and its encoder beside it: of the lifter that it began at."""
    _write_with_encoder(job, name, weights["network"], weights["config"], _start_of(job), out)


def write_single_frame_network(job: Job, name: str, weights: dict[str, Any], out: Path) -> None:
    """The single-frame regressor of a lifter's run, and its encoder beside it."""
    config = {"network": "regressor", **weights["regressor_config"]}
    _write_with_encoder(job, name, weights["regressor"], config, weights, out)


def _write_with_encoder(
    job: Job,
    name: str,
    network: dict[str, Tensor],
    config: Mapping[str, Any],
    lifter: Mapping[str, Any],
    out: Path,
) -> None:
    from vibe_cli.zoo.writer import halved, write_model

    keypoint_net, sizes, tta = _keypoint_weights(job.inputs.folder)
    write_encoder(out / ENCODER, keypoint_net, sizes, lifter, tta)
    facts = {"task": "temporal", "encoder": f"./{ENCODER}", "body": "open-body", **_facts(job, name, {})}
    write_model(out, facts, halved(network), config)


def write_paper_network(job: Job, name: str, settings: PaperTraining, weights: dict[str, Any], out: Path) -> None:
    """A temporal network that was trained on data sets; the encoder and the body are those that were named."""
    from vibe_cli.zoo.writer import halved, write_model

    body = "open-body" if settings.body is None else _found_from_anywhere(settings.body)
    licence = f"as its data allow: {'; '.join(weights['sources'])}{'' if body == 'open-body' else '; SMPL'}"
    facts = {"task": "temporal", "encoder": settings.encoder, "body": body, **_facts(job, name, weights)}
    write_model(out, {**facts, "licence": licence}, halved(weights["network"]), weights["config"])


def write_keypoint_net(weights: dict[str, Any], out: Path) -> None:
    """An encoder of a run's keypoint network and the shipped one's lifter."""
    lifter, config = _shipped_encoder()
    part = {k.removeprefix("lifter."): v for k, v in lifter.items() if k.startswith("lifter.")}
    seen = {"lifter": part, "lifter_config": asdict(config.lifter)}
    write_encoder(out, weights["averaged"], weights["config"], seen, _tta_of(config))


def write_detector(job: Job, name: str, settings: DetectorTraining, weights: dict[str, Any], out: Path) -> None:
    """A detector of a run; one on a ResNet has the shipped one's second look."""
    from vibe_cli.zoo.reader import find_model
    from vibe_cli.zoo.writer import halved, write_model

    second_look = {}
    if weights["config"]["backbone"] == "resnet":  # lite0 needs none; others' is as the shipped one's believes
        second_look = {"rescore": find_model(SHIPPED[1]).config["rescore"]}
    facts = {"task": "detector", **second_look, **_facts(job, name, weights, settings.photos)}
    write_model(out, facts, halved(weights["averaged"]), {"network": "centre", **weights["config"]})


def _facts(job: Job, name: str, weights: Mapping[str, Any], photos: str | None = None) -> dict[str, str]:
    """The training that made a run's model, and its data, in words."""
    return {"made_by": f"vibe train {name}", "data": _data_of(job, weights, photos)}


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


def _data_of(job: Job, weights: Mapping[str, Any], photos: str | None) -> str:
    """Training data of a run, for the protocol of vibe eval."""
    if sources := weights.get("sources"):
        return "; ".join(sources)
    drawn = "synthetic people, moved by {motions} motions of {frames} frames".format(**job.inputs.describe())
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
    from vibe_cli.training.task import warm_start_file
    from vibe_cli.training.weights import read_weights

    return read_weights(warm_start_file(job), "lifter")
