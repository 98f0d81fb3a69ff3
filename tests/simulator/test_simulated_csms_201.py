"""The simulated CSMS with OCPP 2.0.1 against a bare WebSocket client: what it answers, and each rule broken once."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from edged.simulator.csms import Also, Csms, CsmsCallError, ErrorAnswer, Later, Silence, Token
from edged.simulator.csms_rules_201 import Conduct201
from edged.simulator.csms_transactions import Transactions
from edged.simulator.ocpp_schemas import SCHEMAS_201

BOOT = {"reason": "PowerUp", "chargingStation": {"vendorName": "Example", "model": "M"}}
NOT_YET = {"currentTime": "2026-01-01T00:00:00Z", "interval": 60}
NOON = "2026-01-01T12:00:00.000Z"
LATER = "2026-01-01T12:05:00.000Z"
MESSAGE_IDS = count(1)
ALICE = {"idToken": "AB12", "type": "ISO14443"}


class BareStation:
    """Sends and receives frames and knows nothing else."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, *message: object) -> None:
        await self.socket.send(json.dumps(message))

    async def receive(self) -> Any:
        async with asyncio.timeout(30):
            return json.loads(await self.socket.recv())

    async def call(self, action: str, payload: object, *, message_id: str | None = None) -> Any:
        message_id = message_id or f"m{next(MESSAGE_IDS)}"
        await self.send(2, message_id, action, payload)
        reply = await self.receive()
        assert reply[1] == message_id
        return reply

    async def told(self, action: str, payload: object) -> Any:
        """The payload of a result."""
        kind, _, answer = await self.call(action, payload)
        assert kind == 3
        return answer


@asynccontextmanager
async def station(csms: Csms, identity: str = "DEPOT-7", **more: Any) -> AsyncIterator[BareStation]:
    more.setdefault("subprotocols", ["ocpp2.0.1"])
    async with connect(f"{csms.url}/{identity}", compression=None, close_timeout=1, proxy=None, **more) as socket:
        yield BareStation(socket)


@asynccontextmanager
async def booted(csms: Csms) -> AsyncIterator[BareStation]:
    async with station(csms) as it:
        await it.call("BootNotification", BOOT)
        yield it


async def ask(csms: Csms, it: BareStation, action: str, payload: dict[str, object], answer: dict[str, object]) -> None:
    """A CALL of the CSMS that the station answers so."""
    asked = asyncio.create_task(csms.call(action, payload))
    await it.send(3, (await it.receive())[1], answer)
    await asked


@pytest.fixture
async def csms() -> AsyncIterator[Csms]:
    tokens = {
        "AB12": Token(
            parent="FLEET", expiry="2030-01-01T00:00:00Z", type="ISO14443", message="Hello", language="en", evses=(2,)
        ),
        "BAD": Token("Blocked"),
    }
    async with Csms(versions=("ocpp2.0.1",), tokens=tokens, heartbeat_interval_s=77) as it:
        yield it


def event(kind: str, seq_no: int, *, tx: str = "T1", trigger: str | None = None, **more: Any) -> dict[str, object]:
    """A TransactionEvent. `evse`, `at`, `wh`: of the register; what is left goes into transactionInfo."""
    usual = {"Started": "CablePluggedIn", "Updated": "ChargingStateChanged", "Ended": "EVCommunicationLost"}
    at, evse, token, outer = (
        more.pop("at", NOON),
        more.pop("evse", None),
        more.pop("token", None),
        more.pop("outer", {}),
    )
    payload: dict[str, object] = {
        "eventType": kind,
        "timestamp": at,
        "triggerReason": trigger or usual[kind],
        "seqNo": seq_no,
        "transactionInfo": {"transactionId": tx, **{k: v for k, v in more.items() if k != "wh"}},
        **outer,
    }
    if evse is not None:
        payload["evse"] = {"id": evse, "connectorId": 1}
    if token is not None:
        payload["idToken"] = token
    if "wh" in more:
        payload["meterValue"] = [{"timestamp": at, "sampledValue": [{"value": more["wh"]}]}]
    return payload


# --- answers ----------------------------------------------------------------------------------------------------------


async def test_a_boot_is_accepted_with_time_and_interval(csms: Csms) -> None:
    async with station(csms) as it:
        answer = await it.told("BootNotification", BOOT)
    assert (answer["status"], answer["interval"]) == ("Accepted", 77)
    assert answer["currentTime"].endswith("Z")
    assert csms.violations == []


async def test_a_token_is_known_by_value_and_type(csms: Csms) -> None:
    async with booted(csms) as it:
        known = await it.told("Authorize", {"idToken": {"idToken": "ab12", "type": "ISO14443"}})
        other = await it.told("Authorize", {"idToken": {"idToken": "AB12", "type": "KeyCode"}})
        blocked = await it.told("Authorize", {"idToken": {"idToken": "BAD", "type": "KeyCode"}})
    assert known["idTokenInfo"] == {
        "status": "Accepted",
        "groupIdToken": {"idToken": "FLEET", "type": "Central"},
        "cacheExpiryDateTime": "2030-01-01T00:00:00Z",
        "language1": "en",
        "personalMessage": {"format": "UTF8", "language": "en", "content": "Hello"},
        "evseId": [2],
    }
    assert other["idTokenInfo"] == {"status": "Unknown"}
    assert blocked["idTokenInfo"] == {"status": "Blocked"}
    assert csms.violations == []


async def test_a_transaction_is_remembered_and_its_token_answered(csms: Csms) -> None:
    async with booted(csms) as it:
        assert await it.told("TransactionEvent", event("Started", 0, evse=2)) == {}
        csms.answer("TransactionEvent", Also({"totalCost": 1.25}), times=1)
        answer = await it.told("TransactionEvent", event("Updated", 1, token=ALICE, chargingState="Charging"))
        view = csms.transactions["T1"]
        assert (answer["totalCost"], answer["idTokenInfo"]["status"]) == (1.25, "Accepted")
        assert (view.station, view.evse, view.connector, view.charging_state) == ("DEPOT-7", 2, 1, "Charging")
        assert (view.id_token, view.ended) == (ALICE, False)
        await it.told("TransactionEvent", event("Ended", 2, stoppedReason="EVDisconnected"))
    assert view.ended
    assert [one["seqNo"] for one in view.events] == [0, 1, 2]
    assert csms.violations == []


CERTIFICATE_STATUS = {"hashAlgorithm": "SHA256", "issuerNameHash": "a", "issuerKeyHash": "b", "serialNumber": "1"}
NEEDS = {"requestedEnergyTransfer": "AC_three_phase"}
SCHEDULE = {
    "id": 1,
    "chargingRateUnit": "A",
    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.0}],
}
EVENT_DATA = {
    "eventId": 1,
    "timestamp": NOON,
    "trigger": "Delta",
    "actualValue": "Occupied",
    "eventNotificationType": "HardWiredNotification",
    "component": {"name": "Connector", "evse": {"id": 1, "connectorId": 1}},
    "variable": {"name": "AvailabilityState"},
}
STATUS = {"timestamp": NOON, "connectorStatus": "Available", "evseId": 1, "connectorId": 1}
SAMPLE = {"timestamp": NOON, "sampledValue": [{"value": 5.0}]}
CALLS: list[tuple[str, dict[str, object], dict[str, object]]] = [
    ("ClearedChargingLimit", {"chargingLimitSource": "EMS"}, {}),
    ("DataTransfer", {"vendorId": "x"}, {"status": "UnknownVendorId"}),
    ("FirmwareStatusNotification", {"status": "Idle"}, {}),
    (
        "Get15118EVCertificate",
        {"iso15118SchemaVersion": "x", "action": "Install", "exiRequest": "x"},
        {"status": "Failed", "exiResponse": ""},
    ),
    (
        "GetCertificateStatus",
        {"ocspRequestData": {**CERTIFICATE_STATUS, "responderURL": "http://x"}},
        {"status": "Failed"},
    ),
    ("LogStatusNotification", {"status": "Idle"}, {}),
    ("MeterValues", {"evseId": 1, "meterValue": [SAMPLE]}, {}),
    ("NotifyChargingLimit", {"chargingLimit": {"chargingLimitSource": "EMS"}}, {}),
    ("NotifyEVChargingNeeds", {"evseId": 1, "chargingNeeds": NEEDS}, {"status": "Accepted"}),
    (
        "NotifyEVChargingSchedule",
        {"timeBase": NOON, "evseId": 1, "chargingSchedule": SCHEDULE},
        {"status": "Accepted"},
    ),
    ("NotifyEvent", {"generatedAt": NOON, "seqNo": 0, "eventData": [EVENT_DATA]}, {}),
    ("PublishFirmwareStatusNotification", {"status": "Idle"}, {}),
    ("SecurityEventNotification", {"type": "x", "timestamp": NOON}, {}),
    ("SignCertificate", {"csr": "x"}, {"status": "Accepted"}),
    ("StatusNotification", STATUS, {}),
]


@pytest.mark.parametrize(("action", "payload", "answer"), CALLS, ids=[action for action, _, _ in CALLS])
async def test_the_rest_of_a_stations_calls_is_taken(csms: Csms, action: str, payload: object, answer: object) -> None:
    async with booted(csms) as it:
        assert await it.told(action, payload) == answer
    assert SCHEMAS_201.objection(action, answer, response=True) is None
    assert csms.violations == []


async def test_scripts_serve_this_version_too(csms: Csms) -> None:
    csms.answer("Heartbeat", ErrorAnswer("InternalError"), times=1)
    csms.answer("Heartbeat", Later(0.01), times=1)
    async with booted(csms) as it:
        assert (await it.call("Heartbeat", {}))[0] == 4
        assert "currentTime" in await it.told("Heartbeat", {})
    assert csms.violations == []


async def test_doors_and_lines_serve_this_version_too() -> None:
    async with Csms(versions=("ocpp2.0.1",), credentials={"DEPOT-7": "secret"}) as csms:
        with pytest.raises(InvalidStatus):
            async with station(csms):
                pass
        login = "Basic " + base64.b64encode(b"DEPOT-7:secret").decode()
        async with station(csms, additional_headers={"Authorization": login}) as it:
            await it.call("BootNotification", BOOT)
            csms.half_open()
            await it.send(2, "x", "Heartbeat", {})
            csms.cut()
            await csms.wait_disconnected("DEPOT-7")
        csms.restore()
        async with station(csms, additional_headers={"Authorization": login}) as it:
            await it.told("Heartbeat", {})
        assert csms.violations == []


# --- the wire ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "payload", "code"),
    [
        ("Dance", {}, "NotImplemented"),
        ("StartTransaction", {}, "NotImplemented"),
        ("Reset", {"type": "Immediate"}, "NotSupported"),
        ("Authorize", {"idTag": "AB12"}, "FormatViolation"),
    ],
)
async def test_what_is_no_call_of_this_version_is_a_sin(csms: Csms, action: str, payload: object, code: str) -> None:
    async with booted(csms) as it:
        assert (await it.call(action, payload))[2] == code
    assert len(csms.violations) == 1


async def test_an_answer_against_its_schema_is_a_sin(csms: Csms) -> None:
    async with booted(csms) as it:
        await ask(csms, it, "Reset", {"type": "Immediate"}, {"status": "Perhaps"})
    assert ["answer to Reset breaks its schema" in sentence for sentence in csms.violations] == [True]


async def test_a_second_call_in_flight_is_a_sin(csms: Csms) -> None:
    csms.answer("Heartbeat", Later(0.1), times=1)
    async with booted(csms) as it:
        await it.send(2, "a", "Heartbeat", {})
        await it.send(2, "b", "StatusNotification", STATUS)
        await it.receive()
        await it.receive()
    assert ["while Heartbeat (a)" in sentence for sentence in csms.violations] == [True]


@pytest.mark.parametrize("message_id", ["x" * 37, ""])
async def test_a_message_id_out_of_bounds_is_a_sin(csms: Csms, message_id: str) -> None:
    async with booted(csms) as it:
        await it.send(2, message_id, "Heartbeat", {})
        await it.receive()
    assert ["message id" in sentence for sentence in csms.violations] == [True]


# --- the boot ---------------------------------------------------------------------------------------------------------


async def test_calling_before_the_boot_is_a_sin_and_a_security_error(csms: Csms) -> None:
    async with station(csms) as it:
        assert (await it.call("Heartbeat", {}))[2] == "SecurityError"
    assert ["before a BootNotification" in sentence for sentence in csms.violations] == [True]


async def test_a_boot_repeated_too_soon_is_a_sin_unless_it_was_triggered(csms: Csms) -> None:
    csms.answer("BootNotification", {"status": "Pending", **NOT_YET})
    async with booted(csms) as it:
        await ask(csms, it, "TriggerMessage", {"requestedMessage": "BootNotification"}, {"status": "Accepted"})
        await it.call("BootNotification", BOOT)
        assert csms.violations == []
        await it.call("BootNotification", BOOT)
    assert ["before the interval" in sentence for sentence in csms.violations] == [True]


async def test_a_pending_station_may_send_what_was_triggered_and_the_reports_that_were_asked_for(csms: Csms) -> None:
    csms.answer("BootNotification", {"status": "Pending", **NOT_YET})
    async with booted(csms) as it:
        await ask(csms, it, "TriggerMessage", {"requestedMessage": "StatusNotification"}, {"status": "Accepted"})
        await it.told("StatusNotification", STATUS)
        await it.told("StatusNotification", {**STATUS, "evseId": 2})
        await ask(csms, it, "GetBaseReport", {"requestId": 5, "reportBase": "FullInventory"}, {"status": "Accepted"})
        await it.told("NotifyReport", {"requestId": 5, "generatedAt": NOON, "seqNo": 0})
        assert csms.violations == []
        assert (await it.call("SecurityEventNotification", {"type": "x", "timestamp": NOON}))[2] == "SecurityError"
    assert len(csms.violations) == 1


async def test_what_a_pending_station_refused_to_send_it_may_not_send(csms: Csms) -> None:
    csms.answer("BootNotification", {"status": "Pending", **NOT_YET})
    async with booted(csms) as it:
        await ask(csms, it, "TriggerMessage", {"requestedMessage": "Heartbeat"}, {"status": "Rejected"})
        assert (await it.call("Heartbeat", {}))[2] == "SecurityError"
    assert len(csms.violations) == 1


async def test_a_rejected_station_may_send_no_report(csms: Csms) -> None:
    csms.answer("BootNotification", {"status": "Rejected", **NOT_YET})
    async with booted(csms) as it:
        await ask(csms, it, "GetBaseReport", {"requestId": 5, "reportBase": "FullInventory"}, {"status": "Accepted"})
        assert (await it.call("NotifyReport", {"requestId": 5, "generatedAt": NOON, "seqNo": 0}))[2] == "SecurityError"
    assert ["before a BootNotification" in sentence for sentence in csms.violations] == [True]


# --- transactions -----------------------------------------------------------------------------------------------------


def found(*events: dict[str, object], others: Mapping[str, list[dict[str, object]]] | None = None) -> list[str]:
    """What is wrong with the events of one station, then with those of others."""
    transactions = Transactions()
    sins = [sentence for one in events for sentence in transactions.take("A", one)]
    for name, theirs in (others or {}).items():
        sins += [sentence for one in theirs for sentence in transactions.take(name, one)]
    return sins


def whole(**more: Any) -> list[dict[str, object]]:
    """A transaction without a fault."""
    return [
        event("Started", 0, evse=1, wh=100.0, **more),
        event("Updated", 1, at=LATER, wh=150.0, token=ALICE, chargingState="Charging", **more),
        event("Ended", 2, at=LATER, wh=150.0, stoppedReason="EVDisconnected", **more),
    ]


def test_a_transaction_without_a_fault_is_told_so() -> None:
    assert found(*whole()) == []


BROKEN: dict[str, tuple[Callable[[], list[dict[str, object]]], str]] = {
    "first event": (lambda: [event("Updated", 0)], "begins with Updated"),
    "started twice": (lambda: [event("Started", 0), event("Started", 1)], "started twice"),
    "a gap": (lambda: [event("Started", 0), event("Updated", 2)], "from seqNo 0 to 2"),
    "a number again": (lambda: [event("Started", 3), event("Updated", 3)], "from seqNo 3 to 3"),
    "a negative number": (lambda: [event("Started", -1)], "seqNo -1"),
    "after the end": (lambda: [*whole(), event("Updated", 3, at=LATER)], "has ended and goes on with Updated"),
    "ended twice": (lambda: [*whole(), event("Ended", 3, at=LATER)], "has ended and goes on with Ended"),
    "used again": (lambda: [*whole(), event("Started", 3, at=LATER)], "is used again"),
    "back in time": (lambda: [event("Started", 0, at=LATER), event("Updated", 1)], "goes back in time"),
    "no time": (lambda: [event("Started", 0, at="2026-13-01T00:00:00Z")], "2026-13-01"),
    "less energy": (lambda: [event("Started", 0, wh=9.0), event("Updated", 1, at=LATER, wh=8.0)], "runs backwards"),
    "at no EVSE": (lambda: [event("Started", 0, token=ALICE, chargingState="Charging")], "Charging at no EVSE"),
    "for nobody": (lambda: [event("Started", 0, evse=1, chargingState="Charging")], "charges for nobody"),
    "moves": (lambda: [event("Started", 0, evse=1), event("Updated", 1, evse=2)], "from EVSE 1 to 2"),
    "EVSE 0": (lambda: [event("Started", 0, evse=0)], "at EVSE 0"),
    "two at a place": (lambda: [event("Started", 0, evse=1), event("Started", 0, tx="T2", evse=1)], "two transactions"),
    "a reason too soon": (lambda: [event("Started", 0, stoppedReason="Local")], "a stoppedReason in Started"),
    "starts wrongly": (lambda: [event("Started", 0, trigger="RemoteStop")], "starts by RemoteStop"),
    "ends wrongly": (lambda: [event("Started", 0), event("Ended", 1, trigger="RemoteStart")], "ends by RemoteStart"),
    "no reason": (
        lambda: [event("Started", 0), event("Ended", 1, trigger="RemoteStop")],
        "ends by RemoteStop with the stoppedReason None",
    ),
    "a wrong reason": (
        lambda: [event("Started", 0), event("Ended", 1, trigger="EVConnectTimeout", stoppedReason="Local")],
        "ends by EVConnectTimeout with the stoppedReason Local",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_rule_of_transactions_broken_once_is_one_sin(name: str) -> None:
    events, sentence = BROKEN[name]
    assert [sentence in sin for sin in found(*events())] == [True]


def test_a_transaction_of_another_station_is_a_sin() -> None:
    sins = found(event("Started", 0), others={"B": [event("Updated", 1)]})
    assert ["is one of A" in sin for sin in sins] == [True]


def test_a_late_reading_is_judged_by_its_own_time() -> None:
    begin = {"timestamp": NOON, "sampledValue": [{"value": 1.0, "unitOfMeasure": {"unit": "kWh"}}]}
    power = {"timestamp": LATER, "sampledValue": [{"value": 1.0, "measurand": "Power.Active.Import"}]}
    phase = {"timestamp": LATER, "sampledValue": [{"value": 1.0, "phase": "L1"}]}
    end = {"timestamp": LATER, "sampledValue": [{"value": 2.0, "unitOfMeasure": {"unit": "Wh", "multiplier": 3}}]}
    transactions = Transactions()
    assert list(transactions.readings("A", 1, {"meterValue": [end, power, phase, begin]})) == []
    lower = {"timestamp": "2026-01-01T12:01:00Z", "sampledValue": [{"value": 999.0}]}
    assert len(list(transactions.readings("A", 1, {"meterValue": [lower]}))) == 1
    assert list(transactions.readings("A", 2, {"meterValue": [lower]})) == []


async def test_a_message_that_comes_again_under_its_id_is_no_sin_while_it_says_the_same(csms: Csms) -> None:
    csms.answer("TransactionEvent", Silence(), times=1)
    async with booted(csms) as it:
        await it.send(2, "again", "TransactionEvent", event("Started", 0))
        await csms.wait_for("TransactionEvent")
    async with station(csms) as it:
        await it.call("TransactionEvent", {**event("Started", 0), "offline": True}, message_id="again")
        assert csms.violations == []
        assert len(csms.transactions["T1"].events) == 1
    async with station(csms) as it:
        await it.call("TransactionEvent", event("Started", 0, tx="T2"), message_id="again")
    assert ["says something else" in sentence for sentence in csms.violations] == [True]


@pytest.mark.parametrize(
    ("second", "offline", "sins"), [(5, False, 1), (5, True, 0), (0, False, 0), (10, False, 0), (20, False, 0)]
)
def test_what_happened_while_the_line_was_down_must_say_that_it_is_late(second: int, offline: bool, sins: int) -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    conduct = Conduct201()
    conduct.line("A", up=True, at=noon - timedelta(hours=1))
    conduct.line("A", up=False, at=noon)
    conduct.line("A", up=True, at=noon + timedelta(seconds=10))
    late = event("Started", 0, at=f"2026-01-01T12:00:{second:02}Z", outer={"offline": offline})
    found = list(conduct.called("A", "1", "TransactionEvent", late))
    assert ["does not say that it is late" in sentence for sentence in found] == [True] * sins


@pytest.mark.parametrize(
    ("payload", "word"),
    [
        (event("Started", 0, remoteStartId=4), "remoteStartId 4"),
        (event("Started", 0, outer={"reservationId": 4}), "id 4 of a ReserveNow"),
    ],
)
async def test_an_order_that_nobody_gave_is_a_sin(csms: Csms, payload: object, word: str) -> None:
    async with booted(csms) as it:
        await it.told("TransactionEvent", payload)
    assert [word in sentence for sentence in csms.violations] == [True]


# --- reports ----------------------------------------------------------------------------------------------------------


def page(number: int, seq_no: int, *, tbc: bool | None = None) -> dict[str, object]:
    more = {} if tbc is None else {"tbc": tbc}
    return {"requestId": number, "generatedAt": NOON, "seqNo": seq_no, **more}


PAGES: dict[str, tuple[dict[str, object], list[dict[str, object]], str | None]] = {
    "whole": ({"status": "Accepted"}, [page(1, 0, tbc=True), page(1, 1, tbc=False)], None),
    "another number": ({"status": "Accepted"}, [page(2, 0)], "nobody made"),
    "not accepted": ({"status": "Rejected"}, [page(1, 0)], "not accepted"),
    "starts at 1": ({"status": "Accepted"}, [page(1, 1)], "page 1, due was 0"),
    "a gap": ({"status": "Accepted"}, [page(1, 0, tbc=True), page(1, 2)], "page 2, due was 1"),
    "after the last": ({"status": "Accepted"}, [page(1, 0), page(1, 1)], "after the last page"),
}


@pytest.mark.parametrize("name", PAGES)
async def test_the_pages_of_a_report_come_in_order_and_only_when_asked_for(csms: Csms, name: str) -> None:
    answer, pages, sin = PAGES[name]
    async with booted(csms) as it:
        await ask(csms, it, "GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"}, answer)
        for one in pages:
            await it.told("NotifyReport", one)
    assert [sin is not None and sin in sentence for sentence in csms.violations] == ([] if sin is None else [True])


async def test_a_page_before_the_answer_is_a_sin(csms: Csms) -> None:
    async with booted(csms) as it:
        asked = asyncio.create_task(csms.call("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"}))
        message_id = (await it.receive())[1]
        await it.told("NotifyReport", page(1, 0))
        await it.send(3, message_id, {"status": "Accepted"})
        await asked
    assert ["before that was answered" in sentence for sentence in csms.violations] == [True]


async def test_a_request_that_ended_in_an_error_has_no_report(csms: Csms) -> None:
    async with booted(csms) as it:
        asked = asyncio.create_task(csms.call("GetReport", {"requestId": 1}))
        await it.send(4, (await it.receive())[1], "NotSupported", "", {})
        with pytest.raises(CsmsCallError):
            await asked
        await it.told("NotifyReport", page(1, 0))
    assert ["nobody made" in sentence for sentence in csms.violations] == [True]


PROFILE = {
    "id": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": [SCHEDULE],
}
REPORTS: list[tuple[str, dict[str, object], str, dict[str, object]]] = [
    ("GetMonitoringReport", {}, "NotifyMonitoringReport", {"seqNo": 0, "generatedAt": NOON}),
    (
        "CustomerInformation",
        {"report": True, "clear": False},
        "NotifyCustomerInformation",
        {"seqNo": 0, "generatedAt": NOON, "data": ""},
    ),
    ("GetDisplayMessages", {}, "NotifyDisplayMessages", {}),
    (
        "GetChargingProfiles",
        {"chargingProfile": {}},
        "ReportChargingProfiles",
        {"evseId": 0, "chargingLimitSource": "CSO", "chargingProfile": [PROFILE]},
    ),
]


@pytest.mark.parametrize(("action", "request_", "told", "payload"), REPORTS, ids=[one[0] for one in REPORTS])
async def test_every_report_is_tied_to_its_request(
    csms: Csms, action: str, request_: dict[str, object], told: str, payload: dict[str, object]
) -> None:
    async with booted(csms) as it:
        await ask(csms, it, action, {"requestId": 3, **request_}, {"status": "Accepted"})
        await it.told(told, {"requestId": 3, **payload})
        assert csms.violations == []
        await it.told(told, {"requestId": 4, **payload})
    assert ["nobody made" in sentence for sentence in csms.violations] == [True]


# --- the rest ---------------------------------------------------------------------------------------------------------

ALONE: list[tuple[str, dict[str, object], str]] = [
    ("StatusNotification", {**STATUS, "evseId": 0}, "EVSE 0"),
    ("StatusNotification", {**STATUS, "connectorId": 0}, "connector 0"),
    ("StatusNotification", {**STATUS, "timestamp": "2026-01-01T12:00:00.1234Z"}, "timestamp"),
    ("Authorize", {"idToken": {"idToken": "", "type": "NoAuthorization"}}, "NoAuthorization"),
    ("Authorize", {"idToken": {"idToken": "x", "type": "Central"}}, "Central"),
    ("NotifyEvent", {"generatedAt": NOON, "seqNo": 1, "eventData": [EVENT_DATA]}, "part 1, due was 0"),
    ("ReservationStatusUpdate", {"reservationId": 4, "reservationUpdateStatus": "Expired"}, "id 4 of a ReserveNow"),
    ("LogStatusNotification", {"status": "Uploading", "requestId": 4}, "requestId 4 of a GetLog"),
    ("FirmwareStatusNotification", {"status": "Downloading", "requestId": 4}, "requestId 4 of a UpdateFirmware"),
    ("FirmwareStatusNotification", {"status": "Downloading"}, "with the requestId None"),
    ("LogStatusNotification", {"status": "Idle", "requestId": 4}, "Idle with the requestId 4"),
]


@pytest.mark.parametrize(("action", "payload", "word"), ALONE)
async def test_each_other_rule_broken_once_is_one_sin(
    csms: Csms, action: str, payload: dict[str, object], word: str
) -> None:
    async with booted(csms) as it:
        await it.told(action, payload)
    assert [word in sentence for sentence in csms.violations] == [True]


async def test_what_was_ordered_may_be_named(csms: Csms) -> None:
    async with booted(csms) as it:
        order = {"requestId": 4, "logType": "SecurityLog", "log": {"remoteLocation": "http://x"}}
        await ask(csms, it, "GetLog", order, {"status": "Accepted"})
        await it.told("LogStatusNotification", {"status": "Uploading", "requestId": 4})
        place = {"id": 7, "expiryDateTime": LATER, "idToken": ALICE}
        await ask(csms, it, "ReserveNow", place, {"status": "Accepted"})
        await it.told("ReservationStatusUpdate", {"reservationId": 7, "reservationUpdateStatus": "Expired"})
        start = {"idToken": ALICE, "remoteStartId": 9}
        await ask(csms, it, "RequestStartTransaction", start, {"status": "Accepted"})
        await it.told("TransactionEvent", event("Started", 0, remoteStartId=9, outer={"reservationId": 7}))
    assert csms.violations == []


async def test_what_was_ordered_in_1_6_may_be_named_after_a_change_of_versions() -> None:
    async with Csms(versions=("ocpp1.6",)) as csms:
        async with station(csms, subprotocols=["ocpp1.6"]) as it:
            await it.call("BootNotification", {"chargePointVendor": "Example", "chargePointModel": "M"})
            place = {"connectorId": 1, "expiryDate": LATER, "idTag": "AB12", "reservationId": 7}
            await ask(csms, it, "ReserveNow", place, {"status": "Accepted"})
        csms.accept_versions("ocpp2.0.1")
        async with booted(csms) as it:
            await it.told("ReservationStatusUpdate", {"reservationId": 7, "reservationUpdateStatus": "Expired"})
            assert csms.violations == []
            await it.told("ReservationStatusUpdate", {"reservationId": 8, "reservationUpdateStatus": "Expired"})
        assert [sentence for sentence in csms.violations if "names the id 8" in sentence] == csms.violations != []


async def test_one_csms_serves_both_versions_at_once() -> None:
    async with Csms(versions=("ocpp1.6", "ocpp2.0.1")) as csms:
        old_boot = {"chargePointVendor": "Example", "chargePointModel": "M"}
        async with station(csms, "OLD", subprotocols=["ocpp1.6"]) as old, station(csms, "NEW") as new:
            assert (await old.told("BootNotification", old_boot))["status"] == "Accepted"
            assert (await new.told("BootNotification", BOOT))["status"] == "Accepted"
            assert (await old.told("Authorize", {"idTag": "X"}))["idTagInfo"] == {"status": "Invalid"}
            assert (await new.told("Authorize", {"idToken": ALICE}))["idTokenInfo"] == {"status": "Unknown"}
        assert csms.violations == []
