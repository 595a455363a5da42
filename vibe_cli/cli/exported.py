"""What `vibe info` says of motion in other programs' formats: glTF, BVH, and tables and JSON of joints."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from vibe_cli.cli.options import table
from vibe_cli.errors import InputError

MOST_JSON = 64 << 20  # bytes of glTF's header
MOST_LINES = 5000  # of BVH's hierarchy
MOST_FILES = 12  # of one folder


def describe_glb(path: Path) -> Iterator[str]:
    """Binary glTF: its people, bones, how long it moves, and what it says of itself."""
    with open(path, "rb") as file:
        magic, _, _, size, kind = struct.unpack("<4sIIII", file.read(20))
        if magic != b"glTF" or kind != 0x4E4F534A or size > MOST_JSON:
            raise ValueError("no glTF 2.0")
        content = json.loads(file.read(size))
    accessors = content.get("accessors", [])
    skins, motions = content.get("skins", []), content.get("animations", [])
    clocks = [accessors[s["input"]] for motion in motions for s in motion["samplers"]]
    yield f"{path}: glTF, {len(skins)} skinned bodies, {len(motions)} animations"
    facts = content.get("scenes", [{}])[0].get("extras") or {}
    yield table(
        [
            ("written by", content["asset"].get("generator", "–")),
            ("moves", f"{max((clock['max'][0] for clock in clocks), default=0):.2f} s"),
            *((str(skin.get("name", "–")), f"{len(skin['joints'])} bones") for skin in skins),
            *((str(name), str(value)) for name, value in facts.items()),
        ]
    )


def describe_bvh(path: Path) -> Iterator[str]:
    """BVH: bones, channels, frames and rate."""
    with open(path, encoding="utf-8") as file:
        lines = [line.split() for line in islice(file, MOST_LINES)]
    bones = [words[1] for words in lines if words[:1] in (["ROOT"], ["JOINT"])]
    channels = next(words[2:] for words in lines if words[:1] == ["CHANNELS"])
    frames = next(int(words[1]) for words in lines if words[:1] == ["Frames:"])
    step = next(float(words[2]) for words in lines if words[:2] == ["Frame", "Time:"])
    yield f"{path}: BVH, {len(bones)} bones, {frames} frames at {1 / step:g} a second"
    yield table([("bones", " ".join(bones)), ("channels", " ".join(channels))])


def describe_csv(path: Path) -> Iterator[str]:
    """A table of joints: its people, rows and times."""
    with open(path, encoding="utf-8") as file:
        columns = next(file, "").strip().split(",")
        if columns[:3] != ["person", "frame", "time_s"]:
            raise ValueError("no table of joints")
        rows = [tuple(line.split(",", 3)[:3]) for line in file]
    yield f"{path}: joints, {len(rows)} rows of {len(columns)} columns"
    yield from _people([int(row[0]) for row in rows], [float(row[2]) for row in rows])


def describe_parquet(path: Path) -> Iterator[str]:
    """The same, typed; what it says of itself."""
    try:
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise InputError(f"{path}: pyarrow is not installed", hint="pip install 'vibe-cli[parquet]'") from None
    file = parquet.ParquetFile(path)
    yield f"{path}: joints, {file.metadata.num_rows} rows of {file.metadata.num_columns} columns"
    head = file.read(["person", "time_s"])
    yield from _people(head["person"].to_pylist(), head["time_s"].to_pylist())
    yield from _header(json.loads((file.schema_arrow.metadata or {}).get(b"vibe", b"{}")))


def describe_joints_json(content: dict[str, Any], path: Path) -> Iterator[str]:
    """keypoints.json: its people and what its numbers mean."""
    yield f"{path}: joints of {len(content['people'])} people, in space and in the picture"
    ids = [person["id"] for person in content["people"] for _ in person["times"]]
    yield from _people(ids, [time for person in content["people"] for time in person["times"]])
    yield from _header(content)


def _people(ids: list[int], times: list[float]) -> Iterator[str]:
    """Everybody's frames, and when the first and the last are."""
    spans: dict[int, list[float]] = {}
    for number, time in zip(ids, times, strict=True):
        spans.setdefault(number, []).append(time)
    rows = [(number, len(span), f"{span[0]:.2f} s", f"{span[-1]:.2f} s") for number, span in spans.items()]
    yield table([("person", "frames", "first", "last"), *rows])


def _header(facts: dict[str, Any]) -> Iterator[str]:
    """Axes, unit, clip and joints, as a header has them."""
    if facts:
        clip = facts["clip"]
        yield table(
            [
                ("axes", facts["axes"]),
                ("clip", f"{clip['name']}, {clip['width']}x{clip['height']} pixels, {clip['fps']:g} frames a second"),
                ("joints", " ".join(facts["joint_names"])),
                *((name, facts[name]) for name in ("model", "body", "written_by")),
            ]
        )


READERS: dict[str, Callable[[Path], Iterator[str]]] = {
    ".glb": describe_glb,
    ".bvh": describe_bvh,
    ".csv": describe_csv,
    ".parquet": describe_parquet,
}


def describe_exported(path: Path) -> Iterator[str]:
    """A file of one of READERS, by its suffix; InputError where it is not what that says."""
    try:
        return iter(list(READERS[path.suffix.lower()](path)))
    except InputError:
        raise
    except Exception as error:  # a damaged or foreign file fails in any way at all
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise InputError(
            f"{path}: cannot be read as {path.suffix[1:]} ({reason})", hint="check the file, or export it again"
        ) from None


def motion_files(path: Path) -> list[Path]:
    """The files of glTF or BVH in a folder."""
    return [file for suffix in (".glb", ".bvh") for file in sorted(path.glob(f"*{suffix}"))]


def describe_files(files: list[Path]) -> Iterator[str]:
    """One after the other."""
    for file in files[:MOST_FILES]:
        yield from describe_exported(file)
        yield ""
    if len(files) > MOST_FILES:
        yield f"and {len(files) - MOST_FILES} more"
