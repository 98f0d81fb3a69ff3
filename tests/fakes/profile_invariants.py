"""What charging profiles must come to after every step, read out of the rules once more, for one moment and naively."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

from edged.domain.charging import (
    ChargingProfile,
    InstalledProfile,
    ProfileKind,
    ProfilePurpose,
    RateUnit,
    Recurrency,
)
from edged.domain.desired import desired
from edged.domain.hardware import Capability
from edged.domain.station import Connector, Station
from edged.domain.types import Now

Limit = tuple[float, RateUnit]


def limit_at(profile: ChargingProfile, at: datetime, started: datetime) -> Limit | None:
    """What a profile says at a moment, counted in whole seconds; None: nothing."""
    at = at.replace(microsecond=0)
    if profile.valid_from is not None and at < profile.valid_from.replace(microsecond=0):
        return None
    if profile.valid_to is not None and at >= profile.valid_to.replace(microsecond=0):
        return None
    schedule = profile.schedule
    begin = started if profile.kind is ProfileKind.RELATIVE else schedule.start
    assert begin is not None
    begin = begin.replace(microsecond=0)
    if profile.kind is ProfileKind.RELATIVE:
        at = max(at, begin)
    if at < begin:
        return None
    since_s = (at - begin).total_seconds()
    if profile.recurrency is not None:
        since_s %= timedelta(days=1 if profile.recurrency is Recurrency.DAILY else 7).total_seconds()
    if schedule.duration_s is not None and since_s >= schedule.duration_s:
        return None
    return next(period.limit for period in reversed(schedule.periods) if period.start_s <= since_s), schedule.unit


def first_limit(profiles: Iterable[InstalledProfile], at: datetime, started: datetime) -> Limit | None:
    """What the highest stack level says that says anything."""
    ordered = sorted(profiles, key=lambda one: -one.profile.stack_level)
    found = (limit_at(one.profile, at, started) for one in ordered)
    return next((limit for limit in found if limit is not None), None)


def own_limit(station: Station, connector: Connector, at: datetime, started: datetime) -> Limit | None:
    """By the transaction's profiles, else the EVSE's defaults, else the station's."""
    every = tuple(station.charging_profiles.values())
    transaction = [o for o in every if o.transaction_id is not None and o.transaction_id == connector.transaction_id]
    defaults = [o for o in every if o.profile.purpose is ProfilePurpose.TX_DEFAULT]
    groups = (
        transaction,
        [o for o in defaults if o.evse_id == connector.layout.evse_id],
        [o for o in defaults if o.evse_id == 0],
    )
    found = (first_limit(group, at, started) for group in groups)
    return next((limit for limit in found if limit is not None), None)


def ampere(connector: Connector, limit: Limit | None) -> float:
    """A limit as what the charger can be set to."""
    layout = connector.layout
    most_a = layout.max_current_ma / 1000
    least_a = layout.min_current_ma / 1000 if connector.can(Capability.LIMIT) else most_a
    value, unit = (most_a, RateUnit.AMPERES) if limit is None else limit
    wanted_a = value if unit is RateUnit.AMPERES else value / layout.voltage_v / layout.phases
    given_a = min(wanted_a, most_a)
    return 0.0 if given_a < least_a - 1e-6 else given_a


def check_profiles(station: Station, now: Now) -> None:
    """What is installed is in order, and nobody is given more than it says, nor less without a reason."""
    _check_installed(station)
    budget = first_limit(
        (o for o in station.charging_profiles.values() if o.profile.purpose is ProfilePurpose.STATION_MAX),
        now.utc,
        now.utc,
    )
    taken = 0.0
    for connector in station.connectors.values():
        running = station.running(connector.number)
        given_a = (desired(station, connector.number).current_limit_ma or 0) / 1000
        if not (connector.can(Capability.LIMIT) or connector.can(Capability.WITHHOLD)):
            continue
        started = now.utc if running is None else station.true_time(running.started)
        own_a = ampere(connector, own_limit(station, connector, now.utc, started))
        assert given_a <= own_a + 1e-9, f"{given_a} A where the profiles allow {own_a} A"
        if budget is None:
            assert given_a >= own_a - 0.001 - 1e-6, f"{given_a} A where the profiles allow {own_a} A"
        elif running is not None:
            watts = connector.layout.voltage_v * connector.layout.phases
            taken += given_a * (1.0 if budget[1] is RateUnit.AMPERES else watts)
    assert budget is None or taken <= budget[0] + 1e-3, f"{taken} of a station's {budget}"


def _check_installed(station: Station) -> None:
    slots = Counter(
        (one.profile.purpose, one.profile.stack_level, one.evse_id, one.transaction_id)
        for one in station.charging_profiles.values()
    )
    assert all(count == 1 for count in slots.values()), "two charging profiles in one place"
    for number, one in station.charging_profiles.items():
        assert number == one.profile.id
        if one.profile.purpose is ProfilePurpose.TX:
            owner = station.transactions.get(one.transaction_id or "")
            assert owner is not None and owner.active, "a charging profile outlived its transaction"
