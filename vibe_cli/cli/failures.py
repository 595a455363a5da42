"""The one place where errors become text and exit codes."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click

from vibe_cli.cli.words import echo
from vibe_cli.errors import (
    EXIT_BUG,
    EXIT_INPUT,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_USAGE,
    VibeError,
)
from vibe_cli.paths import printable

ISSUES = "run it again with --debug and report what it shows"
# What a file system says when a folder, a disk or a share is gone, or may not be used.
GONE = tuple(
    getattr(errno, name)
    for name in (
        *("ENOENT", "ENOTDIR", "EACCES", "EPERM", "EROFS", "ENAMETOOLONG"),
        *("EIO", "ENXIO", "ENODEV", "ESTALE", "ENOTCONN", "ETIMEDOUT", "EHOSTDOWN"),
    )
    if hasattr(errno, name)
)
DISK_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


class Terminated(KeyboardInterrupt):
    """The system, or another program, asked this one to end (SIGTERM): it cleans up as after Ctrl-C."""


@contextmanager
def ending_cleanly() -> Iterator[None]:
    """Let SIGTERM raise Terminated, where this thread may ask for it."""

    def end(*_: object) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@dataclass
class Settings:
    """Settings of the whole run of the program."""

    debug: bool = False


def report(error: BaseException, debug: bool = False) -> int:
    """Say what went wrong on stderr, in one line and a hint; the exit code."""
    code, message, hint = explain(error)
    if debug and code not in (EXIT_OK, EXIT_USAGE):
        echo("".join(traceback.format_exception(error)).rstrip(), err=True)
    if message:
        echo(f"error: {message}", err=True)
    if hint:
        echo(f"hint: {printable(hint)}", err=True)
    return code


def explain(error: BaseException) -> tuple[int, str | None, str | None]:
    """An error's exit code, its one line (None: nothing to say) and what to do about it."""
    if isinstance(error, VibeError):
        return error.exit_code, one_line(error.message), error.hint
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code, None, None
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        asked = isinstance(error, Terminated) or isinstance(error.__cause__, Terminated)  # click raises Abort from it
        by = "a signal to end" if asked else "Ctrl-C"
        return EXIT_INTERRUPTED, f"stopped by {by}; what was finished is kept, nothing is half-written", None
    if isinstance(error, click.ClickException):
        command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "vibe"
        return EXIT_USAGE, one_line(error.format_message()), f"see: {command} --help"
    if isinstance(error, SystemExit):  # click's, when whoever read our output has gone
        return error.code if isinstance(error.code, int) else EXIT_BUG, None, None
    if _out_of_memory(error):
        return (
            EXIT_INPUT,
            "not enough memory",
            ("use smaller batches (--batch-size; in training --set batch=8), a shorter clip or a smaller network"),
        )
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return EXIT_INPUT, one_line(f"the disk is full ({error})"), "free some space, or use another --output"
    if isinstance(error, OSError) and error.errno in GONE and error.filename is not None:
        return (
            EXIT_INPUT,
            one_line(f"{_text(error.filename)}: {error.strerror}"),
            "check that the folder is still there, that its disk or share answers, and that you may read and write it",
        )
    return EXIT_BUG, one_line(f"a bug in vibe: {type(error).__name__}: {error}"), ISSUES


def _out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, Python's or, where torch was loaded, a device's."""
    if "torch" not in sys.modules:
        return isinstance(error, MemoryError)
    from vibe_cli.device import is_out_of_memory

    return is_out_of_memory(error)


def _text(name: object) -> str:
    """A file's name as an OSError holds it."""
    return os.fsdecode(name) if isinstance(name, (str, bytes, os.PathLike)) else str(name)


def one_line(text: str) -> str:
    """The text without line breaks, and without what a terminal would obey."""
    return printable(" ".join(text.split()))
