"""How the store of this run comes to be: one daemon at a time, checked, migrated, or set aside and replaced.

Owns the order in which a database is tried and replaced (`replacing` knows the files' names). Invariants: nothing is
ever deleted that could hold a fact; a crash at any point of a replacement is continued by the next start; a database
of a newer version is left untouched.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from edged.ports import StoreError, StoreWithheld
from edged.store.columns import as_text
from edged.store.files import grow, remove_quietly, sync_directory, sync_file
from edged.store.lock import take_lock
from edged.store.migrations import MIGRATIONS, Migration
from edged.store.replacing import COMPANIONS, PRIVATE, last_aside, missing, restore, set_aside
from edged.store.restored import RESTORED, sentence_of
from edged.store.sqlite import DAMAGE, SqliteStore, primary_code, store_error

APPLICATION_ID = 0x65644744
PAGE_BYTES = 512
"""What a commit changes is some 100 bytes in each of three or four places: small pages are less to the card, and cost
nothing else that can be measured (docs/benchmarks.md). A database of an older version keeps its own."""
CHECKPOINT_BYTES = 768 * 1024
"""How much of the log is written before it goes into the database and begins anew; measured together with the size of a
page (docs/benchmarks.md)."""
FRAME_BYTES = 24
LOG_MARGIN = 1.25
"""The last commit before a checkpoint goes beyond it."""
WAL_LIMIT_BYTES = 1 << 20
BUSY_MS = 2000
VERSION_MAX = 10_000  # above it the number is no version of ours but damage

REFUSALS = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_INTERRUPT,
    }
)
"""Errors that say nothing about the file's content."""
NO_FILE = frozenset({errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.ENOTDIR})
UNREADABLE_SECTORS = frozenset(
    {sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The store, and what had to be done for it.

    `migrated_from`: the older version that it was. `damaged_path`: where a damaged database was set aside, `damage`
    why. `restored_from_backup`: its place was taken by the last backup; otherwise by a new, empty database.
    `put_back`: what is to be said of an `edged restore` since the last start.
    """

    store: SqliteStore
    created: bool = False
    migrated_from: int | None = None
    damage: str | None = None
    damaged_path: Path | None = None
    restored_from_backup: bool = False
    put_back: str | None = None

    @property
    def lost(self) -> str | None:
        """Why the recent past is not in it; None where it is."""
        return self.put_back if self.damage is None else "the database was damaged"

    @property
    def sentences(self) -> tuple[str, ...]:
        """What an operator must know; empty on an ordinary start."""
        said: list[str] = []
        if self.damage is not None:
            said.append(f"the database was damaged ({self.damage})")
        if self.damaged_path is not None:
            said.append(f"it is set aside as {self.damaged_path}")
        if self.restored_from_backup:
            said.append("the last backup is used instead: what happened after it is missing")
        elif self.damage is not None:
            said.append("an empty database is used instead: reservations, transactions and settings are missing")
        if self.put_back is not None:
            said.append(self.put_back)
        if self.migrated_from is not None:
            said.append(f"the database was brought up from version {self.migrated_from}")
        return tuple(said)


class Damaged(Exception):
    """The file cannot be used as it is."""


def open_store(
    path: Path, *, wall: datetime, backup: Path | None = None, migrations: Sequence[Migration] = MIGRATIONS
) -> Opened:
    """Open the database at `path`, creating, migrating or replacing it as needed. Blocking.

    `backup` is where `SqliteStore.backup` puts its copies (by default beside the database). `wall` dates what is set
    aside. Raises `StoreError`: another daemon has it, it is of a newer version, or the disk refuses.
    """
    lock_fd = take_lock(path)
    try:
        opened = _open_locked(path, backup or backup_path(path), lock_fd, wall, migrations)
    except BaseException:
        os.close(lock_fd)
        raise
    return opened


def backup_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.backup")


def _open_locked(path: Path, backup: Path, lock_fd: int, wall: datetime, migrations: Sequence[Migration]) -> Opened:
    damage, aside = None, None
    try:
        lacking = missing(path, backup)
        if lacking is None:
            emptied = path.exists() and path.stat().st_size == 0
            created = emptied or not path.exists()
            if not os.path.lexists(path):  # what a link leads to is made where it leads
                _create(path, migrations)
            try:
                connection, migrated_from = _connect(path, migrations)
                return _opened(
                    connection,
                    path,
                    lock_fd,
                    created=created,
                    migrated_from=migrated_from,
                    damage="the file was empty" if emptied else None,
                )
            except Damaged as error:
                lacking = str(error)
        damage, aside = lacking, set_aside(path, wall) or last_aside(path)
        if backup.exists():
            try:
                restore(backup, path)
                connection, migrated_from = _connect(path, migrations)
                return _opened(
                    connection,
                    path,
                    lock_fd,
                    migrated_from=migrated_from,
                    damage=damage,
                    damaged_path=aside,
                    restored_from_backup=True,
                )
            except Damaged as error:
                damage = f"{damage}; so was its backup ({error})"
                set_aside(path, wall)
                set_aside(backup, wall)
        _create(path, migrations)
        connection, _ = _connect(path, migrations)
        return _opened(connection, path, lock_fd, created=True, damage=damage, damaged_path=aside)
    except Damaged as error:
        raise StoreError(f"a new database at {path} does not hold: {error}") from error
    except OSError as error:
        raise _refused(error, path) from error


def _refused(error: OSError, path: Path) -> StoreError:
    """What the operating system has against it, and what helps."""
    if error.errno in NO_FILE:
        return StoreWithheld(f"{path} is no file ({error.strerror}): move it away, edged starts with an empty database")
    strangers = _not_ours(path)
    return StoreError(strangers or f"{path} cannot be opened: {error.strerror or error}")


def _not_ours(path: Path) -> str | None:
    """The sentence for a file that this user may not use: root has worked on it, or somebody has changed its mode."""
    for end in ("", *COMPANIONS):
        one = path.with_name(f"{path.name}{end}")
        if os.path.lexists(one) and not os.access(one, os.R_OK | os.W_OK):
            owner = f"sudo chown --reference={path.absolute().parent} {one} && sudo chmod 600 {one}"
            return f"{one} is not this user's to read and write: {owner}"
    return None


def _opened(
    connection: sqlite3.Connection,
    path: Path,
    lock_fd: int,
    *,
    created: bool = False,
    migrated_from: int | None = None,
    damage: str | None = None,
    damaged_path: Path | None = None,
    restored_from_backup: bool = False,
) -> Opened:
    sync_directory(path.parent)
    store = SqliteStore(connection, path, lock_fd)
    put_back = store.value(RESTORED)
    if put_back is not None:
        store.set_value(RESTORED, None)
    return Opened(
        store=store,
        created=created,
        migrated_from=migrated_from,
        damage=damage,
        damaged_path=damaged_path,
        restored_from_backup=restored_from_backup,
        put_back=None if put_back is None else sentence_of(put_back),
    )


def _create(path: Path, migrations: Sequence[Migration]) -> None:
    """Put a new database in its place when it is whole: an empty file there is never one that was cut off here."""
    draft = path.with_name(f"{path.name}.new")
    remove_quietly(draft)
    connection, _ = _connect(draft, migrations)
    connection.close()
    sync_file(draft)
    draft.replace(path)
    sync_directory(path.parent)


# --- one file


def _connect(path: Path, migrations: Sequence[Migration]) -> tuple[sqlite3.Connection, int | None]:
    """A connection to a sound database of this version, and the version that it had. Raises `Damaged`."""
    connection: sqlite3.Connection | None = None
    try:
        _make_private(path)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1000)
        connection.text_factory = as_text
        migrated_from = _prepare(connection, path, migrations)
    except sqlite3.Error as error:
        _close_quietly(connection)
        raise _verdict(error, path) from error
    except UnicodeDecodeError as error:
        # a name or a message of SQLite's own that is no text: the damage is in the schema
        _close_quietly(connection)
        raise Damaged("its schema is no text") from error
    except BaseException:
        _close_quietly(connection)
        raise
    return connection, migrated_from


def _make_private(path: Path) -> None:
    """Only our own user reads what is kept: there are passwords in it. SQLite gives its companions the same mode."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE))
    for end in ("", *COMPANIONS):
        companion = path.with_name(f"{path.name}{end}")
        try:
            if companion.stat().st_mode & 0o077:
                companion.chmod(PRIVATE)
        except FileNotFoundError:
            continue


def _prepare(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration]) -> int | None:
    run = connection.execute
    run(f"PRAGMA page_size = {PAGE_BYTES}")
    run("PRAGMA locking_mode = EXCLUSIVE")
    run("PRAGMA trusted_schema = OFF")
    run("PRAGMA cell_size_check = ON")
    version = version_of(connection, path, len(migrations))
    # quick_check would leave out the order of rows: a row out of order could be read but never deleted
    verdict = run("PRAGMA integrity_check(1)").fetchone()
    if verdict is None or verdict[0] != "ok":
        raise Damaged("no verdict" if verdict is None else str(verdict[0]).replace("\n", " ")[:200])
    mode = run("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise Damaged(f"it stays in journal mode {mode!r}")
    run("PRAGMA synchronous = FULL")
    # Debian's SQLite zeroes pages that are freed: a card keeps the old ones anyway, and each is one more to write
    run("PRAGMA secure_delete = FAST")
    run("PRAGMA foreign_keys = OFF")
    page_bytes = int(run("PRAGMA page_size").fetchone()[0])
    run(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_BYTES // page_bytes}")
    run(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
    if schema_of(connection) != expected_schema(migrations[:version]):
        raise Damaged("its tables are not those of its version")
    _migrate(connection, path, version, migrations)
    # a log that has its size is written over: where it grows, the file system keeps books of each commit
    log_bytes = CHECKPOINT_BYTES // page_bytes * (page_bytes + FRAME_BYTES)
    grow(path.with_name(f"{path.name}-wal"), int(log_bytes * LOG_MARGIN))
    return version if 0 < version < len(migrations) else None


def version_of(connection: sqlite3.Connection, path: Path, known: int) -> int:
    """The schema version of the file. Raises `StoreError` for a newer one."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    if version == 0 and application == 0 and tables == 0:
        return 0
    if application != APPLICATION_ID or not 0 < version <= VERSION_MAX:
        raise Damaged("it is no database of edged")
    if version > known:
        raise StoreWithheld(
            f"{path} has version {version}, but this edged knows only up to version {known}: "
            "install the newer edged again, restore a backup that this one made (edged restore FILE), "
            "or move the file away to start empty"
        )
    return version


def _migrate(connection: sqlite3.Connection, path: Path, version: int, migrations: Sequence[Migration]) -> None:
    """All missing steps in one transaction. It is begun in any case: a disk that cannot be written is found now."""
    connection.execute("BEGIN IMMEDIATE")
    if version < len(migrations):
        try:
            for migration in migrations[version:]:
                for statement in migration:
                    connection.execute(statement)
        except sqlite3.Error as error:
            if primary_code(error) in DAMAGE:
                raise
            # the file is sound, the step is not (or the disk is full): a repaired edged shall find it as it was
            raise StoreError(
                f"{path} cannot be brought up from version {version}, it is left as it was: {error}"
            ) from error
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(migrations)}")
    connection.execute("COMMIT")


def schema_of(connection: sqlite3.Connection) -> list[tuple[str, str, str | None]]:
    return sorted(connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall(), key=repr)


def expected_schema(migrations: Sequence[Migration]) -> list[tuple[str, str, str | None]]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as model:
        for migration in migrations:
            for statement in migration:
                model.execute(statement)
        return schema_of(model)


def _verdict(error: sqlite3.Error, path: Path) -> Exception:
    """Whether an error speaks of the file's content (set it aside) or of the world around it (refuse in words)."""
    code = primary_code(error)
    extended: int = getattr(error, "sqlite_errorcode", 0)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError(f"{path} is in use by another program: only one edged may have it open")
    strangers = _not_ours(path)
    if code in (*REFUSALS, sqlite3.SQLITE_READONLY) and strangers is not None:
        return StoreError(strangers)
    if code in REFUSALS or (code == sqlite3.SQLITE_READONLY and not os.access(path, os.W_OK)):
        return store_error(error, f"open {path}")
    if code == sqlite3.SQLITE_IOERR and extended not in UNREADABLE_SECTORS:
        return store_error(error, f"open {path}")
    return Damaged(f"{error} ({getattr(error, 'sqlite_errorname', type(error).__name__)})")


def _close_quietly(connection: sqlite3.Connection | None) -> None:
    if connection is None:
        return
    try:
        connection.close()
    except sqlite3.Error:
        return
