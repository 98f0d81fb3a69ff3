"""Who commanded what is told, without what; and a flood of it is summed up."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from edged.mqtt.audit import MAX_TALLIES, SUM_UP_S, Audit
from edged.mqtt.commands import Envelope
from edged.mqtt.desk import Desk

Told = list[tuple[str, str | None, dict[str, Any]]]
REFUSED = {"ok": False, "error": {"code": "forbidden", "message": "no"}}


@pytest.fixture
def told() -> Told:
    return []


@pytest.fixture
def audit(told: Told) -> Audit:
    return Audit(lambda kind, source, data: told.append((kind, source, data)), channel="mqtt")


def envelope(actor: str = "bms", command: str = "reset", ident: str | None = "a1") -> Envelope:
    return Envelope(actor=actor, command=command, id=ident)


@pytest.mark.parametrize(
    ("body", "kind", "outcome"),
    [
        ({"ok": True, "result": {"status": "Rejected"}}, "command.executed", "Rejected"),
        ({"ok": True, "result": True}, "command.executed", "true"),
        ({"ok": True, "result": {"queued": True}}, "command.executed", "done"),
        ({"ok": True, "result": {"authorized": False, "reason": "secret"}}, "command.executed", "not authorized"),
        (REFUSED, "command.refused", "forbidden"),
    ],
)
def test_what_became_of_it_is_told_in_a_word(
    audit: Audit, told: Told, body: Mapping[str, Any], kind: str, outcome: str
) -> None:
    audit.note(envelope(), body, 0.0)
    ((what, source, data),) = told
    assert (what, source, data["outcome"]) == (kind, "mqtt:bms", outcome)
    assert (data["actor"], data["command"], data["id"]) == ("bms", "reset", "a1")
    assert "secret" not in json.dumps(data)


def test_who_left_the_actors_level_empty_is_told_as_nobody(audit: Audit, told: Told) -> None:
    audit.note(envelope(actor=""), REFUSED, 0.0)
    ((what, source, data),) = told
    assert (what, source, data["actor"]) == ("command.refused", "mqtt:", "")


def test_a_flood_of_refusals_is_one_event_in_ten_seconds(audit: Audit, told: Told) -> None:
    for tenth in range(1_000):
        audit.note(envelope(ident=str(tenth)), REFUSED, tenth / 100)
        audit.tick(tenth / 100)
    audit.tick(SUM_UP_S)
    assert [data["count"] for _, _, data in told] == [1, 999]
    assert told[-1][2]["id"] == "999"
    audit.tick(3 * SUM_UP_S)
    assert len(told) == 2


def test_each_actor_and_each_code_is_counted_for_itself(audit: Audit, told: Told) -> None:
    for actor in ("a", "b"):
        for code in ("forbidden", "busy"):
            audit.note(envelope(actor), {"ok": False, "error": {"code": code, "message": ""}}, 0.0)
    assert len(told) == 4


def test_thousands_of_actors_fill_neither_the_memory_nor_the_spool(audit: Audit, told: Told) -> None:
    for number in range(10_000):
        audit.note(envelope(f"actor{number}"), REFUSED, 0.0)
    assert len(told) == MAX_TALLIES + 1
    audit.tick(SUM_UP_S)
    assert told[-1][2]["actor"] == "others"


def test_what_only_reads_is_summed_up_and_what_changes_something_never(audit: Audit, told: Told) -> None:
    for _ in range(50):
        audit.note(envelope(command="ping"), {"ok": True, "result": {"pong": True}}, 0.0)
        audit.note(envelope(command="set_limit"), {"ok": True, "result": {"status": "Accepted"}}, 0.0)
    assert [data["command"] for _, _, data in told].count("ping") == 1
    assert [data["command"] for _, _, data in told].count("set_limit") == 50


def test_what_a_stranger_writes_into_a_topic_is_not_repeated(audit: Audit, told: Told) -> None:
    audit.note(envelope("a\x1b[31m" + "b" * 500, "not/a\ncommand"), REFUSED, 0.0)
    data = told[0][2]
    assert data["command"] == "unknown"
    assert data["actor"].isprintable()
    assert len(data["actor"]) <= 64


def test_a_desk_tells_of_every_answer_that_it_gives(site: Any, told: Told, audit: Audit, ask_of: Any) -> None:
    desk = Desk(site, channel="mqtt", run_id="r", audit=audit)
    ask_of(desk, "set_configuration_key", {"key": "CpoName", "value": "a secret of a kind"}, "k1")
    ask_of(desk, "reset", {}, "x1")
    ask_of(desk, "nonsense", {}, None)
    assert [(kind, data["command"]) for kind, _, data in told] == [
        ("command.refused", "reset"),
        ("command.refused", "unknown"),
    ], "the core has not answered the first"
    for reply in site.replies:
        desk.settle(reply, site.clock.now())
    assert told[-1][0] == "command.executed"
    assert "a secret" not in json.dumps(told)


def test_what_was_counted_when_the_daemon_stops_is_told_then(site: Any, told: Told, audit: Audit, ask_of: Any) -> None:
    desk = Desk(site, channel="mqtt", run_id="r", audit=audit)
    for _ in range(7):
        ask_of(desk, "reset", {}, "x1")
    ask_of(desk, "nonsense", {}, None)
    desk.close(site.clock.now())
    assert [data["count"] for _, _, data in told] == [1, 1, 6]
    desk.close(site.clock.now())
    assert len(told) == 3


@pytest.fixture
def ask_of(site: Any) -> Callable[..., None]:
    from edged.mqtt.commands import Origin, parse_request

    def ask(desk: Desk, command: str, args: Mapping[str, Any], ident: str | None) -> None:
        raw = json.dumps({"id": ident, "args": dict(args)}).encode()
        now = site.clock.now()
        desk.take(parse_request(raw, Origin(actor="bms", command=command), now), lambda e, b: None, now)

    return ask
