"""Make the README's picture from a finished run of the example clip.

vibe demo examples/dance.mp4 --style side
python examples/make_picture.py examples/dance.mp4 output/dance/side.mp4 assets/dance.jpg
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from vibe_cli.video.reader import open_video

MOMENTS = (0.90, 2.00, 2.80, 3.40)  # seconds
FPS = 25
LEFT, RIGHT = 0.17, 0.83  # of the width: what is kept


def main(clip: Path, drawn: Path, target: Path) -> None:
    """One column a moment: the clip, the bodies on it, and the bodies from the side."""
    with open_video(clip) as video, open_video(drawn) as bodies:
        pictures, wanted = {}, {round(moment * FPS) for moment in MOMENTS}
        for (index, frame), (_, twice) in zip(video, bodies, strict=True):
            if index in wanted:
                parts = [frame, *np.split(twice, 2, axis=1)]
                pictures[index] = np.concatenate([cut(part) for part in parts], axis=0)
    sheet = np.concatenate(list(pictures.values()), axis=1)
    sheet = cv2.resize(sheet, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(target), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


def cut(picture: np.ndarray) -> np.ndarray:
    """The middle of a picture."""
    width = picture.shape[1]
    return picture[:, round(LEFT * width) : round(RIGHT * width)]


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
