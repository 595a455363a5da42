"""MPI-INF-3DHP (Mehta et al. 2017): people in a studio from fourteen sides, and six test sequences.

Training: `S1/Seq1/annot.mat` holds for each camera annot2 (T, 56) pixels and annot3 (T, 84) millimetres in that
camera's axes, of 28 joints. Test: `TS1/annot_data.mat` holds annot2 (2, 17, 1, T), valid_frame, and annot3 and
univ_annot3 (3, 17, 1, T): everybody at one size, with which published numbers compare; annot3 serves where that is not
there. Frames are images that were extracted, else the training set's videos. Cameras without pictures are passed over,
and so are the last labels of one whose pictures end before them, as S6/Seq2/2's do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from vibe_cli.datasets.joints import MPI_17, MPI_28, to_49
from vibe_cli.datasets.reading import About, boxes_of_points, read_mat
from vibe_cli.datasets.sequence import Frames, ImageFiles, Sequence, VideoFrames
from vibe_cli.video.reader import open_video

MM = 1000.0
FAST_FROM = 10_000  # frames of the sequences that were filmed at 50 a second; the others, of 6,000, at 25
TRUTH = {
    "univ_annot3": "univ_annot3, everybody at one size, as published numbers have it",
    "annot3": "annot3, for univ_annot3 is not there: not comparable with published numbers",
}
ABOUT = About(
    name="mpi-inf-3dhp",
    title="MPI-INF-3DHP",
    url="https://vcai.mpi-inf.mpg.de/3dhp-dataset",
    licence="non-commercial research",
    layout="S1/Seq1/annot.mat with imageSequence/video_0.avi or imageFrames/video_0/frame_000001.jpg, and for the test "
    "TS1/annot_data.mat with imageSequence/img_000001.jpg",
    splits=("test", "train"),
)


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
                name, labelled = f"{file.parent.parent.name}/{file.parent.name}/{camera}", len(placed)
                frames = _frames(pictures, labelled)
                count = len(frames)
                sequence = _sequence(
                    name,
                    frames,
                    flat[:count].reshape(count, 28, 2),
                    placed[:count].reshape(count, 28, 3),
                    MPI_28,
                    fps=50.0 if labelled > FAST_FROM else 25.0,
                )
            yield (
                sequence
                if count == labelled
                else replace(sequence, note=f"{name}: {count} of its {labelled} labelled frames have pictures")
            )
    if files and not seen:
        raise ABOUT.wrong(f"{files[0].parent}: no pictures of any camera")


def _read_test(folder: Path) -> Iterator[Sequence]:
    for file in sorted(folder.glob("**/TS*/annot_data.mat")):
        with ABOUT.reading(file):
            content, truth = _test_content(file)
            points = np.asarray(content["annot2"], np.float64).transpose(3, 2, 1, 0)[:, 0]
            placed = np.asarray(content[truth], np.float64).transpose(3, 2, 1, 0)[:, 0]
            pictures = file.parent / "imageSequence"
            paths = tuple(pictures / f"img_{row + 1:06d}.jpg" for row in range(len(points)))
            sequence = _sequence(
                file.parent.name,
                ImageFiles(paths),
                points,
                placed,
                MPI_17,
                valid=np.asarray(content["valid_frame"], bool).ravel(),
            )
        ABOUT.need(pictures)
        yield replace(sequence, note=f"truth: {TRUTH[truth]}")


def _test_content(file: Path) -> tuple[dict[str, np.ndarray], str]:
    """A test sequence's variables, and which of them is the truth in 3D."""
    try:
        return read_mat(file, "annot2", "univ_annot3", "valid_frame"), "univ_annot3"
    except KeyError:
        return read_mat(file, "annot2", "annot3", "valid_frame"), "annot3"


def _sequence(
    name: str,
    frames: Frames,
    points: np.ndarray,
    placed: np.ndarray,
    layout: tuple,
    valid: np.ndarray | None = None,
    fps: float = 25.0,
) -> Sequence:
    """Points (T, J, 2) in pixels and joints (T, J, 3) in millimetres → a sequence."""
    joints2d, has = to_49(np.concatenate([points, np.ones((*points.shape[:2], 1))], axis=-1), layout)
    joints3d, _ = to_49(placed / MM, layout)
    boxes, _ = boxes_of_points(joints2d)
    return Sequence(
        name=name,
        length=len(points),
        fps=fps,
        frames=frames,
        boxes=boxes,
        valid=np.ones(len(points), bool) if valid is None else valid,
        joints2d=joints2d,
        joints3d=joints3d,
        joints3d_valid=np.tile(has, (len(points), 1)),
    )


def _pictures(folder: Path, camera: int) -> Path | None:
    """A camera's folder of images, else its video, else None."""
    places = [folder / inner / f"video_{camera}" for inner in ("imageFrames", "imageSequence", ".")]
    places.append(folder / "imageSequence" / f"video_{camera}.avi")
    return next((place for place in places if place.exists()), None)


def _frames(place: Path, count: int) -> Frames:
    """The frames of a folder of frame_000001.jpg, …, or of a video: `count`, or as many as there are."""
    if place.is_dir():
        found = {int(digits[-1]): path for path in place.glob("*.jpg") if (digits := re.findall(r"\d+", path.stem))}
        numbers = sorted(found)
        if not numbers or numbers != list(range(min(numbers[0], 1), numbers[-1] + 1)):
            raise ABOUT.wrong(f"{place}: its images are not frame_000001.jpg and all that follow")
        return ImageFiles(tuple(found[number] for number in numbers[:count]))
    with open_video(place) as video:
        held = video.estimated_frames  # by its duration, which may be off by one
    return VideoFrames(place, np.arange(count if held is None or held >= count - 1 else max(held - 1, 1)))
