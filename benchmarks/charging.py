"""Charging profiles: a composite schedule of a day, and what a second costs, with as many profiles as may be installed.

The core alone, in this process: no line, no disk. The baseline of the schedule reads the rules out for every second of
the day, as the tests do; that of a second is the same station without any profile.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from benchmarks.report import Row
from edged.domain.charging import (
    ChargingProfile,
    ChargingSchedule,
    InstalledProfile,
    ProfileKind,
    ProfilePurpose,
    RateUnit,
    Recurrency,
    SchedulePeriod,
)
from edged.domain.charging_commands import GetCompositeSchedule
from edged.domain.configuration import Configuration
from edged.domain.events import Event, Started, Tick
from edged.domain.hardware import Capability
from edged.domain.policy import Policy, ReservationUse
from edged.domain.station import Boot, Connector, ConnectorLayout, Identity, SiteRules, Station, Transaction
from edged.domain.step import step
from edged.domain.types import IdToken, Now, RequestRef

CONNECTORS = 12
PROFILES = 100
PERIODS = 24
DAY_S = 86_400
LIMIT_MS = 5.0
LIMIT_RATIO = 1.5
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
NOW = Now(NOON, 1000.0, True)


def rows(quick: bool) -> list[Row]:
    repetitions = 5 if quick else 100
    new = _station(_spread())
    spread, stacked = (step(station, Tick(), NOW).station for station in (new, _station(_stacked())))
    found = []
    for name, station in (("on 12 EVSEs and the station", spread), ("stacked on one EVSE", stacked)):
        ask = GetCompositeSchedule(request=RequestRef("bench", "1"), evse=1, duration_s=DAY_S)
        found.append(
            Row(
                name=f"composite schedule of a day, {PROFILES} profiles {name}",
                value=1000 * _median_s(station, ask, repetitions),
                unit="ms",
                baseline="the rules read out for every second",
                baseline_value=1000 * _naive_s(station, DAY_S),
                limit=LIMIT_MS,
                how=f"12 transactions run; {PERIODS} periods in each profile; median of {repetitions}, baseline once",
            )
        )
    plain_us = 1e6 * _median_s(_station(()), Tick(), 20 * repetitions)
    how = f"one Tick, {CONNECTORS} transactions run; median of {20 * repetitions}"
    for name, station, limit in (
        ("nothing changes", spread, LIMIT_RATIO),
        ("a period begins", new, None),
    ):
        found.append(
            Row(
                name=f"a second with {PROFILES} profiles, {name}",
                value=1e6 * _median_s(station, Tick(), 20 * repetitions),
                unit="us",
                baseline="without any profile",
                baseline_value=plain_us,
                limit=limit,
                relative=True,
                how=how,
            )
        )
    return found


def _median_s(station: Station, event: Event, repetitions: int) -> float:
    return statistics.median(_timed(lambda: step(station, event, NOW)) for _ in range(repetitions))


def _timed(what: Callable[[], object]) -> float:
    began = time.perf_counter()
    what()
    return time.perf_counter() - began


# --- what is measured


def _profile(number: int, level: int, purpose: ProfilePurpose, *, hours: int = 24) -> ChargingProfile:
    periods = tuple(
        SchedulePeriod(start_s=hour * 3600 + number, limit=6.0 + (hour * 7 + number) % 26) for hour in range(1, PERIODS)
    )
    return ChargingProfile(
        id=number,
        stack_level=level,
        purpose=purpose,
        kind=ProfileKind.RECURRING,
        recurrency=Recurrency.DAILY,
        schedule=ChargingSchedule(
            unit=RateUnit.AMPERES,
            periods=(SchedulePeriod(start_s=0, limit=10.0), *periods),
            duration_s=hours * 3600,
            start=NOON - timedelta(days=30, hours=number),
        ),
    )


def _spread() -> tuple[InstalledProfile, ...]:
    """Eight levels on each EVSE, of which the higher ones speak a few hours a day, and four for the station."""
    found = []
    for number in range(PROFILES - 4):
        evse_id, level = number % CONNECTORS + 1, number // CONNECTORS
        one = _profile(number + 1, level, ProfilePurpose.TX_DEFAULT, hours=24 - 3 * level)
        found.append(InstalledProfile(evse_id=evse_id, profile=one))
    for number in range(PROFILES - 4, PROFILES):
        one = _profile(number + 1, number, ProfilePurpose.STATION_MAX, hours=PROFILES + 1 - number)
        found.append(InstalledProfile(evse_id=0, profile=one))
    return tuple(found)


def _stacked() -> tuple[InstalledProfile, ...]:
    """All on one EVSE, one level each; each speaks an hour a day."""
    return tuple(
        InstalledProfile(evse_id=1, profile=_profile(number + 1, number, ProfilePurpose.TX_DEFAULT, hours=1))
        for number in range(PROFILES)
    )


def _station(profiles: Sequence[InstalledProfile]) -> Station:
    connectors = {}
    for number in range(1, CONNECTORS + 1):
        shape = ConnectorLayout(
            number=number,
            evse_id=number,
            connector_id=1,
            charger=f"c{number}",
            connector_type="cType2",
            capabilities=frozenset({Capability.LIMIT, Capability.WITHHOLD}),
            measurands=frozenset(),
        )
        connectors[number] = Connector(
            layout=shape, capabilities=shape.capabilities, plugged=True, online=True, transaction_id=f"t{number}"
        )
    fresh = Station(
        identity=Identity(id="BENCH", vendor="edged", model="bench"),
        policy=Policy(
            reservation_used=ReservationUse.TRANSACTION_STARTED,
            start_points=frozenset(),
            update_triggers=frozenset(),
            reservation_records=False,
            csms_names_transactions=True,
        ),
        rules=SiteRules(),
        boot=Boot(id="b", floor=NOON, started_s=0.0),
        configuration=Configuration(changed={}, site={}, computed={"UnlockConnectorOnEVSideDisconnect": "true"}),
        connectors=connectors,
        wall_kept=NOON,
        clock=NOW,
    )
    at = fresh.stamp(NOW)
    running = {
        f"t{number}": Transaction(
            id=f"t{number}",
            connector=number,
            id_token=IdToken("ALICE"),
            group=None,
            started=at,
            meter_start_wh=0.0,
            kept_at=at,
        )
        for number in connectors
    }
    started = step(replace(fresh, transactions=running), Started(continued=True), NOW).station
    settled = step(started, Tick(), NOW).station
    return replace(settled, charging_profiles={one.profile.id: one for one in profiles})


# --- the baseline


def _naive_s(station: Station, duration_s: int) -> float:
    """How long it takes to look at every second of the day, for one EVSE without its share of the station."""
    ordered = sorted(
        (one.profile for one in station.charging_profiles.values() if one.evse_id in (0, 1)),
        key=lambda one: -one.stack_level,
    )
    station_max = [one for one in ordered if one.purpose is ProfilePurpose.STATION_MAX]
    defaults = [one for one in ordered if one.purpose is ProfilePurpose.TX_DEFAULT]
    began = time.perf_counter()
    for at_s in range(duration_s):
        at = NOON + timedelta(seconds=at_s)
        min(_naive(defaults, at), _naive(station_max, at))
    return time.perf_counter() - began


def _naive(ordered: Sequence[ChargingProfile], at: datetime) -> float:
    for one in ordered:
        start, duration_s = one.schedule.start, one.schedule.duration_s
        assert start is not None and duration_s is not None
        since_s = (at - start).total_seconds() % DAY_S
        if since_s < duration_s:
            return next(period.limit for period in reversed(one.schedule.periods) if period.start_s <= since_s)
    return 32.0
