"""Kept facts in one SQLite file: WAL, every commit flushed to the disk before it returns.

Owns the SQL and the locking between threads. Knows no rule of a station: rows come from `records` as data. How a file
is opened, migrated or set aside is `opening`'s. Invariants: a commit is one SQLite transaction; what failed left
nothing behind; nobody else has the file open for as long as this object lives.

    StoreError (ports)
      StoreDamaged   the file is no longer a sound database: open it again, it will be set aside
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edged.domain.effects import Lane, Record
from edged.domain.journal import Entry, Journal
from edged.log_fields import fields
from edged.ports import StoreDamaged, StoreError
from edged.store import records
from edged.store.codec import Unreadable
from edged.store.columns import key_bytes, moment_of, name_of, sortable, storable
from edged.store.files import remove_quietly, sync_directory, sync_file
from edged.store.port import (
    JOURNAL_MAX,
    PARKED_MAX,
    REPLIES_HOURS,
    REPLIES_MAX,
    Journaled,
    Overflow,
    Parked,
    ParkedRow,
    Rows,
    SavedReply,
    SpoolBounds,
    SpooledEvent,
    SpoolState,
    Writes,
)
from edged.store.row_texts import to_outbox_text, to_row_text, to_text
from edged.store.spool import SpoolTable

log = logging.getLogger(__name__)

WALL = "station.wall"
"""The kind of the row that holds the wall clock of a station's last change: the store's own, no table of records, and
named so that it lies beside the station's row."""

DAMAGE = frozenset(
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_FORMAT,
    }
)


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 where the error did not come from SQLite."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return (code or 0) & 0xFF


def store_error(error: sqlite3.Error, doing: str) -> StoreError:
    """A sentence about what the disk did not do."""
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    kind = StoreDamaged if primary_code(error) in DAMAGE else StoreError
    full = primary_code(error) == sqlite3.SQLITE_FULL
    return kind(f"{doing}: {error} ({name}){': make room on its disk, edged goes on by itself' if full else ''}")


class SqliteStore:
    """A `Store` on an open, checked and migrated connection (`opening.open_store`).

    `lock_fd` is the lock file that keeps a second daemon out; it is closed with the store.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, lock_fd: int | None = None) -> None:
        self.unreadable = 0
        self._db = connection
        self._path = path
        self._lock_fd = lock_fd
        self._lock = threading.Lock()
        self._spool = SpoolTable()

    @property
    def path(self) -> Path:
        return self._path

    # --- stations

    def load(self, station_id: str) -> Rows:
        facts: dict[str, dict[str, str]] = {}
        with self._reading("read the station") as db:
            for kind, key, value in db.execute("SELECT kind, key, value FROM facts WHERE station = ?", (station_id,)):
                if kind != WALL:
                    facts.setdefault(kind, {})[key] = value
            found = db.execute("SELECT seq, value FROM outbox WHERE station = ?", (station_id,))
            return Rows(facts=facts, outbox=dict(found.fetchall()))

    def commit(self, station_id: str, writes: Writes, wall: datetime) -> None:
        if not writes:
            return
        with self._writing("commit") as db:
            self._dequeue(db, station_id, writes)  # first: what else is written takes the pages that it leaves
            self._commit_facts(db, station_id, writes, wall)
            self._enqueue(db, station_id, writes)
            if writes.parked:
                self._commit_parked(db, station_id, writes.parked, wall)
            if writes.journal:
                self._commit_journal(db, station_id, writes.journal)
            self._spool.add(db, writes.events)
            if writes.delivered is not None:
                self._spool.deliver(db, writes.delivered)
            for reply in writes.replies:
                self._save_reply(db, reply)

    def _commit_facts(self, db: sqlite3.Connection, station_id: str, writes: Writes, wall: datetime) -> None:
        for table, keys in writes.delete.items():
            db.executemany(
                "DELETE FROM facts WHERE station = ? AND kind = CAST(? AS TEXT) AND key = CAST(? AS TEXT)",
                [(station_id, key_bytes(table), key_bytes(key)) for key in keys],
            )
        puts = [
            (station_id, str(table), key, to_row_text(table, row))
            for table, rows in writes.put.items()
            for key, row in rows.items()
        ]
        if puts or writes.moment:
            # the wall clock lies beside the facts, on a page that is written anyway
            puts.append((station_id, WALL, "", wall.isoformat()))
            db.executemany("INSERT OR REPLACE INTO facts (station, kind, key, value) VALUES (?, ?, ?, ?)", puts)

    def _enqueue(self, db: sqlite3.Connection, station_id: str, writes: Writes) -> None:
        db.executemany(
            "INSERT INTO outbox (station, lane, seq, value) VALUES (?, ?, ?, ?)",
            [(station_id, one.lane.value, seq, to_outbox_text(one.row)) for seq, one in writes.enqueue.items()],
        )

    def _dequeue(self, db: sqlite3.Connection, station_id: str, writes: Writes) -> None:
        # without the lane the whole queue would be searched; a row of no known lane is found the slow way
        for seq in writes.dequeue:
            gone = db.execute(
                "DELETE FROM outbox WHERE station = ? AND lane IN (?, ?, ?) AND seq = ?",
                (station_id, *(lane.value for lane in Lane), seq),
            )
            if gone.rowcount == 0:
                db.execute("DELETE FROM outbox WHERE station = ? AND seq = ?", (station_id, seq))

    def _commit_parked(
        self, db: sqlite3.Connection, station_id: str, parked: tuple[Parked, ...], wall: datetime
    ) -> None:
        db.executemany(
            "INSERT INTO parked (station, source, key, reason, at, value) VALUES (?, ?, ?, ?, ?, ?)",
            [
                (
                    station_id,
                    storable(p.source),
                    storable(p.key),
                    storable(p.reason),
                    wall.isoformat(),
                    storable(p.text),
                )
                for p in parked
            ],
        )
        db.execute("DELETE FROM parked WHERE number <= (SELECT max(number) FROM parked) - ?", (PARKED_MAX,))

    def _commit_journal(self, db: sqlite3.Connection, station_id: str, entries: tuple[Journaled, ...]) -> None:
        """Each under the next number of its journal; what is too old leaves by number, without a search."""
        for kind in {entry.kind for entry in entries}:
            of_kind = (station_id, kind.value)
            last = db.execute("SELECT max(number) FROM journal WHERE station = ? AND kind = ?", of_kind).fetchone()[0]
            rows = [
                (*of_kind, number, sortable(entry.at), to_text(entry.row))
                for number, entry in enumerate((e for e in entries if e.kind is kind), (last or 0) + 1)
            ]
            db.executemany("INSERT INTO journal (station, kind, number, at, value) VALUES (?, ?, ?, ?, ?)", rows)
            oldest = rows[-1][2] - JOURNAL_MAX
            db.execute("DELETE FROM journal WHERE station = ? AND kind = ? AND number <= ?", (*of_kind, oldest))

    def journal_load(
        self,
        station_id: str,
        kind: Journal,
        *,
        limit: int,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[Entry]:
        bounds = (sortable(since) if since else "", sortable(until) if until else "~")
        with self._reading("read a journal") as db:
            rows = db.execute(
                "SELECT value FROM journal WHERE station = ? AND kind = ? AND at >= ? AND at <= ? ORDER BY number DESC",
                (station_id, kind.value, *bounds),
            )
            found, skipped = records.read_entries(kind, (text for (text,) in rows), limit)
            rows.close()  # what is not read holds the file otherwise
        if skipped:
            self.unreadable += skipped
            words = "%d entries of the journal %s of %s cannot be read"
            log.warning(words, skipped, kind.value, station_id, extra=fields(station=station_id))
        return found

    def outbox(self, station_id: str, lane: Lane, *, after_seq: int = 0, limit: int = 50) -> list[tuple[int, Record]]:
        with self._reading("read the outbox") as db:
            found = db.execute(
                "SELECT seq, value FROM outbox WHERE station = ? AND lane = ? AND seq > ? ORDER BY seq LIMIT ?",
                (station_id, lane.value, after_seq, limit),
            ).fetchall()
        try:
            return [(seq, records.decode_record(text)) for seq, text in found]
        except Unreadable as error:
            # load has read every row of it: what cannot be read now has changed under us
            raise StoreDamaged(f"read the outbox: {error}") from error

    def stations(self) -> tuple[str, ...]:
        with self._reading("list the stations") as db:
            found = db.execute(
                "SELECT station FROM facts UNION SELECT station FROM outbox UNION SELECT station FROM journal "
                "ORDER BY station"
            ).fetchall()
        return tuple(storable(name) for (name,) in found)

    def last_wall(self) -> datetime | None:
        with self._reading("read the last wall clock") as db:
            found = db.execute("SELECT value FROM facts WHERE kind = ?", (WALL,)).fetchall()
        return max((moment for (text,) in found if (moment := moment_of(text)) is not None), default=None)

    def parked(self, limit: int = 100) -> list[ParkedRow]:
        with self._reading("read the parked rows") as db:
            found = db.execute(
                "SELECT station, at, source, key, reason, value FROM parked ORDER BY number DESC LIMIT ?", (limit,)
            ).fetchall()
        return [
            ParkedRow(station_id=station, at=moment, parked=Parked(source, key, reason, text))
            for station, at, source, key, reason, text in found
            if (moment := moment_of(at)) is not None
        ]

    # --- the gateway's own

    def reply_save(self, reply: SavedReply) -> None:
        with self._writing("keep a reply") as db:
            self._save_reply(db, reply)

    def _save_reply(self, db: sqlite3.Connection, reply: SavedReply) -> None:
        at = reply.at.astimezone(UTC)
        oldest = (at - timedelta(hours=REPLIES_HOURS)).isoformat()
        names = (json.dumps(name) for name in (reply.actor, reply.command, reply.id))
        db.execute(
            "INSERT INTO replies (actor, command, id, at, payload) VALUES (?, ?, ?, ?, ?)",
            (*names, at.isoformat(), storable(reply.payload)),
        )
        db.execute("DELETE FROM replies WHERE number <= (SELECT max(number) FROM replies) - ?", (REPLIES_MAX,))
        db.execute("DELETE FROM replies WHERE at < ?", (oldest,))

    def replies_load(self, limit: int = REPLIES_MAX) -> list[SavedReply]:
        with self._reading("read the replies") as db:
            found = db.execute(
                "SELECT actor, command, id, at, payload FROM replies ORDER BY number DESC LIMIT ?", (limit,)
            ).fetchall()
        return [
            SavedReply(actor=name_of(actor), command=name_of(command), id=name_of(own), payload=payload, at=moment)
            for actor, command, own, at, payload in reversed(found)
            if (moment := moment_of(at)) is not None
        ]

    def value(self, name: str) -> str | None:
        with self._reading("read a value") as db:
            found = db.execute("SELECT value FROM gateway WHERE name = ?", (name,)).fetchone()
        return None if found is None else str(found[0])

    def set_value(self, name: str, value: str | None) -> None:
        self.set_values({name: value})

    def set_values(self, values: Mapping[str, str | None]) -> None:
        with self._writing("keep a value") as db:
            for name, value in values.items():
                if value is None:
                    db.execute("DELETE FROM gateway WHERE name = ?", (name,))
                else:
                    db.execute("INSERT OR REPLACE INTO gateway (name, value) VALUES (?, ?)", (name, storable(value)))

    # --- what watchers are told

    def events_add(self, events: Sequence[SpooledEvent], delivered: int | None = None) -> None:
        with self._writing("keep events") as db:
            self._spool.add(db, events)
            if delivered is not None:
                self._spool.deliver(db, delivered)

    def events_load(self, after_seq: int, limit: int) -> list[SpooledEvent]:
        with self._reading("read events") as db:
            return self._spool.load(db, after_seq, limit)

    def events_state(self) -> SpoolState:
        with self._reading("count the events") as db:
            return self._spool.state(db)

    def events_trim(self, bounds: SpoolBounds, now: datetime | None) -> Overflow | None:
        with self._writing("let go of old events") as db:
            return self._spool.trim(db, bounds, now)

    # --- the file

    def backup(self, path: Path) -> None:
        """A consistent copy, put in place of the last one only when it is whole and checked.

        Commits wait while it runs (milliseconds for a site's database). Raises `StoreError`; the last copy stays.
        """
        draft = path.with_name(f"{path.name}.new")
        try:
            with self._reading("copy the database") as db:
                draft.unlink(missing_ok=True)
                os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
                copy = sqlite3.connect(draft, isolation_level=None)
                try:
                    copy.execute("PRAGMA synchronous = OFF")  # flushed below, once
                    db.backup(copy)
                    # a plain file of its own: a copy has no use for a write-ahead log beside it
                    copy.execute("PRAGMA journal_mode = DELETE")
                    verdict = copy.execute("PRAGMA integrity_check(1)").fetchone()[0]
                finally:
                    copy.close()
            if verdict != "ok":
                raise StoreDamaged(f"copy the database: {verdict}")
            sync_file(draft)
            draft.replace(path)
            sync_directory(path.parent)
        except OSError as error:
            raise StoreError(f"copy the database: {error}") from error
        finally:
            remove_quietly(draft)

    def close(self) -> None:
        """Let go of the file and of its lock. A second call does nothing."""
        with self._lock:
            try:
                self._db.close()
            except sqlite3.Error as error:
                raise store_error(error, "close the database") from error
            finally:
                if self._lock_fd is not None:
                    os.close(self._lock_fd)
                    self._lock_fd = None

    @contextmanager
    def _reading(self, doing: str) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._db
            except sqlite3.Error as error:
                raise store_error(error, doing) from error

    @contextmanager
    def _writing(self, doing: str) -> Iterator[sqlite3.Connection]:
        """One transaction: committed and flushed at the end, rolled back whatever goes wrong."""
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                self._spool.uncertain()
                raise store_error(error, doing) from error
            finally:
                self._roll_back()

    def _roll_back(self) -> None:
        """End a transaction that did not come to its commit. SQLite has often done so itself."""
        try:
            if self._db.in_transaction:
                self._spool.uncertain()
                self._db.rollback()
        except sqlite3.Error as error:
            log.warning("the failed write could not be rolled back, the next one will be refused: %s", error)
