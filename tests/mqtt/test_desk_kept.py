"""What the desk keeps of its answers: for whom, for what, and how much of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edged.domain.answers import TransferStatus
from edged.domain.effects import Reply
from edged.domain.journal import Direction, TransferEntry
from edged.domain.types import Now, RequestRef, Stamp
from edged.mqtt.commands import Command, Envelope, Origin, parse_request
from edged.mqtt.desk import LATE_S, MAX_DATA_KEPT_CHARS, MAX_READ_CHARS, Desk
from edged.mqtt.ledger import OF, KeptReply, Key

NOON = datetime(2026, 8, 22, 10, 0, 0, tzinfo=UTC)


def at(second: float) -> Now:
    return Now(NOON + timedelta(seconds=second), second, True)


class Disk:
    def __init__(self) -> None:
        self.kept: dict[Key, KeptReply] = {}

    def load(self) -> Sequence[KeptReply]:
        return list(self.kept.values())

    def save(self, reply: KeptReply, forget: Sequence[Key]) -> None:
        self.kept[reply.key] = reply


class Caller:
    def __init__(self, site: Any, disk: Disk | None = None) -> None:
        self.answers: list[Mapping[str, Any]] = []
        self.site = site
        self.desk = Desk(site, channel="mqtt", run_id="r", store=disk or Disk())
        self.desk.recall(at(0))

    def ask(self, command: str, args: Any, ident: str = "1", *, second: float = 1.0, settle: bool = True) -> Any:
        raw = json.dumps({"id": ident, "command": command, "args": args}).encode()
        self.desk.take(parse_request(raw, Origin(actor="bms"), at(second)), self.send, at(second))
        for reply in self.site.replies if settle else ():
            self.desk.settle(reply, at(second))
        self.site.replies.clear()
        return self.answers[-1] if self.answers else None

    def send(self, _envelope: Envelope, body: Mapping[str, Any]) -> None:
        self.answers.append(body)


def test_an_id_that_comes_again_with_something_else_is_a_conflict_and_nothing_is_done(site: Any) -> None:
    caller = Caller(site)
    first = caller.ask("set_limit", {"connector": 1, "limit_a": 16})
    other = caller.ask("set_limit", {"connector": 1, "limit_a": 8})
    assert (first["ok"], other["ok"], other["error"]["code"]) == (True, False, "conflict")
    assert len(site.asked) == 1
    again = caller.ask("set_limit", {"limit_a": 16.0, "connector": 1})
    assert again == {**first, "repeated": True}


def test_a_conflict_is_one_also_after_a_restart(site: Any) -> None:
    disk = Disk()
    first = Caller(site, disk).ask("set_limit", {"connector": 1, "limit_a": 16})
    later = Caller(site, disk)
    assert later.ask("set_limit", {"connector": 1, "limit_a": 8})["error"]["code"] == "conflict"
    assert later.ask("set_limit", {"connector": 1, "limit_a": 16}) == {**first, "repeated": True}


def test_what_was_asked_is_kept_and_told_to_nobody(site: Any) -> None:
    disk = Disk()
    caller = Caller(site, disk)
    caller.ask("set_limit", {"connector": 1, "limit_a": 16})
    caller.ask("set_limit", {"connector": 1, "limit_a": 16})
    assert all(OF in one.body for one in disk.kept.values())
    assert not any(OF in body for body in caller.answers)


def test_what_the_engine_never_answered_is_not_carried_out_again_by_its_id(site: Any) -> None:
    caller = Caller(site)
    caller.ask("set_limit", {"connector": 1, "limit_a": 16}, settle=False)
    caller.desk.tick(at(LATE_S + 1))
    answer = caller.ask("set_limit", {"connector": 1, "limit_a": 16}, second=LATE_S + 2)
    assert (answer["error"]["code"], answer["repeated"]) == ("timeout", True)
    assert len(site.asked) == 1


def test_a_long_answer_to_a_question_is_read_again_and_not_kept(site: Any) -> None:
    caller = Caller(site)
    whole = caller.ask("get_configuration_key", {})
    assert len(repr(whole)) > MAX_READ_CHARS
    assert "repeated" not in caller.ask("get_configuration_key", {})
    short = caller.ask("get_configuration_key", {"keys": ["HeartbeatInterval"]}, "2")
    assert len(repr(short)) < MAX_READ_CHARS
    assert caller.ask("get_configuration_key", {"keys": ["HeartbeatInterval"]}, "2")["repeated"]


def test_a_thousand_histories_with_ids_fill_no_memory(site: Any) -> None:
    caller = Caller(site)
    entry = TransferEntry(
        at=Stamp(NOON, True, "b"),
        direction=Direction.FROM_CSMS,
        source="csms",
        vendor_id="v",
        message_id=None,
        data="x" * 4000,
        data_chars=4000,
        status="Accepted",
        answer=None,
    )
    for number in range(20):
        caller.ask("list_data_transfers", {}, str(number))
        _, tell = site.reads.pop()
        tell([entry] * 10, at(1))
    held = sum(len(repr(body)) for body, _ in caller.desk._cache._replies.values())  # type: ignore[attr-defined]
    assert len(caller.answers) == 20
    assert held == 0


def test_of_a_csms_s_long_answer_the_status_is_kept(site: Any) -> None:
    site.hold = True
    caller = Caller(site)
    caller.ask("data_transfer", {"vendor_id": "v"}, settle=False)
    request = RequestRef("mqtt:bms", "r-1", "data_transfer")
    caller.desk.settle(Reply(request, TransferStatus.ACCEPTED, data="y" * (MAX_DATA_KEPT_CHARS + 1)), at(2))
    assert len(caller.answers[-1]["result"]["data"]) == MAX_DATA_KEPT_CHARS + 1
    again = caller.ask("data_transfer", {"vendor_id": "v"})
    assert again["result"] == {"status": "Accepted", "data": None}
    assert (again["repeated"], "list_data_transfers" in again["warning"]) == (True, True)


@pytest.mark.parametrize("size", [1, 64, 65, 60_000])
def test_correlation_data_makes_a_short_key_and_different_ones_different_keys(size: int) -> None:
    def key(data: bytes) -> Any:
        origin = Origin(actor="bms", correlation=data)
        args = {"connector": 1, "id_token": "A"}
        request = parse_request(json.dumps({"command": "start_transaction", "args": args}).encode(), origin, at(0))
        assert isinstance(request, Command)
        return request.key

    one, other = key(b"a" * size), key(b"a" * (size - 1) + b"b")
    assert len(one[2]) <= 160
    assert one != other
