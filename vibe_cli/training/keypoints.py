"""Train the keypoint network on drawn people and, where there are some, photographs; for a stated time, resumable.

Heat maps by spatial cross-entropy with a light soft-argmax term; left/right-blind union maps, the facing
direction and the root rotation as auxiliaries. Views are nearly uniform from the start, else backs are drawn as
fronts.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from vibe_cli.errors import UsageError
from vibe_cli.networks.keypoints import (
    PIXEL_MEAN,
    PIXEL_STD,
    KeypointConfig,
    KeypointNet,
)
from vibe_cli.synth.crops import CropSource
from vibe_cli.synth.studio import one_thread_each
from vibe_cli.training.augment import TrainingCrops
from vibe_cli.training.distributed import ProcessContext
from vibe_cli.training.keypoint_loss import keypoint_loss
from vibe_cli.training.loop import Loop, LoopOptions, Schedule
from vibe_cli.training.photograph_crops import Photographs, photograph_crops
from vibe_cli.training.weights import pictures_weights, take_over

if TYPE_CHECKING:
    from vibe_cli.networks import Config
    from vibe_cli.training.detector import DetectorTraining

FILTERS = (1, 3, 5)  # pixels, sides of random filters


@dataclass(frozen=True)
class KeypointTraining:
    """Options of a run."""

    minutes: float = 60.0
    steps: int | None = None  # a budget of steps instead: then equal seeds give equal weights
    photos: str | None = None  # folder of labelled photographs (photographs.py); None: drawn people alone
    real: float = 0.65  # share of the crops that are photographs, where there are some
    batch: int = 64
    rate: float = 1e-3  # peak learning rate, cosine to zero
    backbone_rate: float = 1.0  # of the backbone, over that of the rest
    frontal_start: float = 0.15  # share of extra frontal views; 0.6 at first was tried: facing is never learned
    frontal_end: float = 0.05
    easy_start: float = 0.7  # share of crops that show one whole person clearly
    easy_end: float = 0.4
    decay: float = 0.02  # AdamW's
    average: float = 0.998  # of the weights
    frozen: bool = False  # the first layers stay as they are: a quarter faster, for a network that has learnt much
    filtered: float = 0.3  # share of the crops that are seen through a random filter
    small: int = 96  # pixels of the crops at first, which is faster
    small_share: float = 0.6  # of the run
    uses: int = 2  # of every composed batch: as it is and mirrored
    pause: float | None = None  # minutes after which this call stops, to be resumed
    save_every: float = 240.0  # seconds
    workers: int = 2
    threads: int = 2
    seed: int = 0


def to_input(crops: np.ndarray | Tensor) -> Tensor:
    """(N, S, S, 3) uint8 RGB → (N, 3, S, S) as the keypoint network expects."""
    x = torch.as_tensor(np.ascontiguousarray(crops)).permute(0, 3, 1, 2).float()
    return ((x / 255 - PIXEL_MEAN) / PIXEL_STD).contiguous(memory_format=torch.channels_last)


def through_filters(rng: np.random.Generator, crops: Tensor, share: float) -> Tensor:
    """A share of crops (N, 3, S, S) through small random filters, mixed with themselves.

    Colours and textures become others, shapes stay where they are: a network that draws on the former alone fails.
    Source: Xu et al. 2021, Robust and Generalizable Visual Representation Learning via Random Convolutions, section 3.
    """
    chosen = np.flatnonzero(rng.random(len(crops)) < share)
    if not len(chosen):
        return crops
    width, count = int(rng.choice(FILTERS)), len(chosen)
    kernels = torch.from_numpy(rng.normal(0, (3 * width**2) ** -0.5, (3 * count, 3, width, width)).astype(np.float32))
    some = crops[chosen].contiguous()
    seen = nn.functional.conv2d(some.view(1, 3 * count, *some.shape[2:]), kernels, padding=width // 2, groups=count)
    own = torch.from_numpy(rng.uniform(0, 1, (count, 1, 1, 1)).astype(np.float32))
    result = crops.clone(memory_format=torch.channels_last)
    result[chosen] = own * some + (1 - own) * seen.view_as(some)
    return result


class _Stream(IterableDataset):
    """Endless batches. The workers take turns, and a batch hangs on the seed and its number alone."""

    def __init__(self, folder: Path, options: KeypointTraining, size: int, progress: Tensor, start: int) -> None:
        self.folder, self.options, self.size = folder, options, size
        self.progress, self.start = progress, start

    def __iter__(self) -> Iterator[TrainingCrops]:
        import cv2

        cv2.setNumThreads(1)
        torch.set_num_threads(1)
        source, o = CropSource(self.folder), self.options
        photographs = Photographs(Path(o.photos)) if o.photos is not None else None
        real = round(o.batch * o.real) if photographs is not None else 0
        for number in turns(self.start):
            rng, done = np.random.default_rng([o.seed, number]), float(self.progress)
            if o.steps is not None:
                done = min(1.0, number * o.uses / o.steps)
            frontal = o.frontal_start + (o.frontal_end - o.frontal_start) * done
            easy = o.easy_start + (o.easy_end - o.easy_start) * done
            size = o.small if done < o.small_share else self.size
            drawn = source.batch(rng, source.draw(rng, o.batch - real, frontal), size, easy=easy)
            parts = [TrainingCrops.of_drawn(*drawn)]
            if photographs is not None:
                parts.append(photograph_crops(photographs, rng, o.seed, number * real, real, size))
            yield TrainingCrops.stack(parts)


def turns(start: int) -> Iterator[int]:
    """The numbers of the batches that this worker of a DataLoader draws, from `start` on."""
    worker = torch.utils.data.get_worker_info()
    return itertools.count(start + (worker.id if worker else 0), worker.num_workers if worker else 1)


def _uses(loader: Iterator[TrainingCrops], times: int) -> Iterator[tuple[Tensor, TrainingCrops]]:
    """Every batch as it is and, where `times` is 2, mirrored."""
    for batch in loader:
        x = to_input(batch.crops)
        yield x, batch
        if times > 1:
            yield x.flip(3), batch.mirrored()


def train_keypoints(
    cache: Path,
    out: Path,
    config: KeypointConfig,
    options: KeypointTraining,
    report: Callable[[str], None],
    start: Path | None = None,
    how: LoopOptions | None = None,
) -> Loop:
    """Train until the budget is spent; resumes from `out` when it exists.

    A new run begins with the averaged weights of the checkpoint `start`, where one is given.
    """
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    net = KeypointNet(config).to(memory_format=torch.channels_last)
    if start is not None:
        take_over(net, pictures_weights(start, ("backbone", "pyramid", "depth")))
    if options.frozen and start is None and not out.exists():
        raise UsageError("frozen layers need weights to begin with", hint="name a run to begin at: --start RUN")
    if options.frozen:
        freeze_first_layers(net)
    loop, context = picture_loop(net, config, options, report, "keypoints", out, how)
    if not loop.goes_on():
        return loop
    progress = torch.zeros(1).share_memory_()
    stream = _Stream(cache, options, config.size, progress, loop.steps // options.uses)
    batches = _uses(load(stream, options.workers), options.uses)
    for _ in range(loop.steps % options.uses):  # what was used already of the batch that was cut
        next(batches)
    while loop.goes_on():
        crops, batch = next(batches)
        progress[0] = loop.done
        crops = through_filters(loop.step_rng(), crops, options.filtered)
        with context.pictures():
            maps = net(crops.to(context.device))
        loop.step(*keypoint_loss(maps, batch))
    return loop


def freeze_first_layers(net: KeypointNet) -> None:
    """Freeze the layers down to stride 4, their normalisation too, until `net.train()`."""
    for layer in (net.backbone.conv1, net.backbone.bn1, net.backbone.layer1):
        layer.eval().requires_grad_(False)


def picture_loop(
    net: nn.Module,
    config: Config,
    options: KeypointTraining | DetectorTraining,
    report: Callable[[str], None],
    name: str,
    out: Path,
    how: LoopOptions | None,
) -> tuple[Loop, ProcessContext]:
    """The loop of a network that learns from pictures, on its device, and the place where it runs.

    `config` is the network's configuration.
    """
    how = how or LoopOptions()
    net.to(how.context.device)
    schedule = Schedule(
        options.minutes,
        options.rate,
        options.decay,
        options.backbone_rate,
        average=options.average,
        steps=options.steps,
        pause=options.pause,
        save_every=options.save_every,
        seed=options.seed,
    )
    facts = {"config": asdict(config), "batch": options.batch}
    return how.loop(net, schedule, report, name, out, facts), how.context


def load(stream: IterableDataset, workers: int) -> Iterator:
    """The stream's batches in order, drawn by workers that begin afresh."""
    if not workers:
        return iter(DataLoader(stream, batch_size=None))
    with one_thread_each():
        return iter(
            DataLoader(stream, batch_size=None, num_workers=workers, prefetch_factor=4, multiprocessing_context="spawn")
        )
