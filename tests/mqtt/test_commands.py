"""Requests as hostile input, and replies."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edged.domain.types import Now
from edged.mqtt.arguments import NOT_SERVED, SHAPES
from edged.mqtt.commands import MAX_DEPTH, MAX_PAYLOAD_BYTES, Code, Command, Origin, Problem, Refusal, reply_body
from edged.mqtt.commands import parse_request as parse
from edged.mqtt.documents import dump
from edged.mqtt.names import Names
from edged.mqtt.options import CommandOptions

NAMES = Names("edged", "gw1")
NOW = Now(datetime(2026, 8, 22, 10, 0, 0, tzinfo=UTC), 100.0, True)
PREFIX = "edged/v1/gw1/rpc/bms-op/reply/"
RESERVE = {"connector": 1, "id_token": "04A224B2", "expires_at": "2026-08-22T11:00:00Z"}
OPTIONS = CommandOptions(
    actors={"bms-op": frozenset({"*"}), "bms-ro": frozenset({"ping"}), "nobody": frozenset()},
)


def origin(command: str = "ping", **changes: Any) -> Origin:
    return Origin(**{"actor": "bms-op", "command": command, "names": NAMES, "options": OPTIONS, **changes})


def ask(command: str, body: Any = None, now: Now = NOW, **changes: Any) -> Command | Refusal:
    raw = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
    return parse(raw, origin(command, **changes), now)


def code(outcome: Command | Refusal) -> str:
    assert isinstance(outcome, Refusal), outcome
    return outcome.problem.code.value


def command(outcome: Command | Refusal) -> Command:
    assert isinstance(outcome, Command), outcome
    return outcome


# --- what is refused


def test_bad_json_is_told_with_its_place() -> None:
    outcome = ask("ping", b"{\n bad")
    assert code(outcome) == "bad_json"
    assert "line 2 column 2" in outcome.problem.message  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff\xfe",
        b"{",
        b"nonsense",
        b'{"id": NaN}',
        b'{"ttl_s": 1e999}',
        b'{"x": ' + b"9" * 5000 + b"}",
        b'{"id":"\\ud800"}',
    ],
)
def test_what_json_or_utf8_cannot_say_is_bad_json(raw: bytes) -> None:
    assert code(ask("ping", raw)) == "bad_json"


@pytest.mark.parametrize(
    "body",
    [
        [],
        1,
        "x",
        None,
        {"id": 5},
        {"id": ""},
        {"id": "x" * 65},
        {"id": "a\nb"},
        {"reply_to": 5},
        {"headers": []},
        {"headers": {"replyTo": 5}},
        {"args": []},
        {"payload": "x"},
        {"ttl_s": -1},
        {"ttl_s": True},
        {"ttl_s": "1"},
        {"ts": "yesterday"},
        {"ts": 5},
        {"ts": "2026-13-01T00:00:00Z"},
        {"ts": "2026-08-22T10:00:00"},
    ],
)
def test_an_envelope_of_the_wrong_shape_is_a_bad_request(body: Any) -> None:
    assert code(ask("ping", json.dumps(body).encode())) == "bad_request"


def test_a_payload_that_is_too_large_is_a_bad_request() -> None:
    assert code(ask("ping", b'{"x":"' + b"x" * MAX_PAYLOAD_BYTES + b'"}')) == "bad_request"


def test_a_nesting_that_is_too_deep_is_a_bad_request_and_one_at_the_limit_is_not() -> None:
    deep = b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1)
    assert isinstance(ask("ping", b'{"x":' + deep + b"}"), Command)
    assert code(ask("ping", b'{"x":[' + deep + b"]}")) == "bad_request"
    assert code(ask("ping", b"[" * 10_000)) == "bad_request"


def test_brackets_inside_a_text_are_no_nesting() -> None:
    assert isinstance(ask("ping", json.dumps({"x": '[{\\"' * 50}).encode()), Command)


@pytest.mark.parametrize("end", [b"", b"\\"])
def test_a_text_of_escaped_quotes_without_an_end_costs_no_time(end: bytes) -> None:
    raw = b'{"x":"' + b'\\"' * 8000 + end
    started = datetime.now(UTC)
    assert code(ask("ping", raw)) == "bad_json"
    assert datetime.now(UTC) - started < timedelta(seconds=0.5)


def test_an_unknown_command_lists_the_known_ones() -> None:
    outcome = ask("make_coffee")
    assert code(outcome) == "unknown_command"
    assert all(name in outcome.problem.message for name in SHAPES)  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["", "ping/ping", "PING", "päng"])
def test_a_command_that_is_only_similar_is_unknown(name: str) -> None:
    assert code(ask(name)) == "unknown_command"


def test_a_command_of_the_contract_that_is_not_served_is_not_supported() -> None:
    assert all(code(ask(name, {"id": "1"})) == "not_supported" for name in NOT_SERVED)


@pytest.mark.parametrize(
    ("actor", "name"), [("bms-ro", "get_state"), ("stranger", "ping"), ("", "ping"), ("nobody", "x")]
)
def test_what_an_actor_was_not_allowed_is_forbidden(actor: str, name: str) -> None:
    assert code(ask(name, actor=actor)) == "forbidden"


def test_a_stranger_learns_nothing_from_bad_json() -> None:
    assert code(ask("ping", b"{", actor="stranger")) == "forbidden"


def test_nobody_may_do_anything_before_it_is_configured() -> None:
    assert code(ask("ping", options=CommandOptions())) == "forbidden"


def test_an_actor_may_send_what_it_was_allowed() -> None:
    assert command(ask("ping", actor="bms-ro")).name == "ping"


def test_a_retained_command_is_refused_with_its_id() -> None:
    outcome = ask("ping", {"id": "a"}, retained=True)
    assert code(outcome) == "retained"
    assert outcome.envelope.id == "a"


@pytest.mark.parametrize(("age_s", "expired"), [(9, False), (10, False), (11, True), (-60, False)])
def test_a_command_lives_as_long_as_it_says(age_s: int, expired: bool) -> None:
    sent = (NOW.utc - timedelta(seconds=age_s)).isoformat()
    outcome = ask("ping", {"ts": sent, "ttl_s": 10})
    assert (code(outcome) == "expired") if expired else isinstance(outcome, Command)


def test_a_clock_that_is_not_synchronized_judges_nobodys_age() -> None:
    body = {"ts": "2020-01-01T00:00:00Z", "ttl_s": 1}
    assert isinstance(ask("ping", body, now=Now(NOW.utc, 1.0, False)), Command)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"id_token": None}, "id_token"),
        ({"id_token": ""}, "id_token"),
        ({"id_token": "x" * 37}, "id_token"),
        ({"id_token": 5}, "id_token"),
        ({"id_token": "a\x00b"}, "id_token"),
        ({"expires_at": None}, "expires_at"),
        ({"expires_at": "2026-02-30T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2026-08-22 11:00"}, "expires_at"),
        ({"expires_at": "0001-01-01T00:00:00+23:00"}, "expires_at"),
        ({"connector": -1}, "connector"),
        ({"connector": "1"}, "connector"),
        ({"connector": True}, "connector"),
        ({"connector": 1.5}, "connector"),
        ({"connector": None}, "connector"),
        ({"connector_type": "cType2"}, "exactly one"),
        ({"reservation_id": 2**31}, "reservation_id"),
        ({"type": "Magic"}, "type"),
        ({"station": ""}, "station"),
    ],
)
def test_an_argument_out_of_its_bounds_is_named(changes: dict[str, Any], named: str) -> None:
    outcome = ask("reserve_now", {"id": "1", "args": {**RESERVE, **changes}})
    assert code(outcome) == "invalid_args"
    assert named in outcome.problem.message  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "args", "named"),
    [
        ("start_transaction", {"id_token": "A"}, "connector"),
        ("start_transaction", {"connector": 0, "id_token": "A"}, "connector"),
        ("stop_transaction", {}, "exactly one"),
        ("stop_transaction", {"connector": 1, "transaction_id": "7"}, "exactly one"),
        ("stop_transaction", {"transaction_id": 7}, "transaction_id"),
        ("change_availability", {"connector": 0}, "type"),
        ("change_availability", {"connector": 0, "type": "operative"}, "type"),
        ("unlock_connector", {"connector": 0}, "connector"),
        ("reset", {"type": "Warm"}, "type"),
        ("trigger_message", {"requested_message": "Authorize"}, "requested_message"),
        ("trigger_message", {"requested_message": "Heartbeat", "connector": -1}, "connector"),
        ("get_configuration_key", {"keys": "A"}, "keys"),
        ("get_configuration_key", {"keys": ["x" * 51]}, "keys"),
        ("get_configuration_key", {"keys": [1]}, "keys"),
        ("get_configuration_key", {"keys": ["A"] * 201}, "keys"),
        ("set_configuration_key", {"key": "HeartbeatInterval", "value": 5}, "value"),
        ("set_configuration_key", {"key": "HeartbeatInterval"}, "value"),
        ("set_configuration_key", {"key": "HeartbeatInterval", "value": "1" * 501}, "value"),
        ("security_event", {"info": "x"}, "type"),
        ("security_event", {"type": "x" * 51}, "type"),
        ("security_event", {"type": "x", "info": "y" * 256}, "info"),
        ("security_event", {"type": "x", "critical": 1}, "critical"),
        ("security_event", {"type": "x", "timestamp": "yesterday"}, "timestamp"),
        ("update_firmware", {}, "location"),
        ("update_firmware", {"location": "ftp://x", "retrieve_date": 5}, "retrieve_date"),
        ("update_firmware", {"location": "ftp://x", "retries": -1}, "retries"),
        ("get_diagnostics", {"location": "x" * 513}, "location"),
        ("get_diagnostics", {"location": "ftp://x", "retry_interval": 1e9}, "retry_interval"),
        ("data_transfer", {"data": "x"}, "vendor_id"),
        ("data_transfer", {"vendor_id": "v" * 256}, "vendor_id"),
        ("data_transfer", {"vendor_id": "v", "message_id": "m" * 51}, "message_id"),
        ("data_transfer", {"vendor_id": "v", "data": {"a": 1}}, "data"),
        ("list_data_transfers", {"limit": 101}, "limit"),
        ("list_data_transfers", {"limit": 0}, "limit"),
    ],
)
def test_an_argument_of_any_command_out_of_its_bounds_is_named(name: str, args: dict[str, Any], named: str) -> None:
    outcome = ask(name, {"id": "1", "args": args})
    assert code(outcome) == "invalid_args"
    assert named in outcome.problem.message  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "args"), [("reset", {"type": "Soft"}), ("start_transaction", {"connector": 1, "id_token": "A"})]
)
def test_what_must_not_happen_twice_needs_an_id(name: str, args: dict[str, Any]) -> None:
    assert code(ask(name, {"args": args})) == "missing_id"
    assert isinstance(ask(name, {"id": "1", "args": args}), Command)


def test_data_is_carried_as_it_is() -> None:
    args = {"vendor_id": "com.example", "data": "\x00\n{[" + "ä" * 100}
    assert command(ask("data_transfer", {"args": args})).arguments == args


def test_a_reservation_needs_an_id_of_its_own_or_one_of_the_request() -> None:
    assert code(ask("reserve_now", {"args": RESERVE})) == "missing_id"
    assert isinstance(ask("reserve_now", {"id": "1", "args": RESERVE}), Command)
    assert isinstance(ask("reserve_now", {"args": {**RESERVE, "reservation_id": 7}}), Command)
    assert isinstance(ask("reserve_now", {"args": RESERVE}, correlation=b"\x01"), Command)


# --- what is understood


@pytest.mark.parametrize("raw", [b"", b"  ", b"{}", b'{"args":{}}', b'{"args":null}', b'{"unknown":[1]}'])
def test_a_body_may_be_left_out_and_unknown_members_are_ignored(raw: bytes) -> None:
    assert command(ask("ping", raw)).arguments == {}


def test_arguments_come_out_in_their_types() -> None:
    arguments = command(ask("reserve_now", {"id": "1", "args": {**RESERVE, "connector": 1.0}})).arguments
    assert arguments == {
        "connector": 1,
        "id_token": "04A224B2",
        "expires_at": datetime(2026, 8, 22, 11, 0, 0, tzinfo=UTC),
    }


@pytest.mark.parametrize(
    "written", ["2026-08-22T13:00:00+02:00", "2026-08-22t11:00:00z", "2026-08-22T11:00:00.000000000Z"]
)
def test_every_spelling_of_a_time_is_the_same_time(written: str) -> None:
    arguments = command(ask("reserve_now", {"id": "1", "args": {**RESERVE, "expires_at": written}})).arguments
    assert arguments["expires_at"] == datetime(2026, 8, 22, 11, 0, 0, tzinfo=UTC)


def test_an_argument_that_nobody_takes_is_ignored_and_said_so() -> None:
    outcome = command(ask("ping", {"args": {"connectr": 1}}))
    assert "connectr" in (outcome.envelope.warning or "")


def test_the_envelope_of_everest_is_understood() -> None:
    outcome = command(
        ask("reserve_now", {"headers": {"replyTo": PREFIX + "mine"}, "payload": {**RESERVE, "reservation_id": 1}})
    )
    assert outcome.arguments["connector"] == 1
    assert outcome.envelope.reply_topic == PREFIX + "mine"


def test_the_control_socket_names_its_command_in_the_body() -> None:
    local = Origin(actor="local")
    outcome = parse(b'{"id":"1","command":"ping"}', local, NOW)
    assert command(outcome).envelope.reply_topic is None
    assert code(parse(b"{}", local, NOW)) == "bad_request"


# --- where the reply goes


@pytest.mark.parametrize(
    ("response_topic", "reply_to", "header", "expected"),
    [
        (None, None, None, "ping"),
        ("r", "b", "h", "r"),
        (None, "b", "h", "b"),
        (None, None, "h", "h"),
    ],
)
def test_the_reply_address_with_the_most_weight_wins(
    response_topic: str | None, reply_to: str | None, header: str | None, expected: str
) -> None:
    body: dict[str, Any] = {}
    if reply_to:
        body["reply_to"] = PREFIX + reply_to
    if header:
        body["headers"] = {"replyTo": PREFIX + header}
    outcome = ask("ping", body, response_topic=response_topic and PREFIX + response_topic)
    assert outcome.envelope.reply_topic == PREFIX + expected
    assert outcome.envelope.warning is None


@pytest.mark.parametrize(
    "wanted",
    [
        "homeassistant/device/x/config",
        "edged/v1/gw1/rpc/other/reply/x",
        "edged/v1/gw1/rpc/bms-op/reply",
        PREFIX,
        PREFIX + "+",
        PREFIX + "a/#",
        PREFIX + "x" * 256,
        PREFIX + "a\x00",
        "edged/v1/gw1/status",
    ],
)
def test_nobody_can_make_the_daemon_write_elsewhere(wanted: str) -> None:
    for outcome in (ask("ping", {"reply_to": wanted}), ask("ping", response_topic=wanted)):
        assert outcome.envelope.reply_topic == PREFIX + "ping"
        assert outcome.envelope.warning is not None


def test_a_refusal_goes_where_the_caller_wanted_it_with_the_correlation() -> None:
    outcome = ask("nonsense", {"id": "7"}, response_topic=PREFIX + "q", correlation=b"\x00\xff")
    assert (outcome.envelope.reply_topic, outcome.envelope.correlation) == (PREFIX + "q", b"\x00\xff")
    assert outcome.envelope.id == "7"


def test_correlation_stands_in_for_an_id_only_where_an_id_is_needed() -> None:
    assert command(ask("ping", correlation=b"same")).key is None
    assert command(ask("reserve_now", {"args": RESERVE}, correlation=b"same")).key is not None


# --- replies


def test_a_result_and_a_problem_look_as_the_contract_says(contract: Any) -> None:
    envelope = ask("reserve_now", {"id": "a4", "args": RESERVE}).envelope
    good = reply_body(envelope, {"status": "Accepted", "reservation_id": 12}, duration_ms=14)
    bad = reply_body(envelope, Problem(Code.NOT_FOUND, "no such connector", {"connectors": [1]}))
    for body in (good, bad):
        contract.check(PREFIX + "x", dump({"v": 1, "ts": "2026-08-22T10:00:00.000Z", **body}))
    assert list(good) == ["id", "command", "ok", "result", "duration_ms"]


# --- whatever comes


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)
MEMBERS = ("id", "ts", "ttl_s", "reply_to", "headers", "args", "payload", "command")
near_misses = st.dictionaries(st.sampled_from(MEMBERS), json_values | st.just(RESERVE)).map(
    lambda b: json.dumps(b).encode()
)


@given(
    raw=st.binary(max_size=200) | near_misses,
    name=st.sampled_from([*SHAPES, "set_limit", "x", ""]) | st.text(max_size=5),
    response_topic=st.none() | st.text(max_size=40),
    retained=st.booleans(),
    local=st.booleans(),
)
@example(raw=b'{"id":"\xed\xa0\x80"}', name="ping", response_topic=None, retained=False, local=False)
@settings(max_examples=400, deadline=None)
def test_any_input_gives_a_command_or_a_refusal_that_can_be_sent(
    raw: bytes, name: str, response_topic: str | None, retained: bool, local: bool
) -> None:
    source = Origin(actor="local") if local else origin(name, response_topic=response_topic, retained=retained)
    outcome = parse(raw, source, NOW)
    problem = outcome.problem if isinstance(outcome, Refusal) else None
    dump(reply_body(outcome.envelope, problem))
    topic = outcome.envelope.reply_topic
    assert topic is None if local else topic is not None and topic.startswith(PREFIX)


@given(raw=near_misses)
@settings(max_examples=200, deadline=None)
def test_a_command_holds_only_declared_arguments(raw: bytes) -> None:
    for shape in SHAPES.values():
        outcome = parse(raw, origin(shape.name), NOW)
        if isinstance(outcome, Command):
            assert set(outcome.arguments) <= {argument.name for argument in shape.arguments}
