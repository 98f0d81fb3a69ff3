"""ChangeAvailability: now, scheduled, for the whole station; kept over reboots. 1.6 §5.2, facts 3.2.

A charger that reports its availability is asked to confirm before anybody is told Accepted. One that cannot (the
register is ours alone) is changed by withholding energy and authorization, which needs no confirmation.
The last request wins.
"""

from __future__ import annotations

from edged.domain.answers import AvailabilityStatus
from edged.domain.events import ChangeAvailability
from edged.domain.hardware import Capability
from edged.domain.station import PendingAvailability, Station
from edged.domain.transition import Draft
from edged.domain.types import RequestRef

CONFIRM_S = 12.0
NOBODY = RequestRef("", "")


def change(draft: Draft, event: ChangeAvailability) -> None:
    """Answered Accepted when it is so, Scheduled where a transaction or a silent charger is in the way."""
    station = draft.station
    if event.connector != 0 and event.connector not in station.connectors:
        draft.reply(event.request, AvailabilityStatus.REJECTED, "no such connector")
        return
    targets = tuple(station.connectors) if event.connector == 0 else (event.connector,)
    _forget_older(draft, frozenset(targets))
    later = [n for n in targets if _must_wait(draft.station, n, operative=event.operative)]
    for number in targets:
        draft.change(number, scheduled=event.operative if number in later else None)
    at_once = [n for n in targets if n not in later]
    if event.connector == 0 and event.operative != station.operative:
        draft.update(operative=event.operative)
    unconfirmed = frozenset(n for n in at_once if _begin(draft, n, operative=event.operative))
    if not unconfirmed:
        draft.reply(event.request, AvailabilityStatus.SCHEDULED if later else AvailabilityStatus.ACCEPTED)
        return
    draft.wait(
        PendingAvailability(
            ticket=draft.ticket(),
            connectors=unconfirmed,
            operative=event.operative,
            station_wide=event.connector == 0,
            scheduled=bool(later),
            request=event.request,
            until_s=draft.now.monotonic_s + CONFIRM_S,
        )
    )


def _forget_older(draft: Draft, numbers: frozenset[int]) -> None:
    """A newer request about the same connectors: the older one is answered Rejected, for it was not carried out."""
    for pending in tuple(draft.station.pending.values()):
        if isinstance(pending, PendingAvailability) and pending.connectors & numbers:
            draft.settle(pending.ticket)
            for number in pending.connectors:
                draft.change(number, changing=None)
            if pending.request != NOBODY:
                draft.reply(pending.request, AvailabilityStatus.REJECTED, "a newer request took its place")


def _must_wait(station: Station, number: int, *, operative: bool) -> bool:
    connector = station.connectors[number]
    if operative:
        return False
    return station.running(number) is not None or (not connector.online and connector.operative)


def _begin(draft: Draft, number: int, *, operative: bool) -> bool:
    """Change one connector. True: the charger has to confirm first."""
    connector = draft.station.connectors[number]
    sensed = connector.can(Capability.AVAILABILITY_SENSE) and connector.online
    if sensed and connector.reported_operative is not operative:
        draft.change(number, changing=operative)
        return True
    _settle(draft, number, operative=operative)
    return False


def _settle(draft: Draft, number: int, *, operative: bool) -> None:
    connector = draft.station.connectors[number]
    authorization = connector.authorization if operative else None
    if connector.operative is not operative:
        draft.announce("connector.availability", number, operative=operative)
    draft.change(number, operative=operative, changing=None, authorization=authorization)


def refresh(draft: Draft) -> None:
    """Carry out what was scheduled, take the chargers' confirmations, give up what was not confirmed in time."""
    for number, connector in draft.station.connectors.items():
        wanted = connector.scheduled
        if wanted is not None and not _must_wait(draft.station, number, operative=wanted):
            draft.change(number, scheduled=None)
            if _begin(draft, number, operative=wanted):
                _wait_alone(draft, number, operative=wanted)
    for pending in tuple(draft.station.pending.values()):
        if isinstance(pending, PendingAvailability):
            _judge(draft, pending)


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
        draft.settle(pending.ticket)
        for number in pending.connectors:
            _settle(draft, number, operative=pending.operative)
        status = AvailabilityStatus.SCHEDULED if pending.scheduled else AvailabilityStatus.ACCEPTED
        if pending.request != NOBODY:
            draft.reply(pending.request, status)
    elif draft.now.monotonic_s >= pending.until_s:
        _unconfirmed(draft, pending, confirmed)


def _unconfirmed(draft: Draft, pending: PendingAvailability, confirmed: set[int]) -> None:
    """Those that confirmed stay changed. What was only scheduled is tried again; a request is told the truth."""
    draft.settle(pending.ticket)
    for number in pending.connectors:
        if number in confirmed:
            _settle(draft, number, operative=pending.operative)
            continue
        retry = pending.operative if pending.request == NOBODY else None
        draft.change(number, changing=None, scheduled=retry)
    if pending.request != NOBODY:
        if pending.station_wide:
            draft.update(operative=not pending.operative)
        draft.reply(pending.request, AvailabilityStatus.REJECTED, "the charger did not confirm")
