"""Opening: new, older, newer, taken, damaged."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edged.domain.effects import Enqueue, Keep, Lane, TransactionRecord
from edged.domain.journal import Journal, SecurityEntry
from edged.domain.station import Station
from edged.domain.types import Stamp
from edged.ports import StoreError, StoreWithheld
from edged.store import records
from edged.store.loading import load
from edged.store.migrations import MIGRATIONS
from edged.store.opening import Opened, backup_path, open_store
from edged.store.port import Parked, Table, Writes
from tests.fakes.kept import kept

DATABASES = Path(__file__).with_name("databases")
VERSION = len(MIGRATIONS)
NEXT = (*MIGRATIONS, ("ALTER TABLE gateway ADD COLUMN since TEXT", "CREATE TABLE later (a TEXT) STRICT"))
BROKEN = (*NEXT, ("CREATE TABLE half (a TEXT) STRICT", "INSERT INTO nowhere VALUES (1)"))
FULL = (*NEXT, ("CREATE TABLE half (a TEXT) STRICT", "INSERT INTO half SELECT hex(zeroblob(3000000))"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "edged.db"


@pytest.fixture
def filled(
    path: Path, fresh: Station, busy: Station, record_of: Callable[..., TransactionRecord], wall: datetime
) -> Path:
    """A closed database with a busy station in it, and no backup."""
    opened = open_store(path, wall=wall)
    opened.store.commit("CP1", records.writes(fresh, busy, (Enqueue(8, record_of("tx-over")),)), wall)
    opened.store.close()
    return path


def _names(path: Path) -> list[str]:
    return sorted(one.name for one in path.parent.iterdir() if not one.name.endswith(".lock"))


def test_a_first_start_makes_a_database_and_has_nothing_to_say(path: Path, wall: datetime) -> None:
    opened = open_store(path, wall=wall)
    assert (opened.created, opened.sentences) == (True, ())
    opened.store.close()
    again = open_store(path, wall=wall)
    assert (again.created, again.sentences) == (False, ())
    again.store.close()


def test_the_database_of_version_one_opens_and_gives_its_station(
    path: Path, fresh: Station, busy: Station, wall: datetime
) -> None:
    """databases/v1.sql is what version 1 left; it is never made again by newer code."""
    with closing(sqlite3.connect(path)) as old:
        old.executescript((DATABASES / "v1.sql").read_text())
    opened = open_store(path, wall=wall)
    assert opened.damage is None
    assert opened.migrated_from == 1
    loaded = load(opened.store.load("CP1"), fresh)
    assert kept(loaded.station) == kept(busy)
    assert loaded.repairs.delete == {Table.CACHE: {"ann-1"}}, "version 1 left a token's kind out of its key"
    opened.store.commit("CP1", loaded.repairs, wall)
    assert not load(opened.store.load("CP1"), fresh).repairs
    assert [seq for seq, _ in opened.store.outbox("CP1", Lane.TRANSACTION)] == [8]
    assert opened.store.value("boots") == "3"
    entry = SecurityEntry(at=Stamp(wall, True, "b2"), event_type="StartupOfTheDevice")
    opened.store.commit("CP1", records.writes(busy, busy, (Keep(entry),)), wall)
    assert opened.store.journal_load("CP1", Journal.SECURITY, limit=10) == [entry]
    opened.store.close()


@pytest.mark.parametrize("version", range(1, VERSION + 1))
def test_the_database_of_every_version_that_there_was_opens_with_everything_in_it(
    path: Path, fresh: Station, busy: Station, wall: datetime, version: int
) -> None:
    """databases/vN.sql is what version N left. Whoever adds a migration adds the file of its version."""
    with closing(sqlite3.connect(path)) as old:
        old.executescript((DATABASES / f"v{version}.sql").read_text())
    opened = open_store(path, wall=wall)
    assert (opened.damage, opened.migrated_from) == (None, version if version < VERSION else None)
    assert kept(load(opened.store.load("CP1"), fresh).station) == kept(busy)
    assert [seq for seq, _ in opened.store.outbox("CP1", Lane.TRANSACTION)] == [8]
    assert opened.store.value("boots") == "3"
    entries = opened.store.journal_load("CP1", Journal.SECURITY, limit=10)
    assert [entry.event_type for entry in entries if isinstance(entry, SecurityEntry)] == (
        ["StartupOfTheDevice"] if version >= 2 else []
    )
    events = opened.store.events_state()
    assert (events.last, events.delivered) == ((41, 40) if version >= 3 else (0, 0))
    opened.store.close()
    again = open_store(path, wall=wall)
    assert (again.migrated_from, again.sentences) == (None, ())
    again.store.close()


@pytest.mark.parametrize(
    "statement",
    [
        "PRAGMA user_version = 2",
        "PRAGMA user_version = 0",
        "PRAGMA user_version = -5",
        "PRAGMA application_id = 7",
        "CREATE INDEX mine ON facts (kind)",
        "ALTER TABLE facts ADD COLUMN note TEXT",
        "CREATE TRIGGER mine AFTER INSERT ON facts BEGIN DELETE FROM facts; END",
        "DROP TABLE parked",
    ],
)
def test_what_a_hand_has_changed_about_its_shape_is_set_aside_whole(
    filled: Path, wall: datetime, statement: str
) -> None:
    with closing(sqlite3.connect(filled, isolation_level=None)) as db:
        db.execute(statement)
    content = filled.read_bytes()
    opened = open_store(filled, wall=wall)
    assert opened.damage is not None
    assert opened.damaged_path is not None
    assert opened.damaged_path.read_bytes() == content
    opened.store.close()


@pytest.mark.parametrize("kind", ["folder", "loop"])
def test_what_is_no_file_is_refused_with_what_to_do_and_left_alone(path: Path, wall: datetime, kind: str) -> None:
    if kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(path.name)
    with pytest.raises(StoreWithheld, match=r"is no file .*: move it away, edged starts with an empty database"):
        open_store(path, wall=wall)
    assert os.path.lexists(path)


@pytest.mark.parametrize("spoiled", ["edged.db", "edged.db-wal"])
def test_a_file_that_root_has_taken_away_is_named_with_the_command_that_gives_it_back(
    filled: Path, wall: datetime, spoiled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root may read everything, another user's view is pretended."""
    stranger = filled.with_name(spoiled)
    stranger.touch()
    access, opening = os.access, os.open

    def may(one: Path, mode: int) -> bool:
        return Path(one) != stranger and access(one, mode)

    def refuse(one: Path, *more: int, **options: int) -> int:
        if Path(one) == filled:
            raise PermissionError(13, "Permission denied", str(one))
        return opening(one, *more, **options)

    monkeypatch.setattr(os, "access", may)
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StoreError, match=f"{spoiled} is not this user's to read and write: sudo chown --reference="):
        open_store(filled, wall=wall)


def test_a_first_start_that_was_cut_off_left_no_damage(path: Path, wall: datetime) -> None:
    path.with_name("edged.db.new").write_bytes(b"SQLite format 3\0, half")
    path.with_name("edged.db.new-wal").write_bytes(b"half as well")
    opened = open_store(path, wall=wall)
    assert (opened.created, opened.sentences) == (True, ())
    assert _names(path) == ["edged.db", "edged.db-wal"]


def test_a_new_database_has_its_name_when_it_is_whole(
    path: Path, wall: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off before that there is none at all: an empty file is one that somebody has emptied."""
    monkeypatch.setattr("edged.store.opening.sync_file", _power_cut)
    with pytest.raises(KeyboardInterrupt):
        open_store(path, wall=wall)
    assert not path.exists()


def _power_cut(path: Path) -> None:
    raise KeyboardInterrupt


def test_a_file_that_somebody_emptied_is_said(filled: Path, wall: datetime) -> None:
    filled.write_bytes(b"")
    opened = open_store(filled, wall=wall)
    assert opened.created
    assert opened.sentences[0] == "the database was damaged (the file was empty)"
    opened.store.close()


def test_an_older_database_is_migrated_and_says_from_which_version(filled: Path, wall: datetime) -> None:
    opened = open_store(filled, wall=wall, migrations=NEXT)
    assert opened.migrated_from == VERSION
    assert opened.sentences == (f"the database was brought up from version {VERSION}",)
    assert Table.RESERVATION in opened.store.load("CP1").facts
    opened.store.close()


def test_a_newer_database_is_refused_with_both_versions_and_left_as_it_is(filled: Path, wall: datetime) -> None:
    open_store(filled, wall=wall, migrations=NEXT).store.close()
    before = filled.read_bytes()
    with pytest.raises(
        StoreWithheld, match=f"has version {VERSION + 1}, but this edged knows only up to version {VERSION}"
    ):
        open_store(filled, wall=wall)
    assert filled.read_bytes() == before
    assert _names(filled) == ["edged.db"]


def test_a_migration_without_space_leaves_the_older_database(
    filled: Path, wall: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sqlite3.connect

    def connect_small(*args: object, **options: object) -> sqlite3.Connection:
        connection: sqlite3.Connection = real(*args, **options)  # type: ignore[call-overload]
        connection.execute("PRAGMA max_page_count = 30")
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect_small)
    with pytest.raises(StoreError, match="full"):
        open_store(filled, wall=wall, migrations=FULL)
    monkeypatch.undo()
    opened = open_store(filled, wall=wall)
    assert (opened.sentences, opened.migrated_from) == ((), None)
    assert Table.RESERVATION in opened.store.load("CP1").facts
    opened.store.close()


def test_a_second_daemon_in_another_process_is_refused_in_words(filled: Path, wall: datetime) -> None:
    store = open_store(filled, wall=wall).store
    code = (
        "import sys; from pathlib import Path; from datetime import datetime, UTC\n"
        "from edged.store.opening import open_store\n"
        "from edged.ports import StoreError\n"
        "try: open_store(Path(sys.argv[1]), wall=datetime.now(UTC))\n"
        "except StoreError as error: print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", code, str(filled)], capture_output=True, text=True, check=True).stdout
    assert "is in use by another edged (process " in said
    assert store.load("CP1").facts
    store.close()
    open_store(filled, wall=wall).store.close()


def test_a_database_that_a_stranger_has_locked_is_refused_and_not_set_aside(
    filled: Path, wall: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edged.store.opening.BUSY_MS", 10)
    with closing(sqlite3.connect(filled)) as stranger:
        stranger.execute("BEGIN EXCLUSIVE")
        stranger.execute("DELETE FROM replies")
        with pytest.raises(StoreError, match="in use by another program"):
            open_store(filled, wall=wall)
    assert not [name for name in _names(filled) if "damaged" in name]
    open_store(filled, wall=wall).store.close()


def test_a_directory_that_is_not_there_is_an_error_in_words(tmp_path: Path, wall: datetime) -> None:
    with pytest.raises(StoreError, match="directory cannot be used"):
        open_store(tmp_path / "nowhere" / "edged.db", wall=wall)


def _assert_replaced(opened: Opened, path: Path, original: bytes) -> None:
    assert opened.damage is not None
    assert opened.damaged_path is not None
    assert opened.damaged_path.read_bytes() == original
    assert opened.damaged_path.name == "edged.db.damaged-20260301T120000Z"
    assert path.exists()


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "garbage header": lambda old: b"\xff" * 100 + old[100:],
    "half a file": lambda old: old[: len(old) // 2],
    "half a page": lambda old: old[:2048],
    "a page of zeros": lambda old: old[:4096] + bytes(4096) + old[8192:],
    "text": lambda old: b"reservations:\n  - none\n" * 400,
    "a renamed table": lambda old: old.replace(b"CREATE TABLE outbox", b"CREATE TABLE outbux"),
    "another program's database": lambda old: old[:68] + bytes(4) + old[72:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_database_is_set_aside_and_an_empty_one_takes_its_place(
    filled: Path, wall: datetime, damage: str
) -> None:
    filled.write_bytes(DAMAGES[damage](filled.read_bytes()))
    original = filled.read_bytes()
    opened = open_store(filled, wall=wall)
    _assert_replaced(opened, filled, original)
    assert (opened.created, opened.restored_from_backup) == (True, False)
    assert opened.sentences[-1].startswith("an empty database is used instead")
    assert opened.store.stations() == ()
    opened.store.commit("CP1", Writes(parked=(Parked("x", "y", "works", ""),)), wall)
    opened.store.close()
    again = open_store(filled, wall=wall)
    assert again.sentences == ()
    again.store.close()


def test_a_replacement_that_there_was_no_room_for_is_told_by_the_start_that_makes_it(
    filled: Path, wall: datetime
) -> None:
    filled.write_bytes(b"nothing")
    draft = filled.with_name("edged.db.new")
    draft.mkdir()  # a place where no file can be made
    with pytest.raises(StoreError):
        open_store(filled, wall=wall)
    assert not filled.exists()
    draft.rmdir()
    opened = open_store(filled, wall=wall)
    assert opened.damage == "the file is missing or empty"
    assert opened.damaged_path is not None
    assert opened.damaged_path.read_bytes() == b"nothing"
    assert opened.sentences[-1].startswith("an empty database is used instead")
    opened.store.close()


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_database_is_replaced_by_its_backup(filled: Path, wall: datetime, damage: str) -> None:
    store = open_store(filled, wall=wall).store
    store.backup(backup_path(filled))
    store.close()
    filled.write_bytes(DAMAGES[damage](filled.read_bytes()))
    original = filled.read_bytes()
    opened = open_store(filled, wall=wall)
    _assert_replaced(opened, filled, original)
    assert opened.restored_from_backup
    assert opened.store.stations() == ("CP1",)
    assert backup_path(filled).exists()
    opened.store.close()


def test_a_damaged_backup_is_set_aside_as_well(filled: Path, wall: datetime) -> None:
    backup_path(filled).write_bytes(b"nothing")
    filled.write_bytes(b"nothing either")
    opened = open_store(filled, wall=wall)
    assert opened.store.stations() == ()
    assert not opened.restored_from_backup
    assert "so was its backup" in opened.sentences[0]
    assert not backup_path(filled).exists()
    kept = [one.read_bytes() for one in filled.parent.iterdir() if "damaged" in one.name]
    assert kept.count(b"nothing") == 2
    assert b"nothing either" in kept
    opened.store.close()


def test_a_database_that_vanished_is_restored_from_its_backup(filled: Path, wall: datetime) -> None:
    shutil.move(filled, backup_path(filled))
    opened = open_store(filled, wall=wall)
    assert (opened.restored_from_backup, opened.damaged_path) == (True, None)
    assert opened.store.stations() == ("CP1",)
    opened.store.close()


def test_a_write_ahead_log_without_its_database_is_set_aside_and_never_replayed(filled: Path, wall: datetime) -> None:
    store = open_store(filled, wall=wall).store
    store.commit("CP1", Writes(parked=(Parked("x", "y", "in the log", ""),)), wall)
    log = filled.with_name("edged.db-wal")
    orphan = log.read_bytes()
    store.close()
    filled.unlink()
    log.write_bytes(orphan)
    opened = open_store(filled, wall=wall)
    assert opened.damage == "the file is missing or empty"
    assert opened.store.parked() == []
    assert filled.with_name("edged.db.damaged-20260301T120000Z-wal").read_bytes() == orphan
    opened.store.close()


def test_two_damages_in_one_second_are_both_kept(path: Path, wall: datetime) -> None:
    for text in (b"first", b"second"):
        path.write_bytes(text)
        open_store(path, wall=wall).store.close()
    assert sorted(p.read_bytes() for p in path.parent.glob("*.damaged-*")) == [b"first", b"second"]


def test_a_migration_that_fails_leaves_the_older_database(filled: Path, wall: datetime) -> None:
    with pytest.raises(StoreError, match=f"cannot be brought up from version {VERSION}, it is left as it was"):
        open_store(filled, wall=wall, migrations=BROKEN)
    assert _names(filled) == ["edged.db"]
    opened = open_store(filled, wall=wall, migrations=NEXT)
    assert opened.migrated_from == VERSION
    assert Table.RESERVATION in opened.store.load("CP1").facts
    opened.store.close()


CHANGES = st.lists(
    st.tuples(st.integers(0, 10**9), st.binary(min_size=1, max_size=40) | st.just(bytes(4096))), min_size=1, max_size=6
)


def _corrupt(data: bytes, changes: list[tuple[int, bytes]], cut: int | None) -> bytes:
    spoiled = bytearray(data)
    for where, new in changes:
        at = where % len(spoiled)
        spoiled[at : at + len(new)] = new
    return bytes(spoiled if cut is None else spoiled[: cut % len(spoiled)])


@pytest.fixture(params=["closed", "with its log"])
def files(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    fresh: Station,
    busy: Station,
    record_of: Callable[..., TransactionRecord],
    wall: datetime,
) -> Path:
    """What a daemon leaves on the disk: after a clean end, or after a kill with commits in the write-ahead log."""
    path = tmp_path / "made" / "edged.db"
    path.parent.mkdir()
    store = open_store(path, wall=wall).store
    store.commit("CP1", records.writes(fresh, busy, (Enqueue(8, record_of("tx-over")),)), wall)
    for seq in range(9, 60):
        store.commit("CP1", records.writes(busy, busy, (Enqueue(seq, record_of("tx-run", seq)),)), wall)
    if request.param == "closed":
        store.close()
    left = shutil.copytree(path.parent, tmp_path / "left", ignore=shutil.ignore_patterns("*.lock"))
    store.close()
    return left


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(which=st.integers(0, 1), changes=CHANGES, cut=st.none() | st.integers(0, 10**6))
def test_whatever_happens_to_the_files_the_store_opens(
    files: Path,
    tmp_path_factory: pytest.TempPathFactory,
    fresh: Station,
    wall: datetime,
    which: int,
    changes: list[tuple[int, bytes]],
    cut: int | None,
) -> None:
    """It is still readable, row by row, or it was set aside; a commit works either way."""
    path = tmp_path_factory.mktemp("spoiled") / "edged.db"
    spoiled = {one.name: one.read_bytes() for one in files.iterdir()}
    victim = sorted(spoiled)[which % len(spoiled)]
    spoiled[victim] = _corrupt(spoiled[victim], changes, cut)
    for name, content in spoiled.items():
        path.with_name(name).write_bytes(content)
    try:
        opened = open_store(path, wall=wall)
    except StoreError as error:
        assert "knows only up to version" in str(error)
        return
    if opened.damaged_path is not None and len(spoiled) == 1:  # SQLite may have moved the log's pages into the file
        assert opened.damaged_path.read_bytes() == spoiled["edged.db"]
    for station in {*opened.store.stations(), "CP1"}:
        loaded = load(opened.store.load(station), fresh)
        opened.store.commit(station, loaded.repairs, wall)
        assert not load(opened.store.load(station), fresh).damaged
        for lane in Lane:
            opened.store.outbox(station, lane, limit=1000)
    opened.store.commit("CP1", Writes(parked=(Parked("x", "y", "works", ""),)), wall)
    assert opened.store.parked()[0].parked.reason == "works"
    opened.store.last_wall()
    opened.store.replies_load()
    opened.store.close()
    shutil.rmtree(path.parent)


def test_nobody_else_reads_what_is_kept_whatever_the_umask_was(filled: Path, wall: datetime) -> None:
    for one in filled.parent.iterdir():
        one.chmod(0o644)  # as an older edged left it
    before = os.umask(0)
    try:
        opened = open_store(filled, wall=wall)
        opened.store.set_value("a secret", "is written")
        opened.store.backup(backup_path(filled))
        modes = {one.name: one.stat().st_mode & 0o777 for one in filled.parent.iterdir()}
        opened.store.close()
        filled.write_bytes(b"no database")
        restored = open_store(filled, wall=wall)
        assert restored.restored_from_backup
        restored.store.close()
        modes |= {f"restored {one.name}": one.stat().st_mode & 0o777 for one in (filled, backup_path(filled))}
    finally:
        os.umask(before)
    modes.pop("edged.db.lock")
    assert {"edged.db", "edged.db-wal", "edged.db.backup", "restored edged.db"} <= modes.keys()
    assert set(modes.values()) == {0o600}
