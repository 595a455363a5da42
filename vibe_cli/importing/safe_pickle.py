"""Reading pickles without running them: every object becomes an inert record, its arrays are rebuilt by us.

A pickle is a program. This reader admits only the names by which numpy arrays, numpy numbers, scipy.sparse
matrices and chumpy arrays are stored, maps each to a record class of its own that merely keeps what it is
given, and refuses every other name. Neither numpy's, scipy's nor chumpy's own rebuilding code runs.
"""

from __future__ import annotations

import math
import os
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeVar

import numpy as np

from vibe_cli.errors import ModelError

REFUSED_HINT = (
    "vibe runs nothing that a file asks for: get it from its official page; if it is your own, save its arrays as .npz"
)
Order = Literal["C", "F"]
RecordT = TypeVar("RecordT", bound="Record")
_DTYPE = re.compile(r"[|<>=]?[?biufcSUO]\d{0,4}|bool|u?int\d+|float\d+|complex\d+")
_MAX_DENSE = 2**21  # entries of a sparse matrix written out; SMPL's largest has a twelfth of it


class Refused(ModelError):
    """A file that asks for a name beyond the list; `asked` is that name."""

    def __init__(self, path: str | Path, asked: str) -> None:
        super().__init__(f"{path}: refused, the file asks for {asked}, which no model file needs", hint=REFUSED_HINT)
        self.asked = asked


class Readable(Protocol):
    """Bytes in order: a file, a member of an archive, a mapped file."""

    def read(self, size: int = ..., /) -> bytes:
        """The next bytes."""
        ...

    def readline(self) -> bytes:
        """The next line."""
        ...

    def seek(self, offset: int, whence: Literal[0, 1, 2] = ..., /) -> object:
        """Go on elsewhere."""
        ...

    def tell(self) -> int:
        """Where it stands."""
        ...


class Record:
    """A pickled object: the arguments it is made with and the state it is given."""

    args: tuple[Any, ...]  # what they are is the file's say
    state: Any

    def __new__(cls: type[RecordT], *args: Any) -> RecordT:
        self = object.__new__(cls)
        self.args, self.state = args, None
        return self

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def value(self, seen: dict[int, Any]) -> Any:
        """The object itself, what is inside it by `resolve(…, seen)`; ValueError where the record makes none."""
        raise ValueError(f"{type(self).__name__} has no value of its own")


class Marker(Record):
    """A class that is only ever an argument: numpy.ndarray, object."""


class Text(Record):
    """Bytes, which Python 3 stores in old protocols as text and an encoding."""

    def value(self, seen: dict[int, Any]) -> bytes:
        text, encoding = self.args
        if encoding != "latin1":
            raise ValueError(f"bytes in {encoding!r}")
        return text.encode("latin1")


class Dtype(Record):
    """The type of an array's elements; structured types are not admitted."""

    def value(self, seen: dict[int, Any]) -> np.dtype:
        name = self.args[0]
        if not isinstance(name, str) or not _DTYPE.fullmatch(name):
            raise ValueError(f"element type {name!r}")
        dtype = np.dtype(name)
        return dtype.newbyteorder(self.state[1]) if self.state and self.state[1] in ("<", ">") else dtype


class Array(Record):
    """A numpy array: shape, type, order and raw bytes are in its state."""

    def value(self, seen: dict[int, Any]) -> np.ndarray:
        shape, dtype, fortran, raw = self.state[-4:]
        return _array(shape, resolve(dtype, seen), raw, "F" if fortran else "C", seen)


class BufferArray(Record):
    """A numpy array as protocol 5 stores it: bytes, type, shape, order."""

    def value(self, seen: dict[int, Any]) -> np.ndarray:
        raw, dtype, shape, order = self.args
        return _array(shape, resolve(dtype, seen), raw, "F" if order == "F" else "C", seen)


class Scalar(Record):
    """A numpy number: type and raw bytes."""

    def value(self, seen: dict[int, Any]) -> Any:
        return _array((), resolve(self.args[0], seen), self.args[1], "C", seen)[()]


class Sparse(Record):
    """A scipy.sparse matrix; it comes back dense."""

    by = "column"

    def value(self, seen: dict[int, Any]) -> np.ndarray:
        state = self.state
        shape = state["_shape"] if "_shape" in state else state["shape"]
        rows, columns = (int(n) for n in shape)
        if not 0 <= rows * columns <= _MAX_DENSE:
            raise ValueError(f"sparse matrix of {rows} × {columns}")
        data, inner = resolve(state["data"], seen), resolve(state["indices"], seen)
        outer_count, inner_count = (columns, rows) if self.by == "column" else (rows, columns)
        counts = np.diff(resolve(state["indptr"], seen))
        if len(counts) != outer_count or (counts < 0).any() or counts.sum() != len(inner):
            raise ValueError("sparse matrix with broken row pointers")
        if len(inner) and (inner.min() < 0 or inner.max() >= inner_count):
            raise ValueError("sparse matrix with an index outside its shape")
        outer = np.repeat(np.arange(outer_count), counts)
        dense = np.zeros((rows, columns), dtype=data.dtype)
        np.add.at(dense, (inner, outer) if self.by == "column" else (outer, inner), data)
        return dense


class SparseRows(Sparse):
    """The same, row by row."""

    by = "row"


class Chumpy(Record):
    """A chumpy array, whose value is its attribute x; None for an expression that stores no value."""

    def value(self, seen: dict[int, Any]) -> np.ndarray | None:
        return resolve(self.state["x"], seen) if isinstance(self.state, dict) and "x" in self.state else None


class Rebuilt(Record):
    """copyreg's way of making an object in old protocols: the record of its class."""

    def __new__(cls, kind: type, base: Any = None, state: Any = None) -> Any:  # a record, though not one of these
        if not (isinstance(kind, type) and issubclass(kind, Record)):
            raise ValueError("an object of no known class")
        return kind()


class JoblibArray(Record):
    """An array in a file of joblib: its bytes follow in the file, behind the record. It comes back mapped, not read."""

    place: tuple[str | Path, int, tuple[int, ...], np.dtype, Order]  # file, offset, shape, type, order

    def pass_over(self, path: str | Path, stream: Readable) -> None:
        """Keep where the bytes lie and go on behind them; ValueError where the file does not have them."""
        state, dtype = self.state, resolve(self.state["dtype"])
        shape = _shape(state["shape"])
        if dtype.hasobject:
            raise ValueError("an array of objects")
        if state.get("numpy_array_alignment_bytes") is not None:  # joblib 1.0 and later: a length, then so many bytes
            stream.read(stream.read(1)[0])
        offset, size = stream.tell(), math.prod(shape) * dtype.itemsize
        stream.seek(0, os.SEEK_END)
        if offset + size > stream.tell():
            raise ValueError(f"{size} bytes of an array announced, {stream.tell() - offset} stored")
        stream.seek(offset + size)
        self.place = path, offset, shape, dtype, "F" if state["order"] == "F" else "C"

    def value(self, seen: dict[int, Any]) -> np.ndarray:
        path, offset, shape, dtype, order = self.place
        if not math.prod(shape):
            return np.empty(shape, dtype, order)
        return np.memmap(path, dtype, "r", offset, shape, order)


class Set(Record):
    """A set, which chumpy keeps beside its arrays."""

    def value(self, seen: dict[int, Any]) -> set:
        return set(resolve(self.args[0], seen)) if self.args else set()


NUMPY_NAMES: dict[str, type[Record]] = {"numpy.dtype": Dtype, "_codecs.encode": Text, "numpy.ndarray": Marker}
for _home in ("numpy.core", "numpy._core"):
    NUMPY_NAMES[f"{_home}.multiarray._reconstruct"] = Array
    NUMPY_NAMES[f"{_home}.multiarray.scalar"] = Scalar
    NUMPY_NAMES[f"{_home}.numeric._frombuffer"] = BufferArray
_OBJECT_NAMES: dict[str, type[Record]] = {
    "copy_reg._reconstructor": Rebuilt,
    "copyreg._reconstructor": Rebuilt,
    "__builtin__.object": Marker,
    "builtins.object": Marker,
    "__builtin__.set": Set,
    "builtins.set": Set,
}
_JOBLIB_NAME = "joblib.numpy_pickle.NumpyArrayWrapper"
_SPARSE_NAME = re.compile(r"scipy\.sparse\.(_?(csc|csr)\.)?(csc|csr)_(matrix|array)")
_CHUMPY_NAME = re.compile(r"chumpy(\.\w+)+")


class InertUnpickler(pickle._Unpickler):  # the Python one: it never trusts a length that the stream claims
    """An unpickler that makes records and refuses, by name, whatever is not on the list."""

    def __init__(self, stream: Readable, path: str | Path, names: Mapping[str, type]) -> None:
        super().__init__(stream, encoding="latin1")
        self.path, self.names = path, names

    def find_class(self, module: str, name: str) -> type:
        """The record class of a name; ModelError for any name beyond the list."""
        full = f"{module}.{name}"
        if full in self.names:
            return self.names[full]
        raise Refused(self.path, full)


class ArrayUnpickler(InertUnpickler):
    """Admits numpy, scipy.sparse, chumpy and sets."""

    def __init__(self, stream: Readable, path: str | Path) -> None:
        super().__init__(stream, path, NUMPY_NAMES | _OBJECT_NAMES)

    def find_class(self, module: str, name: str) -> type:
        """The record class of a name; ModelError for any name beyond the list."""
        full = f"{module}.{name}"
        if match := _SPARSE_NAME.fullmatch(full):
            return Sparse if match[3] == "csc" else SparseRows
        if _CHUMPY_NAME.fullmatch(full):
            return Chumpy
        return super().find_class(module, name)


_BUILD: Callable[[Any], None] = pickle._Unpickler.dispatch[pickle.BUILD[0]]


class _Unframer(Protocol):
    """The reader behind an unpickler: the frame that it is in, if any."""

    current_frame: Readable | None


class FileUnpickler(ArrayUnpickler):
    """Admits the arrays of joblib as well, which lie in the file between the pickle's parts."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)
    stack: list[Any]  # the unpickler's own
    _unframer: _Unframer

    def __init__(self, stream: Readable, path: str | Path) -> None:
        super().__init__(stream, path)
        self.stream = stream
        self.names = {**self.names, _JOBLIB_NAME: JoblibArray, "numpy.memmap": Marker}

    def load_build(self) -> None:
        """Give an object its state; one of joblib's arrays is followed by its bytes."""
        _BUILD(self)
        if isinstance(made := self.stack[-1], JoblibArray):
            frame = self._unframer.current_frame
            if frame is not None and frame.read(1):
                raise ValueError("an array inside a frame of the pickle")
            self._unframer.current_frame = None
            made.pass_over(self.path, self.stream)

    dispatch[pickle.BUILD[0]] = load_build


def load_arrays(stream: Readable, path: str | Path, whole: bool = False) -> Any:
    """Read one pickle of arrays, numbers, text and containers of them; `whole` if the stream is all of the file.

    Text of Python 2 is decoded as latin1; sparse matrices come back dense; joblib's arrays, which only a whole
    file has, come back mapped from the file. ModelError, naming `path`, where
    the pickle asks for anything else or is damaged.
    """
    try:
        return resolve((FileUnpickler if whole else ArrayUnpickler)(stream, path).load())
    except ModelError:
        raise
    except Exception as error:  # a damaged pickle fails in any way at all, never dangerously
        raise ModelError(
            f"{path}: damaged or not a pickle of arrays ({type(error).__name__}: {error})",
            hint="get the file again from its official page",
        ) from None


def resolve(value: Any, seen: dict[int, Any] | None = None) -> Any:
    """Records inside dicts, lists and tuples → the values they stand for; a shared one is made once."""
    seen = {} if seen is None else seen
    if id(value) in seen:
        return seen[id(value)][1]
    if isinstance(value, Record):
        made = value.value(seen)
    elif isinstance(value, (dict, OrderedDict)):
        made = {key: resolve(item, seen) for key, item in value.items()}
    elif type(value) in (list, tuple):
        made = type(value)(resolve(item, seen) for item in value)
    else:
        return value
    seen[id(value)] = value, made  # the value is kept too, so that its id stays its own
    return made


def _array(shape: Any, dtype: np.dtype, raw: Any, order: Order, seen: dict[int, Any]) -> np.ndarray:
    """Bytes (or, for an array of objects, a list) → array, after comparing its length with the shape's."""
    shape = _shape(shape)
    count = math.prod(shape)
    if dtype.hasobject:
        if not isinstance(raw, list) or len(raw) != count:
            raise ValueError(f"{count} objects announced")
        array = np.empty(count, dtype=object)
        for index, item in enumerate(raw):
            array[index] = resolve(item, seen)
        return array.reshape(shape, order=order)
    raw = resolve(raw, seen)
    raw = raw.encode("latin1") if isinstance(raw, str) else raw
    if len(raw) != count * dtype.itemsize:
        raise ValueError(f"{count * dtype.itemsize} bytes announced, {len(raw)} stored")
    return np.frombuffer(raw, dtype=dtype).reshape(shape, order=order)


def _shape(value: Any) -> tuple[int, ...]:
    """An array's shape; ValueError where it is none."""
    shape = tuple(int(n) for n in value) if isinstance(value, (tuple, list)) else (int(value),)
    if min(shape, default=0) < 0:
        raise ValueError(f"shape {shape}")
    return shape
