"""Where models lie, those shipped with the program and the user's own; and what names of files are."""

from __future__ import annotations

import importlib.util
import os
import sys
import unicodedata
from importlib import resources
from pathlib import Path


def is_utf8(name: str) -> bool:
    """Whether a file's name, or a text with one in it, is UTF-8: Python holds odd bytes of names as lone surrogates."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def models_dir() -> Path:
    """The shipped models: the installed package `vibe_models`, or models/ beside vibe_cli in a checkout."""
    if importlib.util.find_spec("vibe_models") is not None:
        return Path(str(resources.files("vibe_models")))
    return Path(__file__).resolve().parent.parent / "models"


def user_models_dir() -> Path:
    """Models that the user imported: $VIBE_HOME/models, else vibe/models in the system's place for user data.

    That place is $XDG_DATA_HOME or ~/.local/share on Linux, ~/Library/Application Support on macOS and
    %LOCALAPPDATA% on Windows. The folder need not exist yet.
    """
    if home := os.environ.get("VIBE_HOME"):
        return Path(home).expanduser() / "models"
    if sys.platform == "darwin":
        data = Path.home() / "Library" / "Application Support"
    elif sys.platform == "win32":
        data = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return data / "vibe" / "models"


# Marks that turn the direction of writing, so that a name shows as another one.
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: str) -> str:
    """A text, such as a file's name, that does nothing to a terminal: control characters, line breaks, bytes that are
    no text and marks that turn the direction of writing are written as escapes."""
    return text if text.isascii() and text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _TURNING:
        return character.encode("unicode_escape").decode()
    return character
