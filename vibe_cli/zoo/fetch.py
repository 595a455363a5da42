"""Getting free models over the network into the user's model folder: resumed where it broke off, whole or not."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import yaml

from vibe_cli.errors import ModelError
from vibe_cli.importing.library import PART, sha256
from vibe_cli.importing.onnx_files import MOST_BYTES, read_onnx
from vibe_cli.paths import user_models_dir
from vibe_cli.progress import Progress, quiet
from vibe_cli.zoo.fetchable import MODELS, RECOMMENDED, Fetchable
from vibe_cli.zoo.fetched import ONNX_FILE
from vibe_cli.zoo.reader import CONFIG

BLOCK = 1 << 18
TIMEOUT_S = 30
OFFLINE = "run it again to go on where it broke off; without a network: --from FILE"


def chosen(name: str) -> list[Fetchable]:
    """The models of a name of the catalogue, or the recommended ones; ModelError with what there is."""
    names = RECOMMENDED if name == "recommended" else (name,)
    if unknown := [one for one in names if one not in MODELS]:
        raise ModelError(
            f"no model named {unknown[0]} to fetch", hint=f"choose one of: recommended, {', '.join(MODELS)}"
        )
    return [MODELS[one] for one in names]


def fetch(
    model: Fetchable,
    mirrors: tuple[str, ...] = (),
    file: Path | None = None,
    default: bool = False,
    progress: Progress = quiet,
) -> Path:
    """The folder of a model, got from its addresses (mirrors first), or from a file that was got elsewhere.

    `default` makes it what is used where nothing is named. ModelError where it cannot be got or is not itself.
    """
    folder = user_models_dir() / model.name
    try:
        if not (folder / ONNX_FILE).is_file():
            folder.parent.mkdir(parents=True, exist_ok=True)
            loaded = folder.with_name(f"{model.name}.download{PART}")
            if file is None:
                _download(mirrors + model.urls, loaded, progress)
            _install(model, file or loaded, folder)
            loaded.unlink(missing_ok=True)
        if default:
            config = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8")) | {"default": True}
            part = folder / f"{CONFIG}{PART}"
            part.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
            os.replace(part, folder / CONFIG)
    except OSError as error:
        raise ModelError(
            f"{folder}: cannot be written ({error.strerror or error})",
            hint="free some space, or set VIBE_HOME to another folder; then run it again",
        ) from None
    return folder


def forget(name: str) -> list[Path]:
    """Remove fetched models; the folders that went. ModelError where none of them is here."""
    folders = [user_models_dir() / model.name for model in chosen(name)]
    there = [folder for folder in folders if (folder / ONNX_FILE).is_file()]
    if not there:
        raise ModelError(f"{name}: was not fetched", hint="see: vibe models list")
    for folder in there:
        shutil.rmtree(folder)
    return there


def _download(urls: tuple[str, ...], part: Path, progress: Progress) -> None:
    """The content of the first address that gives it, into `part`, going on after what that holds already."""
    failures = []
    for url in urls:
        if not url.startswith(("http://", "https://")):
            raise ModelError(f"{url}: not an address of the web", hint="give --mirror http(s)://..., or --from FILE")
        try:
            for _ in progress(_blocks(url, part), "Fetching (256 kB)", None):
                pass
            return
        except HTTPError as error:
            failures.append(f"{url}: {error.code} {error.reason}")
            if error.code == 416:  # what is there is no beginning of it
                part.unlink(missing_ok=True)
        except (ConnectionError, TimeoutError, HTTPException) as error:
            failures.append(f"{url}: {error or type(error).__name__}")
        except OSError as error:
            if error.errno is not None and type(error).__name__ == "OSError":
                raise  # the disk's, not the network's
            failures.append(f"{url}: {getattr(error, 'reason', error)}")
    raise ModelError(f"could not be fetched ({'; '.join(failures)})", hint=OFFLINE)


def _blocks(url: str, part: Path) -> Iterator[int]:
    """Append what an address gives to `part`; the bytes of each block."""
    have = part.stat().st_size if part.is_file() else 0
    headers = {"User-Agent": "vibe-cli"} | ({"Range": f"bytes={have}-"} if have else {})
    with urlopen(Request(url, headers=headers), timeout=TIMEOUT_S) as answer:
        goes_on = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        length, got = answer.headers.get("Content-Length"), 0
        with open(part, "ab" if goes_on else "wb") as file:
            while block := answer.read(BLOCK):
                file.write(block)
                got += len(block)
                yield len(block)
        if length is not None and got < int(length):
            raise ConnectionError(f"broke off after {got} of {length} bytes")


def _install(model: Fetchable, source: Path, folder: Path) -> None:
    """Check a file, or the one ONNX file in a zip, and put it into its folder; ModelError where it is not the model."""
    part = folder.with_name(f"{model.name}.{os.getpid()}{PART}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        _copy_onnx(source, part / ONNX_FILE)
        checksum = sha256(part / ONNX_FILE)
        if model.sha256 not in (None, checksum):
            raise ModelError(
                f"{model.name}: not the file that was published (SHA-256 {checksum[:12]}, not {model.sha256[:12]})",
                hint="run it again, or use another --mirror; a file of yours is named by its path: --detector FILE",
            )
        read_onnx(part / ONNX_FILE)
        config: dict[str, object] = {"task": model.task, "format": "onnx", "licence": model.licence, "sha256": checksum}
        config["source"] = {"file": model.urls[0].rsplit("/", 1)[1], "from": model.urls[0]}
        (part / CONFIG).write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        os.replace(part, folder)
    except ModelError:
        if source.name.endswith(PART):  # what is wrong is not gone on with
            source.unlink(missing_ok=True)
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _copy_onnx(source: Path, target: Path) -> None:
    """An ONNX file, or the only one of a zip whatever its name there, copied to `target`."""
    if not source.is_file():
        raise ModelError(f"{source}: no such file", hint="check the path")
    if not zipfile.is_zipfile(source):
        shutil.copyfile(source, target)
        return
    try:
        with zipfile.ZipFile(source) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(".onnx")]
            if len(members) != 1 or members[0].file_size > MOST_BYTES:
                raise ModelError(f"{source}: holds {len(members)} ONNX files, not one", hint="get it again")
            with archive.open(members[0]) as stream, open(target, "wb") as file:
                shutil.copyfileobj(stream, file)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise ModelError(f"{source}: a damaged zip archive ({error})", hint="get it again") from None
