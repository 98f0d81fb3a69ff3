"""A store without a disk, for simulations, the demo and tests: the same port, the same text rows, the same bounds.

A power cut is a new engine on the same object. `fail_at` makes the commit of that number (counted from 1) raise as a
full disk would, and leave nothing behind.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from edged.domain.effects import Lane, Record
from edged.domain.journal import Entry, Journal
from edged.ports import StoreError
from edged.store import records
from edged.store.port import (
    JOURNAL_MAX,
    PARKED_MAX,
    REPLIES_HOURS,
    REPLIES_MAX,
    TRIMMED_MAX,
    Overflow,
    ParkedRow,
    Rows,
    SavedReply,
    SpoolBounds,
    SpooledEvent,
    SpoolState,
    Writes,
)
from edged.store.row_texts import to_outbox_text, to_row_text, to_text
from edged.store.spool import ROW_OVERHEAD_BYTES


class MemoryStore:
    """`Store` in memory. `commits` counts every attempt, the failed ones included."""

    def __init__(self, fail_at: Container[int] = ()) -> None:
        self.fail_at = fail_at
        self.commits = 0
        self.unreadable = 0
        self._facts: dict[str, dict[str, dict[str, str]]] = {}
        self._outbox: dict[str, dict[int, tuple[Lane, str]]] = {}
        self._walls: dict[str, datetime] = {}
        self._parked: deque[ParkedRow] = deque(maxlen=PARKED_MAX)
        self._journals: dict[tuple[str, Journal], deque[tuple[datetime, str]]] = {}
        self._replies: deque[SavedReply] = deque(maxlen=REPLIES_MAX)
        self._values: dict[str, str] = {}
        self._events: dict[int, SpooledEvent] = {}
        self._delivered = 0
        self._closed = False

    def load(self, station_id: str) -> Rows:
        self._open()
        return Rows(
            facts={table: dict(rows) for table, rows in self._facts.get(station_id, {}).items() if rows},
            outbox={seq: text for seq, (_, text) in self._outbox.get(station_id, {}).items()},
        )

    def commit(self, station_id: str, writes: Writes, wall: datetime) -> None:
        self._open()
        if not writes:
            return
        self.commits += 1
        if self.commits in self.fail_at:
            raise StoreError("commit: database or disk is full (simulated)")
        outbox = self._outbox.setdefault(station_id, {})
        if not outbox.keys().isdisjoint(writes.enqueue):
            raise StoreError("commit: a record of that number is in the outbox already")
        facts = self._facts.setdefault(station_id, {})
        for table, keys in writes.delete.items():
            for key in keys:
                facts.get(table, {}).pop(key, None)
        for table, rows in writes.put.items():
            facts.setdefault(str(table), {}).update({key: to_row_text(table, row) for key, row in rows.items()})
        if writes.moment or any(writes.put.values()):
            self._walls[station_id] = wall
        outbox.update({seq: (one.lane, to_outbox_text(one.row)) for seq, one in writes.enqueue.items()})
        for seq in writes.dequeue:
            outbox.pop(seq, None)
        self._parked.extend(ParkedRow(station_id=station_id, at=wall, parked=parked) for parked in writes.parked)
        for entry in writes.journal:
            journal = self._journals.setdefault((station_id, entry.kind), deque(maxlen=JOURNAL_MAX))
            journal.append((entry.at, to_text(entry.row)))
        self.events_add(writes.events, writes.delivered)
        for reply in writes.replies:
            self.reply_save(reply)

    def outbox(self, station_id: str, lane: Lane, *, after_seq: int = 0, limit: int = 50) -> list[tuple[int, Record]]:
        self._open()
        found = sorted(
            (seq, text)
            for seq, (own, text) in self._outbox.get(station_id, {}).items()
            if own is lane and seq > after_seq
        )
        return [(seq, records.decode_record(text)) for seq, text in found[:limit]]

    def journal_load(
        self,
        station_id: str,
        kind: Journal,
        *,
        limit: int,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[Entry]:
        self._open()
        rows = (
            text
            for at, text in reversed(self._journals.get((station_id, kind), ()))
            if (since is None or at >= since) and (until is None or at <= until)
        )
        found, skipped = records.read_entries(kind, rows, limit)
        self.unreadable += skipped
        return found

    def last_wall(self) -> datetime | None:
        self._open()
        return max(self._walls.values(), default=None)

    def stations(self) -> tuple[str, ...]:
        self._open()
        facts = {name for name, tables in self._facts.items() if any(tables.values())}
        journals = {name for name, _ in self._journals}
        return tuple(
            sorted(facts | journals | {name for name, rows in self._outbox.items() if rows} | self._walls.keys())
        )

    def parked(self, limit: int = 100) -> list[ParkedRow]:
        self._open()
        return list(reversed(self._parked))[:limit]

    def reply_save(self, reply: SavedReply) -> None:
        self._open()
        oldest = reply.at - timedelta(hours=REPLIES_HOURS)
        kept = [one for one in self._replies if one.at >= oldest]
        self._replies.clear()
        self._replies.extend([*kept, replace(reply, at=reply.at.astimezone(UTC))])

    def replies_load(self, limit: int = REPLIES_MAX) -> list[SavedReply]:
        self._open()
        return list(self._replies)[-limit:] if limit > 0 else []

    def value(self, name: str) -> str | None:
        self._open()
        return self._values.get(name)

    def set_value(self, name: str, value: str | None) -> None:
        self._open()
        if value is None:
            self._values.pop(name, None)
        else:
            self._values[name] = value

    def set_values(self, values: Mapping[str, str | None]) -> None:
        for name, value in values.items():
            self.set_value(name, value)

    def events_add(self, events: Sequence[SpooledEvent], delivered: int | None = None) -> None:
        self._open()
        for event in events:
            self._events.setdefault(event.seq, event)
        self._delivered = self._delivered if delivered is None else delivered

    def events_load(self, after_seq: int, limit: int) -> list[SpooledEvent]:
        self._open()
        return [self._events[seq] for seq in sorted(self._events) if seq > after_seq][:limit]

    def events_state(self) -> SpoolState:
        self._open()
        return SpoolState(
            first=min(self._events, default=0),
            last=max(self._events, default=0),
            rows=len(self._events),
            bytes=sum(_size(event) for event in self._events.values()),
            delivered=self._delivered,
        )

    def events_trim(self, bounds: SpoolBounds, now: datetime | None) -> Overflow | None:
        self._open()
        gone = set() if now is None else self._too_old(now - timedelta(seconds=bounds.max_age_s))
        order = sorted(
            (event for event in self._events.values() if event.seq not in gone),
            key=lambda event: (
                event.seq > self._delivered,
                event.rank if event.seq > self._delivered else 0,
                event.seq,
            ),
        )
        rows, size = len(order), sum(map(_size, order))
        for event in order:
            if rows <= bounds.max_rows and size <= bounds.max_bytes:
                break
            gone.add(event.seq)
            rows, size = rows - 1, size - _size(event)
        for seq in gone:
            del self._events[seq]
        lost = [seq for seq in gone if seq > self._delivered]
        return Overflow(from_seq=min(lost), to_seq=max(lost), count=len(lost)) if lost else None

    def _too_old(self, oldest: datetime) -> set[int]:
        known = [seq for seq in sorted(self._events) if self._events[seq].at is not None][:TRIMMED_MAX]
        last = max((seq for seq in known if (at := self._events[seq].at) is not None and at < oldest), default=0)
        return set(sorted(seq for seq in self._events if seq <= last)[:TRIMMED_MAX])

    def close(self) -> None:
        """A closed store refuses everything but being closed again."""
        self._closed = True

    def _open(self) -> None:
        if self._closed:
            raise StoreError("Cannot operate on a closed database.")


def _size(event: SpooledEvent) -> int:
    return len(event.text.encode("utf-8", "surrogatepass")) + ROW_OVERHEAD_BYTES
