"""The OCPP-J session's rules, one at a time, in the two spellings that exist."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edged.ocpp.rpc import (
    CallReceived,
    CodeTable,
    ErrorCode,
    ErrorReceived,
    FrameRefused,
    LocalProtocolError,
    Request,
    ResultReceived,
    Session,
    TimedOut,
)

V16 = CodeTable(
    wire={
        ErrorCode.FORMAT: "FormationViolation",
        ErrorCode.OCCURRENCE: "OccurenceConstraintViolation",
        ErrorCode.RPC_FRAMEWORK: "ProtocolError",
        ErrorCode.MESSAGE_TYPE_NOT_SUPPORTED: "NotSupported",
    }
)
V2 = CodeTable(
    also_read={"FormationViolation": ErrorCode.FORMAT, "OccurenceConstraintViolation": ErrorCode.OCCURRENCE},
    unreadable_id="-1",
    answers_unknown_type=True,
)


def session(codes: CodeTable = V16, *, timeout_s: float = 30.0, **limits: Any) -> Session:
    numbers = iter(range(1, 10_000))
    return Session(codes, new_id=lambda: f"own-{next(numbers)}", call_timeout_s=lambda: timeout_s, **limits)


def sent(s: Session) -> list[Any]:
    return [json.loads(frame) for frame in s.take_outgoing()]


@pytest.mark.req("16-J-20")
def test_a_call_leaves_as_four_elements_and_its_result_comes_back_with_its_reference() -> None:
    s = session()
    s.call(Request("Heartbeat", {}), "beat", now_s=0.0)
    assert sent(s) == [[2, "own-1", "Heartbeat", {}]]
    assert s.receive('[3,"own-1",{"currentTime":"x"}]', 1.0) == [ResultReceived("beat", {"currentTime": "x"})]
    assert s.idle


@pytest.mark.req("16-J-22", "20-J-06")
def test_a_second_call_while_one_is_in_flight_is_our_bug() -> None:
    s = session()
    s.call(Request("Heartbeat", {}), 1, now_s=0.0)
    with pytest.raises(LocalProtocolError):
        s.call(Request("Heartbeat", {}), 2, now_s=0.0)
    assert len(sent(s)) == 1


@pytest.mark.req("16-J-22")
def test_an_incoming_call_is_taken_and_answered_while_ours_waits() -> None:
    s = session()
    s.call(Request("Heartbeat", {}), 1, now_s=0.0)
    assert s.receive('[2,"a","Reset",{"type":"Soft"}]', 0.1) == [CallReceived("a", "Reset", {"type": "Soft"})]
    s.reply("a", {"status": "Accepted"})
    assert sent(s)[1] == [3, "a", {"status": "Accepted"}]
    assert not s.idle


def test_a_call_times_out_at_its_deadline_and_not_before() -> None:
    s = session(timeout_s=10.0)
    s.call(Request("Heartbeat", {}), "beat", now_s=5.0)
    assert s.deadline_s == 15.0
    assert s.poll(14.9) == []
    assert s.poll(15.0) == [TimedOut("beat")]
    assert s.poll(16.0) == []
    assert s.idle and s.deadline_s is None and s.counters.timeouts == 1


@pytest.mark.parametrize("timeout_s", [0.0, -5.0, float("nan"), float("inf")])
def test_a_senseless_timeout_becomes_one_second(timeout_s: float) -> None:
    s = session(timeout_s=timeout_s)
    s.call(Request("Heartbeat", {}), 1, now_s=5.0)
    assert s.deadline_s == 6.0


@pytest.mark.req("16-J-23")
def test_a_late_result_is_ignored_and_does_not_end_the_next_call() -> None:
    s = session()
    s.call(Request("Heartbeat", {}), 1, now_s=0.0)
    s.poll(100.0)
    s.call(Request("Heartbeat", {}), 2, now_s=100.0)
    assert s.receive('[3,"own-1",{}]', 101.0) == []
    assert not s.idle and s.counters.late == 1


def test_fifteen_hundred_unsolicited_results_change_nothing() -> None:
    s = session()
    for n in range(1500):
        assert s.receive(f'[3,"nobody-{n}",{{}}]', 0.0) == []
    s.call(Request("Heartbeat", {}), 1, now_s=0.0)
    assert s.counters.late == s.counters.unasked == 1500 and len(sent(s)) == 1


def test_a_late_answer_was_asked_for_and_a_second_one_was_not() -> None:
    s = session()
    s.call(Request("Heartbeat", {}), 1, now_s=0.0)
    s.poll(100.0)
    s.call(Request("Heartbeat", {}), 2, now_s=100.0)
    s.lost()
    for late in ("own-1", "own-2"):
        s.receive(f'[3,"{late}",{{}}]', 101.0)
    assert (s.counters.late, s.counters.unasked) == (2, 0)
    s.call(Request("Heartbeat", {}), 3, now_s=102.0)
    for _ in range(2):
        s.receive('[3,"own-3",{}]', 103.0)
    assert (s.counters.late, s.counters.unasked) == (3, 1)


def test_a_lost_line_gives_the_call_in_flight_back_at_once_and_drops_unsent_frames() -> None:
    s = session()
    s.call(Request("Heartbeat", {}), "beat", now_s=0.0)
    assert s.lost() == "beat"
    assert s.idle and s.take_outgoing() == [] and s.poll(1e9) == [] and s.lost() is None


@pytest.mark.parametrize(
    ("frame", "code", "description"),
    [
        ('[4,"own-1","InternalError"]', ErrorCode.INTERNAL, ""),
        ('[4,"own-1","SecurityError","not yet"]', ErrorCode.SECURITY, "not yet"),
        ('[4,"own-1","GenericError","why",{"a":1}]', ErrorCode.GENERIC, "why"),
        ('[4,"own-1","GenericError",null,null]', ErrorCode.GENERIC, ""),
        ('[4,"own-1","VendorTrouble","why",{}]', ErrorCode.GENERIC, "why"),
        ('[4,"own-1","GenericError","two\\nlines",{}]', ErrorCode.GENERIC, "two?lines"),
    ],
)
def test_a_callerror_of_three_to_five_elements_ends_our_call(frame: str, code: ErrorCode, description: str) -> None:
    s = session()
    s.call(Request("Heartbeat", {}), "beat", now_s=0.0)
    (event,) = s.receive(frame, 1.0)
    assert isinstance(event, ErrorReceived)
    assert (event.ref, event.code, event.description) == ("beat", code, description)
    assert s.idle


@pytest.mark.req("16-J-26")
@pytest.mark.parametrize("codes", [V16, V2])
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("FormationViolation", ErrorCode.FORMAT),
        ("FormatViolation", ErrorCode.FORMAT),
        ("OccurenceConstraintViolation", ErrorCode.OCCURRENCE),
        ("OccurrenceConstraintViolation", ErrorCode.OCCURRENCE),
    ],
)
def test_both_spellings_are_understood_in_every_version(codes: CodeTable, name: str, code: ErrorCode) -> None:
    assert codes.from_wire(name) is code


@pytest.mark.parametrize("codes", [V16, V2])
def test_a_name_that_two_codes_share_on_the_wire_is_read_as_itself(codes: CodeTable) -> None:
    for code in ErrorCode:
        assert codes.from_wire(code.value) is code


@pytest.mark.req("16-J-26", "20-J-03")
def test_each_version_sends_its_own_spelling() -> None:
    for codes, spelling in ((V16, "FormationViolation"), (V2, "FormatViolation")):
        s = session(codes)
        s.receive('[2,"a",7,{}]', 0.0)
        assert sent(s)[0][2] == spelling


@pytest.mark.parametrize(
    "frame",
    [
        '[3,"own-1"]',
        '[3,"own-1",{},{}]',
        '[3,"own-1",[]]',
        '[3,"own-1",{"a":NaN}]',
        '[3,"own-1",{"a":1,"a":2}]',
        '[4,"own-1"]',
        '[4,"own-1",5,"",{}]',
        '[4,"own-1","GenericError","",{},1]',
    ],
)
def test_a_broken_answer_ends_our_call_as_an_error_instead_of_a_timeout(frame: str) -> None:
    s = session()
    s.call(Request("Heartbeat", {}), "beat", now_s=0.0)
    events = s.receive(frame, 1.0)
    assert isinstance(events[0], FrameRefused)
    assert isinstance(events[1], ErrorReceived) and events[1].ref == "beat" and events[1].wire_code == ""
    assert s.idle and s.take_outgoing()[1:] == []


def test_an_answer_to_nothing_is_never_answered_by_an_error() -> None:
    s = session(V2)
    for frame in ('[3,"x"]', '[4,"x"]', "[3]", "[4]", "[3,5,{}]", '[4,"-1","RpcFrameworkError","",{}]'):
        s.receive(frame, 0.0)
    assert s.take_outgoing() == []


@pytest.mark.parametrize(
    "frame",
    [
        '[2,"a"]',
        '[2,"a","Reset"]',
        '[2,"a","Reset",{},{}]',
        '[2,"a",{"x":1},{}]',
        '[2,"a",null,{}]',
        '[2,"a","",{}]',
        '[2,"a","' + "R" * 65 + '",{}]',
        '[2,"a","Reset",[]]',
        '[2,"a","Reset",null]',
        '[2,"a","Reset",{"t":NaN}]',
        '[2,"a","Reset",{"t":-Infinity}]',
        '[2,"a","Reset",{"t":1e999}]',
        '[2,"a","Reset",{"t":' + "9" * 5000 + "}]",
        '[2,"a","Reset",{"t":9223372036854775808}]',
        '[2,"a","Reset",{"t":1,"t":2}]',
        '[2,"a","Reset",{"t":"\\ud800"}]',
        '[2,"a","Reset",{"\\udfff":1}]',
        '[2,"a","Reset",{"t":' + "[" * 100 + "]" * 100 + "}]",
    ],
)
def test_a_broken_call_with_a_usable_id_gets_a_formation_violation(frame: str) -> None:
    s = session()
    (event,) = s.receive(frame, 0.0)
    assert isinstance(event, FrameRefused)
    ((kind, message_id, code, description, details),) = sent(s)
    assert (kind, message_id, code, details) == (4, "a", "FormationViolation", {})
    assert "Reset" not in description
    assert s.pending_in == 0


UNREADABLE = [
    "",
    "not json",
    "{}",
    '{"2":"a"}',
    "[]",
    "null",
    '"text"',
    "17",
    '["2","a","Reset",{}]',
    '[true,"a","Reset",{}]',
    '[2.0,"a","Reset",{}]',
    "[2]",
    '[2,5,"Reset",{}]',
    '[2,"","Reset",{}]',
    '[2,null,"Reset",{}]',
    '[2,"' + "i" * 37 + '","Reset",{}]',
    '[2,"a\\u0000","Reset",{}]',
    "[" * 100_000 + "]" * 100_000,
    '[2,"a","Reset",' + '{"x":' * 100_000,
    '[2,"a","Reset",{"\ud800":1}]',
]


@pytest.mark.parametrize("frame", UNREADABLE)
def test_what_cannot_be_read_is_ignored_with_a_count_where_the_version_has_no_id_for_it(frame: str) -> None:
    s = session(V16)
    (event,) = s.receive(frame, 0.0)
    assert isinstance(event, FrameRefused)
    assert s.take_outgoing() == [] and s.counters.refused == 1


@pytest.mark.req("20-J-02")
@pytest.mark.parametrize("frame", UNREADABLE)
def test_what_cannot_be_read_is_answered_with_the_versions_own_id_where_it_has_one(frame: str) -> None:
    s = session(V2)
    s.receive(frame, 0.0)
    ((kind, message_id, code, _, details),) = sent(s)
    assert (kind, message_id, code, details) == (4, "-1", "RpcFrameworkError", {})


@pytest.mark.parametrize("codes", [V16, V2])
def test_binary_and_oversized_frames_are_refused_without_an_answer(codes: CodeTable) -> None:
    s = session(codes, max_frame_bytes=100)
    call = '[2,"a","Reset",{"t":"%s"}]'
    for frame in (b'[2,"a","Reset",{}]', b"\xff\xfe", call % ("x" * 100), call % ("ü" * 60)):
        (event,) = s.receive(frame, 0.0)
        assert isinstance(event, FrameRefused)
    assert s.take_outgoing() == [] and s.counters.refused == 4


@pytest.mark.req("16-J-24")
def test_an_unknown_message_type_is_ignored_silently_in_16() -> None:
    s = session(V16)
    assert s.receive('[9,"a","X",{}]', 0.0) == []
    assert s.take_outgoing() == [] and s.counters.unknown_types == 1


@pytest.mark.req("20-J-03")
@pytest.mark.parametrize(("frame", "message_id"), [('[9,"a","X",{}]', "a"), ("[9,5]", "-1"), ("[9]", "-1")])
def test_an_unknown_message_type_is_answered_in_2x(frame: str, message_id: str) -> None:
    s = session(V2)
    assert s.receive(frame, 0.0) == []
    assert sent(s)[0][:3] == [4, message_id, "MessageTypeNotSupported"]


def test_each_call_is_answered_exactly_once() -> None:
    s = session()
    s.receive('[2,"a","Reset",{}]', 0.0)
    s.reply("a", {})
    for answer_again in (
        lambda: s.reply("a", {}),
        lambda: s.reply_error("a", ErrorCode.INTERNAL, ""),
        lambda: s.ignore("a"),
        lambda: s.reply("never seen", {}),
    ):
        with pytest.raises(LocalProtocolError):
            answer_again()
    assert len(sent(s)) == 1


def test_an_answer_that_json_cannot_express_leaves_the_call_open_for_an_error() -> None:
    s = session()
    s.receive('[2,"a","Reset",{}]', 0.0)
    for payload in ({"x": object()}, {"x": float("nan")}):
        with pytest.raises(LocalProtocolError):
            s.reply("a", payload)
    s.reply_error("a", ErrorCode.INTERNAL, "")
    assert sent(s) == [[4, "a", "InternalError", "", {}]]


@pytest.mark.req("16-J-20")
def test_an_error_has_five_elements_and_at_most_255_characters_of_description() -> None:
    s = session()
    s.receive('[2,"a","Reset",{}]', 0.0)
    s.reply_error("a", ErrorCode.PROPERTY, "x" * 1000)
    assert sent(s) == [[4, "a", "PropertyConstraintViolation", "x" * 255, {}]]


def test_an_error_the_session_writes_itself_quotes_nothing_of_the_call() -> None:
    s = session(V2)
    secret = "hunter2-hunter2-x"
    for frame in (
        f'[2,"a","{secret}",[]]',
        f'[2,"b","ChangeConfiguration",{{"{secret}":1,"{secret}":1}}]',
        f'[2,"c","Set",{{"v":NaN,"key":"{secret}"}}]',
        f'[2,7,"{secret}",{{}}]',
        f'{{"{secret}":',
    ):
        events = s.receive(frame, 0.0)
        assert secret not in repr(events)
    frames = s.take_outgoing()
    assert len(frames) == 5 and secret not in "".join(frames)


def test_calls_beyond_the_bound_are_refused_as_busy_and_may_come_again() -> None:
    s = session(max_pending_in=2)
    for n in range(3):
        s.receive(f'[2,"c{n}","Reset",{{}}]', 0.0)
    assert sent(s) == [[4, "c2", "GenericError", "busy", {}]]
    s.reply("c0", {})
    assert s.receive('[2,"c2","Reset",{}]', 1.0) == [CallReceived("c2", "Reset", {})]
    assert s.counters.busy == 1


def test_a_call_repeated_before_its_answer_is_executed_and_answered_once() -> None:
    s = session()
    s.receive('[2,"a","Reset",{"type":"Soft"}]', 0.0)
    assert s.receive('[2,"a","Reset",{"type":"Soft"}]', 1.0) == []
    s.reply("a", {"status": "Accepted"})
    assert len(sent(s)) == 1 and s.counters.duplicates == 1


def test_a_call_repeated_after_its_answer_gets_the_same_answer_again() -> None:
    s = session()
    s.receive('[2,"a","Reset",{"type":"Soft","x":1}]', 0.0)
    s.reply("a", {"status": "Accepted"})
    first = s.take_outgoing()
    assert s.receive('[2, "a", "Reset", {"x":1, "type":"Soft"}]', 1.0) == []
    assert s.take_outgoing() == first


def test_a_refusal_is_repeated_too() -> None:
    s = session()
    s.receive('[2,"a","Reset",{}]', 0.0)
    s.reply_error("a", ErrorCode.PROPERTY, "type is missing")
    first = s.take_outgoing()
    s.receive('[2,"a","Reset",{}]', 1.0)
    assert s.take_outgoing() == first


def test_an_id_that_comes_back_with_other_content_is_a_new_call() -> None:
    s = session()
    s.receive('[2,"1","Reset",{}]', 0.0)
    s.reply("1", {})
    assert s.receive('[2,"1","ClearCache",{}]', 1.0) == [CallReceived("1", "ClearCache", {})]


def test_other_content_under_an_id_that_is_still_open_is_refused_silently() -> None:
    s = session(V2)
    s.receive('[2,"1","Reset",{}]', 0.0)
    for frame in ('[2,"1","ClearCache",{}]', '[2,"1",5,{}]', '[2,"1"]'):
        (event,) = s.receive(frame, 1.0)
        assert isinstance(event, FrameRefused)
    assert s.take_outgoing() == []
    s.receive('[9,"1"]', 1.0)
    assert sent(s)[0][1] == "-1"
    s.reply("1", {})


def test_the_memory_of_answers_ends_by_age() -> None:
    s = session(recent_s=60.0)
    s.receive('[2,"a","Reset",{}]', 0.0)
    s.reply("a", {})
    assert s.receive('[2,"a","Reset",{}]', 60.0) == []
    assert s.receive('[2,"a","Reset",{}]', 60.1) == [CallReceived("a", "Reset", {})]


def test_the_memory_of_answers_is_bounded_in_number_and_size() -> None:
    few = session(recent_ids=2)
    small = session(recent_bytes=100)
    for s in (few, small):
        for message_id in ("a", "b", "c"):
            s.receive(f'[2,"{message_id}","Reset",{{}}]', 0.0)
            s.reply(message_id, {"x": "y" * 30})
        s.take_outgoing()
        assert s.receive('[2,"a","Reset",{}]', 1.0) == [CallReceived("a", "Reset", {})]
        assert s.receive('[2,"c","Reset",{}]', 1.0) == []


def test_an_answer_that_comes_after_the_line_was_lost_is_kept_for_the_repeated_call() -> None:
    s = session()
    s.receive('[2,"a","Reset",{}]', 0.0)
    s.lost()
    s.reply("a", {"status": "Accepted"})
    assert s.take_outgoing() == []
    assert s.receive('[2,"a","Reset",{}]', 5.0) == []
    assert sent(s) == [[3, "a", {"status": "Accepted"}]]


def test_a_call_repeated_on_the_next_line_while_still_being_worked_on_is_answered_there() -> None:
    s = session()
    s.receive('[2,"a","Reset",{}]', 0.0)
    s.lost()
    assert s.receive('[2,"a","Reset",{}]', 5.0) == []
    s.reply("a", {})
    assert sent(s) == [[3, "a", {}]]


@pytest.mark.req("16-BOOT-04")
def test_a_call_can_be_left_unanswered_on_purpose() -> None:
    s = session()
    s.receive('[2,"a","Reset",{}]', 0.0)
    s.ignore("a")
    assert s.take_outgoing() == [] and s.pending_in == 0


@pytest.mark.parametrize("bad_id", ["", "x" * 37, "a\n"])
def test_an_id_source_that_breaks_the_rules_is_our_bug(bad_id: str) -> None:
    s = Session(V16, new_id=lambda: bad_id, call_timeout_s=lambda: 1.0)
    with pytest.raises(LocalProtocolError):
        s.call(Request("Heartbeat", {}), 1, now_s=0.0)
    assert s.idle


def test_the_longest_legal_id_and_the_deepest_legal_payload_pass() -> None:
    s = session()
    for depth, kind in ((30, CallReceived), (31, FrameRefused)):  # the message and its payload are two more
        nested = "[" * depth + "]" * depth
        (event,) = s.receive(f'[2,"{depth}{"i" * 34}","DataTransfer",{{"a":{nested}}}]', 0.0)
        assert isinstance(event, kind)


def test_text_beyond_ascii_survives_both_ways() -> None:
    s = session()
    (event,) = s.receive('[2,"a","DataTransfer",{"data":"Grüße \\ud83d\\ude00 😀"}]', 0.0)
    assert isinstance(event, CallReceived) and event.payload == {"data": "Grüße 😀 😀"}
    s.reply("a", {"data": "Grüße 😀"})
    assert sent(s) == [[3, "a", {"data": "Grüße 😀"}]]


# --- another version on the next line


def test_an_answer_that_was_given_in_another_version_is_not_given_again() -> None:
    s = session(V16)
    s.receive('[2,"a","Reset",{}]', 0.0)
    s.reply("a", {"status": "of 1.6"})
    sent(s)
    s.lost()
    s.speak(V2)
    assert s.receive('[2,"a","Reset",{}]', 1.0) == [CallReceived("a", "Reset", {})]
    assert sent(s) == []


def test_a_call_of_another_version_is_closed_without_a_word_and_its_id_is_taken_until_then() -> None:
    s = session(V16)
    s.receive('[2,"a","Reset",{}]', 0.0)
    s.lost()
    assert not s.foreign("a"), "the same version may come back, and ask again"
    s.speak(V2)
    assert s.foreign("a") and not s.foreign("b")
    (event,) = s.receive('[2,"a","Reset",{}]', 1.0)
    assert isinstance(event, FrameRefused)
    s.ignore("a")
    assert s.pending_in == 0 and sent(s) == []
    assert s.receive('[2,"a","Reset",{}]', 2.0) == [CallReceived("a", "Reset", {})]


def test_codes_are_spelled_as_the_version_of_the_line_does() -> None:
    s = session(V16)
    s.lost()
    s.speak(V2)
    s.receive('[2,"a","Reset",7]', 0.0)
    assert sent(s)[0][2] == "FormatViolation"
