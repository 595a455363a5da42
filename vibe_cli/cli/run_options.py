"""The options of the commands that recover motion, and what they choose as typed values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from vibe_cli.cli.options import RATE, batch_size_option, default, path_option, precision_option
from vibe_cli.device import DEVICES
from vibe_cli.export import FORMATS
from vibe_cli.options import MotionOptions
from vibe_cli.people.track import TrackOptions
from vibe_cli.pipeline import Options
from vibe_cli.rendering.renderer import STYLES
from vibe_cli.run import ModelChoice, RunOptions
from vibe_cli.video.limits import Limits

Function = TypeVar("Function", bound=Callable[..., Any])
DEFAULT_STYLE = next(iter(STYLES))

OPTIONS = (
    click.option("-r", "--render", is_flag=True, help="Draw the bodies over the clip as well."),
    click.option(
        "-s",
        "--style",
        type=click.Choice(list(STYLES)),
        help=f"How --render draws; choosing a style implies it. [default: {DEFAULT_STYLE}]",
    ),
    click.option(
        "-f",
        "--format",
        "formats",
        type=click.Choice(list(FORMATS)),
        multiple=True,
        help="Export as well; may be given several times.",
    ),
    click.option(
        "--model",
        metavar="NAME",
        help="Temporal model: vibe, tcmr, dts-vibe, sps-net, a name of the zoo, or a model's folder.",
    ),
    click.option(
        "--detector", metavar="NAME", help="Person detector: a name of the zoo, YOLO weights (.pt), or YOLOX (.onnx)."
    ),
    path_option("--body", metavar="FILE", help="An SMPL file. [default: the body that the model was made for]"),
    click.option(
        "--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Where the networks run."
    ),
    precision_option,
    batch_size_option(default(Options, "batch_size")),
    click.option(
        "--window",
        type=click.IntRange(1),
        default=default(MotionOptions, "window"),
        metavar="N",
        help="Frames that the temporal model sees at once. [default: as it was trained]",
    ),
    click.option(
        "--stride",
        type=click.IntRange(1),
        default=default(MotionOptions, "stride"),
        metavar="N",
        help="Frames from one window to the next, where a window estimates several. [default: half a window]",
    ),
    click.option(
        "--refine/--no-refine",
        default=default(MotionOptions, "refine"),
        show_default=True,
        help="Fit pose, shape and camera to the 2D keypoints, where there are any.",
    ),
    click.option(
        "--keypoints",
        default=default(Options, "keypoints"),
        metavar="FILE|FOLDER",
        help="2D keypoints in place of the encoder's: files of OpenPose, AlphaPose, MMPose, YOLO or COCO, a YOLO "
        "pose model (.pt), or RTMPose, ViTPose or RTMO (.onnx, or a fetched name); encoder for the shipped one.",
    ),
    click.option(
        "--smooth",
        type=click.FloatRange(0),
        default=default(MotionOptions, "smooth"),
        show_default=True,
        metavar="STRENGTH",
        help="Smoothing over time; 0 is off, 2 is twice as strong.",
    ),
    click.option(
        "--min-track",
        type=click.IntRange(1),
        default=default(TrackOptions, "min_track"),
        metavar="N",
        show_default=True,
        help="Leave out people seen for a shorter time, in 25ths of a second (never over half of a scene).",
    ),
    click.option(
        "--fps",
        "image_fps",
        type=RATE,
        default=default(Options, "image_fps"),
        metavar="RATE",
        help="Images a second of folders of images. [default: as their names tell, else 30]",
    ),
    click.option(
        "--photos",
        is_flag=True,
        help="Folders of images are photographs, each by itself: nobody is followed from one to the next.",
    ),
    click.option(
        "--stream",
        type=click.IntRange(0),
        default=default(Options, "stream"),
        metavar="N",
        help="Which stream of a file with several videos. [default: the default, else the largest, of the long ones]",
    ),
    click.option(
        "--max-people",
        type=click.IntRange(1),
        default=default(TrackOptions, "max_people"),
        metavar="N",
        help="Keep the N people who are largest and longest in the picture. [default: everybody]",
    ),
    click.option(
        "--person",
        "persons",
        type=click.IntRange(1),
        default=default(TrackOptions, "persons"),
        multiple=True,
        metavar="ID",
        help="Keep only the person of this id; may be given several times.",
    ),
)


def run_options(function: Function) -> Function:
    """All options of a command that recovers motion, in the order of OPTIONS."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function


def limit_options(function: Function) -> Function:
    """The options that set the Limits."""
    for name, field, what in (
        ("--max-frames", "frames", "Refuse clips of more frames"),
        ("--max-minutes", "minutes", "Refuse longer clips"),
        ("--max-megapixels", "megapixels", "Refuse clips with larger frames"),
    ):
        value = default(Limits, field)
        kind = click.FloatRange(0) if isinstance(value, float) else click.IntRange(0)
        option = click.option(
            name, field, type=kind, default=value, show_default=True, metavar="N", help=f"{what}; 0 is no limit."
        )
        function = option(function)
    return function


def chosen_limits(choices: dict[str, Any]) -> Limits:
    """How large a clip may be."""
    return Limits(choices["megapixels"], choices["minutes"], choices["frames"])


def keypoints_of_one_clip(choices: dict[str, Any]) -> bool:
    """Whether the keypoints that were chosen are a file or a folder, and no network that looks at every clip."""
    return bool(choices["keypoints"]) and not choices["keypoints"].endswith((".pt", ".onnx"))


def chosen_model(choices: dict[str, Any]) -> ModelChoice:
    """The model that was chosen."""
    body: Path | None = choices["body"]
    return ModelChoice(choices["model"], choices["detector"], body, choices["device"], choices["precision"])


def chosen_run(choices: dict[str, Any]) -> RunOptions:
    """Everything else that was chosen."""
    from vibe_cli.zoo.fetched import find_keypoints

    tracking = TrackOptions(**{key: choices[key] for key in ("min_track", "max_people", "persons")})
    motion = MotionOptions(**{key: choices[key] for key in ("window", "stride", "refine", "smooth")})
    style = choices["style"] or (DEFAULT_STYLE if choices["render"] else None)
    return RunOptions(
        Options(
            tracking,
            motion,
            choices["batch_size"],
            find_keypoints(choices["keypoints"]),
            choices["image_fps"],
            choices["photos"],
            choices["stream"],
        ),
        style,
        tuple(dict.fromkeys(choices["formats"])),
    )
