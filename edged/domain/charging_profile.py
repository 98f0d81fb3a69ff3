"""Charging profiles as they come and go: installing, clearing, becoming a transaction's, expiring. 1.6 §3.13/5.5/5.16,
2.x K01/K10.

Owns which profiles are installed. What is wrong with one that is not is `profile_flaws`' matter, what they come to
`limits`'. Invariants: an id is installed once · one profile a purpose, level and place at any moment · a TxProfile
belongs to a running transaction and goes in the commit that ends it · nothing is removed by date while the clock is not
trusted · the site's own limits are `site_limit`'s: nothing here touches them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from edged.domain.answers import ClearStatus, ProfileStatus, Reason
from edged.domain.charging import ChargingProfile, InstalledProfile, ProfilePurpose
from edged.domain.charging_commands import ClearChargingProfile, SetChargingProfile
from edged.domain.profile_flaws import (
    NOT_ENABLED,
    STATION,
    Refusal,
    connectors_of,
    controllable,
    duplicate,
    enabled,
    flaw_of,
    place_of,
    refusal_of,
    running_on,
    same_slot,
    too_many,
)
from edged.domain.station import Station, Transaction
from edged.domain.transition import Draft
from edged.domain.types import Now

# --- installing


def install(draft: Draft, event: SetChargingProfile) -> None:
    """SetChargingProfile: installed, in the place of one that it replaces, or why not (16-SC-02 to 04, K01)."""
    station, profile = draft.station, event.profile
    evse_id = place_of(station, event)
    refusal = refusal_of(station, event, evse_id, draft.now)
    if refusal is not None or evse_id is None:
        _refuse(draft, event, refusal or NOT_ENABLED)
        return
    running = running_on(station, evse_id) if profile.purpose is ProfilePurpose.TX else None
    owner = running.id if running is not None else None
    installed = InstalledProfile(evse_id=evse_id, profile=profile, transaction_id=owner)
    kept = _without_replaced(station, installed)
    refusal = duplicate(station, installed) or too_many(station, _count(kept))
    if refusal is not None:
        _refuse(draft, event, refusal)
        return
    _put(draft, installed, kept)
    draft.reply(event.request, ProfileStatus.ACCEPTED)


def _refuse(draft: Draft, event: SetChargingProfile, refusal: Refusal) -> None:
    """1.6 has no words for the reason: the log has."""
    draft.reply(event.request, refusal.status, refusal.detail, reason=refusal.reason)
    draft.announce(
        "charging_profile.rejected", event.connector or None, profile_id=event.profile.id, reason=refusal.detail
    )


def _put(draft: Draft, installed: InstalledProfile, kept: Mapping[int, InstalledProfile]) -> None:
    profile = installed.profile
    draft.update(charging_profiles={**kept, profile.id: installed})
    draft.announce(
        "charging_profile.set",
        shown_place(draft.station, installed.evse_id),
        profile_id=profile.id,
        purpose=profile.purpose.value,
        stack_level=profile.stack_level,
        first_limit=f"{profile.schedule.periods[0].limit:g} {profile.schedule.unit.value}",
    )


def shown_place(station: Station, evse_id: int) -> int | None:
    """The connector that a log line is about; the station's, and those of several connectors, are nobody's."""
    if evse_id == STATION:
        return None
    found = connectors_of(station, evse_id)
    return found[0].number if len(found) == 1 else None


def _without_replaced(station: Station, new: InstalledProfile) -> dict[int, InstalledProfile]:
    """What stays when a profile comes (16-SC-04, K01.FR.05): the same id goes, and, where a version has it so, the same
    purpose and level in one place."""
    replaces = station.policy.replaces_profiles
    return {
        number: one
        for number, one in station.charging_profiles.items()
        if number != new.profile.id and not (replaces and same_slot(one, new))
    }


def _count(profiles: Mapping[int, InstalledProfile]) -> int:
    """How many of these the CSMS has set."""
    return sum(one.profile.purpose is not ProfilePurpose.EXTERNAL for one in profiles.values())


# --- a start that brings its profile


def flaw_of_start(station: Station, profile: ChargingProfile, connector: int, now: Now) -> Refusal | None:
    """Why a remote start with this profile is refused, or None. A charger that cannot keep to a profile starts without
    it, as one does where smart charging is switched off (16 RemoteStartTransaction, F01.FR.12)."""
    place = station.connectors[connector]
    if not controllable(place) or not enabled(station):
        return None
    if profile.purpose is not ProfilePurpose.TX:
        return Refusal(Reason.INVALID_PROFILE, "the profile is none of a transaction")
    flaw = flaw_of(station, profile, (place,), now)
    if flaw is not None or profile.id in station.charging_profiles:
        return flaw
    return too_many(station, _count(station.charging_profiles))


def adopt(draft: Draft, transaction: Transaction, profile: ChargingProfile | None) -> None:
    """The profile of a remote start becomes its transaction's, now that there is one (E3.42, K05.FR.03). There is room
    for it, even where others have come since: without it the car would charge as fast as it can."""
    connector = draft.station.connectors[transaction.connector]
    if profile is None or not controllable(connector) or not enabled(draft.station):
        return
    installed = InstalledProfile(evse_id=connector.layout.evse_id, profile=profile, transaction_id=transaction.id)
    kept = {
        number: one
        for number, one in draft.station.charging_profiles.items()
        if number != profile.id and not same_slot(one, installed)
    }
    _put(draft, installed, kept)


# --- removing


def clear(draft: Draft, event: ClearChargingProfile) -> None:
    """ClearChargingProfile: by id alone, else all that fit everything that is given."""
    station = draft.station
    if not enabled(station):
        draft.reply(event.request, ClearStatus.UNKNOWN, NOT_ENABLED.detail, reason=NOT_ENABLED.reason)
        return
    found = [number for number, one in station.charging_profiles.items() if _fits(station, event, one)]
    _remove(draft, found, "cleared")
    draft.reply(event.request, ClearStatus.ACCEPTED if found else ClearStatus.UNKNOWN)


def _fits(station: Station, event: ClearChargingProfile, one: InstalledProfile) -> bool:
    """The site's own limits are not the CSMS's to clear (K10.FR.08, 09)."""
    if one.profile.purpose is ProfilePurpose.EXTERNAL:
        return False
    if event.profile_id is not None:
        return event.profile_id == one.profile.id
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
