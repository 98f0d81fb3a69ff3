"""Charging profiles: which are taken, which replace others, how long they stay."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edged.domain.answers import ClearStatus, ProfileStatus, Verdict
from edged.domain.charging import ChargingProfile, Recurrency
from edged.domain.commands import ResetKind, ResetStation
from edged.domain.desired import desired
from edged.domain.effects import Announce
from edged.domain.events import Tick
from edged.domain.hardware import Capability
from edged.domain.policy import StartPoint
from edged.domain.station import ConnectorLayout
from tests.fakes.profiles import (
    DAY_S,
    DEFAULT,
    RECURRING,
    RELATIVE,
    STATION,
    TX,
    A,
    W,
    clear,
    profile,
    put,
)
from tests.fakes.site import FULL, POLICY, Site, layout

ACCEPTED, REJECTED = ProfileStatus.ACCEPTED, ProfileStatus.REJECTED


def charging(connectors: int = 2, **shape: Any) -> Site:
    """A site whose connector 1 charges; the CSMS calls the transaction 77."""
    site = Site.build(connectors, **shape)
    site.start(1, "ALICE")
    site.deliver(77)
    return site


def installed(site: Site) -> set[int]:
    return set(site.station.charging_profiles)


def limit_a(site: Site, number: int = 1) -> float:
    """What a charging point is told to give at most."""
    limit_ma = desired(site.station, number).current_limit_ma
    assert limit_ma is not None
    return limit_ma / 1000


# --- places


@pytest.mark.req("16-SC-03")
@pytest.mark.parametrize("place", [{"evse": 3}, {"evse": -1}, {"connector": 3}, {"connector": -1}])
def test_a_place_that_does_not_exist_is_unknown(place: dict[str, int]) -> None:
    site = Site.build(2)
    assert put(site, profile(), **place) is ProfileStatus.UNKNOWN_EVSE
    assert not installed(site)


@pytest.mark.req("16-SC-01")
@pytest.mark.parametrize(
    ("purpose", "evse", "status"),
    [(STATION, 0, ACCEPTED), (STATION, 1, REJECTED), (DEFAULT, 0, ACCEPTED), (DEFAULT, 2, ACCEPTED)]
    + [(TX, 0, REJECTED), (TX, 1, ACCEPTED), (TX, 2, REJECTED)],
)
def test_each_purpose_has_its_places(purpose: Any, evse: int, status: ProfileStatus) -> None:
    assert put(charging(), profile(purpose=purpose), evse) is status


def test_the_number_of_a_connector_means_its_evse() -> None:
    shapes: tuple[ConnectorLayout, ...] = (
        layout(1, evse_id=1),
        layout(2, evse_id=1, connector_id=2),
        layout(3, evse_id=2),
    )
    site = Site.build(layouts=shapes)
    assert put(site, profile(id=1), connector=2) is ACCEPTED
    assert put(site, profile(id=2), connector=3) is ACCEPTED
    assert put(site, profile(id=3, level=1), connector=0) is ACCEPTED
    assert [one.evse_id for one in site.station.charging_profiles.values()] == [1, 2, 0]
    assert clear(site, connector=1) is ClearStatus.ACCEPTED
    assert installed(site) == {2, 3}


@pytest.mark.req("16-SC-02")
@pytest.mark.parametrize(
    ("named", "status"),
    [({}, ACCEPTED), ({"external_ref": 77}, ACCEPTED), ({"external_ref": 78}, REJECTED)]
    + [({"transaction_id": "another"}, REJECTED)],
)
def test_a_profile_of_a_transaction_is_for_the_one_that_runs(named: dict[str, Any], status: ProfileStatus) -> None:
    site = charging()
    assert put(site, profile(purpose=TX), **named) is status
    running = site.station.running(1)
    assert running is not None
    assert put(site, profile(purpose=TX), transaction_id=running.id) is ACCEPTED


@pytest.mark.req("16-SC-02")
def test_a_transaction_that_the_csms_has_not_named_cannot_be_called_by_a_name() -> None:
    site = Site.build(1)
    site.start(1, "ALICE")
    assert put(site, profile(purpose=TX), external_ref=77) is REJECTED
    assert put(site, profile(purpose=TX)) is ACCEPTED


# --- what is wrong with a profile itself


@pytest.mark.req("16-SC-03")
@pytest.mark.parametrize(
    "wrong",
    [
        profile(level=-1),
        profile(level=6),
        profile(*((n, 10.0) for n in range(5))),
        profile(unit=W),
        profile((1, 10.0)),
        profile((0, 10.0), (60, 9.0), (60, 8.0)),
        profile((0, -1.0)),
        profile((0, float("nan"))),
        profile(phases=4),
        profile(duration_s=0),
        profile(duration_s=-5),
        profile(recurrency=Recurrency.DAILY),
        profile(kind=RELATIVE, recurrency=Recurrency.DAILY),
        profile(kind=RECURRING),
        profile(start_s=None),
        profile(kind=RECURRING, recurrency=Recurrency.DAILY, start_s=None),
        profile(valid_from_s=100, valid_to_s=100),
        profile(valid_from_s=101, valid_to_s=100),
        profile(valid_to_s=0),
        profile(valid_to_s=-DAY_S),
    ],
)
def test_a_profile_that_makes_no_sense_is_rejected(wrong: ChargingProfile) -> None:
    keys = {
        "ChargeProfileMaxStackLevel": "5",
        "ChargingScheduleMaxPeriods": "4",
        "ChargingScheduleAllowedChargingRateUnit": "Current",
    }
    site = Site.build(1, configuration=keys)
    assert put(site, wrong) is REJECTED
    assert not installed(site)


def test_a_relative_schedule_has_no_start_of_its_own() -> None:
    one = profile()
    wrong = replace(one, kind=RELATIVE)
    assert put(Site.build(1), wrong) is REJECTED


def test_the_limit_of_the_station_is_not_relative_to_a_transaction() -> None:
    assert put(Site.build(1), profile(purpose=STATION, kind=RELATIVE), 0) is REJECTED


@pytest.mark.req("16-SC-03")
@pytest.mark.parametrize(
    "sound",
    [
        profile(level=5),
        profile(*((n, 10.0) for n in range(4))),
        profile(kind=RELATIVE),
        profile(kind=RECURRING, recurrency=Recurrency.WEEKLY),
        profile(valid_from_s=-100, valid_to_s=1),
        profile((0, 0.0), (10, 10**9)),
        profile(phases=1),
        profile(start_s=-(10**9), duration_s=2**62),
    ],
)
def test_a_profile_that_makes_sense_is_taken(sound: ChargingProfile) -> None:
    site = Site.build(1, configuration={"ChargeProfileMaxStackLevel": "5", "ChargingScheduleMaxPeriods": "4"})
    assert put(site, sound) is ACCEPTED
    site.wait(2)


def test_an_expired_profile_is_taken_while_nobody_knows_the_time() -> None:
    site = Site.build(1, synchronized=False)
    assert put(site, profile(valid_to_s=0)) is ACCEPTED
    site.wait(2)
    assert installed(site) == {1}
    site.trust()
    assert not installed(site)


@pytest.mark.req("16-SC-03")
def test_a_charger_that_can_neither_be_limited_nor_stopped_takes_no_profile() -> None:
    deaf = FULL - {Capability.LIMIT, Capability.WITHHOLD}
    site = Site.build(layouts=(layout(1, capabilities=deaf), layout(2)))
    assert put(site, profile(), 1) is ProfileStatus.NOT_SUPPORTED
    assert put(site, profile(), 2) is ACCEPTED
    assert put(site, profile(level=1, id=2), 0) is ACCEPTED


# --- replacing


@pytest.mark.req("16-SC-04")
def test_the_same_id_replaces_wherever_it_was() -> None:
    site = Site.build(2)
    put(site, profile((0, 8.0)), 1)
    assert put(site, profile((0, 9.0), level=3), 2) is ACCEPTED
    (one,) = site.station.charging_profiles.values()
    assert (one.evse_id, one.profile.stack_level) == (2, 3)
    assert (limit_a(site, 1), limit_a(site, 2)) == (32.0, 9.0)


@pytest.mark.req("16-SC-04")
@pytest.mark.parametrize(
    ("change", "evse", "left"),
    [({}, 1, {2}), ({"level": 1}, 1, {1, 2}), ({}, 2, {1, 2}), ({}, 0, {1, 2}), ({"purpose": TX}, 1, {1, 2})],
)
def test_the_same_purpose_and_level_in_the_same_place_replaces(
    change: dict[str, Any], evse: int, left: set[int]
) -> None:
    site = charging()
    put(site, profile(id=1), 1)
    assert put(site, profile(id=2, **change), evse) is ACCEPTED
    assert installed(site) == left


@pytest.mark.req("16-SC-03")
def test_more_than_there_may_be_is_rejected_but_replacing_goes_on() -> None:
    site = Site.build(1, configuration={"MaxChargingProfilesInstalled": "2"})
    assert put(site, profile(id=1, level=1)) is ACCEPTED
    assert put(site, profile(id=2, level=2)) is ACCEPTED
    assert put(site, profile(id=3, level=3)) is REJECTED
    assert put(site, profile(id=3, level=2)) is ACCEPTED
    assert installed(site) == {1, 3}


@pytest.mark.req("16-SC-11")
def test_until_the_replacement_is_valid_the_default_holds() -> None:
    site = charging()
    put(site, profile((0, 20.0), id=1))
    put(site, profile((0, 8.0), id=2, purpose=TX))
    assert limit_a(site) == 8.0
    put(site, profile((0, 7.0), id=2, purpose=TX, valid_from_s=10))
    assert limit_a(site) == 20.0
    site.wait(10)
    assert limit_a(site) == 7.0


# --- clearing


def four() -> Site:
    site = charging()
    put(site, profile(id=1, purpose=STATION), 0)
    put(site, profile(id=2, level=1), 0)
    put(site, profile(id=3, level=1), 1)
    put(site, profile(id=4, purpose=TX), 1)
    return site


@pytest.mark.req("TC_067_CS", "16-SC-10")
@pytest.mark.parametrize(
    ("which", "left"),
    [
        ({}, set()),
        ({"profile_id": 3}, {1, 2, 4}),
        ({"profile_id": 3, "evse": 9, "purpose": TX, "stack_level": 7}, {1, 2, 4}),
        ({"evse": 0}, {3, 4}),
        ({"evse": 1}, {1, 2}),
        ({"connector": 0}, {3, 4}),
        ({"connector": 1}, {1, 2}),
        ({"purpose": DEFAULT}, {1, 4}),
        ({"stack_level": 1}, {1, 4}),
        ({"evse": 1, "purpose": DEFAULT, "stack_level": 1}, {1, 2, 4}),
    ],
)
def test_clearing_takes_what_fits_all_that_is_given_and_an_id_alone(which: dict[str, Any], left: set[int]) -> None:
    site = four()
    assert clear(site, **which) is ClearStatus.ACCEPTED
    assert installed(site) == left


@pytest.mark.req("TC_067_CS")
@pytest.mark.parametrize(
    "which",
    [{"profile_id": 9}, {"evse": 2}, {"evse": 9}, {"connector": 9}, {"stack_level": 5}, {"evse": 0, "purpose": TX}],
)
def test_clearing_what_is_not_there_is_unknown(which: dict[str, Any]) -> None:
    site = four()
    assert clear(site, **which) is ClearStatus.UNKNOWN
    assert installed(site) == {1, 2, 3, 4}


def test_clearing_is_felt_at_once() -> None:
    site = charging()
    put(site, profile((0, 8.0)))
    assert limit_a(site) == 8.0
    clear(site)
    assert limit_a(site) == 32.0


# --- how long they stay


@pytest.mark.req("16-SC-05")
def test_a_profile_of_a_transaction_goes_with_it() -> None:
    site = four()
    site.show("ALICE", 1)
    assert installed(site) == {1, 2, 3}


@pytest.mark.req("16-SC-05")
@pytest.mark.parametrize("continued", [False, True])
def test_profiles_survive_a_restart_those_of_a_transaction_only_with_it(continued: bool) -> None:
    site = four()
    site.restart(continued=continued)
    assert installed(site) == ({1, 2, 3, 4} if continued else {1, 2, 3})


def test_a_reset_ends_the_transaction_and_its_profile() -> None:
    site = four()
    site.do(ResetStation(site.ref("Reset"), ResetKind.SOFT))
    assert installed(site) == {1, 2, 3}


def test_what_has_expired_is_removed_and_another_one_may_come() -> None:
    site = Site.build(1, configuration={"MaxChargingProfilesInstalled": "1"})
    put(site, profile(id=1, valid_to_s=5))
    assert put(site, profile(id=2, level=1)) is REJECTED
    site.wait(5)
    assert not installed(site)
    assert put(site, profile(id=2, level=1)) is ACCEPTED


def test_nothing_is_removed_by_date_while_nobody_knows_the_time() -> None:
    site = Site.build(1)
    put(site, profile((0, 8.0), valid_to_s=5))
    site.wait(2)
    site.restart(off_s=1000, synchronized=False)
    site.wait(10)
    assert installed(site) == {1}
    site.trust()
    assert not installed(site)


@pytest.mark.req("16-SC-15")
def test_profiles_hold_without_the_csms() -> None:
    site = charging()
    put(site, profile((0, 8.0), (20, 12.0), purpose=TX))
    site.offline()
    assert limit_a(site) == 8.0
    site.wait(20)
    assert limit_a(site) == 12.0
    site.show("ALICE", 1)
    assert limit_a(site) == 32.0


# --- a remote start that brings its profile


@pytest.mark.req("TC_059_CS")
@pytest.mark.parametrize("asked", [False, True])
def test_the_profile_of_a_remote_start_is_its_transactions(asked: bool) -> None:
    site = Site.build(2, configuration={"AuthorizeRemoteTxRequests": "true" if asked else "false"})
    one = profile((0, 8.0), (30, 9.0), purpose=TX, kind=RELATIVE)
    assert site.remote_start("ALICE", 1, profile=one) is Verdict.ACCEPTED
    if asked:
        site.accept()
    assert not installed(site)
    site.advance(10)
    site.plug(1)
    running = site.station.running(1)
    assert running is not None
    (found,) = site.station.charging_profiles.values()
    assert (found.profile, found.evse_id, found.transaction_id) == (one, 1, running.id)
    assert limit_a(site) == 8.0
    site.wait(30)
    assert limit_a(site) == 9.0


@pytest.mark.req("TC_060_CS", "16-SC-03")
@pytest.mark.parametrize("wrong", [profile(), profile(purpose=STATION), profile((5, 8.0), purpose=TX)])
def test_a_remote_start_with_an_unfit_profile_is_rejected(wrong: ChargingProfile) -> None:
    site = Site.build(1)
    assert site.remote_start("ALICE", 1, profile=wrong) is Verdict.REJECTED
    assert site.connector(1).authorization is None


def test_a_remote_start_whose_profile_finds_no_room_is_rejected() -> None:
    site = Site.build(2, configuration={"MaxChargingProfilesInstalled": "1"})
    put(site, profile(id=1))
    assert site.remote_start("ALICE", 1, profile=profile(id=2, purpose=TX)) is Verdict.REJECTED
    assert site.remote_start("ALICE", 1, profile=profile(id=1, purpose=TX)) is Verdict.ACCEPTED


def test_a_room_that_was_promised_is_there_even_if_others_came_first() -> None:
    site = Site.build(2, configuration={"MaxChargingProfilesInstalled": "1"})
    site.remote_start("ALICE", 1, profile=profile((0, 8.0), id=2, purpose=TX))
    put(site, profile(id=1))
    site.plug(1)
    assert limit_a(site) == 8.0


@pytest.mark.req("TC_059_CS")
def test_a_later_profile_of_the_same_level_replaces_that_of_the_start_and_others_stack() -> None:
    site = Site.build(1)
    site.remote_start("ALICE", 1, profile=profile((0, 8.0), id=1, purpose=TX))
    site.plug(1)
    site.deliver(77)
    put(site, profile((0, 9.0), id=2, level=1, purpose=TX, duration_s=60), external_ref=77)
    put(site, profile((0, 7.0), id=3, purpose=TX), external_ref=77)
    assert installed(site) == {2, 3}
    assert limit_a(site) == 9.0
    site.wait(60)
    assert limit_a(site) == 7.0


def test_without_a_way_to_keep_to_it_the_profile_of_a_start_is_left_aside() -> None:
    site = Site.build(layouts=(layout(1, capabilities=FULL - {Capability.LIMIT, Capability.WITHHOLD}),))
    assert site.remote_start("ALICE", 1, profile=profile(purpose=STATION)) is Verdict.ACCEPTED
    site.plug(1)
    assert site.station.running(1) is not None
    assert not installed(site)


def test_the_profile_of_a_start_is_that_of_a_transaction_that_began_with_the_plug() -> None:
    policy = replace(POLICY, start_points=frozenset({StartPoint.EV_CONNECTED}))
    site = Site.build(1, policy=policy)
    site.plug(1)
    running = site.station.running(1)
    assert running is not None and running.id_token is None
    assert site.remote_start("ALICE", 1, profile=profile((0, 8.0), purpose=TX)) is Verdict.ACCEPTED
    assert limit_a(site) == 8.0
    assert site.station.charging_profiles[1].transaction_id == running.id


def test_a_start_that_never_becomes_a_transaction_leaves_no_profile() -> None:
    site = Site.build(1, configuration={"ConnectionTimeOut": "5"})
    site.remote_start("ALICE", 1, profile=profile(purpose=TX))
    site.wait(6)
    site.start(1, "BOB")
    assert not installed(site)
    assert limit_a(site) == 32.0


def test_units_are_as_the_site_says() -> None:
    site = Site.build(1, configuration={"ChargingScheduleAllowedChargingRateUnit": "Power"})
    assert put(site, profile(unit=A)) is REJECTED
    assert put(site, profile((0, 6900.0), unit=W)) is ACCEPTED
    assert limit_a(site) == 10.0


# --- what an operator is told


def told(site: Site) -> list[tuple[str, int | None, Any]]:
    return [(e.kind, e.connector, e.data) for e in site.effects if isinstance(e, Announce) and "profile" in e.kind]


def test_whoever_reads_the_log_sees_profiles_come_and_go() -> None:
    site = charging()
    put(site, profile((0, 10.5), id=5, level=2))
    data = {"profile_id": 5, "purpose": "TxDefaultProfile", "stack_level": 2, "first_limit": "10.5 A"}
    assert told(site) == [("charging_profile.set", 1, data)]
    put(site, profile((0, 1e4), id=6, purpose=STATION, unit=W), evse=0)
    ((kind, connector, data),) = told(site)
    assert (kind, connector, data["first_limit"]) == ("charging_profile.set", None, "10000 W")
    clear(site)
    assert told(site) == [("charging_profile.cleared", None, {"profile_ids": [5, 6], "cause": "cleared"})]
    clear(site)
    assert told(site) == []


def test_whoever_reads_the_log_sees_why_a_profile_was_not_taken() -> None:
    site = Site.build(2)
    put(site, profile(purpose=TX, id=7))
    data = {"profile_id": 7, "reason": "no transaction is running there"}
    assert [one[2] for one in told(site)] == [data]


def test_whoever_reads_the_log_sees_profiles_end_by_themselves() -> None:
    site = charging()
    put(site, profile(purpose=TX, id=8))
    site.show("ALICE", 1)
    assert [one[2] for one in told(site)] == [{"profile_ids": [8], "cause": "ended"}]
    put(site, profile(id=9, valid_to_s=3600))
    site.advance(4000)
    site.do(Tick())
    assert [one[2] for one in told(site)] == [{"profile_ids": [9], "cause": "expired"}]
