"""The mark of a finished clip: a file in its folder, written last, that names the clip, the options and every file."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from vibe_cli.batch.identity import Identity, Keys
from vibe_cli.batch.pieces import forget_pieces
from vibe_cli.batch.plan import Clip
from vibe_cli.errors import InputError
from vibe_cli.run_folder import RESULT_NAME, remove_if_empty, write_json

MARK_NAME = ".finished.json"
MARK_VERSION = 1
MOTION = "motion"
_HALF_FOLDER = re.compile(r".+\.[a-z0-9_]{8}\.(part|old)")  # of run_folder.replacing_folder


@dataclass
class Mark:
    """Outputs made of a clip, their keys, and how large each file was."""

    clip: str  # its name in the batch
    identity: Identity
    made: dict[str, str] = field(default_factory=dict)  # motion and each product → its key
    files: dict[str, dict[str, int]] = field(default_factory=dict)  # the same → its files, and their bytes

    def missing(self, keys: Keys) -> set[str]:
        """Outputs still to be made for `keys`: all of it where the motion is, since the rest is made of that."""
        wanted = {MOTION: keys.motion, **keys.products}
        if self.made.get(MOTION) != keys.motion:
            return set(wanted)
        return {name for name, key in wanted.items() if self.made.get(name) != key}


def read_mark(folder: Path, there: Mapping[str, int] | None = None) -> Mark | None:
    """The mark of a clip's folder, less what is not there any more or not whole; None where there is none.

    `there` are the files and their bytes where the folder's own are elsewhere.
    """
    try:
        with open(folder / MARK_NAME, encoding="utf-8") as file:
            said = json.load(file)
        if said.pop("mark_version") != MARK_VERSION:
            return None
        mark = Mark(**{**said, "identity": Identity(**said["identity"])})
        broken = [name for name in mark.made if not _is_whole(folder, mark.files[name], there)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    for name in broken:
        del mark.made[name]
    return None if MOTION in broken else mark


def _is_whole(folder: Path, files: dict[str, int], there: Mapping[str, int] | None) -> bool:
    """Whether files are as large as they were."""
    if there is not None:
        return all(there.get(name) == size for name, size in files.items())
    return all((folder / name).is_file() and (folder / name).stat().st_size == size for name, size in files.items())


def write_mark(folder: Path, mark: Mark) -> None:
    """Write the mark once everything it names is on the disk."""
    for name in {name for files in mark.files.values() for name in files}:
        _to_disk(folder / name)
    write_json(folder / MARK_NAME, {"mark_version": MARK_VERSION, **asdict(mark)})
    _to_disk(folder / MARK_NAME)


def _to_disk(path: Path) -> None:
    """Wait until a file's content would survive a loss of power."""
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sizes(folder: Path, paths: Iterable[Path]) -> dict[str, int]:
    """The files at paths, those in folders as well, and their bytes, by their place in the clip's folder."""
    files = [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    return {file.relative_to(folder).as_posix(): file.stat().st_size for file in files if file.is_file()}


def unmark(folder: Path) -> None:
    """Take the mark away, before files that it names are written anew."""
    (folder / MARK_NAME).unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what a killed process left half written."""
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.is_symlink():
            continue
        if entry.is_file() and entry.name.endswith((".part", ".part.mp4")):
            entry.unlink(missing_ok=True)
        elif entry.is_dir() and _HALF_FOLDER.fullmatch(entry.name):
            shutil.rmtree(entry, ignore_errors=True)


def tidy(clip: Clip, output: Path, again: bool) -> None:
    """Remove what a worker that could not clean up left of a clip; nothing where that cannot be done.

    Pieces that are done stay where the clip is tried `again`.
    """
    try:
        check_inside(clip, output)
        sweep(clip.folder)
        if not again:
            forget_pieces(clip.folder)
    except (OSError, InputError):
        return
    remove_if_empty(clip.folder, output)


def check_inside(clip: Clip, output: Path) -> None:
    """InputError where a link in the output folder leads a clip's files out of it."""
    root = output.resolve()
    if root not in (real := clip.folder.resolve()).parents and real != root:
        raise InputError(
            f"{clip.folder}: a link leads out of the output folder, to {real}", hint="remove the link, or move it away"
        )
    if (clip.folder / RESULT_NAME).is_symlink():
        raise InputError(f"{clip.folder / RESULT_NAME}: a link, not a file of ours", hint="move it away")
