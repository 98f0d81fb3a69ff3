"""What may wait for the next commit, and that nothing is different on the disk for having waited."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.effects import (
    Announce,
    Dequeue,
    Effect,
    Enqueue,
    Lane,
    MeterRecord,
    Record,
    RecordKind,
    Reply,
    SecurityRecord,
    TransactionRecord,
)
from edged.domain.events import Event, RecordDelivered, Tick
from edged.domain.metering import UNKEPT_MAX
from edged.domain.policy import Trigger
from edged.domain.station import Station
from edged.domain.transition import drop, put
from edged.domain.types import IdToken, Now, RequestRef, Stamp
from edged.ports import StoreError
from edged.store import records
from edged.store.deferral import Waiting, merged
from edged.store.memory import MemoryStore
from edged.store.port import Parked, Queued, Table, Writes
from edged.store.station_store import StationStore

RecordOf = Callable[..., TransactionRecord]
RUNNING = "tx-run"


def sample_of(record_of: RecordOf, number: int = 1) -> TransactionRecord:
    made = record_of(RUNNING, number)
    return replace(made, kind=RecordKind.UPDATED, trigger=Trigger.METER_VALUE_PERIODIC, id_token=None, meter_wh=None)


def sampled(station: Station, record: Record) -> tuple[Station, tuple[Effect, ...]]:
    """A step that tells a sample."""
    running = station.transactions[RUNNING]
    at = Stamp(running.kept_at.utc + timedelta(minutes=1), True, "b")
    told = replace(running, seq_no=running.seq_no + 1, told_at=at, kept_meter_wh=running.kept_meter_wh + 9, kept_at=at)
    after = replace(station, transactions=put(station.transactions, RUNNING, told), next_seq=station.next_seq + 1)
    return after, (Enqueue(station.next_seq, record),)


@dataclass
class Bench:
    """A station's store over a disk, one step after the other."""

    station: Station
    disk: MemoryStore
    wall: datetime
    now_s: float = 100.0

    def __post_init__(self) -> None:
        self.store = StationStore(self.disk, "TEST")
        self.disk.commit("TEST", records.writes(replace(self.station, transactions={}), self.station, ()), self.wall)

    @property
    def now(self) -> Now:
        return Now(self.wall + timedelta(seconds=self.now_s), self.now_s, True)

    def do(self, after: Station, effects: Sequence[Effect] = (), event: Event | None = None) -> bool:
        """One step; whether it waits."""
        wanted = self.store.difference(self.station, after, effects, event or Tick())
        waits = self.store.defer(wanted, self.now)
        if not waits:
            self.store.commit(wanted, self.wall)
        self.station = after
        return waits

    def tell(self, record: Record) -> bool:
        return self.do(*sampled(self.station, record))

    def deliver(self, seq: int, record: Record) -> bool:
        return self.do(self.station, (Dequeue(seq),), RecordDelivered(seq, record))

    def text_on_disk(self) -> str:
        return str(self.disk.load("TEST"))


@pytest.fixture
def bench(busy: Station, wall: datetime) -> Bench:
    return Bench(busy, MemoryStore(), wall)


# --- what may wait


def test_a_sample_waits_and_costs_no_commit(bench: Bench, record_of: RecordOf) -> None:
    commits = bench.disk.commits
    assert bench.tell(sample_of(record_of))
    assert bench.disk.commits == commits


def test_a_sample_that_was_told_before_anything_else_was_written_never_is(bench: Bench, record_of: RecordOf) -> None:
    record, seq = sample_of(record_of), bench.station.next_seq
    bench.tell(record)
    assert bench.deliver(seq, record)
    assert not bench.store.waiting.enqueue and not bench.store.waiting.dequeue
    assert bench.store.waiting.put.keys() == {Table.TRANSACTION, Table.STATION}


def test_aligned_values_of_an_idle_connector_wait(bench: Bench) -> None:
    seq = bench.station.next_seq
    assert bench.do(replace(bench.station, next_seq=seq + 1), (Enqueue(seq, MeterRecord(1, ())),))


MONEY: dict[str, Callable[[Station], Station]] = {
    "a reservation goes": lambda s: replace(s, reservations={}),
    "a transaction goes": lambda s: replace(s, transactions=drop(s.transactions, RUNNING)),
    "a transaction gets its name": lambda s: _transact(s, external_ref=12),
    "a transaction is stopped": lambda s: _transact(s, deauthorized=True),
    "a driver is named": lambda s: _transact(s, id_token=IdToken("EVE")),
    "a register turns": lambda s: _change(s, energy_offset_wh=77.0),
    "a session is over": lambda s: _change(s, spent=True, plugged=True),
    "a cable is held": lambda s: _change(s, held_for=IdToken("EVE")),
    "a connector goes out of service": lambda s: _change(s, operative=False),
    "a token is remembered": lambda s: replace(s, cache={}),
    "a key changes": lambda s: replace(s, configuration=replace(s.configuration, changed={"HeartbeatInterval": "9"})),
    "the boot reason is left": lambda s: replace(s, next_boot_reason="Watchdog"),
    "a clock is corrected": lambda s: replace(s, corrections={"b": 3.0}),
}


def _transact(station: Station, **changes: object) -> Station:
    changed = replace(station.transactions[RUNNING], **changes)  # type: ignore[arg-type]
    return replace(station, transactions=put(station.transactions, RUNNING, changed))


def _change(station: Station, **changes: object) -> Station:
    changed = replace(station.connectors[1], **changes)  # type: ignore[arg-type]
    return replace(station, connectors=put(station.connectors, 1, changed))


def test_that_the_cable_of_a_session_that_is_over_has_gone_waits(bench: Bench) -> None:
    bench.do(_change(bench.station, spent=True, plugged=True))
    assert bench.do(_change(bench.station, spent=False, plugged=False)), "the next look at the charger sees it again"


@pytest.mark.parametrize("what", MONEY)
def test_whatever_else_changes_takes_the_samples_along(what: str, bench: Bench, record_of: RecordOf) -> None:
    after, effects = sampled(bench.station, sample_of(record_of))
    assert not bench.do(MONEY[what](after), effects)


def test_the_clock_does_not_wait_while_somebody_has_reserved(bench: Bench) -> None:
    later = bench.wall + timedelta(minutes=5)
    assert bench.station.reservations
    assert not bench.do(replace(bench.station, wall_kept=later))
    bench.do(replace(bench.station, reservations={}))
    assert bench.do(replace(bench.station, wall_kept=later + timedelta(minutes=5)))


def test_whoever_is_answered_is_answered_behind_a_commit(bench: Bench, record_of: RecordOf) -> None:
    after, effects = sampled(bench.station, sample_of(record_of))
    assert not bench.do(after, (*effects, Reply(RequestRef("csms", "1", "TriggerMessage"), Lane.NOTICE)))


@pytest.mark.parametrize("kind", [RecordKind.STARTED, RecordKind.ENDED])
def test_a_start_and_an_end_never_wait(kind: RecordKind, bench: Bench, record_of: RecordOf) -> None:
    assert not bench.tell(replace(sample_of(record_of), kind=kind))


@pytest.mark.parametrize("trigger", [Trigger.AUTHORIZED, Trigger.STOP_AUTHORIZED, Trigger.EV_COMMUNICATION_LOST])
def test_what_was_decided_in_a_transaction_never_waits(trigger: Trigger, bench: Bench, record_of: RecordOf) -> None:
    assert not bench.tell(replace(sample_of(record_of), trigger=trigger))


def test_an_update_that_names_the_driver_never_waits(bench: Bench, record_of: RecordOf) -> None:
    assert not bench.tell(replace(sample_of(record_of), id_token=IdToken("ALICE")))


def test_a_security_event_never_waits(bench: Bench, wall: datetime) -> None:
    seq = bench.station.next_seq
    record = SecurityRecord("x", Stamp(wall, True, "b"))
    assert not bench.do(replace(bench.station, next_seq=seq + 1), (Enqueue(seq, record),))


def test_what_the_disk_has_of_the_outbox_leaves_it_before_anything_is_told_behind_it(
    bench: Bench, record_of: RecordOf
) -> None:
    """Else a restart would tell it again behind that."""
    record, seq = sample_of(record_of), bench.station.next_seq
    bench.tell(record)
    bench.store.keep(bench.wall)
    bench.station = replace(bench.station, queued=1)  # something else waits to be told
    assert not bench.deliver(seq, record)
    assert seq not in bench.disk.load("TEST").outbox


def test_the_last_word_of_all_may_leave_the_disk_later(bench: Bench, record_of: RecordOf) -> None:
    seq, ended = bench.station.next_seq, replace(record_of(RUNNING, 9), kind=RecordKind.ENDED)
    assert not bench.tell(ended)
    bench.station = replace(bench.station, queued=0)
    gone = replace(bench.station, transactions=drop(bench.station.transactions, RUNNING))
    assert bench.do(gone, (Dequeue(seq),), RecordDelivered(seq, ended))
    assert seq in bench.disk.load("TEST").outbox
    next_seq = bench.station.next_seq
    after = replace(bench.station, next_seq=next_seq + 1)
    assert not bench.do(after, (Enqueue(next_seq, MeterRecord(1, ())),)), "it is told behind it"
    assert seq not in bench.disk.load("TEST").outbox


def test_an_end_that_others_wait_behind_leaves_the_disk_at_once(bench: Bench, record_of: RecordOf) -> None:
    seq, ended = bench.station.next_seq, replace(record_of(RUNNING, 9), kind=RecordKind.ENDED)
    bench.tell(ended)
    gone = replace(bench.station, transactions=drop(bench.station.transactions, RUNNING), queued=1)
    assert not bench.do(gone, (Dequeue(seq),), RecordDelivered(seq, ended))


def test_an_end_leaves_the_disk_at_once_while_another_transaction_tells_samples(
    bench: Bench, record_of: RecordOf
) -> None:
    """The next sample would have to take it along, in a moment of its own."""
    seq, ended = bench.station.next_seq, replace(record_of(RUNNING, 9), kind=RecordKind.ENDED)
    bench.tell(ended)
    running = bench.station.transactions[RUNNING]
    other = replace(running, id="tx-other", connector=2)
    bench.do(replace(bench.station, transactions=put(bench.station.transactions, other.id, other), queued=0))
    gone = replace(bench.station, transactions=drop(bench.station.transactions, RUNNING))
    assert not bench.do(gone, (Dequeue(seq),), RecordDelivered(seq, ended))
    assert seq not in bench.disk.load("TEST").outbox


def test_a_sample_that_has_come_to_the_disk_brings_none_behind_it_there(bench: Bench, record_of: RecordOf) -> None:
    """Else each would take the one before it from the disk, in a commit, and leave itself there for the next."""
    bench.station = replace(bench.station, queued=0)
    seq = bench.station.next_seq
    bench.tell(sample_of(record_of))
    bench.store.keep(bench.wall)
    bench.deliver(seq, sample_of(record_of))
    assert seq not in bench.disk.load("TEST").outbox
    commits = bench.disk.commits
    for number in range(5):
        seq, record = bench.station.next_seq, sample_of(record_of, number)
        assert bench.tell(record)
        assert bench.deliver(seq, record)
    assert bench.disk.commits == commits


def test_aligned_values_behind_the_last_word_cost_a_commit_once(bench: Bench, record_of: RecordOf) -> None:
    """The first of them takes the end from the disk and is left there itself; those that follow never come to it."""
    seq, ended = bench.station.next_seq, replace(record_of(RUNNING, 9), kind=RecordKind.ENDED)
    bench.tell(ended)
    gone = replace(bench.station, transactions=drop(bench.station.transactions, RUNNING), queued=0)
    assert bench.do(gone, (Dequeue(seq),), RecordDelivered(seq, ended))
    record = MeterRecord(1, ())
    waited = []
    for _ in range(4):
        seq = bench.station.next_seq
        waited.append(bench.do(replace(bench.station, next_seq=seq + 1), (Enqueue(seq, record),)))
        waited.append(bench.deliver(seq, record))
    assert waited == [False, False, *[True] * 6]


def test_what_people_watch_does_not_hurry_a_sample(bench: Bench, record_of: RecordOf) -> None:
    after, effects = sampled(bench.station, sample_of(record_of))
    assert bench.do(after, (*effects, Announce("connector.link", 1, {})))


# --- until when


def test_the_next_commit_takes_along_what_waits(bench: Bench, record_of: RecordOf) -> None:
    bench.tell(sample_of(record_of))
    bench.do(_change(bench.station, operative=False))
    assert not bench.store.waiting
    assert bench.station.next_seq - 1 in bench.disk.load("TEST").outbox


def test_a_record_that_the_csms_does_not_have_waits_ten_minutes(bench: Bench, record_of: RecordOf) -> None:
    bench.tell(sample_of(record_of))
    bench.now_s += 599
    assert not bench.store.overdue(bench.now)
    bench.now_s += 1
    assert bench.store.overdue(bench.now)


def test_what_the_csms_has_waits_an_hour(bench: Bench, record_of: RecordOf) -> None:
    for _ in range(59):
        seq, record = bench.station.next_seq, sample_of(record_of)
        assert bench.tell(record)
        bench.now_s += 1
        assert bench.deliver(seq, record)
        bench.now_s += 59
        assert not bench.store.overdue(bench.now)
    bench.now_s += 60
    assert bench.store.overdue(bench.now)


def test_a_record_that_is_under_way_this_moment_is_waited_for(bench: Bench, record_of: RecordOf) -> None:
    first = bench.station.next_seq
    bench.tell(sample_of(record_of))
    bench.deliver(first, sample_of(record_of))
    bench.now_s += 3600
    bench.tell(sample_of(record_of))
    assert not bench.store.overdue(bench.now)
    bench.now_s += 30
    assert bench.store.overdue(bench.now)


def test_only_so_many_numbers_are_given_out_between_two_commits(bench: Bench, record_of: RecordOf) -> None:
    for number in range(UNKEPT_MAX):
        seq = bench.station.next_seq
        assert bench.tell(sample_of(record_of)), number
        assert bench.deliver(seq, sample_of(record_of))
    assert not bench.tell(sample_of(record_of))
    assert not bench.store.waiting
    assert bench.tell(sample_of(record_of))


def test_nothing_that_waits_is_nothing_to_keep(bench: Bench) -> None:
    commits = bench.disk.commits
    assert not bench.store.keep(bench.wall)
    assert bench.disk.commits == commits


# --- a disk that refuses


def test_what_waits_goes_on_waiting_when_the_disk_refuses(busy: Station, wall: datetime, record_of: RecordOf) -> None:
    bench = Bench(busy, MemoryStore(fail_at={2, 3}), wall)
    bench.tell(sample_of(record_of))
    waits = bench.store.waiting
    with pytest.raises(StoreError):
        bench.store.keep(wall)
    with pytest.raises(StoreError):
        bench.do(_change(bench.station, operative=False))
    assert bench.store.waiting == waits
    bench.store.keep(wall)
    assert not bench.store.waiting
    assert bench.station.next_seq - 1 in bench.disk.load("TEST").outbox


def test_a_disk_that_refuses_fills_no_memory(busy: Station, wall: datetime, record_of: RecordOf) -> None:
    bench = Bench(busy, MemoryStore(fail_at=range(2, 1000)), wall)
    refused = 0
    for _ in range(UNKEPT_MAX + 50):
        try:
            bench.tell(sample_of(record_of))
        except StoreError:
            refused += 1
    assert refused == 50
    assert len(bench.store.waiting.enqueue) == UNKEPT_MAX


# --- the outbox


def test_the_outbox_is_the_disks_with_what_waits(bench: Bench, record_of: RecordOf) -> None:
    lane = Lane.TRANSACTION
    seqs = []
    for number in range(4):
        seqs.append(bench.station.next_seq)
        bench.tell(sample_of(record_of, number))
        if number == 1:
            bench.store.keep(bench.wall)
    bench.deliver(seqs[2], sample_of(record_of, 2))
    found = bench.store.outbox(lane, 0, 50)
    assert [seq for seq, _ in found] == [seqs[0], seqs[1], seqs[3]]
    assert [record.seq_no for _, record in found if isinstance(record, TransactionRecord)] == [0, 1, 3]
    assert [seq for seq, _ in bench.store.outbox(lane, seqs[0], 1)] == [seqs[1]]
    assert [seq for seq, _ in bench.store.outbox(lane, seqs[1], 1)] == [seqs[3]]
    assert bench.store.outbox(Lane.NOTICE, 0, 50) == []


# --- laying together

KEYS = st.sampled_from(["1", "2", "3"])
TABLES = st.sampled_from([Table.TRANSACTION, Table.SAMPLE])


@st.composite
def histories(draw: st.DrawFn) -> list[Writes]:
    """Differences as steps give them: each row is put or deleted, each number is given once and taken once."""
    seq, there, found = 0, set[int](), []
    for number in range(draw(st.integers(1, 8))):
        put: dict[str, dict[str, dict[str, int]]] = {}
        delete: dict[str, frozenset[str]] = {}
        for table in draw(st.sets(TABLES)):
            names = draw(st.lists(KEYS, unique=True))
            split = draw(st.integers(0, len(names)))
            if names[:split]:
                put[table] = {name: {"is": number} for name in names[:split]}
            if names[split:]:
                delete[table] = frozenset(names[split:])
        gone = frozenset(draw(st.sets(st.sampled_from(sorted(there))))) if there else frozenset()
        come = {n: Queued(Lane.TRANSACTION, {"is": n}) for n in range(seq, seq + draw(st.integers(0, 2)))}
        seq += len(come)
        there = (there - gone) | come.keys()
        found.append(Writes(put=put, delete=delete, enqueue=come, dequeue=gone))
    return found


def _disk(parts: Sequence[Writes]) -> str:
    store = MemoryStore()
    for writes in parts:
        store.commit("TEST", writes, datetime(2026, 3, 1, tzinfo=UTC))
    return str(sorted((t, sorted(r.items())) for t, r in store.load("TEST").facts.items())) + str(
        sorted(store.load("TEST").outbox.items())
    )


@given(history=histories(), cuts=st.sets(st.integers(0, 8)))
def test_differences_laid_together_do_what_they_did_one_after_the_other(history: list[Writes], cuts: set[int]) -> None:
    groups: list[list[Writes]] = [[]]
    for number, writes in enumerate(history):
        groups[-1].append(writes)
        if number in cuts:
            groups.append([])
    together = [reduce(merged, group, Writes()) for group in groups]
    assert _disk(together) == _disk(history)


@given(history=histories())
def test_it_does_not_matter_in_which_order_they_are_laid_together(history: list[Writes]) -> None:
    left = reduce(merged, history, Writes())
    right = reduce(lambda after, before: merged(before, after), reversed(history), Writes())
    assert left == right


@given(history=histories())
def test_no_row_is_put_and_deleted_and_no_record_comes_and_goes(history: list[Writes]) -> None:
    whole = reduce(merged, history, Writes())
    assert not whole.enqueue.keys() & whole.dequeue
    for table, keys in whole.delete.items():
        assert not keys & whole.put.get(table, {}).keys()


def test_what_people_are_to_find_keeps_its_order() -> None:
    first, then = (Writes(parked=(Parked("outbox", str(n), "why", "x"),)) for n in (1, 2))
    assert [one.key for one in merged(first, then).parked] == ["1", "2"]


def test_whatever_waited_the_disk_is_behind_one_of_the_steps(bench: Bench, record_of: RecordOf) -> None:
    """A walk: what the disk holds is at every moment what memory was behind some step."""
    rng, seen = random.Random(7), {bench.text_on_disk()}
    whole = MemoryStore()
    whole.commit("TEST", records.writes(replace(bench.station, transactions={}), bench.station, ()), bench.wall)
    under_way: list[tuple[int, Record]] = []
    for number in range(400):
        before = bench.station
        effects: tuple[Effect, ...] = ()
        event: Event = Tick()
        move = rng.random()
        if move < 0.5:
            record = sample_of(record_of, number)
            under_way.append((before.next_seq, record))
            after, effects = sampled(before, record)
        elif move < 0.9 and under_way:
            seq, record = under_way.pop(0)
            after, effects, event = before, (Dequeue(seq),), RecordDelivered(seq, record)
        else:
            after = _change(before, energy_offset_wh=float(number))
        bench.do(after, effects, event)
        whole.commit("TEST", records.writes(before, after, effects), bench.wall)
        seen.add(str(whole.load("TEST")))
        assert bench.text_on_disk() in seen
    bench.store.keep(bench.wall)
    assert bench.text_on_disk() == str(whole.load("TEST"))


def test_waiting_since_is_the_first_of_what_waits() -> None:
    first = Waiting().joined(Writes(put={Table.STATION: {"": {}}}), 10.0)
    assert first.joined(Writes(put={Table.STATION: {"": {}}}), 20.0).since_s == 10.0
