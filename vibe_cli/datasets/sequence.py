"""One person over the frames of a data set: what every reader gives, and training and evaluation take.

What a data set does not give is None; what it gives for some frames or joints only has a mask beside it. Letters: T
frames. The 49 joints are those of `skeleton.JOINTS_49`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from vibe_cli.errors import InputError

CAMERA = "camera: x right, y down, z into the image"
WORLD_Z_UP = "world: z up"
GENDERS = ("neutral", "male", "female")


class Frames(Protocol):
    """Pictures that are read when they are asked for."""

    def __len__(self) -> int:
        """T."""
        ...

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """The frames from `start` to before `stop` (all by default), RGB uint8 (H, W, 3), in order."""
        ...


@dataclass(frozen=True)
class ImageFiles:
    """A file for each frame."""

    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """See Frames; InputError where an image is missing or damaged."""
        from vibe_cli.video.images import read_image

        for path in self.paths[start:stop]:
            image = read_image(path)
            if image is None:
                raise InputError(
                    f"{path}: {'a damaged image' if path.exists() else 'no such image'}",
                    hint="unpack the data set's images again, all of them",
                )
            yield image


@dataclass(frozen=True, eq=False)
class VideoFrames:
    """Some frames of a video file."""

    path: Path
    numbers: np.ndarray  # (T,) ascending, counted from 0

    def __len__(self) -> int:
        return len(self.numbers)

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """See Frames; InputError where the video is shorter than its labels."""
        from vibe_cli.video.reader import open_video

        wanted = self.numbers[start:stop].tolist()
        if not wanted:
            return
        place = 0
        with open_video(self.path) as video:
            for number, frame in video:
                if number == wanted[place]:
                    yield frame
                    place += 1
                    if place == len(wanted):
                        return
        raise InputError(
            f"{self.path}: ends before frame {wanted[place]}, for which there are labels",
            hint="download the video again",
        )


@dataclass(frozen=True)
class EncodedFrames:
    """JPEG or PNG files in memory."""

    files: tuple[bytes, ...]
    name: str  # where they are from, for messages

    def __len__(self) -> int:
        return len(self.files)

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """See Frames; InputError where one does not decode."""
        import cv2

        for data in self.files[start:stop]:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
            if image is None:
                raise InputError(f"{self.name}: holds a damaged image", hint="download the file again")
            yield np.ascontiguousarray(image[..., ::-1])


@dataclass(frozen=True, eq=False)
class ArrayFrames:
    """Frames in memory: (T, H, W, 3) RGB uint8."""

    images: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """See Frames."""
        yield from self.images[start:stop]


@dataclass(frozen=True, eq=False)
class Sequence:
    """One person over T frames."""

    name: str  # unique in its data set
    length: int  # T
    fps: float  # frames a second
    frames: Frames | None = None  # pictures; None: motion only
    boxes: np.ndarray | None = None  # (T, 4)     float32  centre x, y, width, height; pixels of the frames
    valid: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))  # (T,) bool frames whose labels count, or
    #                                                                               none of them for all
    joints2d: np.ndarray | None = None  # (T, 49, 3) float32  x, y in pixels, confidence 0..1; 0: not labelled
    joints3d: np.ndarray | None = None  # (T, 49, 3) float32  metres, in `axes`
    joints3d_valid: np.ndarray | None = None  # (T, 49)    bool     which of them are labelled
    protocol14: np.ndarray | None = None  # (T, 14, 3) float32  metres; the 14 of evaluation, where the set's own
    #                                                                protocol takes others than rows 25..38
    pose: np.ndarray | None = None  # (T, 24, 3) float32  axis-angle, radians; the root in `axes`
    betas: np.ndarray | None = None  # (T, 10)    float32
    smpl_valid: np.ndarray | None = None  # (T,)       bool     frames whose pose and betas are labelled
    trans: np.ndarray | None = None  # (T, 3)     float32  metres, in `axes`
    gender: str | None = None  # neutral | male | female: of the body that the betas are for
    body: str = "smpl"  # smpl | open: whose betas these are
    masks: np.ndarray | None = None  # (T, H, W)  uint8    whom each pixel of the frames shows, by number
    mask_number: int = 1  # which of them this person is
    intrinsics: np.ndarray | None = None  # (3, 3)     float64  K of the camera
    axes: str = CAMERA
    note: str | None = None  # what whoever learns from it or is measured on it should be told

    def __post_init__(self) -> None:
        count = self.length
        shapes = {
            "boxes": (count, 4),
            "joints2d": (count, 49, 3),
            "joints3d": (count, 49, 3),
            "protocol14": (count, 14, 3),
            "pose": (count, 24, 3),
            "betas": (count, 10),
            "trans": (count, 3),
        }
        if not len(self.valid):
            object.__setattr__(self, "valid", np.ones(count, bool))
        if self.joints3d is not None and self.joints3d_valid is None:
            object.__setattr__(self, "joints3d_valid", np.ones((count, 49), bool))
        if self.pose is not None and self.smpl_valid is None:
            object.__setattr__(self, "smpl_valid", np.ones(count, bool))
        for name, shape in shapes.items():
            self._cast(name, np.float32, shape)
        for name, shape in (("valid", (count,)), ("joints3d_valid", (count, 49)), ("smpl_valid", (count,))):
            self._cast(name, np.bool_, shape)
        self._cast("intrinsics", np.float64, (3, 3))
        if self.masks is not None and (self.masks.ndim != 3 or len(self.masks) != count):
            raise ValueError(f"{self.name}: masks of shape {self.masks.shape} for {count} frames")
        if self.frames is not None and len(self.frames) != count:
            raise ValueError(f"{self.name}: {len(self.frames)} pictures for {count} frames")
        if self.gender not in (None, *GENDERS):
            raise ValueError(f"{self.name}: gender {self.gender!r}")

    def __len__(self) -> int:
        return self.length

    def _cast(self, name: str, dtype: type, shape: tuple[int, ...]) -> None:
        value = getattr(self, name)
        if value is None:
            return
        value = np.ascontiguousarray(value, dtype)
        if value.shape != shape:
            raise ValueError(f"{self.name}: {name} has shape {value.shape}, expected {shape}")
        object.__setattr__(self, name, value)
