"""Draw a work folder to train from out of a bundle, on a CPU or a GPU, where only torch, numpy, scipy and OpenCV are.

    python -m vibe_cli.synth.draw BUNDLE WORK --stills 100000 --clips 2000 --device cuda

The folder is the recipe's: `stills_1.npy`, `clips_101.npy`, `held_901.npy` (motions that training
never sees) with their labels, `backgrounds.npy`, `mocap.npz` and `body.npz`. What is there is kept, so an interrupted
run goes on with the next file. Processes prepare looks and poses; they or the GPU draw. The same seed gives the same
people on either, their pixels but for rounding.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np

from vibe_cli.run_folder import replacing_file
from vibe_cli.synth.crops import FIELDS
from vibe_cli.synth.mocap import write_clips
from vibe_cli.synth.people import CHILDREN, FRAMED, FRAMED_SHARES, SIZE, Look, draw_look, draw_poses
from vibe_cli.synth.poses import TUMBLED, view
from vibe_cli.synth.scenery import place
from vibe_cli.synth.studio import Studio, default_workers, open_studio, work

if TYPE_CHECKING:
    import torch

POSES_A_LOOK = 4  # of stills: a look costs nearly as much as drawing a pose of it
LOOKS = 16  # of a block of stills
CLOSE = 0.35  # share of the stills that frame a part of the person
TUMBLED_IN_TRAINING = 0.2  # more than there are: they are hard, and there is more to learn
HELD = 1000  # stills of held-out motions
BACKGROUND = 320  # pixels of a background: as sharp as the people before it, or sharpness would tell them


@dataclass(frozen=True)
class DrawJob:
    """One file to draw."""

    name: str  # stills | clips | held | heldclips
    count: int  # pictures
    seed: int
    length: int = 1  # frames of a clip; 1 draws stills
    held_out: bool = False  # motions that training never sees; adults, whose betas are the whole truth of their shape

    def file(self, folder: Path) -> Path:
        """Where the pictures lie in a work folder; the labels lie beside."""
        return folder / f"{self.name}_{self.seed}.npy"

    @property
    def block(self) -> int:
        """Pictures that are drawn at once."""
        return self.length if self.length > 1 else LOOKS * POSES_A_LOOK


@dataclass(frozen=True, eq=False)
class Sitting:
    """Scene parameters of a block of n pictures."""

    looks: list[Look]
    which: list[int]  # (n,) a picture's look
    rotations: np.ndarray  # (n, 24, 3, 3), roots in camera axes
    framed: list[list[int] | None]  # (n,) joints that a close-up shows


def sit(studio: Studio, number: int, job: DrawJob) -> Sitting:
    """Block `number` of a job: looks and poses."""
    rng = np.random.default_rng([job.seed, number])
    bank, children, tumbled = (
        (studio.held_out, 0.0, TUMBLED) if job.held_out else (studio.bank, CHILDREN, TUMBLED_IN_TRAINING)
    )
    if job.length > 1:
        motion, turn = bank.clip(rng, job.length), view(rng, tumbled)
        motion[:, 0] = turn @ motion[:, 0]
        look = draw_look(rng, studio.body, studio.pictures, children)
        return Sitting([look], [0] * job.length, motion, [None] * job.length)
    looks = [draw_look(rng, studio.body, studio.pictures, children) for _ in range(LOOKS)]
    poses, framed = [], []
    for _ in range(LOOKS * POSES_A_LOOK):
        pose = bank.pose(rng)
        pose[0] = view(rng, tumbled) @ pose[0]
        poses.append(pose)
        framed.append(FRAMED[rng.choice(len(FRAMED), p=FRAMED_SHARES)] if rng.random() < CLOSE else None)
    return Sitting(looks, [i // POSES_A_LOOK for i in range(len(poses))], np.stack(poses), framed)


def portray(studio: Studio, number: int, job: DrawJob) -> dict[str, np.ndarray]:
    """The same drawn by OpenCV: rgba (n, SIZE, SIZE, 4) uint8 and the labels."""
    sitting = sit(studio, number, job)
    poses = zip(sitting.which, sitting.rotations, sitting.framed, strict=True)
    drawn = [
        picture
        for i, of_look in groupby(poses, itemgetter(0))
        for picture in draw_poses(studio.body, sitting.looks[i], (pose[1:] for pose in of_look))
    ]
    return {name: np.stack([getattr(picture, name) for picture in drawn]) for name in ("rgba", *FIELDS)}


def _portray_on(studio: Studio, sittings: Iterator[Sitting], device: torch.device) -> Iterator[dict[str, np.ndarray]]:
    """The same drawn by torch on a device."""
    import torch

    from vibe_cli.synth.batched import Looks, PeopleDrawer

    drawer = PeopleDrawer(studio.body).to(device)
    for sitting in sittings:
        looks, which = Looks.of(sitting.looks, device), torch.tensor(sitting.which, device=device)
        drawn = drawer(looks, which, torch.from_numpy(sitting.rotations).float().to(device), sitting.framed)
        betas = np.stack([sitting.looks[i].betas for i in sitting.which])
        yield {
            "rgba": drawn.rgba.cpu().numpy(),
            "rotations": sitting.rotations,
            "betas": betas,
            "points": drawn.points.cpu().numpy(),
            "pixels": drawn.pixels.cpu().numpy(),
        }


def draw_file(studio: Studio, folder: Path, job: DrawJob, device: torch.device, workers: int) -> None:
    """Draw one file and its labels, written beside and renamed, the labels first; nothing where it is there."""
    file = job.file(folder)
    if file.exists() or job.count < 1:
        return
    blocks = range(-(-job.count // job.block))
    if device.type == "cpu":
        drawn = work(studio, partial(portray, job=job), blocks, workers)
    else:
        drawn = _portray_on(studio, work(studio, partial(sit, job=job), blocks, workers), device)
    labels: dict[str, list] = {name: [] for name in FIELDS}
    with replacing_file(file) as part:
        images = np.lib.format.open_memmap(part, "w+", np.uint8, (job.count, SIZE, SIZE, 4))
        done = 0
        for block in drawn:
            keep = min(len(block["rgba"]), job.count - done)
            images[done : done + keep] = block["rgba"][:keep]
            for name in FIELDS:
                labels[name].append(block[name][:keep].astype(np.float32))
            done += keep
        images.flush()
        joined = {name: np.concatenate(rows) for name, rows in labels.items()}
        save_arrays(file.with_name(f"{file.stem}_labels.npz"), joined)


def save_arrays(file: Path | IO[bytes], arrays: dict[str, np.ndarray]) -> None:
    """Write an .npz that is not compressed: it is read often."""
    np.savez(file, **cast(dict[str, Any], arrays))  # for all numpy's types know, one is named allow_pickle


def draw_folder(
    studio: Studio,
    folder: Path,
    jobs: list[DrawJob],
    backgrounds: int,
    device: torch.device,
    workers: int,
    report: Callable[[str], None],
) -> None:
    """Everything that the trainings read, into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacing_file(folder / "mocap.npz") as part, part.open("wb") as file:
        write_clips(file, studio.clips)
    with replacing_file(folder / "body.npz") as part, part.open("wb") as file:
        save_arrays(file, studio.body.arrays())
    if not (folder / "backgrounds.npy").exists():
        report(f"drawing {backgrounds} backgrounds")
        with replacing_file(folder / "backgrounds.npy") as part:
            images = np.lib.format.open_memmap(part, "w+", np.uint8, (backgrounds, BACKGROUND, BACKGROUND, 3))
            for number, image in enumerate(work(studio, _background, range(backgrounds), workers)):
                images[number] = image
            images.flush()
    for job in jobs:
        report(f"drawing {job.count} {job.name}")
        draw_file(studio, folder, job, device, workers)


def _background(studio: Studio, number: int) -> np.ndarray:
    return place(np.random.default_rng([7, number]), studio.pictures, BACKGROUND)


def plan(stills: int, clips: int, length: int, held_out: int | None = None) -> list[DrawJob]:
    """The files of a work folder: `clips` of `length` frames; `held_out`, or a tenth as many, of held-out motions."""
    held = held_out or max(clips // 10, 1)
    return [
        DrawJob("held", min(HELD, max(stills // 4, 1)), 901, held_out=True),
        DrawJob("heldclips", held * length, 801, length, held_out=True),
        DrawJob("stills", stills, 1),
        DrawJob("clips", clips * length, 101, length),
    ]


def main() -> None:
    """The command line, which needs no click."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path, help="what vibe synth pack wrote")
    parser.add_argument("work", type=Path, help="the folder to draw into")
    parser.add_argument("--stills", type=int, default=20000)
    parser.add_argument("--clips", type=int, default=400)
    parser.add_argument("--length", type=int, default=24, help="frames of a clip")
    parser.add_argument("--backgrounds", type=int, default=1500)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, default=default_workers())
    given = parser.parse_args()
    draw_folder(
        open_studio(given.bundle),
        given.work,
        plan(given.stills, given.clips, given.length),
        given.backgrounds,
        torch.device(given.device),
        given.workers,
        lambda line: print(line, flush=True),
    )


if __name__ == "__main__":
    main()
