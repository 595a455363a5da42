"""The one reader of models: those shipped, the user's imported ones, and folders of the same form.

A model is a folder with config.yaml (what it is) and weights.safetensors. Tasks: detector, encoder, temporal
network, body. The names of the published systems stand for whichever model of theirs is here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import yaml

from vibe_cli.errors import ModelError
from vibe_cli.importing.library import PART, TASKS, Imported, find_body, list_imported, sha256, still_needed
from vibe_cli.importing.systems import SYSTEMS, System
from vibe_cli.networks.old_names import renamed_config, renamed_weights
from vibe_cli.paths import models_dir, user_models_dir
from vibe_cli.zoo.model import Model

if TYPE_CHECKING:
    import torch
    from torch import nn

    from vibe_cli.body.body_models import Body
    from vibe_cli.networks.temporal import TemporalNetwork
    from vibe_cli.people.detectors import Detector

NetworkT = TypeVar("NetworkT", bound="nn.Module")
DEFAULT_MODEL = "open-vibe"
DEFAULT_DETECTOR = "open-detector"
CONFIG, WEIGHTS, ONNX = "config.yaml", "weights.safetensors", ".onnx"
IMPORT_HINT = "vibe models import FILE"
TRAIN_HINT = "train one with: vibe train, and give its folder: --model FOLDER"


@dataclass(frozen=True)
class Entry:
    """One model folder."""

    folder: Path
    config: dict

    @property
    def name(self) -> str:
        """Its name: the folder's."""
        return self.folder.name

    @property
    def task(self) -> str:
        """Its task: temporal, encoder, detector, body, or (of imported files) arrays."""
        return self.config.get("task") or TASKS.get(self.config.get("kind", ""), "temporal")


def model_folders() -> list[Path]:
    """The folders of all models, by name; the user's own first."""
    return [
        path.parent
        for root in (user_models_dir(), models_dir())
        for path in sorted(root.glob(f"*/{CONFIG}"))
        if not path.parent.name.endswith(PART)
    ]


def list_models() -> list[Entry]:
    """The shipped models and the user's, by name; the user's own first."""
    return [read_entry(folder) for folder in model_folders()]


def find_model(name: str | Path) -> Entry:
    """A model by name, by a published system's name, or by its folder; ModelError that lists what there is."""
    return choose_model(name)[0]


def choose_model(name: str | Path) -> tuple[Entry, str | None]:
    """The model that a name or folder stands for, and, where that may surprise, a sentence about it.

    A published system's name (systems.SYSTEMS) is the user's imported checkpoint of that kind, where nothing
    that it needs is missing, else the shipped open model of that network. A Path, or text with a separator in it, is a
    folder first; of a plain name a folder is the last that is thought of, for `runs/` holds some of the zoo's names.
    ModelError where there is none.
    """
    folder = Path(name)
    is_name = isinstance(name, str) and folder.name == name
    if not is_name and (folder / CONFIG).is_file():
        return read_entry(folder), None
    if str(name) in SYSTEMS:
        return _choose_system(str(name))
    if entry := find_named(str(name)):
        return entry, None
    if is_name and (folder / CONFIG).is_file():
        return read_entry(folder), None
    known = [folder.name for folder in model_folders() if read_entry(folder).task == "temporal"]
    raise ModelError(
        f"no model named {name}",
        hint=f"choose one of: {', '.join(dict.fromkeys([*SYSTEMS, *known]))}; "
        f"official checkpoints are added with: {IMPORT_HINT}",
    )


def find_named(name: str) -> Entry | None:
    """The model folder of exactly that name, the user's before the shipped one, whether or not it is complete."""
    if Path(name).name != name or name.endswith(PART):
        return None
    folders = (root / name for root in (user_models_dir(), models_dir()))
    return next((read_entry(folder) for folder in folders if (folder / CONFIG).is_file()), None)


def load_model(
    name: str | Path | None = None,
    detector: str | Path | None = None,
    body: str | Path | None = None,
    device: str = "auto",
    precision: str = "auto",
) -> Model:
    """A temporal network with the encoder, detector and body that go with it.

    ModelError where something is missing or does not fit, UsageError where the device is not there.
    """
    from vibe_cli.device import choose_device, choose_dtype
    from vibe_cli.people.flow import open_flow

    entry, note = choose_model(name or DEFAULT_MODEL)
    if entry.task != "temporal":
        raise ModelError(
            f"{entry.name} is no temporal model but of the kind: {entry.task}",
            hint=f"use {DEFAULT_MODEL}, or see: vibe models list",
        )
    where = choose_device(device)
    dtype = choose_dtype(where, precision)
    encoder_entry = encoder_of(entry)
    encoder = load_network(encoder_entry).to(where)
    network = _fitting(entry, load_network(entry).to(where), encoder_entry, encoder)
    finder, finder_name = load_detector(detector, where, {encoder_entry.folder.resolve(): encoder})
    posed, other_shape = _load_body(body, entry)
    return Model(
        name=entry.name,
        detector_name=finder_name,
        detector=finder,
        encoder=encoder,
        network=network,
        body=posed.to(where),
        shape_known=other_shape is None,
        crop_size=crop_size(encoder_entry),
        crop_scale=crop_scale(entry, encoder_entry),
        device=where,
        dtype=dtype,
        camera_origin=entry.config.get("camera_origin", "pelvis"),
        notes=tuple(filter(None, (note, other_shape))),
        flow=open_flow(network.flow, where),
    )


def load_detector(
    name: str | Path | None, device: torch.device, loaded: dict[Path, nn.Module] | None = None
) -> tuple[Detector, str]:
    """A detector and its name: a model of the zoo, an ultralytics weights file or an ultralytics name.

    By default that of `default_detector`. `loaded` are networks by resolved folder that are on the device already and
    may be shared.
    """
    from vibe_cli.networks.centre import CentreNet
    from vibe_cli.people.detectors import CentreDetector, YoloDetector
    from vibe_cli.people.onnx_detectors import OnnxDetector
    from vibe_cli.zoo.fetched import default_detector, onnx_file

    name = default_detector() if name is None else name
    if str(name).endswith(".pt"):
        return YoloDetector(name, device), Path(name).name
    if str(name).endswith(ONNX):
        return OnnxDetector(name, device), Path(name).name
    entry = find_model(name)
    if entry.task != "detector":
        raise ModelError(
            f"{entry.name} is no detector", hint=f"use {DEFAULT_DETECTOR}, a YOLO .pt or a YOLOX .onnx file"
        )
    if entry.config.get("format") == "onnx":
        return OnnxDetector(onnx_file(entry), device), entry.name
    network, rescore = load_network_of(entry, CentreNet), entry.config.get("rescore")
    size, threshold = network.config.size, network.config.threshold
    if rescore is None:
        return CentreDetector(network, device, size=size, threshold=threshold, name=entry.name), entry.name
    from vibe_cli.networks.open_encoder import OpenEncoder
    from vibe_cli.people.rescore import LogisticRescorer, RescoredDetector

    proposer = CentreDetector(network, device, size=size, threshold=rescore["proposals_from"], name=entry.name)
    looker = _named_by(entry, str(rescore["encoder"]))
    shared = (loaded or {}).get(looker.folder.resolve())
    encoder = shared if isinstance(shared, OpenEncoder) else load_network_of(looker, OpenEncoder).to(device)
    return RescoredDetector(proposer, encoder, LogisticRescorer(**rescore["weights"]), threshold), entry.name


def load_network(entry: Entry) -> nn.Module:
    """The network of a model folder: float32, CPU, evaluation mode; ModelError where it is not whole."""
    import torch

    from vibe_cli.importing.safe_read import read_safetensors
    from vibe_cli.networks import load_network as build

    weights = entry.folder / WEIGHTS
    if "network" not in entry.config or not weights.is_file():
        raise ModelError(f"{entry.folder}: holds no network", hint="choose another model, or import it again")
    stated = entry.config.get("sha256") or entry.config.get("files", {}).get(WEIGHTS)
    if stated and sha256(weights) != stated:
        raise ModelError(
            f"{weights}: damaged, its checksum is not the one in {CONFIG}",
            hint="reinstall vibe-cli, or delete the folder and import the model again",
        )
    network = build(entry.config["network"], renamed_weights(read_safetensors(weights)), weights)
    return network.to(memory_format=torch.channels_last)  # convolutions on a CPU take two thirds of the time


def load_network_of(entry: Entry, kind: type[NetworkT]) -> NetworkT:
    """The same of a class that its task needs, else ModelError."""
    network = load_network(entry)
    if not isinstance(network, kind):
        raise ModelError(
            f"{entry.name}: its network is {type(network).__name__}, no {kind.__name__}", hint="choose another model"
        )
    return network


def read_entry(folder: Path) -> Entry:
    """A model folder; ModelError where its config.yaml is damaged."""
    try:
        config = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ModelError(
            f"{folder / CONFIG}: damaged ({type(error).__name__})", hint="reinstall vibe-cli, or import the model again"
        ) from None
    if not isinstance(config, dict):
        raise ModelError(f"{folder / CONFIG}: not a model's configuration", hint="import the model again")
    return Entry(folder, renamed_config(config))


def _choose_system(name: str) -> tuple[Entry, str | None]:
    """The model that a published system's name stands for; `choose_model` says which."""
    system, why, get = SYSTEMS[name], None, TRAIN_HINT
    if system.official:
        own = [entry for entry in list_imported() if entry.kind == system.official]
        if whole := next((entry for entry in own if not still_needed(entry)), None):
            return Entry(whole.folder, whole.config), None
        why, get = _lacking(own, system)
    if shipped := find_named(system.shipped):
        return shipped, f"{name} is {shipped.name} here, because {why} ({get})" if why else None
    raise ModelError(
        f"no model of {system.title} is here" + (f": {why}" if why else ""),
        hint=f"{get}; or {TRAIN_HINT}" if why else get,
    )


def _lacking(own: list[Imported], system: System) -> tuple[str, str]:
    """Why no imported checkpoint of a system can be used, and what to do."""
    if not own:
        return "no published checkpoint of it is imported", f"get one from {system.where}, then: {IMPORT_HINT}"
    needs = still_needed(own[0])
    what = "; ".join(need["what"] for need in needs)
    pages = "; ".join(dict.fromkeys(need["from"] for need in needs))
    return f"the imported {own[0].name} still needs {what}", f"get that from {pages}, then: {IMPORT_HINT}"


def encoder_of(entry: Entry) -> Entry:
    """The encoder a temporal network was trained on: ours by name, of official ones SPIN's backbone."""
    if "encoder" in entry.config:
        encoder = _named_by(entry, str(entry.config["encoder"]))
        if encoder.task != "encoder":
            raise ModelError(
                f"{entry.name} names {encoder.name} as its encoder, which is of the kind: {encoder.task}",
                hint=f"name an encoder in {entry.folder / CONFIG}",
            )
        return encoder
    for other in list_imported():
        if other.kind == "spin":
            return Entry(other.folder, other.config)
    needs = entry.config.get("needs") or [{"what": "SPIN's checkpoint", "from": "its authors"}]
    raise ModelError(
        f"{entry.name} needs an encoder: {needs[0]['what']}",
        hint=f"get it from {needs[0]['from']}, then: {IMPORT_HINT}",
    )


def _named_by(entry: Entry, named: str) -> Entry:
    """The model that another's config.yaml names: of its own folders, where the name begins with "./", or of the zoo.

    Models that were made together name each other by folder, so that they stay together wherever they lie.
    """
    return find_model((entry.folder / named).resolve() if named.startswith("./") else named)


def _fitting(entry: Entry, network: nn.Module, encoder_entry: Entry, encoder: nn.Module) -> TemporalNetwork:
    """The network, a temporal one that reads as many features as the encoder gives; else ModelError."""
    from vibe_cli.networks.temporal import TemporalNetwork

    if not isinstance(network, TemporalNetwork):
        raise ModelError(
            f"{entry.name} is no temporal model: its network is {type(network).__name__}",
            hint=f"use {DEFAULT_MODEL}, or see: vibe models list",
        )
    if network.features != encoder.features:
        raise ModelError(
            f"{entry.name} reads {network.features} features a frame, and its encoder "
            f"{encoder_entry.name} gives {encoder.features}",
            hint=f"name the encoder that it was trained on in {entry.folder / CONFIG}",
        )
    return network


def crop_size(encoder: Entry) -> int:
    """Pixels of a side of the crops that an encoder sees."""
    from vibe_cli.geometry.camera import CROP_SIZE

    return encoder.config["network"].get("size", CROP_SIZE)


def crop_scale(entry: Entry, encoder: Entry) -> float:
    """Side of a model's crops over the larger side of the person's box: its own, or its encoder's."""
    return entry.config.get("crop_scale") or encoder.config.get("crop_scale") or encoder.config["network"]["scale"]


def _load_body(path: str | Path | None, entry: Entry) -> tuple[Body, str | None]:
    """The user's choice, else what the model was trained with: SMPL for official ones, what its configuration names for
    a run, and the open body for our own; and a sentence where the network's shapes belong to another body."""
    from vibe_cli.body.body_models import OPEN_BODY, load_body, mean_shape_note

    published, named = entry.config.get("camera_origin") == "body", entry.config.get("body", OPEN_BODY)
    if path is not None:
        body, theirs = load_body(path), "smpl" if published or named != OPEN_BODY else "open"
        if published and body.kind != theirs:
            raise ModelError(
                f"{entry.name} places SMPL's origin in the picture and cannot place the {body.kind} body",
                hint="leave --body out, or name an SMPL file: --body SMPL_NEUTRAL.pkl",
            )
        return body, mean_shape_note(theirs, body.kind) if body.kind != theirs else None
    if named != OPEN_BODY:
        path = named
    elif published:
        path = find_body(prefer=entry.folder)
        if path is None:
            raise ModelError(
                f"{entry.name} needs an SMPL body, and none is here",
                hint=f"import an SMPL file: {IMPORT_HINT}; or name one: --body SMPL_NEUTRAL.pkl",
            )
    return load_body(path), None
