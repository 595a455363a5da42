"""Options and small steps that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import click

from vibe_cli.cli.words import echo
from vibe_cli.device import PRECISIONS
from vibe_cli.run_folder import DEFAULT_OUTPUT, find_result, make_writable, newest_result, remove_if_empty

BODY_OF_RESULT = "An SMPL file. [default: the body that the result was made with]"

Function = TypeVar("Function", bound=Callable[..., Any])


class _Rate(click.ParamType):
    """Frames a second: a number or a fraction."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Fraction:
        try:
            rate = Fraction(value)
        except (ValueError, ZeroDivisionError):
            self.fail(f"{value!r} is no rate; give for example 30 or 30000/1001", param, ctx)
        if not 0 < rate <= 10_000:
            self.fail(f"{value} frames a second is no rate; give for example 30 or 30000/1001", param, ctx)
        return rate.limit_denominator(1001)


RATE = _Rate()


class _Seconds(click.ParamType):
    """A time in a clip: seconds, minutes:seconds or hours:minutes:seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        match = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)", str(value))
        if match is None:
            self.fail(f"{value!r} is no time; give seconds, or for example 1:30.5", param, ctx)
        hours, minutes, seconds = (float(part or 0) for part in match.groups())
        return hours * 3600 + minutes * 60 + seconds


SECONDS = _Seconds()


def _remember_debug(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    ctx.obj.debug |= value


def debug_option(function: Function) -> Function:
    """--debug, which `vibe` itself takes as well; kept in the program's settings."""
    return click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_remember_debug,
        help="Show the traceback of an error.",
    )(function)


def path_option(*names: str, **settings: Any) -> Callable[[Function], Function]:
    """An option that takes a path, which need not exist: whoever opens it says what is wrong with it."""
    return click.option(*names, type=click.Path(path_type=Path), **settings)


def output_option(function: Function) -> Function:
    """--output, the folder under which every clip has its own."""
    return path_option(
        "-o",
        "--output",
        metavar="FOLDER",
        default=DEFAULT_OUTPUT,
        show_default=True,
        help="Where the clips' folders lie.",
    )(function)


def result_argument(function: Function) -> Function:
    """RESULT, a result.npz or its folder; the newest run when it is left out."""
    return click.argument("result", required=False, type=click.Path(path_type=Path))(function)


def chosen_result(path: Path | None, output: Path) -> Path:
    """The result file that the user named, or the newest under `output`, which is then said."""
    if path is not None:
        return find_result(path)
    newest = newest_result(output)
    echo(f"newest run: {newest}", err=True)
    return newest


def to_option(function: Function) -> Function:
    """--to, the folder under which what is made of a result gets a folder named as its run's."""
    return path_option(
        "--to", metavar="FOLDER", help="Where to write, in a folder named as the run's. [default: beside the result]"
    )(function)


def part_options(function: Function) -> Function:
    """--person, --start, --end and --body, which part of a finished run is wanted, on which body."""
    which, start = "Only the person of this id; may be given several times.", "seconds, or 1:30.5"
    for option in (
        path_option("--body", metavar="FILE", help=BODY_OF_RESULT),
        click.option("--end", type=SECONDS, metavar="TIME", help="Up to this time of the clip."),
        click.option("--start", type=SECONDS, metavar="TIME", help=f"From this time of the clip on: {start}."),
        click.option("--person", "persons", type=click.IntRange(1), multiple=True, metavar="ID", help=which),
    ):
        function = option(function)
    return function


def batch_size_option(value: int) -> Callable[[Function], Function]:
    """--batch-size, `value` where it is left out."""
    return click.option(
        "--batch-size",
        type=click.IntRange(1),
        default=value,
        show_default=True,
        metavar="N",
        help="Pictures that a network sees at once; changes speed and memory only.",
    )


def precision_option(function: Function) -> Function:
    """--precision, of the networks' numbers."""
    return click.option(
        "--precision",
        type=click.Choice(PRECISIONS),
        default="auto",
        show_default=True,
        help="auto takes bfloat16 where that is faster.",
    )(function)


def place_below(to: Path | None, result: Path, output: Path) -> Path:
    """The folder for what is made of a result: its own where `to` is None, else that of its run mirrored below `to`.

    A run's folder is called as it lies below `output`, or, if it lies elsewhere, by its name.
    """
    if to is None:
        return result.parent
    run, root = result.resolve().parent, output.resolve()
    return to / (run.relative_to(root) if root in run.parents else run.name)


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Make a folder of --to for what is written in the block; what it made and is empty in the end goes again."""
    new = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        make_writable(folder, "choose another folder with --to")
        yield
    finally:
        if new:
            remove_if_empty(folder, new[-1])


def default(options: type, name: str) -> Any:
    """The default of a field of an options dataclass: the one place where it is written down."""
    (field,) = (field for field in fields(options) if field.name == name)
    return field.default


def table(rows: Iterable[Iterable[object]], indent: str = "  ") -> str:
    """Rows of cells as text in columns."""
    lines = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = (indent + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(line.rstrip() for line in padded)
