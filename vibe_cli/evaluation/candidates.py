"""Who is evaluated: a label and the models that are its runs, which differ in their seed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from vibe_cli.datasets import DATASETS, about
from vibe_cli.errors import ModelError, UsageError
from vibe_cli.zoo.reader import DEFAULT_DETECTOR, DEFAULT_MODEL, Entry, find_model, load_detector, load_model

if TYPE_CHECKING:
    import torch

    from vibe_cli.datasets.features import FrozenEncoder
    from vibe_cli.people.detectors import Detector
    from vibe_cli.zoo.model import Model

ModelT = TypeVar("ModelT")
DEFAULTS = {"motion": DEFAULT_MODEL, "keypoints": "open-encoder", "detection": DEFAULT_DETECTOR}


@dataclass(frozen=True, eq=False)
class Run(Generic[ModelT]):
    """One trained model."""

    name: str  # in the zoo, or its folder
    model: ModelT  # a Model, a FrozenEncoder or a Detector
    data: str  # what it learned from, as its card says


@dataclass(frozen=True, eq=False)
class Candidate(Generic[ModelT]):
    """One row of the table."""

    label: str
    runs: list[Run[ModelT]]


def parse(choice: str) -> tuple[str, list[str]]:
    """`NAME`, or `LABEL=NAME,NAME,…` for several runs of one system → label and names."""
    label, equals, names = choice.partition("=")
    found = [name for name in (names if equals else choice).split(",") if name]
    if not found or (equals and not label) or (not equals and len(found) > 1):
        raise UsageError(f"--model {choice}: not a model", hint="write NAME, or LABEL=NAME,NAME,NAME for several runs")
    return (label if equals else Path(choice).name if Path(choice).is_dir() else choice), found


def open_models(choices: Sequence[str], body: str | Path | None, device: str, precision: str) -> list[Candidate[Model]]:
    """Temporal models with what goes with them; ModelError where one is missing."""

    def load(name: str) -> Run[Model]:
        entry = find_model(name)
        return Run(name, load_model(name, body=body, device=device, precision=precision), training_data(entry))

    return _open(choices, "motion", load)


def load_encoders(
    choices: Sequence[str], body: str | Path | None, device: str, precision: str
) -> list[Candidate[Model | FrozenEncoder]]:
    """Encoders, by themselves or below a temporal model."""
    from vibe_cli.datasets.features import load_encoder
    from vibe_cli.device import choose_device, choose_dtype

    def load(name: str) -> Run[Model | FrozenEncoder]:
        entry = find_model(name)
        if entry.task not in ("encoder", "temporal"):
            raise ModelError(
                f"{entry.name} finds no keypoints: it is of the kind {entry.task}",
                hint=f"use {DEFAULTS['keypoints']}, or a temporal model with its encoder",
            )
        if entry.task != "encoder":
            return Run(name, load_model(name, body=body, device=device, precision=precision), training_data(entry))
        where = choose_device(device)
        return Run(name, load_encoder(entry, where, choose_dtype(where, precision)), training_data(entry))

    return _open(choices, "keypoints", load)


def open_detectors(choices: Sequence[str], device: torch.device) -> list[Candidate[Detector]]:
    """Detectors of the zoo, or YOLO weights."""

    def load(name: str) -> Run[Detector]:
        detector, found = load_detector(name, device)
        data = "what its author states" if name.endswith((".pt", ".onnx")) else training_data(find_model(name))
        return Run(found, detector, data)

    return _open(choices, "detection", load)


def training_data(entry: Entry) -> str:
    """Training data of a model: its card's paragraph on data, without line breaks; for imports, whose weights."""
    source = entry.config.get("source")
    if isinstance(source, dict):
        return f"published weights ({source.get('from', 'unknown')}): see its paper"
    if "data" in entry.config:
        return str(entry.config["data"])
    card = entry.folder / "CARD.md"
    if card.is_file():
        found = re.search(r"^- \*\*Data\*\*:(.*?)(?=^- \*\*|^#|\Z)", card.read_text("utf-8"), re.M | re.S)
        if found:
            return " ".join(re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", found[1]).split())
    return "not stated by its card"


def _open(choices: Sequence[str], task: str, load: Callable[[str], Run]) -> list[Candidate]:
    candidates, labels = [], set()
    for choice in choices or (DEFAULTS[task],):
        label, names = parse(choice)
        if label in labels:
            raise UsageError(f"two models of the label {label}", hint="write LABEL=NAME to tell them apart")
        labels.add(label)
        candidates.append(Candidate(label, [load(name) for name in names]))
    return candidates


def check_task(task: str, name: str) -> None:
    """UsageError where a data set has no truth that models are compared with."""
    if task not in DEFAULTS:
        raise UsageError(
            f"nothing is evaluated on {name}: it has no truth to compare with",
            hint="it is for training; evaluate on one of: "
            + ", ".join(other for other in DATASETS if about(other).task in DEFAULTS),
        )
