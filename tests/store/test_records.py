"""The difference of a step, and the station that comes back from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edged.domain.effects import (
    Announce,
    Dequeue,
    Enqueue,
    Lane,
    ReservationEnd,
    ReservationRecord,
    Sample,
    TransactionRecord,
)
from edged.domain.station import Connector, Reservation, Station, Transaction
from edged.domain.transition import drop, put
from edged.domain.types import IdToken, Now
from edged.store import records, row_texts
from edged.store.codec import Unreadable
from edged.store.loading import load
from edged.store.memory import MemoryStore
from edged.store.port import Table, Writes
from tests.fakes.kept import kept


def test_a_step_that_changed_nothing_writes_nothing(busy: Station) -> None:
    assert not records.writes(busy, busy, ())


def test_what_is_true_for_this_boot_only_writes_nothing(busy: Station) -> None:
    connector = replace(busy.connectors[1], plugged=True, online=True, observed_at_s=9.0, energy_wh=5.0)
    transaction = replace(busy.transactions["tx-run"], next_sample_at_s=99.0)
    after = replace(
        busy,
        connectors=put(busy.connectors, 1, connector),
        transactions=put(busy.transactions, "tx-run", transaction),
        clock=Now(busy.clock.utc, 6.0, True),
        tickets=4,
    )
    assert not records.writes(busy, after, (Announce("connector.plugged", 1, {}),))


def test_a_changed_connector_is_one_row(busy: Station) -> None:
    after = replace(busy, connectors=put(busy.connectors, 1, replace(busy.connectors[1], operative=False)))
    assert records.writes(busy, after, ()) == Writes(
        put={
            Table.CONNECTOR: {
                "1": {
                    "operative": False,
                    "evse_operative": True,
                    "spent": False,
                    "kept_locked": False,
                    "energy_offset_wh": 3.5,
                    "energy_kept_wh": 11.25,
                }
            }
        }
    )


def test_a_new_sample_does_not_write_the_older_ones_again(busy: Station, sample_at: Callable[[int], Sample]) -> None:
    running = busy.transactions["tx-run"]
    after = replace(
        busy,
        transactions=put(busy.transactions, "tx-run", replace(running, samples=(*running.samples, sample_at(3)))),
    )
    changed = records.writes(busy, after, ())
    assert changed.put.keys() == {Table.SAMPLE}
    assert changed.put[Table.SAMPLE].keys() == {"tx-run/00003"}


def test_a_forgotten_transaction_takes_its_samples_with_it(busy: Station) -> None:
    after = replace(busy, transactions=drop(busy.transactions, "tx-run"))
    assert records.writes(busy, after, ()).delete == {
        Table.TRANSACTION: {"tx-run"},
        Table.SAMPLE: {"tx-run/00000", "tx-run/00001", "tx-run/00002"},
    }


def test_records_come_and_go_with_their_numbers_and_lanes(
    busy: Station, record_of: Callable[..., TransactionRecord]
) -> None:
    notice = ReservationRecord(4, ReservationEnd.EXPIRED)
    changed = records.writes(busy, busy, (Enqueue(9, record_of("tx-run")), Enqueue(10, notice), Dequeue(3)))
    assert {seq: one.lane for seq, one in changed.enqueue.items()} == {9: Lane.TRANSACTION, 10: Lane.NOTICE}
    assert changed.dequeue == {3}


def test_a_record_that_comes_and_goes_in_one_step_is_never_written(busy: Station) -> None:
    effects = (Enqueue(9, ReservationRecord(4, ReservationEnd.EXPIRED)), Dequeue(9))
    assert not records.writes(busy, busy, effects)


def test_a_record_that_is_given_up_is_parked_in_the_same_commit(
    busy: Station, record_of: Callable[..., TransactionRecord]
) -> None:
    aside = records.park(3, record_of("tx-over"), "FormationViolation")
    changed = records.writes(busy, busy, (Dequeue(3),), (aside,))
    assert (changed.dequeue, changed.parked) == ({3}, (aside,))
    assert records.decode_record(aside.text) == record_of("tx-over")


STATION_TABLES = {
    "configuration",
    "connectors",
    "reservations",
    "transactions",
    "cache",
    "corrections",
    "local_list",
    "charging_profiles",
    "certificates",
    "client_certificates",
    "firmware",
    "upload",
    "access",
    "network",
    "monitors",
    "monitoring",
    "display_messages",
    "monitored_keys",
    "resets",
}
STATION_FLEETING = {
    *(
        "identity",
        "policy",
        "rules",
        "boot",
        "pending",
        "link",
        "reset",
        "queued",
        "tickets",
        "clock",
        "aligned_slot",
        "ended_slot",
    ),
    *("watch", "event_queue", "bills", "idle_resets", "idle_sources"),
    *("resets_elsewhere", "refusal_told_s", "ran_kept_at_s"),
    *("security_tally", "security_queue", "limits", "wrong_codes", "isolation"),
}
CONNECTOR_FLEETING = {
    "withdrawn",
    *("layout", "capabilities", "online", "offline_since_s", "state", "plugged", "faults", "lock", "permitted"),
    *(
        "limit_ma",
        "allowed_ma",
        "told_limit",
        "changing",
        "reported_operative",
        "phase",
        "phase_since",
        "note",
        "authorization",
        "transaction_id",
    ),
    *(
        "plugged_at_s",
        "preparing_until_s",
        "settling_until_s",
        "observed_at_s",
        "observed_at",
        "meter",
        "energy_wh",
        "energy_at",
        "energy_moved_at",
        "energy_doubt",
        "relapses",
        "recovered_at_s",
        "held_faulty_until_s",
        "last_fault",
        "fault_kept_at_s",
    ),
}


def test_every_fact_of_the_station_is_either_kept_or_named_as_fleeting() -> None:
    """A new field must be decided on here: kept facts are written, fleeting ones are lost at a power cut."""
    assert {f.name for f in fields(Station)} == {*records.STATION_KEPT, *STATION_FLEETING, *STATION_TABLES}
    assert {f.name for f in fields(Connector)} == {*records.CONNECTOR_KEPT, *CONNECTOR_FLEETING}
    assert {f.name for f in fields(Reservation)} == {*records.RESERVATION_KEPT, "held_until_s"}
    assert {f.name for f in fields(Transaction)} == {
        *records.TRANSACTION_KEPT,
        "samples",
        "queued",
        "skipped",
        "told_phase",
        "next_sample_at_s",
        "next_ended_sample_at_s",
    }


def test_what_was_written_comes_back(
    fresh: Station, busy: Station, record_of: Callable[..., TransactionRecord], wall: datetime
) -> None:
    store = MemoryStore()
    store.commit("CP1", records.writes(fresh, busy, (Enqueue(8, record_of("tx-over")),)), wall)
    loaded = load(store.load("CP1"), fresh)
    assert kept(loaded.station) == kept(busy)
    assert not loaded.repairs
    assert loaded.warnings == ()


TOKENS = st.sampled_from(["a", "B", "\ud800", 'q"\\', "ü"])
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(
            ["cache", "uncache", "book", "unbook", "begin", "sample", "thin", "forget", "set", "unset", "off"]
        ),
        st.integers(0, 3),
        TOKENS,
    ),
    max_size=12,
)


def _changed(station: Station, seed: Station, what: str, number: int, text: str) -> Station:
    """One arbitrary change of kept facts."""
    token = IdToken(text)
    match what:
        case "cache":
            entry = replace(next(iter(seed.cache.values())), id_token=token)
            return replace(station, cache=put(station.cache, token.key, entry))
        case "uncache":
            return replace(station, cache=drop(station.cache, token.key))
        case "book":
            one = replace(seed.reservations[4], id=number, id_token=token)
            return replace(station, reservations=put(station.reservations, number, one))
        case "unbook":
            return replace(station, reservations=drop(station.reservations, number))
        case "begin":
            name = f"tx{number}{text}"
            begun = replace(seed.transactions["tx-run"], id=name, connector=9, seq_no=number)
            return replace(station, transactions=put(station.transactions, name, begun))
        case "sample" | "thin" | "forget" if station.transactions:
            name = sorted(station.transactions)[number % len(station.transactions)]
            one_tx = station.transactions[name]
            if what == "forget":
                return replace(station, transactions=drop(station.transactions, name))
            kept = one_tx.samples[::2] if what == "thin" else (*one_tx.samples, *one_tx.samples[:1])
            return replace(station, transactions=put(station.transactions, name, replace(one_tx, samples=kept)))
        case "set":
            changed = put(station.configuration.changed, f"Custom{text}", str(number))
            return replace(station, configuration=replace(station.configuration, changed=changed))
        case "unset":
            changed = drop(station.configuration.changed, f"Custom{text}")
            return replace(station, configuration=replace(station.configuration, changed=changed))
        case _:
            connector = replace(station.connectors[1], operative=number % 2 == 0, held_for=token)
            return replace(station, connectors=put(station.connectors, 1, connector), operative=number > 1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(changes=CHANGES)
def test_disk_equals_memory_after_every_change(
    fresh: Station, busy: Station, wall: datetime, changes: list[tuple[str, int, str]]
) -> None:
    store = MemoryStore()
    station = fresh
    for what, number, text in changes:
        after = _changed(station, busy, what, number, text)
        store.commit("CP1", records.writes(station, after, ()), wall)
        station = after
        loaded = load(store.load("CP1"), fresh)
        assert kept(loaded.station) == kept(station)
        assert not loaded.repairs


def test_a_reservation_is_held_for_the_time_that_was_left_when_the_power_went(
    fresh: Station, busy: Station, wall: datetime
) -> None:
    store = MemoryStore()
    store.commit("CP1", records.writes(fresh, busy, ()), wall)
    floor = wall + timedelta(minutes=10)
    later = replace(fresh, boot=replace(fresh.boot, floor=floor, started_s=100.0))
    assert load(store.load("CP1"), later).station.reservations[4].held_until_s == 100.0 + 20 * 60


def test_an_end_with_many_samples_is_short_on_the_disk_and_comes_back_whole(
    record_of: Callable[..., TransactionRecord], sample_at: Callable[[int], Sample]
) -> None:
    ended = replace(record_of("tx-run", 60), samples=tuple(sample_at(minute % 60) for minute in range(60)))
    row = records.encode_record(ended)
    text = row_texts.to_outbox_text(row)
    assert len(text) < len(row_texts.to_text(row)) / 5
    assert text.isascii() and text.isprintable()
    assert records.decode_record(text) == ended


@pytest.mark.parametrize(
    "spoil",
    [lambda t: t[:-5], lambda t: t + "aaaaa", lambda t: "2~", lambda t: "2~\u00e9", lambda t: t[:9] + "zzzz" + t[13:]],
)
def test_a_deflated_row_that_is_spoilt_is_unreadable(
    spoil: Callable[[str], str], record_of: Callable[..., TransactionRecord], sample_at: Callable[[int], Sample]
) -> None:
    ended = replace(record_of("tx-run", 60), samples=tuple(sample_at(minute % 60) for minute in range(60)))
    with pytest.raises(Unreadable):
        records.decode_record(spoil(row_texts.to_outbox_text(records.encode_record(ended))))
