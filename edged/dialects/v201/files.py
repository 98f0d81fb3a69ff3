"""Firmware and logs: UpdateFirmware and GetLog in, answers and statuses out. 2.0.1 L01, L02, N01.

One message serves signed and unsigned updates; whether an unsigned one is taken is the core's to say. What was ordered
in a version that gives orders no name is told to nobody: every status but Idle names its request (L01.FR.20,
N01.FR.13).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from edged.dialects.fields import Unreadable, read_bound, read_moment
from edged.dialects.file_fields import read_interval_s, read_location, read_log, read_retries
from edged.dialects.v201.words import with_info
from edged.domain import firmware, log_upload
from edged.domain.answers import FileStatus
from edged.domain.commands import UpdateFirmware
from edged.domain.effects import FirmwareRecord, LogRecord, Reply
from edged.domain.events import Event
from edged.domain.files import FirmwareOrder
from edged.domain.station import Station
from edged.domain.types import RequestRef
from edged.ocpp.dialect import CallRefused, Inexpressible, Payload
from edged.ocpp.rpc import Request

IDLE: Final = "Idle"
MAX_FILENAME_CHARS: Final = 255

# --- commands


def _update(payload: Payload, request: RequestRef) -> Event | CallRefused:
    """Signed where there is a signature or a certificate for one: half of it is a signed one that does not hold."""
    image = payload["firmware"]
    certificate, signature = image.get("signingCertificate", ""), image.get("signature", "")
    try:
        order = FirmwareOrder(
            location=read_location(image, "location", "firmware."),
            retrieve_at=read_moment(image, "retrieveDateTime", "firmware."),
            install_at=read_bound(image, "installDateTime", "firmware."),
            retries=read_retries(payload),
            retry_interval_s=read_interval_s(payload),
            request_id=payload["requestId"],
            signed=bool(certificate or signature),
            signing_certificate=certificate,
            signature=signature,
        )
    except Unreadable as error:
        return error.refused
    return UpdateFirmware(request, order)


# --- answers


def _updated(reply: Reply, _station: Station) -> Payload:
    """An update that should have been signed is Rejected (TC_L_18)."""
    status = FileStatus.REJECTED if reply.status is FileStatus.SIGNED_ONLY else reply.status
    return with_info({"status": status.value}, reply)


def _logged(reply: Reply, _station: Station) -> Payload:
    payload: Payload = {"status": reply.status.value}
    if isinstance(reply.data, str):
        payload["filename"] = reply.data[:MAX_FILENAME_CHARS]
    return with_info(payload, reply)


# --- statuses


def encode_record(record: FirmwareRecord | LogRecord) -> Request | Inexpressible:
    """A stage of an update or an upload."""
    if record.request_id is None and record.status.value != IDLE:
        return Inexpressible()
    action = "LogStatusNotification" if isinstance(record, LogRecord) else "FirmwareStatusNotification"
    return _status(action, record.status.value, record.request_id)


def encode_firmware(station: Station) -> Request:
    """For who asks (L01.FR.25, 26)."""
    status, request_id = firmware.shown(station)
    return _status("FirmwareStatusNotification", status.value, request_id)


def encode_upload(station: Station) -> Request:
    """For who asks (N01.FR.12)."""
    status, request_id = log_upload.shown(station, named=True)
    return _status("LogStatusNotification", status.value, request_id)


def _status(action: str, status: str, request_id: int | None) -> Request:
    """Idle is nobody's, and what is nobody's is Idle."""
    if request_id is None or status == IDLE:
        return Request(action, {"status": IDLE})
    return Request(action, {"status": status, "requestId": request_id})


DECODERS: Final[Mapping[str, Callable[[Payload, RequestRef], Event | CallRefused]]] = {
    "GetLog": read_log,
    "UpdateFirmware": _update,
}
ENCODERS: Final[Mapping[str, Callable[[Reply, Station], Payload | CallRefused]]] = {
    "GetLog": _logged,
    "UpdateFirmware": _updated,
}
