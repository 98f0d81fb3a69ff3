"""Charging profiles as they come and go: installing, clearing, becoming a transaction's, expiring. 1.6 §3.13/5.5/5.16,
2.x K01/K10.

Owns which profiles are installed, and what is wrong with one that is not. What they come to is `limits`' matter.
Invariants: an id is installed once · one profile a purpose, level and place · a TxProfile belongs to a running
transaction and goes in the commit that ends it · nothing is removed by date while the clock is not trusted.

A profile without an EVSE's number is asked for by the number of a connector: it is its EVSE's then, for one connector
of an EVSE charges at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from edged.domain.answers import ClearStatus, ProfileStatus
from edged.domain.charging import ChargingProfile, InstalledProfile, ProfileKind, ProfilePurpose, RateUnit
from edged.domain.commands import ClearChargingProfile, GetCompositeSchedule, SetChargingProfile
from edged.domain.hardware import Capability
from edged.domain.schedule import flaw_of_periods
from edged.domain.station import Connector, Station, Transaction
from edged.domain.transition import Draft
from edged.domain.types import Now

STATION = 0
UNIT_NAMES = {RateUnit.AMPERES: "Current", RateUnit.WATTS: "Power"}


# --- places


def place_of(station: Station, event: SetChargingProfile | ClearChargingProfile | GetCompositeSchedule) -> int | None:
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


def unit_allowed(station: Station, unit: RateUnit) -> bool:
    return UNIT_NAMES[unit] in station.configuration.items("ChargingScheduleAllowedChargingRateUnit")


# --- installing


def install(draft: Draft, event: SetChargingProfile) -> None:
    """SetChargingProfile: installed, in the place of one that it replaces, or why not (16-SC-02 to 04)."""
    station, profile = draft.station, event.profile
    evse_id = place_of(station, event)
    if evse_id is None:
        _refuse(draft, event, ProfileStatus.UNKNOWN_EVSE, "there is no such connector")
        return
    if not any(map(controllable, connectors_of(station, evse_id))):
        _refuse(draft, event, ProfileStatus.NOT_SUPPORTED, "the charger can neither be limited nor stopped")
        return
    running = _running(station, evse_id)
    refusal = flaw_of(station, profile, draft.now) or _misplaced(event, evse_id, running)
    if refusal:
        _refuse(draft, event, ProfileStatus.REJECTED, refusal)
        return
    owner = running.id if running is not None and profile.purpose is ProfilePurpose.TX else None
    installed = InstalledProfile(evse_id=evse_id, profile=profile, transaction_id=owner)
    kept = _without_replaced(station, installed)
    if len(kept) >= station.configuration.number("MaxChargingProfilesInstalled"):
        _refuse(draft, event, ProfileStatus.REJECTED, "as many profiles as there may be are installed")
        return
    _put(draft, installed, kept)
    draft.reply(event.request, ProfileStatus.ACCEPTED)


def _refuse(draft: Draft, event: SetChargingProfile, status: ProfileStatus, reason: str) -> None:
    """1.6 has no words for the reason: the log has."""
    draft.reply(event.request, status, reason)
    draft.announce("charging_profile.rejected", event.connector or None, profile_id=event.profile.id, reason=reason)


def _put(draft: Draft, installed: InstalledProfile, kept: Mapping[int, InstalledProfile]) -> None:
    profile = installed.profile
    draft.update(charging_profiles={**kept, profile.id: installed})
    draft.announce(
        "charging_profile.set",
        _shown_place(draft.station, installed.evse_id),
        profile_id=profile.id,
        purpose=profile.purpose.value,
        stack_level=profile.stack_level,
        first_limit=f"{profile.schedule.periods[0].limit:g} {profile.schedule.unit.value}",
    )


def _shown_place(station: Station, evse_id: int) -> int | None:
    """The connector that a log line is about; the station's, and those of several connectors, are nobody's."""
    if evse_id == STATION:
        return None
    found = connectors_of(station, evse_id)
    return found[0].number if len(found) == 1 else None


def _running(station: Station, evse_id: int) -> Transaction | None:
    """The transaction of an EVSE; the station has none of its own."""
    if evse_id == STATION:
        return None
    found = (station.running(connector.number) for connector in connectors_of(station, evse_id))
    return next((transaction for transaction in found if transaction is not None), None)


def _misplaced(event: SetChargingProfile, evse_id: int, running: Transaction | None) -> str:
    """Why a profile cannot be in its place, or "" (16-SC-01, 02). Of a purpose but TxProfile the transaction that is
    named means nothing."""
    match event.profile.purpose:
        case ProfilePurpose.STATION_MAX:
            return "" if evse_id == STATION else "this purpose is the station's"
        case ProfilePurpose.TX_DEFAULT:
            return ""
        case ProfilePurpose.EXTERNAL:
            return "limits of the site are not the CSMS's to set"
        case ProfilePurpose.TX:
            if running is None:
                return "no transaction is running there"
            named = event.external_ref is not None and event.external_ref != running.external_ref
            if named or event.transaction_id not in (None, running.id):
                return "another transaction is running there"
            return ""


def _without_replaced(station: Station, new: InstalledProfile) -> dict[int, InstalledProfile]:
    """What stays when a profile comes (16-SC-04): the same id goes, and the same purpose and level in one place."""
    return {
        number: one
        for number, one in station.charging_profiles.items()
        if number != new.profile.id and _slot(one) != _slot(new)
    }


def _slot(one: InstalledProfile) -> tuple[ProfilePurpose, int, int, str | None]:
    return one.profile.purpose, one.profile.stack_level, one.evse_id, one.transaction_id


def flaw_of(station: Station, profile: ChargingProfile, now: Now) -> str:
    """What is wrong with a profile wherever it is put, or "" (16-SC-03). A schedule without a start that is not
    relative has no meaning here (2.x K01.FR.40); a version that gives it one says so to the core in other words."""
    schedule = profile.schedule
    if not 0 <= profile.stack_level <= station.configuration.number("ChargeProfileMaxStackLevel"):
        return "the stack level is out of bounds"
    if len(schedule.periods) > station.configuration.number("ChargingScheduleMaxPeriods"):
        return "the schedule has too many periods"
    if not unit_allowed(station, schedule.unit):
        return "the unit is not supported"
    if schedule.duration_s is not None and schedule.duration_s <= 0:
        return "the schedule has no duration"
    flaw = flaw_of_periods(schedule.periods)
    if flaw:
        return flaw
    if (profile.kind is ProfileKind.RECURRING) != (profile.recurrency is not None):
        return "a recurrency belongs to a recurring profile, and to no other"
    if (profile.kind is ProfileKind.RELATIVE) != (schedule.start is None):
        return "a schedule has a start of its own unless it is relative"
    if profile.kind is ProfileKind.RELATIVE and profile.purpose is ProfilePurpose.STATION_MAX:
        return "the station has no transaction that its limit could be relative to"
    return _flaw_of_validity(profile, now)


def _flaw_of_validity(profile: ChargingProfile, now: Now) -> str:
    if profile.valid_to is None:
        return ""
    if profile.valid_from is not None and profile.valid_from >= profile.valid_to:
        return "the profile is never valid"
    return "the profile has expired" if now.synchronized and profile.valid_to <= now.utc else ""


# --- a start that brings its profile


def flaw_of_start(station: Station, profile: ChargingProfile, connector: int, now: Now) -> str:
    """Why a remote start with this profile is refused, or "". A charger that cannot keep to a profile starts without
    it (16 RemoteStartTransaction: without smart charging it is ignored)."""
    if not controllable(station.connectors[connector]):
        return ""
    if profile.purpose is not ProfilePurpose.TX:
        return "the profile is none of a transaction"
    flaw = flaw_of(station, profile, now)
    full = len(station.charging_profiles) >= station.configuration.number("MaxChargingProfilesInstalled")
    if flaw or not full or profile.id in station.charging_profiles:
        return flaw
    return "as many profiles as there may be are installed"


def adopt(draft: Draft, transaction: Transaction, profile: ChargingProfile | None) -> None:
    """The profile of a remote start becomes its transaction's, now that there is one (E3.42). There is room for it,
    even where others have come since: without it the car would charge as fast as it can."""
    connector = draft.station.connectors[transaction.connector]
    if profile is None or not controllable(connector):
        return
    installed = InstalledProfile(evse_id=connector.layout.evse_id, profile=profile, transaction_id=transaction.id)
    _put(draft, installed, _without_replaced(draft.station, installed))


# --- removing


def clear(draft: Draft, event: ClearChargingProfile) -> None:
    """ClearChargingProfile: by id alone, else all that fit everything that is given."""
    station = draft.station
    if event.profile_id is not None:
        found = [event.profile_id] if event.profile_id in station.charging_profiles else []
    else:
        found = [number for number, one in station.charging_profiles.items() if _fits(station, event, one)]
    _remove(draft, found, "cleared")
    draft.reply(event.request, ClearStatus.ACCEPTED if found else ClearStatus.UNKNOWN)


def _fits(station: Station, event: ClearChargingProfile, one: InstalledProfile) -> bool:
    if (event.connector is not None or event.evse is not None) and place_of(station, event) != one.evse_id:
        return False
    purpose = event.purpose in (None, one.profile.purpose)
    return purpose and event.stack_level in (None, one.profile.stack_level)


def forget(draft: Draft, transaction_id: str) -> None:
    """A transaction has ended: its profiles go with it (16-SC-05)."""
    profiles = draft.station.charging_profiles
    _remove(draft, [number for number, one in profiles.items() if one.transaction_id == transaction_id], "ended")


def refresh(draft: Draft) -> None:
    """Remove what has expired, once the time is known."""
    now = draft.now
    if not now.synchronized or not draft.station.charging_profiles:
        return
    over = [
        number
        for number, one in draft.station.charging_profiles.items()
        if one.profile.valid_to is not None and one.profile.valid_to <= now.utc
    ]
    _remove(draft, over, "expired")


def _remove(draft: Draft, numbers: Iterable[int], cause: str) -> None:
    """Take these away. `cause`: "cleared", "expired", or "ended" with their transaction."""
    gone = frozenset(numbers)
    if gone:
        kept = {number: one for number, one in draft.station.charging_profiles.items() if number not in gone}
        draft.update(charging_profiles=kept)
        draft.announce("charging_profile.cleared", None, profile_ids=sorted(gone), cause=cause)
