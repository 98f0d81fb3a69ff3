"""Raw OCPP frames: shown as they are, but for what nobody may read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.mqtt.documents import Document
from edged.mqtt.mirror import MqttMirror
from edged.mqtt.options import IdTokenPolicy
from edged.mqtt.outbox import MAX_RAW, MAX_RAW_CHARS, Outbox
from edged.mqtt.raw import BURST, MAX_FRAME_CHARS, MAX_READ_CHARS, RATE_PER_S, RawFrames

SECRET = "hush-hush-4711"
TOKEN = "04A224B2C3D4"


def shown(message: Any, policy: IdTokenPolicy = IdTokenPolicy.MASKED) -> Any:
    frame = message if isinstance(message, str | bytes) else json.dumps(message)
    body = RawFrames(policy, salt="gw1").take("cs1", frame, 0.0)
    return None if body is None else json.loads(body["frame"])


def test_a_frame_without_secrets_is_shown_as_it_is() -> None:
    message = [2, "a1", "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"}]
    body = RawFrames(IdTokenPolicy.MASKED, salt="gw1").take("cs1", json.dumps(message), 0.0)
    assert body == {"frame": json.dumps(message, separators=(",", ":")), "cut": False, "redacted": False}


@pytest.mark.parametrize(
    "payload",
    [
        {"idTag": TOKEN},
        {"idTagInfo": {"status": "Accepted", "parentIdTag": TOKEN}},
        {"localAuthorizationList": [{"idTag": TOKEN, "idTagInfo": {"status": "Accepted"}}]},
        {"idToken": {"idToken": TOKEN, "type": "ISO14443"}},
        {"groupIdToken": {"idToken": TOKEN, "type": "Central"}},
        {"idTokenInfo": {"status": "Accepted", "groupIdToken": {"idToken": TOKEN, "type": "Central"}}},
        {"IDTAG": TOKEN},
        {"vendorId": "org.openchargealliance.iso15118pnc", "data": json.dumps({"idToken": TOKEN})},
        {"setVariableData": [{"attributeValue": TOKEN, "variable": {"name": "MasterPassGroupId"}}]},
        {"reportData": [{"variable": {"name": "MasterPassGroupId"}, "variableAttribute": [{"value": TOKEN}]}]},
    ],
)
@pytest.mark.parametrize("action", [[2, "a1", "Any"], [3, "a1"]])
def test_a_token_is_shown_under_the_policy_wherever_it_stands(payload: dict[str, Any], action: list[Any]) -> None:
    assert TOKEN not in json.dumps(shown([*action, payload]))
    assert TOKEN not in json.dumps(shown([*action, payload], IdTokenPolicy.HASH))
    assert TOKEN not in json.dumps(shown([*action, payload], IdTokenPolicy.NONE))
    assert TOKEN in json.dumps(shown([*action, payload], IdTokenPolicy.FULL))


@pytest.mark.parametrize(
    "payload",
    [
        {"key": "AuthorizationKey", "value": SECRET},
        {"configurationKey": [{"key": "AuthorizationKey", "readonly": False, "value": SECRET}]},
        {"setVariableData": [{"attributeValue": SECRET, "variable": {"name": "BasicAuthPassword"}}]},
        {"connectionData": {"apn": {"apn": "net", "apnPassword": SECRET}}},
        {"key": "SiteVpnPassword", "value": SECRET},
        {
            "setVariableData": [
                {"attributeValue": SECRET, "component": {"name": "X"}, "variable": {"name": "ApiSecret"}}
            ]
        },
        {"exiResponse": SECRET},
        {"certificate": f"-----BEGIN EC PRIVATE KEY-----{SECRET}"},
        {"location": f"ftp://user:{SECRET}@files.example/x"},
        {"location": f"https://files.example/x?sig={SECRET}"},
        {"data": json.dumps({"password": SECRET})},
        {"customerIdentifier": SECRET},
    ],
)
@pytest.mark.parametrize("policy", IdTokenPolicy)
def test_a_secret_is_shown_under_no_policy(payload: dict[str, Any], policy: IdTokenPolicy) -> None:
    found = shown([2, "a1", "Any", payload], policy)
    assert SECRET not in json.dumps(found)
    assert found[:3] == [2, "a1", "Any"]


def test_what_is_told_of_a_customer_is_not_shown() -> None:
    assert SECRET not in json.dumps(shown([2, "a1", "NotifyCustomerInformation", {"data": SECRET, "seqNo": 0}]))


def test_a_code_that_was_typed_in_is_shown_under_no_policy() -> None:
    payload = {"idToken": {"idToken": "4711", "type": "KeyCode"}}
    assert "4711" not in json.dumps(shown([2, "a1", "Authorize", payload], IdTokenPolicy.FULL))


def test_that_something_was_replaced_is_told() -> None:
    frames = RawFrames(IdTokenPolicy.MASKED, salt="gw1")
    body = frames.take("cs1", json.dumps([2, "a", "Authorize", {"idTag": TOKEN}]), 0.0)
    assert body is not None
    assert body["redacted"] is True


@pytest.mark.parametrize("frame", [b"\xff\x00", "", "no json", "[2,", "[" * 50_000, "x" * (MAX_READ_CHARS + 1)])
def test_what_cannot_be_read_is_counted_and_not_shown(frame: str | bytes) -> None:
    frames = RawFrames(IdTokenPolicy.MASKED, salt="gw1")
    assert frames.take("cs1", frame, 0.0) is None
    assert frames.left_out == 1


def test_a_long_frame_is_cut_and_says_so() -> None:
    frames = RawFrames(IdTokenPolicy.MASKED, salt="gw1")
    body = frames.take("cs1", json.dumps([2, "a", "DataTransfer", {"data": "x" * 20_000}]), 0.0)
    assert body is not None
    assert (len(body["frame"]), body["cut"]) == (MAX_FRAME_CHARS, True)


def test_a_storm_of_frames_is_bounded_and_counted_for_each_station() -> None:
    frames = RawFrames(IdTokenPolicy.MASKED, salt="gw1")
    taken = sum(frames.take("cs1", "[3,1,{}]", 0.0) is not None for _ in range(1000))
    assert (taken, frames.left_out) == (BURST, 1000 - BURST)
    assert frames.take("cs2", "[3,1,{}]", 0.0) is not None
    assert sum(frames.take("cs1", "[3,1,{}]", 1.0) is not None for _ in range(1000)) == RATE_PER_S


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_whatever_is_json_can_be_shown_and_keeps_its_shape(value: Any) -> None:
    body = RawFrames(IdTokenPolicy.MASKED, salt="gw1").take("cs1", json.dumps([2, "a", "Any", value]), 0.0)
    assert body is not None
    found = json.loads(body["frame"])
    assert type(found[3]) is type(value)


@given(st.lists(st.sampled_from(["idTag", "idToken", "parentIdTag", "groupIdToken"]), min_size=1, max_size=6))
def test_a_token_is_found_however_deep_it_stands(names: list[str]) -> None:
    value: Any = TOKEN
    for name in names:
        value = {name: [value]}
    assert TOKEN not in json.dumps(shown([3, "a", value]))


# --- in the outbox


def raw(outbox: Outbox, text: str) -> None:
    outbox.raw("edged/v1/gw1/station/cs1/ocpp/raw/in", Document(body={"frame": text}, qos=0, retain=False), len(text))


def test_of_more_frames_than_the_ring_holds_the_oldest_go_and_are_counted() -> None:
    outbox = Outbox()
    for n in range(MAX_RAW + 5):
        raw(outbox, str(n))
    assert outbox.counters.raw_dropped == 5
    outbox.connected(20)
    first = outbox.due(0.0)[0].document.body
    assert first["frame"] == "5"  # type: ignore[index]


def test_large_frames_do_not_fill_the_memory() -> None:
    outbox = Outbox()
    for _ in range(MAX_RAW):
        raw(outbox, "x" * MAX_FRAME_CHARS)
    assert outbox.depth == MAX_RAW_CHARS // MAX_FRAME_CHARS


def test_everything_else_goes_before_a_frame() -> None:
    outbox = Outbox()
    outbox.connected(1)
    raw(outbox, "1")
    outbox.show("t", Document(body={"n": 1}))
    parcels = outbox.due(0.0)
    assert [parcel.topic for parcel in parcels] == ["t"]
    outbox.settled(parcels[0].ticket)
    assert [parcel.topic.rpartition("/")[2] for parcel in outbox.due(0.0)] == ["in"]


# --- on the broker

Make = Callable[..., MqttMirror]


async def test_frames_are_published_as_they_go_and_never_retained(
    broker: Any, integrator: Any, make_mirror: Make, until: Any
) -> None:
    mirror = make_mirror(broker.port, raw_ocpp=True)
    mirror.start()
    await until(lambda: mirror.link.connected)
    mirror.show_frame("cs1", "in", json.dumps([2, "a", "RemoteStartTransaction", {"idTag": TOKEN}]))
    mirror.show_frame("cs1", "out", json.dumps([3, "a", {"status": "Accepted"}]))
    prefix = "edged/v1/gw1/station/cs1/ocpp/raw"
    told = await integrator.payload(f"{prefix}/in")
    assert (told.retain, told.qos) == (False, 0)
    assert TOKEN not in told.payload.decode()
    assert json.loads((await integrator.payload(f"{prefix}/out")).json["frame"]) == [3, "a", {"status": "Accepted"}]


async def test_nothing_is_shown_where_nobody_asked_for_it(make_mirror: Make) -> None:
    mirror = make_mirror(1)
    assert not mirror.shows_frames
    mirror.show_frame("cs1", "in", "[3,1,{}]")
