"""`python -m vibe_cli.cli` is `vibe`."""

import sys

from vibe_cli.cli import main

sys.exit(main())
