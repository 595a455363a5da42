"""Files in parts: exact, in small pieces, and never joined wrongly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from vibe_cli.errors import InputError
from vibe_cli.training.parts import join_files, split_file


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "weights.pt"
    torch.save({"net": torch.arange(30_000, dtype=torch.float32), "steps": 7}, path)
    return path


def test_a_checkpoint_comes_back_to_the_bit_from_its_parts(checkpoint: Path, tmp_path: Path) -> None:
    listed, *parts = split_file(checkpoint, tmp_path / "parts", largest=50_000)
    assert len(parts) == 3 and all(part.stat().st_size <= 50_000 for part in parts)
    again = join_files(listed)
    assert again == tmp_path / "parts" / "weights.pt" and again.read_bytes() == checkpoint.read_bytes()
    assert torch.load(again, weights_only=True)["steps"] == 7


def test_a_part_is_smaller_than_16_megabytes(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(np.zeros(31_000_000, np.uint8).tobytes())
    assert max(part.stat().st_size for part in split_file(large)) < 16_000_000


@pytest.mark.parametrize("harm", ["missing", "short", "altered", "exchanged"])
def test_damaged_parts_are_named_and_nothing_is_written(checkpoint: Path, tmp_path: Path, harm: str) -> None:
    listed, *parts = split_file(checkpoint, tmp_path / "parts", largest=50_000)
    data = parts[1].read_bytes()
    if harm == "missing":
        parts[1].unlink()
    else:
        parts[1].write_bytes(
            {"short": data[:-1], "altered": bytes([data[0] ^ 1]) + data[1:], "exchanged": parts[0].read_bytes()}[harm]
        )
    with pytest.raises(InputError, match="weights.pt.part001"):
        join_files(listed)
    assert not (tmp_path / "parts" / "weights.pt").exists()
    assert not list(tmp_path.rglob("weights.pt.part"))


def test_parts_of_a_longer_file_do_not_stay(checkpoint: Path) -> None:
    assert len(split_file(checkpoint, largest=10_000)) > 10
    checkpoint.write_bytes(b"short")
    listed, *parts = split_file(checkpoint, largest=10_000)
    assert sorted(p for p in checkpoint.parent.glob("*.part[0-9]*")) == parts
    assert join_files(listed, checkpoint.parent / "again").read_bytes() == b"short"


def test_what_is_no_list_of_parts_is_refused(tmp_path: Path) -> None:
    for text in ("{}", "no json", '{"format": "vibe-parts", "file": "../x", "sha256": "", "parts": []}'):
        (tmp_path / "a.parts").write_text(text)
        with pytest.raises(InputError, match="not a list of parts"):
            join_files(tmp_path / "a.parts")
    with pytest.raises(InputError, match="cannot be read"):
        join_files(tmp_path / "none.parts")
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(InputError, match="empty"):
        split_file(tmp_path / "empty")
