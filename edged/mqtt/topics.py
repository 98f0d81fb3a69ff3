"""Every retained state document, derived from the station (docs/mqtt).

Pure and level-triggered: the same station gives the same documents, nothing is remembered here. What only a reader's
past can tell (`since`, `previous`) is left to `documents.carry`; how often it is worth a message, to `throttle`.
Unknown is null, never 0 and never left out.
Invariants: no token is shown but through the policy · a measured value that was not read in time is never shown as
present.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from edged.domain import display, limit_sources
from edged.domain.displays import Bill
from edged.domain.events import Registration
from edged.domain.hardware import Fault, LockState, Measurand, Phases
from edged.domain.limits import current_ma
from edged.domain.places import pinned_on
from edged.domain.slug import slug_of
from edged.domain.station import Connector, Reservation, Station, Transaction
from edged.domain.status import connector_status, unbelievable
from edged.mqtt.documents import Document, date, number, timestamp
from edged.mqtt.names import Names
from edged.mqtt.options import IdTokenPolicy, Quality
from edged.mqtt.privacy import shown_token
from edged.mqtt.watched_keys import watched_keys


@dataclass(frozen=True, slots=True, kw_only=True)
class CsmsView:
    """What the link to the CSMS is beyond the core's own view. `url` without credentials; `version` None: not agreed.

    `state`: "disconnected", "connecting", "connected" or whatever the link calls it; `reason`: why it went last.
    """

    url: str | None = None
    version: str | None = None
    security_profile: int | None = None
    state: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Where and how a station is shown. `told`: what a topic was told last, None where nothing was. `as_of`: the last
    event that a station contains, None where nobody counts. `sources`: how each charger is read, by name."""

    names: Names
    id_tokens: IdTokenPolicy = IdTokenPolicy.MASKED
    csms: CsmsView = CsmsView()
    sources: Mapping[str, str] = field(default_factory=dict)
    told: Callable[[str], Document | None] = field(default=lambda _topic: None, compare=False, repr=False)
    as_of: Callable[[Station], int | None] = field(default=lambda _station: None, compare=False, repr=False)

    def token(self, reservation_or_transaction: Reservation | Transaction | None) -> str | None:
        if reservation_or_transaction is None:
            return None
        return shown_token(reservation_or_transaction.id_token, self.id_tokens, salt=self.names.gateway)


def topics(station: Station, shown: Shown) -> dict[str, Document]:
    """All state topics of one station."""
    slug, names = slug_of(station.identity.id), shown.names
    documents = {
        names.of_station(slug, "info"): _info(station, shown.csms),
        names.of_station(slug, "ocpp/is_connected"): _is_connected(station),
        names.of_station(slug, "ocpp/connection"): _connection(station, shown.csms),
    }
    documents |= {names.of_station(slug, f"ocpp/config/{key}"): one for key, one in watched_keys(station).items()}
    for n, connector in station.connectors.items():
        for aspect, document in _of_connector(station, connector, shown).items():
            documents[names.of_connector(slug, n, aspect)] = document
    return documents


def _of_connector(station: Station, connector: Connector, shown: Shown) -> dict[str, Document]:
    documents = {
        "link": Document(body="online" if connector.online else "offline", at=station.clock.utc),
        "status": _status(station, connector),
        "error": _error(station, connector),
        "availability": _availability(station, connector),
        "lock": _lock(station, connector),
        "reservation": _reservation(station, connector, shown),
        "transaction": _transaction(station, connector, shown),
        "limit": _limit(station, connector),
        "meter": meter(station, connector, source=shown.sources.get(connector.layout.charger, "modbus")),
    }
    if station.rules.has_display:
        documents["display"] = _display(station, connector)
    return documents


# --- the station


def _info(station: Station, csms: CsmsView) -> Document:
    identity = station.identity
    return Document(
        body={
            "identity": identity.id,
            "vendor": identity.vendor,
            "model": identity.model,
            "serial": identity.serial_number,
            "firmware": identity.firmware_version,
            "ocpp_version": csms.version,
            "connectors": [
                {
                    "connector": n,
                    "connector_id": n,
                    "evse_id": c.layout.evse_id,
                    "evse_connector_id": c.layout.connector_id,
                    "type": c.layout.connector_type,
                    "charger": c.layout.charger,
                    "phases": c.layout.phases,
                    "max_current_a": number(c.layout.max_current_ma / 1000),
                    "capabilities": sorted(c.capabilities),
                }
                for n, c in station.connectors.items()
            ],
        },
        at=station.clock.utc,
    )


def _is_connected(station: Station) -> Document:
    connected = station.link.online and station.isolation is None
    return Document(body="true" if connected else "false", at=station.clock.utc)


def _connection(station: Station, csms: CsmsView) -> Document:
    link, stopped = station.link, station.isolation is not None
    online = link.online and not stopped
    state = csms.state or ("connected" if online else "disconnected")
    return Document(
        body={
            "connected": online,
            "state": "stopped" if stopped else state,
            "registration": None if link.registration is Registration.NONE else link.registration.value,
            "csms_url": csms.url,
            "identity": station.identity.id,
            "version": csms.version,
            "security_profile": csms.security_profile,
            "since": None,
            "reason": None if online else csms.reason,
            "queued": station.queued,
        },
        at=station.clock.utc,
        tracked="connected",
    )


# --- one connector


def _status(station: Station, connector: Connector) -> Document:
    status = connector_status(station, connector.number)
    return Document(
        body={
            "status": status,
            "previous": None,
            "since": None,
            "plugged": connector.plugged if connector.observed_at is not None else None,
            "ready": connector.online and status == "Available",
            "connector_id": connector.number,
            "evse_id": connector.layout.evse_id,
        },
        at=station.clock.utc,
        tracked="status",
    )


def _error(station: Station, connector: Connector) -> Document:
    fault = _worst(connector.faults)
    return Document(
        body={
            "active": fault is not None,
            "error_code": fault.code.value if fault else "NoError",
            "vendor_error_code": (fault.vendor_code or None) if fault else None,
            "info": (fault.info or None) if fault else None,
            "blocking": fault.blocking if fault else False,
            "others": [f.code.value for f in connector.faults if f is not fault],
            "since": None,
        },
        at=station.clock.utc,
        tracked="error_code",
    )


def _worst(faults: tuple[Fault, ...]) -> Fault | None:
    """What stops charging goes before a warning; otherwise the first that the charger names."""
    return next((f for f in faults if f.blocking), faults[0] if faults else None)


_PENDING = {None: None, True: "Operative", False: "Inoperative"}


def _availability(station: Station, connector: Connector) -> Document:
    """The commanded state; `pending`: what it will be once a transaction has ended or the charger has confirmed."""
    serves = station.effective(connector.number)
    closes = not serves and station.running(connector.number) is not None  # as soon as the transaction has ended
    pending = connector.changing if connector.changing is not None else connector.scheduled
    own = connector.operative and connector.evse_operative
    return Document(
        body={
            "state": "Operative" if serves or closes else "Inoperative",
            "pending": "Inoperative" if closes else _PENDING[pending],
            "source": "connector" if not own else None if station.operative else "station",
        },
        at=station.clock.utc,
    )


def _lock(station: Station, connector: Connector) -> Document:
    state = connector.lock if connector.online else LockState.UNKNOWN
    return Document(body={"state": state.value}, at=station.clock.utc)


def _reservation(station: Station, connector: Connector, shown: Shown) -> Document:
    held = pinned_on(station, connector.number)
    if held is None or held.target.connector not in (None, connector.number):
        held = None
    body: dict[str, Any] = {"active": held is not None}
    if held is not None:
        body |= reservation_words(held, station, shown)
    else:
        body |= dict.fromkeys(("reservation_id", "id_token", "expires_at", "source", "created_at"))
    return Document(body=body, at=station.clock.utc)


def reservation_words(reservation: Reservation, station: Station, shown: Shown) -> dict[str, Any]:
    return {
        "reservation_id": reservation.id,
        "id_token": shown.token(reservation),
        "expires_at": date(reservation.expires_at),
        "source": reservation.source,
        "created_at": timestamp(station.true_time(reservation.created)),
    }


def _transaction(station: Station, connector: Connector, shown: Shown) -> Document:
    """The running transaction, or the last one of this connector; the core forgets that with its last message to the
    CSMS, and `carry` goes on showing it."""
    transaction = station.running(connector.number) or _last_of(station, connector.number)
    body: dict[str, Any] = {"active": transaction is not None and transaction.active}
    if transaction is None:
        members = ("transaction_id", "ocpp_transaction_id", "id_token", "started_at", *_ENERGY, "reservation_id")
        body |= dict.fromkeys((*members, "stop_reason", "ended_at"))
        return Document(body=body, at=station.clock.utc, measured=True, lasting="ended_at")
    ending = transaction.ending
    body |= {
        "transaction_id": transaction.id,
        "ocpp_transaction_id": transaction.external_ref,
        "id_token": shown.token(transaction),
        "started_at": timestamp(station.true_time(transaction.started)),
        **_used(station, connector, transaction),
        "reservation_id": transaction.reservation_id,
        "stop_reason": ending.reason.value if ending is not None else None,
        "ended_at": timestamp(station.true_time(ending.at)) if ending is not None else None,
    }
    return Document(body=body, at=station.clock.utc, measured=True, lasting="ended_at")


_ENERGY: Final = ("energy_wh", "energy_quality", "energy_at")


def _used(station: Station, connector: Connector, transaction: Transaction) -> dict[str, Any]:
    """The energy of a transaction, what it is worth, and when it was read where that is not now. Of one that runs since
    before a restart the disk has the last reading that was worth a write, until its charger has answered again."""
    ending, quality, read = transaction.ending, Quality.GOOD, None
    if ending is not None:
        register_wh = ending.meter_wh
    elif connector.energy_wh is not None:
        register_wh, quality = connector.energy_wh, _belief(station, connector)
        if quality is not Quality.GOOD and connector.energy_at is not None:
            read = station.stamp(connector.energy_at)
    elif Measurand.ENERGY in connector.layout.measurands and transaction.kept_at.boot != station.boot.id:
        register_wh, read = transaction.kept_meter_wh, transaction.kept_at
        quality = Quality.SUBSTITUTED if connector.online else Quality.STALE
    else:
        return dict.fromkeys(_ENERGY)
    used_wh = max(0.0, register_wh - transaction.meter_start_wh)
    at = None if read is None else timestamp(station.true_time(read))
    return dict(zip(_ENERGY, (number(used_wh), quality.value, at), strict=True))


def _last_of(station: Station, number_: int) -> Transaction | None:
    ended = [t for t in station.transactions.values() if t.connector == number_ and t.ending is not None]
    return max(ended, key=lambda t: t.ending.at.utc if t.ending else t.started.utc, default=None)


def _limit(station: Station, connector: Connector) -> Document:
    """`local_limit_a`: what local people have set, never above what the installation allows. `csms_limit_a`: what the
    CSMS's charging profiles say, null where they say nothing. `effective_a`: what the connector may give now, the lower
    of both or its part of it, and nothing where that is less than its charger can go down to; `source`: whose word that
    is. `charger_a`: what the charger says that it was set to, null where it does not say."""
    said_ma, csms_ma = connector.limit_ma, limit_sources.csms_ma(station, connector)
    return Document(
        body={
            "local_limit_a": number(limit_sources.local_ma(station, connector) / 1000),
            "csms_limit_a": None if csms_ma is None else number(csms_ma / 1000),
            "effective_a": number(current_ma(connector) / 1000),
            "charger_a": None if said_ma is None or not connector.online else number(said_ma / 1000),
            "source": limit_sources.source(station, connector).value,
        },
        at=station.clock.utc,
    )


def _display(station: Station, connector: Connector) -> Document:
    """What a display at the connector is to show in turn, and what the session costs."""
    bill = station.bills.get(connector.number, Bill())
    return Document(
        body={
            "messages": [
                {
                    "id": message.id,
                    "priority": message.priority.value,
                    "format": message.content.format,
                    "language": message.content.language,
                    "text": message.content.text,
                }
                for message in display.shown(station, connector.number, station.clock)
            ],
            "text": None if bill.message is None else bill.message.text,
            "total_cost": number(bill.total),
            "currency": station.configuration.text("Currency") or None,
            "is_final": bill.final,
        },
        at=station.clock.utc,
    )


def meter_quality(station: Station, connector: Connector) -> Quality:
    """Of the whole reading: `stale` where the charger does not answer; `invalid` where nothing that it answers can be
    believed; `substituted` where the register was not among what was read, or does not follow from what was read
    before, and the last one that was believed stands for it."""
    quality = _belief(station, connector)
    return Quality.SUBSTITUTED if quality is Quality.GOOD and not _register_was_read(connector) else quality


def _belief(station: Station, connector: Connector) -> Quality:
    """The same of the last register that was believed, whichever reading it came with."""
    if not connector.online:
        return Quality.STALE
    if unbelievable(station, connector):
        return Quality.INVALID
    return Quality.GOOD if connector.energy_doubt is None else Quality.SUBSTITUTED


def _register_was_read(connector: Connector) -> bool:
    """In the very observation that gives the document its time; a charger without a register has none to read."""
    seen_s, at = connector.observed_at_s, connector.energy_at
    return connector.energy_wh is None or seen_s is None or (at is not None and at.monotonic_s >= seen_s)


def meter(station: Station, connector: Connector, *, source: str = "modbus") -> Document:
    """The last reading. Of what is stale or invalid the register is kept; what flows at the moment is unknown.
    `source`: how the charger is read."""
    reading, quality = connector.meter, meter_quality(station, connector)
    online = quality in (Quality.GOOD, Quality.SUBSTITUTED)
    return Document(
        body={
            "quality": quality.value,
            "power_w": number(reading.power_w) if online else None,
            "energy_wh": number(connector.energy_wh),
            "current_a": _phases(reading.current_a if online else Phases()),
            "voltage_v": _phases(reading.voltage_v if online else Phases()),
            "frequency_hz": number(reading.frequency_hz) if online else None,
            "temperature_c": number(reading.temperature_c) if online else None,
            "soc_pct": number(reading.soc_pct) if online else None,
            "source": source,
        },
        at=connector.observed_at or station.clock.utc,
        qos=0,
        measured=True,
        repeated=True,
    )


def _phases(phases: Phases) -> dict[str, float | int | None]:
    return {"l1": number(phases.l1), "l2": number(phases.l2), "l3": number(phases.l3)}
