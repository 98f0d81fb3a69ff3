"""The security extension's certificates and events: commands in, answers, questions and events out. Whitepaper A02-A04,
M03-M05 and chapter 5.

1.6 cannot express: several kinds of certificates in one question, why a certificate was refused, other chains than the
station's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from edged.dialects.times import format_time
from edged.domain.answers import CertificateStatus, TransferStatus
from edged.domain.commands import (
    AcceptSignedChain,
    DeleteCertificate,
    GetInstalledCertificates,
    InstallCertificate,
    TriggerMessage,
    TriggerSigning,
)
from edged.domain.credentials import CertificateHash, CertificateUse
from edged.domain.effects import DataQuestion, NoticeKind, Question, Reply, SecurityRecord, SigningQuestion
from edged.domain.events import DataAnswer, Event, QuestionAnswered, SigningAnswer
from edged.domain.security_event import SecurityEvent
from edged.domain.station import Station
from edged.domain.types import RequestRef
from edged.ocpp.dialect import CallRefused, Payload
from edged.ocpp.rpc import ErrorCode, Request

MAX_TYPE_CHARS: Final = 50
MAX_INFO_CHARS: Final = 255
HASH_ALGORITHM: Final = "SHA256"
"""The one by which installed certificates are named; any of them is understood."""

_USES: Final = {
    "CentralSystemRootCertificate": CertificateUse.CSMS_ROOT,
    "ManufacturerRootCertificate": CertificateUse.MANUFACTURER_ROOT,
}
_TRIGGERS: Final[Mapping[str, NoticeKind]] = {
    "BootNotification": NoticeKind.BOOT,
    "FirmwareStatusNotification": NoticeKind.SIGNED_FIRMWARE_STATUS,
    "Heartbeat": NoticeKind.HEARTBEAT,
    "LogStatusNotification": NoticeKind.LOG_STATUS,
    "MeterValues": NoticeKind.METER,
    "StatusNotification": NoticeKind.STATUS,
}
_SIGNING: Final = "SignChargePointCertificate"
_OF_A_CONNECTOR: Final = frozenset({NoticeKind.METER, NoticeKind.STATUS})
_EVENTS: Final = {
    SecurityEvent.WE_FAILED_TO_AUTHENTICATE.value: "FailedToAuthenticateAtCentralSystem",
    SecurityEvent.CSMS_FAILED_TO_AUTHENTICATE.value: "CentralSystemFailedToAuthenticate",
    SecurityEvent.INVALID_CSMS_CERTIFICATE.value: "InvalidCentralSystemCertificate",
    SecurityEvent.INVALID_STATION_CERTIFICATE.value: "InvalidChargePointCertificate",
}
"""What 1.6 calls otherwise; every other name is the same."""


# --- commands


def _install(payload: Payload, request: RequestRef) -> Event:
    return InstallCertificate(request, _USES[payload["certificateType"]], payload["certificate"])


def _delete(payload: Payload, request: RequestRef) -> Event:
    named = payload["certificateHashData"]
    return DeleteCertificate(
        request,
        CertificateHash(
            algorithm=named["hashAlgorithm"],
            issuer_name_hash=named["issuerNameHash"],
            issuer_key_hash=named["issuerKeyHash"],
            serial_number=named["serialNumber"],
        ),
    )


def _installed(payload: Payload, request: RequestRef) -> Event:
    return GetInstalledCertificates(request, (_USES[payload["certificateType"]],))


def _signed(payload: Payload, request: RequestRef) -> Event:
    return AcceptSignedChain(request, payload["certificateChain"])


def _trigger(payload: Payload, request: RequestRef) -> Event | CallRefused:
    """connectorId as in TriggerMessage: where it means nothing it is left aside."""
    message = payload["requestedMessage"]
    if message == _SIGNING:
        return TriggerSigning(request)
    wanted = _TRIGGERS[message]
    if wanted not in _OF_A_CONNECTOR:
        return TriggerMessage(request, wanted, None)
    connector = payload.get("connectorId")
    if connector is not None and connector < 0:
        return CallRefused(ErrorCode.PROPERTY, "connectorId: minimum 0")
    return TriggerMessage(request, wanted, connector)


DECODERS: Final[Mapping[str, Callable[[Payload, RequestRef], Event | CallRefused]]] = {
    "CertificateSigned": _signed,
    "DeleteCertificate": _delete,
    "ExtendedTriggerMessage": _trigger,
    "GetInstalledCertificateIds": _installed,
    "InstallCertificate": _install,
}


# --- answers

_ACCEPTED: Final = CertificateStatus.ACCEPTED


def _install_reply(reply: Reply) -> Payload:
    known = reply.status in (_ACCEPTED, CertificateStatus.REJECTED)
    return {"status": reply.status.value if known else CertificateStatus.FAILED.value}


def _delete_reply(reply: Reply) -> Payload:
    known = reply.status in (_ACCEPTED, CertificateStatus.NOT_FOUND)
    return {"status": reply.status.value if known else CertificateStatus.FAILED.value}


def _installed_reply(reply: Reply) -> Payload:
    names = [_named(one) for root in reply.data or () for one in root.hashes if one.algorithm == HASH_ALGORITHM]
    if reply.status is not _ACCEPTED or not names:
        return {"status": CertificateStatus.NOT_FOUND.value}
    return {"status": _ACCEPTED.value, "certificateHashData": names}


def _named(one: CertificateHash) -> Payload:
    return {
        "hashAlgorithm": one.algorithm,
        "issuerNameHash": one.issuer_name_hash,
        "issuerKeyHash": one.issuer_key_hash,
        "serialNumber": one.serial_number,
    }


def _signed_reply(reply: Reply) -> Payload:
    return {"status": (_ACCEPTED if reply.status is _ACCEPTED else CertificateStatus.REJECTED).value}


def _trigger_reply(reply: Reply) -> Payload:
    return {"status": reply.status.value}


ENCODERS: Final[Mapping[str, Callable[[Reply], Payload | CallRefused]]] = {
    "CertificateSigned": _signed_reply,
    "DeleteCertificate": _delete_reply,
    "ExtendedTriggerMessage": _trigger_reply,
    "GetInstalledCertificateIds": _installed_reply,
    "InstallCertificate": _install_reply,
}


# --- events and questions


def encode_security_event(record: SecurityRecord, station: Station) -> Request:
    """SecurityEventNotification, with the moment as it is known by now."""
    payload: Payload = {
        "type": _EVENTS.get(record.event_type, record.event_type)[:MAX_TYPE_CHARS],
        "timestamp": format_time(station.true_time(record.at)),
    }
    if record.info:
        payload["techInfo"] = record.info[:MAX_INFO_CHARS]
    return Request("SecurityEventNotification", payload)


_TRANSFER: Final = {status.value.casefold(): status for status in TransferStatus}


def encode_question(question: Question) -> Request | None:
    """SignCertificate or DataTransfer; 1.6 knows no reports in pages."""
    if isinstance(question, SigningQuestion):
        return Request("SignCertificate", {"csr": question.csr})
    if not isinstance(question, DataQuestion):
        return None
    payload: Payload = {"vendorId": question.vendor_id}
    if question.message_id is not None:
        payload["messageId"] = question.message_id
    if question.data is not None:
        payload["data"] = question.data
    return Request("DataTransfer", payload)


def decode_question_answer(ticket: str, question: Question, payload: Any) -> QuestionAnswered:
    """An answer that cannot be read is none."""
    word = payload.get("status") if isinstance(payload, dict) else None
    if not isinstance(word, str):
        return QuestionAnswered(ticket, None)
    if isinstance(question, DataQuestion):
        status = _TRANSFER.get(word.casefold())
        data = payload.get("data")
        answer = None if status is None else DataAnswer(status, data if isinstance(data, str) else None)
        return QuestionAnswered(ticket, answer)
    return QuestionAnswered(ticket, SigningAnswer(word.casefold() == "accepted"))
