"""DataTransfer both ways: who is taken, what is kept, and that everybody who asks is answered once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edged.domain.answers import TransferStatus, Undelivered
from edged.domain.commands import ReceiveData, ResetKind, ResetStation, SendData
from edged.domain.data_transfer import MAX_ANSWER_CHARS, MAX_KEPT_CHARS, MAX_UNDER_WAY, WAIT_S
from edged.domain.effects import Announce, Ask, DataQuestion, Keep, Reply
from edged.domain.events import DataAnswer, LinkDown, QuestionAnswered, Tick
from edged.domain.journal import Direction, Journal, TransferEntry
from edged.domain.station import SiteRules, Vendor
from tests.fakes.site import Site

RULES = SiteRules(
    vendors={
        "com.example": Vendor(messages=frozenset({"tariff", "text"}), answer="OK"),
        "com.open": Vendor(),
        "com.closed": Vendor(status=TransferStatus.REJECTED, answer="no"),
    }
)


def site(**shape: Any) -> Site:
    return Site.build(rules=RULES, **shape)


def receive(one: Site, vendor: str, message: str | None = None, data: str | None = None) -> Reply:
    one.do(ReceiveData(one.ref("DataTransfer"), vendor, message, data))
    (reply,) = one.of(Reply)
    assert isinstance(reply, Reply)
    return reply


def send(one: Site, data: str | None = "x") -> str:
    """The ticket of the question."""
    one.do(SendData(one.ref("data_transfer", "mqtt:bms"), "com.example", "Text", data))
    (ask,) = one.of(Ask)
    assert ask.question == DataQuestion("com.example", "Text", data)
    return str(ask.ticket)


def history(one: Site) -> list[TransferEntry]:
    found = one.disk.journal_load(one.station.identity.id, Journal.TRANSFER, limit=10_000)
    return [entry for entry in found if isinstance(entry, TransferEntry)]


@pytest.mark.req("TC_062_CS")
@pytest.mark.parametrize(
    ("vendor", "message", "status", "answer"),
    [
        ("com.example", "Tariff", TransferStatus.ACCEPTED, "OK"),
        ("COM.Example", "TEXT", TransferStatus.ACCEPTED, "OK"),
        ("com.example", "Else", TransferStatus.UNKNOWN_MESSAGE, None),
        ("com.example", None, TransferStatus.UNKNOWN_MESSAGE, None),
        ("com.open", None, TransferStatus.ACCEPTED, None),
        ("com.open", "anything", TransferStatus.ACCEPTED, None),
        ("com.closed", None, TransferStatus.REJECTED, "no"),
        ("com.example.evil", "Tariff", TransferStatus.UNKNOWN_VENDOR, None),
        ("", None, TransferStatus.UNKNOWN_VENDOR, None),
    ],
)
def test_a_transfer_is_answered_as_the_site_has_registered_its_vendor(
    vendor: str, message: str | None, status: TransferStatus, answer: str | None
) -> None:
    one = site()
    reply = receive(one, vendor, message, "data")
    assert (reply.status, reply.data) == (status, answer)
    (entry,) = history(one)
    assert entry == TransferEntry(
        at=one.station.stamp(one.now),
        direction=Direction.FROM_CSMS,
        source="csms",
        vendor_id=vendor,
        message_id=message,
        data="data",
        data_chars=4,
        status=status.value,
        answer=answer,
    )


def test_a_transfer_is_announced_without_its_data() -> None:
    one = site()
    receive(one, "com.open", None, "secret")
    (told,) = one.of(Announce)
    assert told.kind == "ocpp.data_transfer"
    assert told.data["data_chars"] == 6
    assert "secret" not in str(told)


@pytest.mark.parametrize(("chars", "kept"), [(0, 0), (MAX_KEPT_CHARS, MAX_KEPT_CHARS), (60_000, MAX_KEPT_CHARS)])
def test_long_data_is_cut_in_the_history_and_its_length_told(chars: int, kept: int) -> None:
    one = site()
    receive(one, "com.open", None, "x" * chars)
    (entry,) = history(one)
    assert (entry.data, entry.data_chars) == ("x" * kept, chars)


def test_the_csms_answers_and_so_is_the_requester() -> None:
    one = site()
    ticket = send(one)
    sent_at = one.station.stamp(one.now)
    assert (one.of(Reply), history(one)) == ([], [])
    one.advance(3)
    one.do(QuestionAnswered(ticket, DataAnswer(TransferStatus.ACCEPTED, "y" * 100_000)))
    reply = one.reply()
    assert (reply.request.channel, reply.status) == ("mqtt:bms", TransferStatus.ACCEPTED)
    assert reply.data == "y" * MAX_ANSWER_CHARS
    (entry,) = history(one)
    assert (entry.at, entry.direction, entry.source) == (sent_at, Direction.TO_CSMS, "mqtt:bms")
    assert (entry.status, entry.answer, entry.data) == ("Accepted", "y" * MAX_KEPT_CHARS, "x")
    assert one.station.pending == {}


@pytest.mark.parametrize("status", list(TransferStatus))
def test_every_answer_of_the_csms_reaches_the_requester(status: TransferStatus) -> None:
    one = site()
    one.do(QuestionAnswered(send(one), DataAnswer(status, None)))
    assert (one.reply().status, one.reply().data) == (status, None)
    assert history(one)[0].status == status.value


def test_without_a_line_nothing_is_sent_and_nothing_kept() -> None:
    for one in (site(online=False), site()):
        if one.station.link.online:
            one.offline()
        one.do(SendData(one.ref("data_transfer", "local"), "com.example", None, "x"))
        assert one.reply().status is Undelivered.OFFLINE
        assert one.of(Ask) == one.of(Keep) == []
        assert one.station.pending == {}


@pytest.mark.parametrize("refused", ["", "no answer in time", "CALLERROR NotImplemented"])
def test_no_answer_is_told_once_and_kept_as_such(refused: str) -> None:
    one = site()
    ticket = send(one)
    one.do(QuestionAnswered(ticket, None, refused))
    assert one.reply().status is Undelivered.NO_ANSWER
    assert refused in one.reply().detail
    assert one.reply().detail
    assert [entry.status for entry in history(one)] == ["NoAnswer"]
    one.do(QuestionAnswered(ticket, DataAnswer(TransferStatus.ACCEPTED, None)))
    assert one.of(Reply) == one.of(Keep) == []


def test_a_line_that_stays_silent_is_given_up() -> None:
    one = site()
    send(one)
    one.advance(WAIT_S - 1)
    one.do(Tick())
    assert one.of(Reply) == []
    one.advance(1)
    one.do(Tick())
    assert one.reply().status is Undelivered.NO_ANSWER
    assert one.station.pending == {}


def test_a_csms_that_is_given_long_to_answer_is_waited_for() -> None:
    one = site(configuration={"MessageTimeout": "600"})
    send(one)
    one.advance(WAIT_S)
    one.do(Tick())
    assert one.of(Reply) == []


def test_only_so_many_wait_at_once() -> None:
    one = site()
    tickets = [send(one) for _ in range(MAX_UNDER_WAY)]
    one.do(SendData(one.ref("data_transfer", "local"), "com.example", None, "x"))
    assert one.reply().status is Undelivered.BUSY
    assert one.of(Ask) == []
    one.do(QuestionAnswered(tickets[1], DataAnswer(TransferStatus.ACCEPTED, None)))
    send(one)


def test_a_station_that_restarts_sends_nothing_more() -> None:
    one = site()
    one.do(ResetStation(one.ref("Reset"), ResetKind.SOFT))
    one.do(SendData(one.ref("data_transfer", "local"), "com.example", None, "x"))
    assert one.reply().status is Undelivered.BUSY


def test_what_goes_on_besides_writes_nothing_into_the_history() -> None:
    one = site()
    send(one)
    one.wait(20)
    one.do(LinkDown("cut"))
    assert history(one) == []


def test_the_history_survives_the_power_and_what_was_under_way_is_not_in_it() -> None:
    one = site()
    receive(one, "com.open", None, "kept")
    ticket = send(one)
    one.restart()
    assert [entry.data for entry in history(one)] == ["kept"]
    one.do(QuestionAnswered(ticket, DataAnswer(TransferStatus.ACCEPTED, None)))
    assert one.of(Reply) == []


def test_a_transfer_costs_one_row_and_an_idle_site_none() -> None:
    one = site()
    before = one.station
    commits = one.disk.commits
    receive(one, "com.open", None, "x")
    assert one.disk.commits == commits + 1
    assert replace(one.station, clock=before.clock) == before
    one.wait(10)
    assert one.disk.commits == commits + 1


def test_eleven_hundred_transfers_leave_the_last_thousand() -> None:
    one = site()
    for number in range(1100):
        receive(one, "com.open", None, str(number))
    assert [entry.data for entry in history(one)] == [str(number) for number in range(100, 1100)]
