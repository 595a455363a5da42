"""`vibe` with the tiny model and a detector that may do anything: python -m tests.helpers.batch_program batch …"""

from __future__ import annotations

import sys
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]


def command(*args: object) -> list[str]:
    """The command line of this program."""
    return [sys.executable, "-m", "tests.helpers.batch_program", *map(str, args)]


if __name__ == "__main__":
    from tests.helpers.faulty import FaultyChoice
    from vibe_cli.cli import main

    with mock.patch("vibe_cli.cli.run_options.ModelChoice", FaultyChoice):
        sys.exit(main())
