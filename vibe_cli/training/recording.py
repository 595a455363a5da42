"""Read data sets into records: features of every crop, once, kept on disk (datasets.features)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from vibe_cli.errors import InputError, UsageError
from vibe_cli.training.records import Record, load_records, record_of, save_records

if TYPE_CHECKING:
    from vibe_cli.datasets.features import FrozenEncoder
    from vibe_cli.datasets.sequence import Sequence

SIDE = 224  # pixels of the crops in which S section 4.1 measures what is hidden
MASK_SIDE = 32  # pixels of the masks that SPS-Net's mesh is compared with
HIDDEN, REACH = (3, 5), (25, 50)


def find_encoder(name: str, device: str) -> FrozenEncoder:
    """The encoder of that name, by itself; UsageError for another kind of model."""
    from vibe_cli.datasets.features import load_encoder
    from vibe_cli.device import choose_device
    from vibe_cli.zoo.reader import find_model

    entry = find_model(name)
    if entry.task != "encoder":
        raise UsageError(f"{name} is no encoder", hint="name one of vibe models list, such as open-encoder")
    return load_encoder(entry, choose_device(device), torch.float32)


def gather(
    entries: tuple[str, ...],
    encoder: str,
    body: str,
    folder: Path,
    report: Callable[[str], None],
    device: str = "cpu",
    flow: tuple[str, int] | None = None,
    hidden: bool = False,
) -> tuple[list[Record], list[str]]:
    """Records of data sets, `NAME=FOLDER` or `NAME:SPLIT=FOLDER`, and of `records.pt` files; whose they are, and under
    which licences.

    `flow` (method, side) adds flow images, `hidden` the features of crops with parts hidden, and masks. What was read
    is kept in `folder`/records.pt, from which a bare machine can train.
    """
    files = [Path(entry) for entry in entries if "=" not in entry]
    named = [entry for entry in entries if "=" in entry]
    loaded = [load_records(file) for file in files]
    records, sources = [one for some, _ in loaded for one in some], [one for _, some in loaded for one in some]
    if not named:
        return records, sources
    from vibe_cli.datasets import open_for_training
    from vibe_cli.datasets.features import Features

    frozen = find_encoder(encoder, device)
    for dataset in [open_for_training(entry) for entry in named]:  # a misspelt one is told before any is read
        features, before = Features(folder / "features", dataset.label), len(records)
        for sequence in dataset:
            if sequence.frames is None or sequence.boxes is None:
                continue
            if sequence.note:
                report(sequence.note)
            record = record_of(sequence, features.of(sequence, frozen), body)
            if flow is not None:
                record["flow"] = flow_of(sequence, frozen, *flow)
            if hidden:
                record["hidden"] = hidden_features(sequence, frozen, record)
                record["mask"], record["valid_mask"] = masks_of(sequence, record["squares"].numpy())
            records.append(record)
        if len(records) == before:
            raise InputError(
                f"{dataset.folder}: nobody in {dataset.about.title} is seen in a picture",
                hint="motions without pictures are for the discriminator: vibe synth pack --mocap FOLDER, then --data",
            )
        report(f"{dataset.label}: {len(records) - before} people")
        sources.append(dataset.about.source(dataset.split))
    save_records(folder / "records.pt", records, sources)
    return records, sources


def flow_of(sequence: Sequence, frozen: FrozenEncoder, method: str, side: int) -> Tensor:
    """(T, 3, side, side) float16: the flow images of a sequence's crops, averaged to `side` pixels."""
    from vibe_cli.datasets.features import pictures_of, track_of
    from vibe_cli.geometry.boxes import square
    from vibe_cli.people.flow import flow_back, flow_images, open_flow
    from vibe_cli.pipeline import cut_people

    track, found, rows = track_of(sequence), open_flow(method, frozen.device), []
    squares = square(track.boxes, frozen.crop_scale)
    for cut in cut_people(pictures_of(sequence), [track], [squares], frozen.crop_size, back=1):
        images = flow_images(flow_back(found, cut.crop[None], [cut.before]))
        rows.append(adaptive_avg_pool2d(images, side)[0].half())
    return torch.stack(rows)


def masks_of(sequence: Sequence, squares: np.ndarray) -> tuple[Tensor, Tensor]:
    """(T, MASK_SIDE, MASK_SIDE) float16 in 0..1, where the squares (T, 3) show the person; (T,) whether it is known."""
    from vibe_cli.people.crops import crop_person

    count = len(sequence)
    if sequence.masks is None:
        return torch.zeros(count, MASK_SIDE, MASK_SIDE, dtype=torch.float16), torch.zeros(count)
    rows = []
    to_middles = np.array([1, 1, 0]) / (2 * MASK_SIDE)  # a crop's first pixel lies at −1, a silhouette's within
    for numbers, square in zip(sequence.masks, squares + squares[:, 2:] * to_middles, strict=True):
        mask = np.where(numbers == sequence.mask_number, 255, 0).astype(np.uint8)
        rows.append(crop_person(np.dstack([mask] * 3), square, MASK_SIDE)[..., 0])
    return torch.from_numpy(np.stack(rows)).half() / 255, torch.from_numpy(sequence.valid).float()


@torch.inference_mode()
def hidden_features(sequence: Sequence, frozen: FrozenEncoder, record: Record) -> Tensor:
    """(T, F): features of the crops with 3 to 5 regions about keypoints blacked out (S section 4.1).

    They are drawn once, with the features, and not anew in every epoch.
    """
    from vibe_cli.datasets.features import pictures_of, track_of
    from vibe_cli.geometry.boxes import square
    from vibe_cli.people.crops import normalise
    from vibe_cli.pipeline import cut_people

    track, rng, rows = track_of(sequence), np.random.default_rng(0), []
    squares = square(track.boxes, frozen.crop_scale)
    for row, cut in enumerate(cut_people(pictures_of(sequence), [track], [squares], frozen.crop_size)):
        known = np.flatnonzero(record["valid2d"][row].numpy())
        centres = (record["joints2d"][row].numpy() + 1) / 2 * frozen.crop_size
        crop = cover(rng, cut.crop, centres[known])
        rows.append(frozen.encoder(normalise(crop[None]).to(frozen.device)).features[0].float().cpu())
    return torch.stack(rows)


def cover(rng: np.random.Generator, crop: np.ndarray, points: np.ndarray) -> np.ndarray:
    """A crop (S, S, 3) with boxes of 25 to 50 pixels (of 224) each way about 3 to 5 of the points (N, 2) black."""
    crop, scale = crop.copy(), len(crop) / SIDE
    points = np.unique(points, axis=0)  # of the 49 rows some are the same joint twice
    chosen = rng.permutation(len(points))[: rng.integers(HIDDEN[0], HIDDEN[1] + 1)]
    for x, y in points[chosen]:
        w, h = rng.uniform(*REACH, 2) * scale
        cv2.rectangle(crop, (round(x - w), round(y - h)), (round(x + w), round(y + h)), (0, 0, 0), -1)
    return crop
