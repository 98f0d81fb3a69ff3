"""The spool in both stores: order, bounds, what goes first, what a damaged row and a wrong clock do."""

from __future__ import annotations

import random
import sqlite3
import string
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.ports import StoreError
from edged.store.memory import MemoryStore
from edged.store.migrations import MIGRATIONS
from edged.store.opening import open_store
from edged.store.port import TRIMMED_MAX, Overflow, SpoolBounds, SpooledEvent, Store, Writes
from edged.store.spool import SpoolTable

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WIDE = SpoolBounds()


def event(seq: int, *, rank: int = 1, at: datetime | None = NOON, text: str = "{}") -> SpooledEvent:
    return SpooledEvent(seq=seq, at=at, rank=rank, text=text)


def events(*seqs: int, rank: int = 1) -> list[SpooledEvent]:
    return [event(seq, rank=rank) for seq in seqs]


def numbers(store: Store) -> list[int]:
    return [one.seq for one in store.events_load(0, 10_000)]


def test_events_come_back_in_the_order_of_their_numbers_whatever_the_order_of_the_commits(store: Store) -> None:
    store.events_add(events(3))
    store.commit("CP1", Writes(events=tuple(events(1, 2))), NOON)
    assert numbers(store) == [1, 2, 3]
    assert [one.seq for one in store.events_load(1, 1)] == [2]


def test_an_event_is_kept_together_with_its_step_or_not_at_all() -> None:
    store = MemoryStore(fail_at={1})
    with pytest.raises(StoreError):
        store.commit("CP1", Writes(events=tuple(events(1))), NOON)
    assert numbers(store) == []


def test_an_event_that_was_kept_by_a_commit_that_seemed_to_fail_stops_nobody(store: Store) -> None:
    store.events_add(events(1, 2))
    store.commit("CP1", Writes(events=tuple(events(1, 2, 3))), NOON)
    assert numbers(store) == [1, 2, 3]
    state = store.events_state()
    assert (state.rows, state.bytes) == (3, 3 * (2 + 64))


def test_how_far_the_broker_is_outlives_a_restart(tmp_path: Path) -> None:
    first = open_store(tmp_path / "edged.db", wall=NOON).store
    first.events_add(events(1, 2), delivered=1)
    first.close()
    second = open_store(tmp_path / "edged.db", wall=NOON).store
    state = second.events_state()
    second.close()
    assert (state.first, state.last, state.delivered, state.rows) == (1, 2, 1, 2)


def test_how_far_the_broker_is_goes_along_with_a_step(store: Store) -> None:
    store.events_add(events(1, 2), delivered=1)
    store.commit("S", Writes(events=tuple(events(3)), delivered=2), NOON)
    assert (store.events_state().last, store.events_state().delivered) == (3, 2)
    store.commit("S", Writes(events=tuple(events(4))), NOON)
    assert store.events_state().delivered == 2


def test_what_was_delivered_goes_first_and_is_no_loss(store: Store) -> None:
    store.events_add([*events(1, 2, 3, rank=2), *events(4, 5, rank=0)], delivered=3)
    assert store.events_trim(SpoolBounds(max_rows=3), NOON) is None
    assert numbers(store) == [3, 4, 5]


def test_then_the_oldest_of_what_matters_least_goes_and_is_told(store: Store) -> None:
    store.events_add([event(seq, rank=2 if seq % 2 else 0) for seq in range(1, 9)])
    assert store.events_trim(SpoolBounds(max_rows=5), NOON) == Overflow(from_seq=2, to_seq=6, count=3)
    assert numbers(store) == [1, 3, 5, 7, 8]
    assert store.events_trim(SpoolBounds(max_rows=2), NOON) == Overflow(from_seq=1, to_seq=8, count=3)
    assert numbers(store) == [5, 7]


def test_bytes_are_a_bound_of_their_own(store: Store) -> None:
    texts = {seq: "".join(random.Random(seq).choices(string.printable, k=1000)) for seq in range(1, 11)}  # no shorter
    store.events_add([event(seq, text=text) for seq, text in texts.items()])
    store.events_trim(SpoolBounds(max_bytes=3 * 1064), NOON)
    assert numbers(store) == [8, 9, 10]


def test_age_is_a_bound_of_its_own(store: Store) -> None:
    store.events_add([event(1, at=NOON - timedelta(days=31)), event(2, at=NOON - timedelta(days=29))])
    assert store.events_trim(WIDE, NOON) == Overflow(from_seq=1, to_seq=1, count=1)
    assert numbers(store) == [2]


def test_an_event_whose_time_is_not_known_is_as_old_as_the_next_one_whose_time_is(store: Store) -> None:
    store.events_add([event(1, at=None), event(2, at=NOON - timedelta(days=31)), event(3, at=None)], delivered=3)
    store.events_trim(WIDE, NOON)
    assert numbers(store) == [3]


def test_nothing_is_too_old_while_nobody_knows_the_time(store: Store) -> None:
    store.events_add([event(1, at=NOON - timedelta(days=400))])
    assert store.events_trim(WIDE, None) is None
    assert numbers(store) == [1]


def test_a_long_past_goes_piece_by_piece(store: Store) -> None:
    store.events_add([event(seq, at=NOON - timedelta(days=40)) for seq in range(1, TRIMMED_MAX + 11)])
    store.events_trim(WIDE, NOON)
    assert len(numbers(store)) == 10
    store.events_trim(WIDE, NOON)
    assert numbers(store) == []


@settings(max_examples=60, deadline=None)
@given(
    ranks=st.lists(st.integers(0, 2), max_size=40),
    delivered=st.integers(0, 45),
    bounds=st.lists(st.integers(0, 45), min_size=1, max_size=4),
)
def test_both_stores_let_go_of_the_same(ranks: Sequence[int], delivered: int, bounds: Sequence[int]) -> None:
    table, memory = _Table(), MemoryStore()
    every = [event(seq, rank=rank) for seq, rank in enumerate(ranks, 1)]
    table.add(every, delivered)
    memory.events_add(every, delivered)
    for max_rows in bounds:
        limit = SpoolBounds(max_rows=max_rows)
        assert table.trim(limit) == memory.events_trim(limit, NOON)
        assert table.numbers() == numbers(memory)


class _Table:
    """The table alone, in memory."""

    def __init__(self) -> None:
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        for statements in MIGRATIONS:
            for statement in statements:
                self.db.execute(statement)
        self.table = SpoolTable()

    def add(self, every: Sequence[SpooledEvent], delivered: int) -> None:
        self.table.add(self.db, every)
        self.table.deliver(self.db, delivered)

    def trim(self, bounds: SpoolBounds) -> Overflow | None:
        return self.table.trim(self.db, bounds, NOON)

    def numbers(self) -> list[int]:
        return [one.seq for one in self.table.load(self.db, 0, 10_000)]


def test_what_comes_late_is_found_by_the_search_for_what_matters_least() -> None:
    table = _Table()
    table.add(events(10, 11, rank=2), 0)
    table.trim(SpoolBounds(max_rows=1))
    table.add(events(5, rank=0), 0)
    assert table.trim(SpoolBounds(max_rows=1)) == Overflow(from_seq=5, to_seq=5, count=1)


def test_a_row_that_was_damaged_is_read_as_what_is_left_of_it(tmp_path: Path) -> None:
    store = open_store(tmp_path / "edged.db", wall=NOON).store
    store.events_add(events(1, 2, 3))
    store._db.execute("UPDATE events SET at = 'never', rank = 77, value = CAST(X'FF00' AS TEXT) WHERE seq = 2")
    assert [(one.seq, one.at) for one in store.events_load(0, 5)] == [(1, NOON), (2, None), (3, NOON)]
    assert store.events_trim(SpoolBounds(max_rows=1), NOON) == Overflow(from_seq=1, to_seq=3, count=2)
    store.close()
