"""`vibe demo`: clips in, motion out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vibe_cli.cli.failures import report
from vibe_cli.cli.options import debug_option, default, output_option, path_option
from vibe_cli.cli.progress import terminal_progress
from vibe_cli.device import DEVICES, PRECISIONS
from vibe_cli.errors import EXIT_BATCH, EXIT_OK, UsageError
from vibe_cli.export import FORMATS, ExportOptions
from vibe_cli.options import MotionOptions
from vibe_cli.people.track import TrackOptions
from vibe_cli.pipeline import Options
from vibe_cli.rendering.renderer import STYLES
from vibe_cli.run import OTHER_DETECTOR, Outcome, RunOptions, run_clip
from vibe_cli.run_folder import make_writable, plan_folders, remove_if_empty

if TYPE_CHECKING:
    from vibe_cli.zoo.model import Model

DEFAULT_STYLE = next(iter(STYLES))


@click.command("demo", short_help="Recover everybody's 3D motion in clips or image folders.")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...", type=click.Path(path_type=Path))
@output_option
@click.option("-r", "--render", is_flag=True, help="Draw the bodies over the clip as well.")
@click.option(
    "-s",
    "--style",
    type=click.Choice(list(STYLES)),
    help=f"How --render draws; choosing a style implies it. [default: {DEFAULT_STYLE}]",
)
@click.option(
    "-f",
    "--format",
    "formats",
    type=click.Choice(list(FORMATS)),
    multiple=True,
    help="Export as well; may be given several times.",
)
@click.option(
    "--model",
    metavar="NAME",
    help="Temporal model: vibe, tcmr, dts-vibe, sps-net, a name of the zoo, or a model's folder.",
)
@click.option(
    "--detector", metavar="NAME", help="Person detector: a name of the zoo, YOLO weights (.pt), or YOLOX (.onnx)."
)
@path_option("--body", metavar="FILE", help="An SMPL file. [default: the body that the model was made for]")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Where the networks run.")
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="auto",
    show_default=True,
    help="auto takes bfloat16 where that is faster.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    default=default(Options, "batch_size"),
    show_default=True,
    metavar="N",
    help="Pictures that a network sees at once; changes speed and memory only.",
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
    help="Frames from one window to the next, where a window estimates several. [default: half a window]",
)
@click.option(
    "--refine/--no-refine",
    default=default(MotionOptions, "refine"),
    show_default=True,
    help="Fit pose, shape and camera to the 2D keypoints, where there are any.",
)
@click.option(
    "--keypoints",
    default=default(Options, "keypoints"),
    metavar="FILE|FOLDER",
    help="2D keypoints in place of the encoder's: OpenPose's folder of JSON, COCO's JSON, an ultralytics "
    "pose model (.pt), or RTMPose, ViTPose or RTMO (.onnx, or a fetched name); encoder for the shipped one.",
)
@click.option(
    "--smooth",
    type=click.FloatRange(0),
    default=default(MotionOptions, "smooth"),
    show_default=True,
    metavar="STRENGTH",
    help="Smoothing over time; 0 is off, 2 is twice as strong.",
)
@click.option(
    "--min-track",
    type=click.IntRange(1),
    default=default(TrackOptions, "min_track"),
    metavar="N",
    show_default=True,
    help="Leave out people seen in fewer frames (never over half of the clip's).",
)
@click.option(
    "--max-people",
    type=click.IntRange(1),
    default=default(TrackOptions, "max_people"),
    metavar="N",
    help="Keep the N people who are largest and longest in the picture. [default: everybody]",
)
@click.option(
    "--person",
    "persons",
    type=click.IntRange(1),
    default=default(TrackOptions, "persons"),
    multiple=True,
    metavar="ID",
    help="Keep only the person of this id; may be given several times.",
)
@debug_option
@click.pass_context
def command(ctx: click.Context, inputs: tuple[Path, ...], output: Path, **choices: Any) -> int:
    """Recover everybody's 3D motion in clips or image folders.

    INPUT is a video file, a folder of images, or one image. Each clip gets a folder under the output folder
    with result.npz (the motion), run.json (what was done), overlay.mp4 with --render, and what was exported.

    \b
    vibe demo dance.mp4 --render
    vibe demo a.mp4 b.mp4 photos/ --format npz
    """
    if len(inputs) > 1 and choices["keypoints"] and not choices["keypoints"].endswith((".pt", ".onnx")):
        raise UsageError(
            f"keypoints of one clip for {len(inputs)} of them",
            hint="run vibe demo once a clip, or give --keypoints a pose model (.pt, .onnx)",
        )
    folders = plan_folders(inputs, output)
    if choices["detector"] is None and choices["keypoints"] is None:
        tell_of_better_models()
    job = Job(output, choices)
    if len(inputs) == 1:
        job.run(inputs[0], folders[0])
        return EXIT_OK
    job.load()  # a model that is not there is the whole command's failure, not that of each clip
    failed = 0
    for number, (path, folder) in enumerate(zip(inputs, folders, strict=True), 1):
        click.echo(f"[{number}/{len(inputs)}] {path}", err=True)
        try:
            job.run(path, folder)
        except Exception as error:  # one clip's failure does not stop the rest
            report(error, ctx.obj.debug)
            failed += 1
    if failed:
        click.echo(f"{failed} of {len(inputs)} clips failed", err=True)
    return EXIT_BATCH if failed else EXIT_OK


@dataclass
class Job:
    """What every clip of a command shares."""

    output: Path
    choices: dict[str, Any]

    def run(self, path: Path, folder: Path) -> None:
        """One clip, start to end; cheap checks first, then the model, then the work."""
        from vibe_cli.video.reader import open_video

        make_writable(folder)
        try:
            with open_video(path):
                pass
            outcome = run_clip(path, folder, self.model, self.options, self.model_choices, terminal_progress())
        finally:
            remove_if_empty(folder, self.output)
        if outcome.result.people:
            tell(outcome)
        else:
            warn(outcome)
        if outcome.failure is not None:
            raise outcome.failure

    def load(self) -> None:
        """Have the model and the options ready."""
        _ = self.options, self.model

    @cached_property
    def model(self) -> Model:
        """The model, loaded when the first clip needs it."""
        from vibe_cli.motion.regress import check_windows
        from vibe_cli.zoo.reader import load_model

        names = ("model", "detector", "body", "device", "precision")
        name, *rest = (self.choices[key] for key in names)
        model = load_model(name, **dict(zip(names[1:], rest, strict=True)))
        check_windows(model.network, self.options.recover.motion)
        return model

    @property
    def model_choices(self) -> dict[str, Any]:
        """What the model was chosen by, for run.json."""
        return {key: self.choices[key] for key in ("model", "detector", "body", "device", "precision")}

    @cached_property
    def options(self) -> RunOptions:
        """Everything else that was chosen."""
        from vibe_cli.zoo.fetched import find_keypoints

        chosen = self.choices
        tracking = TrackOptions(**{key: chosen[key] for key in ("min_track", "max_people", "persons")})
        motion = MotionOptions(**{key: chosen[key] for key in ("window", "stride", "refine", "smooth")})
        style = chosen["style"] or (DEFAULT_STYLE if chosen["render"] else None)
        return RunOptions(
            Options(tracking, motion, chosen["batch_size"], find_keypoints(chosen["keypoints"])),
            style,
            tuple(dict.fromkeys(chosen["formats"])),
            ExportOptions(),
        )


def tell_of_better_models() -> None:
    """Say on a terminal, once a user, that better models can be had, where none were."""
    import sys

    from vibe_cli.paths import user_models_dir

    told = user_models_dir() / ".told-of-fetch"
    if not sys.stderr.isatty() or told.exists() or any(user_models_dir().glob("*/model.onnx")):
        return
    click.echo("note: better detectors and keypoints can be had: vibe models fetch recommended", err=True)
    try:
        told.parent.mkdir(parents=True, exist_ok=True)
        told.touch()
    except OSError:
        pass  # then it is said again


def warn(outcome: Outcome) -> None:
    """Say what whoever uses the result should know."""
    for warning in outcome.facts["warnings"]:
        click.echo(f"warning: {warning}", err=True)


def tell(outcome: Outcome) -> None:
    """Say what was found and where it lies."""
    facts = outcome.facts
    people = facts["people"]
    noun = "person" if len(people) == 1 else "people"
    click.echo(
        f"{facts['input']['path']}: {len(people)} {noun} in {facts['frames']} frames, {facts['total_seconds']:.1f} s"
    )
    for person in people:
        filled = f", {person['filled']} filled in" if person["filled"] else ""
        click.echo(f"  person {person['id']}: {person['frames']} frames, {person['first']} to {person['last']}{filled}")
    if short := facts["dropped_tracks"] - facts["unsure_tracks"]:
        click.echo(f"  {_were_dropped(short, 'short')} (--min-track)")
    if facts["unsure_tracks"]:
        click.echo(f"  {_were_dropped(facts['unsure_tracks'], 'uncertain')} ({OTHER_DETECTOR})")
    if facts["left_out_tracks"]:
        were = "was" if facts["left_out_tracks"] == 1 else "were"
        click.echo(f"  {facts['left_out_tracks']} more {were} left out, as you chose (--max-people, --person)")
    warn(outcome)
    for file in outcome.files:
        click.echo(file)


def _were_dropped(count: int, kind: str) -> str:
    return f"1 {kind} appearance was dropped" if count == 1 else f"{count} {kind} appearances were dropped"
