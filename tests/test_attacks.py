"""Files made to do harm, given to the real commands: each is refused by name, and nothing of it happens."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from bodies import smpl_arrays, write_official_pickle
from official_files import zeros_of

from vibe_cli.body import load_body
from vibe_cli.errors import ModelError
from vibe_cli.safe_read import read_pickle

TERA = 2**40
ATTACKS: dict[str, Callable[[Path], None]] = {}
MARK = "mark"  # the file that an attack leaves where it succeeds; relative, so that every test has its own


def attack(function: Callable[[Path], None]) -> Callable[[Path], None]:
    """Register what writes a harmful file."""
    ATTACKS[function.__name__] = function
    return function


class Shell:
    """Unpickled, it runs a command."""

    def __reduce__(self):
        return os.system, (f"echo broken > {MARK}",)


class Code:
    """Unpickled, it runs Python."""

    def __reduce__(self):
        return exec, (f"open({MARK!r}, 'w').close()",)


class Getattr:
    """Unpickled, it reaches from an admitted object to any attribute."""

    def __reduce__(self):
        return getattr, (np.dtype("f4"), "newbyteorder")


class Import:
    """Unpickled, it imports a module and gets at a function of it by name."""

    def __reduce__(self):
        return getattr, (Module(), "system")


class Module:
    """The module os."""

    def __reduce__(self):
        return __import__, ("os",)


def legacy(content: object, path: Path) -> None:
    """A checkpoint as torch wrote it before version 1.6."""
    torch.save(content, path, _use_new_zipfile_serialization=False)


def repack(path: Path, change: Callable[[str, bytes], bytes]) -> None:
    """Write a zip anew, each member through `change`."""
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w") as new:
        for name, data in members.items():
            new.writestr(name, change(name, data))


def array_header(shape: tuple[int, ...]) -> bytes:
    """The head of an .npy of float64."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return stream.getvalue()


@attack
def command_in_a_checkpoint(path: Path) -> None:
    torch.save({"gen_state_dict": zeros_of("regressor"), "epoch": Shell()}, path)


@attack
def command_in_an_old_checkpoint(path: Path) -> None:
    legacy({"gen_state_dict": {"encoder.gru.bias_ih_l0": Shell()}}, path)


@attack
def code_in_a_checkpoint(path: Path) -> None:
    torch.save({"model": [{"deep": (Code(),)}]}, path)


@attack
def getattr_in_a_checkpoint(path: Path) -> None:
    torch.save({"model": {"conv1.weight": torch.zeros(2), "x": Getattr()}}, path)


@attack
def import_in_an_old_checkpoint(path: Path) -> None:
    legacy({"model": Import()}, path)


@attack
def tensor_of_a_type_that_runs_code(path: Path) -> None:
    torch.save({"model": {"a": torch.zeros(2)}}, path)
    call = (b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n(cposix\nsystem\ncposix\nsystem\n"
            b"X\x0a\0\0\0touch mark\x85}tR.")
    repack(path, lambda name, data: call if name.endswith("data.pkl") else data)


@attack
def dotted_name_in_a_checkpoint(path: Path) -> None:
    torch.save({"model": {"a": torch.zeros(2)}}, path)
    text = b"".join(b"\x8c" + bytes([len(part)]) + part for part in (b"torch", b"serialization.os.system"))
    call = b"\x80\x04" + text + b"\x93\x8c\x0atouch mark\x85R."
    repack(path, lambda name, data: call if name.endswith("data.pkl") else data)


@attack
def command_in_a_body(path: Path) -> None:
    write_official_pickle(path, smpl_arrays(faces=10) | {"bs_style": Shell()})


@attack
def getattr_in_a_body(path: Path) -> None:
    path.write_bytes(pickle.dumps({"v_template": Getattr(), "shapedirs": 0, "posedirs": 0}, protocol=2))


@attack
def import_in_a_body(path: Path) -> None:
    path.write_bytes(pickle.dumps({"v_template": Import(), "shapedirs": 0, "posedirs": 0}, protocol=4))


@attack
def command_in_a_body_of_objects(path: Path) -> None:
    with open(path, "wb") as file:
        np.savez(file, v_template=np.array([Shell()], dtype=object), shapedirs=np.zeros(1), posedirs=np.zeros(1))


@attack
def command_in_joblib(path: Path) -> None:
    joblib.dump({1: {"pose": Shell()}}, path)


@attack
def command_beside_arrays_in_joblib(path: Path) -> None:
    joblib.dump({"v_template": np.zeros((6890, 3)), "f": Shell()}, path)


@attack
def command_in_compressed_joblib(path: Path) -> None:
    joblib.dump({"v_template": Shell()}, path, compress=("gzip", 3))


@attack
def array_of_terabytes(path: Path) -> None:
    path.write_bytes(array_header((9, TERA)) + b"\0" * 64)


@attack
def arrays_of_terabytes(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("pose", "shape", "cam"):
            archive.writestr(f"{name}.npy", array_header((TERA,)) + b"\0" * 64)


@attack
def result_of_terabytes(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("header", "times"):
            archive.writestr(f"{name}.npy", array_header((TERA,)) + b"\0" * 64)


@attack
def archive_that_claims_terabytes(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("pose.npy", array_header((TERA // 8,)) + b"\0" * 64)
        archive.filelist[0].file_size = archive.filelist[0].compress_size = TERA + 128


@attack
def checkpoint_that_claims_terabytes(path: Path) -> None:
    """The pickle's count and the archive's directory agree, and both lie."""
    real, claimed = struct.pack("<I", 70_001), struct.pack("<I", 2**31 - 1)
    torch.save({"model": {"conv1.weight": torch.zeros(70_001), "decpose.weight": torch.zeros(1)}}, path)
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data.replace(real, claimed) if name.endswith("data.pkl") else data)
            if name.endswith("data/0"):
                archive.filelist[-1].file_size = archive.filelist[-1].compress_size = 4 * (2**31 - 1)


@attack
def old_checkpoint_that_claims_gigabytes(path: Path) -> None:
    legacy({"model": {"conv1.weight": torch.zeros(70_001)}}, path)
    data = path.read_bytes().replace(struct.pack("<I", 70_001), struct.pack("<I", 2**31 - 1))
    path.write_bytes(data)


@attack
def tensor_larger_than_its_numbers(path: Path) -> None:
    torch.save({"model": {"conv1.weight": torch.zeros(1).expand(TERA, 7), "decpose.weight": torch.zeros(1)}}, path)


@attack
def checkpoint_of_zeros_compressed(path: Path) -> None:
    torch.save({"model": {"conv1.weight": torch.zeros(2**20), "decpose.weight": torch.zeros(1)}}, path)
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, data in members.items():
            new.writestr(name, data)


@attack
def safetensors_header_of_terabytes(path: Path) -> None:
    path.write_bytes(struct.pack("<Q", TERA) + b"{" + b" " * 100)


@attack
def safetensors_tensor_of_terabytes(path: Path) -> None:
    header = json.dumps({"v_template": {"dtype": "F32", "shape": [TERA // 4], "data_offsets": [0, TERA]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 64)


@attack
def archive_member_outside(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"../../{MARK}.npy", array_header((8,)) + b"\0" * 64)


@attack
def archive_member_at_the_root(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"/tmp/{MARK}.npy", array_header((8,)) + b"\0" * 64)


@attack
def checkpoint_member_outside(path: Path) -> None:
    torch.save({"model": {"a": torch.zeros(2)}}, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"../{MARK}", b"x")


@attack
def checkpoint_cut_off(path: Path) -> None:
    torch.save({"gen_state_dict": zeros_of("regressor")}, path)
    path.write_bytes(path.read_bytes()[:-1000])


@attack
def old_checkpoint_cut_off(path: Path) -> None:
    legacy({"gen_state_dict": zeros_of("regressor")}, path)
    path.write_bytes(path.read_bytes()[:-1000])


@attack
def body_cut_off(path: Path) -> None:
    write_official_pickle(path, smpl_arrays(faces=10))
    path.write_bytes(path.read_bytes()[:-100_000])


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


@pytest.mark.parametrize(("name", "asked"), [
    ("command_in_a_checkpoint", "system"), ("command_in_an_old_checkpoint", "system"),
    ("code_in_a_checkpoint", "__builtin__.exec"), ("getattr_in_a_checkpoint", "__builtin__.getattr"),
    ("dotted_name_in_a_checkpoint", "torch.serialization.os.system"), ("command_in_a_body", "system"),
    ("getattr_in_a_body", "__builtin__.getattr"), ("command_in_joblib", "system"),
    ("import_in_a_body", "builtins.getattr"), ("command_in_a_body_of_objects", "system")])
def test_what_a_file_asked_for_is_named(name: str, asked: str, vibe, place: Path) -> None:
    ATTACKS[name](place / "evil")
    answer = vibe("models", "import", "evil")
    assert "refused, the file asks for " in answer.lines[0] and asked in answer.lines[0]


def test_the_attacks_would_work_on_a_reader_that_trusts(place: Path) -> None:
    """Otherwise the tests above would prove nothing."""
    for name in ("command_in_a_checkpoint", "command_in_an_old_checkpoint", "code_in_a_checkpoint",
                 "dotted_name_in_a_checkpoint", "tensor_of_a_type_that_runs_code", "command_in_joblib"):
        ATTACKS[name](place / "evil")
        try:
            joblib.load(place / "evil") if "joblib" in name else torch.load(place / "evil", weights_only=False)
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
