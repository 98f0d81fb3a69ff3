"""A driver, a charger and a link against the simulated controller, which was written without them: over a terminal and
a socket, on a bad wire, through restarts and a power cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from edged.chargers.driver import ChargerDriver
from edged.chargers.factory import BusPool, build_board, build_rapi, open_bus
from edged.chargers.library import load_charger, load_relay
from edged.chargers.line import BusSpec, LineKind
from edged.chargers.power_cycle import PowerCycledCharger
from edged.chargers.rapi.charger import RapiCharger
from edged.chargers.rapi.profile import RapiProfile
from edged.domain.hardware import Action, ActionOutcome, ChargerState, Desired, LockState, Observation
from edged.simulator.makes.openevse import OpenEvse
from edged.simulator.parts import Cable
from edged.simulator.site import SimulatedCharger, SimulatedSite
from edged.simulator.wire import WireFaults
from edged.system.clock import SystemClock

SHIPPED = load_charger("openevse-rapi")
assert isinstance(SHIPPED, RapiProfile)
SOCKET = replace(SHIPPED, is_detachable=True, has_lock=True)
GO = Desired(permit_charging=True, current_limit_ma=10_000)
STOP = Desired(permit_charging=False)


class Listener:
    def __init__(self) -> None:
        self.seen: list[Observation] = []
        self.outcomes: dict[str, ActionOutcome] = {}
        self.lost_for: list[str] = []

    def observed(self, observation: Observation) -> None:
        self.seen.append(observation)

    def lost(self, reason: str) -> None:
        self.lost_for.append(reason)

    def performed(self, ticket: str, outcome: ActionOutcome, detail: str) -> None:
        self.outcomes[ticket] = outcome


class Bay:
    """A simulated controller with everything above it."""

    def __init__(self, site: SimulatedSite, charger: RapiCharger, driver: ChargerDriver) -> None:
        self.site, self.charger, self.driver = site, charger, driver
        self.point = site["bay"]
        device = site.units["bay"]
        assert isinstance(device, OpenEvse)
        self.device = device
        self.listener = Listener()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not holds():
                await asyncio.sleep(0.005)

    @property
    def last(self) -> Observation:
        return self.listener.seen[-1]


@asynccontextmanager
async def bay(
    listen: str, *, profile: RapiProfile = SHIPPED, speed: float = 20.0, timeout_s: float | None = None
) -> AsyncIterator[Bay]:
    cable = Cable.SOCKET if profile.is_detachable else None
    units = [SimulatedCharger(name="bay", make="openevse-rapi", listen=listen, cable=cable)]
    async with SimulatedSite(units, seed=1, speed=speed) as site:
        spec = BusSpec(kind=LineKind.SERIAL, port=listen.removeprefix("pty:"), baudrate=115_200)
        if listen.startswith("tcp:"):
            host, _, port = site.endpoint("bay").rpartition(":")
            spec = BusSpec(kind=LineKind.RTU_OVER_TCP, host=host, tcp_port=int(port))
        pool = BusPool()
        charger = build_rapi(
            profile, pool.open_link(replace(spec, timeout_s=timeout_s)), clock=SystemClock(), poll_interval_s=0.1
        )
        driver = ChargerDriver(charger, SystemClock())
        charger.on_change = driver.look_soon
        one = Bay(site, charger, driver)
        driver.start(one.listener)
        try:
            yield one
        finally:
            await driver.stop()
            await pool.close()


@pytest.fixture
def terminal(tmp_path: Path) -> str:
    return f"pty:{tmp_path / 'ttyUSB1'}"


async def test_a_car_is_charged_with_what_is_allowed_and_stopped(terminal: str) -> None:
    async with bay(terminal) as one:
        one.driver.want(STOP)
        await one.until(lambda: bool(one.listener.seen) and one.last.permit_charging is False)
        one.point.plug_in()
        await one.until(lambda: one.last.state is ChargerState.SUSPENDED_EVSE)
        assert not one.point.contactor_closed
        one.driver.want(GO)
        await one.until(lambda: one.last.state is ChargerState.CHARGING and (one.last.meter.energy_wh or 0) > 0)
        assert one.point.limit_ma == 10_000 and one.last.current_limit_ma == 10_000
        one.driver.want(STOP)
        await one.until(lambda: one.last.state is ChargerState.SUSPENDED_EVSE)
        assert not one.point.contactor_closed
        before = one.last.meter.energy_wh
        one.point.plug_out()
        await one.until(lambda: one.last.plugged is False)
        await asyncio.sleep(0.3)
        assert one.last.meter.energy_wh == before
        assert one.device.eeprom_writes == {"SC": 0, "SY": 1}


async def test_a_change_is_seen_long_before_the_next_poll(terminal: str) -> None:
    async with bay(terminal) as one:
        one.driver.want(GO)
        await one.until(lambda: bool(one.listener.seen) and one.last.permit_charging is True)
        one.charger._poll_interval_s = 3600.0
        await asyncio.sleep(0.3)
        one.point.plug_in()
        await one.until(lambda: one.last.state is ChargerState.CHARGING)


async def test_a_controller_that_restarts_by_itself_is_set_again(terminal: str) -> None:
    async with bay(terminal) as one:
        one.driver.want(GO)
        one.point.plug_in()
        await one.until(lambda: bool(one.listener.seen) and one.last.state is ChargerState.CHARGING)
        one.device.reboot()
        await one.until(lambda: any(seen.booted for seen in one.listener.seen))
        await one.until(lambda: one.point.contactor_closed and one.point.limit_ma == 10_000)
        assert one.device.eeprom_writes == {"SC": 0, "SY": 1}


async def test_a_hard_reset_is_done_when_it_has_happened(terminal: str) -> None:
    async with bay(terminal) as one:
        one.driver.want(GO)
        one.point.plug_in()
        await one.until(lambda: bool(one.listener.seen) and one.last.state is ChargerState.CHARGING)
        one.driver.perform(Action.RESET_HARD, "hard")
        await one.until(lambda: "hard" in one.listener.outcomes)
        assert one.listener.outcomes["hard"] is ActionOutcome.DONE
        await one.until(lambda: one.last.state is ChargerState.CHARGING and one.point.limit_ma == 10_000)


async def test_a_lock_is_opened_with_the_contactor_open_and_closes_for_the_next_car(terminal: str) -> None:
    async with bay(terminal, profile=SOCKET) as one:
        one.driver.want(GO)
        one.point.plug_in()
        await one.until(lambda: bool(one.listener.seen) and one.last.state is ChargerState.CHARGING)
        assert one.last.lock is LockState.LOCKED
        one.driver.want(STOP)
        one.driver.perform(Action.UNLOCK, "unlock")
        await one.until(lambda: "unlock" in one.listener.outcomes)
        assert one.listener.outcomes["unlock"] is ActionOutcome.DONE
        await one.until(lambda: one.last.lock is LockState.UNLOCKED)
        one.point.plug_out()
        await one.until(lambda: one.last.plugged is False and not one.device.manual_lock)
        one.driver.want(GO)
        one.point.plug_in()
        await one.until(lambda: one.last.state is ChargerState.CHARGING and one.last.lock is LockState.LOCKED)


async def test_without_edged_the_controller_falls_back_and_is_brought_back(terminal: str) -> None:
    profile = replace(SHIPPED, heartbeat=replace(SHIPPED.heartbeat, interval_s=1))
    async with bay(terminal, profile=profile) as one:
        one.driver.want(GO)
        one.point.plug_in()
        await one.until(lambda: bool(one.listener.seen) and one.last.state is ChargerState.CHARGING)
        one.device.wire = WireFaults(drop=1)
        await one.until(lambda: one.device.missed == 2)
        await one.until(lambda: bool(one.listener.lost_for))
        one.device.wire = WireFaults()
        await one.until(lambda: one.device.missed != 2 and one.point.limit_ma == 10_000)
        seen = len(one.listener.seen)
        await one.until(lambda: len(one.listener.seen) > seen and one.last.current_limit_ma == 10_000)


@pytest.mark.parametrize("listen", ["pty", "tcp"])
async def test_on_a_bad_wire_nothing_is_believed_that_was_not_so(terminal: str, listen: str) -> None:
    async with bay(terminal if listen == "pty" else "tcp:127.0.0.1:0", speed=1.0, timeout_s=0.15) as one:
        one.driver.want(GO)
        one.point.plug_in()
        await one.until(lambda: bool(one.listener.seen) and one.last.state is ChargerState.CHARGING)
        one.device.wire = WireFaults(corrupt=0.1, truncate=0.05)
        begun = len(one.listener.seen)
        await one.until(lambda: len(one.listener.seen) > begun + 3)
        statistics = one.charger.link.statistics
        assert all(seen.state is ChargerState.CHARGING for seen in one.listener.seen[begun:])
        assert all(seen.current_limit_ma == 10_000 for seen in one.listener.seen[begun:])
        assert statistics.crc_errors + statistics.timeouts + statistics.strays > 0
        one.device.wire = WireFaults()


async def test_a_relay_cuts_the_power_of_a_controller_that_does_not_reset() -> None:
    units = [
        SimulatedCharger(name="bay", make="openevse-rapi", listen="tcp:127.0.0.1:0"),
        SimulatedCharger(name="board", make="modbus-relay", listen="tcp:127.0.0.1:0", cuts={1: "bay"}),
    ]

    def spec(name: str, kind: LineKind) -> BusSpec:
        host, _, port = site.endpoint(name).rpartition(":")
        return BusSpec(kind=kind, host=host, tcp_port=int(port), timeout_s=0.2)

    async with SimulatedSite(units, seed=1, speed=20.0) as site:
        pool, other = BusPool(), open_bus(spec("board", LineKind.TCP))
        charger = build_rapi(SHIPPED, pool.open_link(spec("bay", LineKind.RTU_OVER_TCP)), clock=SystemClock())
        cycled = PowerCycledCharger(charger, build_board(load_relay("modbus-relay"), other).use(1), off_s=0.6)
        device = site.units["bay"]
        assert isinstance(device, OpenEvse)
        try:
            await cycled.observe()
            await cycled.apply(GO)
            original = device._carry_out
            device._carry_out = lambda command: () if command.name == "FR" else original(command)  # type: ignore[method-assign]
            charger._patience.until, patient = _impatient(charger), charger._patience.until  # type: ignore[method-assign]
            assert await cycled.perform(Action.RESET_HARD) is ActionOutcome.DONE
            assert patient is not None and (await cycled.observe()).booted
        finally:
            await charger.close()
            await pool.close()
            await other.close()


def _impatient(charger: RapiCharger) -> Callable[..., object]:
    """Waits for a restart that never comes a hundredth as long."""
    patient = charger._patience.until

    async def until(holds: Callable[[], object], at_most_s: float) -> bool:
        return await patient(holds, at_most_s / 100)  # type: ignore[arg-type]

    return until


def test_two_controllers_never_share_a_line() -> None:
    pool = BusPool()
    spec = BusSpec(kind=LineKind.SERIAL, port="/dev/ttyUSB1", baudrate=115_200)
    pool.open_link(spec)
    with pytest.raises(ValueError, match="a line of its own"):
        pool.open_link(replace(spec, baudrate=9600))
    with pytest.raises(ValueError, match="speaks no Modbus"):
        pool.open_bus(spec)


def test_no_controller_speaks_modbus_tcp() -> None:
    link = BusPool().open_link(BusSpec(kind=LineKind.TCP, host="10.0.0.9"))
    with pytest.raises(ValueError, match="not Modbus TCP"):
        build_rapi(SHIPPED, link, clock=SystemClock())
