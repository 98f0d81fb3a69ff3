"""Answers to one caller about one connector keep the order of the requests; whatever comes gets one answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edged.domain.types import Now
from edged.mqtt.arguments import SHAPES
from edged.mqtt.commands import Code, Envelope, Origin, parse_request
from edged.mqtt.desk import Desk
from edged.mqtt.ledger import RateLimit
from edged.mqtt.names import Names
from edged.mqtt.options import CommandOptions

NOON = datetime(2026, 8, 22, 10, 0, 0, tzinfo=UTC)
NAMES = Names("edged", "gw1")
OPTIONS = CommandOptions(actors={"bms": frozenset({"*"})})


def at(second: float) -> Now:
    return Now(NOON + timedelta(seconds=second), second, True)


class Caller:
    def __init__(self, site: Any, **how: Any) -> None:
        self.site = site
        self.answers: list[tuple[Envelope, Mapping[str, Any]]] = []
        self.desk = Desk(site, **{"channel": "mqtt", "run_id": "r", **how})

    def ask(self, command: str, raw: bytes, *, second: float = 0.0, **how: Any) -> None:
        origin = Origin(**{"actor": "bms", "command": command, "names": NAMES, "options": OPTIONS, **how})
        self.desk.take(parse_request(raw, origin, at(second)), self.send, at(second))

    def order(self, command: str, ident: str, *, second: float = 0.0, actor: str = "bms", **args: Any) -> None:
        raw = json.dumps({"id": ident, "args": args}).encode()
        origin = Origin(actor=actor, command=command)
        self.desk.take(parse_request(raw, origin, at(second)), self.send, at(second))

    def settle(self, *places: int, second: float = 1.0) -> None:
        """The core's answers, in this order."""
        for place in places:
            self.desk.settle(self.site.replies[place], at(second))

    def send(self, envelope: Envelope, body: Mapping[str, Any]) -> None:
        self.answers.append((envelope, body))

    @property
    def ids(self) -> list[str | None]:
        return [envelope.id for envelope, _ in self.answers]


def two(caller: Caller, *, second_actor: str = "bms", second_connector: int = 1) -> None:
    caller.order("change_availability", "a", connector=1, type="Inoperative")
    caller.order(
        "change_availability", "b", actor=second_actor, connector=second_connector, type="Operative", second=0.5
    )


def test_an_answer_waits_for_the_one_before_it(site: Any) -> None:
    caller = Caller(site)
    two(caller)
    caller.settle(1)
    assert caller.ids == []
    caller.settle(0)
    assert caller.ids == ["a", "b"]


@pytest.mark.parametrize("other", [{"second_actor": "else"}, {"second_connector": 2}])
def test_other_callers_and_other_connectors_do_not_wait(site: Any, other: dict[str, Any]) -> None:
    caller = Caller(site)
    two(caller, **other)
    caller.settle(1)
    assert caller.ids == ["b"]


def test_what_is_done_is_not_held_back_only_what_is_said(site: Any) -> None:
    caller = Caller(site)
    two(caller)
    assert len(site.asked) == 2


def test_a_question_about_nothing_in_particular_never_waits(site: Any) -> None:
    caller = Caller(site)
    two(caller)
    caller.order("ping", "p")
    assert caller.ids == ["p"]


def test_none_is_held_back_longer_than_its_time_out(site: Any) -> None:
    caller = Caller(site)
    caller.order("unlock_connector", "slow", connector=1)
    caller.order("cancel_reservation", "else", reservation_id=1)
    caller.order("set_limit", "quick", connector=1, limit_a=10)
    caller.settle(len(site.replies) - 1)
    assert caller.ids == []
    caller.desk.tick(at(10.0))
    assert caller.ids[-1] == "quick"
    quick = caller.answers[-1][1]
    assert quick["ok"], "its own answer, and not that there is none"
    caller.desk.tick(at(30.0))
    assert caller.ids.count("slow") == caller.ids.count("quick") == 1


def test_a_time_out_lets_those_behind_it_go(site: Any) -> None:
    caller = Caller(site)
    caller.order("set_limit", "late", connector=1, limit_a=10)
    caller.order("set_limit", "next", connector=1, limit_a=11, second=9.0)
    caller.settle(1, second=9.5)
    assert caller.ids == []
    caller.desk.tick(at(10.0))
    assert caller.ids == ["late", "next"]


def test_who_stops_tells_what_it_held_back(site: Any) -> None:
    caller = Caller(site)
    two(caller)
    caller.settle(1)
    caller.desk.close(at(2.0))
    assert sorted(map(str, caller.ids)) == ["a", "b"]
    assert next(body for envelope, body in caller.answers if envelope.id == "b")["ok"]


def test_the_answers_keep_their_order_where_the_daemon_stops_too(site: Any) -> None:
    caller = Caller(site)
    two(caller)
    caller.settle(1)
    caller.desk.close(at(2.0))
    assert caller.ids == ["a", "b"]
    assert [body["ok"] for _, body in caller.answers] == [False, True]
    assert caller.answers[0][1]["error"]["code"] == "timeout"


def test_a_thousand_requests_a_second_are_each_answered_and_few_are_carried_out(site: Any) -> None:
    caller = Caller(site, rate=RateLimit(rate_per_s=5.0, burst=20))
    for number in range(3_000):
        caller.order("set_limit", str(number), connector=1, limit_a=6, second=number / 1000)
        for reply in site.replies:
            caller.desk.settle(reply, at(number / 1000))
        site.replies.clear()
    assert len(caller.answers) == 3_000
    assert len(site.asked) <= 20 + 3 * 5 + 1
    busy = [body for _, body in caller.answers if not body["ok"]]
    assert {body["error"]["code"] for body in busy} == {"busy"}


# --- whatever comes

WORDS = st.sampled_from([*SHAPES, "get_events", "nonsense", "", "a/b", "\x00"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES_OF_ARGUMENTS = st.sampled_from(sorted({a.name for shape in SHAPES.values() for a in shape.arguments}))
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "id": JSON | st.text(max_size=70),
        "ts": JSON | st.just("2026-08-22T09:00:00Z"),
        "ttl_s": JSON,
        "reply_to": JSON | st.sampled_from(["homeassistant/x", "edged/v1/gw1/rpc/bms/reply/x", "edged/v1/gw1/rpc/#"]),
        "headers": JSON | st.fixed_dictionaries({"replyTo": JSON}),
        "args": JSON | st.dictionaries(NAMES_OF_ARGUMENTS, JSON, max_size=5),
        "payload": JSON,
    },
)
RAW = (
    st.binary(max_size=200)
    | BODIES.map(lambda body: json.dumps(body).encode())
    | st.integers(1, 9_000).map(lambda depth: b'{"args":' + b"[" * depth + b"]" * depth + b"}")
    | st.integers(16_000, 17_500).map(lambda size: b'{"id":"' + b"x" * size + b'"}')
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    command=WORDS,
    raw=RAW,
    retained=st.booleans(),
    response=st.none() | st.text(max_size=60) | st.just("edged/v1/gw1/rpc/bms/reply/mine"),
    correlation=st.none() | st.binary(max_size=40),
    actor=st.sampled_from(["bms", "stranger"]),
)
def test_whatever_comes_is_answered_exactly_once_and_only_to_its_sender(
    site: Any, command: str, raw: bytes, retained: bool, response: str | None, correlation: bytes | None, actor: str
) -> None:
    caller = Caller(site, run_id=str(len(site.asked)))
    site.replies.clear()
    caller.ask(
        command, raw, actor=actor, retained=retained, response_topic=response, correlation=correlation, second=0.0
    )
    for reply in site.replies:
        caller.desk.settle(reply, at(1.0))
    for _, tell in site.reads:
        tell([], at(1.0))
    site.reads.clear()
    caller.desk.tick(at(31.0))
    ((envelope, body),) = caller.answers
    assert (envelope.reply_topic or "").startswith(f"edged/v1/gw1/rpc/{actor}/reply/")
    assert envelope.correlation == correlation
    assert body["ok"] or body["error"]["code"] in set(Code)
    json.dumps(body, allow_nan=False).encode()
    if retained:
        assert body["error"]["code"] == "retained"
    elif actor == "stranger":
        assert not body["ok"]
