"""`vibe export`: a finished run in another program's format."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import click

from vibe_cli.cli.options import (
    RATE,
    chosen_result,
    debug_option,
    default,
    output_option,
    part_options,
    place_below,
    result_argument,
    to_option,
    writing_to,
)
from vibe_cli.cli.progress import terminal_progress
from vibe_cli.cli.words import echo
from vibe_cli.export import AXES, FORMATS, LAYOUTS, ORDERS, ExportOptions, format_writer

FORMAT_HELP = "; ".join(f"{name}: {summary}" for name, (_, summary) in FORMATS.items())


@click.command("export", short_help="Write a finished run in another program's format.")
@result_argument
@click.option(
    "-f",
    "--format",
    "formats",
    type=click.Choice(list(FORMATS)),
    multiple=True,
    required=True,
    help=f"May be given several times. {FORMAT_HELP}.",
)
@to_option
@part_options
@click.option(
    "--every",
    type=click.IntRange(1),
    default=default(ExportOptions, "every"),
    show_default=True,
    metavar="N",
    help="obj: a mesh every N frames of the clip.",
)
@click.option("--centred", is_flag=True, help="obj: keep each pelvis at the origin.")
@click.option(
    "--verts/--no-verts",
    "vertices",
    default=default(ExportOptions, "vertices"),
    show_default=True,
    help="pkl: write the mesh's vertices as well, 83 kB a person and frame.",
)
@click.option(
    "--layout",
    type=click.Choice(LAYOUTS),
    default=default(ExportOptions, "layout"),
    show_default=True,
    help="npz: whose joints the poses have: SMPL-H's 156 numbers, SMPL's 72 or SMPL-X's 165.",
)
@click.option(
    "--fps",
    type=RATE,
    metavar="RATE",
    help="Frames a second, for example 30 or 30000/1001. [default: npz, obj, bvh: the clip's nominal rate; "
    "glb, csv, parquet, json: its own time stamps]",
)
@click.option(
    "--axes",
    type=click.Choice(AXES),
    help="obj, bvh, csv, parquet, json: x right, y down, z into the image (opencv); y up (opengl, or unity, "
    "left-handed); z up (blender, or unreal, left-handed). Metres. [default: obj, bvh: opengl; others: opencv]",
)
@click.option(
    "--order",
    type=click.Choice(ORDERS),
    default=default(ExportOptions, "order"),
    show_default=True,
    help="bvh: which axes a joint turns about, the outermost first.",
)
@click.option(
    "--from-start", is_flag=True, help="npz, bvh, glb: everybody begins with the clip, standing still at first."
)
@output_option
@debug_option
def command(
    result: Path | None,
    formats: tuple[str, ...],
    to: Path | None,
    persons: tuple[int, ...],
    start: float | None,
    end: float | None,
    body: Path | None,
    every: int,
    centred: bool,
    vertices: bool,
    layout: str,
    fps: Fraction | None,
    from_start: bool,
    axes: str | None,
    order: str,
    output: Path,
) -> None:
    """Write a finished run in another program's format.

    RESULT is a result.npz or the folder that holds it; left out, the newest run under the output folder.
    """
    options = ExportOptions(vertices, every, centred, layout, fps, from_start, axes, order, start, end)
    path = chosen_result(result, output)

    from vibe_cli.export.narrow import narrowed
    from vibe_cli.results import Result

    motion = narrowed(Result.load(path), persons, start, end)
    folder = place_below(to, path, output)
    with writing_to(folder):
        from vibe_cli.finished_run import posed_by

        motion, chosen_body, warning = posed_by(motion, body)
        if warning:
            echo(f"warning: {warning}", err=True)
        for name in dict.fromkeys(formats):
            written = format_writer(name).write(motion, chosen_body, folder, options, terminal_progress())
            for file in written:
                echo(file)
            if not written:
                echo(f"{name}: nothing to write, nobody is in this result", err=True)
