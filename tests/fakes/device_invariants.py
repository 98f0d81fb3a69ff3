"""What must hold of start and stop points, places, monitors, messages and reports after every step.

`check_device` judges a station alone, `check_points` a step, and `Alerts` what only the history of steps can tell.
Written from the specification, not from the code: 2.x E01, E06, H01, N07, O.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from edged.domain.displays import MessagePriority
from edged.domain.effects import Effect, Enqueue, EventRecord, ReservationRecord
from edged.domain.events import ConnectorObserved, Event, PresentToken, TokenAnswered
from edged.domain.monitors import EventTrigger, Origin, SetMonitors
from edged.domain.pending import PendingEvseReset, PendingReport
from edged.domain.places import connectors_of, counted, free_places, guaranteed, pinned_places
from edged.domain.policy import ReservationUse, StopPoint
from edged.domain.station import Connector, Station
from edged.domain.transaction import interrupted
from edged.domain.types import Phase

MAX_MONITORS = 256
MAX_MESSAGES = 42
MAX_EVENTS = 1000
MAX_REPORTS = 8
SLOTS = frozenset({1, 2, 3})
AUTHORIZATION_OVER = frozenset({StopPoint.AUTHORIZED, StopPoint.POWER_PATH_CLOSED, StopPoint.ENERGY_TRANSFER})
CABLE_GONE = frozenset({StopPoint.EV_CONNECTED, StopPoint.POWER_PATH_CLOSED, StopPoint.ENERGY_TRANSFER})
ARRIVALS = (ConnectorObserved, PresentToken, TokenAnswered)


# --- a station alone


def check_device(station: Station) -> None:
    custom = [one for one in station.monitors.values() if one.origin is Origin.CUSTOM]
    assert len(custom) <= MAX_MONITORS
    assert len(station.display_messages) <= MAX_MESSAGES
    assert len(station.event_queue) <= MAX_EVENTS
    assert station.network.keys() <= SLOTS
    assert sum(isinstance(pending, PendingReport) for pending in station.pending.values()) <= MAX_REPORTS
    _check_monitors(station)
    _check_messages(station)
    _check_evses(station)


def _check_monitors(station: Station) -> None:
    seen: set[object] = set()
    for number, monitor in station.monitors.items():
        assert number == monitor.id
        if monitor.origin is not Origin.NOTIFICATION:
            slot = (monitor.component, monitor.variable, monitor.kind, monitor.severity)
            assert slot not in seen, "two monitors that say the same"
            seen.add(slot)


def _check_messages(station: Station) -> None:
    front: set[str | None] = set()
    for number, message in station.display_messages.items():
        assert number == message.id
        if message.priority is MessagePriority.ALWAYS_FRONT:
            assert message.transaction_id not in front, "two messages that are shown alone"
            front.add(message.transaction_id)
        if message.transaction_id is not None:
            owner = station.transactions.get(message.transaction_id)
            assert owner is not None and owner.active, "a message outlived its transaction"
    for number, bill in station.bills.items():
        running = station.running(number)
        assert running is None or bill.transaction_id in (None, running.id), "somebody sees another driver's bill"


def _check_evses(station: Station) -> None:
    resets = [pending.evse for pending in station.pending.values() if isinstance(pending, PendingEvseReset)]
    assert len(resets) == len(set(resets)), "two resets of one EVSE"
    for evse in resets:
        assert all(station.running(number) is None for number in connectors_of(station, evse)), "reset while it charges"
    for connector in station.connectors.values():
        siblings = {one.evse_operative for one in station.siblings(connector.number)}
        assert len(siblings) == 1, "an EVSE that is in service for one of its connectors only"
    assert len(station.idle_resets) == len(set(station.idle_resets))


# --- one step


def check_points(before: Station, event: Event, after: Station) -> None:
    """A stop point that is reached ends the transaction in the same step; by the rules of the step's beginning or of
    its end, for it may be what changes them."""
    for transaction in before.transactions.values():
        if not transaction.active:
            continue
        there = after.transactions.get(transaction.id)
        if there is None or not there.active:
            continue
        points = _stop_points(before) & _stop_points(after)
        number = transaction.connector
        was, is_now = before.connectors[number], after.connectors[number]
        halts = there.halted is not None and transaction.halted is None and not interrupted(there)
        assert not (halts and points & AUTHORIZATION_OVER), "nobody is authorized any more, and it goes on"
        gone = was.plugged and not is_now.plugged
        assert not (gone and points & CABLE_GONE), "the cable was pulled, and it goes on"
        assert is_now.plugged or there.halted is None, "it waits for a cable that has gone"
        dry = transaction.energized and is_now.phase is Phase.SUSPENDED_EV and is_now.online and not is_now.blocked
        assert not (dry and points == {StopPoint.ENERGY_TRANSFER}), "no energy flows any more, and it goes on"
    if isinstance(event, ARRIVALS):
        _check_promise(before, after)
    if before.policy is after.policy and after.policy.reservation_used is ReservationUse.TOKEN_AUTHORIZED:
        new = _let_in_for(after) - _let_in_for(before)
        assert not new & after.reservations.keys(), "a driver was let in for a reservation that is still pending"


def _let_in_for(station: Station) -> set[int | None]:
    """The reservations of drivers who were let in: they wait, or charge."""
    waiting = {c.authorization.reservation_id for c in station.connectors.values() if c.authorization is not None}
    charging = {one.reservation_id for one in station.transactions.values() if one.active}
    return {one for one in waiting | charging if one is not None}


def _stop_points(station: Station) -> frozenset[StopPoint]:
    if station.policy.stop_points is not None:
        return station.policy.stop_points
    return frozenset(StopPoint(word) for word in station.configuration.items("TxStopPoint"))


def _check_promise(before: Station, after: Station) -> None:
    """Where every order of arrival found a place for each counted driver, somebody who comes does not change that: only
    what happens to the chargers does, or who is served by it."""
    if not after.configuration.flag("ReservationEnabled") or not _same_chargers(before, after):
        return
    promised = counted(after)
    if not promised or counted(before).keys() != promised.keys() or before.reservations != after.reservations:
        return
    targets = [one.target for one in promised.values()]
    if guaranteed(_places(before), targets):
        assert guaranteed(_places(after), targets), "somebody took the place of a reserved driver"


def _places(station: Station) -> dict[int, frozenset[str]]:
    """The free EVSEs, and those where a car stands whose driver nobody knows yet."""
    waiting: dict[int, frozenset[str]] = {}
    for connector in station.connectors.values():
        siblings = station.siblings(connector.number)
        if all(_undecided(station, one) for one in siblings):
            waiting[connector.layout.evse_id] = frozenset(one.layout.connector_type.casefold() for one in siblings)
    return {**waiting, **free_places(station)}


def _undecided(station: Station, connector: Connector) -> bool:
    running = station.running(connector.number)
    driverless = running is None or (running.id_token is None and running.halted is None)
    kept = connector.layout.evse_id in pinned_places(station)
    in_order = station.effective(connector.number) and not connector.blocked and connector.scheduled is not False
    return in_order and driverless and connector.authorization is None and not connector.spent and not kept


def _same_chargers(before: Station, after: Station) -> bool:
    return all(
        (was.blocked, was.online, was.capabilities, was.held_for, was.spent)
        == (one.blocked, one.online, one.capabilities, one.held_for, one.spent)
        and before.effective(number) is after.effective(number)
        for (number, was), one in zip(before.connectors.items(), after.connectors.values(), strict=True)
    )


# --- the history


@dataclass
class Alerts:
    """Sees every step, over restarts. `passed`: the monitors whose threshold the CSMS was told to be passed."""

    last_event: int = 0
    passed: set[int] = field(default_factory=set)

    def saw(self, before: Station, event: Event, after: Station, effects: tuple[Effect, ...]) -> None:
        check_device(after)
        check_points(before, event, after)
        if isinstance(event, SetMonitors):
            self.passed &= {n for n, one in after.monitors.items() if one is before.monitors.get(n) or one.alerted}
        self.passed &= after.monitors.keys()
        for effect in effects:
            if isinstance(effect, Enqueue) and isinstance(effect.record, EventRecord):
                self._told(effect.record)
            elif isinstance(effect, Enqueue) and isinstance(effect.record, ReservationRecord):
                gone = before.reservations.get(effect.record.reservation_id)
                assert gone is not None or effect.record.reservation_id in after.reservations, "nothing has ended"

    def _told(self, record: EventRecord) -> None:
        assert record.events, "a message without an event"
        for event in record.events:
            assert event.id > self.last_event, "the ids of events do not rise"
            self.last_event = event.id
            if event.trigger is not EventTrigger.ALERTING or event.monitor_id is None:
                continue
            assert (event.monitor_id in self.passed) is event.cleared, "a threshold that is told twice, or never was"
            if event.cleared:
                self.passed.discard(event.monitor_id)
            else:
                self.passed.add(event.monitor_id)


__all__ = ["Alerts", "check_device"]
