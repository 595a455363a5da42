"""Writing a model folder as it is shipped."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor

from vibe_cli.networks import Config, describe
from vibe_cli.run_folder import replacing_file

LICENCE = "yours, as far as the motions and pictures that it learned from allow"


def write_model(
    folder: Path, facts: dict, weights: dict[str, Tensor], config: Config | Mapping[str, Any] | None = None
) -> None:
    """Write weights.safetensors and config.yaml: the facts, the weights' checksum and the network's configuration (or
    what `describe` made of it).

    Both are whole or not there; numbers that were measured with other weights do not outlive them. The licence is
    that of the facts, else LICENCE: what is shipped gets its own by hand, for people know what their data allow.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with replacing_file(folder / "weights.safetensors") as part:
        save_file({name: value.contiguous() for name, value in weights.items()}, part)
        part.chmod(0o644)  # safetensors leaves it readable by its owner alone, and it is to be shipped
        content = {"licence": LICENCE, **facts, "sha256": hashlib.sha256(part.read_bytes()).hexdigest()}
    if config is not None:
        content["network"] = dict(config) if isinstance(config, Mapping) else describe(config)
    with replacing_file(folder / "config.yaml") as part:
        part.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def halved(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights in float16, in which they are shipped."""
    return {k: v.to(torch.float16) if v.is_floating_point() else v for k, v in weights.items()}
