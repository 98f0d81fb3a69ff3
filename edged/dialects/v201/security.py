"""Certificates and security events: commands in, answers, questions and events out. 2.0.1 A02 to A04, M03 to M05.

ISO 15118 is not served: V2G and MO roots are not taken, of V2G chains there are none, and a chain for a vehicle's side
is Rejected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from edged.dialects.times import format_time
from edged.dialects.v201.words import with_info
from edged.domain.answers import CertificateStatus
from edged.domain.commands import (
    AcceptSignedChain,
    DeleteCertificate,
    GetInstalledCertificates,
    InstallCertificate,
)
from edged.domain.credentials import CertificateHash, CertificateUse, InstalledCertificate
from edged.domain.effects import Reply, SecurityRecord, SigningQuestion
from edged.domain.events import Event, SigningAnswer
from edged.domain.security_event import SecurityEvent
from edged.domain.station import Station
from edged.domain.types import RequestRef
from edged.ocpp.dialect import CallRefused, Payload
from edged.ocpp.rpc import Request

MAX_TYPE_CHARS: Final = 50
MAX_INFO_CHARS: Final = 255
HASH_ALGORITHM: Final = "SHA256"
"""The one by which installed certificates are named; any of them is understood."""
OWN: Final = "ChargingStationCertificate"
CRITICAL: Final = frozenset({SecurityEvent.INVALID_TLS_VERSION.value, SecurityEvent.INVALID_TLS_CIPHER.value})
"""What 2.0.1 calls critical and not every version does."""
_USES: Final = {use.value: use for use in CertificateUse}
_ACCEPTED: Final = CertificateStatus.ACCEPTED

# --- commands


def _install(payload: Payload, request: RequestRef) -> Event:
    return InstallCertificate(request, _USES.get(payload["certificateType"]), payload["certificate"])


def read_hash(named: Payload) -> CertificateHash:
    """CertificateHashDataType."""
    return CertificateHash(
        algorithm=named["hashAlgorithm"],
        issuer_name_hash=named["issuerNameHash"],
        issuer_key_hash=named["issuerKeyHash"],
        serial_number=named["serialNumber"],
    )


def _delete(payload: Payload, request: RequestRef) -> Event:
    return DeleteCertificate(request, read_hash(payload["certificateHashData"]))


def _installed(payload: Payload, request: RequestRef) -> Event:
    """No kinds are all kinds; of kinds that are not served nothing is installed (M03.FR.02)."""
    wanted = payload.get("certificateType")
    uses = None if not wanted else tuple(dict.fromkeys(_USES[kind] for kind in wanted if kind in _USES))
    return GetInstalledCertificates(request, uses)


def _signed(payload: Payload, request: RequestRef) -> Event:
    """Without a kind it is for the one that a station without ISO 15118 has (A02.FR.13)."""
    known = payload.get("certificateType", OWN) == OWN
    return AcceptSignedChain(request, payload["certificateChain"], known_kind=known)


# --- answers


def _install_reply(reply: Reply, _station: Station) -> Payload:
    known = reply.status in (_ACCEPTED, CertificateStatus.REJECTED)
    return with_info({"status": (reply.status if known else CertificateStatus.FAILED).value}, reply)


def _delete_reply(reply: Reply, _station: Station) -> Payload:
    known = reply.status in (_ACCEPTED, CertificateStatus.NOT_FOUND)
    return with_info({"status": (reply.status if known else CertificateStatus.FAILED).value}, reply)


def _installed_reply(reply: Reply, _station: Station) -> Payload:
    """One entry for each root; a root has no certificates below it that would be its chain."""
    entries = [entry for root in reply.data or () for entry in _entries(root)]
    if reply.status is not _ACCEPTED or not entries:
        return {"status": CertificateStatus.NOT_FOUND.value}
    return {"status": _ACCEPTED.value, "certificateHashDataChain": entries}


def _entries(root: InstalledCertificate) -> list[Payload]:
    return [
        {
            "certificateType": root.use.value,
            "certificateHashData": {
                "hashAlgorithm": one.algorithm,
                "issuerNameHash": one.issuer_name_hash,
                "issuerKeyHash": one.issuer_key_hash,
                "serialNumber": one.serial_number,
            },
        }
        for one in root.hashes
        if one.algorithm == HASH_ALGORITHM
    ]


def _signed_reply(reply: Reply, _station: Station) -> Payload:
    status = _ACCEPTED if reply.status is _ACCEPTED else CertificateStatus.REJECTED
    return with_info({"status": status.value}, reply)


# --- events and questions


def encode_security_event(record: SecurityRecord, station: Station) -> Request:
    """SecurityEventNotification, with the moment as it is known by now. The core's names are 2.0.1's."""
    payload: Payload = {
        "type": record.event_type[:MAX_TYPE_CHARS],
        "timestamp": format_time(station.true_time(record.at)),
    }
    if record.info:
        payload["techInfo"] = record.info[:MAX_INFO_CHARS]
    return Request("SecurityEventNotification", payload)


def encode_question(question: SigningQuestion) -> Request:
    """SignCertificate."""
    return Request("SignCertificate", {"csr": question.csr, "certificateType": OWN})


def decode_answer(payload: Any) -> SigningAnswer | None:
    """An answer that cannot be read is none."""
    word = payload.get("status") if isinstance(payload, dict) else None
    return SigningAnswer(word.casefold() == "accepted") if isinstance(word, str) else None


DECODERS: Final[Mapping[str, Callable[[Payload, RequestRef], Event | CallRefused]]] = {
    "CertificateSigned": _signed,
    "DeleteCertificate": _delete,
    "GetInstalledCertificateIds": _installed,
    "InstallCertificate": _install,
}
ENCODERS: Final[Mapping[str, Callable[[Reply, Station], Payload | CallRefused]]] = {
    "CertificateSigned": _signed_reply,
    "DeleteCertificate": _delete_reply,
    "GetInstalledCertificateIds": _installed_reply,
    "InstallCertificate": _install_reply,
}
