"""Places: which EVSEs can serve a driver, and which of them are promised. 2.0.1 H01, 1.6 §5.13 (connector 0).

Queries only; nothing in here changes anything. An EVSE is one place, whatever number of connectors it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from edged.domain.commands import Target
from edged.domain.hardware import Capability
from edged.domain.station import Connector, Reservation, Station
from edged.domain.types import Phase


def is_free(station: Station, connector: Connector) -> bool:
    """Nobody is on it, nothing is wrong with it: a driver could start here now."""
    return in_order(station, connector) and connector.phase is Phase.IDLE and connector.authorization is None


def in_order(station: Station, connector: Connector) -> bool:
    """In service and to stay so, without a blocking fault, seen since the start: what is unknown is not promised."""
    return (
        station.effective(connector.number)
        and connector.scheduled is not False
        and connector.changing is not False
        and not connector.blocked
        and connector.observed_at_s is not None
    )


def free_places(station: Station) -> dict[int, frozenset[str]]:
    """The EVSEs on which a counted reservation could be served, each with its connector types."""
    taken = pinned_places(station)
    return {
        evse: frozenset(c.layout.connector_type.casefold() for c in connectors)
        for evse, connectors in _by_evse(station).items()
        if evse not in taken and all(is_free(station, c) and c.can(Capability.WITHHOLD) for c in connectors)
    }


def capable_places(station: Station) -> dict[int, frozenset[str]]:
    """The EVSEs that work and are nobody's own, used at the moment or not: what a promise was made on."""
    taken = pinned_places(station)
    able = {
        evse: frozenset(
            c.layout.connector_type.casefold()
            for c in connectors
            if not c.blocked and station.effective(c.number) and c.can(Capability.WITHHOLD)
        )
        for evse, connectors in _by_evse(station).items()
        if evse not in taken
    }
    return {evse: types for evse, types in able.items() if types}


def connectors_of(station: Station, evse: int | None) -> tuple[int, ...]:
    """The connectors of an EVSE, by number; none where there is no such EVSE."""
    return tuple(n for n, c in station.connectors.items() if c.layout.evse_id == evse)


def _by_evse(station: Station) -> dict[int, list[Connector]]:
    found: dict[int, list[Connector]] = {}
    for connector in station.connectors.values():
        found.setdefault(connector.layout.evse_id, []).append(connector)
    return found


def pinned_places(station: Station) -> set[int | None]:
    return {evse_of(station, r.target) for r in in_force(station) if r.target.pinned}


def in_force(station: Station) -> tuple[Reservation, ...]:
    """The pending reservations; none while the feature is off: entries are kept then, places are not (12.5)."""
    return tuple(station.reservations.values()) if station.configuration.flag("ReservationEnabled") else ()


def place_of(station: Station, connector: int | None, evse: int | None, connector_id: int | None = None) -> int | None:
    """The connector that a command means: by its number, or by its EVSE and its place there (none: the first).

    0 is the station; None: there is no such place.
    """
    if evse is None:
        return connector if connector == 0 or connector in station.connectors else None
    if evse == 0:
        return 0 if connector_id is None else None
    found = (c.number for c in station.connectors.values() if c.layout.evse_id == evse)
    wanted = (n for n in found if connector_id in (None, station.connectors[n].layout.connector_id))
    return next(wanted, None)


def evse_of(station: Station, target: Target) -> int | None:
    if target.evse is not None:
        return target.evse
    if target.connector is not None and target.connector in station.connectors:
        return station.connectors[target.connector].layout.evse_id
    return None


def fits(target: Target, types: frozenset[str]) -> bool:
    return target.connector_type is None or target.connector_type.casefold() in types


def counted(station: Station) -> dict[int, Reservation]:
    """The pending reservations that hold no place of their own. One whose driver is let in somewhere has found its
    place: it counts again if that driver never plugs in."""
    served = {c.authorization.reservation_id for c in station.connectors.values() if c.authorization is not None}
    return {r.id: r for r in in_force(station) if not r.target.pinned and r.id not in served}


def guaranteed(places: Mapping[int, frozenset[str]], targets: Iterable[Target]) -> bool:
    """Whether every order of arrival of these drivers, whatever place each takes, finds a place for each."""
    return not _stuck(places, tuple(targets))


def _stuck(places: Mapping[int, frozenset[str]], targets: tuple[Target, ...]) -> set[int]:
    """The drivers (by index) who could find nothing left.

    For each driver the worst case is the largest matching of the others into the places that this one could use:
    it must leave one of them. Drivers with the same wish are judged once.
    """
    wishes = [frozenset(evse for evse, types in places.items() if fits(target, types)) for target in targets]
    stuck: set[int] = set()
    for mine in set(wishes):
        alike = [n for n, wish in enumerate(wishes) if wish == mine]
        others = [wish & mine for n, wish in enumerate(wishes) if n != alike[0]]
        if _largest_matching(others) >= len(mine):
            stuck.update(alike)
    return stuck


def _largest_matching(wishes: list[frozenset[int]]) -> int:
    """Size of a maximum bipartite matching (augmenting paths)."""
    owner: dict[int, int] = {}

    def place(driver: int, tried: set[int]) -> bool:
        for evse in wishes[driver]:
            if evse in tried:
                continue
            tried.add(evse)
            if evse not in owner or place(owner[evse], tried):
                owner[evse] = driver
                return True
        return False

    return sum(place(driver, set()) for driver in range(len(wishes)))


# --- what is kept


def pinned_on(station: Station, number: int) -> Reservation | None:
    """The reservation that is pinned to this connector or its EVSE."""
    evse = station.connectors[number].layout.evse_id
    for reservation in in_force(station):
        if reservation.target.pinned and evse_of(station, reservation.target) == evse:
            return reservation
    return None


def spare(station: Station, number: int) -> bool:
    """Whether a driver without a reservation may take this connector without breaking a guarantee.

    The reserved drivers must be served by the other free places, also where a car without a token is plugged in here
    already: else whoever plugs in first would walk past the reservation.
    """
    targets = tuple(r.target for r in counted(station).values())
    connector = station.connectors[number]
    evse = connector.layout.evse_id
    types = frozenset(s.layout.connector_type.casefold() for s in station.siblings(number))
    touched = {n for n, target in enumerate(targets) if fits(target, types)}
    if not touched or not connector.can(Capability.WITHHOLD):
        return True
    rest = {place: kinds for place, kinds in free_places(station).items() if place != evse}
    return not touched & _stuck(rest, targets)


def shown_reserved(station: Station, number: int) -> bool:
    """Whether the connector is to be reported as Reserved: kept for somebody, or the last of what is promised."""
    pinned = pinned_on(station, number)
    if pinned is not None:
        return pinned.target.connector in (None, number)
    if not counted(station):
        return False
    return undecided(station, number) and not spare(station, number)


def undecided(station: Station, number: int) -> bool:
    """A reserved driver could still come here: free, or a car in it whose driver has not shown a token (16-RES-15)."""
    connector = station.connectors[number]
    if not in_order(station, connector) or not connector.can(Capability.WITHHOLD):
        return False
    begun = connector.phase is Phase.PREPARING or connector.transaction_id is not None
    waits = connector.phase is Phase.IDLE or (begun and connector.plugged)
    return waits and all(s.authorization is None and not _driven(station, s) for s in station.siblings(number))


def _driven(station: Station, connector: Connector) -> bool:
    """A transaction that no driver can join: one that began with the plug waits for its own, until it is stopped."""
    running = station.running(connector.number)
    return running is not None and (running.id_token is not None or running.halted is not None)
