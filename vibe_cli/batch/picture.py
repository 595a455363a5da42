"""A small picture of a clip with its people drawn, for the page of a batch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from vibe_cli.run_folder import replacing_file

if TYPE_CHECKING:
    from vibe_cli.body.body_models import Body
    from vibe_cli.results import Result
    from vibe_cli.video.reader import VideoReader

FIRST = 300  # frames from which one is chosen, so that a long clip is not decoded again
WIDTH = 480  # pixels at most


class _Last:
    """A sink that keeps the last frame."""

    def __init__(self) -> None:
        self.frame: np.ndarray | None = None

    def write(self, frame: np.ndarray) -> None:
        """Take a frame."""
        self.frame = frame


def write_picture(result: Result, video: VideoReader, body: Body, target: Path) -> None:
    """Write a JPEG of the frame, one of the first, with most people, drawn as an overlay."""
    from vibe_cli.rendering.renderer import Renderer, render_result

    wanted = _frame_with_most(result)
    frame = next((frame for index, frame in video if index == wanted), None)
    video.close()
    if frame is None:
        return
    if result.people:
        sink = _Last()
        with Renderer(result.video.width, result.video.height) as renderer:
            render_result(result, [(wanted, frame)], body, "overlay", renderer, sink)
        frame = sink.frame if sink.frame is not None else frame
    scale = min(1.0, WIDTH / frame.shape[1])
    size = max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale))
    small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    with replacing_file(target) as part:
        part.write_bytes(data.tobytes())


def _frame_with_most(result: Result) -> int:
    """The frame, of the first FIRST, in which most people are; the middle one where all have as many."""
    count = min(FIRST, result.video.frames)
    seen = np.zeros(count, int)
    for person in result.people:
        seen[person.frames[person.frames < count]] += 1
    best = np.flatnonzero(seen == seen.max(initial=0))
    return int(best[len(best) // 2]) if len(best) else 0
