"""`as_of_seq`: a state contains exactly the events up to it.

A consumer that reads the retained state and then applies the events behind it must never be behind nor ahead: whenever
a state is shown, in the middle of a step too, when the disk refuses one, and when the throttle has held it back.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from edged.domain.commands import CancelReservation, ChangeAvailability
from edged.domain.effects import Effect, Lane, Record
from edged.domain.events import Event, PresentToken, Tick
from edged.domain.hardware import ChargerState
from edged.domain.station import Station
from edged.domain.step import step
from edged.domain.types import IdToken
from edged.happenings import TellingStore
from edged.mqtt.event_log import EventLog, LoggedEvent
from edged.mqtt.events import Happening
from edged.mqtt.names import Names
from edged.mqtt.options import IdTokenPolicy
from edged.mqtt.outbox import WINDOW, Outbox
from edged.mqtt.picture import Picture
from edged.mqtt.topics import Shown, topics
from edged.ports import StoreError
from edged.store import records
from edged.store.port import SpooledEvent, Writes
from tests.fakes.site import START, Site, station

NAMES = Names("edged", "gw1")


@dataclass(frozen=True)
class Plan:
    """What else is going on during a step."""

    shown_before: bool = False
    fails: bool = False
    others: int = 0
    shown_after: bool = True


class _Disk:
    def __init__(self) -> None:
        self.events: dict[int, SpooledEvent] = {}
        self.fails = False

    def difference(self, before: Station, after: Station, effects: Sequence[Effect], event: Event) -> Writes:
        return records.writes(before, after, effects)

    def commit(self, difference: Any, wall: datetime) -> None:
        if self.fails:
            raise StoreError("full")
        self.events.update({one.seq: one for one in difference.events})

    def outbox(self, lane: Lane, after_seq: int, limit: int) -> Sequence[tuple[int, Record]]:
        return ()


@dataclass
class Consumed(Site):
    """A site whose steps go the whole way of an engine's, and somebody who reads what is retained."""

    plans: Iterator[Plan] = field(default_factory=lambda: iter(()))
    begun: bool = False
    kept: _Disk = field(default_factory=_Disk)
    judged: int = 0

    def begin(self, plans: Iterator[Plan]) -> None:
        self.log = EventLog("b1", policy=IdTokenPolicy.FULL, salt="gw1")
        self.telling = TellingStore(self.kept, self.log, "TEST")
        self.out = Outbox()
        self.out.connected(WINDOW)
        self.picture = Picture(self.out, NAMES)
        self.on_the_way: tuple[LoggedEvent, ...] = ()
        self.plans = plans
        self.begun = True
        self.show_all()
        self.first = self.read()

    def do(self, event: Event) -> tuple[Effect, ...]:
        if not self.begun:
            return super().do(event)
        plan = next(self.plans, Plan())
        before, transition = self.station, step(self.station, event, self.now)
        writes = self.telling.difference(before, transition.station, transition.effects, event)
        if plan.others:
            other = Happening(kind="connector.link", at=START, synchronized=True, station="OTHER")
            self.log.defer(self.log.number([other] * plan.others), 0.0)
        if writes:
            self.on_the_way = writes.deferred if plan.fails else (*writes.deferred, *writes.events)
            if plan.shown_before:
                self.show_all()
            self.on_the_way = ()
            self.kept.fails = plan.fails
            try:
                self.telling.commit(writes, self.now.utc)
            except StoreError:
                self.show_all()
                return ()
        self.station, self.effects = transition.station, transition.effects
        self.history.extend(self.effects)
        if plan.shown_after:
            self.show_all()
        return self.effects

    # --- the consumer

    def show_all(self) -> None:
        documents = topics(self.station, Shown(names=NAMES, id_tokens=IdTokenPolicy.FULL))
        self.picture.show("TEST", documents, self.now.monotonic_s, as_of_seq=self.log.as_of(self.station))
        self.deliver()

    def deliver(self) -> None:
        self.picture.due(self.now)
        while parcels := self.out.due(0.0):
            for parcel in parcels:
                self.out.settled(parcel.ticket)
        if hasattr(self, "first"):
            self.judge()

    def read(self) -> dict[tuple[int, str], tuple[int, Any]]:
        """By connector and aspect: the number, and what is said."""
        found = {}
        for number in self.station.connectors:
            for aspect, member in (("status", "status"), ("availability", "state"), ("transaction", "active")):
                document = self.out.shown(NAMES.of_connector("TEST", number, aspect))
                assert document is not None and not isinstance(document.body, str)
                assert document.as_of_seq is not None
                found[number, aspect] = document.as_of_seq, document.body[member]
        return found

    def told(self) -> list[dict[str, Any]]:
        """Everything that was or will be told, in order."""
        waiting = {one.seq: one.text for one in (*self.log._deferred, *self.on_the_way)}
        every = {**{seq: one.text for seq, one in self.kept.events.items()}, **waiting}
        return [json.loads(every[seq]) for seq in sorted(every)]

    def judge(self) -> None:
        events = self.told()
        for (number, aspect), (as_of_seq, said) in self.read().items():
            state = self.first[number, aspect][1]
            for event in events:
                if event["connector"] == number and event["station"] == "TEST" and event["seq"] <= as_of_seq:
                    state = _apply(aspect, state, event)
            assert said == state, f"{aspect} of {number} as of {as_of_seq}: {said} is shown, the events say {state}"
            self.judged += 1


def _apply(aspect: str, state: Any, event: dict[str, Any]) -> Any:
    match aspect, event["event_type"]:
        case "status", "connector.status":
            return event["data"]["status"]
        case "availability", "connector.availability":
            return event["data"]["state"]
        case "transaction", "transaction.started":
            return True
        case "transaction", "transaction.ended":
            return False
        case _:
            return state


def _look(state: ChargerState) -> Callable[[Consumed, int], Any]:
    return lambda site, number: site.look(number, state)


def _cancel(site: Consumed, number: int) -> None:
    site.do(CancelReservation(site.ref("CancelReservation"), number))


def _serve(operative: bool) -> Callable[[Consumed, int], Any]:
    return lambda site, number: site.do(ChangeAvailability(site.ref("c"), number, operative))


def _wait(site: Consumed, number: int) -> None:
    site.advance(3.0)
    site.do(Tick())
    site.deliver()


MOVES: tuple[Callable[[Consumed, int], Any], ...] = (
    _look(ChargerState.AVAILABLE),
    _look(ChargerState.CONNECTED),
    _look(ChargerState.CHARGING),
    _look(ChargerState.SUSPENDED_EV),
    _look(ChargerState.FAULTED),
    lambda site, number: site.do(PresentToken(IdToken("ALICE"), number)),
    lambda site, number: site.reserve(number, "BOB", number),
    lambda site, number: site.lose(number),
    _cancel,
    _serve(False),
    _serve(True),
    _wait,
)
PLANS = st.builds(
    Plan, shown_before=st.booleans(), fails=st.booleans(), others=st.integers(0, 2), shown_after=st.booleans()
)


@settings(max_examples=150, deadline=None)
@given(
    moves=st.lists(st.tuples(st.sampled_from(MOVES), st.integers(1, 2)), max_size=25),
    plans=st.lists(PLANS, max_size=40),
)
def test_a_state_contains_exactly_the_events_up_to_its_number(
    moves: list[tuple[Callable[[Consumed, int], Any], int]], plans: list[Plan]
) -> None:
    site = Consumed.build(configuration={"LocalPreAuthorize": "true"})
    site.begin(iter(plans))
    for move, number in moves:
        move(site, number)
    site.show_all()
    assert site.judged >= 6


def test_a_state_that_is_shown_while_the_next_step_is_on_the_way_to_the_disk_does_not_contain_that() -> None:
    site = Consumed.build()
    site.begin(itertools.repeat(Plan(shown_before=True, shown_after=False, others=1)))
    site.start(1)
    as_of_seq, said = site.read()[1, "status"]
    assert said == "Preparing"
    assert site.status(1) == "Charging"
    later = [event["event_type"] for event in site.told() if event["seq"] > as_of_seq]
    assert later.count("connector.status") == 1


def test_a_measured_state_that_was_held_back_is_dated_by_when_it_was_seen() -> None:
    assert station().identity.id == "TEST"
    site = Consumed.build()
    site.begin(iter(()))
    site.start(1)
    meter = NAMES.of_connector("TEST", 1, "meter")
    site.energy_wh[1] = 1_400.0
    site.look(1, ChargerState.CHARGING)  # too soon after the last one: held back
    held_seq = site.log.last_seq
    site.log.defer(site.log.number([Happening(kind="connector.link", at=START, synchronized=True)] * 3), 0.0)
    site.advance(5.0)
    site.deliver()
    document = site.out.shown(meter)
    assert document is not None and not isinstance(document.body, str)
    assert document.body["energy_wh"] == 1_400
    assert document.as_of_seq == held_seq
