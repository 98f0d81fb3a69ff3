"""Variables: GetVariables, SetVariables, GetBaseReport, GetReport, and the pages of NotifyReport. 2.0.1 B05 to B08.

A page is put into words when it is sent: what it tells of a variable is so at that moment. Lists that are longer than
2.0.1 allows lose their last items, never a part of one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final

from edged.dialects.times import format_time
from edged.dialects.v201.words import status_info, with_info
from edged.domain import device_model
from edged.domain.answers import Reason
from edged.domain.configuration import Mutability
from edged.domain.device_model_facts import BYTES_PER_MESSAGE, PAGE_BYTES, REPORTING_VALUE_CHARS
from edged.domain.device_model_terms import Entry
from edged.domain.effects import Reply, ReportPage
from edged.domain.events import Event
from edged.domain.station import Station
from edged.domain.types import RequestRef
from edged.domain.variables import (
    Attribute,
    Characteristics,
    Component,
    Criterion,
    GetBaseReport,
    GetReport,
    GetVariables,
    ReportBase,
    SetVariables,
    Variable,
    VariableChange,
    VariableFilter,
    VariableQuery,
    VariableResult,
)
from edged.ocpp.dialect import CallRefused, Payload
from edged.ocpp.rpc import ErrorCode, Request

VALUES_MAX_CHARS: Final = 1000
_MUTABILITY: Final[Mapping[Mutability, str]] = {
    Mutability.READ_ONLY: "ReadOnly",
    Mutability.READ_WRITE: "ReadWrite",
    Mutability.WRITE_ONLY: "WriteOnly",
}

# --- names, both ways


def read_component(told: Payload) -> Component:
    place = told.get("evse") or {}
    return Component(told["name"], told.get("instance"), place.get("id"), place.get("connectorId"))


def write_component(component: Component) -> Payload:
    payload: Payload = {"name": component.name}
    if component.instance is not None:
        payload["instance"] = component.instance
    if component.evse is not None:
        payload["evse"] = {"id": component.evse}
        if component.connector is not None:
            payload["evse"]["connectorId"] = component.connector
    return payload


def read_variable(told: Payload) -> Variable:
    return Variable(told["name"], told.get("instance"))


def write_variable(variable: Variable) -> Payload:
    payload: Payload = {"name": variable.name}
    if variable.instance is not None:
        payload["instance"] = variable.instance
    return payload


def _read_attribute(told: Payload) -> Attribute | None:
    word = told.get("attributeType")
    return None if word is None else Attribute(word)


# --- what the CSMS asks


def too_long(payload: Payload, most: int = BYTES_PER_MESSAGE) -> CallRefused | None:
    """B06.FR.17, B08.FR.18."""
    size = len(json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode(errors="surrogatepass"))
    if size <= most:
        return None
    return CallRefused(ErrorCode.FORMAT, f"longer than {most} bytes")


def _get_variables(payload: Payload, request: RequestRef) -> Event | CallRefused:
    queries = tuple(
        VariableQuery(read_component(one["component"]), read_variable(one["variable"]), _read_attribute(one))
        for one in payload["getVariableData"]
    )
    return too_long(payload) or GetVariables(request, queries)


def _set_variables(payload: Payload, request: RequestRef) -> Event | CallRefused:
    changes = tuple(
        VariableChange(
            read_component(one["component"]),
            read_variable(one["variable"]),
            one["attributeValue"],
            _read_attribute(one),
        )
        for one in payload["setVariableData"]
    )
    return too_long(payload) or SetVariables(request, changes)


def _get_base_report(payload: Payload, request: RequestRef) -> Event:
    return GetBaseReport(request, payload["requestId"], ReportBase(payload["reportBase"]))


def _get_report(payload: Payload, request: RequestRef) -> Event | CallRefused:
    criteria = frozenset(Criterion(word) for word in payload.get("componentCriteria", ()))
    wanted = tuple(read_filter(one) for one in payload.get("componentVariable", ()))
    event = GetReport(request=request, request_id=payload["requestId"], criteria=criteria, wanted=wanted)
    return too_long(payload, PAGE_BYTES) or event


def read_filter(told: Payload) -> VariableFilter:
    """A ComponentVariable of a request for a report."""
    variable = told.get("variable")
    return VariableFilter(read_component(told["component"]), None if variable is None else read_variable(variable))


# --- what is answered


def _results(reply: Reply, field: str, encode: Callable[[VariableResult], Payload]) -> Payload | CallRefused:
    if reply.data is None:
        return CallRefused(ErrorCode.OCCURRENCE, reply.detail)
    return {field: [encode(result) for result in reply.data]}


def _result(result: VariableResult) -> Payload:
    payload: Payload = {
        "attributeType": result.attribute.value,
        "attributeStatus": result.status.value,
        "component": write_component(result.component),
        "variable": write_variable(result.variable),
    }
    info = status_info(result.reason, result.detail)
    return payload if info is None else {**payload, "attributeStatusInfo": info}


def _read_result(result: VariableResult) -> Payload:
    payload = _result(result)
    if result.value is not None:
        payload["attributeValue"] = fitting(result.value, REPORTING_VALUE_CHARS)
    return payload


def _encode_get(reply: Reply, _station: Station) -> Payload | CallRefused:
    return _results(reply, "getVariableResult", _read_result)


def _encode_set(reply: Reply, _station: Station) -> Payload | CallRefused:
    return _results(reply, "setVariableResult", _result)


def _encode_report(reply: Reply, _station: Station) -> Payload | CallRefused:
    """A filter that is longer than it may be is the one thing that there is a CALLERROR for."""
    if reply.reason == Reason.TOO_MANY_ELEMENTS:
        return CallRefused(ErrorCode.OCCURRENCE, reply.detail)
    return with_info({"status": reply.status.value}, reply)


def fitting(text: str, limit: int) -> str:
    """A text, cut between two items where it is a list that is too long."""
    if len(text) <= limit:
        return text
    cut = text[: limit + 1]
    return cut.rpartition(",")[0] if "," in cut else text[:limit]


# --- the pages of a report


def encode_page(page: ReportPage, station: Station) -> Request:
    """NotifyReport."""
    payload: Payload = {
        "requestId": page.request_id,
        "generatedAt": format_time(station.true_time(page.generated_at)),
        "seqNo": page.seq_no,
        "tbc": page.more,
    }
    if page.items:
        payload["reportData"] = [_entry(station, entry) for entry in page.items]
    return Request("NotifyReport", payload)


def _entry(station: Station, entry: Entry) -> Payload:
    attribute: Payload = {"type": Attribute.ACTUAL.value}
    value = device_model.value(station, entry)
    if value is not None:
        attribute["value"] = fitting(value, REPORTING_VALUE_CHARS)
    attribute["mutability"] = _MUTABILITY[device_model.mutability(station, entry)]
    attribute["persistent"] = device_model.persistent(entry)
    attribute["constant"] = device_model.constant(station, entry)
    return {
        "component": write_component(entry.component),
        "variable": write_variable(entry.variable),
        "variableAttribute": [attribute],
        "variableCharacteristics": _characteristics(device_model.characteristics(station, entry)),
    }


def _characteristics(told: Characteristics) -> Payload:
    payload: Payload = {"dataType": told.data_type.value, "supportsMonitoring": told.supports_monitoring}
    if told.unit is not None:
        payload["unit"] = told.unit
    if told.min_limit is not None:
        payload["minLimit"] = told.min_limit
    if told.max_limit is not None:
        payload["maxLimit"] = told.max_limit
    if told.values:
        payload["valuesList"] = fitting(",".join(told.values), VALUES_MAX_CHARS)
    return payload


DECODERS: Final[Mapping[str, Callable[[Payload, RequestRef], Event | CallRefused]]] = {
    "GetBaseReport": _get_base_report,
    "GetReport": _get_report,
    "GetVariables": _get_variables,
    "SetVariables": _set_variables,
}
ENCODERS: Final[Mapping[str, Callable[[Reply, Station], Payload | CallRefused]]] = {
    "GetBaseReport": _encode_report,
    "GetReport": _encode_report,
    "GetVariables": _encode_get,
    "SetVariables": _encode_set,
}
