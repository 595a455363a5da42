"""`vibe batch`: every clip under folders, to a result or a reason."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from vibe_cli.batch.plan import Plan, plan_batch
from vibe_cli.batch.remote import output_at, url_of
from vibe_cli.batch.report import BatchReport
from vibe_cli.batch.run import ENGINES, BatchOptions, left_to_do, run_batch
from vibe_cli.batch.schedule import Policy
from vibe_cli.batch.work import Setup
from vibe_cli.cli.batch_words import Lines, counted, tell_report, told
from vibe_cli.cli.failures import explain
from vibe_cli.cli.options import debug_option, default, output_option
from vibe_cli.cli.run_options import (
    chosen_limits,
    chosen_model,
    chosen_run,
    keypoints_of_one_clip,
    limit_options,
    run_options,
)
from vibe_cli.cli.words import echo
from vibe_cli.errors import EXIT_BATCH, EXIT_OK, UsageError
from vibe_cli.paths import printable
from vibe_cli.run import Job


@click.command("batch", short_help="Recover everybody's motion in all clips under folders; goes on where it stopped.")
@click.argument("inputs", nargs=-1, required=True, metavar="FOLDER...", type=click.Path(path_type=Path))
@output_option
@click.option("--include", multiple=True, metavar="PATTERN", help="Only clips whose name or place matches: '*.mov'.")
@click.option("--exclude", multiple=True, metavar="PATTERN", help="No clips whose name, place or folder matches.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=default(BatchOptions, "workers"),
    show_default=True,
    metavar="N",
    help="Processes, each with its own model.",
)
@click.option(
    "--timeout", type=click.FloatRange(1), metavar="SECONDS", help="End a clip that takes longer. [default: never]"
)
@click.option(
    "--retries",
    type=click.IntRange(0),
    default=default(Policy, "retries"),
    show_default=True,
    metavar="N",
    help="Further tries of a clip whose process died, or for which memory or the disk did not do.",
)
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default=default(BatchOptions, "engine"),
    show_default=True,
    help="local: this machine; ray: a Ray cluster (extra vibe-cli[ray]) that shares these folders.",
)
@click.option("--address", metavar="HOST:PORT", help="Of the Ray cluster. [default: one on this machine]")
@click.option("--gpus", type=click.FloatRange(0), metavar="SHARE", help="Of a GPU, for each Ray worker: 0.5, 1 …")
@click.option(
    "--piece-frames",
    type=click.IntRange(0),
    default=default(BatchOptions, "piece_frames"),
    show_default=True,
    metavar="N",
    help="Cut clips of twice this length for several workers, which gives the same results; 0 cuts none.",
)
@limit_options
@run_options
@debug_option
def command(inputs: tuple[Path, ...], output: Path, dry_run: bool, **choices: Any) -> int:
    """Recover everybody's motion in all clips under folders; goes on where it stopped.

    Clips are video files and folders of images, found in folders of folders. Each gets a folder at the same place
    below the output folder, as vibe demo makes it. Both may be URLs (s3://bucket/clips; extra vibe-cli[remote]).
    One clip's failure never stops the rest. Given again, the same command does only what is missing or has changed:
    a new --format or --render does not repeat the networks. report.json, report.csv and index.html in the output
    folder say what came of each clip.

    \b
    vibe batch clips/ -o results/ --render --timeout 3600
    vibe batch a/ b/ --include '*.mov' --exclude 'old/*' --workers 2 --dry-run
    """
    if keypoints_of_one_clip(choices):
        raise UsageError("keypoints of one clip for a batch", hint="give --keypoints a pose model (.pt, .onnx)")
    if choices["engine"] == "local" and (choices["address"] or choices["gpus"] is not None):
        raise UsageError("--address and --gpus are for Ray", hint="add --engine ray")
    if choices["engine"] == "ray":  # whose workers stand elsewhere
        inputs, output = tuple(map(_from_anywhere, inputs)), _from_anywhere(output)
    with output_at(output) as (folder, target):
        plan = plan_batch(inputs, folder, choices["include"], choices["exclude"], target)
        setup = chosen_setup(folder, choices)
        if dry_run:
            tell_plan(plan, setup)
            return EXIT_OK
        report = _run(plan, setup, choices, target)
    tell_report(report)
    return EXIT_BATCH if report.counts()["failed"] else EXIT_OK


def _from_anywhere(path: Path) -> Path:
    """A path that does not depend on the working directory."""
    return path if url_of(path) else Path(os.path.abspath(path))


def _run(plan: Plan, setup: Setup, choices: dict[str, Any], target: str | None) -> BatchReport:
    """The batch, told while it goes."""
    policy = Policy(choices["timeout"], choices["retries"])
    named = {name: choices[name] for name in ("workers", "engine", "address", "gpus", "piece_frames")}
    for reason in plan.passed_over:
        echo(printable(f"passed over: {reason}"), err=True)
    lines = Lines(len(plan.clips))
    try:
        return run_batch(plan, setup, BatchOptions(**named, policy=policy), lines.begin, target)
    finally:
        lines.stop()


def chosen_setup(output: Path, choices: dict[str, Any]) -> Setup:
    """The order that every worker is given; ModelError where the model is not here."""
    from vibe_cli.batch.identity import keys_of

    job = Job(output, chosen_model(choices), chosen_run(choices), chosen_limits(choices))
    return Setup(job, keys_of(job), explain)


def tell_plan(plan: Plan, setup: Setup) -> None:
    """Say what a run would do."""
    left = {clip.name for clip in left_to_do(plan, setup)[0]}
    for clip in plan.clips:
        echo(f"{'run' if clip.name in left else 'finished':<10}{told(clip)}")
    for reason in plan.passed_over:
        echo(printable(f"passed over: {reason}"), err=True)
    size = sum(clip.size for clip in plan.clips if clip.name in left) / 1e6
    echo(f"{counted(len(left))} to run ({size:.1f} MB), {len(plan.clips) - len(left)} finished", err=True)
