"""`vibe view`: a finished run in the browser."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import click

from vibe_cli.cli.options import (
    chosen_result,
    debug_option,
    output_option,
    part_options,
    path_option,
    result_argument,
)
from vibe_cli.cli.progress import terminal_progress
from vibe_cli.cli.words import echo


@click.command("view", short_help="Look at a finished run in the browser: the clip beside everybody in 3D.")
@result_argument
@path_option("--html", metavar="FILE", help="Write the page into one file that needs nothing else, and end.")
@path_option("--video", metavar="PATH", help="The clip. [default: where it was when the run was made]")
@click.option("--no-video", is_flag=True, help="Leave the clip out.")
@part_options
@click.option("--port", type=click.IntRange(1, 65535), metavar="N", help="Of this machine. [default: 8422, else any]")
@click.option("--browser/--no-browser", default=True, show_default=True, help="Open the page in the browser.")
@output_option
@debug_option
def command(
    result: Path | None,
    html: Path | None,
    video: Path | None,
    no_video: bool,
    persons: tuple[int, ...],
    start: float | None,
    end: float | None,
    body: Path | None,
    port: int | None,
    browser: bool,
    output: Path,
) -> None:
    """Look at a finished run in the browser: the clip beside everybody in 3D.

    RESULT is a result.npz or the folder that holds it; left out, the newest run under the output folder.
    The page is shown until Ctrl-C; after `vibe tracks`, load it again. With --html it is one file to keep or to mail.
    """
    path = chosen_result(result, output)
    make = partial(page, path, None if no_video else video, no_video, persons, start, end, body)
    if html is not None:
        write(html, make())
    else:
        serve(make, path, port, browser)


def page(
    path: Path,
    video: Path | None,
    no_video: bool,
    persons: tuple[int, ...],
    start: float | None,
    end: float | None,
    body: Path | None,
) -> str:
    """The page of a result; what is missing of it is said."""
    from vibe_cli.errors import InputError
    from vibe_cli.export.narrow import narrowed
    from vibe_cli.finished_run import find_clip, posed_by
    from vibe_cli.results import Result
    from vibe_cli.viewer.page import frames_between, page_of

    motion = narrowed(Result.load(path), persons, start, end)
    frames = frames_between(motion.video.times, start, end)
    motion, chosen_body, warning = posed_by(motion, body)
    if warning:
        echo(f"warning: {warning}", err=True)
    clip = None
    if not no_video:
        try:
            clip = find_clip(motion, path, video)
        except InputError as error:
            echo(f"warning: {error.message}; the page is without it ({error.hint})", err=True)
    return page_of(motion, chosen_body, clip, frames, terminal_progress())


def write(file: Path, content: str) -> None:
    """Write the page where it was asked for."""
    from vibe_cli.errors import InputError
    from vibe_cli.run_folder import make_writable, replacing_file

    if file.is_dir():
        raise InputError(f"{file}: a folder", hint=f"name a file in it: --html {file / 'view.html'}")
    make_writable(file.parent, "choose another file with --html")
    with replacing_file(file) as part:
        part.write_text(content, encoding="utf-8", newline="\n")
    echo(file)
    echo(f"{len(content) / 1e6:.1f} MB; open it in any browser", err=True)


def serve(make: partial[str], path: Path, port: int | None, browser: bool) -> None:
    """Show the page until Ctrl-C, which is how this ends."""
    import webbrowser

    from vibe_cli.viewer.server import PageServer

    with PageServer(make, path, port) as server:
        server.page()
        echo(server.address)
        echo("Ctrl-C ends it", err=True)
        if browser and has_desktop():
            webbrowser.open(server.address)
        elif os.environ.get("SSH_CONNECTION"):
            number = server.server_address[1]
            echo(f"from your own machine: ssh -L {number}:127.0.0.1:{number} and this one's name", err=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            echo("", err=True)


def has_desktop() -> bool:
    """Whether a browser would open a window, and not take this terminal."""
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
