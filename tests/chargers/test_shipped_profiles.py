"""One suite that sweeps every shipped profile."""

from __future__ import annotations

import pytest

from edged.chargers.interpretation import interpret
from edged.chargers.library import load_profile
from edged.chargers.planning import plan
from edged.chargers.profile import DeviceProfile
from edged.chargers.profile_terms import Access, Poll, WaitStep, WriteStep
from edged.chargers.registers import Kind
from edged.chargers.targets import targets_for
from edged.domain.hardware import Capability, ChargerState, Desired, Measurand
from tests.fakes.shipped_profiles import MODBUS_NAMES

NAMES = MODBUS_NAMES


@pytest.fixture(params=NAMES)
def profile(request: pytest.FixtureRequest) -> DeviceProfile:
    return load_profile(request.param)


def test_there_are_profiles() -> None:
    assert {"heidelberg-energy-control", "keba-p30", "phoenix-charx-sec"} <= set(NAMES)


def test_a_profile_says_who_made_the_device_and_where_its_facts_come_from(profile: DeviceProfile) -> None:
    assert profile.vendor and profile.model and profile.sources and profile.certainty in "ABC"


def test_planned_blocks_keep_the_devices_limits(profile: DeviceProfile) -> None:
    registers = profile.registers_at(None).values()
    polled = [one for one in registers if one.poll is Poll.ALWAYS and one.readable]
    for point in (1, profile.points.count):
        for block in plan(polled, profile.bus, profile.points, point, 125):
            assert block.count <= profile.bus.max_block
            if not profile.bus.holes:
                assert block.count == len({a for one in block.placed for a in range(one.address, one.end)})
            for span in profile.bus.forbidden:
                assert (
                    block.table is not span.table
                    or block.address > span.last
                    or block.address + block.count <= span.first
                )


def test_every_register_decodes_and_encodes(profile: DeviceProfile) -> None:
    for register in profile.registers_at(None).values():
        for pattern in (0x0000, 0x0001, 0x4332, 0x7FFF):
            value = register.codec.decode([pattern] * register.codec.words)
            if value is not None and register.codec.kind is not Kind.TEXT:
                assert register.codec.decode(register.codec.encode(value)) == value


def test_a_register_that_is_written_is_never_polled_when_it_cannot_be_read(profile: DeviceProfile) -> None:
    for register in profile.registers_at(None).values():
        assert register.access is not Access.WRITE or not register.readable


def says(profile: DeviceProfile, words: str) -> bool:
    """Whether a note tells an installer what this device lacks."""
    return any(words in note for note in profile.notes)


def test_every_state_is_reached_by_a_raw_value_and_charging_is_one_of_them(profile: DeviceProfile) -> None:
    reached = set(profile.state.states.values()) | {rule.means for rule in profile.state.overlays}
    assert {ChargerState.AVAILABLE, ChargerState.CHARGING} <= reached
    assert ChargerState.FAULTED in reached or says(profile, "reports no fault")


def test_a_reservation_can_be_enforced_on_it(profile: DeviceProfile) -> None:
    assert Capability.WITHHOLD in profile.capabilities


def test_capabilities_agree_with_each_other(profile: DeviceProfile) -> None:
    offered = profile.capabilities
    assert Capability.UNLOCK not in offered or Capability.DETACHABLE in offered
    assert Capability.LOCK_CONTROL not in offered or Capability.UNLOCK in offered
    assert Capability.LIMIT in offered or Capability.LIMIT_SENSE not in offered
    assert Capability.AVAILABILITY in offered or Capability.AVAILABILITY_SENSE not in offered


def test_it_measures_energy_power_and_current_or_says_what_it_does_not(profile: DeviceProfile) -> None:
    measured = {Measurand.ENERGY, Measurand.POWER, Measurand.CURRENT} & profile.measurands
    if not measured:
        assert says(profile, "has no meter")
        return
    assert Measurand.ENERGY in measured
    assert Measurand.POWER in measured or says(profile, "tells no power")
    assert Measurand.CURRENT in measured or says(profile, "tells no current")


def test_a_counter_that_begins_anew_with_each_session_is_told(profile: DeviceProfile) -> None:
    session = any("session" in name for name in profile.meter.energy_wh)
    assert session is says(profile, "counted from the beginning of a session")


def test_withholding_writes_something_first(profile: DeviceProfile) -> None:
    first, *_ = targets_for(profile, Desired(permit_charging=False), max_current_ma=None, reported={})
    assert first.is_urgent


def test_energy_is_permitted_last(profile: DeviceProfile) -> None:
    *_, last = targets_for(profile, Desired(permit_charging=True), max_current_ma=16_000, reported={})
    wanted = profile.permit.register if profile.permit is not None else profile.limit and profile.limit.register
    assert last.register == wanted


def test_unlocking_opens_the_contactor_first(profile: DeviceProfile) -> None:
    if Capability.UNLOCK not in profile.capabilities:
        return
    steps = profile.actions["unlock"].steps
    writes = [i for i, step in enumerate(steps) if isinstance(step, WriteStep)]
    first, last = steps[writes[0]], writes[-1]
    withhold = profile.permit or profile.limit
    assert isinstance(first, WriteStep) and withhold is not None and first.register == withhold.register
    assert first.value == (profile.permit.off if profile.permit is not None else profile.limit.withhold_a)
    before = [step.condition.register for step in steps[: last + 1] if isinstance(step, WaitStep)]
    assert profile.state.register in before


def test_what_nobody_has_read_is_unknown_and_not_a_guess(profile: DeviceProfile) -> None:
    reading = interpret(profile, profile.registers_at(None), {})
    assert reading.state is ChargerState.UNKNOWN and not reading.is_believable
    assert reading.plugged is None and reading.operative is None and reading.permit_charging is None
    assert reading.meter.energy_wh is None and reading.faults == ()
