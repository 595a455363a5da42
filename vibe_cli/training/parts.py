"""Large files in parts, for places that take small files only: cut, and put together again exactly.

`weights.pt` becomes `weights.pt.part000`, `weights.pt.part001`, … and `weights.pt.parts`, which names each part with
its size and SHA-256 and is written last: while it is missing or old, nothing is joined.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TypedDict

from vibe_cli.errors import InputError
from vibe_cli.run_folder import replacing_file, write_json

LARGEST = 15_000_000  # bytes of a part; under 16 MB however that is counted
FORMAT = "vibe-parts"
BLOCK = 1 << 20


class Part(TypedDict):
    """A row of a list of parts."""

    name: str  # of its file
    bytes: int
    sha256: str


def split_file(path: Path, folder: Path | None = None, largest: int = LARGEST) -> list[Path]:
    """Write a file's parts and their list into `folder` (its own by default); their paths, the list's first.

    Equal files give equal parts; parts of an earlier, longer file are removed. InputError for an empty or missing file.
    """
    folder = folder or path.parent
    try:
        total = path.stat().st_size
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})", hint="check the spelling of the path") from None
    if not total:
        raise InputError(f"{path}: an empty file", hint="write it again")
    folder.mkdir(parents=True, exist_ok=True)
    listed = folder / f"{path.name}.parts"
    parts: list[Part] = []
    whole = hashlib.sha256()
    with path.open("rb") as source:
        while data := source.read(largest):
            part = folder / f"{path.name}.part{len(parts):03d}"
            with replacing_file(part) as beside:
                beside.write_bytes(data)
            whole.update(data)
            parts.append({"name": part.name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})
    write_json(
        listed,
        {
            "format": FORMAT,
            "file": path.name,
            "bytes": sum(p["bytes"] for p in parts),
            "sha256": whole.hexdigest(),
            "parts": parts,
        },
    )
    for old in folder.glob(f"{path.name}.part[0-9]*"):
        if old.name not in {part["name"] for part in parts}:
            old.unlink()
    return [listed, *(folder / part["name"] for part in parts)]


def is_of(listed: Path, path: Path) -> bool:
    """Whether a list of parts is that of this very file."""
    try:
        return json.loads(listed.read_text("utf-8"))["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError, KeyError, TypeError):
        return False


def join_files(listed: Path, out: Path | None = None) -> Path:
    """Put the parts of a list (`NAME.parts`) together into `out` (beside the list by default), checked to the bit.

    InputError names the part that is missing, cut short or altered; nothing is written then.
    """
    hint = "copy all parts and their list again"
    try:
        content = json.loads(listed.read_text("utf-8"))
        name, parts, expected = content["file"], content["parts"], content["sha256"]
        if content["format"] != FORMAT or any(Path(n).name != n for n in (name, *(p["name"] for p in parts))):
            raise ValueError("not a list of parts")
    except OSError as error:
        raise InputError(f"{listed}: cannot be read ({error.strerror})", hint=hint) from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{listed}: not a list of parts ({error})", hint="give the file whose name ends in .parts"
        ) from None
    out = out or listed.with_name(name)
    whole = hashlib.sha256()
    with replacing_file(out) as beside:
        with beside.open("wb") as target:
            for part in parts:
                data = _read_part(listed.with_name(part["name"]), part, hint)
                whole.update(data)
                target.write(data)
            target.flush()
            os.fsync(target.fileno())
        if whole.hexdigest() != expected:
            raise InputError(f"{listed}: the parts do not belong together", hint=hint)
    return out


def _read_part(path: Path, part: dict, hint: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})", hint=hint) from None
    if len(data) != part["bytes"] or hashlib.sha256(data).hexdigest() != part["sha256"]:
        raise InputError(f"{path}: not what was written ({len(data)} bytes of {part['bytes']})", hint=hint)
    return data
