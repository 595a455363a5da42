"""A track's boxes made steady, in time and without lag."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vibe_cli.results import Track

BOX_SMOOTHING_S = 0.1
_REACH = 3  # standard deviations


def smooth_boxes(track: Track, times: np.ndarray | None = None) -> Track:
    """The track with its boxes' centre and size smoothed over about `BOX_SMOOTHING_S` seconds to each side.

    `times` are the seconds of the clip's frames; None: 25 a second. A straight line is fitted at every frame to the
    neighbours under a Gaussian (Cleveland's local regression): no lag, exact for boxes that move and grow at constant
    velocity, one-sided at the ends. Sizes stay within those seen.
    """
    at = (track.frames / 25 if times is None else times[track.frames]) / BOX_SMOOTHING_S
    count = len(track)
    if count < 3:
        return track
    reach = int(max((np.searchsorted(at, at + _REACH, "right") - np.arange(count)).max() - 1, 0))
    boxes = track.boxes.astype(np.float64)
    base = boxes.mean(axis=0)
    padded = np.pad(boxes - base, ((reach, reach), (0, 0)))
    padded_at = np.pad(at, reach, constant_values=np.inf)
    s0, s1, s2, y0, y1 = (np.zeros((count, 1)) for _ in range(5))
    for offset in range(-reach, reach + 1):
        rows = slice(reach + offset, reach + offset + count)
        away = (padded_at[rows] - at)[:, None]
        near = np.abs(away) <= _REACH
        away = np.where(near, away, 0)
        weight = np.exp(-0.5 * away**2) * near
        s0, s1, s2 = s0 + weight, s1 + weight * away, s2 + weight * away**2
        y0, y1 = y0 + weight * padded[rows], y1 + weight * away * padded[rows]
    spread = s0 * s2 - s1 * s1
    line = (s2 * y0 - s1 * y1) / np.where(spread > 1e-9, spread, 1)
    smoothed = base + np.where(spread > 1e-9, line, boxes - base)
    smoothed[:, 2:] = np.clip(smoothed[:, 2:], boxes[:, 2:].min(axis=0), boxes[:, 2:].max(axis=0))
    return replace(track, boxes=smoothed)
