"""`vibe demo`: clips in, motion out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vibe_cli.cli.failures import report
from vibe_cli.cli.options import debug_option, output_option
from vibe_cli.cli.progress import terminal_progress
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
from vibe_cli.run import OTHER_DETECTOR, Job, Outcome, run_clip
from vibe_cli.run_folder import plan_folders


@click.command("demo", short_help="Recover everybody's 3D motion in clips or image folders.")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...", type=click.Path(path_type=Path))
@output_option
@limit_options
@run_options
@debug_option
@click.pass_context
def command(ctx: click.Context, inputs: tuple[Path, ...], output: Path, **choices: Any) -> int:
    """Recover everybody's 3D motion in clips or image folders.

    INPUT is a video file, a folder of images, or one image. Each clip gets a folder under the output folder
    with result.npz (the motion), run.json (what was done), overlay.mp4 (of an image .png) with --render,
    and what was exported.

    \b
    vibe demo dance.mp4 --render
    vibe demo a.mp4 b.mp4 photos/ --format npz
    """
    if len(inputs) > 1 and keypoints_of_one_clip(choices):
        raise UsageError(
            f"keypoints of one clip for {len(inputs)} of them",
            hint="run vibe demo once a clip, or give --keypoints a pose model (.pt, .onnx)",
        )
    folders = plan_folders(inputs, output)
    if choices["detector"] is None and choices["keypoints"] is None:
        tell_of_better_models()
    job = Job(output, chosen_model(choices), chosen_run(choices), chosen_limits(choices))
    if len(inputs) == 1:
        run(inputs[0], folders[0], job)
        return EXIT_OK
    _ = job.model  # a model that is not there is the whole command's failure, not that of each clip
    failed = 0
    for number, (path, folder) in enumerate(zip(inputs, folders, strict=True), 1):
        echo(f"[{number}/{len(inputs)}] {path}", err=True)
        try:
            run(path, folder, job)
        except Exception as error:  # one clip's failure does not stop the rest
            report(error, ctx.obj.debug)
            failed += 1
    if failed:
        echo(f"{failed} of {len(inputs)} clips failed", err=True)
    return EXIT_BATCH if failed else EXIT_OK


def run(path: Path, folder: Path, job: Job) -> None:
    """One clip, start to end, and what came of it."""
    outcome = run_clip(path, folder, job, terminal_progress())
    if outcome.result.people:
        tell(outcome)
    else:
        warn(outcome)
    if outcome.failure is not None:
        raise outcome.failure


def tell_of_better_models() -> None:
    """Say on a terminal, once a user, that better models can be had, where none were."""
    import sys

    from vibe_cli.paths import user_models_dir

    told = user_models_dir() / ".told-of-fetch"
    if not sys.stderr.isatty() or told.exists() or any(user_models_dir().glob("*/model.onnx")):
        return
    echo("note: better detectors and keypoints can be had: vibe models fetch recommended", err=True)
    try:
        told.parent.mkdir(parents=True, exist_ok=True)
        told.touch()
    except OSError:
        pass  # then it is said again


def warn(outcome: Outcome) -> None:
    """Say what whoever uses the result should know."""
    for warning in outcome.facts.warnings:
        echo(f"warning: {warning}", err=True)


def tell(outcome: Outcome) -> None:
    """Say what was found and where it lies."""
    facts = outcome.facts
    people = facts.people
    noun = "person" if len(people) == 1 else "people"
    echo(f"{facts.input['path']}: {len(people)} {noun} in {facts.frames} frames, {facts.total_seconds:.1f} s")
    if facts.input["kind"] != "photos" and len(facts.scenes) > 1:
        starts = ", ".join(str(scene.first) for scene in facts.scenes[:8]) + (", …" if len(facts.scenes) > 8 else "")
        echo(f"  {len(facts.scenes)} scenes, from frames {starts}")
    for person in people:
        filled = f", {person.filled} filled in" if person.filled else ""
        echo(f"  person {person.id}: {person.frames} frames, {person.first} to {person.last}{filled}")
    if short := facts.dropped_tracks - facts.unsure_tracks:
        echo(f"  {_were_dropped(short, 'short')} (--min-track)")
    if facts.unsure_tracks:
        echo(f"  {_were_dropped(facts.unsure_tracks, 'uncertain')} ({OTHER_DETECTOR})")
    if facts.left_out_tracks:
        were = "was" if facts.left_out_tracks == 1 else "were"
        echo(f"  {facts.left_out_tracks} more {were} left out, as you chose (--max-people, --person)")
    warn(outcome)
    for file in outcome.files:
        echo(file)


def _were_dropped(count: int, kind: str) -> str:
    return f"1 {kind} appearance was dropped" if count == 1 else f"{count} {kind} appearances were dropped"
