"""Which connector a driver means: queries over the station, for tokens and remote starts that name no connector."""

from __future__ import annotations

from collections.abc import Collection

from edged.domain import reservation, transaction
from edged.domain.pending import PendingToken
from edged.domain.places import in_order, pinned_on
from edged.domain.reservation import Admission
from edged.domain.station import Connector, Station
from edged.domain.types import IdToken, IdTokenInfo, Phase


def choose(station: Station, token: IdToken, info: IdTokenInfo | None) -> int | None:
    """The connector that a token without a place is for: its own transaction, its own cable, where it waits already,
    and then what `choose_start` says. Where there is but one connector it is that one, whatever becomes of it.
    `info`: what is known of the token."""
    connectors = station.connectors.values()
    group = info.group if info is not None else None
    for connector in connectors:
        running = station.running(connector.number)
        if running is not None and running.id_token is not None and transaction.belongs(running, token, group):
            return connector.number
    for connector in connectors:
        pending = asked(station, connector.number)
        own = (
            connector.held_for,
            connector.authorization.id_token if connector.authorization is not None else None,
            pending.id_token if pending is not None else None,
        )
        if any(one is not None and one.matches(token) for one in own):
            return connector.number
    number = choose_start(station, token, group, evses=info.evses if info is not None else ())
    return next(iter(station.connectors)) if number is None and len(station.connectors) == 1 else number


def choose_start(
    station: Station, token: IdToken, group: IdToken | None, *, evses: Collection[int] = (), group_known: bool = False
) -> int | None:
    """The connector on which a driver could begin: the one reserved for this token, the car that waits longest, and
    only then a free place that nobody else was promised. A finished session's car is somebody else's (E3.20): it is
    chosen only where there is no other connector at all. `evses`: only these, where any are named. `group_known`: a
    group of None is that there is none."""
    known = group_known or group is not None
    entries = {
        c.number: reservation.entry(station, c.number, token, group, group_known=known)
        for c in station.connectors.values()
        if is_open(station, c) and (not evses or c.layout.evse_id in evses)
    }
    ranked = [
        (rank, number)
        for number, place in entries.items()
        if (rank := _rank(station, station.connectors[number], place)) is not None
    ]
    return min(ranked)[1] if ranked else None


def _rank(station: Station, connector: Connector, place: reservation.Entry) -> tuple[bool, int, float] | None:
    """How well a connector suits a driver without a place, best first; None: not at all."""
    if place.admission is Admission.REFUSED:
        return None
    if place.admission is Admission.HOLDER and pinned_on(station, connector.number) is not None:
        return (False, 0, 0.0)
    unsure = place.admission is Admission.UNKNOWN_GROUP
    if connector.phase is Phase.FINISHING:
        return (unsure, 3, 0.0) if len(station.connectors) == 1 else None
    if not connector.plugged:
        return unsure, 2, 0.0
    return unsure, 1, connector.preparing_until_s or connector.plugged_at_s or 0.0


def is_open(station: Station, connector: Connector) -> bool:
    """Usable, and nobody is there, let in or being judged."""
    return (
        is_usable(station, connector)
        and connector.authorization is None
        and connector.held_for is None
        and asked(station, connector.number) is None
    )


def is_usable(station: Station, connector: Connector) -> bool:
    """A driver could be let in here: in order, and the EVSE is free but for a transaction that waits for its driver.
    One that was stopped before he came waits for nobody (C01.FR.23)."""
    number = connector.number
    running = station.running(number)
    others = [s for s in station.siblings(number) if s.number != number]
    return (
        connector.online
        and in_order(station, connector)
        and not station.seized(number)
        and (running is None or (running.id_token is None and running.halted is None))
        and all(s.transaction_id is None and s.authorization is None for s in others)
    )


def asked(station: Station, number: int) -> PendingToken | None:
    """The token that the CSMS is being asked about for this connector."""
    for pending in station.pending.values():
        if isinstance(pending, PendingToken) and pending.connector == number:
            return pending
    return None
