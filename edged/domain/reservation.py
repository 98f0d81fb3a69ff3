"""Reservations: who may have which place, until when. 1.6 §5.13, 2.0.1 H01 to H04.

A reservation is pinned (to a connector or an EVSE) or counted (any place, or any with a connector type). Counted ones
hold no place; they hold a guarantee: whatever place each other reserved driver takes, in whatever order they come,
every one of them still finds one. A driver without a reservation is refused where the guarantee would break.

Invariants: at most one pinned reservation a place · a rejected replacement leaves the old one untouched · with an
untrusted clock nothing ends by date, only by its remaining time on the monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from edged.domain.answers import Reason, ReserveStatus, Verdict
from edged.domain.commands import CancelReservation, ReserveNow, Target
from edged.domain.effects import ReservationEnd, ReservationRecord
from edged.domain.hardware import Capability
from edged.domain.places import capable_places, counted, fits, free_places, guaranteed, in_order, pinned_on, spare
from edged.domain.places import shown_reserved as shown_reserved
from edged.domain.station import Connector, Reservation, Station
from edged.domain.transition import Draft, drop, put
from edged.domain.types import IdToken, Now, Phase, RequestRef, same_group

MAX_RESERVATIONS = 256
CANNOT_WITHHOLD = "the charger cannot withhold energy, so a reservation could not be enforced"
MAX_ID = 2**31 - 1
CLOCK_STEP_S = 1.0
CSMS = "csms"
"""The channel of the CSMS's reservations."""

# --- who may have a connector


class Admission(StrEnum):
    FREE = "free"  # no reservation concerns this token here
    HOLDER = "holder"  # it may use the reservation that is named
    UNKNOWN_GROUP = "unknown_group"  # it depends on the token's group, which is not known
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Entry:
    admission: Admission
    reservation_id: int | None = None


def entry(station: Station, number: int, token: IdToken, group: IdToken | None, *, group_known: bool) -> Entry:
    """May this token use this connector, and which reservation would it use (16-RES-07 to 10, H03.FR.01 to 08)."""
    pinned = pinned_on(station, number)
    if pinned is not None:
        return _judge([pinned], token, group, group_known=group_known, otherwise=Admission.REFUSED)
    types = frozenset({station.connectors[number].layout.connector_type.casefold()})
    fitting = [r for r in counted(station).values() if fits(r.target, types)]
    otherwise = Admission.FREE if spare(station, number) else Admission.REFUSED
    return _judge(fitting, token, group, group_known=group_known, otherwise=otherwise)


def _judge(
    candidates: list[Reservation], token: IdToken, group: IdToken | None, *, group_known: bool, otherwise: Admission
) -> Entry:
    for reservation in candidates:
        if reservation.id_token.matches(token):
            return Entry(Admission.HOLDER, reservation.id)
    for reservation in candidates:
        if same_group(reservation.group, group):
            return Entry(Admission.HOLDER, reservation.id)
    if otherwise is Admission.REFUSED and not group_known and any(r.group is not None for r in candidates):
        return Entry(Admission.UNKNOWN_GROUP)
    return Entry(otherwise)


# --- commands


def reserve(draft: Draft, event: ReserveNow) -> None:
    """ReserveNow (16-RES-02, H01): decided as if a reservation of the same id were gone, swapped only if accepted."""
    station = draft.station
    reservation_id = event.reservation_id if event.reservation_id is not None else _new_id(station)
    before = station.reservations.get(reservation_id)
    without = drop(station.reservations, reservation_id)
    draft.update(reservations=without)
    refusal = _refusal(draft.station, event, draft.now)
    if refusal is not None:
        draft.update(reservations=station.reservations)
        draft.reply(event.request, refusal.status, refusal.detail, reason=refusal.reason)
        told = {"reservation_id": reservation_id, "status": refusal.status}
        draft.announce("reservation.rejected", event.target.connector, **told)
        return
    reservation = Reservation(
        id=reservation_id,
        target=event.target,
        id_token=event.id_token,
        group=event.group,
        expires_at=event.expires_at,
        created=draft.station.stamp(draft.now),
        source=event.request.channel,
        held_until_s=draft.now.monotonic_s + (event.expires_at - draft.now.utc).total_seconds(),
    )
    draft.update(reservations=put(without, reservation_id, reservation), wall_kept=draft.now.utc)
    _release_drivers(draft, reservation_id)
    draft.reply(event.request, ReserveStatus.ACCEPTED, data=reservation_id)
    if before is not None:
        _tell_maker(draft, before, event.request)
        draft.announce("reservation.cancelled", before.target.connector, **_told(before), cause="replaced")
    draft.announce("reservation.made", event.target.connector, **_told(reservation))


def _new_id(station: Station) -> int:
    """A number that the CSMS is unlikely to choose: counted down from the top."""
    candidate = MAX_ID
    while candidate in station.reservations:
        candidate -= 1
    return candidate


@dataclass(frozen=True, slots=True)
class Refusal:
    status: ReserveStatus
    detail: str
    reason: str = ""


def _refusal(station: Station, event: ReserveNow, now: Now) -> Refusal | None:
    """The decision order of 16-RES-02; the old reservation of the same id is already out of `station`."""
    target = event.target
    if not station.configuration.flag("ReservationEnabled"):
        return Refusal(ReserveStatus.REJECTED, "reservations are switched off at this site", Reason.NOT_ENABLED)
    if len(station.reservations) >= MAX_RESERVATIONS:
        detail = f"{MAX_RESERVATIONS} reservations are pending already"
        return Refusal(ReserveStatus.REJECTED, detail, Reason.OUT_OF_MEMORY)
    if event.expires_at <= now.utc:  # also with a clock that is not trusted: nothing would be left to hold
        return Refusal(ReserveStatus.REJECTED, "the reservation would have ended already", Reason.INVALID_VALUE)
    if station.reset is not None:
        return Refusal(ReserveStatus.REJECTED, "the station is about to restart")
    if target.pinned:
        return _pin_refusal(station, target)
    if not station.configuration.flag("ReserveConnectorZeroSupported"):
        detail = "only single connectors can be reserved at this site"
        return Refusal(ReserveStatus.REJECTED, detail, Reason.UNSUPPORTED_PARAM)
    return _count_refusal(station, target)


def _pin_refusal(station: Station, target: Target) -> Refusal | None:
    connectors = _aimed_at(station, target)
    if not connectors:
        reason = Reason.UNKNOWN_CONNECTOR_ID if target.evse is None else Reason.UNKNOWN_EVSE
        return Refusal(ReserveStatus.REJECTED, "no such connector", reason)
    if not all(c.can(Capability.WITHHOLD) for c in connectors):
        return Refusal(ReserveStatus.REJECTED, CANNOT_WITHHOLD, Reason.UNSUPPORTED_REQUEST)
    if not any(_is_of_type(target, c) for c in connectors):
        detail = "the EVSE has no such connector type"
        return Refusal(ReserveStatus.REJECTED, detail, Reason.UNKNOWN_CONNECTOR_TYPE)
    out = _out_of_order(station, connectors)
    if out is not None:
        return out
    numbers = [c.number for c in connectors]
    siblings = [s for n in numbers for s in station.siblings(n)]
    if any(s.phase is not Phase.IDLE or s.authorization is not None for s in siblings):
        return Refusal(ReserveStatus.OCCUPIED, "in use")
    if any(c.can(Capability.PERMIT_SENSE) and c.permitted for c in connectors):
        return Refusal(ReserveStatus.OCCUPIED, "the charger has not confirmed yet that it withholds energy")
    if any(pinned_on(station, n) is not None for n in numbers):
        return Refusal(ReserveStatus.OCCUPIED, "reserved already")
    if not all(spare(station, n) for n in numbers):
        return Refusal(ReserveStatus.OCCUPIED, "promised to pending reservations")
    return None


def _out_of_order(station: Station, connectors: list[Connector]) -> Refusal | None:
    """None of them can serve anybody: Faulted where a fault is a part of it, Unavailable otherwise (H01.FR.12, 14)."""
    if any(in_order(station, c) for c in connectors):
        return None
    if any(c.blocked for c in connectors):
        return Refusal(ReserveStatus.FAULTED, "faulted")
    return Refusal(ReserveStatus.UNAVAILABLE, "out of service")


def _is_of_type(target: Target, connector: Connector) -> bool:
    return fits(target, frozenset({connector.layout.connector_type.casefold()}))


def _aimed_at(station: Station, target: Target) -> list[Connector]:
    """The connectors of the place that a pinned reservation is for."""
    return [
        c
        for c in station.connectors.values()
        if target.connector in (None, c.number) and target.evse in (None, c.layout.evse_id)
    ]


def _count_refusal(station: Station, target: Target) -> Refusal | None:
    of_type = [c for c in station.connectors.values() if _is_of_type(target, c)]
    fitting = [c for c in of_type if c.can(Capability.WITHHOLD)]
    if not of_type:
        detail = "no connector of this station is of that type"
        return Refusal(ReserveStatus.REJECTED, detail, Reason.UNKNOWN_CONNECTOR_TYPE)
    if not fitting:
        return Refusal(ReserveStatus.REJECTED, CANNOT_WITHHOLD, Reason.UNSUPPORTED_REQUEST)
    targets = [*(r.target for r in counted(station).values()), target]
    if guaranteed(free_places(station), targets):
        return None
    return _out_of_order(station, fitting) or Refusal(ReserveStatus.OCCUPIED, "no place is left")


def cancel(draft: Draft, event: CancelReservation) -> None:
    """CancelReservation: Rejected for an id that is unknown, expired or used."""
    reservation = draft.station.reservations.get(event.reservation_id)
    if reservation is None:
        draft.reply(event.request, Verdict.REJECTED, "no such reservation")
        return
    draft.update(reservations=drop(draft.station.reservations, reservation.id))
    _release_drivers(draft, reservation.id)
    draft.reply(event.request, Verdict.ACCEPTED)
    _tell_maker(draft, reservation, event.request)
    draft.announce("reservation.cancelled", reservation.target.connector, **_told(reservation), cause="cancelled")


# --- endings


def use(draft: Draft, reservation_id: int, connector: int) -> None:
    """Its driver is here: the reservation is used up, by this connector alone. When that is, is the policy's."""
    reservation = draft.station.reservations.get(reservation_id)
    if reservation is not None:
        draft.update(reservations=drop(draft.station.reservations, reservation_id))
        _release_drivers(draft, reservation_id, but=connector)
        draft.announce("reservation.used", connector, **_told(reservation))


def _release_drivers(draft: Draft, reservation_id: int, *, but: int | None = None) -> None:
    """Whoever was let in for a reservation that is gone stays in, without it."""
    for connector in draft.station.connectors.values():
        waiting = connector.authorization
        if connector.number != but and waiting is not None and waiting.reservation_id == reservation_id:
            draft.change(connector.number, authorization=replace(waiting, reservation_id=None))


def expire_due(draft: Draft) -> None:
    """End what has lapsed: by date with a trusted clock, by its remaining time otherwise (13.4)."""
    for reservation in tuple(draft.station.reservations.values()):
        if lapsed(reservation, draft.now):
            _end(draft, reservation, ReservationEnd.EXPIRED)
        elif draft.now.synchronized:
            _follow_clock(draft, reservation)


def _follow_clock(draft: Draft, reservation: Reservation) -> None:
    """The monotonic end follows the trusted clock, so that it is right when that trust is lost (13.3)."""
    held_until_s = draft.now.monotonic_s + (reservation.expires_at - draft.now.utc).total_seconds()
    if abs(held_until_s - reservation.held_until_s) >= CLOCK_STEP_S:
        moved = replace(reservation, held_until_s=held_until_s)
        draft.update(reservations={**draft.station.reservations, reservation.id: moved})


def lapsed(reservation: Reservation, now: Now) -> bool:
    """At its second, not after it (13.2: ended when now >= expiry)."""
    if now.synchronized:
        return now.utc >= reservation.expires_at
    return now.monotonic_s >= reservation.held_until_s


def remove_lost(draft: Draft) -> None:
    """End what can no longer be kept: its place is faulted or out of service, or the count no longer fits
    (16-RES-11, H01.FR.16/17). The youngest counted reservation yields first."""
    if not draft.station.reservations:
        return
    for reservation in tuple(draft.station.reservations.values()):
        if reservation.target.pinned and _place_lost(draft.station, reservation.target):
            _end(draft, reservation, ReservationEnd.REMOVED)
    capable = capable_places(draft.station)
    pending = sorted(counted(draft.station).values(), key=lambda r: (draft.station.true_time(r.created), r.id))
    while pending and not guaranteed(capable, (r.target for r in pending)):
        _end(draft, pending.pop(), ReservationEnd.REMOVED)


def _place_lost(station: Station, target: Target) -> bool:
    connectors = _aimed_at(station, target)
    return all(c.blocked or not station.effective(c.number) for c in connectors) or any(
        _taken(station, c) for c in connectors
    )


def _taken(station: Station, connector: Connector) -> bool:
    """Somebody came while reservations were switched off, and still charges: it cannot be kept any more (12.5)."""
    if pinned_on(station, connector.number) is None:
        return False
    siblings = (station.running(s.number) for s in station.siblings(connector.number))
    return any(running is not None and running.id_token is not None for running in siblings)


def _end(draft: Draft, reservation: Reservation, outcome: ReservationEnd) -> None:
    draft.update(reservations=drop(draft.station.reservations, reservation.id))
    _release_drivers(draft, reservation.id)
    _record(draft, reservation, outcome)
    kind = "reservation.expired" if outcome is ReservationEnd.EXPIRED else "reservation.removed"
    draft.announce(kind, reservation.target.connector, **_told(reservation))


def _tell_maker(draft: Draft, reservation: Reservation, request: RequestRef) -> None:
    """A reservation of the CSMS that somebody else has taken away is not pending any more, as the CSMS believes."""
    if request.channel != CSMS:
        _record(draft, reservation, ReservationEnd.REMOVED)


def _record(draft: Draft, reservation: Reservation, outcome: ReservationEnd) -> None:
    """Of a reservation that was made here the CSMS knows nothing."""
    if reservation.source == CSMS and draft.station.policy.reservation_records:
        draft.enqueue(ReservationRecord(reservation.id, outcome))


def _told(reservation: Reservation) -> dict[str, Any]:
    return {
        "reservation_id": reservation.id,
        "id_token": reservation.id_token,
        "expires_at": reservation.expires_at,
    }
