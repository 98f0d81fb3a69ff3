"""When the line changes to another way: not before the answer has left, and not at the cost of a CALL under way."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from edged.csms.connection import Connection
from edged.csms.course import GRACE_S, PATIENCE_S, Course
from edged.csms.endpoint import ConnectionSettings
from edged.domain.credentials import Access
from edged.domain.station import Station
from tests.fakes.site import station

HERE = ConnectionSettings(url="ws://csms.example.com", identity="TEST", subprotocols=("ocpp1.6",))


class Line:
    """A connection's part of it."""

    def __init__(self, *, connected: bool = True) -> None:
        self.settings = HERE
        self.connected = connected
        self.moves: list[tuple[str, ConnectionSettings]] = []

    def adopt(self, settings: ConnectionSettings) -> None:
        self.moves.append(("adopt", settings))
        self.settings = settings

    def reconnect(self, settings: ConnectionSettings) -> None:
        self.moves.append(("reconnect", settings))
        self.settings = settings


def settings_for(one: Station) -> ConnectionSettings:
    return replace(HERE, access=one.access.number, roots=tuple(one.certificates))


def follow(course: Course, line: Any, one: Station, now_s: float, *, busy: bool = False) -> None:
    connection: Connection = line
    course.follow(one, connection, now_s, busy=busy)


def on_another_way(number: int = 1) -> Station:
    return replace(station(), access=Access(number=number))


def test_the_same_way_moves_nobody() -> None:
    line, course = Line(), Course(settings_for)
    follow(course, line, station(), 0.0)
    follow(course, line, replace(station(), access=Access(failures=2)), 1.0)
    assert (line.moves, course.moving, course.number(None)) == ([], False, 0)


def test_another_way_is_taken_after_a_grace_in_which_nothing_is_begun() -> None:
    line, course = Line(), Course(settings_for)
    follow(course, line, on_another_way(), 10.0)
    assert (line.moves, course.moving) == ([], True)
    follow(course, line, on_another_way(), 10.0 + GRACE_S - 0.1)
    assert line.moves == []
    follow(course, line, on_another_way(), 10.0 + GRACE_S)
    assert line.moves == [("reconnect", replace(HERE, access=1))]
    assert not course.moving
    follow(course, line, on_another_way(), 30.0)
    assert len(line.moves) == 1


def test_a_call_under_way_is_waited_for_but_not_for_ever() -> None:
    line, course = Line(), Course(settings_for)
    follow(course, line, on_another_way(), 0.0, busy=True)
    follow(course, line, on_another_way(), GRACE_S + 1, busy=True)
    assert line.moves == []
    follow(course, line, on_another_way(), GRACE_S + PATIENCE_S, busy=True)
    assert [what for what, _ in line.moves] == ["reconnect"]


def test_without_a_line_nobody_is_waited_for() -> None:
    line, course = Line(connected=False), Course(settings_for)
    follow(course, line, on_another_way(), 0.0, busy=True)
    assert [what for what, _ in line.moves] == ["reconnect"]


def test_a_way_that_is_given_up_again_in_time_moves_nobody() -> None:
    line, course = Line(), Course(settings_for)
    follow(course, line, on_another_way(), 0.0)
    follow(course, line, station(), 0.5)
    follow(course, line, station(), 5.0)
    assert (line.moves, course.moving) == ([], False)


def test_whom_to_trust_counts_from_the_next_line_on() -> None:
    line, course = Line(), Course(settings_for)
    trusting: Any = replace(station(), certificates={"a root": None})
    follow(course, line, trusting, 0.0)
    assert line.moves == [("adopt", replace(HERE, roots=("a root",)))]


def test_a_line_that_goes_one_way_for_ever_is_left_alone() -> None:
    line, course = Line(), Course(None)
    follow(course, line, on_another_way(), 0.0)
    assert (line.moves, course.moving) == ([], False)


def test_what_follows_from_a_station_is_asked_only_when_it_may_differ() -> None:
    asked: list[Station] = []

    def counting(one: Station) -> ConnectionSettings:
        asked.append(one)
        return settings_for(one)

    line, course, one = Line(), Course(counting), station()
    for second in range(5):
        follow(course, line, replace(one, wall_kept=datetime(2026, 1, 1, tzinfo=UTC)), float(second))
    assert len(asked) == 1
