"""Hard resets by a relay: a simulated charger on one line, and on another the board that can cut its power."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from edged.chargers.driver import ChargerDriver
from edged.chargers.factory import build_board, build_charger, open_bus
from edged.chargers.gpio_output import GpioOutput
from edged.chargers.library import load_profile, load_relay
from edged.chargers.line import BusSpec, LineKind
from edged.chargers.modbus_charger import ModbusCharger
from edged.chargers.power_cycle import PowerCycledCharger
from edged.chargers.relay_board import RelayOutput
from edged.domain.hardware import Action, ActionOutcome, Capability, Desired, Observation
from edged.ports import ChargerUnreachable
from edged.simulator.makes.modbus_relay import ModbusRelay
from edged.simulator.site import SimulatedCharger, SimulatedSite
from edged.system.clock import SystemClock

BOX = "heidelberg-energy-control"
HARD = Action.RESET_HARD
CYCLE = [(1, True), (1, False)]
FREE = Desired(permit_charging=True)


class Yard:
    """A charger without a reset register, and output 1 of a board that cuts its power."""

    def __init__(self, site: SimulatedSite, charger: ModbusCharger, output: RelayOutput) -> None:
        self.site = site
        self.charger = charger
        self.output = output
        self.box = site.units["box"]
        board = site.units["board"]
        assert isinstance(board, ModbusRelay)
        self.board = board

    def cycled(self, *, off_s: float = 0.3, return_s: float = 10.0) -> PowerCycledCharger:
        return PowerCycledCharger(self.charger, self.output, off_s=off_s, return_s=return_s)


def spec(site: SimulatedSite, name: str, kind: LineKind) -> BusSpec:
    host, port = site.endpoint(name).split(":")
    return BusSpec(kind=kind, host=host, tcp_port=int(port))


@pytest.fixture
async def yard() -> AsyncIterator[Yard]:
    units = [
        SimulatedCharger(name="box", make=BOX, listen="rtu-tcp:127.0.0.1:0"),
        SimulatedCharger(name="board", make="modbus-relay", listen="tcp:127.0.0.1:0", cuts={1: "box"}),
    ]
    async with SimulatedSite(units, speed=20.0, seed=1) as site:
        line, other = open_bus(spec(site, "box", LineKind.RTU_OVER_TCP)), open_bus(spec(site, "board", LineKind.TCP))
        charger = build_charger(load_profile(BOX), line, clock=SystemClock())
        yield Yard(site, charger, build_board(load_relay("modbus-relay"), other).use(1))
        await charger.close()
        await line.close()
        await other.close()


async def test_a_hard_reset_cuts_the_power_and_waits_until_the_charger_is_back(yard: Yard) -> None:
    cycled = yard.cycled()
    await cycled.observe()
    assert await cycled.perform(HARD) is ActionOutcome.DONE
    assert yard.board.history == CYCLE
    assert yard.box.reachable
    assert (await cycled.observe()).booted, "whoever wants something of it must say it again"


async def test_it_can_be_reset_and_says_so_whatever_it_reports(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    cycled = yard.cycled()
    by_relay = {Capability.RESET_HARD, Capability.POWER_CYCLE}
    assert not by_relay & yard.charger.capabilities
    assert by_relay <= cycled.capabilities
    seen = await cycled.observe()
    assert seen.capabilities is None

    async def narrowed() -> Observation:
        return replace(seen, capabilities=frozenset({Capability.LIMIT}))

    monkeypatch.setattr(yard.charger, "observe", narrowed)
    assert (await cycled.observe()).capabilities == by_relay | {Capability.LIMIT}


async def test_energy_is_off_before_the_contact_opens(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    cycled = yard.cycled()
    point = yard.site["box"]
    point.plug_in()
    await cycled.apply(FREE)
    await yard.site.until(lambda: point.contactor_closed)
    loaded: list[bool] = []
    cut = yard.box.cut_power

    def look_and_cut() -> None:
        loaded.append(point.contactor_closed)
        cut()

    monkeypatch.setattr(yard.box, "cut_power", look_and_cut)
    assert await cycled.perform(HARD) is ActionOutcome.DONE
    assert loaded == [False]


class CuttingChip:
    """A GPIO chip whose line, while it is high, cuts the power of the simulated box."""

    def __init__(self, yard: Yard, loop: asyncio.AbstractEventLoop) -> None:
        self.box, self.loop, self.level = yard.box, loop, False
        self.levels: list[bool] = []

    def open(self, path: str, line: int, level: bool) -> CuttingChip:
        assert not level, "the line is requested at rest"
        return self

    def read(self) -> bool:
        return self.level

    def write(self, level: bool) -> None:
        if level is not self.level:
            self.level = level
            self.levels.append(level)
            self.loop.call_soon_threadsafe(self.box.cut_power if level else self.box.give_power)

    def close(self) -> None:
        pass


async def test_a_gpio_line_cuts_the_power_as_a_board_does(yard: Yard) -> None:
    chip = CuttingChip(yard, asyncio.get_running_loop())
    line = GpioOutput("/dev/gpiochip0", 17, opener=chip.open)
    cycled = PowerCycledCharger(yard.charger, line, off_s=0.3, return_s=10.0)
    await cycled.observe()
    assert await cycled.perform(HARD) is ActionOutcome.DONE
    assert chip.levels == [True, False] and yard.box.reachable
    await line.stop()


async def test_a_gpio_line_that_is_no_line_refuses_the_reset(yard: Yard, caplog: pytest.LogCaptureFixture) -> None:
    line = GpioOutput("/dev/null", 17)
    cycled = PowerCycledCharger(yard.charger, line, off_s=0.3, return_s=10.0)
    assert await cycled.perform(HARD) is ActionOutcome.FAILED
    assert "its power was not cut: /dev/null is no GPIO chip" in caplog.text
    await line.stop()


async def test_a_board_that_refuses_has_failed(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yard.board, "write_functions", frozenset())
    assert await yard.cycled().perform(HARD) is ActionOutcome.FAILED
    assert yard.box.reachable


async def test_an_output_that_reads_otherwise_has_failed_and_is_switched_off(yard: Yard) -> None:
    yard.board.force("output_1", 0, 1)
    assert await yard.cycled().perform(HARD) is ActionOutcome.FAILED
    assert yard.board.history == CYCLE


async def test_a_board_that_does_not_answer_is_no_word(yard: Yard) -> None:
    yard.board.silent = True
    assert await yard.cycled().perform(HARD) is ActionOutcome.TIMEOUT
    assert yard.box.reachable


async def test_a_relay_that_cuts_nothing_is_found_out(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yard.box, "cut_power", lambda: None)
    assert await yard.cycled().perform(HARD) is ActionOutcome.FAILED
    assert yard.board.history == CYCLE


async def test_a_charger_that_does_not_come_back_is_waited_for_no_longer_than_its_time(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yard.box, "give_power", lambda: None)
    assert await yard.cycled(return_s=0.5).perform(HARD) is ActionOutcome.TIMEOUT
    assert yard.board.history == CYCLE


async def test_a_charger_that_hangs_is_cut_all_the_same(yard: Yard) -> None:
    yard.box.silent = True
    resetting = asyncio.create_task(yard.cycled().perform(HARD))
    await yard.site.until(lambda: yard.board.outputs[1])
    yard.box.silent = False
    assert await resetting is ActionOutcome.DONE


async def test_power_comes_back_when_the_driver_stops(yard: Yard) -> None:
    driver = ChargerDriver(yard.cycled(off_s=60.0), SystemClock(), action_deadline_s=100.0)
    told: list[ActionOutcome] = []

    class Listener:
        def observed(self, observation: Observation) -> None: ...

        def lost(self, reason: str) -> None: ...

        def performed(self, ticket: str, outcome: ActionOutcome, detail: str) -> None:
            told.append(outcome)

    driver.start(Listener())
    driver.perform(HARD, "t")
    await yard.site.until(lambda: yard.board.outputs[1])
    await driver.stop()
    assert yard.board.history == CYCLE
    assert told == [ActionOutcome.TIMEOUT]


async def test_power_comes_back_at_the_drivers_deadline(yard: Yard) -> None:
    cycled = yard.cycled(off_s=60.0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2.0):
            await cycled.perform(HARD)
    assert yard.board.history == CYCLE


# --- with a register


@pytest.mark.parametrize(
    ("by_register", "outcome", "history"),
    [
        (ActionOutcome.DONE, ActionOutcome.DONE, []),
        (ActionOutcome.FAILED, ActionOutcome.DONE, CYCLE),
        (ActionOutcome.TIMEOUT, ActionOutcome.DONE, CYCLE),
        (None, ActionOutcome.DONE, CYCLE),
    ],
)
async def test_the_register_wins_unless_it_does_not_help(
    yard: Yard,
    monkeypatch: pytest.MonkeyPatch,
    by_register: ActionOutcome | None,
    outcome: ActionOutcome,
    history: list[tuple[int, bool]],
) -> None:
    async def perform(action: Action) -> ActionOutcome:
        assert action is HARD
        if by_register is None:
            raise ChargerUnreachable("it hangs")
        return by_register

    monkeypatch.setattr(yard.charger, "perform", perform)
    monkeypatch.setattr(yard.charger, "_capabilities", yard.charger.capabilities | {Capability.RESET_HARD})
    assert await yard.cycled().perform(HARD) is outcome
    assert yard.board.history == history


async def test_other_actions_are_the_chargers_own(yard: Yard) -> None:
    assert await yard.cycled().perform(Action.UNLOCK) is ActionOutcome.UNSUPPORTED
    assert await yard.cycled().perform(Action.RESET_SOFT) is ActionOutcome.UNSUPPORTED
    assert yard.board.history == []
