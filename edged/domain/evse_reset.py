"""Reset of one EVSE: its charger alone, while the others and the station go on. 2.x B11.FR.08, B12.FR.07, FR.08.

Invariants: no energy and no new driver from the order until the charger is heard again · its reservation stays.
"""

from __future__ import annotations

from dataclasses import replace

from edged.domain import restarts, session, transaction
from edged.domain.answers import Reason, ResetStatus
from edged.domain.commands import ResetKind, ResetStation
from edged.domain.effects import Perform, StopReason
from edged.domain.events import ActionPerformed
from edged.domain.hardware import Action, ActionOutcome, Capability, ChargerState
from edged.domain.idleness import is_evse_idle
from edged.domain.pending import PendingEvseReset
from edged.domain.places import connectors_of
from edged.domain.policy import Trigger
from edged.domain.station import Connector, ConnectorLayout, Station
from edged.domain.transition import Draft, put

NO_MARKS: frozenset[str] = frozenset()
ENERGY_OFF_S = 10.0
"""How long the contactor is waited for before the charger is reset as it is."""
RESET_S = 60.0
"""A bound for a charger that resets itself: until it answers again."""
POWER_CYCLE_S = 240.0
"""A bound for chargers whose power is cut: the longest that it is off, and the time until they answer again."""


def allowed(station: Station, evse: int) -> bool:
    """Whether the EVSE can be reset by itself, now (2.x EVSE.AllowReset)."""
    return _reached_by(station, evse, ResetKind.HARD) is not None


def _reached_by(station: Station, evse: int, kind: ResetKind) -> tuple[int, Action] | None:
    """The connector and the action that reset the EVSE's charger and no other. An idle one is reset softly where it can
    be."""
    wanted = [(Capability.RESET_HARD, Action.RESET_HARD), (Capability.RESET_SOFT, Action.RESET_SOFT)]
    for capability, action in wanted if kind is ResetKind.HARD else reversed(wanted):
        for number in connectors_of(station, evse):
            if station.connectors[number].can(capability) and _alone(station, evse, action):
                return number, action
    return None


def _alone(station: Station, evse: int, action: Action) -> bool:
    """The EVSE has one charger, and the action on it touches no other EVSE."""
    own = [station.connectors[number].layout for number in connectors_of(station, evse)]
    others = [c.layout for c in station.connectors.values() if c.layout.evse_id != evse]
    shared = any(one.charger == other.charger or taken_along(one, other, action) for one in own for other in others)
    return len({one.charger for one in own}) == 1 and not shared


def taken_along(one: ConnectorLayout, other: ConnectorLayout, action: Action) -> bool:
    """Whether the action on one charger is felt by the other's too."""
    return bool(one.reset_marks.get(action, NO_MARKS) & other.reset_marks.get(action, NO_MARKS))


def reset(draft: Draft, event: ResetStation, evse: int) -> None:
    """Rejected where it cannot be, Scheduled while the EVSE is not idle; the station's own checks are done."""
    station = draft.station
    numbers = connectors_of(station, evse)
    reached = _reached_by(station, evse, event.kind)
    if not numbers:
        draft.reply(event.request, ResetStatus.REJECTED, "no such EVSE", reason=Reason.UNKNOWN_EVSE)
    elif reached is None:
        detail = "the charger cannot be reset by itself"
        draft.reply(event.request, ResetStatus.REJECTED, detail, reason=Reason.UNSUPPORTED_REQUEST)
    elif _under_way(station, evse):
        draft.reply(event.request, ResetStatus.REJECTED, "a reset is under way")
    elif not (station.connectors[reached[0]].online or cuts_power(station.connectors[reached[0]], reached[1])):
        draft.reply(event.request, ResetStatus.REJECTED, "the charger does not answer")
    elif event.kind is ResetKind.ON_IDLE and not is_evse_idle(station, evse):
        sources = put(station.idle_sources, evse, event.request.channel)
        draft.update(idle_resets=tuple(sorted({*station.idle_resets, evse})), idle_sources=sources)
        draft.reply(event.request, ResetStatus.SCHEDULED, "as soon as nothing is going on there")
        draft.announce("gateway.reset_scheduled", None, evse=evse)
    else:
        draft.reply(event.request, ResetStatus.ACCEPTED)
        _begin(draft, evse, event.kind, event.request.channel)


def _under_way(station: Station, evse: int) -> bool:
    return any(isinstance(p, PendingEvseReset) and p.evse == evse for p in station.pending.values())


def _begin(draft: Draft, evse: int, kind: ResetKind, source: str) -> None:
    reached = _reached_by(draft.station, evse, kind)
    draft.update(idle_resets=tuple(one for one in draft.station.idle_resets if one != evse))
    if reached is None:  # the firmware has changed meanwhile
        return
    restarts.begun(draft, kind, source, evse)
    for number in connectors_of(draft.station, evse):
        session.drop_question(draft, number, "the charger is being reset")
        transaction.end(draft, number, StopReason.HARD_RESET, Trigger.RESET_COMMAND)
        draft.change(number, authorization=None)
        draft.announce("connector.reset", number)
    number, action = reached
    draft.wait(
        PendingEvseReset(
            ticket=draft.ticket(),
            evse=evse,
            connector=number,
            action=action,
            until_s=draft.now.monotonic_s + ENERGY_OFF_S,
            retries=draft.station.configuration.number("ResetRetries"),
        )
    )


def refresh(draft: Draft) -> None:
    """Begin what waited for an idle EVSE; go on with each reset; let go of chargers that are back, or too late."""
    for evse in draft.station.idle_resets:
        if connectors_of(draft.station, evse) and draft.station.reset is None and is_evse_idle(draft.station, evse):
            _begin(draft, evse, ResetKind.ON_IDLE, draft.station.idle_sources.get(evse, ""))
    for pending in tuple(draft.station.pending.values()):
        if isinstance(pending, PendingEvseReset):
            _go_on(draft, pending)


def _go_on(draft: Draft, pending: PendingEvseReset) -> None:
    overdue = draft.now.monotonic_s >= pending.until_s
    if not pending.performed:
        if overdue or not _delivers(draft.station, pending.evse):
            _perform(draft, pending)
        return
    seen_s = draft.station.connectors[pending.connector].observed_at_s
    back = pending.done_s is not None and seen_s is not None and seen_s > pending.done_s
    if back or overdue:
        draft.settle(pending.ticket)


def _delivers(station: Station, evse: int) -> bool:
    connectors = [station.connectors[number] for number in connectors_of(station, evse)]
    return any(c.online and c.state is ChargerState.CHARGING for c in connectors)


def _perform(draft: Draft, pending: PendingEvseReset) -> None:
    connector = draft.station.connectors[pending.connector]
    bound_s = POWER_CYCLE_S if cuts_power(connector, pending.action) else RESET_S
    started = replace(pending, performed=True, until_s=draft.now.monotonic_s + bound_s)
    draft.update(pending=put(draft.station.pending, pending.ticket, started))
    draft.emit(Perform(pending.connector, pending.action, pending.ticket))


def performed(draft: Draft, event: ActionPerformed) -> None:
    """The charger has been reset, or could not be: tried again while ResetRetries allows."""
    pending = draft.station.pending.get(event.ticket)
    if not isinstance(pending, PendingEvseReset):
        return
    failed = event.outcome in (ActionOutcome.FAILED, ActionOutcome.TIMEOUT)
    if failed and pending.retries > 0:
        draft.wait(replace(pending, retries=pending.retries - 1))
        draft.emit(Perform(pending.connector, pending.action, pending.ticket))
    elif event.outcome is ActionOutcome.DONE:
        draft.wait(replace(pending, done_s=draft.now.monotonic_s))
    else:
        draft.settle(pending.ticket)
        draft.announce("connector.reset_failed", pending.connector, reason=event.detail)


def cuts_power(connector: Connector, action: Action | None) -> bool:
    """Whether it takes a while, and helps a charger that does not answer too."""
    return action is Action.RESET_HARD and connector.can(Capability.POWER_CYCLE)
