"""Hard cuts: where one shot of a clip ends and the next begins, found while its frames pass by.

As PySceneDetect's adaptive detector does, a frame is compared with those before, in small and in CIE Lab, and a change
counts that is large by itself and against the changes around it: a moving camera makes all of them large. Beyond that,
a flash is no cut, for the shot is back a frame or two later, nor is a light that goes on or off, after which the
picture is the same but for its brightness. Blank frames (black, white, a hand over the lens) belong to the shot before,
so that a shot that returns after them is the same one, and another is not, however dark it is as it fades in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import cv2
import numpy as np

from vibe_cli.video.clip import VideoReader

SIDE = 32  # pixels of the small picture
LARGE = 12.0  # mean change of Lab's 0..255 that is a cut
OTHER, UNLIKE = 6.0, 0.6  # a smaller one is where the pictures correlate less than this, too
ALIKE = 0.95  # pictures that correlate more are of one place, in another light
AROUND, TIMES = 2, 3.0  # frames on each side, of whose mean change a cut's is so many times
FLASH = 2  # frames of another picture, after which the shot is back, are no shot
BLANK = 3.0  # standard deviation of lightness below which there is nothing to see
UNRELATED = 0.5  # share of a folder's pictures that differ as shots do: no clip, but photographs


class SceneFinder:
    """Watches frames RGB uint8 (H, W, 3) on their way, and knows at the end where scenes start."""

    def __init__(self) -> None:
        self.count = 0
        self._recent: deque[np.ndarray] = deque(maxlen=FLASH + 1)  # small pictures that are not blank
        self._frames: list[int] = []  # of every change the frame after it
        self._changes: list[list[float]] = []  # from the one before, the two before, …
        self._likeness: list[float] = []  # correlation with the one before
        self._after_blank: list[bool] = []
        self._is_blank = False  # the last frame

    def watch(self, frames: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """The same frames."""
        for frame in frames:
            self._see(frame)
            yield frame

    def _see(self, frame: np.ndarray) -> None:
        number, self.count = self.count, self.count + 1
        small = cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
        was_blank, self._is_blank = self._is_blank, bool(lab[..., 0].std() < BLANK)
        if self._is_blank:
            return
        if self._recent:
            self._frames.append(number)
            self._changes.append([float(np.abs(lab - old).mean()) for old in reversed(self._recent)])
            self._likeness.append(_correlation(lab, self._recent[-1]))
            self._after_blank.append(was_blank)
        self._recent.append(lab)

    def starts(self, clip: VideoReader, warnings: list[str]) -> np.ndarray:
        """(S,) int64 the first frame of every scene of the clip that was watched; a folder may turn out to be none."""
        if clip.kind == "photos":
            return np.arange(self.count)
        if clip.kind == "images" and self.are_unrelated():
            warnings.append(
                f"{clip.path}: these look like photographs of different things, and each such is taken by itself; "
                "--photos takes every image so"
            )
            return self.every()
        return self.cuts()

    def cuts(self) -> np.ndarray:
        """(S,) int64 the first frame of every shot."""
        return np.array([0, *(self._frames[row] for row in self._cuts())], np.int64)

    def are_unrelated(self) -> bool:
        """Whether most frames differ from those before as shots do: photographs, not a clip."""
        return bool(self._frames) and float(np.mean(self._large())) > UNRELATED

    def every(self) -> np.ndarray:
        """(S,) int64 every frame that differs from the one before as shots do, whatever those around it do."""
        return np.array([0, *np.array(self._frames, np.int64)[self._large()]], np.int64)

    def _large(self) -> np.ndarray:
        change, likeness = np.array([changes[0] for changes in self._changes]), np.array(self._likeness)
        return (likeness <= ALIKE) & (change >= LARGE) | (change >= OTHER) & (likeness < UNLIKE) | self._faded_in()

    def _faded_in(self) -> np.ndarray:
        """(rows,) bool: another picture after blank frames; brightness says nothing where shots fade."""
        return np.array(self._after_blank, bool) & (np.array(self._likeness) < UNLIKE)

    def _cuts(self) -> list[int]:
        """Rows of the changes that are cuts."""
        if not self._changes:
            return []
        change = np.array([changes[0] for changes in self._changes])
        cuts, faded_in = [], self._faded_in()
        for row in np.flatnonzero(self._large()).tolist():
            around = [*change[max(0, row - AROUND) : row], *change[row + 1 : row + 1 + AROUND]]
            stands_out = faded_in[row] or not around or change[row] >= TIMES * float(np.median(around))
            if stands_out and not self._is_flash(row):
                cuts.append(row)
        return cuts

    def _is_flash(self, row: int) -> bool:
        """Whether the picture before, or one a little earlier, is back at this row or soon after."""
        near = 0.5 * self._changes[row][0]
        if any(change < near for change in self._changes[row][1:]):
            return True  # this is the return
        later = ((row + away, away) for away in range(1, FLASH + 1) if row + away < len(self._changes))
        return any(len(self._changes[r]) > away and self._changes[r][away] < near for r, away in later)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Of the lightness of two small pictures; neither is blank."""
    x, y = (picture[..., 0].ravel() - picture[..., 0].mean() for picture in (a, b))
    return float((x @ y) / np.sqrt((x @ x) * (y @ y)))
