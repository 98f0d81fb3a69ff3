"""What a CSMS can command a permitted local actor can: both doors lead to the same event of the core.

Who wins where both have spoken is in docs/mqtt/commands.md; each of its lines is a test here.
"""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from edged.dialects.v16 import Ocpp16
from edged.dialects.v201 import Ocpp201
from edged.domain.answers import ReserveStatus, Verdict
from edged.domain.charging_commands import SetLocalLimit
from edged.domain.commands import (
    CancelReservation,
    ChangeAvailability,
    ReserveNow,
    SetConfiguration,
    Target,
)
from edged.domain.desired import desired
from edged.domain.types import IdToken, Now, RequestRef
from edged.mqtt.commands import Command, Origin, parse_request
from edged.mqtt.conversion import Ask, interpret
from edged.mqtt.names import Names
from edged.mqtt.topics import Shown, topics
from tests.fakes.profiles import profile, put
from tests.fakes.site import Site

NOON = datetime(2026, 8, 22, 10, 0, 0, tzinfo=UTC)
V16, V201 = Ocpp16(), Ocpp201()
LATER = "2026-08-22T11:00:00Z"
TOKEN16 = {"idTag": "DRIVER-1"}
TOKEN201 = {"idToken": {"idToken": "DRIVER-1", "type": "ISO14443"}}
ANY = object()
"""What only one door says, and the core does not need."""

DOORS: list[Any] = [
    (V16, "Reset", {"type": "Soft"}, "reset", {"type": "Soft"}),
    (V16, "Reset", {"type": "Hard"}, "reset", {"type": "Hard"}),
    (V201, "Reset", {"type": "OnIdle"}, "reset", {"type": "OnIdle"}),
    (V201, "Reset", {"type": "OnIdle", "evseId": 1}, "reset", {"type": "OnIdle", "evse_id": 1}),
    (V16, "UnlockConnector", {"connectorId": 1}, "unlock_connector", {"connector": 1}),
    (
        V16,
        "ChangeAvailability",
        {"connectorId": 2, "type": "Inoperative"},
        "change_availability",
        {"connector": 2, "type": "Inoperative"},
    ),
    (
        V16,
        "TriggerMessage",
        {"requestedMessage": "StatusNotification", "connectorId": 1},
        "trigger_message",
        {"requested_message": "StatusNotification", "connector": 1},
    ),
    (
        V201,
        "TriggerMessage",
        {"requestedMessage": "Heartbeat"},
        "trigger_message",
        {"requested_message": "Heartbeat"},
    ),
    (V16, "ClearCache", {}, "clear_cache", {}),
    (V201, "ClearCache", {}, "clear_cache", {}),
    (V16, "GetConfiguration", {"key": ["CpoName"]}, "get_configuration_key", {"keys": ["CpoName"]}),
    (
        V16,
        "ChangeConfiguration",
        {"key": "CpoName", "value": "x"},
        "set_configuration_key",
        {"key": "CpoName", "value": "x"},
    ),
    (
        V16,
        "ReserveNow",
        {"connectorId": 1, "expiryDate": LATER, "reservationId": 7, **TOKEN16},
        "reserve_now",
        {"connector": 1, "expires_at": LATER, "reservation_id": 7, "id_token": "DRIVER-1"},
    ),
    (
        V201,
        "ReserveNow",
        {"id": 7, "expiryDateTime": LATER, "evseId": 1, **TOKEN201},
        "reserve_now",
        {"evse_id": 1, "expires_at": LATER, "reservation_id": 7, "id_token": "DRIVER-1", "type": "ISO14443"},
    ),
    (V16, "CancelReservation", {"reservationId": 7}, "cancel_reservation", {"reservation_id": 7}),
    (V201, "CancelReservation", {"reservationId": 7}, "cancel_reservation", {"reservation_id": 7}),
    (
        V16,
        "RemoteStartTransaction",
        {"connectorId": 1, **TOKEN16},
        "start_transaction",
        {"connector": 1, "id_token": "DRIVER-1"},
    ),
    (V16, "RemoteStopTransaction", {"transactionId": 77}, "stop_transaction", {"transaction_id": "77"}),
    (V201, "RequestStopTransaction", {"transactionId": "t-1"}, "stop_transaction", {"transaction_id": "t-1"}),
    (
        V16,
        "UpdateFirmware",
        {"location": "http://h/f", "retrieveDate": LATER, "retries": 2, "retryInterval": 9},
        "update_firmware",
        {"location": "http://h/f", "retrieve_date": LATER, "retries": 2, "retry_interval": 9},
    ),
    (
        V16,
        "GetDiagnostics",
        {"location": "ftp://h/", "startTime": LATER},
        "get_diagnostics",
        {"location": "ftp://h/", "start_time": LATER},
    ),
]


@pytest.mark.parametrize(("dialect", "action", "payload", "name", "args"), DOORS)
def test_both_doors_lead_to_the_same_event(
    site: Any, dialect: Any, action: str, payload: dict[str, Any], name: str, args: dict[str, Any]
) -> None:
    here = RequestRef("mqtt:bms", "1", name)
    theirs = dialect.decode_call(action, payload, RequestRef("csms", "1", action))
    raw = json.dumps({"id": "1", "args": args}).encode()
    command = parse_request(raw, Origin(actor="bms", command=name), Now(NOON, 0.0, True))
    assert isinstance(command, Command), command
    outcome = interpret(command, here, stations=site.stations(), shown=site.shown)
    assert isinstance(outcome, Ask), outcome
    assert type(outcome.event) is type(theirs)
    assert outcome.event == dataclasses.replace(theirs, request=here)


# --- who wins


def ask(site: Site, event: Any) -> Any:
    site.do(event)
    return site.reply().status


def limit(site: Site, ampere: float | None) -> Any:
    limit_ma = None if ampere is None else round(ampere * 1000)
    return ask(site, SetLocalLimit(request=site.ref("set_limit", "mqtt:bms"), connector=1, limit_ma=limit_ma))


def shown_limit(site: Site) -> tuple[Any, Any, Any, Any]:
    documents = topics(site.station, Shown(names=Names("edged", "gw1")))
    body = documents["edged/v1/gw1/station/TEST/connector/1/limit"].body
    assert not isinstance(body, str)
    return body["local_limit_a"], body["csms_limit_a"], body["effective_a"], body["source"]


def test_of_limits_the_lower_holds_and_both_are_shown() -> None:
    site = Site.build()
    site.start(1)
    assert shown_limit(site) == (32, None, 32, "installation")
    assert limit(site, 20) is Verdict.ACCEPTED
    assert shown_limit(site) == (20, None, 20, "local")
    put(site, profile((0, 12)), evse=1)
    assert shown_limit(site) == (20, 12, 12, "csms")
    limit(site, 8)
    assert shown_limit(site) == (8, 12, 8, "local")
    assert desired(site.station, 1).current_limit_ma == 8_000
    limit(site, None)
    assert shown_limit(site) == (32, 12, 12, "csms")
    limit(site, 100)
    assert shown_limit(site) == (32, 12, 12, "csms"), "never above what the installation allows"


def test_of_availability_the_last_word_counts_whoevers_it_is() -> None:
    site = Site.build()
    for channel, operative in (("csms", False), ("mqtt:bms", True), ("mqtt:bms", False), ("csms", True)):
        site.do(ChangeAvailability(site.ref("x", channel), 1, operative))
        assert site.station.effective(1) is operative


def test_of_configuration_the_last_word_counts_whoevers_it_is() -> None:
    site = Site.build()
    for channel, value in (("csms", "60"), ("mqtt:bms", "70"), ("csms", "80"), ("local", "90")):
        site.do(SetConfiguration(site.ref("x", channel), "ConnectionTimeOut", value))
        assert site.station.configuration.text("ConnectionTimeOut") == value


def reserve(site: Site, channel: str, number: int | None, connector: int = 1) -> Any:
    return ask(
        site,
        ReserveNow(
            request=site.ref("ReserveNow", channel),
            reservation_id=number,
            target=Target(connector=connector),
            id_token=IdToken("BOB"),
            group=None,
            expires_at=site.now.utc.replace(hour=13),
        ),
    )


def test_the_csms_may_cancel_what_local_people_reserved() -> None:
    site = Site.build()
    assert reserve(site, "mqtt:bms", 5) is ReserveStatus.ACCEPTED
    assert ask(site, CancelReservation(site.ref("x", "csms"), 5)) is Verdict.ACCEPTED


@pytest.mark.parametrize("who", ["mqtt:bms", "mqtt:other", "local"])
def test_local_people_may_cancel_what_local_people_reserved(who: str) -> None:
    site = Site.build()
    reserve(site, "mqtt:bms", 5)
    assert ask(site, CancelReservation(site.ref("x", who), 5)) is Verdict.ACCEPTED


@pytest.mark.parametrize("who", ["mqtt:bms", "local"])
def test_local_people_may_cancel_what_the_csms_reserved_and_it_is_told(who: str) -> None:
    site = Site.build()
    reserve(site, "csms", 5)
    assert ask(site, CancelReservation(site.ref("x", who), 5)) is Verdict.ACCEPTED


def test_a_place_that_one_has_reserved_the_other_cannot_take() -> None:
    site = Site.build()
    reserve(site, "csms", 5)
    assert reserve(site, "mqtt:bms", None) is ReserveStatus.OCCUPIED
    site = Site.build()
    reserve(site, "mqtt:bms", 5)
    assert reserve(site, "csms", 6) is ReserveStatus.OCCUPIED
