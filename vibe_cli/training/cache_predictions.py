"""Cache the keypoint network's predictions for a work folder: the lifter and the temporal networks learn from them.

    python -m vibe_cli.training.cache_predictions WORK RUN --crops 80000

WORK is a folder as `synth.draw` or the recipe draws it, RUN a run of `vibe train keypoints`, whose weights go with the
folder from then on. Needs no more than torch, numpy, scipy and OpenCV.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from vibe_cli.errors import UsageError, VibeError
from vibe_cli.networks.keypoints import KeypointConfig, KeypointNet
from vibe_cli.networks.lifter import KeypointPrediction
from vibe_cli.networks.rotation_tta import TTA, TTAKeypointNet
from vibe_cli.run_folder import replacing_file
from vibe_cli.synth.crops import CropSource
from vibe_cli.training.distributed import process_context
from vibe_cli.training.inputs import CLIP_LENGTH
from vibe_cli.training.lifting import collect
from vibe_cli.training.temporal import collect_clips
from vibe_cli.training.weights import read_weights

KEYPOINT_NET = "keypoints.pt"  # of a work folder
STILLS = 40000  # at most, of what a share of the recipe's time allows


def load_keypoints(work: Path) -> KeypointNet:
    """The trained keypoint network of a work folder."""
    state = read_weights(work / KEYPOINT_NET, "averaged", "name a run of: vibe train keypoints")
    net = KeypointNet(KeypointConfig(**state["config"]))
    net.load_state_dict(state["averaged"])
    return net.eval()


def cache_predictions(work: Path, stills: int, clips: int, device: torch.device) -> None:
    """Look at so many stills and frames of clips, as encoders that are made now do.

    seen_stills.pt and seen_clips.pt, kept where they are.
    """
    net = TTAKeypointNet(load_keypoints(work)).to(device)
    drawn = CropSource(work, "clips")
    _keep(work / "seen_stills.pt", lambda: collect(net, CropSource(work, "stills"), stills, seed=5))
    _keep(
        work / "seen_clips.pt",
        lambda: collect_clips(net, drawn, CLIP_LENGTH, min(len(drawn), clips) // CLIP_LENGTH, seed=6),
    )


def _keep(path: Path, seen: Callable[[], tuple[KeypointPrediction, dict[str, Tensor]]]) -> None:
    if not path.exists():
        observed, truth = seen()
        save(path, {"seen": vars(observed), "truth": truth, "tta": TTA})


def save(path: Path, state: dict) -> None:
    """Write a file of tensors, whole or not at all."""
    with replacing_file(path) as part:
        torch.save(state, part)


def main() -> None:
    """The command line, which needs no click."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="a folder with drawn stills and clips")
    parser.add_argument(
        "keypoint_net", metavar="RUN", type=Path, help="a finished run of vibe train keypoints, or its weights.pt"
    )
    parser.add_argument("--crops", type=int, default=80000, help="half of them stills, half frames of clips")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    given = parser.parse_args()
    try:
        if (given.work / KEYPOINT_NET).exists() or list(given.work.glob("seen_*.pt")):
            raise UsageError(f"{given.work}: has been looked at already", hint="remove its keypoints.pt and seen_*.pt")
        read_weights(given.keypoint_net, "averaged", "name a run of: vibe train keypoints")
        shutil.copyfile(
            given.keypoint_net / "weights.pt" if given.keypoint_net.is_dir() else given.keypoint_net,
            given.work / KEYPOINT_NET,
        )
        cache_predictions(given.work, given.crops // 2, given.crops // 2, process_context(given.device).device)
    except VibeError as error:
        sys.stderr.write(f"error: {error.message}\nhint: {error.hint}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
