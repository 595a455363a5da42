"""Train the open person detector on synthetic scenes, starting from the keypoint network's backbone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset
from torchvision.ops import complete_box_iou_loss

from vibe_cli.networks.centre import BOX_UNIT, CentreConfig, CentreNet, sides_to_pixels
from vibe_cli.networks.keypoints import STRIDE
from vibe_cli.training.keypoints import fast_bfloat16, to_input
from vibe_cli.training.loop import Loop, Schedule
from vibe_cli.training.synth.scenes import MIN_VISIBLE, SceneSource


@dataclass(frozen=True)
class DetectorTraining:
    """Options of a run."""

    minutes: float = 25.0
    batch: int = 12
    size: int = 256            # pixels of a training scene
    rate: float = 8e-4
    decay: float = 0.02
    average: float = 0.995
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
    order = np.argsort(-boxes[:, 2] * boxes[:, 3]) if len(boxes) else []
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
        worker = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.options.seed, self.start, worker.id if worker else 0])
        source = SceneSource(self.folder, self.options.size)
        while True:
            scenes = [source.scene(rng) for _ in range(self.options.batch)]
            maps = [targets(boxes, visible, self.options.size) for _, boxes, visible in scenes]
            yield np.stack([image for image, _, _ in scenes]), *(np.stack(m) for m in zip(*maps, strict=False))


def detector_loss(heat: Tensor, sides: Tensor, target: Tensor, weight: Tensor, corners: Tensor,
                  near: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Penalty-reduced focal loss on centres (CenterNet, eq. 1) and complete-IoU loss on boxes near them."""
    heat = heat[:, 0]
    probability = heat.sigmoid().clamp(1e-4, 1 - 1e-4)
    peak = target >= 1
    positive = -((1 - probability) ** 2 * probability.log())[peak].sum()
    negative = -((1 - target) ** 4 * probability**2 * (1 - probability).log() * weight)[~peak].sum()
    count = peak.sum().clamp_min(1)
    chosen = near > 0
    distances = sides_to_pixels(sides).permute(0, 2, 3, 1)
    grid = (torch.arange(heat.shape[-1]) + 0.5) * STRIDE
    middle = torch.stack([grid[None].expand(len(grid), -1), grid[:, None].expand(-1, len(grid))], -1)
    predicted = torch.cat([middle - distances[..., :2], middle + distances[..., 2:]], -1)
    parts = {"centre": (positive + negative) / count,
             "box": complete_box_iou_loss(predicted[chosen], corners[chosen], reduction="mean"),
             "side": (predicted[chosen] - corners[chosen]).abs().mean() / BOX_UNIT}
    return parts["centre"] + 2 * parts["box"] + 0.5 * parts["side"], parts


def train_detector(cache: Path, out: Path, backbone: Path | None, config: CentreConfig, options: DetectorTraining,
                   report: Callable[[str], None]) -> None:
    """Train for `options.minutes`; resumes from `out`, else starts from a keypoint checkpoint's backbone."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    net = CentreNet(config)
    if backbone is not None:
        weights = torch.load(backbone, weights_only=True)["averaged"]
        for name in ("backbone", "pyramid"):
            part = {k.removeprefix(name + "."): v for k, v in weights.items() if k.startswith(name + ".")}
            getattr(net, name).load_state_dict(part)
    net = net.to(memory_format=torch.channels_last)
    loop = Loop(net, Schedule(options.minutes, options.rate, options.decay, average=options.average), report,
                "detector", out, {"config": asdict(config), "batch": options.batch})
    loader = iter(DataLoader(_Stream(cache, options, loop.steps), batch_size=None, num_workers=options.workers,
                             prefetch_factor=4, multiprocessing_context="spawn"))
    half = fast_bfloat16()
    while loop.goes_on():
        images, *wanted = next(loader)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            heat, sides = net(to_input(images))
        loop.step(*detector_loss(heat, sides, *(torch.as_tensor(w) for w in wanted)))
