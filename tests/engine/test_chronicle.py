"""What the log says of a step, and what an event's handling is about."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from edged.chronicle import handling, tell
from edged.domain.answers import AvailabilityStatus
from edged.domain.commands import ClearCache
from edged.domain.effects import Announce, Reply
from edged.domain.events import ChargerLost, Tick
from edged.domain.hardware import Fault, FaultCode
from edged.domain.station import Station
from edged.domain.types import IdToken, RequestRef
from edged.log_fields import current, fields_of
from tests.fakes.site import station

JAM = Fault(FaultCode.CONNECTOR_LOCK, vendor_code="E7", info="jammed")
WARMTH = Fault(FaultCode.HIGH_TEMPERATURE, blocking=False)


@pytest.fixture(autouse=True)
def _everything_is_told(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.log_fields._always", {})
    caplog.set_level(logging.INFO, "edged.chronicle")


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, dict[str, str]]]:
    return [(record.levelname, record.getMessage(), dict(fields_of(record))) for record in caplog.records]


def with_faults(before: Station, *faults: Fault) -> Station:
    return replace(before, connectors={**before.connectors, 1: replace(before.connectors[1], faults=faults)})


def test_faults_are_told_as_they_come_and_go_with_their_connector(caplog):
    sound = station()
    name = sound.identity.id
    broken = with_faults(sound, JAM, WARMTH)
    tell(sound, broken, ())
    tell(broken, with_faults(broken, WARMTH), ())
    assert told(caplog) == [
        ("WARNING", f"{name} connector 1: fault {JAM.code} (E7, jammed)", {"connector": "1"}),
        ("INFO", f"{name} connector 1: fault {WARMTH.code}", {"connector": "1"}),
        ("INFO", f"{name} connector 1: fault over: {JAM.code} (E7, jammed)", {"connector": "1"}),
    ]


def test_a_step_that_changes_nothing_of_this_says_nothing(caplog):
    sound = station()
    tell(sound, replace(sound, connectors=dict(sound.connectors)), ())
    assert told(caplog) == []


def test_an_announcement_has_its_place_and_its_transaction_and_no_token(caplog):
    sound = station()
    data = {"transaction_id": "t-1", "id_token": IdToken("04A2E5F1")}
    tell(sound, sound, (Announce("transaction.started", 1, data), Announce("ocpp.connected", None, {})))
    started, connected = told(caplog)
    assert started[0] == "INFO"
    assert "connector 1: transaction.started (transaction_id t-1, " in started[1]
    assert "04A2E5F1" not in started[1]
    assert started[2] == {"connector": "1", "transaction": "t-1"}
    assert connected == ("INFO", f"{sound.identity.id}: ocpp.connected", {})


def test_a_reset_that_was_refused_is_a_warning(caplog):
    sound = station()
    tell(sound, sound, (Announce("gateway.reset_refused", None, {}),))
    assert [level for level, _, _ in told(caplog)] == ["WARNING"]


@pytest.mark.parametrize(
    ("request_ref", "about"),
    [
        (RequestRef("csms", "m-1", "ClearCache"), {"message_id": "m-1"}),
        (RequestRef("mqtt:bms", "r-1", "clear_cache", "order 7"), {"command": "order 7"}),
        (RequestRef("local", "r-2"), {"command": "r-2"}),
    ],
)
def test_while_a_request_is_handled_entries_name_it_as_its_sender_does(request_ref, about):
    with handling(ClearCache(request_ref)):
        assert current() == about
    assert current() == {}


def test_what_answers_a_request_of_long_ago_names_it(caplog):
    sound = station()
    change = Announce("connector.availability", 2, {"operative": False})
    tell(
        sound,
        sound,
        (change, Reply(RequestRef("local", "r-1", "change_availability", "order-7"), AvailabilityStatus.ACCEPTED)),
    )
    assert told(caplog)[0][2] == {"connector": "2", "command": "order-7"}


def test_while_a_report_is_handled_entries_name_its_connector():
    with handling(ChargerLost(2, "silent")):
        assert current() == {"connector": "2"}
    with handling(Tick()):
        assert current() == {}
