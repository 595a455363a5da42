"""MPI-INF-3DHP (Mehta et al. 2017): people in a studio from fourteen sides, and six test sequences.

Training: `S1/Seq1/annot.mat` holds for each camera annot2 (T, 56) pixels and annot3 (T, 84) millimetres in that
camera's axes, of 28 joints. Test: `TS1/annot_data.mat` holds annot2 (2, 17, 1, T), annot3 (3, 17, 1, T), valid_frame.
Frames are images that were extracted, else the training set's videos. Cameras without pictures are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vibe_cli.datasets.joints import MPI_17, MPI_28, to_49
from vibe_cli.datasets.reading import About, boxes_of_points, read_mat
from vibe_cli.datasets.sequence import Frames, ImageFiles, Sequence, VideoFrames

MM = 1000.0
FAST_FROM = 10_000  # frames of the sequences that were filmed at 50 a second; the others, of 6,000, at 25
ABOUT = About(
    name="mpi-inf-3dhp", title="MPI-INF-3DHP", url="https://vcai.mpi-inf.mpg.de/3dhp-dataset",
    licence="non-commercial research",
    layout="S1/Seq1/annot.mat with imageSequence/video_0.avi or imageFrames/video_0/frame_000001.jpg, and for the test "
           "TS1/annot_data.mat with imageSequence/img_000001.jpg", splits=("test", "train"))


def read(folder: Path, split: str | None = None) -> Iterator[Sequence]:
    """The test sequences, or every camera of every training sequence that there are pictures of."""
    yield from (_read_test(folder) if ABOUT.choose(split) == "test" else _read_train(folder))


def _read_train(folder: Path) -> Iterator[Sequence]:
    seen = False
    files = sorted(folder.glob("S*/Seq*/annot.mat"))
    for file in files:
        with ABOUT.reading(file):
            content = read_mat(file, "annot2", "annot3")
        for camera in range(len(content["annot3"])):
            pictures = _pictures(file.parent, camera)
            if pictures is None:
                continue
            seen = True
            with ABOUT.reading(file):
                flat, placed = (np.asarray(content[key][camera, 0], np.float64) for key in ("annot2", "annot3"))
                count = len(placed)
                points = flat.reshape(count, 28, 2)
                name = f"{file.parent.parent.name}/{file.parent.name}/{camera}"
                sequence = _sequence(name, _frames(pictures, count, file), points, placed.reshape(count, 28, 3), MPI_28,
                                     fps=50.0 if count > FAST_FROM else 25.0)
            yield sequence
    if files and not seen:
        raise ABOUT.wrong(f"{files[0].parent}: no pictures of any camera")


def _read_test(folder: Path) -> Iterator[Sequence]:
    for file in sorted(folder.glob("**/TS*/annot_data.mat")):
        with ABOUT.reading(file):
            content = read_mat(file, "annot2", "annot3", "valid_frame")
            points = np.asarray(content["annot2"], np.float64).transpose(3, 2, 1, 0)[:, 0]
            placed = np.asarray(content["annot3"], np.float64).transpose(3, 2, 1, 0)[:, 0]
            pictures = file.parent / "imageSequence"
            paths = tuple(pictures / f"img_{row + 1:06d}.jpg" for row in range(len(points)))
            sequence = _sequence(file.parent.name, ImageFiles(paths), points, placed, MPI_17,
                                 valid=np.asarray(content["valid_frame"], bool).ravel())
        ABOUT.need(pictures)
        yield sequence


def _sequence(name: str, frames: Frames, points: np.ndarray, placed: np.ndarray, layout: tuple,
              valid: np.ndarray | None = None, fps: float = 25.0) -> Sequence:
    """Points (T, J, 2) in pixels and joints (T, J, 3) in millimetres → a sequence."""
    joints2d, has = to_49(np.concatenate([points, np.ones((*points.shape[:2], 1))], axis=-1), layout)
    joints3d, _ = to_49(placed / MM, layout)
    boxes, _ = boxes_of_points(joints2d)
    return Sequence(name=name, length=len(points), fps=fps, frames=frames, boxes=boxes, valid=valid, joints2d=joints2d,
                    joints3d=joints3d, joints3d_valid=np.tile(has, (len(points), 1)))


def _pictures(folder: Path, camera: int) -> Path | None:
    """A camera's folder of images, else its video, else None."""
    places = [folder / inner / f"video_{camera}" for inner in ("imageFrames", "imageSequence", ".")]
    places.append(folder / "imageSequence" / f"video_{camera}.avi")
    return next((place for place in places if place.exists()), None)


def _frames(place: Path, count: int, labels: Path) -> Frames:
    """The frames of a folder of frame_000001.jpg, …, or of a video."""
    if place.is_dir():
        found = sorted(place.glob("*.jpg"))
        if len(found) < count:
            raise ABOUT.wrong(f"{place}: {len(found)} images for the {count} frames of {labels.name}")
        return ImageFiles(tuple(found[:count]))
    return VideoFrames(place, np.arange(count))
