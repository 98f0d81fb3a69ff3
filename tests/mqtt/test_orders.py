"""Local commands become the very events that the CSMS's requests become, and their answers the contract's results."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from edged.domain import answers, commands
from edged.domain.answers import ConfigurationReport, FileStatus, KeyReport, TransferStatus, Undelivered, Verdict
from edged.domain.configuration import ConfigurationStatus
from edged.domain.effects import NoticeKind, Reply
from edged.domain.files import FirmwareOrder, LogKind, LogOrder
from edged.domain.journal import Direction, TransferEntry
from edged.domain.types import IdToken, Now, RequestRef, Stamp
from edged.mqtt.commands import Command, Origin, Problem, parse_request
from edged.mqtt.conversion import Answer, Ask, LookUp, encode_result, interpret, list_transfers, nothing_happened
from edged.mqtt.documents import dump
from edged.mqtt.names import Names
from edged.mqtt.topics import Shown

NOON = datetime(2026, 8, 22, 10, 0, 0, tzinfo=UTC)
ONE = datetime(2026, 8, 22, 11, 0, 0, tzinfo=UTC)
REF = RequestRef("mqtt:bms", "1", "x")


def event_of(site: Any, name: str, **args: Any) -> Any:
    raw = json.dumps({"id": "1", "command": name, "args": args}).encode()
    command = parse_request(raw, Origin(actor="local"), Now(NOON, 0.0, True))
    assert isinstance(command, Command), command
    outcome = interpret(command, REF, stations=site.stations(), shown=site.shown)
    return outcome.event if isinstance(outcome, Ask) else outcome


@pytest.mark.parametrize(
    ("name", "args", "event"),
    [
        (
            "start_transaction",
            {"connector": 1, "id_token": "A", "type": "Central"},
            commands.RequestStart(request=REF, id_token=IdToken("A", "Central"), connector=1),
        ),
        ("stop_transaction", {"connector": 2}, commands.RequestStop(request=REF, connector=2)),
        ("stop_transaction", {"transaction_id": "x-1"}, commands.RequestStop(request=REF, transaction_id="x-1")),
        ("stop_transaction", {"transaction_id": "77"}, commands.RequestStop(request=REF, external_ref=77)),
        (
            "change_availability",
            {"connector": 0, "type": "Inoperative"},
            commands.ChangeAvailability(REF, 0, operative=False),
        ),
        ("unlock_connector", {"connector": 2}, commands.UnlockConnector(REF, 2)),
        ("reset", {"type": "Hard"}, commands.ResetStation(REF, commands.ResetKind.HARD)),
        (
            "trigger_message",
            {"requested_message": "MeterValues", "connector": 1},
            commands.TriggerMessage(REF, NoticeKind.METER, 1),
        ),
        ("get_configuration_key", {}, commands.GetConfiguration(REF, ())),
        ("get_configuration_key", {"keys": ["A", "b"]}, commands.GetConfiguration(REF, ("A", "b"))),
        (
            "set_configuration_key",
            {"key": "HeartbeatInterval", "value": "5"},
            commands.SetConfiguration(REF, "HeartbeatInterval", "5"),
        ),
        ("clear_cache", {}, commands.ClearCache(REF)),
        ("security_event", {"type": "Door"}, commands.ReportSecurityEvent(request=REF, event_type="Door")),
        (
            "security_event",
            {"type": "Door", "info": "open", "critical": False, "timestamp": "2026-08-22T11:00:00Z"},
            commands.ReportSecurityEvent(request=REF, event_type="Door", info="open", critical=False, at=ONE),
        ),
        (
            "update_firmware",
            {"location": "https://x/y", "install_date": "2026-08-22T11:00:00Z", "retries": 3, "retry_interval": 60},
            commands.UpdateFirmware(
                REF,
                FirmwareOrder(location="https://x/y", retrieve_at=NOON, install_at=ONE, retries=3, retry_interval_s=60),
            ),
        ),
        (
            "get_diagnostics",
            {"location": "ftp://x/", "start_time": "2026-08-22T10:00:00Z", "stop_time": "2026-08-22T11:00:00Z"},
            commands.GetLog(
                REF,
                LogOrder(
                    kind=LogKind.DIAGNOSTICS,
                    location="ftp://x/",
                    filename="",
                    oldest=NOON,
                    latest=ONE,
                    retry_interval_s=30,
                ),
            ),
        ),
        (
            "data_transfer",
            {"vendor_id": "com.example", "message_id": "m", "data": ""},
            commands.SendData(REF, "com.example", "m", ""),
        ),
        ("data_transfer", {"vendor_id": "com.example"}, commands.SendData(REF, "com.example", None, None)),
        ("list_data_transfers", {}, LookUp("cs1", 20)),
        ("list_data_transfers", {"limit": 100}, LookUp("cs1", 100)),
    ],
)
def test_a_command_is_what_the_csms_would_have_asked(site: Any, name: str, args: Any, event: Any) -> None:
    assert event_of(site, name, **args) == event


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("start_transaction", {"id_token": "A"}),
        ("stop_transaction", {}),
        ("change_availability", {"type": "Operative"}),
        ("unlock_connector", {}),
        ("trigger_message", {"requested_message": "StatusNotification"}),
    ],
)
def test_a_connector_that_is_not_there_is_told(site: Any, name: str, args: Any) -> None:
    outcome = event_of(site, name, connector=9, **args)
    assert isinstance(outcome, Problem)
    assert (outcome.code, outcome.details) == ("not_found", {"connectors": [1, 2]})


@pytest.mark.parametrize("key", ["AuthorizationKey", "authorizationKEY", "SecurityProfile", "securityprofile"])
def test_nobody_here_changes_how_the_station_shows_who_it_is(site: Any, key: str) -> None:
    outcome = event_of(site, "set_configuration_key", key=key, value="correct horse battery")
    assert isinstance(outcome, Problem)
    assert outcome.code == "forbidden"
    assert "horse" not in outcome.message


# --- answers


def reply(action: str, status: Any, detail: str = "", data: Any = None) -> Reply:
    return Reply(RequestRef("local", "1", action), status, detail, data)


@pytest.mark.parametrize(
    ("given", "result"),
    [
        (reply("data_transfer", TransferStatus.ACCEPTED, data="yes"), {"status": "Accepted", "data": "yes"}),
        (reply("data_transfer", TransferStatus.UNKNOWN_VENDOR), {"status": "UnknownVendorId", "data": None}),
        (reply("security_event", Verdict.ACCEPTED), {"queued": True}),
        (reply("get_diagnostics", FileStatus.ACCEPTED, data="a.zip"), {"status": "Accepted", "filename": "a.zip"}),
        (
            reply("get_diagnostics", FileStatus.REJECTED, "why"),
            {"status": "Rejected", "filename": None, "info": "why"},
        ),
        (reply("update_firmware", FileStatus.SIGNED_ONLY), {"status": "SignedOnly"}),
        (reply("clear_cache", Verdict.REJECTED, "off"), {"status": "Rejected", "info": "off"}),
        (reply("unlock_connector", answers.UnlockStatus.FAILED), {"status": "UnlockFailed"}),
        (reply("set_configuration_key", ConfigurationStatus.REBOOT_REQUIRED), {"status": "RebootRequired"}),
        (
            reply(
                "get_configuration_key",
                ConfigurationStatus.ACCEPTED,
                data=ConfigurationReport((KeyReport("A", True, "1"), KeyReport("B", False, None)), ("c",)),
            ),
            {
                "configuration_keys": [
                    {"key": "A", "value": "1", "read_only": True},
                    {"key": "B", "value": None, "read_only": False},
                ],
                "unknown_keys": ["c"],
            },
        ),
    ],
)
def test_an_answer_is_worded_as_the_contract_says(given: Reply, result: Any) -> None:
    assert encode_result(given) == result


@pytest.mark.parametrize(
    ("status", "detail", "code", "again"),
    [
        (Undelivered.OFFLINE, "away", "csms_offline", True),
        (Undelivered.BUSY, "4 wait", "busy", True),
        (Undelivered.NO_ANSWER, "no answer in time", "timeout", False),
        (Undelivered.NO_ANSWER, "CALLERROR NotImplemented", "rejected", False),
    ],
)
def test_what_the_csms_has_not_answered_is_no_result(status: Any, detail: str, code: str, again: bool) -> None:
    given = reply("data_transfer", status, detail)
    outcome = encode_result(given)
    assert isinstance(outcome, Problem)
    assert outcome.code == code
    assert detail in outcome.message
    assert nothing_happened(given) is again


def entry(number: int, **changes: Any) -> TransferEntry:
    whole: dict[str, Any] = {
        "at": Stamp(NOON.replace(minute=number % 60), True, "b1"),
        "direction": Direction.FROM_CSMS,
        "source": "csms",
        "vendor_id": "com.example",
        "message_id": None,
        "data": str(number),
        "data_chars": len(str(number)),
        "status": "Accepted",
        "answer": "OK",
    }
    return TransferEntry(**{**whole, **changes})


def test_transfers_are_listed_oldest_first_with_everything_that_is_known(site: Any) -> None:
    listed = list_transfers([entry(1), entry(2, direction=Direction.TO_CSMS, source="mqtt:bms")], site.station)
    assert listed["left_out"] == 0
    assert listed["transfers"][0] == {
        "time": "2026-08-22T10:01:00.000Z",
        "direction": "from_csms",
        "source": "csms",
        "vendor_id": "com.example",
        "message_id": None,
        "data": "1",
        "data_chars": 1,
        "status": "Accepted",
        "answer": "OK",
    }
    assert [one["source"] for one in listed["transfers"]] == ["csms", "mqtt:bms"]


def test_a_list_stays_short_enough_for_a_broker_and_says_what_is_missing(site: Any) -> None:
    listed = list_transfers([entry(n, data="x" * 4096, answer="y" * 4096) for n in range(100)], site.station)
    assert listed["left_out"] == 100 - len(listed["transfers"]) == 68
    assert listed["transfers"][-1]["time"] == "2026-08-22T10:39:00.000Z"
    assert len(dump(listed)) < 300_000


def test_half_a_character_in_the_history_can_be_sent(site: Any) -> None:
    assert b"?" in dump(list_transfers([entry(1, data="\ud800")], site.station))


def test_the_state_of_a_station_says_which_event_it_contains_last(site: Any) -> None:
    command = parse_request(b'{"command": "get_state"}', Origin(actor="local"), Now(NOON, 0.0, True))
    assert isinstance(command, Command)

    def shown(identity: str) -> Shown:
        return Shown(names=Names("edged", "gw1"), as_of=lambda station: 41 if station is site.station else None)

    outcome = interpret(command, REF, stations=site.stations(), shown=shown)
    assert isinstance(outcome, Answer)
    assert isinstance(outcome.result, dict)
    assert outcome.result["stations"]["cs1"]["as_of_seq"] == 41
    nobody = interpret(command, REF, stations=site.stations(), shown=site.shown)
    assert isinstance(nobody, Answer)
    assert isinstance(nobody.result, dict)
    assert nobody.result["stations"]["cs1"]["as_of_seq"] is None
