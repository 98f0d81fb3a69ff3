from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.dialects.times import MAX_TIME_LENGTH, format_time, parse_time

TEN = datetime(2024, 3, 1, 10, 0, 0, tzinfo=UTC)


@pytest.mark.req("16-GEN-03")
@pytest.mark.parametrize(
    "text",
    [
        "2024-03-01T10:00:00Z",
        "2024-03-01T10:00:00z",
        "2024-03-01t10:00:00Z",
        "2024-03-01T10:00:00",
        "2024-03-01 10:00:00",
        "2024-03-01T10:00Z",
        "2024-03-01T10:00:00.0Z",
        "2024-03-01T10:00:00.0000001Z",
        "2024-03-01T10:00:00,000Z",
        "2024-03-01T12:00:00+02:00",
        "2024-03-01T12:00:00+0200",
        "2024-03-01T12:00:00+02",
        "2024-03-01T04:30:00-05:30",
        "20240301T100000Z",
        " 2024-03-01T10:00:00Z ",
    ],
)
def test_a_moment_is_read_in_every_spelling_that_is_sent(text: str) -> None:
    assert parse_time(text) == TEN


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "2024-03-01",
        "10:00:00Z",
        "2024-02-30T10:00:00Z",
        "2024-03-01T25:00:00Z",
        "2024-03-01T10:00:00+25:00",
        "9999-12-31T23:59:59-01:00",
        "0001-01-01T00:00:00+01:00",
        "1709287200",
        "2024-03-01T10:00:00Z" + " " * MAX_TIME_LENGTH,
        None,
        1709287200,
        True,
        ["2024-03-01T10:00:00Z"],
    ],
)
def test_what_is_no_moment_is_none(text: object) -> None:
    assert parse_time(text) is None


def test_fractions_of_a_second_are_kept() -> None:
    assert parse_time("2024-03-01T10:00:00.250Z") == TEN + timedelta(milliseconds=250)


@pytest.mark.req("16-GEN-03")
def test_a_moment_is_written_in_utc_with_z_and_milliseconds() -> None:
    local = datetime(2024, 3, 1, 12, 0, 0, 123_999, tzinfo=timezone(timedelta(hours=2)))
    assert format_time(local) == "2024-03-01T10:00:00.123Z"


@given(st.datetimes(timezones=st.just(UTC)))
def test_what_is_written_is_read_again_to_the_millisecond(moment: datetime) -> None:
    again = parse_time(format_time(moment))
    assert again is not None
    assert timedelta(0) <= moment - again < timedelta(milliseconds=1)


@given(st.text(max_size=80))
def test_any_text_is_a_moment_or_none(text: str) -> None:
    moment = parse_time(text)
    assert moment is None or moment.tzinfo is UTC
