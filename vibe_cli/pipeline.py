"""A clip in, everybody's motion out: the page that tells the story.

Two passes over the clip. The first finds and follows people; at its end, gaps in their tracks are filled. The
second cuts every tracked person out of every frame and encodes them. Then each track becomes motion.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vibe_cli.device import halving_batches
from vibe_cli.errors import UsageError
from vibe_cli.geometry.boxes import square
from vibe_cli.geometry.camera import crop_points_to_image, image_points_to_crop
from vibe_cli.options import MotionOptions
from vibe_cli.people.believe import part
from vibe_cli.people.steady import smooth_boxes
from vibe_cli.people.track import TrackOptions, TrackReport, link_tracks
from vibe_cli.progress import Progress, Stopwatch, quiet
from vibe_cli.results import Person, Result, Track, TrackFeatures, VideoInfo

if TYPE_CHECKING:
    from vibe_cli.people.detectors import Detector
    from vibe_cli.people.keypoint_sources import KeypointSource
    from vibe_cli.video.reader import VideoReader
    from vibe_cli.zoo.model import FrozenEncoder, Model


LEAST_GIVEN = 4  # keypoints of a user's from which a body can be told


@dataclass(frozen=True)
class Options:
    """Every choice that shapes a result, and the batch size, which does not."""

    tracking: TrackOptions = field(default_factory=TrackOptions)
    motion: MotionOptions = field(default_factory=MotionOptions)
    batch_size: int = 16  # frames or crops that a network sees at once; halved when memory runs out
    keypoints: str | None = None  # a user's: a file, a folder or a pose model (.pt, .onnx); None: the encoder's own
    image_fps: Fraction | None = None  # of folders of images; None: as their names tell, else IMAGE_FPS
    photos: bool = False  # a folder of images is photographs, each by itself
    stream: int | None = None  # of a file with several videos; None: the one that is the film

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise UsageError(f"batch size {self.batch_size}: at least 1 is needed", hint="use --batch-size 1 or more")


@dataclass
class Run:
    """Context of one run over a clip: whom to tell, and what was noticed on the way."""

    progress: Progress = quiet
    watch: Stopwatch = field(default_factory=Stopwatch)
    warnings: list[str] = field(default_factory=list)
    scenes: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))  # (S,) the first frame of every shot
    jitter: dict[str, dict[str, float]] = field(default_factory=dict)  # by person: before and after smoothing


def recover(
    path: str | Path | VideoReader,
    model: Model | None = None,
    options: Options | None = None,
    progress: Progress = quiet,
    watch: Stopwatch | None = None,
) -> Result:
    """Recover every person's motion in a clip. Writes nothing.

    `model` is the default one of `load_model` when left out; `watch` collects the seconds of each stage.
    A clip with nobody in it gives an empty result.
    """
    from vibe_cli.motion.regress import check_windows
    from vibe_cli.people.keypoint_sources import open_keypoints
    from vibe_cli.video.reader import open_video

    if model is None:
        from vibe_cli.zoo.reader import load_model

        model = load_model()
    options, run = options or Options(), Run(progress, watch or Stopwatch(), list(model.notes))
    check_windows(model.network, options.motion)
    options = replace(options, tracking=options.tracking.with_min_mean_score(model.detector.min_mean_score))
    source = open_keypoints(options.keypoints, model.device) if options.keypoints is not None else None
    with open_video(path, options.image_fps, options.photos, options.stream) as video:
        found = follow_people(video, model.detector, options, run, source)
        observed = encode_tracks(video, found.tracks, model, options.batch_size, run, source)
        run.warnings.extend(video.warnings)
        info = replace(video.info, scenes=run.scenes)
    return motion_of(observed, found, info, model, options, run)


def motion_of(
    observed: list[TrackFeatures], found: TrackReport, info: VideoInfo, model: Model, options: Options, run: Run
) -> Result:
    """Everybody's features → the result of the clip."""
    people = [
        estimate_person(seen, model, options.motion, info.times, run)
        for seen in run.progress(observed, "Recovering motion", len(observed))
    ]
    metadata = {
        "detector": model.detector_name,
        "dropped_tracks": found.dropped,
        "unsure_tracks": found.unsure,
        "left_out_tracks": found.left_out,
        "jitter": run.jitter,
        "warnings": run.warnings,
        "tracking": asdict(options.tracking),
        "motion": asdict(options.motion),
        "keypoints": options.keypoints,
        "body_file": str(model.body.file) if model.body.file is not None else None,
    }
    return Result(video=info, people=people, model=model.name, body=model.body.kind, metadata=metadata)


def follow_people(
    video: VideoReader, detector: Detector, options: Options, run: Run, source: KeypointSource | None = None
) -> TrackReport:
    """Pass 1: find people in every frame and link them into tracks, none of which crosses a cut.

    The people of a source of keypoints that needs no tracks are among them, whether the detector found them or not.
    """
    from vibe_cli.people.keypoint_sources import KeypointFile, join_people
    from vibe_cli.video.cuts import SceneFinder

    scenes = SceneFinder()
    decoded = run.progress(run.watch.each(video, "decode"), "Finding people", video.estimated_frames)
    finder = source if source is not None and source.finds_people else None
    frames = scenes.watch(frame for _, frame in (decoded if finder is None else finder.watch(decoded)))
    with run.watch("detect and track"):
        found = list(halving_batches(detector.detect, frames, options.batch_size, run.warnings.append))
        if isinstance(source, KeypointFile):
            source.place(video.info, run.warnings)
        if finder is not None:
            found = join_people(found, finder.people(len(found)), (video.info.width, video.info.height))
        run.scenes = scenes.starts(video, run.warnings)
        return link_tracks(found, options.tracking, video.info.times, run.scenes)


def encode_tracks(
    video: VideoReader,
    tracks: list[Track],
    model: Model,
    batch_size: int,
    run: Run,
    source: KeypointSource | None = None,
) -> list[TrackFeatures]:
    """Pass 2: cut every tracked person out of every frame and encode them, in batches over all of them.

    A source of keypoints that needs tracks looks at the frames as well; its keypoints replace the encoder's. Who has
    keypoints before is not looked at where they alone make the features.
    """
    if not tracks:
        return []
    from vibe_cli.motion.pace import frames_apart
    from vibe_cli.people.keypoint_sources import give_keypoints

    given = give_keypoints(tracks, source, video.info.frames) if source is not None and source.finds_people else None
    unseen = [np.zeros(len(track), bool) for track in tracks]
    if given is not None and lifts_keypoints(model) and model.flow is None:
        unseen = [is_liftable(points) for points in given]
    squares = crop_squares(tracks, model, video.info.times)
    seen = [_Rows(np.flatnonzero(~rows), len(rows)) for rows in unseen]
    if any(len(rows.order) for rows in seen):
        decoded = run.progress(run.watch.each(video, "decode"), "Looking at people", video.info.frames)
        if source is not None and given is None:
            decoded = source.watch(decoded, tracks)
        shown = [part(track, ~rows) for track, rows in zip(tracks, unseen, strict=True)]
        places = [boxes[~rows] for boxes, rows in zip(squares, unseen, strict=True)]
        back = 0 if model.flow is None else frames_apart(video.info.times, video.info.frames)
        cuts = cut_people(decoded, shown, places, model.crop_size, back)
        crops = run.watch.each(cuts, "crop")
        with run.watch("encode"):
            encoded = halving_batches(lambda batch: encode(model, batch), crops, batch_size, run.warnings.append)
            for number, features, keypoints in encoded:
                seen[number].add(features, keypoints)
    width = getattr(model.encoder, "features", 0)
    observed = [_gather(track, boxes, rows, width) for track, boxes, rows in zip(tracks, squares, seen, strict=True)]
    if source is None:
        return observed
    if given is None:
        given = give_keypoints(tracks, source, video.info.frames)
    with_given = [replace(one, keypoints=points, given=True) for one, points in zip(observed, given, strict=True)]
    return [lift_keypoints(one, model) for one in with_given] if lifts_keypoints(model) else with_given


def crop_squares(tracks: list[Track], model: Model, times: np.ndarray) -> list[np.ndarray]:
    """For each track the squares (T, 4) that are cropped, of a clip whose frames are at `times` seconds."""
    return [square(smooth_boxes(track, times).boxes, model.crop_scale) for track in tracks]


def lifts_keypoints(model: Model | FrozenEncoder) -> bool:
    """Whether a model's encoder makes features of keypoints alone."""
    from vibe_cli.networks.open_encoder import OpenEncoder

    return isinstance(model.encoder, OpenEncoder) and model.encoder.lifts_keypoints


def is_liftable(keypoints: np.ndarray) -> np.ndarray:
    """(T,) bool: whether enough of a frame's keypoints (T, K, 3) are there to tell a body from."""
    return (keypoints[..., 2] > 0).sum(axis=1) >= LEAST_GIVEN


def lift_keypoints(seen: TrackFeatures, model: Model) -> TrackFeatures:
    """The same with features lifted from a user's keypoints, in the frames that have some."""
    import torch

    from vibe_cli.networks.open_encoder import OpenEncoder

    if seen.keypoints is None or not isinstance(model.encoder, OpenEncoder):
        return seen
    told = is_liftable(seen.keypoints)
    points = image_points_to_crop(seen.keypoints[told, :, :2], seen.boxes[told])
    keypoints = torch.from_numpy(np.concatenate([points, seen.keypoints[told, :, 2:]], axis=-1).astype(np.float32))
    features = seen.features.copy()
    with torch.inference_mode():
        lifted = model.encoder.lift(keypoints.to(model.device)).float().cpu().numpy()
    features[told, : lifted.shape[1]] = lifted  # those of a flow stream follow
    return replace(seen, features=features)


class Cut(NamedTuple):
    """One person cut out of one frame."""

    number: int  # of the track in the list
    crop: np.ndarray  # (S, S, 3) RGB uint8
    before: np.ndarray | None  # the same square of an earlier frame, where flow is wanted and the track was there


def cut_people(
    frames: Iterable[tuple[int, np.ndarray]],
    tracks: list[Track],
    squares: list[np.ndarray],
    size: int,
    back: int = 0,
) -> Iterator[Cut]:
    """Everybody in every frame, and where `back` is not 0 out of the frame so many before; crops (size, size, 3).

    Frames after the last that anybody is in are not asked for.
    """
    from vibe_cli.people.crops import crop_person

    place = [0] * len(tracks)  # the next row of each track
    left = sum(map(len, tracks))
    last: deque[tuple[int, np.ndarray]] = deque(maxlen=back)
    for index, frame in frames:
        old = last[0] if len(last) == back > 0 and last[0][0] == index - back else None
        for number, track in enumerate(tracks):
            row = place[number]
            if row < len(track) and track.frames[row] == index:
                place[number] += 1
                left -= 1
                box, earlier = squares[number][row], None
                if old is not None and row >= back and track.frames[row - back] == old[0]:
                    earlier = crop_person(old[1], box, size)
                yield Cut(number, crop_person(frame, box, size), earlier)
        if not left:
            return
        last.append((index, frame))


def encode(model: Model | FrozenEncoder, batch: list[Cut]) -> list[tuple[int, np.ndarray, np.ndarray | None]]:
    """People cut out → the number, features (F,) and keypoints (K, 3) or None, float32.

    Where the network has a flow stream, the features of the flow follow those of the picture: (F + G,).
    """
    import torch

    from vibe_cli.people.crops import normalise
    from vibe_cli.people.flow import flow_back, flow_images
    from vibe_cli.zoo.model import FrozenEncoder

    numbers, pictures = [cut.number for cut in batch], np.stack([cut.crop for cut in batch])
    images = normalise(pictures).to(model.device)
    mixed = torch.autocast(model.device.type, model.dtype, enabled=model.dtype != torch.float32)
    with torch.inference_mode(), mixed:
        output = model.encoder(images)
        features = output.features.float()
        if not isinstance(model, FrozenEncoder) and model.flow is not None:
            flow = flow_back(model.flow, pictures, [cut.before for cut in batch])
            moved = model.network.encode_flow(flow_images(flow).to(model.device))
            features = torch.cat([features, moved.float()], dim=1)
    features = features.cpu().numpy()
    if output.keypoints is None:
        return [(number, row, None) for number, row in zip(numbers, features, strict=True)]
    return list(zip(numbers, features, output.keypoints.float().cpu().numpy(), strict=True))


def estimate_person(seen: TrackFeatures, model: Model, options: MotionOptions, times: np.ndarray, run: Run) -> Person:
    """One track's features → its motion, smoothed; the clip's frames are at `times` seconds.

    The run keeps the jitter before and after, mm/frame².
    """
    from vibe_cli.motion.regress import estimate_motion
    from vibe_cli.motion.smooth import jitter_of, smooth_person

    with run.watch("regress"):
        person = estimate_motion(seen, model, options, times)
    with run.watch("smooth"):
        smooth = smooth_person(person, options.smooth, times=times)
        jitter = {"before": jitter_of(person, model.body), "after": jitter_of(smooth, model.body)}
    run.jitter[str(person.id)] = jitter
    return smooth


class _Rows:
    """Encoder output for one track, row after row, in arrays made once; rows that were not looked at stay 0."""

    def __init__(self, order: np.ndarray, count: int) -> None:
        self.order, self.count, self.filled = order, count, 0  # rows (R,) in the order they come, of `count`
        self.features: np.ndarray | None = None  # (T, F)
        self.keypoints: np.ndarray | None = None  # (T, K, 3), in −1..1 of the crop

    def add(self, features: np.ndarray, keypoints: np.ndarray | None) -> None:
        """Keep the next row: features (F,) and keypoints (K, 3) or None."""
        if self.features is None:
            self.features = np.zeros((self.count, *features.shape), np.float32)
            if keypoints is not None:
                self.keypoints = np.zeros((self.count, *keypoints.shape), np.float32)
        row = self.order[self.filled]
        self.features[row] = features
        if self.keypoints is not None:
            self.keypoints[row] = keypoints
        self.filled += 1


def _gather(track: Track, boxes: np.ndarray, rows: _Rows, width: int) -> TrackFeatures:
    """A track's rows with keypoints in pixels of the image; features are `width` numbers where none was looked at."""
    if rows.filled < len(rows.order):
        raise RuntimeError(f"track {track.id}: {rows.filled} of {len(rows.order)} frames came back")
    points = rows.keypoints
    if points is not None:
        points[..., :2] = crop_points_to_image(points[..., :2], boxes)
    features = rows.features if rows.features is not None else np.zeros((rows.count, width), np.float32)
    return TrackFeatures(track, boxes, features, points)
