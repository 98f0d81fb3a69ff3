"""When a monitor speaks, and how the CSMS hears of it. 2.x N07, N08, G05.FR.02.

The monitors are looked at once a second, all together: what came and went between two looks was not seen, and what one
look finds is told together. A monitor compares what is so with what was told last. So one that must not speak now loses
nothing: it tells what is so as soon as it may. It must not while
- its severity number is above the level that the CSMS has set (N05.FR.03);
- the CSMS is away and its severity number is above what is worth a place in the queue (N07.FR.04, N08.FR.03);
- it has told `MAX_A_MINUTE` events in a minute: a value that flutters floods nobody;
- all together have told `BURST` messages of late, and no other for `RECOVERY_S`: each is written to a card of flash and
  taken off it again, whatever period a CSMS has set. What is critical may go as far again into what comes next;
- nothing is known of its variable: of a charger that was not heard since the start, say.
A notification that is hard-wired heeds none of these, and no switch that ends monitoring.

Invariants: of a threshold that is passed the CSMS hears once, and once that it no longer is, whatever restarts lie
between (N07.FR.14) · in the long run it is one message in `RECOVERY_S`, notifications apart. How what is said becomes
messages is `telling`'s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from edged.domain import device_model
from edged.domain.configuration import DAY_S
from edged.domain.device_model_facts import connectors_of
from edged.domain.device_model_terms import Entry
from edged.domain.monitoring import NUMERIC
from edged.domain.monitors import (
    LOWEST_SEVERITY,
    PERIODIC,
    Allowance,
    EventTally,
    EventTrigger,
    Monitor,
    MonitorKind,
    Origin,
)
from edged.domain.own_monitors import prepare
from edged.domain.station import Station
from edged.domain.telling import Said, tell
from edged.domain.transition import Draft
from edged.domain.types import Now
from edged.domain.variables import Component, Variable

MAX_A_MINUTE = 10
MINUTE_S = 60.0
BURST = 20
RECOVERY_S = 5.0
CRITICAL_SEVERITY = 3


def watch(draft: Draft) -> None:
    """One look at every monitor. Nothing at all where the CSMS is not told of any."""
    if not draft.station.policy.event_records:
        return
    prepare(draft)
    _follow(draft)
    if draft.station.monitors:
        _Look(draft).run()
    _forget(draft)


def _follow(draft: Draft) -> None:
    """The transaction that an EVSE has, or had until its vehicle went: what follows from its end is still its."""
    station = draft.station
    running = {
        connector.layout.evse_id: connector.transaction_id
        for connector in station.connectors.values()
        if connector.transaction_id is not None
    }
    if any(station.watch.transactions.get(evse) != name for evse, name in running.items()):
        draft.update(watch=replace(station.watch, transactions={**station.watch.transactions, **running}))


def _forget(draft: Draft) -> None:
    station = draft.station
    left = {c.layout.evse_id for c in station.connectors.values() if c.plugged or c.transaction_id is not None}
    if not station.watch.transactions.keys() <= left:
        kept = {evse: name for evse, name in station.watch.transactions.items() if evse in left}
        draft.update(watch=replace(station.watch, transactions=kept))


@dataclass(frozen=True, slots=True)
class _Reading:
    """What a variable is now. `number`: of one that has a number."""

    text: str
    number: float | None


class _Look:
    """One look; never leaves this module."""

    __slots__ = ("changed", "draft", "due", "read", "said", "slots", "station", "tallies")

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.station = draft.station
        self.read: dict[tuple[Component, Variable], _Reading | None] = {}
        self.said: list[Said] = []
        self.changed: dict[int, Monitor] = {}
        self.due: dict[int, float] = {}
        self.slots: dict[int, int] = {}
        self.tallies: dict[int, EventTally] = {}

    def run(self) -> None:
        station = self.station
        left = _allowed(station, self.draft.now)
        worst = min(_worst_heard(station), _worst_allowed(left))
        for monitor in station.monitors.values():
            if monitor.severity <= worst or monitor.origin is Origin.NOTIFICATION:
                self._judge(monitor)
        if self.changed:
            self.draft.update(monitors={**station.monitors, **self.changed})
        if self.due or self.slots or self.tallies:
            watch = station.watch
            self.draft.update(
                watch=replace(
                    watch,
                    due={**watch.due, **self.due},
                    slots={**watch.slots, **self.slots},
                    tallies={**watch.tallies, **self.tallies},
                )
            )
        if self.said:
            messages = tell(self.draft, self.said)
            allowance = Allowance(left - messages, self.draft.now.monotonic_s)
            self.draft.update(watch=replace(self.draft.station.watch, allowance=allowance))

    def _judge(self, monitor: Monitor) -> None:
        if monitor.kind in PERIODIC:
            self._when_due(monitor)
            return
        reading = self._reading(monitor)
        if reading is None:
            return
        if monitor.kind is MonitorKind.DELTA:
            self._delta(monitor, reading)
        else:
            self._threshold(monitor, reading)

    def _reading(self, monitor: Monitor) -> _Reading | None:
        """Each variable is read once a look."""
        name = (monitor.component, monitor.variable)
        if name not in self.read:
            self.read[name] = _read(self.station, *name)
        return self.read[name]

    # --- the kinds

    def _threshold(self, monitor: Monitor, reading: _Reading) -> None:
        """N07.FR.02, 16, 17: above or below, not at it."""
        if monitor.origin is Origin.NOTIFICATION:
            passed = reading.text == "true"
        elif reading.number is None:
            return
        elif monitor.kind is MonitorKind.UPPER:
            passed = reading.number > monitor.value
        else:
            passed = reading.number < monitor.value
        if passed == monitor.alerted or (passed and not self._active(monitor)) or not self._may(monitor):
            return
        transaction_id = self._transaction(monitor.component)
        if not passed and transaction_id is None:
            transaction_id = monitor.transaction_id
        self._say(monitor, EventTrigger.ALERTING, reading.text, cleared=not passed, transaction_id=transaction_id)
        self.changed[monitor.id] = replace(monitor, alerted=passed, transaction_id=transaction_id if passed else None)

    def _delta(self, monitor: Monitor, reading: _Reading) -> None:
        """N07.FR.18: a number by more than the value; FR.19: anything else at all."""
        if monitor.reference is None:
            self.changed[monitor.id] = replace(monitor, reference=reading.text)
            return
        if monitor.reference == reading.text or not _moved(monitor, reading):
            return
        if self._active(monitor) and self._may(monitor):
            self._say(monitor, EventTrigger.DELTA, reading.text)
            self.changed[monitor.id] = replace(monitor, reference=reading.text)

    def _when_due(self, monitor: Monitor) -> None:
        """N08.FR.05 to FR.07. What nobody could hear is not made up for."""
        due = self._interval_over(monitor) if monitor.kind is MonitorKind.PERIODIC else self._slot_begun(monitor)
        if not due or not self._active(monitor):
            return
        reading = self._reading(monitor)
        if reading is not None:
            self._say(monitor, EventTrigger.PERIODIC, reading.text)

    def _interval_over(self, monitor: Monitor) -> bool:
        """Counted from the moment at which it was set, or the station started."""
        now_s, due_s = self.draft.now.monotonic_s, self.station.watch.due.get(monitor.id)
        if due_s is not None and now_s < due_s:
            return False
        following_s = now_s + monitor.value
        if due_s is not None and now_s < due_s + monitor.value:
            following_s = due_s + monitor.value
        self.due[monitor.id] = following_s
        return due_s is not None

    def _slot_begun(self, monitor: Monitor) -> bool:
        """Counted from midnight, UTC. Only a clock that is right has intervals."""
        slot = _slot(self.draft.now, monitor.value)
        if slot is None:
            return False
        last = self.station.watch.slots.get(monitor.id)
        if slot == last:
            return False
        self.slots[monitor.id] = slot
        return last is not None and slot > last

    # --- what it needs

    def _active(self, monitor: Monitor) -> bool:
        """Some monitors only watch transactions."""
        if not monitor.transaction:
            return True
        return any(c.transaction_id is not None for c in connectors_of(self.station, monitor.component))

    def _transaction(self, component: Component) -> str | None:
        return None if component.evse is None else self.station.watch.transactions.get(component.evse)

    def _may(self, monitor: Monitor) -> bool:
        """Whether it has not spoken too often of late; counts."""
        now_s = self.draft.now.monotonic_s
        tally = self.station.watch.tallies.get(monitor.id)
        if tally is None or now_s - tally.since_s >= MINUTE_S:
            tally = EventTally(now_s, 0)
        if tally.told >= MAX_A_MINUTE:
            return False
        self.tallies[monitor.id] = replace(tally, told=tally.told + 1)
        return True

    def _say(
        self,
        monitor: Monitor,
        trigger: EventTrigger,
        text: str,
        *,
        cleared: bool = False,
        transaction_id: str | None = None,
    ) -> None:
        if transaction_id is None:
            transaction_id = self._transaction(monitor.component)
        self.said.append(Said(monitor, trigger, text, cleared, transaction_id))


def _worst_heard(station: Station) -> int:
    """The highest severity number that is worth a look now; -1: none."""
    if not station.configuration.flag("MonitoringEnabled"):
        return -1
    level = station.monitoring.level
    if station.link.serving:
        return level
    return min(level, station.configuration.number("OfflineMonitoringEventQueuingSeverity"))


def _allowed(station: Station, now: Now) -> float:
    """How many messages may be told by now."""
    last = station.watch.allowance
    if last is None:
        return BURST
    return min(BURST, last.messages + (now.monotonic_s - last.at_s) / RECOVERY_S)


def _worst_allowed(left: float) -> int:
    """The highest severity number that still may speak; -1: none."""
    if left >= 1:
        return LOWEST_SEVERITY
    return CRITICAL_SEVERITY if left >= 1 - BURST else -1


# --- values


def _read(station: Station, component: Component, variable: Variable) -> _Reading | None:
    """The variable as it is; None where that is not known."""
    entry = device_model.find(station, component, variable)
    if not isinstance(entry, Entry) or not _heard(station, component):
        return None
    text = device_model.value(station, entry)
    if text is None or (text == "" and entry.definition.fact is not None):
        return None
    return _Reading(text, _number(text) if entry.definition.data_type in NUMERIC else None)


def _heard(station: Station, component: Component) -> bool:
    """Whether the chargers that a component is about were heard since the start, or are silent for too long."""
    if component.evse is None and component.name != "ChargingStation":
        return True
    return all(c.observed_at_s is not None or c.blocked for c in connectors_of(station, component))


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _moved(monitor: Monitor, reading: _Reading) -> bool:
    before = None if monitor.reference is None else _number(monitor.reference)
    if reading.number is None or before is None:
        return True
    return abs(reading.number - before) > monitor.value


def _slot(now: Now, period_s: float) -> int | None:
    if not now.synchronized:
        return None
    midnight = now.utc.replace(hour=0, minute=0, second=0, microsecond=0)
    slots_a_day = math.ceil(DAY_S / period_s)
    return now.utc.toordinal() * slots_a_day + int((now.utc - midnight).total_seconds() // period_s)
