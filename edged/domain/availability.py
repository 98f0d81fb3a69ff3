"""ChangeAvailability: now, scheduled, for the whole station; kept over reboots. 1.6 §5.2.

A charger that reports its availability is asked to confirm before anybody is told Accepted. One that cannot (the
register is ours alone) is changed by withholding energy and authorization, which needs no confirmation.
The last request wins.
"""

from __future__ import annotations

from dataclasses import replace

from edged.domain.answers import AvailabilityStatus
from edged.domain.commands import ChangeAvailability
from edged.domain.hardware import Capability
from edged.domain.pending import PendingAvailability, PendingToken
from edged.domain.places import evse_of, in_force, place_of
from edged.domain.station import Station
from edged.domain.transition import Draft
from edged.domain.types import RequestRef

CONFIRM_S = 12.0
NOBODY = RequestRef("", "")


def change(draft: Draft, event: ChangeAvailability) -> None:
    """Answered Accepted when it is so, Scheduled where a transaction or a silent charger is in the way."""
    station = draft.station
    place = place_of(station, event.connector, event.evse, event.connector_id)
    if place is None:
        draft.reply(event.request, AvailabilityStatus.REJECTED, "no such connector")
        return
    whole = place == 0
    targets = tuple(station.connectors) if whole else (place,)
    _supersede(draft, frozenset(targets))
    later = [n for n in targets if _must_wait(draft.station, n, operative=event.operative)]
    for number in targets:
        draft.change(number, scheduled=event.operative if number in later else None)
    at_once = [n for n in targets if n not in later]
    unconfirmed = frozenset(n for n in at_once if _begin(draft, n, operative=event.operative, whole=whole))
    if not unconfirmed:
        if whole:
            draft.update(operative=event.operative)
        draft.reply(event.request, AvailabilityStatus.SCHEDULED if later else AvailabilityStatus.ACCEPTED)
        return
    draft.wait(
        PendingAvailability(
            ticket=draft.ticket(),
            connectors=unconfirmed,
            operative=event.operative,
            station_wide=whole,
            scheduled=bool(later),
            request=event.request,
            until_s=draft.now.monotonic_s + CONFIRM_S,
        )
    )


def _supersede(draft: Draft, numbers: frozenset[int]) -> None:
    """A newer request takes these connectors over. An older one goes on for the others that it waits for; where there
    are none it is answered Rejected, for it was not carried out."""
    for pending in tuple(draft.station.pending.values()):
        if not isinstance(pending, PendingAvailability) or not pending.connectors & numbers:
            continue
        for number in pending.connectors & numbers:
            draft.change(number, changing=None)
        rest = pending.connectors - numbers
        if rest:
            draft.wait(replace(pending, connectors=rest))
            continue
        draft.settle(pending.ticket)
        _answer(draft, pending, AvailabilityStatus.REJECTED, "a newer request took its place")


def _answer(draft: Draft, pending: PendingAvailability, status: AvailabilityStatus, detail: str = "") -> None:
    if pending.request != NOBODY:
        draft.reply(pending.request, status, detail)


def _must_wait(station: Station, number: int, *, operative: bool) -> bool:
    connector = station.connectors[number]
    if operative:
        return False
    return station.running(number) is not None or (not connector.online and connector.operative)


def _begin(draft: Draft, number: int, *, operative: bool, whole: bool = False) -> bool:
    """Change one connector. True: the charger has to confirm first. Into service while the station is not, or while
    firmware waits: the charger has nothing to do."""
    connector = draft.station.connectors[number]
    sensed = connector.can(Capability.AVAILABILITY_SENSE) and connector.online
    idle = operative and (connector.withdrawn or (not whole and not draft.station.operative))
    if sensed and not idle and connector.reported_operative is not operative:
        draft.change(number, changing=operative)
        return True
    _settle(draft, number, operative=operative)
    return False


def _settle(draft: Draft, number: int, *, operative: bool) -> None:
    connector = draft.station.connectors[number]
    authorization = connector.authorization if operative else None
    if connector.operative is not operative:
        draft.announce("connector.availability", number, operative=operative)
    draft.change(number, operative=operative, scheduled=None, changing=None, authorization=authorization)


def refresh(draft: Draft) -> None:
    """Carry out what was scheduled, take the chargers' confirmations, give up what was not confirmed in time.

    A scheduled change stays scheduled until it is confirmed: a restart in between must not forget it.
    """
    withdraw(draft)
    for number, connector in draft.station.connectors.items():
        wanted = connector.scheduled
        if wanted is None or connector.changing is not None or _must_wait(draft.station, number, operative=wanted):
            continue
        if _begin(draft, number, operative=wanted):
            _wait_alone(draft, number, operative=wanted)
    for pending in tuple(draft.station.pending.values()):
        if isinstance(pending, PendingAvailability):
            _judge(draft, pending)


def withdraw(draft: Draft) -> None:
    """Keep out of service who is to be while firmware waits for the last transaction, and while it is installed."""
    for number, connector in draft.station.connectors.items():
        withdrawn = _is_withdrawn(draft.station, number)
        if withdrawn is not connector.withdrawn:
            draft.change(number, withdrawn=withdrawn)


def _is_withdrawn(station: Station, number: int) -> bool:
    """Not who charges, was let in or is being judged, and not what is reserved: the firmware waits for them (L01.FR.06,
    07). While an unpinned reservation is counted, every place may be its own."""
    update = station.firmware
    if update is None or update.over or not (update.waiting or update.installing):
        return False
    connector = station.connectors[number]
    judged = any(isinstance(p, PendingToken) and p.connector == number for p in station.pending.values())
    if connector.transaction_id is not None or connector.authorization is not None or judged:
        return False
    evse = connector.layout.evse_id
    reserved = any(not r.target.pinned or evse_of(station, r.target) == evse for r in in_force(station))
    return update.installing or not reserved


def _wait_alone(draft: Draft, number: int, *, operative: bool) -> None:
    draft.wait(
        PendingAvailability(
            ticket=draft.ticket(),
            connectors=frozenset({number}),
            operative=operative,
            station_wide=False,
            scheduled=False,
            request=NOBODY,
            until_s=draft.now.monotonic_s + CONFIRM_S,
        )
    )


def _judge(draft: Draft, pending: PendingAvailability) -> None:
    connectors = draft.station.connectors
    confirmed = {n for n in pending.connectors if connectors[n].reported_operative is pending.operative}
    if confirmed == pending.connectors:
        for number in pending.connectors:
            _settle(draft, number, operative=pending.operative)
        _done(draft, pending, scheduled=pending.scheduled)
    elif draft.now.monotonic_s >= pending.until_s:
        _unconfirmed(draft, pending, confirmed)


def _done(draft: Draft, pending: PendingAvailability, *, scheduled: bool) -> None:
    draft.settle(pending.ticket)
    if pending.station_wide:
        draft.update(operative=pending.operative)
    _answer(draft, pending, AvailabilityStatus.SCHEDULED if scheduled else AvailabilityStatus.ACCEPTED)


def _unconfirmed(draft: Draft, pending: PendingAvailability, confirmed: set[int]) -> None:
    """Those that confirmed stay changed; a charger that fell silent is changed when it comes back. What was only
    scheduled is tried again; a request is told the truth."""
    for number in confirmed:
        _settle(draft, number, operative=pending.operative)
    missing = pending.connectors - confirmed
    connectors = draft.station.connectors
    silent = {n for n in missing if not connectors[n].online and not pending.operative}
    for number in missing:
        again = number in silent or pending.request == NOBODY
        draft.change(number, changing=None, scheduled=pending.operative if again else None)
    if missing == silent:
        _done(draft, pending, scheduled=True)
        return
    draft.settle(pending.ticket)
    _answer(draft, pending, AvailabilityStatus.REJECTED, "the charger did not confirm")


def give_up(draft: Draft, reason: str) -> None:
    """Nobody will wait any longer: requests that are still open are answered Rejected (the station restarts)."""
    for pending in tuple(draft.station.pending.values()):
        if isinstance(pending, PendingAvailability):
            draft.settle(pending.ticket)
            for number in pending.connectors:
                draft.change(number, changing=None)
            _answer(draft, pending, AvailabilityStatus.REJECTED, reason)
