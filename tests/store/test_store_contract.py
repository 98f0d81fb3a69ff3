"""What every store must do, shown on the real one and on the one without a disk."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from edged.domain.effects import Dequeue, Enqueue, Keep, Lane, ReservationEnd, ReservationRecord, TransactionRecord
from edged.domain.journal import Direction, Entry, Journal, SecurityEntry, TransferEntry
from edged.domain.station import Station
from edged.domain.transition import put
from edged.domain.types import IdToken, Stamp
from edged.ports import StoreError
from edged.store import records
from edged.store.loading import load
from edged.store.port import OUTBOX, Journaled, Parked, Queued, Rows, SavedReply, Store, Table, Writes
from edged.store.station_store import StationStore
from tests.fakes.kept import kept

NOTICE = ReservationRecord(4, ReservationEnd.EXPIRED)


def _reply(number: int, at: datetime) -> SavedReply:
    return SavedReply(actor="bms", command="reserve", id=f"id-{number}", payload=f'{{"n":{number}}}', at=at)


def test_a_station_comes_back_as_it_was_committed(
    store: Store, fresh: Station, busy: Station, record_of: Callable[..., TransactionRecord], wall: datetime
) -> None:
    store.commit("CP1", records.writes(fresh, busy, (Enqueue(8, record_of("tx-over")),)), wall)
    loaded = load(store.load("CP1"), fresh)
    assert kept(loaded.station) == kept(busy)
    assert not loaded.repairs


def test_stations_do_not_see_each_other(store: Store, fresh: Station, busy: Station, wall: datetime) -> None:
    store.commit("CP1", records.writes(fresh, busy, (Enqueue(1, NOTICE),)), wall)
    store.commit("CP2", Writes(dequeue=frozenset({1}), delete={Table.RESERVATION: frozenset({"4"})}), wall)
    assert store.load("CP2") == Rows()
    assert store.outbox("CP2", Lane.NOTICE) == []
    assert "4" in store.load("CP1").facts[Table.RESERVATION]
    assert store.outbox("CP1", Lane.NOTICE) == [(1, NOTICE)]


def test_a_deleted_row_is_gone(store: Store, fresh: Station, busy: Station, wall: datetime) -> None:
    store.commit("CP1", records.writes(fresh, busy, ()), wall)
    store.commit("CP1", records.writes(busy, replace(busy, reservations={}, cache={}), ()), wall)
    facts = store.load("CP1").facts
    assert Table.RESERVATION not in facts
    assert Table.CACHE not in facts


def test_the_outbox_gives_each_lane_in_order_from_a_number_on(
    store: Store, busy: Station, record_of: Callable[..., TransactionRecord], wall: datetime
) -> None:
    effects = [Enqueue(seq, record_of("t", seq) if seq % 2 else NOTICE) for seq in range(1, 31)]
    store.commit("CP1", records.writes(busy, busy, effects), wall)
    assert [seq for seq, _ in store.outbox("CP1", Lane.TRANSACTION, after_seq=5, limit=3)] == [7, 9, 11]
    assert [seq for seq, _ in store.outbox("CP1", Lane.NOTICE, limit=2)] == [2, 4]
    store.commit("CP1", records.writes(busy, busy, (Dequeue(2), Dequeue(5))), wall)
    assert [seq for seq, _ in store.outbox("CP1", Lane.TRANSACTION, after_seq=4, limit=2)] == [7, 9]
    assert store.outbox("CP1", Lane.NOTICE, limit=1) == [(4, NOTICE)]


def test_a_record_number_is_never_overwritten(store: Store, busy: Station, wall: datetime) -> None:
    store.commit("CP1", records.writes(busy, busy, (Enqueue(1, NOTICE),)), wall)
    other = replace(busy, operative=True)
    with pytest.raises(StoreError):
        store.commit(
            "CP1", records.writes(busy, other, (Enqueue(1, ReservationRecord(9, ReservationEnd.REMOVED)),)), wall
        )
    assert store.outbox("CP1", Lane.NOTICE) == [(1, NOTICE)]
    assert Table.STATION not in store.load("CP1").facts


def test_any_token_is_kept(store: Store, fresh: Station, busy: Station, wall: datetime) -> None:
    hostile = {"\ud800\x00", "'; DROP TABLE facts; --", "ÄÖ\n", "a" * 10_000}
    cache = {}
    for text in hostile:
        token = IdToken(text)
        cache = put(cache, token.key, replace(next(iter(busy.cache.values())), id_token=token))
    station = replace(fresh, cache=cache)
    store.commit("CP1", records.writes(fresh, station, ()), wall)
    assert load(store.load("CP1"), fresh).station.cache == cache
    store.commit("CP1", records.writes(station, fresh, ()), wall)
    assert load(store.load("CP1"), fresh).station.cache == {}


def test_a_row_that_is_no_text_at_all_can_be_set_aside(store: Store, wall: datetime) -> None:
    parked = Parked("cache", "\udcff", "not JSON", "\udcff\ud800")
    store.commit("CP1", Writes(delete={"cache": frozenset({"\udcff"})}, parked=(parked,)), wall)
    assert [one.parked.reason for one in store.parked()] == ["not JSON"]


def test_the_last_wall_clock_goes_with_every_change_of_facts(store: Store, fresh: Station, wall: datetime) -> None:
    assert store.last_wall() is None
    for minutes in (0, 5):
        station = replace(fresh, next_seq=fresh.next_seq + 1 + minutes)
        store.commit("CP1", records.writes(fresh, station, ()), wall + timedelta(minutes=minutes))
    assert store.last_wall() == wall + timedelta(minutes=5)


def test_a_wall_clock_that_was_set_back_is_believed(store: Store, fresh: Station, wall: datetime) -> None:
    for year in (2090, 2026):
        station = replace(fresh, next_seq=year)
        store.commit("CP1", records.writes(fresh, station, ()), wall.replace(year=year))
    assert store.last_wall() == wall.replace(year=2026)


def test_the_stations_that_have_something_stored_are_known(store: Store, fresh: Station, wall: datetime) -> None:
    store.commit("CP2", records.writes(fresh, replace(fresh, next_seq=2), ()), wall)
    store.commit("CP1", records.writes(fresh, fresh, (Enqueue(1, NOTICE),)), wall)
    assert store.stations() == ("CP1", "CP2")


def test_the_last_thousand_parked_rows_are_kept(store: Store, wall: datetime) -> None:
    many = tuple(Parked(OUTBOX, str(number), "given up", "{}") for number in range(1005))
    store.commit("CP1", Writes(parked=many), wall)
    found = store.parked(limit=2000)
    assert len(found) == 1000
    assert (found[0].parked.key, found[-1].parked.key) == ("1004", "5")
    assert (found[0].station_id, found[0].at) == ("CP1", wall)


def test_replies_come_back_oldest_first_and_as_they_were(store: Store, wall: datetime) -> None:
    saved = [_reply(number, wall + timedelta(seconds=number)) for number in range(3)]
    for reply in saved:
        store.reply_save(reply)
    assert store.replies_load() == saved
    assert store.replies_load(limit=2) == saved[1:]
    assert store.replies_load(limit=0) == []


def test_replies_older_than_a_day_are_forgotten(store: Store, wall: datetime) -> None:
    store.reply_save(_reply(1, wall))
    store.reply_save(_reply(2, wall + timedelta(hours=24, seconds=1)))
    assert [reply.id for reply in store.replies_load()] == ["id-2"]


def test_a_reply_to_any_command_name_is_kept(store: Store, wall: datetime) -> None:
    reply = replace(_reply(1, wall), actor="\ud800", id='"\x00')
    store.reply_save(reply)
    assert store.replies_load() == [reply]


def test_values_of_the_gateway_are_kept_replaced_and_forgotten(store: Store) -> None:
    assert store.value("boots") is None
    store.set_value("boots", "1")
    store.set_value("boots", "2")
    assert store.value("boots") == "2"
    store.set_value("boots", None)
    assert store.value("boots") is None
    store.set_values({"boots": "3", "running": "r3"})
    store.set_values({"running": None, "boots": "4"})
    assert (store.value("boots"), store.value("running")) == ("4", None)


def _security(at: datetime, number: int = 0) -> SecurityEntry:
    return SecurityEntry(at=Stamp(at, True, "b1"), event_type=f"Event{number}", info="ÄÖ", critical=bool(number % 2))


def _transfer(at: datetime, data: str | None = "x") -> TransferEntry:
    return TransferEntry(
        at=Stamp(at, False, "b1"),
        direction=Direction.TO_CSMS,
        source="mqtt:bms",
        vendor_id="com.example",
        message_id=None,
        data=data,
        data_chars=len(data or ""),
        status="Accepted",
        answer="yes",
    )


def _keep(store: Store, busy: Station, wall: datetime, *entries: Entry, station: str = "CP1") -> None:
    writes = records.writes(busy, busy, tuple(Keep(entry) for entry in entries))
    assert writes, "a step that only keeps an entry has something to write"
    store.commit(station, writes, wall)


def test_each_journal_gives_its_own_entries_newest_last(store: Store, busy: Station, wall: datetime) -> None:
    events, transfer = [_security(wall, number) for number in range(3)], _transfer(wall)
    _keep(store, busy, wall, events[0], transfer, events[1])
    _keep(store, busy, wall, events[2])
    assert store.journal_load("CP1", Journal.SECURITY, limit=10) == events
    assert store.journal_load("CP1", Journal.SECURITY, limit=2) == events[1:]
    assert store.journal_load("CP1", Journal.SECURITY, limit=0) == []
    assert store.journal_load("CP1", Journal.TRANSFER, limit=10) == [transfer]
    assert store.journal_load("CP2", Journal.SECURITY, limit=10) == []
    assert store.stations() == ("CP1",)


def test_each_journal_keeps_its_last_thousand_for_each_station(store: Store, busy: Station, wall: datetime) -> None:
    _keep(store, busy, wall, _transfer(wall, "stays"))
    _keep(store, busy, wall, _security(wall, 7), station="CP2")
    for first in range(0, 1100, 110):
        _keep(store, busy, wall, *(_security(wall, number) for number in range(first, first + 110)))
    found = store.journal_load("CP1", Journal.SECURITY, limit=5000)
    assert found == [_security(wall, number) for number in range(100, 1100)]
    assert len(store.journal_load("CP1", Journal.TRANSFER, limit=5000)) == 1
    assert len(store.journal_load("CP2", Journal.SECURITY, limit=5000)) == 1


def test_a_journal_is_read_between_two_moments(store: Store, busy: Station, wall: datetime) -> None:
    moments = [wall + timedelta(seconds=half / 2) for half in range(5)]
    _keep(store, busy, wall, *(_security(at) for at in moments))

    def between(since: datetime | None, until: datetime | None) -> list[datetime]:
        found = store.journal_load("CP1", Journal.SECURITY, limit=10, since=since, until=until)
        return [entry.at.utc for entry in found]

    assert between(moments[1], moments[3]) == moments[1:4]
    assert between(moments[4], None) == moments[4:]
    assert between(None, moments[0]) == moments[:1]
    assert between(moments[4] + timedelta(seconds=1), None) == []


def test_an_entry_that_cannot_be_read_is_left_out_and_counted(store: Store, busy: Station, wall: datetime) -> None:
    _keep(store, busy, wall, _transfer(wall, "first"))
    rows: list[dict[str, object]] = [{}, {"at": 1}, {**records.journaled(_transfer(wall)).row, "direction": "sideways"}]
    store.commit("CP1", Writes(journal=tuple(Journaled(Journal.TRANSFER, wall, row) for row in rows)), wall)
    _keep(store, busy, wall, _transfer(wall, "last"))
    found = store.journal_load("CP1", Journal.TRANSFER, limit=2)
    assert found == [_transfer(wall, "first"), _transfer(wall, "last")]
    assert store.unreadable == 3


def test_any_text_is_kept_in_a_journal(store: Store, busy: Station, wall: datetime) -> None:
    entry = _transfer(wall, "\ud800\x00'; DROP TABLE journal; --\n\U0001f600")
    _keep(store, busy, wall, entry)
    assert store.journal_load("CP1", Journal.TRANSFER, limit=1) == [entry]


def test_threads_may_commit_at_once(store: Store, wall: datetime) -> None:
    row = records.encode_record(NOTICE)
    failures: list[StoreError] = []

    def commit_many(station_id: str) -> None:
        try:
            for seq in range(1, 26):
                store.commit(station_id, Writes(enqueue={seq: Queued(Lane.NOTICE, row)}), wall)
        except StoreError as error:
            failures.append(error)

    threads = [threading.Thread(target=commit_many, args=(f"CP{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert all(len(store.outbox(f"CP{number}", Lane.NOTICE)) == 25 for number in range(4))


def test_a_closed_store_refuses(store: Store, wall: datetime) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreError):
        store.commit("CP1", Writes(enqueue={1: Queued(Lane.NOTICE, {})}), wall)
    with pytest.raises(StoreError):
        store.load("CP1")


def test_a_disk_that_is_asked_whether_it_keeps_anything_is_written_to(
    store: Store, fresh: Station, busy: Station, wall: datetime
) -> None:
    """Where nothing waits the moment is written: a full disk must not be believed to keep data again."""
    station = StationStore(store, "CP1")
    store.commit("CP1", records.writes(fresh, busy, ()), wall)
    later = wall + timedelta(minutes=1)
    assert not station.keep(later)
    assert store.last_wall() == wall
    assert station.keep(later, anyway=True)
    assert store.last_wall() == later
