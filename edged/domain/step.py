"""The core's one door: `step(station, event, now)`. Routing only; the rules are in the functional blocks.

After every event the consequences are brought up to date in a fixed order (`_settle`), so that no block needs to know
what another's change means for it. Purely functional seen from outside: same arguments, same transition.
"""

from __future__ import annotations

from typing import assert_never

from edged.domain import (
    authorization,
    availability,
    configuration_access,
    connector,
    metering,
    provisioning,
    reservation,
    reset,
    session,
    transaction,
    unlock,
)
from edged.domain.commands import (
    CancelReservation,
    ChangeAvailability,
    ClearCache,
    Command,
    GetConfiguration,
    ReceiveData,
    RequestStart,
    RequestStop,
    ReserveNow,
    ResetStation,
    SetConfiguration,
    TriggerMessage,
    UnlockConnector,
)
from edged.domain.events import (
    ActionPerformed,
    BootAnswered,
    BootFailed,
    ChargerLost,
    ConnectorObserved,
    Event,
    Happening,
    LinkDown,
    LinkUp,
    PresentToken,
    RecordDelivered,
    RecordGivenUp,
    RegistrationLost,
    Started,
    Tick,
    TimeTold,
    TokenAnswered,
)
from edged.domain.station import Station
from edged.domain.transition import Draft, Transition
from edged.domain.types import Now


def step(station: Station, event: Event, now: Now) -> Transition:
    """What becomes of a station when something happens at a time."""
    draft = Draft(station, now)
    provisioning.watch_clock(draft)
    reservation.expire_due(draft)
    if isinstance(event, Command):
        _command(draft, event)
    else:
        _happening(draft, event)
    _settle(draft)
    return draft.transition()


def _settle(draft: Draft) -> None:
    """The consequences, in order: silence, availability, what can no longer be promised, starts and phases, what was
    waiting. A connector that goes out of service or is lost does so before anything starts on it."""
    connector.note_silence(draft)
    availability.refresh(draft)
    reservation.remove_lost(draft)
    connector.refresh(draft)
    unlock.refresh(draft)
    reset.refresh(draft)


def _tick(draft: Draft) -> None:
    metering.sample_due(draft)
    session.give_up_overdue(draft)
    provisioning.boot_when_due(draft)
    provisioning.heartbeat_when_due(draft)
    provisioning.keep_wall(draft)


def _command(draft: Draft, event: Command) -> None:
    match event:
        case ReserveNow():
            reservation.reserve(draft, event)
        case CancelReservation():
            reservation.cancel(draft, event)
        case RequestStart():
            session.request_start(draft, event)
        case RequestStop():
            session.request_stop(draft, event)
        case UnlockConnector():
            unlock.unlock(draft, event)
        case ChangeAvailability():
            availability.change(draft, event)
        case ResetStation():
            reset.reset(draft, event)
        case SetConfiguration():
            configuration_access.change(draft, event)
        case GetConfiguration():
            configuration_access.read(draft, event)
        case ClearCache():
            authorization.clear_cache(draft, event)
        case TriggerMessage():
            provisioning.trigger(draft, event)
        case ReceiveData():
            provisioning.receive_data(draft, event)
        case _:
            assert_never(event)


def _happening(draft: Draft, event: Happening) -> None:
    match event:
        case ConnectorObserved():
            connector.observed(draft, event)
        case ChargerLost():
            connector.lost(draft, event)
        case ActionPerformed():
            unlock.performed(draft, event)
            reset.performed(draft, event)
        case PresentToken():
            session.present(draft, event)
        case Tick():
            _tick(draft)
        case Started():
            provisioning.started(draft, event)
        case LinkUp():
            provisioning.link_up(draft)
        case LinkDown():
            provisioning.link_down(draft, event)
        case BootAnswered():
            provisioning.boot_answered(draft, event)
        case BootFailed():
            provisioning.boot_failed(draft)
        case RegistrationLost():
            provisioning.registration_lost(draft)
        case TimeTold():
            provisioning.told(draft, event)
        case TokenAnswered():
            session.answered(draft, event)
        case RecordDelivered():
            transaction.delivered(draft, event)
        case RecordGivenUp():
            transaction.given_up(draft, event)
        case _:
            assert_never(event)
