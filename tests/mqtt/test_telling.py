"""From the log into the outbox: whatever happens to disk, broker and daemon, each event arrives, in order.

The laws are checked against a small daemon: a log, a store without a disk, commits that may fail, a broker that
acknowledges in any order, loses the connection, and a daemon that is killed at any moment.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edged.mqtt.event_log import REPEATED_AT_MOST, TAIL, UNKEPT_MAX, EventLog, LoggedEvent, Tell
from edged.mqtt.events import Happening, Rank
from edged.mqtt.names import Names
from edged.mqtt.options import IdTokenPolicy
from edged.mqtt.outbox import MAX_EVENTS, RESERVED, WINDOW, Lane, Outbox, Parcel
from edged.mqtt.telling import Telling
from edged.store.memory import MemoryStore
from edged.store.port import SpooledEvent

NOON = datetime(2026, 8, 22, 10, 0, tzinfo=UTC)
NAMES = Names("edged", "gw1")


class Daemon:
    """One run over a store that outlives it. Reads wait until `read_all`, as on another thread."""

    def __init__(self, store: MemoryStore, boot: str, *, unexpected: bool = False) -> None:
        self.store = store
        state = store.events_state()
        self.log = EventLog(
            boot,
            policy=IdTokenPolicy.MASKED,
            salt="gw1",
            first_seq=state.first,
            last_seq=max(state.last, state.delivered),
            delivered_seq=state.delivered,
            unexpected=unexpected,
        )
        self.outbox = Outbox()
        self.telling = Telling(self.log, self, self.outbox, NAMES, lambda: None)
        self.reads: list[tuple[list[LoggedEvent], Tell]] = []
        self.under_way: dict[int, Parcel] = {}

    def read(self, after_seq: int, limit: int, tell: Tell) -> None:
        found = [
            LoggedEvent(seq=one.seq, at=one.at, rank=1, text=one.text)  # type: ignore[arg-type]
            for one in self.store.events_load(after_seq, limit)
        ]
        self.reads.append((found, tell))

    def read_all(self) -> None:
        reads, self.reads = self.reads, []
        for found, tell in reads:
            tell(found)

    def connect(self) -> None:
        self.outbox.connected(WINDOW)
        self.outbox.tell_events()
        self.telling.begin()

    def disconnect(self) -> None:
        self.outbox.disconnected()
        self.under_way.clear()

    def send(self) -> list[dict[str, Any]]:
        sent = []
        for parcel in self.outbox.due(0.0):
            assert parcel.lane is Lane.EVENT
            self.under_way[parcel.ticket] = parcel
            assert not isinstance(parcel.document.body, str)
            sent.append(dict(parcel.document.body))
        return sent

    def acknowledge(self, ticket: int) -> None:
        del self.under_way[ticket]
        self.outbox.settled(ticket)
        self.telling.go_on()

    def happen(self, count: int, kind: str = "connector.link") -> tuple[LoggedEvent, ...]:
        return self.log.number([Happening(kind=kind, at=NOON, synchronized=True)] * count)

    def keep(self, events: Sequence[LoggedEvent], *, delivered: bool = False) -> None:
        told = self.log.delivered_seq
        rows = [SpooledEvent(seq=one.seq, at=one.at, rank=one.rank, text=one.text) for one in events]
        self.store.events_add(rows, told if delivered else None)
        if delivered:
            self.log.delivered_kept_seq = told
        self.log.kept(events)
        self.telling.go_on()


KINDS = st.sampled_from(("connector.link", "connector.link", "transaction.ended"))


class Faults(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.store, self.runs, self.seen = MemoryStore(), 0, list[tuple[int, str]]()
        self.forgotten = set[str]()
        self.repeated_by_crash = 0
        self.daemon = Daemon(self.store, "boot0")
        self.connected = False

    # --- what happens

    @rule(count=st.integers(1, 60), kept=st.booleans(), others=st.integers(0, 3), kind=KINDS)
    def a_step_is_kept_or_not(self, count: int, kept: bool, others: int, kind: str) -> None:
        events = self.daemon.happen(count, kind)
        taken = self.daemon.log.take(events)
        self.daemon.log.defer(self.daemon.happen(others), 0.0)  # while it is on the way
        self.daemon.telling.go_on()
        if kept:
            self.daemon.keep((*taken, *events))
        else:
            self.daemon.log.give_back(taken, dropped=events)

    @rule(count=st.integers(1, 5), kind=KINDS)
    def something_waits(self, count: int, kind: str) -> None:
        self.daemon.log.defer(self.daemon.happen(count, kind), 0.0)
        self.daemon.telling.go_on()

    @rule(count=st.integers(1, 3), kind=KINDS)
    def a_commit_fails_while_the_next_one_succeeds(self, count: int, kind: str) -> None:
        taken, later = self.daemon.log.take(), self.daemon.happen(count, kind)
        self.daemon.log.give_back(taken)
        self.daemon.keep(later)

    @rule()
    def what_waits_is_kept(self) -> None:
        self.daemon.keep(self.daemon.log.take(), delivered=True)

    @rule()
    def the_disk_answers(self) -> None:
        self.daemon.read_all()

    # --- the broker

    @precondition(lambda self: not self.connected)
    @rule()
    def connect(self) -> None:
        self.connected = True
        self.daemon.connect()

    @precondition(lambda self: self.connected)
    @rule()
    def lose_the_connection(self) -> None:
        self.connected = False
        self.daemon.disconnect()

    @rule()
    def send(self) -> None:
        self.see()

    def see(self) -> None:
        self.seen += [(body["seq"], body["id"]) for body in self.daemon.send()]

    @rule(data=st.data(), count=st.integers(1, 30))
    def acknowledge_some_in_any_order(self, data: st.DataObject, count: int) -> None:
        for _ in range(min(count, len(self.daemon.under_way))):
            self.daemon.acknowledge(data.draw(st.sampled_from(sorted(self.daemon.under_way))))

    # --- the daemon

    @rule()
    def kill(self) -> None:
        self.runs += 1
        self.connected = False
        unkept = {json.loads(one.text)["id"]: one for one in self.daemon.log.told_first()[1]}
        assert all(one.rank is Rank.LOW for one in unkept.values())
        self.forgotten |= unkept.keys()
        self.daemon = Daemon(self.store, f"boot{self.runs}", unexpected=True)

    # --- laws

    @invariant()
    def nothing_comes_out_of_its_order(self) -> None:
        if hasattr(self, "store"):
            numbers = [seq for seq, _ in dict.fromkeys(self.seen)]
            assert numbers == sorted(set(numbers)), "out of order, or a number that means two things"
            there = {one.seq for one in self.store.events_load(0, 100_000)}
            assert {seq for seq in there if seq <= max(numbers, default=0)} <= set(numbers), "one is missing"

    @invariant()
    def what_was_told_is_kept_or_matters_little_and_is_forgotten_at_the_end(self) -> None:
        if hasattr(self, "store"):
            there = {json.loads(one.text)["id"] for one in self.store.events_load(0, 100_000)}
            unkept = self.daemon.log.told_first()[1]
            waits = {json.loads(one.text)["id"] for one in unkept}
            assert {name for _, name in self.seen} <= there | waits | self.forgotten
            last_seq = self.store.events_state().last
            assert all(one.seq <= last_seq + UNKEPT_MAX for one in unkept)

    @invariant()
    def memory_is_bounded(self) -> None:
        if hasattr(self, "store"):
            assert self.daemon.outbox.depth <= MAX_EVENTS
            assert len(self.daemon.under_way) <= WINDOW - RESERVED

    @invariant()
    def a_crash_repeats_no_more_than_it_may(self) -> None:
        if hasattr(self, "store"):
            kept = self.store.events_state().delivered
            order = {json.loads(one.text)["id"]: one.seq for one in self.store.events_load(kept, 100_000)}
            assert len({name for _, name in self.seen if name in order}) <= REPEATED_AT_MOST

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        if not self.connected:
            self.daemon.connect()
        for _ in range(100_000):
            self.see()
            for ticket in list(self.daemon.under_way):
                self.daemon.acknowledge(ticket)
            self.daemon.keep(self.daemon.log.take(), delivered=True)
            self.daemon.read_all()
            if self.daemon.log.delivered_seq >= self.daemon.log.kept_seq:
                break
        there = {json.loads(one.text)["id"] for one in self.store.events_load(0, 100_000)}
        assert {name for _, name in self.seen} - self.forgotten == there - self.forgotten
        assert there <= {name for _, name in self.seen}


Faults.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestFaults = Faults.TestCase


def kept_daemon(count: int) -> Daemon:
    daemon = Daemon(MemoryStore(), "b1")
    daemon.keep(daemon.happen(count))
    return daemon


def test_what_happened_before_the_connection_is_told_as_replayed_and_what_comes_then_is_not() -> None:
    daemon = kept_daemon(2)
    daemon.connect()
    daemon.keep(daemon.happen(1))
    assert [(body["seq"], body["replayed"]) for body in daemon.send()] == [(1, True), (2, True), (3, False)]


def test_a_number_that_was_told_before_a_crash_is_given_to_no_other_event() -> None:
    daemon = kept_daemon(1)
    daemon.connect()
    daemon.log.defer(daemon.happen(1), 0.0)
    daemon.telling.go_on()
    told = {body["seq"]: body["id"] for body in daemon.send()}
    assert told == {1: "b1-1", 2: "b1-2"}
    again = Daemon(daemon.store, "b2", unexpected=True)
    again.log.defer(again.happen(1), 0.0)
    again.keep(again.log.take())
    again.connect()
    again.read_all()
    assert [body["id"] for body in again.send()] == ["b1-1", f"b2-{2 + UNKEPT_MAX}"]


def test_an_event_that_cannot_be_read_is_left_out_and_stops_nobody() -> None:
    daemon = kept_daemon(3)
    for seq, text in ((2, "{"), (3, "[" * 100_000)):
        daemon.store._events[seq] = SpooledEvent(seq=seq, at=None, rank=1, text=text)
    again = Daemon(daemon.store, "b2")
    again.connect()
    again.read_all()
    assert [body["seq"] for body in again.send()] == [1]
    again.acknowledge(next(iter(again.under_way)))
    assert again.log.delivered_seq == 3


def test_an_event_keeps_the_name_of_the_run_in_which_it_happened() -> None:
    daemon = kept_daemon(1)
    again = Daemon(daemon.store, "b2")
    again.keep(again.happen(1))
    again.connect()
    again.read_all()
    assert [body["id"] for body in again.send()] == ["b1-1", "b2-2"]


def test_a_disk_that_cannot_be_read_is_asked_again() -> None:
    daemon = kept_daemon(1)
    again = Daemon(daemon.store, "b2")
    again.connect()
    (_, tell), again.reads = again.reads[0], []
    tell(None)
    assert again.send() == []
    again.telling.go_on()
    again.read_all()
    assert len(again.send()) == 1


def test_an_event_that_comes_late_to_the_disk_is_told_before_its_successors() -> None:
    daemon = kept_daemon(0)
    daemon.connect()
    late = daemon.happen(1, "transaction.ended")
    daemon.log.give_back(late)
    daemon.keep(daemon.happen(1))
    daemon.read_all()
    assert daemon.send() == []
    daemon.keep(daemon.log.take())
    daemon.read_all()
    assert [body["seq"] for body in daemon.send()] == [1, 2]


def test_what_was_read_before_its_elder_was_kept_is_read_again() -> None:
    daemon = kept_daemon(1)
    again = Daemon(daemon.store, "b2")
    again.connect()
    again.reads.clear()
    again.telling.begin()
    ((_, tell),) = again.reads
    again.reads.clear()
    late = again.happen(1, "transaction.ended")
    again.log.give_back(late)
    again.keep(again.happen(1))  # 3 is on the disk before 2
    tell(again_found(again, 0))
    again.keep(again.log.take())
    again.read_all()
    assert [body["seq"] for body in again.send()] == [1, 2, 3]


def again_found(daemon: Daemon, after_seq: int) -> list[LoggedEvent]:
    daemon.read(after_seq, 100, lambda _: None)
    return daemon.reads.pop()[0]


def test_what_the_disk_says_after_the_connection_has_gone_is_not_told_on_the_next_one() -> None:
    daemon = kept_daemon(1)
    again = Daemon(daemon.store, "b2")
    again.connect()
    old, again.reads = again.reads, []
    again.disconnect()
    again.connect()
    for found, tell in old:
        tell(found)
    assert again.send() == []


def test_not_more_is_told_than_may_be_told_again_until_the_disk_knows_of_it() -> None:
    daemon = kept_daemon(500)
    daemon.connect()
    told = 0
    for _ in range(50):
        daemon.read_all()
        told += len(daemon.send())
        for ticket in list(daemon.under_way):
            daemon.acknowledge(ticket)
    assert told == REPEATED_AT_MOST
    daemon.disconnect()
    daemon.connect()
    daemon.read_all()
    assert daemon.send() == [], "a new connection gives no new allowance"
    daemon.keep((), delivered=True)
    daemon.telling.go_on()
    daemon.read_all()
    assert daemon.send()[0]["seq"] == REPEATED_AT_MOST + 1


def test_events_that_the_broker_refuses_for_good_do_not_stop_the_others() -> None:
    daemon = kept_daemon(100)
    daemon.connect()
    for _ in range(20):
        daemon.read_all()
        daemon.send()
        for ticket, parcel in list(daemon.under_way.items()):
            del daemon.under_way[ticket]
            daemon.outbox.settled(ticket, accepted=parcel.seq % 2 == 0)
            daemon.telling.go_on()
        daemon.keep((), delivered=True)
    assert daemon.log.delivered_seq == 100
    assert daemon.outbox.counters.refused == 50


def test_a_broker_that_acknowledges_nothing_holds_no_more_than_a_window_and_a_page() -> None:
    daemon = kept_daemon(5_000)
    daemon.connect()
    for _ in range(200):
        daemon.read_all()
        daemon.send()
        daemon.telling.go_on()
        daemon.keep(daemon.happen(10))
    assert len(daemon.under_way) == WINDOW - RESERVED
    assert daemon.outbox.depth + len(daemon.under_way) <= REPEATED_AT_MOST
    assert len(daemon.log._tail) <= TAIL
    assert daemon.log.delivered_seq == 0


def test_who_comes_back_after_a_long_time_is_told_from_the_disk_and_then_what_is_new() -> None:
    daemon = kept_daemon(2 * TAIL)
    daemon.connect()
    seen: list[int] = []
    while daemon.log.delivered_seq < 2 * TAIL + 5:
        daemon.read_all()
        seen += [body["seq"] for body in daemon.send()]
        for ticket in list(daemon.under_way):
            daemon.acknowledge(ticket)
        if len(seen) >= TAIL and daemon.log.last_seq == 2 * TAIL:
            daemon.keep(daemon.happen(5))
        daemon.keep((), delivered=True)
        daemon.telling.go_on()
    assert seen == list(range(1, 2 * TAIL + 6))
