"""The link: who goes first, what a registration allows, the same id at every try, and what becomes of the rest."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from edged.csms.failure import Failure, FailureKind
from edged.csms.items import NoticeItem
from edged.csms.suspicions import QUIET_S
from edged.csms.waiting import MAX_WAITING
from edged.domain.commands import TriggerMessage
from edged.domain.credentials import LinkFailure
from edged.domain.effects import AskAuthorization, NoticeKind, RecordKind
from edged.domain.events import (
    BootFailed,
    JobDone,
    LinkDown,
    LinkFailed,
    LinkProven,
    LinkUp,
    PresentToken,
    RecordGivenUp,
    RegistrationLost,
    SuspicionRaised,
    Tick,
    TokenAnswered,
)
from edged.domain.hardware import ChargerState, Meter
from edged.domain.jobs import RequestMade
from edged.domain.security_event import SecurityEvent
from edged.domain.types import IdToken
from tests.fakes.wire import Wire, now_text, offline_transaction


@pytest.fixture
def wire() -> Wire:
    return Wire(configuration={"AllowOfflineTxForUnknownId": "true"})


# --- who goes first


@pytest.mark.req("16-J-30")
def test_the_boot_is_the_first_word_on_the_line(wire: Wire):
    wire.up()
    assert [call[2] for call in wire.calls] == ["BootNotification"]


def test_one_call_at_a_time(wire: Wire):
    wire.up()
    wire.boot()
    assert len(wire.calls) == 2
    wire.wait(3)
    assert len(wire.calls) == 2
    wire.answer()
    assert len(wire.calls) == 3


def test_after_the_boot_every_connector_is_reported(wire: Wire):
    wire.up()
    wire.boot()
    wire.answer_all()
    told = {call[3]["connectorId"] for call in wire.calls if call[2] == "StatusNotification"}
    assert told == {0, 1, 2}


def test_a_driver_who_waits_goes_before_reports(wire: Wire):
    wire.up()
    wire.boot()
    wire.move("plug", 1)
    wire.do(PresentToken(IdToken("ALICE"), 1))
    mark = len(wire.calls)
    wire.answer()
    assert wire.since(mark)[0] == "Authorize"


def test_the_backlog_goes_behind_what_is_new_and_keeps_its_order(wire: Wire):
    offline_transaction(wire)
    wire.up()
    wire.boot()
    actions = [wire.last[2], *wire.answer_all()[1:]]
    start = actions.index("StartTransaction")
    assert actions[:start] == ["StatusNotification"] * start
    assert start == 3
    assert actions[start:].index("StopTransaction") > 0


def test_a_status_and_the_record_of_the_same_moment_keep_their_order(wire: Wire):
    wire.serve()
    mark = len(wire.calls)
    wire.charge(1)
    wire.answer_all()
    actions = wire.since(mark)
    assert actions.index("StartTransaction") > actions.index("StatusNotification")
    told = [call[3].get("status") for call in wire.calls[mark:] if call[2] == "StatusNotification"]
    assert told == ["Preparing", "Charging"]


def test_an_answer_to_the_csms_does_not_wait_for_its_answer_to_us(wire: Wire):
    wire.up()
    wire.boot()
    assert wire.waiting
    reply = wire.ask("GetConfiguration", {"key": ["HeartbeatInterval"]})
    assert reply is not None and reply[0] == 3


# --- what a registration allows


def test_pending_says_nothing_unasked_but_answers_and_says_what_is_triggered(wire: Wire):
    wire.up()
    wire.boot("Pending", interval=100)
    wire.move("plug", 1)
    assert [call[2] for call in wire.calls] == ["BootNotification"]
    reply = wire.ask("TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": 1})
    assert reply is not None and reply[2] == {"status": "Accepted"}
    assert wire.last[2] == "StatusNotification" and wire.last[3]["connectorId"] == 1
    wire.answer()
    assert len(wire.calls) == 2


def test_pending_asks_about_nobody(wire: Wire):
    wire.up()
    wire.boot("Pending", interval=100)
    wire.link.show(wire.site.station, wire.site.now, [AskAuthorization("ticket", IdToken("ALICE"))])
    assert [call[2] for call in wire.calls] == ["BootNotification"]


def test_rejected_neither_speaks_nor_answers(wire: Wire):
    wire.up()
    wire.boot("Rejected", interval=100)
    wire.move("plug", 1)
    assert wire.ask("GetConfiguration", {}) is None
    assert wire.ask("TriggerMessage", {"requestedMessage": "Heartbeat"}) is None
    assert [call[2] for call in wire.calls] == ["BootNotification"]


def test_the_boot_is_repeated_after_the_interval_that_was_told(wire: Wire):
    wire.up()
    wire.boot("Pending", interval=30)
    wire.wait(29)
    assert len(wire.calls) == 1
    wire.wait(2)
    assert [call[2] for call in wire.calls] == ["BootNotification", "BootNotification"]
    wire.boot()
    assert wire.last[2] == "StatusNotification"


@pytest.mark.parametrize("answer", ["error", "nonsense", "nothing"])
def test_a_boot_without_a_good_answer_is_a_boot_that_failed(wire: Wire, answer: str):
    wire.up()
    match answer:
        case "error":
            wire.refuse()
        case "nonsense":
            wire.answer({"status": "Perhaps"})
        case _:
            wire.wait(wire.site.station.configuration.number("MessageTimeout") + 1)
    assert BootFailed() in wire.everything


def test_the_connection_is_settled_once_the_station_is_accepted(wire: Wire):
    wire.up()
    assert wire.line.settlements == 0
    wire.boot("Pending", interval=10)
    assert wire.line.settlements == 0
    wire.wait(11)
    wire.boot()
    assert wire.line.settlements == 1


# --- records


def ids_of(wire: Wire, action: str) -> list[str]:
    return [call[1] for call in wire.calls if call[2] == action]


def serve_until(wire: Wire, action: str) -> None:
    """Answer everything else until this is under way."""
    for _ in range(50):
        if wire.waiting and wire.last[2] == action:
            return
        wire.answer()
    raise AssertionError(f"{action} never came")


def test_a_record_that_was_refused_is_another_message_under_another_id(wire: Wire):
    """The CSMS has answered the first one: under its id it may only repeat that answer."""
    wire.serve()
    wire.move("plug", 1)
    wire.answer_all()
    wire.do(PresentToken(IdToken("ALICE"), 1))
    wire.answer({"idTagInfo": {"status": "Accepted"}})
    serve_until(wire, "StartTransaction")
    wire.refuse()
    wire.wait(15)
    serve_until(wire, "StartTransaction")
    first, second = ids_of(wire, "StartTransaction")
    assert first != second


def test_a_record_that_was_under_way_when_the_line_broke_is_sent_again_with_its_id(wire: Wire):
    offline_transaction(wire)
    wire.up()
    wire.boot()
    serve_until(wire, "StartTransaction")
    wire.down()
    wire.up()
    serve_until(wire, "StartTransaction")
    first, second = ids_of(wire, "StartTransaction")
    assert first == second


def test_a_record_has_the_same_id_after_a_restart(wire: Wire):
    offline_transaction(wire)
    wire.up()
    wire.boot()
    serve_until(wire, "StartTransaction")
    wire.down()
    wire.site.restart()
    wire.link = wire._new_link()
    wire._shown(wire.site.effects)
    wire.up()
    wire.boot()
    serve_until(wire, "StartTransaction")
    first, second = ids_of(wire, "StartTransaction")
    assert first == second


def test_two_records_never_share_an_id(wire: Wire):
    offline_transaction(wire)
    offline_transaction(wire)
    wire.serve()
    ids = [call[1] for call in wire.calls if call[2] in ("StartTransaction", "StopTransaction", "MeterValues")]
    assert len(ids) == len(set(ids)) >= 4


def test_a_record_is_forgotten_once_it_is_answered(wire: Wire):
    offline_transaction(wire)
    wire.serve()
    assert wire.site.station.queued == 0
    mark = len(wire.calls)
    wire.down()
    wire.up()
    wire.answer_all()
    assert not {"StartTransaction", "StopTransaction"} & set(wire.since(mark))


def test_after_all_attempts_a_record_is_given_up_and_the_next_goes(wire: Wire):
    offline_transaction(wire)
    wire.up()
    wire.boot()
    serve_until(wire, "StartTransaction")
    wire.refuse()
    assert not any(isinstance(event, RecordGivenUp) for event in wire.everything)
    wire.wait(12)
    serve_until(wire, "StartTransaction")
    wire.refuse()
    (given_up,) = [event for event in wire.everything if isinstance(event, RecordGivenUp)]
    assert given_up.record.kind is RecordKind.STARTED  # type: ignore[union-attr]
    assert "2 attempts" in given_up.reason
    wire.wait(1)
    wire.answer_all()
    wire.wait(2)
    wire.answer_all()
    assert wire.site.station.queued == 0


def test_an_answer_that_the_version_does_not_allow_is_a_failed_attempt(wire: Wire):
    offline_transaction(wire)
    wire.up()
    wire.boot()
    serve_until(wire, "StartTransaction")
    wire.answer({"transactionId": "seventy"})
    assert wire.site.station.queued >= 2
    wire.wait(12)
    serve_until(wire, "StartTransaction")
    wire.answer({"transactionId": 5, "idTagInfo": {"status": "Accepted"}})
    serve_until(wire, "StopTransaction")
    assert wire.last[3]["transactionId"] == 5


def test_silence_is_a_failed_attempt_and_the_next_has_the_same_id(wire: Wire):
    offline_transaction(wire)
    wire.up()
    wire.boot()
    serve_until(wire, "StartTransaction")
    wire.wait(wire.site.station.configuration.number("MessageTimeout") + 15)
    serve_until(wire, "StartTransaction")
    first, second = ids_of(wire, "StartTransaction")
    assert first == second


def test_a_lost_line_costs_a_record_no_attempt(wire: Wire):
    offline_transaction(wire)
    wire.up()
    wire.boot()
    for _ in range(5):
        serve_until(wire, "StartTransaction")
        wire.down()
        wire.up()
    wire.answer_all()
    assert not any(isinstance(event, RecordGivenUp) for event in wire.everything)
    assert wire.site.station.queued == 0


# --- reports


def test_only_what_the_csms_does_not_know_yet_is_reported_after_an_outage(wire: Wire):
    wire.serve()
    wire.down()
    wire.move("plug", 2)
    mark = len(wire.calls)
    wire.up()
    wire.answer_all()
    told = [call[3]["connectorId"] for call in wire.calls[mark:] if call[2] == "StatusNotification"]
    assert told == [2]


def test_what_was_plugged_and_unplugged_during_an_outage_is_no_news(wire: Wire):
    wire.serve()
    wire.down()
    wire.move("plug", 2)
    wire.move("unplug", 2)
    mark = len(wire.calls)
    wire.up()
    wire.answer_all()
    assert "StatusNotification" not in wire.since(mark)


def test_a_report_that_was_refused_is_tried_again_later(wire: Wire):
    wire.serve()
    wire.move("plug", 1)
    assert wire.last[2] == "StatusNotification"
    mark = len(wire.calls)
    wire.refuse()
    wire.wait(30)
    assert wire.since(mark) == []
    wire.wait(45)
    assert "StatusNotification" in wire.since(mark)


# --- questions


def test_a_question_without_a_line_is_answered_with_nothing_at_once(wire: Wire):
    question = AskAuthorization("ticket", IdToken("ALICE"))
    wire.link.show(wire.site.station, wire.site.now, [question])
    assert TokenAnswered("ticket", None) in wire.everything
    assert wire.link.dropped == 1


@pytest.mark.parametrize("how", ["error", "silence"])
def test_a_question_that_is_not_answered_counts_as_offline(wire: Wire, how: str):
    wire.serve()
    wire.move("plug", 1)
    wire.answer_all()
    wire.do(PresentToken(IdToken("ALICE"), 1))
    assert wire.last[2] == "Authorize"
    wire.refuse() if how == "error" else wire.wait(wire.site.station.configuration.number("MessageTimeout") + 1)
    answers = [event for event in wire.everything if isinstance(event, TokenAnswered)]
    assert [answer.info for answer in answers] == [None]


@pytest.mark.parametrize("how", ["silence", "cut", "cut before it left"])
def test_a_signing_request_that_nobody_refused_keeps_its_key(how: str):
    """The CSMS may have taken it, and the chain may come yet."""
    wire = Wire(configuration={"CpoName": "Example", "CertSigningWaitMinimum": "600"}).serve()
    wire.ask("ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"})
    if how == "cut before it left":
        wire.do(TriggerMessage(wire.site.ref(channel="local"), NoticeKind.HEARTBEAT, None))
        assert wire.waiting
    (pending,) = wire.site.station.pending.values()
    wire.do(JobDone(pending.ticket, RequestMade("0123456789abcdef", "CSR")))
    assert (wire.last[2] == "SignCertificate") == (how != "cut before it left")
    wire.wait(wire.site.station.configuration.number("MessageTimeout") + 1) if how == "silence" else wire.down()
    assert set(wire.site.station.client_certificates) == {"0123456789abcdef"}


def test_a_csms_that_answers_nothing_does_not_fill_the_memory(wire: Wire):
    wire.up()
    wire.boot()
    questions = [AskAuthorization(f"ticket {n}", IdToken("ALICE")) for n in range(3 * MAX_WAITING)]
    for question in questions:
        wire.link.show(wire.site.station, wire.site.now, [question])
    turned_away = [event for event in wire.everything if isinstance(event, TokenAnswered)]
    assert len(turned_away) == wire.link.dropped >= MAX_WAITING


# --- the CSMS asks


def test_a_call_that_finds_too_many_others_is_told_so(wire: Wire):
    wire.serve()
    wire.full = True
    reply = wire.ask("GetConfiguration", {})
    assert reply is not None and reply[0] == 4 and reply[2] == "InternalError"


def test_a_call_that_breaks_its_schema_never_reaches_the_station(wire: Wire):
    wire.serve()
    seen = len(wire.everything)
    reply = wire.ask("ReserveNow", {"connectorId": "one"})
    assert reply is not None and reply[0] == 4
    assert len(wire.everything) == seen


def test_a_call_that_could_not_be_kept_is_an_internal_error(wire: Wire):
    wire.serve()
    wire.full = False
    wire.link.received(json.dumps([2, "r1", "GetConfiguration", {}]))
    (event,) = wire.posted
    wire.posted.clear()
    wire.link.refuse(event.request, "the disk is full")  # type: ignore[union-attr]
    assert wire.line.sent[-1][:3] == [4, "r1", "InternalError"]


def test_a_local_list_that_could_not_be_kept_has_failed(wire: Wire):
    wire.serve()
    update = {"listVersion": 1, "updateType": "Full", "localAuthorizationList": []}
    wire.link.received(json.dumps([2, "r1", "SendLocalList", update]))
    (event,) = wire.posted
    wire.posted.clear()
    wire.link.refuse(event.request, "the disk is full")  # type: ignore[union-attr]
    assert wire.line.sent[-1] == [3, "r1", {"status": "Failed"}]


def test_that_the_list_is_contradicted_is_told_at_once(wire: Wire):
    wire.serve()
    wire.site.station = replace(wire.site.station, list_conflict=True)
    wire.link.show(wire.site.station, wire.site.now, ())
    told = [frame for frame in wire.line.sent if frame[2] == "StatusNotification"][-1][3]
    assert (told["connectorId"], told["errorCode"]) == (0, "LocalListConflict")


def test_the_first_word_of_the_csms_on_a_line_proves_the_way_that_is_on_trial(wire: Wire):
    wire.serve()
    wire.ask("GetConfiguration", {"key": ["HeartbeatInterval"]})
    assert LinkProven(0) not in wire.everything, "there is no doubt"
    wire.ask("ChangeConfiguration", {"key": "AuthorizationKey", "value": "correct horse battery"})
    wire.down()
    wire.up()
    wire.link.received("not a word")
    assert LinkProven(0) not in wire.everything
    wire.ask("GetConfiguration", {"key": ["HeartbeatInterval"]})
    wire.ask("GetConfiguration", {"key": ["ResetRetries"]})
    assert wire.everything.count(LinkProven(0)) == 1


def test_an_answer_that_comes_when_the_line_is_gone_is_dropped_with_it(wire: Wire):
    wire.serve()
    wire.link.received(json.dumps([2, "r1", "GetConfiguration", {}]))
    wire.line.connected = False
    wire.link.closed("cut")
    wire.settle()
    wire.line.connected = True
    wire.link.opened("ocpp1.6")
    wire.settle()
    assert not [frame for frame in wire.line.sent if frame[0] == 3 and frame[1] == "r1"]


def test_garbage_is_survived_and_the_next_call_is_answered(wire: Wire):
    wire.serve()
    for frame in ("", "{", "[]", '[3,"nobody",{}]', "[" * 5000, b"\x00"):
        wire.link.received(frame)
    assert wire.ask("GetConfiguration", {"key": ["HeartbeatInterval"]}) is not None


# --- the line itself


def test_the_engine_hears_of_the_line(wire: Wire):
    wire.up()
    wire.down()
    assert [event for event in wire.everything if isinstance(event, (LinkUp, LinkDown))] == [
        LinkUp(),
        LinkDown("cut", 0),
    ]
    assert wire.link.reason == "cut"


def test_why_there_is_no_line_can_be_told(wire: Wire):
    assert wire.link.reason == "not connected yet"
    wire.link.failed(Failure(FailureKind.NETWORK, "connection refused"))
    assert wire.link.reason == "connection refused"
    wire.up()
    assert wire.link.reason == ""


def test_a_changed_ping_interval_reaches_the_line(wire: Wire):
    wire.serve()
    before = len(wire.line.pings)
    reply = wire.ask("ChangeConfiguration", {"key": "WebSocketPingInterval", "value": "17"})
    assert reply is not None and reply[2] == {"status": "Accepted"}
    assert wire.line.pings[before:] == [17]


def test_meter_values_of_a_transaction_go_between_its_start_and_its_end(wire: Wire):
    wire.serve()
    wire.ask("ChangeConfiguration", {"key": "MeterValueSampleInterval", "value": "5"})
    mark = len(wire.calls)
    wire.charge(1)
    wire.answer_all()
    for second in range(12):
        wire.site.advance(1.0)
        wire.move("look", 1, ChargerState.CHARGING, meter=Meter(energy_wh=1000.0 + second, power_w=3000.0))
        wire.do(Tick())
        wire.answer_all()
    wire.move("unplug", 1)
    wire.answer_all()
    actions = [action for action in wire.since(mark) if action != "StatusNotification"]
    start, end = actions.index("StartTransaction"), actions.index("StopTransaction")
    assert actions[start + 1 : end] and set(actions[start + 1 : end]) == {"MeterValues"}


# --- a CSMS that has forgotten the station


@pytest.mark.req("16-BOOT-06")
def test_a_csms_that_does_not_know_the_station_any_more_loses_no_record(wire: Wire):
    offline_transaction(wire)
    wire.up()
    wire.boot()
    for _ in range(3):
        wire.answer()
    assert wire.last[2] == "StartTransaction"
    lost = wire.last[1]
    mark = len(wire.calls)
    wire.refuse("SecurityError")
    assert wire.since(mark) == []
    wire.wait(29)
    assert wire.since(mark) == []
    wire.wait(1)
    assert wire.since(mark) == ["BootNotification"]
    wire.boot()
    actions = wire.answer_all()
    assert actions[:3] == ["StatusNotification"] * 3
    assert "StopTransaction" in actions
    assert lost in [call[1] for call in wire.calls[mark:]]
    assert wire.site.station.queued == 0
    assert not [event for event in wire.everything if isinstance(event, RecordGivenUp)]


@pytest.mark.req("16-BOOT-06", "16-TX-07")
def test_a_record_that_is_refused_for_its_own_sake_blocks_nothing_for_ever(wire: Wire):
    offline_transaction(wire)
    wire.up()
    for _ in range(200):
        if wire.waiting and wire.last[2] == "BootNotification":
            wire.boot()
        elif wire.waiting and wire.last[2] == "StartTransaction":
            wire.refuse("SecurityError")
        elif wire.waiting:
            wire.answer({"currentTime": now_text()} if wire.last[2] == "Heartbeat" else {})
        else:
            wire.wait(1)
    assert [event.record.kind for event in wire.everything if isinstance(event, RecordGivenUp)] == [RecordKind.STARTED]
    assert wire.since(0).count("BootNotification") == 2
    assert wire.site.station.queued == 0


@pytest.mark.req("16-BOOT-06")
def test_a_csms_that_refuses_everything_but_the_boot_is_not_flooded_with_boots(wire: Wire):
    wire.up()
    for _ in range(250):
        if wire.waiting and wire.last[2] == "BootNotification":
            wire.boot()
        elif wire.waiting:
            wire.refuse("SecurityError")
        else:
            wire.wait(1)
    assert wire.since(0).count("BootNotification") == 2


def test_a_late_answer_to_a_report_of_before_is_no_answer_to_one_of_now(wire: Wire):
    wire.up()
    boot = wire.last[1]
    assert wire.ask("TriggerMessage", {"requestedMessage": "BootNotification"})
    wire.receive(3, boot, {"status": "Accepted", "currentTime": now_text(), "interval": 300})
    assert wire.last[2] == "BootNotification"
    wire.boot()
    assert wire.last[2] == "StatusNotification"
    wire.do(RegistrationLost())
    wire.answer()
    wire.wait(30)
    wire.boot()
    told = {call[3]["connectorId"] for call in wire.calls[-1:]}
    wire.answer_all()
    assert told == {0}


# --- what is triggered


@pytest.mark.req("16-ST-01", "TC_054_CS")
def test_what_was_triggered_is_taken_back_when_it_did_not_last():
    wire = Wire(configuration={"MinimumStatusDuration": "10"}).serve()
    wire.wait(20)
    wire.move("plug", 1)
    mark = len(wire.calls)
    wire.ask("TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": 1})
    wire.answer_all()
    assert [call[3]["status"] for call in wire.calls[mark:]] == ["Preparing"]
    wire.move("unplug", 1)
    wire.wait(11)
    wire.answer_all()
    assert [call[3]["status"] for call in wire.calls[mark:]] == ["Preparing", "Available"]


@pytest.mark.req("16-ST-01")
def test_what_was_triggered_is_not_said_again_when_it_lasts():
    wire = Wire(configuration={"MinimumStatusDuration": "10"}).serve()
    wire.wait(20)
    wire.move("plug", 1)
    mark = len(wire.calls)
    wire.ask("TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": 1})
    wire.wait(15)
    wire.answer_all()
    assert wire.since(mark) == ["StatusNotification"]


@pytest.mark.req("16-J-40")
def test_a_slow_csms_gets_one_heartbeat_at_a_time_and_its_drivers_are_still_asked_about():
    wire = Wire(configuration={"HeartbeatInterval": "1"})
    wire.up()
    wire.boot(interval=1)
    wire.answer_all()
    wire.wait(25)
    assert sum(isinstance(item, NoticeItem) for item in wire.link._waiting) <= 1


@pytest.mark.req("16-BOOT-02")
def test_nothing_is_dated_by_a_clock_that_is_about_to_be_set(wire: Wire):
    wire.site.now = replace(wire.site.now, synchronized=False)
    offline_transaction(wire)
    wire.up()
    wire.boot()
    mark = len(wire.calls)
    wire.ask("GetConfiguration", {"key": ["Nothing"]})
    assert "StartTransaction" not in wire.since(mark)


# --- the way, and what looks like an attack


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (Failure(FailureKind.NETWORK, "no route"), LinkFailure.UNREACHABLE),
        (Failure(FailureKind.TIMEOUT, "silence"), LinkFailure.UNREACHABLE),
        (Failure(FailureKind.HTTP, "no", 401), LinkFailure.AUTHENTICATION),
        (Failure(FailureKind.HTTP, "no", 403), LinkFailure.AUTHENTICATION),
        (Failure(FailureKind.HTTP, "no", 503), LinkFailure.OTHER),
        (Failure(FailureKind.CLIENT_CERTIFICATE, "no"), LinkFailure.AUTHENTICATION),
        (Failure(FailureKind.CERTIFICATE, "expired"), LinkFailure.CERTIFICATE),
        (Failure(FailureKind.OTHER_HOST, "elsewhere"), LinkFailure.OTHER_HOST),
        (Failure(FailureKind.TLS_VERSION, "old"), LinkFailure.TLS_VERSION),
        (Failure(FailureKind.TLS_CIPHER, "weak"), LinkFailure.TLS_CIPHER),
        (Failure(FailureKind.SUBPROTOCOL, "none"), LinkFailure.OTHER),
    ],
)
def test_a_failed_attempt_is_told_to_the_core_in_its_words(wire: Wire, failure: Failure, told: LinkFailure):
    wire.link.failed(failure)
    assert wire.posted[-1] == LinkFailed(0, told, failure.reason)


def suspicions(wire: Wire) -> list[str]:
    return [event.event_type for event in wire.everything if isinstance(event, SuspicionRaised)]


@pytest.mark.req("16-SEC-01")
def test_frames_that_are_none_are_a_security_event_once_in_a_while(wire: Wire):
    wire.serve()
    for _ in range(50):
        wire.link.received("this is no frame")
    assert suspicions(wire) == [SecurityEvent.INVALID_MESSAGES]
    wire.wait(int(QUIET_S) + 1)
    wire.link.received("this is no frame")
    assert suspicions(wire) == [SecurityEvent.INVALID_MESSAGES] * 2
    assert "49 more" in next(e.info for e in reversed(wire.everything) if isinstance(e, SuspicionRaised))


@pytest.mark.req("16-SEC-01")
def test_an_answer_to_what_was_never_asked_is_a_security_event_and_a_late_one_is_not(wire: Wire):
    wire.up()
    late = wire.last[1]
    wire.wait(40)
    wire.receive(3, late, {})
    assert not suspicions(wire)
    wire.receive(3, "nobody-asked", {})
    assert suspicions(wire) == [SecurityEvent.REPLAY]


def security_events(wire: Wire) -> list[str]:
    return [call[3]["type"] for call in wire.calls if call[2] == "SecurityEventNotification"]


@pytest.mark.req("16-J-33")
def test_a_security_event_is_told_until_the_csms_has_taken_it(wire: Wire):
    wire.serve()
    wire.do(SuspicionRaised(SecurityEvent.TAMPER, "the lid"))
    for _ in range(5):  # more than TransactionMessageAttempts
        wire.refuse("InternalError")
        mark = len(wire.calls)
        while not wire.since(mark).count("SecurityEventNotification"):
            wire.wait(20)
            while wire.waiting and wire.last[2] != "SecurityEventNotification":
                wire.answer({"currentTime": now_text()} if wire.last[2] == "Heartbeat" else {})
    wire.answer()
    assert wire.site.station.queued == 0
    assert not any(isinstance(event, RecordGivenUp) for event in wire.everything)
    assert set(security_events(wire)) == {"TamperDetectionActivated"}


@pytest.mark.req("16-J-33")
@pytest.mark.parametrize("code", ["NotImplemented", "NotSupported"])
def test_a_csms_that_knows_no_security_events_is_spared_the_others_of_this_line(wire: Wire, code: str):
    wire.serve()
    wire.do(SuspicionRaised(SecurityEvent.TAMPER, "one"))
    wire.do(SuspicionRaised(SecurityEvent.TAMPER, "two"))
    wire.refuse(code)
    wire.do(SuspicionRaised(SecurityEvent.TAMPER, "three"))
    assert len(security_events(wire)) == 1
    assert wire.site.station.queued == 0
    assert sum(isinstance(event, RecordGivenUp) for event in wire.everything) == 1
    wire.down()
    wire.serve_again()
    wire.do(SuspicionRaised(SecurityEvent.TAMPER, "four"))
    assert len(security_events(wire)) == 2, "another line may be to a CSMS that was renewed"


def test_what_is_on_the_wire_is_logged_without_passwords(wire: Wire, caplog: pytest.LogCaptureFixture):
    wire.serve()
    with caplog.at_level("DEBUG", logger="edged.wire"):
        wire.ask("ChangeConfiguration", {"key": "AuthorizationKey", "value": "correct horse battery"})
    assert '"key":"AuthorizationKey","value":"***"' in caplog.text
    assert "horse" not in caplog.text


def test_who_looks_on_is_given_every_frame_as_it_is(wire: Wire):
    seen: list[tuple[str, str | bytes]] = []
    wire.link.on_frame = lambda way, frame: seen.append((way, frame))
    wire.up()
    wire.boot()
    told = json.loads(seen[0][1])
    assert (seen[0][0], told[0], told[2]) == ("out", 2, "BootNotification")
    answer = next(json.loads(frame) for way, frame in seen if way == "in")
    assert answer[:2] == [3, told[1]]
