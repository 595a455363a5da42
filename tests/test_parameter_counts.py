"""Our networks have as many parameters as the papers say of theirs."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

SCRIPT = SimpleNamespace(
    **runpy.run_path(str(Path(__file__).resolve().parent.parent / "benchmarks" / "parameter_counts.py"))
)
ROWS = {row.name: row for row in SCRIPT.PUBLISHED}


@pytest.mark.parametrize(
    "name, millions, within",
    [
        ("SPIN", 26.98, 0.005),
        ("VIBE", 48.30, 0.014),
        ("SPS-Net", 51.43, 0.005),
        ("SPS-Net without forecasting", 47.23, 0.005),
        ("SPS-Net without attention", 34.64, 0.007),
    ],
)
def test_counts_are_those_of_the_papers(name: str, millions: float, within: float) -> None:
    assert ROWS[name].published == millions
    assert ROWS[name].millions == pytest.approx(millions, abs=within)


@pytest.mark.parametrize(
    "name, count",
    [
        ("TCMR", 108_884_861),
        ("DTS-VIBE", 72_495_738),
        ("DTS-VIBE without flow", 47_938_618),
        ("SPS-Net, forecasting as its text", 55_627_130),
    ],
)
def test_counts_that_no_paper_gives_do_not_drift(name: str, count: int) -> None:
    assert round(ROWS[name].millions * 1e6) == count


def test_the_table_explains_every_difference(capsys: pytest.CaptureFixture[str]) -> None:
    SCRIPT.main()
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("open-vibe") for line in lines)
    for row in SCRIPT.PUBLISHED:
        (line,) = (line for line in lines if line.startswith(row.name + "  "))
        assert f"{row.millions:.2f}" in line and line.endswith(row.why)
        differs = row.published is not None and f"{row.millions:.2f}" != f"{row.published:.2f}"
        assert differs != row.why.startswith(("equal", "in no table")) or row.published is None
