"""Monitoring on 2.0.1's wire."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import jsonschema
import pytest

from edged.dialects.v16 import Ocpp16
from edged.dialects.v201 import Ocpp201
from edged.domain.answers import Reason
from edged.domain.effects import EventRecord, Reply, ReportKind, ReportPage
from edged.domain.monitors import (
    ClearMonitorResult,
    ClearMonitors,
    ClearMonitorStatus,
    EventTrigger,
    GetMonitoringReport,
    Monitor,
    MonitoredVariable,
    MonitorEvent,
    MonitorKind,
    MonitorOrder,
    MonitorResult,
    MonitorStatus,
    Origin,
    SetMonitors,
)
from edged.domain.station import Station
from edged.domain.types import RequestRef, Stamp
from edged.domain.variables import Component, Variable
from edged.ocpp.dialect import CallRefused, Inexpressible
from edged.ocpp.rpc import ErrorCode, Request

DIALECT = Ocpp201()
NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
EVSE = Component("EVSE", evse=2)
POWER = Variable("Power")
WIRE_EVSE = {"name": "EVSE", "evse": {"id": 2}}
ORDER = {"value": 5, "type": "Delta", "severity": 4, "component": WIRE_EVSE, "variable": {"name": "Power"}}
STAMP = Stamp(NOON, True, "boot")
Stations = Callable[..., Station]


def decoded(action: str, **payload: Any) -> Any:
    return DIALECT.decode_call(action, payload, RequestRef("csms", "17", action))


def answer(station: Station, action: str, status: Any, data: Any = None, **more: Any) -> Any:
    return DIALECT.encode_reply(Reply(RequestRef("csms", "17", action), status, data=data, **more), station)


def valid(name: str, payload: Any) -> bool:
    text = files("ocpp").joinpath(f"v201/schemas/{name}.json").read_text(encoding="utf-8-sig")
    jsonschema.validate(payload, json.loads(text))
    return True


def event(**changes: Any) -> MonitorEvent:
    fields: dict[str, Any] = {
        "id": 7,
        "trigger": EventTrigger.ALERTING,
        "component": EVSE,
        "variable": POWER,
        "value": "5000",
        "origin": Origin.CUSTOM,
        "severity": 3,
        "monitor_id": 10_000,
    }
    return MonitorEvent(**{**fields, **changes})


def test_orders_are_read_with_what_they_leave_out() -> None:
    found = decoded("SetVariableMonitoring", setMonitoringData=[ORDER, {**ORDER, "id": 9, "transaction": True}])
    assert isinstance(found, SetMonitors)
    order = MonitorOrder(component=EVSE, variable=POWER, kind=MonitorKind.DELTA, value=5.0, severity=4)
    assert found.orders[0] == order
    assert (found.orders[1].id, found.orders[1].transaction) == (9, True)


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("SetVariableMonitoring", {"setMonitoringData": []}),
        ("SetVariableMonitoring", {"setMonitoringData": [{**ORDER, "type": "Moon"}]}),
        ("SetVariableMonitoring", {"setMonitoringData": [{**ORDER, "value": "many"}]}),
        ("SetVariableMonitoring", {"setMonitoringData": [{**ORDER, "value": 1e300}]}),
        ("SetVariableMonitoring", {"setMonitoringData": [{**ORDER, "severity": 2.5}]}),
        ("ClearVariableMonitoring", {"id": []}),
        ("ClearVariableMonitoring", {"id": ["one"]}),
        ("ClearVariableMonitoring", {"id": [10**9] * 7_000}),
        ("SetMonitoringBase", {"monitoringBase": "None"}),
        ("SetMonitoringLevel", {}),
        ("GetMonitoringReport", {"requestId": 1, "monitoringCriteria": ["Moon"]}),
    ],
)
def test_what_cannot_be_read_is_refused(action: str, payload: dict[str, Any]) -> None:
    assert isinstance(decoded(action, **payload), CallRefused)


def test_ids_and_filters_are_read() -> None:
    cleared = decoded("ClearVariableMonitoring", id=[3, 1])
    assert isinstance(cleared, ClearMonitors)
    assert cleared.ids == (3, 1)
    asked = decoded("GetMonitoringReport", requestId=4, componentVariable=[{"component": WIRE_EVSE}])
    assert isinstance(asked, GetMonitoringReport)
    assert (asked.request_id, asked.criteria, asked.wanted[0].variable) == (4, frozenset(), None)


def test_each_order_is_answered_for_itself(make_station: Stations) -> None:
    order = MonitorOrder(component=EVSE, variable=POWER, kind=MonitorKind.DELTA, value=5.0, severity=4)
    results = (
        MonitorResult(order=order, status=MonitorStatus.ACCEPTED, id=10_000),
        MonitorResult(order=order, status=MonitorStatus.REJECTED, reason=Reason.VALUE_OUT_OF_RANGE, detail="no"),
    )
    payload = answer(make_station(), "SetVariableMonitoring", MonitorStatus.ACCEPTED, results)
    assert valid("SetVariableMonitoringResponse", payload)
    first, second = payload["setMonitoringResult"]
    assert (first["id"], first["status"], first["component"]) == (10_000, "Accepted", WIRE_EVSE)
    assert second["statusInfo"] == {"reasonCode": "ValueOutOfRange", "additionalInfo": "no"}
    assert "id" not in second
    cleared = (ClearMonitorResult(3, ClearMonitorStatus.NOT_FOUND),)
    payload = answer(make_station(), "ClearVariableMonitoring", ClearMonitorStatus.ACCEPTED, cleared)
    assert valid("ClearVariableMonitoringResponse", payload)
    assert payload == {"clearMonitoringResult": [{"id": 3, "status": "NotFound"}]}


@pytest.mark.parametrize("action", ["SetVariableMonitoring", "ClearVariableMonitoring", "GetMonitoringReport"])
def test_too_many_items_are_an_occurrence_violation(make_station: Stations, action: str) -> None:
    refused = answer(make_station(), action, MonitorStatus.REJECTED, reason=Reason.TOO_MANY_ELEMENTS)
    assert isinstance(refused, CallRefused)
    assert refused.code is ErrorCode.OCCURRENCE


def test_monitors_are_reported_by_their_variable(make_station: Stations) -> None:
    monitor = Monitor(id=3, component=EVSE, variable=POWER, kind=MonitorKind.UPPER, value=7.5, severity=2)
    page = ReportPage(
        kind=ReportKind.MONITORS,
        request_id=4,
        seq_no=0,
        more=False,
        generated_at=STAMP,
        items=(MonitoredVariable(EVSE, POWER, (monitor,)),),
    )
    request = DIALECT.encode_question(page, make_station())
    assert request is not None
    assert valid("NotifyMonitoringReportRequest", request.payload)
    (entry,) = request.payload["monitor"]
    told = {"id": 3, "transaction": False, "value": 7.5, "type": "UpperThreshold", "severity": 2}
    assert entry == {"component": WIRE_EVSE, "variable": {"name": "Power"}, "variableMonitoring": [told]}


def test_events_are_told_within_what_a_message_may_hold(make_station: Stations) -> None:
    long = event(
        value="x" * 9_000,
        tech_code="c" * 80,
        tech_info="i" * 800,
        cleared=True,
        transaction_id="t" * 36,
        cause=6,
    )
    short = event(id=8, monitor_id=None, origin=Origin.NOTIFICATION)
    request = DIALECT.encode_record(EventRecord(STAMP, (long, short)), make_station())
    assert isinstance(request, Request)
    assert (request.action, request.payload["seqNo"], request.payload["tbc"]) == ("NotifyEvent", 0, False)
    assert valid("NotifyEventRequest", request.payload)
    first, second = request.payload["eventData"]
    assert (first["cause"], first["cleared"], first["variableMonitoringId"]) == (6, True, 10_000)
    assert second == {
        "eventId": 8,
        "timestamp": "2026-06-01T12:00:00.000Z",
        "trigger": "Alerting",
        "actualValue": "5000",
        "component": WIRE_EVSE,
        "variable": {"name": "Power"},
        "eventNotificationType": "HardWiredNotification",
    }


def test_1_6_has_no_words_for_an_event(make_station: Stations) -> None:
    record = EventRecord(STAMP, (event(),))
    assert isinstance(Ocpp16().encode_record(record, make_station()), Inexpressible)
