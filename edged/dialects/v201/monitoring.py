"""Monitoring: SetVariableMonitoring, ClearVariableMonitoring, SetMonitoringBase, SetMonitoringLevel and
GetMonitoringReport in; NotifyMonitoringReport and NotifyEvent out. 2.0.1 N02 to N08.

What one look has found in more events than a message should have goes out in several, each whole in itself: none waits
for another, so each is part 0 of one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from edged.dialects.times import format_time
from edged.dialects.v201.variables import (
    fitting,
    read_component,
    read_filter,
    read_variable,
    too_long,
    write_component,
    write_variable,
)
from edged.dialects.v201.words import status_info, with_info
from edged.domain.answers import Reason
from edged.domain.device_model_facts import REPORTING_VALUE_CHARS
from edged.domain.effects import EventRecord, Reply, ReportPage
from edged.domain.events import Event
from edged.domain.monitors import (
    ClearMonitors,
    GetMonitoringReport,
    Monitor,
    MonitoredVariable,
    MonitorEvent,
    MonitoringBase,
    MonitoringCriterion,
    MonitorKind,
    MonitorOrder,
    MonitorResult,
    SetMonitoringBase,
    SetMonitoringLevel,
    SetMonitors,
)
from edged.domain.station import Station
from edged.domain.types import RequestRef
from edged.ocpp.dialect import CallRefused, Payload
from edged.ocpp.rpc import ErrorCode, Request

MAX_TECH_CODE_CHARS: Final = 50
MAX_TECH_INFO_CHARS: Final = 500

# --- what the CSMS asks


def _set(payload: Payload, request: RequestRef) -> Event | CallRefused:
    orders = tuple(
        MonitorOrder(
            id=one.get("id"),
            component=read_component(one["component"]),
            variable=read_variable(one["variable"]),
            kind=MonitorKind(one["type"]),
            value=float(one["value"]),
            severity=one["severity"],
            transaction=one.get("transaction", False),
        )
        for one in payload["setMonitoringData"]
    )
    return too_long(payload) or SetMonitors(request, orders)


def _clear(payload: Payload, request: RequestRef) -> Event | CallRefused:
    return too_long(payload) or ClearMonitors(request, tuple(payload["id"]))


def _set_base(payload: Payload, request: RequestRef) -> Event:
    return SetMonitoringBase(request, MonitoringBase(payload["monitoringBase"]))


def _set_level(payload: Payload, request: RequestRef) -> Event:
    return SetMonitoringLevel(request, payload["severity"])


def _get_report(payload: Payload, request: RequestRef) -> Event | CallRefused:
    criteria = frozenset(MonitoringCriterion(word) for word in payload.get("monitoringCriteria", ()))
    wanted = tuple(read_filter(one) for one in payload.get("componentVariable", ()))
    event = GetMonitoringReport(request=request, request_id=payload["requestId"], criteria=criteria, wanted=wanted)
    return too_long(payload) or event


# --- what is answered


def _set_answer(reply: Reply, _station: Station) -> Payload | CallRefused:
    if reply.data is None:
        return CallRefused(ErrorCode.OCCURRENCE, reply.detail)
    return {"setMonitoringResult": [_result(result) for result in reply.data]}


def _result(result: MonitorResult) -> Payload:
    payload: Payload = {
        "status": result.status.value,
        "type": result.order.kind.value,
        "severity": result.order.severity,
        "component": write_component(result.order.component),
        "variable": write_variable(result.order.variable),
    }
    if result.id is not None:
        payload["id"] = result.id
    info = status_info(result.reason, result.detail)
    return payload if info is None else {**payload, "statusInfo": info}


def _clear_answer(reply: Reply, _station: Station) -> Payload | CallRefused:
    if reply.data is None:
        return CallRefused(ErrorCode.OCCURRENCE, reply.detail)
    results = []
    for result in reply.data:
        info = status_info(result.reason, result.detail)
        told: Payload = {"id": result.id, "status": result.status.value}
        results.append(told if info is None else {**told, "statusInfo": info})
    return {"clearMonitoringResult": results}


def _answer(reply: Reply, _station: Station) -> Payload | CallRefused:
    if reply.reason == Reason.TOO_MANY_ELEMENTS:
        return CallRefused(ErrorCode.OCCURRENCE, reply.detail)
    return with_info({"status": reply.status.value}, reply)


# --- what the CSMS is told


def encode_page(page: ReportPage, station: Station) -> Request:
    """NotifyMonitoringReport."""
    payload: Payload = {
        "requestId": page.request_id,
        "generatedAt": format_time(station.true_time(page.generated_at)),
        "seqNo": page.seq_no,
        "tbc": page.more,
    }
    if page.items:
        payload["monitor"] = [_monitored(item) for item in page.items]
    return Request("NotifyMonitoringReport", payload)


def _monitored(item: MonitoredVariable) -> Payload:
    return {
        "component": write_component(item.component),
        "variable": write_variable(item.variable),
        "variableMonitoring": [_monitor(monitor) for monitor in item.monitors],
    }


def _monitor(monitor: Monitor) -> Payload:
    return {
        "id": monitor.id,
        "transaction": monitor.transaction,
        "value": monitor.value,
        "type": monitor.kind.value,
        "severity": monitor.severity,
    }


def encode_events(record: EventRecord, station: Station) -> Request:
    """NotifyEvent, with the moment as it is known by now."""
    at = format_time(station.true_time(record.at))
    payload: Payload = {
        "generatedAt": at,
        "seqNo": 0,
        "tbc": False,
        "eventData": [_event(event, at) for event in record.events],
    }
    return Request("NotifyEvent", payload)


def _event(event: MonitorEvent, at: str) -> Payload:
    payload: Payload = {
        "eventId": event.id,
        "timestamp": at,
        "trigger": event.trigger.value,
        "actualValue": fitting(event.value, REPORTING_VALUE_CHARS),
        "component": write_component(event.component),
        "variable": write_variable(event.variable),
        "eventNotificationType": event.origin.value,
    }
    if event.cause is not None:
        payload["cause"] = event.cause
    if event.tech_code:
        payload["techCode"] = event.tech_code[:MAX_TECH_CODE_CHARS]
    if event.tech_info:
        payload["techInfo"] = event.tech_info[:MAX_TECH_INFO_CHARS]
    if event.cleared:
        payload["cleared"] = True
    if event.transaction_id is not None:
        payload["transactionId"] = event.transaction_id
    if event.monitor_id is not None:
        payload["variableMonitoringId"] = event.monitor_id
    return payload


DECODERS: Final[Mapping[str, Callable[[Payload, RequestRef], Event | CallRefused]]] = {
    "ClearVariableMonitoring": _clear,
    "GetMonitoringReport": _get_report,
    "SetMonitoringBase": _set_base,
    "SetMonitoringLevel": _set_level,
    "SetVariableMonitoring": _set,
}
ENCODERS: Final[Mapping[str, Callable[[Reply, Station], Payload | CallRefused]]] = {
    "ClearVariableMonitoring": _clear_answer,
    "GetMonitoringReport": _answer,
    "SetMonitoringBase": _answer,
    "SetMonitoringLevel": _answer,
    "SetVariableMonitoring": _set_answer,
}
