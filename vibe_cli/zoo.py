"""The one reader of models: those shipped, the user's imported ones, and folders of the same form.

A model is a folder with config.yaml (what it is) and weights.safetensors. Tasks: detector, encoder, temporal
network, body.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from vibe_cli.errors import ModelError
from vibe_cli.paths import models_dir, user_models_dir

if TYPE_CHECKING:
    import torch
    from torch import nn

    from vibe_cli.body import Body
    from vibe_cli.pipeline import Detector

DEFAULT_MODEL = "open-vibe"
DEFAULT_DETECTOR = "open-detector"
CONFIG, WEIGHTS = "config.yaml", "weights.safetensors"


@dataclass(frozen=True)
class Entry:
    """One model folder."""

    folder: Path
    config: dict

    @property
    def name(self) -> str:
        """Its name: the folder's."""
        return self.folder.name


@dataclass(frozen=True, eq=False)
class Model:
    """Everything that recovering motion needs, on its device, in evaluation mode."""

    name: str             # of the temporal network
    detector_name: str
    detector: Detector
    encoder: nn.Module    # crops (N, 3, S, S) → EncoderOutput
    network: nn.Module    # features (B, T, F) → MotionOutput
    body: Body
    crop_size: int        # pixels, S
    crop_scale: float     # side of the crop over the larger side of the person's box
    device: torch.device
    dtype: torch.dtype    # in which the encoder computes
    camera_origin: str    # pelvis | body: the point of the body that the network's camera places


def list_models() -> list[Entry]:
    """The shipped models and the user's, by name; the user's own first."""
    found = []
    for root in (user_models_dir(), models_dir()):
        found += [_read_entry(path.parent) for path in sorted(root.glob(f"*/{CONFIG}"))]
    return found


def find_model(name: str | Path) -> Entry:
    """A model by name, or by the path of its folder; ModelError that lists what there is."""
    folder = Path(name)
    if (folder / CONFIG).is_file():
        return _read_entry(folder)
    entries = list_models()
    for entry in entries:
        if entry.name == str(name):
            return entry
    known = ", ".join(entry.name for entry in entries if entry.config.get("task", "temporal") == "temporal")
    raise ModelError(f"no model named {name}", hint=f"choose one of: {known}; official checkpoints are added "
                                                    "with: vibe models import FILE")


def load_model(name: str | Path | None = None, detector: str | Path | None = None,
               body: str | Path | None = None, device: str = "auto", precision: str = "auto") -> Model:
    """A temporal network with the encoder, detector and body that go with it.

    ModelError where something is missing or does not fit, UsageError where the device is not there.
    """
    from vibe_cli.device import choose_device, choose_dtype
    entry = find_model(name or DEFAULT_MODEL)
    where = choose_device(device)
    dtype = choose_dtype(where, precision)
    encoder_entry = _encoder_of(entry)
    encoder, network = _load_network(encoder_entry), _load_network(entry)
    finder, finder_name = load_detector(detector, where)
    return Model(
        name=entry.name, detector_name=finder_name, detector=finder, encoder=encoder.to(where),
        network=network.to(where), body=_load_body(body, entry).to(where), crop_size=_crop_size(encoder_entry),
        crop_scale=_crop_scale(entry, encoder_entry), device=where, dtype=dtype,
        camera_origin=entry.config.get("camera_origin", "pelvis"))


def load_detector(name: str | Path | None, device: torch.device) -> tuple[Detector, str]:
    """A detector and its name: a model of the zoo, an ultralytics weights file or an ultralytics name.

    By default a YOLO file in the user's model folder, else the shipped one.
    """
    from vibe_cli.detect import CentreDetector, YoloDetector
    if name is None:
        own = sorted(user_models_dir().glob("yolo*.pt"))
        name = own[0] if own else DEFAULT_DETECTOR
    if str(name).endswith(".pt"):
        return YoloDetector(name, device), Path(name).name
    entry = find_model(name)
    if entry.config.get("task") != "detector":
        raise ModelError(f"{entry.name} is no detector", hint=f"use {DEFAULT_DETECTOR}, or a YOLO .pt file")
    network, verify = _load_network(entry), entry.config.get("verify")
    size, threshold = network.config.size, network.config.threshold
    if verify is None:
        return CentreDetector(network, device, size=size, threshold=threshold, name=entry.name), entry.name
    from vibe_cli.verify import Judge, VerifiedDetector
    proposer = CentreDetector(network, device, size=size, threshold=verify["proposals_from"], name=entry.name)
    encoder = _load_network(find_model(verify["encoder"])).to(device)
    return VerifiedDetector(proposer, encoder, Judge(**verify["judge"]), threshold), entry.name


def _encoder_of(entry: Entry) -> Entry:
    """The encoder a temporal network was trained on: ours by name, of official ones SPIN's backbone."""
    if "encoder" in entry.config:
        return find_model(entry.config["encoder"])
    from vibe_cli.user_models import list_imported
    for other in list_imported():
        if other.kind == "spin":
            return Entry(other.folder, other.config)
    needs = entry.config.get("needs") or [{"what": "SPIN's checkpoint", "from": "its authors"}]
    raise ModelError(f"{entry.name} needs an encoder: {needs[0]['what']}",
                     hint=f"get it from {needs[0]['from']}, then: vibe models import FILE")


def _crop_size(encoder: Entry) -> int:
    from vibe_cli.camera import CROP_SIZE
    return encoder.config["network"].get("size", CROP_SIZE)


def _crop_scale(entry: Entry, encoder: Entry) -> float:
    return entry.config.get("crop_scale") or encoder.config["network"]["scale"]


def _load_body(path: str | Path | None, entry: Entry) -> Body:
    """The user's choice, else the open body for our own models and SMPL for official ones."""
    from vibe_cli.body import load_body
    if path is None and entry.config.get("camera_origin") == "body":
        from vibe_cli.user_models import find_body
        path = find_body()
    return load_body(path)


def _load_network(entry: Entry) -> nn.Module:
    from vibe_cli.networks import load_network
    from vibe_cli.safe_read import read_safetensors
    weights = entry.folder / WEIGHTS
    if "network" not in entry.config or not weights.is_file():
        raise ModelError(f"{entry.folder}: holds no network", hint="choose another model, or import it again")
    return load_network(entry.config["network"], read_safetensors(weights), weights)


def _read_entry(folder: Path) -> Entry:
    try:
        config = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ModelError(f"{folder / CONFIG}: damaged ({type(error).__name__})",
                         hint="reinstall vibe-cli, or import the model again") from None
    if not isinstance(config, dict):
        raise ModelError(f"{folder / CONFIG}: not a model's configuration", hint="import the model again")
    return Entry(folder, config)
