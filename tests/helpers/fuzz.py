"""Files broken in every way that chance and disks break them, the same ones for the same seed."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from tests.helpers.media import ffmpeg, make_clip, make_sound


def flipped(data: bytes, chance: random.Random, count: int, first: int | None = None) -> bytes:
    """Data with bits of `count` bytes turned, of its first so many bytes where that is given."""
    changed = bytearray(data)
    for _ in range(count):
        changed[chance.randrange(min(len(data), first or len(data)))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def mutations(data: bytes, chance: random.Random) -> Iterator[tuple[str, bytes]]:
    """A file's content broken: what was done, and the content."""
    for tenth in range(10):
        yield f"cut-{tenth}", data[: len(data) * tenth // 10]
        start = len(data) * tenth // 10
        yield f"zeros-{tenth}", data[:start] + bytes(len(data) // 10) + data[start + len(data) // 10 :]
        yield f"missing-{tenth}", data[:start] + data[start + len(data) // 10 :]
    for round_ in range(9):
        yield f"flip-1-{round_}", flipped(data, chance, 1)
        yield f"flip-9-{round_}", flipped(data, chance, 9)
        yield f"flip-99-{round_}", flipped(data, chance, 99)
        yield f"head-{round_}", flipped(data, chance, 6, 200)
    yield "tail-of-noise", data + chance.randbytes(5000)
    yield "noise-before", chance.randbytes(64) + data
    yield "twice", data + data
    yield "sizes-of-all-ones", data.replace(b"\x00\x00\x00", b"\x00\xff\xff", 3)


def broken_videos(folder: Path, seed: int = 0) -> list[Path]:
    """More than 300 files with videos' names, nearly all of them broken."""
    chance = random.Random(seed)
    folder.mkdir(parents=True)
    whole = {suffix: make_clip(folder / f"whole{suffix}", frames=8) for suffix in (".mp4", ".avi", ".mkv", ".webm")}
    contents = {suffix: path.read_bytes() for suffix, path in whole.items()}
    for suffix, data in contents.items():
        for name, content in mutations(data, chance):
            (folder / f"{name}{suffix}").write_bytes(content)
        for other, head in contents.items():
            if other != suffix:
                (folder / f"head-of-{other[1:]}{suffix}").write_bytes(head[:64] + data[64:])
    _strange(folder, contents[".mp4"], chance)
    return sorted(path for path in folder.iterdir())


def _strange(folder: Path, mp4: bytes, chance: random.Random) -> None:
    """Files of other kinds, and headers that lie."""
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("not a video\n" * 100)
    (folder / "noise.mp4").write_bytes(chance.randbytes(20000))
    (folder / "zeros.mov").write_bytes(bytes(20000))
    (folder / "picture.mp4").write_bytes(png(16, 16))
    (folder / "playlist.ts").write_text("#EXTM3U\nhttp://127.0.0.1:9/x.ts\n/etc/passwd\n")
    (folder / "concat.mkv").write_text("ffconcat version 1.0\nfile /etc/passwd\n")
    make_sound(folder / "sound.wav").rename(folder / "sound.mp4")
    at = mp4.find(b"avc1")
    for name, size in (("wide", (65535, 65535)), ("flat", (65535, 1)), ("nothing", (0, 0))):
        (folder / f"{name}.mp4").write_bytes(mp4[: at + 28] + struct.pack(">HH", *size) + mp4[at + 32 :])
    at = mp4.find(b"mvhd")
    (folder / "ages.mp4").write_bytes(mp4[: at + 20] + b"\x7f\xff\xff\xff" + mp4[at + 24 :])
    ffmpeg("-f", "lavfi", "-i", "color=black:s=8192x8192:d=0.2:r=5", "file:" + str(folder / "bomb.mp4"))
    (folder / "bombs").mkdir()
    (folder / "bombs" / "0.png").write_bytes(png(20000, 20000))
    (folder / "broken-pictures").mkdir()
    for number, (_, content) in zip(range(5), mutations(png(64, 64), chance), strict=False):
        (folder / "broken-pictures" / f"{number}.png").write_bytes(content)
    with open(folder / "sparse.mp4", "wb") as file:
        file.truncate(1 << 40)


def png(width: int, height: int) -> bytes:
    """A black picture of one bit a pixel, which takes next to nothing."""
    row = bytes(1 + (width + 7) // 8)
    packer, packed = zlib.compressobj(9), b""
    for _ in range(height):
        packed += packer.compress(row)
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)),
        (b"IDAT", packed + packer.flush()),
        (b"IEND", b""),
    ]
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
