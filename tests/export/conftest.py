"""What the writers' tests write: two people in motion, as a result and as a finished run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.people import make_moving_result
from vibe_cli.results import Result


@pytest.fixture(scope="module")
def result() -> Result:
    """Two people who move in every joint, the second from the clip's third frame on; frames at odd times."""
    return make_moving_result()


@pytest.fixture
def run(result: Result, home: Path) -> Path:
    """The folder of a run that made the result."""
    (home / "run").mkdir()
    result.save(home / "run" / "result.npz")
    return home / "run"
