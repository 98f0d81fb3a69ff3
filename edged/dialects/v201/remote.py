"""UnlockConnector and TriggerMessage. 2.0.1 F05, F06."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from edged.dialects.v201.words import with_info
from edged.domain.answers import UnlockStatus
from edged.domain.commands import TriggerMessage, TriggerSigning, UnlockConnector
from edged.domain.effects import NoticeKind, Reply
from edged.domain.events import Event
from edged.domain.station import Station
from edged.domain.types import RequestRef
from edged.ocpp.dialect import CallRefused, Payload

_TRIGGERS: Final[Mapping[str, NoticeKind]] = {
    "BootNotification": NoticeKind.BOOT,
    "FirmwareStatusNotification": NoticeKind.FIRMWARE_STATUS,
    "Heartbeat": NoticeKind.HEARTBEAT,
    "LogStatusNotification": NoticeKind.LOG_STATUS,
    "MeterValues": NoticeKind.METER,
    "StatusNotification": NoticeKind.STATUS,
    "TransactionEvent": NoticeKind.TRANSACTION,
}
_SIGNING: Final = "SignChargingStationCertificate"


def _unlock(payload: Payload, request: RequestRef) -> Event:
    """An authorized transaction is not ended for it (F05.FR.02)."""
    return UnlockConnector(request, evse=payload["evseId"], connector_id=payload["connectorId"], ends_transaction=False)


def _trigger(payload: Payload, request: RequestRef) -> Event:
    message = payload["requestedMessage"]
    if message == _SIGNING:
        return TriggerSigning(request)
    place = payload.get("evse") or {}
    return TriggerMessage(request, _TRIGGERS.get(message), evse=place.get("id"), connector_id=place.get("connectorId"))


def _answer(reply: Reply, _station: Station) -> Payload:
    return with_info({"status": reply.status.value}, reply)


def _answer_unlock(reply: Reply, _station: Station) -> Payload:
    """A charger without a lock: 2.0.1 has no word of its own for it (F05.FR.05); the reason says it."""
    status = UnlockStatus.FAILED if reply.status is UnlockStatus.NOT_SUPPORTED else reply.status
    return with_info({"status": status.value}, reply)


DECODERS: Final[Mapping[str, Callable[[Payload, RequestRef], Event | CallRefused]]] = {
    "TriggerMessage": _trigger,
    "UnlockConnector": _unlock,
}
ENCODERS: Final[Mapping[str, Callable[[Reply, Station], Payload | CallRefused]]] = {
    "TriggerMessage": _answer,
    "UnlockConnector": _answer_unlock,
}
