"""Boot, heartbeat and reset. 2.0.1 B01 to B03, B11, B12, G02."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from edged.dialects.times import parse_time
from edged.dialects.v201.words import with_info
from edged.domain.commands import ResetKind, ResetStation
from edged.domain.configuration import DAY_S
from edged.domain.effects import Reply
from edged.domain.events import BootAnswered, BootFailed, Event, Registration, TimeTold
from edged.domain.station import Station
from edged.domain.types import RequestRef
from edged.ocpp.dialect import CallRefused, Payload
from edged.ocpp.rpc import Request

_REASONS: Final = frozenset(
    {
        *("ApplicationReset", "FirmwareUpdate", "LocalReset", "PowerUp", "RemoteReset", "ScheduledReset", "Triggered"),
        *("Unknown", "Watchdog"),
    }
)
_REGISTRATIONS: Final = {status.value.casefold(): status for status in Registration if status is not Registration.NONE}
_KINDS: Final = {"Immediate": ResetKind.HARD, "OnIdle": ResetKind.ON_IDLE}


def encode_boot(station: Station, *, triggered: bool) -> Request:
    """BootNotification. The charger's modem is not described: edged is in front of several chargers."""
    identity = station.identity
    described: Payload = {"model": identity.model[:20], "vendorName": identity.vendor[:50]}
    if identity.serial_number:
        described["serialNumber"] = identity.serial_number[:25]
    if identity.firmware_version:
        described["firmwareVersion"] = identity.firmware_version[:50]
    reason = station.boot.reason if station.boot.reason in _REASONS else "Unknown"
    payload = {"reason": "Triggered" if triggered else reason, "chargingStation": described}
    return Request("BootNotification", payload)


def decode_boot(payload: Any) -> BootAnswered | BootFailed:
    """An interval is at most a day: so long a station may be silent (G02.FR.07)."""
    if not isinstance(payload, dict):
        return BootFailed()
    word = payload.get("status")
    status = _REGISTRATIONS.get(word.casefold()) if isinstance(word, str) else None
    if status is None:
        return BootFailed()
    interval = payload.get("interval")
    interval_s = min(max(interval, 0), DAY_S) if type(interval) is int else 0
    return BootAnswered(status, parse_time(payload.get("currentTime")), interval_s)


def decode_heartbeat(payload: Any) -> Event | None:
    moment = parse_time(payload.get("currentTime")) if isinstance(payload, dict) else None
    return None if moment is None else TimeTold(moment)


def _reset(payload: Payload, request: RequestRef) -> Event:
    return ResetStation(request, _KINDS[payload["type"]], evse=payload.get("evseId"))


def _answer(reply: Reply, _station: Station) -> Payload:
    return with_info({"status": reply.status.value}, reply)


DECODERS: Final[Mapping[str, Callable[[Payload, RequestRef], Event | CallRefused]]] = {"Reset": _reset}
ENCODERS: Final[Mapping[str, Callable[[Reply, Station], Payload | CallRefused]]] = {"Reset": _answer}
