"""Motion at a constant rate, for formats that know no time stamps: rotations by slerp, places by straight lines.

Clips have varying rates, dropped frames and pauses; a file of another program has one number, its frames a second. So
frame k of what is exported is the motion at the clip's first time plus k / rate, whichever frames the clip has there.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from vibe_cli.errors import UsageError
from vibe_cli.results import Person, Result, VideoInfo

_NAMED = tuple(Fraction(rate) for rate in (12, 15, 24, 25, 30, 48, 50, 60, 90, 100, 120, 240)) + tuple(
    Fraction(1000 * rate, 1001) for rate in (24, 30, 60, 120)
)
_NEAR = 0.25  # of a step: as far as a frame may lie from its place in a clip of constant rate
EXACT = 1e-3  # of a step: time stamps that a rate gives
ALMOST = 0.01  # share by which a mean rate may miss the common one that its time stamps bear out
MOST_FRAMES = 10_000_000  # of an export


def nominal_rate(video: VideoInfo) -> Fraction:
    """Frames a second of the steps that are commonest: a clip of 30 with pauses has 30, not the mean.

    Where time stamps are rounded or tremble, a common rate that they bear out is taken before their own mean.
    """
    steps = np.diff(video.times)
    if not len(steps) or _is_steady(video.times, float(video.fps), EXACT):
        return video.fps
    nearest = _nearest_named(float(video.fps))
    if abs(float(nearest / video.fps) - 1) <= ALMOST and _is_steady(video.times, float(nearest)):
        return nearest
    if _is_steady(video.times, float(video.fps)):
        return video.fps
    middle = float(np.median(steps))
    if abs(middle * float(video.fps) - 1) <= 0.01:
        return video.fps
    rate = 1 / float(steps[np.abs(steps / middle - 1) <= 0.1].mean())
    nearest = _nearest_named(rate)
    return nearest if abs(float(nearest) / rate - 1) <= 0.003 else Fraction(rate).limit_denominator(1001)


def _nearest_named(rate: float) -> Fraction:
    return min(_NAMED, key=lambda named: abs(float(named) / rate - 1))


def steady(result: Result, fps: Fraction | None = None, from_start: bool = False, start: float | None = None) -> Result:
    """The same motion at a constant rate, `nominal_rate` where it is None.

    Where it is resampled there are no keypoints in it, and no names of files, for frames are others than the clip's.
    `from_start` lets everybody begin with the clip, or at `start` seconds of it, in their first pose until they enter.
    """
    rate = Fraction(fps) if fps is not None else nominal_rate(result.video)
    if rate <= 0:
        raise UsageError(f"{fps} frames a second is no rate", hint="give a positive number, for example 30")
    times = result.video.times
    if len(times) and not _is_steady(times, float(rate)):
        span = (times[-1] - times[0]) * float(rate)
        if span > MOST_FRAMES:
            raise UsageError(f"{span:.0f} frames are too many to export", hint="choose a lower --fps")
        grid = times[0] + np.arange(int(np.floor(span + _NEAR)) + 1) / float(rate)
        people = [_resampled(person, times, grid) for person in result.people]
        scenes = np.unique(np.searchsorted(grid, times[result.video.scenes] - _NEAR / float(rate)))
        video = replace(result.video, fps=rate, times=grid, files=(), scenes=scenes[scenes < len(grid)])
        result = replace(result, video=video, people=people)
    elif any((np.diff(person.frames) > 1).any() for person in result.people):
        result = replace(result, people=[_resampled(person, times, times) for person in result.people])
    if from_start:
        first = first_frame(result, start)
        result = replace(result, people=[_held(person, first) for person in result.people])
    return result


def first_frame(result: Result, start: float | None) -> int:
    """The frame with which an export begins: that at `start` seconds, and never after somebody's; else the first."""
    if start is None:
        return 0
    at = int(np.searchsorted(result.video.times, start - 1e-6))
    return min([at, *(int(person.frames[0]) for person in result.people if len(person))])


def nearest_frames(times: np.ndarray, video: VideoInfo) -> np.ndarray:
    """(N,) int64 the frame of the clip that is nearest to each time (N,)."""
    after = np.clip(np.searchsorted(video.times, times), 1, max(video.frames - 1, 1))
    before = after - 1
    if video.frames < 2:
        return np.zeros(len(times), np.int64)
    return np.where(video.times[after] - times < times - video.times[before], after, before)


def _is_steady(times: np.ndarray, rate: float, within: float = _NEAR) -> bool:
    """Whether no frame lies farther than that, in steps, from its place in a clip of constant rate."""
    return bool((np.abs((times - times[0]) * rate - np.arange(len(times))) <= within).all())


def _resampled(person: Person, times: np.ndarray, grid: np.ndarray) -> Person:
    """A person at the times of a grid (M,) that lie between their first frame and their last; at least at one."""
    seen = times[person.frames]
    near = _NEAR * (grid[1] - grid[0]) if len(grid) > 1 else 0.0
    inside = np.flatnonzero((grid >= seen[0] - near) & (grid <= seen[-1] + near))
    if not len(inside):
        inside = np.array([np.abs(grid - seen[0]).argmin()])
    at = np.clip(grid[inside], seen[0], seen[-1])
    after = np.clip(np.searchsorted(seen, at), min(1, len(seen) - 1), len(seen) - 1)
    before = np.maximum(after - 1, 0)
    step = seen[after] - seen[before]
    share = np.where(step > 0, (at - seen[before]) / np.where(step > 0, step, 1), 0.0)
    nearest = np.where(share > 0.5, after, before)
    mixed: dict[str, Any] = {
        name: _between(getattr(person, name), before, after, share) for name in ("boxes", "camera", "confidence")
    }
    pose = slerp(person.pose[before], person.pose[after], share)
    filled = person.filled[nearest]
    return replace(person, frames=inside, pose=pose, filled=filled, keypoints=None, **mixed)


def _between(values: np.ndarray, before: np.ndarray, after: np.ndarray, share: np.ndarray) -> np.ndarray:
    part = share.reshape(-1, *[1] * (values.ndim - 1))
    return (1 - part) * values[before] + part * values[after]


def slerp(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Axis-angle (N, J, 3) a `share` (N,) of the shortest way from the first to the second → (N, J, 3)."""
    from scipy.spatial.transform import Rotation

    start = Rotation.from_rotvec(first.reshape(-1, 3))
    way = (start.inv() * Rotation.from_rotvec(second.reshape(-1, 3))).as_rotvec().reshape(first.shape)
    part = Rotation.from_rotvec((way * share[:, None, None]).reshape(-1, 3))
    return (start * part).as_rotvec().reshape(first.shape)


def _held(person: Person, first: int) -> Person:
    """A person in their first pose from a frame of the clip on."""
    missing = int(person.frames[0]) - first if len(person) else 0
    rows = np.concatenate([np.zeros(missing, np.int64), np.arange(len(person))])
    names = ("boxes", "pose", "camera", "confidence", "filled", "keypoints")
    held = {name: value[rows] for name in names if (value := getattr(person, name)) is not None}
    held["filled"][:missing] = True
    held["confidence"][:missing] = 0
    return replace(person, frames=np.arange(first, first + missing + len(person)), **held)
