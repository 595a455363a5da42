"""The numbers of an evaluation as a table in the shape of the papers' Table 1, as Markdown and as JSON."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, field
from datetime import date
from itertools import repeat
from pathlib import Path

from vibe_cli._version import __version__
from vibe_cli.run_folder import replacing_file

FORMAT, VERSION = "vibe-evaluation", 1
NOTHING = "–"


@dataclass(frozen=True)
class Column:
    """One measure."""

    key: str  # in a run's numbers
    heading: str  # with its unit and which way is better
    factor: float = 1.0
    digits: int = 1


MOTION = (
    Column("pa_mpjpe", "PA-MPJPE mm ↓"),
    Column("mpjpe", "MPJPE mm ↓"),
    Column("pve", "PVE mm ↓"),
    Column("accel", "Accel mm/frame²"),
    Column("accel_err", "Accel error ↓"),
    Column("pck", "PCK % ↑", 100),
    Column("swapped", "sides swapped % ↓", 100),
    Column("mpjpe_if_never_swapped", "MPJPE if never swapped"),
)
ORIENTATION = (
    Column("frames", "frames", digits=0),
    Column("pa_mpjpe", "PA-MPJPE mm ↓"),
    Column("mpjpe", "MPJPE mm ↓"),
    Column("accel_err", "Accel error ↓"),
    Column("swapped", "sides swapped % ↓", 100),
)
KEYPOINTS = (
    Column("pck@0.1", "PCK@0.1 % ↑", 100),
    Column("pck@0.2", "PCK@0.2 % ↑", 100),
    Column("pck@0.1_if_never_swapped", "@0.1 if never swapped", 100),
    Column("pck@0.2_if_never_swapped", "@0.2 if never", 100),
    Column("swapped", "people swapped % ↓", 100),
)
DETECTION = (
    Column("recall@0.25", "recall at 0.25 false/picture ↑", digits=3),
    Column("recall@0.5", "at 0.5 ↑", digits=3),
    Column("recall@1", "at 1 ↑", digits=3),
    Column("recall", "at any ↑", digits=3),
)


@dataclass
class Row:
    """One system: the numbers of its runs."""

    label: str
    runs: list[dict]  # numbers by key
    names: list[str] = field(default_factory=list)  # of the models behind them
    data: list[str] = field(default_factory=list)  # what each learned from


@dataclass
class Report:
    """Everything that is written."""

    dataset: str
    folder: str
    split: str | None
    protocol: dict[str, str]
    columns: tuple[Column, ...]
    rows: list[Row]

    @property
    def table(self) -> list[list[str]]:
        """Heading and rows."""
        return [
            ["model", *(column.heading for column in self.columns)],
            *([row.label, *(cell(row.runs, column) for column in self.columns)] for row in self.rows),
        ]

    @property
    def orientations(self) -> list[list[str]]:
        """The same by which way people face, where that is known: heading and rows, or nothing."""
        names = dict.fromkeys(name for row in self.rows for run in row.runs for name in run.get("by_orientation", {}))
        lines = [
            [
                row.label,
                name,
                *(cell([run["by_orientation"].get(name, {}) for run in row.runs], column) for column in ORIENTATION),
            ]
            for name in names
            for row in self.rows
        ]
        return [["model", "seen from", *(column.heading for column in ORIENTATION)], *lines] if lines else []

    @property
    def title(self) -> str:
        """The data set evaluated on, with its split."""
        return f"{self.dataset}{f', {self.split}' if self.split else ''} ({self.folder})"

    def lines(self) -> list[str]:
        """The protocol, a line each, and what the models learned from."""
        found = [f"{name}: {text}" for name, text in self.protocol.items()]
        for row in self.rows:
            for name, data in dict(zip(row.names, row.data, strict=True)).items():
                found.append(f"data in training of {row.label if len(row.runs) == 1 else name}: {data}")
        if any(len(row.runs) > 1 for row in self.rows):
            found.append(
                "±: standard deviation over the runs of a system: "
                + ", ".join(f"{len(row.runs)} of {row.label}" for row in self.rows)
            )
        return found

    def markdown(self) -> str:
        """A page with the tables and the protocol."""
        parts = [f"# {self.title}", _markdown(self.table)]
        if self.orientations:
            parts += ["By orientation:", _markdown(self.orientations)]
        parts += ["\n".join(f"- {line}" for line in self.lines()), f"vibe {__version__}, {date.today().isoformat()}"]
        return "\n\n".join(parts) + "\n"

    def content(self) -> dict:
        """The content of metrics.json."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "vibe": __version__,
            "date": date.today().isoformat(),
            "dataset": self.dataset,
            "folder": self.folder,
            "split": self.split,
            "protocol": self.protocol,
            "models": [
                {
                    "label": row.label,
                    "mean": {c.key: spread(row.runs, c.key)[0] for c in self.columns},
                    "std": {c.key: spread(row.runs, c.key)[1] for c in self.columns},
                    "runs": [
                        numbers | {"model": name, "data": data}
                        for numbers, name, data in zip(
                            row.runs,
                            row.names or [row.label] * len(row.runs),
                            row.data or repeat(None, len(row.runs)),
                            strict=True,
                        )
                    ],
                }
                for row in self.rows
            ],
        }

    def write(self, folder: Path) -> list[Path]:
        """metrics.json and table.md, written beside and renamed."""
        files = {
            folder / "metrics.json": json.dumps(self.content(), indent=1, ensure_ascii=False) + "\n",
            folder / "table.md": self.markdown(),
        }
        for path, text in files.items():
            with replacing_file(path) as part:
                part.write_text(text, encoding="utf-8")
        return list(files)


def spread(runs: list[dict], key: str) -> tuple[float | None, float | None]:
    """Mean over the runs that have a number, and its standard deviation where there are several."""
    values = [run[key] for run in runs if run.get(key) is not None]
    return (statistics.fmean(values) if values else None, statistics.stdev(values) if len(values) > 1 else None)


def cell(runs: list[dict], column: Column) -> str:
    """A number, with ± where there are several runs."""
    mean, deviation = spread(runs, column.key)
    if mean is None:
        return NOTHING
    text = f"{mean * column.factor:.{column.digits}f}"
    return text if deviation is None else f"{text} ± {deviation * column.factor:.{column.digits}f}"


def _markdown(table: list[list[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in table]
    return "\n".join([lines[0], "|" + "---|" * len(table[0]), *lines[1:]])
