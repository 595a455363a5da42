"""Our synthetic people: clips or stills of a work folder (`synth.draw`), composed into pictures.

A work folder does not say how long its clips are; a person's shape does, which is constant over a clip. Stills may be
of one shape in a row and are a sequence each. Each clip is composed with a seed of its own, so that its pictures are
the same whichever clips are read, at the size that is asked for.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from vibe_cli.datasets.joints import to_49
from vibe_cli.datasets.reading import About
from vibe_cli.datasets.sequence import ArrayFrames, Sequence
from vibe_cli.networks.skeleton import KEYPOINTS_OF_54

SEED = 77
SIZE = 128  # pixels
FPS = 30.0
STILLS = ("held", "stills")  # splits of single pictures
ABOUT = About(
    name="synthetic",
    title="A cache of synthetic people",
    url="make weights",
    licence="yours",
    layout="heldclips_<seed>.npy with heldclips_<seed>_labels.npz (or clips, held, stills) and backgrounds.npy",
    splits=("heldclips", "clips", "held", "stills"),
)


def read(folder: Path, split: str | None = None, size: int = SIZE) -> Iterator[Sequence]:
    """Every clip, or still, of a split, composed at `size` pixels."""
    from vibe_cli.synth.crops import SCALE, CropSource

    split = ABOUT.choose_one(split)
    files = sorted(folder.glob(f"{split}_*.npy"))
    if not files:
        raise ABOUT.wrong(f"{folder / split}_*.npy: missing")
    for path in [*(file.with_name(f"{file.stem}_labels.npz") for file in files), folder / "backgrounds.npy"]:
        ABOUT.need(path)
    with ABOUT.reading(folder):
        try:
            source = CropSource(folder, split)
        except (zipfile.BadZipFile, EOFError) as error:
            raise ValueError(str(error)) from None
        bounds = (
            [(row, row + 1) for row in range(len(source))]
            if split in STILLS
            else clip_bounds(source.labels.betas, source.ends)
        )
    layout = tuple(KEYPOINTS_OF_54)
    for number, (first, last) in enumerate(bounds):
        count = last - first
        images, labels = source.clip(np.random.default_rng([SEED, number]), first, count, size)
        points, has = to_49(labels.points, layout)
        pixels = (labels.pixels + 1) * size / 2
        inside = ((pixels >= 0) & (pixels < size)).all(axis=-1, keepdims=True)
        joints2d, _ = to_49(np.concatenate([pixels, inside], axis=-1), layout)
        pose = Rotation.from_matrix(labels.rotations.reshape(-1, 3, 3)).as_rotvec().reshape(count, 24, 3)
        box = [size / 2, size / 2, size / SCALE, size / SCALE]  # its square, enlarged by SCALE, is the picture
        yield Sequence(
            name=f"{split}/{number}",
            length=count,
            fps=FPS,
            frames=ArrayFrames(images),
            boxes=np.tile(box, (count, 1)),
            joints2d=joints2d,
            joints3d=points,
            joints3d_valid=np.tile(has, (count, 1)),
            pose=pose,
            betas=labels.betas,
            gender="neutral",
            body="open",
        )


def clip_bounds(betas: np.ndarray, ends: np.ndarray) -> list[tuple[int, int]]:
    """First and last + 1 frame of each clip: where the shape (N, 10) changes or a file ends."""
    changes = np.flatnonzero((betas[1:] != betas[:-1]).any(axis=1)) + 1
    edges = sorted({0, *changes.tolist(), *(int(end) for end in ends)})
    return list(zip(edges[:-1], edges[1:], strict=True))
