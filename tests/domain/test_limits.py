"""What profiles come to: for the hardware from second to second, and for a CSMS that asks ahead."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.domain.answers import ProfileStatus, Verdict
from edged.domain.charging import ChargingProfile, CompositeSchedule, RateUnit, Recurrency
from edged.domain.charging_commands import SetLocalLimit
from edged.domain.desired import desired
from edged.domain.events import Tick
from edged.domain.hardware import Capability, ChargerState, Measurand
from edged.domain.types import Phase
from tests.fakes.profile_invariants import ampere, first_limit, own_limit
from tests.fakes.profiles import (
    DAY_S,
    DEFAULT,
    RECURRING,
    RELATIVE,
    STATION,
    TX,
    A,
    W,
    ask,
    clear,
    curve,
    limit_at,
    profile,
    profiles,
    put,
)
from tests.fakes.site import FULL, POLICY, START, Site, layout


def charging(*numbers: int, **shape: Any) -> Site:
    site = Site.build(**shape)
    for number in numbers or (1,):
        site.start(number, f"DRIVER-{number}")
        site.advance(1)
    return site


def limits(site: Site) -> list[float]:
    return [(desired(site.station, number).current_limit_ma or 0) / 1000 for number in site.station.connectors]


# --- the hardware


@pytest.mark.req("16-SC-07", "16-SC-10")
def test_the_profile_of_the_transaction_goes_before_defaults_and_the_evses_own_before_the_stations() -> None:
    site = charging(1, connectors=2)
    put(site, profile((0, 20.0), id=1, level=9), 0)
    assert limits(site) == [20.0, 20.0]
    put(site, profile((0, 16.0), id=2), 1)
    assert limits(site) == [16.0, 20.0]
    put(site, profile((0, 10.0), id=3, purpose=TX), 1)
    assert limits(site) == [10.0, 20.0]
    put(site, profile((0, 8.0), id=4, purpose=STATION), 0)
    assert limits(site) == [8.0, 8.0]


@pytest.mark.req("TC_072_CS", "16-SC-06")
def test_the_higher_level_prevails_while_it_speaks() -> None:
    site = charging(1, connectors=1)
    put(site, profile((0, 10.0), id=1, level=1))
    put(site, profile((0, 20.0), id=2, level=2, start_s=10, duration_s=10))
    found = []
    for _ in range(5):
        found.append(limits(site)[0])
        site.wait(5)
    assert found == [10.0, 10.0, 20.0, 20.0, 10.0]


@pytest.mark.req("16-SC-08", "16-SC-09")
def test_a_gap_in_a_recurrence_falls_to_the_level_below() -> None:
    site = charging(1, connectors=1)
    night = profile((0, 32.0), id=1, level=1, kind=RECURRING, recurrency=Recurrency.DAILY, duration_s=3600)
    put(site, night)
    put(site, profile((0, 8.0), id=2))
    assert limits(site) == [32.0]
    for step_s, limit in ((3600, 8.0), (DAY_S - 3602, 8.0), (1, 32.0), (3600, 8.0)):
        site.advance(step_s)
        site.do(Tick())
        assert limits(site) == [limit]


@pytest.mark.req("16-SC-07")
def test_the_installation_is_never_exceeded() -> None:
    site = charging(1, layouts=(layout(1, max_current_ma=16_000),))
    put(site, profile((0, 32.0)))
    assert limits(site) == [16.0]


@pytest.mark.req("16-SC-17")
def test_where_the_wires_allow_less_than_the_charger_can_go_down_to_it_gets_nothing() -> None:
    site = charging(1, layouts=(layout(1, max_current_ma=5_000),))
    assert limits(site) == [0.0]
    put(site, profile((0, 32.0)))
    assert limits(site) == [0.0]


@pytest.mark.req("16-SC-16", "16-SC-17")
@pytest.mark.parametrize(("limit", "unit"), [(0.0, A), (5.9, A), (4139.0, W)])
def test_below_the_least_energy_stops_and_comes_back_with_the_limit(limit: float, unit: RateUnit) -> None:
    site = charging(1, connectors=1)
    put(site, profile((0, limit), (10, 16.0 if unit is A else 11_040.0), unit=unit))
    wanted = desired(site.station, 1)
    assert (wanted.permit_charging, wanted.current_limit_ma) == (False, 0)
    assert site.status(1) == "SuspendedEVSE"
    site.look(1, ChargerState.CONNECTED)
    site.wait(10)
    wanted = desired(site.station, 1)
    assert (wanted.permit_charging, wanted.current_limit_ma) == (True, 16_000)
    site.charge(1)
    assert site.connector(1).phase is Phase.CHARGING


@pytest.mark.req("16-SC-16")
def test_a_transaction_that_may_take_nothing_starts_all_the_same() -> None:
    site = Site.build(1)
    put(site, profile((0, 0.0)))
    site.plug(1)
    site.show("ALICE", 1)
    site.accept()
    assert site.station.running(1) is not None
    assert site.status(1) == "SuspendedEVSE"
    assert not desired(site.station, 1).permit_charging


@pytest.mark.req("16-SC-12")
@pytest.mark.parametrize(
    ("shape", "one", "limit"),
    [
        ({}, profile((0, 11_040.0), unit=W), 16.0),
        ({}, profile((0, 11_040.0), unit=W, phases=1), 16.0),
        ({}, profile((0, 16.0), phases=1), 16.0),
        ({"phases": 1}, profile((0, 3_680.0), unit=W, phases=3), 16.0),
        ({"phases": 1}, profile((0, 16.0), phases=3), 16.0),
        ({"voltage_v": 240.0}, profile((0, 7_200.0), unit=W), 10.0),
        ({}, profile((0, 5_000.0), unit=W), 7.246),
        ({"min_current_ma": 8_000}, profile((0, 7.9)), 0.0),
    ],
)
def test_watts_become_amperes_by_the_wires_and_never_too_many(
    shape: dict[str, Any], one: ChargingProfile, limit: float
) -> None:
    site = charging(1, layouts=(layout(1, **shape),))
    assert put(site, one) is ProfileStatus.ACCEPTED
    assert limits(site) == [limit]


@pytest.mark.parametrize(("limit", "given_a"), [(31.9, 0.0), (32.0, 32.0), (0.0, 0.0)])
def test_a_charger_that_can_only_be_switched_gets_all_or_nothing(limit: float, given_a: float) -> None:
    site = charging(1, layouts=(layout(1, capabilities=FULL - {Capability.LIMIT}),))
    put(site, profile((0, limit)))
    assert limits(site) == [given_a]
    assert desired(site.station, 1).permit_charging is (given_a > 0)


def test_a_charger_that_cannot_be_told_is_left_alone() -> None:
    deaf = layout(2, capabilities=FULL - {Capability.LIMIT, Capability.WITHHOLD})
    site = charging(1, 2, layouts=(layout(1), deaf))
    put(site, profile((0, 40.0), purpose=STATION), 0)
    assert limits(site) == [8.0, 32.0]
    put(site, profile((0, 37.0), purpose=STATION), 0)
    assert limits(site) == [0.0, 32.0]
    assert site.connector(2).phase is Phase.CHARGING


@pytest.mark.req("16-MV-10")
def test_the_offered_current_is_nothing_while_the_charger_withholds() -> None:
    shape = layout(1, measurands=frozenset({Measurand.ENERGY, Measurand.CURRENT_OFFERED}))
    keys = {"MeterValueSampleInterval": "10", "MeterValuesSampledData": "Current.Offered"}
    site = charging(1, layouts=(shape,), configuration=keys)
    site.look(1, ChargerState.CHARGING, current_limit_ma=16_000, permit_charging=True)
    site.advance(10)
    site.look(1, ChargerState.CHARGING, current_limit_ma=16_000, permit_charging=True)
    site.do(Tick())
    site.advance(10)
    site.look(1, ChargerState.CONNECTED, current_limit_ma=16_000, permit_charging=False)
    site.do(Tick())
    found = [value.value for record in site.records() for s in record.samples for value in s.values]
    assert found[-2:] == [16.0, 0.0]


# --- sharing


@pytest.mark.req("16-SC-07")
def test_those_who_charge_share_the_station_and_give_back_what_they_leave() -> None:
    site = Site.build(3)
    put(site, profile((0, 20.0), purpose=STATION), 0)
    assert limits(site) == [20.0, 20.0, 20.0]
    site.start(2, "ALICE")
    assert limits(site)[1] == 20.0
    site.advance(1)
    site.start(1, "BOB")
    assert limits(site)[:2] == [10.0, 10.0]
    site.advance(1)
    site.start(3, "CAROL")
    assert limits(site) == [6.666, 6.666, 6.666]
    put(site, profile((0, 14.0), purpose=STATION), 0)
    assert limits(site) == [7.0, 7.0, 0.0]
    assert site.status(3) == "SuspendedEVSE"
    site.show("ALICE", 2)
    assert limits(site)[0] == limits(site)[2] == 7.0


@pytest.mark.req("16-SC-07")
def test_what_one_may_not_take_the_others_get() -> None:
    site = charging(1, 2, connectors=2)
    put(site, profile((0, 8.0), id=1), 1)
    put(site, profile((0, 30.0), id=2, purpose=STATION), 0)
    assert limits(site) == [8.0, 22.0]


@pytest.mark.req("16-SC-12")
def test_watts_of_the_station_are_shared_by_what_the_wires_make_of_them() -> None:
    site = charging(1, 2, layouts=(layout(1), layout(2, phases=1)))
    put(site, profile((0, 9_200.0), unit=W, purpose=STATION), 0)
    assert limits(site) == [10.0, 10.0]


def offering(site: Site, number: int, limit_ma: int, *, permitted: bool | None = True, **more: Any) -> None:
    """The charger reports what it offers to a car that charges, or waits for it."""
    state = more.pop("state", ChargerState.CONNECTED if permitted is False else ChargerState.CHARGING)
    site.look(number, state, plugged=True, current_limit_ma=limit_ma, permit_charging=permitted, **more)


@pytest.mark.req("16-SC-07")
def test_nobody_rises_before_the_others_report_that_they_have_come_down() -> None:
    site = charging(1, connectors=2)
    put(site, profile((0, 20.0), purpose=STATION), 0)
    offering(site, 1, 20_000)
    site.advance(1)
    site.look(2, ChargerState.AVAILABLE, current_limit_ma=32_000, permit_charging=False)
    site.start(2, "BOB")
    offering(site, 2, 32_000, permitted=False)
    assert limits(site) == [10.0, 0.0]
    assert not desired(site.station, 2).permit_charging
    offering(site, 1, 10_000)
    assert limits(site) == [10.0, 10.0]
    assert desired(site.station, 2).permit_charging
    offering(site, 2, 10_000)
    put(site, profile((0, 6.0), id=2), 1)
    assert limits(site) == [6.0, 10.0]
    offering(site, 1, 6_000)
    assert limits(site) == [6.0, 14.0]


@pytest.mark.req("16-SC-07")
def test_who_has_ended_is_waited_for_until_it_offers_nothing() -> None:
    site = charging(1, 2, connectors=2)
    put(site, profile((0, 20.0), purpose=STATION), 0)
    offering(site, 1, 10_000)
    offering(site, 2, 10_000)
    site.show("DRIVER-1", 1)
    assert limits(site)[1] == 10.0
    offering(site, 1, 10_000, permitted=False)
    assert limits(site)[1] == 20.0


@pytest.mark.req("16-SC-07")
@pytest.mark.parametrize("reported", [{"permitted": None, "state": ChargerState.CONNECTED}, {"limit_ma": None}])
def test_what_a_charger_does_not_report_is_not_waited_for(reported: dict[str, Any]) -> None:
    site = charging(1, 2, connectors=2)
    put(site, profile((0, 20.0), purpose=STATION), 0)
    put(site, profile((0, 6.0), id=2), 1)
    offering(site, 2, 10_000)
    offering(site, 1, **{"limit_ma": 10_000, **reported})
    assert limits(site)[1] == 14.0


@pytest.mark.req("16-SC-07")
@pytest.mark.parametrize("permitted", [True, None])
def test_whoever_may_take_nothing_is_waited_for_even_where_no_limit_is_reported(permitted: bool | None) -> None:
    site = charging(1, connectors=2)
    put(site, profile((0, 20.0), purpose=STATION), 0)
    put(site, profile((0, 0.0), id=2), 1)
    site.look(2, ChargerState.CONNECTED)
    site.start(2, "BOB")
    site.look(2, ChargerState.CONNECTED, plugged=True)
    site.look(1, ChargerState.CHARGING, plugged=True, permit_charging=permitted)
    assert limits(site) == [0.0, 0.0]
    site.look(1, ChargerState.SUSPENDED_EVSE, plugged=True, permit_charging=None if permitted is None else False)
    assert limits(site) == [0.0, 20.0]


@pytest.mark.req("16-SC-07")
def test_whoever_can_only_be_switched_is_waited_for_too() -> None:
    site = charging(1, layouts=(layout(1, capabilities=FULL - {Capability.LIMIT}), layout(2)))
    put(site, profile((0, 40.0), purpose=STATION), 0)
    offering(site, 1, 32_000)
    site.start(2, "BOB")
    offering(site, 2, 6_000)
    assert limits(site) == [32.0, 8.0]
    put(site, profile((0, 16.0), id=2, purpose=STATION), 0)
    assert limits(site) == [0.0, 6.0]
    site.look(1, ChargerState.SUSPENDED_EVSE, plugged=True, permit_charging=False)
    assert limits(site) == [0.0, 16.0]


@pytest.mark.req("16-SC-07")
def test_a_silent_charger_is_waited_for_until_it_counts_as_faulted() -> None:
    site = charging(1, 2, connectors=2)
    put(site, profile((0, 20.0), purpose=STATION), 0)
    offering(site, 1, 10_000)
    offering(site, 2, 10_000)
    site.lose(1)
    put(site, profile((0, 6.0), id=2), 1)
    assert limits(site)[1] == 10.0
    for _ in range(31):
        site.advance(1)
        site.do(Tick())
    assert limits(site)[1] == 14.0


def test_without_a_limit_of_the_station_nobody_waits() -> None:
    site = charging(1, 2, connectors=2)
    offering(site, 1, 32_000)
    offering(site, 2, 6_000)
    put(site, profile((0, 6.0), id=2), 1)
    assert limits(site) == [6.0, 32.0]


def test_the_order_of_the_transactions_survives_a_restart() -> None:
    site = charging(2, 1, connectors=2)
    put(site, profile((0, 8.0), purpose=STATION), 0)
    assert limits(site) == [0.0, 8.0]
    site.restart(continued=True)
    for number in (1, 2):
        site.charge(number)
    assert limits(site) == [0.0, 8.0]


# --- time


@pytest.mark.req("16-SC-05")
def test_after_a_restart_the_limit_holds_before_anything_is_permitted() -> None:
    site = charging(1, connectors=1)
    put(site, profile((0, 8.0), (3600, 16.0)))
    site.restart(continued=True)
    assert limits(site) == [8.0]
    site.advance(3600)
    site.restart(continued=True)
    assert limits(site) == [16.0]


def test_without_a_trusted_clock_the_best_known_time_counts_and_the_right_one_as_soon_as_it_is_known() -> None:
    site = charging(1, connectors=1)
    put(site, profile((0, 8.0), (3600, 16.0)))
    site.restart(continued=True, off_s=7200, synchronized=False)
    site.charge(1)
    assert limits(site) == [8.0]
    site.trust(START + timedelta(hours=2))
    assert limits(site) == [16.0]


def test_a_relative_schedule_counts_from_the_true_start_when_the_time_becomes_known() -> None:
    site = charging(1, connectors=1, synchronized=False)
    put(site, profile((0, 8.0), (60, 16.0), purpose=TX, kind=RELATIVE))
    site.wait(30)
    site.trust(site.now.utc + timedelta(days=100))
    assert limits(site) == [8.0]
    site.wait(30)
    assert limits(site) == [16.0]


def test_a_clock_that_was_a_little_fast_moves_a_relative_schedule_with_the_transaction() -> None:
    site = charging(1, connectors=1, synchronized=False)
    put(site, profile((0, 8.0), (60, 16.0), purpose=TX, kind=RELATIVE))
    site.wait(39)
    site.trust(site.now.utc - timedelta(seconds=20))
    assert limits(site) == [8.0]
    site.wait(20)
    assert limits(site) == [16.0]


def test_a_clock_that_is_set_back_is_followed() -> None:
    site = charging(1, connectors=1)
    put(site, profile((0, 8.0), (60, 16.0)))
    site.wait(60)
    assert limits(site) == [16.0]
    site.trust(START + timedelta(seconds=10))
    assert limits(site) == [8.0]


def test_nothing_is_reckoned_anew_while_nothing_has_changed() -> None:
    site = charging(1, connectors=2)
    put(site, profile((0, 8.0), (3600, 16.0)))
    basis = site.station.limits
    site.wait(30)
    assert basis is not None
    assert site.station.limits is basis


# --- looking ahead


@pytest.mark.req("16-SC-14")
def test_a_schedule_starts_now_and_says_how_long_it_holds() -> None:
    site = Site.build(1)
    put(site, profile((0, 8.0), (60, 16.0), (120, 16.0), (300, 32.0)))
    site.advance(30.7)
    found = ask(site, duration_s=240)
    assert curve(found) == [(0, 8.0), (30, 16.0)]
    assert found.start == START + timedelta(seconds=30)
    assert (found.schedule.duration_s, found.schedule.start, found.schedule.unit) == (240, None, A)


@pytest.mark.req("16-SC-14")
@pytest.mark.parametrize(
    ("evse", "duration_s", "unit"), [(2, 60, None), (-1, 60, None), (1, 0, None), (1, -60, None), (1, 60, W)]
)
def test_a_schedule_that_cannot_be_is_rejected(evse: int, duration_s: int, unit: RateUnit | None) -> None:
    site = Site.build(1, configuration={"ChargingScheduleAllowedChargingRateUnit": "Current"})
    assert ask(site, evse, duration_s=duration_s, unit=unit) is Verdict.REJECTED


def test_who_asks_for_too_long_is_told_how_much_it_gets() -> None:
    site = Site.build(1)
    put(site, profile((0, 8.0)))
    assert ask(site, duration_s=2**62).schedule.duration_s == 7 * DAY_S


def test_the_number_of_a_connector_is_given_back() -> None:
    site = Site.build(layouts=(layout(1), layout(2, evse_id=1, connector_id=2), layout(3, evse_id=2)))
    put(site, profile((0, 8.0)), 2)
    found = ask(site, connector=3)
    assert (found.connector, found.evse_id, curve(found)) == (3, 2, [(0, 8.0)])
    assert curve(ask(site, connector=2)) == [(0, 32.0)]
    assert ask(site, connector=4) is Verdict.REJECTED


@pytest.mark.req("16-SC-14")
def test_without_any_profile_the_installation_is_told() -> None:
    site = Site.build(layouts=(layout(1, max_current_ma=16_000, phases=1), layout(2)))
    assert curve(ask(site, 1)) == [(0, 16.0)]
    assert curve(ask(site, 1, unit=W)) == [(0, 3680.0)]
    assert curve(ask(site, 0)) == [(0, 48.0)]
    assert curve(ask(site, 0, unit=W)) == [(0, 3680.0 + 22_080.0)]
    assert [period.phases for period in ask(site, 1).schedule.periods] == [1]
    assert [period.phases for period in ask(site, 0).schedule.periods] == [3]


@pytest.mark.req("16-SC-12", "16-SC-13")
def test_watts_stay_the_watts_that_were_set() -> None:
    site = Site.build(1)
    put(site, profile((0, 6000.0), unit=W))
    assert curve(ask(site, unit=W)) == [(0, 6000.0)]
    assert curve(ask(site, unit=A)) == [(0, 8.6)]


def test_the_site_chooses_a_unit_that_it_allows() -> None:
    site = Site.build(1, configuration={"ChargingScheduleAllowedChargingRateUnit": "Power"})
    assert ask(site).schedule.unit is W


@pytest.mark.req("TC_066_CS", "16-SC-07", "16-SC-14")
def test_of_three_profiles_the_smallest_at_each_moment() -> None:
    site = charging(1, connectors=1)
    put(site, profile((0, 10.0), id=1, purpose=STATION, duration_s=400), 0)
    put(site, profile((0, 6.0), id=2, duration_s=300), 1)
    put(site, profile((0, 8.0), (50, 11.0), (100, 16.0), id=3, purpose=TX, duration_s=260), 1)
    found = ask(site, duration_s=350)
    # noon was a second ago
    assert curve(found) == [(0, 8.0), (49, 10.0), (259, 6.0), (299, 10.0)]


def test_the_total_is_no_more_than_the_station_may_take() -> None:
    site = charging(1, connectors=2)
    put(site, profile((0, 10.0), id=1), 1)
    put(site, profile((0, 30.0), id=2, purpose=STATION, start_s=100), 0)
    assert curve(ask(site, 0)) == [(0, 42.0), (99, 30.0)]
    put(site, profile((0, 6900.0), id=2, purpose=STATION, unit=W), 0)
    assert curve(ask(site, 0)) == [(0, 10.0)]
    assert curve(ask(site, 0, unit=W)) == [(0, 6900.0)]


def test_an_idle_evse_is_told_what_it_would_get_behind_those_that_charge() -> None:
    site = charging(1, connectors=2)
    put(site, profile((0, 20.0), (60, 11.0), purpose=STATION), 0)
    assert curve(ask(site, 2)) == [(0, 10.0), (59, 0.0)]
    assert curve(ask(site, 1)) == [(0, 20.0), (59, 11.0)]


def test_asking_changes_nothing() -> None:
    site = charging(1, connectors=2)
    put(site, profile((0, 20.0), (60, 11.0), purpose=STATION), 0)
    before = site.station
    ask(site, 0)
    ask(site, 1)
    assert site.station == before


@settings(max_examples=40, deadline=None)
@given(
    st.lists(profiles((DEFAULT, TX, STATION)), max_size=8),
    st.sampled_from(RateUnit),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 40_000)), max_size=2),
)
def test_a_schedule_is_at_every_second_what_the_rules_say(
    installed: list[ChargingProfile], unit: RateUnit, in_use: bool, local: list[tuple[int, int]]
) -> None:
    """Against the plain reading that every step is judged by: one EVSE, in use or not, all purposes, both units, and
    limits of the site's own."""
    site = charging(1, layouts=(layout(1),)) if in_use else Site.build(1)
    for evse, limit_ma in local:
        site.do(SetLocalLimit(request=site.ref(), evse=evse, limit_ma=limit_ma))
    for one in installed:
        put(site, one, 0 if one.purpose is STATION or one.id % 2 else 1)
    found = ask(site, duration_s=300, unit=unit)
    assert isinstance(found, CompositeSchedule)
    assert found.schedule.periods[0].start_s == 0
    levels = [period.limit for period in found.schedule.periods]
    assert all(one != later for one, later in pairwise(levels))
    connector, station = site.connector(1), site.station
    running = station.running(1)
    started = found.start if running is None else running.started.utc
    budgets = [one for one in station.charging_profiles.values() if one.profile.purpose is STATION]
    site_a = min([ampere(connector, (limit_ma / 1000, A)) for limit_ma in dict(local).values()], default=32.0)
    for at_s in range(300):
        at = found.start + timedelta(seconds=at_s)
        own_a = ampere(connector, own_limit(station, connector, at, started))
        allowed_a = min(own_a, site_a, ampere(connector, first_limit(budgets, at, found.start)))
        expected = allowed_a if unit is A else allowed_a * 690.0
        assert expected - 0.1 - 1e-5 <= limit_at(found, at_s) <= expected + 1e-5


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(profiles((DEFAULT, TX, STATION), span_s=60), st.integers(0, 3)), max_size=10),
    st.lists(st.integers(0, 9), min_size=3, max_size=8),
    st.lists(st.tuples(st.integers(0, 3), st.none() | st.integers(0, 60_000)), max_size=4),
    st.booleans(),
)
def test_every_second_every_charger_gets_what_the_rules_say(
    installed: list[tuple[ChargingProfile, int]],
    moves: list[int],
    local: list[tuple[int, int | None]],
    replaces: bool,
) -> None:
    """Whoever comes and goes: `Site` judges each step by the plain reading of the rules."""
    shapes = (layout(1), layout(2, phases=1), layout(3, capabilities=FULL - {Capability.LIMIT}))
    site = Site.build(layouts=shapes, policy=replace(POLICY, replaces_profiles=replaces))
    for one, evse in installed:
        put(site, one, 0 if one.purpose is STATION else evse)
    for move in moves:
        if local:
            evse, limit_ma = local[move % len(local)]
            site.do(SetLocalLimit(request=site.ref(), evse=evse, limit_ma=limit_ma))
        if move == 5:
            site.set(
                "SmartChargingEnabled", "false" if site.station.configuration.flag("SmartChargingEnabled") else "true"
            )
        number = move % 3 + 1
        if move == 9:
            clear(site, evse=0)
        elif site.station.running(number) is None:
            site.start(number, f"DRIVER-{number}")
        elif move % 2:
            site.show(f"DRIVER-{number}", number)
        site.wait(7)
    for one, evse in installed:
        put(site, one, 0 if one.purpose is STATION else evse)
    site.wait(20)
