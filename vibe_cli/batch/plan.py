"""Which clips lie under folders, and where the files of each one go."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

from vibe_cli.batch.pieces import Piece
from vibe_cli.batch.remote import Remote, files_at, url_of
from vibe_cli.errors import InputError, UsageError
from vibe_cli.run_folder import CLUTTER, REPORT_NAME, RESULT_NAME
from vibe_cli.video.images import IMAGE_SUFFIXES, VIDEO_SUFFIXES

FILES = ("report.json", "report.csv", "index.html")  # of the batch itself, in the output folder
ANIMATIONS = frozenset({".gif"})


@dataclass(frozen=True)
class Clip:
    """One clip of a batch."""

    path: Path  # a video file or a folder of images
    name: str  # its place below the folder that was given, with / between the parts
    folder: Path  # for its files, the same place below the output folder
    size: int  # bytes, of the file or of all images
    piece: Piece | None = None  # what is to be done of it, where that is not all
    remote: Remote | None = None  # where it, or its folder, is not on this machine

    @property
    def place(self) -> str:
        """Its file or URL, as messages name it."""
        return str(self.path) if self.remote is None or self.remote.source is None else self.remote.source


@dataclass(frozen=True)
class Plan:
    """Options of a batch."""

    clips: list[Clip]
    passed_over: list[str]  # why a folder was not looked into, or its pictures not taken


def plan_batch(
    inputs: Sequence[Path],
    output: Path,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    target: str | None = None,
) -> Plan:
    """Find the clips under `inputs`, folders or files, and mirror their tree below `output`.

    Clips are files with a video's suffix, or that match a pattern of `include`, and folders of images without a video.
    Patterns are the shell's, of the name or of the place below the folder. Links to files are followed, those to
    folders are not; hidden files, the output itself and the folders of finished runs are left out. `inputs` may be
    URLs; `target` is the output's, where it is one.
    """
    urls = [url for path in inputs if (url := url_of(path))]
    inputs = [path for path in inputs if not url_of(path)]
    if missing := next((path for path in inputs if not path.exists()), None):
        raise InputError(f"{missing}: no such file or folder", hint="check the spelling of the path")
    passed_over: list[str] = []
    found: dict[str, Clip] = {}
    for url in urls:
        for clip in _clips_at(url, output, include, exclude, passed_over):
            found[clip.name] = clip
    base = _shared(inputs) if inputs else ""
    for root in inputs:
        for path, size in _clips_under(root, output, include, exclude, passed_over):
            name = Path(os.path.relpath(os.path.abspath(path), base)).as_posix()
            place = name + ".clip" if name in FILES else name
            found[name] = Clip(path, name, output / place, size)
    if not found:
        wanted = " that matches" if include or exclude else ""
        more = f" ({passed_over[0]})" if passed_over else ""
        raise InputError(
            f"{', '.join([*urls, *map(str, inputs)])}: no clip{wanted} in it{more}",
            hint="clips are video files and folders of images; take others by their names: --include '*.dat'",
        )
    if target is not None:
        for name, clip in found.items():
            remote = replace(clip.remote or Remote(), target=f"{target}/{clip.folder.relative_to(output).as_posix()}")
            found[name] = replace(clip, remote=remote)
    return Plan([found[name] for name in sorted(found)], passed_over)


def _clips_at(
    url: str, output: Path, include: Sequence[str], exclude: Sequence[str], passed_over: list[str]
) -> Iterator[Clip]:
    """The clips below a URL."""
    for name, size, identity in files_at(url):
        place = Path(name)
        hidden = any(part.startswith(".") for part in place.parts)
        if hidden or place.is_absolute() or "\\" in name:
            continue
        if _wanted(place, include, exclude):
            folder = output / (name + ".clip" if name in FILES else name)
            address = url if url.endswith(f"/{name}") else f"{url}/{name}"
            yield Clip(place, name, folder, size, remote=Remote(address, identity))
        elif place.suffix.lower() in IMAGE_SUFFIXES and not passed_over:
            passed_over.append(f"{url}: pictures at URLs are not taken as clips")


def _shared(inputs: Sequence[Path]) -> str:
    """The folder from which clips are named: the one folder that was given, or what all that were given lie in."""
    places = [os.path.abspath(path) for path in inputs]
    if len(places) == 1:
        return places[0] if os.path.isdir(places[0]) else os.path.dirname(places[0])
    try:
        shared = os.path.commonpath([os.path.dirname(place) for place in places])
    except ValueError:
        raise UsageError("folders on different drives", hint="run vibe batch once a drive") from None
    return shared


def _clips_under(
    root: Path, output: Path, include: Sequence[str], exclude: Sequence[str], passed_over: list[str]
) -> Iterator[tuple[Path, int]]:
    """The clips of one folder that was given, and their bytes; a file that was given is a clip."""
    if not root.is_dir():
        yield root, root.stat().st_size
        return
    ours = output.resolve()

    def unreadable(error: OSError) -> None:
        passed_over.append(f"{error.filename}: cannot be read ({error.strerror})")

    for place, folders, files in os.walk(root, onerror=unreadable):
        here = Path(place)
        if here.resolve() == ours or {REPORT_NAME, RESULT_NAME} <= set(files):
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = Path(os.path.relpath(place, root))
        names = sorted(name for name in files if not name.startswith(".") and name not in CLUTTER)
        videos = [name for name in names if _wanted(below / name, include, exclude)]
        pictures = [name for name in names if Path(name).suffix.lower() in IMAGE_SUFFIXES and name not in videos]
        for name in videos:
            yield here / name, _size(here / name)
        if not pictures or include and not _matches(below, include) or _matches(below, exclude):
            continue
        if videos:
            passed_over.append(f"{here}: {len(pictures)} pictures beside {len(videos)} videos")
        else:
            yield here, sum(_size(here / name) for name in pictures)


def _wanted(place: Path, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether a file is a clip."""
    by_suffix = place.suffix.lower() in VIDEO_SUFFIXES | ANIMATIONS
    named = any(fnmatch(one, pattern) for one in (place.as_posix(), place.name) for pattern in include)
    chosen = named or by_suffix and _matches(place, include) if include else by_suffix
    return chosen and not _matches(place, exclude)


def _matches(place: Path, patterns: Sequence[str]) -> bool:
    """Whether a place, its name, or a folder that it lies in matches one of the shell's patterns."""
    places = [place.as_posix(), place.name, *(folder.as_posix() for folder in place.parents)]
    return any(fnmatch(one, pattern.rstrip("/")) for one in places for pattern in patterns)


def _size(path: Path) -> int:
    """Bytes of a file; 0 where it is gone or a link leads nowhere."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
