from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.dialects.v16.outbound import encode_authorization, encode_notice, encode_record, plain_decimal
from edged.domain.effects import (
    AskAuthorization,
    MeterRecord,
    NoticeKind,
    Notify,
    RecordKind,
    ReservationEnd,
    ReservationRecord,
    Sample,
    SampleContext,
    SampledValue,
    StopReason,
    TransactionRecord,
)
from edged.domain.hardware import Measurand
from edged.domain.policy import Trigger
from edged.domain.station import Identity, Station, Transaction
from edged.domain.types import IdToken, Phase, Stamp
from edged.ocpp.dialect import Inexpressible, NotYet
from edged.ocpp.rpc import Request

NOON = datetime(2025, 6, 1, 12, 0, 0, tzinfo=UTC)
NOON_TEXT = "2025-06-01T12:00:00.000Z"
AT = Stamp(NOON, True, "boot1")
TAG = IdToken("Tag1")
SAMPLE = Sample(AT, SampleContext.PERIODIC, (SampledValue(Measurand.ENERGY, 1234.5),))

Build = Callable[..., Station]
Check = Callable[[str, Any], None]


def _record(kind: RecordKind, **facts: Any) -> TransactionRecord:
    whole: dict[str, Any] = {
        "kind": kind,
        "transaction_id": "tx1",
        "connector": 2,
        "trigger": Trigger.METER_VALUE_PERIODIC,
        "seq_no": 0,
        "at": AT,
        "offline": False,
        "phase": Phase.CHARGING,
    }
    return TransactionRecord(**{**whole, **facts})


def _with_transaction(make_station: Build, external_ref: int | None, **facts: Any) -> Station:
    transaction = Transaction(
        id="tx1",
        connector=2,
        id_token=TAG,
        group=None,
        started=AT,
        meter_start_wh=1000.0,
        kept_at=AT,
        external_ref=external_ref,
    )
    return make_station(transactions={"tx1": transaction}, **facts)


def _request(outcome: Request | NotYet | Inexpressible | None) -> Request:
    assert isinstance(outcome, Request)
    return outcome


# --- records of transactions


def test_a_start_is_a_start_transaction(make_station: Build, assert_v16: Check) -> None:
    record = _record(RecordKind.STARTED, id_token=TAG, meter_wh=1000.5, reservation_id=7)
    request = _request(encode_record(record, _with_transaction(make_station, None)))
    assert request == Request(
        "StartTransaction",
        {"connectorId": 2, "idTag": "Tag1", "meterStart": 1000, "timestamp": NOON_TEXT, "reservationId": 7},
    )
    assert_v16("StartTransaction", request.payload)


def test_a_start_without_a_reservation_names_none(make_station: Build) -> None:
    record = _record(RecordKind.STARTED, id_token=TAG, meter_wh=0.0)
    assert "reservationId" not in _request(encode_record(record, make_station())).payload


def test_a_start_without_a_token_has_an_empty_tag(make_station: Build, assert_v16: Check) -> None:
    payload = _request(encode_record(_record(RecordKind.STARTED), make_station())).payload
    assert (payload["idTag"], payload["meterStart"]) == ("", 0)
    assert_v16("StartTransaction", payload)


@pytest.mark.parametrize("kind", [RecordKind.UPDATED, RecordKind.ENDED])
def test_what_follows_a_start_waits_for_its_answer(kind: RecordKind, make_station: Build) -> None:
    assert encode_record(_record(kind, samples=(SAMPLE,)), _with_transaction(make_station, None)) == NotYet()


@pytest.mark.parametrize("reference", [42, 0, -7, -1])
@pytest.mark.parametrize(
    ("kind", "action"), [(RecordKind.UPDATED, "MeterValues"), (RecordKind.ENDED, "StopTransaction")]
)
def test_any_reference_is_used_as_it_is(
    reference: int, kind: RecordKind, action: str, make_station: Build, assert_v16: Check
) -> None:
    request = _request(encode_record(_record(kind, samples=(SAMPLE,)), _with_transaction(make_station, reference)))
    assert request.action == action
    assert request.payload["transactionId"] == reference
    assert_v16(action, request.payload)


def test_a_transaction_that_is_no_longer_known_goes_under_minus_one(make_station: Build) -> None:
    assert _request(encode_record(_record(RecordKind.ENDED), make_station())).payload["transactionId"] == -1


OTHERWISE = {StopReason.MASTER_PASS: "Local", StopReason.STOPPED_BY_EV: "Other", StopReason.TIMEOUT: "Other"}


@pytest.mark.req("16-TX-08")
@pytest.mark.parametrize("reason", StopReason)
def test_an_end_is_a_stop_transaction_for_every_reason(
    reason: StopReason, make_station: Build, assert_v16: Check
) -> None:
    record = _record(RecordKind.ENDED, meter_wh=2000.6, reason=reason, id_token=TAG)
    request = _request(encode_record(record, _with_transaction(make_station, 42)))
    assert request == Request(
        "StopTransaction",
        {
            "transactionId": 42,
            "meterStop": 2001,
            "timestamp": NOON_TEXT,
            "idTag": "Tag1",
            "reason": OTHERWISE.get(reason, reason),
        },
    )
    assert_v16("StopTransaction", request.payload)


@pytest.mark.req("16-TX-08")
def test_an_end_by_the_station_itself_names_no_tag_and_no_reason(make_station: Build) -> None:
    payload = _request(encode_record(_record(RecordKind.ENDED), _with_transaction(make_station, 42))).payload
    assert "idTag" not in payload and "reason" not in payload and "transactionData" not in payload


def test_the_samples_of_a_transaction_are_its_data(make_station: Build, assert_v16: Check) -> None:
    begin = replace(SAMPLE, context=SampleContext.BEGIN)
    end = replace(SAMPLE, context=SampleContext.END)
    record = _record(RecordKind.ENDED, samples=(begin, SAMPLE, end))
    payload = _request(encode_record(record, _with_transaction(make_station, 42))).payload
    contexts = [value["context"] for entry in payload["transactionData"] for value in entry["sampledValue"]]
    assert contexts == ["Transaction.Begin", "Sample.Periodic", "Transaction.End"]
    assert_v16("StopTransaction", payload)


def test_an_update_without_values_cannot_be_said(make_station: Build) -> None:
    station = _with_transaction(make_station, 42)
    assert encode_record(_record(RecordKind.UPDATED), station) == Inexpressible()


def test_times_of_a_boot_that_learned_the_time_later_are_corrected(make_station: Build) -> None:
    at = Stamp(NOON, False, "boot0")
    sample = replace(SAMPLE, at=at)
    station = _with_transaction(make_station, 42, corrections={"boot0": 3600.0})
    payload = _request(encode_record(_record(RecordKind.ENDED, at=at, samples=(sample,)), station)).payload
    assert payload["timestamp"] == "2025-06-01T13:00:00.000Z"
    assert payload["transactionData"][0]["timestamp"] == "2025-06-01T13:00:00.000Z"


@pytest.mark.parametrize("energy_wh", [float("nan"), float("inf")])
def test_a_register_that_is_no_number_is_zero(energy_wh: float, make_station: Build, assert_v16: Check) -> None:
    payload = _request(encode_record(_record(RecordKind.STARTED, meter_wh=energy_wh), make_station())).payload
    assert_v16("StartTransaction", payload)


# --- meter values


@pytest.mark.req("16-MV-04")
@pytest.mark.parametrize(
    ("measurand", "unit"),
    [
        (Measurand.ENERGY, "Wh"),
        (Measurand.ENERGY_INTERVAL, "Wh"),
        (Measurand.POWER, "W"),
        (Measurand.CURRENT, "A"),
        (Measurand.CURRENT_OFFERED, "A"),
        (Measurand.VOLTAGE, "V"),
        (Measurand.FREQUENCY, None),
        (Measurand.TEMPERATURE, "Celcius"),
        (Measurand.SOC, "Percent"),
    ],
)
def test_each_measurand_goes_out_with_its_unit(
    measurand: Measurand, unit: str | None, make_station: Build, assert_v16: Check
) -> None:
    sample = Sample(AT, SampleContext.CLOCK, (SampledValue(measurand, 49.98),))
    request = _request(encode_record(MeterRecord(1, (sample,)), make_station()))
    expected = {
        "value": "49.98",
        "context": "Sample.Clock",
        "format": "Raw",
        "measurand": measurand.value,
        "location": "Outlet",
    }
    if unit is not None:
        expected["unit"] = unit
    assert request == Request(
        "MeterValues", {"connectorId": 1, "meterValue": [{"timestamp": NOON_TEXT, "sampledValue": [expected]}]}
    )
    assert_v16("MeterValues", request.payload)


def test_every_measurand_of_the_core_has_its_unit_here(make_station: Build, assert_v16: Check) -> None:
    values = tuple(SampledValue(measurand, 1.0) for measurand in Measurand)
    record = MeterRecord(1, (Sample(AT, SampleContext.CLOCK, values),))
    payload = _request(encode_record(record, make_station())).payload
    assert len(payload["meterValue"][0]["sampledValue"]) == len(Measurand)
    assert_v16("MeterValues", payload)


@pytest.mark.req("16-MV-03")
@pytest.mark.parametrize("phase", ["L1", "L2", "L3", "L1-N", "L2-N", "L3-N"])
@pytest.mark.parametrize("context", SampleContext)
def test_phase_and_context_are_said_as_they_are(
    phase: str, context: SampleContext, make_station: Build, assert_v16: Check
) -> None:
    sample = Sample(AT, context, (SampledValue(Measurand.VOLTAGE, 230.1, phase),))
    payload = _request(encode_record(MeterRecord(1, (sample,)), make_station())).payload
    (value,) = payload["meterValue"][0]["sampledValue"]
    assert (value["phase"], value["context"]) == (phase, context.value)
    assert_v16("MeterValues", payload)


def test_a_value_that_is_no_number_is_left_out(make_station: Build) -> None:
    sample = Sample(AT, SampleContext.CLOCK, (SampledValue(Measurand.POWER, float("nan")), *SAMPLE.values))
    payload = _request(encode_record(MeterRecord(1, (sample,)), make_station())).payload
    assert [value["value"] for value in payload["meterValue"][0]["sampledValue"]] == ["1234.5"]


def test_a_record_without_any_number_cannot_be_said(make_station: Build) -> None:
    sample = Sample(AT, SampleContext.CLOCK, (SampledValue(Measurand.POWER, float("inf")),))
    assert encode_record(MeterRecord(1, (sample,)), make_station()) == Inexpressible()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (-0.0001, "0"),
        (100.0, "100"),
        (1e-7, "0"),
        (0.1 + 0.2, "0.3"),
        (-1.25, "-1.25"),
        (1e22, "10000000000000000000000"),
        (12345678.9, "12345678.9"),
    ],
)
def test_a_number_is_a_plain_decimal(value: float, text: str) -> None:
    assert plain_decimal(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_no_number_needs_an_exponent_and_none_moves_by_more_than_half_a_thousandth(value: float) -> None:
    text = plain_decimal(value)
    assert set(text) <= set("-.0123456789")
    assert abs(float(text) - value) <= 0.0005 + abs(value) * 1e-15


# --- what 1.6 has no words for


@pytest.mark.parametrize("record", [ReservationRecord(7, ReservationEnd.EXPIRED)])
def test_other_records_cannot_be_said(record: ReservationRecord, make_station: Build) -> None:
    assert encode_record(record, make_station()) == Inexpressible()


# --- questions and notices


@pytest.mark.parametrize(("value", "tag"), [("Tag1", "Tag1"), ("T" * 36, "T" * 20)])
def test_a_question_about_a_token_is_an_authorize(value: str, tag: str, assert_v16: Check) -> None:
    request = encode_authorization(AskAuthorization("ticket", IdToken(value)))
    assert request == Request("Authorize", {"idTag": tag})
    assert_v16("Authorize", request.payload)


def _notice(notice: Notify, station: Station) -> Request | None:
    return encode_notice(notice, station)


def test_a_boot_tells_who_the_station_is(make_station: Build, assert_v16: Check) -> None:
    identity = Identity(id="D", vendor="Example", model="Depot", serial_number="S-1", firmware_version="1.2")
    request = _request(_notice(Notify(NoticeKind.BOOT), make_station(identity=identity)))
    assert request == Request(
        "BootNotification",
        {
            "chargePointVendor": "Example",
            "chargePointModel": "Depot",
            "chargePointSerialNumber": "S-1",
            "firmwareVersion": "1.2",
        },
    )
    assert_v16("BootNotification", request.payload)


def test_a_long_identity_is_cut_to_the_maxima(make_station: Build, assert_v16: Check) -> None:
    identity = Identity(id="D", vendor="V" * 60, model="M" * 60, serial_number="S" * 60, firmware_version="F" * 60)
    payload = _request(_notice(Notify(NoticeKind.BOOT), make_station(identity=identity))).payload
    assert [len(value) for value in payload.values()] == [20, 20, 25, 50]
    assert_v16("BootNotification", payload)


def test_what_is_not_known_of_the_station_is_left_out(make_station: Build) -> None:
    payload = _request(_notice(Notify(NoticeKind.BOOT), make_station())).payload
    assert set(payload) == {"chargePointVendor", "chargePointModel"}


def test_a_heartbeat_is_empty(make_station: Build, assert_v16: Check) -> None:
    assert _notice(Notify(NoticeKind.HEARTBEAT), make_station()) == Request("Heartbeat", {})
    assert_v16("Heartbeat", {})


@pytest.mark.parametrize(("connector", "told"), [(None, 0), (0, 0), (2, 2)])
def test_a_triggered_status_is_that_of_its_connector(
    connector: int | None, told: int, make_station: Build, assert_v16: Check
) -> None:
    request = _request(_notice(Notify(NoticeKind.STATUS, connector, triggered=True), make_station()))
    assert (request.action, request.payload["connectorId"]) == ("StatusNotification", told)
    assert_v16("StatusNotification", request.payload)


@pytest.mark.req("TC_054_CS")
def test_a_triggered_status_of_a_connector_that_nobody_has_seen_yet_is_unavailable(
    make_station: Build, assert_v16: Check
) -> None:
    station = make_station()
    unseen = replace(station.connectors[1], observed_at_s=None)
    station = replace(station, connectors={**station.connectors, 1: unseen})
    request = _request(_notice(Notify(NoticeKind.STATUS, 1, triggered=True), station))
    assert request.payload["status"] == "Unavailable"
    assert_v16("StatusNotification", request.payload)


def test_a_connector_that_is_not_there_has_no_status(make_station: Build) -> None:
    assert _notice(Notify(NoticeKind.STATUS, 9), make_station()) is None


@pytest.mark.parametrize(("reference", "told"), [(42, 42), (-1, -1), (None, None)])
def test_triggered_values_name_the_transaction_once_it_has_a_name(
    reference: int | None, told: int | None, make_station: Build, assert_v16: Check
) -> None:
    notice = Notify(NoticeKind.METER, 2, sample=replace(SAMPLE, context=SampleContext.TRIGGER), transaction_id="tx1")
    request = _request(_notice(notice, _with_transaction(make_station, reference)))
    assert request.action == "MeterValues"
    assert request.payload.get("transactionId") == told
    assert_v16("MeterValues", request.payload)


def test_triggered_values_without_a_transaction_name_none(make_station: Build) -> None:
    notice = Notify(NoticeKind.METER, 1, sample=SAMPLE)
    assert "transactionId" not in _request(_notice(notice, make_station())).payload


def test_without_a_sample_there_are_no_values_to_tell(make_station: Build) -> None:
    assert _notice(Notify(NoticeKind.METER, 1), make_station()) is None
