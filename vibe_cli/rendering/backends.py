"""Which rasteriser draws: asked for by name, or the first that starts and passes a test picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from vibe_cli.errors import EXIT_USAGE, UsageError, VibeError
from vibe_cli.rendering.contexts import in_one_line
from vibe_cli.rendering.place import Placed


class RendererError(VibeError):
    """No renderer, or not the one asked for, can start here (exit 2)."""

    exit_code = EXIT_USAGE


class Rasteriser(Protocol):
    """Draws triangles, nearest first seen, with soft edges."""

    name: str  # egl | osmesa | software
    device: str  # what draws, in the driver's words

    def draw(self, placed: Placed, width: int, height: int, line: float = 0) -> tuple[np.ndarray, np.ndarray]:
        """Triangles → colour (height, width, 3) times cover, and cover (height, width), both uint8."""
        ...

    def close(self) -> None:
        """Give memory back."""
        ...


def _opengl(platform: str) -> Rasteriser:
    from vibe_cli.rendering.opengl import OpenGLRasteriser

    return OpenGLRasteriser(platform)


def _software() -> Rasteriser:
    from vibe_cli.rendering.software import SoftwareRasteriser

    return SoftwareRasteriser()


BACKENDS: dict[str, Callable[[], Rasteriser]] = {  # in the order in which "auto" tries them
    "egl": lambda: _opengl("egl"),
    "osmesa": lambda: _opengl("osmesa"),
    "software": _software,
}


def start(backend: str) -> tuple[Rasteriser, list[str]]:
    """The rasteriser of a name, or of the first that works for "auto", and why those before it did not.

    RendererError when none starts, UsageError for an unknown name.
    """
    if backend != "auto" and backend not in BACKENDS:
        names = ", ".join(["auto", *BACKENDS])
        raise UsageError(f"no renderer is called {backend!r}", hint=f"choose from: {names}")
    refusals: list[str] = []
    last: Exception | None = None
    hint: str | None = None
    for name in BACKENDS if backend == "auto" else [backend]:
        try:
            rasteriser = BACKENDS[name]()
            if _works(rasteriser):
                return rasteriser, refusals
            refusals.append(f"{name}: the test picture came out wrong ({rasteriser.device})")
            rasteriser.close()
        except VibeError as error:
            refusals.append(error.message)
            last, hint = error, error.hint
        except Exception as error:  # drivers fail in every way there is
            refusals.append(f"{name}: {in_one_line(error)}")
            last = error
    raise RendererError("no renderer can start: " + "; ".join(refusals), hint=hint) from last


def _works(rasteriser: Rasteriser) -> bool:
    """Draw a red square before a green one, in the right half of a small picture."""
    corners = np.array([[4, 0], [8, 0], [8, 8], [4, 8]], np.float32)
    points = np.concatenate([np.insert(corners, 2, depth, axis=1) for depth in (1.0, 2.0)]).astype(np.float32)
    colours = np.repeat(np.eye(3, dtype=np.float32)[:2], 4, axis=0)
    faces = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]], np.int32)
    colour, cover = rasteriser.draw(Placed(points, colours, faces), 8, 8)
    wanted = np.zeros((8, 8), np.uint8)
    wanted[:, 4:] = 255
    return np.array_equal(cover, wanted) and np.array_equal(colour, wanted[..., None] * np.array([1, 0, 0], np.uint8))
