"""What the CSMS asks in OCPP 1.6, put into the core's words: Core, Reservation and RemoteTrigger.

Refuses to know: whether a connector exists, whether a request can be served; that is the core's. Every payload is
hostile and gives an event or a refusal, never an exception.

1.6 cannot express: a reservation for a connector type or for an EVSE, a token's kind, a start that names its group or
its own id, a reset of one EVSE. A request that another 1.6 profile would serve is answered NotSupported; an action that
1.6 does not have, NotImplemented (16-GEN-02).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from edged.dialects.times import parse_time
from edged.dialects.v16 import charging, files, lists, security
from edged.dialects.v16.keys import asked
from edged.dialects.v16.schemas import KNOWN_ACTIONS, call_violation
from edged.domain.commands import (
    CancelReservation,
    ChangeAvailability,
    ClearCache,
    GetConfiguration,
    ReceiveData,
    RequestStart,
    RequestStop,
    ReserveNow,
    ResetKind,
    ResetStation,
    SetConfiguration,
    Target,
    TriggerMessage,
    UnlockConnector,
)
from edged.domain.effects import NoticeKind
from edged.domain.events import Event
from edged.domain.types import IdToken, RequestRef
from edged.ocpp.dialect import CallRefused, Payload
from edged.ocpp.rpc import ErrorCode

_TRIGGERS: Final[Mapping[str, NoticeKind]] = {
    "BootNotification": NoticeKind.BOOT,
    "Heartbeat": NoticeKind.HEARTBEAT,
    "MeterValues": NoticeKind.METER,
    "StatusNotification": NoticeKind.STATUS,
    "DiagnosticsStatusNotification": NoticeKind.DIAGNOSTICS_STATUS,
    "FirmwareStatusNotification": NoticeKind.FIRMWARE_STATUS,
}
_OF_A_CONNECTOR: Final = frozenset({NoticeKind.METER, NoticeKind.STATUS})


def decode_call(action: str, payload: Any, request: RequestRef) -> Event | CallRefused:
    """Check a CALL and translate it. A time that cannot be read is a value of the wrong type."""
    decode = _DECODERS.get(action)
    if decode is None:
        if action in KNOWN_ACTIONS:
            return CallRefused(ErrorCode.NOT_SUPPORTED, "this station does not serve this action")
        return CallRefused(ErrorCode.NOT_IMPLEMENTED, "OCPP 1.6 has no such action")
    refused = call_violation(action, payload)
    return refused if refused is not None else decode(payload, request)


def _availability(payload: Payload, request: RequestRef) -> Event:
    return ChangeAvailability(request, payload["connectorId"], payload["type"] == "Operative")


def _set_configuration(payload: Payload, request: RequestRef) -> Event:
    return SetConfiguration(request, asked(payload["key"]), payload["value"])


def _get_configuration(payload: Payload, request: RequestRef) -> Event:
    """More keys than GetConfigurationMaxKeys are answered all the same: nothing is gained by a refusal."""
    return GetConfiguration(request, tuple(asked(name) for name in payload.get("key", ())))


def _clear_cache(_payload: Payload, request: RequestRef) -> Event:
    return ClearCache(request)


def _receive_data(payload: Payload, request: RequestRef) -> Event:
    return ReceiveData(request, payload["vendorId"], payload.get("messageId"), payload.get("data"))


def _start(payload: Payload, request: RequestRef) -> Event | CallRefused:
    """A profile must be a TxProfile for a transaction that does not exist yet (TC_060)."""
    told = payload.get("chargingProfile")
    profile = None if told is None else charging.read_profile(told, "chargingProfile")
    if isinstance(profile, CallRefused):
        return profile
    return RequestStart(
        request=request,
        id_token=IdToken(payload["idTag"]),
        connector=payload.get("connectorId"),
        profile=profile,
        acceptable=told is None or (told["chargingProfilePurpose"] == "TxProfile" and "transactionId" not in told),
    )


def _stop(payload: Payload, request: RequestRef) -> Event:
    return RequestStop(request=request, external_ref=payload["transactionId"])


def _reset(payload: Payload, request: RequestRef) -> Event:
    return ResetStation(request, ResetKind(payload["type"]))


def _unlock(payload: Payload, request: RequestRef) -> Event:
    return UnlockConnector(request, payload["connectorId"])


def _reserve(payload: Payload, request: RequestRef) -> Event | CallRefused:
    """connectorId 0 is any connector (16-RES-01); an empty parentIdTag, as some CSMSs send it, is none."""
    expires_at = parse_time(payload["expiryDate"])
    if expires_at is None:
        return CallRefused(ErrorCode.TYPE, "expiryDate: type dateTime")
    parent = payload.get("parentIdTag")
    return ReserveNow(
        request=request,
        reservation_id=payload["reservationId"],
        target=Target(connector=payload["connectorId"] or None),
        id_token=IdToken(payload["idTag"]),
        group=IdToken(parent) if parent else None,
        expires_at=expires_at,
    )


def _cancel(payload: Payload, request: RequestRef) -> Event:
    return CancelReservation(request, payload["reservationId"])


def _trigger(payload: Payload, request: RequestRef) -> Event | CallRefused:
    wanted = _TRIGGERS[payload["requestedMessage"]]
    if wanted not in _OF_A_CONNECTOR:
        return TriggerMessage(request, wanted, None)
    connector = payload.get("connectorId")
    if connector is not None and connector < 0:
        return CallRefused(ErrorCode.PROPERTY, "connectorId: minimum 0")
    return TriggerMessage(request, wanted, connector)


_DECODERS: Final[Mapping[str, Callable[[Payload, RequestRef], Event | CallRefused]]] = {
    "CancelReservation": _cancel,
    "ChangeAvailability": _availability,
    "ChangeConfiguration": _set_configuration,
    "ClearCache": _clear_cache,
    "DataTransfer": _receive_data,
    "GetConfiguration": _get_configuration,
    "RemoteStartTransaction": _start,
    "RemoteStopTransaction": _stop,
    "ReserveNow": _reserve,
    "Reset": _reset,
    "TriggerMessage": _trigger,
    "UnlockConnector": _unlock,
    **lists.DECODERS,
    **charging.DECODERS,
    **files.DECODERS,
    **security.DECODERS,
}
SUPPORTED_ACTIONS: Final = frozenset(_DECODERS)
