"""What is wrong with a charging profile, and which place it is for. 1.6 §3.13/5.16, 2.x K01.

Knows no draft and changes nothing. A profile without an EVSE's number is asked for by the number of a connector: it is
its EVSE's then, for one connector of an EVSE charges at a time.
"""

from __future__ import annotations

from typing import NamedTuple

from edged.domain.answers import ProfileStatus, Reason
from edged.domain.charging import ChargingProfile, InstalledProfile, ProfileKind, ProfilePurpose, RateUnit
from edged.domain.charging_commands import (
    ClearChargingProfile,
    GetCompositeSchedule,
    SetChargingProfile,
    SetLocalLimit,
)
from edged.domain.hardware import Capability
from edged.domain.schedule import flaw_of_periods
from edged.domain.station import Connector, Station, Transaction
from edged.domain.types import Now

STATION = 0
UNIT_NAMES = {RateUnit.AMPERES: "Current", RateUnit.WATTS: "Power"}


class Refusal(NamedTuple):
    """Why a profile is not taken: for machines, for people, and how it is answered."""

    reason: Reason
    detail: str
    status: ProfileStatus = ProfileStatus.REJECTED


NOT_ENABLED = Refusal(Reason.NOT_ENABLED, "smart charging is switched off", ProfileStatus.NOT_SUPPORTED)


# --- places


def place_of(
    station: Station, event: SetChargingProfile | ClearChargingProfile | GetCompositeSchedule | SetLocalLimit
) -> int | None:
    """The EVSE that is meant, `STATION` for the whole; None where there is no such."""
    if event.connector is not None and event.connector != STATION:
        connector = station.connectors.get(event.connector)
        return connector.layout.evse_id if connector is not None else None
    evse_id = event.evse if event.connector is None else STATION
    return evse_id if evse_id == STATION or evse_id is None or connectors_of(station, evse_id) else None


def connectors_of(station: Station, evse_id: int) -> tuple[Connector, ...]:
    """The connectors of an EVSE, or of the station."""
    return tuple(c for c in station.connectors.values() if evse_id in (STATION, c.layout.evse_id))


def controllable(connector: Connector) -> bool:
    """Whether a profile can be kept at all. A charger that can only be switched is switched (`limits`)."""
    return connector.can(Capability.LIMIT) or connector.can(Capability.WITHHOLD)


def running_on(station: Station, evse_id: int) -> Transaction | None:
    """The transaction of an EVSE; the station has none of its own."""
    if evse_id == STATION:
        return None
    found = (station.running(connector.number) for connector in connectors_of(station, evse_id))
    return next((transaction for transaction in found if transaction is not None), None)


def enabled(station: Station) -> bool:
    """Whether the CSMS's profiles count. Those that are installed stay (2.x SmartChargingCtrlr.Enabled)."""
    return station.configuration.flag("SmartChargingEnabled")


def unit_allowed(station: Station, unit: RateUnit) -> bool:
    return UNIT_NAMES[unit] in station.configuration.items("ChargingScheduleAllowedChargingRateUnit")


# --- in a place


def refusal_of(station: Station, event: SetChargingProfile, evse_id: int | None, now: Now) -> Refusal | None:
    """Why a profile cannot be installed, or None (16-SC-02 to 04, K01)."""
    if not enabled(station):
        return NOT_ENABLED
    if evse_id is None:
        return Refusal(Reason.UNKNOWN_EVSE, "there is no such connector", ProfileStatus.UNKNOWN_EVSE)
    connectors = tuple(filter(controllable, connectors_of(station, evse_id)))
    if not connectors:
        detail = "the charger can neither be limited nor stopped"
        return Refusal(Reason.UNSUPPORTED_REQUEST, detail, ProfileStatus.NOT_SUPPORTED)
    return flaw_of(station, event.profile, connectors, now) or _misplaced(station, event, evse_id)


def _misplaced(station: Station, event: SetChargingProfile, evse_id: int) -> Refusal | None:
    """Why a profile cannot be in its place, or None (16-SC-01, 02, K01.FR.03/04/09/16/33). Of a purpose but TxProfile
    the transaction that is named means nothing."""
    if event.profile.purpose is ProfilePurpose.STATION_MAX and evse_id != STATION:
        return Refusal(Reason.INVALID_VALUE, "this purpose is the station's")
    if event.profile.purpose is not ProfilePurpose.TX:
        return None
    if evse_id == STATION:
        return Refusal(Reason.INVALID_VALUE, "the station has no transaction of its own")
    running = running_on(station, evse_id)
    if running is None:
        return Refusal(Reason.TX_NOT_FOUND, "no transaction is running there")
    unnamed = event.external_ref is None and event.transaction_id is None
    if unnamed and station.policy.profiles_name_transactions:
        return Refusal(Reason.INVALID_PROFILE, "the transaction is not named")
    wrong = event.external_ref is not None and event.external_ref != running.external_ref
    if wrong or event.transaction_id not in (None, running.id):
        return Refusal(Reason.TX_NOT_FOUND, "another transaction is running there")
    return None


# --- beside others


def too_many(station: Station, kept: int) -> Refusal | None:
    """`kept`: how many of the CSMS's profiles stay when this one comes."""
    if kept < station.configuration.number("MaxChargingProfilesInstalled"):
        return None
    return Refusal(Reason.OUT_OF_MEMORY, "as many profiles as there may be are installed")


def duplicate(station: Station, new: InstalledProfile) -> Refusal | None:
    """Where a profile does not replace another one: why it cannot be beside those that are installed (K01.FR.06, 39,
    52, 53)."""
    if station.policy.replaces_profiles:
        return None
    for number, one in station.charging_profiles.items():
        shared = ProfilePurpose.TX_DEFAULT is one.profile.purpose and STATION in (one.evse_id, new.evse_id)
        if number != new.profile.id and _overlap(one.profile, new.profile) and same_slot(one, new, anywhere=shared):
            return Refusal(Reason.DUPLICATE_PROFILE, f"profile {number} has the same purpose and level there")
    return None


def same_slot(one: InstalledProfile, other: InstalledProfile, *, anywhere: bool = False) -> bool:
    """Whether two profiles have one purpose, level and place; `anywhere`: or no matter which place."""
    place = anywhere or (one.evse_id, one.transaction_id) == (other.evse_id, other.transaction_id)
    levels = one.profile.stack_level == other.profile.stack_level
    return place and levels and one.profile.purpose is other.profile.purpose


def _overlap(one: ChargingProfile, other: ChargingProfile) -> bool:
    """Whether both can be valid at one moment."""
    starts = [p.valid_from for p in (one, other) if p.valid_from is not None]
    ends = [p.valid_to for p in (one, other) if p.valid_to is not None]
    return not starts or not ends or max(starts) < min(ends)


# --- in itself


def flaw_of(station: Station, profile: ChargingProfile, connectors: tuple[Connector, ...], now: Now) -> Refusal | None:
    """What is wrong with a profile for these connectors, or None (16-SC-03). A schedule without a start that is not
    relative has no meaning here (2.x K01.FR.40); a version that gives it one says so to the core in other words."""
    schedule = profile.schedule
    if profile.purpose is ProfilePurpose.EXTERNAL or _is_external(station, profile.id):
        return Refusal(Reason.INVALID_PROFILE, "the site's own limits are not the CSMS's to set")  # K01.FR.22
    if not 0 <= profile.stack_level <= station.configuration.number("ChargeProfileMaxStackLevel"):
        return Refusal(Reason.INVALID_STACK_LEVEL, "the stack level is out of bounds")
    if profile.alternatives:
        return Refusal(Reason.INVALID_SCHEDULE, "no car here chooses between schedules")  # K01.FR.34
    if len(schedule.periods) > station.configuration.number("ChargingScheduleMaxPeriods"):
        return Refusal(Reason.TOO_MANY_ELEMENTS, "the schedule has too many periods")
    if not unit_allowed(station, schedule.unit):
        return Refusal(Reason.UNSUPPORTED_RATE_UNIT, "the unit is not supported")
    if schedule.duration_s is not None and schedule.duration_s <= 0:
        return Refusal(Reason.INVALID_SCHEDULE, "the schedule has no duration")
    flaw = flaw_of_periods(schedule.periods)
    if flaw:
        return Refusal(Reason.INVALID_SCHEDULE, flaw)
    if (profile.kind is ProfileKind.RECURRING) != (profile.recurrency is not None):
        return Refusal(Reason.INVALID_PROFILE, "a recurrency belongs to a recurring profile, and to no other")
    if (profile.kind is ProfileKind.RELATIVE) != (schedule.start is None):
        return Refusal(Reason.INVALID_SCHEDULE, "a schedule has a start of its own unless it is relative")
    if profile.kind is ProfileKind.RELATIVE and profile.purpose is ProfilePurpose.STATION_MAX:
        return Refusal(Reason.INVALID_PROFILE, "the station has no transaction that its limit could be relative to")
    return _flaw_of_phases(station, profile, connectors) or _flaw_of_validity(profile, now)


def _is_external(station: Station, number: int) -> bool:
    one = station.charging_profiles.get(number)
    return one is not None and one.profile.purpose is ProfilePurpose.EXTERNAL


def _flaw_of_phases(station: Station, profile: ChargingProfile, connectors: tuple[Connector, ...]) -> Refusal | None:
    """Where numbers of phases are promises: no charger here switches phases, so a car may use as many as are wired, and
    no less can be promised (K01.FR.44, 48). What is wired with less than may be used is no contradiction."""
    if not station.policy.phases_binding:
        return None
    periods = profile.schedule.periods
    if any(period.phase_to_use is not None for period in periods):
        return Refusal(Reason.UNSUPPORTED_PARAM, "no charger here switches to a phase")
    wired = max((connector.layout.phases for connector in connectors), default=0)
    if any(period.phases is not None and period.phases < wired for period in periods):
        return Refusal(Reason.INVALID_SCHEDULE, f"a car may use {wired} phases here")
    return None


def _flaw_of_validity(profile: ChargingProfile, now: Now) -> Refusal | None:
    if profile.valid_to is None:
        return None
    if profile.valid_from is not None and profile.valid_from >= profile.valid_to:
        return Refusal(Reason.INVALID_PROFILE, "the profile is never valid")
    over = now.synchronized and profile.valid_to <= now.utc
    return Refusal(Reason.INVALID_PROFILE, "the profile has expired") if over else None
