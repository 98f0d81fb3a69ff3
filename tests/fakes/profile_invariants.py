"""What charging profiles must come to after every step, read out of the rules once more, for one moment and naively."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from edged.domain.charging import (
    ChargingProfile,
    InstalledProfile,
    LimitSource,
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
EVER = datetime(1970, 1, 1, tzinfo=UTC)


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


def counted(station: Station, purpose: ProfilePurpose | None = None) -> tuple[InstalledProfile, ...]:
    """The profiles that count, of a purpose or of all that a CSMS sets."""
    site = purpose is ProfilePurpose.EXTERNAL
    if not site and not station.configuration.flag("SmartChargingEnabled"):
        return ()
    every = station.charging_profiles.values()
    return tuple(o for o in every if purpose in (None, o.profile.purpose) and (o.source is LimitSource.EMS) is site)


def own_limit(station: Station, connector: Connector, at: datetime, started: datetime) -> Limit | None:
    """By the transaction's profiles, else the EVSE's defaults, else the station's."""
    every = counted(station)
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
    site = counted(station, ProfilePurpose.EXTERNAL)
    groups = (counted(station, ProfilePurpose.STATION_MAX), [o for o in site if o.evse_id == 0])
    limits = [first_limit(group, now.utc, now.utc) for group in groups]
    budgets = [limit for limit in limits if limit is not None]
    taken = [0.0 for _ in budgets]
    for connector in station.connectors.values():
        running = station.running(connector.number)
        given_a = (desired(station, connector.number).current_limit_ma or 0) / 1000
        if not (connector.can(Capability.LIMIT) or connector.can(Capability.WITHHOLD)):
            continue
        started = now.utc if running is None else station.true_time(running.started)
        caps = [o for o in site if o.evse_id == connector.layout.evse_id]
        own_a = min(
            ampere(connector, own_limit(station, connector, now.utc, started)),
            ampere(connector, first_limit(caps, now.utc, started)),
        )
        assert given_a <= own_a + 1e-9, f"{given_a} A where the profiles allow {own_a} A"
        if not budgets:
            assert given_a >= own_a - 0.001 - 1e-6, f"{given_a} A where the profiles allow {own_a} A"
        elif station.charges(connector.number) is not None:
            watts = connector.layout.voltage_v * connector.layout.phases
            for index, (_, unit) in enumerate(budgets):
                taken[index] += given_a * (1.0 if unit is RateUnit.AMPERES else watts)
    for (limit, _), sum_of_all in zip(budgets, taken, strict=True):
        assert sum_of_all <= limit + 1e-3, f"{sum_of_all} of a station's {limit}"


def _check_installed(station: Station) -> None:
    slots: defaultdict[object, list[ChargingProfile]] = defaultdict(list)
    for one in station.charging_profiles.values():
        slots[one.profile.purpose, one.profile.stack_level, one.evse_id, one.transaction_id].append(one.profile)
    for profiles in slots.values():
        profiles.sort(key=lambda profile: profile.valid_from or EVER)
        for one_profile, later in pairwise(profiles):
            apart = one_profile.valid_to is not None and one_profile.valid_to <= (later.valid_from or EVER)
            assert apart, "two charging profiles in one place at one time"
            assert not station.policy.replaces_profiles, "two charging profiles in one place"
    for number, one in station.charging_profiles.items():
        assert number == one.profile.id
        if one.profile.purpose is ProfilePurpose.TX:
            owner = station.transactions.get(one.transaction_id or "")
            assert owner is not None and owner.active, "a charging profile outlived its transaction"
