"""Level-triggered reports: what is due, when, in which order, and what a reconnect leaves of it."""

from __future__ import annotations

from operator import eq

import pytest

from edged.ocpp.reporter import MAX_FAILURES, MAX_UNACKNOWLEDGED, RETRY_S, Reporter
from edged.ocpp.rpc import LocalProtocolError

Values = dict[int, str]


class Told:
    """A reporter and the two sides' views."""

    def __init__(self, *, connected: bool = True) -> None:
        self.reporter: Reporter[int, str] = Reporter()
        if connected:
            self.reporter.connected()

    def see(self, values: Values, now_s: float = 0.0, minimum_s: float = 0.0) -> list[tuple[int, str]]:
        return self.reporter.observe(values, now_s, minimum_s, eq)

    def see_and_acknowledge(self, values: Values, now_s: float = 0.0) -> None:
        for key, _ in self.see(values, now_s):
            self.reporter.acknowledged(key)


def test_after_a_start_everything_is_due_at_once_even_with_a_minimum_duration() -> None:
    assert Told().see({0: "A", 1: "B"}, minimum_s=30.0) == [(0, "A"), (1, "B")]


def test_what_was_handed_out_is_not_due_again() -> None:
    told = Told()
    told.see({1: "A"})
    assert told.see({1: "A"}, 1.0) == []
    told.reporter.acknowledged(1)
    assert told.see({1: "A"}, 2.0) == []


@pytest.mark.req("16-J-32")
def test_with_no_minimum_duration_every_change_appears_once_and_in_order() -> None:
    told = Told()
    seen = [told.see({1: value}, float(n)) for n, value in enumerate("ABAAB")]
    assert seen == [[(1, "A")], [(1, "B")], [(1, "A")], [], [(1, "B")]]


def test_a_change_is_due_once_it_has_lasted_the_minimum_duration() -> None:
    told = Told()
    told.see_and_acknowledge({1: "A"})
    assert told.see({1: "B"}, 10.0, minimum_s=5.0) == []
    assert told.see({1: "B"}, 14.9, minimum_s=5.0) == []
    assert told.see({1: "B"}, 15.0, minimum_s=5.0) == [(1, "B")]


def test_a_change_that_does_not_last_is_never_told() -> None:
    told = Told()
    told.see_and_acknowledge({1: "A"})
    told.see({1: "B"}, 10.0, minimum_s=5.0)
    told.see({1: "A"}, 12.0, minimum_s=5.0)
    assert told.see({1: "A"}, 100.0, minimum_s=5.0) == []


def test_values_that_fall_due_together_come_in_the_order_in_which_they_began() -> None:
    told = Told()
    told.see_and_acknowledge({1: "A", 2: "A"})
    told.see({1: "A", 2: "B"}, 10.0, minimum_s=5.0)
    told.see({1: "B", 2: "B"}, 11.0, minimum_s=5.0)
    assert told.see({1: "B", 2: "B"}, 20.0, minimum_s=5.0) == [(2, "B"), (1, "B")]


def test_of_a_run_of_equal_values_the_first_is_told() -> None:
    reporter: Reporter[int, tuple[str, float]] = Reporter()
    reporter.observe({1: ("A", 0.0)}, 0.0, 0.0, lambda a, b: a[0] == b[0])
    reporter.connected()
    assert reporter.observe({1: ("A", 9.0)}, 9.0, 0.0, lambda a, b: a[0] == b[0]) == [(1, ("A", 0.0))]


@pytest.mark.req("16-J-07", "16-J-32")
def test_after_a_reconnect_only_what_differs_from_the_last_acknowledged_value_is_told() -> None:
    told = Told()
    told.see_and_acknowledge({1: "A", 2: "A"})
    told.reporter.disconnected()
    for n, value in enumerate("BCBCD"):
        assert told.see({1: value, 2: "A"}, float(n)) == []
    told.reporter.connected()
    assert told.see({1: "D", 2: "A"}, 10.0) == [(1, "D")]


def test_a_value_that_left_and_came_back_while_offline_is_not_told() -> None:
    told = Told()
    told.see_and_acknowledge({1: "A"})
    told.reporter.disconnected()
    told.see({1: "B"}, 1.0)
    told.see({1: "A"}, 2.0)
    told.reporter.connected()
    assert told.see({1: "A"}, 3.0) == []


def test_what_was_under_way_when_the_line_broke_is_due_again() -> None:
    told = Told()
    told.see_and_acknowledge({1: "A"})
    told.see({1: "B"}, 1.0)
    told.reporter.disconnected()
    told.reporter.connected()
    assert told.see({1: "B"}, 2.0) == [(1, "B")]


def test_an_old_value_is_told_again_where_a_newer_one_may_have_arrived_before_the_line_broke() -> None:
    told = Told()
    told.see_and_acknowledge({1: "A"})
    told.see({1: "B"}, 1.0)
    told.reporter.disconnected()
    told.see({1: "A"}, 2.0)
    told.reporter.connected()
    assert told.see({1: "A"}, 3.0) == [(1, "A")]
    told.reporter.acknowledged(1)
    assert told.see({1: "A"}, 4.0) == []


def test_time_spent_offline_counts_for_the_minimum_duration() -> None:
    told = Told()
    told.see_and_acknowledge({1: "A"})
    told.reporter.disconnected()
    told.see({1: "B"}, 10.0, minimum_s=5.0)
    told.reporter.connected()
    assert told.see({1: "B"}, 16.0, minimum_s=5.0) == [(1, "B")]


def test_a_reset_makes_everything_due_and_acknowledgements_of_before_tell_nothing() -> None:
    told = Told()
    told.see_and_acknowledge({1: "A", 2: "A"})
    told.see({1: "B", 2: "A"}, 1.0)
    told.reporter.reset()
    assert told.see({1: "B", 2: "A"}, 2.0, minimum_s=60.0) == [(2, "A"), (1, "B")]
    told.reporter.acknowledged(1)
    told.reporter.reset()
    told.reporter.acknowledged(1)
    assert told.see({1: "B", 2: "A"}, 3.0) == [(2, "A"), (1, "B")]


def test_a_failed_report_is_due_again_after_a_while_and_given_up_after_three_times() -> None:
    told = Told()
    now_s = 0.0
    assert told.see({1: "A"}, now_s) == [(1, "A")]
    for _ in range(MAX_FAILURES - 1):
        told.reporter.failed(1)
        assert told.see({1: "A"}, now_s) == []
        assert told.see({1: "A"}, now_s + RETRY_S - 0.1) == []
        now_s += RETRY_S
        assert told.see({1: "A"}, now_s) == [(1, "A")]
    told.reporter.failed(1)
    for tick in range(1, 10):
        assert told.see({1: "A"}, now_s + RETRY_S * tick) == []


def test_a_report_given_up_is_due_again_after_a_change_and_after_a_reconnect() -> None:
    told = Told()
    for n in range(MAX_FAILURES):
        told.see({1: "A"}, n * RETRY_S)
        told.reporter.failed(1)
        told.see({1: "A"}, n * RETRY_S)
    assert told.see({1: "B"}, 1000.0) == [(1, "B")]
    for n in range(MAX_FAILURES):
        told.reporter.failed(1)
        told.see({1: "B"}, 2000.0)
        told.see({1: "B"}, 2000.0 + RETRY_S * (n + 1))
    told.reporter.disconnected()
    told.reporter.connected()
    assert told.see({1: "B"}, 2001.0) == [(1, "B")]


def test_a_value_whose_report_failed_is_corrected_even_by_the_one_before() -> None:
    told = Told()
    told.see_and_acknowledge({1: "A"})
    told.see({1: "B"}, 1.0)
    told.reporter.failed(1)  # a time-out: B may have arrived
    assert told.see({1: "A"}, 2.0) == [(1, "A")]


def test_the_failure_of_an_old_value_does_not_hold_the_current_one_back() -> None:
    told = Told()
    told.see_and_acknowledge({1: "A"})
    told.see({1: "B"}, 1.0)
    told.see({1: "C"}, 2.0, minimum_s=5.0)
    told.reporter.failed(1)
    assert told.see({1: "C"}, 3.0, minimum_s=5.0) == []
    assert told.see({1: "C"}, 7.0, minimum_s=5.0) == [(1, "C")]


def test_a_failed_old_value_is_not_replayed_behind_a_newer_one() -> None:
    told = Told()
    told.see({1: "A"})
    told.see({1: "B"}, 1.0)
    told.reporter.failed(1)
    told.reporter.acknowledged(1)
    assert told.see({1: "B"}, 1e6) == []


def test_a_flapping_key_hands_out_a_bounded_number_and_then_the_latest() -> None:
    told = Told()
    handed = sum(len(told.see({1: "AB"[n % 2]}, float(n))) for n in range(1000))
    assert handed == MAX_UNACKNOWLEDGED
    told.see({1: "C"}, 1000.0)
    told.reporter.acknowledged(1)
    assert told.see({1: "C"}, 1001.0) == [(1, "C")]


def test_a_key_that_disappears_is_forgotten_but_its_answer_may_still_come() -> None:
    told = Told()
    told.see({1: "A"})
    told.see({}, 1.0)
    told.reporter.acknowledged(1)
    told.see({}, 2.0)
    assert told.see({1: "A"}, 3.0) == [(1, "A")]


def test_an_outcome_for_nothing_is_our_bug() -> None:
    told = Told()
    told.see_and_acknowledge({1: "A"})
    for outcome in (told.reporter.acknowledged, told.reporter.failed):
        for key in (1, 2):
            with pytest.raises(LocalProtocolError):
                outcome(key)
