"""Laws of what a 2.0.1 CSMS believes: how each transaction stands, what came late, which reservations have ended.

Judged from what the CSMS has in its hands against the facts; words are read out of the specification once more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edged.domain.effects import (
    Announce,
    Effect,
    Enqueue,
    EventRecord,
    MeterRecord,
    Record,
    RecordKind,
    Reply,
    ReservationRecord,
    TransactionRecord,
)
from edged.domain.hardware import Measurand
from edged.domain.policy import Trigger
from edged.domain.station import Station
from edged.domain.status import availability_state, connector_status, station_status
from edged.domain.types import Phase
from tests.fakes.central import V201, Message
from tests.fakes.central201 import energies201

if TYPE_CHECKING:
    from tests.sim.laws import Laws

CALM_S = 20.0
LATE_MARGIN_S = 15.0
BEGINNING = frozenset({Trigger.AUTHORIZED, Trigger.CABLE_PLUGGED_IN, Trigger.REMOTE_START})
"""Why a driver's token is told: it is the driver's, and not that of whoever stops."""
TYPES = {RecordKind.STARTED: "Started", RecordKind.UPDATED: "Updated", RecordKind.ENDED: "Ended"}
ENDINGS = {"reservation.expired": "Expired", "reservation.removed": "Removed"}


@dataclass(frozen=True)
class Arose:
    """When a record was written, and on which line."""

    line_no: int
    at_s: float
    connected: bool


def statuses(version: str, station: Station) -> dict[int, str]:
    """What the CSMS should believe of each connector that was heard, and in 1.6 of the station."""
    heard = [n for n, c in station.connectors.items() if c.observed_at_s is not None or c.faults]
    if version == V201:
        return {number: availability_state(station, number) for number in heard}
    return {0: station_status(station)} | {number: connector_status(station, number) for number in heard}


@dataclass
class Standing:
    """`since`: how each running transaction stands, and since when nothing about it has moved."""

    laws: Laws
    since: dict[str, tuple[str, float]] = field(default_factory=dict)

    def died(self) -> None:
        self.since.clear()

    def second(self) -> None:
        world = self.laws.world
        books_are_strict(self.laws)
        if not world.alive():
            return
        station = world.engine.station
        serving = world.wire.connected and station.link.serving and not world.engine.degraded and not world.stalled
        quiet = station.queued == 0 and not world.committing and len(world.engine.inbox) == 0
        for number in station.connectors:
            running = station.running(number)
            if running is None or station.connectors[number].observed_at_s is None:
                continue  # what its charger does nobody knows yet
            state = _state(station, number)
            known = self.since.get(running.id)
            if known is None or known[0] != state or not serving or not quiet:
                self.since[running.id] = (state, world.elapsed_s)
            elif world.elapsed_s - known[1] > CALM_S:
                the_csms_knows_how_a_transaction_stands(self.laws, running.id, state)

    def judge(self) -> None:
        laws = self.laws
        central = laws.world.central
        if not central.mixed:
            lost = {r.transaction_id for seq, r in laws.records.items() if _lost(laws, seq, r)}
            for course in central.books.courses.values():
                assert course.ended or course.id in lost, f"the CSMS was never told the end of {course.id}"
        what_ended_by_itself_was_told_in_order(laws)
        events_were_told_in_order(laws)


def _lost(laws: Laws, seq: int, record: Record) -> bool:
    return isinstance(record, TransactionRecord) and seq in laws.given_up


def _state(station: Station, number: int) -> str:
    """2.0.1's chargingState, from the facts."""
    connector = station.connectors[number]
    if not connector.plugged:
        return "Idle"
    match connector.phase:
        case Phase.CHARGING | Phase.SUSPENDED_EV if connector.blocked and connector.online:
            return "SuspendedEVSE"
        case Phase.CHARGING:
            return "Charging"
        case Phase.SUSPENDED_EV:
            return "SuspendedEV"
        case Phase.SUSPENDED_EVSE:
            return "SuspendedEVSE"
        case _:
            return "EVConnected"


# --- one law, one function


def books_are_strict(laws: Laws) -> None:
    assert not laws.world.central.sins, laws.world.central.sins[:5]


def the_csms_knows_how_a_transaction_stands(laws: Laws, transaction_id: str, state: str) -> None:
    world = laws.world
    if world.version_kept != V201 or world.central.mixed:
        return
    if any(_lost(laws, seq, r) for seq, r in laws.records.items() if _of(r, transaction_id)):
        return
    course = world.central.books.courses.get(transaction_id)
    assert course is not None, f"the CSMS knows nothing of {transaction_id}"
    assert not course.ended, f"{transaction_id} runs on behind its end"
    assert course.state == state, f"the CSMS believes {transaction_id} is {course.state}, it is {state}"
    running = world.engine.station.transactions[transaction_id]
    if running.id_token is not None:
        assert course.token == running.id_token.value, f"the CSMS believes in {course.token}"


def _of(record: Record, transaction_id: str) -> bool:
    return isinstance(record, TransactionRecord) and record.transaction_id == transaction_id


def the_csms_is_told_of_each_reservation_that_ends_by_itself(
    before: Station, after: Station, effects: tuple[Effect, ...]
) -> None:
    """Expired and Removed, of its own, and nothing else (H04.FR.01); not in a version that has no words for it. What
    the site has taken away of the CSMS's is Removed too."""
    told = [e.record for e in effects if isinstance(e, Enqueue) and isinstance(e.record, ReservationRecord)]
    asked = {e.request.channel for e in effects if isinstance(e, Reply)}
    ended = []
    for effect in effects:
        if isinstance(effect, Announce) and (effect.kind in ENDINGS or effect.kind == "reservation.cancelled"):
            gone = before.reservations[effect.data["reservation_id"]]
            own_hand = effect.kind == "reservation.cancelled" and asked == {"csms"}
            if gone.source == "csms" and not own_hand:
                ended.append((gone.id, ENDINGS.get(effect.kind, "Removed")))
    if before.policy is not after.policy:
        return
    if not before.policy.reservation_records:
        assert not told
        return
    assert [(r.reservation_id, r.outcome.value) for r in told] == ended, "an end of a reservation that nobody is told"


def it_says_that_it_was_late(laws: Laws, message: Message, record: Record, arose: Arose) -> None:
    """What waited while the line was away is told as offline, and nothing else is (E11.FR.07)."""
    if message.action != "TransactionEvent" or not isinstance(record, TransactionRecord):
        return
    told = message.payload.get("offline", False)
    if record.offline or not arose.connected or arose.line_no < message.line_no:
        assert told, f"it waited for a line and does not say so: {message.payload}"


def tells_201(message: Message, record: Record) -> bool:
    """Whether a 2.0.1 message says what a record holds."""
    told = message.payload
    if isinstance(record, MeterRecord):
        return message.action == "MeterValues" and _same_energy(told, record)
    if message.action != "TransactionEvent" or not isinstance(record, TransactionRecord):
        return False
    info = told["transactionInfo"]
    same = (
        info["transactionId"] == record.transaction_id
        and told["eventType"] == TYPES[record.kind]
        and told["seqNo"] == record.seq_no
        and told["triggerReason"] == record.trigger.value
        and told.get("idToken", {}).get("idToken") == (None if record.id_token is None else record.id_token.value)
    )
    if record.kind is not RecordKind.ENDED:
        same = same and told.get("reservationId") == record.reservation_id
        same = same and info.get("remoteStartId") == record.remote_start_id
    return same and (not record.samples or _same_energy(told, record))


def _same_energy(told: dict[str, Any], record: MeterRecord | TransactionRecord) -> bool:
    ours = [v.value for s in record.samples for v in s.values if v.measurand is Measurand.ENERGY]
    theirs = energies201(told)
    return len(ours) == len(theirs) and all(abs(a - b) < 0.01 for a, b in zip(ours, theirs, strict=True))


def what_ended_by_itself_was_told_in_order(laws: Laws) -> None:
    """One may come twice where its answer was lost; one that was given up may be missing."""
    told = [
        (one["reservationId"], one["reservationUpdateStatus"]) for one in laws.world.central.books.ended_reservations
    ]
    position = 0
    for seq, record in sorted(laws.records.items()):
        if not isinstance(record, ReservationRecord):
            continue
        wanted, there = (record.reservation_id, record.outcome.value), position
        while position < len(told) and told[position] == wanted:
            position += 1
            if told[position : position + 1] != [wanted] or seq not in laws.given_up:
                break
        assert position > there or seq in laws.given_up, f"nobody was told that reservation {wanted} has ended"
    assert position == len(told) or laws.given_up, f"invented: {told[position:]}"


def events_were_told_in_order(laws: Laws) -> None:
    """The ids of events rise, and each that was not given up has been told."""
    central = laws.world.central
    told = [event["eventId"] for message in central.books.events for event in message["eventData"]]
    wanted = [
        event.id
        for seq, record in sorted(laws.records.items())
        if isinstance(record, EventRecord) and seq not in laws.given_up
        for event in record.events
    ]
    if not laws.given_up:
        assert sorted(set(told)) == wanted, "an event of a monitor was lost, or invented"
    assert set(wanted) <= set(told), f"events were lost: {sorted(set(wanted) - set(told))[:5]}"


__all__ = ["BEGINNING", "Arose", "Standing", "statuses"]
