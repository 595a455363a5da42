"""Train the open person detector on photographs and drawn scenes.

It begins with EfficientNet-lite0's ImageNet weights, or with the backbone of a keypoint network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from vibe_cli.networks.centre import BOX_UNIT, CentreConfig, CentreNet, sides_to_pixels
from vibe_cli.networks.keypoints import STRIDE
from vibe_cli.synth.scenes import MIN_VISIBLE, SceneSource
from vibe_cli.training.keypoints import load, picture_loop, to_input, turns
from vibe_cli.training.loop import Loop, LoopOptions
from vibe_cli.training.mosaics import PhotoScenes
from vibe_cli.training.pretrained import lite0_weights
from vibe_cli.training.weights import pictures_weights, take_over


@dataclass(frozen=True)
class DetectorTraining:
    """Options of a run."""

    minutes: float = 25.0
    steps: int | None = None  # a budget of steps instead: then equal seeds give equal weights
    photos: str | None = None  # folder of photographs with people boxed (mosaics.py); None: drawn scenes alone
    real: float = 0.8  # share of the scenes that are photographs, where there are some
    backbone: str = "resnet"  # or lite0
    frozen: int = 5  # blocks of lite0, besides the stem, that do not learn
    batch: int = 12
    size: int = 256  # pixels of a training scene
    rate: float = 8e-4
    backbone_rate: float = 0.2  # of the backbone, over that of the rest: it has learnt before
    decay: float = 0.02
    average: float = 0.995
    pause: float | None = None  # minutes after which this call stops, to be resumed
    save_every: float = 240.0  # seconds
    workers: int = 2
    threads: int = 2
    seed: int = 0


def targets(boxes: np.ndarray, visible: np.ndarray, size: int) -> tuple[np.ndarray, ...]:
    """Heat (h, w), its weight (h, w), corner boxes (h, w, 4) in pixels and their weight (h, w) of one scene.

    A person is a Gaussian as wide as a ninth of the box; boxes are learnt in the cells near the centre. Hidden
    people are neither wanted nor punished.
    """
    cells = size // STRIDE
    centre = (np.arange(cells) + 0.5) * STRIDE
    heat, weight = np.zeros((cells, cells), np.float32), np.ones((cells, cells), np.float32)
    corners, near = np.zeros((cells, cells, 4), np.float32), np.zeros((cells, cells), np.float32)
    order = np.argsort(-boxes[:, 2] * boxes[:, 3]) if len(boxes) else np.zeros(0, int)
    for i in order:  # large first: where two claim a cell, the smaller keeps it
        cx, cy, w, h = boxes[i]
        if visible[i] < MIN_VISIBLE:
            inside = (np.abs(centre - cy)[:, None] < h / 2) & (np.abs(centre - cx)[None] < w / 2)
            weight[inside] = 0
            continue
        sx, sy = max(w / 9, 0.6 * STRIDE), max(h / 9, 0.6 * STRIDE)
        blob = np.exp(-(((centre - cy)[:, None] / sy) ** 2 + ((centre - cx)[None] / sx) ** 2) / 2)
        heat = np.maximum(heat, blob)
        column, row = min(int(cx // STRIDE), cells - 1), min(int(cy // STRIDE), cells - 1)
        heat[row, column] = 1
        weight[row, column] = 1
        claimed = blob > 0.6
        claimed[row, column] = True
        corners[claimed] = [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]
        near[claimed] = 1
    return heat, weight, corners, near


class _Stream(IterableDataset):
    def __init__(self, folder: Path, options: DetectorTraining, start: int) -> None:
        self.folder, self.options, self.start = folder, options, start

    def __iter__(self) -> Iterator[tuple[np.ndarray, ...]]:
        import cv2

        cv2.setNumThreads(1)
        torch.set_num_threads(1)
        o = self.options
        real = round(o.batch * o.real) if o.photos is not None else 0
        photographs = PhotoScenes(Path(o.photos), o.size) if o.photos is not None else None
        drawn = SceneSource(self.folder, o.size) if real < o.batch else None
        sources = [photographs] * real + [drawn] * (o.batch - real)
        for number in turns(self.start):
            rng = np.random.default_rng([o.seed, number])
            scenes = [source.scene(rng) for source in sources if source is not None]
            maps = [targets(boxes, visible, o.size) for _, boxes, visible in scenes]
            yield np.stack([image for image, _, _ in scenes]), *(np.stack(m) for m in zip(*maps, strict=False))


def detector_loss(
    heat: Tensor, sides: Tensor, target: Tensor, weight: Tensor, corners: Tensor, near: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """Penalty-reduced focal loss on centres (CenterNet, eq. 1) and complete-IoU loss on boxes near them."""
    heat = heat[:, 0]
    probability = heat.sigmoid().clamp(1e-4, 1 - 1e-4)
    peak = target >= 1
    positive = -((1 - probability) ** 2 * probability.log())[peak].sum()
    negative = -((1 - target) ** 4 * probability**2 * (1 - probability).log() * weight)[~peak].sum()
    count = peak.sum().clamp_min(1)
    chosen = near > 0
    distances = sides_to_pixels(sides).permute(0, 2, 3, 1)
    grid = (torch.arange(heat.shape[-1], device=heat.device) + 0.5) * STRIDE
    middle = torch.stack([grid[None].expand(len(grid), -1), grid[:, None].expand(-1, len(grid))], -1)
    predicted = torch.cat([middle - distances[..., :2], middle + distances[..., 2:]], -1)
    parts = {
        "centre": (positive + negative) / count,
        "box": complete_iou_loss(predicted[chosen], corners[chosen]),
        "side": (predicted[chosen] - corners[chosen]).abs().mean() / BOX_UNIT,
    }
    return parts["centre"] + 2 * parts["box"] + 0.5 * parts["side"], parts


def complete_iou_loss(found: Tensor, wanted: Tensor, small: float = 1e-7) -> Tensor:
    """Mean complete-IoU loss of boxes (N, 4) x1, y1, x2, y2 (Zheng et al. 2020, eqs. 5 to 11).

    1 − IoU + squared distance of the centres over that of the enclosing box's corners + α·v, v the difference of the
    aspect ratios and α = v / (1 − IoU + v), which has no gradient.
    """
    size, wished = (x[:, 2:] - x[:, :2] for x in (found, wanted))
    low, high = torch.maximum(found[:, :2], wanted[:, :2]), torch.minimum(found[:, 2:], wanted[:, 2:])
    shared = (high - low).clamp_min(0).prod(1)
    iou = shared / (size.prod(1) + wished.prod(1) - shared + small)
    around = torch.maximum(found[:, 2:], wanted[:, 2:]) - torch.minimum(found[:, :2], wanted[:, :2])
    apart = (found[:, :2] + found[:, 2:] - wanted[:, :2] - wanted[:, 2:]).square().sum(1) / 4
    angles = torch.atan(wished[:, 0] / wished[:, 1]) - torch.atan(size[:, 0] / size[:, 1])
    shape = 4 / math.pi**2 * angles.square()
    alpha = (shape / (1 - iou + shape + small)).detach()
    return (1 - iou + apart / (around.square().sum(1) + small) + alpha * shape).mean()


def train_detector(
    cache: Path,
    out: Path,
    start: Path | None,
    config: CentreConfig,
    options: DetectorTraining,
    report: Callable[[str], None],
    how: LoopOptions | None = None,
) -> Loop:
    """Train until the budget is spent; resumes from `out`, else starts from a detector's checkpoint, or from the
    backbone of a keypoint network's, or from ImageNet's weights of lite0."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    net = CentreNet(config)
    if start is not None:
        weights = pictures_weights(start, ("backbone", "pyramid"))
        whole = "sides.0.weight" in weights
        for name in ("backbone", "pyramid", *(("heat", "sides") if whole else ())):
            part = {k.removeprefix(name + "."): v for k, v in weights.items() if k.startswith(name + ".")}
            take_over(getattr(net, name), part)
    elif net.lite and not out.exists():
        net.backbone.load_state_dict(lite0_weights())
    if net.lite:
        net.backbone.frozen = options.frozen
    net = net.to(memory_format=torch.channels_last)
    loop, context = picture_loop(net, config, options, report, "detector", out, how)
    if not loop.goes_on():
        return loop
    loader = load(_Stream(cache, options, loop.steps), options.workers)
    while loop.goes_on():
        images, *wanted = next(loader)
        with context.pictures():
            heat, sides = net(to_input(images).to(context.device))
        loop.step(*detector_loss(heat.float(), sides.float(), *(torch.as_tensor(w).to(context.device) for w in wanted)))
    return loop
