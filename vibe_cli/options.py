"""The choices that shape a motion, with their defaults; light, because the command line reads them."""

from __future__ import annotations

from dataclasses import dataclass

from vibe_cli.errors import UsageError


@dataclass(frozen=True)
class MotionOptions:
    """How features become motion."""

    window: int | None = None  # frames that the temporal network sees at once; None: as it was trained
    stride: int | None = None  # frames from one window to the next; None: half a window
    refine: bool = True  # fit the pose to the keypoints, where the encoder finds any
    smooth: float = 1.0  # strength of the one-euro filter; 0 is off

    def __post_init__(self) -> None:
        for name in ("window", "stride"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"a {name} of {value} frames: at least 1 is needed", hint=f"use --{name} 1 or more")
        if self.smooth < 0:
            raise UsageError(
                f"smoothing of strength {self.smooth}: it cannot be negative", hint="use --smooth 0 for none"
            )


RAW = MotionOptions(refine=False, smooth=0.0)  # motion as the networks give it, which is what the papers report
