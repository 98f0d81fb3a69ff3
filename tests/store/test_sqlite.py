"""The real store on a real disk: full, killed, copied, shared."""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from edged.domain.effects import Lane
from edged.domain.journal import Journal
from edged.ports import StoreDamaged, StoreError
from edged.store import row_texts
from edged.store.files import grow
from edged.store.opening import PAGE_BYTES, open_store
from edged.store.port import OUTBOX, Journaled, Parked, Queued, Table, Writes
from edged.store.sqlite import SqliteStore

COMMITTER = Path(__file__).with_name("committer.py")
ENOUGH = 1 << 20


def _record(text: str) -> Queued:
    stamp = {"utc": "2026-03-01T00:00:00+00:00", "synchronized": True, "boot": "b"}
    return Queued(Lane.NOTICE, {"type": "security", "event_type": text, "at": stamp})


def _fill(store: SqliteStore, wall: datetime, first: int) -> int:
    """Commit records and their station's row until the disk refuses; the number of the refused one."""
    for seq in range(first, ENOUGH):
        try:
            store.commit(
                "CP1",
                Writes(
                    put={Table.STATION: {"": {"next_seq": seq + 1}}},
                    enqueue={seq: _record(random.Random(seq).randbytes(5000).hex())},
                ),
                wall,
            )
        except StoreError:
            return seq
    raise AssertionError("the disk never fills up")


def _assert_whole(store: SqliteStore, last: int) -> None:
    """Every record up to the last, none half done, and the facts of the same commit with it."""
    rows = store.load("CP1")
    assert sorted(rows.outbox) == list(range(1, last + 1))
    assert row_texts.from_text(rows.facts[Table.STATION][""])["next_seq"] == last + 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small disk needs the right to mount one: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_loses_nothing_that_was_acknowledged_and_works_again_with_space(
    small_disk: Path, wall: datetime
) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 400_000)
    store = open_store(small_disk / "edged.db", wall=wall).store
    refused = _fill(store, wall, 1)
    _assert_whole(store, refused - 1)
    assert _fill(store, wall, refused) == refused  # still full, still whole
    ballast.unlink()
    second = _fill(store, wall, refused)
    assert second > refused
    store.close()
    store = open_store(small_disk / "edged.db", wall=wall).store
    _assert_whole(store, second - 1)
    store.close()


def test_a_database_at_its_limit_refuses_whole_commits_and_works_again(tmp_path: Path, wall: datetime) -> None:
    store = open_store(tmp_path / "edged.db", wall=wall).store
    store._db.execute("PRAGMA max_page_count = 40")
    refused = _fill(store, wall, 1)
    _assert_whole(store, refused - 1)
    store._db.execute("PRAGMA max_page_count = 80")
    store.commit(
        "CP1", Writes(put={Table.STATION: {"": {"next_seq": refused + 1}}}, enqueue={refused: _record("y")}), wall
    )
    _assert_whole(store, refused)
    store.close()


def test_what_was_acknowledged_survives_twenty_kills(tmp_path: Path, wall: datetime) -> None:
    path = tmp_path / "edged.db"
    chance = random.Random(7)
    acknowledged = 0
    for _ in range(20):
        child = subprocess.Popen([sys.executable, str(COMMITTER), str(path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        for _ in range(chance.randrange(1, 150)):
            acknowledged = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        for line in child.stdout.read().splitlines(keepends=True):  # what it still said before it died
            if line.endswith("\n"):
                acknowledged = int(line)
        child.wait()
        child.stdout.close()
        opened = open_store(path, wall=wall)
        assert opened.sentences == ()
        last = max(opened.store.load("CP1").outbox)
        assert last >= acknowledged
        _assert_whole(opened.store, last)
        opened.store.close()
    assert acknowledged > 100


def test_a_record_that_changed_under_us_says_that_the_database_is_damaged(tmp_path: Path, wall: datetime) -> None:
    store = open_store(tmp_path / "edged.db", wall=wall).store
    store.commit("CP1", Writes(enqueue={1: Queued(Lane.NOTICE, {"type": "telegram"})}), wall)
    with pytest.raises(StoreDamaged, match="read the outbox: no kind of record"):
        store.outbox("CP1", Lane.NOTICE)
    store.close()


def test_a_row_in_no_known_lane_can_be_dequeued(tmp_path: Path, wall: datetime) -> None:
    store = open_store(tmp_path / "edged.db", wall=wall).store
    store._db.execute("INSERT INTO outbox VALUES ('CP1', 'express', 5, '?')")
    assert store.load("CP1").outbox == {5: "?"}
    store.commit("CP1", Writes(dequeue=frozenset({5})), wall)
    assert store.load("CP1").outbox == {}
    store.close()


def test_a_row_whose_key_is_no_utf8_can_be_set_aside(tmp_path: Path, wall: datetime) -> None:
    store = open_store(tmp_path / "edged.db", wall=wall).store
    store._db.execute("INSERT INTO facts VALUES ('CP1', 'cache', CAST(x'C3' AS TEXT), CAST(x'FF' AS TEXT))")
    ((key, text),) = store.load("CP1").facts["cache"].items()
    aside = Parked("cache", key, "not JSON", text)
    store.commit("CP1", Writes(delete={"cache": frozenset({key})}, parked=(aside,)), wall)
    assert store.load("CP1").facts == {}
    assert store.parked()[0].parked.text == r"\udcff"
    store.close()


def test_a_backup_is_a_whole_database_of_the_moment(tmp_path: Path, wall: datetime) -> None:
    store = open_store(tmp_path / "edged.db", wall=wall).store
    copy = tmp_path / "copy.db"
    for seq in (1, 2):
        store.commit("CP1", Writes(enqueue={seq: _record("one")}), wall)
        store.backup(copy)
    store.commit("CP1", Writes(enqueue={3: _record("later")}), wall)
    store.close()
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith("copy")) == ["copy.db"]
    other = open_store(copy, wall=wall)
    assert other.sentences == ()
    assert sorted(other.store.load("CP1").outbox) == [1, 2]
    other.store.close()


def test_a_backup_that_cannot_be_written_leaves_the_last_one(small_disk: Path, tmp_path: Path, wall: datetime) -> None:
    store = open_store(tmp_path / "edged.db", wall=wall).store
    store.commit("CP1", Writes(enqueue={1: _record("one")}), wall)
    copy = small_disk / "copy.db"
    store.backup(copy)
    before = copy.read_bytes()
    for seq in range(2, 300):
        store.commit("CP1", Writes(enqueue={seq: _record(random.Random(seq).randbytes(5000).hex())}), wall)
    with pytest.raises(StoreError):
        store.backup(copy)
    assert copy.read_bytes() == before
    assert [p.name for p in small_disk.iterdir()] == ["copy.db"]
    store.commit("CP1", Writes(parked=(Parked(OUTBOX, "1", "still working", ""),)), wall)
    store.close()


def test_every_commit_is_flushed_and_nobody_else_can_write(tmp_path: Path, wall: datetime) -> None:
    path = tmp_path / "edged.db"
    store = open_store(path, wall=wall).store
    store.commit("CP1", Writes(enqueue={1: _record("one")}), wall)
    assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    stranger = sqlite3.connect(path, timeout=0)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        stranger.execute("DELETE FROM outbox")
    stranger.close()
    store.close()


def _pages(store: SqliteStore) -> int:
    """What the commits since the last call have written."""
    busy, pages, moved = store._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    assert (busy, moved) == (0, pages)
    return int(pages)


def test_an_entry_of_a_journal_is_few_pages_however_many_there_are(tmp_path: Path, wall: datetime) -> None:
    """That of the new, that of the oldest, and those above: not a page for each that is kept."""
    store = open_store(tmp_path / "edged.db", wall=wall).store
    row = {"at": {"utc": wall.isoformat(), "synchronized": True, "boot": "b"}, "event_type": "x", "critical": False}
    entry = Journaled(Journal.SECURITY, wall, row)
    store.commit("CP1", Writes(journal=(entry,) * 1500), wall)
    _pages(store)
    pages = []
    for _ in range(40):
        store.commit("CP1", Writes(journal=(entry,)), wall)
        pages.append(_pages(store))
    assert sorted(pages)[len(pages) // 2] <= 8
    assert sum(pages) <= 16 * len(pages), "now and then leaves of the tree are merged"
    assert store._db.execute("SELECT count(*) FROM journal").fetchone() == (1000,)
    store.close()


def test_an_idle_minute_writes_one_page(tmp_path: Path, wall: datetime) -> None:
    store = open_store(tmp_path / "edged.db", wall=wall).store
    for seq in range(2):
        _pages(store)
        store.commit("CP1", Writes(put={Table.STATION: {"": {"next_seq": 1, "wall_kept": str(seq)}}}), wall)
    assert _pages(store) == 1
    assert store._db.execute("PRAGMA page_size").fetchone() == (PAGE_BYTES,)
    store.close()


def test_the_log_has_its_size_from_the_beginning_and_keeps_it(tmp_path: Path, wall: datetime) -> None:
    """One that grows makes the file system write as much again for each commit."""
    store, log = open_store(tmp_path / "edged.db", wall=wall).store, tmp_path / "edged.db-wal"
    size = log.stat().st_size
    for seq in range(600):
        store.commit(
            "CP1", Writes(put={Table.STATION: {"": {"next_seq": seq}}}, enqueue={seq: _record("x" * 300)}), wall
        )
    assert log.stat().st_size == size
    store.close()
    assert not log.exists()


def test_a_log_that_a_crash_left_is_read_also_behind_its_zeros(tmp_path: Path, wall: datetime) -> None:
    store = open_store(tmp_path / "edged.db", wall=wall).store
    store.commit("CP1", Writes(enqueue={1: _record("one")}), wall)
    place = tmp_path / "after"
    place.mkdir()
    for name in ("edged.db", "edged.db-wal"):
        shutil.copy(tmp_path / name, place / name)
    store.close()
    again = open_store(place / "edged.db", wall=wall)
    assert (again.damage, list(again.store.load("CP1").outbox)) == (None, [1])
    again.store.close()


def test_a_disk_without_room_for_the_log_is_left_as_it_is(small_disk: Path) -> None:
    log = small_disk / "log"
    log.write_bytes(b"x")
    grow(log, 2 * 1024 * 1024)
    assert log.read_bytes() == b"x"
    grow(log, 1000)
    assert log.stat().st_size == 1000
    grow(small_disk / "nothing", 1000)
    assert [one.name for one in small_disk.iterdir()] == ["log"]


def test_the_log_keeps_the_size_that_it_is_given_also_when_it_begins_anew(tmp_path: Path, wall: datetime) -> None:
    """SQLite cuts a log down to its limit when it is begun anew: what is below it would grow again with each commit."""
    store = open_store(tmp_path / "edged.db", wall=wall).store
    log = tmp_path / "edged.db-wal"
    before = log.stat().st_size
    store.set_value("a", "1")
    assert log.stat().st_size == before
    assert store._db.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()[0] == 0
    store.set_value("a", "2")
    assert log.stat().st_size == before
    store.close()
