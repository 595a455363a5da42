"""From boxes in frames to one track a person: SORT, then gaps filled and boxes smoothed.

SORT is Bewley et al. 2016 ("Simple online and realtime tracking"): a Kalman filter a person over centre u, v,
area s and aspect r with constant velocity of u, v and s, and a Hungarian assignment on the IoU of predicted
and detected boxes. Clips are whole, so more is known here than on line, and this differs in five places:
a detection left over continues a track left over where one box holds most of the other, for boxes change shape
faster than people move; a track keeps the hits that came before its birth; it may be unseen for `max_age` frames,
not one, and the gap is then interpolated between the detections around it; predictions after its last detection
are not part of it; and only a detection that scores `start_score` starts a track, while weaker ones carry it on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from vibe_cli.errors import UsageError
from vibe_cli.geometry import boxes as box_maths
from vibe_cli.results import Detections, Track

# Noise as shares of the person's size (square root of the area), so that resolution does not matter.
MEASURE_POSITION, MEASURE_AREA, MEASURE_ASPECT = 0.05, 0.2, 0.1
DRIFT_POSITION, DRIFT_AREA, DRIFT_ASPECT = 0.02, 0.04, 0.05
DRIFT_VELOCITY, DRIFT_GROWTH = 0.005, 0.001  # larger growth noise loses people while they are unseen
START_VELOCITY, START_GROWTH = 0.15, 0.1
BOX_SMOOTHING_S = 0.1
SAME_PERSON = 0.6  # share of the smaller box that a box of another shape has in common with one's own,
JUST_SEEN = 0.3  # and where that person was seen in the frame before: a box may hold now the one arm, now the other
MEAN_SCORE = 0.4  # of tracks that are believed, where the detector does not say


@dataclass(frozen=True)
class TrackOptions:
    """How detections become tracks."""

    iou: float = 0.3  # least overlap of a prediction and the detection that continues it
    start_score: float = 0.5  # a detection must score this to start a track; any may continue one
    min_hits: int = 3  # detections in consecutive frames before a track is born
    max_age: int = 30  # frames without a detection that a track survives (the paper: 1)
    min_track: int = 25  # shorter tracks are dropped; at most half of the clip's frames is asked
    min_seen: float = 0.5  # tracks detected in a smaller share of their frames are dropped
    mean_score: float | None = None  # tracks that score less on average are dropped; None: see `with_min_mean_score`
    max_people: int | None = None  # keep those with the largest sum over frames of box size; None: all
    persons: tuple[int, ...] = ()  # keep these ids, as numbered without this option; (): all

    def __post_init__(self) -> None:
        limits = {
            "iou": (0, 1),
            "start_score": (0, 1),
            "min_seen": (0, 1),
            "mean_score": (0, 1),
            "min_hits": (1, None),
            "max_age": (0, None),
            "min_track": (1, None),
            "max_people": (1, None),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if value is not None and (value < low or (high is not None and value > high)):
                wanted = f"from {low} to {high}" if high is not None else f"{low} or more"
                raise UsageError(f"{name.replace('_', '-')} {value}: out of range", hint=f"choose {wanted}")

    def with_min_mean_score(self, score: float) -> TrackOptions:
        """The same with the detector's own `mean_score` where none was chosen."""
        return self if self.mean_score is not None else replace(self, mean_score=score)


@dataclass(frozen=True, eq=False)
class TrackReport:
    """The tracks kept, and how many were not."""

    tracks: list[Track]  # by id, 1 upwards in order of first appearance
    dropped: int = 0  # born, but too short or too unsure
    unsure: int = 0  # of those dropped: too seldom detected in their frames, or with too low scores
    left_out: int = 0  # not among `max_people` or `persons`
    min_track: int = 1  # the least length that was asked, frames


def link_tracks(detections: Iterable[Detections], options: TrackOptions | None = None) -> TrackReport:
    """Link the detections of every frame of a clip, in order and empty ones included, to tracks.

    In a clip shorter than twice `min_track` half its frames are enough (one, in a clip of one), and no more
    hits are asked for a birth than frames. UsageError when a wanted id is not among those found.
    """
    options = (options or TrackOptions()).with_min_mean_score(MEAN_SCORE)
    frames = list(detections)
    least = max(1, min(options.min_track, len(frames) // 2))
    sort = Sort(replace(options, min_hits=min(options.min_hits, least)))
    for found in frames:
        sort.update(found)
    born = sort.tracks()
    likely = [track for track in born if _is_likely(track, options)]
    kept = [track for track in likely if len(track) >= least]
    dropped, unsure = len(born) - len(kept), len(born) - len(likely)
    total = len(kept)
    if options.max_people is not None:
        kept = sorted(kept, key=_importance, reverse=True)[: options.max_people]
    kept = sorted(kept, key=_appearance)
    kept = [replace(track, id=number) for number, track in enumerate(kept, start=1)]
    if options.persons and kept:
        kept = _select(kept, options.persons)
    return TrackReport(kept, dropped, unsure, total - len(kept), least)


class Sort:
    """SORT over one clip: `update` with every frame's detections in order, then `tracks`."""

    def __init__(self, options: TrackOptions | None = None) -> None:
        self.options = options or TrackOptions()
        self._frame = 0
        self._living: list[_Candidate] = []
        self._ended: list[_Candidate] = []

    def update(self, detections: Detections) -> np.ndarray:
        """Take the next frame → (N,) int64: for each detection the number of its candidate track, or −1.

        Numbers count candidates of this clip from 0; ids are given by `link_tracks`. Boxes that are not
        finite or have no area are ignored.
        """
        usable = np.flatnonzero(np.isfinite(detections.boxes).all(axis=1) & (detections.boxes[:, 2:] > 0).all(axis=1))
        boxes, scores = detections.boxes[usable].astype(np.float64), detections.scores[usable]
        predicted = np.array([candidate.predict() for candidate in self._living]).reshape(-1, 4)
        numbers = np.full(len(detections), -1, np.int64)
        free = set(range(len(boxes)))
        for who, which in self._continue(predicted, boxes):
            self._living[who].hit(self._frame, boxes[which], float(scores[which]))
            numbers[usable[which]] = self._living[who].number
            free.remove(which)
        self._bury()
        for which in sorted(free):
            if scores[which] >= self.options.start_score:
                number = len(self._living) + len(self._ended)
                self._living.append(_Candidate(number, self._frame, boxes[which], float(scores[which])))
                numbers[usable[which]] = number
        self._frame += 1
        return numbers

    def tracks(self) -> list[Track]:
        """Every track born so far, in order of appearance, numbered from 1, gaps filled."""
        born = [one for one in self._ended + self._living if one.is_born(self.options.min_hits)]
        tracks = sorted((one.track() for one in born), key=_appearance)
        return [replace(track, id=number) for number, track in enumerate(tracks, start=1)]

    def _continue(self, predicted: np.ndarray, boxes: np.ndarray) -> list[tuple[int, int]]:
        """Which candidate goes on with which box: by IoU, then, of those left over, by what they share."""
        pairs = associate(predicted, boxes, self.options.iou)
        taken, used = {who for who, _ in pairs}, {which for _, which in pairs}
        who_left = [i for i in range(len(predicted)) if i not in taken]
        which_left = [i for i in range(len(boxes)) if i not in used]
        common = box_maths.shared(predicted[who_left], boxes[which_left])
        just_seen = np.array([self._frame - self._living[i].frames[-1] == 1 for i in who_left], bool)
        least = np.where(just_seen, JUST_SEEN, SAME_PERSON)[:, None]
        return pairs + [(who_left[a], which_left[b]) for a, b in assign(common, least)]

    def _bury(self) -> None:
        """End candidates unseen for too long: at once before their birth, after `max_age` frames later."""
        living = []
        for one in self._living:
            unseen = self._frame - one.frames[-1]
            alive = unseen <= self.options.max_age if one.is_born(self.options.min_hits) else unseen == 0
            if alive:
                living.append(one)
            else:
                self._ended.append(one)
        self._living = living


def associate(predicted: np.ndarray, detected: np.ndarray, least_iou: float) -> list[tuple[int, int]]:
    """Pairs (prediction, detection) of boxes (N, 4), (M, 4) with the largest sum of IoU, each ≥ `least_iou`."""
    return assign(box_maths.iou(predicted, detected), least_iou)


def assign(gain: np.ndarray, least: float | np.ndarray) -> list[tuple[int, int]]:
    """Pairs (row, column) of a matrix (N, M) with the largest sum of gains, each above 0 and ≥ `least`, which may be
    (N, 1): one for each row."""
    if not gain.size:
        return []
    from scipy.optimize import linear_sum_assignment

    gain = np.where(gain < np.maximum(least, 1e-9), 0.0, gain)
    pairs = zip(*linear_sum_assignment(gain, maximize=True), strict=True)
    return [(int(a), int(b)) for a, b in pairs if gain[a, b] > 0]


def smooth_boxes(track: Track, fps: float = 25.0) -> Track:
    """The track with its boxes' centre and size smoothed over about `BOX_SMOOTHING_S` seconds to each side.

    A straight line is fitted at every frame to the neighbours under a Gaussian (Cleveland's local
    regression): no lag, exact for boxes that move and grow at constant velocity, one-sided at the ends.
    Sizes stay within those seen.
    """
    sigma = BOX_SMOOTHING_S * fps
    reach = min(int(np.ceil(3 * sigma)), len(track) - 1)
    if reach < 2:
        return track
    boxes = track.boxes.astype(np.float64)
    base = boxes.mean(axis=0)
    padded = np.pad(boxes - base, ((reach, reach), (0, 0)))
    there = np.pad(np.ones((len(boxes), 1)), ((reach, reach), (0, 0)))
    s0, s1, s2, y0, y1 = 0.0, 0.0, 0.0, 0.0, 0.0
    for offset in range(-reach, reach + 1):
        rows = slice(reach + offset, reach + offset + len(boxes))
        weight = np.exp(-0.5 * (offset / sigma) ** 2) * there[rows]
        s0, s1, s2 = s0 + weight, s1 + weight * offset, s2 + weight * offset**2
        y0, y1 = y0 + weight * padded[rows], y1 + weight * offset * padded[rows]
    smoothed = base + (s2 * y0 - s1 * y1) / (s0 * s2 - s1 * s1)
    smoothed[:, 2:] = np.clip(smoothed[:, 2:], boxes[:, 2:].min(axis=0), boxes[:, 2:].max(axis=0))
    return replace(track, boxes=smoothed)


def _select(tracks: list[Track], wanted: tuple[int, ...]) -> list[Track]:
    """The tracks with these ids, which they keep."""
    known = [track.id for track in tracks]
    for number in wanted:
        if number not in known:
            raise UsageError(
                f"no person {number} in this clip", hint=f"choose among the people found: {', '.join(map(str, known))}"
            )
    return [track for track in tracks if track.id in wanted]


def _is_likely(track: Track, options: TrackOptions) -> bool:
    """Whether it was seen in enough of its frames, and surely enough."""
    seen = ~track.filled
    return bool(seen.mean() >= options.min_seen and track.scores[seen].mean() >= options.mean_score)


def _importance(track: Track) -> float:
    """Sum over the frames of the box's size: who is large, and long in the picture."""
    return float(np.sqrt(track.boxes[:, 2] * track.boxes[:, 3]).sum())


def _appearance(track: Track) -> tuple[float, ...]:
    """Sort key: first appearance, then the larger, then from left to right and top to bottom."""
    x, y, width, height = (float(v) for v in track.boxes[0])
    return int(track.frames[0]), -width * height, x, y


@dataclass
class _Candidate:
    """A person who may become a track: a Kalman filter and the detections that it was given."""

    number: int
    start: int
    box: np.ndarray
    score: float
    frames: list[int] = field(default_factory=list)
    boxes: list[np.ndarray] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        from filterpy.kalman import KalmanFilter

        self._filter = KalmanFilter(dim_x=7, dim_z=4)
        self._filter.F = np.eye(7) + np.eye(7, k=4)
        self._filter.H = np.eye(4, 7)
        self._filter.x[:4, 0] = _measurement(self.box)
        size, area, aspect = self._scales()
        self._filter.P = (
            np.diag(
                [
                    MEASURE_POSITION * size,
                    MEASURE_POSITION * size,
                    MEASURE_AREA * area,
                    MEASURE_ASPECT * aspect,
                    START_VELOCITY * size,
                    START_VELOCITY * size,
                    START_GROWTH * area,
                ]
            )
            ** 2
        )
        self._record(self.start, self.box, self.score)

    def predict(self) -> np.ndarray:
        """Step one frame on → (4,) the box expected there. A shrinking area stops before it vanishes."""
        state = self._filter.x[:, 0]
        if state[2] + state[6] <= 0.1 * state[2]:
            state[6] = 0.0
        size, area, aspect = self._scales()
        self._filter.Q = (
            np.diag(
                [
                    DRIFT_POSITION * size,
                    DRIFT_POSITION * size,
                    DRIFT_AREA * area,
                    DRIFT_ASPECT * aspect,
                    DRIFT_VELOCITY * size,
                    DRIFT_VELOCITY * size,
                    DRIFT_GROWTH * area,
                ]
            )
            ** 2
        )
        self._filter.predict()
        u, v, area, aspect = self._filter.x[:4, 0]
        width = np.sqrt(area * aspect)
        return np.array([u, v, width, area / width])

    def hit(self, frame: int, box: np.ndarray, score: float) -> None:
        """Take the detection found in `frame`."""
        size, area, aspect = self._scales()
        noise = (
            np.diag([MEASURE_POSITION * size, MEASURE_POSITION * size, MEASURE_AREA * area, MEASURE_ASPECT * aspect])
            ** 2
        )
        self._filter.update(_measurement(box)[:, None], R=noise)
        self._filter.x[2:4] = np.maximum(self._filter.x[2:4], 1e-6)
        self._record(frame, box, score)

    def is_born(self, min_hits: int) -> bool:
        """Whether it was seen often enough (before its birth it is ended by the first miss)."""
        return len(self.frames) >= min_hits

    def track(self) -> Track:
        """Its frames from the first to the last detection, boxes interpolated linearly in between."""
        seen = np.array(self.frames)
        frames = np.arange(seen[0], seen[-1] + 1)
        boxes = np.stack([np.interp(frames, seen, column) for column in np.array(self.boxes).T], axis=1)
        scores, filled = np.zeros(len(frames)), np.ones(len(frames), bool)
        scores[seen - seen[0]], filled[seen - seen[0]] = self.scores, False
        return Track(self.number, frames, boxes, scores, filled)

    def _record(self, frame: int, box: np.ndarray, score: float) -> None:
        self.frames.append(frame)
        self.boxes.append(box)
        self.scores.append(score)

    def _scales(self) -> tuple[float, float, float]:
        """Size, area and aspect of the person now, which the noise is measured in."""
        area, aspect = float(self._filter.x[2, 0]), float(self._filter.x[3, 0])
        return float(np.sqrt(area)), area, aspect


def _measurement(box: np.ndarray) -> np.ndarray:
    """Box (4,) → (4,) u, v, area s, aspect r = width / height."""
    return np.array([box[0], box[1], box[2] * box[3], box[2] / box[3]])
