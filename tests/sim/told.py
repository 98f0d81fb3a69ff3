"""Laws of the event log: what happened in steps that were kept is told once each, in order, however often the daemon
dies, its disk refuses and its broker goes; and a state says how far it is.

Judged by what the broker was given; what an event says of a step is `mqtt.events`' own affair and has its own tests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edged.domain.effects import Effect
from edged.domain.events import Event
from edged.domain.station import Station
from edged.happenings import source_of
from edged.mqtt.documents import dump
from edged.mqtt.event_log import REPEATED_AT_MOST, UNKEPT_MAX
from edged.mqtt.events import Rank, document_of, happenings, rank_of
from edged.mqtt.options import IdTokenPolicy
from tests.fakes.broker import NAMES
from tests.fakes.world import IDENTITY

if TYPE_CHECKING:
    from tests.fakes.world import World

SETTLE_S = 600
ALL = 10**9


@dataclass(slots=True)
class Due:
    """An event that is to be told. `committed`: it went into the commit of its step, so nothing may lose it."""

    words: str
    committed: bool


@dataclass
class Told:
    """`due`: every event of a step that was kept, in the order of the steps; `ends`: the last number of each run that
    has died, as the disk had it."""

    world: World
    due: list[Due] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)
    judged: int = 0
    judged_seq: int = 0

    def kept(self, before: Station, event: Event, after: Station, effects: Sequence[Effect]) -> None:
        committed = self.world.disk.commits
        for one in happenings(before, after, effects, slug=IDENTITY, source=source_of(event)):
            text = document_of(one, boot="", seq=0, policy=IdTokenPolicy.MASKED, salt=NAMES.gateway)
            self.due.append(Due(_words(json.loads(text)), committed))

    def died(self) -> None:
        """What waited for the disk is gone, save what the broker was told of it; nothing else is."""
        lying = [json.loads(one.text) for one in self.world.store.events_load(self.judged_seq, ALL)]
        last_seq = max((body["seq"] for body in lying), default=0) or self.world.store.events_state().last
        for _, event in self.world.broker.events:
            news = event["boot"] == f"r{self.world.boots}" and event["seq"] > self.judged_seq
            if news and event["seq"] not in {body["seq"] for body in lying}:
                assert rank_of(event["event_type"]) is Rank.LOW, f"told before it was on the disk: {event}"
                assert event["seq"] <= last_seq + UNKEPT_MAX, "told of more than a restart leaves out"
                lying.append(event)
        lying.sort(key=lambda body: int(body["seq"]))
        told = iter([_words(body) for body in lying if body["station"] is not None])
        found, there = [], next(told, None)
        for due in self.due[self.judged :]:
            if due.words == there:
                found.append(due)
                there = next(told, None)
            else:
                assert not due.committed, f"a step was kept without what happened in it: {due.words}"
        assert there is None, f"invented, or out of order: {there}"
        self.due[self.judged :] = found
        self.judged = len(self.due)
        self.judged_seq = self.ends[self.world.boots] = max((body["seq"] for body in lying), default=self.judged_seq)

    def judge(self) -> None:
        world = self.world
        until_s = world.elapsed_s + SETTLE_S
        while world.spool.log.state.waiting and world.elapsed_s < until_s:
            world.run(1)
        state = world.spool.log.state
        assert (state.waiting, state.lost) == (0, 0), f"not everything was told: {state}"
        assert all(one.rank is Rank.LOW for one in world.spool.log.told_first()[1]), "what matters is not on the disk"
        events = what_was_told_bears_each_number_once_and_in_order(self)
        told = [_words(event) for event in events if event["station"] is not None]
        for n, (due, words) in enumerate(zip(self.due, told, strict=False)):
            assert due.words == words, f"event {n}: {due.words} was due, {words} was told"
        assert len(told) == len(self.due), f"{len(self.due)} events were due, {len(told)} were told"
        a_state_contains_exactly_the_events_up_to_its_number(self, events)


def what_was_told_bears_each_number_once_and_in_order(told: Told) -> list[dict[str, Any]]:
    """The events without those that were told again. A connection repeats only what an earlier one has told, and no
    more of it than the disk may not know of."""
    first: dict[int, tuple[str, dict[str, Any]]] = {}
    last_seq, line, repeated = 0, -1, 0
    for on_line, event in told.world.broker.events:
        if on_line != line:
            line, repeated, last_seq = on_line, 0, 0
        seq, words = event["seq"], _words(event)
        assert event["id"] == f"{event['boot']}-{seq}"
        assert seq > last_seq, f"event {seq} was told behind {last_seq}"
        last_seq = seq
        if seq in first:
            repeated += 1
            assert first[seq][0] == words, f"two events bear the number {seq}"
            assert repeated <= REPEATED_AT_MOST, f"{repeated} events were told again on one connection"
        else:
            assert seq > max(first, default=0), f"event {seq} was told after its successors"
            first[seq] = (words, event)
    return [event for _, event in first.values()]


def a_state_contains_exactly_the_events_up_to_its_number(told: Told, events: Sequence[Mapping[str, Any]]) -> None:
    """The status and the transaction of each connector, against the last event up to the number that tells of them. Of
    a run that died the states may be further than the disk."""
    news: dict[tuple[str, int | None, str], list[Mapping[str, Any]]] = {}
    for event in events:
        aspect = {
            "connector.status": "status",
            "transaction.started": "transaction",
            "transaction.ended": "transaction",
        }
        if event["event_type"] in aspect:
            news.setdefault((event["boot"], event["connector"], aspect[event["event_type"]]), []).append(event)
    for boot, topic, document in told.world.broker.shown:
        place = NAMES.parse_state(topic)
        number = document.as_of_seq
        if place is None or number is None or number > told.ends.get(boot, number) or isinstance(document.body, str):
            continue
        contained = [e for e in news.get((f"r{boot}", place.connector, place.aspect), ()) if e["seq"] <= number]
        if contained:
            wanted = _of_state(contained[-1])
            shown = {name: document.body[name] for name in wanted}
            assert shown == wanted, f"{topic} as of {number} says {shown}, event {contained[-1]['seq']} {wanted}"


def _of_state(event: Mapping[str, Any]) -> dict[str, Any]:
    """What the state must say that contains this event as its latest."""
    if event["event_type"] == "connector.status":
        return {"status": event["data"]["status"]}
    return {
        "active": event["event_type"] == "transaction.started",
        "transaction_id": event["data"]["transaction_id"],
    }


def _words(event: Mapping[str, Any]) -> str:
    """All that an event says but its number and who tells it."""
    return dump({k: v for k, v in event.items() if k not in ("id", "boot", "seq", "replayed")}).decode()
