"""The 1.6 wire under a CSMS that makes mistakes, is slow, or is no longer there."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from edged import gateway, words
from edged.csms.endpoint import ConnectionSettings
from edged.domain.hardware import FaultCode
from edged.simulator.csms import CsmsCallError, Later, Silence
from edged.simulator.csms_record import Direction, Frame, Kind
from tests.conformance.scene import PATIENCE_S, STATION, OpenScene, Scene

# --- requests that cannot be served

START = {"idTag": "ALICE", "connectorId": 1}


@pytest.mark.req("16-GEN-02", "16-J-25", "16-J-26", "16-J-27")
@pytest.mark.parametrize(
    ("action", "payload", "codes"),
    [
        ("NoSuchAction", {}, {"NotImplemented"}),
        ("SetChargingProfile", {"connectorId": 1}, {"OccurenceConstraintViolation", "ProtocolError"}),
        ("BootNotification", {"chargePointVendor": "a", "chargePointModel": "b"}, {"NotSupported"}),
        ("RemoteStartTransaction", {"connectorId": 1}, {"OccurenceConstraintViolation", "ProtocolError"}),
        ("RemoteStartTransaction", {**START, "idTag": 7}, {"TypeConstraintViolation"}),
        ("RemoteStartTransaction", {**START, "connectorId": "1"}, {"TypeConstraintViolation"}),
        ("RemoteStartTransaction", {**START, "idTag": "A" * 21}, {"PropertyConstraintViolation"}),
        ("RemoteStartTransaction", {**START, "more": 1}, {"FormationViolation"}),
        ("Reset", {"type": "Gentle"}, {"PropertyConstraintViolation"}),
        (
            "ReserveNow",
            {"connectorId": 1, "expiryDate": "tomorrow", "idTag": "A", "reservationId": 1},
            {"TypeConstraintViolation"},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_request_that_breaks_the_rules_is_answered_with_the_code_for_it(
    open_scene: OpenScene, action: str, payload: dict[str, Any], codes: set[str]
) -> None:
    scene = await open_scene()
    with pytest.raises(CsmsCallError) as refused:
        await scene.call(action, **payload)
    assert refused.value.code in codes
    (error,) = [frame for frame in scene.csms.record if frame.kind is Kind.ERROR]
    parts = json.loads(error.raw)
    assert [type(part) for part in parts] == [int, str, str, str, dict]
    assert len(parts[3]) <= 255
    await scene.settled()
    assert scene.calls() == ["Heartbeat"]


@pytest.mark.req("16-J-23", "16-J-24", "16-J-25")
async def test_frames_that_make_no_sense_cost_nothing(open_scene: OpenScene) -> None:
    scene = await open_scene()
    nonsense: list[str | bytes] = [
        *("", "null", "{}", "[]", "[2]", "[2,", '[2,7,"Reset",{}]', '["2","x","Reset",{}]', '[9,"x","Reset",{}]'),
        *(
            '[3,"nobody-asked",{}]',
            '[4,"nobody-asked","GenericError","",{}]',
            "[" * 5000,
            '"\ud800"'.encode("utf-8", "replace"),
        ),
        b'[2,"x","Reset",{"type":"Hard"}]',
    ]
    for frame in nonsense:
        await scene.csms.send_raw(frame)
    assert await scene.value_of("NumberOfConnectors") == "1"
    await scene.answered()
    assert scene.csms.connection_count(STATION) == 1
    assert scene.daemon.exits == []


@pytest.mark.req("16-J-25")
async def test_a_call_without_a_payload_is_answered_formation_violation(open_scene: OpenScene) -> None:
    scene = await open_scene()
    await scene.csms.send_raw('[2,"short","Reset"]')
    error = await arrived(scene, lambda frame: frame.kind is Kind.ERROR and frame.message_id == "short")
    assert json.loads(error.raw)[2] == "FormationViolation"


@pytest.mark.req("16-J-21")
async def test_a_repeated_request_is_answered_again_and_not_carried_out_again(open_scene: OpenScene) -> None:
    scene = await open_scene()
    scene.forgiven = lambda sentence: "nobody asked for" in sentence  # sent by hand: the CSMS does not know of it
    call = json.dumps([2, "the-same", "RemoteStartTransaction", {"idTag": "ALICE", "connectorId": 1}])
    after = 0
    for _ in range(2):
        await scene.csms.send_raw(call)
        answer = await arrived(scene, lambda frame: frame.message_id == "the-same", after=after)
        assert answer.raw == '[3,"the-same",{"status":"Accepted"}]'
        after = answer.index + 1


@pytest.mark.req("16-J-22", "16-J-25")
async def test_an_oversized_frame_ends_the_line_and_nothing_else(open_scene: OpenScene) -> None:
    scene = await open_scene()
    transaction = await scene.charging()
    begin = scene.csms.mark()
    await scene.csms.send_raw(json.dumps([2, "huge", "DataTransfer", {"vendorId": "a", "data": "x" * 700_000}]))
    await scene.csms.wait_disconnected(STATION)
    await scene.csms.wait_connected(STATION, timeout_s=PATIENCE_S)
    await scene.answered()
    assert scene.payloads("BootNotification", after=begin) == []
    assert await scene.status_of("RemoteStopTransaction", transactionId=transaction) == "Accepted"


async def arrived(scene: Scene, wanted: Callable[[Frame], bool], *, after: int = 0) -> Frame:
    """The first frame of the station that is wanted."""
    return await scene.csms.record.wait(
        lambda frame: frame.direction is Direction.RECEIVED and wanted(frame), after=after, timeout_s=PATIENCE_S
    )


# --- a CSMS that is slow


@pytest.mark.req("16-J-22")
async def test_requests_are_answered_while_our_own_waits(open_scene: OpenScene) -> None:
    scene = await open_scene()
    scene.csms.answer("Authorize", Later(2.0), times=1)
    scene.plug()
    await scene.expect_status("Preparing")
    scene.swipe("ALICE")
    await scene.expect("Authorize")
    begin = scene.csms.mark()
    assert await scene.value_of("NumberOfConnectors") == "1"
    await scene.configure("HeartbeatInterval", 100)
    assert scene.calls(after=begin) == []  # and nothing was sent while it waited
    await scene.expect_status("Charging")
    assert scene.in_order("StartTransaction", "Status 1 Charging", after=begin)


@pytest.mark.req("16-J-23", "16-AUTH-05")
async def test_a_question_that_is_never_answered_does_not_hold_the_line_up(open_scene: OpenScene) -> None:
    scene = await open_scene(keys={"MessageTimeout": 1})
    scene.csms.answer("Authorize", Silence(), times=1)
    scene.plug()
    await scene.expect_status("Preparing")
    scene.swipe("ALICE")
    await scene.expect("Authorize")
    await scene.answered()
    assert scene.payloads("StartTransaction") == []  # as if offline: nobody knows her here
    scene.swipe("ALICE")
    await scene.expect("StartTransaction")


@pytest.mark.req("16-J-23")
async def test_an_answer_that_comes_too_late_is_ignored(open_scene: OpenScene) -> None:
    scene = await open_scene(keys={"MessageTimeout": 1})
    scene.csms.answer("Authorize", Later(2.5), times=1)
    scene.plug()
    await scene.expect_status("Preparing")
    scene.swipe("ALICE")
    asked = await arrived(scene, lambda frame: frame.action == "Authorize")
    await scene.csms.record.wait(
        lambda frame: frame.direction is Direction.SENT and frame.message_id == asked.message_id,
        after=0,
        timeout_s=PATIENCE_S,
    )
    await scene.settled()
    assert scene.payloads("StartTransaction") == []
    scene.forgiven = lambda sentence: "still waited for its answer" in sentence  # it had given up by then


# --- the order of answers and what follows from them


@pytest.mark.req("16-J-31")
async def test_the_answer_comes_before_what_follows_from_it(open_scene: OpenScene) -> None:
    scene = await open_scene()
    assert await scene.reserve("ALICE", id=7) == "Accepted"
    await scene.expect_status("Reserved")
    assert await scene.remote_start("ALICE") == "Accepted"
    await scene.expect_status("Preparing")
    assert await scene.status_of("TriggerMessage", requestedMessage="Heartbeat") == "Accepted"
    await scene.expect("Heartbeat")
    received = [frame for frame in scene.csms.record if frame.direction is Direction.RECEIVED]
    names = [f"{frame.kind} {frame.action}" for frame in received]
    for answer, follower in (
        ("CALLRESULT ReserveNow", "CALL StatusNotification"),
        ("CALLRESULT RemoteStartTransaction", "CALL StatusNotification"),
        ("CALLRESULT TriggerMessage", "CALL Heartbeat"),
    ):
        assert names[names.index(answer) + 1] == follower


# --- a line that only looks alive


@pytest.mark.req("16-J-08", "16-J-07", "16-ST-04")
async def test_a_half_open_line_is_found_by_ping(open_scene: OpenScene, monkeypatch: pytest.MonkeyPatch) -> None:
    original = words.connection_settings

    def impatient(*arguments: Any) -> ConnectionSettings:
        return replace(original(*arguments), pong_timeout_s=0.5)

    monkeypatch.setattr(gateway, "connection_settings", impatient)
    scene = await open_scene()
    await scene.configure("WebSocketPingInterval", 1)  # holds without a new connection
    scene.csms.half_open(STATION)
    scene.plug()
    await scene.expect_status("Preparing")
    await scene.answered()
    assert scene.csms.connection_count(STATION) == 2
    assert scene.payloads("BootNotification") == []


@pytest.mark.req("16-J-07", "16-ST-04")
async def test_a_reconnect_tells_only_what_has_changed(open_scene: OpenScene) -> None:
    scene = await open_scene()
    await scene.cut()
    await scene.restore()
    await scene.answered()
    assert scene.calls() == ["Heartbeat"]
    await scene.cut()
    scene.fault(FaultCode.GROUND)
    await scene.knows(lambda state: state["connectors"][0]["status"] == "Faulted")
    scene.mend()
    scene.plug()
    await scene.knows(lambda state: state["connectors"][0]["status"] == "Preparing")
    await scene.restore()
    await scene.expect_status("Preparing")
    await scene.answered()
    assert scene.calls() == ["Status 1 Preparing", "Heartbeat"]  # no replay of what was in between


@pytest.mark.req("16-J-07")
async def test_a_csms_that_closes_politely_is_called_again(open_scene: OpenScene) -> None:
    scene = await open_scene()
    await scene.csms.close(STATION)
    await scene.csms.wait_disconnected(STATION)
    await scene.csms.wait_connected(STATION, timeout_s=PATIENCE_S)
    await scene.answered()
    assert len(scene.payloads("BootNotification", after=0)) == 1
