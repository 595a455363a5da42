"""Clips that `vibe synth video` wrote: `clip_0000/video.mp4` and `clip_0000/labels.npz`, everybody in them.

The format is stated in `synth.video_data`. Its pixels count from the picture's corner and ours from the middle
of the first pixel, half a pixel less. Boxes are of what is seen of a person; a frame in which next to nothing of them
is seen is not valid, and its box lies between its neighbours'.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from vibe_cli.datasets.reading import About, fill_boxes
from vibe_cli.datasets.sequence import Sequence, VideoFrames
from vibe_cli.importing.safe_read import read_npz

FORMAT, VERSION = "vibe-synth-clip", 1
HALF_PIXEL = 0.5
LEAST_SEEN = 0.2  # share of the person from which a frame counts
HIDDEN = 0.5  # confidence of a joint in the picture that something hides
ABOUT = About(
    name="synth-video",
    title="Clips of vibe synth video",
    url="vibe synth video OUT --mocap ...",
    licence="yours",
    layout="clip_0000/video.mp4 and clip_0000/labels.npz",
)


def read(folder: Path, split: str | None = None) -> Iterator[Sequence]:
    """Everybody in every clip, in order of number."""
    ABOUT.choose(split)
    for file in sorted(folder.glob("clip_*/labels.npz")):
        video = ABOUT.need(file.parent / "video.mp4")
        with ABOUT.reading(file):
            content = read_npz(file)
            header = read_header(content, FORMAT, VERSION)
            people = [_person(content, number, header, video) for number in range(int(header["people"]))]
        yield from people


def read_header(content: dict[str, np.ndarray], wanted: str, version: int) -> dict:
    """The header of labels; ValueError where they are of another format or a later version."""
    header = json.loads(str(content["header"][()]))
    if header["format"] != wanted or header["version"] > version:
        raise ValueError(f"{header['format']}, version {header['version']}")
    return header


def joints_seen(pixels: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Joints (T, 49, 2) from the picture's corner and (T, 49, 3) in it, hidden by oneself, by others → (T, 49, 3)."""
    confidence = visible[..., 0] * np.where(visible[..., 1:].any(axis=-1), HIDDEN, 1.0)
    return np.concatenate([pixels - HALF_PIXEL, confidence[..., None]], axis=-1)


def _person(content: dict[str, np.ndarray], number: int, header: dict, video: Path) -> Sequence:
    """One person of one clip."""
    own = {
        name.removeprefix(f"person{number}/"): value
        for name, value in content.items()
        if name.startswith(f"person{number}/")
    }
    count, intrinsics = len(own["pose"]), content["intrinsics"]
    seen = np.all(own["boxes"][:, 2:] > 0, axis=1)
    return Sequence(
        name=f"{video.parent.name}/{number}",
        length=count,
        fps=float(Fraction(header["fps"])),
        frames=VideoFrames(video, np.arange(count)),
        boxes=fill_boxes(own["boxes"], seen),
        valid=seen & (own["share"] >= LEAST_SEEN),
        joints2d=joints_seen(own["joints49_px"], own["visible49"]),
        joints3d=own["joints49_m"],
        pose=own["pose"],
        betas=np.tile(own["betas"], (count, 1)),
        trans=own["trans"],
        gender="neutral",
        body=header["body"],
        masks=content["masks"],
        mask_number=number + 1,
        intrinsics=intrinsics[0] if np.allclose(intrinsics, intrinsics[:1]) else None,
    )
