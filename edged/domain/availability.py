"""ChangeAvailability of a connector, an EVSE or the station: now or scheduled, kept over reboots. 1.6 §5.2, 2.x G03.

A connector is in service where its own flag, its EVSE's and the station's all say so. Where an EVSE or the station is
addressed as 2.x does it, one flag changes and the others stay as they are; who runs a transaction goes on until it
ends. A number is a version's that knows no EVSEs: see `Reach`.

A charger that reports its availability is asked to confirm before anybody is told Accepted. One that cannot (the
register is ours alone) is changed by withholding energy and authorization, which needs no confirmation.
The last request wins as soon as it is carried out; until then, and where it is not, what was scheduled before stays.
"""

from __future__ import annotations

from dataclasses import replace

from edged.domain.answers import AvailabilityStatus, Reason
from edged.domain.commands import ChangeAvailability
from edged.domain.hardware import Capability
from edged.domain.pending import PendingAvailability, PendingToken, Reach
from edged.domain.places import connectors_of, evse_of, in_force, place_of
from edged.domain.station import Connector, Station
from edged.domain.transition import Draft
from edged.domain.types import RequestRef

CONFIRM_S = 12.0
NOBODY = RequestRef("", "")
OWN = frozenset({Reach.CONNECTOR, Reach.NUMBER, Reach.EVERYTHING})
"""Where the connectors' own flags change, each as soon as it may."""


def change(draft: Draft, event: ChangeAvailability) -> None:
    """Answered Accepted when it is so, Scheduled where a transaction or a silent charger is in the way."""
    reach, targets = _meant(draft.station, event)
    if not targets:
        known = event.evse is None or bool(connectors_of(draft.station, event.evse))
        reason = Reason.UNKNOWN_CONNECTOR_ID if known else Reason.UNKNOWN_EVSE
        draft.reply(event.request, AvailabilityStatus.REJECTED, "no such connector", reason=reason)
        return
    _supersede(draft, frozenset(targets))
    later = [n for n in targets if _must_wait(draft.station, n, operative=event.operative)]
    if reach in OWN:
        for number in later:
            draft.change(number, scheduled=event.operative)
    at_once = tuple(n for n in targets if n not in later)
    unconfirmed = frozenset(n for n in at_once if _begin(draft, n, reach, operative=event.operative))
    pending = PendingAvailability(
        ticket=draft.ticket(),
        connectors=unconfirmed,
        operative=event.operative,
        reach=reach,
        evse=event.evse,
        scheduled=bool(later),
        request=event.request,
        until_s=draft.now.monotonic_s + CONFIRM_S,
    )
    if unconfirmed:
        draft.wait(pending)
    else:
        _done(draft, pending, scheduled=pending.scheduled)


def _meant(station: Station, event: ChangeAvailability) -> tuple[Reach, tuple[int, ...]]:
    """Which flag is meant, and the connectors that it touches: none, where there is no such place."""
    place = place_of(station, event.connector, event.evse, event.connector_id)
    if event.evse is None:
        if place == 0:
            return Reach.EVERYTHING, tuple(station.connectors)
        return Reach.NUMBER, () if place is None else (place,)
    if place == 0:
        return Reach.STATION, tuple(station.connectors)
    if event.connector_id is None:
        return Reach.EVSE, connectors_of(station, event.evse)
    return Reach.CONNECTOR, () if place is None else (place,)


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


def _begin(draft: Draft, number: int, reach: Reach, *, operative: bool) -> bool:
    """Change one connector. True: the charger has to confirm first. Into service where another flag is against it, or
    while firmware waits: the charger has nothing to do."""
    connector = draft.station.connectors[number]
    sensed = connector.can(Capability.AVAILABILITY_SENSE) and connector.online
    idle = operative and not _would_serve(draft.station, connector, reach)
    if sensed and not idle and connector.reported_operative is not operative:
        draft.change(number, changing=operative)
        return True
    if reach in OWN:
        _settle(draft, number, reach, operative=operative)
    return False


def _would_serve(station: Station, connector: Connector, reach: Reach) -> bool:
    """Whether the connector is in service once the flag that is meant says so."""
    return (
        not connector.withdrawn
        and (station.operative or reach in (Reach.STATION, Reach.EVERYTHING))
        and (connector.evse_operative or reach in (Reach.EVSE, Reach.NUMBER, Reach.EVERYTHING))
        and (connector.operative or reach in OWN)
    )


def _settle(draft: Draft, number: int, reach: Reach, *, operative: bool) -> None:
    """Set a connector's own flag; into service by its number also its EVSE's, which nobody could set otherwise."""
    connector = draft.station.connectors[number]
    authorization = connector.authorization if operative else None
    if connector.operative is not operative:
        draft.announce("connector.availability", number, operative=operative)
    draft.change(number, operative=operative, scheduled=None, changing=None, authorization=authorization)
    if operative and reach is not Reach.CONNECTOR:
        for one in draft.station.siblings(number):
            draft.change(one.number, evse_operative=True)


def _settle_above(draft: Draft, pending: PendingAvailability) -> None:
    """Set the flag of the station or of an EVSE. Who was let in and has not begun is let go where it closes."""
    station = draft.station
    if pending.reach in (Reach.STATION, Reach.EVERYTHING):
        draft.update(operative=pending.operative)
    if pending.reach is Reach.EVSE:
        for number in connectors_of(station, pending.evse):
            draft.change(number, evse_operative=pending.operative)
    if pending.reach in OWN:
        return
    for number in station.connectors:
        connector = draft.station.connectors[number]
        serves = draft.station.effective(number)
        if number in pending.connectors:
            connector = draft.change(number, changing=None)
        if serves is not station.effective(number):
            draft.announce("connector.availability", number, operative=serves)
            draft.change(number, authorization=connector.authorization if serves else None)


def refresh(draft: Draft) -> None:
    """Carry out what was scheduled, take the chargers' confirmations, give up what was not confirmed in time.

    A scheduled change stays scheduled until it is confirmed: a restart in between must not forget it.
    """
    withdraw(draft)
    for number, connector in draft.station.connectors.items():
        wanted = connector.scheduled
        if wanted is None or connector.changing is not None or _must_wait(draft.station, number, operative=wanted):
            continue
        if _begin(draft, number, Reach.CONNECTOR, operative=wanted):
            _wait_alone(draft, number, operative=wanted)
    for pending in tuple(draft.station.pending.values()):
        if isinstance(pending, PendingAvailability):
            _judge(draft, pending)


def withdraw(draft: Draft) -> None:
    """Keep out of service who is to be while firmware or a reset waits for the last transaction, and while firmware is
    installed."""
    for number, connector in draft.station.connectors.items():
        withdrawn = _is_withdrawn(draft.station, number)
        if withdrawn is not connector.withdrawn:
            draft.change(number, withdrawn=withdrawn)


def _is_withdrawn(station: Station, number: int) -> bool:
    """Not who charges, was let in or is being judged, and not what is reserved: the firmware waits for them (L01.FR.06,
    07), and so does the reset (B12.FR.01). While an unpinned reservation is counted, every place may be its own."""
    update = station.firmware
    installing = update is not None and update.installing
    waits = update is not None and not update.over and update.waiting
    waits = waits and not station.configuration.flag("AllowNewSessionsPendingFirmwareUpdate")
    connector = station.connectors[number]
    evse = connector.layout.evse_id
    if not installing and not waits and not {0, evse} & set(station.idle_resets):
        return False
    judged = any(isinstance(p, PendingToken) and p.connector == number for p in station.pending.values())
    if connector.transaction_id is not None or connector.authorization is not None or judged:
        return False
    reserved = any(not r.target.pinned or evse_of(station, r.target) == evse for r in in_force(station))
    return installing or not reserved


def _wait_alone(draft: Draft, number: int, *, operative: bool) -> None:
    draft.wait(
        PendingAvailability(
            ticket=draft.ticket(),
            connectors=frozenset({number}),
            operative=operative,
            reach=Reach.CONNECTOR,
            scheduled=False,
            request=NOBODY,
            until_s=draft.now.monotonic_s + CONFIRM_S,
        )
    )


def _judge(draft: Draft, pending: PendingAvailability) -> None:
    connectors = draft.station.connectors
    confirmed = {n for n in pending.connectors if connectors[n].reported_operative is pending.operative}
    if confirmed == pending.connectors:
        _settle_own(draft, pending, confirmed)
        _done(draft, pending, scheduled=pending.scheduled)
    elif draft.now.monotonic_s >= pending.until_s:
        _unconfirmed(draft, pending, confirmed)


def _settle_own(draft: Draft, pending: PendingAvailability, confirmed: set[int]) -> None:
    if pending.reach in OWN:
        for number in confirmed:
            _settle(draft, number, pending.reach, operative=pending.operative)


def _done(draft: Draft, pending: PendingAvailability, *, scheduled: bool) -> None:
    draft.settle(pending.ticket)
    _settle_above(draft, pending)
    _answer(draft, pending, AvailabilityStatus.SCHEDULED if scheduled else AvailabilityStatus.ACCEPTED)


def _unconfirmed(draft: Draft, pending: PendingAvailability, confirmed: set[int]) -> None:
    """Those that confirmed stay changed; a charger that fell silent is changed when it comes back. What was only
    scheduled is tried again; a request is told the truth. One flag for several is all or nothing."""
    _settle_own(draft, pending, confirmed)
    missing = pending.connectors - confirmed
    connectors = draft.station.connectors
    silent = {n for n in missing if not connectors[n].online and not pending.operative}
    for number in pending.connectors if pending.reach not in OWN else missing:
        draft.change(number, changing=None)
        if pending.reach in OWN and (number in silent or pending.request == NOBODY):
            draft.change(number, scheduled=pending.operative)
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
