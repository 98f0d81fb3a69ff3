"""The arithmetic of charging schedules: when a profile speaks, which one prevails, how EVSEs share. 1.6 §3.13, 2.x K.

Whole seconds since 1970 and amperes a phase; knows no station and no clock. Invariants: one instant has one answer, and
it holds until the second that is told with it · shares never exceed the budget, and each is nothing or at least what
its charger can go down to.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple

from edged.domain.charging import ChargingProfile, ProfileKind, RateUnit, Recurrency, SchedulePeriod

FOREVER_S = 2**62
DAY_S = 86_400
RECURS_S = {Recurrency.DAILY: DAY_S, Recurrency.WEEKLY: 7 * DAY_S}
EPSILON = 1e-6
"""What floating-point arithmetic may lose of a milliampere, a tenth of an ampere or a tenth of a watt."""


class Rate(NamedTuple):
    """A limit as it was written: amperes a phase, or watts of all phases together."""

    limit: float
    unit: RateUnit


class Stretch(NamedTuple):
    """A rate (None: nothing is said) and the second from which it may be another."""

    rate: Rate | None
    until_s: int


def second(moment: datetime) -> int:
    """The whole second in which a moment lies."""
    return math.floor(moment.timestamp())


def moment(at_s: int) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)


# --- one profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A profile prepared for reckoning. It speaks from `since_s` on and before `until_s`; its periods count from
    `origin_s`, again every `repeat_s`, and end after `length_s`."""

    since_s: int
    until_s: int
    origin_s: int
    repeat_s: int | None
    length_s: int
    starts: tuple[int, ...]
    limits: tuple[float, ...]
    unit: RateUnit


def plan_of(profile: ChargingProfile, started_s: int) -> Plan:
    """`started_s`: when the transaction started, from which a Relative schedule counts."""
    schedule = profile.schedule
    since_s = -FOREVER_S if profile.valid_from is None else second(profile.valid_from)
    until_s = FOREVER_S if profile.valid_to is None else second(profile.valid_to)
    if profile.kind is ProfileKind.RELATIVE or schedule.start is None:
        origin_s = started_s
    else:
        origin_s = second(schedule.start)
        since_s = max(since_s, origin_s)
    repeat_s = RECURS_S[profile.recurrency] if profile.recurrency is not None else None
    length_s = FOREVER_S if schedule.duration_s is None else schedule.duration_s
    return Plan(
        since_s=since_s,
        until_s=until_s,
        origin_s=origin_s,
        repeat_s=repeat_s,
        length_s=length_s if repeat_s is None else min(length_s, repeat_s),
        starts=tuple([period.start_s for period in schedule.periods]),
        limits=tuple([period.limit for period in schedule.periods]),
        unit=schedule.unit,
    )


def stretch(plan: Plan, at_s: int) -> Stretch:
    """What a plan says at a second. A transaction that seems to begin later than now (a clock was set back) has just
    begun."""
    if at_s >= plan.until_s:
        return Stretch(None, FOREVER_S)
    if at_s < plan.since_s:
        return Stretch(None, plan.since_s)
    offset_s = max(0, at_s - plan.origin_s)
    base_s = plan.origin_s
    if plan.repeat_s is not None:
        base_s += offset_s - offset_s % plan.repeat_s
        offset_s %= plan.repeat_s
    if offset_s >= plan.length_s:
        again_s = FOREVER_S if plan.repeat_s is None else base_s + plan.repeat_s
        return Stretch(None, min(again_s, plan.until_s))
    index = bisect_right(plan.starts, offset_s) - 1
    end_s = plan.starts[index + 1] if index + 1 < len(plan.starts) else FOREVER_S
    return Stretch(Rate(plan.limits[index], plan.unit), min(base_s + min(end_s, plan.length_s), plan.until_s))


# --- several profiles


class Stack:
    """Plans of which the first that speaks prevails. Asked for one second after the other, never for an earlier one:
    what a plan said holds as long as it said, so only those that may have changed are reckoned again."""

    __slots__ = ("_plans", "_said")

    def __init__(self, plans: Iterable[Plan]) -> None:
        self._plans = tuple(plans)
        self._said = [Stretch(None, -FOREVER_S)] * len(self._plans)

    def at(self, at_s: int) -> Stretch:
        until_s = FOREVER_S
        for index, said in enumerate(self._said):
            if at_s >= said.until_s:
                said = self._said[index] = stretch(self._plans[index], at_s)
            if said.until_s < until_s:
                until_s = said.until_s
            if said.rate is not None:
                return Stretch(said.rate, until_s)
        return Stretch(None, until_s)


# --- what a rate means for a charger


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """How an EVSE is fed: the phases that are wired to it, and between which currents it can be set. One that can only
    be switched has but one current."""

    phases: int
    voltage_v: float
    least_a: float
    most_a: float

    @property
    def watts_per_ampere(self) -> float:
        return self.voltage_v * self.phases

    def amperes(self, rate: Rate) -> float:
        """Amperes a phase. Watts are divided by all phases that are wired, whatever number a profile had in mind: a
        car may use them all, and then it must not take more watts (E3.34 leaves amperes as they are)."""
        return rate.limit if rate.unit is RateUnit.AMPERES else rate.limit / self.watts_per_ampere

    def given(self, rate: Rate | None) -> float:
        """What the EVSE gives under a rate by itself: nothing, or from `least_a` to `most_a` (16-SC-17)."""
        ampere = self.most_a if rate is None else min(self.most_a, self.amperes(rate))
        return ampere if ampere >= self.least_a - EPSILON else 0.0

    def cost(self, unit: RateUnit) -> float:
        """What one ampere takes of a budget in this unit."""
        return 1.0 if unit is RateUnit.AMPERES else self.watts_per_ampere


# --- sharing


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What an EVSE wants of the station's limit: from `least_a` to `most_a`, or nothing where `most_a` is 0. An ampere
    takes `cost` of the budget. A `fixed` one takes its most whatever is decided: it cannot be told."""

    least_a: float
    most_a: float
    cost: float = 1.0
    fixed: bool = False


def share(budget: float, claims: Sequence[Claim]) -> list[float]:
    """Amperes for each claim, together never above the budget.

    First come, first served (in the order of the claims) for the least that a charger can give: below it a car charges
    not at all. Who finds too little left gets nothing; one behind who needs less may still be served. What remains is
    shared out so that all who charge have the same current, as far as each can use it.
    """
    given = [claim.most_a if claim.fixed else 0.0 for claim in claims]
    left = budget - sum(claim.most_a * claim.cost for claim in claims if claim.fixed)
    served: list[int] = []
    for index, claim in enumerate(claims):
        if not claim.fixed and claim.most_a > 0 and claim.least_a * claim.cost <= left + EPSILON:
            left -= claim.least_a * claim.cost
            served.append(index)
    level = _level(left, [claims[index] for index in served])
    for index in served:
        given[index] = min(max(level, claims[index].least_a), claims[index].most_a)
    return given


def _level(left: float, claims: Sequence[Claim]) -> float:
    """The current to which all can rise with what is left beyond their least."""
    left = max(left, 0.0)
    marks = sorted({mark for claim in claims for mark in (claim.least_a, claim.most_a)})
    for low, high in pairwise(marks):
        cost = sum(claim.cost for claim in claims if claim.least_a <= low and claim.most_a >= high)
        if cost * (high - low) > left:
            return low + left / cost
        left -= cost * (high - low)
    return marks[-1] if marks else 0.0


# --- a schedule from all of it


class Levels(NamedTuple):
    """Periods (start, limit) from 0 on, each with another limit than the one before, and how long they hold."""

    periods: tuple[tuple[int, float], ...]
    duration_s: int


def tabulate(
    level: Callable[[int], tuple[float, int]], *, start_s: int, duration_s: int, max_periods: int, max_steps: int
) -> Levels:
    """Go through the time and note what changes. `level`: the limit at a second, and from which second it may be
    another. Limits have one decimal, rounded down. More than `max_periods`, or than `max_steps` possible changes, end
    the schedule early."""
    periods: list[tuple[int, float]] = []
    at_s, end_s = start_s, start_s + duration_s
    for _ in range(max_steps):
        if at_s >= end_s:
            break
        limit, until_s = level(at_s)
        limit = tenths(limit)
        if not periods or periods[-1][1] != limit:
            if len(periods) == max_periods:
                break
            periods.append((at_s - start_s, limit))
        at_s = until_s
    return Levels(tuple(periods), min(at_s, end_s) - start_s)


def tenths(value: float) -> float:
    """Rounded down to one decimal (16-SC-13)."""
    return math.floor(value * 10 + EPSILON * 10) / 10


def milliamperes(ampere: float) -> int:
    """Rounded down: never more than was allowed."""
    return math.floor(ampere * 1000 + EPSILON * 1000)


# --- what makes no sense


def flaw_of_periods(periods: Sequence[SchedulePeriod]) -> str:
    """What is wrong with a schedule's periods, or ""."""
    if not periods or periods[0].start_s != 0:
        return "the first period does not start at 0"
    if any(later.start_s <= one.start_s for one, later in pairwise(periods)):
        return "the periods are not in ascending order"
    if any(not math.isfinite(period.limit) or period.limit < 0 for period in periods):
        return "a limit is not a current or power"
    if any(period.phases is not None and not 1 <= period.phases <= 3 for period in periods):
        return "there are one to three phases"
    return ""
