"""From a checked command to the domain event that the CSMS's own request would be. Pure: one small function a command.

Refuses to judge: a place that does not exist is told (`not_found`), credentials are nobody's here (`forbidden`),
everything else is the core's to decide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from edged.domain.charging_commands import SetLocalLimit
from edged.domain.commands import (
    CancelReservation,
    ChangeAvailability,
    ClearCache,
    GetConfiguration,
    GetLog,
    ReportSecurityEvent,
    RequestStart,
    RequestStop,
    ReserveNow,
    ResetKind,
    ResetStation,
    SendData,
    SetConfiguration,
    Target,
    TriggerMessage,
    UnlockConnector,
    UpdateFirmware,
)
from edged.domain.configuration import Mutability
from edged.domain.effects import NoticeKind
from edged.domain.events import Event, PresentToken
from edged.domain.files import FirmwareOrder, LogKind, LogOrder
from edged.domain.local_commands import ClearFault, LockWish, MonitorConfiguration, RestartOcpp, SetLock, StopOcpp
from edged.domain.station import Station
from edged.domain.types import IdToken, RequestRef
from edged.mqtt.commands import Code, Problem
from edged.mqtt.watched_keys import CREDENTIALS

RETRY_INTERVAL_S: Final = 30
"""Where nobody says: as of a CSMS that does not."""

Arguments = Mapping[str, Any]
Build = Callable[[Station, Arguments, RequestRef], Event | Problem]


def order_of(name: str, station: Station, arguments: Arguments, request: RequestRef) -> Event | Problem:
    """The event of a command that is for a station's engine."""
    return _EVENTS[name](station, arguments, request)


def _no_connector(station: Station) -> Problem:
    return Problem(Code.NOT_FOUND, "no such connector", {"connectors": sorted(station.connectors)})


def _token(arguments: Arguments) -> IdToken:
    return IdToken(arguments["id_token"], arguments.get("type"))


# --- reservations and tokens


def _reserve_now(station: Station, arguments: Arguments, request: RequestRef) -> Event | Problem:
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


def _cancel_reservation(_station: Station, arguments: Arguments, request: RequestRef) -> Event | Problem:
    return CancelReservation(request, arguments["reservation_id"])


def _present_token(station: Station, arguments: Arguments, request: RequestRef) -> Event | Problem:
    connector = arguments.get("connector")
    if connector is not None and connector not in station.connectors:
        return _no_connector(station)
    return PresentToken(_token(arguments), connector, request)


def _clear_cache(_station: Station, _arguments: Arguments, request: RequestRef) -> Event | Problem:
    return ClearCache(request)


# --- starts, stops and hardware


def _start_transaction(station: Station, arguments: Arguments, request: RequestRef) -> Event | Problem:
    if arguments["connector"] not in station.connectors:
        return _no_connector(station)
    return RequestStart(request=request, id_token=_token(arguments), connector=arguments["connector"])


def _stop_transaction(station: Station, arguments: Arguments, request: RequestRef) -> Event | Problem:
    """A transaction by the id that its topic shows, or by the number that the CSMS has given it."""
    connector, named = arguments.get("connector"), arguments.get("transaction_id")
    if connector is not None:
        known = connector in station.connectors
        return RequestStop(request=request, connector=connector) if known else _no_connector(station)
    assert isinstance(named, str)
    if named not in station.transactions and named.isascii() and named.isdigit():
        return RequestStop(request=request, external_ref=int(named))
    return RequestStop(request=request, transaction_id=named)


def _change_availability(station: Station, arguments: Arguments, request: RequestRef) -> Event | Problem:
    connector = arguments["connector"]
    if connector and connector not in station.connectors:
        return _no_connector(station)
    return ChangeAvailability(request, connector, arguments["type"] == "Operative")


def _unlock_connector(station: Station, arguments: Arguments, request: RequestRef) -> Event | Problem:
    if arguments["connector"] not in station.connectors:
        return _no_connector(station)
    return UnlockConnector(request, arguments["connector"])


def _set_lock(station: Station, arguments: Arguments, request: RequestRef) -> Event | Problem:
    if arguments["connector"] not in station.connectors:
        return _no_connector(station)
    return SetLock(request, arguments["connector"], LockWish(arguments["state"]))


def _clear_fault(station: Station, arguments: Arguments, request: RequestRef) -> Event | Problem:
    if arguments["connector"] not in station.connectors:
        return _no_connector(station)
    return ClearFault(request, arguments["connector"])


def _reset(station: Station, arguments: Arguments, request: RequestRef) -> Event | Problem:
    evse = arguments.get("evse_id")
    if evse is not None and all(c.layout.evse_id != evse for c in station.connectors.values()):
        return Problem(Code.NOT_FOUND, "no such EVSE")
    return ResetStation(request, ResetKind(arguments["type"]), evse)


# --- limits


def _set_limit(station: Station, arguments: Arguments, request: RequestRef) -> Event | Problem:
    return _limit(station, arguments, request, limit_ma=arguments["limit_a"])


def _clear_limit(station: Station, arguments: Arguments, request: RequestRef) -> Event | Problem:
    return _limit(station, arguments, request, limit_ma=None)


def _limit(station: Station, arguments: Arguments, request: RequestRef, *, limit_ma: int | None) -> Event | Problem:
    """A connector's limit is that of its EVSE."""
    connector = arguments.get("connector", 0)
    if connector and connector not in station.connectors:
        return _no_connector(station)
    return SetLocalLimit(request=request, connector=connector, limit_ma=limit_ma)


# --- the line to the CSMS


def _stop(_station: Station, _arguments: Arguments, request: RequestRef) -> Event | Problem:
    return StopOcpp(request)


def _restart(_station: Station, _arguments: Arguments, request: RequestRef) -> Event | Problem:
    return RestartOcpp(request)


def _trigger_message(station: Station, arguments: Arguments, request: RequestRef) -> Event | Problem:
    connector = arguments.get("connector")
    if connector and connector not in station.connectors:
        return _no_connector(station)
    return TriggerMessage(request, NoticeKind(arguments["requested_message"]), connector)


# --- configuration


def _get_configuration_key(_station: Station, arguments: Arguments, request: RequestRef) -> Event | Problem:
    return GetConfiguration(request, arguments.get("keys", ()))


def _monitor_configuration_keys(_station: Station, arguments: Arguments, request: RequestRef) -> Event | Problem:
    return MonitorConfiguration(request, arguments["keys"])


def _set_custom_configuration_key(_station: Station, arguments: Arguments, request: RequestRef) -> Event | Problem:
    return SetConfiguration(request, arguments["key"], arguments["value"], custom_only=True)


def _set_configuration_key(station: Station, arguments: Arguments, request: RequestRef) -> Event | Problem:
    key = station.configuration.find(arguments["key"])
    if key is not None and (key.mutability is Mutability.WRITE_ONLY or key.name in CREDENTIALS):
        return Problem(Code.FORBIDDEN, f"{key.name} is changed by the CSMS or in the site's configuration only")
    return SetConfiguration(request, arguments["key"], arguments["value"])


# --- files, data, security


def _update_firmware(station: Station, arguments: Arguments, request: RequestRef) -> Event | Problem:
    order = FirmwareOrder(
        location=arguments["location"],
        retrieve_at=arguments.get("retrieve_date", station.clock.utc),
        install_at=arguments.get("install_date"),
        retries=arguments.get("retries", 0),
        retry_interval_s=arguments.get("retry_interval", RETRY_INTERVAL_S),
    )
    return UpdateFirmware(request, order)


def _get_diagnostics(_station: Station, arguments: Arguments, request: RequestRef) -> Event | Problem:
    order = LogOrder(
        kind=LogKind(arguments.get("log", LogKind.DIAGNOSTICS)),
        location=arguments["location"],
        filename="",
        oldest=arguments.get("start_time"),
        latest=arguments.get("stop_time"),
        retries=arguments.get("retries", 0),
        retry_interval_s=arguments.get("retry_interval", RETRY_INTERVAL_S),
    )
    return GetLog(request, order)


def _data_transfer(_station: Station, arguments: Arguments, request: RequestRef) -> Event | Problem:
    return SendData(request, arguments["vendor_id"], arguments.get("message_id"), arguments.get("data"))


def _security_event(_station: Station, arguments: Arguments, request: RequestRef) -> Event | Problem:
    return ReportSecurityEvent(
        request=request,
        event_type=arguments["type"],
        info=arguments.get("info", ""),
        critical=arguments.get("critical"),
        at=arguments.get("timestamp"),
    )


_EVENTS: Final[Mapping[str, Build]] = {
    "reserve_now": _reserve_now,
    "cancel_reservation": _cancel_reservation,
    "present_token": _present_token,
    "clear_cache": _clear_cache,
    "start_transaction": _start_transaction,
    "stop_transaction": _stop_transaction,
    "change_availability": _change_availability,
    "unlock_connector": _unlock_connector,
    "reset": _reset,
    "trigger_message": _trigger_message,
    "get_configuration_key": _get_configuration_key,
    "set_configuration_key": _set_configuration_key,
    "set_custom_configuration_key": _set_custom_configuration_key,
    "monitor_configuration_keys": _monitor_configuration_keys,
    "stop": _stop,
    "restart": _restart,
    "set_lock": _set_lock,
    "clear_fault": _clear_fault,
    "set_limit": _set_limit,
    "clear_limit": _clear_limit,
    "update_firmware": _update_firmware,
    "get_diagnostics": _get_diagnostics,
    "data_transfer": _data_transfer,
    "security_event": _security_event,
}
