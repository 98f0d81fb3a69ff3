"""2.0.1's TransactionEvent and GetTransactionStatus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from edged.dialects.v201 import POLICY, Ocpp201
from edged.dialects.v201.schemas import answer_violation, call_violation
from edged.domain.answers import TransactionState, Verdict
from edged.domain.commands import GetTransactionStatus
from edged.domain.effects import (
    RecordKind,
    Reply,
    Sample,
    SampleContext,
    SampledValue,
    StopReason,
    TransactionRecord,
)
from edged.domain.events import RecordDelivered
from edged.domain.hardware import Measurand
from edged.domain.policy import Trigger
from edged.domain.station import Link, Station
from edged.domain.types import AuthorizationStatus, IdToken, Phase, RequestRef, Stamp
from edged.ocpp.dialect import CallRefused
from edged.ocpp.rpc import Request
from tests.dialects.conftest import NOON

DIALECT = Ocpp201()
AT = Stamp(NOON, True, "boot1")
Build = Callable[..., Station]


def record(kind: RecordKind = RecordKind.UPDATED, **changes: Any) -> TransactionRecord:
    told: dict[str, Any] = {
        "kind": kind,
        "transaction_id": "5f8f1e7e-0000-4000-8000-000000000001",
        "connector": 1,
        "trigger": Trigger.CHARGING_STATE_CHANGED,
        "seq_no": 3,
        "at": AT,
        "offline": False,
        "phase": Phase.CHARGING,
    }
    return TransactionRecord(**{**told, **changes})


@pytest.fixture
def word(make_station: Build) -> Callable[..., dict[str, Any]]:
    def encode(one: TransactionRecord, **facts: Any) -> dict[str, Any]:
        request = DIALECT.encode_record(one, make_station(policy=POLICY, **facts))
        assert isinstance(request, Request) and request.action == "TransactionEvent"
        assert call_violation(request.action, request.payload) is None
        return request.payload

    return encode


@pytest.mark.req("E01.FR.07", "E01.FR.15")
def test_an_update_says_what_is_new_and_no_more(word: Callable[..., dict[str, Any]]) -> None:
    assert word(record()) == {
        "eventType": "Updated",
        "timestamp": "2025-06-01T12:00:00.000Z",
        "triggerReason": "ChargingStateChanged",
        "seqNo": 3,
        "transactionInfo": {"transactionId": "5f8f1e7e-0000-4000-8000-000000000001", "chargingState": "Charging"},
    }


@pytest.mark.req("E01.FR.18", "E02.FR.13")
@pytest.mark.parametrize("phase", Phase)
def test_every_phase_is_a_state_and_without_a_vehicle_it_is_idle(
    word: Callable[..., dict[str, Any]], phase: Phase
) -> None:
    words = {Phase.CHARGING: "Charging", Phase.SUSPENDED_EV: "SuspendedEV", Phase.SUSPENDED_EVSE: "SuspendedEVSE"}
    state = word(record(phase=phase))["transactionInfo"]["chargingState"]
    assert state == words.get(phase, "EVConnected")
    assert word(record(phase=phase, plugged=False))["transactionInfo"]["chargingState"] == "Idle"


@pytest.mark.req("E01.FR.15", "E06.FR.08")
@pytest.mark.parametrize("trigger", Trigger)
@pytest.mark.parametrize("reason", StopReason)
def test_every_reason_has_a_word(word: Callable[..., dict[str, Any]], trigger: Trigger, reason: StopReason) -> None:
    payload = word(record(RecordKind.ENDED, trigger=trigger, reason=reason))
    otherwise = {StopReason.UNLOCK_COMMAND: "Other"} | dict.fromkeys(
        (StopReason.HARD_RESET, StopReason.SOFT_RESET), "ImmediateReset"
    )
    assert payload["triggerReason"] == trigger.value
    assert payload["transactionInfo"]["stoppedReason"] == otherwise.get(reason, reason.value)


@pytest.mark.req("E01.FR.16")
@pytest.mark.parametrize(
    ("kind", "trigger", "plugged", "evse"),
    [
        (RecordKind.STARTED, Trigger.AUTHORIZED, False, {"id": 1}),
        (RecordKind.STARTED, Trigger.AUTHORIZED, True, {"id": 1, "connectorId": 1}),
        (RecordKind.UPDATED, Trigger.CABLE_PLUGGED_IN, True, {"id": 1, "connectorId": 1}),
        (RecordKind.UPDATED, Trigger.AUTHORIZED, True, None),
        (RecordKind.ENDED, Trigger.STOP_AUTHORIZED, True, None),
    ],
)
def test_the_place_is_told_where_it_is_news(
    word: Callable[..., dict[str, Any]], kind: RecordKind, trigger: Trigger, plugged: bool, evse: Any
) -> None:
    assert word(record(kind, trigger=trigger, plugged=plugged)).get("evse") == evse


@pytest.mark.req("E01.FR.10", "E01.FR.13", "F02.FR.01")
def test_the_driver_the_reservation_and_the_remote_start_are_named(word: Callable[..., dict[str, Any]]) -> None:
    named = record(id_token=IdToken("A1"), reservation_id=5, remote_start_id=7)
    payload = word(named)
    assert payload["idToken"] == {"idToken": "A1", "type": "ISO14443"}
    assert (payload["reservationId"], payload["transactionInfo"]["remoteStartId"]) == (5, 7)
    ended = word(replace(named, kind=RecordKind.ENDED))
    assert "reservationId" not in ended and "remoteStartId" not in ended["transactionInfo"]


@pytest.mark.req("E04.FR.03", "E11.FR.07")
@pytest.mark.parametrize(
    ("changes", "lost", "late"),
    [
        ({}, None, False),
        ({"offline": True}, None, True),
        ({}, AT, True),  # the line went after it was written
        ({"at": replace(AT, boot="boot0")}, None, True),
    ],
)
def test_what_had_to_wait_for_the_line_says_so(
    word: Callable[..., dict[str, Any]], changes: dict[str, Any], lost: Stamp | None, late: bool
) -> None:
    assert word(record(**changes), link=Link(online=True, lost=lost)).get("offline", False) is late


@pytest.mark.req("E01.FR.09", "E06.FR.11")
def test_values_come_with_it(word: Callable[..., dict[str, Any]]) -> None:
    sample = Sample(AT, SampleContext.BEGIN, (SampledValue(Measurand.ENERGY, 1234.5), SampledValue(Measurand.POWER, 7)))
    (value,) = word(record(RecordKind.STARTED, samples=(sample,), meter_wh=1.0))["meterValue"]
    assert [(v["measurand"], v["value"], v["context"]) for v in value["sampledValue"]] == [
        ("Energy.Active.Import.Register", 1234.5, "Transaction.Begin"),
        ("Power.Active.Import", 7, "Transaction.Begin"),
    ]


@pytest.mark.parametrize("kind", [RecordKind.STARTED, RecordKind.ENDED])
def test_a_start_or_an_end_without_values_has_its_register(
    word: Callable[..., dict[str, Any]], kind: RecordKind
) -> None:
    (value,) = word(record(kind, meter_wh=77.0))["meterValue"]
    assert [v["value"] for v in value["sampledValue"]] == [77.0]
    assert "meterValue" not in word(record(RecordKind.UPDATED))


# --- the answer


@pytest.mark.req("E05.FR.09", "I02.FR.01")
def test_what_an_answer_says_is_read() -> None:
    answer = {
        "totalCost": 3.5,
        "idTokenInfo": {"status": "Blocked"},
        "updatedPersonalMessage": {"format": "UTF8", "content": "Bye"},
    }
    found = DIALECT.decode_record_answer(4, record(), answer)
    assert found is not None and found.info is not None and found.message is not None
    assert (found.seq, found.info.status, found.cost) == (4, AuthorizationStatus.BLOCKED, 3.5)
    assert found.message.text == "Bye"


@pytest.mark.parametrize("cost", [True, "3", -1, 1e300, float("inf"), float("nan"), None, []])
def test_a_cost_that_is_none_was_not_told(cost: Any) -> None:
    assert DIALECT.decode_record_answer(4, record(), {"totalCost": cost}) == RecordDelivered(4, record())


def test_only_what_is_no_object_is_no_answer() -> None:
    assert DIALECT.decode_record_answer(4, record(), []) is None
    assert DIALECT.decode_record_answer(4, record(), {"idTokenInfo": 7, "more": 1}) == RecordDelivered(4, record())


# --- GetTransactionStatus


@pytest.mark.req("E14.FR.01", "E14.FR.06")
def test_the_state_of_transactions_is_asked_and_told(make_station: Build) -> None:
    ref = RequestRef("csms", "1", "GetTransactionStatus")
    assert DIALECT.decode_call(ref.action, {"transactionId": "T"}, ref) == GetTransactionStatus(ref, "T")
    assert DIALECT.decode_call(ref.action, {}, ref) == GetTransactionStatus(ref, None)
    assert isinstance(DIALECT.decode_call(ref.action, {"transactionId": 7}, ref), CallRefused)
    for state, wanted in (
        (TransactionState(ongoing=None, queued=True), {"messagesInQueue": True}),
        (TransactionState(ongoing=True, queued=False), {"ongoingIndicator": True, "messagesInQueue": False}),
    ):
        payload = DIALECT.encode_reply(Reply(ref, Verdict.ACCEPTED, data=state), make_station())
        assert payload == wanted and answer_violation(ref.action, payload) is None
