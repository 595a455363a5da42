"""A look through an ONNX file before it is run: neither data outside the file nor operators from elsewhere.

ONNX is a protobuf message; only its wire format is read here (fields by number, as onnx.proto of ONNX 1.17 has
them), so no library is needed and nothing of the file is interpreted before it was looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vibe_cli.errors import ModelError

HINT = "export it with its weights inside one file (save_as_external_data=False) and ONNX's own operators"
DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")  # of operators that ONNX Runtime itself brings
LEAVING = ("PyOp", "PySinglePyOp", "EPContext")  # of those, the ones that reach out of the file
MOST_BYTES = 2**31  # protobuf's own limit
DEEPEST = 64  # graphs within graphs

# Kind of message → number of a field → kind of the message in it.
_INNER = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_EXTERNAL_DATA, _DATA_LOCATION, _OPERATOR, _DOMAIN = 13, 14, 4, 7


def read_onnx(path: Path) -> bytes:
    """The bytes of an ONNX file that keeps to itself; ModelError where it does not, or is none."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ModelError(f"{path}: too large for an ONNX file (over 2 GiB)", hint=HINT)
        content = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file", hint="check the path") from None
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or 'cannot be read'}", hint="check the path") from None
    try:
        if not any(number == 7 for number, _, _ in _fields(memoryview(content))):
            raise ValueError("it holds no graph")
        _check(memoryview(content), "model", path, 0)
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: not an ONNX file ({error})", hint="get the file again, or export it anew") from None
    return content


def _check(message: memoryview, kind: str, path: Path, depth: int) -> None:
    """Look through a message and those in it; ModelError where one reaches out of the file."""
    if depth > DEEPEST:
        raise ValueError("its graphs lie too deep within each other")
    for number, wire, value in _fields(message):
        if kind == "tensor" and (number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value == 1)):
            raise ModelError(f"{path}: refused, its weights lie in another file", hint=HINT)
        if kind == "node" and wire == 2 and number in (_OPERATOR, _DOMAIN):
            name = bytes(value).decode()
            if (name in LEAVING) if number == _OPERATOR else (name not in DOMAINS):
                what = f"the operator {name}" if number == _OPERATOR else f"operators of {name}"
                raise ModelError(f"{path}: refused, it asks for {what}, which are not ONNX's own", hint=HINT)
        if isinstance(value, memoryview) and wire == 2 and number in _INNER[kind]:
            _check(value, _INNER[kind][number], path, depth + 1)


def _fields(message: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """Number, wire type and value of each field: an integer, or bytes; ValueError where they do not fit."""
    place, end = 0, len(message)
    while place < end:
        key, place = _varint(message, place)
        number, wire = key >> 3, key & 7
        value: int | memoryview
        if wire == 0:
            value, place = _varint(message, place)
        elif wire in (1, 2, 5):
            size, place = _varint(message, place) if wire == 2 else ({1: 8, 5: 4}[wire], place)
            value, place = message[place : place + size], place + size
        else:
            raise ValueError(f"a field of wire type {wire}")
        if place > end or not number:
            raise ValueError("a field is longer than what holds it")
        yield number, wire, value


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """An integer in groups of seven bits, lowest first, and the place after it."""
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
        if shift > 63:
            raise ValueError("a number of over 64 bits")
