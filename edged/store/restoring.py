"""What becomes of a database that is put back: the past that it shows may have gone on without it.

Owns which of its facts may be acted upon. A message that waited when the backup was made may have been delivered since,
a transaction that ran may have ended: sent again, the CSMS would bill them twice. So they are parked: kept to be read,
never sent. Of a final backup nothing can have happened since, everything goes on. Refuses to know files and archives.

Invariants: nothing is deleted that was not parked · no number that watchers may have seen is given to another event ·
nothing goes on as running: the next start takes the computer for restarted.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from edged.store.copying import changing
from edged.store.port import OUTBOX, Table
from edged.store.restored import RESTORED, value_of
from edged.store.spool import DELIVERED

OVERTAKEN = (Table.TRANSACTION, Table.SAMPLE, Table.FIRMWARE, Table.UPLOAD)
"""What was under way and may be over by now."""
SPARE_EVENTS = 1_000_000
EVENTS_PER_S = 100
"""More than a site ever has: the numbers of its events that the backup does not know."""


class Queue(StrEnum):
    """What becomes of what waited or ran when the backup was made."""

    SEND = "send"
    PARK = "park"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parking:
    """How many rows were parked."""

    messages: int = 0
    transactions: int = 0


def adapt(path: Path, queue: Queue, *, made_at: datetime, now: datetime, forget: tuple[str, ...] = ()) -> Parking:
    """Make the copy at `path` fit to be started from. `forget`: the gateway's values that were of that run and that
    computer. Raises `StoreError`; the copy is as it was then."""
    with changing(path, "adapt the copy") as db:
        db.executemany("DELETE FROM gateway WHERE name = ?", [(name,) for name in (*forget, RESTORED)])
        if queue is Queue.SEND:
            return Parking()
        parked = _park(db, made_at, now)
        _leave_numbers(db, now - made_at)
        value = value_of(made_at, messages=parked.messages, transactions=parked.transactions)
        db.execute("INSERT INTO gateway (name, value) VALUES (?, ?)", (RESTORED, value))
        return parked


def _park(db: sqlite3.Connection, made_at: datetime, now: datetime) -> Parking:
    reason = f"restored from a backup of {made_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC: it may be over since"
    columns = "INSERT INTO parked (station, source, key, reason, at, value)"
    at = now.astimezone(UTC).isoformat()
    messages = db.execute(
        f"{columns} SELECT station, ?, CAST(seq AS TEXT), ?, ?, value FROM outbox ORDER BY station, seq",
        (OUTBOX, reason, at),
    ).rowcount
    db.execute("DELETE FROM outbox")
    counted = {}
    for kind in OVERTAKEN:
        counted[kind] = db.execute(
            f"{columns} SELECT station, kind, key, ?, ?, value FROM facts WHERE kind = ? ORDER BY station, key",
            (reason, at, str(kind)),
        ).rowcount
        db.execute("DELETE FROM facts WHERE kind = ?", (str(kind),))
    return Parking(messages=messages, transactions=counted[Table.TRANSACTION])


def _leave_numbers(db: sqlite3.Connection, since: timedelta) -> None:
    """Events go on above all numbers that may have been told since; what waited for the broker counts as told."""
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'events'").fetchone() is None:
        return
    last = db.execute("SELECT max(seq) FROM events").fetchone()[0] or 0
    found = db.execute("SELECT value FROM gateway WHERE name = ?", (DELIVERED,)).fetchone()
    told = int(found[0]) if found is not None and found[0].isascii() and found[0].isdigit() else 0
    number = max(last, told)
    if number:
        number += SPARE_EVENTS + EVENTS_PER_S * max(0, int(since.total_seconds()))
        db.execute("INSERT OR REPLACE INTO gateway (name, value) VALUES (?, ?)", (DELIVERED, str(number)))
