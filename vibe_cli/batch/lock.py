"""One run on an output folder at a time, by a lock of the system's that ends with its owner."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vibe_cli.errors import InputError

LOCK_NAME = ".vibe-batch.lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder; InputError where another run holds it, here or on another machine of a share.

    The system lets go of it when its owner dies in any way, so none is ever stale.
    """
    path = folder / LOCK_NAME
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if not _take(handle):
                raise InputError(
                    f"{folder}: another vibe batch works in it ({_owner(path)})",
                    hint="wait for it, or choose another folder with --output",
                )
            if not _is_at(handle, path):
                continue  # its last owner has just removed it
            os.ftruncate(handle, 0)
            os.write(handle, json.dumps({"process": os.getpid(), "host": socket.gethostname()}).encode())
            try:
                yield
            finally:
                _remove(path)
            return
        finally:
            os.close(handle)


def _take(handle: int) -> bool:
    """Lock an open file, without waiting; whether that went. A share that knows no locks has none."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _is_at(handle: int, path: Path) -> bool:
    """Whether the open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except OSError:
        return False


def _owner(path: Path) -> str:
    try:
        said = json.loads(path.read_text("utf-8"))
        return f"process {int(said['process'])} on {str(said['host'])[:64]}"
    except (OSError, ValueError, KeyError, TypeError):
        return "its process is not known"


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError:
        pass  # the folder is gone, or this is Windows
