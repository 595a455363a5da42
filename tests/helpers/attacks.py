"""Files made to do harm: what writes each of them, by name."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import torch

from tests.helpers.attack_streams import STREAMS
from tests.helpers.bodies import smpl_arrays, write_official_pickle
from tests.helpers.official_files import zeros_of

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
    call = (
        b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n(cposix\nsystem\ncposix\nsystem\nX\x0a\0\0\0touch mark\x85}tR."
    )
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


for _name, _stream in STREAMS.items():
    ATTACKS[_name] = lambda path, stream=_stream: path.write_bytes(stream)


@attack
def joblib_array_of_terabytes(path: Path) -> None:
    joblib.dump({1: {"pose": np.zeros(70_001), "betas": np.zeros(1), "frame_ids": np.zeros(1)}}, path, protocol=4)
    path.write_bytes(path.read_bytes().replace(b"J\x71\x11\x01\x00", b"J\xff\xff\xff\x7f"))


@attack
def joblib_array_of_objects(path: Path) -> None:
    joblib.dump({1: np.array([Shell()], dtype=object)}, path)


@attack
def array_header_that_is_code(path: Path) -> None:
    head = b"{'descr': __import__('os').system('touch mark'), 'shape': (1,)}\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head)


@attack
def safetensors_that_overlap(path: Path) -> None:
    header = json.dumps(
        {name: {"dtype": "F32", "shape": [2], "data_offsets": [at, at + 8]} for name, at in (("a", 0), ("b", 4))}
    ).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 12)


def checkpoint_with(path: Path, *members: tuple[str, bytes]) -> None:
    """A good checkpoint and more members before and after its own; `{}` stands for its folder."""
    torch.save({"model": {"a": torch.zeros(2)}}, path)
    with zipfile.ZipFile(path) as old:
        good = {name: old.read(name) for name in old.namelist()}
    root = next(iter(good)).partition("/")[0]
    with zipfile.ZipFile(path, "w") as new:
        for name, data in (*good.items(), *((name.format(root), data) for name, data in members)):
            new.writestr(name, data)


@attack
def second_pickle_in_capitals(path: Path) -> None:
    """torch finds members whatever their case, and takes this one."""
    checkpoint_with(path, ("{}/DATA.PKL", STREAMS["global_of_protocol_0"]))


@attack
def second_pickle_in_another_folder(path: Path) -> None:
    checkpoint_with(path, ("{}/x/data.pkl", STREAMS["global_of_protocol_0"]))


@attack
def torchscript_program(path: Path) -> None:
    checkpoint_with(path, ("{}/constants.pkl", STREAMS["global_of_protocol_0"]), ("{}/code/__torch__.py", b"import os"))


@attack
def archive_of_40_000_members(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(40_000):
            archive.writestr(f"{number}.npy", b"")


@attack
def archive_member_that_is_a_link(path: Path) -> None:
    link = zipfile.ZipInfo("pose.npy")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc/passwd")


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
