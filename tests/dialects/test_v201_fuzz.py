"""Whatever a CSMS sends in 2.0.1 gets one answer that the schema accepts, and the station keeps its promises.

Payloads are made from the schemas: valid ones, edges of what is valid, each with one thing wrong, and spoilt at random.
They go in as text through the session and meet a station in the middle of its work. Numbers of connectors are not those
of their EVSEs here: whoever takes one for the other is found out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edged.dialects.v201 import POLICY, Ocpp201
from edged.dialects.v201.inbound import SUPPORTED_ACTIONS
from edged.dialects.v201.schemas import CSMS_ASKS, KNOWN_ACTIONS
from edged.domain.events import PageTaken, QuestionAnswered
from edged.domain.types import RequestRef
from edged.ocpp.dialect import CallRefused
from edged.ocpp.rpc import ErrorCode
from tests.fakes.hostile_line import CSMS_ROOT, MAKERS_ROOT, RULES, Line, hold_a_conversation
from tests.fakes.hostile_payloads import SOON, TRANSACTION, V201, text_of
from tests.fakes.site import Site, layout

DIALECT = Ocpp201()
EVSES = (2, 3, 1)
"""Of the connectors 1, 2 and 3."""
STATE = {
    "component": {"name": "Connector", "evse": {"id": 2, "connectorId": 1}},
    "variable": {"name": "AvailabilityState"},
}
MESSAGE = {"format": "UTF8", "content": "Good morning"}
SCHEDULE = {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}]}
IMAGE = {"location": "https://example.com/fw", "retrieveDateTime": SOON}
UNDER_WAY: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "SendLocalList",
        {
            "versionNumber": 1,
            "updateType": "Full",
            "localAuthorizationList": [
                {
                    "idToken": {"idToken": "BOB", "type": "ISO14443"},
                    "idTokenInfo": {
                        "status": "Accepted",
                        "groupIdToken": {"idToken": "FAMILY", "type": "Central"},
                    },
                }
            ],
        },
    ),
    ("GetLog", {"logType": "SecurityLog", "requestId": 5, "log": {"remoteLocation": "https://example.com/"}}),
    ("UpdateFirmware", {"requestId": 6, "firmware": IMAGE}),
    ("TriggerMessage", {"requestedMessage": "SignChargingStationCertificate"}),
    ("InstallCertificate", {"certificateType": "CSMSRootCertificate", "certificate": "PEM"}),
    (
        "SetChargingProfile",
        {
            "evseId": 2,
            "chargingProfile": {
                "id": 1,
                "stackLevel": 1,
                "chargingProfilePurpose": "TxProfile",
                "chargingProfileKind": "Relative",
                "transactionId": TRANSACTION,
                "chargingSchedule": [SCHEDULE],
            },
        },
    ),
    ("SetVariableMonitoring", {"setMonitoringData": [{**STATE, "value": 0, "type": "Delta", "severity": 5}]}),
    ("SetDisplayMessage", {"message": {"id": 1, "priority": "NormalCycle", "message": MESSAGE}}),
    ("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"}),
    ("Reset", {"type": "OnIdle", "evseId": 2}),
)
SERVED = sorted(SUPPORTED_ACTIONS)


def in_the_middle(*, maker: bool = False) -> Line:
    """EVSE 2 charges, 3 is reserved for BOB; an update, an upload, a report and more are under way."""
    layouts = tuple(layout(number, evse_id=evse) for number, evse in enumerate(EVSES, 1))
    rules = replace(RULES, has_display=True, security_profile=1)
    keys = {"CpoName": "Example", "DisplayMessagesEnabled": "true", "CostEnabled": "true", "TariffEnabled": "true"}
    site = Site.build(policy=POLICY, rules=rules, configuration=keys, layouts=layouts)
    installed = {one.key: one for one in ((CSMS_ROOT, MAKERS_ROOT) if maker else (CSMS_ROOT,))}
    site.station = replace(site.station, certificates=installed)
    line = Line(site, DIALECT, V201)
    site.start(1, "ALICE")
    site.reserve(7, "BOB", 2, group="FAMILY")
    line.begin(UNDER_WAY)
    return line


def decoded(action: str, payload: Any) -> Any:
    return DIALECT.decode_call(action, payload, RequestRef("csms", "1", action))


def changed_nothing(line: Line, action: str, frame: str, ident: str = "wrong") -> str:
    """The code with which a frame is refused."""
    before, steps = line.site.station, len(line.site.history)
    line.send(action, frame)
    assert line.answers[ident] == 1
    assert line.site.station is before and len(line.site.history) == steps
    return line.codes[ident]


# --- what is served


def test_every_action_of_a_csms_is_served_but_publishing_firmware_for_others():
    assert {"PublishFirmware", "UnpublishFirmware"} == CSMS_ASKS - SUPPORTED_ACTIONS


@pytest.mark.parametrize("action", sorted(KNOWN_ACTIONS - SUPPORTED_ACTIONS))
@given(data=st.data())
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_is_not_served_is_not_supported_whatever_it_says(action: str, data: st.DataObject):
    refused = decoded(action, data.draw(V201.hostile(action)))
    assert isinstance(refused, CallRefused) and refused.code is ErrorCode.NOT_SUPPORTED


@pytest.mark.parametrize(
    "action", ["", "x" * 64, "reservenow", "ReserveNow ", "ReserveNowRequest", "ChangeConfiguration", "\x00"]
)
def test_what_is_no_action_of_2_0_1_is_not_implemented(action: str):
    refused = decoded(action, {})
    assert isinstance(refused, CallRefused) and refused.code is ErrorCode.NOT_IMPLEMENTED


# --- one thing wrong


@pytest.mark.parametrize("action", SERVED)
def test_each_violation_has_its_own_error_code(action: str):
    wrong = []
    for what, payload, code in V201.violations(action):
        refused = decoded(action, payload)
        if not isinstance(refused, CallRefused) or refused.code is not code:
            wrong.append(f"{action}{what}: {refused}, not {code}")
        elif not 0 < len(refused.description) <= 255:
            wrong.append(f"{action}{what}: {len(refused.description)} characters say why")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("action", SERVED)
def test_a_payload_with_one_thing_wrong_changes_nothing(action: str):
    line = in_the_middle()
    for number, (what, payload, code) in enumerate(V201.violations(action)):
        if number % 5 == 0:
            found = changed_nothing(line, action, text_of([2, f"wrong-{number}", action, payload]), f"wrong-{number}")
            assert found == code.value, what


PLACE_AND_SIZE = {
    "a number that is none": '{"reservationId":NaN}',
    "an infinite number": '{"reservationId":-Infinity}',
    "a number beyond all numbers": '{"reservationId":1e400}',
    "a number of thousands of digits": '{"reservationId":' + "9" * 4000 + "}",
    "a number of 64 bits": '{"reservationId":9223372036854775808}',
    "a key that comes twice": '{"reservationId":7,"reservationId":8}',
    "half a surrogate pair": '{"reservationId":7,"customData":{"vendorId":"\\ud800"}}',
    "nested too deep": '{"reservationId":7,"customData":{"vendorId":"x","a":' + "[" * 40 + "]" * 40 + "}}",
    "a list for a payload": "[]",
    "nothing for a payload": "null",
}


@pytest.mark.parametrize("payload", PLACE_AND_SIZE.values(), ids=PLACE_AND_SIZE)
def test_what_json_lets_through_and_no_message_may_hold_is_a_violation_of_the_format(payload: str):
    line = in_the_middle()
    frame = f'[2,"wrong","CancelReservation",{payload}]'
    assert changed_nothing(line, "CancelReservation", frame) == "FormatViolation"
    assert 7 in line.site.station.reservations


@pytest.mark.req("20-J-02", "20-J-03")
@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("", "RpcFrameworkError"),
        ("{", "RpcFrameworkError"),
        ("{}", "RpcFrameworkError"),
        ("[]", "RpcFrameworkError"),
        ("[2]", "RpcFrameworkError"),
        ('["2","1","Reset",{}]', "RpcFrameworkError"),
        ('[2.0,"1","Reset",{}]', "RpcFrameworkError"),
        ('[2,7,"Reset",{"type":"Immediate"}]', "RpcFrameworkError"),
        ('[2,"","Reset",{"type":"Immediate"}]', "RpcFrameworkError"),
        ('[2,"' + "x" * 37 + '","Reset",{"type":"Immediate"}]', "RpcFrameworkError"),
        ('[2,"\\u0000","Reset",{"type":"Immediate"}]', "RpcFrameworkError"),
        ("[" * 100_000, "RpcFrameworkError"),
        ('[5,7,"Reset",{}]', "MessageTypeNotSupported"),
        ("[99999999]", "MessageTypeNotSupported"),
    ],
)
def test_a_frame_without_a_readable_id_is_answered_under_minus_one(frame: str, code: str):
    assert changed_nothing(in_the_middle(), "Reset", frame, "-1") == code


@pytest.mark.req("20-J-03")
@pytest.mark.parametrize("kind", [0, 1, 5, 6, -2, 2**31])
def test_a_message_of_another_type_is_not_supported(kind: int):
    frame = json.dumps([kind, "wrong", "Reset", {"type": "Immediate"}])
    assert changed_nothing(in_the_middle(), "Reset", frame) == "MessageTypeNotSupported"


@pytest.mark.req("20-J-10")
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"anything": [None, {"deep": [[[["x"]]]]}], "": -1.5, "vendorID": 5},
        {"vendorId": "", "x" * 1000: "x" * 10_000},
        {"customData": {"no": "vendor"}},
        {"evseId": -1, "type": []},
    ],
)
@pytest.mark.parametrize("action", SERVED)
def test_custom_data_of_any_kind_is_taken_and_nobody_minds(action: str, more: dict[str, Any]):
    def with_more(value: Any) -> Any:
        if isinstance(value, list):
            return [with_more(one) for one in value]
        if not isinstance(value, dict):
            return value
        return {
            key: {"vendorId": "com.example.unheard", **more} if key == "customData" else with_more(one)
            for key, one in value.items()
        }

    plain, extended = (decoded(action, payload) for payload in (V201.valid(action), with_more(V201.valid(action))))
    assert not isinstance(plain, CallRefused)
    assert extended == plain


# --- what is allowed


@pytest.mark.parametrize("action", SERVED)
def test_what_the_schema_allows_is_answered_once_by_what_the_schema_allows(action: str):
    """Each value at its edges: words, numbers, texts, and lists of ten thousand."""
    line = in_the_middle()
    payloads: Iterable[tuple[str, dict[str, Any]]] = (
        (" whole", V201.valid(action)),
        (" bare", V201.valid(action, whole=False)),
        *V201.edges(action),
    )
    for number, (what, payload) in enumerate(payloads):
        ident = f"edge-{number}"
        line.send(action, text_of([2, ident, action, payload]))
        for seconds in (0.0, 200.0, 1.0) if line.answers[ident] == 0 else ():
            line.leap(seconds)
        assert line.answers[ident] == 1, what
        if line.restarting:
            line = in_the_middle()
    line.finish_reports(lambda page: QuestionAnswered(page.ticket, PageTaken()))


HEARTBEAT = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}
UNKNOWN: Mapping[str, dict[str, Any]] = {
    "UnknownComponent": {**HEARTBEAT, "component": {"name": "OCPPCommCtrl"}},
    "UnknownComponent at an EVSE": {**HEARTBEAT, "component": {"name": "OCPPCommCtrlr", "evse": {"id": 1}}},
    "UnknownComponent of an instance": {**HEARTBEAT, "component": {"name": "OCPPCommCtrlr", "instance": "x"}},
    "UnknownComponent at no EVSE": {"component": {"name": "EVSE", "evse": {"id": 4}}, "variable": {"name": "Power"}},
    "UnknownComponent at EVSE 0": {"component": {"name": "EVSE", "evse": {"id": 0}}, "variable": {"name": "Power"}},
    "UnknownVariable": {**HEARTBEAT, "variable": {"name": "HeartbeatInterva"}},
    "UnknownVariable of an instance": {**HEARTBEAT, "variable": {"name": "HeartbeatInterval", "instance": "x"}},
    "UnknownVariable without a name": {**HEARTBEAT, "variable": {"name": ""}},
    "NotSupportedAttributeType": {**HEARTBEAT, "attributeType": "Target"},
}


@pytest.mark.req("B05.FR.04", "B05.FR.05", "B06.FR.06", "B06.FR.07", "N04.FR.03", "N04.FR.04")
def test_each_name_that_is_unknown_has_its_own_status_whatever_else_is_asked():
    line = in_the_middle()
    asked = [HEARTBEAT, *UNKNOWN.values(), HEARTBEAT]
    written = [{**one, "attributeValue": "7"} for one in asked]
    watched = [{"value": 1, "type": "Delta", "severity": 1, **one} for one in asked if "attributeType" not in one]
    line.send("GetVariables", text_of([2, "get", "GetVariables", {"getVariableData": asked}]))
    line.send("SetVariables", text_of([2, "set", "SetVariables", {"setVariableData": written}]))
    line.send("SetVariableMonitoring", text_of([2, "watch", "SetVariableMonitoring", {"setMonitoringData": watched}]))
    wanted = ["Accepted", *(name.partition(" ")[0] for name in UNKNOWN), "Accepted"]
    assert [one["attributeStatus"] for one in line.results["get"]["getVariableResult"]] == wanted
    assert [one["attributeStatus"] for one in line.results["set"]["setVariableResult"]] == wanted
    found = [one["status"] for one in line.results["watch"]["setMonitoringResult"]]
    assert found == [*(one for one in wanted[:-1] if one != "NotSupportedAttributeType"), "Duplicate"]
    assert line.site.station.configuration.number("HeartbeatInterval") == 7


@pytest.mark.req("B06.FR.16", "B08.FR.17")
@pytest.mark.parametrize(
    ("action", "payload", "code"),
    [
        ("GetVariables", {"getVariableData": [HEARTBEAT] * 101}, "OccurrenceConstraintViolation"),
        (
            "SetVariables",
            {"setVariableData": [{**HEARTBEAT, "attributeValue": "7"}] * 400},
            "OccurrenceConstraintViolation",
        ),
        ("SetVariables", {"setVariableData": [{**HEARTBEAT, "attributeValue": "7"}] * 1000}, "FormatViolation"),
        (
            "SetVariables",
            {"setVariableData": [{**HEARTBEAT, "attributeValue": "7" * 100_000}]},
            "PropertyConstraintViolation",
        ),
        ("SetVariables", {"setVariableData": [{**HEARTBEAT, "attributeValue": "7" * 1000}] * 60}, "FormatViolation"),
        ("ClearVariableMonitoring", {"id": list(range(1000))}, "OccurrenceConstraintViolation"),
        ("GetReport", {"requestId": 9, "componentVariable": [HEARTBEAT] * 41}, "OccurrenceConstraintViolation"),
    ],
)
def test_more_than_the_station_says_that_it_takes_is_not_taken_at_all(action: str, payload: Any, code: str):
    line = in_the_middle()
    line.send(action, text_of([2, "many", action, payload]))
    assert line.codes["many"] == code
    assert line.site.station.configuration.number("HeartbeatInterval") != 7


@pytest.mark.parametrize("action", SERVED)
@given(data=st.data())
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_call_gets_one_answer_that_the_schema_accepts(action: str, data: st.DataObject):
    hold_a_conversation(in_the_middle(maker=data.draw(st.booleans())), data, st.just(action))


@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_calls_of_all_kinds_in_any_order_are_each_answered_once(data: st.DataObject):
    hold_a_conversation(in_the_middle(maker=data.draw(st.booleans())), data, st.sampled_from(SERVED))
