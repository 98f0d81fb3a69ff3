"""The whole stack from driver to socket against pymodbus, a server that we did not write."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import monotonic

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from edged.chargers.driver import ChargerDriver
from edged.chargers.factory import BusPool, build_charger
from edged.chargers.fit import Verdict
from edged.chargers.inquiry import Inquiry
from edged.chargers.library import load_profile
from edged.chargers.line import BusSpec, LineKind
from edged.chargers.modbus import Table
from edged.chargers.probe import Silent, probe
from edged.chargers.scan import Scan
from edged.domain.hardware import ActionOutcome, ChargerState, Desired, Observation
from edged.domain.types import Now

PROFILE = load_profile("phoenix-charx-sec")


def registers() -> list[int]:
    words = [0] * 3400
    words[114] = 2
    for base in (1000, 2000):
        words[base + 101] = 32
        words[base + 299] = 0x4231  # B1
        words[base + 301] = 6
        words[base + 304] = 1
        words[base + 250 + 3] = 1234
    return words


@pytest.fixture
async def port() -> AsyncIterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    device = SimDevice(1, simdata=[SimData(0, values=registers(), datatype=DataType.REGISTERS)])
    server = ModbusTcpServer(device, address=("127.0.0.1", number))
    task = asyncio.create_task(server.serve_forever())
    async with asyncio.timeout(30):
        while not await _answers(number):
            await asyncio.sleep(0.01)
    yield number
    await server.shutdown()
    await task


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


class Listener:
    def __init__(self) -> None:
        self.news = asyncio.Event()
        self.seen: list[Observation] = []

    def observed(self, observation: Observation) -> None:
        self.seen.append(observation)
        self.news.set()

    def lost(self, reason: str) -> None:
        raise AssertionError(reason)

    def performed(self, ticket: str, outcome: ActionOutcome, detail: str) -> None: ...

    async def until(self, condition) -> Observation:
        async with asyncio.timeout(30):
            while not (self.seen and condition(self.seen[-1])):
                self.news.clear()
                await self.news.wait()
        return self.seen[-1]


class RealTime:
    def now(self) -> Now:
        return Now(datetime.now(UTC), monotonic(), True)

    def learn(self, utc: datetime) -> None: ...


def spec(port: int) -> BusSpec:
    return BusSpec(kind=LineKind.TCP, host="127.0.0.1", tcp_port=port)


async def test_two_points_of_a_controller_become_as_wanted(port: int, clock) -> None:
    pool = BusPool()
    bus = pool.open_bus(spec(port))
    assert pool.open_bus(spec(port)) is bus
    drivers = []
    for point, ampere in ((1, 16), (2, 20)):
        charger = build_charger(PROFILE, bus, point=point, poll_interval_s=0.05, clock=clock)
        driver, listener = ChargerDriver(charger, RealTime()), Listener()
        driver.start(listener)
        driver.want(Desired(permit_charging=True, current_limit_ma=ampere * 1000))
        drivers.append((driver, listener, ampere))
    for driver, listener, ampere in drivers:
        seen = await listener.until(lambda one: one.permit_charging)
        assert (seen.state, seen.plugged) == (ChargerState.CONNECTED, True)
        assert seen.current_limit_ma == ampere * 1000
        assert seen.meter.energy_wh == 1234
        await driver.stop()
    assert bus.statistics.timeouts == 0
    await pool.close()


@asynccontextmanager
async def asking(spec: BusSpec) -> AsyncIterator[Inquiry]:
    inquiry = Inquiry(spec)
    await inquiry.open()
    try:
        yield inquiry
    finally:
        inquiry.close()


async def test_a_probe_shows_every_register_decoded(port: int) -> None:
    async with asking(spec(port)) as inquiry:
        told = await probe(PROFILE, inquiry, unit_id=1, point=2)
    found = {one.name: one for one in told.readings}
    assert found["status"].value == "B1" and found["status"].address == 2299
    assert found["energy_total"].value == 1234 and found["energy_total"].unit == "Wh"
    assert told.missing == () and told.fit.verdict is not Verdict.DOES_NOT_FIT
    assert all(one.round_trip_s is not None and one.round_trip_s > 0 for one in told.readings)


async def test_a_scan_names_the_profile_that_fits(port: int) -> None:
    profiles = [load_profile(name) for name in ("keba-p30", "heidelberg-energy-control", "phoenix-charx-sec")]
    scan = Scan(lines=[spec(port)], ids=[1], profiles=profiles)
    await scan.run()
    assert [unit.best.profile for unit in scan.found if unit.best is not None] == ["phoenix-charx-sec"]


async def test_a_probe_of_nobody_says_so(tcp_slave) -> None:
    async with asking(tcp_slave.spec(timeout_s=0.05)) as inquiry:
        with pytest.raises(Silent):
            await probe(PROFILE, inquiry, unit_id=1)


async def test_a_probe_names_what_is_missing(tcp_slave) -> None:
    tcp_slave.units.registers[1] = {1299: 0x4231, 110: 0, 111: 0, 112: 0, 113: 0}
    async with asking(tcp_slave.spec()) as inquiry:
        told = await probe(PROFILE, inquiry, unit_id=1)
    found = {one.name: one for one in told.readings}
    assert found["status"].value == "B1"
    assert found["power"].error.startswith("it does not exist")
    assert found["power"] in told.missing


async def test_registers_written_one_by_one_and_together_arrive(port: int) -> None:
    pool = BusPool()
    bus = pool.open_bus(spec(port))
    await bus.write(1, Table.HOLDING, 1300, (1,))
    await bus.write(1, Table.HOLDING, 3300, (7, 8, 9), multiple=True)
    assert await bus.read(1, Table.HOLDING, 3300, 3) == (7, 8, 9)
    assert await bus.read(1, Table.HOLDING, 1300, 1) == (1,)
    await pool.close()
