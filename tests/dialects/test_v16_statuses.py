from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edged.dialects.v16.statuses import encode_status, statuses
from edged.domain.commands import Target
from edged.domain.hardware import Fault, FaultCode
from edged.domain.station import Connector, Identity, Reservation, Station
from edged.domain.types import IdToken, Now, Phase, Stamp
from edged.ocpp.dialect import StatusReport

NOON = datetime(2025, 6, 1, 12, 0, 0, tzinfo=UTC)
WARNING = Fault(FaultCode.HIGH_TEMPERATURE, "T7", "hot", blocking=False)
EV_WARNING = Fault(FaultCode.EV_COMMUNICATION, blocking=False)
GROUND = Fault(FaultCode.GROUND, "G1", "earth leakage")

Build = Callable[..., Any]
Check = Callable[[str, Any], None]


def _one(make_station: Build, make_connector: Build, **facts: Any) -> StatusReport:
    reports: dict[int, StatusReport] = statuses(make_station(make_connector(1, **facts)))  # type: ignore[assignment]
    return reports[1]


@pytest.mark.parametrize(
    ("phase", "status"),
    [
        (Phase.IDLE, "Available"),
        (Phase.PREPARING, "Preparing"),
        (Phase.CHARGING, "Charging"),
        (Phase.SUSPENDED_EV, "SuspendedEV"),
        (Phase.SUSPENDED_EVSE, "SuspendedEVSE"),
        (Phase.FINISHING, "Finishing"),
    ],
)
def test_a_phase_is_a_status_without_an_error(
    phase: Phase, status: str, make_station: Build, make_connector: Build, assert_v16: Check
) -> None:
    station = make_station(make_connector(1, phase=phase))
    report = statuses(station)[1]
    assert report == StatusReport(status)
    request = encode_status(1, report, station)
    assert request.payload == {
        "connectorId": 1,
        "errorCode": "NoError",
        "status": status,
        "timestamp": "2025-06-01T12:00:00.000Z",
    }
    assert_v16("StatusNotification", request.payload)


@pytest.mark.parametrize("code", FaultCode)
@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("phase", Phase)
def test_every_fault_in_every_phase_is_a_valid_message(
    code: FaultCode, blocking: bool, phase: Phase, make_station: Build, make_connector: Build, assert_v16: Check
) -> None:
    fault = Fault(code, "V" * 80, "I" * 80, blocking)
    station = make_station(make_connector(1, faults=(fault,), phase=phase, note="N" * 80))
    report = statuses(station)[1]
    request = encode_status(1, report, station)
    assert_v16("StatusNotification", request.payload)
    assert (report.status == "Faulted") is blocking
    assert max(len(report.info), len(report.vendor_error_code)) <= 50
    if report.error_code == "EVCommunicationError":
        assert report.status in ("Preparing", "SuspendedEV", "SuspendedEVSE", "Finishing")
    if blocking:
        assert report.error_code != "NoError"


def test_the_first_blocking_fault_is_told_with_its_vendor_code_and_vendor(
    make_station: Build, make_connector: Build
) -> None:
    station = make_station(make_connector(1, faults=(WARNING, GROUND, Fault(FaultCode.INTERNAL)), note="a note"))
    report = statuses(station)[1]
    assert report == StatusReport("Faulted", "GroundFailure", "earth leakage", "G1")
    payload = encode_status(1, report, station).payload
    assert (payload["vendorId"], payload["vendorErrorCode"]) == ("Example Energy", "G1")


def test_a_fault_that_does_not_block_is_a_warning(make_station: Build, make_connector: Build) -> None:
    report = _one(make_station, make_connector, faults=(WARNING,))
    assert report == StatusReport("Available", "HighTemperature", "hot", "T7")


@pytest.mark.req("16-ST-02")
def test_trouble_with_the_ev_is_not_told_where_no_ev_can_be(make_station: Build, make_connector: Build) -> None:
    assert _one(make_station, make_connector, faults=(EV_WARNING,)) == StatusReport("Available")


def test_trouble_with_the_ev_is_told_while_preparing(make_station: Build, make_connector: Build) -> None:
    report = _one(make_station, make_connector, faults=(EV_WARNING,), phase=Phase.PREPARING)
    assert report == StatusReport("Preparing", "EVCommunicationError")


def test_trouble_with_the_ev_gives_way_to_a_warning_that_may_be_told(
    make_station: Build, make_connector: Build
) -> None:
    assert _one(make_station, make_connector, faults=(EV_WARNING, WARNING)).error_code == "HighTemperature"


def test_trouble_with_the_ev_that_blocks_is_another_error(make_station: Build, make_connector: Build) -> None:
    fault = Fault(FaultCode.EV_COMMUNICATION, "E1", "no pilot")
    assert _one(make_station, make_connector, faults=(fault,)) == StatusReport(
        "Faulted", "OtherError", "no pilot", "E1"
    )


def test_a_note_is_told_and_cut(make_station: Build, make_connector: Build) -> None:
    report = _one(make_station, make_connector, phase=Phase.FINISHING, note="EV side disconnected" + "." * 60)
    assert report.info == "EV side disconnected" + "." * 30


def test_a_fault_without_words_leaves_the_note(make_station: Build, make_connector: Build) -> None:
    fault = Fault(FaultCode.INTERNAL)
    assert _one(make_station, make_connector, faults=(fault,), note="offline").info == "offline"


def test_a_reserved_connector_is_reserved(make_station: Build) -> None:
    reservation = Reservation(
        id=7,
        target=Target(connector=2),
        id_token=IdToken("Tag1"),
        group=None,
        expires_at=NOON + timedelta(hours=1),
        created=Stamp(NOON, True, "boot1"),
        source="csms",
        held_until_s=3700.0,
    )
    reports = statuses(make_station(reservations={7: reservation}))
    assert {number: report.status for number, report in reports.items()} == {
        0: "Available",
        1: "Available",
        2: "Reserved",
    }


@pytest.mark.req("16-GEN-05")
@pytest.mark.parametrize(("operative", "status"), [(True, "Available"), (False, "Unavailable")])
def test_connector_0_is_available_or_not_and_has_no_faults(
    operative: bool, status: str, make_station: Build, make_connector: Build, assert_v16: Check
) -> None:
    station = make_station(make_connector(1, faults=(GROUND,)), operative=operative)
    report = statuses(station)[0]
    assert report == StatusReport(status)
    assert_v16("StatusNotification", encode_status(0, report, station).payload)


def test_nothing_is_said_of_a_charger_that_nobody_has_heard_yet(make_station: Build, make_connector: Build) -> None:
    assert list(statuses(make_station(make_connector(1, observed_at_s=None)))) == [0]


def test_a_charger_that_stays_silent_from_the_start_is_faulted(make_station: Build, make_connector: Build) -> None:
    assert _one(make_station, make_connector, observed_at_s=None, faults=(GROUND,)).status == "Faulted"


def test_every_connector_and_the_station_is_reported_in_order(make_station: Build, make_connector: Build) -> None:
    station = make_station(make_connector(3), make_connector(1), make_connector(2))
    assert list(statuses(station)) == [0, 1, 2, 3]


@pytest.mark.req("16-ST-06")
def test_a_report_keeps_the_moment_at_which_it_was_made(make_station: Build) -> None:
    report = statuses(make_station())[1]
    later = make_station(clock=Now(NOON + timedelta(hours=1), 3700.0, True))
    assert encode_status(1, report, later).payload["timestamp"] == "2025-06-01T12:00:00.000Z"


def test_an_untrusted_clock_dates_nothing(make_station: Build, assert_v16: Check) -> None:
    station = make_station(clock=Now(NOON, 100.0, False))
    payload = encode_status(1, statuses(station)[1], station).payload
    assert "timestamp" not in payload
    assert_v16("StatusNotification", payload)


def test_a_report_from_before_the_time_was_known_is_dated_when_it_is_sent(make_station: Build) -> None:
    report = statuses(make_station(clock=Now(NOON, 100.0, False)))[1]
    assert encode_status(1, report, make_station()).payload["timestamp"] == "2025-06-01T12:00:00.000Z"


def test_a_long_vendor_is_cut(make_station: Build, make_connector: Build, assert_v16: Check) -> None:
    station: Station = make_station(
        make_connector(1, faults=(GROUND,)), identity=Identity(id="x", vendor="V" * 300, model="M")
    )
    connector: Connector = station.connectors[1]
    assert connector.blocked
    assert_v16("StatusNotification", encode_status(1, statuses(station)[1], station).payload)
