"""How soon a station is shown after a step."""

from __future__ import annotations

import time

import pytest

from edged.unit import SHOW_AFTER_AT_MOST_S, SHOW_AFTER_S, SHOW_SHARE, Pace


def work(cpu_s: float) -> None:
    until_s = time.thread_time() + cpu_s
    while time.thread_time() < until_s:
        pass


def test_what_is_shown_with_ease_is_shown_at_once() -> None:
    pace = Pace()
    assert pace.delay_s == SHOW_AFTER_S
    with pace:
        work(0.0001)
    assert pace.delay_s == SHOW_AFTER_S


def test_what_is_dear_to_show_waits_for_more_to_be_shown_but_not_for_ever() -> None:
    pace = Pace()
    with pace:
        work(0.02)
    assert 0.02 / SHOW_SHARE <= pace.delay_s <= SHOW_AFTER_AT_MOST_S
    with pace:
        work(0.06)
    assert pace.delay_s == SHOW_AFTER_AT_MOST_S
    with pace:
        pass
    assert pace.delay_s == SHOW_AFTER_S


def test_a_failed_look_leaves_a_pace() -> None:
    pace = Pace()
    with pytest.raises(ValueError, match="so"), pace:
        raise ValueError("so")
    assert pace.delay_s == SHOW_AFTER_S
