"""Draw people once, in parallel, into files that training maps into memory and composes anew every time.

A cache folder holds `stills_*.npy` or `clips_*.npy` (n, SIZE, SIZE, 4) uint8 with `*_labels.npz` beside, and
`backgrounds.npy` (n, 192, 192, 3) uint8. Equal seeds give equal files.
"""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vibe_cli.training.mocap import Clip
from vibe_cli.training.synth import poses
from vibe_cli.training.synth.bodies import SynthBody
from vibe_cli.training.synth.people import CHILDREN, FRAMED, FRAMED_SHARES, SIZE, Picture, draw_look, draw_poses
from vibe_cli.training.synth.scenery import place
from vibe_cli.training.synth.textures import load_pictures


@dataclass(frozen=True)
class CacheJob:
    """One worker's share of a cache."""

    folder: Path
    name: str            # stills | clips, with a suffix of the caller's
    body: Path           # the open body's weights
    clips: Path          # motion capture as write_clips leaves it
    count: int           # pictures
    seed: int
    length: int = 1      # frames of a clip; 1 draws stills
    held_out: bool = False  # motions that training never sees; adults, whose betas are the whole truth of their shape
    close: float = 0.0   # share of the stills that frame a part of the person
    pictures: Path | None = None


def write_clips(path: Path, clips: list[Clip]) -> None:
    """Keep motion capture in one .npz for the workers."""
    np.savez(path, names=[c.name for c in clips], lengths=[len(c.rotations) for c in clips],
             rotations=np.concatenate([c.rotations for c in clips]))


def read_clips(path: Path) -> list[Clip]:
    """The inverse of write_clips."""
    with np.load(path, allow_pickle=False) as file:
        ends = np.cumsum(file["lengths"])
        pieces = np.split(file["rotations"], ends[:-1])
        return [Clip(str(name), piece) for name, piece in zip(file["names"], pieces, strict=False)]


def draw_all(jobs: list[CacheJob]) -> None:
    """Run the jobs, a process each."""
    with multiprocessing.get_context("spawn").Pool(len(jobs)) as pool:
        pool.map(draw_cache, jobs, chunksize=1)


def draw_cache(job: CacheJob) -> None:
    """Draw one worker's pictures."""
    import cv2
    cv2.setNumThreads(1)
    rng = np.random.default_rng(job.seed)
    body, pictures = SynthBody.load(job.body), load_pictures(job.pictures)
    bank = poses.PoseBank(read_clips(job.clips), held_out=job.held_out)
    stem = job.folder / f"{job.name}_{job.seed}"
    images = np.lib.format.open_memmap(f"{stem}.npy.part", "w+", np.uint8, (job.count, SIZE, SIZE, 4))
    labels: list[Picture] = []
    while len(labels) < job.count:
        for picture in _draw_one(rng, body, bank, pictures, job):
            if len(labels) < job.count:
                images[len(labels)] = picture.rgba
                labels.append(picture)
    images.flush()
    fields = ("rotations", "betas", "points", "pixels")
    np.savez(f"{stem}_labels.npz", **{f: np.stack([getattr(p, f) for p in labels]).astype(np.float32)
                                      for f in fields})
    Path(f"{stem}.npy.part").rename(f"{stem}.npy")


def _draw_one(rng: np.random.Generator, body: SynthBody, bank: poses.PoseBank, pictures: list[np.ndarray],
              job: CacheJob) -> list[Picture]:
    look, view = draw_look(rng, body, pictures, 0 if job.held_out else CHILDREN), poses.view(rng)
    motion = bank.pose(rng)[None] if job.length == 1 else bank.clip(rng, job.length)
    motion[:, 0] = view @ motion[:, 0]
    framed = FRAMED[rng.choice(len(FRAMED), p=FRAMED_SHARES)] if rng.random() < job.close else None
    return draw_poses(body, look, ((rotations, framed) for rotations in motion))


def draw_backgrounds(path: Path, count: int, seed: int, pictures: Path | None = None) -> None:
    """Write `count` backgrounds."""
    rng, sources = np.random.default_rng(seed), load_pictures(pictures)
    part = path.with_suffix(".part.npy")
    np.save(part, np.stack([place(rng, sources) for _ in range(count)]))
    part.rename(path)
