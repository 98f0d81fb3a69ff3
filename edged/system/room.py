"""Whether it is a full disk that keeps edged from starting: one sentence for whichever part of it met that first.

The lock, the database, a draft of it, the list of starts, folders of keys and of files on their way: each of them would
say it in other words, and not all of them would name the disk. Refuses to know what was to be written.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FULL_NAMES = frozenset({"SQLITE_FULL"})
_MAYBE_NAMES = ("SQLITE_CANTOPEN", "SQLITE_IOERR")
"""What SQLite also says where a file beside the database could not be made."""
NEARLY_BYTES = 64 * 1024


def full_disk(error: BaseException, folder: Path) -> str | None:
    """The sentence where `error` came of a full disk under `folder`; None where it did not, as far as that is known."""
    room = _room(folder)
    for each in _chain(error):
        name = str(getattr(each, "sqlite_errorname", None) or "")
        is_full = (isinstance(each, OSError) and each.errno in _FULL) or name in _FULL_NAMES
        is_likely = name.startswith(_MAYBE_NAMES) and room is not None and (room[0] < NEARLY_BYTES or not room[1])
        if is_full or is_likely:
            return f"the disk that holds {folder} is full{_left(room)}: make room on its disk, then edged starts"
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _left(room: tuple[int, bool] | None) -> str:
    if room is None or (room[0] >= NEARLY_BYTES and room[1]):
        return ""  # somebody has made room meanwhile, or a quota is used up
    return f" ({room[0] // 1024} KiB are left)" if room[1] else " (no further file can be made on it)"


def _room(folder: Path) -> tuple[int, bool] | None:
    """Bytes that this user may still write, and whether files may be made; None where that is not told."""
    try:
        told = os.statvfs(next(each for each in (folder, *folder.parents) if each.exists()))
    except (OSError, StopIteration):
        return None
    free = told.f_bfree if os.geteuid() == 0 else told.f_bavail
    return free * told.f_frsize, told.f_files == 0 or told.f_favail > 0
