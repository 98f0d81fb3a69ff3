"""From a checked command to a domain event (orders), to an answer taken from the station, or to a question for the
store; and from their answers to a reply's result. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edged.domain.answers import (
    TOKEN_ADMITTED,
    ConfigurationReport,
    Hindrance,
    MonitorReport,
    Reason,
    Switched,
    TokenVerdict,
    TransferStatus,
    Undelivered,
    Verdict,
)
from edged.domain.effects import Reply
from edged.domain.events import Event
from edged.domain.journal import TransferEntry
from edged.domain.slug import slug_of
from edged.domain.station import Station
from edged.domain.types import RequestRef
from edged.mqtt.commands import Code, Command, Problem
from edged.mqtt.documents import Document, carry, timestamp
from edged.mqtt.orders import order_of
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


@dataclass(frozen=True, slots=True)
class LookUp:
    """For the store: the last transfers of the station with this identity."""

    identity: str
    limit: int


@dataclass(frozen=True, slots=True)
class LookBack:
    """For the store: what happened after a number."""

    after_seq: int
    limit: int


@dataclass(frozen=True, slots=True)
class Republish:
    """For the mirror: every retained document again."""


Outcome = Answer | Ask | LookUp | LookBack | Republish | Problem

TRANSFERS = 20
"""How many transfers are listed where nobody says."""
EVENTS = 100
"""And how many events."""
MAX_LISTED_CHARS = 256 * 1024
"""Of data and answers in one list: what is older is left out, and told."""


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
    if command.name == "republish":
        return Republish()
    if command.name == "get_events":
        return LookBack(command.arguments["after_seq"], command.arguments.get("limit", EVENTS))
    named = command.arguments.get("station")
    if command.name in _OF_ALL and named is None:
        return Answer(_OF_ALL[command.name](stations, shown))
    station = _station(stations, named)
    if isinstance(station, Problem):
        return station
    if command.name in _OF_ALL:
        return Answer(_OF_ALL[command.name]({station.identity.id: station}, shown))
    if command.name == "list_data_transfers":
        return LookUp(station.identity.id, command.arguments.get("limit", TRANSFERS))
    event = order_of(command.name, station, command.arguments, request)
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
    """The documents of the state topics as a tree, each station with the last event that it contains; `since` and
    `previous` are null where no mirror has shown them."""
    out: dict[str, Any] = {}
    for identity, station in stations.items():
        view = shown(identity)
        tree: dict[str, Any] = {"as_of_seq": view.as_of(station), "connectors": {}}
        for topic, document in topics(station, view).items():
            place = view.names.parse_state(topic)
            if place is None:
                continue
            branch = tree if place.connector is None else tree["connectors"].setdefault(str(place.connector), {})
            told = view.told(topic)
            branch[place.aspect] = _plain(document if told is None else carry(told, document))
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


# --- the core's answers


def encode_result(reply: Reply) -> dict[str, Any] | bool | Problem:
    """A command's result. A negative answer (Rejected, Occupied) is one too: the station understood and decided."""
    if isinstance(reply.status, TokenVerdict):
        reason = reply.status.value
        return {
            "authorized": reply.status in TOKEN_ADMITTED,
            "reason": f"{reason}: {reply.detail}" if reply.detail else reason,
        }
    if isinstance(reply.status, Undelivered):
        return _undelivered(reply.status, reply.detail)
    if isinstance(reply.status, Switched):
        return reply.status is Switched.CHANGED
    if isinstance(reply.data, ConfigurationReport):
        return _configuration(reply.data)
    if isinstance(reply.data, MonitorReport):
        return {"monitored": list(reply.data.monitored), "unknown_keys": list(reply.data.unknown)}
    action = reply.request.action
    if action == "security_event" and reply.status is Verdict.ACCEPTED:
        return {"queued": True}
    result: dict[str, Any] = {"status": reply.status.value}
    if action == "reserve_now" and isinstance(reply.data, int):
        result["reservation_id"] = reply.data
    if action == "get_diagnostics":
        result["filename"] = reply.data if isinstance(reply.data, str) else None
    if action == "start_transaction" and reply.reason:
        result["reason"] = Hindrance.OCCUPIED.value if reply.reason == Reason.TX_IN_PROGRESS else str(reply.reason)
    if isinstance(reply.status, TransferStatus):
        result["data"] = reply.data
    if reply.detail:
        result["info"] = reply.detail
    return result


_NOT_SENT: Final = {Undelivered.OFFLINE: Code.CSMS_OFFLINE, Undelivered.BUSY: Code.BUSY}


def nothing_happened(reply: Reply) -> bool:
    """Whether the command may be given again with its id, for it was not carried out."""
    return reply.status in _NOT_SENT


def _undelivered(status: Undelivered, detail: str) -> Problem:
    if status is Undelivered.NO_ANSWER:
        code = Code.REJECTED if detail.startswith("CALLERROR") else Code.TIMEOUT
        return Problem(code, f"the CSMS gave no answer, and may have the message: {detail}")
    return Problem(_NOT_SENT[status], f"nothing was sent: {detail}")


def _configuration(report: ConfigurationReport) -> dict[str, Any]:
    return {
        "configuration_keys": [{"key": k.name, "value": k.value, "read_only": k.read_only} for k in report.keys],
        "unknown_keys": list(report.unknown),
    }


# --- the store's answers


def list_transfers(entries: Sequence[TransferEntry], station: Station) -> dict[str, Any]:
    """`list_data_transfers`: oldest first. Times are corrected where the clock became known later."""
    listed: list[dict[str, Any]] = []
    room = MAX_LISTED_CHARS
    for entry in reversed(entries):
        room -= len(entry.data or "") + len(entry.answer or "")
        if room < 0 and listed:
            break
        listed.append(_transfer(entry, station))
    listed.reverse()
    return {"transfers": listed, "left_out": len(entries) - len(listed)}


def _transfer(entry: TransferEntry, station: Station) -> dict[str, Any]:
    return {
        "time": timestamp(station.true_time(entry.at)),
        "direction": entry.direction.value,
        "source": entry.source,
        "vendor_id": entry.vendor_id,
        "message_id": entry.message_id,
        "data": entry.data,
        "data_chars": entry.data_chars,
        "status": entry.status,
        "answer": entry.answer,
    }
