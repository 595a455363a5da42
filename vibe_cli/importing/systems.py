"""The published temporal systems, by the names that `--model` takes beside those of the zoo."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class System:
    """A published system and whose weights may stand behind its name."""

    title: str  # its name and paper
    shipped: str  # the open model of its network, where the zoo has one
    official: str | None = None  # kind of the published checkpoint that can be imported (checkpoints.KINDS)
    where: str | None = None  # and where that comes from


VIBE_DATA = "VIBE's data archive, github.com/mkocabas/VIBE"
TCMR_DATA = "github.com/hongsukchoi/TCMR_RELEASE"
SYSTEMS = {
    "vibe": System("VIBE (Kocabas et al. 2020)", "open-vibe", "vibe", VIBE_DATA),
    "tcmr": System("TCMR (Choi et al. 2021)", "open-tcmr", "tcmr", TCMR_DATA),
    "dts-vibe": System("DTS-VIBE (Li et al. 2021)", "open-dts-vibe"),
    "sps-net": System("SPS-Net (Chen et al. 2021)", "open-sps-net"),
}
