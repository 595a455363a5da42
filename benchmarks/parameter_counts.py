"""Parameters of our networks beside those that the papers give, in millions.

usage: python benchmarks/parameter_counts.py

The table is SPS-Net's (Chen et al. 2021, Tables 1 and 3), which counts an image encoder with everything: a ResNet-50
and the regressor that SPIN trained it with, also where the network has a regressor of its own. DTS-VIBE's paper
gives no number. The open models are counted as they run, encoder included.
"""

from dataclasses import dataclass

import torch

from vibe_cli.networks import build_network
from vibe_cli.zoo.reader import encoder_of, list_models

ENCODER = ({"network": "backbone"}, {"network": "regressor"})


@dataclass(frozen=True)
class Row:
    """One network: what it is made of, what the paper gives it, and why that differs."""

    name: str
    networks: tuple[dict, ...]
    published: float | None
    why: str

    @property
    def millions(self) -> float:
        """How many parameters ours has, in millions."""
        with torch.device("meta"):
            return sum(p.numel() for config in self.networks for p in build_network(config).parameters()) / 1e6


PUBLISHED = (
    Row("SPIN", ENCODER, 26.98, "equal"),
    Row(
        "VIBE",
        (*ENCODER, {"network": "vibe"}),
        48.30,
        "0.01 M that the published weights do not have: ours are exactly their names and shapes",
    ),
    Row("TCMR", (*ENCODER, {"network": "tcmr"}), None, "in no table; ours are the published weights' names and shapes"),
    Row("DTS-VIBE", (*ENCODER, {"network": "dts_vibe"}), None, "in no table; two ResNet-50s"),
    Row("DTS-VIBE without flow", (*ENCODER, {"network": "dts_vibe", "flow": None}), None, "in no table"),
    Row(
        "SPS-Net",
        (*ENCODER, {"network": "sps_net"}),
        51.43,
        "equal: with 1024 between the forecasting layers (4.20 M) and three heads on HMR's layers (3.47 M)",
    ),
    Row("SPS-Net without forecasting", (*ENCODER, {"network": "sps_net", "forecasting": False}), 47.23, "equal"),
    Row(
        "SPS-Net without attention",
        (*ENCODER, {"network": "sps_net", "attention": False}),
        34.64,
        "the fusion's 2048 weights, which fall on the other side of rounding",
    ),
    Row(
        "SPS-Net, forecasting as its text",
        (*ENCODER, {"network": "sps_net", "forecast_hidden": 2048}),
        51.43,
        "the text's two layers of 2048 have 8.39 M, twice what the tables leave for them",
    ),
)


def open_models() -> list[Row]:
    """The temporal models of the zoo that say which encoder they read."""
    return [
        Row(entry.name, (encoder_of(entry).config["network"], entry.config["network"]), None, "ours")
        for entry in list_models()
        if {"encoder", "network"} <= set(entry.config)
    ]


def main() -> None:
    """Print the table."""
    print(f"{'':32} {'ours':>7} {'paper':>7}")
    for row in (*PUBLISHED, *open_models()):
        published = "" if row.published is None else f"{row.published:.2f}"
        print(f"{row.name:32} {row.millions:7.2f} {published:>7}  {row.why}")


if __name__ == "__main__":
    main()
