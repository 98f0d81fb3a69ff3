"""Register images written by hand, and what each means."""

from __future__ import annotations

import pytest

from edged.chargers.modbus_charger import ModbusCharger
from edged.domain.hardware import Capability, ChargerState, FaultCode, LockState, Observation, Phases


async def observed(image, clock, **options) -> Observation:
    charger = ModbusCharger(image.profile, image.bus, unit_id=1, clock=clock, point=image.point, **options)
    try:
        return await charger.observe()
    finally:
        await charger.close()


# --- CHARX -------------------------------------------------------------------------------------------


def charx(image, *, point: int = 1):
    return image("phoenix-charx-sec", point=point).set(
        controllers=4, status="A1", availability=1, interface=0, configured_max_current=32, max_charge_current=16
    )


async def test_charx_idle(image, clock) -> None:
    seen = await observed(charx(image), clock)
    assert (seen.state, seen.plugged, seen.operative) == (ChargerState.AVAILABLE, False, True)
    assert (seen.permit_charging, seen.current_limit_ma, seen.faults) == (False, 16_000, ())
    assert seen.capabilities is None


async def test_charx_plugged(image, clock) -> None:
    seen = await observed(charx(image).set(status="B1"), clock)
    assert (seen.state, seen.plugged) == (ChargerState.CONNECTED, True)


async def test_charx_charging_by_hand_made_words(image, clock) -> None:
    one = charx(image)
    at = {"C2": one.address("status"), "energy": one.address("energy_total"), "l1": one.address("voltage_l1")}
    words = one.bus.words
    words["H", at["C2"]] = 0x4332
    words["H", at["energy"] + 2], words["H", at["energy"] + 3] = 0x0001, 0x86A0  # 100,000 Wh
    words["H", at["l1"]], words["H", at["l1"] + 1] = 0x0003, 0x8270  # 230,000 mV
    words["H", one.address("current_l1") + 1] = 16_000
    words["H", one.address("current_l2")] = words["H", one.address("current_l2") + 1] = 0xFFFF  # unknown
    words["H", one.address("power")], words["H", one.address("power") + 1] = 0x0038, 0x2700  # 3,680 W
    seen = await observed(one.set(charge_release=1), clock)
    assert (seen.state, seen.permit_charging) == (ChargerState.CHARGING, True)
    assert seen.meter.energy_wh == 100_000 and seen.meter.power_w == 3680.0
    assert seen.meter.voltage_v == Phases(230.0, 0.0, 0.0) and seen.meter.current_a == Phases(16.0, None, 0.0)


async def test_charx_faulted(image, clock) -> None:
    seen = await observed(charx(image).set(status="F0", error_bits=1 << 30 | 1 << 1), clock)
    assert seen.state is ChargerState.FAULTED and seen.plugged is None
    found = {(fault.code, fault.vendor_code, fault.blocking) for fault in seen.faults}
    assert found == {
        (FaultCode.GROUND, "residual_current", True),
        (FaultCode.HIGH_TEMPERATURE, "derating", False),
    }


async def test_charx_state_e_alone_is_a_fault(image, clock) -> None:
    seen = await observed(charx(image).set(status="E0"), clock)
    assert seen.state is ChargerState.FAULTED and [fault.vendor_code for fault in seen.faults] == ["E0"]


async def test_charx_out_of_service_is_no_fault(image, clock) -> None:
    seen = await observed(charx(image).set(status="F0", availability=0), clock)
    assert (seen.state, seen.operative, seen.faults) == (ChargerState.UNAVAILABLE, False, ())


async def test_charx_jammed_lock(image, clock) -> None:
    seen = await observed(charx(image).set(status="B1", error_bits=1 << 22), clock)
    assert seen.lock is LockState.JAMMED
    assert [fault.code for fault in seen.faults] == [FaultCode.CONNECTOR_LOCK]


async def test_charx_with_a_fixed_cable_can_neither_unlock_nor_detach(image, clock) -> None:
    seen = await observed(charx(image).set(interface="tethered"), clock)
    assert seen.capabilities is not None
    assert not seen.capabilities & {Capability.UNLOCK, Capability.DETACHABLE}
    assert Capability.RESET_HARD in seen.capabilities


async def test_charx_third_point_lies_two_thousand_further(image, clock) -> None:
    one = charx(image, point=3).set(status="C2")
    assert one.address("status") == 3299 and one.address("controllers") == 114
    assert (await observed(one, clock)).state is ChargerState.CHARGING


async def test_charx_that_is_starting_is_not_believed_to_be_anything(image, clock) -> None:
    seen = await observed(charx(image).set(status="IN"), clock)
    assert (seen.state, seen.plugged) == (ChargerState.UNKNOWN, None)


# --- Heidelberg --------------------------------------------------------------------------------------


def heidelberg(image):
    return image("heidelberg-energy-control").set(
        state=2, ext_lock=1, max_current=16, hw_max_current=16, watchdog_ms=15_000, temperature=21.5
    )


@pytest.mark.parametrize(
    ("raw", "state", "plugged"),
    [
        (2, ChargerState.AVAILABLE, False),
        (3, ChargerState.AVAILABLE, False),
        (4, ChargerState.CONNECTED, True),
        (5, ChargerState.CONNECTED_READY, True),
        (6, ChargerState.REQUESTING, True),
        (7, ChargerState.CHARGING, True),
        (8, ChargerState.CHARGING, True),
        (9, ChargerState.FAULTED, None),
        (10, ChargerState.UNAVAILABLE, None),
        (11, ChargerState.FAULTED, None),
        (1, ChargerState.UNKNOWN, None),
        (77, ChargerState.UNKNOWN, None),
    ],
)
async def test_heidelberg_states(image, clock, raw: int, state: ChargerState, plugged: bool | None) -> None:
    seen = await observed(heidelberg(image).set(state=raw), clock)
    assert (seen.state, seen.plugged) == (state, plugged)


async def test_heidelberg_charging_by_hand_made_words(image, clock) -> None:
    one = heidelberg(image)
    for address, word in {
        5: 7,
        6: 160,
        7: 158,
        8: 0,
        9: 0xFFF6,
        10: 231,
        11: 229,
        12: 0,
        14: 7320,
        17: 1,
        18: 2,
    }.items():
        one.bus.words["I", address] = word
    seen = await observed(one, clock)
    assert seen.meter.current_a == Phases(16.0, 15.8, 0.0) and seen.meter.temperature_c == -1.0
    assert seen.meter.voltage_v == Phases(231.0, 229.0, 0.0) and seen.meter.power_w == 7320
    assert seen.meter.energy_wh == 65_538
    assert (seen.permit_charging, seen.current_limit_ma, seen.operative) == (True, 16_000, True)


async def test_heidelberg_withheld_by_a_limit_of_nothing(image, clock) -> None:
    seen = await observed(heidelberg(image).set(state=4, max_current=0), clock)
    assert (seen.permit_charging, seen.current_limit_ma) == (False, 0)


async def test_heidelberg_locked_by_us_is_out_of_service(image, clock) -> None:
    assert (await observed(heidelberg(image).set(state=10), clock)).operative is False


async def test_heidelberg_locked_by_its_contact_tells_nothing_of_our_lock(image, clock) -> None:
    assert (await observed(heidelberg(image).set(state=10, ext_lock=0), clock)).operative is None


async def test_heidelberg_derating_is_a_warning(image, clock) -> None:
    (fault,) = (await observed(heidelberg(image).set(state=8), clock)).faults
    assert fault.code is FaultCode.HIGH_TEMPERATURE and not fault.blocking


async def test_heidelberg_registers_that_cannot_be_read_are_not_read(image, clock) -> None:
    one = heidelberg(image)
    await observed(one, clock)
    assert not any(table == "H" and at <= 260 and at + count > 258 for table, at, count in one.bus.reads)
    assert all(count <= 14 for _, _, count in one.bus.reads)


# --- KEBA --------------------------------------------------------------------------------------------


def keba(image):
    return image("keba-p30").set(state=1, cable_state="none", max_supported_current=32)


async def test_keba_idle(image, clock) -> None:
    seen = await observed(keba(image), clock)
    assert (seen.state, seen.plugged, seen.lock) == (ChargerState.AVAILABLE, False, LockState.UNLOCKED)


async def test_keba_plugged_and_locked(image, clock) -> None:
    seen = await observed(keba(image).set(cable_state=7), clock)
    assert (seen.state, seen.plugged, seen.lock) == (ChargerState.CONNECTED, True, LockState.LOCKED)


async def test_keba_cable_in_the_station_only_is_no_vehicle(image, clock) -> None:
    seen = await observed(keba(image).set(state=2, cable_state=3), clock)
    assert (seen.state, seen.plugged, seen.lock) == (ChargerState.AVAILABLE, False, LockState.LOCKED)


async def test_keba_charging_by_hand_made_words(image, clock) -> None:
    one = keba(image)
    for address, word in {1001: 3, 1005: 7, 1009: 16_000, 1011: 15_900, 1020: 0x0038, 1021: 0x2700, 1037: 1234}.items():
        one.bus.words["H", address] = word
    one.bus.words["H", 1036] = 1
    seen = await observed(one.set(voltage_l1=230), clock)
    assert seen.state is ChargerState.CHARGING and seen.permit_charging is True
    assert seen.meter.current_a == Phases(16.0, 15.9, 0.0) and seen.meter.power_w == 3680.0
    assert seen.meter.energy_wh == pytest.approx(6677.0) and seen.meter.voltage_v.l1 == 230


async def test_keba_suspended(image, clock) -> None:
    seen = await observed(keba(image).set(state=5, cable_state=7), clock)
    assert (seen.state, seen.permit_charging) == (ChargerState.SUSPENDED_EVSE, None)


async def test_keba_faulted(image, clock) -> None:
    seen = await observed(keba(image).set(state=4, error_code=0x2003, cable_state=7), clock)
    assert seen.state is ChargerState.FAULTED
    assert [(fault.vendor_code, fault.blocking) for fault in seen.faults] == [
        ("error_code 8195", False),
        ("state 4", True),
    ]


async def test_keba_reads_one_value_a_request(image, clock) -> None:
    one = keba(image)
    await observed(one, clock)
    assert {count for _, _, count in one.bus.reads} == {2}
