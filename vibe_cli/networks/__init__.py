"""nn.Modules only: no files, no devices, no configuration parsing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, asdict, fields
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from vibe_cli.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn

# name → module, network class, configuration class; a new network is one more row
NETWORKS = {
    "vibe": ("vibe", "Vibe", "VibeConfig"),
    "tcmr": ("tcmr", "Tcmr", "TcmrConfig"),
    "dts_vibe": ("dts_vibe", "DtsVibe", "DtsVibeConfig"),
    "sps_net": ("sps_net", "SpsNet", "SpsNetConfig"),
    "discriminator": ("discriminator", "MotionDiscriminator", "DiscriminatorConfig"),
    "mposer": ("mposer", "Mposer", "MposerConfig"),
    "backbone": ("backbone", "Backbone", "BackboneConfig"),
    "regressor": ("regressor", "Regressor", "RegressorConfig"),
    "open_encoder": ("open_encoder", "OpenEncoder", "OpenEncoderConfig"),
    "centre": ("centre", "CentreNet", "CentreConfig"),
}


class Config(Protocol):
    """A configuration: a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


def build_network(config: Config | Mapping[str, Any]) -> nn.Module:
    """The network of a configuration: one of the configuration classes, or the mapping `describe` made of it.

    A mapping names its network in `network`; an unknown network or key, or a setting of which nothing can be made,
    is a ModelError.
    """
    if not isinstance(config, Mapping):
        return _classes(_name_of(config))[0](config)
    made = configuration(dict(config))
    try:
        return _classes(_name_of(made))[0](made)
    except (ArithmeticError, RuntimeError, TypeError, ValueError) as error:  # text for a number, a negative width
        reason = " ".join(str(error).split())[:120]
        raise ModelError(
            f"no network can be made of the settings of {config['network']!r} ({reason})",
            hint="use the configuration that was saved with the weights",
        ) from error


def describe(config: Config) -> dict:
    """A configuration as a plain mapping that is saved with the weights; `build_network` reads it back."""
    return {"network": _name_of(config), **asdict(config)}


def check_weights(network: nn.Module, weights: Mapping[str, Tensor], source: object) -> None:
    """ModelError, naming `source`, that lists missing, unexpected and misshaped names."""
    expected = network.state_dict()
    problems = {
        "missing": [name for name in expected if name not in weights],
        "unexpected": [name for name in weights if name not in expected],
        "misshaped": [
            f"{name} {tuple(weights[name].shape)} instead of {tuple(value.shape)}"
            for name, value in expected.items()
            if name in weights and weights[name].shape != value.shape
        ],
    }
    if any(problems.values()):
        lines = [f"{kind}: {_some(names)}" for kind, names in problems.items() if names]
        raise ModelError(
            f"{source}: the weights do not fit {type(network).__name__}: {'; '.join(lines)}",
            hint="use the weights and the configuration that were saved together",
        )


def load_network(config: Config | Mapping[str, Any], weights: Mapping[str, Tensor], source: object) -> nn.Module:
    """The network of a configuration with these weights, strictly; float32, CPU, evaluation mode."""
    network = build_network(config)
    check_weights(network, weights, source)
    network.load_state_dict(dict(weights))
    return network.eval()


def _some(names: list[str], limit: int = 5) -> str:
    """The first few names, and how many more there are."""
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")


def _classes(name: str | None) -> tuple[type, type]:
    """Network and configuration class of a registered name."""
    if name is None or name not in NETWORKS:
        raise ModelError(f"unknown network {name!r}", hint="choose one of " + ", ".join(NETWORKS))
    module, network, config = NETWORKS[name]
    home = import_module(f"vibe_cli.networks.{module}")
    return getattr(home, network), getattr(home, config)


def _name_of(config: Config) -> str:
    """The registered name of a configuration object."""
    for name, (_, _, config_class) in NETWORKS.items():
        if type(config).__name__ == config_class:
            return name
    raise ModelError(
        f"{type(config).__name__} is no network's configuration",
        hint="choose one of " + ", ".join(row[2] for row in NETWORKS.values()),
    )


def configuration(values: dict[str, Any]) -> Config:
    """A mapping that names its network → its configuration; an unknown key is a ModelError."""
    name = values.pop("network", None)
    _, config_class = _classes(name)
    unknown = sorted(set(values) - {field.name for field in fields(config_class)})
    if unknown:
        raise ModelError(
            f"unknown {name} settings: {', '.join(unknown)}",
            hint="known: " + ", ".join(field.name for field in fields(config_class)),
        )
    return config_class(**values)
