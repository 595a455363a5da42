"""Names that files of earlier versions use for what has another name today: such files load as they are.

Model folders (config.yaml, weights.safetensors), runs (run.json) and cached predictions (seen_*.pt) are not rewritten;
what reads them calls `renamed`. New files are written with today's names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# config.yaml of a detector that is rescored: the keys, and those of the logistic regression's weights
DETECTOR = {
    "verify": "rescore",
    "judge": "weights",
    "votes": "proposal_logit",
    "sureness": "mean_confidence",
    "share": "confident_share",
    "steadiness": "self_iou",
}
# settings of an open encoder, in config.yaml and in cached predictions
ENCODER = {"both_ways": "flip_test", "upright": "rotation_tta"}
# a training's settings, in run.json and by --set
TRAINING = {"pieces": "micro_batches"}
# first parts of the names of an open encoder's weights
WEIGHTS = {"eye": "keypoint_net"}


def renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """A mapping, and those within it, with today's keys for the old ones in `names`."""
    return {
        names.get(key, key): renamed(value, names) if isinstance(value, Mapping) else value
        for key, value in values.items()
    }


def renamed_weights(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Weights by name with today's first parts, `eye.heat.weight` → `keypoint_net.heat.weight`."""

    def today(name: str) -> str:
        first, *rest = name.split(".")
        return ".".join([WEIGHTS.get(first, first), *rest])

    return {today(name): value for name, value in weights.items()}


def renamed_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A model folder's config.yaml with today's keys: a detector's rescoring, an open encoder's network."""
    out = dict(config)
    if "verify" in out:
        out |= renamed({"verify": out.pop("verify")}, DETECTOR)
    if isinstance(network := out.get("network"), Mapping) and network.get("network") == "open_encoder":
        out["network"] = renamed(network, ENCODER)
    return out
