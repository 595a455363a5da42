"""Ordinary video in, 3D human motion out. `recover("clip.mp4")` is the whole of it; the rest is detail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vibe_cli._version import __version__

if TYPE_CHECKING:
    from vibe_cli.pipeline import recover
    from vibe_cli.results import Person, Result
    from vibe_cli.zoo.reader import list_models, load_model

__all__ = ["Person", "Result", "__version__", "list_models", "load_model", "recover"]

_HOMES = {
    "recover": "vibe_cli.pipeline",
    "Person": "vibe_cli.results",
    "Result": "vibe_cli.results",
    "load_model": "vibe_cli.zoo.reader",
    "list_models": "vibe_cli.zoo.reader",
}


def __getattr__(name: str) -> Any:
    """Import the public names on first use, so that `import vibe_cli` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'vibe_cli' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
