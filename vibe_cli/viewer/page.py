"""Everything in one HTML file that needs nothing else: no network, no server, no library."""

from __future__ import annotations

import base64
import html
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vibe_cli.progress import Progress, quiet
from vibe_cli.viewer.clip import shown_times, small_clip
from vibe_cli.viewer.scene import packed_scene
from vibe_cli.viewer.stage import stage_of

if TYPE_CHECKING:
    from vibe_cli.body.body_models import Body
    from vibe_cli.results import Result

SCRIPTS = ("maths", "scene", "orbit", "draw", "timeline", "player", "main")


def page_of(result: Result, body: Body, clip: Path | None, frames: range, progress: Progress = quiet) -> str:
    """The page of some frames of a result; without a clip, everybody in 3D alone."""
    scene = packed_scene(result, body, stage_of(result, body), frames, shown_times(result.video, frames))
    video = b"" if clip is None else small_clip(clip, result.video, frames, progress)
    name = Path(result.video.path).name
    parts = {
        "TITLE": html.escape(f"{name} · vibe"),
        "STYLE": _read("page.css"),
        "SCENE": _encoded(scene),
        "CLIP": _encoded(video),
        "SCRIPT": "\n".join(_read(f"{script}.js") for script in SCRIPTS),
    }
    page = _read("page.html")
    pieces = page.split("@@")  # text, NAME, text, NAME, … text
    return "".join(parts[piece] if number % 2 else piece for number, piece in enumerate(pieces))


def frames_between(times: np.ndarray, start: float | None, end: float | None) -> range:
    """The frames of a clip, at `times` (frames,) seconds, from `start` to before `end`; all where both are None."""
    first = 0 if start is None else int(np.searchsorted(times, start - 1e-6))
    last = len(times) if end is None else int(np.searchsorted(times, end - 1e-6))
    return range(first, last)


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _read(name: str) -> str:
    return (resources.files("vibe_cli.viewer") / name).read_text("utf-8")
