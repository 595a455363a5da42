"""What a file is called does nothing to the terminal, whatever the command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.helpers.tiny import TinyChoice, install_model, make_walk
from vibe_cli.paths import printable

HOSTILE = "\x1b]0;owned\x07\x1b[31m\u202egpj.\nx"
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]")


def test_escapes_are_written_out_and_letters_stay() -> None:
    assert printable(HOSTILE) == r"\x1b]0;owned\x07\x1b[31m\u202egpj.\nx"
    assert printable("мой танец 日本 👩\u200d🎤 \\x1b") == "мой танец 日本 👩\u200d🎤 \\x1b"
    assert printable("odd \udcff byte\x85") == r"odd \udcff byte\x85"


def test_no_command_lets_a_name_reach_the_terminal(vibe, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_model(home / ".vibe" / "models")
    monkeypatch.setattr("vibe_cli.cli.run_options.ModelChoice", TinyChoice)
    clip = make_walk(home / f"{HOSTILE}.mp4", frames=4)
    folder = home / "output" / HOSTILE
    for command in (
        ("demo", clip, "--model", "tiny", "--device", "cpu"),
        ("demo", home / f"missing{HOSTILE}"),
        ("export", folder, "--format", "npz"),
        ("render", folder, "--style", "plain"),
        ("info", folder),
        ("info", clip),
        ("batch", home, "--dry-run", "--model", "tiny"),
    ):
        answer = vibe(*command)
        assert answer.code in (0, 3) and answer.out + answer.err, command
        assert not CONTROL.search(answer.out + answer.err) and "\\x1b[31m" in answer.out + answer.err, command


def test_every_word_of_a_command_passes_through_echo() -> None:
    package = Path(__file__).resolve().parents[2] / "vibe_cli" / "cli"
    assert [path.name for path in package.glob("*.py") if "click.echo" in path.read_text("utf-8")] == ["words.py"]
