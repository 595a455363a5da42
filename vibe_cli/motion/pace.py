"""The pace at which motion is understood: what is learnt or tuned by the frame meets clips of every rate.

A temporal network has learnt motion of some 30 frames a second, and its window is a number of frames; the fit to
keypoints holds neighbours together as is right for such steps. A clip of 240 is therefore taken as eight series of
every eighth frame, each at the taught pace, laid into one another again. Slower clips are taken as they are: what lies
between their frames was not seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

FPS = 30.0  # of the motions that the networks were taught by, and at which the fit's weights were chosen


def steps(times: np.ndarray | None, count: int) -> np.ndarray:
    """(count − 1,) how long the step to the next of some frames is, in 1 / FPS; ones where `times` are not known."""
    return np.ones(max(count - 1, 0)) if times is None else np.diff(times) * FPS


def frames_apart(times: np.ndarray | None, count: int) -> int:
    """How many of a person's frames (at `times` seconds) make a step at the taught pace: 1 up to 45 a second."""
    if times is None or count < 2:
        return 1
    usual = float(np.median(np.diff(times)))
    return int(np.clip(round(1 / (usual * FPS)), 1, count)) if usual > 0 else 1


def series(count: int, apart: int) -> list[slice]:
    """The rows of every series of frames that are so far apart."""
    return [slice(first, count, apart) for first in range(apart)]


def interleaved(parts: Sequence[Tensor]) -> Tensor:
    """What came of every series (Tₛ, …), laid into one another again (T, …)."""
    whole = torch.empty(sum(map(len, parts)), *parts[0].shape[1:], dtype=parts[0].dtype, device=parts[0].device)
    for rows, part in zip(series(len(whole), len(parts)), parts, strict=True):
        whole[rows] = part
    return whole
