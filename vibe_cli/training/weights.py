"""The weights of a finished run, or of a checkpoint, as another training begins with them."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from vibe_cli.errors import InputError


def read_weights(path: Path, what: str, hint: str = "") -> dict:
    """weights.pt of a finished run, given its folder or the file; InputError where it holds no `what`."""
    file = path / "weights.pt" if path.is_dir() else path
    try:
        state = torch.load(file, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(
            f"{file}: cannot be read ({type(error).__name__})", hint="name a finished run's folder, or its weights.pt"
        ) from None
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


def take_over(net: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Begin with the weights of a network of the same sizes, whose stages may have fewer or more residual blocks.

    Blocks that it lacks begin by adding nothing, and blocks that `net` lacks are left out; anything else that does not
    fit is load_state_dict's RuntimeError.
    """
    own = net.state_dict()
    added = {match[0] for name in own if name not in weights and (match := re.match(r".*layer\d\.\d+\.", name))}
    for block in added:
        nn.init.zeros_(net.get_parameter(f"{block}bn2.weight"))  # of a residual block: what it adds
    kept = {name: value for name, value in weights.items() if name in own or not re.match(r".*layer\d\.\d+\.", name)}
    missing = {name: value for name, value in net.state_dict().items() if name.startswith(tuple(added))}
    net.load_state_dict({**missing, **kept})
