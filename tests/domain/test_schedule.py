"""The arithmetic of schedules: held against a plain reading of the rules, second by second."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.charging import (
    ChargingProfile,
    ChargingSchedule,
    ProfileKind,
    ProfilePurpose,
    RateUnit,
    Recurrency,
    SchedulePeriod,
)
from edged.domain.schedule import (
    DAY_S,
    FOREVER_S,
    Claim,
    Feed,
    Rate,
    Stack,
    flaw_of_periods,
    milliamperes,
    plan_of,
    second,
    share,
    stretch,
    tabulate,
    tenths,
)

NOON = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)
NOON_S = second(NOON)
SPAN_S = 400


def periods(*pairs: tuple[int, float]) -> tuple[SchedulePeriod, ...]:
    return tuple(SchedulePeriod(start_s=start_s, limit=limit) for start_s, limit in pairs)


def profile(
    *pairs: tuple[int, float],
    level: int = 0,
    kind: ProfileKind = ProfileKind.ABSOLUTE,
    recurrency: Recurrency | None = None,
    start_s: int | None = 0,
    duration_s: int | None = None,
    valid_from_s: int | None = None,
    valid_to_s: int | None = None,
    unit: RateUnit = RateUnit.AMPERES,
) -> ChargingProfile:
    """Times in seconds from noon."""

    def at(offset_s: int | None) -> datetime | None:
        return None if offset_s is None else NOON + timedelta(seconds=offset_s)

    return ChargingProfile(
        id=1,
        stack_level=level,
        purpose=ProfilePurpose.TX_DEFAULT,
        kind=kind,
        recurrency=recurrency,
        valid_from=at(valid_from_s),
        valid_to=at(valid_to_s),
        schedule=ChargingSchedule(
            unit=unit,
            periods=periods(*(pairs or ((0, 10.0),))),
            duration_s=duration_s,
            start=None if kind is ProfileKind.RELATIVE else at(start_s),
        ),
    )


def said(one: ChargingProfile, offset_s: int, *, started_s: int = 0) -> float | None:
    """What a profile says so many seconds after noon."""
    rate = stretch(plan_of(one, NOON_S + started_s), NOON_S + offset_s).rate
    return None if rate is None else rate.limit


# --- one profile


def test_a_period_lasts_until_the_next_begins_and_the_last_for_ever() -> None:
    one = profile((0, 10.0), (60, 16.0))
    assert [said(one, at_s) for at_s in (0, 59, 60, 10**6)] == [10.0, 10.0, 16.0, 16.0]


@pytest.mark.req("16-SC-09")
def test_a_schedule_is_silent_after_its_duration_and_never_comes_to_a_period_behind_it() -> None:
    one = profile((0, 10.0), (60, 16.0), duration_s=60)
    assert [said(one, at_s) for at_s in (59, 60, 61)] == [10.0, None, None]


def test_an_absolute_schedule_waits_for_its_start() -> None:
    assert [said(profile(start_s=30), at_s) for at_s in (0, 29, 30)] == [None, None, 10.0]


@pytest.mark.req("16-SC-06")
def test_a_profile_is_valid_from_its_first_moment_on_and_before_its_last() -> None:
    one = profile(valid_from_s=10, valid_to_s=20)
    assert [said(one, at_s) for at_s in (9, 10, 19, 20)] == [None, 10.0, 10.0, None]


@pytest.mark.req("16-SC-08")
def test_a_relative_schedule_counts_from_the_transaction() -> None:
    one = profile((0, 10.0), (60, 16.0), kind=ProfileKind.RELATIVE)
    assert [said(one, at_s, started_s=5) for at_s in (5, 64, 65)] == [10.0, 10.0, 16.0]


def test_a_transaction_that_seems_to_begin_later_has_just_begun() -> None:
    one = profile((0, 10.0), (60, 16.0), kind=ProfileKind.RELATIVE)
    assert said(one, 0, started_s=3600) == 10.0


@pytest.mark.req("16-SC-09")
@pytest.mark.parametrize(("recurrency", "every_s"), [(Recurrency.DAILY, DAY_S), (Recurrency.WEEKLY, 7 * DAY_S)])
def test_a_recurring_schedule_leaves_a_gap_where_it_is_shorter(recurrency: Recurrency, every_s: int) -> None:
    one = profile(kind=ProfileKind.RECURRING, recurrency=recurrency, duration_s=60)
    assert [said(one, n * every_s + at_s) for n in (0, 1, 5) for at_s in (0, 59, 60)] == [10.0, 10.0, None] * 3
    assert said(one, -every_s) is None


@pytest.mark.req("16-SC-09")
def test_a_recurring_schedule_is_cut_where_it_is_longer() -> None:
    one = profile(
        (0, 10.0), (DAY_S, 99.0), kind=ProfileKind.RECURRING, recurrency=Recurrency.DAILY, duration_s=2 * DAY_S
    )
    assert {said(one, at_s) for at_s in range(0, 5 * DAY_S, 3600)} == {10.0}


# --- several profiles


def test_the_first_that_speaks_prevails_and_the_answer_says_for_how_long() -> None:
    high, low = profile((0, 6.0), start_s=100, duration_s=50), profile((0, 12.0), (500, 13.0))
    stack = Stack([plan_of(high, 0), plan_of(low, 0)])
    found = [stack.at(NOON_S + at_s) for at_s in (0, 100, 150, 600)]
    assert [one.rate and one.rate.limit for one in found] == [12.0, 6.0, 12.0, 13.0]
    assert [one.until_s - NOON_S for one in found[:3]] == [100, 150, 500]
    assert found[3].until_s == FOREVER_S


RATES = st.sampled_from((0.0, 6.0, 7.3, 10.0, 16.1, 32.0))


@st.composite
def profiles(draw: st.DrawFn) -> ChargingProfile:
    """Anything that a CSMS could install, with its changes near noon."""
    kind = draw(st.sampled_from(ProfileKind))
    count = draw(st.integers(1, 4))
    starts = sorted(draw(st.sets(st.integers(1, SPAN_S), min_size=count - 1, max_size=count - 1)))
    near = st.integers(-SPAN_S // 2, SPAN_S)
    start_s = draw(near)
    recurrency = None
    if kind is ProfileKind.RECURRING:
        recurrency = draw(st.sampled_from(Recurrency))
        start_s -= draw(st.integers(0, 15)) * DAY_S
    valid_from_s = draw(st.none() | near)
    return profile(
        *zip([0, *starts], draw(st.lists(RATES, min_size=count, max_size=count)), strict=True),
        kind=kind,
        recurrency=recurrency,
        start_s=start_s,
        duration_s=draw(st.none() | st.integers(1, SPAN_S) | st.just(10 * DAY_S)),
        valid_from_s=valid_from_s,
        valid_to_s=draw(st.none() | st.integers((valid_from_s or -SPAN_S) + 1, 2 * SPAN_S)),
        unit=draw(st.sampled_from(RateUnit)),
    )


def naively(one: ChargingProfile, at: datetime, started: datetime) -> Rate | None:
    """The rules read out, for one moment."""
    if one.valid_from is not None and at < one.valid_from:
        return None
    if one.valid_to is not None and not at < one.valid_to:
        return None
    schedule = one.schedule
    begin = started if one.kind is ProfileKind.RELATIVE else schedule.start
    assert begin is not None
    if at < begin:
        return None
    if one.recurrency is not None:
        every = timedelta(days=1 if one.recurrency is Recurrency.DAILY else 7)
        while at - begin >= every:
            begin += every
    since_s = (at - begin).total_seconds()
    if schedule.duration_s is not None and since_s >= schedule.duration_s:
        return None
    limit = next(period.limit for period in reversed(schedule.periods) if period.start_s <= since_s)
    return Rate(limit, schedule.unit)


def naively_first(ordered: Sequence[ChargingProfile], at: datetime, started: datetime) -> Rate | None:
    found = (naively(one, at, started) for one in ordered)
    return next((rate for rate in found if rate is not None), None)


@given(st.lists(profiles(), max_size=6))
def test_a_stack_says_at_every_second_what_the_rules_say(ordered: list[ChargingProfile]) -> None:
    stack = Stack([plan_of(one, NOON_S) for one in ordered])
    for at_s in range(SPAN_S):
        at = NOON + timedelta(seconds=at_s)
        assert stack.at(NOON_S + at_s).rate == naively_first(ordered, at, NOON)


@given(st.lists(profiles(), max_size=6))
def test_whoever_only_looks_when_told_to_misses_nothing(ordered: list[ChargingProfile]) -> None:
    stack = Stack([plan_of(one, NOON_S) for one in ordered])

    def level(at_s: int) -> tuple[float, int]:
        rate, until_s = stack.at(at_s)
        return (99.0 if rate is None else rate.limit), until_s

    found = tabulate(level, start_s=NOON_S, duration_s=SPAN_S, max_periods=SPAN_S, max_steps=10 * SPAN_S)
    assert found.duration_s == SPAN_S
    assert found.periods[0][0] == 0
    assert all(one[1] != later[1] for one, later in zip(found.periods, found.periods[1:], strict=False))
    for at_s in range(SPAN_S):
        rate = naively_first(ordered, NOON + timedelta(seconds=at_s), NOON)
        limit = next(limit for start_s, limit in reversed(found.periods) if start_s <= at_s)
        assert limit == (99.0 if rate is None else rate.limit)


def test_a_schedule_with_too_many_changes_ends_where_the_last_was_found() -> None:
    def level(at_s: int) -> tuple[float, int]:
        return float(at_s % 2), at_s + 1

    assert tabulate(level, start_s=0, duration_s=100, max_periods=5, max_steps=50).duration_s == 5
    assert tabulate(level, start_s=0, duration_s=100, max_periods=50, max_steps=5).duration_s == 5


# --- amperes and watts


@pytest.mark.req("16-SC-12")
@pytest.mark.parametrize(
    ("rate", "phases", "voltage_v", "ampere"),
    [
        (Rate(16.0, RateUnit.AMPERES), 1, 230.0, 16.0),
        (Rate(16.0, RateUnit.AMPERES), 3, 230.0, 16.0),
        (Rate(11_040.0, RateUnit.WATTS), 3, 230.0, 16.0),
        (Rate(3_680.0, RateUnit.WATTS), 1, 230.0, 16.0),
        (Rate(11_040.0, RateUnit.WATTS), 1, 230.0, 48.0),
        (Rate(1_920.0, RateUnit.WATTS), 1, 120.0, 16.0),
        (Rate(0.0, RateUnit.WATTS), 3, 230.0, 0.0),
    ],
)
def test_amperes_are_a_phase_and_watts_of_all_that_are_wired(
    rate: Rate, phases: int, voltage_v: float, ampere: float
) -> None:
    feed = Feed(phases=phases, voltage_v=voltage_v, least_a=6.0, most_a=63.0)
    assert feed.amperes(rate) == pytest.approx(ampere)


@pytest.mark.req("16-SC-17")
@pytest.mark.parametrize(
    ("limit", "given_a"), [(0.0, 0.0), (0.1, 0.0), (5.9, 0.0), (6.0, 6.0), (31.9, 31.9), (40.0, 32.0)]
)
def test_below_the_least_nothing_is_given_and_above_the_most_the_most(limit: float, given_a: float) -> None:
    feed = Feed(phases=3, voltage_v=230.0, least_a=6.0, most_a=32.0)
    assert feed.given(Rate(limit, RateUnit.AMPERES)) == given_a


def test_without_a_rate_the_most_is_given() -> None:
    assert Feed(phases=3, voltage_v=230.0, least_a=6.0, most_a=32.0).given(None) == 32.0


@pytest.mark.req("16-SC-13")
@pytest.mark.parametrize(("value", "shown"), [(16.0, 16.0), (15.99, 15.9), (16.1, 16.1), (6000 / 690 * 690, 6000.0)])
def test_one_decimal_is_shown_rounded_down(value: float, shown: float) -> None:
    assert tenths(value) == shown


@given(st.integers(0, 10**6))
def test_a_limit_with_one_decimal_stays_as_it_is(tenth: int) -> None:
    assert tenths(tenth / 10) == tenth / 10
    assert milliamperes(tenth / 10) == tenth * 100


@given(st.floats(0, 1e6), st.sampled_from((1, 3)), st.floats(100, 300))
def test_the_hardware_never_gets_more_watts_than_were_allowed(watts: float, phases: int, voltage_v: float) -> None:
    feed = Feed(phases=phases, voltage_v=voltage_v, least_a=6.0, most_a=1000.0)
    limit_ma = milliamperes(feed.given(Rate(watts, RateUnit.WATTS)))
    assert limit_ma / 1000 * voltage_v * phases <= watts + 0.001


# --- sharing


def claims(*most: float, least: float = 6.0) -> list[Claim]:
    return [Claim(least_a=least, most_a=one) for one in most]


@pytest.mark.parametrize(
    ("budget", "most", "parts"),
    [
        (32.0, (32.0,), [32.0]),
        (20.0, (32.0, 32.0), [10.0, 10.0]),
        (12.0, (32.0, 32.0), [6.0, 6.0]),
        (11.9, (32.0, 32.0), [11.9, 0.0]),
        (30.0, (8.0, 32.0), [8.0, 22.0]),
        (30.0, (32.0, 8.0, 32.0), [11.0, 8.0, 11.0]),
        (100.0, (16.0, 16.0), [16.0, 16.0]),
        (5.9, (32.0,), [0.0]),
        (0.0, (32.0, 32.0), [0.0, 0.0]),
        (20.0, (0.0, 32.0), [0.0, 20.0]),
        (20.0, (), []),
    ],
)
def test_who_came_first_gets_the_least_and_all_rise_together(
    budget: float, most: tuple[float, ...], parts: list[float]
) -> None:
    assert share(budget, claims(*most)) == pytest.approx(parts)


def test_who_needs_less_may_be_served_behind_who_found_too_little() -> None:
    three, one = Claim(least_a=6.0, most_a=32.0, cost=690.0), Claim(least_a=6.0, most_a=32.0, cost=230.0)
    assert share(2300.0, [three, one]) == pytest.approx([0.0, 10.0])


def test_what_arithmetic_loses_takes_nothing_from_anybody() -> None:
    switched = [Claim(least_a=16.0, most_a=16.0), Claim(least_a=32.0, most_a=32.0)]
    assert share(48.0 - 1e-7, switched) == [16.0, 32.0]


def test_who_cannot_be_told_takes_its_part_off_first() -> None:
    deaf = Claim(least_a=32.0, most_a=32.0, fixed=True)
    assert share(40.0, [*claims(32.0), deaf]) == pytest.approx([8.0, 32.0])
    assert share(20.0, [*claims(32.0), deaf]) == pytest.approx([0.0, 32.0])


@st.composite
def any_claims(draw: st.DrawFn) -> list[Claim]:
    found = []
    for _ in range(draw(st.integers(0, 6))):
        least_a = draw(st.sampled_from((6.0, 8.0, 13.0)))
        most_a = draw(st.just(0.0) | st.floats(least_a, 63.0))
        found.append(Claim(least_a=least_a, most_a=most_a, cost=draw(st.sampled_from((1.0, 230.0, 690.0)))))
    return found


@given(st.floats(0, 50_000), any_claims())
def test_parts_never_exceed_the_budget_and_are_nothing_or_enough(budget: float, asked: list[Claim]) -> None:
    parts = share(budget, asked)
    assert sum(part * one.cost for part, one in zip(parts, asked, strict=True)) <= budget + 1e-3
    for part, one in zip(parts, asked, strict=True):
        assert part == 0.0 or one.least_a - 1e-9 <= part <= one.most_a + 1e-9


@given(st.floats(0, 50_000), any_claims())
def test_nothing_is_left_over_while_somebody_who_charges_could_use_it(budget: float, asked: list[Claim]) -> None:
    parts = share(budget, asked)
    left = budget - sum(part * one.cost for part, one in zip(parts, asked, strict=True))
    hungry = [part for part, one in zip(parts, asked, strict=True) if 0 < part < one.most_a - 1e-6]
    assert not hungry or left < 1e-3
    levels = [part for part, one in zip(parts, asked, strict=True) if one.least_a + 1e-6 < part < one.most_a - 1e-6]
    assert not levels or max(levels) - min(levels) < 1e-6


# --- what makes no sense


@pytest.mark.req("16-SC-03")
@pytest.mark.parametrize(
    "wrong",
    [
        (),
        periods((1, 10.0)),
        periods((0, 10.0), (0, 11.0)),
        periods((0, 10.0), (60, 11.0), (30, 12.0)),
        periods((0, -0.1)),
        periods((0, float("nan"))),
        periods((0, float("inf"))),
        (SchedulePeriod(start_s=0, limit=10.0, phases=0),),
        (SchedulePeriod(start_s=0, limit=10.0, phases=4),),
    ],
)
def test_periods_that_make_no_sense_are_found(wrong: tuple[SchedulePeriod, ...]) -> None:
    assert flaw_of_periods(wrong)


def test_periods_that_make_sense_are_not_complained_about() -> None:
    assert flaw_of_periods(periods((0, 0.0), (60, 10.5))) == ""
    assert flaw_of_periods((SchedulePeriod(start_s=0, limit=10.0, phases=3),)) == ""
