"""Read the numbers of NASA's Common Data Format, as far as Human3.6M needs it; nothing is run, sizes are checked.

CDF 2.6 and 3 (which differs in the width of sizes and offsets), z and r variables of floats, plain or compressed by
gzip as a whole file or a variable. Source: the CDF Internal Format Description of NASA's Space Physics Data Facility.
"""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path
from typing import Literal

import numpy as np

MAGIC = {0xCDF30001: 8, 0xCDF26002: 4}  # bytes of a size or an offset
PLAIN, PACKED = 0x0000FFFF, 0xCCCC0001
GDR, CCR, VXR, VVR, CVVR, CPR, RVDR, ZVDR, GZIP = 2, 10, 6, 7, 13, 11, 3, 8, 5
FLOATS = {21: "f4", 44: "f4", 22: "f8", 45: "f8"}
BIG = {1, 2, 5, 7, 9, 11, 12}  # encodings with the most significant byte first
LITTLE = {4, 6, 13, 14}
MOST = 1 << 30  # bytes that a compressed part may unpack to
ROW_MAJOR, COMPRESSED = 1, 4  # bits of flags


def read_cdf(path: Path) -> dict[str, np.ndarray]:
    """The variables of numbers by name, each (records, *dimensions); ValueError where the file is damaged."""
    data = path.read_bytes()
    try:
        magic, packing = struct.unpack_from(">II", data)
        if magic not in MAGIC or packing not in (PLAIN, PACKED):
            raise ValueError("not a CDF file of version 2.6 or later")
        if packing == PACKED:
            data = _unpack_file(data, MAGIC[magic])
        return _File(data, MAGIC[magic]).variables()
    except (struct.error, zlib.error) as error:
        raise ValueError(f"a damaged CDF file ({error})") from None


class _File:
    """An uncompressed CDF in memory."""

    def __init__(self, data: bytes, wide: int) -> None:
        self.data, self.wide, self.offset = data, wide, "q" if wide == 8 else "i"
        gdr, _, _, encoding, flags = self.fields(8 + wide + 4, f"{self.offset}iiii")
        if encoding not in BIG | LITTLE:
            raise ValueError(f"numbers encoded in a way not known ({encoding})")
        self.order, self.row_major, self.gdr = ">" if encoding in BIG else "<", bool(flags & ROW_MAJOR), gdr

    def fields(self, place: int, form: str) -> tuple[int, ...]:
        """Big-endian fields at a place."""
        return struct.unpack_from(">" + form, self.data, place)

    def record(self, place: int) -> tuple[int, int, int]:
        """Type of the record there, where its content begins, and where it ends."""
        size, kind = self.fields(place, self.offset + "i")
        if place < 8 or size < self.wide + 4 or place + size > len(self.data):
            raise ValueError(f"a record of {size} bytes at {place}")
        return kind, place + self.wide + 4, place + size

    def variables(self) -> dict[str, np.ndarray]:
        """All variables of floats."""
        kind, at, _ = self.record(self.gdr)
        if kind != GDR:
            raise ValueError("no global descriptor")
        o = self.offset
        r_head, z_head, _, _, _, _, _, r_dims = self.fields(at, f"{o}{o}{o}{o}iiii")
        r_sizes = self.fields(at + 4 * self.wide + 5 * 4 + self.wide + 3 * 4, f"{r_dims}i") if r_dims > 0 else ()
        found = {}
        for head, sizes in ((z_head, None), (r_head, r_sizes)):
            seen = set()
            while head not in (0, -1):
                if head in seen:
                    raise ValueError("variables that go round in a circle")
                seen.add(head)
                head, name, values = self.variable(head, sizes)
                if values is not None:
                    found[name] = values
        return found

    def variable(self, place: int, sizes: tuple[int, ...] | None) -> tuple[int, str, np.ndarray | None]:
        """The next variable's place, this one's name and its values, None where they are no floats."""
        kind, at, _ = self.record(place)
        if kind not in (RVDR, ZVDR):
            raise ValueError("no variable where one should be")
        o = self.offset
        form = f"{o}ii{o}{o}iiiiiii{o}i"
        (following, data_type, last, index, _, flags, _, _, _, _, _, _, packing, _) = self.fields(at, form)
        at += struct.calcsize(">" + form)
        length = 256 if self.wide == 8 else 64
        name = self.data[at : at + length].split(b"\0")[0].decode("latin1").strip()
        at += length
        if sizes is None:
            (count,) = self.fields(at, "i")
            sizes, at = self.fields(at + 4, f"{count}i"), at + 4 + 4 * count
        varies = self.fields(at, f"{len(sizes)}i")
        shape = tuple(size for size, vary in zip(sizes, varies, strict=True) if vary)
        if data_type not in FLOATS:
            return following, name, None
        if flags & COMPRESSED and self.fields(self.record(packing)[1], "i")[0] != GZIP:
            raise ValueError(f"{name}: compressed in a way not known")
        dtype = np.dtype(self.order + FLOATS[data_type])
        size = math.prod(shape) * dtype.itemsize
        if last < -1 or size < 0 or (last + 1) * size > MOST:
            raise ValueError(f"{name}: {last + 1} records of shape {shape}")
        raw = bytearray((last + 1) * size)
        self.fill(raw, index, size)
        order: Literal["C", "F"] = "C" if self.row_major else "F"
        rows = [
            np.frombuffer(raw, dtype, math.prod(shape), row * size).reshape(shape, order=order)
            for row in range(last + 1)
        ]
        return following, name, np.stack(rows) if rows else np.zeros((0, *shape), dtype)

    def fill(self, raw: bytearray, place: int, size: int, depth: int = 0) -> None:
        """Put the records that an index names into place; an index may name further ones."""
        seen = set()
        while place not in (0, -1):
            kind, at, _ = self.record(place)
            if kind != VXR or place in seen or depth > 8:
                raise ValueError("a broken index of records")
            seen.add(place)
            following, entries, used = self.fields(at, self.offset + "ii")
            at += self.wide + 8
            firsts, lasts = self.fields(at, f"{entries}i"), self.fields(at + 4 * entries, f"{entries}i")
            targets = self.fields(at + 8 * entries, f"{entries}{self.offset}")
            for first, last, target in list(zip(firsts, lasts, targets, strict=True))[:used]:
                kind, start, end = self.record(target)
                if kind == VXR:
                    self.fill(raw, target, size, depth + 1)
                    continue
                values = (
                    self.data[start:end]
                    if kind == VVR
                    else _inflate(self.data[start + 4 + self.wide : end], (last - first + 1) * size)
                )
                if kind not in (VVR, CVVR) or not 0 <= first <= last or (last + 1) * size > len(raw):
                    raise ValueError("records outside of their variable")
                raw[first * size : (last + 1) * size] = values[: (last - first + 1) * size]
            place = following


def _unpack_file(data: bytes, wide: int) -> bytes:
    """A file compressed as a whole → the file."""
    offset = "q" if wide == 8 else "i"
    size, kind, parameters, unpacked, _ = struct.unpack_from(f">{offset}i{offset}{offset}i", data, 8)
    if kind != CCR or struct.unpack_from(">i", data, parameters + wide + 4)[0] != GZIP:
        raise ValueError("compressed in a way not known")
    head = struct.calcsize(f">{offset}i{offset}{offset}i")
    return data[:4] + struct.pack(">I", PLAIN) + _inflate(data[8 + head : 8 + size], unpacked)


def _inflate(data: bytes, size: int) -> bytes:
    """gzip's content, of exactly that size."""
    if not 0 <= size <= MOST:
        raise ValueError(f"compressed data of {size} bytes")
    unpacker = zlib.decompressobj(wbits=31)
    content = unpacker.decompress(data, size)
    if len(content) != size:
        raise ValueError(f"{len(content)} bytes where {size} are announced")
    return content
