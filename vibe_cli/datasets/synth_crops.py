"""Crops that `vibe synth crops` wrote: `images/000000.jpg` and `labels.npz`; sequences of one frame.

The format is stated in `synth.crop_data`; pixels as in `synth_video`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vibe_cli.datasets.reading import About
from vibe_cli.datasets.sequence import ImageFiles, Sequence
from vibe_cli.datasets.synth_video import HALF_PIXEL, HIDDEN, read_header
from vibe_cli.importing.safe_read import read_npz

FORMAT, VERSION = "vibe-synth-crops", 1
ABOUT = About(
    name="synth-crops",
    title="Crops of vibe synth crops",
    url="vibe synth crops OUT --mocap ...",
    licence="yours",
    layout="images/000000.jpg and labels.npz",
)


def read(folder: Path, split: str | None = None) -> Iterator[Sequence]:
    """Everybody, in order of number. A person of whom nothing is seen is not valid; their box is the whole crop."""
    ABOUT.choose(split)
    file = ABOUT.need(folder / "labels.npz")
    with ABOUT.reading(file):
        content = read_npz(file)
        size = int(read_header(content, FORMAT, VERSION)["size"])
        seen = np.all(content["boxes"][:, 2:] > 0, axis=1)
        boxes = np.where(seen[:, None], content["boxes"], [size / 2, size / 2, size, size])
        pixels = content["joints49_px"] - HALF_PIXEL
        inside = ((pixels >= 0) & (pixels < size)).all(axis=-1)
        confidence = np.where(content["visible49"], 1.0, HIDDEN * inside)
        points = np.concatenate([pixels, confidence[..., None]], axis=-1)
        for number in range(len(boxes)):
            one = slice(number, number + 1)
            yield Sequence(
                name=f"{number:06d}",
                length=1,
                fps=1.0,
                boxes=boxes[one],
                valid=seen[one],
                frames=ImageFiles((folder / "images" / f"{number:06d}.jpg",)),
                joints2d=points[one],
                joints3d=content["joints49_m"][one],
                pose=content["pose"][one],
                betas=content["betas"][one],
                gender="neutral",
                body="open",
            )
