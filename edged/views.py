"""How others see the stations: adapters between the engines and those who watch and command them locally.

Knows the engines by their ports only. Owns no fact: every view is taken from the committed station.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from edged.domain.access import security_profile
from edged.domain.display import shown, to_begin
from edged.domain.displays import Bill
from edged.domain.events import Event
from edged.domain.fault_memory import last_of
from edged.domain.files import FirmwareUpdate, LogUpload
from edged.domain.limits import current_ma
from edged.domain.past import PastReset
from edged.domain.pending import PendingReset
from edged.domain.station import Connector, Station, Transaction
from edged.domain.status import connector_status, station_status, unbelievable
from edged.domain.types import Now


class EngineView(Protocol):
    """What a view needs of an engine."""

    @property
    def station(self) -> Station: ...

    @property
    def degraded(self) -> str: ...

    def post(self, event: Event) -> bool: ...


def visible(station: Station) -> tuple[object, ...]:
    """The parts of a station that views are made of; each is replaced when it changes, so identity tells."""
    return (
        station.connectors,
        station.reservations,
        station.transactions,
        station.display_messages,
        station.bills,
        station.configuration,
        station.link,
        station.access,
        station.operative,
        station.reset,
        station.queued,
        station.clock.synchronized,
        station.isolation,
        station.monitored_keys,
    )


@dataclass(slots=True)
class Watcher:
    """A mirror that hands the station on when anything that can be seen of it has changed. The clock alone does that
    only for messages that begin, and for chargers that say nothing any more that can be believed."""

    tell: Callable[[Station, Now], None]
    _last: tuple[object, ...] = field(default=(), init=False)
    _by_clock: tuple[int, int] = field(default=(0, 0), init=False)

    def show(self, station: Station, now: Now) -> None:
        seen = visible(station)
        doubted = sum(unbelievable(station, connector) for connector in station.connectors.values())
        by_clock = (to_begin(station, station.clock), doubted)
        same = len(seen) == len(self._last) and all(new is old for new, old in zip(seen, self._last, strict=True))
        if not same or by_clock != self._by_clock:
            self._last, self._by_clock = seen, by_clock
            self.tell(station, now)


def status_document(station: Station, *, degraded: str, link: Mapping[str, Any]) -> dict[str, Any]:
    """What `edged status` prints of one station: plain JSON values, tokens masked."""
    return {
        "id": station.identity.id,
        "status": station_status(station),
        "csms": {"registration": station.link.registration.value, "online": station.link.online, **link},
        "clock": {"utc": station.clock.utc.isoformat(), "synchronized": station.clock.synchronized},
        "queued": station.queued,
        "security": {"profile": security_profile(station), "on_trial": station.access.former is not None},
        "local_list": {
            "version": station.local_list_version,
            "entries": len(station.local_list),
            "contradicted": station.list_conflict,
        },
        "charging_profiles": len(station.charging_profiles),
        "firmware": _firmware(station.firmware),
        "upload": _upload(station.upload),
        "degraded": degraded or None,
        "reset": _reset(station.reset),
        "resets": [_past_reset(station, one) for one in station.resets.resets],
        "connectors": [_connector(station, number) for number in station.connectors],
        "reservations": [
            {
                "id": reservation.id,
                "connector": reservation.target.connector,
                "evse": reservation.target.evse,
                "id_token": reservation.id_token.masked(),
                "expires_at": reservation.expires_at.isoformat(),
                "source": reservation.source,
            }
            for reservation in station.reservations.values()
        ],
        "transactions": [_transaction(transaction) for transaction in station.transactions.values()],
    }


def _reset(pending: PendingReset | None) -> str | None:
    return None if pending is None else pending.kind.value


def _past_reset(station: Station, one: PastReset) -> dict[str, Any]:
    at = station.true_time(one.at).isoformat(timespec="seconds")
    return {"at": at, "type": one.kind.value, "evse": one.evse, "ordered_by": one.source or None}


def _last_fault(station: Station, connector: Connector) -> dict[str, Any] | None:
    last = last_of(connector)
    if last is None:
        return None
    cleared = None if last.cleared is None else station.true_time(last.cleared).isoformat(timespec="seconds")
    return {
        "code": last.code.value,
        "vendor_code": last.vendor_code or None,
        "info": last.info or None,
        "since": station.true_time(last.since).isoformat(timespec="seconds"),
        "cleared": cleared,
    }


def _firmware(update: FirmwareUpdate | None) -> dict[str, Any] | None:
    """Without its location: that may carry credentials."""
    if update is None:
        return None
    return {"status": update.status.value, "request_id": update.order.request_id, "reason": update.reason or None}


def _upload(upload: LogUpload | None) -> dict[str, Any] | None:
    return None if upload is None else {"status": upload.status.value, "file": upload.order.filename}


def _connector(station: Station, number: int) -> dict[str, Any]:
    connector = station.connectors[number]
    return {
        "connector": number,
        "charger": connector.layout.charger,
        "status": connector_status(station, number),
        "online": connector.online,
        "plugged": connector.plugged,
        "state": connector.state.value,
        "lock": connector.lock.value,
        "may_take_a": current_ma(connector) / 1000,
        "set_to_a": None if connector.limit_ma is None else connector.limit_ma / 1000,
        "power_w": connector.meter.power_w,
        "energy_wh": connector.energy_wh,
        "faults": [fault.info or fault.code.value for fault in connector.faults],
        "last_fault": _last_fault(station, connector),
        "display": [message.id for message in shown(station, number, station.clock)],
        "bill": _bill(station.bills.get(number)),
    }


def _bill(bill: Bill | None) -> dict[str, Any] | None:
    if bill is None:
        return None
    return {"text": None if bill.message is None else bill.message.text, "total": bill.total, "final": bill.final}


def _transaction(transaction: Transaction) -> dict[str, Any]:
    return {
        "id": transaction.id,
        "connector": transaction.connector,
        "csms_id": transaction.external_ref,
        "id_token": None if transaction.id_token is None else transaction.id_token.masked(),
        "active": transaction.active,
        "queued": transaction.queued,
    }
