"""The weights of a finished run, or of a checkpoint, as another training begins with them."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch

from vibe_cli.errors import InputError


def read_weights(path: Path, what: str, hint: str = "") -> dict:
    """weights.pt of a finished run, given its folder or the file; InputError where it holds no `what`."""
    file = path / "weights.pt" if path.is_dir() else path
    try:
        state = torch.load(file, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(f"{file}: cannot be read ({type(error).__name__})",
                         hint="name a finished run's folder, or its weights.pt") from None
    if not isinstance(state, dict) or what not in state:
        raise InputError(f"{file}: holds no {what}", hint=hint or f"name a run of: vibe train {what}")
    return state


def pictures_weights(path: Path, parts: tuple[str, ...]) -> dict:
    """Averaged weights of a keypoint network's or a detector's run or checkpoint, in which are those parts at least."""
    hint = "name a run of: vibe train keypoints, or vibe train detector"
    weights = read_weights(path, "averaged", hint)["averaged"]
    for part in parts:
        if not any(name.startswith(f"{part}.") for name in weights):
            raise InputError(f"{path}: holds no {part}", hint=hint)
    return weights
