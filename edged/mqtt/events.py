"""What happened, in the words of MQTT (docs/mqtt): which topic tells it, what its document says, how much it matters.

Pure. Owns the kinds of events and their rank, and what only shows when two states are compared (a status, a fault).
Refuses to know: numbers, disks, brokers.
Invariants: a token is shown under the policy only, also on the disk · every kind has one category of the contract, and
one shape of `data`, which is plain JSON · what is the gateway's is not told by each station.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, Final

from edged.domain.effects import Announce, Effect
from edged.domain.hardware import Fault
from edged.domain.pending import PendingToken
from edged.domain.places import pinned_on
from edged.domain.station import Connector, Reservation, Station
from edged.domain.status import connector_status
from edged.domain.types import IdToken
from edged.mqtt.documents import CONTRACT_MAJOR, date, dump, timestamp
from edged.mqtt.options import IdTokenPolicy
from edged.mqtt.privacy import shown_token

MAX_TEXT_CHARS: Final = 2_000
"""Longer texts of others (a reason, a DataTransfer) are cut in an event; their own topic or command has them whole."""
_FLOWING: Final = frozenset({"Charging", "SuspendedEV", "SuspendedEVSE"})


class Category(StrEnum):
    """The last level of an event's topic."""

    GATEWAY = "gateway"
    CONNECTOR = "connector"
    TRANSACTION = "transaction"
    RESERVATION = "reservation"
    SECURITY = "security"
    CONFIG = "config"
    OCPP = "ocpp"
    COMMAND = "command"


class Rank(IntEnum):
    """What goes first where there is no more room: the lowest."""

    LOW = 0
    NORMAL = 1
    HIGH = 2


_NAMES: Final[Mapping[str, str]] = {
    "gateway": "started stopping clock_stepped config_reloaded spool_overflow",
    "station": "started reset_began reset_scheduled reset_refused",
    "firmware": "ordered rejected waiting status failed",
    "connector": "status link fault fault_cleared lock unlock availability meter_turned reset reset_failed",
    "charging_profile": "set rejected cleared",
    "limit": "set cleared",
    "transaction": "started updated ended rejected",
    "reservation": "made used expired cancelled removed rejected conflict",
    "security": "event events_dropped",
    "certificate": "installed refused deleted discarded fallback_removed requested request_failed",
    "config": "key_changed",
    "ocpp": (
        "connected disconnected boot_accepted boot_rejected message_dropped stopped restarted data_transfer "
        "access_confirmed access_restored access_rolled_back access_dropped"
    ),
    "monitoring": "base_changed events_dropped",
    "log": "status",
    "customer": "told",
    "command": "executed refused",
}
KINDS: Final = frozenset(f"{subject}.{word}" for subject, words in _NAMES.items() for word in words.split())
"""Every event type that there is."""
_ELSEWHERE: Final = {
    "station": Category.GATEWAY,
    "firmware": Category.GATEWAY,
    "certificate": Category.SECURITY,
    "charging_profile": Category.CONNECTOR,
    "limit": Category.CONNECTOR,
    "monitoring": Category.OCPP,
    "log": Category.OCPP,
    "customer": Category.OCPP,
    "display": Category.OCPP,
}
"""Kinds whose first word is no category of the contract."""
_IN_OTHER_WORDS: Final[Mapping[str, str | None]] = {
    "gateway.started": "station.started",
    "gateway.stopping": "station.reset_began",
    "gateway.reset_scheduled": "station.reset_scheduled",
    "gateway.reset_refused": "station.reset_refused",
    "gateway.clock_stepped": None,
    "connector.lock": "connector.unlock",
    "connector.availability": None,
}
"""What a station announces and the contract means something else by: the life of the gateway is the gateway's to tell,
once; the lock and the availability are levels, of which the difference is told. None: told by others."""
_BY_ITSELF: Final = frozenset(
    {
        "connector.link",
        "connector.fault",
        "connector.fault_cleared",
        "ocpp.connected",
        "ocpp.disconnected",
        "reservation.expired",
        "reservation.removed",
    }
)
"""What nobody asks for, also where it shows in the step of somebody's command."""
_RANKS: Final = {
    Category.CONNECTOR: Rank.LOW,
    Category.COMMAND: Rank.LOW,
    Category.TRANSACTION: Rank.HIGH,
    Category.RESERVATION: Rank.HIGH,
    Category.SECURITY: Rank.HIGH,
}


def category_of(kind: str) -> Category:
    """Where an event of this kind is told. A kind that nobody has thought of is the gateway's."""
    word = kind.partition(".")[0]
    if word in _ELSEWHERE:
        return _ELSEWHERE[word]
    return Category(word) if word in frozenset(Category) else Category.GATEWAY


def rank_of(kind: str) -> Rank:
    return _RANKS.get(category_of(kind), Rank.NORMAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something that happened, not yet numbered. `station` is a slug, None for the gateway; `source` who did it:
    "csms", "mqtt:ACTOR", "local", None where nobody outside did."""

    kind: str
    at: datetime
    synchronized: bool
    station: str | None = None
    connector: int | None = None
    source: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rank(self) -> Rank:
        return rank_of(self.kind)


def document_of(happening: Happening, *, boot: str, seq: int, policy: IdTokenPolicy, salt: str) -> str:
    """The event's JSON, all of it but `replayed`, which only the moment of telling knows."""
    body = {
        "v": CONTRACT_MAJOR,
        "id": f"{boot}-{seq}",
        "boot": boot,
        "seq": seq,
        "ts": timestamp(happening.at),
        "clock": "synced" if happening.synchronized else "unsynced",
        "event_type": happening.kind,
        "station": happening.station,
        "connector": happening.connector,
        "source": happening.source,
        "data": {name: _plain(value, policy, salt) for name, value in happening.data.items()},
    }
    return dump(body).decode()


def told(text: str, *, replayed: bool) -> tuple[Category, dict[str, Any]]:
    """A kept document as it is published, and where. Raises ValueError for a text that is none."""
    body = json.loads(text)
    if not isinstance(body, dict) or not isinstance(body.get("event_type"), str):
        raise ValueError("no event")
    return category_of(body["event_type"]), {**body, "replayed": replayed}


def _plain(value: Any, policy: IdTokenPolicy, salt: str) -> Any:
    """A value of the core as JSON says it."""
    match value:
        case IdToken():
            return shown_token(value, policy, salt=salt)
        case StrEnum():
            return value.value
        case str():
            return value if len(value) <= MAX_TEXT_CHARS else value[: MAX_TEXT_CHARS - 1] + "…"
        case bool() | int() | None:
            return value
        case float():
            return value if math.isfinite(value) else None
        case datetime():
            return date(value)
        case Mapping():
            return {str(key): _plain(item, policy, salt) for key, item in value.items()}
        case Sequence() | frozenset():
            return [_plain(item, policy, salt) for item in value]
        case _:
            return str(value)


# --- a station's step


def happenings(
    before: Station, after: Station, effects: Sequence[Effect], *, slug: str, source: str | None
) -> list[Happening]:
    """All that a step is worth telling: what the core announces, and what differs between the two states."""
    found = [
        (kind, effect.connector, _data(kind, effect.data))
        for effect in effects
        if isinstance(effect, Announce) and (kind := _IN_OTHER_WORDS.get(effect.kind, effect.kind)) is not None
    ]
    found += [(kind, number, data) for number, kind, data in _differences(before, after)]
    found += [("reservation.conflict", number, data) for number, data in _conflicts(before, after, effects)]
    at, synchronized = after.clock.utc, after.clock.synchronized
    return [
        Happening(
            kind=kind,
            at=at,
            synchronized=synchronized,
            station=slug,
            connector=number,
            source=None if kind in _BY_ITSELF else source,
            data=data,
        )
        for kind, number, data in found
    ]


def _data(kind: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """As announced; a value that nobody may see says so."""
    hidden = kind == "config.key_changed" and data.get("value") is None
    return {**data, "redacted": True} if hidden else data


def _differences(before: Station, after: Station) -> Iterator[tuple[int, str, Mapping[str, Any]]]:
    """Statuses, faults, locks and availability are levels: what happened to them is the difference."""
    around_same = _same_around(before, after)
    if around_same and before.connectors is after.connectors:
        return
    alone = around_same and not after.reservations  # a counted reservation's guarantee ties connectors to each other
    for number, connector in after.connectors.items():
        former = before.connectors.get(number)
        if former is None or (alone and former is connector):
            continue
        old, new = connector_status(before, number), connector_status(after, number)
        if old != new:
            yield number, "connector.status", {"status": new, "previous": old}
            yield from _flow(before, after, number, old, new)
        was, state = _availability(before, number), _availability(after, number)
        if was != state:
            yield number, "connector.availability", {"state": state, "previous": was}
        if former is not connector:
            yield from _of_hardware(number, former, connector)


def _availability(station: Station, number: int) -> str:
    """As the state topic has it: out of service only once the transaction has ended."""
    serves = station.effective(number) or station.running(number) is not None
    return "Operative" if serves else "Inoperative"


def _conflicts(before: Station, after: Station, effects: Sequence[Effect]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Somebody else is at a place that is kept for a driver: a vehicle whose driver has shown nothing yet, or a driver
    who was turned away. Nothing is decided here: an operator may want to go and look."""
    if not before.reservations:
        return
    if before.connectors is not after.connectors:
        for number, connector in after.connectors.items():
            former = before.connectors.get(number)
            if former is None or former.plugged or not connector.plugged or connector.authorization is not None:
                continue
            held = pinned_on(before, number)
            if held is not None and after.running(number) is None and not _asked_about(after, number):
                yield number, {**_of_reservation(held), "cause": "plugged_in"}
    for effect in effects:
        if isinstance(effect, Announce) and effect.kind == "transaction.rejected" and effect.connector is not None:
            held = pinned_on(before, effect.connector) if effect.connector in before.connectors else None
            if held is not None:
                yield effect.connector, {**_of_reservation(held), "cause": "turned_away"}


def _asked_about(station: Station, number: int) -> bool:
    """Whether a driver has shown a token there and the CSMS has not answered yet."""
    return any(
        isinstance(waiting, PendingToken) and waiting.connector == number for waiting in station.pending.values()
    )


def _of_reservation(reservation: Reservation) -> dict[str, Any]:
    return {
        "reservation_id": reservation.id,
        "id_token": reservation.id_token,
        "expires_at": reservation.expires_at,
    }


def _flow(
    before: Station, after: Station, number: int, old: str, new: str
) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Energy begins or ceases to flow within one transaction."""
    running = after.running(number)
    if running is not None and before.running(number) is not None and {old, new} <= _FLOWING:
        yield number, "transaction.updated", {"transaction_id": running.id, "status": new, "previous": old}


def _of_hardware(number: int, former: Connector, connector: Connector) -> Iterator[tuple[int, str, dict[str, Any]]]:
    for fault in connector.faults:
        if fault not in former.faults:
            yield number, "connector.fault", _of_fault(fault)
    for fault in former.faults:
        if fault not in connector.faults:
            yield number, "connector.fault_cleared", _of_fault(fault)
    if former.lock is not connector.lock:
        yield number, "connector.lock", {"state": connector.lock, "previous": former.lock}


def _of_fault(fault: Fault) -> dict[str, Any]:
    return {
        "error_code": fault.code,
        "vendor_error_code": fault.vendor_code or None,
        "info": fault.info or None,
        "blocking": fault.blocking,
    }


def _same_around(before: Station, after: Station) -> bool:
    """Whether all that a connector's status follows from is the same, the connectors themselves aside."""
    return (
        before.transactions is after.transactions
        and before.reservations is after.reservations
        and before.configuration is after.configuration
        and before.operative == after.operative
    )
