"""Dead bands and intervals of measured values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.mqtt.documents import Document
from edged.mqtt.throttle import Throttle

NOON = datetime(2026, 8, 22, 10, 0, 0, tzinfo=UTC)


def reading(second: float = 0, **values: Any) -> Document:
    body = {"quality": "good", "power_w": 1000, "energy_wh": 5000, "voltage_v": {"l1": 230.0, "l2": None, "l3": None}}
    return Document(body={**body, **values}, at=NOON + timedelta(seconds=second), qos=0, measured=True, repeated=True)


def told(*, busy: bool = False) -> Throttle:
    throttle = Throttle()
    assert throttle.admit("t", reading(), 0.0, busy=busy)
    return throttle


def test_noise_within_the_dead_band_is_held_back() -> None:
    assert not told().admit("t", reading(5, power_w=1099, energy_wh=5009), 5.0, busy=False)


@pytest.mark.parametrize(
    "moved",
    [
        {"power_w": 1100},
        {"energy_wh": 5010},
        {"voltage_v": {"l1": 232.0, "l2": None, "l3": None}},
        {"voltage_v": {"l1": 230.0, "l2": 230.0, "l3": None}},
        {"power_w": None},
    ],
)
def test_a_value_that_has_moved_by_its_dead_band_passes(moved: dict[str, Any]) -> None:
    assert told().admit("t", reading(5, **moved), 5.0, busy=False)


def test_a_large_power_has_a_relative_dead_band() -> None:
    throttle = Throttle()
    throttle.admit("t", reading(power_w=22_000), 0.0, busy=True)
    assert not throttle.admit("t", reading(5, power_w=22_400), 5.0, busy=True)
    assert throttle.admit("t", reading(6, power_w=22_440), 6.0, busy=True)


def test_nothing_measured_passes_twice_within_the_shortest_interval() -> None:
    throttle = told()
    assert not throttle.admit("t", reading(1, power_w=9000), 1.0, busy=False)
    assert throttle.due(1.9) == {}
    assert throttle.due(2.0) == {"t": reading(1, power_w=9000)}
    assert throttle.due(2.1) == {}


def test_a_change_of_quality_passes_at_once() -> None:
    assert told().admit("t", reading(0.1, quality="stale"), 0.1, busy=False)


def test_a_turning_point_passes_at_once() -> None:
    assert told().admit("t", reading(0.1), 0.1, busy=False, force=True)


@pytest.mark.parametrize(("busy", "longest_s"), [(True, 10.0), (False, 60.0)])
def test_a_new_reading_passes_after_the_longest_interval(busy: bool, longest_s: float) -> None:
    throttle = told(busy=busy)
    assert not throttle.admit("t", reading(5), 5.0, busy=busy)
    assert throttle.due(longest_s - 0.1) == {}
    assert throttle.due(longest_s) == {"t": reading(5)}


def test_without_a_new_reading_nothing_is_repeated() -> None:
    throttle = told()
    assert not throttle.admit("t", reading(), 5.0, busy=False)
    assert throttle.due(1000.0) == {}


def test_the_newest_of_what_was_held_back_goes_out() -> None:
    throttle = told()
    for n in range(1, 10):
        throttle.admit("t", reading(n / 10, power_w=5000 + n), n / 10, busy=False)
    assert throttle.due(2.0) == {"t": reading(0.9, power_w=5009)}


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=60))
def test_what_was_told_is_never_further_off_than_the_dead_band_once_time_has_passed(powers: list[int]) -> None:
    throttle, last = Throttle(), 0
    for second, power in enumerate(powers):
        document = reading(second, power_w=power)
        if throttle.admit("t", document, float(second), busy=True):
            last = power
        for late in throttle.due(float(second)).values():
            last = late.body["power_w"]  # type: ignore[index, assignment]
    for late in throttle.due(len(powers) + 2.0).values():
        last = late.body["power_w"]  # type: ignore[index, assignment]
    assert abs(last - powers[-1]) < 100
