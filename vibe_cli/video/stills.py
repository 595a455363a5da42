"""Clips that are made of pictures: folders of images, and the frames of one animated picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from vibe_cli.errors import InputError
from vibe_cli.video.clip import VideoReader, actual_rate
from vibe_cli.video.images import (
    animation_frames,
    bits_of,
    counted,
    frame_count,
    frame_sizes,
    image_size,
    on_canvas,
    other_pictures,
    read_image,
    why_unreadable,
)
from vibe_cli.video.names import clock

IMAGE_FPS = Fraction(30)  # frames a second of a folder of images, which states none


class ImageReader(VideoReader):
    """Images as the frames of a clip.

    Images of different sizes lie at the top left of a frame that holds the largest, the rest black, so that
    pixel positions in each image stay true; `warnings` says so, and names what is left out. `photos` are no clip: each
    lasts for a second.
    """

    kind: str = "images"
    has_audio = False

    def __init__(
        self,
        path: str,
        files: list[Path],
        fps: Fraction | None,
        passed_over: Sequence[str] = (),
        photos: bool = False,
    ) -> None:
        super().__init__(path)
        if photos:
            self.kind, fps = "photos", Fraction(1)
        self.estimated_frames, self._files = len(files), files
        sizes = {file: size for file in files if (size := image_size(file)) is not None}
        if not sizes:
            why = {why_unreadable(file) for file in files}
            if why == {"cannot be decoded"}:
                raise InputError(f"{path}: no image can be decoded", hint="check it in an image viewer")
            raise InputError(f"{path}: {', '.join(sorted(why))}", hint="make it smaller")
        self.width = max(width for width, _ in sizes.values())
        self.height = max(height for _, height in sizes.values())
        self._odd = next((file for file, size in sizes.items() if size != (self.width, self.height)), None)
        times, word = (None, None) if photos else clock(files, fps)
        self._times = np.arange(len(files)) / float(fps or IMAGE_FPS) if times is None else times
        rate = float(1 / np.median(np.diff(self._times))) if len(files) > 1 else float(fps or IMAGE_FPS)
        self.fps = fps or Fraction(rate).limit_denominator(1001)
        self._notes = [f"{path}: {word}"] if word else []
        if passed_over:
            self._notes.append(f"{path}: no image, and passed over, are {counted(passed_over)}")
        moving = [file.name for file in files if frame_count(file) > 1]
        if moving:
            self._notes.append(f"{path}: of animations the first picture alone is read; there are {counted(moving)}")

        several = [file.name for file in files if other_pictures(file)]
        if several:
            self._notes.append(
                f"{path}: of files of several pictures the main one is read; there are {counted(several)}"
            )

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        times: list[float] = []
        names: list[str] = []
        unreadable: dict[str, list[str]] = {}
        bits = bits_of(self._files)
        for position, file in enumerate(self._files):
            image = read_image(file, bits)
            if image is None:
                unreadable.setdefault(why_unreadable(file), []).append(file.name)
                continue
            yield len(times), on_canvas(image, self.height, self.width)
            times.append(float(self._times[position]))
            names.append(file.name)
        self._finish(times, names, unreadable)

    def _finish(self, times: list[float], names: list[str], unreadable: dict[str, list[str]]) -> None:
        if not times:
            raise InputError(f"{self.path}: no image can be decoded", hint="check it in an image viewer")
        warnings = list(self._notes)
        if self._odd is not None:
            warnings.append(
                f"{self.path}: the images differ in size ({self._odd.name} is not {self.width}x"
                f"{self.height}); the smaller ones are padded with black at the right and bottom"
            )
        for why, names in unreadable.items():
            warnings.append(f"{self.path}: images are left out ({why}), {counted(names)}")
        self._complete(np.array(times), self.fps, warnings, tuple(names))


class AnimationReader(VideoReader):
    """The frames of one animated picture (WebP, APNG, AVIF) or of the pages of a TIFF, each for its own duration."""

    kind = "video"
    has_audio = False

    def __init__(self, path: str, count: int, fps: Fraction | None) -> None:
        super().__init__(path)
        sizes = frame_sizes(Path(path))
        if not sizes:
            raise InputError(f"{path}: no image can be decoded", hint="check it in an image viewer")
        self.width, self.height = (max(side) for side in zip(*sizes, strict=True))
        self._odd = next((number for number, size in enumerate(sizes) if size != (self.width, self.height)), None)
        self.fps, self.estimated_frames, self._count, self._given = fps or IMAGE_FPS, count, count, fps

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        times: list[float] = []
        durations: list[float] = []
        for image, duration in animation_frames(Path(self.path)):
            yield len(times), on_canvas(image, self.height, self.width)
            times.append(sum(durations))
            durations.append(float(1 / self.fps) if self._given or duration <= 0 else duration)
        if not times:
            raise InputError(f"{self.path}: no image can be decoded", hint="check it in an image viewer")
        short = self._count - len(times)
        warnings = [f"{self.path}: its last {short} frames cannot be decoded"] if short > 0 else []
        if self._odd is not None:
            warnings.append(
                f"{self.path}: its pages differ in size (page {self._odd} is not {self.width}x{self.height}); the "
                "smaller ones are padded with black at the right and bottom"
            )
        nominal = Fraction(1 / float(np.median(durations))).limit_denominator(1001)
        self._complete(np.array(times), actual_rate(np.array(times), nominal), warnings)
