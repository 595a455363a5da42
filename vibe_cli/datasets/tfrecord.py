"""Read TFRecord files of tf.train.Example without TensorFlow; nothing is run, lengths are held against their checksums.

A record is its length (8 bytes, little-endian), a checksum of that, the data, a checksum of the data. An Example is a
protocol buffer: a map from names to lists of bytes, floats or integers. Sources: TensorFlow's and Protocol Buffers'
published format descriptions.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

MOST = 1 << 30  # bytes of a record
_CASTAGNOLI = 0x82F63B78


def read_examples(path: Path) -> Iterator[dict[str, list[bytes] | np.ndarray]]:
    """The examples of a file, each a dict by name; ValueError where it is damaged.

    Values are lists of bytes, or arrays (N,) float32 or int64.
    """
    with open(path, "rb") as file:
        while head := file.read(12):
            if len(head) < 12 or _masked(head[:8]) != struct.unpack("<I", head[8:])[0]:
                raise ValueError("not a TFRecord file, or damaged")
            (length,) = struct.unpack("<Q", head[:8])
            if length > MOST:
                raise ValueError(f"a record of {length} bytes")
            data = file.read(length)
            if len(data) < length or len(file.read(4)) < 4:
                raise ValueError("it ends within a record")
            yield parse_example(data)


def parse_example(data: bytes) -> dict[str, list[bytes] | np.ndarray]:
    """One serialised tf.train.Example."""
    found = {}
    for number, features in _fields(memoryview(data)):
        for inner, entry in _fields(_bytes(features)) if number == 1 else ():
            if inner == 1:
                pair = dict(_fields(_bytes(entry)))
                found[bytes(_bytes(pair[1])).decode()] = _values(_bytes(pair.get(2, memoryview(b""))))
    return found


def _values(feature: memoryview) -> list[bytes] | np.ndarray:
    """A Feature: field 1 holds bytes, 2 floats, 3 integers, each in a list's field 1."""
    for number, content in _fields(feature):
        items = [value for inner, value in _fields(_bytes(content)) if inner == 1]
        if number == 1:
            return [bytes(_bytes(item)) for item in items]
        if number == 2:
            return np.concatenate([np.frombuffer(_bytes(item), "<f4") for item in items] or [np.zeros(0, np.float32)])
        return np.array(
            [one for item in items for one in ([item] if isinstance(item, int) else _varints(item))], np.uint64
        ).astype(np.int64)
    return []


def _bytes(value: memoryview | int) -> memoryview:
    """A field that holds bytes; ValueError where it holds an integer."""
    if isinstance(value, int):
        raise ValueError("a number where bytes should be")
    return value


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """The fields of a message: their numbers, and bytes or an integer."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        kind = key & 7
        if kind == 0:
            value, place = _varint(data, place)
            yield key >> 3, value
            continue
        if kind == 2:
            length, place = _varint(data, place)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of kind {kind}")
        if place + length > len(data):
            raise ValueError("a field that ends beyond its message")
        yield key >> 3, data[place : place + length]
        place += length


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    """The integer that begins at a place, and where it ends."""
    value = shift = 0
    while True:
        if place >= len(data) or shift > 63:
            raise ValueError("a number that does not end")
        byte = data[place]
        value, place, shift = value | (byte & 127) << shift, place + 1, shift + 7
        if byte < 128:
            return value, place


def _varints(data: memoryview) -> Iterator[int]:
    place = 0
    while place < len(data):
        value, place = _varint(data, place)
        yield value


def _masked(data: bytes) -> int:
    """TFRecord's checksum: CRC-32C, turned and shifted."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_CASTAGNOLI if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
