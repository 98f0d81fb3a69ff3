"""The register sheets once more, through our own bus and a socket, served by pymodbus: what we ask and write is what
another implementation of Modbus understands.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import pytest
from pymodbus import FramerType
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from edged.chargers.factory import BusPool, build_charger
from edged.chargers.line import BusSpec, LineKind
from edged.chargers.modbus import Table
from edged.chargers.modbus_charger import ModbusCharger
from edged.chargers.planning import unit_of
from edged.chargers.profile import DeviceProfile
from edged.chargers.profile_terms import Register, Transport
from edged.chargers.registers import WordOrder
from edged.domain.types import Now
from edged.ports import ChargerError
from tests.fakes.register_sheets import NAMES, Cells, Sheet, desired_of, wire_of, wrong_in

TABLES = (Table.COIL, Table.DISCRETE, Table.HOLDING, Table.INPUT)
Seen = list[tuple[int, int, tuple[int, ...]]]


class RealTime:
    def now(self) -> Now:
        return Now(datetime.now(UTC), monotonic(), True)

    def learn(self, utc: datetime) -> None: ...


def device(unit_id: int, cells: Cells, size: int, writes: Seen) -> SimDevice:
    """A pymodbus device with these registers and zeros elsewhere below `size`, which notes what is written."""

    async def action(
        function: int, start: int, address: int, count: int, registers: list[int], values: list[Any] | None
    ) -> None:
        if values is not None and function in (5, 6, 15, 16):
            writes.append((function, address, tuple(int(value) for value in values)))

    blocks = []
    for table in TABLES:
        words = [0] * size
        for (where, address), word in cells.items():
            if where is table:
                words[address] = word
        bits = table.is_bits
        values = [bool(word) for word in words] if bits else words
        blocks.append([SimData(0, values=values, datatype=DataType.BITS if bits else DataType.REGISTERS)])
    return SimDevice(unit_id, simdata=(blocks[0], blocks[1], blocks[2], blocks[3]), action=action)


@asynccontextmanager
async def served(sheet: Sheet, entry: dict[str, Any]) -> AsyncIterator[tuple[ModbusCharger, Seen]]:
    """The charger of a sheet's entry behind a TCP socket, as MBAP or, where it has no Ethernet, as RTU frames."""
    profile = sheet.profile
    is_tcp = Transport.TCP in profile.bus.transports
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    writes: Seen = []
    unit = unit_of(profile.bus.unit_id, profile.points, sheet.point)
    framer = FramerType.SOCKET if is_tcp else FramerType.RTU
    registers = [register for variants in profile.registers.values() for register in variants]
    size = max(register.address + register.codec.words for register in registers)
    size += (sheet.point - 1) * profile.points.stride + 1
    server = ModbusTcpServer(device(unit, sheet.cells(entry), size, writes), framer=framer, address=("127.0.0.1", port))
    await server.serve_forever(background=True)
    pool = BusPool()
    kind = LineKind.TCP if is_tcp else LineKind.RTU_OVER_TCP
    bus = pool.open_bus(BusSpec(kind=kind, host="127.0.0.1", tcp_port=port))
    charger = build_charger(profile, bus, point=sheet.point, clock=RealTime())
    try:
        yield charger, writes
    finally:
        await charger.close()
        await pool.close()
        await server.shutdown()


SERVED = ("idle", "plugged", "charging", "faulted", "locked")
"""The images that go over the wire; `test_register_images` asks for them where a charger can tell them."""


@pytest.mark.parametrize(
    ("name", "key"), [(name, key) for name in NAMES for key in SERVED if key in Sheet(name)["images"]]
)
async def test_an_image_means_the_same_over_the_wire(name: str, key: str) -> None:
    sheet = Sheet(name)
    entry = sheet["images"][key]
    async with served(sheet, entry) as (charger, writes):
        assert wrong_in(await charger.observe(), charger, entry["expect"]) == []
        assert [write[:2] for write in writes] == [wire_of(text)[:2] for text in sheet.data.get("connect") or []]


def mistaken(profile: DeviceProfile) -> Iterator[DeviceProfile]:
    """The profile with the state one register too far, and, where it has one, a number with its words turned round."""
    yield changed(profile, profile.state.register, lambda one: replace(one, address=one.address + 1))
    for name in sorted(profile.meter.registers):
        codec = profile.registers[name][0].codec
        if codec.words > 1 and codec.is_number:
            yield changed(profile, name, turned)
            return


def turned(register: Register) -> Register:
    codec = register.codec
    other = WordOrder.LITTLE if codec.word_order is WordOrder.BIG else WordOrder.BIG
    return replace(register, codec=replace(codec, word_order=other))


def changed(profile: DeviceProfile, name: str, change: Callable[[Register], Register]) -> DeviceProfile:
    variants = tuple(change(one) for one in profile.registers[name])
    return replace(profile, registers={**profile.registers, name: variants})


@pytest.mark.parametrize("name", NAMES)
async def test_a_wrong_address_or_word_order_shows_over_the_wire(name: str) -> None:
    for profile in mistaken(Sheet(name).profile):
        assert await shows(Sheet(name, profile), "charging") or await shows(Sheet(name, profile), "plugged")


async def shows(sheet: Sheet, key: str) -> bool:
    """Whether something in an image is not as its document says."""
    entry = sheet["images"][key]
    async with served(sheet, entry) as (charger, _):
        try:
            return wrong_in(await charger.observe(), charger, entry["expect"]) != []
        except ChargerError:
            return True


@pytest.mark.parametrize("name", NAMES)
async def test_withholding_energy_arrives_as_the_document_wants_it(name: str) -> None:
    sheet = Sheet(name)
    entry = sheet["writes"]["withhold"]
    async with served(sheet, entry) as (charger, writes):
        await charger.observe()
        writes.clear()
        await charger.apply(desired_of(entry))
        assert writes == [wire_of(text) for text in entry["expect"]]
