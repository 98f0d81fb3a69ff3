from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edged.dialects.v16 import Ocpp16
from edged.dialects.v16.inbound import decode_call
from edged.dialects.v16.outbound import encode_record
from edged.dialects.v16.schemas import answer_violation, call_violation
from edged.dialects.v16.security import decode_question_answer, encode_question
from edged.domain.answers import CertificateStatus, TriggerStatus
from edged.domain.commands import InstallCertificate
from edged.domain.credentials import CertificateHash, CertificateUse, InstalledCertificate
from edged.domain.effects import Reply, SecurityRecord, SigningQuestion
from edged.domain.events import QuestionAnswered, SigningAnswer
from edged.domain.security_event import SecurityEvent
from edged.domain.types import RequestRef, Stamp
from edged.ocpp.dialect import CallRefused
from edged.ocpp.rpc import ErrorCode, Request
from tests.fakes.site import START, station

WORDS = {  # the whitepaper's list
    *("FirmwareUpdated", "FailedToAuthenticateAtCentralSystem", "CentralSystemFailedToAuthenticate"),
    *("SettingSystemTime", "StartupOfTheDevice", "ResetOrReboot", "SecurityLogWasCleared"),
    *("ReconfigurationOfSecurityParameters", "MemoryExhaustion", "InvalidMessages", "AttemptedReplayAttacks"),
    *("TamperDetectionActivated", "InvalidFirmwareSignature", "InvalidFirmwareSigningCertificate"),
    *("InvalidCentralSystemCertificate", "InvalidChargePointCertificate", "InvalidTLSVersion", "InvalidTLSCipherSuite"),
}


def answer(action: str, status: Any, data: Any = None) -> Any:
    payload = Ocpp16().encode_reply(Reply(RequestRef("csms", "1", action), status, data=data), station())
    assert answer_violation(action, payload) is None
    return payload


def event(record: SecurityRecord, **changes: Any) -> dict[str, Any]:
    request = encode_record(record, station(**changes))
    assert isinstance(request, Request)
    assert request.action == "SecurityEventNotification"
    assert call_violation(request.action, request.payload) is None
    return request.payload


# --- answers


@pytest.mark.parametrize("status", CertificateStatus)
@pytest.mark.parametrize("action", ["InstallCertificate", "DeleteCertificate", "CertificateSigned"])
def test_only_what_was_accepted_is_called_so(action: str, status: CertificateStatus) -> None:
    assert (answer(action, status)["status"] == "Accepted") == (status is CertificateStatus.ACCEPTED)


@pytest.mark.parametrize(
    ("action", "status", "word"),
    [
        ("InstallCertificate", CertificateStatus.REJECTED, "Rejected"),
        ("InstallCertificate", CertificateStatus.FAILED, "Failed"),
        ("DeleteCertificate", CertificateStatus.NOT_FOUND, "NotFound"),
        ("DeleteCertificate", CertificateStatus.FAILED, "Failed"),
        ("CertificateSigned", CertificateStatus.REJECTED, "Rejected"),
        ("CertificateSigned", CertificateStatus.FAILED, "Rejected"),
    ],
)
def test_a_refusal_keeps_its_word(action: str, status: CertificateStatus, word: str) -> None:
    assert answer(action, status) == {"status": word}


@pytest.mark.parametrize("status", TriggerStatus)
def test_a_trigger_is_answered_in_its_words(status: TriggerStatus) -> None:
    assert answer("ExtendedTriggerMessage", status) == {"status": status.value}


@pytest.mark.req("M03.FR.01")
def test_installed_certificates_are_named_by_their_sha256_hashes() -> None:
    hashes = tuple(
        CertificateHash(algorithm=a, issuer_name_hash="aa" * n, issuer_key_hash="bb" * n, serial_number="1f")
        for a, n in (("SHA256", 32), ("SHA384", 48), ("SHA512", 64))
    )
    root = InstalledCertificate(
        use=CertificateUse.CSMS_ROOT,
        pem="",
        fingerprint="f",
        subject="",
        hashes=hashes,
        not_before=START,
        not_after=START,
    )
    found = answer("GetInstalledCertificateIds", CertificateStatus.ACCEPTED, (root, root))
    assert found["status"] == "Accepted"
    assert found["certificateHashData"] == 2 * [
        {"hashAlgorithm": "SHA256", "issuerNameHash": "aa" * 32, "issuerKeyHash": "bb" * 32, "serialNumber": "1f"}
    ]


def test_no_installed_certificate_is_not_found_and_has_no_list() -> None:
    assert answer("GetInstalledCertificateIds", CertificateStatus.NOT_FOUND, ()) == {"status": "NotFound"}


# --- commands


@pytest.mark.parametrize("connector", [-1, -(2**40)])
def test_a_negative_connector_in_a_trigger_that_needs_one_is_out_of_range(connector: int) -> None:
    payload = {"requestedMessage": "MeterValues", "connectorId": connector}
    refused = decode_call("ExtendedTriggerMessage", payload, RequestRef("csms", "1"))
    assert isinstance(refused, CallRefused) and refused.code is ErrorCode.PROPERTY


@pytest.mark.parametrize("pem", ["", "nonsense", "\x00", "c" * 5500])
def test_a_certificate_that_is_none_is_the_cores_to_refuse(pem: str) -> None:
    payload = {"certificateType": "CentralSystemRootCertificate", "certificate": pem}
    assert isinstance(decode_call("InstallCertificate", payload, RequestRef("csms", "1")), InstallCertificate)


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("InstallCertificate", {"certificateType": "CentralSystemRootCertificate", "certificate": "c" * 5501}),
        ("InstallCertificate", {"certificateType": "CSMSRootCertificate", "certificate": "c"}),
        ("CertificateSigned", {"certificateChain": "c" * 10_001}),
        ("GetInstalledCertificateIds", {"certificateType": "V2GRootCertificate"}),
        ("ExtendedTriggerMessage", {"requestedMessage": "DiagnosticsStatusNotification"}),
    ],
)
def test_a_value_beyond_its_bounds_is_a_property_violation(action: str, payload: dict[str, Any]) -> None:
    refused = decode_call(action, payload, RequestRef("csms", "1"))
    assert isinstance(refused, CallRefused) and refused.code is ErrorCode.PROPERTY


# --- events


@pytest.mark.req("A04.FR.01")
def test_every_event_is_told_by_its_name_in_the_whitepaper() -> None:
    stamp = Stamp(START, True, "boot-1")
    later = {"DiscardedRenewedClientCertificate", "MaintenanceLoginAccepted", "MaintenanceLoginFailed"}
    assert {event(SecurityRecord(one.value, stamp))["type"] for one in SecurityEvent} == WORDS | later


def test_a_name_that_is_in_no_list_is_told_as_it_is() -> None:
    assert event(SecurityRecord("com.example.Door", Stamp(START, True, "boot-1"), "open")) == {
        "type": "com.example.Door",
        "timestamp": "2026-05-04T12:00:00.000Z",
        "techInfo": "open",
    }


def test_an_event_without_information_has_no_field_for_it() -> None:
    assert "techInfo" not in event(SecurityRecord("StartupOfTheDevice", Stamp(START, True, "boot-1")))


def test_an_event_that_is_too_long_is_cut() -> None:
    told = event(SecurityRecord("x" * 99, Stamp(START, True, "boot-1"), "y" * 999))
    assert len(told["type"]) == 50 and len(told["techInfo"]) == 255


def test_an_event_of_an_untrusted_clock_is_told_with_the_true_time() -> None:
    request = encode_record(
        SecurityRecord("StartupOfTheDevice", Stamp(START, False, "boot-0")),
        replace(station(), corrections={"boot-0": 3600.0}),
    )
    assert isinstance(request, Request)
    assert request.payload["timestamp"] == "2026-05-04T13:00:00.000Z"


# --- questions


def test_a_signing_request_goes_as_it_is() -> None:
    request = encode_question(SigningQuestion("-----BEGIN CERTIFICATE REQUEST-----"))
    assert request == Request("SignCertificate", {"csr": "-----BEGIN CERTIFICATE REQUEST-----"})
    assert call_violation(request.action, request.payload) is None


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"status": "Accepted"}, SigningAnswer(True)),
        ({"status": "accepted"}, SigningAnswer(True)),
        ({"status": "Rejected"}, SigningAnswer(False)),
        ({"status": "Perhaps"}, SigningAnswer(False)),
        ({"status": None}, None),
        ({}, None),
        ([], None),
        (None, None),
    ],
)
def test_the_csmss_word_about_a_signing_request_is_read_leniently(payload: Any, expected: SigningAnswer | None) -> None:
    assert decode_question_answer("t", SigningQuestion("csr"), payload) == QuestionAnswered("t", expected)
