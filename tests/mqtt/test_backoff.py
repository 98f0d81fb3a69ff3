"""Delays between attempts, and the rival with the same client id."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edged.mqtt.backoff import Backoff


def test_the_delay_doubles_up_to_the_last() -> None:
    backoff = Backoff(first_s=0.5, last_s=30.0)
    delays = []
    for _ in range(9):
        backoff.failed()
        delays.append(backoff.delay_s(1.0))
    assert delays == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_the_delay_is_bounded_and_never_nothing(failures: int, jitter: float) -> None:
    backoff = Backoff(first_s=0.5, last_s=30.0)
    for _ in range(min(failures, 200)):
        backoff.failed()
    assert 0.375 <= backoff.delay_s(jitter) <= 30.0


def test_a_connection_that_proved_itself_starts_the_row_anew() -> None:
    backoff = Backoff(first_s=0.5, last_s=30.0)
    for _ in range(5):
        backoff.failed()
    backoff.ended(after_s=60.0)
    assert backoff.delay_s(1.0) == 0.5


def test_three_short_lives_look_like_a_rival_and_two_do_not() -> None:
    backoff = Backoff(first_s=0.5, last_s=30.0)
    backoff.ended(after_s=1.0)
    backoff.ended(after_s=4.9)
    assert not backoff.contested
    backoff.ended(after_s=0.0)
    assert backoff.contested
    assert backoff.delay_s(1.0) == 2.0, "rivals must slow down"


def test_a_long_life_ends_the_suspicion() -> None:
    backoff = Backoff(first_s=0.5, last_s=30.0)
    for _ in range(3):
        backoff.ended(after_s=1.0)
    backoff.ended(after_s=5.0)
    assert not backoff.contested
