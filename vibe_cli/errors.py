"""Errors that a user can act on: one line that says what, a hint that says what to do, an exit code."""

from __future__ import annotations

EXIT_OK = 0
EXIT_BUG = 1
EXIT_USAGE = 2
EXIT_INPUT = 3
EXIT_MODEL = 4
EXIT_BATCH = 5
EXIT_INTERRUPTED = 130


class VibeError(Exception):
    """A failure that is not a bug of ours. `hint` is one imperative sentence, or None."""

    exit_code = EXIT_BUG

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(VibeError):
    """Options that do not fit together (exit 2)."""

    exit_code = EXIT_USAGE


class NotEnoughMemory(UsageError):
    """Memory did not do for the smallest piece of work (exit 2)."""


class InputError(VibeError):
    """A video, image folder, result or output folder that cannot be used (exit 3)."""

    exit_code = EXIT_INPUT


class NobodyFound(InputError):
    """A readable clip in which no person was tracked; an empty result is still written (exit 3)."""


class ModelError(VibeError):
    """A model or body file that is missing, damaged, unsafe or of the wrong kind (exit 4)."""

    exit_code = EXIT_MODEL
