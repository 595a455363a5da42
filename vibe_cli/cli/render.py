"""`vibe render`: the picture of a finished run."""

from __future__ import annotations

from pathlib import Path

import click

from vibe_cli.cli.options import (
    BODY_OF_RESULT,
    chosen_result,
    debug_option,
    output_option,
    path_option,
    place_below,
    result_argument,
    to_option,
    writing_to,
)
from vibe_cli.cli.progress import terminal_progress
from vibe_cli.cli.words import echo
from vibe_cli.rendering.renderer import STYLES


@click.command("render", short_help="Draw a finished run again, in any style; nothing is recomputed.")
@result_argument
@click.option(
    "-s",
    "--style",
    type=click.Choice(list(STYLES)),
    default=next(iter(STYLES)),
    show_default=True,
    help="overlay: bodies on the video; side: the same and a view from the side; wireframe: edges; "
    "plain: bodies alone; mask: white on black.",
)
@path_option("--video", metavar="PATH", help="The clip. [default: where it was when the run was made]")
@to_option
@path_option("--body", metavar="FILE", help=BODY_OF_RESULT)
@output_option
@debug_option
def command(
    result: Path | None, style: str, video: Path | None, to: Path | None, body: Path | None, output: Path
) -> None:
    """Draw a finished run again, in any style; nothing is recomputed.

    RESULT is a result.npz or the folder that holds it; left out, the newest run under the output folder.
    """
    path = chosen_result(result, output)

    from vibe_cli.results import Result

    motion = Result.load(path)

    from vibe_cli.finished_run import draw, find_clip, picture_name, posed_by

    clip = find_clip(motion, path, video)
    folder = place_below(to, path, output)
    target = folder / picture_name(style, motion.video)
    with writing_to(folder):
        motion, chosen_body, warning = posed_by(motion, body)
        renderer, warnings = draw(motion, clip, chosen_body, style, target, terminal_progress())
    for line in ([warning] if warning else []) + warnings:
        echo(f"warning: {line}", err=True)
    echo(f"drawn by the {renderer} renderer", err=True)
    echo(target)
