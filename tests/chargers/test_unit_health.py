"""When a unit counts as dead, when it is tried again, how long it is waited for."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from edged.chargers.unit_health import UnitHealth, UnitState


def unit() -> UnitHealth:
    return UnitHealth(Random(1))


def test_a_unit_is_suspect_then_dead_then_alive_by_one_answer() -> None:
    one = unit()
    one.answered(0, 0.01)
    states = []
    for now in range(3):
        one.failed(now)
        states.append(one.state)
    assert states == [UnitState.SUSPECT, UnitState.SUSPECT, UnitState.DEAD]
    one.answered(4, 0.01)
    assert one.state is UnitState.ONLINE and one.session == 1


def test_the_back_off_doubles_from_a_second_never_beyond_a_minute_and_has_jitter() -> None:
    one = unit()
    waits = []
    for _ in range(12):
        one.failed(100.0)
        waits.append(one.retry_at - 100.0)
    waits = waits[2:]
    assert 1 <= waits[0] <= 1.2 and 2 <= waits[1] <= 2.4 and 50 <= waits[-1] <= 60
    assert all(1 <= wait <= 60 for wait in waits)
    assert len(set(waits[-3:])) == 3


def test_a_reopened_line_forgives_silence_and_begins_a_session() -> None:
    one = unit()
    for _ in range(5):
        one.failed(0)
    one.line_reopened(forgiven=True)
    assert one.state is UnitState.SUSPECT and one.session == 1


def test_the_timeout_follows_a_quick_unit_and_never_undercuts_its_profile() -> None:
    one = unit()
    for _ in range(10):
        one.answered(0, 0.005)
    assert one.timeout_s == 0.1
    one.response_timeout_s = 0.5
    assert one.timeout_s == 0.5


def test_a_network_gets_more_time() -> None:
    one = UnitHealth(Random(1), is_network=True)
    assert one.timeout_s == 2.0
    for _ in range(10):
        one.answered(0, 0.005)
    assert one.timeout_s == 0.5


def test_a_unit_that_is_not_online_gets_the_full_time() -> None:
    one = unit()
    for _ in range(10):
        one.answered(0, 0.005)
    one.failed(0)
    assert one.timeout_s == 0.5


def test_an_exception_does_not_teach_how_quick_a_unit_is() -> None:
    one = unit()
    for _ in range(10):
        one.answered(0, None)
    assert one.percentile(0.5) is None


@given(st.lists(st.floats(0, 30), max_size=80))
def test_a_timeout_stays_within_its_bounds(turnarounds: list[float]) -> None:
    one = unit()
    for turnaround in turnarounds:
        one.answered(0, turnaround)
    assert 0.1 <= one.timeout_s <= 1.0
