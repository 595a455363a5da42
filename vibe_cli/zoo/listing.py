"""The rows of `vibe models list` and of the table of models/README.md: every model that is here, and what it lacks.

Reads configurations only, never weights; nothing heavy is imported.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vibe_cli.errors import ModelError
from vibe_cli.importing.library import Imported, still_needed
from vibe_cli.importing.systems import SYSTEMS
from vibe_cli.paths import models_dir
from vibe_cli.zoo.fetched import default_detector, fetched_default, own_yolo_files
from vibe_cli.zoo.reader import (
    DEFAULT_MODEL,
    Entry,
    choose_model,
    model_folders,
    read_entry,
)

YOLO_LICENCE = "AGPL-3.0, or bought from Ultralytics"


@dataclass(frozen=True)
class Row:
    """Facts about one model."""

    name: str
    task: str
    network: str | None  # a key of networks.NETWORKS
    bytes: int  # of its weights on the disk
    source: str  # shipped, or the file it came of
    licence: str
    folder: Path
    default: bool = False  # used where nothing is named
    measured: dict[str, Any] = field(default_factory=dict)  # what and its unit → number
    needs: list[dict[str, str]] = field(default_factory=list)  # missing: kind, what it is, from where
    damage: str | None = None  # why it cannot be used

    @property
    def state(self) -> str:
        """present, or what is wrong with it."""
        if self.damage:
            return self.damage
        needs = "needs " + ", ".join(need["kind"] for need in self.needs) if self.needs else "present"
        return needs + (" (default)" if self.default else "")


def catalogue() -> list[Row]:
    """Every model, the user's own first; one that is damaged says so and hides no other."""
    detector = Path(default_detector()).name
    rows = [_row(folder, detector) for folder in model_folders()]
    rows += [
        Row(
            path.name,
            "detector",
            "yolo",
            path.stat().st_size,
            f"yours, {path.name}",
            YOLO_LICENCE,
            path.parent,
            default=path.name == detector,
        )
        for path in own_yolo_files()
    ]
    return sorted(rows, key=lambda row: row.source == "shipped")


def systems() -> dict[str, dict[str, str | None]]:
    """The model behind each published system's name: `model`, its folder's name or None, and a `note`."""
    found: dict[str, dict[str, str | None]] = {}
    for name in SYSTEMS:
        try:
            entry, note = choose_model(name)
            found[name] = {"model": entry.name, "note": note}
        except ModelError as error:
            found[name] = {"model": None, "note": f"{error.message} ({error.hint})"}
    return found


def short(licence: str) -> str:
    """A licence up to its first comma, for tables."""
    return re.split(r"[,;(:]", licence)[0].strip()


def figures(measured: dict[str, Any]) -> str:
    """Measured numbers as text: `MPJPE mm 211.5, PA-MPJPE mm 122.5`."""
    return ", ".join(f"{name} {value}" for name, value in measured.items())


def megabytes(count: int) -> str:
    """A file's size as text."""
    return f"{count / 1e6:.1f} MB"


def readme_table() -> str:
    """The table of models/README.md, in Markdown: the shipped models."""
    lines = ["| model | task | network | size | licence | measured |", "|---|---|---|---|---|---|"]
    for row in (row for row in catalogue() if row.source == "shipped"):
        cells = (
            f"[{row.name}]({row.name}/CARD.md)",
            row.task,
            row.network or "–",
            megabytes(row.bytes),
            row.licence,
            figures(row.measured) or "–",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _row(folder: Path, detector: str) -> Row:
    """One model folder."""
    where = "shipped" if folder.parent == models_dir() else "yours"
    size = sum(path.stat().st_size for path in (*folder.glob("*.safetensors"), *folder.glob("*.onnx")))
    needs, damage = [], None if size else f"{folder}: its weights are missing"
    try:
        entry = read_entry(folder)
    except ModelError as error:
        return Row(folder.name, "?", None, size, where, "?", folder, damage=error.message)
    config = entry.config
    if "kind" in config:
        try:
            needs = still_needed(Imported(folder, config))
        except (ModelError, KeyError, TypeError) as error:  # its own sidecar's, or that of another
            damage = getattr(error, "message", f"{folder}: its config.yaml is damaged")
    origin = config.get("source") if where == "yours" else None
    source = f"{where}, {origin['file']}" if isinstance(origin, dict) and "file" in origin else where
    network = config.get("network")
    return Row(
        entry.name,
        entry.task,
        network.get("network") if isinstance(network, dict) else None,
        size,
        source,
        str(config.get("licence", "not stated")),
        folder,
        _is_default(entry, detector),
        config.get("measured") or {},
        needs,
        damage,
    )


def _is_default(entry: Entry, detector: str) -> bool:
    """Whether this is what runs use where nothing is named."""
    return entry.name in (DEFAULT_MODEL, detector, fetched_default("keypoints")) or (
        entry.task == "body" and entry.name == "open-body"
    )
