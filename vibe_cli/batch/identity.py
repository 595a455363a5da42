"""Identities of clips and of what is made of them, so that nothing is computed twice and nothing stale is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vibe_cli._version import __version__
from vibe_cli.errors import InputError
from vibe_cli.importing.library import find_body, sha256
from vibe_cli.report import plain
from vibe_cli.run import Job, ModelChoice
from vibe_cli.video.images import IMAGE_SUFFIXES

WHOLE, BLOCKS = 64 << 20, 64  # bytes of a file up to which all are read; of a larger one so many blocks
PICTURE = "picture"  # the product that the batch's page shows


@dataclass(frozen=True)
class Identity:
    """A clip's content; the checksum is taken anew only where size or time differ."""

    size: int  # bytes
    changed_ns: int  # when the file, or the newest of the images, was changed
    sha256: str


@dataclass(frozen=True)
class Keys:
    """Checksums of all that shapes what is made of a clip, apart from the clip."""

    motion: str  # of result.npz: options, models, version
    products: Mapping[str, str]  # what is made of it, such as export:npz, render:overlay


def identify(path: Path, known: Identity | None = None) -> Identity:
    """A clip's identity; `known` is an earlier one, whose checksum holds while size and time are the same."""
    if not path.is_dir() and path.exists() and not path.is_file():
        raise InputError(f"{path}: not a regular file", hint="give video files or folders of images")
    files = [path] if not path.is_dir() else _images(path)
    stats = [file.stat() for file in files]
    size, changed = sum(stat.st_size for stat in stats), max((stat.st_mtime_ns for stat in stats), default=0)
    if known is not None and (known.size, known.changed_ns) == (size, changed):
        return known
    if not path.is_dir():
        return Identity(size, changed, checksum(path))
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name!r} {checksum(file)}\n".encode())
    return Identity(size, changed, digest.hexdigest())


def checksum(path: Path) -> str:
    """SHA-256 of a file's content and, where it is large, of its size and WHOLE bytes evenly out of it: a film need not
    be read twice, nor a sparse file of terabytes once."""
    size, block = path.stat().st_size, WHOLE // BLOCKS
    if size <= WHOLE:
        return sha256(path)
    digest = hashlib.sha256(str(size).encode())
    with open(path, "rb") as file:
        for number in range(BLOCKS):
            file.seek((size - block) * number // (BLOCKS - 1))
            digest.update(file.read(block))
    return digest.hexdigest()


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())


def keys_of(job: Job) -> Keys:
    """The keys of a job; ModelError where its model is not here."""
    recover = plain(replace(job.options.recover, batch_size=1))  # which never changes a result
    models = [sha256(file) for file in model_files(job.choice)]
    keypoints = job.options.recover.keypoints
    if keypoints is not None and Path(keypoints).is_file():
        recover["keypoints"] = sha256(keypoints)
    choice = {key: str(value) for key, value in asdict(job.choice).items() if key != "device"}
    motion = _hash([__version__, recover, choice, models])
    products = {f"export:{name}": _hash([motion, name, plain(job.options.export)]) for name in job.options.formats}
    if job.options.style is not None:
        products[f"render:{job.options.style}"] = _hash([motion, job.options.style])
    products[PICTURE] = _hash([motion, PICTURE])
    return Keys(motion, products)


def model_files(choice: ModelChoice) -> list[Path]:
    """The files that the chosen networks and body come from."""
    from vibe_cli.zoo.fetched import default_detector
    from vibe_cli.zoo.reader import DEFAULT_MODEL, choose_model, encoder_of, find_model

    entry = choose_model(choice.model or DEFAULT_MODEL)[0]
    folders = [entry.folder, encoder_of(entry).folder]
    files = [] if choice.body is None else [Path(choice.body)]
    detector = choice.detector or default_detector()
    if str(detector).endswith((".pt", ".onnx")):
        files.append(Path(detector))
    else:
        folders.append(find_model(detector).folder)
    if choice.body is None and (body := find_body()) is not None:
        files.append(body)
    files += [file for folder in folders for file in _weights(folder)]
    return [file for file in files if file.is_file()]


def _weights(folder: Path) -> Iterator[Path]:
    return (file for file in sorted(folder.iterdir()) if file.suffix in (".yaml", ".safetensors", ".onnx"))


def _hash(value: Any) -> str:
    return checksum_of_text(json.dumps(value, sort_keys=True))


def checksum_of_text(text: str) -> str:
    """The first half of SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]
