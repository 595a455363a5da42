"""Safe readers of other people's files: torch checkpoints, .npz, .npy, pickles and safetensors.

Every failure is a ModelError that names the file. Nothing is extracted to disk, nothing is unpickled beyond
the list in safe_pickle.py, and a size that a header claims is compared with the file's before it is believed.
"""

from __future__ import annotations

import math
import mmap
import os
import pickle
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, BinaryIO

import numpy as np

from vibe_cli.errors import ModelError
from vibe_cli.importing import safe_pickle
from vibe_cli.importing.safe_pickle import NUMPY_NAMES, InertUnpickler, Marker, Readable, Record, RecordT

if TYPE_CHECKING:
    from torch import Tensor

MAX_UNPACKED = 2**30  # bytes of a compressed archive; SMPL's largest file is a quarter of it
_MAX_PICKLE = 2**24  # bytes of a checkpoint's pickle, beside which the numbers lie; published ones have a thousandth
_MAX_MEMBERS = 2**15  # of a zip archive: results of a thousand people have a third of it
_AGAIN = "get the file again from its official page"
_TORCH_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # torch's number before version 1.6
_COMPRESSED = (b"\x1f\x8b", b"x\x01", b"x^", b"x\x9c", b"x\xda", b"BZh", b"\xfd7zXZ", b"]\0\0", b"\x04\x22M\x18")
_ITEM_SIZES = {
    "Double": 8,
    "Float": 4,
    "Half": 2,
    "BFloat16": 2,
    "Long": 8,
    "Int": 4,
    "Short": 2,
    "Char": 1,
    "Byte": 1,
    "Bool": 1,
}


def sniff(path: str | Path) -> str:
    """The container a file is by its first bytes: torch, npz, npy, safetensors, pickle, compressed or unknown."""
    with _open(path) as file:
        head = file.read(512)
    if head.startswith(b"PK"):
        return "torch" if any(name.endswith("/data.pkl") for name in _members(path)) else "npz"
    if head.startswith(_TORCH_MAGIC):
        return "torch"
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head[8:9] == b"{" and (
        int.from_bytes(head[:8], "little") < os.path.getsize(path) or Path(path).suffix == ".safetensors"
    ):
        return "safetensors"
    if head[:1] in (b"\x80", b"(", b"}", b"c", b"]"):
        return "pickle"
    return "compressed" if head.startswith(_COMPRESSED) else "unknown"


def read_pickle(path: str | Path) -> Any:
    """A pickle of arrays, numbers, text and containers (SMPL's .pkl, 3DPW's sequences), also as joblib writes it."""
    with _open(path) as file:
        if not os.path.getsize(path):
            raise ModelError(f"{path}: the file is empty", hint=_AGAIN)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            return safe_pickle.load_arrays(view, path, whole=True)


def read_npy(path: str | Path) -> np.ndarray:
    """One array; an array of objects is read by the allow-listing unpickler."""
    with _open(path) as file, _damage(path):
        return _read_array(file, os.path.getsize(path), path)


def read_npz(path: str | Path, dense: int = 0) -> dict[str, np.ndarray]:
    """All arrays of an .npz by name; one that unpacks to over 1 GiB and over `dense` times its size is refused."""
    with _damage(path):
        members = _members(path)
        most = max(MAX_UNPACKED, dense * os.path.getsize(path))
        if sum(info.file_size for info in members.values()) > most:
            raise ModelError(f"{path}: refused, it unpacks to over {most >> 30} GiB", hint=_AGAIN)
        with zipfile.ZipFile(path) as archive:
            arrays = {}
            for name, info in members.items():
                with archive.open(info) as stream:
                    arrays[name.removesuffix(".npy")] = _read_array(stream, info.file_size, path)
            return arrays


def read_safetensors(path: str | Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file by name, on the CPU."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    _open(path).close()
    try:
        return load_file(str(path))
    except SafetensorError as error:
        raise ModelError(f"{path}: not a safetensors file ({error})", hint=_AGAIN) from None


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """A torch checkpoint of any torch version since 0.4, on the CPU; its file is mapped where it can be.

    The pickle inside is first read with inert records (names and sizes are checked), then by
    torch.load(weights_only=True). numpy numbers are admitted: published checkpoints keep their score as one.
    """
    import torch

    with _damage(path):
        with _open(path) as file:
            zipped = file.read(2) == b"PK"  # by its first bytes, as torch tells it
        if zipped:
            _audit_zip(path)
        else:
            _audit_legacy(path)
        admitted: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
            (record, name) for name, record in NUMPY_NAMES.items()
        ]
        with torch.serialization.safe_globals(admitted):
            try:
                content = torch.load(str(path), map_location="cpu", weights_only=True, mmap=zipped)
            except pickle.UnpicklingError:  # whose text advises to read it unsafely
                raise ValueError("torch refuses its pickle") from None
        if not isinstance(content, dict):
            raise ValueError(f"a checkpoint holds a dict, this one a {type(content).__name__}")
        return safe_pickle.resolve(content)


class _Storage(Record):
    """The numbers behind tensors; `args` is the key and the count."""

    item_size = 1


class _Tensor(Record):
    """A tensor: storage, offset, size, stride. One that claims more than its storage holds is refused."""

    def __new__(cls: type[RecordT], storage: Record, offset: int, size: tuple, *rest: Any) -> RecordT:
        if offset < 0 or min(size, default=0) < 0 or offset + math.prod(size) > storage.args[1]:
            raise ValueError(f"a tensor of size {tuple(size)} in {storage.args[1]} numbers")
        return Record.__new__(cls, storage, offset, size, *rest)


class _Items(Record):
    """An ordered dict; what is stored in it does not matter here."""

    def __setitem__(self, key: Any, value: Any) -> None:
        pass


def _torch_names() -> dict[str, type[Record]]:
    """Names that a checkpoint of tensors and numbers needs."""
    names: dict[str, type[Record]] = {
        "collections.OrderedDict": _Items,
        "torch._utils._rebuild_tensor_v2": _Tensor,
        "torch._utils._rebuild_tensor": _Tensor,
        "torch._utils._rebuild_parameter": Marker,
        "torch.Size": Marker,
        "torch.device": Marker,
    }
    for kind, size in _ITEM_SIZES.items():
        names[f"torch.{kind}Storage"] = type(f"{kind}Storage", (_Storage,), {"item_size": size})
    return names | NUMPY_NAMES


class _TorchAudit(InertUnpickler):
    """Reads a checkpoint's pickle for its names and sizes only."""

    def __init__(self, stream: Readable, path: str | Path) -> None:
        super().__init__(stream, path, _torch_names())
        self.sizes: dict[str, int] = {}  # bytes of each storage

    def persistent_load(self, pid: Any) -> Record:
        """A reference to a storage: ('storage', class, key, device, count, …)."""
        kind, storage, key, _, count = pid[:5]
        if kind != "storage" or not issubclass(storage, _Storage) or count < 0:
            raise ValueError(f"a reference to {kind!r}")
        self.sizes[str(key)] = count * storage.item_size
        return storage(key, count)


def _audit_zip(path: str | Path) -> None:
    """Check names, sizes and members of a checkpoint of torch 1.6 or later (an uncompressed zip)."""
    members = _members(path)
    # torch finds members whatever their case and takes its root from the first: there must be one pickle to read
    pickles = [name for name in members if name.lower().endswith("/data.pkl")]
    if len(pickles) != 1 or len({name.lower() for name in members}) < len(members):
        raise ModelError(f"{path}: a zip archive, but not a torch checkpoint", hint=_AGAIN)
    root = pickles[0][: -len("data.pkl")]
    if root + "constants.pkl" in members:
        raise ModelError(f"{path}: a TorchScript program, which vibe does not run", hint=_AGAIN)
    if any(info.compress_type != zipfile.ZIP_STORED for info in members.values()):
        raise ModelError(f"{path}: refused, its members are compressed, which torch never does", hint=_AGAIN)
    if members[pickles[0]].file_size > _MAX_PICKLE:
        raise ModelError(f"{path}: refused, its pickle has {members[pickles[0]].file_size} bytes", hint=_AGAIN)
    with zipfile.ZipFile(path) as archive, archive.open(members[pickles[0]]) as stream:
        audit = _TorchAudit(stream, path)
        audit.load()
    for key, size in audit.sizes.items():
        info = members.get(f"{root}data/{key}")
        if info is None or info.file_size != size:
            stored = "nothing" if info is None else f"{info.file_size} bytes"
            raise ValueError(f"storage {key} announces {size} bytes, the archive holds {stored}")


def _audit_legacy(path: str | Path) -> None:
    """Check names and sizes of a checkpoint of torch before 1.6 (five pickles, then the raw numbers)."""
    with _open(path) as file:
        if not file.read(len(_TORCH_MAGIC)).startswith(_TORCH_MAGIC):
            raise ModelError(f"{path}: not a torch checkpoint", hint=_AGAIN)
        for _ in range(2):  # protocol version, byte order and type sizes
            _TorchAudit(file, path).load()
        audit = _TorchAudit(file, path)
        audit.load()
        announced, rest = sum(audit.sizes.values()), os.path.getsize(path) - file.tell()
        if announced > rest:
            raise ValueError(f"{announced} bytes of tensors announced, {rest} stored")
        _TorchAudit(file, path).load()  # the storages' keys


def _members(path: str | Path) -> dict[str, zipfile.ZipInfo]:
    """A zip's members by name; ModelError where a name leaves the archive or comes twice, or a size is a lie."""
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise ModelError(f"{path}: a damaged zip archive ({error})", hint=_AGAIN) from None
    if len(infos) > _MAX_MEMBERS:
        raise ModelError(f"{path}: refused, it has {len(infos)} members", hint=_AGAIN)
    members: dict[str, zipfile.ZipInfo] = {}
    size = os.path.getsize(path)
    for info in infos:
        parts = PurePosixPath(info.filename.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or ":" in info.filename or info.filename in members:
            raise ModelError(
                f"{path}: refused, it holds a member named {info.filename!r}"
                + (" twice" if info.filename in members else ""),
                hint=_AGAIN,
            )
        whole = info.compress_size if info.compress_type == zipfile.ZIP_STORED else info.file_size
        if info.header_offset + info.compress_size > size or info.file_size != whole:
            raise ModelError(
                f"{path}: refused, its member {info.filename!r} announces {info.file_size} bytes that "
                "the file does not have",
                hint=_AGAIN,
            )
        members[info.filename] = info
    return members


def _read_array(stream: IO[bytes], size: int, path: str | Path) -> np.ndarray:
    """One .npy stream of `size` bytes, header and data compared before anything is allocated."""
    version = np.lib.format.read_magic(stream)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = reader(stream)
    if dtype.hasobject:
        return np.asarray(safe_pickle.load_arrays(stream, path))
    announced, rest = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if announced != rest:
        raise ValueError(f"an array of shape {shape} announces {announced} bytes, {rest} are stored")
    data = np.frombuffer(bytearray(stream.read(announced)), dtype=dtype)  # which can be written to
    return data.reshape(shape, order="F" if fortran else "C")


@contextmanager
def _damage(path: str | Path) -> Iterator[None]:
    """Whatever a damaged file provokes becomes one ModelError."""
    try:
        yield
    except ModelError:
        raise
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file", hint="check the path") from None
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"{path}: cannot be read: {reason}", hint=_AGAIN) from None


def _open(path: str | Path) -> BinaryIO:
    """The file, opened for reading; ModelError where that fails, or where it is a pipe or a device."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode) and not os.path.isdir(path):
            raise ModelError(f"{path}: not a file but a pipe or a device", hint="name a file")
        return open(path, "rb")
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or 'cannot be opened'}", hint="check the path") from None
