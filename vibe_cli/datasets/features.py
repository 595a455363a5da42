"""Encoder features of a data set's people, computed once and cached, as in the papers (VIBE, section 3.3).

A cache folder holds `<data set>/<encoder>/<sequence>.npz`: features (T, F), keypoints (T, K, 3) where the encoder finds
any, and the square boxes (T, 4) that were cropped. The encoder goes by its weights' checksum and its crops' size and
scale, so that features of another one are never taken for its own; a sequence by its name and its labels.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vibe_cli.datasets.sequence import Sequence
from vibe_cli.device import halving_batches
from vibe_cli.geometry.boxes import square
from vibe_cli.geometry.camera import crop_points_to_image
from vibe_cli.pipeline import cut_people, encode
from vibe_cli.results import Track, TrackFeatures, write_npz
from vibe_cli.zoo.model import FrozenEncoder

if TYPE_CHECKING:
    import torch
    from torch import nn

    from vibe_cli.zoo.model import Model
    from vibe_cli.zoo.reader import Entry

DIGITS = 16  # of a checksum in a name


def load_encoder(entry: Entry, device: torch.device, dtype: torch.dtype) -> FrozenEncoder:
    """An encoder of the zoo by itself."""
    from vibe_cli.zoo.reader import crop_scale, crop_size, load_network

    return FrozenEncoder(load_network(entry).to(device), crop_size(entry), crop_scale(entry, entry), device, dtype)


def track_of(sequence: Sequence) -> Track:
    """The sequence's boxes as a track; frames that are not valid count as filled in."""
    if sequence.boxes is None:
        raise ValueError(f"{sequence.name}: has no pictures")
    return Track(1, np.arange(len(sequence)), sequence.boxes, sequence.valid, ~sequence.valid)


def pictures_of(sequence: Sequence) -> Iterator[tuple[int, np.ndarray]]:
    """The sequence's frames, RGB uint8 (H, W, 3), each with its number."""
    if sequence.frames is None:
        raise ValueError(f"{sequence.name}: has no pictures")
    return enumerate(sequence.frames.read())


def encode_sequence(
    sequence: Sequence, model: Model | FrozenEncoder, batch_size: int, warn: Callable[[str], None] = lambda _: None
) -> TrackFeatures:
    """Cut the person of a sequence out of every frame by its own boxes and encode the crops, as `vibe demo` does."""
    track = track_of(sequence)
    boxes = square(track.boxes, model.crop_scale)
    cuts = cut_people(pictures_of(sequence), [track], [boxes], model.crop_size, back=int(model.flow is not None))
    rows = list(halving_batches(lambda batch: encode(model, batch), cuts, batch_size, warn))
    if len(rows) < len(sequence):
        raise RuntimeError(f"{sequence.name}: {len(rows)} of {len(sequence)} frames came back")
    keypoints = None
    if rows[0][2] is not None:
        keypoints = np.stack([row[2] for row in rows])
        keypoints[..., :2] = crop_points_to_image(keypoints[..., :2], boxes)
    return TrackFeatures(track, boxes, np.stack([row[1] for row in rows]), keypoints)


class Features:
    """A cache folder of one data set; without a folder nothing is kept beyond the last sequence."""

    def __init__(
        self, folder: Path | None, dataset: str, batch_size: int = 16, warn: Callable[[str], None] = lambda _: None
    ) -> None:
        """`dataset` is its name, with the split."""
        self.folder, self.batch_size, self.warn = folder / dataset if folder else None, batch_size, warn
        self._keys: dict[int, tuple[object, str]] = {}  # of each encoder, which is kept, so that its id stays its own
        self._last: tuple[Sequence | None, dict[str, TrackFeatures]] = (None, {})

    def key(self, model: Model | FrozenEncoder) -> str:
        """The cache key of an encoder's features: its checksum, and the size and scale of its crops."""
        if id(model) not in self._keys:
            parts = [model.encoder] + ([model.network] if model.flow is not None else [])
            self._keys[id(model)] = model, f"{checksum(*parts)[:DIGITS]}-{model.crop_size}px-{model.crop_scale:g}"
        return self._keys[id(model)][1]

    def of(self, sequence: Sequence, model: Model | FrozenEncoder) -> TrackFeatures:
        """Encoder features of a sequence: from the cache, or computed now and cached."""
        key = self.key(model)
        if self._last[0] is not sequence:
            self._last = sequence, {}
        if key in self._last[1]:
            return self._last[1][key]
        path = self.folder / key / file_name(sequence) if self.folder else None
        seen = _load(path, sequence) if path is not None and path.is_file() else None
        if seen is None:
            seen = encode_sequence(sequence, model, self.batch_size, self.warn)
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                arrays = {"features": seen.features, "boxes": seen.boxes, "keypoints": seen.keypoints}
                write_npz(path, {name: value for name, value in arrays.items() if value is not None})
        self._last[1][key] = seen
        return seen


def checksum(*networks: nn.Module) -> str:
    """SHA-256 over the names and values of networks' weights, hexadecimal."""
    digest = hashlib.sha256()
    for network in networks:
        for name, value in network.state_dict().items():
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def file_name(sequence: Sequence) -> str:
    """Of a sequence's features: its name and a checksum of what tells it from another of that name."""
    digest = hashlib.sha256(f"{sequence.name} {len(sequence)}".encode())
    for value in (sequence.boxes, sequence.joints2d):
        digest.update(b"" if value is None else value.tobytes())
    return f"{re.sub(r'[^A-Za-z0-9.-]+', '_', sequence.name)[-80:]}-{digest.hexdigest()[:DIGITS]}.npz"


def _load(path: Path, sequence: Sequence) -> TrackFeatures | None:
    """Cached features; None where the file is damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            keypoints = file["keypoints"] if "keypoints" in file.files else None
            return TrackFeatures(track_of(sequence), file["boxes"], file["features"], keypoints)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
