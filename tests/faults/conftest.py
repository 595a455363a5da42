"""The campaign's table: a row a case, printed at the end of make test-faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.faulty import FaultyChoice
from tests.helpers.tiny import install_model

ROWS: list[tuple[str, str]] = []


@pytest.fixture
def row() -> Callable[[str, str], None]:
    """Adds a case and what came of it to the table."""
    return lambda case, result: ROWS.append((case, result))


@pytest.fixture
def faulty(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory with the tiny model, and that model in every batch."""
    install_model(home / ".vibe" / "models")
    monkeypatch.setattr("vibe_cli.cli.run_options.ModelChoice", FaultyChoice)
    yield home


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    for case, result in ROWS:
        terminalreporter.write_line(f"{case:<48} {result}")
