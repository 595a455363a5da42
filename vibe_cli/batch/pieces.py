"""Long clips cut into pieces for several workers, and joined: the same people, ids and motion as in one go.

The networks look at frames and crops, so their work is what is cut; the tracker and the temporal network run once, over
the whole clip. Every stage waits for the one before, and leaves a file a piece beside the clip's results, from which a
batch that was stopped goes on:

find     people in the frames of a piece; the last piece sees all frames pass, and finds the cuts and the times
link     the tracker, over the detections of all pieces
encode   the crops of a piece; pieces overlap by a frame, which the optical flow looks back to
join     motion of the whole tracks, and all else that is made of a clip

Every worker decodes from the clip's beginning up to the end of its piece, so that no seek puts a frame elsewhere:
decoding takes a small part of what the networks take.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from vibe_cli.device import halving_batches
from vibe_cli.geometry.camera import crop_points_to_image
from vibe_cli.importing.safe_read import read_npz
from vibe_cli.people.believe import part
from vibe_cli.people.track import TrackReport, link_tracks
from vibe_cli.pipeline import Options, Run, crop_squares, cut_people, encode, motion_of
from vibe_cli.progress import Progress, Stopwatch
from vibe_cli.results import Detections, Result, Track, TrackFeatures, VideoInfo, write_npz
from vibe_cli.video.clip import VideoReader
from vibe_cli.video.cuts import SceneFinder
from vibe_cli.zoo.model import Model

FOLDER = ".pieces"  # in the clip's
FIND, LINK, ENCODE, JOIN = STAGES = ("find", "link", "encode", "join")
LEAST_BYTES = 50  # of a frame in a file: what is smaller need not be opened to know that it is short


@dataclass(frozen=True)
class Cutting:
    """How long clips are cut."""

    frames: int = 3000  # least length of a piece; 0 cuts nothing
    most: int = 2  # pieces of a clip: as many as there are workers

    def edges(self, frames: int) -> list[int]:
        """The first frame of every piece of a clip, and its length; nothing for one that stays whole."""
        pieces = min(self.most, frames // self.frames) if self.frames else 0
        return [] if pieces < 2 else [frames * number // pieces for number in range(pieces + 1)]


@dataclass(frozen=True)
class Piece:
    """A piece of a stage's work on a clip."""

    stage: str  # of STAGES
    first: int  # frame
    last: int | None  # the frame after its last; None: to the clip's end, wherever that is
    key: str  # of the clip's content and all options
    edges: tuple[int, ...]  # the first frames of all pieces


def cut(video: VideoReader, options: Options, cutting: Cutting, key: str) -> list[Piece]:
    """The pieces of the first stage; nothing for clips that stay whole, as do those with a user's keypoints."""
    if options.keypoints is not None or video.kind == "photos" or not video.estimated_frames:
        return []
    return _all_of(FIND, key, tuple(cutting.edges(video.estimated_frames)[:-1]))


def next_pieces(piece: Piece) -> list[Piece]:
    """The pieces of the next stage, once all of one are done."""
    stage = STAGES[STAGES.index(piece.stage) + 1]
    if stage == ENCODE:
        return _all_of(stage, piece.key, piece.edges)
    return [Piece(stage, 0, None, piece.key, piece.edges)]


def _all_of(stage: str, key: str, edges: tuple[int, ...]) -> list[Piece]:
    return [Piece(stage, first, last, key, edges) for first, last in pairwise([*edges, None]) if first is not None]


def forget_pieces(folder: Path) -> None:
    """Remove the files of a clip's pieces."""
    shutil.rmtree(folder / FOLDER, ignore_errors=True)


class Pieces:
    """The files of a clip's pieces."""

    def __init__(self, folder: Path, piece: Piece) -> None:
        """`folder` is the clip's."""
        self.folder, self.piece = folder / FOLDER, piece

    def do(self, video: VideoReader, model: Model, options: Options, progress: Progress) -> None:
        """Do the piece, unless its file is there."""
        options = replace(options, tracking=options.tracking.with_min_mean_score(model.detector.min_mean_score))
        path, run = self._path(self.piece.stage, self.piece.first), Run(progress)
        if path.exists():
            return
        self.folder.mkdir(exist_ok=True)
        header, arrays = {FIND: self._find, LINK: self._link, ENCODE: self._encode}[self.piece.stage](
            video, model, options, run
        )
        header |= {"seconds": run.watch.seconds, "warnings": run.warnings}
        write_npz(path, {"header": np.array(json.dumps(header)), **arrays})

    def join(self, video: VideoReader, model: Model, options: Options, progress: Progress, watch: Stopwatch) -> Result:
        """The result of the whole clip, of the files of all its pieces."""
        options = replace(options, tracking=options.tracking.with_min_mean_score(model.detector.min_mean_score))
        run, info = Run(progress, watch, list(model.notes)), self._info(video)
        found, tracks = self._tracks()
        files = [self._read(ENCODE, first) for first in self.piece.edges]
        squares = crop_squares(tracks, model, info.times)
        observed = [
            _joined(track, boxes, [arrays for _, arrays in files], number, getattr(model.encoder, "features", 0))
            for number, (track, boxes) in enumerate(zip(tracks, squares, strict=True))
        ]
        headers = [self._read(FIND, first)[0] for first in self.piece.edges] + [found] + [header for header, _ in files]
        for header in headers:
            run.warnings.extend(text for text in header["warnings"] if text not in run.warnings)
            for stage, seconds in header["seconds"].items():
                watch.seconds[stage] = watch.seconds.get(stage, 0.0) + seconds
        report = TrackReport(tracks, found["dropped"], found["unsure"], found["left_out"])
        return motion_of(observed, report, info, model, options, run)

    def _find(self, video: VideoReader, model: Model, options: Options, run: Run) -> tuple[dict, dict]:
        """Stage find: boxes (N, 4), scores (N,), and how many are in each frame."""
        whole = self.piece.last is None
        scenes, decoded = SceneFinder(), self._frames(video, "Finding people", run)
        frames = (frame for _, frame in (_watched(scenes, decoded) if whole else decoded))
        with run.watch("detect and track"):
            wanted = (frame for index, frame in enumerate(frames) if index >= self.piece.first)
            found = list(halving_batches(model.detector.detect, wanted, options.batch_size, run.warnings.append))
        arrays = {
            "counts": np.array([len(one) for one in found], np.int64),
            "boxes": np.concatenate([one.boxes for one in found] or [np.zeros((0, 4), np.float32)]),
            "scores": np.concatenate([one.scores for one in found] or [np.zeros(0, np.float32)]),
        }
        if not whole:
            return {}, arrays
        starts = scenes.starts(video, run.warnings)
        run.warnings.extend(video.warnings)
        return {"fps": str(video.info.fps)}, {**arrays, "times": video.info.times, "scenes": starts}

    def _link(self, video: VideoReader, model: Model, options: Options, run: Run) -> tuple[dict, dict]:
        """Stage link: the tracks of the whole clip."""
        info, found = self._info(video), []
        for first in self.piece.edges:
            arrays = self._read(FIND, first)[1]
            at = np.cumsum(arrays["counts"])[:-1]
            pairs = zip(np.split(arrays["boxes"], at), np.split(arrays["scores"], at), strict=True)
            found += [Detections(boxes, scores) for boxes, scores in pairs] if len(arrays["counts"]) else []
        with run.watch("detect and track"):
            report = link_tracks(found, options.tracking, info.times, info.scenes)
        header = {"ids": [track.id for track in report.tracks], "dropped": report.dropped}
        header |= {"unsure": report.unsure, "left_out": report.left_out}
        names = ("frames", "boxes", "scores", "filled")
        return header, {f"{track.id}/{name}": getattr(track, name) for track in report.tracks for name in names}

    def _encode(self, video: VideoReader, model: Model, options: Options, run: Run) -> tuple[dict, dict]:
        """Stage encode: features (T, F) and keypoints (T, K, 3) of every track's rows in the piece."""
        tracks, first, last = self._tracks()[1], self.piece.first, self.piece.last
        before = 1 if model.flow is not None else 0
        end = np.inf if last is None else last
        rows = [(track.frames >= first - before) & (track.frames < end) for track in tracks]
        squares = crop_squares(tracks, model, self._info(video).times)
        arrays: dict[str, np.ndarray] = {}
        if any(some.any() for some in rows):
            shown = [part(track, some) for track, some in zip(tracks, rows, strict=True)]
            places = [boxes[some] for boxes, some in zip(squares, rows, strict=True)]
            frames = self._frames(video, "Looking at people", run)
            cuts = run.watch.each(cut_people(frames, shown, places, model.crop_size, bool(before)), "crop")
            with run.watch("encode"):
                seen = list(
                    halving_batches(lambda batch: encode(model, batch), cuts, options.batch_size, run.warnings.append)
                )
            for number, track in enumerate(shown):
                mine = [one for one in seen if one[0] == number]
                kept = [one for one, frame in zip(mine, track.frames, strict=True) if frame >= first]
                if kept:
                    arrays[f"{number}/features"] = np.stack([features for _, features, _ in kept])
                    if kept[0][2] is not None:
                        arrays[f"{number}/keypoints"] = np.stack([points for _, _, points in kept])
        return {}, arrays

    def _frames(self, video: VideoReader, step: str, run: Run) -> Iterator[tuple[int, np.ndarray]]:
        """The frames from the clip's beginning to the end of the piece."""
        for index, frame in run.progress(run.watch.each(video, "decode"), step, self.piece.last):
            if self.piece.last is not None and index >= self.piece.last:
                return
            yield index, frame

    def _tracks(self) -> tuple[dict[str, Any], list[Track]]:
        header, arrays = self._read(LINK, 0)
        names = ("frames", "boxes", "scores", "filled")
        return header, [Track(number, *(arrays[f"{number}/{name}"] for name in names)) for number in header["ids"]]

    def _info(self, video: VideoReader) -> VideoInfo:
        """The clip, of which the last piece of stage find has seen every frame."""
        header, arrays = self._read(FIND, self.piece.edges[-1])
        return VideoInfo(
            video.path,
            video.width,
            video.height,
            Fraction(header["fps"]),
            arrays["times"],
            video.has_audio,
            video.kind,
            scenes=arrays["scenes"],
            stream=video.stream,
        )

    def _path(self, stage: str, first: int) -> Path:
        return self.folder / f"{self.piece.key}-{stage}-{len(self.piece.edges)}-{first}.npz"

    def _read(self, stage: str, first: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        arrays = read_npz(self._path(stage, first))
        return json.loads(str(arrays.pop("header")[()])), arrays


def _watched(scenes: SceneFinder, frames: Iterator[tuple[int, np.ndarray]]) -> Iterator[tuple[int, np.ndarray]]:
    return enumerate(scenes.watch(frame for _, frame in frames))


def _joined(track: Track, boxes: np.ndarray, files: list[dict], number: int, width: int) -> TrackFeatures:
    """A track's features of all pieces, its keypoints in pixels of the image."""
    parts = [arrays[f"{number}/features"] for arrays in files if f"{number}/features" in arrays]
    points = [arrays[f"{number}/keypoints"] for arrays in files if f"{number}/keypoints" in arrays]
    features = np.concatenate(parts) if parts else np.zeros((len(track), width), np.float32)
    if not points:
        return TrackFeatures(track, boxes, features)
    keypoints = np.concatenate(points)
    keypoints[..., :2] = crop_points_to_image(keypoints[..., :2], boxes)
    return TrackFeatures(track, boxes, features, keypoints)
