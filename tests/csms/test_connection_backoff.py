"""The sequence of waits between attempts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.csms.backoff import LONGEST_S, SHORTEST_S, BackOff, BackOffPolicy


def back_off(policy: BackOffPolicy, *randoms: float) -> BackOff:
    numbers = iter(randoms)
    return BackOff(lambda: policy, lambda: next(numbers, 0.0))


@pytest.mark.req("20-J-04")
def test_the_wait_doubles_the_configured_number_of_times_and_then_stays() -> None:
    waits = back_off(BackOffPolicy(minimum_s=5.0, random_s=10.0, repeat_times=3))
    assert [waits.next_s() for _ in range(6)] == [5.0, 10.0, 20.0, 40.0, 40.0, 40.0]


@pytest.mark.req("20-J-04")
def test_each_wait_has_a_random_part_of_its_own() -> None:
    waits = back_off(BackOffPolicy(minimum_s=5.0, random_s=10.0, repeat_times=1), 0.1, 0.9, 0.5)
    assert [waits.next_s() for _ in range(3)] == [6.0, 19.0, 15.0]


@pytest.mark.req("20-J-04")
def test_success_starts_the_sequence_again() -> None:
    waits = back_off(BackOffPolicy(minimum_s=5.0, random_s=0.0, repeat_times=3))
    waits.next_s()
    waits.next_s()
    waits.succeeded()
    assert waits.next_s() == 5.0


def test_a_changed_policy_counts_at_the_next_wait() -> None:
    policy = BackOffPolicy(minimum_s=5.0, random_s=0.0, repeat_times=3)
    waits = BackOff(lambda: policy, lambda: 0.0)
    waits.next_s()
    policy = BackOffPolicy(minimum_s=7.0, random_s=0.0, repeat_times=0)
    assert waits.next_s() == 7.0


@settings(deadline=None)
@given(
    st.builds(BackOffPolicy, minimum_s=st.floats(-1e9, 1e9), random_s=st.floats(-1e9, 1e9), repeat_times=st.integers()),
    st.lists(st.floats(0.0, 1.0, exclude_max=True), max_size=30),
)
def test_no_policy_makes_a_wait_shorter_than_a_second_or_longer_than_a_day(
    policy: BackOffPolicy, randoms: list[float]
) -> None:
    waits = back_off(policy, *randoms)
    for _ in range(30):
        assert SHORTEST_S <= waits.next_s() <= LONGEST_S
