"""2.0.1's firmware, log and customer messages: orders, answers, stages, and what is said to who asks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from edged.dialects.v201 import Ocpp201
from edged.dialects.v201.schemas import answer_violation, call_violation
from edged.domain.answers import CustomerStatus, FileStatus
from edged.domain.commands import GetLog, TellCustomer, UpdateFirmware
from edged.domain.credentials import CertificateHash
from edged.domain.effects import FirmwareRecord, LogRecord, NoticeKind, Notify, Reply, ReportKind, ReportPage
from edged.domain.files import (
    FirmwareOrder,
    FirmwareStatus,
    FirmwareUpdate,
    LogKind,
    LogOrder,
    LogUpload,
    UploadStatus,
)
from edged.domain.types import IdToken, RequestRef, Stamp
from edged.ocpp.dialect import CallRefused, Inexpressible
from edged.ocpp.rpc import ErrorCode, Request
from tests.fakes import site

NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
STATION = site.station()
DIALECT = Ocpp201()


def decoded(action: str, payload: dict[str, Any]) -> Any:
    return DIALECT.decode_call(action, payload, RequestRef("csms", "1", action))


def answer(action: str, status: Any, data: Any = None, detail: str = "", reason: str = "") -> dict[str, Any]:
    payload = DIALECT.encode_reply(Reply(RequestRef("csms", "1", action), status, detail, data, reason), STATION)
    assert isinstance(payload, dict) and answer_violation(action, payload) is None
    return payload


def called(request: Any) -> tuple[str, dict[str, Any]]:
    assert isinstance(request, Request) and call_violation(request.action, request.payload) is None
    return request.action, request.payload


# --- orders


def update(**firmware: Any) -> dict[str, Any]:
    image = {"location": "http://h/f", "retrieveDateTime": "2026-06-01T14:00:00+02:00", **firmware}
    return {"requestId": 4, "firmware": image}


@pytest.mark.req("L01.FR.01", "L02.FR.01")
@pytest.mark.parametrize(
    ("certificate", "signature", "signed"), [("", "", False), ("pem", "c2ln", True), ("pem", "", True), ("", "x", True)]
)
def test_an_update_is_signed_where_anything_of_a_signature_is_there(
    certificate: str, signature: str, signed: bool
) -> None:
    event = decoded("UpdateFirmware", update(signingCertificate=certificate, signature=signature))
    assert isinstance(event, UpdateFirmware)
    assert (event.order.signed, event.order.request_id, event.order.retrieve_at) == (signed, 4, NOON)
    assert (event.order.signing_certificate, event.order.signature) == (certificate, signature)


def test_retries_and_times_are_read_and_bounded() -> None:
    payload = {**update(installDateTime="2026-06-02T12:00:00Z"), "retries": 5000, "retryInterval": -3}
    event = decoded("UpdateFirmware", payload)
    assert (event.order.retries, event.order.retry_interval_s) == (100, 0)
    assert event.order.install_at == datetime(2026, 6, 2, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize("moment", ["soon", "", "2026-06-01", "2026-13-01T00:00:00Z"])
def test_what_is_no_time_is_a_value_of_the_wrong_type(moment: str) -> None:
    for payload in (update(retrieveDateTime=moment), update(installDateTime=moment)):
        refused = decoded("UpdateFirmware", payload)
        assert isinstance(refused, CallRefused) and refused.code is ErrorCode.TYPE
    log = {"remoteLocation": "ftp://h/", "latestTimestamp": moment}
    refused = decoded("GetLog", {"logType": "SecurityLog", "requestId": 1, "log": log})
    assert isinstance(refused, CallRefused) and refused.code is ErrorCode.TYPE


def test_a_log_is_ordered_by_its_kind() -> None:
    log = {"remoteLocation": "ftp://h/", "oldestTimestamp": "2026-06-01T12:00:00Z"}
    event = decoded("GetLog", {"logType": "SecurityLog", "requestId": 1, "log": log, "retries": 2})
    assert isinstance(event, GetLog)
    assert event.order == LogOrder(
        kind=LogKind.SECURITY,
        location="ftp://h/",
        filename="",
        oldest=NOON,
        retries=2,
        retry_interval_s=30,
        request_id=1,
    )


@pytest.mark.parametrize("missing", ["requestId", "report", "clear"])
def test_a_customers_request_is_read_and_its_fields_are_needed(missing: str) -> None:
    payload: dict[str, Any] = {"requestId": 1, "report": True, "clear": False, "customerIdentifier": "Alice"}
    event = decoded("CustomerInformation", payload)
    assert isinstance(event, TellCustomer) and (event.identifier, event.id_token, event.report) == ("Alice", None, True)
    named = {"hashAlgorithm": "SHA256", "issuerNameHash": "a", "issuerKeyHash": "b", "serialNumber": "1"}
    more = {"idToken": {"idToken": "T", "type": "eMAID"}, "customerCertificate": named}
    event = decoded("CustomerInformation", {**payload, **more})
    assert event.id_token == IdToken("T", "eMAID")
    assert event.certificate == CertificateHash(
        algorithm="SHA256", issuer_name_hash="a", issuer_key_hash="b", serial_number="1"
    )
    refused = decoded("CustomerInformation", {name: value for name, value in payload.items() if name != missing})
    assert isinstance(refused, CallRefused) and refused.code is ErrorCode.OCCURRENCE


# --- answers


@pytest.mark.parametrize("status", FileStatus)
def test_each_answer_to_an_update_has_a_word_of_2_0_1(status: FileStatus) -> None:
    word = answer("UpdateFirmware", status)["status"]
    assert word == ("Rejected" if status is FileStatus.SIGNED_ONLY else status.value)


def test_the_answer_to_a_log_names_the_file() -> None:
    assert answer("GetLog", FileStatus.ACCEPTED_CANCELED, "n.log") == {
        "status": "AcceptedCanceled",
        "filename": "n.log",
    }
    refused = answer("GetLog", FileStatus.REJECTED, detail="why", reason="InvalidURL")
    assert refused == {"status": "Rejected", "statusInfo": {"reasonCode": "InvalidURL", "additionalInfo": "why"}}


@pytest.mark.parametrize("status", CustomerStatus)
def test_each_answer_to_a_customers_request_has_a_word_of_2_0_1(status: CustomerStatus) -> None:
    assert answer("CustomerInformation", status) == {"status": status.value}


def test_a_page_about_a_customer_fits_its_message() -> None:
    page = ReportPage(
        kind=ReportKind.CUSTOMER,
        request_id=3,
        seq_no=1,
        more=True,
        generated_at=Stamp(NOON, True, "boot-1"),
        items=("x" * 600,),
    )
    action, payload = called(DIALECT.encode_question(page, STATION))
    assert action == "NotifyCustomerInformation"
    assert {**payload, "data": len(payload["data"])} == {
        "data": 512,
        "seqNo": 1,
        "generatedAt": "2026-06-01T12:00:00.000Z",
        "requestId": 3,
        "tbc": True,
    }


# --- stages


@pytest.mark.req("L01.FR.20", "N01.FR.13")
@pytest.mark.parametrize(
    "record", [*map(FirmwareRecord, FirmwareStatus), *(LogRecord(s, LogKind.SECURITY) for s in UploadStatus)]
)
def test_each_stage_names_its_request_and_idle_none(record: FirmwareRecord | LogRecord) -> None:
    idle = record.status.value == "Idle"
    _, payload = called(DIALECT.encode_record(replace(record, request_id=8), STATION))
    assert payload == ({"status": "Idle"} if idle else {"status": record.status.value, "requestId": 8})
    nameless = DIALECT.encode_record(record, STATION)
    if not idle:
        assert isinstance(nameless, Inexpressible), "what another version ordered without a name"


def told(station: Any, kind: NoticeKind) -> dict[str, Any]:
    return called(DIALECT.encode_notice(Notify(kind, triggered=True), station, STATION.clock))[1]


@pytest.mark.req("L01.FR.25", "L01.FR.26")
def test_who_asks_for_firmware_hears_the_last_stage() -> None:
    order = FirmwareOrder(location="http://h/f", retrieve_at=NOON, request_id=4)
    for status, wanted in (
        (FirmwareStatus.DOWNLOADING, {"status": "Downloading", "requestId": 4}),
        (FirmwareStatus.DOWNLOAD_FAILED, {"status": "DownloadFailed", "requestId": 4}),
        (FirmwareStatus.INSTALLED, {"status": "Idle"}),
    ):
        station = replace(STATION, firmware=FirmwareUpdate(order=order, status=status, told=status))
        assert told(station, NoticeKind.FIRMWARE_STATUS) == wanted
    nameless = replace(order, request_id=None)
    update = FirmwareUpdate(order=nameless, status=FirmwareStatus.DOWNLOADING, told=FirmwareStatus.DOWNLOADING)
    assert told(replace(STATION, firmware=update), NoticeKind.FIRMWARE_STATUS) == {"status": "Idle"}
    assert told(STATION, NoticeKind.FIRMWARE_STATUS) == {"status": "Idle"}


@pytest.mark.req("N01.FR.12")
def test_who_asks_for_a_log_hears_whether_it_is_on_its_way() -> None:
    order = LogOrder(kind=LogKind.DIAGNOSTICS, location="http://h/", filename="f", request_id=6)
    going = replace(STATION, upload=LogUpload(order=order, status=UploadStatus.UPLOADING))
    assert told(going, NoticeKind.LOG_STATUS) == {"status": "Uploading", "requestId": 6}
    over = replace(STATION, upload=LogUpload(order=order, status=UploadStatus.UPLOADED))
    assert told(over, NoticeKind.LOG_STATUS) == {"status": "Idle"}
