"""One version at a time: what becomes of a station, its queues and its answers when the CSMS agrees on another one."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from edged.dialects.v16 import POLICY as POLICY_16
from edged.dialects.v201 import POLICY as POLICY_201
from edged.domain.commands import SetConfiguration
from edged.domain.effects import Reply, ReservationEnd, ReservationRecord
from edged.domain.events import RecordGivenUp, VersionAgreed
from edged.domain.types import RequestRef
from tests.fakes.site import Site
from tests.fakes.wire import VERSIONS, Wire

V16, V201 = (dialect.subprotocol for dialect in VERSIONS)


@pytest.fixture
def wire() -> Wire:
    return Wire(configuration={"AllowOfflineTxForUnknownId": "true"})


def agree(wire: Wire, subprotocol: str) -> list[str]:
    """The line comes back and the CSMS agrees on this version; the actions that it is told."""
    wire.down()
    wire.up(subprotocol)
    return wire.answer_all()


# --- which version is spoken


def test_the_first_version_needs_no_news(wire: Wire) -> None:
    wire.up(V16)
    assert not any(isinstance(event, VersionAgreed) for event in wire.everything)
    assert wire.agreed == []


@pytest.mark.req("20-J-05")
def test_another_version_brings_its_rules_its_values_and_a_boot(wire: Wire) -> None:
    wire.serve()
    told = agree(wire, V201)
    assert told[0] == "BootNotification"
    assert "chargingStation" in next(call[3] for call in reversed(wire.calls) if call[2] == "BootNotification")
    assert wire.site.station.policy is POLICY_201
    assert not wire.site.station.configuration.text("SupportedFeatureProfiles")
    assert (wire.agreed, wire.link.subprotocol) == ([V201], V201)
    agree(wire, V16)
    assert wire.site.station.policy is POLICY_16
    assert wire.site.station.configuration.text("SupportedFeatureProfiles")


@pytest.mark.req("20-J-05")
def test_a_plain_reconnect_with_the_same_version_introduces_nobody(wire: Wire) -> None:
    wire.serve()
    agree(wire, V201)
    assert "BootNotification" not in agree(wire, V201)


def test_nothing_but_the_boot_is_said_before_the_csms_has_accepted_the_station_in_the_new_version(wire: Wire) -> None:
    wire.serve()
    wire.down()
    wire.charge(1)
    wire.up(V201)
    mark = len(wire.calls)
    wire.wait(5)
    assert wire.calls[mark:] == [] and wire.last[2] == "BootNotification" and wire.waiting


def test_nothing_is_said_between_the_agreement_and_the_core_that_has_not_heard_of_it(wire: Wire) -> None:
    """The inbox is slow: the link sees the station of before for a while, which believes that it is served."""
    wire.serve()
    wire.line.connected = False
    wire.link.closed("cut")
    wire.line.connected = True
    wire.link.opened(V201)
    mark = len(wire.line.sent)
    assert wire.site.station.link.serving, "the core has heard of nothing yet"
    wire.link.show(wire.site.station, wire.site.now, ())
    assert wire.line.sent[mark:] == []
    wire.settle()
    assert [call[2] for call in wire.calls[-1:]] == ["BootNotification"]


def test_the_wait_that_a_csms_has_asked_for_holds_in_another_version_too(wire: Wire) -> None:
    wire.up()
    wire.boot("Pending", interval=600)
    mark = len(wire.calls)
    wire.down()
    wire.up(V201)
    wire.wait(60)
    assert wire.since(mark) == []


# --- answers


def deferred(wire: Wire, ident: str) -> RequestRef:
    """A CALL that the core has not answered yet."""
    posted: list[Any] = []
    post, wire.link._post = wire.link._post, lambda event: posted.append(event) is None
    wire.link.received(json.dumps([2, ident, "ClearCache", {}]))
    wire.link._post = post
    request: RequestRef = posted[0].request
    return request


def test_an_answer_to_a_call_of_another_version_is_not_given(wire: Wire) -> None:
    wire.serve()
    request = deferred(wire, "late")
    agree(wire, V201)
    before = len(wire.line.sent)
    answer = wire.site.ref("ClearCache")
    wire.link.reply(Reply(request, wire.site.station.policy.reservation_used), wire.site.station)
    assert wire.line.sent[before:] == [] and answer
    assert wire.link.session.pending_in == 0


def test_a_refusal_of_a_call_of_another_version_is_not_given_either(wire: Wire) -> None:
    wire.serve()
    request = deferred(wire, "late")
    agree(wire, V201)
    before = len(wire.line.sent)
    wire.link.refuse(request, "the disk is full")
    assert wire.line.sent[before:] == [] and wire.link.session.pending_in == 0


def test_the_id_of_an_open_call_of_another_version_is_taken(wire: Wire) -> None:
    """Its answer, when it comes, would be taken for that of the new one."""
    wire.serve()
    deferred(wire, "1")
    agree(wire, V201)
    before = len(wire.line.sent)
    wire.receive(2, "1", "ClearCache", {})
    assert wire.line.sent[before:] == []


# --- what is kept


def test_reservations_keys_and_the_transaction_that_runs_stay(wire: Wire) -> None:
    wire.serve()
    wire.do(wire_set(wire, "HeartbeatInterval", "120"))
    wire.move("reserve", 5, "BOB", 2, minutes=600)
    wire.charge(1)
    wire.answer_all()
    before = wire.site.station
    for version in (V201, V16):
        agree(wire, version)
        after = wire.site.station
        assert after.reservations == before.reservations
        assert after.configuration.changed["HeartbeatInterval"] == "300", "the CSMS's own interval"
        assert after.transactions.keys() == before.transactions.keys()
        assert after.running(1) is not None


def wire_set(wire: Wire, key: str, value: str) -> Any:
    return SetConfiguration(wire.site.ref("ChangeConfiguration", "mqtt:bms"), key, value)


def test_what_ended_without_a_line_is_told_in_the_version_that_the_line_speaks(wire: Wire) -> None:
    wire.serve()
    wire.down()
    wire.charge(1)
    wire.move("unplug", 1)
    wire.up(V201)
    told = wire.answer_all()
    assert "StartTransaction" not in told and "StopTransaction" not in told
    assert wire.site.station.queued == 0


def test_a_transaction_that_the_csms_was_told_of_without_naming_it_goes_on_under_minus_one(wire: Wire) -> None:
    wire.serve()
    agree(wire, V201)
    wire.charge(1)
    wire.answer_all()
    agree(wire, V16)
    mark = len(wire.calls)
    wire.move("unplug", 1)
    wire.answer_all()
    stops = [call[3] for call in wire.calls[mark:] if call[2] == "StopTransaction"]
    assert [stop["transactionId"] for stop in stops] == [-1]
    assert wire.site.station.queued == 0 and not wire.site.station.transactions


def test_a_transaction_that_the_csms_has_named_is_ended_under_its_name_when_the_version_comes_back(wire: Wire) -> None:
    wire.serve()
    wire.charge(1)
    wire.answer_all()
    agree(wire, V201)
    agree(wire, V16)
    mark = len(wire.calls)
    wire.move("unplug", 1)
    wire.answer_all()
    assert [call[3]["transactionId"] for call in wire.calls[mark:] if call[2] == "StopTransaction"] == [77]


def test_a_transaction_that_nobody_was_told_of_is_begun_and_ended_in_the_other_version(wire: Wire) -> None:
    wire.serve()
    agree(wire, V201)
    wire.down()
    wire.charge(1)
    wire.move("unplug", 1)
    wire.up(V16)
    mark = len(wire.calls)
    wire.answer_all()
    stops = [call[3]["transactionId"] for call in wire.calls[mark:] if call[2] == "StopTransaction"]
    assert stops == [77]
    assert wire.site.station.queued == 0


def test_a_transaction_without_a_driver_does_not_hold_up_a_version_that_knows_drivers_only() -> None:
    wire = Wire(configuration={"TxStartPoint": "EVConnected", "TxStopPoint": "EVConnected"}, dialect=VERSIONS[1])
    wire.up(V201)
    wire.answer_all()
    wire.down()
    wire.move("plug", 1)
    assert wire.site.station.running(1) is not None
    wire.up(V16)
    wire.answer_all()
    wire.move("unplug", 1)
    wire.answer_all()
    wire.wait(20)
    wire.answer_all()
    assert wire.site.station.queued == 0
    wire.charge(1)
    wire.answer_all()
    wire.move("unplug", 1)
    wire.answer_all()
    assert wire.site.station.queued == 0 and not wire.site.station.transactions


def test_a_record_that_only_one_version_has_words_for_blocks_nothing_in_the_other(wire: Wire) -> None:
    wire.serve()
    agree(wire, V201)
    wire.down()
    wire.move("reserve", 9, "BOB", 2, minutes=0.5)
    wire.wait(40)
    assert any(isinstance(record, ReservationRecord) for record in wire.site.outbox.values())
    wire.up(V16)
    wire.answer_all()
    assert wire.site.station.queued == 0
    assert any(isinstance(event, RecordGivenUp) for event in wire.everything)


# --- a notice that the CSMS does not know


@pytest.mark.parametrize("code", ["NotImplemented", "NotSupported"])
def test_a_notice_that_the_csms_has_no_message_for_is_given_up_at_once_and_the_next_goes(code: str) -> None:
    wire = Wire(dialect=VERSIONS[1])
    wire.up()
    wire.answer_all()
    for ident in (7, 8):
        wire.move("reserve", ident, f"DRIVER-{ident}", ident - 6, minutes=0.5)
    wire.answer_all()
    wire.wait(40)
    while wire.last[2] != "ReservationStatusUpdate":
        wire.answer()
    assert wire.last[3]["reservationUpdateStatus"] == ReservationEnd.EXPIRED.value
    wire.refuse(code)
    assert [event.reason for event in wire.everything if isinstance(event, RecordGivenUp)] == [
        "the CSMS has no such message"
    ]
    wire.answer_all()
    assert {call[3]["reservationId"] for call in wire.calls if call[2] == "ReservationStatusUpdate"} == {7, 8}
    assert wire.site.station.queued == 0


def test_site_and_wire_agree_on_the_kept_rules() -> None:
    """A station that starts again begins with the rules that it is given, not with those of its disk."""
    site = Site.build(policy=POLICY_201)
    site.restart()
    assert site.station.policy is POLICY_201


@pytest.mark.parametrize("continued", [True, False])
def test_a_start_in_another_version_than_the_last_run_spoke_names_what_nobody_will_name_any_more(
    continued: bool,
) -> None:
    """The power went behind the agreement and before its step, or the installer has taken the old version away."""
    wire = Wire(dialect=VERSIONS[1])
    wire.up()
    wire.answer_all()
    wire.charge(1)
    wire.answer_all()
    assert wire.site.fresh is not None
    wire.site.fresh = replace(wire.site.fresh, policy=POLICY_16)
    wire.site.restart(continued=continued)
    assert {one.external_ref for one in wire.site.station.transactions.values()} == {-1}


# --- before the CSMS has accepted the station


@pytest.mark.req("B02.FR.01", "B02.FR.02")
def test_while_pending_only_variables_are_reported_and_the_rest_once_the_station_is_accepted() -> None:
    wire = Wire(dialect=VERSIONS[1])
    wire.up()
    wire.boot("Pending", interval=10)
    wire.ask("CustomerInformation", {"requestId": 3, "report": True, "clear": False, "customerIdentifier": "me"})
    wire.ask("GetBaseReport", {"requestId": 4, "reportBase": "SummaryInventory"})
    assert wire.answer_all() == ["NotifyReport"]
    wire.wait(10)
    assert "NotifyCustomerInformation" in wire.answer_all()
