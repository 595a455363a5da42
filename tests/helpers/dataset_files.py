"""Writers of other people's file formats for tests: CDF and TFRecord, after their published descriptions."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

_TABLE = []
for _byte in range(256):
    for _ in range(8):
        _byte = _byte >> 1 ^ (0x82F63B78 if _byte & 1 else 0)
    _TABLE.append(_byte)


def write_cdf(
    path: Path,
    name: str,
    values: np.ndarray,
    version: int = 3,
    packed: str = "no",
    little: bool = True,
    rows: bool = True,
) -> None:
    """One z variable (records, *dimensions) of float32; packed: no, variable or file; rows: row-major records."""
    o = "q" if version == 3 else "i"
    wide = struct.calcsize(o)

    def record(kind: int, content: bytes) -> bytes:
        return struct.pack(f">{o}i", wide + 4 + len(content), kind) + content

    shape, count = values.shape[1:], len(values)
    order = "C" if rows else "F"
    raw = b"".join(one.astype("<f4" if little else ">f4").tobytes(order) for one in values)
    places: dict[str, int] = {"gdr": 0, "vdr": 0, "vxr": 0, "values": 0, "cpr": 0}
    for _ in range(2):  # the second time places are known
        body = b""
        parts = {
            "cdr": record(
                1,
                struct.pack(f">{o}iiiiiiiii", places["gdr"], version, 8, 6 if little else 1, rows * 1, 0, 0, 0, 0, 0)
                + b"(c)".ljust(256, b"\0"),
            ),
            "gdr": record(
                2, struct.pack(f">{o}{o}{o}{o}iiiii{o}iii", 0, places["vdr"], 0, 0, 0, 0, -1, 0, 1, 0, 0, 0, 0)
            ),
            "vdr": record(
                8,
                struct.pack(
                    f">{o}ii{o}{o}iiiiiii{o}i",
                    0,
                    44,
                    count - 1,
                    places["vxr"],
                    places["vxr"],
                    1 | 4 * (packed == "variable"),
                    0,
                    0,
                    0,
                    0,
                    1,
                    0,
                    places["cpr"] if packed == "variable" else -1,
                    0,
                )
                + name.encode().ljust(256 if version == 3 else 64, b"\0")
                + struct.pack(f">i{len(shape)}i{len(shape)}i", len(shape), *shape, *[-1] * len(shape)),
            ),
            "vxr": record(
                6, struct.pack(f">{o}ii3i3i3{o}", 0, 3, 1, 0, -1, -1, count - 1, -1, -1, places["values"], -1, -1)
            ),
            "cpr": record(11, struct.pack(">iiii", 5, 0, 1, 6)),
        }
        if packed == "variable":
            small = gzip.compress(raw)
            parts["values"] = record(13, struct.pack(f">i{o}", 0, len(small)) + small)
        else:
            parts["values"] = record(7, raw)
        for key, part in parts.items():
            places[key] = 8 + len(body)
            body += part
    magic = struct.pack(">I", 0xCDF30001 if version == 3 else 0xCDF26002)
    if packed == "file":
        small = gzip.compress(body)
        head = record(10, struct.pack(f">{o}{o}i", 0, len(body), 0) + small)
        head = record(10, struct.pack(f">{o}{o}i", 8 + len(head), len(body), 0) + small)
        path.write_bytes(magic + struct.pack(">I", 0xCCCC0001) + head + parts["cpr"])
    else:
        path.write_bytes(magic + struct.pack(">I", 0x0000FFFF) + body)


def write_tfrecord(path: Path, examples: list[dict[str, list | np.ndarray]]) -> None:
    """Serialised tf.train.Examples: lists of bytes, float arrays (packed) and integer arrays."""
    with open(path, "wb") as file:
        for example in examples:
            data = _message(
                1,
                b"".join(
                    _message(1, _message(1, key.encode()) + _message(2, _feature(value)))
                    for key, value in example.items()
                ),
            )
            length = struct.pack("<Q", len(data))
            file.write(length + struct.pack("<I", _checksum(length)) + data + struct.pack("<I", _checksum(data)))


def _feature(value: list | np.ndarray) -> bytes:
    if isinstance(value, list):
        return _message(1, b"".join(_message(1, item) for item in value))
    if value.dtype.kind == "f":
        return _message(2, _message(1, value.astype("<f4").tobytes()))
    return _message(3, _message(1, b"".join(_varint(int(item)) for item in value)))


def _message(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _checksum(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 255]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF
