"""`vibe synth`: synthetic people with exact labels, as crops, YOLO data or clips, and the bundle for training."""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vibe_cli.cli.options import Function, debug_option, path_option
from vibe_cli.cli.progress import terminal_progress
from vibe_cli.cli.words import echo
from vibe_cli.errors import InputError, UsageError
from vibe_cli.run_folder import make_writable, replacing_folder

if TYPE_CHECKING:
    from vibe_cli.synth.studio import Studio

MOCAP_HELP = (
    "Motion capture to move them by: a folder or .tar of CMU's .asf and .amc files, with or without those "
    "re-rigged as .bvh beside them, or of AMASS's _poses.npz; or a bundle of `vibe synth pack`."
)
ELSEWHERE = "choose another OUT"
MOST_PEOPLE = 4  # in a clip


def source_options(function: Function) -> Function:
    """--mocap and --backgrounds: what people and places are drawn from."""
    function = path_option(
        "--backgrounds",
        metavar="FOLDER",
        help="Your pictures for backgrounds and prints; "
        ".hdr panoramas are looked around in, pictures transparent in part strewn about. "
        "[default: drawn, and free photographs]",
    )(function)
    return path_option("--mocap", metavar="PATH", required=True, help=MOCAP_HELP)(function)


def drawing_options(unit: str, count: int) -> Callable[[Function], Function]:
    """--count, --seed and --workers, and what to draw from."""

    def add(function: Function) -> Function:
        function = click.option(
            "-j",
            "--workers",
            type=click.IntRange(1),
            metavar="N",
            help="Processes; they change how fast it goes, never what is drawn. [default: one a processor]",
        )(function)
        function = click.option(
            "--seed",
            type=click.IntRange(0),
            default=0,
            show_default=True,
            metavar="S",
            help="Equal seeds draw the same, to the bit.",
        )(function)
        function = click.option(
            "-n",
            "--count",
            type=click.IntRange(1),
            default=count,
            show_default=True,
            metavar="N",
            help=f"How many {unit}.",
        )(function)
        return source_options(function)

    return add


@click.group(
    "synth",
    invoke_without_command=True,
    epilog="Begin with: vibe synth video OUT --mocap cmu_mocap.tar.xz",
    short_help="Draw synthetic people with exact labels: crops, YOLO data, clips.",
)
@debug_option
@click.pass_context
def command(ctx: click.Context) -> None:
    """Draw synthetic people with exact labels: crops, YOLO data, clips.

    Dressed bodies of every build move by motion capture before drawn places and are seen by an imperfect camera.
    Bodies and our pictures are free for any use, and so is CMU's motion capture (mocap.cs.cmu.edu); AMASS
    (amass.is.tue.mpg.de) is for research only, and so is what is made with it.
    """
    if ctx.invoked_subcommand is None:
        echo(ctx.get_help())


@command.command("crops", short_help="Square pictures of a person each, with joints, SMPL parameters and masks.")
@click.argument("out", type=click.Path(path_type=Path))
@drawing_options("crops", 1000)
@click.option(
    "--size", type=click.IntRange(32, 400), default=224, show_default=True, metavar="PIXELS", help="Side of a crop."
)
@click.option("--held-out", is_flag=True, help="Only motions that training never sees: one in eight.")
@debug_option
def crops_command(
    out: Path,
    mocap: Path,
    backgrounds: Path | None,
    count: int,
    seed: int,
    workers: int | None,
    size: int,
    held_out: bool,
) -> None:
    """Square pictures of a person each, with joints, SMPL parameters and masks.

    OUT/images holds them, OUT/labels.npz says for each: pose, betas, 24 and 49 joints in metres and pixels, which are
    visible, box and mask. The person may be turned, cut off, occluded, and in company.
    """
    _check_new(out)

    from vibe_cli.synth import crop_data
    from vibe_cli.synth.studio import work

    studio, blocks = _studio(mocap, backgrounds), range(-(-count // crop_data.BLOCK))
    with replacing_folder(out) as part:
        (part / "images").mkdir()
        task = partial(crop_data.write_crops, folder=part, count=count, size=size, seed=seed, held_out=held_out)
        with _Told(f"crops of {size} pixels", out) as told:
            parts = list(terminal_progress()(work(studio, task, blocks, _workers(workers)), "Drawing", len(blocks)))
            crop_data.write_crop_labels(part, parts, size, seed)
            told.count = count


@command.command("yolo", short_help="Whole pictures with boxes, or boxes and keypoints, as ultralytics reads them.")
@click.argument("out", type=click.Path(path_type=Path))
@drawing_options("pictures", 1000)
@click.option(
    "--task",
    type=click.Choice(["detect", "pose"]),
    default="detect",
    show_default=True,
    help="detect: boxes; pose: COCO's 17 keypoints as well.",
)
@click.option(
    "--size",
    type=click.IntRange(64, 4096),
    default=640,
    show_default=True,
    metavar="PIXELS",
    help="Longer side of a picture.",
)
@click.option(
    "--val",
    type=click.FloatRange(0, 0.9),
    default=0.1,
    show_default=True,
    metavar="SHARE",
    help="Share of the pictures for validation; their motions are not in training.",
)
@debug_option
def yolo_command(
    out: Path,
    mocap: Path,
    backgrounds: Path | None,
    count: int,
    seed: int,
    workers: int | None,
    task: str,
    size: int,
    val: float,
) -> None:
    """Whole pictures with boxes, or boxes and keypoints, as ultralytics reads them.

    \b
    vibe synth yolo people --mocap cmu_mocap.tar.xz --count 5000
    yolo detect train data=people/data.yaml model=yolo11n.yaml
    """
    _check_new(out)

    from vibe_cli.synth import yolo_data
    from vibe_cli.synth.studio import work

    options = yolo_data.YoloOptions(count, size, val, task == "pose", seed)
    studio = _studio(mocap, backgrounds)
    with replacing_folder(out) as part:
        yolo_data.make_folders(part)
        draw = partial(yolo_data.write_picture, folder=part, options=options)
        with _Told("pictures", out) as told:
            people = sum(terminal_progress()(work(studio, draw, range(count), _workers(workers)), "Drawing", count))
            yolo_data.write_data_yaml(part, options)
            told.count, told.more = count, f", {people} people"


@command.command("video", short_help="Whole clips: people who act before a moving camera, everything labelled.")
@click.argument("out", type=click.Path(path_type=Path))
@drawing_options("clips", 1)
@click.option(
    "--frames", type=click.IntRange(1, 100_000), default=90, show_default=True, metavar="N", help="Frames of a clip."
)
@click.option("--size", default="640x360", show_default=True, metavar="WxH", help="Pixels of a frame, even numbers.")
@click.option("--fps", default="30", show_default=True, metavar="RATE", help="Frames a second; a fraction will do.")
@click.option(
    "--people",
    type=click.IntRange(1, MOST_PEOPLE),
    default=MOST_PEOPLE,
    show_default=True,
    metavar="N",
    help="At most so many in a clip.",
)
@click.option("--flow/--no-flow", default=True, show_default=True, help="Write optical flow, a picture a frame.")
@click.option("--held-out", is_flag=True, help="Only motions that training never sees: one in eight.")
@debug_option
def video_command(
    out: Path,
    mocap: Path,
    backgrounds: Path | None,
    count: int,
    seed: int,
    workers: int | None,
    frames: int,
    size: str,
    fps: str,
    people: int,
    flow: bool,
    held_out: bool,
) -> None:
    """Whole clips: people who act before a moving camera, everything labelled.

    OUT/clip_0000 holds video.mp4, labels.npz (per person and frame: pose, betas, 24 and 49 joints in metres and
    pixels, which of them are hidden and by what, boxes; camera; masks) and flow/. Clips that are there are kept: the
    same command goes on where it was stopped.
    """
    from vibe_cli.synth import video_data
    from vibe_cli.synth.studio import check_sources, mark_sources, work

    width, height = _size(size)
    make_writable(out, ELSEWHERE)
    check_sources(mocap, backgrounds)
    options = video_data.VideoOptions(
        frames, width, height, _rate(fps), people, flow, held_out, seed, mark_sources(mocap, backgrounds)
    )
    kept = sum(video_data.is_written(video_data.clip_folder(out, number), number, options) for number in range(count))

    studio, bar = _studio(mocap, backgrounds), terminal_progress()
    with _Told("frames", out) as told:
        if count == 1:
            told.count = video_data.write_clip(studio, 0, out, options, bar)
        else:
            film = partial(video_data.write_clip, out=out, options=options)
            told.count = sum(bar(work(studio, film, range(count), _workers(workers)), "Filming", count))
        told.more = f", {kept} of {count} clips were there already" if kept else ""


@command.command("pack", short_help="One file of under 40 MB with all that training draws from.")
@click.argument("out", type=click.Path(path_type=Path))
@source_options
@debug_option
def pack_command(out: Path, mocap: Path, backgrounds: Path | None) -> None:
    """One file of under 40 MB with all that training draws from.

    A machine that has it, a checkout, torch, numpy, scipy and OpenCV can train and needs no network.
    """
    if out.is_dir():
        raise InputError(f"{out}: a folder", hint="name the file that is to be written")
    make_writable(out.parent, ELSEWHERE)

    from vibe_cli.synth.bundle import write_bundle

    studio = _studio(mocap, backgrounds)
    size = write_bundle(out, studio.body, studio.clips, studio.pictures)
    frames = sum(len(clip.rotations) for clip in studio.clips)
    echo(f"{size / 1e6:.1f} MB: {len(studio.clips)} motions of {frames} frames, {studio.pictures}", err=True)
    echo(out)


class _Told:
    """Says at the end how many were made, how fast, and where they are."""

    def __init__(self, what: str, out: Path) -> None:
        self.what, self.out, self.count, self.more = what, out, 0, ""

    def __enter__(self) -> _Told:
        self.start = time.perf_counter()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            seconds = time.perf_counter() - self.start
            echo(
                f"{self.count} {self.what}{self.more} in {seconds:.1f} s: {self.count / seconds:.1f} a second", err=True
            )
            echo(self.out)


def _studio(mocap: Path, backgrounds: Path | None) -> Studio:
    from vibe_cli.synth.studio import open_studio

    echo(f"reading {mocap}", err=True)
    return open_studio(mocap, backgrounds)


def _workers(given: int | None) -> int:
    from vibe_cli.synth.studio import default_workers

    return given or default_workers()


def _check_new(out: Path) -> None:
    """InputError unless `out` is free and may be written: what is there is never replaced."""
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise InputError(f"{out}: there already", hint="name a new folder, or remove that one first")
    make_writable(out.parent, ELSEWHERE)


def _size(text: str) -> tuple[int, int]:
    """'640x360' → 640, 360."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()) or not all(
        32 <= int(side) <= 4096 and int(side) % 2 == 0 for side in (width, height)
    ):
        raise UsageError(f"--size {text}: not two even numbers from 32 to 4096", hint="write it as --size 640x360")
    return int(width), int(height)


def _rate(text: str) -> Fraction:
    try:
        rate = Fraction(text)
        if not 1 <= rate <= 240:
            raise ValueError
    except (ValueError, ZeroDivisionError):
        raise UsageError(
            f"--fps {text}: not a rate from 1 to 240", hint="write it as --fps 25 or --fps 30000/1001"
        ) from None
    return rate
