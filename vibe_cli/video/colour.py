"""High dynamic range and wide colour to what an ordinary screen shows: the maths, and a table of it for ffmpeg.

Sources: ITU-R BT.2100 (PQ and HLG), BT.2020, BT.709, BT.1886 (a screen's gamma of 2.4), BT.2408 (white at 203 cd/m²).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

WHITE = 203.0  # cd/m² of a white that is no highlight
GAMMA = 2.4  # of the screen that the pictures are made for
KNEE = 0.9  # of full brightness in code values; above it highlights are pressed together
TABLE = 33  # points a side of the table
# Linear light of these primaries (rows: red, green, blue of BT.709).
_TO_BT709 = {
    "bt2020": ((1.660491, -0.587641, -0.072850), (-0.124550, 1.132900, -0.008349), (-0.018151, -0.100579, 1.118730)),
    "smpte432": ((1.224940, -0.224940, 0.0), (-0.042057, 1.042057, 0.0), (-0.019638, -0.078636, 1.098274)),
}
# The numbers of ITU-T H.273, as pictures carry them.
_PRIMARIES = {9: "bt2020", 12: "smpte432"}
_TRANSFERS = {16: "smpte2084", 18: "arib-std-b67"}


@dataclass(frozen=True)
class Colour:
    """How code values stand for light, in ffmpeg's names."""

    primaries: str = "bt709"
    transfer: str = "bt709"

    @classmethod
    def of_numbers(cls, primaries: int, transfer: int) -> Colour:
        """From the numbers of ITU-T H.273."""
        return cls(_PRIMARIES.get(primaries, "bt709"), _TRANSFERS.get(transfer, "bt709"))

    @property
    def is_ordinary(self) -> bool:
        """Whether the code values are what an ordinary screen shows."""
        return self.primaries not in _TO_BT709 and self.transfer not in _TRANSFERS.values()


def displayed(values: np.ndarray, colour: Colour) -> np.ndarray:
    """Code values (…, 3) 0..1 of a colour → those of an ordinary screen with the same look, 0..1."""
    light = _light(values, colour.transfer)
    if colour.primaries in _TO_BT709:
        light = light @ np.array(_TO_BT709[colour.primaries]).T
    code = np.maximum(light, 0) ** (1 / GAMMA)
    if colour.transfer in _TRANSFERS.values():
        over = np.maximum(code - KNEE, 0) / (1 - KNEE)
        code = np.where(code > KNEE, KNEE + (1 - KNEE) * (1 - np.exp(-over)), code)
    return np.clip(code, 0, 1)


def _light(values: np.ndarray, transfer: str) -> np.ndarray:
    """Linear light as it leaves the screen, 1 at white."""
    values = np.clip(np.asarray(values, np.float64), 0, 1)
    if transfer == "smpte2084":
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        power = values ** (1 / m2)
        return 10_000 / WHITE * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    if transfer == "arib-std-b67":
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(values <= 0.5, values**2 / 3, (np.exp((values - c) / a) + b) / 12)
        luminance = scene @ np.array([0.2627, 0.6780, 0.0593])
        return 1000 / WHITE * scene * np.maximum(luminance, 1e-9)[..., None] ** 0.2
    return values**GAMMA


def shown(picture: np.ndarray, colour: Colour) -> np.ndarray:
    """A picture (H, W, 3) uint8 of a colour as an ordinary screen shows it, uint8."""
    if colour.is_ordinary:
        return picture
    rows = [np.round(displayed(row / 255.0, colour) * 255) for row in picture]
    return np.array(rows, np.uint8)


def write_table(path: Path, colour: Colour) -> None:
    """Write `displayed` as a .cube file for ffmpeg's lut3d; red changes fastest in it."""
    axis = np.linspace(0, 1, TABLE)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
    rows = displayed(np.stack([red, green, blue], axis=-1).reshape(-1, 3), colour)
    lines = [f"LUT_3D_SIZE {TABLE}", *(f"{r:.6f} {g:.6f} {b:.6f}" for r, g, b in rows)]
    path.write_text("\n".join(lines) + "\n", "ascii")
