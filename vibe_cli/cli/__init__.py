"""The command line. Commands parse, call and report; here errors become one line, a hint and an exit code."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module

import click

from vibe_cli._version import __version__
from vibe_cli.cli.failures import Settings, ending_cleanly, report
from vibe_cli.cli.words import echo

# command → its one line of help; its code is `command` in the module of its name, imported when it is used
COMMANDS = {
    "demo": "Recover everybody's 3D motion in clips or image folders.",
    "batch": "Recover everybody's motion in all clips under folders; goes on where it stopped.",
    "export": "Write a finished run in another program's format.",
    "render": "Draw a finished run again, in any style; nothing is recomputed.",
    "view": "Look at a finished run in the browser: the clip beside everybody in 3D.",
    "info": "Say what is in a result, a video, a model or a body file.",
    "models": "List the models, and import official checkpoints and SMPL files.",
    "synth": "Draw synthetic people with exact labels: crops, YOLO data, clips.",
    "train": "Train a network; without CONFIG: list the trainings.",
    "eval": "Measure models on data whose truth is known.",
    "doctor": "Check this machine: what works, and the fix for what does not.",
}


class Commands(click.Group):
    """A group that imports a command when it is used, so that `vibe --help` costs nothing."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        if cmd_name not in COMMANDS:
            return None
        return import_module(f"vibe_cli.cli.{cmd_name}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Begin with: vibe demo CLIP --render. Each command explains itself: vibe demo --help",
)
@click.version_option(__version__, prog_name="vibe", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def program(ctx: click.Context, debug: bool) -> None:
    """Ordinary video in, 3D human motion out: tracked people, body meshes, overlays, exports."""
    ctx.obj.debug |= debug
    if ctx.invoked_subcommand is None:
        echo(ctx.get_help())


def main(args: Sequence[str] | None = None) -> int:
    """Run `vibe` with the given arguments (the process's own by default); the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show is no error
    settings = Settings()
    with warnings.catch_warnings(), ending_cleanly():
        warnings.simplefilter("ignore")  # other people's libraries talking to their own developers
        try:
            code = program.main(args, prog_name="vibe", standalone_mode=False, obj=settings)
        except BaseException as error:
            return report(error, settings.debug)
    return code if isinstance(code, int) else 0
