"""A model whose detector does, on clips of certain heights, what no program should."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tests.helpers.media import make_clip
from tests.helpers.tiny import BrightDetector, TinyChoice
from vibe_cli.options import MotionOptions
from vibe_cli.results import Detections
from vibe_cli.zoo.model import Model

# what happens → the height in pixels of a clip to which it does
HEIGHTS = {"killed": 34, "hangs": 36, "deaf": 38, "memory": 40, "crash": 42, "bug": 44, "once": 46, "slow": 48}


def make_faulty(path: Path, what: str, frames: int = 4) -> Path:
    """A clip that makes the detector of FaultyChoice do a thing of HEIGHTS."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return make_clip(path, frames, (64, HEIGHTS[what]))


class FaultyDetector(BrightDetector):
    """Finds what is bright, and does to some clips what no program should."""

    def detect(self, frames: list[np.ndarray]) -> list[Detections]:
        """Boxes; or the end of this process, or of all patience."""
        what = {height: name for name, height in HEIGHTS.items()}.get(len(frames[0]), "")
        if what == "killed" or what == "once" and _first_time():
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "hangs":
            time.sleep(600)
        if what == "deaf":  # to a polite signal
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
        if what == "memory":
            raise MemoryError
        if what == "crash":
            ctypes.string_at(0)
        if what == "bug":
            raise ZeroDivisionError("a bug")
        if what == "slow":
            time.sleep(0.5)
        return super().detect(frames)


def _first_time() -> bool:
    """Whether this is asked for the first time in this working directory."""
    try:
        Path(".asked").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


@dataclass(frozen=True)
class FaultyChoice(TinyChoice):
    """The tiny model with that detector."""

    def load(self, motion: MotionOptions) -> Model:
        """The model."""
        return replace(super().load(motion), detector=FaultyDetector())
