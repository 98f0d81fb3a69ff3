"""Variables in 2.0.1's words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.dialects.v201.inbound import decode_call
from edged.dialects.v201.replies import encode_reply
from edged.dialects.v201.schemas import answer_violation, call_violation
from edged.dialects.v201.variables import encode_page, fitting
from edged.domain.answers import Reason
from edged.domain.configuration import REGISTRY, VALUE_MAX_CHARS, Configuration, KeyKind, Mutability
from edged.domain.device_model import inventory
from edged.domain.device_model_facts import BYTES_PER_MESSAGE, PAGE_BYTES
from edged.domain.effects import Reply, ReportKind, ReportPage
from edged.domain.hardware import Measurand
from edged.domain.reporting import PAGE_ITEMS
from edged.domain.station import Station
from edged.domain.types import RequestRef
from edged.domain.variables import (
    Attribute,
    Component,
    Criterion,
    GetBaseReport,
    GetReport,
    GetVariables,
    InventoryStatus,
    ReportBase,
    SetVariables,
    Variable,
    VariableFilter,
    VariableResult,
    VariableStatus,
)
from edged.ocpp.dialect import CallRefused
from edged.ocpp.rpc import ErrorCode

PLUG = {"name": "Connector", "evse": {"id": 2, "connectorId": 1}}
TIMEOUT = {"name": "MessageTimeout", "instance": "Default"}


def ref(action: str) -> RequestRef:
    return RequestRef("csms", "1", action)


def decode(action: str, **payload: Any) -> Any:
    return decode_call(action, payload, ref(action))


def assert_fits(name: str, payload: Any) -> None:
    """The shipped schema, and ours."""
    schema = json.loads(files("ocpp").joinpath("v201/schemas", f"{name}.json").read_text(encoding="utf-8-sig"))
    jsonschema.validators.validator_for(schema)(schema).validate(json.loads(json.dumps(payload, allow_nan=False)))
    action = name.removesuffix("Response").removesuffix("Request")
    check = answer_violation if name.endswith("Response") else call_violation
    assert check(action, payload) is None


@pytest.fixture
def station(make_station: Callable[..., Station]) -> Station:
    return make_station()


# --- what the CSMS asks


def test_variables_are_asked_for_by_component_place_and_instance() -> None:
    event = decode(
        "GetVariables",
        getVariableData=[
            {"component": PLUG, "variable": {"name": "ConnectorType"}},
            {"component": {"name": "X", "instance": "i"}, "variable": TIMEOUT, "attributeType": "MaxSet"},
        ],
    )
    assert isinstance(event, GetVariables)
    first, second = event.queries
    assert (first.component, first.attribute) == (Component("Connector", evse=2, connector=1), None)
    assert (second.component, second.variable) == (Component("X", "i"), Variable("MessageTimeout", "Default"))
    assert second.attribute is Attribute.MAX_SET


def test_a_value_to_set_is_taken_as_it_came_and_not_shown() -> None:
    data = [{"component": {"name": "X"}, "variable": {"name": "Y"}, "attributeValue": " sEcret "}]
    event = decode("SetVariables", setVariableData=data)
    assert isinstance(event, SetVariables)
    assert event.changes[0].value == " sEcret "
    assert "sEcret" not in repr(event)


def test_reports_are_asked_for() -> None:
    event = decode("GetBaseReport", requestId=5, reportBase="SummaryInventory")
    assert event == GetBaseReport(ref("GetBaseReport"), 5, ReportBase.SUMMARY)
    event = decode(
        "GetReport",
        requestId=6,
        componentCriteria=["Problem", "Active"],
        componentVariable=[{"component": {"name": "EVSE"}}, {"component": PLUG, "variable": TIMEOUT}],
    )
    assert event == GetReport(
        request=ref("GetReport"),
        request_id=6,
        criteria=frozenset({Criterion.PROBLEM, Criterion.ACTIVE}),
        wanted=(
            VariableFilter(Component("EVSE")),
            VariableFilter(Component("Connector", evse=2, connector=1), Variable("MessageTimeout", "Default")),
        ),
    )


@pytest.mark.req("B06.FR.17", "B08.FR.18")
@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("GetVariables", {"getVariableData": [{"component": {"name": "X"}, "variable": {"name": "Y"}}]}),
        (
            "SetVariables",
            {"setVariableData": [{"component": {"name": "X"}, "variable": {"name": "Y"}, "attributeValue": "1"}]},
        ),
        ("GetReport", {"requestId": 1}),
    ],
)
def test_a_request_that_is_too_long_is_refused_whatever_makes_it_so(action: str, payload: dict[str, Any]) -> None:
    rest = {**payload, "customData": {"vendorId": "v", "more": ""}}
    room = (PAGE_BYTES if action == "GetReport" else BYTES_PER_MESSAGE) - len(json.dumps(rest, separators=(",", ":")))
    just = {**payload, "customData": {"vendorId": "v", "more": "x" * room}}
    assert not isinstance(decode(action, **just), CallRefused)
    for more in ("x" * (room + 1), "é" * (room // 2 + 1)):
        refused = decode(action, **{**payload, "customData": {"vendorId": "v", "more": more}})
        assert isinstance(refused, CallRefused) and refused.code is ErrorCode.FORMAT


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("GetVariables", {"getVariableData": []}),
        ("SetVariables", {"setVariableData": [{"component": {"name": "X"}, "variable": {"name": "Y"}}]}),
        ("GetBaseReport", {"requestId": 1, "reportBase": "Everything"}),
        ("GetReport", {"requestId": 1, "componentCriteria": ["Broken"]}),
    ],
)
def test_what_the_schema_does_not_allow_is_refused(action: str, payload: dict[str, Any]) -> None:
    assert isinstance(decode(action, **payload), CallRefused)


# --- what is answered


def result(**more: Any) -> VariableResult:
    said: dict[str, Any] = {
        "component": Component("Connector", evse=2, connector=1),
        "variable": Variable("MessageTimeout", "Default"),
        "attribute": Attribute.ACTUAL,
        "status": VariableStatus.ACCEPTED,
    }
    return VariableResult(**{**said, **more})


def test_results_repeat_the_names_that_were_asked(station: Station) -> None:
    data = (result(value=""), result(status=VariableStatus.REJECTED, reason=Reason.WRITE_ONLY))
    reply = Reply(ref("GetVariables"), VariableStatus.ACCEPTED, data=data)
    payload = encode_reply(reply, station)
    assert_fits("GetVariablesResponse", payload)
    first, second = payload["getVariableResult"]  # type: ignore[index]
    assert (first["component"], first["variable"], first["attributeValue"]) == (PLUG, TIMEOUT, "")
    assert second["attributeStatusInfo"] == {"reasonCode": "WriteOnly"} and "attributeValue" not in second


def test_a_refused_change_says_why_and_repeats_no_value(station: Station) -> None:
    data = (result(status=VariableStatus.REJECTED, reason=Reason.VALUE_TOO_LOW, detail="must be more"),)
    payload = encode_reply(Reply(ref("SetVariables"), VariableStatus.ACCEPTED, data=data), station)
    assert_fits("SetVariablesResponse", payload)
    assert payload["setVariableResult"][0]["attributeStatusInfo"] == {  # type: ignore[index]
        "reasonCode": "ValueTooLow",
        "additionalInfo": "must be more",
    }


@pytest.mark.req("B06.FR.16", "B08.FR.17")
@pytest.mark.parametrize("action", ["GetVariables", "SetVariables", "GetReport"])
def test_too_many_items_are_an_occurrence_violation(action: str, station: Station) -> None:
    status = InventoryStatus.REJECTED if action == "GetReport" else VariableStatus.REJECTED
    reply = Reply(ref(action), status, "more than 40 items", reason=Reason.TOO_MANY_ELEMENTS)
    refused = encode_reply(reply, station)
    assert refused == CallRefused(ErrorCode.OCCURRENCE, "more than 40 items")


@pytest.mark.parametrize("status", InventoryStatus)
@pytest.mark.parametrize("action", ["GetBaseReport", "GetReport"])
def test_a_report_is_promised_or_refused(action: str, status: InventoryStatus, station: Station) -> None:
    payload = encode_reply(Reply(ref(action), status), station)
    assert payload == {"status": status.value}
    assert_fits(f"{action}Response", payload)


# --- pages


def pages(station: Station) -> Iterator[ReportPage]:
    entries = tuple(inventory(station))
    for start in range(0, len(entries), PAGE_ITEMS):
        yield ReportPage(
            kind=ReportKind.VARIABLES,
            request_id=9,
            seq_no=start // PAGE_ITEMS,
            more=start + PAGE_ITEMS < len(entries),
            generated_at=station.stamp(station.clock),
            items=entries[start : start + PAGE_ITEMS],
        )


def test_every_page_of_everything_fits_the_schema_and_the_length_that_is_promised(
    make_connector: Callable[..., Any], make_station: Callable[..., Station]
) -> None:
    for page in pages(make_station(*(make_connector(number) for number in range(1, 13)))):
        request = encode_page(page, make_station(*(make_connector(number) for number in range(1, 13))))
        assert request.action == "NotifyReport"
        assert_fits("NotifyReportRequest", request.payload)
        assert len(json.dumps(request.payload)) <= PAGE_BYTES // 2
        assert request.payload["tbc"] is page.more and request.payload["seqNo"] == page.seq_no


def test_no_page_is_longer_than_is_promised_whatever_has_been_written(make_station: Callable[..., Station]) -> None:
    longest = {
        key.name: "\u00e9" * min(key.maximum, VALUE_MAX_CHARS)
        for key in REGISTRY.values()
        if key.kind is KeyKind.TEXT and key.mutability is Mutability.READ_WRITE
    }
    station = make_station(configuration=Configuration(changed=longest, site={}, computed={}))
    for page in pages(station):
        assert len(json.dumps(encode_page(page, station).payload)) <= PAGE_BYTES


def test_an_entry_says_what_it_is(station: Station) -> None:
    entries = [entry for page in pages(station) for entry in encode_page(page, station).payload["reportData"]]
    told = {(e["component"]["name"], e["variable"]["name"], e["variable"].get("instance")): e for e in entries}
    assert told["OCPPCommCtrlr", "HeartbeatInterval", None] == {
        "component": {"name": "OCPPCommCtrlr"},
        "variable": {"name": "HeartbeatInterval"},
        "variableAttribute": [
            {"type": "Actual", "value": "86400", "mutability": "ReadWrite", "persistent": True, "constant": False}
        ],
        "variableCharacteristics": {
            "dataType": "integer",
            "supportsMonitoring": True,
            "unit": "s",
            "minLimit": 1,
            "maxLimit": 86_400,
        },
    }
    (secret,) = told["SecurityCtrlr", "BasicAuthPassword", None]["variableAttribute"]
    assert secret["mutability"] == "WriteOnly" and "value" not in secret
    measurands = told["SampledDataCtrlr", "TxUpdatedMeasurands", None]["variableCharacteristics"]["valuesList"]
    assert set(measurands.split(",")) == set(Measurand)


def test_a_page_of_nothing_has_no_data(station: Station) -> None:
    page = ReportPage(
        kind=ReportKind.VARIABLES,
        request_id=1,
        seq_no=0,
        more=False,
        generated_at=station.stamp(station.clock),
        items=(),
    )
    payload = encode_page(page, station).payload
    assert "reportData" not in payload
    assert_fits("NotifyReportRequest", payload)


@given(st.lists(st.text(st.characters(exclude_characters=","), min_size=1, max_size=30), max_size=60))
def test_a_list_that_is_too_long_loses_whole_items_from_its_end(items: list[str]) -> None:
    text = ",".join(items)
    cut = fitting(text, 100)
    assert len(cut) <= 100
    assert cut == text or text.startswith(f"{cut},")
