"""Why a charging profile is not taken, in machines' words; and what only some versions refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edged.domain.answers import ClearStatus, ProfileStatus, Reason, Verdict
from edged.domain.charging import ProfileKind, ProfilePurpose, Recurrency
from edged.domain.charging_commands import GetCompositeSchedule
from tests.fakes.profiles import (
    DEFAULT,
    RELATIVE,
    STATION,
    TX,
    A,
    W,
    ask,
    clear,
    curve,
    profile,
    put,
)
from tests.fakes.site import POLICY, Site, layout

ACCEPTED, REJECTED = ProfileStatus.ACCEPTED, ProfileStatus.REJECTED
STRICT = replace(POLICY, replaces_profiles=False, profiles_name_transactions=True, phases_binding=True)


def strict(connectors: int = 2, **shape: Any) -> Site:
    """A site of a version that replaces nothing unasked; connector 1 charges."""
    site = Site.build(connectors, policy=STRICT, **shape)
    site.start(1, "ALICE")
    return site


def running(site: Site) -> str:
    transaction = site.station.running(1)
    assert transaction is not None
    return transaction.id


def why(site: Site, one: Any, evse: int = 1, **more: Any) -> str:
    """The reason for which a profile is rejected."""
    before = site.station.charging_profiles
    assert put(site, one, evse, **more) is not ACCEPTED
    assert site.station.charging_profiles == before
    assert site.reply().detail
    return site.reply().reason


# --- reasons


@pytest.mark.req("K01.FR.16", "K01.FR.26", "K01.FR.28", "K01.FR.31", "K01.FR.35", "K01.FR.38", "K01.FR.40", "K01.FR.41")
@pytest.mark.parametrize(
    ("one", "evse", "reason"),
    [
        (profile(), 3, Reason.UNKNOWN_EVSE),
        (profile(purpose=STATION), 1, Reason.INVALID_VALUE),
        (profile(purpose=TX), 0, Reason.INVALID_VALUE),
        (profile(purpose=TX), 2, Reason.TX_NOT_FOUND),
        (profile(level=101), 1, Reason.INVALID_STACK_LEVEL),
        (profile(level=-1), 1, Reason.INVALID_STACK_LEVEL),
        (profile(unit=W), 1, Reason.UNSUPPORTED_RATE_UNIT),
        (profile(*((n, 8.0) for n in range(101))), 1, Reason.TOO_MANY_ELEMENTS),
        (profile((1, 8.0)), 1, Reason.INVALID_SCHEDULE),
        (profile((0, 8.0), (9, 8.0), (9, 8.0)), 1, Reason.INVALID_SCHEDULE),
        (profile(duration_s=0), 1, Reason.INVALID_SCHEDULE),
        (profile(start_s=None), 1, Reason.INVALID_SCHEDULE),
        (replace(profile(), kind=RELATIVE), 1, Reason.INVALID_SCHEDULE),
        (profile(kind=RELATIVE, purpose=STATION), 0, Reason.INVALID_PROFILE),
        (profile(kind=ProfileKind.RECURRING), 1, Reason.INVALID_PROFILE),
        (profile(recurrency=Recurrency.DAILY), 1, Reason.INVALID_PROFILE),
        (profile(valid_from_s=9, valid_to_s=9), 1, Reason.INVALID_PROFILE),
        (replace(profile(), alternatives=1), 1, Reason.INVALID_SCHEDULE),
    ],
)
def test_each_flaw_has_its_reason(one: Any, evse: int, reason: Reason) -> None:
    site = strict(configuration={"ChargingScheduleAllowedChargingRateUnit": "Current"})
    assert why(site, one, evse) == reason


@pytest.mark.req("K01.FR.22")
def test_the_sites_own_limits_are_not_the_csmss_to_set() -> None:
    assert why(strict(), profile(purpose=ProfilePurpose.EXTERNAL), 0) == Reason.INVALID_PROFILE


def test_more_profiles_than_there_may_be_are_refused_but_a_known_id_is_not() -> None:
    site = strict(configuration={"MaxChargingProfilesInstalled": "2"})
    assert put(site, profile(id=1, level=1)) is put(site, profile(id=2, level=2)) is ACCEPTED
    assert why(site, profile(id=3, level=3)) == Reason.OUT_OF_MEMORY
    assert put(site, profile(id=2, level=3)) is ACCEPTED


# --- transactions


@pytest.mark.req("K01.FR.03", "K01.FR.04", "K01.FR.09", "K01.FR.33")
def test_a_transactions_profile_names_the_transaction_that_runs_there() -> None:
    site = strict()
    own = profile((0, 8.0), purpose=TX)
    assert why(site, own) == Reason.INVALID_PROFILE
    assert why(site, own, transaction_id="another") == Reason.TX_NOT_FOUND
    assert why(site, own, 2, transaction_id=running(site)) == Reason.TX_NOT_FOUND
    assert put(site, own, transaction_id=running(site)) is ACCEPTED


# --- beside others


@pytest.mark.req("K01.FR.05")
def test_the_same_id_replaces_whatever_it_was() -> None:
    site = strict()
    assert put(site, profile((0, 8.0), id=1)) is ACCEPTED
    assert put(site, profile((0, 9.0), id=1, purpose=STATION), 0) is ACCEPTED
    assert [one.profile.purpose for one in site.station.charging_profiles.values()] == [STATION]


@pytest.mark.req("K01.FR.06", "K01.FR.39", "K01.FR.52", "K01.FR.53")
@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ((profile(id=1), 1), (profile(id=2), 1), Reason.DUPLICATE_PROFILE),
        ((profile(id=1), 0), (profile(id=2), 1), Reason.DUPLICATE_PROFILE),
        ((profile(id=1), 1), (profile(id=2), 0), Reason.DUPLICATE_PROFILE),
        ((profile(id=1, purpose=STATION), 0), (profile(id=2, purpose=STATION), 0), Reason.DUPLICATE_PROFILE),
        ((profile(id=1, valid_to_s=60), 1), (profile(id=2, valid_from_s=59), 1), Reason.DUPLICATE_PROFILE),
        ((profile(id=1, valid_to_s=60), 1), (profile(id=2, valid_from_s=60), 1), ""),
        ((profile(id=1, valid_from_s=60), 1), (profile(id=2, valid_to_s=60), 1), ""),
        ((profile(id=1), 1), (profile(id=2), 2), ""),
        ((profile(id=1), 1), (profile(id=2, level=1), 1), ""),
        ((profile(id=1), 0), (profile(id=2, purpose=STATION), 0), ""),
    ],
)
def test_another_id_with_the_same_purpose_and_level_there_is_a_duplicate(first: Any, second: Any, reason: str) -> None:
    site = strict()
    assert put(site, *first) is ACCEPTED
    if reason:
        assert why(site, *second) == reason
    else:
        assert put(site, *second) is ACCEPTED


@pytest.mark.req("K01.FR.39")
def test_a_transaction_has_one_profile_a_level() -> None:
    site = strict()
    assert put(site, profile(id=1, purpose=TX), transaction_id=running(site)) is ACCEPTED
    assert why(site, profile(id=2, purpose=TX), transaction_id=running(site)) == Reason.DUPLICATE_PROFILE
    assert put(site, profile(id=2, purpose=TX, level=1), transaction_id=running(site)) is ACCEPTED


@pytest.mark.req("K01.FR.36", "K01.FR.37")
def test_of_two_that_are_valid_one_after_the_other_each_has_its_time() -> None:
    site = strict()
    put(site, profile((0, 8.0), id=1, valid_to_s=60))
    put(site, profile((0, 12.0), id=2, valid_from_s=60))
    assert curve(ask(site)) == [(0, 8.0), (60, 12.0)]


# --- phases


@pytest.mark.req("K01.FR.44", "K01.FR.48", "K01.FR.49")
@pytest.mark.parametrize(
    ("wired", "told", "status"),
    [(3, None, ACCEPTED), (3, 3, ACCEPTED), (3, 1, REJECTED), (3, 2, REJECTED), (1, 1, ACCEPTED), (1, 3, ACCEPTED)]
    + [(1, None, ACCEPTED)],
)
def test_fewer_phases_than_are_wired_cannot_be_promised(wired: int, told: int | None, status: ProfileStatus) -> None:
    site = strict(layouts=(layout(1, phases=wired),))
    assert put(site, profile((0, 8.0), phases=told)) is status


def test_a_limit_of_the_station_holds_for_the_most_phases_that_are_wired() -> None:
    site = strict(layouts=(layout(1, phases=1), layout(2, phases=3)))
    assert put(site, profile(phases=1)) is ACCEPTED
    assert why(site, profile(id=2, phases=1, purpose=STATION), 0) == Reason.INVALID_SCHEDULE


@pytest.mark.req("K01.FR.45", "K01.FR.46")
def test_no_phase_can_be_chosen() -> None:
    site = strict(layouts=(layout(1, phases=1),))
    one = profile((0, 8.0), phases=1)
    period = replace(one.schedule.periods[0], phase_to_use=2)
    chosen = replace(one, schedule=replace(one.schedule, periods=(period,)))
    assert why(site, chosen) == Reason.UNSUPPORTED_PARAM


# --- switched off


@pytest.mark.req("K01.FR.29")
def test_what_is_switched_off_takes_nothing_and_forgets_nothing() -> None:
    site = strict()
    assert put(site, profile((0, 8.0))) is ACCEPTED
    site.set("SmartChargingEnabled", "false")
    assert site.connector(1).allowed_ma is None
    assert put(site, profile(id=2, level=1)) is ProfileStatus.NOT_SUPPORTED
    assert site.reply().reason == Reason.NOT_ENABLED
    assert clear(site) is ClearStatus.UNKNOWN
    assert site.reply().reason == Reason.NOT_ENABLED
    assert ask(site) is Verdict.REJECTED
    assert site.reply().reason == Reason.NOT_ENABLED
    site.set("SmartChargingEnabled", "true")
    assert site.connector(1).allowed_ma == 8_000


@pytest.mark.req("F01.FR.12")
def test_a_start_is_without_its_profile_where_smart_charging_is_switched_off() -> None:
    site = Site.build(1, policy=STRICT, configuration={"SmartChargingEnabled": "false"})
    site.plug(1)
    one = profile((0, 8.0), purpose=DEFAULT)
    assert site.remote_start("ALICE", 1, profile=one) is Verdict.ACCEPTED
    site.charge(1)
    assert site.station.running(1) is not None
    assert not site.station.charging_profiles


# --- schedules


@pytest.mark.req("K08.FR.05", "K08.FR.07")
@pytest.mark.parametrize(
    ("evse", "duration_s", "unit", "reason"),
    [(9, 60, A, Reason.UNKNOWN_EVSE), (1, 0, A, Reason.INVALID_VALUE), (1, 60, W, Reason.UNSUPPORTED_RATE_UNIT)],
)
def test_a_schedule_that_cannot_be_told_has_a_reason(evse: int, duration_s: int, unit: Any, reason: Reason) -> None:
    site = strict(configuration={"ChargingScheduleAllowedChargingRateUnit": "Current"})
    request = site.ref("GetCompositeSchedule")
    site.do(GetCompositeSchedule(request=request, evse=evse, duration_s=duration_s, unit=unit))
    assert (site.reply().status, site.reply().reason) == (Verdict.REJECTED, reason)
