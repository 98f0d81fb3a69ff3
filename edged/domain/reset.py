"""Reset: end, answer, energy off, the chargers, then ourselves; or one EVSE's charger alone. 1.6 §5.14, 2.x B11, B12.

Everything that must outlive the restart is in the commit that carries the answer. A reset that waits until the station
is idle is not kept: whatever starts the station meanwhile has reset it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from edged.domain import (
    availability,
    certificate,
    data_transfer,
    evse_reset,
    firmware,
    lock_order,
    restarts,
    session,
    transaction,
    unlock,
)
from edged.domain.answers import Reason, ResetStatus
from edged.domain.commands import ResetKind, ResetStation
from edged.domain.effects import Perform, Restart, RestartScope, StopReason
from edged.domain.events import ActionPerformed
from edged.domain.evse_reset import POWER_CYCLE_S as POWER_CYCLE_S
from edged.domain.evse_reset import cuts_power, taken_along
from edged.domain.hardware import Action, ActionOutcome, Capability, ChargerState
from edged.domain.idleness import is_idle
from edged.domain.pending import PendingReset
from edged.domain.policy import Trigger
from edged.domain.station import Connector
from edged.domain.transition import Draft

SOFT_S = 30.0
HARD_S = 10.0
CHARGER_PREFIX = "reset:"
STATION = 0
"""The station among the EVSEs in `Station.idle_resets`."""


def reset(draft: Draft, event: ResetStation) -> None:
    """Rejected if one is under way already or firmware is being installed. Transactions end in this very step;
    `ON_IDLE` ends none and is Scheduled while anything is going on that it could disturb (B12.FR.01). One that is
    refused, be it for too many before it (`restarts`), disturbs nothing."""
    if draft.station.reset is not None:
        draft.reply(event.request, ResetStatus.REJECTED, "a reset is under way")
    elif firmware.installing(draft.station):
        reason = Reason.FIRMWARE_UPDATE_IN_PROGRESS
        draft.reply(event.request, ResetStatus.REJECTED, firmware.IN_PROGRESS, reason=reason)
    elif why := restarts.refusal(draft.station, event, draft.now):
        restarts.refused(draft, event, why)
        draft.reply(event.request, ResetStatus.REJECTED, why)
    elif event.evse is not None:
        evse_reset.reset(draft, event, event.evse)
    elif event.kind is ResetKind.ON_IDLE and not is_idle(draft.station):
        draft.update(idle_resets=(STATION,), idle_sources={STATION: event.request.channel})
        draft.reply(event.request, ResetStatus.SCHEDULED, "as soon as nothing is going on")
        draft.announce("gateway.reset_scheduled", None)
        availability.withdraw(draft)
    else:
        draft.reply(event.request, ResetStatus.ACCEPTED)
        _begin(draft, event.kind, "RemoteReset", event.request.channel)


def _begin(draft: Draft, kind: ResetKind, boot_reason: str, source: str) -> None:
    """What runs ends in this step; from now on nothing begins."""
    restarts.begun(draft, kind, source)
    hard = kind is ResetKind.HARD
    reason = StopReason.HARD_RESET if hard else StopReason.SOFT_RESET
    for number in draft.station.connectors:
        transaction.end(draft, number, reason, Trigger.RESET_COMMAND)
        draft.change(number, authorization=None)
    until_s = draft.now.monotonic_s + (HARD_S if hard else SOFT_S)
    draft.update(
        reset=PendingReset(
            kind=kind,
            until_s=until_s,
            retries=draft.station.configuration.number("ResetRetries"),
        ),
        idle_resets=(),
        next_boot_reason=boot_reason,
    )
    draft.announce("gateway.stopping", None, reason=f"{kind} reset")


def refresh(draft: Draft) -> None:
    """Begin what waited for an idle station; go on with a reset: chargers once no energy flows, the restart once they
    and the outbox are done, or at the deadline. What the CSMS has not heard by then it hears after the boot."""
    evse_reset.refresh(draft)
    if STATION in draft.station.idle_resets and draft.station.reset is None and is_idle(draft.station):
        _begin(draft, ResetKind.ON_IDLE, "ScheduledReset", draft.station.idle_sources.get(STATION, ""))
    pending = draft.station.reset
    if pending is None:
        return
    if pending.restarting:
        _answer_all(draft)
        return
    overdue = draft.now.monotonic_s >= pending.until_s
    connectors = draft.station.connectors.values()
    quiet = not any(c.online and c.state is ChargerState.CHARGING for c in connectors)
    if not pending.performed and (quiet or overdue):
        pending = _reset_chargers(draft, pending)
        overdue = draft.now.monotonic_s >= pending.until_s
    told = draft.station.queued == 0 or not draft.station.link.serving
    if overdue or (pending.performed and not pending.chargers and told):
        hard = pending.kind is ResetKind.HARD
        _answer_all(draft)
        draft.emit(Restart(draft.station.rules.hard_reset if hard else RestartScope.SERVICE))
        draft.update(reset=replace(pending, restarting=True))


def _reset_chargers(draft: Draft, pending: PendingReset) -> PendingReset:
    """Each charger once, by the register or the relay that it has, also where several have it in common; one without is
    only disabled."""
    tickets: dict[str, tuple[int, Action]] = {}
    for number, connector in draft.station.connectors.items():
        ticket = f"{CHARGER_PREFIX}{connector.layout.charger}"
        action = _action(pending.kind, connector)
        reachable = connector.online or cuts_power(connector, action)
        if reachable and action is not None and ticket not in tickets and not _felt(draft, tickets, number, action):
            tickets[ticket] = (number, action)
    for ticket, (number, action) in tickets.items():
        draft.emit(Perform(number, action, ticket))
    until_s = pending.until_s
    if any(cuts_power(draft.station.connectors[number], action) for number, action in tickets.values()):
        until_s = draft.now.monotonic_s + POWER_CYCLE_S
    done = replace(pending, performed=True, chargers=frozenset(tickets), until_s=until_s)
    draft.update(reset=done)
    return done


def _felt(draft: Draft, tickets: Mapping[str, tuple[int, Action]], number: int, action: Action) -> bool:
    """Whether the charger is reset along with one that is reset anyway."""
    connectors = draft.station.connectors
    layout = connectors[number].layout
    return any(by is action and taken_along(connectors[n].layout, layout, by) for n, by in tickets.values())


def _action(kind: ResetKind, connector: Connector) -> Action | None:
    """A hard reset takes the soft register where there is no other; a soft one never the hard."""
    if kind is ResetKind.HARD and connector.can(Capability.RESET_HARD):
        return Action.RESET_HARD
    return Action.RESET_SOFT if connector.can(Capability.RESET_SOFT) else None


def _answer_all(draft: Draft) -> None:
    """Whoever still waits for an answer gets one before nobody is left to give it."""
    reason = "the station restarts"
    for number in draft.station.connectors:
        session.drop_question(draft, number, reason)
    unlock.give_up(draft, reason)
    lock_order.give_up(draft, reason)
    availability.give_up(draft, reason)
    firmware.give_up(draft, reason)
    certificate.give_up(draft, reason)
    data_transfer.give_up(draft, reason)


def performed(draft: Draft, event: ActionPerformed) -> None:
    """A charger has been reset, or could not be: tried again while ResetRetries allows, not waited for after that."""
    evse_reset.performed(draft, event)
    pending = draft.station.reset
    if pending is None or event.ticket not in pending.chargers:
        return
    failed = event.outcome in (ActionOutcome.FAILED, ActionOutcome.TIMEOUT)
    charger = event.ticket.removeprefix(CHARGER_PREFIX)
    number = next(n for n, c in draft.station.connectors.items() if c.layout.charger == charger)
    action = _action(pending.kind, draft.station.connectors[number])
    if failed and pending.retries > 0 and action is not None:
        draft.update(reset=replace(pending, retries=pending.retries - 1))
        draft.emit(Perform(number, action, event.ticket))
        return
    left = pending.chargers - {event.ticket}
    until_s = pending.until_s if left else min(pending.until_s, draft.now.monotonic_s + HARD_S)
    draft.update(reset=replace(pending, chargers=left, until_s=until_s))
