"""2.0.1's certificates and security events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from edged.dialects.v201 import POLICY, Ocpp201
from edged.dialects.v201.schemas import answer_violation, call_violation
from edged.domain.answers import CertificateStatus, TransferStatus
from edged.domain.commands import AcceptSignedChain, DeleteCertificate, GetInstalledCertificates, InstallCertificate
from edged.domain.credentials import CertificateHash, CertificateUse, InstalledCertificate
from edged.domain.effects import DataQuestion, Enqueue, Reply, SecurityRecord, SigningQuestion
from edged.domain.events import DataAnswer, QuestionAnswered, SigningAnswer, SuspicionRaised
from edged.domain.security_event import SecurityEvent
from edged.domain.types import RequestRef, Stamp
from edged.ocpp.dialect import CallRefused
from edged.ocpp.rpc import ErrorCode, Request
from tests.fakes import site

STATION = site.station()
DIALECT = Ocpp201()
REF = RequestRef("csms", "1")
CSMS, MAKER = CertificateUse.CSMS_ROOT, CertificateUse.MANUFACTURER_ROOT


def decoded(action: str, payload: dict[str, Any]) -> Any:
    return DIALECT.decode_call(action, payload, REF)


def answer(action: str, status: Any, data: Any = None, detail: str = "", reason: str = "") -> dict[str, Any]:
    payload = DIALECT.encode_reply(Reply(RequestRef("csms", "1", action), status, detail, data, reason), STATION)
    assert isinstance(payload, dict) and answer_violation(action, payload) is None
    return payload


def called(request: Any) -> tuple[str, dict[str, Any]]:
    assert isinstance(request, Request) and call_violation(request.action, request.payload) is None
    return request.action, request.payload


def root(use: CertificateUse, serial: str) -> InstalledCertificate:
    names = tuple(
        CertificateHash(algorithm=one, issuer_name_hash="aa", issuer_key_hash="bb", serial_number=serial)
        for one in ("SHA256", "SHA512")
    )
    day = datetime(2026, 6, 1, tzinfo=UTC)
    return InstalledCertificate(
        use=use, pem="", fingerprint=serial, subject="", hashes=names, not_before=day, not_after=day
    )


# --- commands


@pytest.mark.parametrize(
    ("kind", "use"),
    [
        ("CSMSRootCertificate", CSMS),
        ("ManufacturerRootCertificate", MAKER),
        ("V2GRootCertificate", None),
        ("MORootCertificate", None),
    ],
)
def test_a_root_comes_with_its_use_or_with_none(kind: str, use: CertificateUse | None) -> None:
    payload = {"certificateType": kind, "certificate": "pem"}
    assert decoded("InstallCertificate", payload) == InstallCertificate(REF, use, "pem")


@pytest.mark.parametrize(
    ("kinds", "uses"),
    [
        (None, None),
        (["CSMSRootCertificate"], (CSMS,)),
        (["ManufacturerRootCertificate", "V2GRootCertificate", "CSMSRootCertificate"], (MAKER, CSMS)),
        (["V2GCertificateChain", "MORootCertificate"], ()),
    ],
)
def test_one_question_may_name_several_kinds(kinds: list[str] | None, uses: Any) -> None:
    payload = {} if kinds is None else {"certificateType": kinds}
    assert decoded("GetInstalledCertificateIds", payload) == GetInstalledCertificates(REF, uses)


def test_a_chain_says_for_whom_it_is() -> None:
    for kind, known in ((None, True), ("ChargingStationCertificate", True), ("V2GCertificate", False)):
        payload = {"certificateChain": "pem", **({} if kind is None else {"certificateType": kind})}
        assert decoded("CertificateSigned", payload) == AcceptSignedChain(REF, "pem", known_kind=known)


def test_a_certificate_is_named_by_its_hashes() -> None:
    named = {"hashAlgorithm": "SHA384", "issuerNameHash": "a", "issuerKeyHash": "b", "serialNumber": "0C"}
    assert decoded("DeleteCertificate", {"certificateHashData": named}) == DeleteCertificate(
        REF, CertificateHash(algorithm="SHA384", issuer_name_hash="a", issuer_key_hash="b", serial_number="0C")
    )


@pytest.mark.parametrize(
    ("action", "payload", "code"),
    [
        ("InstallCertificate", {"certificateType": "CSMSRootCertificate"}, ErrorCode.OCCURRENCE),
        ("InstallCertificate", {"certificateType": "Other", "certificate": "p"}, ErrorCode.PROPERTY),
        (
            "InstallCertificate",
            {"certificateType": "CSMSRootCertificate", "certificate": "p" * 5501},
            ErrorCode.PROPERTY,
        ),
        ("CertificateSigned", {"certificateChain": "p" * 10_001}, ErrorCode.PROPERTY),
        ("CertificateSigned", {"certificateChain": 5}, ErrorCode.TYPE),
        ("GetInstalledCertificateIds", {"certificateType": []}, ErrorCode.OCCURRENCE),
        ("GetInstalledCertificateIds", {"certificateType": "CSMSRootCertificate"}, ErrorCode.TYPE),
        ("DeleteCertificate", {"certificateHashData": {}}, ErrorCode.OCCURRENCE),
    ],
)
def test_what_breaks_a_rule_is_refused_by_the_rules_code(action: str, payload: dict[str, Any], code: ErrorCode) -> None:
    refused = decoded(action, payload)
    assert isinstance(refused, CallRefused) and refused.code is code


# --- answers


@pytest.mark.parametrize("action", ["InstallCertificate", "DeleteCertificate", "CertificateSigned"])
@pytest.mark.parametrize("status", CertificateStatus)
def test_each_answer_is_worded_as_the_message_allows(action: str, status: CertificateStatus) -> None:
    answer(action, status, detail="why", reason="InvalidCertificate")


def test_a_refusal_says_why() -> None:
    assert answer("InstallCertificate", CertificateStatus.REJECTED, detail="why", reason="InvalidCertificate") == {
        "status": "Rejected",
        "statusInfo": {"reasonCode": "InvalidCertificate", "additionalInfo": "why"},
    }


@pytest.mark.req("M03.FR.03", "M03.FR.04")
def test_each_root_is_a_chain_of_its_own() -> None:
    found = (root(CSMS, "1"), root(MAKER, "2"))
    payload = answer("GetInstalledCertificateIds", CertificateStatus.ACCEPTED, found)
    assert payload["status"] == "Accepted"
    assert [
        (
            one["certificateType"],
            one["certificateHashData"]["hashAlgorithm"],
            one["certificateHashData"]["serialNumber"],
        )
        for one in payload["certificateHashDataChain"]
    ] == [("CSMSRootCertificate", "SHA256", "1"), ("ManufacturerRootCertificate", "SHA256", "2")]
    assert answer("GetInstalledCertificateIds", CertificateStatus.NOT_FOUND, ()) == {"status": "NotFound"}


# --- events and questions


@pytest.mark.req("A04.FR.01")
@pytest.mark.parametrize("event", SecurityEvent)
def test_every_event_is_told_by_its_own_name(event: SecurityEvent) -> None:
    record = SecurityRecord(event.value, Stamp(site.START, True, "boot-1"), "x" * 300)
    action, payload = called(DIALECT.encode_record(record, STATION))
    assert action == "SecurityEventNotification"
    assert payload == {"type": event.value, "timestamp": "2026-05-04T12:00:00.000Z", "techInfo": "x" * 255}


@pytest.mark.req("A04.FR.02")
@pytest.mark.parametrize("event", [SecurityEvent.INVALID_TLS_VERSION, SecurityEvent.INVALID_TLS_CIPHER])
@pytest.mark.parametrize("critical", [True, False])
def test_which_events_the_csms_hears_of_is_the_versions_matter(event: SecurityEvent, critical: bool) -> None:
    here = site.Site.build(policy=POLICY if critical else site.POLICY)
    here.do(SuspicionRaised(event.value, "old"))
    told = [one.record.event_type for one in here.of(Enqueue) if isinstance(one.record, SecurityRecord)]
    assert told == ([event.value] if critical else [])


def test_a_signing_request_says_for_what_it_is() -> None:
    action, payload = called(DIALECT.encode_question(SigningQuestion("csr"), STATION))
    assert (action, payload) == (
        "SignCertificate",
        {"csr": "csr", "certificateType": "ChargingStationCertificate"},
    )


@pytest.mark.parametrize(
    ("payload", "wanted"),
    [
        ({"status": "Accepted"}, SigningAnswer(True)),
        ({"status": "rejected"}, SigningAnswer(False)),
        ({"status": 5}, None),
        ({}, None),
        ("Accepted", None),
        (None, None),
    ],
)
def test_an_answer_to_a_signing_request_is_read_or_is_none(payload: Any, wanted: Any) -> None:
    question = SigningQuestion("csr")
    assert DIALECT.decode_question_answer("t", question, payload) == QuestionAnswered("t", wanted)


@pytest.mark.req("P01.FR.04", "P02.FR.01")
@pytest.mark.parametrize(
    ("data", "text"), [("words", "words"), ({"a": [1]}, '{"a":[1]}'), (0, "0"), (False, "false"), (None, None)]
)
def test_data_of_any_type_is_read_as_its_text(data: Any, text: str | None) -> None:
    event = decoded("DataTransfer", {"vendorId": "v", "messageId": "m", "data": data})
    assert (event.vendor_id, event.message_id, event.data) == ("v", "m", text)
    question = DataQuestion("v", "m", "d")
    assert called(DIALECT.encode_question(question, STATION))[1] == {"vendorId": "v", "messageId": "m", "data": "d"}
    answered = DIALECT.decode_question_answer("t", question, {"status": "Accepted", "data": data})
    assert answered == QuestionAnswered("t", DataAnswer(TransferStatus.ACCEPTED, text))
