"""Making files and their names durable, giving them room, and removing drafts. Knows no database."""

from __future__ import annotations

import os
from pathlib import Path


def sync_file(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_directory(path: Path) -> None:
    """Make names durable: a rename is not until its directory is flushed."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def grow(path: Path, size: int) -> None:
    """Make a file that is there at least so long, with durable zeros. Room that the disk does not have is not taken."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        old = os.fstat(fd).st_size
        if old >= size:
            return
        try:
            whole = os.pwrite(fd, bytes(size - old), old) == size - old
            os.fsync(fd)
        except OSError:
            whole = False
        if not whole:
            os.ftruncate(fd, old)
    finally:
        os.close(fd)


def remove_quietly(path: Path) -> None:
    """Remove a draft that is in nobody's way if it stays."""
    for name in (path, path.with_name(f"{path.name}-journal"), path.with_name(f"{path.name}-wal")):
        try:
            name.unlink(missing_ok=True)
        except OSError:
            continue
