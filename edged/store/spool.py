"""The table of events for local watchers: adding, reading in order, and what goes when it is full.

Owns its SQL and the count of its rows and bytes. Refuses to know: what an event says, locks, transactions.
Invariants: a number is never used twice while its row lies here; nothing that was not delivered leaves unseen: `trim`
tells it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from edged.store.port import Overflow, SpoolBounds, SpooledEvent, SpoolState

DELIVERED = "events.delivered"
"""The name, among the gateway's small values, of the number up to which events were delivered."""
ROW_OVERHEAD_BYTES = 64
"""What a row takes beside its text: number, time, rank and the tree around them."""
_BATCH = 500


class SpoolTable:
    """`count` anew after a transaction that did not come to its commit."""

    def __init__(self) -> None:
        self._rows = self._bytes = -1

    def uncertain(self) -> None:
        """What was counted may not have been kept."""
        self._rows = self._bytes = -1

    def add(self, db: sqlite3.Connection, events: Sequence[SpooledEvent]) -> None:
        if not events:
            return
        self._count(db)
        db.executemany(
            "INSERT INTO events (seq, at, rank, value) VALUES (?, ?, ?, ?)",
            [(event.seq, event.at.astimezone(UTC).isoformat(), event.rank, event.text) for event in events],
        )
        self._rows += len(events)
        self._bytes += sum(_size(event.text) for event in events)

    def deliver(self, db: sqlite3.Connection, seq: int) -> None:
        db.execute("INSERT OR REPLACE INTO gateway (name, value) VALUES (?, ?)", (DELIVERED, str(seq)))

    def load(self, db: sqlite3.Connection, after_seq: int, limit: int) -> list[SpooledEvent]:
        found = db.execute(
            "SELECT seq, at, rank, value FROM events WHERE seq > ? ORDER BY seq LIMIT ?", (after_seq, limit)
        )
        return [SpooledEvent(seq=seq, at=_moment(at), rank=rank, text=text) for seq, at, rank, text in found.fetchall()]

    def state(self, db: sqlite3.Connection) -> SpoolState:
        self._count(db)
        first, last = db.execute("SELECT min(seq), max(seq) FROM events").fetchone()
        return SpoolState(
            first=first or 0, last=last or 0, rows=self._rows, bytes=self._bytes, delivered=self._delivered(db)
        )

    def trim(self, db: sqlite3.Connection, bounds: SpoolBounds, now: datetime) -> Overflow | None:
        """As `port.Store.events_trim`."""
        self._count(db)
        delivered = self._delivered(db)
        oldest = (now.astimezone(UTC) - timedelta(seconds=bounds.max_age_s)).isoformat()
        self._forget(db, db.execute("SELECT seq, value FROM events WHERE seq <= ? AND at < ?", (delivered, oldest)))
        lost = self._forget(db, db.execute("SELECT seq, value FROM events WHERE at < ?", (oldest,)))
        while self._is_beyond(bounds):
            told = db.execute("SELECT seq, value FROM events WHERE seq <= ? ORDER BY seq LIMIT ?", (delivered, _BATCH))
            if self._forget(db, told, bounds):
                continue
            by_rank = db.execute("SELECT seq, value FROM events ORDER BY rank, seq LIMIT ?", (_BATCH,))
            gone = self._forget(db, by_rank, bounds)
            lost += gone
            if not gone:
                break
        return Overflow(from_seq=min(lost), to_seq=max(lost), count=len(lost)) if lost else None

    def _forget(self, db: sqlite3.Connection, rows: sqlite3.Cursor, bounds: SpoolBounds | None = None) -> list[int]:
        """Delete these rows, with `bounds` no more of them than is needed; the numbers that are gone."""
        gone: list[int] = []
        for seq, text in rows.fetchall():
            if bounds is not None and not self._is_beyond(bounds):
                break
            gone.append(seq)
            self._rows -= 1
            self._bytes -= _size(text)
        db.executemany("DELETE FROM events WHERE seq = ?", [(seq,) for seq in gone])
        return gone

    def _is_beyond(self, bounds: SpoolBounds) -> bool:
        return self._rows > bounds.max_rows or (self._bytes > bounds.max_bytes and self._rows > 0)

    def _count(self, db: sqlite3.Connection) -> None:
        """Once; from then on what is added and taken is counted."""
        if self._rows < 0:
            rows, characters = db.execute("SELECT count(*), sum(length(CAST(value AS BLOB))) FROM events").fetchone()
            self._rows, self._bytes = rows, (characters or 0) + rows * ROW_OVERHEAD_BYTES

    @staticmethod
    def _delivered(db: sqlite3.Connection) -> int:
        found = db.execute("SELECT value FROM gateway WHERE name = ?", (DELIVERED,)).fetchone()
        return int(found[0]) if found is not None and found[0].isascii() and found[0].isdigit() else 0


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass")) + ROW_OVERHEAD_BYTES


def _moment(text: str) -> datetime:
    """When it happened, for whoever trims: a row whose time cannot be read is as old as can be."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return datetime.fromtimestamp(0, UTC)
