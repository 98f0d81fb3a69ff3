"""How the CSMS hears of what monitors say: events with their ids and causes, in messages that wait in a bounded queue.
2.x N07, G05.FR.02.

Refuses to know: when a monitor speaks. Invariants: the ids of events rise · at most `MAX_QUEUED` messages with
`MAX_QUEUED_EVENTS` events wait for the CSMS, the least severe go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from edged.domain.device_model_facts import LOCK, connectors_of
from edged.domain.effects import EventRecord
from edged.domain.hardware import Fault, FaultCode
from edged.domain.monitors import EventTrigger, Monitor, MonitorEvent, Origin
from edged.domain.station import Station
from edged.domain.transition import Draft
from edged.domain.variables import Component

MAX_QUEUED = 1000
MAX_QUEUED_EVENTS = 4000
EVENTS_A_MESSAGE = 20
LAST_EVENT_ID = 2**31 - 1
PROBLEM = "Problem"


@dataclass(frozen=True, slots=True)
class Said:
    """What a monitor says, before it has an id."""

    monitor: Monitor
    trigger: EventTrigger
    text: str
    cleared: bool
    transaction_id: str | None


def tell(draft: Draft, said: list[Said]) -> int:
    """In how many messages. Notifications first: what else is wrong with that connector may follow from them."""
    said.sort(key=lambda one: one.monitor.origin is not Origin.NOTIFICATION)
    events: list[MonitorEvent] = []
    last = draft.station.monitoring.last_event
    for one in said:
        last = last + 1 if last < LAST_EVENT_ID else 1
        events.append(_event(draft.station, last, one, events))
    draft.update(monitoring=replace(draft.station.monitoring, last_event=last))
    at = draft.station.stamp(draft.now)
    parts = [tuple(events[start : start + EVENTS_A_MESSAGE]) for start in range(0, len(events), EVENTS_A_MESSAGE)]
    for part in parts:
        _make_room(draft, len(part))
        draft.enqueue(EventRecord(at, part))
    return len(parts)


def _event(station: Station, number: int, said: Said, earlier: list[MonitorEvent]) -> MonitorEvent:
    monitor = said.monitor
    problem = monitor.variable.name == PROBLEM and said.text == "true"
    running = station.transactions.get(said.transaction_id or "")
    fault = next(_faults(station, monitor.component), None) if problem else None
    return MonitorEvent(
        id=number,
        trigger=said.trigger,
        component=monitor.component,
        variable=monitor.variable,
        value=said.text,
        origin=monitor.origin,
        severity=monitor.severity,
        monitor_id=None if monitor.origin is Origin.NOTIFICATION else monitor.id,
        cleared=said.cleared,
        transaction_id=None if running is not None and running.unheard else said.transaction_id,
        cause=_cause(monitor.component, earlier) if problem else None,
        tech_code="" if fault is None else fault.vendor_code or fault.code.value,
        tech_info="" if fault is None else f"{fault.code.value}: {fault.info}" if fault.info else fault.code.value,
    )


def _faults(station: Station, component: Component) -> Iterator[Fault]:
    for connector in connectors_of(station, component):
        for fault in connector.faults:
            if component.name != LOCK or fault.code is FaultCode.CONNECTOR_LOCK:
                yield fault


def _cause(component: Component, earlier: list[MonitorEvent]) -> int | None:
    """The lock that has failed in the same look, at this place or within it."""
    for event in earlier:
        at_it = component.evse in (None, event.component.evse)
        if event.component.name == LOCK and at_it and not event.cleared and component.name != LOCK:
            return event.id
    return None


def _make_room(draft: Draft, events: int) -> None:
    """For one more message with so many events in the queue. Never the first of it: it may be under way. None comes
    while OCPP is stopped."""
    if draft.station.isolation is not None:
        return
    queue = draft.station.event_queue
    held = sum(len(record.events) for record in queue.values())
    full = len(queue) >= MAX_QUEUED or held + events > MAX_QUEUED_EVENTS
    if full != draft.station.watch.dropping:
        draft.update(watch=replace(draft.station.watch, dropping=full))
        if full:
            draft.announce("monitoring.events_dropped", None, reason="as many wait for the CSMS as there is room for")
    while len(queue) >= MAX_QUEUED or (held + events > MAX_QUEUED_EVENTS and len(queue) > 1):
        first = min(queue)
        behind = (seq for seq in queue if seq != first)
        seq = min(behind, key=lambda seq: (-draft.station.event_queue[seq].severity, seq))
        held -= len(queue[seq].events)
        draft.dequeue(seq, queue[seq])
        queue = draft.station.event_queue
