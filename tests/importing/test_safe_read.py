"""Facts about reading other people's files: what is right is read, the rest is refused by name."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.bodies import smpl_arrays, write_official_pickle
from vibe_cli.errors import ModelError
from vibe_cli.importing.safe_pickle import Record
from vibe_cli.importing.safe_read import read_checkpoint, read_npy, read_npz, read_pickle, read_safetensors, sniff


class Attack:
    """Unpickled, it runs a command that leaves a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"echo broken > {self.mark}",)


class Sneaky:
    """Unpickled, it asks for any global, hidden in a state."""

    def __reduce__(self):
        return np.ndarray.tolist, (np.zeros(2),)


def write_legacy(content: object, path: Path) -> None:
    """A checkpoint as torch wrote it before version 1.6."""
    torch.save(content, path, _use_new_zipfile_serialization=False)


def repack(source: Path, target: Path, change, compress=zipfile.ZIP_STORED) -> None:
    """Copy a zip, each member (name, bytes) through `change`."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compress) as new:
        for info in old.infolist():
            new.writestr(*change(info.filename, old.read(info)))


CHECKPOINT = {
    "epoch": 7,
    "performance": np.float64(51.9),
    "name": "a model",
    "model": OrderedDict(a=torch.arange(6, dtype=torch.float32).reshape(2, 3).T, b=torch.tensor([1, 2])),
    "optimizer": {
        "state": {0: {"step": 3, "exp_avg": torch.ones(4)}},
        "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.999)}],
    },
}


@pytest.mark.parametrize("write", [torch.save, write_legacy], ids=["zip", "legacy"])
def test_a_checkpoint_with_a_numpy_score_is_read_whole(tmp_path, write):
    path = tmp_path / "checkpoint"
    write(CHECKPOINT, path)
    assert sniff(path) == "torch"
    content = read_checkpoint(path)
    assert content["performance"] == 51.9 and content["epoch"] == 7 and content["name"] == "a model"
    assert torch.equal(content["model"]["a"], CHECKPOINT["model"]["a"])
    assert content["model"]["b"].dtype == torch.int64
    assert content["optimizer"]["param_groups"][0]["betas"] == (0.9, 0.999)
    assert set(torch.serialization.get_safe_globals()).isdisjoint(Record.__subclasses__())  # nothing stays


@pytest.mark.parametrize("write", [torch.save, write_legacy], ids=["zip", "legacy"])
def test_weights_that_share_one_storage_are_read(tmp_path, write):
    flat = torch.arange(10, dtype=torch.float32)  # as cuDNN flattens a GRU's weights
    write({"model": {"a": flat[:4].view(2, 2), "b": flat[4:]}}, tmp_path / "c.pt")
    model = read_checkpoint(tmp_path / "c.pt")["model"]
    assert model["a"].tolist() == [[0, 1], [2, 3]] and model["b"].tolist() == [4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize("write", [torch.save, write_legacy], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    "bury", [lambda a: a, lambda a: {"w": torch.zeros(2), "epoch": [{"deep": (a,)}]}], ids=["whole", "nested"]
)
def test_a_checkpoint_that_runs_a_command_is_refused_by_name(tmp_path, write, bury):
    write(bury(Attack(tmp_path / "mark")), tmp_path / "evil.pth.tar")
    with pytest.raises(ModelError, match=r"refused, the file asks for (posix|nt)\.system"):
        read_checkpoint(tmp_path / "evil.pth.tar")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_body_pickle_that_runs_a_command_is_refused_by_name(tmp_path, protocol):
    content = {"v_template": np.zeros(3), "extra": [Attack(tmp_path / "mark")]}
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
    with pytest.raises(ModelError, match=r"refused, the file asks for (posix|nt)\.system"):
        read_pickle(tmp_path / "evil.pkl")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    "module, name",
    [
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("numpy", "load"),
        ("numpy.core.multiarray", "fromfile"),
        ("numpy", "core.os.system"),
        ("scipy.sparse", "load_npz"),
        ("scipy.sparse.csc", "os.system"),
        ("torch", "load"),
        ("torch.hub", "load"),
        ("pickle", "loads"),
        ("chumpy", ""),
        ("functools", "partial"),
    ],
)
def test_any_global_beyond_the_list_is_refused(tmp_path, module, name):
    stack = b"\x80\x04" + pickle_text(module) + pickle_text(name) + b"\x93."
    (tmp_path / "g.pkl").write_bytes(stack)
    with pytest.raises(ModelError, match="refused, the file asks for"):
        read_pickle(tmp_path / "g.pkl")


def pickle_text(text: str) -> bytes:
    """SHORT_BINUNICODE."""
    return b"\x8c" + bytes([len(text)]) + text.encode()


def test_a_global_hidden_in_an_array_of_objects_is_refused(tmp_path):
    hidden = np.array([Attack(tmp_path / "mark")], dtype=object)
    np.savez(tmp_path / "evil.npz", v_template=np.zeros(3), f=hidden)
    np.save(tmp_path / "evil.npy", np.array([Sneaky()], dtype=object))
    with pytest.raises(ModelError, match=r"\.system"):
        read_npz(tmp_path / "evil.npz")
    with pytest.raises(ModelError, match="refused"):
        read_npy(tmp_path / "evil.npy")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_an_official_body_pickle_reads_without_chumpy(tmp_path, protocol):
    arrays = smpl_arrays()
    write_official_pickle(tmp_path / "body.pkl", arrays, protocol)
    assert sniff(tmp_path / "body.pkl") == "pickle"
    content = read_pickle(tmp_path / "body.pkl")
    assert content.keys() == arrays.keys()
    for name, value in arrays.items():
        assert np.array_equal(content[name], value), name


def test_a_pickle_of_python_2_reads(tmp_path):
    """Written by hand as Python 2 did: byte strings, numpy.core, copy_reg, big-endian numbers."""
    raw = np.array([1.5, -2.0], dtype=">f8").tobytes()
    stream = (
        b"\x80\x02}U\x01acnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01>NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
        b"K\x00tb\x89U" + bytes([len(raw)]) + raw + b"tbs."
    )
    (tmp_path / "two.pkl").write_bytes(stream)
    assert read_pickle(tmp_path / "two.pkl")["a"].tolist() == [1.5, -2.0]


def test_an_array_header_of_a_terabyte_is_refused_before_anything_is_allocated(tmp_path):
    header = io.BytesIO()
    claim = {"descr": "<f8", "fortran_order": False, "shape": (10**6, 10**6)}
    np.lib.format.write_array_header_1_0(header, claim)
    (tmp_path / "bomb.npy").write_bytes(header.getvalue() + b"\0" * 64)
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pose.npy", header.getvalue() + b"\0" * 64)
    for path, read in ((tmp_path / "bomb.npy", read_npy), (tmp_path / "bomb.npz", read_npz)):
        with pytest.raises(ModelError, match="announces 8000000000000 bytes, 64 are stored"):
            read(path)


def test_an_archive_that_unpacks_to_gigabytes_is_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "bomb.npz", a=np.zeros(2**20))
    assert os.path.getsize(tmp_path / "bomb.npz") < 2**16
    monkeypatch.setattr("vibe_cli.importing.safe_read.MAX_UNPACKED", 2**22)
    with pytest.raises(ModelError, match="refused, it unpacks to over"):
        read_npz(tmp_path / "bomb.npz")


def test_a_compressed_checkpoint_is_refused(tmp_path):
    torch.save({"model": {"a": torch.zeros(2**18)}}, tmp_path / "c.pt")
    repack(tmp_path / "c.pt", tmp_path / "bomb.pt", lambda *member: member, zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelError, match="compressed"):
        read_checkpoint(tmp_path / "bomb.pt")


def test_a_tensor_that_claims_more_than_its_storage_is_refused(tmp_path):
    torch.save({"model": {"a": torch.zeros(1).expand(10**6, 10**6)}}, tmp_path / "bomb.pt")
    with pytest.raises(ModelError, match=r"a tensor of size \(1000000, 1000000\) in 1 numbers"):
        read_checkpoint(tmp_path / "bomb.pt")


def test_a_storage_that_claims_more_than_the_file_is_refused(tmp_path):
    claimed, real = struct.pack("<I", 2**31 - 7), struct.pack("<I", 70_001)
    torch.save({"a": torch.zeros(70_001)}, tmp_path / "c.pt")
    repack(tmp_path / "c.pt", tmp_path / "zip.pt", lambda name, data: (name, data.replace(real, claimed)))
    write_legacy({"a": torch.zeros(70_001)}, tmp_path / "l.pt")
    (tmp_path / "legacy.pt").write_bytes((tmp_path / "l.pt").read_bytes().replace(real, claimed, 1))
    with pytest.raises(ModelError, match="storage 0 announces 8589934564 bytes"):
        read_checkpoint(tmp_path / "zip.pt")
    with pytest.raises(ModelError, match="8589934564 bytes of tensors announced"):
        read_checkpoint(tmp_path / "legacy.pt")


@pytest.mark.parametrize(
    "stream",
    [
        b"\x80\x02r\xff\xff\xff\x7f.",
        b"\x80\x04\x8e" + b"\xff" * 7 + b"\x0f.",
        b"\x80\x05\x96" + b"\xff" * 7 + b"\0.",
        b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b".",
    ],
    ids=["memo", "bytes", "bytearray", "deep"],
)
def test_a_pickle_that_claims_huge_lengths_is_refused(tmp_path, stream):
    (tmp_path / "bomb.pkl").write_bytes(stream)
    with pytest.raises(ModelError, match="damaged"):
        read_pickle(tmp_path / "bomb.pkl")


@pytest.mark.parametrize(
    "member", ["../../evil.npy", "/etc/evil.npy", "a/../../evil.npy", "..\\evil.npy", "C:evil.npy"]
)
def test_a_member_that_leaves_its_archive_is_refused_by_name(tmp_path, member):
    np.savez(tmp_path / "good.npz", a=np.zeros(2))
    repack(tmp_path / "good.npz", tmp_path / "evil.npz", lambda name, data: (member, data))
    with pytest.raises(ModelError, match="it holds a member named"):
        read_npz(tmp_path / "evil.npz")
    torch.save({"a": torch.zeros(2)}, tmp_path / "good.pt")
    with zipfile.ZipFile(tmp_path / "good.pt", "a") as archive:
        archive.writestr(member, b"x")
    with pytest.raises(ModelError, match="it holds a member named"):
        read_checkpoint(tmp_path / "good.pt")


def test_a_damaged_file_of_any_kind_is_one_model_error(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.arange(50.0))
    np.save(tmp_path / "a.npy", np.arange(50.0))
    torch.save({"a": torch.arange(50)}, tmp_path / "a.pt")
    write_legacy({"a": torch.arange(50)}, tmp_path / "b.pt")
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"a": np.arange(50.0)}, protocol=2))
    readers = {
        "a.npz": read_npz,
        "a.npy": read_npy,
        "a.pt": read_checkpoint,
        "b.pt": read_checkpoint,
        "a.pkl": read_pickle,
    }
    rng = np.random.default_rng(0)
    for name, read in readers.items():
        data = (tmp_path / name).read_bytes()
        for cut in (1, 10, len(data) // 2, len(data) - 1):
            (tmp_path / "cut").write_bytes(data[:cut])
            with pytest.raises(ModelError):
                read(tmp_path / "cut")
        for _ in range(25):  # random damage either goes unnoticed or is one clear error
            changed = bytearray(data)
            changed[rng.integers(len(data))] = rng.integers(256)
            (tmp_path / "cut").write_bytes(changed)
            try:
                read(tmp_path / "cut")
            except ModelError as error:
                assert str(tmp_path / "cut") in error.message and error.hint


def test_a_sparse_matrix_with_an_index_outside_is_refused(tmp_path):
    from scipy.sparse import csc_matrix

    matrix = csc_matrix(np.eye(3))
    matrix.indices[1] = 2**20
    (tmp_path / "s.pkl").write_bytes(pickle.dumps({"J_regressor": matrix}, protocol=2))
    with pytest.raises(ModelError, match="index outside"):
        read_pickle(tmp_path / "s.pkl")


@pytest.mark.parametrize("read", [read_npz, read_npy, read_checkpoint, read_pickle, read_safetensors])
def test_a_missing_or_empty_file_and_a_text_file_are_said(tmp_path, read):
    with pytest.raises(ModelError, match=str(tmp_path / "nothing")):
        read(tmp_path / "nothing")
    for content in (b"", b"this is no model\n"):
        (tmp_path / "text").write_bytes(content)
        with pytest.raises(ModelError, match="text"):
            read(tmp_path / "text")
