"""UnlockConnector: end the transaction, open the contactor, then the lock; the charger has the last word. 1.6 §5.18."""

from __future__ import annotations

import math
from dataclasses import replace

from edged.domain import metering, session, transaction
from edged.domain.answers import Reason, UnlockStatus
from edged.domain.commands import UnlockConnector
from edged.domain.effects import Perform, StopReason
from edged.domain.events import ActionPerformed
from edged.domain.hardware import Action, ActionOutcome, Capability, ChargerState
from edged.domain.pending import PendingUnlock
from edged.domain.places import place_of
from edged.domain.policy import Trigger
from edged.domain.station import Connector
from edged.domain.transition import Draft

UNLOCK_S = 25.0
IDLE_POWER_W = 50.0


def unlock(draft: Draft, event: UnlockConnector) -> None:
    """NotSupported without a lock or with a fixed cable, and then the transaction goes on (TC_018_2). Where a version
    does not end a transaction for it, one whose driver is known forbids it (2.x F05.FR.02)."""
    number = place_of(draft.station, event.connector, event.evse, event.connector_id)
    connector = draft.station.connectors.get(number or 0)
    if connector is None:
        draft.reply(event.request, UnlockStatus.UNKNOWN_CONNECTOR, "no such connector")
        return
    running = draft.station.running(connector.number)
    if not event.ends_transaction and draft.station.charges(connector.number) is not None:
        draft.reply(event.request, UnlockStatus.ONGOING_TRANSACTION, "its driver charges")
        return
    if not connector.can(Capability.UNLOCK):
        reason = Reason.UNSUPPORTED_REQUEST if connector.can(Capability.DETACHABLE) else Reason.FIXED_CABLE
        detail = "the charger has no lock that can be released"
        draft.reply(event.request, UnlockStatus.NOT_SUPPORTED, detail, reason=reason)
        return
    if not connector.online:
        draft.reply(event.request, UnlockStatus.FAILED, "the charger does not answer")
        return
    if of_connector(draft, connector.number) is not None:
        draft.reply(event.request, UnlockStatus.FAILED, "an unlock is under way")
        return
    if draft.station.reset is not None:
        draft.reply(event.request, UnlockStatus.FAILED, "the station is about to restart")
        return
    may_be_closed = running is not None
    session.drop_question(draft, connector.number, "the connector is being unlocked")
    if event.ends_transaction:
        transaction.end(draft, connector.number, StopReason.UNLOCK_COMMAND, Trigger.UNLOCK_COMMAND)
    elif running is not None:
        metering.update(draft, connector.number, Trigger.UNLOCK_COMMAND)
    draft.change(connector.number, held_for=None, kept_locked=False, authorization=None)
    draft.wait(
        PendingUnlock(
            ticket=draft.ticket(),
            connector=connector.number,
            request=event.request,
            until_s=draft.now.monotonic_s + UNLOCK_S,
            since_s=draft.now.monotonic_s if may_be_closed else -math.inf,
        )
    )


def of_connector(draft: Draft, number: int) -> PendingUnlock | None:
    for pending in draft.station.pending.values():
        if isinstance(pending, PendingUnlock) and pending.connector == number:
            return pending
    return None


def performed(draft: Draft, event: ActionPerformed) -> None:
    """The charger's word about the lock."""
    pending = draft.station.pending.get(event.ticket)
    if not isinstance(pending, PendingUnlock):
        return
    draft.settle(pending.ticket)
    match event.outcome:
        case ActionOutcome.DONE:
            draft.reply(pending.request, UnlockStatus.UNLOCKED)
        case ActionOutcome.UNSUPPORTED:
            draft.reply(pending.request, UnlockStatus.NOT_SUPPORTED, event.detail)
        case ActionOutcome.FAILED | ActionOutcome.TIMEOUT:
            draft.reply(pending.request, UnlockStatus.FAILED, event.detail)
    draft.announce("connector.lock", pending.connector, outcome=event.outcome)


def _contactor_open(connector: Connector, since_s: float) -> bool:
    """As the charger said after the energy was withdrawn; a state that says nothing is judged by the power."""
    if connector.observed_at_s is None or connector.observed_at_s <= since_s:
        return False
    if connector.can(Capability.PERMIT_SENSE) and connector.permitted:
        return False
    if connector.state is ChargerState.UNKNOWN:
        return not (connector.meter.power_w or 0.0) > IDLE_POWER_W
    return connector.state is not ChargerState.CHARGING


def refresh(draft: Draft) -> None:
    """Start what waited for the contactor; give up what took too long."""
    for pending in tuple(draft.station.pending.values()):
        if not isinstance(pending, PendingUnlock):
            continue
        if draft.now.monotonic_s >= pending.until_s:
            performed(draft, ActionPerformed(pending.ticket, ActionOutcome.TIMEOUT, "no word from the charger in time"))
        elif not pending.started and _contactor_open(draft.station.connectors[pending.connector], pending.since_s):
            draft.wait(replace(pending, started=True))
            draft.emit(Perform(pending.connector, Action.UNLOCK, pending.ticket))


def give_up(draft: Draft, reason: str) -> None:
    """Nobody will wait any longer: requests that are still open are answered UnlockFailed (the station restarts)."""
    for pending in tuple(draft.station.pending.values()):
        if isinstance(pending, PendingUnlock):
            performed(draft, ActionPerformed(pending.ticket, ActionOutcome.FAILED, reason))
