"""Made-up people and results for tests: somebody who stands before the camera and walks to the right."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from vibe_cli.results import Person, Result, VideoInfo

WIDTH, HEIGHT, SIDE = 320, 240, 200.0
FACING_CAMERA = np.array([np.pi, 0, 0], np.float32)  # the root of an upright body that looks at the camera


def make_video(frames: int = 8, path: str = "clip.mp4", fps: Fraction = Fraction(30000, 1001)) -> VideoInfo:
    """A clip of 320×240."""
    return VideoInfo(path=path, width=WIDTH, height=HEIGHT, fps=fps, times=np.arange(frames) / float(fps))


def make_person(number: int = 1, frames: np.ndarray | int = 8, keypoints: bool = False) -> Person:
    """An upright person facing the camera, moving to the right by a pixel a frame and coming no nearer."""
    frames = np.arange(frames) if isinstance(frames, int) else np.asarray(frames)
    count = len(frames)
    boxes = np.tile([60.0, 120.0, SIDE, SIDE], (count, 1))
    boxes[:, 0] += frames
    pose = np.zeros((count, 24, 3), np.float32)
    pose[:, 0] = FACING_CAMERA
    pose[:, 18, 1] = 0.1 * frames  # the left elbow bends, so that no two frames are the same
    points = np.random.default_rng(number).random((count, 5, 3)) if keypoints else None
    return Person(
        id=number,
        frames=frames,
        boxes=boxes,
        pose=pose,
        betas=np.linspace(-0.5, 0.5, 10),
        camera=np.tile([0.9, 0.05, -0.1], (count, 1)),
        confidence=np.full(count, 0.8),
        filled=np.zeros(count),
        keypoints=points,
    )


def make_result(people: list[Person] | None = None, frames: int = 8, **fields: object) -> Result:
    """A result of one person, or of those given."""
    return Result(
        video=make_video(frames),
        people=[make_person(frames=frames)] if people is None else people,
        model="tiny",
        **fields,
    )
