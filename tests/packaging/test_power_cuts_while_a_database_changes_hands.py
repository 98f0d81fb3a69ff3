"""The power is cut at every block write while the store makes, replaces, migrates, copies or restores its database.

These are the moments in which a file is not simply written to: names change, and what was there must not be lost before
what comes instead is whole.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from benchmarks.blocks import MKFS, Disk, require, workplace
from edged.store import opening, sqlite
from edged.store.migrations import MIGRATIONS
from edged.store.opening import Opened, backup_path
from edged.store.port import Writes
from edged.store.sqlite import SqliteStore
from tests.packaging.aftermath import opened_again
from tests.packaging.cuts import Cut, Cuts

WALL = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
STATION = "CUT-1"
TABLE = "configuration"
DATABASES = Path(__file__).parent.parent / "store" / "databases"
SEED = 1
MOST = 100
"""Cuts of one kind; a story has fewer requests, or is sampled."""


class Tale:
    """What happens on a disk, each milestone with its number in the log."""

    def __init__(self, folder: Path, mark: Callable[[int], None] = lambda number: None) -> None:
        self.path = folder / "edged.db"
        self._mark = mark
        self._number = 0

    def reached(self) -> None:
        """Somebody outside knows that it has come so far."""
        self._number += 1
        self._mark(self._number)

    def open(self) -> Opened:
        return opening.open_store(self.path, wall=WALL)

    def damage(self) -> bytes:
        """The database's first pages become noise. Returns the file as it is then."""
        _spoil(self.path)
        return self.path.read_bytes()


def keep(store: SqliteStore, name: str) -> None:
    store.commit(STATION, Writes(put={TABLE: {name: {"value": "x" * 300}}}), WALL)


def kept(store: SqliteStore) -> set[str]:
    return set(store.load(STATION).facts.get(TABLE, {}))


def _spoil(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\xa5" * 6000)


@contextmanager
def told(prepare: Callable[[Tale], None], happens: Callable[[Tale], None]) -> Iterator[Cuts]:
    """The cuts of what happens; what was prepared is on the disk for certain."""
    require()
    with workplace() as place:
        with Disk(place, size_mib=12, mkfs=(*MKFS, "-J", "size=4")) as disk:
            prepare(Tale(disk.folder))
            disk.settle()
            first = disk.requests
            happens(Tale(disk.folder, disk.mark))
        yield Cuts(disk.log, disk.base, place, first=first)


def examined(cuts: Cuts, check: Callable[[Cut], None]) -> list[str]:
    """What the cuts have found: in order, and reordered and torn."""
    found = []
    for reordered in (False, True):
        for maker in cuts.at(cuts.choose(MOST, SEED), reordered=reordered, seed=SEED):
            with maker.made() as cut:
                try:
                    check(cut)
                except AssertionError as error:
                    found.append(f"{cut}: {error}")
    return found


# --- a first start


def nothing(tale: Tale) -> None:
    """An empty disk."""


def first_start(tale: Tale) -> None:
    with closing(tale.open().store) as store:
        tale.reached()
        keep(store, "first")
        tale.reached()


def begun(cut: Cut) -> None:
    with opened_again(cut.folder) as opened:
        assert opened.damage is None, opened.sentences
        assert not (cut.number >= 1 and opened.created), "the database is gone"
        assert cut.number < 2 or kept(opened.store) == {"first"}


def test_a_database_that_is_made_for_the_first_time_is_sound_at_every_write():
    with told(nothing, first_start) as cuts:
        assert examined(cuts, begun) == []


# --- a damaged one is replaced


def filled_and_copied(tale: Tale) -> None:
    with closing(tale.open().store) as store:
        keep(store, "copied")
        store.backup(backup_path(tale.path))
        keep(store, "late")
    tale.damage()


def filled(tale: Tale) -> None:
    with closing(tale.open().store) as store:
        keep(store, "copied")
    tale.damage()


def copy_damaged_too(tale: Tale) -> None:
    filled_and_copied(tale)
    _spoil(backup_path(tale.path))


def replaced(tale: Tale) -> None:
    opened = tale.open()
    assert opened.damaged_path is not None
    with closing(opened.store) as store:
        tale.reached()
        keep(store, "after")
        tale.reached()


def successor(cut: Cut, *, copied: bool, noises: int) -> None:
    """The start behind the cut has a sound database with all that is to be had, and what was damaged is still there."""
    with opened_again(cut.folder) as opened:
        there = kept(opened.store)
        assert not copied or "copied" in there, f"the backup's facts are gone: {opened.sentences}"
        assert cut.number < 1 or opened.damage is None, f"replaced twice: {opened.sentences}"
        assert cut.number < 2 or "after" in there, "what was kept behind the replacement is gone"
    noise = [one for one in cut.folder.glob("edged.db*") if one.read_bytes()[:6000] == b"\xa5" * 6000]
    assert len(noise) >= noises, f"a damaged database was thrown away: {sorted(cut.folder.iterdir())}"


@pytest.mark.parametrize(
    ("prepare", "copied", "noises"),
    [
        pytest.param(filled_and_copied, True, 1, id="by its backup"),
        pytest.param(filled, False, 1, id="by an empty one"),
        pytest.param(copy_damaged_too, False, 2, id="by an empty one, its backup being damaged too"),
    ],
)
def test_a_damaged_database_is_replaced_once_and_never_lost(prepare: Callable[[Tale], None], copied: bool, noises: int):
    with told(prepare, replaced) as cuts:
        assert examined(cuts, lambda cut: successor(cut, copied=copied, noises=noises)) == []


def test_a_replacement_that_no_start_continues_is_found_out(monkeypatch: pytest.MonkeyPatch):
    """The check of replacements sees what it is for."""
    monkeypatch.setattr(opening, "missing", lambda path, backup: None)
    with told(filled_and_copied, replaced) as cuts:
        assert examined(cuts, lambda cut: successor(cut, copied=True, noises=1))


# --- an older one is brought up


def left_by(version: int, tale: Tale) -> None:
    with closing(sqlite3.connect(tale.path)) as old:
        old.executescript((DATABASES / f"v{version}.sql").read_text())


def brought_up(tale: Tale) -> None:
    with closing(tale.open().store) as store:
        tale.reached()
        keep(store, "after")
        tale.reached()


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_a_database_of_an_older_version_is_brought_up_wholly_or_not_at_all(tmp_path: Path, version: int):
    left_by(version, Tale(tmp_path))
    with opened_again(tmp_path) as opened:
        assert opened.migrated_from == version
        before = {name: opened.store.load(name) for name in opened.store.stations()}
    assert before

    def check(cut: Cut) -> None:
        with opened_again(cut.folder) as opened:
            assert opened.damage is None, opened.sentences
            assert opened.migrated_from in ((version, None) if cut.number < 1 else (None,))
            for name, rows in before.items():
                assert opened.store.load(name) == rows
            assert cut.number < 2 or "after" in kept(opened.store)

    with told(partial(left_by, version), brought_up) as cuts:
        assert examined(cuts, check) == []


# --- the daily copy

COPIES = 3


def filled_for_copies(tale: Tale) -> None:
    with closing(tale.open().store) as store:
        keep(store, "0")


def copied_daily(tale: Tale) -> None:
    with closing(tale.open().store) as store:
        for day in range(1, COPIES + 1):
            keep(store, str(day))
            tale.reached()
            store.backup(backup_path(tale.path))
            tale.reached()


def copy_is_good(cut: Cut) -> None:
    """The database has all days that were kept; and should it be damaged now, its last copy all days until then."""
    path = cut.folder / "edged.db"
    kept_days, copied_days = (cut.number + 1) // 2, cut.number // 2
    with opened_again(cut.folder) as opened:
        assert opened.damage is None, opened.sentences
        assert kept(opened.store) >= {str(day) for day in range(kept_days + 1)}
    assert backup_path(path).exists() or not copied_days, "the copy is gone"
    if copied_days:
        _spoil(path)
        with opened_again(cut.folder) as opened:
            assert opened.restored_from_backup, opened.sentences
            assert kept(opened.store) >= {str(day) for day in range(copied_days + 1)}


def test_the_daily_copy_is_whole_or_still_the_last_one():
    with told(filled_for_copies, copied_daily) as cuts:
        assert examined(cuts, copy_is_good) == []


def test_a_copy_that_nobody_flushes_is_found_out(monkeypatch: pytest.MonkeyPatch):
    """The check of copies sees what it is for."""
    monkeypatch.setattr(sqlite, "sync_file", lambda path: None)
    with told(filled_for_copies, copied_daily) as cuts:
        monkeypatch.undo()
        assert examined(cuts, copy_is_good)
