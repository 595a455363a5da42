"""Clips and results at URLs (s3://, gs://, sftp://, file:// … by fsspec).

A worker fetches a clip, works on this machine, and sends what it made, the mark of a finished clip last: nothing at a
URL is half written.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from vibe_cli.batch.identity import Identity, checksum_of_text
from vibe_cli.errors import InputError, UsageError
from vibe_cli.run import Job

if TYPE_CHECKING:
    from vibe_cli.batch.plan import Clip

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)")  # a Path has one slash of them; a drive is one letter
LOCAL = ("file", "local", "memory")  # protocols without a host
# Object stores, where a file appears whole; elsewhere it is sent beside its place and renamed.
WHOLE_AT_ONCE = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "hf")
_INSTALL = "pip install 'vibe-cli[remote]'"


class Unreachable(InputError):
    """A store that did not answer, or refused; another try may meet a better moment."""


@dataclass(frozen=True)
class Remote:
    """The places of a clip that are not on this machine."""

    source: str | None = None  # URL of the clip
    identity: Identity | None = None  # of that, as its store tells it without a download
    target: str | None = None  # URL of its folder


def url_of(path: Path) -> str | None:
    """The URL that a path is; None of a place on this machine."""
    match = _URL.fullmatch(path.as_posix())
    if match is None:
        return None
    scheme = match[1].lower()
    return f"{scheme}://{'/' if scheme in LOCAL else ''}{match[2]}".rstrip("/")


def store_of(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path there. UsageError where none can be had."""
    try:
        import fsspec
    except ImportError:
        raise UsageError(f"{url}: URLs need fsspec, which is not installed", hint=_INSTALL) from None
    try:
        return fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise UsageError(f"{url}: {error}", hint="install the package that it names") from None
    except ValueError:
        raise UsageError(f"{url}: no such kind of store", hint="see `fsspec.available_protocols()`") from None
    except Exception as error:  # credentials, hosts: as many kinds as stores
        raise _unreachable(url, error) from None


def _unreachable(url: str, error: Exception) -> Unreachable:
    reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    return Unreachable(f"{url}: cannot be reached ({reason})", hint="check the address, and that you may use it")


@contextmanager
def _reaching(url: str) -> Iterator[tuple[Any, str]]:
    """The file system of a URL; whatever it raises in the block is one line."""
    store, path = store_of(url)
    try:
        yield store, path
    except InputError:
        raise
    except Exception as error:
        raise _unreachable(url, error) from None


def files_at(url: str) -> list[tuple[str, int, Identity]]:
    """All files below a URL, or the file that it is: place below it, bytes, identity."""
    with _reaching(url) as (store, path):
        if not store.exists(path):
            raise InputError(f"{url}: nothing is there", hint="check the address")
        found = store.find(path, detail=True)
        rows = []
        for name, facts in sorted(found.items()):
            place = Path(name).name if name == path else name.removeprefix(path).lstrip("/")
            told = {key: str(facts[key]) for key in _TELLING if facts.get(key) is not None}
            size = int(facts.get("size") or 0)
            rows.append((place, size, Identity(size, 0, checksum_of_text(f"{size} {sorted(told.items())}"))))
        return rows


# What stores say of a file's content or its last change.
_TELLING = ("ETag", "etag", "md5Hash", "md5", "content_md5", "sha256", "mtime", "LastModified", "updated", "created")


def pull(clip: Clip, names: Sequence[str]) -> dict[str, int]:
    """Fetch small files of a clip's folder, as far as they are there, and list all that is."""
    assert clip.remote is not None and clip.remote.target is not None
    with _reaching(clip.remote.target) as (store, path):
        if not store.exists(path):
            return {}
        sizes = {
            name.removeprefix(path).lstrip("/"): int(facts["size"])
            for name, facts in store.find(path, detail=True).items()
        }
        for name in names:
            if name in sizes:
                (clip.folder / name).parent.mkdir(parents=True, exist_ok=True)
                store.get_file(f"{path}/{name}", str(clip.folder / name))
        return sizes


def send(files: Sequence[Path], folder: Path, url: str) -> None:
    """Send files in a folder to the same places below a URL, in this order, each whole or not at all."""
    with _reaching(url) as (store, root):
        whole = any(protocol in WHOLE_AT_ONCE for protocol in _protocols(store))
        for file in files:
            place = f"{root}/{file.relative_to(folder).as_posix()}"
            store.makedirs(place.rsplit("/", 1)[0], exist_ok=True)
            if whole:
                store.put_file(str(file), place)
                continue
            try:
                store.put_file(str(file), place + ".part")
                if store.exists(place):
                    _replace(store, place + ".part", place)
                else:
                    store.mv(place + ".part", place)
            finally:
                if store.exists(place + ".part"):
                    store.rm_file(place + ".part")


def _replace(store: Any, part: str, place: str) -> None:
    """Rename onto a file that is there; where a store cannot, the old one goes first."""
    if "file" in _protocols(store):
        Path(part).replace(place)
        return
    store.rm_file(place)
    store.mv(part, place)


def _protocols(store: Any) -> tuple[str, ...]:
    return (store.protocol,) if isinstance(store.protocol, str) else tuple(store.protocol)


@contextmanager
def staged(clip: Clip, job: Job, mark: str) -> Iterator[tuple[Clip, Job]]:
    """A clip, and the job, on this machine while a block works; then what it made is sent, the file `mark` last."""
    remote = clip.remote or Remote()
    with TemporaryDirectory(prefix="vibe-", ignore_cleanup_errors=True) as scratch:
        here, mine = clip, job
        if remote.source is not None:
            path = Path(scratch) / f"clip{Path(clip.name).suffix}"
            with _reaching(remote.source) as (store, place):
                store.get_file(place, str(path))
            here = replace(here, path=path)
        if remote.target is None:
            yield here, mine
            return
        mine = copy.copy(job)  # with the model, where it is loaded
        mine.output = Path(scratch) / "output"
        here = replace(here, folder=mine.output / "clip")
        mine.output.mkdir()
        with _reaching(remote.target) as (store, place):
            if store.exists(f"{place}/{mark}"):
                store.get(place, str(here.folder), recursive=True)
        before = {file: file.stat().st_mtime_ns for file in _files(here.folder)}
        try:
            yield here, mine
        finally:
            vars(job).update({name: value for name, value in vars(mine).items() if name == "model"})
        made = [file for file in _files(here.folder) if before.get(file) != file.stat().st_mtime_ns]
        if made:
            with _reaching(remote.target) as (store, place):
                if store.exists(f"{place}/{mark}"):
                    store.rm_file(f"{place}/{mark}")
            send(sorted(made, key=lambda file: file.name == mark), here.folder, remote.target)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []


@contextmanager
def output_at(output: Path) -> Iterator[tuple[Path, str | None]]:
    """The folder for a batch's own files, and the URL where they go in the end, where the output is one."""
    url = url_of(output)
    if url is None:
        yield output, None
        return
    store_of(url)
    with TemporaryDirectory(prefix="vibe-") as scratch:
        yield Path(scratch), url
