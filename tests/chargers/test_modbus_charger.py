"""The `Charger` port over registers in memory: sessions, writes that are read back, restarts, tokens, actions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

from edged.chargers.interpretation import interpret
from edged.chargers.job_queue import Priority
from edged.chargers.modbus_charger import ModbusCharger
from edged.chargers.moments import moment
from edged.chargers.profile import KeepAliveBy
from edged.domain.hardware import Action, ActionOutcome, Capability, ChargerState, Desired
from edged.ports import ChargerRefused, ChargerUnreachable

GO = Desired(permit_charging=True, current_limit_ma=16_000)
STOP = Desired(permit_charging=False, current_limit_ma=16_000)


def heidelberg(image):
    return image("heidelberg-energy-control").set(state=4, ext_lock=1, hw_max_current=16, energy_since_power_on=500)


def charx(image):
    one = image("phoenix-charx-sec").set(controllers=1, status="B1", availability=1, configured_max_current=32)
    return one.set(watchdog_time=65535)


def keba(image):
    return image("keba-p30").set(state=1, cable_state=7, max_supported_current=32)


@asynccontextmanager
async def charger_of(one, clock, **options) -> AsyncIterator[ModbusCharger]:
    pause = options.pop("pause", clock.pause)

    async def stay(seconds: float) -> None:  # the keep-alive has its own tests
        await (asyncio.Event().wait() if asyncio.current_task().get_name().startswith("alive") else pause(seconds))

    charger = ModbusCharger(one.profile, one.bus, unit_id=1, clock=clock, pause=stay, **options)
    try:
        yield charger
    finally:
        await charger.close()


def written(one, name: str) -> list[int]:
    return [values[0] for address, values in one.bus.writes if address == one.address(name)]


def order(one) -> list[int]:
    return [address for address, _ in one.bus.writes]


# --- sessions ----------------------------------------------------------------------------------------


async def test_the_box_is_woken_and_made_safe_before_anything_else_is_written(image, clock) -> None:
    one = heidelberg(image)
    async with charger_of(one, clock) as charger:
        await charger.apply(GO)
    assert one.bus.writes[:3] == [(258, (4,)), (257, (15_000,)), (262, (0,))]
    assert order(one).index(261) > 2


async def test_what_was_set_at_connecting_is_not_set_again_at_each_poll(image, clock) -> None:
    one = heidelberg(image)
    async with charger_of(one, clock) as charger:
        for _ in range(3):
            await charger.observe()
    assert order(one) == [258, 257, 262]


async def test_a_new_session_of_the_bus_makes_the_box_safe_again(image, clock) -> None:
    one = heidelberg(image)
    async with charger_of(one, clock) as charger:
        await charger.observe()
        one.bus.sessions += 1
        await charger.observe()
    assert order(one) == [258, 257, 262] * 2


async def test_a_failsafe_that_does_not_take_is_told(image, clock) -> None:
    one = heidelberg(image).set(failsafe_current=16)
    one.bus.on_write = lambda address, values: address != 262
    async with charger_of(one, clock) as charger:
        with pytest.raises(ChargerRefused, match=r"failsafe_current reads back 16\.0 instead of 0"):
            await charger.observe()


async def test_a_failsafe_that_is_optional_does_not_stop_the_charger(image, clock) -> None:
    one = charx(image)
    del one.bus.words["H", one.address("watchdog_time")]
    async with charger_of(one, clock) as charger:
        assert (await charger.observe()).plugged is True


async def test_identity_is_read_once(image, clock) -> None:
    one = charx(image).set(software_version="1.7.3", station_name="CHARX")
    async with charger_of(one, clock) as charger:
        await charger.observe()
        assert charger.identity["firmware"] == "1.7.3" and charger.identity["model"] == "CHARX"
        one.bus.reads.clear()
        await charger.observe()
    assert all(address >= 1120 for _, address, _ in one.bus.reads)


async def test_a_point_that_the_controller_does_not_have_is_told(image, clock) -> None:
    one = image("phoenix-charx-sec", point=2).set(controllers=1, status="A1")
    charger = ModbusCharger(one.profile, one.bus, unit_id=1, point=2, clock=clock)
    with pytest.raises(ChargerRefused, match="only 1 charging points"):
        await charger.observe()


async def test_a_silent_device_makes_every_call_say_so(image, clock) -> None:
    one = charx(image)
    one.bus.is_dead = True
    async with charger_of(one, clock) as charger:
        for call in (charger.observe(), charger.apply(GO), charger.perform(Action.UNLOCK)):
            with pytest.raises(ChargerUnreachable):
                await call


async def test_a_block_that_is_refused_is_split_once_and_missing_registers_are_remembered(image, clock) -> None:
    one = heidelberg(image)
    del one.bus.words["I", 9]
    async with charger_of(one, clock) as charger:
        seen = await charger.observe()
        assert seen.meter.temperature_c is None and seen.meter.voltage_v.l1 == 0
        await charger.observe()
        one.bus.reads.clear()
        await charger.observe()
    assert all(not address <= 9 < address + count for table, address, count in one.bus.reads if table == "I")
    assert len(one.bus.reads) == 3


async def test_a_device_without_its_state_register_is_refused(image, clock) -> None:
    one = heidelberg(image)
    del one.bus.words["I", 5]
    async with charger_of(one, clock) as charger:
        with pytest.raises(ChargerRefused, match="no register state"):
            await charger.observe()


# --- restarts ----------------------------------------------------------------------------------------


async def test_a_counter_since_power_on_that_falls_is_a_restart(image, clock) -> None:
    one = heidelberg(image)
    async with charger_of(one, clock) as charger:
        assert (await charger.observe()).booted is False
        one.set(energy_since_power_on=3)
        assert (await charger.observe()).booted is True
        one.bus.writes.clear()
        assert (await charger.observe()).booted is False
    assert order(one) == [258, 257, 262]


async def test_a_failsafe_register_back_at_its_default_is_a_restart(image, clock) -> None:
    one = charx(image)
    async with charger_of(one, clock) as charger:
        await charger.observe()
        one.set(watchdog_time=65535)
        assert (await charger.observe()).booted is True
        await charger.observe()
    assert written(one, "watchdog_time") == [60, 60]


async def test_everything_is_applied_again_after_a_restart(image, clock) -> None:
    one = keba(image)
    async with charger_of(one, clock) as charger:
        await charger.apply(GO)
        await charger.apply(GO)
        assert written(one, "enable") == [1]
        one.bus.sessions += 1
        await charger.apply(GO)
    assert written(one, "enable") == [1, 1] and written(one, "set_current") == [16_000, 16_000]


async def test_what_cannot_be_read_back_is_written_again_after_every_silence(image, clock) -> None:
    one = keba(image)
    async with charger_of(one, clock) as charger:
        await charger.apply(GO)
        one.bus.is_dead = True
        with pytest.raises(ChargerUnreachable):
            await charger.observe()
        one.bus.is_dead = False
        await charger.observe()
        await charger.apply(GO)
        await charger.apply(GO)
    assert written(one, "set_current") == [16_000, 16_000] and written(one, "enable") == [1, 1]


async def test_a_write_whose_answer_was_lost_may_have_been_done(image, clock) -> None:
    one = keba(image)
    one.set(max_supported_current=32)
    limit = one.address("set_current")
    write = one.bus.write

    async def deaf(unit_id, table, address, words, **options):
        await write(unit_id, table, address, words, **options)
        if address == limit and words == (32_000,):
            raise ChargerUnreachable("no answer")

    async with charger_of(one, clock) as charger:
        await charger.apply(GO)
        one.bus.write = deaf
        with pytest.raises(ChargerUnreachable):
            await charger.apply(Desired(permit_charging=True, current_limit_ma=32_000))
        await charger.apply(GO)
    assert written(one, "set_current") == [16_000, 32_000, 16_000]


# --- writing -----------------------------------------------------------------------------------------


async def test_only_what_differs_is_written(image, clock) -> None:
    one = charx(image).set(charge_release=0, max_charge_current=16)
    async with charger_of(one, clock) as charger:
        await charger.apply(GO)
        one_round = [entry for entry in order(one) if entry not in (1306, 1307)]
        assert one_round == [one.address("charge_release")]
        await charger.apply(GO)
    assert written(one, "charge_release") == [1] and written(one, "max_charge_current") == []


async def test_energy_is_withheld_before_anything_else_changes(image, clock) -> None:
    one = charx(image).set(charge_release=1, max_charge_current=32)
    async with charger_of(one, clock) as charger:
        await charger.observe()
        one.bus.writes.clear()
        await charger.apply(Desired(permit_charging=False, current_limit_ma=10_000, operative=False))
    names = ("charge_release", "max_charge_current", "availability")
    assert order(one) == [one.address(name) for name in names]


async def test_energy_is_permitted_after_everything_else_has_changed(image, clock) -> None:
    one = charx(image).set(charge_release=0, max_charge_current=6, availability=0)
    async with charger_of(one, clock) as charger:
        await charger.observe()
        one.bus.writes.clear()
        await charger.apply(GO)
    assert order(one) == [one.address(name) for name in ("availability", "max_charge_current", "charge_release")]


async def test_a_write_that_does_not_show_is_refused(image, clock) -> None:
    one = charx(image)
    one.bus.on_write = lambda address, values: address != one.address("charge_release")
    async with charger_of(one, clock) as charger:
        with pytest.raises(ChargerRefused, match="charge_release was given 'release' but reads charge_release 0"):
            await charger.apply(GO)
        with pytest.raises(ChargerRefused):
            await charger.apply(GO)
    assert written(one, "charge_release") == [1, 1]


async def test_a_write_that_shows_late_is_waited_for(image, clock) -> None:
    one = charx(image)
    release = one.address("charge_release")
    reads = 0

    def later() -> None:
        nonlocal reads
        reads += any(address == release for address, _ in one.bus.writes)
        if reads == 4:
            one.set(charge_release=1)

    one.bus.on_write = lambda address, values: address != release
    one.bus.on_read = later
    async with charger_of(one, clock) as charger:
        await charger.apply(GO)
    assert one.get("charge_release") == 1


async def test_what_may_take_long_is_judged_by_a_later_call(image, clock) -> None:
    one = heidelberg(image).set(state=10)
    async with charger_of(one, clock) as charger:
        await charger.apply(GO)
        assert written(one, "remote_lock") == [1]
        await charger.observe()
        await charger.apply(GO)
        assert written(one, "remote_lock") == [1]
        clock.monotonic_s += 40
        await charger.observe()
        with pytest.raises(ChargerRefused, match="remote_lock did not take"):
            await charger.apply(GO)
        assert written(one, "remote_lock") == [1, 1]


async def test_an_illegal_value_is_a_refusal(image, clock) -> None:
    one = keba(image)
    del one.bus.words["H", one.address("set_current")]
    async with charger_of(one, clock) as charger:
        with pytest.raises(ChargerRefused, match="illegal data address"):
            await charger.apply(GO)
    assert written(one, "enable") == []


async def test_the_single_write_function_is_used_where_the_profile_says_so(image, clock) -> None:
    one = charx(image)
    async with charger_of(one, clock) as charger:
        await charger.apply(GO)
    assert not any(one.bus.multiple)


async def test_a_car_that_charges_against_our_word_is_noticed(image, clock) -> None:
    one = keba(image)
    async with charger_of(one, clock) as charger:
        await charger.apply(STOP)
        one.set(state=3)
        clock.monotonic_s += 20
        assert (await charger.observe()).permit_charging is True
        with pytest.raises(ChargerRefused, match="enable did not take"):
            await charger.apply(STOP)
    assert written(one, "enable") == [0, 0]


async def test_a_car_that_goes_on_charging_is_told_of_once(image, clock, caplog) -> None:
    one = image("abb-terra-ac")
    async with charger_of(one, clock) as charger:
        charger.profile = replace(charger.profile, limit=replace(charger.profile.limit, sense=None))
        state = charger.profile.state
        seen = {means: raw for raw, means in state.states.items()}
        for _ in range(2):
            one.set(**{state.register: seen[ChargerState.CHARGING]})
            for _ in range(10):
                with suppress(ChargerRefused):
                    await charger.apply(STOP)
                clock.monotonic_s += 20
                await charger.observe()
            one.set(**{state.register: seen[ChargerState.AVAILABLE]})
            await charger.observe()
    assert sum("charges although" in record.message for record in caplog.records) == 2


async def test_a_complaint_that_stays_the_same_has_the_same_words(image, clock) -> None:
    one = heidelberg(image).set(state=10)
    told = set()
    async with charger_of(one, clock) as charger:
        await charger.apply(GO)
        for seconds in (40, 80, 130):
            clock.monotonic_s += seconds
            await charger.observe()
            with pytest.raises(ChargerRefused) as error:
                await charger.apply(GO)
            told.add(str(error.value))
    assert len(told) == 1 and "did not take" in told.pop()


@pytest.mark.parametrize("name", ["failsafe_current", "watchdog_ms"])
async def test_a_failsafe_that_somebody_else_changes_again_and_again_is_set_less_and_less(
    image, clock, caplog, name
) -> None:
    one = heidelberg(image)
    async with charger_of(one, clock) as charger:
        for _ in range(3600):
            clock.monotonic_s += 1
            await charger.observe()
            one.set(**{name: 3})
        assert 15 <= len(written(one, name)) <= 70
        assert len(caplog.records) < 70
        one.bus.writes.clear()
        one.set(watchdog_ms=15_000, failsafe_current=0)
        for _ in range(600):
            clock.monotonic_s += 1
            await charger.observe()
        one.set(failsafe_current=3)
        await charger.observe()
        await charger.observe()
        assert written(one, "failsafe_current")[-1:] == [0]


# --- the limit ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted_ma", "installation_ma", "raw"),
    [
        (16_000, None, 160),
        (16_000, 10_000, 100),
        (63_000, None, 160),
        (None, 13_000, 130),
        (None, None, 160),
        (7_777, None, 77),
        (6_000, None, 60),
        (5_999, None, 0),
        (0, None, 0),
        (16_000, 5_000, 0),
    ],
)
async def test_a_limit_is_never_above_any_maximum_and_never_between_nothing_and_the_minimum(
    image, clock, wanted_ma: int | None, installation_ma: int | None, raw: int
) -> None:
    one = heidelberg(image).set(max_current=9)
    async with charger_of(one, clock, max_current_ma=installation_ma) as charger:
        await charger.apply(Desired(permit_charging=True, current_limit_ma=wanted_ma))
    assert written(one, "max_current") == [raw]


async def test_what_the_device_itself_allows_is_a_maximum_too(image, clock) -> None:
    one = charx(image).set(configured_max_current=20)
    async with charger_of(one, clock) as charger:
        await charger.apply(Desired(permit_charging=True, current_limit_ma=32_000))
    assert written(one, "max_charge_current") == [20]


async def test_a_limit_below_the_minimum_withholds_with_the_permit_and_leaves_the_limit(image, clock) -> None:
    one = charx(image).set(charge_release=1, max_charge_current=16)
    async with charger_of(one, clock) as charger:
        await charger.apply(Desired(permit_charging=True, current_limit_ma=3_000))
    assert written(one, "charge_release") == [0] and written(one, "max_charge_current") == []


# --- tokens ------------------------------------------------------------------------------------------


async def test_a_swipe_is_told_once_and_cleared(image, clock) -> None:
    one = charx(image)
    one.bus.on_write = clears_reader(one)
    async with charger_of(one, clock) as charger:
        assert (await charger.observe()).token is None
        one.set(rfid="04A1B2C3")
        assert (await charger.observe()).token == "04A1B2C3"
        assert (await charger.observe()).token is None
        one.set(rfid="04A1B2C3")
        assert (await charger.observe()).token == "04A1B2C3"
    assert written(one, "clear_rfid") == [1, 1]


def clears_reader(one) -> Callable[[int, tuple[int, ...]], bool]:
    def on_write(address: int, values: tuple[int, ...]) -> bool:
        if address == one.address("clear_rfid"):
            one.set(rfid="")
        return True

    return on_write


async def test_a_token_that_was_there_before_us_is_no_swipe(image, clock) -> None:
    one = charx(image).set(rfid="OLD")
    one.bus.on_write = clears_reader(one)
    async with charger_of(one, clock) as charger:
        assert (await charger.observe()).token is None
        assert (await charger.observe()).token is None
    assert one.get("rfid") == ""


async def test_a_reader_that_cannot_be_cleared_tells_changes_only(image, clock) -> None:
    one = keba(image).set(rfid=0x01020304)
    async with charger_of(one, clock) as charger:
        assert (await charger.observe()).token is None
        one.set(rfid=0xD4CD7650)
        assert (await charger.observe()).token == "D4CD7650"
        assert (await charger.observe()).token is None
        one.set(rfid=0)
        assert (await charger.observe()).token is None


# --- actions -----------------------------------------------------------------------------------------


async def test_keba_unlocks_after_it_was_disabled_and_is_suspended(image, clock) -> None:
    one = keba(image).set(state=3)

    def physics(address: int, values: tuple[int, ...]) -> bool:
        if address == 5014:
            one.set(state=5 if values == (0,) else 3)
        if address == 5012 and one.get("state") == 5:
            one.set(cable_state=5)
        return True

    one.bus.on_write = physics
    async with charger_of(one, clock) as charger:
        await charger.apply(GO)
        assert await charger.perform(Action.UNLOCK) is ActionOutcome.DONE
        assert order(one)[-2:] == [5014, 5012]
        await charger.apply(GO)
    assert written(one, "enable") == [0, 1]  # state 3 said that it was enabled already


async def test_a_jammed_lock_is_a_failure(image, clock) -> None:
    one = keba(image).set(state=3)
    one.bus.on_write = lambda address, values: bool(one.set(state=5)) if address == 5014 else True
    async with charger_of(one, clock) as charger:
        assert await charger.perform(Action.UNLOCK) is ActionOutcome.FAILED


async def test_a_contactor_that_stays_closed_keeps_the_lock_closed(image, clock) -> None:
    one = charx(image).set(status="C2", charge_release=1)
    async with charger_of(one, clock) as charger:
        assert await charger.perform(Action.UNLOCK) is ActionOutcome.FAILED
    assert written(one, "force_unlock") == []


async def test_charx_unlock_is_done_when_no_lock_error_follows(image, clock) -> None:
    one = charx(image)
    async with charger_of(one, clock) as charger:
        assert await charger.perform(Action.UNLOCK) is ActionOutcome.DONE
        one.set(error_bits=1 << 22)
        assert await charger.perform(Action.UNLOCK) is ActionOutcome.FAILED
    assert written(one, "force_unlock") == [1, 1]


async def test_a_fixed_cable_cannot_be_unlocked(image, clock) -> None:
    one = charx(image).set(interface="tethered")
    async with charger_of(one, clock) as charger:
        assert await charger.perform(Action.UNLOCK) is ActionOutcome.UNSUPPORTED
        assert Capability.UNLOCK not in charger.capabilities
    assert written(one, "force_unlock") == []


async def test_an_action_that_the_profile_does_not_have_is_unsupported(image, clock) -> None:
    one = heidelberg(image)
    async with charger_of(one, clock) as charger:
        for action in Action:
            assert await charger.perform(action) is ActionOutcome.UNSUPPORTED


async def test_a_restart_is_done_when_the_device_was_gone_and_answers_again(image, clock) -> None:
    one = charx(image)
    reads = 0

    def restart() -> None:
        nonlocal reads
        reads += 1
        one.bus.is_dead = reads < 5

    def on_write(address: int, values: tuple[int, ...]) -> bool:
        if address == one.address("restart_all_controllers"):
            one.bus.on_read = restart
        return True

    one.bus.on_write = on_write
    async with charger_of(one, clock) as charger:
        assert await charger.perform(Action.RESET_HARD) is ActionOutcome.DONE
        assert (await charger.observe()).booted is True


async def test_a_restart_that_nothing_proves_is_not_called_done(image, clock) -> None:
    one = charx(image)
    async with charger_of(one, clock) as charger:
        assert await charger.perform(Action.RESET_HARD) is ActionOutcome.TIMEOUT
        assert await charger.perform(Action.RESET_SOFT) is ActionOutcome.TIMEOUT


async def test_a_refused_action_has_failed(image, clock) -> None:
    one = charx(image)
    del one.bus.words["H", one.address("force_unlock")]
    async with charger_of(one, clock) as charger:
        assert await charger.perform(Action.UNLOCK) is ActionOutcome.FAILED


# --- where a register ends ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "ends_wh"),
    [
        ("alfen-eve", None),  # a float
        ("abb-terra-ac", 2.0**32),
        ("keba-p30", 2.0**32 / 10),
        ("phoenix-charx-sec", 2.0**64),
    ],
)
async def test_where_the_energy_register_begins_at_0_again_follows_from_its_type(image, clock, name, ends_wh) -> None:
    async with charger_of(image(name), clock) as charger:
        reading = interpret(charger.profile, charger.device.registers, {})
        assert reading.meter.energy_ends_wh == ends_wh


# --- keep-alive --------------------------------------------------------------------------------------


async def kept_alive(one, clock, *, attend: bool, seconds: float) -> list[tuple[int, tuple[int, ...]]]:
    """The writes of the keep-alive while `seconds` pass on the fake clock."""
    charger = ModbusCharger(one.profile, one.bus, unit_id=1, clock=clock, pause=clock.park)
    await charger.apply(GO)
    one.bus.writes.clear()
    for _ in range(int(seconds)):
        clock.monotonic_s += 1
        if attend:
            await charger.observe()
        for _ in range(5):
            await asyncio.sleep(0)
    await charger.close()
    return one.bus.writes


async def test_a_token_is_written_before_its_time_is_over(image, clock) -> None:
    writes = await kept_alive(keba(image), clock, attend=True, seconds=100)
    assert 5 <= writes.count((5018, (30,))) <= 8


async def test_a_setpoint_is_repeated(image, clock) -> None:
    one = charx(image)
    writes = await kept_alive(one, clock, attend=True, seconds=100)
    assert (one.address("max_charge_current"), (16,)) in writes


async def test_a_setpoint_that_is_on_its_way_is_repeated_and_none_before_it(image, clock) -> None:
    one = charx(image)
    limit, write = one.address("max_charge_current"), one.bus.write
    charger = ModbusCharger(one.profile, one.bus, unit_id=1, clock=clock, pause=clock.park)

    async def slow(unit_id, table, address, values, **options):
        if address == limit and not asyncio.current_task().get_name().startswith("alive"):
            clock.monotonic_s += 31
            for _ in range(10):  # the keep-alive is due meanwhile
                await asyncio.sleep(0)
        await write(unit_id, table, address, values, **options)

    await charger.apply(GO)
    one.bus.write = slow
    one.bus.writes.clear()
    await charger.apply(Desired(permit_charging=True, current_limit_ma=8_000))
    assert written(one, "max_charge_current") == [8, 8]
    await charger.close()


@pytest.mark.parametrize(
    ("name", "change"),
    [("keba-p30", {}), ("phoenix-charx-sec", {}), ("keba-p30", {"by": KeepAliveBy.ANY_READ})],
)
async def test_a_keep_alive_tells_the_line_how_much_time_is_left(image, clock, name, change) -> None:
    one = keba(image) if name == "keba-p30" else charx(image)
    rules = replace(one.profile.keep_alive, **change)
    charger = ModbusCharger(replace(one.profile, keep_alive=rules), one.bus, unit_id=1, clock=clock, pause=clock.park)
    asked, write, read = [], one.bus.write, one.bus.read

    def watched(request):
        async def watch(*arguments, **options):
            if options["priority"] is Priority.KEEP_ALIVE:
                asked.append(options["due_in_s"])
            return await request(*arguments, **options)

        return watch

    await charger.apply(GO)
    one.bus.write, one.bus.read = watched(write), watched(read)
    one.bus.last_answer_at = lambda unit_id: moment() - rules.interval_s
    clock.monotonic_s += rules.interval_s
    for _ in range(10):
        await asyncio.sleep(0)
    await charger.close()
    assert asked == [pytest.approx(rules.timeout_s - rules.interval_s, abs=1)]


async def test_what_a_command_reads_back_waits_for_no_status_of_others(image, clock) -> None:
    one = keba(image)
    charger = ModbusCharger(one.profile, one.bus, unit_id=1, clock=clock, pause=clock.park)
    read, asked = one.bus.read, set()

    async def watch(*arguments, **options):
        asked.add(options["priority"])
        return await read(*arguments, **options)

    one.bus.read = watch
    await charger.observe()
    assert Priority.METER in asked
    asked.clear()
    await charger.device.read(charger.profile.meter.registers, Priority.COMMAND)
    await charger.close()
    assert asked == {Priority.COMMAND}


async def test_nobody_watching_ends_the_keep_alive(image, clock) -> None:
    writes = await kept_alive(keba(image), clock, attend=False, seconds=400)
    assert 1 <= len(writes) <= 3


async def test_whoever_comes_back_begins_a_new_session(image, clock) -> None:
    one = keba(image)
    charger = ModbusCharger(one.profile, one.bus, unit_id=1, clock=clock, pause=clock.park)
    await charger.apply(GO)
    clock.monotonic_s += 500
    for _ in range(5):
        await asyncio.sleep(0)
    one.bus.writes.clear()
    await charger.observe()
    assert order(one) == [5016, 5018]
    await charger.close()


async def test_closing_ends_the_keep_alive(image, clock) -> None:
    one = keba(image)
    await kept_alive(one, clock, attend=True, seconds=20)
    one.bus.writes.clear()
    for _ in range(50):
        clock.monotonic_s += 1
        await asyncio.sleep(0)
    assert one.bus.writes == []
