"""1.6's firmware and log messages: answers, stages, and what is said to who asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from edged.dialects.v16 import POLICY, Ocpp16
from edged.dialects.v16.files import encode_file_notice, encode_file_record
from edged.dialects.v16.inbound import decode_call
from edged.dialects.v16.replies import encode_reply
from edged.domain.answers import FileStatus
from edged.domain.effects import FirmwareRecord, LogRecord, NoticeKind, Notify, Reply
from edged.domain.files import (
    FirmwareOrder,
    FirmwareStatus,
    FirmwareUpdate,
    LogKind,
    LogOrder,
    LogUpload,
    UploadStatus,
)
from edged.domain.station import Station
from edged.domain.types import RequestRef
from edged.ocpp.dialect import CallRefused, Inexpressible
from edged.ocpp.rpc import ErrorCode, Request
from tests.fakes import site

NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
Check = Callable[[str, Any], None]


def answer(action: str, status: FileStatus, data: Any = None) -> Any:
    return encode_reply(Reply(RequestRef("csms", "1", action), status, "the reason", data))


def updating(status: FirmwareStatus, request_id: int | None) -> Station:
    order = FirmwareOrder(location="http://h/f", retrieve_at=NOON, request_id=request_id)
    return replace(site.station(), firmware=FirmwareUpdate(order=order, status=status, told=status))


def uploading(status: UploadStatus, request_id: int | None) -> Station:
    order = LogOrder(kind=LogKind.DIAGNOSTICS, location="http://h/", filename="f", request_id=request_id)
    return replace(site.station(), upload=LogUpload(order=order, status=status))


# --- answers


@pytest.mark.parametrize("status", set(FileStatus) - {FileStatus.SIGNED_ONLY})
def test_the_answer_to_an_unsigned_update_says_nothing(status: FileStatus) -> None:
    assert answer("UpdateFirmware", status) == {}


@pytest.mark.req("L01.FR.20")
def test_an_unsigned_update_where_signed_ones_are_possible_is_not_supported() -> None:
    refused = answer("UpdateFirmware", FileStatus.SIGNED_ONLY)
    assert isinstance(refused, CallRefused) and refused.code is ErrorCode.NOT_SUPPORTED


@pytest.mark.parametrize("status", set(FileStatus) - {FileStatus.SIGNED_ONLY})
def test_the_answer_to_a_signed_update_is_its_status(status: FileStatus, assert_v16: Check) -> None:
    payload = answer("SignedUpdateFirmware", status)
    assert payload == {"status": status.value}
    assert_v16("SignedUpdateFirmwareResponse", payload)


@pytest.mark.parametrize("status", [FileStatus.ACCEPTED, FileStatus.ACCEPTED_CANCELED])
def test_a_log_is_promised_with_its_name(status: FileStatus, assert_v16: Check) -> None:
    payload = answer("GetLog", status, "a.log")
    assert payload == {"status": status.value, "filename": "a.log"}
    assert_v16("GetLogResponse", payload)
    assert answer("GetDiagnostics", status, "a.log") == {"fileName": "a.log"}


def test_without_a_log_there_is_no_name(assert_v16: Check) -> None:
    assert answer("GetLog", FileStatus.REJECTED) == {"status": "Rejected"}
    assert answer("GetDiagnostics", FileStatus.REJECTED) == {}
    assert_v16("GetDiagnosticsResponse", {})


# --- what is out of bounds


@pytest.mark.parametrize(
    ("action", "payload", "field"),
    [
        ("GetDiagnostics", {"location": "x", "startTime": "soon"}, "startTime"),
        ("GetDiagnostics", {"location": "x", "stopTime": ""}, "stopTime"),
        ("UpdateFirmware", {"location": "x", "retrieveDate": "2026-06-01"}, "retrieveDate"),
        (
            "GetLog",
            {"logType": "SecurityLog", "requestId": 1, "log": {"remoteLocation": "x", "latestTimestamp": "-"}},
            "log.latestTimestamp",
        ),
        (
            "SignedUpdateFirmware",
            {
                "requestId": 1,
                "firmware": {"location": "x", "retrieveDateTime": "-", "signingCertificate": "", "signature": ""},
            },
            "firmware.retrieveDateTime",
        ),
    ],
)
def test_a_time_that_cannot_be_read_is_named(action: str, payload: Any, field: str) -> None:
    refused = decode_call(action, payload, RequestRef("csms", "1", action))
    assert refused == CallRefused(ErrorCode.TYPE, f"{field}: type dateTime")


@pytest.mark.parametrize("more", [{"retrieveDate": "2026-06-01T12:00:00Z"}, {}])
def test_an_address_without_end_is_refused(more: dict[str, str]) -> None:
    action = "UpdateFirmware" if more else "GetDiagnostics"
    refused = decode_call(action, {"location": "http://h/" + "x" * 2048, **more}, RequestRef("csms", "1", action))
    assert refused == CallRefused(ErrorCode.PROPERTY, "location: maxLength 2048")


# --- stages


@pytest.mark.parametrize("status", list(FirmwareStatus))
def test_a_stage_of_a_named_update_is_told_with_its_id(status: FirmwareStatus, assert_v16: Check) -> None:
    request = encode_file_record(FirmwareRecord(status, 0))
    assert request == Request("SignedFirmwareStatusNotification", {"status": status.value, "requestId": 0})
    assert_v16(request.action, request.payload)


@pytest.mark.parametrize("status", list(FirmwareStatus))
def test_a_stage_of_an_unsigned_update_is_told_where_1_6_has_a_word(status: FirmwareStatus, assert_v16: Check) -> None:
    request = encode_file_record(FirmwareRecord(status))
    if status not in POLICY.nameless_firmware_statuses:
        assert request == Inexpressible()
        return
    assert request == Request("FirmwareStatusNotification", {"status": status.value})
    assert_v16(request.action, request.payload)


@pytest.mark.parametrize("status", list(UploadStatus))
def test_a_stage_of_an_upload_is_told_by_the_message_that_asked_for_it(status: UploadStatus, assert_v16: Check) -> None:
    named = encode_file_record(LogRecord(status, LogKind.SECURITY, 7))
    nameless = encode_file_record(LogRecord(status, LogKind.DIAGNOSTICS))
    if status not in POLICY.upload_statuses:
        assert (named, nameless) == (Inexpressible(), Inexpressible())
        return
    assert named == Request("LogStatusNotification", {"status": status.value, "requestId": 7})
    assert isinstance(nameless, Request) and nameless.action == "DiagnosticsStatusNotification"
    for request in (named, nameless):
        assert_v16(request.action, request.payload)


@pytest.mark.parametrize("kind", [FirmwareRecord, LogRecord])
def test_the_dialect_itself_encodes_both_records(kind: type) -> None:
    record = FirmwareRecord(FirmwareStatus.INSTALLED)
    log = LogRecord(UploadStatus.UPLOADED, LogKind.DIAGNOSTICS)
    assert isinstance(Ocpp16().encode_record(record if kind is FirmwareRecord else log, site.station()), Request)


# --- who asks


@pytest.mark.parametrize("status", list(FirmwareStatus))
@pytest.mark.parametrize("request_id", [None, 3])
@pytest.mark.parametrize("kind", [NoticeKind.FIRMWARE_STATUS, NoticeKind.SIGNED_FIRMWARE_STATUS])
def test_whatever_the_stage_is_who_asks_gets_a_message_of_1_6(
    status: FirmwareStatus, request_id: int | None, kind: NoticeKind, assert_v16: Check
) -> None:
    request = encode_file_notice(kind, updating(status, request_id))
    assert request.action == kind.value
    assert_v16(request.action, request.payload)


@pytest.mark.req("L01.FR.28", "L01.FR.29")
@pytest.mark.parametrize(
    ("status", "request_id", "said"),
    [
        (FirmwareStatus.INSTALLED, 3, {"status": "Idle"}),
        (FirmwareStatus.INVALID_SIGNATURE, 3, {"status": "InvalidSignature", "requestId": 3}),
        (FirmwareStatus.DOWNLOADING, 3, {"status": "Downloading", "requestId": 3}),
        (FirmwareStatus.DOWNLOADING, None, {"status": "Downloading"}),
        (FirmwareStatus.DOWNLOAD_FAILED, None, {"status": "Idle"}),
    ],
)
def test_who_asks_hears_the_last_stage_and_idle_after_the_end(
    status: FirmwareStatus, request_id: int | None, said: dict[str, Any]
) -> None:
    kind = NoticeKind.FIRMWARE_STATUS if request_id is None else NoticeKind.SIGNED_FIRMWARE_STATUS
    assert encode_file_notice(kind, updating(status, request_id)).payload == said


@pytest.mark.req("N01.FR.12", "TC_054_CS")
@pytest.mark.parametrize(
    ("kind", "request_id", "said"),
    [
        (NoticeKind.LOG_STATUS, 3, {"status": "Uploading", "requestId": 3}),
        (NoticeKind.LOG_STATUS, None, {"status": "Idle"}),
        (NoticeKind.DIAGNOSTICS_STATUS, None, {"status": "Uploading"}),
        (NoticeKind.DIAGNOSTICS_STATUS, 3, {"status": "Idle"}),
    ],
)
def test_who_asks_hears_of_the_upload_that_the_message_is_for(
    kind: NoticeKind, request_id: int | None, said: dict[str, Any]
) -> None:
    assert encode_file_notice(kind, uploading(UploadStatus.UPLOADING, request_id)).payload == said


@pytest.mark.parametrize("status", set(UploadStatus) - {UploadStatus.UPLOADING})
def test_an_upload_that_is_over_is_idle(status: UploadStatus) -> None:
    assert encode_file_notice(NoticeKind.LOG_STATUS, uploading(status, 3)).payload == {"status": "Idle"}


def test_a_station_without_update_and_upload_is_idle() -> None:
    now = site.station().clock
    for kind in (NoticeKind.FIRMWARE_STATUS, NoticeKind.DIAGNOSTICS_STATUS):
        request = Ocpp16().encode_notice(Notify(kind), site.station(), now)
        assert request is not None and request.payload == {"status": "Idle"}
