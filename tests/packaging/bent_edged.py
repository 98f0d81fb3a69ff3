"""`edged`, whole or with a mistake in it that a power cut must find: python -m tests.packaging.bent_edged BEND ...

The whole one, too, copies its database every few seconds instead of once a day.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from edged import gateway
from edged.cli.main import main
from edged.store import deferral, opening
from edged.store.sqlite import SqliteStore

BACKUP_EVERY_S = 3.0
HASTE_S = 0.05


def nothing() -> None:
    """As it is shipped."""


def normal() -> None:
    """Commits are in the log in order, but nobody waits for the disk."""
    _synchronous("NORMAL")


def off() -> None:
    """Nothing waits for the disk."""
    _synchronous("OFF")


def hasty() -> None:
    """Everybody sees a step before it is committed."""
    commit = SqliteStore.commit
    writer = ThreadPoolExecutor(max_workers=1)

    def later(store: SqliteStore, *what: Any) -> None:
        time.sleep(HASTE_S)
        commit(store, *what)

    SqliteStore.commit = lambda store, *what: writer.submit(later, store, *what)  # type: ignore[method-assign]


def idle() -> None:
    """Everything waits for the next commit, as samples may."""
    deferral.may_wait = lambda *step: True


def _synchronous(mode: str) -> None:
    prepare = opening._prepare

    def bent(connection: sqlite3.Connection, *rest: Any) -> int | None:
        version = prepare(connection, *rest)
        connection.execute(f"PRAGMA synchronous = {mode}")
        return version

    opening._prepare = bent


BENDS: Mapping[str, Callable[[], None]] = {bend.__name__: bend for bend in (nothing, normal, off, hasty, idle)}

if __name__ == "__main__":
    assert gateway.BACKUP_EVERY_S > BACKUP_EVERY_S
    gateway.BACKUP_EVERY_S = BACKUP_EVERY_S
    BENDS[sys.argv.pop(1)]()
    sys.exit(main())
