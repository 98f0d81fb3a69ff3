"""The flat mirror: one value a topic, for a driver that binds one datapoint to one topic (docs/mqtt). PURE.

Every point is a member of a state document, by the one table below: both views cannot disagree. Owns the names, units
and words of points. Refuses to know: stations, when a value is worth a message.
Invariant: a point's name and type never change within v1; a value that is not known is null, never empty and never 0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from edged.domain.hardware import FaultCode, LockState
from edged.mqtt.documents import Document, dump, timestamp
from edged.mqtt.options import PointForm

QUALITY: Final = {"good": 1, "stale": 2, "invalid": 3, "substituted": 4}
"""As integers: 1 is to be believed, anything else is not quite."""
STATUSES: Final = (
    "Available",
    "Preparing",
    "Charging",
    "SuspendedEV",
    "SuspendedEVSE",
    "Finishing",
    "Reserved",
    "Unavailable",
    "Faulted",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One value of a connector: the member `path` of the document `aspect`; an empty path is a document that is a word.

    `kind`: boolean, integer, number, string or time; `words`: all that a string can be, where that is known.
    """

    name: str
    aspect: str
    path: tuple[str, ...] = ()
    kind: str
    unit: str | None = None
    description: str
    words: tuple[str, ...] = ()


def _measured(name: str, unit: str, description: str, *path: str) -> Point:
    return Point(name=name, aspect="meter", path=path or (name,), kind="number", unit=unit, description=description)


def _of_phases(quantity: str, unit: str, suffix: str, description: str) -> tuple[Point, ...]:
    return tuple(
        _measured(f"{quantity}_l{n}_{suffix}", unit, f"{description} of phase {n}", f"{quantity}_{suffix}", f"l{n}")
        for n in (1, 2, 3)
    )


def _member(name: str, aspect: str, member: str, kind: str, description: str, **more: Any) -> Point:
    return Point(name=name, aspect=aspect, path=(member,), kind=kind, description=description, **more)


POINTS: Final[tuple[Point, ...]] = (
    Point(
        name="link",
        aspect="link",
        kind="string",
        words=("online", "offline"),
        description="whether the charger answers",
    ),
    _member("status", "status", "status", "string", "the connector's status in OCPP's words", words=STATUSES),
    _member("plugged", "status", "plugged", "boolean", "whether a vehicle is plugged in"),
    _member("ready", "status", "ready", "boolean", "whether a driver may come"),
    _member("fault", "error", "active", "boolean", "whether there is a fault or a warning"),
    _member(
        "error_code",
        "error",
        "error_code",
        "string",
        "the gravest fault in OCPP's words",
        words=("NoError", *(code.value for code in FaultCode)),
    ),
    _member("vendor_error_code", "error", "vendor_error_code", "string", "the charger's own name of the fault"),
    _member("fault_info", "error", "info", "string", "the fault in the charger's own sentence"),
    _member(
        "availability",
        "availability",
        "state",
        "string",
        "whether it is in service, as commanded",
        words=("Operative", "Inoperative"),
    ),
    _member("lock", "lock", "state", "string", "the connector's lock", words=tuple(state.value for state in LockState)),
    _member("reserved", "reservation", "active", "boolean", "whether it is reserved"),
    _member("reservation_id", "reservation", "reservation_id", "integer", "the reservation"),
    _member("reservation_expires_at", "reservation", "expires_at", "time", "when the reservation ends"),
    _member("charging_session", "transaction", "active", "boolean", "whether a transaction runs"),
    _member("transaction_id", "transaction", "transaction_id", "string", "the transaction"),
    _member("transaction_started_at", "transaction", "started_at", "time", "when the transaction began"),
    _member("transaction_energy_wh", "transaction", "energy_wh", "number", "energy of the transaction", unit="Wh"),
    _member("transaction_stop_reason", "transaction", "stop_reason", "string", "why the last transaction ended"),
    _member("limit_local_a", "limit", "local_limit_a", "number", "what the site allows", unit="A"),
    _member("limit_csms_a", "limit", "csms_limit_a", "number", "what the CSMS's profiles allow", unit="A"),
    _member("limit_a", "limit", "effective_a", "number", "what the connector may give", unit="A"),
    _measured("power_w", "W", "active power"),
    _measured("energy_wh", "Wh", "energy register, never falling"),
    *_of_phases("current", "A", "a", "current"),
    *_of_phases("voltage", "V", "v", "voltage"),
    _measured("frequency_hz", "Hz", "frequency of the grid"),
    _measured("temperature_c", "°C", "temperature of the charger"),
    _measured("soc_pct", "%", "state of charge of the vehicle"),
)
_RUNNING_ENERGY: Final = "transaction_energy_wh"
MEASURED: Final = frozenset(point.name for point in POINTS if point.aspect == "meter") | {_RUNNING_ENERGY}
"""What was read at a moment, and is not known to be so at a later one."""
SLOW_REFRESH_S: Final = 100
"""A value that does not move is written again so often, for a bus whose subscribers come and go."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a point is at the moment. `quality` as in `QUALITY`; `at`: when its document's facts were observed."""

    value: Any
    quality: int
    at: datetime | None

    def says_the_same(self, other: Reading | None) -> bool:
        """The time alone is no news."""
        return other is not None and (self.value, self.quality) == (other.value, other.quality)


def readings(documents: Mapping[str, Document]) -> dict[str, Reading]:
    """The points of one connector by name, from its state documents by aspect; what is not there has no points."""
    link = documents.get("link")
    online = link is not None and link.body == "online"
    found = {
        point.name: Reading(value_of(point, document), _quality(point, document, online=online), document.at)
        for point in POINTS
        if (document := documents.get(point.aspect)) is not None
    }
    register, session = found.get("energy_wh"), found.get("charging_session")
    if session is not None and session.value and register is not None and register.quality != QUALITY["good"]:
        # it follows from the register, and is no better and no newer
        found[_RUNNING_ENERGY] = replace(found[_RUNNING_ENERGY], quality=register.quality, at=register.at)
    quality, at = (_said(documents.get("transaction"), member) for member in ("energy_quality", "energy_at"))
    if at is not None:  # also where the register itself is not known yet, behind a restart
        own = QUALITY.get(quality, QUALITY["invalid"])
        found[_RUNNING_ENERGY] = replace(found[_RUNNING_ENERGY], quality=own, at=datetime.fromisoformat(at))
    return found


def _said(document: Document | None, member: str) -> Any:
    return None if document is None or isinstance(document.body, str) else document.body.get(member)


def written(reading: Reading, form: PointForm) -> Document:
    """As published. An object has these three members and no others: drivers that bind it expect no more."""
    if form is PointForm.SCALAR:
        return Document(body=_bare(reading.value), qos=0)
    at = None if reading.at is None else timestamp(reading.at)
    body = dump({"value": reading.value, "timestamp": at, "quality": reading.quality})
    return Document(body=body.decode(), qos=0)


def value_of(point: Point, document: Document) -> Any:
    """What the point is: the member of its document, None where it is not known."""
    value: Any = document.body
    for member in point.path:
        value = value.get(member) if isinstance(value, Mapping) else None
    return value


def _quality(point: Point, document: Document, *, online: bool) -> int:
    """A document that says its own quality has the word; what the charger tells is stale while it does not answer."""
    own = document.body.get("quality") if isinstance(document.body, Mapping) else None
    if isinstance(own, str):
        return QUALITY.get(own, QUALITY["invalid"])
    of_charger = point.aspect in ("status", "error", "lock")
    return QUALITY["stale"] if of_charger and not online else QUALITY["good"]


def _bare(value: Any) -> str:
    """A text as it is, anything else as JSON says it."""
    return value if isinstance(value, str) else json.dumps(value)


def metas(at: datetime) -> dict[str, Document]:
    """What each point is, by name."""
    return {
        point.name: Document(
            body={
                "unit": point.unit,
                "type": point.kind,
                "description": point.description,
                "enum": list(point.words) or None,
            },
            at=at,
        )
        for point in POINTS
    }
