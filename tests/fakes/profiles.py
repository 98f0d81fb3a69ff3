"""Charging profiles for tests, and the moves of a CSMS that sets, clears and asks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from edged.domain.charging import (
    ChargingProfile,
    ChargingSchedule,
    CompositeSchedule,
    ProfileKind,
    ProfilePurpose,
    RateUnit,
    Recurrency,
    SchedulePeriod,
)
from edged.domain.charging_commands import ClearChargingProfile, GetCompositeSchedule, SetChargingProfile
from tests.fakes.site import START, Site

DEFAULT, TX, STATION = ProfilePurpose.TX_DEFAULT, ProfilePurpose.TX, ProfilePurpose.STATION_MAX
ABSOLUTE, RECURRING, RELATIVE = ProfileKind.ABSOLUTE, ProfileKind.RECURRING, ProfileKind.RELATIVE
A, W = RateUnit.AMPERES, RateUnit.WATTS
DAY_S = 86_400


def after(seconds: float | None) -> datetime | None:
    """A moment, from the start of every `Site`."""
    return None if seconds is None else START + timedelta(seconds=seconds)


def profile(
    *pairs: tuple[int, float],
    id: int = 1,
    level: int = 0,
    purpose: ProfilePurpose = DEFAULT,
    kind: ProfileKind = ABSOLUTE,
    recurrency: Recurrency | None = None,
    start_s: float | None = 0,
    duration_s: int | None = None,
    valid_from_s: float | None = None,
    valid_to_s: float | None = None,
    unit: RateUnit = A,
    phases: int | None = None,
) -> ChargingProfile:
    """A profile with these periods (start, limit); moments in seconds from the start of every `Site`."""
    periods = tuple(SchedulePeriod(start_s=s, limit=limit, phases=phases) for s, limit in pairs or ((0, 10.0),))
    start = None if kind is RELATIVE else after(start_s)
    return ChargingProfile(
        id=id,
        stack_level=level,
        purpose=purpose,
        kind=kind,
        recurrency=recurrency,
        valid_from=after(valid_from_s),
        valid_to=after(valid_to_s),
        schedule=ChargingSchedule(unit=unit, periods=periods, duration_s=duration_s, start=start),
    )


def put(site: Site, one: ChargingProfile, evse: int = 1, **more: Any) -> Any:
    """The answer to SetChargingProfile."""
    place = {} if "connector" in more else {"evse": evse}
    site.do(SetChargingProfile(request=site.ref("SetChargingProfile"), profile=one, **place, **more))
    return site.reply().status


def clear(site: Site, **which: Any) -> Any:
    site.do(ClearChargingProfile(request=site.ref("ClearChargingProfile"), **which))
    return site.reply().status


def ask(site: Site, evse: int = 1, *, duration_s: int = 600, unit: RateUnit | None = None, **more: Any) -> Any:
    """The composite schedule, or the status where there is none."""
    place = {} if "connector" in more else {"evse": evse}
    site.do(
        GetCompositeSchedule(
            request=site.ref("GetCompositeSchedule"), duration_s=duration_s, unit=unit, **place, **more
        )
    )
    found = site.reply().data
    return found if isinstance(found, CompositeSchedule) else site.reply().status


def curve(composite: CompositeSchedule) -> list[tuple[int, float]]:
    return [(period.start_s, period.limit) for period in composite.schedule.periods]


def limit_at(composite: CompositeSchedule, at_s: int) -> float:
    return next(period.limit for period in reversed(composite.schedule.periods) if period.start_s <= at_s)


LIMITS = {A: (0.0, 5.9, 6.0, 7.3, 10.0, 16.1, 40.0), W: (0.0, 4139.0, 4140.0, 6000.0, 11_040.0, 50_000.0)}


@st.composite
def profiles(draw: st.DrawFn, purposes: Sequence[ProfilePurpose], *, span_s: int = 300) -> ChargingProfile:
    """Anything sound that a CSMS could install, with its changes within the span."""
    purpose = draw(st.sampled_from(purposes))
    kinds = [ABSOLUTE, RECURRING] if purpose is STATION else [ABSOLUTE, RECURRING, RELATIVE]
    kind = draw(st.sampled_from(kinds))
    count = draw(st.integers(1, 4))
    starts = sorted(draw(st.sets(st.integers(1, span_s), min_size=count - 1, max_size=count - 1)))
    near = st.integers(-span_s // 2, span_s)
    start_s, recurrency = draw(near), None
    if kind is RECURRING:
        recurrency = draw(st.sampled_from(Recurrency))
        start_s -= draw(st.integers(0, 15)) * DAY_S
    valid_from_s = draw(st.none() | near)
    unit = draw(st.sampled_from(RateUnit))
    return profile(
        *((s, draw(st.sampled_from(LIMITS[unit]))) for s in (0, *starts)),
        id=draw(st.integers(1, 20)),
        level=draw(st.integers(0, 5)),
        purpose=purpose,
        kind=kind,
        recurrency=recurrency,
        start_s=start_s,
        duration_s=draw(st.none() | st.integers(1, span_s) | st.just(10 * DAY_S)),
        valid_from_s=valid_from_s,
        valid_to_s=draw(st.none() | st.integers(max(1, (valid_from_s or 0) + 1), 2 * span_s)),
        unit=unit,
    )
