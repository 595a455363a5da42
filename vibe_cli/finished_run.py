"""Work on a finished run: its clip is found again, its body posed, its picture drawn."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vibe_cli.errors import InputError
from vibe_cli.progress import Progress, quiet
from vibe_cli.run_folder import OVERLAY_NAME, REPORT_NAME

if TYPE_CHECKING:
    import numpy as np

    from vibe_cli.body.body_models import Body
    from vibe_cli.results import Result, VideoInfo
    from vibe_cli.video.pictures import PictureWriter
    from vibe_cli.video.reader import VideoReader
    from vibe_cli.video.writer import VideoWriter


def picture_name(style: str, video: VideoInfo | None = None) -> str:
    """The name of what a style makes: a video, a picture of a single image, a folder of pictures of photographs."""
    if video is not None and video.kind == "photos" and video.frames > 1:
        return style
    if video is not None and video.kind != "video" and video.frames == 1:
        return f"{style}.png"
    return OVERLAY_NAME if style == "overlay" else f"{style}.mp4"


def draw(
    result: Result, clip: Path | VideoReader, body: Body, style: str, target: Path, progress: Progress = quiet
) -> tuple[str, list[str]]:
    """Draw a result over its clip into a video file; the renderer's name, and what could not be kept."""
    from vibe_cli.rendering.renderer import Renderer, output_size, render_result
    from vibe_cli.video.reader import open_video

    info = result.video
    with open_video(clip, photos=info.kind == "photos", stream=info.stream) as video:
        if (video.width, video.height) != (info.width, info.height):
            raise InputError(
                f"{video.path}: {video.width}x{video.height} pixels, and the result was made from "
                f"{info.width}x{info.height}",
                hint="name the right clip with --video",
            )
        size = output_size(style, info.width, info.height)
        sink = _sink(target, size, info, Path(video.path))
        with Renderer(info.width, info.height) as renderer, sink:
            frames = progress(_all_of(video, info.frames, video.path), f"Drawing {style}", info.frames)
            render_result(result, frames, body, style, renderer, sink)
    return renderer.name, sink.warnings


def _sink(target: Path, size: tuple[int, int], info: VideoInfo, clip: Path) -> VideoWriter | PictureWriter:
    """A writer for frames of a size (width, height): a video, or pictures of what are pictures."""
    from vibe_cli.video.images import image_size
    from vibe_cli.video.pictures import PictureWriter, picture_names
    from vibe_cli.video.writer import VideoWriter

    if target.suffix == ".mp4":
        sound = clip if info.has_audio else None
        return VideoWriter(
            target, *size, info.fps, audio_from=sound, times=info.times if info.kind == "video" else None
        )
    if target.suffix == ".png":
        return PictureWriter(target)
    whole = size == (info.width, info.height)
    return PictureWriter(target, picture_names(info.files), [image_size(clip / file) for file in info.files if whole])


def _all_of(video: Iterable[tuple[int, np.ndarray]], count: int, clip: str) -> Iterator[tuple[int, np.ndarray]]:
    """The frames of a clip; InputError as soon as they are not as many as the result has."""
    seen = 0
    for seen, (number, frame) in enumerate(video, start=1):
        if seen > count:
            break
        yield number, frame
    if seen != count:
        raise InputError(
            f"{clip}: {'more than ' if seen > count else ''}{min(seen, count)} frames, and the result was "
            f"made from {count}",
            hint="name the right clip with --video",
        )


def posed_by(result: Result, path: Path | None) -> tuple[Result, Body, str | None]:
    """A result with the body that poses it: the one it was made with, or that of a file; and a warning.

    Betas belong to their body, so another body gets its mean shape. ModelError where SMPL is needed and is
    not there.
    """
    from vibe_cli.body.body_models import load_body, mean_shape_note
    from vibe_cli.body.derived import body_file

    warning = None
    if path is None and result.body != "open":
        found = result.metadata.get("body_file")
        made_with = found if isinstance(found, str) else None
        path = body_file(result.body, made_with)
        if made_with and str(path) != made_with:
            warning = f"the body that this result was made with, {made_with}, is not there any more: posed on {path}"
    body = load_body(path)
    if body.kind == result.body:
        return result, body, warning
    people = [replace(person, betas=person.betas * 0) for person in result.people]
    return replace(result, people=people, body=body.kind), body, mean_shape_note(result.body, body.kind)


def find_clip(result: Result, result_path: Path, named: Path | None = None) -> Path:
    """The clip that a result was made from: the one named, where it was, or where run.json says it was."""
    if named is not None:
        return named
    for candidate in _recorded_places(result, result_path):
        if candidate.exists():
            return candidate
    raise InputError(
        f"{result.video.path}: the clip of this result is not there any more", hint="name it with: --video PATH"
    )


def _recorded_places(result: Result, result_path: Path) -> Sequence[Path]:
    places = []
    try:
        recorded = json.loads((result_path.parent / REPORT_NAME).read_text("utf-8"))["input"]["resolved"]
        places.append(Path(recorded))
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return [*places, Path(result.video.path)]
