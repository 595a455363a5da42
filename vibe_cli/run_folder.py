"""Where a run's files lie, and how they get there: whole or not at all.

output/<clip>/result.npz   everybody's motion          run.json      what was done, and how long it took
              overlay.mp4  the picture of it           vibe_output.pkl, npz/, bvh/ …  what was exported
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vibe_cli.errors import InputError, UsageError
from vibe_cli.paths import is_utf8

DEFAULT_OUTPUT = Path("output")
RESULT_NAME = "result.npz"
REPORT_NAME = "run.json"
OVERLAY_NAME = "overlay.mp4"
PICTURE_NAME = "picture.jpg"  # that a batch shows on its page
CLUTTER = (".DS_Store", "Thumbs.db", "desktop.ini")  # which file managers leave in every folder that they show


def plan_folders(inputs: Sequence[Path], output: Path) -> list[Path]:
    """The folder of each clip under `output`: where it lies below the folder that all inputs share.

    The same clip gets the same folder again; one that holds another clip's run is never taken: then the shared
    folder's own name is put before, and so on. UsageError when an input is given twice.
    """
    resolved = [Path(path).resolve() for path in inputs]
    if len(set(resolved)) < len(resolved):
        twice = next(path for path, full in zip(inputs, resolved, strict=True) if resolved.count(full) > 1)
        raise UsageError(f"{twice}: given twice", hint="name each clip once")
    named = [Path(os.path.abspath(path)) for path in inputs]  # a link keeps the name that the user gave it
    shared = _shared_folder(named)
    for keep_suffix in (False, True):
        for base in (shared, *shared.parents):
            folders = [output / _below(path, base, keep_suffix) for path in named]
            apart = len({os.path.normcase(folder) for folder in folders}) == len(folders)
            if apart and not any(map(_holds_another, folders, resolved)):
                return folders
    raise UsageError(f"{output}: holds other clips of the same names", hint="choose another --output folder")


def _shared_folder(paths: list[Path]) -> Path:
    """The deepest folder that all paths lie in; the root where they lie on different drives."""
    try:
        return Path(os.path.commonpath([path.parent for path in paths]))
    except ValueError:
        return Path("/")


def _below(path: Path, base: Path, keep_suffix: bool) -> Path:
    """A path as it lies below a folder, the suffix of a file left out unless it is needed."""
    inside = path.relative_to(base) if path.is_relative_to(base) else path.relative_to(path.anchor)
    return inside if keep_suffix or path.is_dir() else inside.with_name(path.stem)


def _holds_another(folder: Path, path: Path) -> bool:
    """Whether the folder holds the run of a clip that is not `path`."""
    try:
        recorded = json.loads((folder / REPORT_NAME).read_text("utf-8"))["input"]["resolved"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return recorded != str(path)


def make_writable(folder: Path, hint: str = "choose another folder with --output") -> None:
    """Create a folder and prove that a file can be written there; InputError with that hint otherwise."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(f"{folder}: cannot write there ({reason})", hint=hint) from None


def remove_if_empty(folder: Path, root: Path) -> None:
    """Remove a folder and its parents up to `root`, as far as they are empty."""
    while True:
        try:
            folder.rmdir()
        except OSError:
            return
        if folder == root or folder.parent == folder:
            return
        folder = folder.parent


def newest_result(output: Path) -> Path:
    """The result.npz written last under `output`; InputError when there is none."""
    found = [(path.stat().st_mtime_ns, path) for path in output.rglob(RESULT_NAME) if path.is_file()]
    if not found:
        raise InputError(
            f"{output}: no finished run in it",
            hint="make one with: vibe demo CLIP, or name a result: vibe export PATH/result.npz",
        )
    return max(found)[1]


def find_result(path: Path) -> Path:
    """The result file that a path names: the file itself, or the one in a run's folder."""
    if path.is_dir():
        inside = path / RESULT_NAME
        if not inside.is_file():
            raise InputError(
                f"{path}: no {RESULT_NAME} in this folder", hint="name the folder of one clip, or the file itself"
            )
        return inside
    if not path.exists():
        raise InputError(f"{path}: no such file", hint=f"a result is the {RESULT_NAME} of `vibe demo`")
    return path


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; renamed onto it at the end, removed when the block fails."""
    part = path.with_name(path.name + ".part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path, ours: str | None = None) -> Iterator[Path]:
    """An empty folder beside `path` to fill; takes the place of `path` at the end, or vanishes on failure.

    With `ours`, a pattern of the files in it by their place, InputError where `path` holds anything else but CLUTTER:
    it would be lost.
    """
    if ours is not None and path.is_dir():
        files = (
            file.relative_to(path).as_posix()
            for file in path.rglob("*")
            if not file.is_dir() and file.name not in CLUTTER
        )
        foreign = next((name for name in files if not re.fullmatch(ours, name)), None)
        if foreign is not None:
            raise InputError(
                f"{path}: holds {foreign}, which is no export of vibe's and would be lost",
                hint="choose another folder, or move that away",
            )
    part = Path(tempfile.mkdtemp(prefix=path.name + ".", suffix=".part", dir=path.parent))
    part.chmod(0o755)
    try:
        yield part
        if path.exists():
            old = path.with_name(part.name[: -len(".part")] + ".old")
            os.replace(path, old)
            os.replace(part, path)
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.replace(part, path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_json(path: Path, values: dict) -> None:
    """Write readable JSON, whole or not at all; text outside ASCII stays readable, except names that are not UTF-8."""
    text = json.dumps(values, indent=2, ensure_ascii=False)
    if not is_utf8(text):
        text = json.dumps(values, indent=2)
    with replacing_file(path) as part:
        part.write_text(text + "\n", encoding="utf-8")
