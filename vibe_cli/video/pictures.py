"""What is drawn of photographs: pictures, where a clip would have a film."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np

from vibe_cli.errors import InputError
from vibe_cli.run_folder import replacing_file, replacing_folder


class PictureWriter:
    """Writes RGB uint8 frames (H, W, 3) as PNG files: one to `path`, or a folder of them there, a `name` each.

    As `VideoWriter`, it is whole when the block ends, and nothing when it fails. A frame is cut to the size (width,
    height) that its picture had, where that is given: pictures of several sizes lie in frames of the largest.
    """

    def __init__(
        self, path: Path, names: Sequence[str] | None = None, sizes: Sequence[tuple[int, int] | None] = ()
    ) -> None:
        self.path, self.names, self.sizes = path, names, sizes
        self.warnings: list[str] = []
        self._stack = ExitStack()
        self._count = 0

    def __enter__(self) -> PictureWriter:
        try:
            if self.names is None:
                self._part = self._stack.enter_context(replacing_file(self.path))
            else:
                self._part = self._stack.enter_context(replacing_folder(self.path, r"[^/]+\.png"))
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot be written ({error.strerror})", hint="choose another folder"
            ) from None
        return self

    def write(self, frame: np.ndarray) -> None:
        """Write the next picture."""
        import cv2

        if self._count < len(self.sizes) and (size := self.sizes[self._count]) is not None:
            frame = frame[: size[1], : size[0]]
        _, data = cv2.imencode(".png", frame[..., ::-1])
        target = self._part if self.names is None else self._part / f"{self.names[self._count]}.png"
        target.write_bytes(data.tobytes())
        self._count += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)


def picture_names(files: Sequence[str]) -> list[str]:
    """A name for what is drawn of each file: its own without the suffix, or with it where two would be the same."""
    stems = [Path(file).stem for file in files]
    lowered = [stem.casefold() for stem in stems]
    return [stem if lowered.count(low) == 1 else file for stem, low, file in zip(stems, lowered, files, strict=True)]
