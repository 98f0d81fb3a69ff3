"""Display messages and costs: what is kept, what is shown, and what a site without a display says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from edged.dialects.v201 import POLICY
from edged.domain import display
from edged.domain.answers import DisplayStatus, MessagesStatus
from edged.domain.commands import ClearDisplayMessage, GetDisplayMessages, SetDisplayMessage, TellCost
from edged.domain.displays import DisplayMessage, MessagePriority, MessageState
from edged.domain.effects import Ask, ReportPage
from edged.domain.events import QuestionAnswered, RecordDelivered
from edged.domain.types import PersonalMessage
from tests.fakes.site import Site

HELLO = PersonalMessage("Hello", "UTF8", "en")
IN_FRONT, ALWAYS = MessagePriority.IN_FRONT, MessagePriority.ALWAYS_FRONT


def message(id: int = 1, **more: Any) -> DisplayMessage:
    return DisplayMessage(**{"id": id, "priority": MessagePriority.NORMAL, "content": HELLO, **more})


@pytest.fixture
def site() -> Site:
    site = Site.build(2, policy=POLICY)
    rules = replace(site.station.rules, has_display=True)
    site.station = replace(site.station, rules=rules)
    assert site.fresh is not None
    site.fresh = replace(site.fresh, rules=rules)
    return site


def put(site: Site, *messages: DisplayMessage) -> DisplayStatus:
    for one in messages:
        site.do(SetDisplayMessage(site.ref("SetDisplayMessage"), one))
    status = site.reply().status
    assert isinstance(status, DisplayStatus)
    return status


def shown(site: Site, connector: int = 1) -> list[int]:
    return [one.id for one in display.shown(site.station, connector, site.now)]


@pytest.mark.req("O01.FR.01")
def test_a_message_is_kept_shown_and_there_after_a_power_cut(site: Site) -> None:
    assert put(site, message()) is DisplayStatus.ACCEPTED
    assert shown(site) == shown(site, 2) == [1]
    site.restart()
    assert shown(site) == [1]


def test_a_site_without_a_display_says_so() -> None:
    site = Site.build(1, policy=POLICY)
    assert put(site, message()) is DisplayStatus.REJECTED
    assert site.reply().detail == "this site has no display"
    assert not site.station.display_messages


def test_what_cannot_be_shown_is_refused_by_its_name(site: Site) -> None:
    html = message(content=PersonalMessage("<b>x</b>", "HTML"))
    assert put(site, html) is DisplayStatus.NOT_SUPPORTED_FORMAT
    assert put(site, message(transaction_id="gone")) is DisplayStatus.UNKNOWN_TRANSACTION
    assert put(site, message(ends_at=site.now.utc)) is DisplayStatus.REJECTED
    backwards = message(starts_at=site.now.utc + timedelta(hours=2), ends_at=site.now.utc + timedelta(hours=1))
    assert put(site, backwards) is DisplayStatus.REJECTED
    site.set("DisplayMessagesEnabled", "false")
    assert put(site, message()) is DisplayStatus.REJECTED
    assert not site.station.display_messages


def test_there_is_room_for_so_many_and_no_more_but_for_a_replacement(site: Site) -> None:
    assert put(site, *(message(n) for n in range(display.MAX_MESSAGES))) is DisplayStatus.ACCEPTED
    assert put(site, message(1000)) is DisplayStatus.REJECTED
    assert put(site, message(7, content=PersonalMessage("other", "UTF8"))) is DisplayStatus.ACCEPTED
    assert site.station.display_messages[7].content.text == "other"


def test_a_message_is_shown_from_its_start_to_its_end(site: Site) -> None:
    start, end = site.now.utc + timedelta(seconds=60), site.now.utc + timedelta(seconds=120)
    put(site, message(starts_at=start, ends_at=end))
    assert shown(site) == []
    site.wait(60)
    assert shown(site) == [1]
    site.wait(60)
    assert shown(site) == [] and not site.station.display_messages


def test_without_a_clock_that_is_trusted_no_date_ends_a_message(site: Site) -> None:
    put(site, message(ends_at=site.now.utc + timedelta(seconds=5)))
    site.now = replace(site.now, synchronized=False)
    site.wait(60)
    assert site.station.display_messages


def test_always_in_front_is_shown_alone_and_gives_way_to_the_next(site: Site) -> None:
    put(site, message(1), message(2, priority=IN_FRONT), message(3, priority=IN_FRONT))
    assert shown(site) == [2, 3]
    put(site, message(4, priority=ALWAYS))
    assert shown(site) == [4]
    put(site, message(5, priority=ALWAYS))
    assert shown(site) == [5] and 4 not in site.station.display_messages


def test_a_message_of_a_transaction_is_shown_there_and_goes_with_it(site: Site) -> None:
    site.start(1)
    running = site.station.running(1)
    assert running is not None
    put(site, message(1, transaction_id=running.id))
    assert shown(site, 1) == [1] and shown(site, 2) == []
    site.unplug(1)
    assert not site.station.display_messages


def test_nothing_is_shown_while_messages_are_switched_off(site: Site) -> None:
    put(site, message(1))
    site.set("DisplayMessagesEnabled", "false")
    assert shown(site) == [] and site.station.display_messages
    site.set("DisplayMessagesEnabled", "true")
    assert shown(site) == [1]


def test_a_message_of_a_state_is_shown_in_it_alone(site: Site) -> None:
    put(site, *(message(n, state=state) for n, state in enumerate(MessageState)))
    states = list(MessageState)
    assert shown(site, 1) == [states.index(MessageState.IDLE)]
    site.start(1)
    assert shown(site, 1) == [states.index(MessageState.CHARGING)]


def test_messages_are_told_by_id_priority_and_state(site: Site) -> None:
    put(site, message(1), message(2, priority=IN_FRONT), message(3, state=MessageState.IDLE))

    def told(**criteria: Any) -> list[int] | None:
        site.do(GetDisplayMessages(request=site.ref("GetDisplayMessages"), request_id=9, **criteria))
        if site.reply().status is MessagesStatus.UNKNOWN:
            return None
        (asked,) = site.of(Ask)
        assert isinstance(asked.question, ReportPage) and asked.question.request_id == 9
        site.do(QuestionAnswered(asked.ticket, None))
        return [one.id for one in asked.question.items]

    assert told() == [1, 2, 3]
    assert told(ids=frozenset({1, 3})) == [1, 3]
    assert told(priority=IN_FRONT) == [2]
    assert told(state=MessageState.IDLE) == [3]
    assert told(ids=frozenset({1}), priority=IN_FRONT) is None
    site.do(ClearDisplayMessage(site.ref("ClearDisplayMessage"), 2))
    assert site.reply().status is MessagesStatus.ACCEPTED and told(priority=IN_FRONT) is None
    site.do(ClearDisplayMessage(site.ref("ClearDisplayMessage"), 2))
    assert site.reply().status is MessagesStatus.UNKNOWN


@pytest.mark.req("I02.FR.01")
def test_the_running_cost_is_that_of_the_present_session(site: Site) -> None:
    site.start(1)
    running = site.station.running(1)
    assert running is not None
    site.do(TellCost(site.ref("CostUpdated"), running.id, 1.25))
    site.do(TellCost(site.ref("CostUpdated"), "another", 99.0))
    assert site.station.bills[1].total == 1.25 and 2 not in site.station.bills
    ended = [*site.outbox.items()]
    site.unplug(1)
    seq, record = next((seq, record) for seq, record in site.outbox.items() if (seq, record) not in ended)
    site.do(RecordDelivered(seq, record, cost=2.5))
    assert 1 not in site.station.bills or site.station.bills[1].total == 2.5


def test_without_a_word_of_the_csms_the_sites_own_tariff_is_shown(site: Site) -> None:
    site.set("TariffFallbackMessage", "0.40 EUR/kWh")
    site.set("LocalPreAuthorize", "true")
    site.start(1)
    bill = site.station.bills[1]
    assert bill.message is not None and bill.message.text == "0.40 EUR/kWh"
    site.set("TariffEnabled", "false")
    site.unplug(1)
    site.start(1)
    assert 1 not in site.station.bills
