"""Local people's word about a connector's lock, and about its faults. A CSMS has `UnlockConnector` and no more.

`locked`: closed and kept so, session or not, until somebody takes it back; `unlocked`: open now, and from then on as
sessions want it; `auto`: as sessions want it. The answer is the charger's own word, read after the order.
Invariants: nothing here opens the lock of a car that charges or is about to: that is UnlockConnector's, which ends the
transaction first · an order that failed leaves no wish behind.
"""

from __future__ import annotations

from edged.domain.answers import FaultStatus, LockStatus
from edged.domain.desired import desired
from edged.domain.hardware import Capability, ChargerState, LockState
from edged.domain.local_commands import ClearFault, LockWish, SetLock
from edged.domain.pending import PendingLock
from edged.domain.station import Connector, Station
from edged.domain.transition import Draft

READ_BACK_S = 25.0


def order(draft: Draft, event: SetLock) -> None:
    """NotSupported where no lock can be commanded, or none is read back: a write that was merely sent is no success."""
    connector = draft.station.connectors.get(event.connector)
    if connector is None:
        draft.reply(event.request, LockStatus.REJECTED, "no such connector")
        return
    if not connector.can(Capability.LOCK_CONTROL):
        draft.reply(event.request, LockStatus.NOT_SUPPORTED, "the charger's lock cannot be commanded")
        return
    if not connector.can(Capability.LOCK_SENSE):
        draft.reply(event.request, LockStatus.NOT_SUPPORTED, "the charger does not say how its lock stands")
        return
    refusal = _refusal(draft.station, connector, event.wish)
    if refusal:
        draft.reply(event.request, LockStatus.REJECTED, refusal)
        return
    changes = {"held_for": None} if event.wish is LockWish.UNLOCKED else {}
    draft.change(connector.number, kept_locked=event.wish is LockWish.LOCKED, **changes)
    draft.wait(
        PendingLock(
            ticket=draft.ticket(),
            connector=connector.number,
            request=event.request,
            wish=event.wish,
            before=connector.kept_locked,
            since_s=draft.now.monotonic_s,
            until_s=draft.now.monotonic_s + READ_BACK_S,
        )
    )


def _refusal(station: Station, connector: Connector, wish: LockWish) -> str:
    number = connector.number
    if not connector.online:
        return "the charger does not answer"
    if station.seized(number) or station.reset is not None:
        return "an unlock or a reset is under way"
    if any(isinstance(p, PendingLock) and p.connector == number for p in station.pending.values()):
        return "another order for this lock is under way"
    if wish is not LockWish.UNLOCKED:
        return ""
    if station.charges(number) is not None:
        return "its driver charges: unlock_connector ends the transaction first"
    if connector.authorization is not None and connector.plugged:
        return "its driver is about to charge"
    flows = connector.permitted if connector.can(Capability.PERMIT_SENSE) else connector.state is ChargerState.CHARGING
    return "energy flows" if flows else ""


def refresh(draft: Draft) -> None:
    """Answer what the charger has told since, and what it has not told in time."""
    for pending in tuple(draft.station.pending.values()):
        if not isinstance(pending, PendingLock):
            continue
        connector = draft.station.connectors[pending.connector]
        heard = connector.observed_at_s is not None and connector.observed_at_s > pending.since_s
        wanted = LockState.LOCKED if desired(draft.station, connector.number).locked else LockState.UNLOCKED
        overruled = _overruled(pending, connector, wanted)
        if overruled:
            _fail(draft, pending, overruled)
        elif heard and connector.lock is wanted:
            draft.settle(pending.ticket)
            draft.reply(pending.request, LockStatus.ACCEPTED)
        elif heard and connector.lock is LockState.JAMMED:
            _fail(draft, pending, "the lock is jammed")
        elif draft.now.monotonic_s >= pending.until_s:
            _fail(draft, pending, "no word from the charger in time")


def _overruled(pending: PendingLock, connector: Connector, wanted: LockState) -> str:
    """Whether somebody has had another word since: then the lock may well go there, but not for this order."""
    if pending.wish is LockWish.LOCKED and not connector.kept_locked:
        return "an unlock has come in between"
    if pending.wish is LockWish.UNLOCKED and wanted is LockState.LOCKED:
        return "a driver has come in between"
    return ""


def _fail(draft: Draft, pending: PendingLock, reason: str) -> None:
    """A lock that was kept closed before an order to close it stays so."""
    draft.settle(pending.ticket)
    still = (
        pending.before and pending.wish is LockWish.LOCKED and draft.station.connectors[pending.connector].kept_locked
    )
    draft.change(pending.connector, kept_locked=still)
    draft.reply(pending.request, LockStatus.FAILED, reason)


def give_up(draft: Draft, reason: str) -> None:
    """Nobody will wait any longer (the station restarts)."""
    for pending in tuple(draft.station.pending.values()):
        if isinstance(pending, PendingLock):
            _fail(draft, pending, reason)


def clear_fault(draft: Draft, event: ClearFault) -> None:
    """A fault is what the charger reports at every look, one that is silent or jammed included: edged keeps none of its
    own that could be taken back, and no charger has an order for it."""
    connector = draft.station.connectors.get(event.connector)
    if connector is None or not connector.faults:
        detail = "no such connector" if connector is None else "there is no fault"
        draft.reply(event.request, FaultStatus.REJECTED, detail)
        return
    detail = "the charger clears its faults itself, when their cause is gone; a reset restarts it where it can be reset"
    draft.reply(event.request, FaultStatus.NOT_SUPPORTED, detail)
