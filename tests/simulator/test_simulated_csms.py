"""The simulated CSMS against a bare WebSocket client: what it answers, records, judges, and how it misbehaves."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from edged.simulator.csms import (
    Csms,
    CsmsCallError,
    CsmsOffline,
    CsmsTimeout,
    ErrorAnswer,
    Later,
    Silence,
    Token,
)
from edged.simulator.csms_answers import CallFromStation

BOOT = {"chargePointVendor": "Example", "chargePointModel": "M"}
START = {"connectorId": 1, "idTag": "AB12", "meterStart": 0, "timestamp": "2026-01-01T00:00:00Z"}


class BareStation:
    """Sends and receives frames and knows nothing else."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self._ids = count(1)

    async def send(self, *message: object) -> None:
        await self.socket.send(json.dumps(message))

    async def receive(self) -> Any:
        async with asyncio.timeout(30):
            return json.loads(await self.socket.recv())

    async def call(self, action: str, payload: object, *, message_id: str | None = None) -> Any:
        message_id = message_id or f"m{next(self._ids)}"
        await self.send(2, message_id, action, payload)
        reply = await self.receive()
        assert reply[1] == message_id
        return reply

    async def settle(self) -> None:
        """Come back when the CSMS has dealt with everything that was sent."""
        async with asyncio.timeout(30):
            await (await self.socket.ping())

    async def boot(self) -> Any:
        return (await self.call("BootNotification", BOOT))[2]


@asynccontextmanager
async def station(csms: Csms, identity: str = "DEPOT-7", **more: Any) -> AsyncIterator[BareStation]:
    more.setdefault("subprotocols", ["ocpp1.6"])
    async with connect(f"{csms.url}/{identity}", compression=None, close_timeout=1, proxy=None, **more) as socket:
        yield BareStation(socket)


@asynccontextmanager
async def booted(csms: Csms) -> AsyncIterator[BareStation]:
    async with station(csms) as it:
        await it.boot()
        yield it


@pytest.fixture
async def csms() -> AsyncIterator[Csms]:
    tokens = {"AB12": Token(parent="FLEET", expiry="2030-01-01T00:00:00Z"), "BAD": Token("Blocked")}
    async with Csms(tokens=tokens, heartbeat_interval_s=77) as it:
        yield it


# --- answers ----------------------------------------------------------------------------------------------------------


async def test_a_boot_is_accepted_with_time_and_interval(csms: Csms) -> None:
    async with station(csms) as it:
        answer = await it.boot()
    assert (answer["status"], answer["interval"]) == ("Accepted", 77)
    assert answer["currentTime"].endswith("Z")
    assert csms.violations == []


async def test_tokens_are_answered_from_the_table_ignoring_case(csms: Csms) -> None:
    async with booted(csms) as it:
        known = (await it.call("Authorize", {"idTag": "ab12"}))[2]["idTagInfo"]
        blocked = (await it.call("Authorize", {"idTag": "BAD"}))[2]["idTagInfo"]
        unknown = (await it.call("Authorize", {"idTag": "X"}))[2]["idTagInfo"]
    assert known == {"status": "Accepted", "parentIdTag": "FLEET", "expiryDate": "2030-01-01T00:00:00Z"}
    assert (blocked, unknown) == ({"status": "Blocked"}, {"status": "Invalid"})


async def test_transactions_are_numbered_and_remembered(csms: Csms) -> None:
    async with booted(csms) as it:
        first = (await it.call("StartTransaction", START))[2]["transactionId"]
        second = (await it.call("StartTransaction", START))[2]["transactionId"]
        stop = {"transactionId": first, "meterStop": 5, "timestamp": "2026-01-01T01:00:00Z"}
        assert (await it.call("StopTransaction", stop))[2] == {}
    assert second == first + 1
    assert csms.answers.transactions[first].stopped == stop
    assert csms.answers.transactions[second].stopped is None
    assert csms.violations == []


@pytest.mark.parametrize(
    ("action", "payload", "answer"),
    [
        ("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"}, {}),
        ("DataTransfer", {"vendorId": "x"}, {"status": "UnknownVendorId"}),
        ("FirmwareStatusNotification", {"status": "Idle"}, {}),
        ("SecurityEventNotification", {"type": "x", "timestamp": "2026-01-01T00:00:00Z"}, {}),
        ("SignCertificate", {"csr": "x"}, {"status": "Accepted"}),
    ],
)
async def test_the_rest_of_a_stations_calls_is_taken(csms: Csms, action: str, payload: object, answer: object) -> None:
    async with booted(csms) as it:
        assert (await it.call(action, payload))[2] == answer
    assert csms.violations == []


async def test_scripts_are_used_in_order_and_then_the_usual_answer(csms: Csms) -> None:
    pending = {"status": "Pending", "currentTime": "2026-01-01T00:00:00Z", "interval": 0}
    csms.answer("BootNotification", pending, times=1)
    async with station(csms) as it:
        assert [(await it.boot())["status"] for _ in range(2)] == ["Pending", "Accepted"]


async def test_a_script_may_be_a_function_of_the_call(csms: Csms) -> None:
    async def refuse(call: CallFromStation) -> dict[str, object] | None:
        return {"idTagInfo": {"status": "Expired"}} if call.payload["idTag"] == "X" else None

    csms.answer("Authorize", refuse)
    async with booted(csms) as it:
        assert (await it.call("Authorize", {"idTag": "X"}))[2]["idTagInfo"]["status"] == "Expired"
        assert (await it.call("Authorize", {"idTag": "AB12"}))[2]["idTagInfo"]["status"] == "Accepted"
        csms.answer_normally("Authorize")
        assert (await it.call("Authorize", {"idTag": "X"}))[2]["idTagInfo"]["status"] == "Invalid"


async def test_an_answer_can_be_an_error_late_or_missing(csms: Csms) -> None:
    csms.answer("Heartbeat", ErrorAnswer("InternalError", "no"), times=1)
    csms.answer("Heartbeat", Silence(), times=1)
    csms.answer("Heartbeat", Later(0.05), times=1)
    async with booted(csms) as it:
        assert (await it.call("Heartbeat", {}))[:4:2] == [4, "InternalError"]
        await it.send(2, "lost", "Heartbeat", {})
        await it.settle()
        assert (await it.call("Heartbeat", {}))[0] == 3
    assert csms.violations == []


async def test_a_broken_script_is_heard_of(csms: Csms) -> None:
    other = Csms()
    await other.start()

    def broken(call: CallFromStation) -> dict[str, object]:
        raise LookupError("a mistake in the test")

    other.answer("BootNotification", broken)
    async with station(other) as it:
        await it.send(2, "1", "BootNotification", BOOT)
        await other.wait_for("BootNotification")
        await it.settle()
    with pytest.raises(LookupError):
        await other.stop()


# --- the CSMS's calls and the record ----------------------------------------------------------------------------------


async def test_a_call_returns_the_stations_answer(csms: Csms) -> None:
    async with booted(csms) as it:
        asked = asyncio.create_task(csms.call("Reset", {"type": "Soft"}))
        _, message_id, action, payload = await it.receive()
        await it.send(3, message_id, {"status": "Accepted"})
        assert (action, payload, await asked) == ("Reset", {"type": "Soft"}, {"status": "Accepted"})
    assert csms.violations == []


async def test_a_callerror_is_raised_with_its_code(csms: Csms) -> None:
    async with booted(csms) as it:
        asked = asyncio.create_task(csms.call("Dance", {}))
        message_id = (await it.receive())[1]
        await it.send(4, message_id, "NotImplemented", "what?", {"a": 1})
        with pytest.raises(CsmsCallError) as raised:
            await asked
    assert (raised.value.code, raised.value.description, raised.value.details) == ("NotImplemented", "what?", {"a": 1})


async def test_a_call_without_an_answer_times_out(csms: Csms) -> None:
    async with booted(csms):
        with pytest.raises(CsmsTimeout):
            await csms.call("ClearCache", {}, timeout_s=0.05)


async def test_a_call_to_nobody_or_to_one_that_goes_away_is_offline(csms: Csms) -> None:
    with pytest.raises(CsmsOffline):
        await csms.call("ClearCache", {})
    async with booted(csms) as it:
        asked = asyncio.create_task(csms.call("ClearCache", {}))
        await it.receive()
        await it.socket.close()
        with pytest.raises(CsmsOffline):
            await asked


async def test_two_stations_are_told_apart(csms: Csms) -> None:
    async with station(csms, "A") as a, station(csms, "B%20b") as b:
        await a.boot()
        await b.call("BootNotification", {**BOOT, "chargePointModel": "B"})
        assert set(csms.connected) == {"A", "B b"}
        assert [boot["chargePointModel"] for boot in csms.received("BootNotification", station="B b")] == ["B"]
        with pytest.raises(CsmsOffline):
            await csms.call("ClearCache", {})


async def test_waiting_finds_the_past_and_the_future_and_skips_what_is_not_wanted(csms: Csms) -> None:
    async with booted(csms) as it:
        assert (await csms.wait_for("BootNotification"))["chargePointModel"] == "M"
        mark = csms.mark()
        waiting = asyncio.create_task(csms.wait_for("Authorize", lambda p: p["idTag"] == "2", after=mark))
        await it.call("Authorize", {"idTag": "1"})
        assert not waiting.done()
        await it.call("Authorize", {"idTag": "2"})
        assert await waiting == {"idTag": "2"}
        assert len(csms.received("Authorize", after=mark)) == 2
        with pytest.raises(CsmsTimeout):
            await csms.wait_for("Authorize", after=csms.mark(), timeout_s=0.05)


async def test_every_frame_is_recorded_in_order_with_time_and_direction(csms: Csms) -> None:
    async with booted(csms) as it:
        await it.call("Heartbeat", {})
    frames = list(csms.record)
    assert [(frame.direction, frame.kind, frame.action) for frame in frames] == [
        ("received", "CALL", "BootNotification"),
        ("sent", "CALLRESULT", "BootNotification"),
        ("received", "CALL", "Heartbeat"),
        ("sent", "CALLRESULT", "Heartbeat"),
    ]
    assert [frame.at_s for frame in frames] == sorted(frame.at_s for frame in frames)
    assert [frame.index for frame in frames] == [0, 1, 2, 3]


# --- sins -------------------------------------------------------------------------------------------------------------


async def test_a_payload_against_the_schema_is_a_sin_and_a_formation_violation(csms: Csms) -> None:
    async with station(csms) as it:
        assert (await it.call("BootNotification", {"chargePointVendor": "x"}))[2] == "FormationViolation"
    assert "chargePointModel" in csms.violations[0]


@pytest.mark.parametrize(("action", "code"), [("Dance", "NotImplemented"), ("Reset", "NotSupported")])
async def test_an_action_that_is_not_a_stations_is_a_sin(csms: Csms, action: str, code: str) -> None:
    async with booted(csms) as it:
        assert (await it.call(action, {}))[2] == code
    assert len(csms.violations) == 1


async def test_a_second_call_in_flight_is_a_sin(csms: Csms) -> None:
    csms.answer("Heartbeat", Later(0.1), times=1)
    async with booted(csms) as it:
        await it.send(2, "a", "Heartbeat", {})
        await it.send(2, "b", "Authorize", {"idTag": "AB12"})
        await it.receive()
        await it.receive()
    assert ["while Heartbeat (a)" in sentence for sentence in csms.violations] == [True]


@pytest.mark.parametrize(("patience_s", "sins"), [(60.0, 1), (0.0, 0)])
async def test_a_call_that_is_never_answered_is_in_flight_until_the_station_may_give_up(
    patience_s: float, sins: int
) -> None:
    async with Csms(station_timeout_s=patience_s) as csms, booted(csms) as it:
        csms.answer("Heartbeat", Silence(), times=1)
        await it.send(2, "lost", "Heartbeat", {})
        await it.settle()
        await it.call("Heartbeat", {})
        assert len(csms.violations) == sins


async def test_a_message_id_used_twice_is_a_sin(csms: Csms) -> None:
    async with booted(csms) as it:
        await it.call("Heartbeat", {}, message_id="same")
        await it.call("Heartbeat", {}, message_id="same")
    assert ["second time" in sentence for sentence in csms.violations] == [True]


async def test_a_message_that_failed_may_be_sent_again_under_its_id(csms: Csms) -> None:
    csms.answer("Heartbeat", ErrorAnswer("InternalError"), times=1)
    async with booted(csms) as it:
        await it.call("Heartbeat", {}, message_id="same")
        await it.call("Heartbeat", {}, message_id="same")
        assert csms.violations == []
        await it.call("Authorize", {"idTag": "AB12"}, message_id="same")
    assert ["second time" in sentence for sentence in csms.violations] == [True]


async def test_calling_before_the_boot_was_accepted_is_a_sin(csms: Csms) -> None:
    async with station(csms) as it:
        await it.call("Heartbeat", {})
    assert ["before a BootNotification" in sentence for sentence in csms.violations] == [True]


async def test_a_pending_station_may_send_what_it_was_triggered_to(csms: Csms) -> None:
    csms.answer("BootNotification", {"status": "Pending", "currentTime": "2026-01-01T00:00:00Z", "interval": 60})
    async with booted(csms) as it:
        asked = asyncio.create_task(csms.call("TriggerMessage", {"requestedMessage": "Heartbeat"}))
        await it.send(3, (await it.receive())[1], {"status": "Accepted"})
        await asked
        await it.call("Heartbeat", {})
        assert csms.violations == []
        await it.boot()
        await it.call("Heartbeat", {})
    assert len(csms.violations) == 2


async def test_an_acceptance_outlives_the_connection(csms: Csms) -> None:
    async with booted(csms):
        pass
    async with station(csms) as it:
        await it.call("Heartbeat", {})
    assert csms.violations == []
    assert csms.connection_count("DEPOT-7") == 2


async def test_a_transaction_id_that_nobody_gave_out_is_a_sin(csms: Csms) -> None:
    async with booted(csms) as it:
        stop = {"transactionId": 4711, "meterStop": 5, "timestamp": "2026-01-01T01:00:00Z"}
        await it.call("StopTransaction", stop)
    assert ["4711" in sentence for sentence in csms.violations] == [True]


async def test_answers_are_judged_too(csms: Csms) -> None:
    async with booted(csms) as it:
        asked = asyncio.create_task(csms.call("Reset", {"type": "Soft"}))
        await it.send(3, (await it.receive())[1], {"status": "Perhaps"})
        assert await asked == {"status": "Perhaps"}
        await it.send(3, "never-asked", {})
        await it.call("Heartbeat", {})
    assert ["schema" in csms.violations[0], "nobody asked" in csms.violations[1]] == [True, True]


@pytest.mark.parametrize(
    "frame", ["", "{", "[]", "{}", "[2]", '[2,"x","Heartbeat"]', "[2,1,2,3]", b'[2,"1","Heartbeat",{}]']
)
async def test_frames_that_are_no_message_are_sins_and_break_nothing(csms: Csms, frame: str | bytes) -> None:
    async with booted(csms) as it:
        await it.socket.send(frame)
        assert (await it.call("Heartbeat", {}))[0] == 3
    assert len(csms.violations) == 1


# --- the door and the network -----------------------------------------------------------------------------------------


def basic(user: str, password: str) -> dict[str, dict[str, str]]:
    return {
        "additional_headers": {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}
    }


@pytest.mark.parametrize(
    "login",
    [{}, basic("DEPOT-7", "wrong"), basic("OTHER", "secret"), {"additional_headers": {"Authorization": "Basic %"}}],
)
async def test_a_wrong_login_is_turned_away(login: dict[str, Any]) -> None:
    async with Csms(credentials={"DEPOT-7": "secret", "OTHER": "else"}) as csms:
        with pytest.raises(InvalidStatus) as raised:
            async with station(csms, **login):
                pass
        assert (raised.value.response.status_code, csms.refused_logins) == (401, 1)


async def test_a_right_login_is_let_in() -> None:
    async with Csms(credentials={"DEPOT-7": b"secret"}) as csms, station(csms, **basic("DEPOT-7", "secret")) as it:
        assert (await it.boot())["status"] == "Accepted"


async def test_a_path_without_identity_is_not_found(csms: Csms) -> None:
    with pytest.raises(InvalidStatus) as raised:
        async with connect(csms.url, subprotocols=["ocpp1.6"], proxy=None):  # type: ignore[list-item]
            pass
    assert raised.value.response.status_code == 404


async def test_only_the_configured_versions_are_spoken() -> None:
    async with Csms(versions=("ocpp2.0.1", "ocpp1.6")) as csms:
        for offered in (["ocpp1.2"], None):
            with pytest.raises(InvalidStatus):
                async with station(csms, subprotocols=offered):
                    pass


async def test_a_station_gets_the_first_version_that_it_offers_unless_the_csms_prefers_another() -> None:
    async with Csms(versions=("ocpp2.0.1", "ocpp1.6")) as csms:
        offered = ["ocpp2.1", "ocpp1.6", "ocpp2.0.1"]
        async with station(csms, subprotocols=offered) as it:
            assert it.socket.subprotocol == "ocpp1.6"
        csms.prefer("ocpp2.0.1")
        async with station(csms, subprotocols=offered) as it:
            assert it.socket.subprotocol == "ocpp2.0.1"
        csms.accept_versions("ocpp2.1")
        async with station(csms, subprotocols=offered) as it:
            assert it.socket.subprotocol == "ocpp2.1"
            assert (await it.call("NotifyReport", {}))[2] == {}
        assert csms.violations == []


async def test_a_cut_breaks_connections_and_refuses_new_ones_until_restored(csms: Csms) -> None:
    async with booted(csms) as it:
        csms.cut()
        with pytest.raises(ConnectionClosed):
            await it.receive()
        await csms.wait_disconnected("DEPOT-7")
        with pytest.raises((InvalidMessage, OSError)):
            async with station(csms):
                pass
        csms.restore()
        async with station(csms) as again:
            assert (await again.call("Heartbeat", {}))[0] == 3


async def test_a_half_open_connection_neither_answers_nor_pongs_but_a_new_one_does(csms: Csms) -> None:
    async with booted(csms) as it:
        csms.half_open()
        pong = await it.socket.ping()
        await it.send(2, "x", "Heartbeat", {})
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await pong
        async with station(csms) as again:
            assert (await again.call("Heartbeat", {}))[0] == 3
        assert len(csms.received("Heartbeat")) == 1


async def test_a_polite_close_has_code_and_reason(csms: Csms) -> None:
    async with booted(csms) as it:
        await csms.close(code=1012, reason="restart")
        with pytest.raises(ConnectionClosed) as raised:
            await it.receive()
    assert raised.value.rcvd is not None
    assert (raised.value.rcvd.code, raised.value.rcvd.reason) == (1012, "restart")


async def test_waiting_for_a_connection_sees_it_come(csms: Csms) -> None:
    waiting = asyncio.create_task(csms.wait_connected("DEPOT-7"))
    async with station(csms):
        assert await waiting == "DEPOT-7"
    with pytest.raises(CsmsTimeout):
        await csms.wait_connected("NOBODY", timeout_s=0.05)
