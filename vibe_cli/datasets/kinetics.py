"""Kinetics-400 (Carreira and Zisserman 2017) with pseudo-labels: 2D keypoints that a detector found.

The set is of videos alone, `videos/<class>/<name>.mp4`. Beside them lie keypoints of each: `keypoints/<name>.json` as
COCO's results, or a folder `keypoints/<name>/` of OpenPose's JSON, in the form that `vibe demo --keypoints` reads.
People are linked over frames by their boxes; frames between are interpolated and not valid.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vibe_cli.datasets.reading import About, boxes_of_points
from vibe_cli.datasets.sequence import Sequence, VideoFrames
from vibe_cli.people.keypoint_files import People, count_from_zero, read_keypoints
from vibe_cli.people.track import TrackOptions, link_tracks
from vibe_cli.results import Detections, Track

MIN_MEAN_CONFIDENCE = 0.2  # mean confidence of the 49 from which a detected person counts
SUFFIXES = (".mp4", ".mkv", ".webm", ".avi")
ABOUT = About(
    name="kinetics-400",
    title="Kinetics-400 with pseudo-labels",
    url="https://github.com/cvdfoundation/kinetics-dataset",
    licence="CC-BY-4.0 (the list); the videos are their owners'",
    layout="videos/<class>/<name>.mp4 and keypoints/<name>.json or keypoints/<name>/ (COCO's results or OpenPose's)",
    task="none",
)


def read(folder: Path, split: str | None = None) -> Iterator[Sequence]:
    """Everybody who is followed in every video that there are keypoints of."""
    from vibe_cli.video.reader import open_video

    ABOUT.choose(split)
    labels = ABOUT.need(folder / "keypoints")
    videos = [path for path in sorted(ABOUT.need(folder / "videos").rglob("*")) if path.suffix.lower() in SUFFIXES]
    for path in videos:
        places = (labels / f"{path.stem}.json", labels / path.stem)
        place = next((place for place in places if place.exists()), None)
        if place is not None:
            read = read_keypoints(place, needed=False)
            if not read:
                continue
            with open_video(path) as video:
                fps, frames = float(video.fps), video.estimated_frames or max(read) + 1
            numbered = count_from_zero(read, max(frames, max(read) - min(read) + 1), place)
            for track in _follow(numbered):
                yield _person(f"{path.stem}/{track.id}", path, track, numbered, fps)


def _follow(numbered: People) -> list[Track]:
    """The people of all frames linked."""
    found = []
    for number in range(max(numbered) + 1):
        people = numbered.get(number, np.zeros((0, 49, 3)))
        people = people[_sure(people)]
        boxes, _ = boxes_of_points(people)
        found.append(Detections(boxes.reshape(-1, 4), np.ones(len(people))))
    return link_tracks(found, TrackOptions()).tracks


def _sure(people: np.ndarray) -> np.ndarray:
    """(P,) who counts."""
    return (people[..., 2].mean(axis=1) >= MIN_MEAN_CONFIDENCE) & ((people[..., 2] > 0).sum(axis=1) >= 2)


def _person(name: str, path: Path, track: Track, numbered: People, fps: float) -> Sequence:
    """A track with the keypoints of the person in each frame whose box is nearest to it."""
    joints2d = np.zeros((len(track), 49, 3), np.float32)
    for row, (number, box, filled) in enumerate(zip(track.frames.tolist(), track.boxes, track.filled, strict=True)):
        people = numbered.get(number, np.zeros((0, 49, 3)))
        people = people[_sure(people)]
        if len(people) and not filled:
            boxes, _ = boxes_of_points(people)
            joints2d[row] = people[np.abs(boxes - box).sum(axis=1).argmin()]
    return Sequence(
        name=name,
        length=len(track),
        fps=fps,
        frames=VideoFrames(path, track.frames),
        boxes=track.boxes,
        valid=~track.filled,
        joints2d=joints2d,
    )
