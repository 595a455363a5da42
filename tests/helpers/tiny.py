"""A tiny random model that the real program loads from a user's model folder, and clips that it can follow."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from unittest import mock

import numpy as np
import torch
import yaml
from safetensors.torch import save_file

from vibe_cli.networks import build_network
from vibe_cli.options import MotionOptions
from vibe_cli.results import Detections
from vibe_cli.run import ModelChoice
from vibe_cli.video.writer import VideoWriter
from vibe_cli.zoo.model import Model

ENCODER = {
    "network": "open_encoder",
    "width": 4,
    "channels": 8,
    "size": 32,
    "scale": 1.2,
    "features": 16,
    "hidden": 16,
    "blocks": 1,
}
NETWORK = {"network": "vibe", "features": 16, "hidden": 8, "layers": 1, "regressor_hidden": 16, "window": 8}
# the four published systems, all of a window of 8, for the features of ENCODER
TEMPORAL = {
    "vibe": NETWORK,
    "tcmr": {
        "network": "tcmr",
        "features": 16,
        "hidden": 8,
        "layers": 1,
        "attention_hidden": 6,
        "regressor_hidden": 16,
        "window": 8,
    },
    "dts_vibe": {
        "network": "dts_vibe",
        "features": 16,
        "flow_encoder": "small",
        "flow_width": 2,
        "width": 16,
        "encoder_layers": 2,
        "encoder_heads": 4,
        "regressor_layers": 1,
        "window": 8,
    },
    "sps_net": {
        "network": "sps_net",
        "features": 16,
        "attention_hidden": 12,
        "forecast_hidden": 8,
        "regressor_hidden": 16,
        "window": 8,
    },
}
WIDTH, HEIGHT = 96, 64


def install_model(folder: Path, network: dict | None = None) -> None:
    """Write the models `tiny` (temporal) and `tiny-encoder` under a model folder; the same weights every time."""
    torch.manual_seed(1)
    for name, config in (
        ("tiny-encoder", {"task": "encoder", "network": ENCODER}),
        ("tiny", {"task": "temporal", "encoder": "tiny-encoder", "network": network or NETWORK}),
    ):
        (folder / name).mkdir(parents=True)
        save_file(build_network(config["network"]).state_dict(), folder / name / "weights.safetensors")
        (folder / name / "config.yaml").write_text(yaml.safe_dump(config))


class BrightDetector:
    """Finds one person a frame: whatever is bright. Counts the frames it is shown."""

    min_mean_score = 0.4

    def __init__(self) -> None:
        self.batches: list[int] = []

    def detect(self, frames: list[np.ndarray]) -> list[Detections]:
        """A box about each bright column run of each frame."""
        self.batches.append(len(frames))
        return [self._one(frame) for frame in frames]

    def _one(self, frame: np.ndarray) -> Detections:
        columns = (frame.mean(-1) > 128).any(0).astype(int)
        starts = np.flatnonzero(np.diff(columns, prepend=0) == 1)
        ends = np.flatnonzero(np.diff(columns, append=0) == -1) + 1
        boxes = [[(a + b) / 2, HEIGHT / 2, b - a, HEIGHT * 0.75] for a, b in zip(starts, ends, strict=True)]
        return Detections(np.array(boxes).reshape(-1, 4), np.full(len(boxes), 0.9))


@dataclass(frozen=True)
class TinyChoice(ModelChoice):
    """A choice of model whose detector finds what is bright; a worker process can be given it."""

    def load(self, motion: MotionOptions) -> Model:
        """The model `tiny` with the detector, its networks on one thread."""
        torch.set_num_threads(1)
        with mock.patch("vibe_cli.zoo.reader.load_detector", lambda *_: (BrightDetector(), "bright")):
            return super().load(motion)


def make_walk(path: Path, frames: int = 40, people: int = 1) -> Path:
    """A clip of bright posts on a dark ground, which move to the right by a pixel a frame; 0 people: dark."""
    rng = np.random.default_rng(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, WIDTH, HEIGHT, Fraction(25), crf=5) as writer:
        for index in range(frames):
            frame = rng.integers(0, 40, (HEIGHT, WIDTH, 3)).astype(np.uint8)
            for number in range(people):
                left = 4 + index % 40 + 48 * number
                frame[8:56, left : left + 12] = 220 - index % 20
            writer.write(frame)
    return path
