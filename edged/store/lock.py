"""The lock beside the database: who holds it is the only one who may touch the state.

Invariants: the kernel lets go of it with the process · it belongs to whoever owns the directory, also where root was
the first to take it.

    StoreError (ports)
      StoreInUse   another process holds it
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from edged.ports import StoreError


class StoreInUse(StoreError):
    """Another process holds the lock. `owner`: its number, as it wrote it down."""

    def __init__(self, path: Path, owner: str) -> None:
        super().__init__(f"{path} is in use by another edged (process {owner}): only one may run")
        self.owner = owner


def lock_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def take_lock(path: Path) -> int:
    """Keep everybody else from the database at `path` for as long as the descriptor is open. Raises `StoreError`."""
    try:
        fd = os.open(lock_path(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        problem = f"the store's directory cannot be used ({error.strerror})"
        raise StoreError(f"{problem}: let this user write to {path.absolute().parent}, or name another one") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _hand_to_owner(fd, path.absolute().parent)
        with contextlib.suppress(OSError):  # whose it is is a courtesy, which a full disk may refuse
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    except BlockingIOError:
        owner = os.pread(fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(fd)
        raise StoreInUse(path, owner) from None
    except OSError as error:
        os.close(fd)
        raise StoreError(f"{path} cannot be locked: {error}") from error
    return fd


def _hand_to_owner(fd: int, folder: Path) -> None:
    """Root leaves nothing behind that the daemon's own user could not open."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(fd, owner.st_uid, owner.st_gid)
