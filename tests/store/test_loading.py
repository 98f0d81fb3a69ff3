"""What becomes of rows that cannot be read or no longer fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest

from edged.domain.effects import Enqueue, TransactionRecord
from edged.domain.station import Station
from edged.domain.transition import drop
from edged.store import records, row_texts
from edged.store.loading import load
from edged.store.memory import MemoryStore
from edged.store.port import OUTBOX, Rows, Table
from tests.fakes.kept import kept

GOOD_RECORD = Callable[..., TransactionRecord]


@pytest.fixture
def rows(fresh: Station, busy: Station, record_of: GOOD_RECORD, wall: datetime) -> Rows:
    """The rows of the busy site, with one record in the outbox."""
    store = MemoryStore()
    store.commit("CP1", records.writes(fresh, busy, (Enqueue(8, record_of("tx-over")),)), wall)
    return store.load("CP1")


def _with(rows: Rows, table: str, **texts: str) -> Rows:
    return replace(rows, facts={**rows.facts, table: {**rows.facts.get(table, {}), **texts}})


@pytest.mark.parametrize("table", [*Table, "hologram"])
@pytest.mark.parametrize("text", ["", "{", "null", "[]", '{"novelty":1}', "[" * 100_000, "\udcff"])
def test_an_unreadable_row_is_set_aside_and_everything_else_is_there(
    fresh: Station, busy: Station, rows: Rows, table: str, text: str
) -> None:
    loaded = load(_with(rows, table, broken=text), fresh)
    assert [(one.source, one.key, one.text) for one in loaded.damaged] == [(table, "broken", text)]
    assert loaded.repairs.delete == {table: {"broken"}}
    assert loaded.repairs.parked == loaded.damaged
    assert len(loaded.warnings) == 1
    assert kept(loaded.station) == kept(busy)


def test_an_unreadable_record_is_set_aside_and_its_number_is_not_given_again(fresh: Station, rows: Rows) -> None:
    loaded = load(replace(rows, outbox={**rows.outbox, 500: "?"}), fresh)
    assert loaded.repairs.dequeue == {500}
    assert [(one.source, one.key) for one in loaded.damaged] == [(OUTBOX, "500")]
    assert (loaded.station.queued, loaded.station.next_seq) == (1, 501)


def test_an_ended_transaction_whose_last_record_is_unreadable_is_forgotten(fresh: Station, rows: Rows) -> None:
    loaded = load(replace(rows, outbox={8: "?"}), fresh)
    assert loaded.forgotten == ("tx-over",)
    assert "tx-over" not in loaded.station.transactions
    assert loaded.repairs.delete == {Table.TRANSACTION: {"tx-over"}}


def test_a_row_under_another_rows_key_is_set_aside(fresh: Station, rows: Rows) -> None:
    text = rows.facts[Table.RESERVATION]["4"]
    loaded = load(_with(rows, Table.RESERVATION, **{"7": text}), fresh)
    assert loaded.station.reservations.keys() == {4}
    assert [one.key for one in loaded.damaged] == ["7"]


def test_a_gap_between_samples_is_closed_on_disk_as_well(fresh: Station, busy: Station, rows: Rows) -> None:
    store = MemoryStore()
    damaged = _with(rows, Table.SAMPLE, **{"tx-run/00001": "?"})
    loaded = load(damaged, fresh)
    first, _, last = busy.transactions["tx-run"].samples
    assert loaded.station.transactions["tx-run"].samples == (first, last)
    assert loaded.repairs.delete == {Table.SAMPLE: {"tx-run/00002"}}
    store.commit("CP1", replace(loaded.repairs, delete={}), busy.wall_kept)
    assert set(store.load("CP1").facts[Table.SAMPLE]) == {"tx-run/00000", "tx-run/00001"}


def test_samples_without_their_transaction_are_set_aside(fresh: Station, rows: Rows) -> None:
    loaded = load(_with(rows, Table.TRANSACTION, **{"tx-run": "?"}), fresh)
    assert len([one for one in loaded.damaged if one.source == Table.SAMPLE]) == 3
    assert loaded.station.connectors[1].transaction_id is None


def test_a_reservation_of_a_vanished_connector_is_dropped_and_said(fresh: Station, rows: Rows) -> None:
    smaller = replace(fresh, connectors=drop(fresh.connectors, 2))
    loaded = load(rows, smaller)
    assert [one.id for one in loaded.dropped] == [4]
    assert loaded.station.reservations == {}
    assert loaded.repairs.delete[Table.RESERVATION] == {"4"}
    assert "reservation 4 is dropped: the site no longer has its place" in loaded.warnings


def test_a_transaction_of_a_vanished_connector_stays_until_its_records_are_delivered(
    fresh: Station, rows: Rows
) -> None:
    loaded = load(rows, replace(fresh, connectors=drop(fresh.connectors, 2)))
    assert loaded.station.transactions["tx-over"].connector == 2
    assert loaded.station.transactions["tx-over"].queued == 1


def test_a_running_transaction_of_a_vanished_connector_is_said(fresh: Station, rows: Rows) -> None:
    loaded = load(rows, replace(fresh, connectors=drop(fresh.connectors, 1)))
    assert "transaction tx-run runs on connector 1, which no longer exists" in loaded.warnings
    assert loaded.station.transactions["tx-run"].active


def test_a_setting_that_its_key_no_longer_allows_is_set_aside(fresh: Station, rows: Rows) -> None:
    loaded = load(_with(rows, Table.CONFIGURATION, HeartbeatInterval='{"value":"often"}'), fresh)
    assert loaded.station.configuration.changed == {}
    assert loaded.damaged[0].reason == "HeartbeatInterval cannot have this value any more"


def test_a_connector_runs_the_latest_of_its_active_transactions(
    fresh: Station, busy: Station, wall: datetime, rows: Rows
) -> None:
    running = busy.transactions["tx-run"]
    later = replace(running, id="tx-later", started=replace(running.started, utc=wall.replace(hour=13)), samples=())
    text = row_texts.to_text(records.transaction_row(later))
    loaded = load(_with(rows, Table.TRANSACTION, **{"tx-later": text}), fresh)
    assert loaded.station.connectors[1].transaction_id == "tx-later"
    assert loaded.warnings == ("transaction tx-run shares its connector with a later one",)


def test_a_disk_without_rows_gives_the_fresh_station(fresh: Station) -> None:
    loaded = load(Rows(), fresh)
    assert loaded.station == fresh
    assert not loaded.repairs


def test_repairs_leave_nothing_to_repair(fresh: Station, busy: Station, record_of: GOOD_RECORD, wall: datetime) -> None:
    store = MemoryStore()
    store.commit("CP1", records.writes(fresh, busy, (Enqueue(8, record_of("tx-over")),)), wall)
    smaller = replace(fresh, connectors=drop(fresh.connectors, 2))
    first = load(store.load("CP1"), smaller)
    store.commit("CP1", first.repairs, wall)
    assert not load(store.load("CP1"), smaller).repairs
    assert kept(load(store.load("CP1"), smaller).station) == kept(first.station)
