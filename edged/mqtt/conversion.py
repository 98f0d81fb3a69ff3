"""From a checked command to a domain event, or to an answer taken from the station; and from the core's answer to a
reply's result. Pure: one small function a command, in one table.

Refuses to judge: a connector that does not exist is told (`not_found`), everything else is the core's to decide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from edged.domain.answers import TOKEN_ADMITTED, TokenVerdict
from edged.domain.commands import CancelReservation, ReserveNow, Target
from edged.domain.effects import Reply
from edged.domain.events import Event, PresentToken
from edged.domain.station import Station
from edged.domain.types import IdToken, RequestRef
from edged.mqtt.commands import Code, Command, Problem
from edged.mqtt.documents import Document
from edged.mqtt.names import slug_of
from edged.mqtt.topics import Shown, reservation_words, topics


@dataclass(frozen=True, slots=True)
class Answer:
    """Answered already; nothing to do."""

    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ask:
    """For the engine of the station with this identity."""

    identity: str
    event: Event


Outcome = Answer | Ask | Problem


def interpret(
    command: Command,
    request: RequestRef,
    *,
    stations: Mapping[str, Station],
    shown: Callable[[str], Shown],
) -> Outcome:
    """What a command comes to."""
    if command.name == "ping":
        return Answer({"pong": True})
    named = command.arguments.get("station")
    if command.name in _OF_ALL and named is None:
        return Answer(_OF_ALL[command.name](stations, shown))
    station = _station(stations, named)
    if isinstance(station, Problem):
        return station
    if command.name in _OF_ALL:
        return Answer(_OF_ALL[command.name]({station.identity.id: station}, shown))
    event = _EVENTS[command.name](station, command.arguments, request)
    return event if isinstance(event, Problem) else Ask(station.identity.id, event)


def _station(stations: Mapping[str, Station], named: str | None) -> Station | Problem:
    if named is None:
        if len(stations) == 1:
            return next(iter(stations.values()))
        return Problem(
            Code.INVALID_ARGS,
            "station is missing: this gateway has several",
            {"stations": [slug_of(identity) for identity in stations]},
        )
    for identity, station in stations.items():
        if named in (identity, slug_of(identity)):
            return station
    return Problem(Code.NOT_FOUND, "no such station", {"stations": [slug_of(identity) for identity in stations]})


# --- answered from the station


def _get_state(stations: Mapping[str, Station], shown: Callable[[str], Shown]) -> dict[str, Any]:
    """The documents of the state topics as a tree. `since` and `previous` are null here: they belong to the topics."""
    out: dict[str, Any] = {}
    for identity, station in stations.items():
        view = shown(identity)
        tree: dict[str, Any] = {"connectors": {}}
        for topic, document in topics(station, view).items():
            place = view.names.parse_state(topic)
            if place is None:
                continue
            branch = tree if place.connector is None else tree["connectors"].setdefault(str(place.connector), {})
            branch[place.aspect] = _plain(document)
        out[slug_of(identity)] = tree
    return {"stations": out}


def _plain(document: Document) -> Any:
    return document.body if isinstance(document.body, str) else dict(document.body)


def _list_reservations(stations: Mapping[str, Station], shown: Callable[[str], Shown]) -> dict[str, Any]:
    return {
        "reservations": [
            {
                "station": slug_of(identity),
                "connector": reservation.target.connector,
                "evse_id": reservation.target.evse,
                "connector_type": reservation.target.connector_type,
                **reservation_words(reservation, station, shown(identity)),
            }
            for identity, station in stations.items()
            for reservation in sorted(station.reservations.values(), key=lambda r: r.id)
        ]
    }


_OF_ALL: Final[Mapping[str, Callable[[Mapping[str, Station], Callable[[str], Shown]], dict[str, Any]]]] = {
    "get_state": _get_state,
    "list_reservations": _list_reservations,
}
"""Commands that look at every station where none is named."""


# --- for the engine


def _no_connector(station: Station) -> Problem:
    return Problem(Code.NOT_FOUND, "no such connector", {"connectors": sorted(station.connectors)})


def _reserve_now(station: Station, arguments: Mapping[str, Any], request: RequestRef) -> Event | Problem:
    connector, evse = arguments.get("connector"), arguments.get("evse_id")
    if connector and connector not in station.connectors:
        return _no_connector(station)
    if evse is not None and all(c.layout.evse_id != evse for c in station.connectors.values()):
        return Problem(Code.NOT_FOUND, "no such EVSE")
    group = arguments.get("group_id_token")
    return ReserveNow(
        request=request,
        reservation_id=arguments.get("reservation_id"),
        target=Target(connector=connector or None, evse=evse, connector_type=arguments.get("connector_type")),
        id_token=_token(arguments),
        group=None if group is None else IdToken(group),
        expires_at=arguments["expires_at"],
    )


def _cancel_reservation(station: Station, arguments: Mapping[str, Any], request: RequestRef) -> Event | Problem:
    return CancelReservation(request, arguments["reservation_id"])


def _present_token(station: Station, arguments: Mapping[str, Any], request: RequestRef) -> Event | Problem:
    connector = arguments.get("connector")
    if connector is not None and connector not in station.connectors:
        return _no_connector(station)
    return PresentToken(_token(arguments), connector, request)


def _token(arguments: Mapping[str, Any]) -> IdToken:
    return IdToken(arguments["id_token"], arguments.get("type"))


_EVENTS: Final[Mapping[str, Callable[[Station, Mapping[str, Any], RequestRef], Event | Problem]]] = {
    "reserve_now": _reserve_now,
    "cancel_reservation": _cancel_reservation,
    "present_token": _present_token,
}


# --- the core's answers


def encode_result(reply: Reply) -> dict[str, Any]:
    """A command's result. A negative answer (Rejected, Occupied) is one too: the station understood and decided."""
    if isinstance(reply.status, TokenVerdict):
        reason = reply.status.value
        return {
            "authorized": reply.status in TOKEN_ADMITTED,
            "reason": f"{reason}: {reply.detail}" if reply.detail else reason,
        }
    result: dict[str, Any] = {"status": reply.status.value}
    if reply.request.action == "reserve_now" and isinstance(reply.data, int):
        result["reservation_id"] = reply.data
    if reply.detail:
        result["info"] = reply.detail
    return result
