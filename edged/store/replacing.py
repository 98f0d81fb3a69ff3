"""The database's file and its names: what is missing, what is set aside, and how a copy takes its place.

Refuses to know what is in a file. Invariants: nothing is ever deleted that could hold a fact; what is cut off in
between is seen by the next start (`missing`).
"""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from edged.store.files import sync_directory, sync_file

COMPANIONS = ("-wal", "-journal", "-shm")
PRIVATE = 0o600


def missing(path: Path, backup: Path) -> str | None:
    """Why there is no database where there should be one; None on a first start or where there is a file to try.

    A replacement that was cut off, or that the disk had no room for, leaves a backup, a write-ahead log, or what it has
    set aside, without a database.
    """
    if path.exists() and path.stat().st_size > 0:
        return None
    wal = path.with_name(f"{path.name}-wal")
    if backup.exists() or (wal.exists() and wal.stat().st_size > 0) or last_aside(path):
        return "the file is missing or empty"
    return None


def last_aside(path: Path) -> Path | None:
    """The database that was set aside last."""
    found = path.parent.glob(f"{path.name}.damaged-*")
    return max((one for one in found if not one.name.endswith(COMPANIONS)), default=None)


def set_aside(path: Path, wall: datetime) -> Path | None:
    """Rename a database and what belongs to it; the database first, so that a cut in between is seen (`missing`)."""
    stamp = f"{wall.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    target = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 1
    while any(target.with_name(f"{target.name}{end}").exists() for end in ("", *COMPANIONS)):
        number += 1
        target = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    moved = None
    for end in ("", *COMPANIONS):
        source = path.with_name(f"{path.name}{end}")
        if source.exists():
            source.rename(target.with_name(f"{target.name}{end}"))
            moved = target
    sync_directory(path.parent)
    return moved


def restore(backup: Path, path: Path) -> None:
    """Put a copy of the backup in the database's place; the backup itself stays."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE))
    shutil.copyfile(backup, draft)
    sync_file(draft)
    draft.replace(path)
    sync_directory(path.parent)
