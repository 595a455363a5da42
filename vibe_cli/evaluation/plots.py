"""Pictures of an evaluation: errors by joint, and over time as in TCMR's Figure 5.

matplotlib draws them; it comes with ultralytics. Nothing is shown on a screen and no setting of it is changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vibe_cli.errors import ModelError
from vibe_cli.evaluation.report import Row, spread
from vibe_cli.run_folder import replacing_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from vibe_cli.evaluation.motion import Score
    from vibe_cli.evaluation.people import Finds

DPI = 130
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")  # Okabe and Ito
MOST_FRAMES = 1000  # of a sequence that is drawn over time


def draw_joints(path: Path, rows: list[Row], measures: dict[str, tuple[str, float]]) -> Path:
    """Bars of each measure (key → label and factor) by joint, a colour a model, whiskers over its runs."""
    figure, axes = _figure(len(measures), 10.0)
    joints = list(dict.fromkeys(joint for row in rows for run in row.runs for joint in run.get("per_joint", {})))
    width = 0.8 / max(len(rows), 1)
    for axis, (key, (label, factor)) in zip(axes, measures.items(), strict=True):
        for number, row in enumerate(rows):
            found = [spread([run["per_joint"].get(joint, {}) for run in row.runs], key) for joint in joints]
            heights = [(mean or 0) * factor for mean, _ in found]
            whiskers = [(deviation or 0) * factor for _, deviation in found]
            places = np.arange(len(joints)) + (number - (len(rows) - 1) / 2) * width
            axis.bar(
                places,
                heights,
                width,
                label=row.label,
                color=COLOURS[number % len(COLOURS)],
                yerr=whiskers if any(whiskers) else None,
                error_kw={"linewidth": 1},
            )
        axis.set_ylabel(label)
        axis.set_xticks(np.arange(len(joints)), joints, rotation=35, ha="right")
        axis.grid(axis="y", alpha=0.3)
        axis.set_axisbelow(True)
        axis.margins(x=0.01)
    _legend(figure, axes[0], len(rows))
    return _save(figure, path)


def draw_time(path: Path, scores: dict[str, Score], name: str) -> Path:
    """One sequence: the acceleration's error and the joints' over its frames, a line a model (by label)."""
    figure, axes = _figure(2, 10.0, share=True)
    for number, (label, score) in enumerate(scores.items()):
        colour = COLOURS[number % len(COLOURS)]
        at = np.arange(min(len(score.accel_err), MOST_FRAMES))
        for axis, values in zip(axes, (score.accel_err, score.errors.mean(axis=1)), strict=True):
            axis.plot(at, values[: len(at)], color=colour, linewidth=1.1, label=label)
    axes[0].set_ylabel("acceleration error\nmm/frame²")
    axes[1].set_ylabel("MPJPE\nmm")
    axes[1].set_xlabel(f"frame of {name}")
    for axis in axes:
        axis.grid(alpha=0.3)
        axis.set_ylim(bottom=0)
        axis.margins(x=0.005)
    _legend(figure, axes[0], len(scores))
    return _save(figure, path)


def draw_recall(path: Path, finds: dict[str, Finds], most: float = 2.0) -> Path:
    """Recall over false finds a picture, a line a detector (by label)."""
    figure, (axis,) = _figure(1, 6.0)
    for number, (label, one) in enumerate(finds.items()):
        axis.step(
            np.concatenate([[0], one.false]),
            np.concatenate([[0], one.recall]),
            where="post",
            label=label,
            color=COLOURS[number % len(COLOURS)],
        )
    axis.set_xlim(0, most)
    axis.set_ylim(0, 1)
    axis.set_xlabel("false finds a picture")
    axis.set_ylabel("recall")
    axis.grid(alpha=0.3)
    _legend(figure, axis, len(finds))
    return _save(figure, path)


def _figure(rows: int, width: float, share: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure of panels above each other, without a window."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise ModelError(
            "the plots need matplotlib, which comes with ultralytics",
            hint="pip install matplotlib, or leave the plots out: --no-plots",
        ) from None
    figure = Figure(figsize=(width, 0.6 + 2.9 * rows), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(np.atleast_1d(figure.subplots(rows, 1, sharex=share)))


def _legend(figure: Figure, axis: Axes, count: int) -> None:
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=min(count, 6), frameon=False)


def _save(figure: Figure, path: Path) -> Path:
    with replacing_file(path) as part:
        figure.savefig(part, format="png")
    return path
