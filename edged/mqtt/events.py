"""What happened, in the words of MQTT (docs/mqtt): which topic tells it, what its document says, how much it matters.

Pure. Owns the kinds of events and their rank, and what only shows when two states are compared (a status, a fault).
Refuses to know: numbers, disks, brokers.
Invariants: a token is shown under the policy only, also on the disk · every kind has one category of the contract ·
`data` holds plain JSON.
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
from edged.domain.station import Connector, Station
from edged.domain.status import connector_status
from edged.domain.types import IdToken
from edged.mqtt.documents import CONTRACT_MAJOR, dump, timestamp
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


_ELSEWHERE: Final = {
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
            return timestamp(value)
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
    stamp = {"at": after.clock.utc, "synchronized": after.clock.synchronized, "station": slug, "source": source}
    found = [
        Happening(kind=effect.kind, connector=effect.connector, data=effect.data, **stamp)  # type: ignore[arg-type]
        for effect in effects
        if isinstance(effect, Announce)
    ]
    found += [
        Happening(kind=kind, connector=number, data=data, **stamp)  # type: ignore[arg-type]
        for number, kind, data in _differences(before, after)
    ]
    return found


def _differences(before: Station, after: Station) -> Iterator[tuple[int, str, Mapping[str, Any]]]:
    """Statuses, faults and locks are levels: what happened to them is the difference."""
    if _same(before, after):
        return
    for number, connector in after.connectors.items():
        former = before.connectors.get(number)
        if former is None:
            continue
        old, new = connector_status(before, number), connector_status(after, number)
        if old != new:
            yield number, "connector.status", {"status": new, "previous": old}
            yield from _flow(before, after, number, old, new)
        if former is not connector:
            yield from _of_hardware(number, former, connector)


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


def _same(before: Station, after: Station) -> bool:
    return (
        before.connectors is after.connectors
        and before.transactions is after.transactions
        and before.reservations is after.reservations
        and before.operative == after.operative
    )
