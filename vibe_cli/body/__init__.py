"""Bodies: joint rotations and shape in, mesh and joints out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vibe_cli.body.body_models import Body, joints_of, load_body, vertices_of

__all__ = ["Body", "joints_of", "load_body", "vertices_of"]


def __getattr__(name: str) -> Any:
    """Import torch with the first body, so that reading a result costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'vibe_cli.body' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module("vibe_cli.body.body_models"), name)
