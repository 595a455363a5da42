"""Which stretches of a track are believed: seen in enough of their frames, surely enough, and for long enough.

A filter looks at pieces before it drops a whole: two sure appearances joined over a gap that is too long for one track
are two tracks, and a sure one that weak detections carried on ends where it was sure. More frames never lose anybody:
who is kept in the beginning of a clip is kept in all of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vibe_cli.results import Track

if TYPE_CHECKING:
    from vibe_cli.people.track import TrackOptions

SURE_TICKS = 10.0  # 25ths of a second: a sure stretch as long as this is somebody where half of the clip so far is
NO_FLICKER = 0.6  # of `min_seen`, where no appearance is shorter than a birth


@dataclass(frozen=True)
class Scene:
    """Frames `start` to before `end` of a clip, one shot, in which a frame lasts `step` 25ths of a second."""

    start: int
    end: int
    step: float

    def frames(self, ticks: float) -> int:
        """How many frames so many 25ths of a second are."""
        return max(1, round(ticks / self.step))

    def least(self, options: TrackOptions) -> int:
        """The frames asked of a track: `min_track`, at most half of the scene's; of more than one where there are."""
        count = self.end - self.start
        wanted = max(self.frames(options.min_track), min(2, options.min_track))
        return max(1, min(wanted, count // 2))

    def is_long(self, track: Track, options: TrackOptions) -> bool:
        """Whether a track of the scene has as many frames as are asked, or would in the scene up to its end."""
        so_far = int(track.frames[-1]) + 1 - self.start
        enough = max(so_far // 2, min(self.frames(SURE_TICKS), max(1, (self.end - self.start) // 2)))
        return len(track) >= min(self.least(options), enough)


def believed(track: Track, scene: Scene, options: TrackOptions) -> list[Track]:
    """The track if it is likely, else its likely pieces, in order; none where there are none."""
    if is_likely(track, scene, options):
        return [track]
    gaps = runs(track.filled)
    if len(gaps):
        start, end = max(gaps, key=lambda gap: gap[1] - gap[0])
        first, second = part(track, slice(start)), part(track, slice(end, None))
        return believed(first, scene, options) + believed(second, scene, options)
    start, end = surest(track.scores - float(options.mean_score or 0))
    return [part(track, slice(start, end))] if end > start else []


def is_likely(track: Track, scene: Scene, options: TrackOptions) -> bool:
    """Whether it was seen in enough of its frames, and surely enough.

    Fewer are enough of a track whose every appearance would have been born by itself: it is no flicker.
    """
    seen = ~track.filled
    shortest = min(end - start for start, end in runs(seen))
    enough = options.min_seen * (NO_FLICKER if shortest >= scene.frames(options.min_hits) else 1)
    return bool(seen.mean() >= enough and track.scores[seen].mean() >= (options.mean_score or 0))


def runs(where: np.ndarray) -> list[tuple[int, int]]:
    """(start, end) of every stretch of True in (T,) bool."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], where, [False]]).astype(np.int8)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def surest(values: np.ndarray) -> tuple[int, int]:
    """(start, end) of the stretch of values (T,) with the largest sum; empty where none is above 0."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    lowest = np.minimum.accumulate(sums)
    end = int((sums - lowest).argmax())
    return int(sums[: end + 1].argmin()), end


def part(track: Track, rows: slice | np.ndarray) -> Track:
    """Rows of a track: a slice or (T,) bool."""
    names = ("frames", "boxes", "scores", "filled")
    return replace(track, **{name: getattr(track, name)[rows] for name in names})


def pieces_kept(track: Track, scene: Scene, options: TrackOptions) -> list[Track]:
    """Parts kept of a born track: itself, or its pieces that are long enough; with one, the other sure ones too."""
    pieces = believed(track, scene, options)
    if not any(scene.is_long(piece, options) for piece in pieces):
        return []
    if len(pieces) == 1:
        return pieces
    short = min(scene.frames(SURE_TICKS), scene.least(options))
    return [piece for piece in pieces if len(piece) >= short]
