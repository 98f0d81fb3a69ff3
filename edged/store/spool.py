"""The table of events for local watchers: adding, reading in order, and what goes when it is full.

Owns its SQL and the count of its rows and bytes. Refuses to know: what an event says, locks, transactions.
Invariants: a number is never used twice while its row lies here · nothing that was not delivered leaves unseen: `trim`
tells it · the order is that of the numbers: a clock that was wrong makes no event older than its elders.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from edged.store.brief import EVENTS
from edged.store.port import TRIMMED_MAX, Overflow, SpoolBounds, SpooledEvent, SpoolState

DELIVERED = "events.delivered"
"""The name, among the gateway's small values, of the number up to which events were delivered."""
ROW_OVERHEAD_BYTES = 64
"""What a row takes beside its text: number, time, rank and the tree around them."""
RANKS = (0, 1, 2)
_BATCH = 500
_SIZE = "length(CAST(value AS BLOB))"


class SpoolTable:
    """`count` anew after a transaction that did not come to its commit."""

    def __init__(self) -> None:
        self._rows = self._bytes = -1
        self._none_below = dict.fromkeys(RANKS, 0)

    def uncertain(self) -> None:
        """What was counted may not have been kept."""
        self._rows = self._bytes = -1
        self._none_below = dict.fromkeys(RANKS, 0)

    def add(self, db: sqlite3.Connection, events: Sequence[SpooledEvent]) -> None:
        if not events:
            return
        self._count(db)
        texts = [EVENTS.brief(event.text) for event in events]
        added = db.executemany(
            "INSERT OR IGNORE INTO events (seq, at, rank, value) VALUES (?, ?, ?, ?)",
            [(one.seq, _sortable(one.at), one.rank, text) for one, text in zip(events, texts, strict=True)],
        )
        if added.rowcount != len(events):
            self.uncertain()
            return
        self._rows += len(events)
        self._bytes += sum(map(_size, texts))
        for event in events:
            if event.seq <= self._none_below.get(event.rank, 0):  # it comes late
                self._none_below[event.rank] = 0

    def deliver(self, db: sqlite3.Connection, seq: int) -> None:
        db.execute("INSERT OR REPLACE INTO gateway (name, value) VALUES (?, ?)", (DELIVERED, str(seq)))

    def load(self, db: sqlite3.Connection, after_seq: int, limit: int) -> list[SpooledEvent]:
        found = db.execute(
            "SELECT seq, at, rank, value FROM events WHERE seq > ? ORDER BY seq LIMIT ?", (after_seq, limit)
        )
        return [
            SpooledEvent(seq=seq, at=_moment(at), rank=rank, text=EVENTS.full(text))
            for seq, at, rank, text in found.fetchall()
        ]

    def state(self, db: sqlite3.Connection) -> SpoolState:
        self._count(db)
        first, last = db.execute("SELECT min(seq), max(seq) FROM events").fetchone()
        return SpoolState(
            first=first or 0, last=last or 0, rows=self._rows, bytes=self._bytes, delivered=self._delivered(db)
        )

    def trim(self, db: sqlite3.Connection, bounds: SpoolBounds, now: datetime | None) -> Overflow | None:
        """As `port.Store.events_trim`."""
        self._count(db)
        delivered = self._delivered(db)
        gone = [] if now is None else self._forget_old(db, now.astimezone(UTC) - timedelta(seconds=bounds.max_age_s))
        lost = [seq for seq in gone if seq > delivered]
        while self._is_beyond(bounds):
            told = db.execute(
                f"SELECT seq, {_SIZE} FROM events WHERE seq <= ? ORDER BY seq LIMIT ?", (delivered, _BATCH)
            )
            if self._forget(db, told.fetchall(), bounds):
                continue
            least = self._forget(db, self._least(db), bounds)
            lost += least
            if not least:
                break
        return Overflow(from_seq=min(lost), to_seq=max(lost), count=len(lost)) if lost else None

    def _forget_old(self, db: sqlite3.Connection, oldest: datetime) -> list[int]:
        """What is behind the last event of which the age is known: of the first ones."""
        known = db.execute("SELECT seq, at FROM events WHERE at != '' ORDER BY seq LIMIT ?", (TRIMMED_MAX,)).fetchall()
        last = max((seq for seq, at in known if (moment := _moment(at)) is not None and moment < oldest), default=0)
        rows = db.execute(f"SELECT seq, {_SIZE} FROM events WHERE seq <= ? ORDER BY seq LIMIT ?", (last, TRIMMED_MAX))
        return self._forget(db, rows.fetchall())

    def _least(self, db: sqlite3.Connection) -> list[tuple[int, int]]:
        """The oldest of those that matter least. The search goes on where the last one ended: whoever is over the
        bounds stays there for long, and is not to read the whole table again and again."""
        for rank in RANKS:
            found = db.execute(
                f"SELECT seq, {_SIZE} FROM events WHERE seq > ? AND rank = ? ORDER BY seq LIMIT ?",
                (self._none_below[rank], rank, _BATCH),
            ).fetchall()
            if found:
                self._none_below[rank] = found[0][0] - 1
                return found
            self._none_below[rank] = db.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]
        return db.execute(f"SELECT seq, {_SIZE} FROM events ORDER BY seq LIMIT ?", (_BATCH,)).fetchall()

    def _forget(
        self, db: sqlite3.Connection, rows: Sequence[tuple[int, int]], bounds: SpoolBounds | None = None
    ) -> list[int]:
        """Delete these rows (number, bytes), with `bounds` no more than is needed; the numbers that are gone."""
        gone: list[int] = []
        for seq, size in rows:
            if bounds is not None and not self._is_beyond(bounds):
                break
            gone.append(seq)
            self._rows -= 1
            self._bytes -= size + ROW_OVERHEAD_BYTES
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


def _sortable(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone(UTC).isoformat(timespec="seconds")


def _moment(text: str) -> datetime | None:
    """When it happened. A row whose time cannot be read is like one whose time nobody knew."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC) if text else None
    except (ValueError, OverflowError):
        return None
