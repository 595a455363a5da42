"""What commands say: names of files in it do nothing to the terminal."""

from __future__ import annotations

import click

from vibe_cli.paths import printable


def echo(message: object = "", err: bool = False) -> None:
    """Say a text on stdout, or on stderr, with its line breaks; a path, whose name may hold some, in one line."""
    lines = message.split("\n") if isinstance(message, str) else [str(message)]
    click.echo("\n".join(map(printable, lines)), err=err)
