"""Made-up people and results for tests: somebody who stands before the camera and walks to the right."""

from __future__ import annotations

from dataclasses import replace
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


def make_moving_result(frames: int = 40) -> Result:
    """Two people of different shape who move in every joint at once, the second later, nearer and for a shorter time.

    They walk, turn about and bend further than people can; the clip's frames come up to a tenth of a step too late.
    """
    random = np.random.default_rng(19)
    times = (np.arange(frames) + random.uniform(0, 0.1, frames)) / 30
    people = []
    for number, seen in ((1, np.arange(frames)), (4, np.arange(2, frames - 5))):
        person = make_person(number, frames=seen, keypoints=number == 1)
        speed, start = random.normal(0, 1.5, (24, 3)), random.normal(0, 1, (24, 3))
        pose = 0.5 * np.sin(speed * times[seen, None, None] * 3 + start)
        pose[:, 0] += FACING_CAMERA * [1, 0, 0]
        pose[:, 0, 2] = times[seen] * 2
        boxes = person.boxes + np.array([0, 20, 0, 0]) * np.sin(times[seen] * 4)[:, None]
        lens = person.camera * [0.5 * number, 1, 1]
        people.append(replace(person, pose=pose, boxes=boxes, camera=lens, betas=random.normal(0, 1, 10)))
    video = replace(make_video(frames, fps=Fraction(30)), times=times)
    return Result(video=video, people=people, model="tiny")
