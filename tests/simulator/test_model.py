"""The physics of one charging point: laws under every order of commands, and walks that a person would recognise."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.domain.hardware import FaultCode
from edged.simulator.model import MIN_OFFER_MA, PointModel
from edged.simulator.parts import Cable, Car, CpState, Impossible, LockPolicy, PointSpec, PowerOn
from edged.simulator.snapshot import snapshot


def charging_point(**spec: object) -> PointModel:
    """A socket that has been charging a 16 A car for a minute."""
    point = PointModel(PointSpec(**spec))  # type: ignore[arg-type]
    point.plug_in()
    point.advance(60)
    return point


def test_a_permitted_car_charges_with_lock_and_contactor_closed() -> None:
    point = charging_point()
    assert (point.lock_closed, point.contactor_closed, point.cp_state) == (True, True, CpState.C)
    assert point.phase_currents_ma == (16_000, 16_000, 16_000)
    assert point.power_w == pytest.approx(11_040)


def test_a_lower_limit_is_obeyed_at_once() -> None:
    point = charging_point()
    point.set_limit(7_500)
    assert point.current_ma == 7_500


def test_a_limit_below_six_amperes_stops_the_charge() -> None:
    point = charging_point()
    point.set_limit(MIN_OFFER_MA - 1)
    assert (point.offered_ma, point.current_ma, point.contactor_closed) == (0, 0, False)


def test_energy_is_the_integral_of_power() -> None:
    point = charging_point()
    before = point.energy_wh
    point.advance(1800)
    assert point.energy_wh - before == pytest.approx(11_040 / 2)
    assert point.session_wh == pytest.approx(point.energy_wh)


def test_a_one_phase_car_draws_on_one_phase() -> None:
    point = PointModel(PointSpec())
    point.plug_in(Car(phases=1, max_current_ma=32_000))
    point.advance(5)
    assert point.phase_currents_ma == (32_000, 0, 0)


def test_a_full_car_stops_asking_exactly_when_full() -> None:
    point = PointModel(PointSpec())
    point.plug_in(Car(battery_wh=10_000, stored_wh=9_000))
    point.advance(7200)
    assert point.cp_state is CpState.B
    assert point.energy_wh == pytest.approx(1_000)


def test_withdrawing_the_permit_opens_the_contactor_before_the_lock() -> None:
    point = charging_point()
    point.set_permit(False)
    assert (point.contactor_closed, point.lock_closed) == (False, True)
    point.advance(1)
    assert point.lock_closed is False


def test_a_plugged_lock_policy_keeps_the_lock_closed_without_permit() -> None:
    point = charging_point(lock_policy=LockPolicy.PLUGGED)
    point.set_permit(False)
    point.advance(60)
    assert point.lock_closed is True


def test_forced_unlocking_ends_the_charge_and_offers_nothing_before_a_new_permit() -> None:
    point = charging_point()
    point.force_unlock()
    point.advance(60)
    assert (point.lock_closed, point.contactor_closed, point.offered_ma) == (False, False, 0)
    point.set_permit(False)
    point.set_permit(True)
    point.advance(5)
    assert point.contactor_closed is True


def test_a_jammed_lock_stays_locked_and_says_so() -> None:
    point = charging_point()
    point.jam_lock(True)
    point.force_unlock()
    point.advance(60)
    assert (point.lock_closed, point.unlock_failed) == (True, True)


def test_a_jammed_lock_that_refuses_to_lock_prevents_the_charge() -> None:
    point = PointModel(PointSpec())
    point.jam_lock(True)
    point.plug_in()
    point.advance(60)
    assert (point.lock_closed, point.lock_failed, point.contactor_closed) == (False, True, False)


def test_a_freed_lock_finishes_what_it_was_told() -> None:
    point = charging_point()
    point.jam_lock(True)
    point.set_permit(False)
    point.advance(60)
    point.jam_lock(False)
    point.advance(1)
    assert point.lock_closed is False


def test_a_jammed_cable_stays_in_the_socket_when_the_car_leaves() -> None:
    point = charging_point()
    point.jam_lock(True)
    point.plug_out()
    point.advance(60)
    assert (point.car, point.cable_in) == (None, True)
    point.jam_lock(False)
    point.advance(1)
    assert point.cable_in is False


def test_a_tethered_point_charges_without_a_lock() -> None:
    point = charging_point(cable=Cable.TETHERED)
    assert (point.contactor_closed, point.lock_closed) == (True, False)
    assert snapshot(point)["lock"] == "none"


def test_a_paused_car_leaves_state_c_and_comes_back() -> None:
    point = charging_point()
    point.pause()
    point.advance(2)
    assert (point.cp_state, point.offered_ma > 0) == (CpState.B, True)
    point.resume()
    point.advance(2)
    assert point.cp_state is CpState.C


def test_a_fault_opens_the_contactor_at_once() -> None:
    point = charging_point()
    point.fault(FaultCode.GROUND)
    assert (point.cp_state, point.contactor_closed) == (CpState.E, False)


def test_a_warning_does_not_stop_the_charge() -> None:
    point = charging_point()
    point.fault(FaultCode.POWER_METER)
    assert (point.cp_state, point.contactor_closed) == (CpState.C, True)


def test_out_of_service_is_state_f_and_is_left_after_the_makes_delay() -> None:
    point = charging_point(lockout_release_s=10)
    point.set_available(False)
    assert (point.cp_state, point.current_ma) == (CpState.F, 0)
    point.set_available(True)
    point.advance(9)
    assert point.cp_state is CpState.F
    point.advance(3)
    assert point.cp_state is not CpState.F


def test_a_silent_master_brings_the_failsafe_current() -> None:
    point = charging_point(power_on=PowerOn(watchdog_s=90, failsafe_ma=6_000))
    assert point.current_ma == 16_000
    point.advance(31)
    assert (point.failsafe_active, point.current_ma) == (True, 6_000)
    point.keep_alive()
    assert point.current_ma == 16_000


def test_the_watchdog_runs_on_the_wires_clock() -> None:
    point = charging_point(power_on=PowerOn(watchdog_s=90))
    point.keep_alive()
    point.advance(900, wire_s=89)
    assert point.failsafe_active is False
    point.advance(20, wire_s=2)
    assert point.failsafe_active is True


def test_a_reboot_forgets_volatile_settings_and_keeps_the_meter() -> None:
    point = charging_point(boot_s=5, initialise_s=1, power_on=PowerOn(permit=False, limit_ma=13_000))
    point.set_permit(True)
    point.set_limit(10_000)
    point.set_available(False)
    point.advance(5)
    meter = point.energy_wh
    point.reboot()
    assert (point.powered, point.contactor_closed) == (False, False)
    point.advance(7)
    assert (point.powered, point.permit, point.limit_ma, point.available) == (True, False, 13_000, True)
    assert (point.energy_wh, point.since_power_on_wh) == (meter, 0)


def test_a_lock_without_power_stays_where_it_is() -> None:
    point = charging_point(boot_s=5)
    point.reboot()
    point.plug_out()
    point.advance(4)
    assert (point.lock_closed, point.cable_in) == (True, True)


def test_an_idle_box_falls_into_standby_and_a_plug_wakes_it() -> None:
    point = PointModel(PointSpec(standby_after_s=720, power_on=PowerOn(standby=True)))
    point.advance(719)
    assert point.in_standby is False
    point.advance(2)
    assert point.in_standby is True
    point.plug_in()
    assert point.in_standby is False


def test_an_energy_limit_stops_the_session_at_that_energy() -> None:
    point = PointModel(PointSpec())
    point.set_energy_limit(500)
    point.plug_in()
    point.advance(3600)
    assert point.session_wh == pytest.approx(500, abs=0.1)


@pytest.mark.parametrize("act", [PointModel.plug_out, PointModel.pause, PointModel.resume])
def test_what_needs_a_plug_is_impossible_without_one(act: object) -> None:
    with pytest.raises(Impossible):
        act(PointModel(PointSpec()))  # type: ignore[operator]


def test_two_cars_cannot_be_plugged_in() -> None:
    point = charging_point()
    with pytest.raises(Impossible):
        point.plug_in()


def test_there_is_no_swiping_without_a_reader() -> None:
    with pytest.raises(Impossible):
        PointModel(PointSpec()).swipe("04AABBCC")


@pytest.mark.parametrize("dt_s", [-1.0, float("nan"), float("inf")])
def test_time_only_runs_forward(dt_s: float) -> None:
    with pytest.raises(ValueError, match="advance"):
        PointModel(PointSpec()).advance(dt_s)


ACTS = st.one_of(
    st.tuples(st.just("advance"), st.floats(0, 4000)),
    st.tuples(st.just("advance"), st.floats(0, 1)),
    st.tuples(st.sampled_from(["set_limit", "set_failsafe"]), st.integers(0, 80_000)),
    st.tuples(st.sampled_from(["set_permit", "set_available", "set_lock", "set_standby", "jam_lock"]), st.booleans()),
    st.tuples(st.just("set_watchdog"), st.one_of(st.none(), st.floats(1, 100))),
    st.tuples(st.just("set_cap"), st.one_of(st.none(), st.integers(0, 32_000))),
    st.tuples(st.just("set_energy_limit"), st.floats(0, 5000)),
    st.tuples(st.just("fault"), st.sampled_from(FaultCode)),
    st.tuples(st.sampled_from(["pause", "resume", "plug_out", "plug_cable", "reboot", "force_unlock", "keep_alive"])),
    st.tuples(st.sampled_from(["clear_fault"])),
    st.tuples(
        st.just("plug_in"),
        st.builds(
            Car,
            max_current_ma=st.integers(0, 40_000),
            phases=st.integers(1, 3),
            battery_wh=st.floats(100, 80_000),
            stored_wh=st.floats(0, 100),
        ),
    ),
)


@settings(max_examples=300, deadline=None)
@given(
    acts=st.lists(ACTS, max_size=40),
    cable=st.sampled_from(Cable),
    policy=st.sampled_from(LockPolicy),
    watchdog_s=st.one_of(st.none(), st.floats(1, 60)),
)
def test_no_order_of_commands_breaks_the_physics(
    acts: list[tuple[object, ...]], cable: Cable, policy: LockPolicy, watchdog_s: float | None
) -> None:
    spec = PointSpec(
        cable=cable,
        lock_policy=policy,
        standby_after_s=600,
        lockout_release_s=3,
        power_on=PowerOn(watchdog_s=watchdog_s, failsafe_ma=6_000, standby=True),
    )
    point = PointModel(spec)
    for name, *args in acts:
        energy, locked, jammed = point.energy_wh, point.lock_closed, point.jammed
        car_wanted = point.car is not None
        try:
            getattr(point, str(name))(*args)
        except Impossible:
            continue
        assert point.energy_wh >= energy
        if name != "advance":
            assert point.energy_wh == energy
            assert point.lock_closed == locked
        elif not car_wanted:
            assert point.energy_wh == energy
        if jammed:
            assert point.lock_closed == locked
        assert point.current_ma == 0 or point.contactor_closed
        assert point.current_ma <= point.offered_ma <= min(spec.max_current_ma, spec.cable_rating_ma)
        assert point.offered_ma == 0 or point.offered_ma >= MIN_OFFER_MA
        if point.contactor_closed:
            assert point.car is not None
            assert point.lock_closed or cable is Cable.TETHERED
            assert point.powered
        if point.blocked or not point.available or not point.permit or not point.powered:
            assert point.current_ma == 0
        if point.car is not None:
            assert 0 <= point.car.stored_wh <= point.car.battery_wh


@settings(max_examples=100, deadline=None)
@given(steps=st.lists(st.floats(0.001, 300), min_size=1, max_size=30))
def test_energy_does_not_depend_on_how_time_is_sliced(steps: list[float]) -> None:
    whole, sliced = PointModel(PointSpec()), PointModel(PointSpec())
    for point in (whole, sliced):
        point.plug_in(Car(battery_wh=10_000, stored_wh=8_000))
    for step in steps:
        sliced.advance(step)
    whole.advance(sum(steps))
    assert sliced.energy_wh == pytest.approx(whole.energy_wh, abs=0.01)
