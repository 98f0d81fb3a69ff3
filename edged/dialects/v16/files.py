"""FirmwareManagement and the security extension's files: commands in, answers and statuses out. 1.6 §5.9, 5.19 and the
whitepaper's L01 and N01.

1.6 cannot express: the answer to an unsigned update (its conf is empty), how an unsigned one goes between the download
and the installation, why an upload of diagnostics failed, that an upload was cancelled for another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from edged.dialects.fields import Unreadable, read_bound, read_moment
from edged.dialects.file_fields import read_interval_s, read_location, read_log, read_retries
from edged.domain import firmware, log_upload
from edged.domain.answers import FileStatus
from edged.domain.commands import GetLog, UpdateFirmware
from edged.domain.effects import FirmwareRecord, LogRecord, NoticeKind, Reply
from edged.domain.events import Event
from edged.domain.files import FirmwareOrder, FirmwareStatus, LogKind, LogOrder, UploadStatus
from edged.domain.station import Station
from edged.domain.types import RequestRef
from edged.ocpp.dialect import CallRefused, Inexpressible, Payload
from edged.ocpp.rpc import ErrorCode, Request

NAMELESS_STATUSES: Final = frozenset(
    {
        FirmwareStatus.IDLE,
        FirmwareStatus.DOWNLOADING,
        FirmwareStatus.DOWNLOADED,
        FirmwareStatus.DOWNLOAD_FAILED,
        FirmwareStatus.INSTALLING,
        FirmwareStatus.INSTALLED,
        FirmwareStatus.INSTALLATION_FAILED,
    }
)
"""FirmwareStatusNotification's words."""
UPLOAD_STATUSES: Final = frozenset(set(UploadStatus) - {UploadStatus.CANCELED})
_NEAREST: Final[Mapping[FirmwareStatus, FirmwareStatus]] = {
    FirmwareStatus.DOWNLOAD_SCHEDULED: FirmwareStatus.IDLE,
    FirmwareStatus.DOWNLOAD_PAUSED: FirmwareStatus.DOWNLOADING,
    FirmwareStatus.SIGNATURE_VERIFIED: FirmwareStatus.DOWNLOADED,
    FirmwareStatus.INSTALL_SCHEDULED: FirmwareStatus.DOWNLOADED,
    FirmwareStatus.INSTALL_REBOOTING: FirmwareStatus.INSTALLING,
    FirmwareStatus.INVALID_SIGNATURE: FirmwareStatus.INSTALLATION_FAILED,
    FirmwareStatus.INSTALL_VERIFICATION_FAILED: FirmwareStatus.INSTALLATION_FAILED,
}
"""Of a signed update, when a CSMS asks for the unsigned message."""


# --- commands


def _update(payload: Payload, request: RequestRef) -> Event | CallRefused:
    try:
        order = FirmwareOrder(
            location=read_location(payload, "location"),
            retrieve_at=read_moment(payload, "retrieveDate"),
            retries=read_retries(payload),
            retry_interval_s=read_interval_s(payload),
        )
    except Unreadable as error:
        return error.refused
    return UpdateFirmware(request, order)


def _signed_update(payload: Payload, request: RequestRef) -> Event | CallRefused:
    image = payload["firmware"]
    try:
        order = FirmwareOrder(
            location=read_location(image, "location", "firmware."),
            retrieve_at=read_moment(image, "retrieveDateTime", "firmware."),
            install_at=read_bound(image, "installDateTime", "firmware."),
            retries=read_retries(payload),
            retry_interval_s=read_interval_s(payload),
            request_id=payload["requestId"],
            signed=True,
            signing_certificate=image["signingCertificate"],
            signature=image["signature"],
        )
    except Unreadable as error:
        return error.refused
    return UpdateFirmware(request, order)


def _diagnostics(payload: Payload, request: RequestRef) -> Event | CallRefused:
    try:
        order = LogOrder(
            kind=LogKind.DIAGNOSTICS,
            location=read_location(payload, "location"),
            filename="",
            oldest=read_bound(payload, "startTime"),
            latest=read_bound(payload, "stopTime"),
            retries=read_retries(payload),
            retry_interval_s=read_interval_s(payload),
        )
    except Unreadable as error:
        return error.refused
    return GetLog(request, order)


DECODERS: Final[Mapping[str, Callable[[Payload, RequestRef], Event | CallRefused]]] = {
    "GetDiagnostics": _diagnostics,
    "GetLog": read_log,
    "SignedUpdateFirmware": _signed_update,
    "UpdateFirmware": _update,
}


# --- answers


def _updated(reply: Reply) -> Payload | CallRefused:
    """UpdateFirmware.conf says nothing, whatever comes of it."""
    if reply.status is FileStatus.SIGNED_ONLY:
        return CallRefused(ErrorCode.NOT_SUPPORTED, "this station takes signed firmware only: use SignedUpdateFirmware")
    return {}


def _signed_updated(reply: Reply) -> Payload:
    return {"status": reply.status.value}


def _diagnosed(reply: Reply) -> Payload:
    """Without a name there is nothing to upload."""
    return {"fileName": reply.data} if isinstance(reply.data, str) else {}


def _logged(reply: Reply) -> Payload:
    payload: Payload = {"status": reply.status.value}
    if isinstance(reply.data, str):
        payload["filename"] = reply.data
    return payload


ENCODERS: Final[Mapping[str, Callable[[Reply], Payload | CallRefused]]] = {
    "GetDiagnostics": _diagnosed,
    "GetLog": _logged,
    "SignedUpdateFirmware": _signed_updated,
    "UpdateFirmware": _updated,
}


# --- statuses


def encode_file_record(record: FirmwareRecord | LogRecord) -> Request | Inexpressible:
    """A stage of an update or an upload."""
    if isinstance(record, LogRecord):
        if record.status not in UPLOAD_STATUSES:
            return Inexpressible()
        return _upload_status(record.status, record.request_id, named=record.request_id is not None)
    if record.request_id is None and record.status not in NAMELESS_STATUSES:
        return Inexpressible()
    return _firmware_status(record.status, record.request_id, signed=record.request_id is not None)


def encode_file_notice(kind: NoticeKind, station: Station) -> Request:
    """The same for who asks: the last stage, or Idle."""
    if kind in (NoticeKind.FIRMWARE_STATUS, NoticeKind.SIGNED_FIRMWARE_STATUS):
        status, request_id = firmware.shown(station)
        return _firmware_status(status, request_id, signed=kind is NoticeKind.SIGNED_FIRMWARE_STATUS)
    named = kind is NoticeKind.LOG_STATUS
    upload_status, request_id = log_upload.shown(station, named=named)
    return _upload_status(upload_status, request_id, named=named)


def _firmware_status(status: FirmwareStatus, request_id: int | None, *, signed: bool) -> Request:
    if not signed:
        return Request("FirmwareStatusNotification", {"status": _NEAREST.get(status, status).value})
    return Request("SignedFirmwareStatusNotification", _with_id(status.value, request_id))


def _upload_status(status: UploadStatus, request_id: int | None, *, named: bool) -> Request:
    if named:
        return Request("LogStatusNotification", _with_id(status.value, request_id))
    fine = status in (UploadStatus.IDLE, UploadStatus.UPLOADING, UploadStatus.UPLOADED)
    return Request("DiagnosticsStatusNotification", {"status": status.value if fine else "UploadFailed"})


def _with_id(status: str, request_id: int | None) -> Payload:
    """Idle is nobody's (L01.FR.10, N01.FR.12)."""
    return {"status": status} if request_id is None else {"status": status, "requestId": request_id}
