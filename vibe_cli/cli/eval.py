"""`vibe eval`: models against data whose truth is known."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vibe_cli.cli.options import batch_size_option, debug_option, default, path_option, precision_option
from vibe_cli.cli.progress import terminal_progress
from vibe_cli.cli.words import echo
from vibe_cli.datasets import DATASETS
from vibe_cli.device import DEVICES
from vibe_cli.errors import EXIT_OK
from vibe_cli.options import RAW, MotionOptions
from vibe_cli.run_folder import DEFAULT_OUTPUT, make_writable, remove_if_empty

if TYPE_CHECKING:
    from vibe_cli.evaluation.report import Report

WIDE = 160  # columns where nobody looks at a terminal
OUTPUT = Path(DEFAULT_OUTPUT) / "eval"


@click.command("eval", short_help="Measure models on data whose truth is known.")
@click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option("--dataset", required=True, type=click.Choice(list(DATASETS)), help="Which data set FOLDER holds.")
@click.option(
    "--model",
    "models",
    metavar="NAME",
    multiple=True,
    help="A model of the zoo or a model's folder; several times for several, and LABEL=NAME,NAME,NAME for "
    "runs of one system, whose mean ± deviation is then given. [default: the shipped one]",
)
@path_option("-o", "--output", metavar="FOLDER", help=f"Where the tables and plots go. [default: {OUTPUT}/DATASET]")
@click.option("--split", metavar="NAME", help="Part of the data set, such as test or train. [default: its test set]")
@path_option("--body", metavar="FILE", help="An SMPL file. [default: the body that each model was made for]")
@click.option(
    "--refine/--no-refine", default=RAW.refine, show_default=True, help="Fit motion to the encoder's keypoints."
)
@click.option(
    "--smooth",
    type=click.FloatRange(0),
    default=RAW.smooth,
    show_default=True,
    metavar="STRENGTH",
    help="Smoothing over time; the published numbers are without.",
)
@click.option(
    "--window",
    type=click.IntRange(1),
    default=default(MotionOptions, "window"),
    metavar="N",
    help="Frames that the temporal model sees at once. [default: as it was trained]",
)
@click.option(
    "--stride",
    type=click.IntRange(1),
    default=default(MotionOptions, "stride"),
    metavar="N",
    help="Frames from one window to the next. [default: half a window]",
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N sequences, or pictures.")
@path_option("--cache", metavar="FOLDER", help="Keep what the encoders see there, for the next time.")
@click.option("--plots/--no-plots", default=True, show_default=True, help="Draw errors by joint and over time.")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Where the networks run.")
@precision_option
@batch_size_option(16)
@debug_option
def command(
    folder: Path,
    dataset: str,
    models: tuple[str, ...],
    output: Path | None,
    plots: bool,
    refine: bool,
    smooth: float,
    window: int | None,
    stride: int | None,
    cache: Path | None,
    **choices: Any,
) -> int:
    """Measure models on data whose truth is known, and say how.

    \b
    3dpw, mpi-inf-3dhp, human36m                      motion in 3D: MPJPE, PA-MPJPE, PVE, Accel, PCK
    synthetic, synth-video, synth-crops               the same, on people of vibe synth
    coco-keypoints, lspet, penn-action, posetrack     keypoints in pictures: PCK
    coco-people                                       detectors: recall

    \b
    vibe eval --dataset 3dpw ~/data/3DPW --model vibe --model tcmr
    vibe eval --dataset synthetic cache --model vibe=runs/a,runs/b,runs/c --model tcmr=runs/d,runs/e,runs/f
    vibe eval --dataset coco-keypoints ~/data/coco --model open-encoder
    """
    from vibe_cli.evaluation.run import EvaluationOptions, evaluate

    output = output or OUTPUT / dataset
    motion = MotionOptions(refine=refine, smooth=smooth, window=window, stride=stride)
    make_writable(output)
    if cache is not None:
        make_writable(cache, "choose another folder with --cache")
    try:
        outcome = evaluate(
            EvaluationOptions(dataset, folder, models, motion=motion, cache=cache, **choices), terminal_progress()
        )
        files = outcome.report.write(output)
    finally:
        for made in filter(None, (output, cache)):
            remove_if_empty(made, made)
    show(outcome.report)
    if plots:
        files += [draw(output) for draw in outcome.plots]
    for warning in dict.fromkeys(outcome.warnings):
        echo(f"warning: {warning}", err=True)
    for file in files:
        echo(file)
    return EXIT_OK


def show(report: Report) -> None:
    """The tables and the protocol, on stdout."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)
    for title, rows in ((report.title, report.table), ("by orientation", report.orientations)):
        if rows:
            table = Table(title=title, title_justify="left")
            for number, heading in enumerate(rows[0]):
                table.add_column(heading, justify="right" if number else "left", no_wrap=not number)
            for row in rows[1:]:
                table.add_row(*row)
            console.print(table)
    for line in report.lines():
        echo(f"  {line}")
