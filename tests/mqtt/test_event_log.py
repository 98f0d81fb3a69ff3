"""The log: numbers, what may be told, what a state contains, what has to go."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from edged.domain.types import IdToken
from edged.mqtt.event_log import (
    MAX_DEFERRED,
    REPEATED_AT_MOST,
    TOLD_S,
    UNKEPT_MAX,
    UNTOLD_S,
    EventLog,
    Gap,
    LoggedEvent,
)
from edged.mqtt.events import Happening, Rank
from edged.mqtt.options import IdTokenPolicy

NOON = datetime(2026, 8, 22, 10, 0, tzinfo=UTC)


def make_log(**how: Any) -> EventLog:
    return EventLog("b1", policy=IdTokenPolicy.MASKED, salt="gw1", **how)


def happened(kind: str = "connector.link", **how: Any) -> Happening:
    return Happening(**{"kind": kind, "at": NOON, "synchronized": True, "station": "cs1", **how})


def numbered(log: EventLog, count: int, kind: str = "connector.link") -> tuple[LoggedEvent, ...]:
    return log.number([happened(kind)] * count)


def seqs(events: Any) -> list[int]:
    return [event.seq for event in events]


def test_numbers_go_on_where_the_last_run_ended() -> None:
    log = make_log(first_seq=3, last_seq=41, delivered_seq=40)
    assert seqs(numbered(log, 2)) == [42, 43]
    assert (log.kept_seq, log.delivered_seq) == (41, 40)


def test_an_event_says_its_boot_its_number_and_no_token() -> None:
    log = make_log(last_seq=412)
    (event,) = log.number([happened("reservation.made", data={"id_token": IdToken("DRIVER-4711"), "expires_at": NOON})])
    body = json.loads(event.text)
    assert (body["id"], body["boot"], body["seq"]) == ("b1-413", "b1", 413)
    assert body["data"]["expires_at"] == "2026-08-22T10:00:00Z"
    assert "DRIVER" not in event.text


def test_the_age_of_an_event_before_the_clock_is_known_is_not_known() -> None:
    (event,) = make_log().number([happened(synchronized=False)])
    assert event.at is None
    assert json.loads(event.text)["clock"] == "unsynced"


def test_nothing_that_matters_is_told_before_it_is_on_the_disk() -> None:
    log = make_log()
    events = numbered(log, 2, "ocpp.connected")
    log.defer(events, 0.0)
    assert log.at_hand(0, 10) == ()
    events = log.take()
    assert log.at_hand(0, 10) == ()
    log.kept(events)
    assert seqs(log.at_hand(0, 10) or ()) == [1, 2]


def test_nothing_is_told_while_an_earlier_event_still_waits_for_the_disk() -> None:
    log = make_log()
    log.defer(numbered(log, 1, "ocpp.connected"), 0.0)
    taken, later = log.take(), numbered(log, 1)
    log.give_back(taken)
    log.kept(later)
    assert log.kept_seq == 0
    assert log.at_hand(0, 10) == ()
    log.kept(log.take())
    assert log.kept_seq == 2
    assert log.at_hand(0, 10) is None, "the disk has them in their order"


def test_what_matters_little_is_told_at_once_and_waits_for_the_disk() -> None:
    news: list[int] = []
    log = make_log(on_kept=lambda: news.append(log.ready_seq))
    log.defer(numbered(log, 2), 0.0)
    assert news == [2]
    assert seqs(log.at_hand(0, 10) or ()) == [1, 2]
    log.take()
    assert seqs(log.at_hand(0, 10) or ()) == [1, 2], "on its way to the disk"
    assert log.kept_seq == 0


def test_what_matters_little_is_not_told_before_what_came_first() -> None:
    log = make_log()
    step = numbered(log, 1, "transaction.started")
    log.take(step)
    log.defer(numbered(log, 1), 0.0)
    assert log.at_hand(0, 10) == ()
    log.kept(step)
    assert seqs(log.at_hand(0, 10) or ()) == [1, 2]


def test_nothing_of_a_step_is_told_before_that_is_kept() -> None:
    log = make_log()
    step = numbered(log, 1)
    log.take(step)
    assert log.at_hand(0, 10) == (), "it may not happen after all"
    log.give_back((), dropped=step)
    assert log.at_hand(0, 10) == ()
    log.defer(numbered(log, 1), 0.0)
    assert seqs(log.at_hand(0, 10) or ()) == [2]


def test_a_step_that_the_disk_refused_holds_nobody_up() -> None:
    log = make_log()
    step = numbered(log, 1, "transaction.started")
    log.take(step)
    log.defer(numbered(log, 1), 0.0)
    log.give_back((), dropped=step)
    assert seqs(log.at_hand(0, 10) or ()) == [2]


def test_no_more_numbers_are_told_behind_the_disk_than_a_restart_leaves_out() -> None:
    log = make_log(last_seq=7)
    log.defer(numbered(log, UNKEPT_MAX + 5), 0.0)
    assert log.ready_seq == 7 + UNKEPT_MAX
    again = make_log(last_seq=7, unexpected=True)
    (event,) = numbered(again, 1)
    assert event.seq == 7 + UNKEPT_MAX + 1
    again.defer([event], 0.0)
    assert again.ready_seq == 7, "another crash would give the number again"
    again.kept(again.take())
    assert again.ready_seq == event.seq


def test_what_the_broker_does_not_have_is_kept_within_a_second_and_what_it_has_goes_along() -> None:
    log = make_log()
    log.defer(numbered(log, 1), 100.0)
    assert not log.due(100.0 + UNTOLD_S / 2)
    assert log.due(100.0 + UNTOLD_S)
    log.delivered(1)
    assert not log.due(100.0 + TOLD_S - 1)
    assert log.due(100.0 + TOLD_S)


def test_what_waits_goes_along_where_the_disk_was_written_for_something_else() -> None:
    log = make_log()
    log.defer(numbered(log, 1), 100.0)
    log.delivered(1)
    log.hurry()
    assert log.due(101.0)
    log.kept(log.take())
    log.defer(numbered(log, 1), 102.0)
    log.delivered(2)
    assert not log.due(103.0), "that was the other time"


def test_what_matters_is_kept_at_the_next_look() -> None:
    log = make_log()
    log.defer(numbered(log, 1, "ocpp.connected"), 100.0)
    assert log.due(100.0)


def test_many_that_the_broker_has_are_worth_a_commit() -> None:
    log = make_log()
    for _ in range(UNKEPT_MAX // 2):
        assert not log.due(100.0)
        log.defer(numbered(log, 1), 100.0)
        log.delivered(log.last_seq)
    assert log.due(100.0)


def test_what_two_failed_commits_give_back_waits_in_its_order() -> None:
    log = make_log()
    log.defer(numbered(log, 1), 0.0)
    first = log.take()
    log.defer(numbered(log, 1), 0.0)
    second = log.take()
    log.defer(numbered(log, 1), 0.0)
    log.give_back(first)
    log.give_back(second)
    assert seqs(log.take()) == [1, 2, 3]


def test_of_what_waits_too_long_the_least_goes_first_and_is_told_once() -> None:
    log = make_log()
    log.defer(numbered(log, 1, "transaction.ended"), 0.0)
    log.defer(numbered(log, MAX_DEFERRED + 4), 0.0)
    waiting = log.take()
    assert len(waiting) == MAX_DEFERRED
    assert waiting[0].rank is Rank.HIGH
    assert log.lost == 5
    assert log.take_gap() == Gap(from_seq=2, to_seq=6, count=5)
    assert log.take_gap() is None


def test_a_gap_of_numbers_that_were_never_kept_does_not_stop_the_telling() -> None:
    log = make_log()
    log.kept(numbered(log, 1))
    numbered(log, 3)  # their commit failed and their step was dropped
    log.kept(numbered(log, 1))
    assert log.kept_seq == 5
    assert seqs(log.at_hand(4, 10) or ()) == [5]
    assert log.at_hand(1, 10) is None, "whether there is something in between the disk knows"


def test_the_disk_is_told_how_far_the_broker_is_before_too_many_would_be_repeated() -> None:
    told: list[int] = []
    log = make_log(last_seq=100, on_delivered=lambda: told.append(log.delivered_seq))
    for seq in range(1, REPEATED_AT_MOST // 2 + 1):
        log.delivered(seq)
    assert told == [REPEATED_AT_MOST // 2]


def test_a_delivery_never_takes_the_log_back() -> None:
    log = make_log(last_seq=100, delivered_seq=50)
    log.delivered(40)
    assert log.delivered_seq == 50


def test_a_station_contains_its_events_once_it_is_seen(site: Any) -> None:
    log, before = make_log(last_seq=7), site.station
    after = replace(before, operative=not before.operative)
    events = numbered(log, 2)
    log.stepped(after, events)
    assert log.as_of(before) == 7, "the step is on its way to the disk"
    assert log.as_of(after) == 9
    numbered(log, 1)  # of another station, or of the gateway
    assert log.as_of(before) == 7
    assert log.as_of(after) == 10


def test_a_station_whose_step_was_without_events_contains_all_that_there_are(site: Any) -> None:
    log, before = make_log(), site.station
    between = replace(before, operative=not before.operative)
    log.stepped(between, numbered(log, 1))
    log.stepped(replace(between, operative=before.operative), ())
    assert log.as_of(replace(between, operative=before.operative)) == 1


def test_stations_do_not_hold_each_other_back(site: Any) -> None:
    log, one = make_log(), site.station
    other = replace(one, identity=replace(one.identity, id="cs2"))
    log.stepped(replace(one, operative=False), numbered(log, 1))
    log.stepped(replace(other, operative=False), numbered(log, 1))
    assert log.as_of(one) == 0
    assert log.as_of(other) == 1


def test_numbers_of_a_step_that_the_disk_refused_wait_for_nobody() -> None:
    log = make_log()
    log.kept(numbered(log, 1))
    numbered(log, 3)  # never kept
    log.delivered(1)
    assert (log.state.waiting, log.state.last) == (0, 4)
    log.defer(numbered(log, 1), 0.0)
    assert log.state.waiting == 4  # up to the fifth
