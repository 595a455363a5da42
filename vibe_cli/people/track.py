"""From boxes in frames to one track a person: SORT, then gaps filled.

SORT is Bewley et al. 2016 ("Simple online and realtime tracking"): a Kalman filter a person over centre u, v,
area s and aspect r with constant velocity of u, v and s, and a Hungarian assignment on the IoU of predicted
and detected boxes. Clips are whole, so more is known here than on line, and this differs in five places:
a detection left over continues a track left over where one box holds most of the other, for boxes change shape
faster than people move; a track keeps the hits that came before its birth; it may be unseen for `max_age`,
not for a frame, and the gap is then interpolated between the detections around it; predictions after its last detection
are not part of it; and only a detection that scores `start_score` starts a track, while weaker ones carry it on.

Time is counted in ticks, 25ths of a second: the constants were chosen where a tick is a frame. So the same scene has
the same people at every rate, and with frames missing. No track crosses the start of a scene.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from vibe_cli.errors import UsageError
from vibe_cli.geometry import boxes as box_maths
from vibe_cli.people.believe import Scene, is_likely, pieces_kept
from vibe_cli.results import Detections, Track

# Noise as shares of the person's size (square root of the area), so that resolution does not matter; drift a tick.
MEASURE_POSITION, MEASURE_AREA, MEASURE_ASPECT = 0.05, 0.2, 0.1
DRIFT_POSITION, DRIFT_AREA, DRIFT_ASPECT = 0.02, 0.04, 0.05
DRIFT_VELOCITY, DRIFT_GROWTH = 0.005, 0.001  # larger growth noise loses people while they are unseen
START_VELOCITY, START_GROWTH = 0.15, 0.1
TICKS = 25.0  # a second
NEAR = 0.1  # tick: time stamps are rounded
PAUSE = 3  # steps of the clip's: a longer one, in which a track would end, ends all
SAME_PERSON = 0.6  # share of the smaller box that a box of another shape has in common with one's own,
JUST_SEEN = 0.3  # and where that person was seen in the frame before: a box may hold now the one arm, now the other
MEAN_SCORE = 0.4  # of tracks that are believed, where the detector does not say


@dataclass(frozen=True)
class TrackOptions:
    """How detections become tracks."""

    iou: float = 0.3  # least overlap of a prediction and the detection that continues it
    start_score: float = 0.5  # a detection must score this to start a track; any may continue one
    min_hits: int = 3  # ticks of detections, none missed for a tick, before a track is born
    max_age: int = 30  # ticks without a detection that a track survives (the paper: 1)
    min_track: int = 25  # ticks; shorter tracks are dropped; at most half of a scene's frames is asked
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
    min_track: int = 1  # the least length that was asked in the longest scene, frames


def link_tracks(
    detections: Iterable[Detections],
    options: TrackOptions | None = None,
    times: np.ndarray | None = None,
    scenes: Sequence[int] | np.ndarray = (0,),
) -> TrackReport:
    """Link the detections of every frame of a clip, in order and empty ones included, to tracks.

    `times` are the frames' seconds, 25 a second where None; `scenes` the first frame of each, which no track crosses.
    In a scene shorter than twice `min_track` half its frames are enough (one, in a scene of one), and no more
    hits are asked for a birth than frames. UsageError when a wanted id is not among those found.
    """
    options = (options or TrackOptions()).with_min_mean_score(MEAN_SCORE)
    frames = list(detections)
    ticks = np.arange(len(frames)) * 1.0 if times is None else np.asarray(times[: len(frames)]) * TICKS
    kept: list[Track] = []
    dropped = unsure = 0
    parts = _scenes(ticks, scenes)
    for scene in parts:
        for track in _born(frames, ticks, scene, options):
            pieces = pieces_kept(track, scene, options)
            kept += pieces
            dropped += not pieces
            unsure += not pieces and not is_likely(track, scene, options)
    total = len(kept)
    if options.max_people is not None:
        kept = sorted(kept, key=_importance, reverse=True)[: options.max_people]
    kept = sorted(kept, key=_appearance)
    kept = [replace(track, id=number) for number, track in enumerate(kept, start=1)]
    if options.persons and kept:
        kept = _select(kept, options.persons)
    least = max((scene.least(options) for scene in parts), default=1)
    return TrackReport(kept, dropped, unsure, total - len(kept), least)


def _scenes(ticks: np.ndarray, starts: Sequence[int] | np.ndarray) -> list[Scene]:
    """The scenes of a clip whose frames are at `ticks` (frames,)."""
    step = float(np.median(np.diff(ticks))) if len(ticks) > 1 else 1.0
    edges = [start for start in sorted({0, *starts}) if start < len(ticks)] or [0]
    return [Scene(a, b, step) for a, b in zip(edges, [*edges[1:], len(ticks)], strict=True)]


def _born(frames: list[Detections], ticks: np.ndarray, scene: Scene, options: TrackOptions) -> list[Track]:
    """The tracks of one scene, filters aside."""
    hits = max(scene.frames(options.min_hits), min(2, options.min_hits))
    sort = Sort(replace(options, min_hits=min(hits, scene.least(options))), scene.step)
    for frame in range(scene.start, scene.end):
        sort.update(frames[frame], ticks[frame])
    return [replace(track, frames=track.frames + scene.start) for track in sort.tracks()]


class Sort:
    """SORT over one scene: `update` with every frame's detections in order, then `tracks`.

    `step` is how many ticks a frame usually lasts; the `min_hits` of the options are frames.
    """

    def __init__(self, options: TrackOptions | None = None, step: float = 1.0) -> None:
        self.options, self.step = options or TrackOptions(), step
        self._ticks: list[float] = []
        self._living: list[_Candidate] = []
        self._ended: list[_Candidate] = []

    def update(self, detections: Detections, tick: float | None = None) -> np.ndarray:
        """Take the next frame → (N,) int64: for each detection the number of its candidate track, or −1.

        `tick` is its time, a step after the one before where None. Numbers count candidates of this clip from 0; ids
        are given by `link_tracks`. Boxes that are not finite or have no area are ignored.
        """
        usable = np.flatnonzero(np.isfinite(detections.boxes).all(axis=1) & (detections.boxes[:, 2:] > 0).all(axis=1))
        boxes, scores = detections.boxes[usable].astype(np.float64), detections.scores[usable]
        before = self._ticks[-1] if self._ticks else 0.0
        tick = tick if tick is not None else before + self.step
        self._ticks.append(tick)
        frame = len(self._ticks) - 1
        pause = max(self.options.max_age + 1, PAUSE * self.step)
        self._bury(tick, pause, pause)
        predicted = np.array([candidate.predict(tick - before) for candidate in self._living]).reshape(-1, 4)
        numbers = np.full(len(detections), -1, np.int64)
        free = set(range(len(boxes)))
        for who, which in self._continue(predicted, boxes):
            self._living[who].hit(frame, boxes[which], float(scores[which]))
            numbers[usable[which]] = self._living[who].number
            free.remove(which)
        self._bury(tick, self.options.max_age, 1 - 2 * NEAR)
        for which in sorted(free):
            if scores[which] >= self.options.start_score:
                number = len(self._living) + len(self._ended)
                self._living.append(_Candidate(number, frame, boxes[which], float(scores[which])))
                numbers[usable[which]] = number
        return numbers

    def tracks(self) -> list[Track]:
        """Every track born so far, in order of appearance, numbered from 1, gaps filled."""
        born = [one for one in self._ended + self._living if one.is_born(self.options.min_hits)]
        ticks = np.array(self._ticks)
        tracks = sorted((one.track(ticks) for one in born), key=_appearance)
        return [replace(track, id=number) for number, track in enumerate(tracks, start=1)]

    def _continue(self, predicted: np.ndarray, boxes: np.ndarray) -> list[tuple[int, int]]:
        """Which candidate goes on with which box: by IoU, then, of those left over, by what they share."""
        pairs = associate(predicted, boxes, self.options.iou)
        taken, used = {who for who, _ in pairs}, {which for _, which in pairs}
        who_left = [i for i in range(len(predicted)) if i not in taken]
        which_left = [i for i in range(len(boxes)) if i not in used]
        common = box_maths.shared(predicted[who_left], boxes[which_left])
        just_seen = np.array([len(self._ticks) - self._living[i].frames[-1] == 2 for i in who_left], bool)
        least = np.where(just_seen, JUST_SEEN, SAME_PERSON)[:, None]
        return pairs + [(who_left[a], which_left[b]) for a, b in assign(common, least)]

    def _bury(self, tick: float, age: float, unborn_age: float) -> None:
        """End candidates that are unseen for longer than so many ticks, after their birth or before."""
        living = []
        for one in self._living:
            born = one.is_born(self.options.min_hits)
            alive = tick - self._ticks[one.frames[-1]] <= (age if born else unborn_age) + NEAR
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


def _select(tracks: list[Track], wanted: tuple[int, ...]) -> list[Track]:
    """The tracks with these ids, which they keep."""
    known = [track.id for track in tracks]
    for number in wanted:
        if number not in known:
            raise UsageError(
                f"no person {number} in this clip", hint=f"choose among the people found: {', '.join(map(str, known))}"
            )
    return [track for track in tracks if track.id in wanted]


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
        self._filter.P = _variances(
            MEASURE_POSITION * size,
            MEASURE_POSITION * size,
            MEASURE_AREA * area,
            MEASURE_ASPECT * aspect,
            START_VELOCITY * size,
            START_VELOCITY * size,
            START_GROWTH * area,
        )
        self._record(self.start, self.box, self.score)

    def predict(self, ticks: float = 1.0) -> np.ndarray:
        """Step so many ticks on → (4,) the box expected there. A shrinking area stops before it vanishes."""
        state = self._filter.x[:, 0]
        if state[2] + ticks * state[6] <= 0.1 * state[2]:
            state[6] = 0.0
        size, area, aspect = self._scales()
        self._filter.Q = (
            _variances(
                DRIFT_POSITION * size,
                DRIFT_POSITION * size,
                DRIFT_AREA * area,
                DRIFT_ASPECT * aspect,
                DRIFT_VELOCITY * size,
                DRIFT_VELOCITY * size,
                DRIFT_GROWTH * area,
            )
            * ticks
        )
        self._filter.F = np.eye(7) + ticks * np.eye(7, k=4)
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

    def track(self, ticks: np.ndarray) -> Track:
        """Its frames from the first to the last detection, boxes interpolated in between; `ticks` of all frames."""
        seen = np.array(self.frames)
        frames = np.arange(seen[0], seen[-1] + 1)
        boxes = np.stack([np.interp(ticks[frames], ticks[seen], column) for column in np.array(self.boxes).T], axis=1)
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


def _variances(*deviations: float) -> np.ndarray:
    """A covariance (N, N) of independent numbers with these standard deviations."""
    return np.diag(deviations) ** 2
