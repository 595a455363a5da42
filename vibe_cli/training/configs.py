"""The named trainings and their settings, each a frozen dataclass; a setting is changed by `key=value`.

The open recipe's are `open-…`, `keypoints`, `detector` and `lifter`; the papers' are `vibe`, `tcmr`, `dts-vibe` and
`sps-net`, with the weights, rates and schedules that they state (papers.py says what they leave open).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, fields, is_dataclass, replace
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from vibe_cli.errors import UsageError
from vibe_cli.networks.old_names import TRAINING, renamed
from vibe_cli.training.adversary import MposerTraining
from vibe_cli.training.detector import DetectorTraining
from vibe_cli.training.keypoints import KeypointTraining
from vibe_cli.training.lifting import LiftingTraining
from vibe_cli.training.paper_task import Paper
from vibe_cli.training.papers import EPOCH, PaperTraining
from vibe_cli.training.task import Settings, Task
from vibe_cli.training.tasks import Detecting, Keypoints, Lifting, MotionPrior, OpenTemporal
from vibe_cli.training.temporal import TemporalTraining

SettingsT = TypeVar("SettingsT", bound=Settings)
SHARES = (
    "real",
    "share_3d",
    "subsets",
    "simulated_share",
    "mirrored_share",
    "small_share",
    "refinement",
    "average",
    "frontal_start",
    "frontal_end",
    "easy_start",
    "easy_end",
)


CONFIGS: dict[str, Task] = {
    "open-vibe": OpenTemporal("VIBE on the open encoder's features", TemporalTraining(), "vibe"),
    "open-tcmr": OpenTemporal("TCMR on the open encoder's features", TemporalTraining(), "tcmr"),
    "open-dts-vibe": OpenTemporal(
        "DTS-VIBE on the open encoder's features and drawn flow", TemporalTraining(), "dts-vibe"
    ),
    "open-sps-net": OpenTemporal("SPS-Net on the open encoder's features", TemporalTraining(), "sps-net"),
    "mposer": MotionPrior("VIBE's motion prior on motion capture", MposerTraining()),
    "keypoints": Keypoints("the open encoder's keypoint network on drawn crops and photographs", KeypointTraining()),
    "detector": Detecting("the open detector on drawn scenes", DetectorTraining()),
    "lifter": Lifting("the open encoder's lifter and the single-frame regressor", LiftingTraining()),
    "vibe": Paper("VIBE as its paper has it, on data sets", PaperTraining(), "vibe"),
    "tcmr": Paper("TCMR as its paper has it, on data sets", PaperTraining(discriminator=False), "tcmr"),
    "dts-vibe": Paper(
        "DTS-VIBE as its paper has it, on data sets",
        PaperTraining(joints2d=200.0, pose=120.0, betas=120.0, squared=True, adversary=60.0, discriminator_rate=5e-4),
        "dts-vibe",
    ),
    "sps-net": Paper(
        "SPS-Net as its paper has it, on data sets", PaperTraining(batch=16, window=32, steps=120 * EPOCH), "sps-net"
    ),
}


def find_config(name: str) -> Task:
    """The training of that name; UsageError for an unknown one."""
    if name not in CONFIGS:
        raise UsageError(f"no training named {name!r}", hint="choose one of: " + ", ".join(CONFIGS))
    return CONFIGS[name]


def change(settings: SettingsT, changes: Iterable[str]) -> SettingsT:
    """Settings with `key=value` changes, values as JSON or plain text; `weights.velocity=1` reaches inside.

    UsageError for an unknown key, or a value that is not of the setting's kind: no number is negative, and what is
    counted is at least 1.
    """
    for text in changes:
        key, found, value = text.partition("=")
        if not found:
            raise UsageError(f"--set {text}: not key=value", hint="for example: --set rate=1e-4")
        settings = _set(settings, key.strip().split("."), value.strip(), key.strip())
    return settings


def settings_from(settings: SettingsT, values: dict) -> SettingsT:
    """The settings that `asdict` made a mapping of."""
    return change(settings, [f"{key}={json.dumps(value)}" for key, value in _flat(renamed(values, TRAINING))])


def describe_settings(settings: Settings) -> dict:
    """As a plain mapping, for JSON."""
    return asdict(settings)


def settings_text() -> list[tuple[list[str], list[str]]]:
    """Trainings of the same settings, and those as `key=value` words."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, task in CONFIGS.items():
        words = (f"{key}={json.dumps(value)}" for key, value in _flat(asdict(task.settings)))
        groups.setdefault(tuple(words), []).append(name)
    return [(names, list(words)) for words, names in groups.items()]


def _flat(values: dict, before: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield before + key, value


def _set(settings: SettingsT, path: list[str], text: str, key: str) -> SettingsT:
    names = {field.name for field in fields(settings)}
    if path[0] not in names:
        raise UsageError(f"no setting {key!r}", hint="known: " + ", ".join(sorted(names)))
    now = getattr(settings, path[0])
    if is_dataclass(now) and not isinstance(now, type):
        if len(path) == 1:
            raise UsageError(f"{key} is a group of settings", hint=f"set one of them, as {key}.{fields(now)[0].name}=1")
        return replace(settings, **{path[0]: _set(now, path[1:], text, key)})
    if len(path) > 1:
        raise UsageError(f"no setting {key!r}", hint=f"{path[0]} is a plain value")
    return replace(settings, **{path[0]: _value(text, get_type_hints(type(settings))[path[0]], key)})


def _value(text: str, kind: Any, key: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    plain = tuple(get_origin(one) or one for one in kinds)
    if isinstance(value, list) and tuple in plain and all(isinstance(one, str) for one in value):
        return tuple(value)
    if isinstance(value, str) and tuple in plain and not value.startswith("["):
        return (value,)
    if isinstance(value, int) and not isinstance(value, bool) and float in plain and int not in plain:
        value = float(value)
    if isinstance(value, bool) and bool not in plain or not isinstance(value, plain):
        named = {NoneType: "nothing", tuple: "list of texts"}
        wanted = " or ".join(named.get(one, one.__name__) for one in plain)
        raise UsageError(
            f"{key}={text}: not a {wanted}",
            hint="values are written as in JSON: "
            + ('a text, or ["a text", "another"]' if tuple in plain else "null is nothing"),
        )
    least = 1 if int in plain and key.rpartition(".")[2] != "seed" else 0
    if isinstance(value, (int, float)) and not (least <= value < math.inf):
        raise UsageError(f"{key}={text}: not a number from {least} upwards", hint=f"give {least} or more")
    if isinstance(value, (int, float)) and key.rpartition(".")[2] in SHARES and value > 1:
        raise UsageError(f"{key}={text}: more than all", hint="give a share from 0 to 1")
    return value
