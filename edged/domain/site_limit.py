"""The site's own limits, set by local people while the station runs: one for each EVSE, and one for the station. 2.x
K11 to K13.

A limit is an installed profile like the CSMS's, of a purpose that no CSMS can set or clear, with a negative id; it
holds beside theirs, the lower one prevails (`limits`), and smart charging that is switched off leaves it alone.
Invariants: a CSMS that wants to hear of limits and can be told knows each one but for what is not significant, and
hears of the end of each that it knows (after OCPP was stopped: when it is started again) · of what came and went while
it was away nothing waits for it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime

from edged.domain import metering
from edged.domain.answers import Reason, Verdict
from edged.domain.charging import (
    ChargingProfile,
    ChargingSchedule,
    InstalledProfile,
    LimitSource,
    ProfileKind,
    ProfilePurpose,
    RateUnit,
    SchedulePeriod,
)
from edged.domain.charging_commands import SetLocalLimit
from edged.domain.charging_profile import shown_place
from edged.domain.effects import LimitRecord
from edged.domain.profile_flaws import connectors_of, controllable, place_of
from edged.domain.rate_change import is_significant
from edged.domain.transition import Draft, drop, put

EVER = datetime(1970, 1, 1, tzinfo=UTC)
MAX_MA = 1_000_000
SOURCE = LimitSource.EMS


def id_of(evse_id: int) -> int:
    """The id of a place's limit; no CSMS has a negative one in use (K11)."""
    return -1 - evse_id


def change(draft: Draft, event: SetLocalLimit) -> None:
    """Set a limit, or take it away; there may have been none."""
    evse_id = place_of(draft.station, event)
    if evse_id is None:
        draft.reply(event.request, Verdict.REJECTED, "there is no such connector", reason=Reason.UNKNOWN_EVSE)
        return
    if not any(map(controllable, connectors_of(draft.station, evse_id))):
        detail = "the charger can neither be limited nor stopped"
        draft.reply(event.request, Verdict.REJECTED, detail, reason=Reason.UNSUPPORTED_REQUEST)
        return
    if event.limit_ma is not None and not 0 <= event.limit_ma <= MAX_MA:
        draft.reply(event.request, Verdict.REJECTED, "that is no current", reason=Reason.VALUE_OUT_OF_RANGE)
        return
    if event.limit_ma is None:
        _clear(draft, evse_id)
    else:
        _set(draft, evse_id, event.limit_ma / 1000)
    draft.reply(event.request, Verdict.ACCEPTED)


def _set(draft: Draft, evse_id: int, limit_a: float) -> None:
    before = draft.station.charging_profiles.get(id_of(evse_id))
    installed = InstalledProfile(
        evse_id=evse_id,
        profile=_profile(evse_id, limit_a),
        source=SOURCE,
        told=before.told if before is not None else None,
    )
    draft.update(charging_profiles=put(draft.station.charging_profiles, installed.profile.id, installed))
    draft.announce("limit.set", shown_place(draft.station, evse_id), limit_a=limit_a, source=SOURCE)


def _clear(draft: Draft, evse_id: int) -> None:
    gone = draft.station.charging_profiles.get(id_of(evse_id))
    if gone is None:
        return
    draft.update(charging_profiles=drop(draft.station.charging_profiles, id_of(evse_id)))
    draft.announce("limit.cleared", shown_place(draft.station, evse_id), source=SOURCE)
    isolation = draft.station.isolation
    if gone.told is not None and isolation is not None:
        draft.update(isolation=replace(isolation, limits_gone=isolation.limits_gone | {evse_id}))
    elif gone.told is not None:
        draft.enqueue(LimitRecord(evse_id, SOURCE, None))


def tell_gone(draft: Draft, evse_ids: Collection[int]) -> None:
    """These limits, which the CSMS knows, went while OCPP was stopped: it would reckon with them for ever. One that has
    been set again is told as what it is now."""
    for evse_id in sorted(evse_ids):
        if id_of(evse_id) not in draft.station.charging_profiles:
            draft.enqueue(LimitRecord(evse_id, SOURCE, None))


def refresh(draft: Draft) -> None:
    """Tell the CSMS, while it listens and takes what it is told, what has changed since it was told."""
    station = draft.station
    if not station.policy.limit_records or not station.link.serving:
        return
    for number, one in station.charging_profiles.items():
        if one.profile.purpose is not ProfilePurpose.EXTERNAL or draft.station.queued >= metering.MAX_QUEUED:
            continue
        schedule = one.profile.schedule
        limit_a = schedule.periods[0].limit
        if one.told is None or is_significant(station, before=one.told, now=limit_a):
            draft.enqueue(LimitRecord(one.evse_id, one.source, schedule))
            told = replace(one, told=limit_a)
            draft.update(charging_profiles=put(draft.station.charging_profiles, number, told))


def _profile(evse_id: int, limit_a: float) -> ChargingProfile:
    """It holds from ever: whether the clock is right does not matter."""
    number = id_of(evse_id)
    return ChargingProfile(
        id=number,
        stack_level=0,
        purpose=ProfilePurpose.EXTERNAL,
        kind=ProfileKind.ABSOLUTE,
        schedule=ChargingSchedule(
            id=number,
            unit=RateUnit.AMPERES,
            periods=(SchedulePeriod(start_s=0, limit=limit_a),),
            start=EVER,
        ),
    )
