"""An OpenEVSE controller as a charging point: transcripts by hand, the order of writes, what is read back. Time is
virtual."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from edged.chargers.driver import ChargerDriver
from edged.chargers.library import load_charger
from edged.chargers.moments import moment
from edged.chargers.rapi.charger import RapiCharger
from edged.chargers.rapi.link import Link
from edged.chargers.rapi.profile import RapiProfile
from edged.domain.hardware import (
    Action,
    ActionOutcome,
    Capability,
    ChargerState,
    Desired,
    FaultCode,
    LockState,
    Observation,
    Phases,
)
from edged.ports import ChargerRefused, ChargerUnreachable
from tests.fakes.controller import SPEC, Controller, LoopClock
from tests.fakes.virtual_loop import MemoryPipe, run_virtually

GO = Desired(permit_charging=True, current_limit_ma=16_000)
STOP = Desired(permit_charging=False, current_limit_ma=16_000)
SHIPPED = load_charger("openevse-rapi")
assert isinstance(SHIPPED, RapiProfile)
SOCKET = replace(SHIPPED, is_detachable=True, has_lock=True)
FULL = replace(SOCKET, may_disable=True, has_voltmeter=True)
IDLE, PLUGGED, CHARGING = "OK 01 0 01 0000", "OK 02 0 02 0100", "OK 03 620 03 0140"
ASLEEP, ASLEEP_PLUGGED, DISABLED = "OK fe 0 01 0000", "OK fe 620 02 0100", "OK ff 0 01 0000"


def virtually(scene: Callable[..., Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def test() -> None:
        run_virtually(scene())

    test.__name__ = scene.__name__
    return test


@asynccontextmanager
async def charger_on(
    controller: Controller, profile: RapiProfile = SHIPPED, **options: Any
) -> AsyncIterator[RapiCharger]:
    link = Link(SPEC, connect=controller.connect)
    charger = RapiCharger(profile, link, clock=LoopClock(), **options)
    try:
        yield charger
    finally:
        await charger.close()
        await link.close()


def told(profile: RapiProfile = SHIPPED, **replies: Any) -> Observation:
    """What one poll of a transcript says."""

    async def scene() -> Observation:
        async with charger_on(Controller(**replies), profile) as charger:
            return await charger.observe()

    return run_virtually(scene())


class Obeying(Controller):
    """A controller that is as it was told last: enough to see what is read back."""

    def __init__(self, **replies: Any) -> None:
        obeys: dict[str, Any] = {
            "FE": self._to("GS", PLUGGED),
            "FS": self._to("GS", ASLEEP_PLUGGED),
            "FD": self._to("GS", DISABLED),
            "SB": "OK 0",
            "S4 0": "OK",
            "S5 A": "OK",
            "S5 M": "OK",
        }
        super().__init__(**{**obeys, **replies})
        for amperes in range(6, 81):
            self.replies[f"SC {amperes} V"] = self._to("GE", f"OK {amperes} 0021", f"OK {amperes}")

    def _to(self, question: str, words: str, answer: str = "OK") -> Callable[[str], str]:
        def take(request: str) -> str:
            self.replies[question] = words
            return answer

        return take


# --- transcripts


def test_idle() -> None:
    seen = told(GS=IDLE)
    assert (seen.state, seen.plugged, seen.permit_charging, seen.faults) == (ChargerState.AVAILABLE, False, True, ())
    assert seen.current_limit_ma == 16_000 and seen.lock is LockState.UNKNOWN and seen.operative is None
    assert seen.meter.energy_wh == 120_000 and seen.meter.temperature_c == 25.1 and not seen.booted


def test_plugged() -> None:
    seen = told(GS=PLUGGED)
    assert (seen.state, seen.plugged, seen.permit_charging) == (ChargerState.CONNECTED_READY, True, True)


def test_charging() -> None:
    seen = told(GS=CHARGING, GG="OK 15900 240000", GU="OK 7203600 120000")
    assert (seen.state, seen.plugged, seen.permit_charging) == (ChargerState.CHARGING, True, True)
    assert seen.meter.current_a == Phases(15.9) and seen.meter.power_w == 3657.0
    assert seen.meter.energy_wh == 122_001
    assert seen.meter.voltage_v == Phases()


def test_with_a_voltmeter_the_power_is_of_the_voltage_that_is_measured() -> None:
    seen = told(replace(SHIPPED, has_voltmeter=True), GS=CHARGING, GG="OK 10000 238000")
    assert seen.meter.power_w == 2380.0 and seen.meter.voltage_v == Phases(238.0)


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("04", FaultCode.OTHER),
        ("05", FaultCode.EV_COMMUNICATION),
        ("06", FaultCode.GROUND),
        ("07", FaultCode.GROUND),
        ("08", FaultCode.POWER_SWITCH),
        ("09", FaultCode.GROUND),
        ("0a", FaultCode.HIGH_TEMPERATURE),
        ("0b", FaultCode.OVER_CURRENT),
        ("0e", FaultCode.POWER_SWITCH),
    ],
)
def test_faulted_with_its_code_and_counters(state: str, code: FaultCode) -> None:
    seen = told(GS=f"OK {state} 0 02 0102", GF="OK 1a 0 2")
    assert seen.state is ChargerState.FAULTED and seen.plugged is True and seen.permit_charging is None
    (fault,) = seen.faults
    assert fault.code is code and fault.blocking and fault.vendor_code == state.upper()
    assert "leakage 26, no ground 0, stuck relay 2" in fault.info


def test_a_hard_fault_shows_whatever_the_state_says() -> None:
    (fault,) = told(GS="OK 01 0 01 0002").faults
    assert fault.blocking and "hard fault" in fault.info


@pytest.mark.parametrize(
    ("words", "plugged", "state"),
    [(ASLEEP, False, ChargerState.AVAILABLE), (ASLEEP_PLUGGED, True, ChargerState.SUSPENDED_EVSE)],
)
def test_asleep_the_flags_tell_whether_a_vehicle_is_there(words: str, plugged: bool, state: ChargerState) -> None:
    seen = told(GS=words)
    assert (seen.state, seen.plugged, seen.permit_charging) == (state, plugged, False)


@pytest.mark.parametrize(
    ("answer", "plugged", "state"),
    [
        ("OK 1", True, ChargerState.SUSPENDED_EVSE),
        ("OK 0", False, ChargerState.AVAILABLE),
        ("OK 2", None, ChargerState.UNKNOWN),
        ("NK", None, ChargerState.UNKNOWN),
    ],
)
def test_an_older_protocol_without_flags_is_asked_for_the_vehicle(
    answer: str, plugged: bool | None, state: ChargerState
) -> None:
    seen = told(GS="OK fe 12", G0=answer)
    assert (seen.plugged, seen.state) == (plugged, state)


def test_disabled() -> None:
    seen = told(FULL, GS="OK ff 0 01 0100", G5="OK 0 A")
    assert (seen.state, seen.operative, seen.plugged) == (ChargerState.UNAVAILABLE, False, True)
    assert seen.permit_charging is None
    assert told(GS=DISABLED).permit_charging is False and told(GS=DISABLED).operative is None


def test_booting() -> None:
    seen = told(FULL, GS="OK 00 0 00 0000", G5="OK 0 A")
    assert seen.state is ChargerState.UNKNOWN and seen.permit_charging is None and seen.operative is None


@pytest.mark.parametrize("flags", ["4100", "0108"])
def test_what_is_locked_after_boot_or_by_authentication_permits_nothing(flags: str) -> None:
    seen = told(GS=f"OK 02 0 02 {flags}")
    assert (seen.state, seen.permit_charging) == (ChargerState.CONNECTED, False)


def test_a_state_that_nobody_knows_is_unknown() -> None:
    assert told(GS="OK 7f 0 01 0000").state is ChargerState.UNKNOWN


@pytest.mark.parametrize(("answer", "lock"), [("OK 1 A", LockState.LOCKED), ("OK 0 A", LockState.UNLOCKED)])
def test_the_lock_is_told_where_the_controller_has_one(answer: str, lock: LockState) -> None:
    seen = told(SOCKET, GS=PLUGGED, G5=answer)
    assert seen.lock is lock and seen.capabilities is None


def test_a_controller_without_the_lock_offers_none_whatever_its_profile_says() -> None:
    seen = told(SOCKET, GS=PLUGGED, G5="NK")
    assert seen.lock is LockState.UNKNOWN
    assert seen.capabilities == SOCKET.capabilities - {Capability.UNLOCK, Capability.LOCK_SENSE}


def test_without_an_ammeter_neither_current_nor_power_is_told() -> None:
    meter = told(GS=CHARGING, GG="OK -1 240000").meter
    assert meter.current_a == Phases() and meter.power_w is None and meter.energy_wh is not None


@pytest.mark.parametrize("answer", ["NK", "OK", "OK x y", "OK 99999999999 1", "OK -5 -5"])
def test_a_meter_that_is_missing_or_talks_nonsense_tells_nothing(answer: str) -> None:
    meter = told(GS=IDLE, GG=answer, GU=answer, GP="OK -2560 -2560 9999").meter
    assert meter.current_a == Phases() and meter.energy_wh is None and meter.temperature_c is None


@pytest.mark.parametrize("answer", ["NK", "OK", "OK 01", "OK zz 0", "OK 100 0 01 0000", "OK 01 x 01 0000"])
def test_a_state_that_cannot_be_read_is_refused(answer: str) -> None:
    with pytest.raises(ChargerRefused, match=r"answers \$GS with"):
        told(GS=answer)


@virtually
async def test_energy_goes_on_when_a_session_enters_the_total() -> None:
    controller = Controller(GS=CHARGING, GU="OK 7200000 5000")
    async with charger_on(controller) as charger:
        seen = [(await charger.observe()).meter.energy_wh]
        controller.replies["GU"] = "OK 7209000 5000"
        seen.append((await charger.observe()).meter.energy_wh)
        # the plug is pulled between the two questions: the state is old, the total is new
        controller.replies["GU"] = "OK 7209000 7002"
        seen.append((await charger.observe()).meter.energy_wh)
        controller.replies["GS"] = IDLE
        seen.append((await charger.observe()).meter.energy_wh)
        controller.replies.update(GS=PLUGGED, GU="OK 0 7002")
        seen.append((await charger.observe()).meter.energy_wh)
        controller.replies.update(GS=CHARGING, GU="OK 36000 7002")
        seen.append((await charger.observe()).meter.energy_wh)
    assert seen == [7000, 7002, 7002, 7002, 7002, 7012]


@virtually
async def test_energy_of_the_first_session_since_a_restart_is_counted() -> None:
    controller = Controller(GS=IDLE, GU="OK 0 5000")
    async with charger_on(controller) as charger:
        await charger.observe()
        controller.replies["GS"] = PLUGGED
        await charger.observe()
        controller.replies.update(GS=CHARGING, GU="OK 36000 5000")
        assert (await charger.observe()).meter.energy_wh == 5010


@virtually
async def test_a_session_that_has_ended_before_edged_came_is_in_the_total() -> None:
    async with charger_on(Controller(GS=IDLE, GU="OK 7200000 5000")) as charger:
        assert (await charger.observe()).meter.energy_wh == 5000


# --- the session


@virtually
async def test_the_failsafe_is_set_before_anything_else_and_read_back() -> None:
    controller = Obeying(GY="OK 0 0 0")
    controller.replies["SY 60 6"] = controller._to("GY", "OK 60 6 0", "OK 60 6 0")
    async with charger_on(controller) as charger:
        await charger.apply(replace(GO, current_limit_ma=10_000))
    assert controller.heard[:3] == ["GY", "SY 60 6", "GY"]
    assert controller.written[0] == "SY 60 6"


@virtually
async def test_the_failsafe_is_not_written_where_it_stands_already() -> None:
    controller = Obeying()
    async with charger_on(controller) as charger:
        await charger.observe()
        await charger.apply(GO)
    assert controller.written == []


@virtually
async def test_a_failsafe_that_does_not_take_is_told_and_nothing_else_is_written() -> None:
    controller = Obeying(GY="OK 0 0 0", **{"SY 60 6": "OK 60 6 0"})
    async with charger_on(controller) as charger:
        with pytest.raises(ChargerRefused, match="did not take its supervision"):
            await charger.apply(replace(GO, current_limit_ma=10_000))
    assert controller.written == ["SY 60 6"]


@virtually
async def test_a_controller_without_supervision_is_used_all_the_same_and_never_pulsed() -> None:
    controller = Obeying(GY="NK", SY="NK")
    async with charger_on(controller) as charger:
        for _ in range(100):
            await charger.observe()
            await asyncio.sleep(1)
        await charger.apply(replace(GO, current_limit_ma=10_000))
    assert controller.written == ["SC 10 V"]


@virtually
async def test_pulses_come_in_time_while_somebody_watches() -> None:
    controller = Controller()
    async with charger_on(controller) as charger:
        for _ in range(600):
            await charger.observe()
            await asyncio.sleep(1)
    at = [when for request, when in zip(controller.heard, controller.at, strict=True) if request == "SY"]
    assert len(at) >= 29 and max(b - a for a, b in pairwise(at)) < 21


@virtually
async def test_two_lost_pulses_do_not_let_the_controller_fall_back() -> None:
    controller = Controller()
    async with charger_on(controller) as charger:
        for second in range(200):
            controller.replies["SY"] = None if 20 <= second < 50 else "OK 60 6 0"
            await charger.observe()
            await asyncio.sleep(1)
    at = [0.0, *(w for r, w in zip(controller.heard, controller.at, strict=True) if r == "SY" and not 20 <= w < 50)]
    assert max(b - a for a, b in pairwise(at)) < 60


@virtually
async def test_pulses_end_when_nobody_watches_any_more() -> None:
    controller = Controller()
    async with charger_on(controller) as charger:
        await charger.observe()
        await asyncio.sleep(3600)
    assert 1 <= controller.heard.count("SY") <= 3


@virtually
async def test_whoever_comes_back_to_a_controller_without_pulses_begins_anew_and_pulses_again() -> None:
    controller = Controller()
    async with charger_on(controller) as charger:
        await charger.observe()
        await asyncio.sleep(45)
        assert controller.heard.count("SY") == 1
        for _ in range(60):
            await charger.observe()
            await asyncio.sleep(1)
    assert controller.heard.count("GY") == 2 and controller.heard.count("SY") >= 3


@virtually
async def test_a_controller_that_waited_too_long_is_asked_whether_it_fell_back() -> None:
    controller = Controller()
    async with charger_on(controller) as charger:
        await charger.observe()
        controller.replies["SY"] = None
        for _ in range(70):
            await charger.observe()
            await asyncio.sleep(1)
    assert controller.heard.count("GY") == 2


@virtually
async def test_a_line_that_was_lost_begins_a_new_session() -> None:
    controller = Controller()
    async with charger_on(controller) as charger:
        await charger.observe()
        pipe = charger.link._pipe
        assert isinstance(pipe, MemoryPipe)
        pipe.lose("the adapter was unplugged")
        await asyncio.sleep(1)
        await charger.observe()
    assert controller.heard.count("GY") == 2


@virtually
async def test_what_a_controller_did_not_know_is_asked_again_after_its_restart() -> None:
    controller = Controller(GS=CHARGING, GG="NK")
    async with charger_on(controller) as charger:
        assert (await charger.observe()).meter.power_w is None
        controller.replies["GG"] = "OK 10000 240000"
        charger.power_was_cut()
        assert (await charger.observe()).meter.power_w == 2300.0


@virtually
async def test_a_missed_pulse_is_made_good_and_the_limit_set_again() -> None:
    controller = Obeying(GE="OK 20 0021")
    controller.replies["SY 60 6"] = controller._to("GY", "OK 60 6 0", "OK 60 6 0")
    async with charger_on(controller) as charger:
        await charger.apply(replace(GO, current_limit_ma=None))
        limit = controller.written[-1]
        controller.replies.update(GY="OK 60 6 2", SY="NK 60 6 2", GE="OK 6 0021")
        await asyncio.sleep(25)
        await charger.observe()
    assert limit.startswith("SC") and controller.written == [limit, "SY", "SY 60 6", limit]


@virtually
async def test_a_miss_that_must_be_acknowledged_is_followed_by_the_limit_at_once() -> None:
    controller = Obeying(GY="OK 60 6 2", **{"SY 60 6": "OK 60 6 2"})
    controller.replies["SY 165"] = controller._to("GY", "OK 60 6 1", "OK 60 6 1")
    async with charger_on(controller) as charger:
        await charger.observe()
    after = controller.heard.index("SY 165")
    assert controller.heard[after + 1] == "SC 6 V"


@virtually
async def test_identity_and_bounds_are_read_once_a_session() -> None:
    controller = Controller()
    async with charger_on(controller) as charger:
        for _ in range(3):
            await charger.observe()
        assert charger.identity == {"firmware": "8.2.3", "protocol": "5.2.1"}
    assert controller.heard.count("GV") == controller.heard.count("GC") == controller.heard.count("GY") == 1


@virtually
async def test_a_silent_controller_makes_every_call_say_so() -> None:
    async with charger_on(Controller(**dict.fromkeys(("GY", "GS"), None))) as charger:
        for call in (charger.observe(), charger.apply(GO), charger.perform(Action.RESET_HARD)):
            with pytest.raises(ChargerUnreachable):
                await call


@virtually
async def test_a_command_that_the_controller_does_not_know_is_asked_once_a_session() -> None:
    controller = Controller(GG="NK", GP="NK")
    async with charger_on(controller) as charger:
        for _ in range(3):
            await charger.observe()
    assert controller.heard.count("GG") == controller.heard.count("GP") == 1


# --- writing


@virtually
async def test_energy_is_permitted_last_and_only_what_differs_is_written() -> None:
    controller = Obeying(GS=ASLEEP_PLUGGED)
    async with charger_on(controller) as charger:
        await charger.apply(replace(GO, current_limit_ma=10_000))
        await charger.apply(replace(GO, current_limit_ma=10_000))
    assert controller.written == ["SC 10 V", "FE"]


@virtually
async def test_energy_is_withheld_first() -> None:
    controller = Obeying(GS=CHARGING)
    async with charger_on(controller) as charger:
        await charger.apply(replace(STOP, current_limit_ma=8_000))
        await charger.apply(replace(STOP, current_limit_ma=8_000))
    assert controller.written == ["FS", "SC 8 V"]


@virtually
async def test_the_boot_lock_is_released_only_with_the_limit_set() -> None:
    controller = Obeying(GS="OK 02 0 02 4100", GE="OK 32 0021")
    controller.replies["SB"] = controller._to("GS", PLUGGED, "OK 0")
    async with charger_on(controller) as charger:
        await charger.apply(GO)
    assert controller.written == ["SC 16 V", "SB"]


@virtually
async def test_a_boot_lock_is_kept_while_energy_is_withheld() -> None:
    controller = Obeying(GS="OK 02 0 02 4100")
    async with charger_on(controller) as charger:
        await charger.apply(STOP)
    assert controller.written == ["FS"]


@virtually
async def test_a_boot_lock_that_stays_though_it_was_released_is_told() -> None:
    async with charger_on(Obeying(GS="OK 02 0 02 4100")) as charger:
        with pytest.raises(ChargerRefused, match="should be enabled"):
            await charger.apply(GO)


@virtually
async def test_a_boot_lock_that_a_fault_keeps_is_told() -> None:
    async with charger_on(Obeying(GS="OK 02 0 02 4100", SB="OK 1")) as charger:
        with pytest.raises(ChargerRefused, match="boot lock"):
            await charger.apply(GO)


@virtually
async def test_an_authentication_lock_is_released_too() -> None:
    controller = Obeying(GS="OK 02 0 02 0108")
    controller.replies["S4 0"] = controller._to("GS", PLUGGED)
    async with charger_on(controller) as charger:
        await charger.apply(GO)
    assert controller.written == ["S4 0"]


@virtually
async def test_a_fault_is_not_hidden_behind_sleep() -> None:
    controller = Obeying(GS="OK 06 0 02 0100")
    async with charger_on(controller) as charger:
        await charger.apply(STOP)
    assert controller.written == []


@virtually
async def test_what_does_not_take_is_told() -> None:
    controller = Obeying(GS=CHARGING, FS="OK")
    async with charger_on(controller) as charger:
        with pytest.raises(ChargerRefused, match="should be asleep but reports state 03"):
            await charger.apply(STOP)


@virtually
async def test_a_current_that_is_held_lower_is_told_and_energy_flows_all_the_same() -> None:
    controller = Obeying(GS=ASLEEP_PLUGGED, GE="OK 10 0021")
    controller.replies["SC 16 V"] = "NK 12"
    async with charger_on(controller) as charger:
        with pytest.raises(ChargerRefused, match="given 16 A but holds 12 A"):
            await charger.apply(GO)
    assert controller.written == ["SC 16 V", "FE"]


@pytest.mark.parametrize("answer", ["NK 20", "NK", "OK x"])
def test_no_energy_is_permitted_with_a_current_that_is_held_higher(answer: str) -> None:
    async def scene() -> None:
        controller = Obeying(GS=ASLEEP_PLUGGED, GE="OK 32 0021")
        controller.replies["SC 16 V"] = answer
        async with charger_on(controller) as charger:
            with pytest.raises(ChargerRefused):
                await charger.apply(GO)
        assert controller.written == ["SC 16 V"]

    run_virtually(scene())


@pytest.mark.parametrize(
    ("desired_ma", "site_ma", "capacity", "written"),
    [
        (16_900, None, "OK 6 32 16 32", ["SC 16 V", "FE"]),
        (40_000, None, "OK 6 80 16 32", ["SC 32 V", "FE"]),
        (40_000, 20_000, "OK 6 80 16 32", ["SC 20 V", "FE"]),
        (None, None, "OK 6 24", ["SC 24 V", "FE"]),
        (5_999, None, "OK 6 32 16 32", []),
        (8_000, None, "OK 10 32 16 32", []),
        (100_000, None, "NK", ["SC 80 V", "FE"]),
    ],
)
def test_the_current_is_the_least_of_all_bounds_in_whole_ampere(
    desired_ma: int | None, site_ma: int | None, capacity: str, written: list[str]
) -> None:
    async def scene() -> None:
        controller = Obeying(GS=ASLEEP_PLUGGED, GE="OK 7 0021", GC=capacity)
        async with charger_on(controller, max_current_ma=site_ma) as charger:
            await charger.apply(replace(GO, current_limit_ma=desired_ma))
        assert controller.written == written

    run_virtually(scene())


@virtually
async def test_out_of_service_is_told_to_a_controller_that_may_be_disabled() -> None:
    controller = Obeying(GS=IDLE, G5="OK 0 A")
    async with charger_on(controller, FULL) as charger:
        await charger.apply(replace(STOP, operative=False))
        seen = await charger.observe()
        await charger.apply(replace(STOP, operative=True))
    assert controller.written == ["FD", "FS"] and seen.operative is False


@virtually
async def test_out_of_service_is_sleep_where_disabling_is_unproven() -> None:
    controller = Obeying(GS=IDLE)
    async with charger_on(controller) as charger:
        await charger.apply(Desired(permit_charging=True, current_limit_ma=16_000, operative=False))
    assert controller.written == ["FS"]


def test_the_eeprom_is_never_written_but_for_the_failsafe() -> None:
    async def scene() -> list[str]:
        controller = Obeying(GY="OK 0 0 0", G5="OK 1 A")
        controller.replies["SY 60 6"] = controller._to("GY", "OK 60 6 0", "OK 60 6 0")
        controller.replies["S5 0"] = controller._to("G5", "OK 0 M")
        async with charger_on(controller, FULL) as charger:
            for amperes in range(40):
                for permit in (True, False):
                    for operative in (True, False):
                        wanted = Desired(permit_charging=permit, operative=operative, current_limit_ma=amperes * 1000)
                        await charger.apply(wanted)
                        await charger.observe()
            await charger.perform(Action.UNLOCK)
        return controller.written

    written = run_virtually(scene())
    assert written.count("SY 60 6") == 1
    volatile = ("FE", "FS", "FD", "SB", "S5 M", "S5 0", "S5 A", "SY", "SY 60 6")
    assert all(each in volatile or (each.startswith("SC ") and each.endswith(" V")) for each in written)


# --- restarts


@virtually
async def test_a_restart_is_told_and_everything_is_set_again() -> None:
    controller = Obeying(GS=PLUGGED)
    async with charger_on(controller) as charger:
        await charger.observe()
        await charger.apply(GO)
        controller.heard.clear()
        controller.replies.update(GS="OK 02 0 02 4100", GE="OK 32 0021")
        controller.replies["SB"] = controller._to("GS", PLUGGED, "OK 0")
        controller.event("AB 00 8.2.3")
        await asyncio.sleep(0.01)
        assert (await charger.observe()).booted
        assert controller.heard[0] == "GY"
        await charger.apply(GO)
        assert not (await charger.observe()).booted
    assert controller.written == ["SC 16 V", "SB"]


@virtually
async def test_a_driver_sets_everything_again_after_a_restart_and_hears_of_changes_at_once() -> None:
    controller, seen = Obeying(GS=PLUGGED), []

    class Listener:
        def observed(self, observation: Observation) -> None:
            seen.append((moment(), observation))

        def lost(self, reason: str) -> None:
            raise AssertionError(reason)

        def performed(self, ticket: str, outcome: ActionOutcome, detail: str) -> None:
            raise AssertionError(ticket)

    async with charger_on(controller, poll_interval_s=60.0) as charger:
        driver = ChargerDriver(charger, LoopClock())
        charger.on_change = driver.look_soon
        driver.want(GO)
        driver.start(Listener())
        await asyncio.sleep(10)
        controller.replies["GS"] = CHARGING
        controller.event("AT 03 03 16 0140")
        await asyncio.sleep(1)
        assert seen[-1][1].state is ChargerState.CHARGING and seen[-1][0] < 10.5
        controller.replies.update(GS="OK 02 0 02 4100", GE="OK 32 0021")
        controller.replies["SB"] = controller._to("GS", PLUGGED, "OK 0")
        controller.heard.clear()
        controller.event("AB 00 8.2.3")
        await asyncio.sleep(1)
        assert controller.written == ["SC 16 V", "SB"]
        await driver.stop()


@virtually
async def test_a_flood_of_events_does_not_make_a_flood_of_polls() -> None:
    controller, polls = Obeying(GS=PLUGGED), []

    class Listener:
        def observed(self, observation: Observation) -> None:
            polls.append(moment())

        def lost(self, reason: str) -> None: ...

        def performed(self, ticket: str, outcome: ActionOutcome, detail: str) -> None: ...

    async with charger_on(controller, poll_interval_s=60.0) as charger:
        driver = ChargerDriver(charger, LoopClock())
        charger.on_change = driver.look_soon
        driver.start(Listener())
        await asyncio.sleep(1)
        for _ in range(2000):
            controller.event("AT 02 02 16 0100")
            await asyncio.sleep(0.001)
        await asyncio.sleep(1)
        await driver.stop()
    assert 2 <= len(polls) <= 60


@virtually
async def test_a_restart_while_a_session_begins_begins_it_again() -> None:
    controller = Obeying()
    boots = iter([True, False])

    def version(request: str) -> str:
        if next(boots, False):
            controller.event("AB 00 8.2.3")
        return "OK 8.2.3 5.2.1"

    controller.replies["GV"] = version
    async with charger_on(controller) as charger:
        assert (await charger.observe()).booted
        assert controller.heard.count("GY") == 2


@virtually
async def test_a_controller_that_restarts_for_ever_is_told() -> None:
    controller = Controller()

    def version(request: str) -> str:
        controller.event("AB 08 8.2.3")
        return "OK 8.2.3 5.2.1"

    controller.replies["GV"] = version
    async with charger_on(controller) as charger:
        with pytest.raises(ChargerRefused, match="restarts again and again"):
            await charger.observe()


@virtually
async def test_power_that_was_cut_begins_a_new_session() -> None:
    controller = Controller()
    async with charger_on(controller) as charger:
        await charger.observe()
        charger.power_was_cut()
        assert (await charger.observe()).booted
    assert controller.heard.count("GY") == 2


# --- actions


@virtually
async def test_a_hard_reset_is_proven_by_the_word_after_the_boot() -> None:
    controller = Controller(FR=None)
    async with charger_on(controller) as charger:
        await charger.observe()
        asyncio.get_running_loop().call_later(3.0, controller.event, "AB 00 8.2.3")
        assert await charger.perform(Action.RESET_HARD) is ActionOutcome.DONE
        assert moment() < 5 and (await charger.observe()).booted


@virtually
async def test_a_hard_reset_is_proven_by_silence_and_an_answer_after_it() -> None:
    controller = Controller()

    def restart(request: str) -> str:
        state, controller.replies["GS"] = controller.replies["GS"], None
        asyncio.get_running_loop().call_later(5.5, controller.replies.__setitem__, "GS", state)
        return "OK"

    controller.replies["FR"] = restart
    async with charger_on(controller) as charger:
        await charger.observe()
        assert await charger.perform(Action.RESET_HARD) is ActionOutcome.DONE
        assert 5.5 < moment() < 8 and (await charger.observe()).booted
    assert controller.heard.count("GY") == 2


@virtually
async def test_one_lost_answer_is_no_restart() -> None:
    controller, answers = Controller(FR="OK"), iter([None])
    async with charger_on(controller) as charger:
        await charger.observe()
        controller.replies["GS"] = lambda request: next(answers, IDLE)
        assert await charger.perform(Action.RESET_HARD) is ActionOutcome.FAILED


@pytest.mark.parametrize(("words", "within_s"), [("NK", 1), ("OK", 20)])
def test_a_hard_reset_that_does_not_happen_has_failed(words: str, within_s: float) -> None:
    async def scene() -> None:
        async with charger_on(Controller(FR=words)) as charger:
            assert await charger.perform(Action.RESET_HARD) is ActionOutcome.FAILED
            assert moment() < within_s
            assert not (await charger.observe()).booted

    run_virtually(scene())


@virtually
async def test_a_controller_that_does_not_come_back_is_a_timeout() -> None:
    controller = Controller(FR=None)
    async with charger_on(controller) as charger:
        await charger.observe()
        controller.replies.update(dict.fromkeys(controller.replies, None))
        assert await charger.perform(Action.RESET_HARD) is ActionOutcome.TIMEOUT
        assert moment() < 25


@virtually
async def test_a_soft_reset_is_nothing_that_it_has() -> None:
    async with charger_on(Controller()) as charger:
        assert await charger.perform(Action.RESET_SOFT) is ActionOutcome.UNSUPPORTED


@virtually
async def test_unlocking_ends_charging_first_and_is_read_back() -> None:
    controller = Obeying(GS=CHARGING, G5="OK 1 A")
    controller.replies["S5 0"] = controller._to("G5", "OK 0 M")
    async with charger_on(controller, SOCKET) as charger:
        assert await charger.perform(Action.UNLOCK) is ActionOutcome.DONE
    assert controller.written == ["FS", "S5 M", "S5 0"] and controller.heard[-1] == "G5"


@virtually
async def test_a_lock_stays_shut_while_the_contactor_does_not_open() -> None:
    controller = Obeying(GS=CHARGING, G5="OK 1 A", FS="OK")
    async with charger_on(controller, SOCKET) as charger:
        assert await charger.perform(Action.UNLOCK) is ActionOutcome.FAILED
    assert controller.written == ["FS"]


@pytest.mark.parametrize("replies", [{"S5 0": "OK"}, {"S5 0": "NK"}, {"S5 M": "NK"}])
def test_a_lock_that_does_not_open_is_a_failure(replies: dict[str, str]) -> None:
    async def scene() -> None:
        async with charger_on(Obeying(GS=PLUGGED, G5="OK 1 A", **replies), SOCKET) as charger:
            assert await charger.perform(Action.UNLOCK) is ActionOutcome.FAILED

    run_virtually(scene())


@pytest.mark.parametrize("profile", [SHIPPED, SOCKET])
def test_unlocking_what_has_no_lock_is_unsupported(profile: RapiProfile) -> None:
    async def scene() -> None:
        controller = Obeying(GS=PLUGGED, G5="NK")
        async with charger_on(controller, profile) as charger:
            assert await charger.perform(Action.UNLOCK) is ActionOutcome.UNSUPPORTED
        assert controller.written == []

    run_virtually(scene())


@virtually
async def test_an_opened_lock_works_by_itself_again_when_the_cable_is_gone() -> None:
    controller = Obeying(GS=PLUGGED, G5="OK 1 A")
    controller.replies["S5 0"] = controller._to("G5", "OK 0 M")
    controller.replies["S5 A"] = controller._to("G5", "OK 0 A")
    async with charger_on(controller, SOCKET) as charger:
        await charger.perform(Action.UNLOCK)
        await charger.observe()
        assert controller.written == ["S5 M", "S5 0"]
        controller.replies["GS"] = IDLE
        await charger.observe()
        await charger.observe()
    assert controller.written == ["S5 M", "S5 0", "S5 A"]


@virtually
async def test_an_opened_lock_works_by_itself_again_before_energy_is_permitted() -> None:
    controller = Obeying(GS=ASLEEP_PLUGGED, G5="OK 0 M")
    async with charger_on(controller, SOCKET) as charger:
        await charger.apply(GO)
    assert controller.written == ["S5 A", "FE"]


def test_a_lock_that_refuses_to_work_by_itself_is_told_of_once(caplog) -> None:
    async def scene() -> None:
        controller = Obeying(**{"G5": "OK 0 M", "GS": IDLE, "S5 A": "NK"})
        async with charger_on(controller, SOCKET) as charger:
            for _ in range(5):
                await charger.observe()

    run_virtually(scene())
    assert sum("stays open" in record.message for record in caplog.records) == 1
