"""Databases outside of a daemon: a copy of one that nobody has open, and what a copy holds.

Owns no daemon's file: what is copied is not touched, not even to read it. Refuses to know archives. Invariant: a copy
is one plain file, sound or refused.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edged.ports import StoreDamaged, StoreError
from edged.store.codec import EARLIEST_YEAR, LATEST_YEAR, Unreadable
from edged.store.columns import as_text, storable
from edged.store.files import sync_file
from edged.store.migrations import MIGRATIONS, Migration
from edged.store.opening import Damaged, backup_path, expected_schema, schema_of, version_of
from edged.store.port import Table
from edged.store.row_texts import from_text
from edged.store.sqlite import WALL, store_error

COPY = "edged.db.copy"
"""The copy that a running daemon makes of its database, beside it."""
_JOURNALS = ("-wal", "-journal")
_PRIVATE = 0o600
MAX_TOLD = 256
"""Transactions that a description names. As many run as a site has connectors; of a long outage there may be more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptTransaction:
    """A transaction in the copy: one that runs, or one that has ended and of which the CSMS does not know all.
    `csms_id`: the number that a CSMS may have given it; None for what is not there or cannot be read."""

    station: str
    id: str
    csms_id: int | None
    connector: int | None
    started: str | None
    ended: str | None
    meter_wh: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a database holds. `unsent`: messages that wait for a CSMS; `transactions`: at most `MAX_TOLD`."""

    version: int
    stations: tuple[str, ...]
    last_change: datetime | None
    unsent: int
    transactions: tuple[KeptTransaction, ...]

    @property
    def running(self) -> int:
        return sum(one.ended is None for one in self.transactions)


def copy_stopped(path: Path, target: Path) -> bool:
    """Copy the database at `path`, the write-ahead log that a crash may have left included. The caller holds its lock.

    False where there is none. Raises `StoreError` for one that is damaged, and `OSError`.
    """
    if not path.exists() or path.stat().st_size == 0:
        log_left = path.with_name(f"{path.name}-wal")
        if backup_path(path).exists() or (log_left.exists() and log_left.stat().st_size > 0):
            raise StoreError(
                f"{path} is missing or empty and its daily copy is there: start edged once, which puts it in its place"
            )
        return False
    if not path.is_file():
        raise StoreError(f"{path} is no file: move it away, edged starts with an empty database then")
    for end in ("", *_JOURNALS):
        source, copy = path.with_name(f"{path.name}{end}"), target.with_name(f"{target.name}{end}")
        if end == "" or source.exists():
            os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE))
            shutil.copyfile(source, copy)
    with _words("copy the database"), closing(_connect(target)) as copy_of:
        # the log's content goes into the file, and the file needs no companion any more
        copy_of.execute("PRAGMA journal_mode = DELETE")
        verdict = copy_of.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if verdict != "ok":
        raise StoreDamaged(f"{path} is damaged ({storable(str(verdict))[:200]}): start edged once, which sets it aside")
    sync_file(target)
    return True


def describe(path: Path) -> Description:
    """What the copy at `path` holds, of whatever version. Raises `StoreError` where that is no database of edged."""
    with _words("read the copy"), closing(_connect(path, read_only=True)) as db:
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        names = db.execute("SELECT station FROM facts UNION SELECT station FROM outbox ORDER BY station").fetchall()
        moments = db.execute("SELECT value FROM facts WHERE kind = ?", (WALL,)).fetchall()
        return Description(
            version=version,
            stations=tuple(storable(name) for (name,) in names),
            last_change=max((moment for (text,) in moments if (moment := _moment(text)) is not None), default=None),
            unsent=int(db.execute("SELECT count(*) FROM outbox").fetchone()[0]),
            transactions=tuple(_transactions(db)),
        )


def check_copy(path: Path) -> None:
    """Raises `StoreWithheld` for a newer database, `StoreDamaged` for one that this edged would set aside."""
    with _words("read the copy"), closing(_connect(path, read_only=True)) as db:
        _check(db, path, MIGRATIONS)


def _check(db: sqlite3.Connection, path: Path, migrations: Sequence[Migration]) -> None:
    try:
        version = version_of(db, path, len(migrations))
    except Damaged as error:
        raise StoreDamaged(f"{path.name}: {error}") from error
    verdict = db.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict is None or verdict[0] != "ok":
        raise StoreDamaged(f"{path.name} is damaged")
    if version == 0 or schema_of(db) != expected_schema(migrations[:version]):
        raise StoreDamaged(f"{path.name}: its tables are not those of its version")


def _transactions(db: sqlite3.Connection) -> Iterator[KeptTransaction]:
    found = db.execute(
        "SELECT station, value FROM facts WHERE kind = ? ORDER BY station, key LIMIT ?",
        (str(Table.TRANSACTION), MAX_TOLD),
    )
    for station, text in found:
        row = _object(text)
        ending = row.get("ending")
        meter = ending.get("meter_wh") if isinstance(ending, dict) else row.get("kept_meter_wh")
        number, connector = row.get("external_ref"), row.get("connector")
        yield KeptTransaction(
            station=storable(station),
            id=storable(str(row.get("id", "?")))[:64],
            csms_id=number if isinstance(number, int) else None,
            connector=connector if isinstance(connector, int) else None,
            started=_utc(row.get("started")),
            ended=_utc(ending.get("at")) or "?" if isinstance(ending, dict) else None,
            meter_wh=float(meter) if isinstance(meter, int | float) else None,
        )


def _utc(stamp: object) -> str | None:
    return storable(str(stamp["utc"]))[:40] if isinstance(stamp, dict) and "utc" in stamp else None


def _object(text: str) -> dict[str, Any]:
    try:
        value = from_text(text)
    except Unreadable:
        return {}
    return value if isinstance(value, dict) else {}


def _moment(text: str) -> datetime | None:
    """None also for one that no clock has shown."""
    try:
        moment = datetime.fromisoformat(text)
        told = moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
    return told if told is not None and EARLIEST_YEAR <= told.year < LATEST_YEAR else None


def _connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?{'mode=ro&immutable=1' if read_only else 'mode=rw'}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    connection.text_factory = as_text
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    return connection


@contextmanager
def _words(doing: str) -> Iterator[None]:
    """SQLite's errors as sentences."""
    try:
        yield
    except sqlite3.Error as error:
        raise store_error(error, doing) from error
    except UnicodeDecodeError as error:
        raise StoreDamaged(f"{doing}: its schema is no text") from error


@contextmanager
def changing(path: Path, doing: str) -> Iterator[sqlite3.Connection]:
    """One transaction on a copy that nobody else has open, flushed at its end. Raises `StoreError`."""
    with _words(doing), closing(_connect(path)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("PRAGMA synchronous = EXTRA")
        db.execute("BEGIN IMMEDIATE")
        yield db
        db.execute("COMMIT")
