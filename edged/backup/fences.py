"""What keeps a daemon from a state that is not its to go on with: handed over, or half put back. One file each.

Imported by the daemon itself, so it is small.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from edged.ports import StoreWithheld
from edged.store.files import sync_directory

HANDED_OVER = "handed-over"
RESTORING = "restore.pending"
MAX_BYTES = 4 * 1024 * 1024


def check(state: Path) -> None:
    """Raises `StoreWithheld` where this state must not be gone on with."""
    pending = state / RESTORING
    if os.path.lexists(pending):
        raise StoreWithheld(
            f"a restore was cut off in {state}: finish it with sudo edged restore, then sudo systemctl restart edged"
        )
    handed_over = state / HANDED_OVER
    if os.path.lexists(handed_over):
        told = read(handed_over)
        raise StoreWithheld(
            f"this controller was given up for another one with edged backup --final ({_shown(told.get('archive'))}, "
            f"{_shown(told.get('at'))}): to take it into service all the same, while the other one is off for good, "
            f"delete {handed_over}"
        )


def hand_over(state: Path, archive: Path, at: datetime) -> None:
    """From now on no daemon starts here."""
    write(state / HANDED_OVER, {"archive": archive.name, "at": at.isoformat(timespec="seconds")})


def write(path: Path, told: Mapping[str, Any], *, for_root: bool = False) -> None:
    """Whole and durable, or not there; of the folder's owner, who must be able to read it, unless it is `for_root`."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        if os.geteuid() == 0 and not for_root:
            owner = path.parent.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        file.write(json.dumps(dict(told)).encode())
        file.flush()
        os.fsync(descriptor)
    draft.replace(path)
    sync_directory(path.parent)


def read(path: Path) -> Mapping[str, Any]:
    """What was written; nothing where it cannot be read."""
    try:
        with path.open("rb") as file:
            told = json.loads(file.read(MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _shown(value: object) -> str:
    text = str(value or "unknown")[:80]
    return "".join(char if char.isprintable() else "?" for char in text)
