"""Reservations, availability, resets, unlock, triggers and boot on 2.0.1's wire."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import jsonschema
import pytest

from edged.dialects.v201 import Ocpp201
from edged.domain.answers import AvailabilityStatus, Reason, ReserveStatus, ResetStatus, UnlockStatus, Verdict
from edged.domain.commands import (
    CancelReservation,
    ChangeAvailability,
    ReserveNow,
    ResetKind,
    ResetStation,
    Target,
    TriggerMessage,
    TriggerSigning,
    UnlockConnector,
)
from edged.domain.effects import NoticeKind, Notify, Reply, ReservationEnd, ReservationRecord
from edged.domain.events import BootAnswered, BootFailed, Registration, TimeTold
from edged.domain.station import Reservation, Station
from edged.domain.types import IdToken, Now, RequestRef, Stamp
from edged.ocpp.dialect import CallRefused, Inexpressible, StatusReport
from edged.ocpp.rpc import ErrorCode, Request

DIALECT = Ocpp201()
NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
CARD = {"idToken": "Tag1", "type": "ISO14443"}
RESERVE = {"id": 7, "expiryDateTime": "2026-06-01T14:00:00+02:00", "idToken": CARD}
Stations = Callable[..., Station]


def ref(action: str) -> RequestRef:
    return RequestRef("csms", "17", action)


def decoded(action: str, **payload: Any) -> Any:
    return DIALECT.decode_call(action, payload, ref(action))


def valid(name: str, payload: Any) -> Any:
    schema = json.loads(files("ocpp").joinpath("v201/schemas", f"{name}.json").read_text("utf-8-sig"))
    jsonschema.validators.validator_for(schema)(schema).validate(payload)
    return payload


def encoded(station: Station, action: str, status: Any, **more: Any) -> Any:
    return valid(f"{action}Response", DIALECT.encode_reply(Reply(ref(action), status, **more), station))


# --- reservations


@pytest.mark.req("H01.FR.03", "H01.FR.04", "H01.FR.06")
@pytest.mark.parametrize(
    ("place", "target"),
    [
        ({"evseId": 2}, Target(evse=2)),
        ({}, Target()),
        ({"connectorType": "cCCS2"}, Target(connector_type="cCCS2")),
        ({"evseId": 2, "connectorType": "cCCS2"}, Target(evse=2, connector_type="cCCS2")),
    ],
)
def test_a_reservation_is_read_with_its_place(place: dict[str, Any], target: Target) -> None:
    group = {"idToken": "FAMILY", "type": "Central"}
    assert decoded("ReserveNow", **RESERVE, **place, groupIdToken=group) == ReserveNow(
        request=ref("ReserveNow"),
        reservation_id=7,
        target=target,
        id_token=IdToken("Tag1", "ISO14443"),
        group=IdToken("FAMILY", "Central"),
        expires_at=NOON,
    )


def test_an_end_that_is_no_time_is_of_the_wrong_type() -> None:
    refused = decoded("ReserveNow", **{**RESERVE, "expiryDateTime": "tomorrow"})
    assert isinstance(refused, CallRefused)
    assert refused.code in (ErrorCode.TYPE, ErrorCode.FORMAT)


def test_a_cancellation_is_read() -> None:
    assert decoded("CancelReservation", reservationId=7) == CancelReservation(ref("CancelReservation"), 7)


@pytest.mark.parametrize("status", list(ReserveStatus))
def test_every_answer_to_a_reservation_has_its_word(make_station: Stations, status: ReserveStatus) -> None:
    answer = encoded(make_station(), "ReserveNow", status, detail="why", reason=Reason.UNKNOWN_CONNECTOR_TYPE)
    assert answer["status"] == status.value
    assert answer["statusInfo"] == {"reasonCode": "UnknownConnectorType", "additionalInfo": "why"}


@pytest.mark.parametrize("status", list(Verdict))
def test_every_answer_to_a_cancellation_has_its_word(make_station: Stations, status: Verdict) -> None:
    assert encoded(make_station(), "CancelReservation", status)["status"] == status.value


@pytest.mark.req("H04.FR.01", "H01.FR.16", "H01.FR.17")
@pytest.mark.parametrize("outcome", list(ReservationEnd))
def test_an_end_is_told_unless_its_id_is_in_use_again(make_station: Stations, outcome: ReservationEnd) -> None:
    record, here = ReservationRecord(7, outcome), make_station()
    request = DIALECT.encode_record(record, here)
    assert isinstance(request, Request)
    assert request.action == "ReservationStatusUpdate"
    assert valid("ReservationStatusUpdateRequest", request.payload) == {
        "reservationId": 7,
        "reservationUpdateStatus": outcome.value,
    }
    again = Reservation(
        id=7,
        target=Target(),
        id_token=IdToken("Tag1"),
        group=None,
        expires_at=NOON,
        created=Stamp(NOON, True, "b"),
        source="csms",
        held_until_s=0.0,
    )
    assert isinstance(DIALECT.encode_record(record, replace(here, reservations={7: again})), Inexpressible)


# --- availability


@pytest.mark.req("G03.FR.01", "G04.FR.01")
@pytest.mark.parametrize(
    ("place", "evse", "connector"),
    [({}, 0, None), ({"evse": {"id": 2}}, 2, None), ({"evse": {"id": 2, "connectorId": 1}}, 2, 1)],
)
def test_a_change_of_availability_is_read(place: dict[str, Any], evse: int, connector: int | None) -> None:
    for word, operative in (("Operative", True), ("Inoperative", False)):
        assert decoded("ChangeAvailability", operationalStatus=word, **place) == ChangeAvailability(
            ref("ChangeAvailability"), None, operative, evse, connector
        )


@pytest.mark.parametrize("status", list(AvailabilityStatus))
def test_every_answer_to_it_has_its_word(make_station: Stations, status: AvailabilityStatus) -> None:
    assert encoded(make_station(), "ChangeAvailability", status)["status"] == status.value


def test_a_status_names_the_evse_and_its_connector(make_station: Stations) -> None:
    here = replace(make_station(), clock=Now(NOON, 5.0, True))
    request = DIALECT.encode_status(1, StatusReport("Reserved"), here)
    assert valid("StatusNotificationRequest", request.payload) == {
        "timestamp": "2026-06-01T12:00:00.000Z",
        "connectorStatus": "Reserved",
        "evseId": 1,
        "connectorId": 1,
    }


# --- resets, unlock, triggers


@pytest.mark.req("B11.FR.01", "B12.FR.01")
def test_a_reset_is_read() -> None:
    assert decoded("Reset", type="Immediate") == ResetStation(ref("Reset"), ResetKind.HARD)
    assert decoded("Reset", type="OnIdle", evseId=2) == ResetStation(ref("Reset"), ResetKind.ON_IDLE, 2)
    assert isinstance(decoded("Reset", type="Hard"), CallRefused)


@pytest.mark.parametrize("status", list(ResetStatus))
def test_every_answer_to_a_reset_has_its_word(make_station: Stations, status: ResetStatus) -> None:
    assert encoded(make_station(), "Reset", status)["status"] == status.value


@pytest.mark.req("F05.FR.01", "F05.FR.02", "F05.FR.05")
def test_an_unlock_ends_no_transaction_and_every_answer_has_a_word(make_station: Stations) -> None:
    command = decoded("UnlockConnector", evseId=2, connectorId=1)
    assert command == UnlockConnector(ref("UnlockConnector"), None, 2, 1, ends_transaction=False)
    words = {status: encoded(make_station(), "UnlockConnector", status)["status"] for status in UnlockStatus}
    assert words == {
        UnlockStatus.UNLOCKED: "Unlocked",
        UnlockStatus.FAILED: "UnlockFailed",
        UnlockStatus.NOT_SUPPORTED: "UnlockFailed",
        UnlockStatus.UNKNOWN_CONNECTOR: "UnknownConnector",
        UnlockStatus.ONGOING_TRANSACTION: "OngoingAuthorizedTransaction",
    }


@pytest.mark.req("F06.FR.02", "F06.FR.08")
@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        ("BootNotification", NoticeKind.BOOT),
        ("LogStatusNotification", NoticeKind.LOG_STATUS),
        ("FirmwareStatusNotification", NoticeKind.FIRMWARE_STATUS),
        ("Heartbeat", NoticeKind.HEARTBEAT),
        ("MeterValues", NoticeKind.METER),
        ("StatusNotification", NoticeKind.STATUS),
        ("TransactionEvent", NoticeKind.TRANSACTION),
        ("SignV2GCertificate", None),
        ("SignCombinedCertificate", None),
        ("PublishFirmwareStatusNotification", None),
    ],
)
def test_a_trigger_is_read_with_its_place(message: str, wanted: NoticeKind | None) -> None:
    action = "TriggerMessage"
    assert decoded(action, requestedMessage=message) == TriggerMessage(ref(action), wanted)
    assert decoded(action, requestedMessage=message, evse={"id": 2, "connectorId": 1}) == TriggerMessage(
        ref(action), wanted, None, 2, 1
    )


def test_a_trigger_to_sign_is_a_command_of_its_own() -> None:
    assert isinstance(decoded("TriggerMessage", requestedMessage="SignChargingStationCertificate"), TriggerSigning)


# --- boot


@pytest.mark.req("B01.FR.09")
@pytest.mark.parametrize(
    ("kept", "reason"), [("PowerUp", "PowerUp"), ("ScheduledReset", "ScheduledReset"), ("whatever", "Unknown")]
)
def test_a_boot_says_why(make_station: Stations, kept: str, reason: str) -> None:
    here = make_station()
    here = replace(here, boot=replace(here.boot, reason=kept))
    for triggered, wanted in ((False, reason), (True, "Triggered")):
        request = DIALECT.encode_notice(Notify(NoticeKind.BOOT, triggered=triggered), here, here.clock)
        assert request is not None
        assert valid("BootNotificationRequest", request.payload)["reason"] == wanted


@pytest.mark.req("B01.FR.04", "B02.FR.07", "G02.FR.07")
@pytest.mark.parametrize(("interval", "kept_s"), [(300, 300), (0, 0), (-5, 0), (10**9, 86_400), ("300", 0), (True, 0)])
def test_the_answer_to_a_boot_is_read_with_bounds(interval: Any, kept_s: int) -> None:
    payload = {"status": "pending", "currentTime": "2026-06-01T12:00:00Z", "interval": interval}
    answer = DIALECT.decode_notice_answer(Notify(NoticeKind.BOOT), payload)
    assert answer == BootAnswered(Registration.PENDING, NOON, kept_s)


@pytest.mark.parametrize("payload", [None, [], {}, {"status": 3}, {"status": "None"}, {"status": "Perhaps"}])
def test_an_answer_that_is_none_is_a_failed_boot(payload: Any) -> None:
    assert isinstance(DIALECT.decode_notice_answer(Notify(NoticeKind.BOOT), payload), BootFailed)


@pytest.mark.req("G02.FR.06")
def test_the_answer_to_a_heartbeat_tells_the_time() -> None:
    beat = Notify(NoticeKind.HEARTBEAT)
    assert DIALECT.decode_notice_answer(beat, {"currentTime": "2026-06-01T12:00:00Z"}) == TimeTold(NOON)
    for payload in (None, {}, {"currentTime": "soon"}):
        assert DIALECT.decode_notice_answer(beat, payload) is None
