"""The desk by itself: one answer a request, bounds, the disk that fails."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edged.domain.answers import TransferStatus
from edged.domain.commands import CancelReservation, ReserveNow
from edged.domain.effects import Reply
from edged.domain.events import PresentToken
from edged.domain.journal import Direction, TransferEntry
from edged.domain.types import Now, RequestRef, Stamp
from edged.mqtt.commands import Code, Envelope, Origin, Problem, parse_request
from edged.mqtt.conversion import encode_result
from edged.mqtt.desk import LATE_S, Desk
from edged.mqtt.ledger import KeptReply, Key, RateLimit
from edged.ports import StoreError

NOON = datetime(2026, 8, 22, 10, 0, 0, tzinfo=UTC)
RESERVE = {"connector": 1, "id_token": "DRIVER-0001", "expires_at": "2026-08-22T11:00:00Z"}


def at(second: float) -> Now:
    return Now(NOON + timedelta(seconds=second), second, True)


class Counter:
    """A desk with one caller in front of it."""

    def __init__(self, site: Any, **how: Any) -> None:
        self.answers: list[tuple[Envelope, Mapping[str, Any]]] = []
        self.desk = Desk(site, **{"channel": "local", "run_id": "r", **how})

    def ask(self, command: str, args: Any = None, *, ident: str | None = None, second: float = 0.0) -> None:
        raw = json.dumps({"id": ident, "command": command, "args": args or {}}).encode()
        self.desk.take(parse_request(raw, Origin(actor="local"), at(second)), self.send, at(second))

    def send(self, envelope: Envelope, body: Mapping[str, Any]) -> None:
        self.answers.append((envelope, body))

    @property
    def last(self) -> Any:
        return self.answers[-1][1]


def test_the_core_knows_who_asked_and_for_what(site: Any) -> None:
    counter = Counter(site, channel="mqtt")
    raw = json.dumps({"id": "1", "command": "reserve_now", "args": RESERVE}).encode()
    counter.desk.take(parse_request(raw, Origin(actor="bms"), at(0)), counter.send, at(0))
    (event,) = site.asked
    assert isinstance(event, ReserveNow)
    assert event.request == RequestRef("mqtt:bms", "r-1", "reserve_now")


def test_the_control_socket_is_known_as_local(site: Any) -> None:
    counter = Counter(site)
    counter.ask("cancel_reservation", {"reservation_id": 3})
    counter.ask("present_token", {"id_token": "A", "type": "ISO14443"})
    cancel, present = site.asked
    assert isinstance(cancel, CancelReservation)
    assert cancel.request.channel == "local"
    assert isinstance(present, PresentToken)
    assert present.id_token.kind == "ISO14443"


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"connector": 0}, (None, None, None)),
        ({"connector": 2}, (2, None, None)),
        ({"connector": None, "evse_id": 2}, (None, 2, None)),
        ({"connector": None, "connector_type": "cType2"}, (None, None, "cType2")),
    ],
)
def test_a_reservation_names_its_place_in_one_of_four_ways(site: Any, where: Any, expected: Any) -> None:
    Counter(site).ask("reserve_now", {**RESERVE, **where}, ident="1")
    target = site.asked[0].target
    assert (target.connector, target.evse, target.connector_type) == expected


def test_too_many_commands_in_progress_are_busy(site: Any) -> None:
    counter = Counter(site, in_progress=2)
    for n in range(3):
        counter.ask("reserve_now", RESERVE, ident=str(n))
    assert len(site.asked) == 2
    assert counter.last["error"]["code"] == "busy"


def test_the_rate_bounds_refusals_as_well(site: Any) -> None:
    counter = Counter(site, rate=RateLimit(rate_per_s=1.0, burst=1))
    counter.ask("nonsense")
    counter.ask("nonsense")
    assert [body["error"]["code"] for _, body in counter.answers] == ["unknown_command", "busy"]


def test_a_command_that_the_engine_could_not_carry_out_is_answered_with_the_problem(site: Any) -> None:
    counter = Counter(site)
    counter.ask("reserve_now", RESERVE, ident="1")
    assert counter.desk.fail(site.asked[0].request, Problem(Code.INTERNAL, "not kept"), at(1))
    assert counter.last["error"]["code"] == "internal"
    assert counter.last["duration_ms"] == 1000


def test_an_answer_for_nobody_is_said_to_be_so(site: Any) -> None:
    counter = Counter(site)
    counter.ask("reserve_now", RESERVE, ident="1")
    reply = site.replies[0]
    assert not counter.desk.settle(replace(reply, request=RequestRef("csms", "x")), at(1))
    assert counter.desk.settle(reply, at(1))
    assert not counter.desk.settle(reply, at(1))
    assert len(counter.answers) == 1


def test_a_time_out_is_told_once_and_the_job_is_forgotten_in_the_end(site: Any) -> None:
    counter = Counter(site)
    counter.ask("reserve_now", RESERVE, ident="1")
    for second in (9.9, 10.0, 11.0, 12.0):
        counter.desk.tick(at(second))
    assert [body["error"]["code"] for _, body in counter.answers] == ["timeout"]
    counter.ask("reserve_now", RESERVE, ident="1", second=20)
    assert counter.last["error"]["code"] == "duplicate_in_progress"
    counter.desk.tick(at(LATE_S))
    assert counter.desk.waiting == 0


class BrokenDisk:
    def load(self) -> Sequence[KeptReply]:
        return ()

    def save(self, reply: KeptReply, forget: Sequence[Key]) -> None:
        raise StoreError("full")


def test_a_disk_that_keeps_no_answers_costs_only_a_warning(site: Any, caplog: pytest.LogCaptureFixture) -> None:
    counter = Counter(site, store=BrokenDisk())
    counter.ask("reserve_now", RESERVE, ident="1")
    counter.desk.settle(site.replies[0], at(1))
    assert counter.last["ok"]
    assert "not kept on disk" in caplog.text


def test_where_there_are_several_stations_one_must_be_named(site: Any) -> None:
    other = replace(site.station, identity=replace(site.station.identity, id="cs/2"))
    both = {"cs1": site.station, "cs/2": other}
    site.stations = lambda: both
    counter = Counter(site)
    counter.ask("cancel_reservation", {"reservation_id": 1})
    assert counter.last["error"]["code"] == "invalid_args"
    slugs = counter.last["error"]["details"]["stations"]
    counter.ask("cancel_reservation", {"reservation_id": 1, "station": slugs[1]})
    counter.ask("cancel_reservation", {"reservation_id": 1, "station": "cs/2"})
    assert len(site.asked) == 2
    counter.ask("get_state")
    assert set(counter.last["result"]["stations"]) == set(slugs)
    counter.ask("get_state", {"station": "cs1"})
    assert set(counter.last["result"]["stations"]) == {"cs1"}


def test_a_result_never_holds_the_token(site: Any) -> None:
    site.observe(1)
    counter = Counter(site)
    counter.ask("present_token", {"id_token": "STRANGER-9"}, ident="1")
    result = encode_result(site.replies[0])
    assert isinstance(site.replies[0], Reply)
    assert set(result) == {"authorized", "reason"}
    assert "STRANGER" not in str(result)


def _transfer(status: str) -> TransferEntry:
    return TransferEntry(
        at=Stamp(NOON, True, "b1"),
        direction=Direction.TO_CSMS,
        source="local",
        vendor_id="com.example",
        message_id=None,
        data="x",
        data_chars=1,
        status=status,
    )


def test_the_history_is_answered_when_it_has_been_read(site: Any) -> None:
    counter = Counter(site)
    counter.ask("list_data_transfers", {"limit": 3}, ident="a")
    assert counter.answers == []
    ((limit, tell),) = site.reads
    assert limit == 3
    tell([_transfer("Accepted")], at(2))
    assert counter.last["duration_ms"] == 2000
    assert [one["status"] for one in counter.last["result"]["transfers"]] == ["Accepted"]
    assert counter.desk.waiting == 0
    tell([], at(3))
    assert len(counter.answers) == 1


def test_a_history_that_cannot_be_read_is_told_and_may_be_asked_for_again(site: Any) -> None:
    counter = Counter(site)
    counter.ask("list_data_transfers", ident="a")
    site.reads[0][1](None, at(1))
    assert counter.last["error"]["code"] == "internal"
    counter.ask("list_data_transfers", ident="a")
    site.reads[1][1]([], at(2))
    assert counter.last["result"] == {"transfers": [], "left_out": 0}


def test_data_that_was_not_sent_may_be_sent_with_the_same_id(site: Any) -> None:
    """Without a line nothing has happened, so there is nothing to repeat."""
    site.hold = True
    counter = Counter(site)
    for n in range(2):
        counter.ask("data_transfer", {"vendor_id": "com.example"}, ident="a")
        counter.desk.settle(site.replies[n], at(1))
        assert counter.last["error"]["code"] == "csms_offline"
    assert len(site.asked) == 2
    answer = replace(site.replies[1], status=TransferStatus.ACCEPTED, detail="", data="yes")
    counter.ask("data_transfer", {"vendor_id": "com.example"}, ident="a")
    counter.desk.settle(replace(answer, request=site.replies[2].request), at(2))
    assert counter.last["result"] == {"status": "Accepted", "data": "yes"}
    counter.ask("data_transfer", {"vendor_id": "com.example"}, ident="a")
    assert counter.last["repeated"]
    assert len(site.asked) == 3
