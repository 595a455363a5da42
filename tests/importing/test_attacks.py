"""Files made to do harm, given to the real commands: each is refused by name, and nothing of it happens."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch

from tests.helpers.attack_streams import STREAMS
from tests.helpers.attacks import ATTACKS, MARK
from vibe_cli.body.body_models import load_body
from vibe_cli.errors import ModelError
from vibe_cli.importing.safe_read import read_pickle


@pytest.fixture
def place(home: Path) -> Path:
    """The working directory, two folders deep, so that `../..` would be seen."""
    deep = home / "a" / "b"
    deep.mkdir(parents=True)
    os.chdir(deep)
    return deep


def everything(home: Path) -> set[str]:
    """All files under the test's folder."""
    return {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_by_name_and_leaves_nothing(name: str, vibe, home: Path, place: Path) -> None:
    ATTACKS[name](place / f"{name}.bin")
    before = everything(home)
    answer = vibe("models", "import", f"{name}.bin")
    assert answer.code == 4 and len(answer.lines) == 2, answer.err
    assert answer.lines[0].startswith(f"error: {name}.bin: ") and answer.lines[1].startswith("hint: ")
    told = vibe("info", f"{name}.bin")
    assert told.code in (3, 4) and len(told.lines) == 2 and f"{name}.bin: " in told.lines[0], told.err
    with pytest.raises(ModelError, match=f"{name}.bin"):
        load_body(f"{name}.bin")
    assert everything(home) == before and not Path(f"/tmp/{MARK}.npy").exists()
    assert not (home / ".vibe").exists(), "not even an empty folder"


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("command_in_a_checkpoint", "system"),
        ("command_in_an_old_checkpoint", "system"),
        ("code_in_a_checkpoint", "__builtin__.exec"),
        ("getattr_in_a_checkpoint", "__builtin__.getattr"),
        ("dotted_name_in_a_checkpoint", "torch.serialization.os.system"),
        ("command_in_a_body", "system"),
        ("getattr_in_a_body", "__builtin__.getattr"),
        ("command_in_joblib", "system"),
        ("import_in_a_body", "builtins.getattr"),
        ("command_in_a_body_of_objects", "system"),
        ("inst", "os.system"),
        ("obj", "os.system"),
        ("newobj_ex", "posix.system"),
        ("stack_global_out_of_the_memo", "posix.system"),
        ("load_from_bytes", "torch.storage._load_from_bytes"),
    ],
)
def test_what_a_file_asked_for_is_named(name: str, asked: str, vibe, place: Path) -> None:
    ATTACKS[name](place / "evil")
    answer = vibe("models", "import", "evil")
    assert "refused, the file asks for " in answer.lines[0] and asked in answer.lines[0]


def test_the_attacks_would_work_on_a_reader_that_trusts(place: Path) -> None:
    """Otherwise the tests above would prove nothing."""
    for name in (
        "command_in_a_checkpoint",
        "command_in_an_old_checkpoint",
        "code_in_a_checkpoint",
        "dotted_name_in_a_checkpoint",
        "tensor_of_a_type_that_runs_code",
        "command_in_joblib",
        "global_of_protocol_0",
        "inst",
        "obj",
        "stack_global_out_of_the_memo",
        "joblib_array_of_objects",
        "second_pickle_in_capitals",
    ):
        ATTACKS[name](place / "evil")
        try:
            if "joblib" in name:
                joblib.load(place / "evil")
            elif name in STREAMS:
                pickle.loads(STREAMS[name])
            else:
                torch.load(place / "evil", weights_only=False)
        except Exception:  # after the command has run, what it gave is no checkpoint
            pass
        assert (place / MARK).exists(), name
        (place / MARK).unlink()


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak of memory cannot be reset here")
def test_attacks_take_no_memory(vibe, place: Path) -> None:
    names = [name for name in ATTACKS if "bytes" in name or "compressed" in name or "larger" in name]
    assert len(names) > 6
    for name in names:
        ATTACKS[name](place / name)
    Path("/proc/self/clear_refs").write_text("5")
    before = memory("VmRSS")
    assert vibe("models", "import", *names).code == 4
    assert memory("VmHWM") - before < 100e6


def memory(what: str) -> float:
    """A figure of this process's memory, bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024.0 * int(next(line for line in lines if line.startswith(what)).split()[1])


def test_references_that_double_forty_times_are_resolved_once(place: Path) -> None:
    """Arrays of objects that hold the one before twice: read naively, 2^40 arrays."""
    array = np.array([1.5, 2.5], dtype=object)
    for _ in range(40):
        outer = np.empty(2, dtype=object)
        outer[0] = outer[1] = array
        array = outer
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10_000)
    try:
        (place / "laughs.pkl").write_bytes(pickle.dumps({"v_template": array}, protocol=2))
    finally:
        sys.setrecursionlimit(limit)
    content = read_pickle(place / "laughs.pkl")["v_template"]
    assert content[0] is content[1]


def test_a_good_file_among_attacks_is_imported(vibe, home: Path, place: Path) -> None:
    names = ["command_in_a_body", "array_of_terabytes", "archive_member_outside"]
    for name in names:
        ATTACKS[name](place / name)
    np.save(place / "good.npy", np.zeros((9, 6890)))
    answer = vibe("models", "import", names[0], "good.npy", *names[1:])
    assert answer.code == 4 and len(answer.lines) == 6 and not (place / MARK).exists()
    assert [path.name for path in (home / ".vibe" / "models").iterdir()] == ["joints-extra"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system here")
def test_a_pipe_is_not_waited_for(vibe, place: Path) -> None:
    os.mkfifo(place / "pipe")
    for answer in (vibe("models", "import", "pipe"), vibe("info", "pipe")):
        assert answer.code == 4 and "pipe: not a file but a pipe or a device" in answer.lines[0]
