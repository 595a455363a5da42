"""How fast synthetic people are drawn on one processor, path by path, and how alike the two paths' pictures are.

    python benchmarks/synth.py BUNDLE [--people 96] [--device cpu]

BUNDLE is what `vibe synth pack` writes. Seconds are processor seconds of one thread (on a CUDA device, the clock's), so
that a busy machine does not matter; with n processes on n processors multiply by n.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from vibe_cli.synth.batched import Looks, PeopleDrawer
from vibe_cli.synth.bundle import read_bundle
from vibe_cli.synth.crops import CropSource
from vibe_cli.synth.film import draw_faults, film
from vibe_cli.synth.people import draw_look, draw_person
from vibe_cli.synth.poses import PoseBank, view
from vibe_cli.synth.scenery import place
from vibe_cli.synth.stage import SceneOptions, build_scene

SIZE = 128  # pixels of a crop, as training has them


def seconds(work: Callable[[], object], device: str) -> float:
    """Processor seconds of a call; the clock's on a CUDA device."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    start = clock()
    work()
    if device != "cpu":
        torch.cuda.synchronize()
    return clock() - start


def main() -> None:
    """Print a row a path."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--people", type=int, default=96)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    bundle, rng = read_bundle(given.bundle), np.random.default_rng(0)
    body, bank, count = bundle.body, PoseBank(bundle.clips), given.people
    looks, motion, pictures, crops = [], [], [], []

    def row(what: str, work: Callable[[], object], number: int, device: str = "cpu") -> None:
        spent = seconds(work, device)
        print(f"{what:<44} {number / spent:8.1f} a second  ({1e3 * spent / number:.2f} ms each)", flush=True)

    def pose() -> np.ndarray:
        one = bank.pose(rng)
        one[0] = view(rng) @ one[0]
        return one

    row("looks", lambda: looks.extend(draw_look(rng, body, bundle.pictures) for _ in range(count)), count)
    row("poses", lambda: motion.extend(pose() for _ in range(count)), count)
    row(
        "cut-outs by OpenCV, 160 px",
        lambda: pictures.extend(draw_person(body, look, one) for look, one in zip(looks, motion, strict=True)),
        count,
    )
    backgrounds: list[np.ndarray] = []
    row("backgrounds, 192 px", lambda: backgrounds.extend(place(rng, bundle.pictures) for _ in range(16)), 16)
    source = CropSource.of(pictures, np.stack(backgrounds))
    row(
        f"crops composed of cut-outs, {SIZE} px", lambda: crops.append(source.batch(rng, np.arange(count), SIZE)), count
    )
    device = torch.device(given.device)
    drawer, batch = PeopleDrawer(body).to(device), Looks.of(looks, device)
    which, turns = torch.arange(count, device=device), torch.from_numpy(np.stack(motion)).float().to(device)
    drawn = drawer(batch, which, turns)  # once to warm up, and for the comparison
    row(f"cut-outs by torch on {given.device}, batch {count}", lambda: drawer(batch, which, turns), count, given.device)
    alike = []
    for picture, other in zip(pictures, drawn.rgba.cpu().numpy(), strict=True):
        a, b = picture.rgba[..., 3] > 0, other[..., 3] > 0
        apart = np.abs(picture.rgba[..., :3].astype(float) - other[..., :3])[a & b].mean()
        alike.append(((a & b).sum() / (a | b).sum(), apart))
    iou, apart = np.array(alike).T
    print(
        f"the two paths: mask IoU {iou.mean():.4f}, worst {iou.min():.4f}; colours apart {apart.mean():.2f} of 255, "
        f"worst {apart.max():.2f}"
    )
    scene = build_scene(rng, body, bank, bundle.pictures, SceneOptions(640, 360, length=6))
    row(
        f"frames of 640 x 360, {len(scene.actors)} people, all labels",
        lambda: list(film(rng, scene, draw_faults(rng))),
        6,
    )


if __name__ == "__main__":
    main()
