"""Fixtures of tests that run the program: in this process, in an empty folder, without a user's models."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vibe_cli.cli import main


class Answer:
    """Exit code and text of one run of the program."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err
        self.lines = err.splitlines()


@pytest.fixture
def vibe(capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Runs the program in this process: vibe("info", path)."""

    def run(*args: object) -> Answer:
        capsys.readouterr()
        code = main([os.fspath(arg) if isinstance(arg, Path) else str(arg) for arg in args])
        return Answer(code, *capsys.readouterr())

    return run


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory without a user's own models."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIBE_HOME", str(tmp_path / ".vibe"))
    return tmp_path
