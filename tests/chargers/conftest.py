"""Slaves and clocks for the charger tests: scripted units on a real pty or TCP socket, and registers in memory."""

from __future__ import annotations

import asyncio
import os
import pty
import tty
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import perf_counter

import pytest

from edged.chargers.library import load_profile
from edged.chargers.line import BusSpec, LineKind
from edged.chargers.modbus import ExceptionReply, NoAnswer, Table, rtu_frame, split_mbap
from edged.chargers.planning import address_of
from edged.domain.types import Now

Reply = list[tuple[float, bytes]]
"""What a slave sends, each after a delay in seconds."""


class FakeClock:
    """A clock that only moves when told to; `pause` and `wait` let its time pass instead of the real one."""

    def __init__(self) -> None:
        self.monotonic_s = 1000.0

    def now(self) -> Now:
        utc = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=self.monotonic_s)
        return Now(utc, self.monotonic_s, True)

    def learn(self, utc: datetime) -> None:
        raise AssertionError("nobody tells a charger's clock the time")

    async def pause(self, seconds: float) -> None:
        self.monotonic_s += seconds
        await asyncio.sleep(0)

    async def park(self, seconds: float) -> None:
        """Sleep while somebody else moves the clock."""
        until = self.monotonic_s + seconds
        while self.monotonic_s < until:
            await asyncio.sleep(0)

    async def wait(self, event: asyncio.Event, timeout_s: float) -> None:
        await asyncio.sleep(0)
        if not event.is_set():
            self.monotonic_s += timeout_s


@dataclass
class Units:
    """Holding registers of several units, as Modbus sees them. `twist` may change or replace a unit's RTU reply."""

    registers: dict[int, dict[int, int]] = field(default_factory=dict)
    twist: Callable[[int, bytes, bytes], Reply | None] | None = None
    requests: list[bytes] = field(default_factory=list)

    def answer(self, unit_id: int, pdu: bytes) -> bytes | None:
        """The reply's PDU; None from a unit that is not there."""
        registers = self.registers.get(unit_id)
        if registers is None:
            return None
        function, address, count = pdu[0], int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
        if function in (3, 4):
            if any(a not in registers for a in range(address, address + count)):
                return bytes((function | 0x80, 2))
            words = b"".join(registers[a].to_bytes(2, "big") for a in range(address, address + count))
            return bytes((function, len(words))) + words
        if function == 6:
            registers[address] = count
            return pdu
        if function == 16:
            for i in range(count):
                registers[address + i] = int.from_bytes(pdu[6 + 2 * i : 8 + 2 * i], "big")
            return pdu[:5]
        return bytes((function | 0x80, 1))

    def rtu(self, frame: bytes) -> Reply:
        self.requests.append(frame)
        pdu = self.answer(frame[0], frame[1:-2])
        normal = b"" if pdu is None else rtu_frame(frame[0], pdu)
        if self.twist is not None:
            twisted = self.twist(len(self.requests), frame, normal)
            if twisted is not None:
                return twisted
        return [(0.0, normal)] if normal else []


class PtySlave:
    """Units on one end of a pseudo terminal."""

    def __init__(self, units: Units) -> None:
        self.units = units
        self._master, self._slave = pty.openpty()
        tty.setraw(self._master)
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self._buffer = bytearray()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._master, self._readable)
        self._is_open = True

    def spec(self, **changes: object) -> BusSpec:
        return BusSpec(**{"kind": LineKind.SERIAL, "port": self.port, "baudrate": 115_200, **changes})  # type: ignore[arg-type]

    def send(self, data: bytes) -> None:
        if self._is_open:
            os.write(self._master, data)

    def _readable(self) -> None:
        self._buffer += os.read(self._master, 4096)
        while len(self._buffer) >= 8:
            length = 8 if self._buffer[1] != 16 else 9 + self._buffer[6]
            if len(self._buffer) < length:
                return
            frame = bytes(self._buffer[:length])
            del self._buffer[:length]
            for delay, data in self.units.rtu(frame):
                if delay:
                    self._loop.call_later(delay, self.send, data)
                else:
                    self.send(data)

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._loop.remove_reader(self._master)
            os.close(self._master)
            os.close(self._slave)


class TcpSlave:
    """Units behind a TCP socket, MBAP or RTU framing. `twist_mbap` may replace the bytes of a reply."""

    def __init__(self, units: Units, *, rtu: bool = False) -> None:
        self.units = units
        self.rtu = rtu
        self.twist_mbap: Callable[[int, bytes, bytes], bytes | None] | None = None
        self.connections: list[asyncio.StreamWriter] = []
        self.accepted = 0
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    def spec(self, **changes: object) -> BusSpec:
        kind = LineKind.RTU_OVER_TCP if self.rtu else LineKind.TCP
        return BusSpec(**{"kind": kind, "host": "127.0.0.1", "tcp_port": self.port, **changes})  # type: ignore[arg-type]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self.connections.append(writer)
        buffer = bytearray()
        try:
            while data := await reader.read(4096):
                buffer += data
                if self.rtu:
                    frame = bytes(buffer)
                    buffer.clear()
                    for _, reply in self.units.rtu(frame):
                        writer.write(reply)
                    continue
                while (split := split_mbap(bytes(buffer)))[0] is not None:
                    request, taken = split
                    del buffer[:taken]
                    self.units.requests.append(request.pdu)
                    pdu = self.units.answer(request.unit_id, request.pdu)
                    head = request.transaction_id.to_bytes(2, "big") + b"\0\0"
                    normal = b"" if pdu is None else head + (len(pdu) + 1).to_bytes(2, "big")
                    normal += b"" if pdu is None else bytes((request.unit_id,)) + pdu
                    if self.twist_mbap is not None:
                        twisted = self.twist_mbap(len(self.units.requests), request.pdu, normal)
                        normal = normal if twisted is None else twisted
                    writer.write(normal)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in self.connections:
                writer.close()
            self.connections.clear()
            await self._server.wait_closed()
            self._server = None


class MemoryBus:
    """A bus whose unit is a dictionary: table and address to word. What is not there is an illegal address.

    `on_write` sees each write before it lands and may keep it from landing by returning False.
    """

    def __init__(self, kind: LineKind = LineKind.TCP) -> None:
        self.spec = BusSpec(kind=kind, port="/dev/null", baudrate=19_200, host="memory")
        self.words: dict[tuple[Table, int], int] = {}
        self.write_only: set[tuple[Table, int]] = set()
        self.reads: list[tuple[Table, int, int]] = []
        self.writes: list[tuple[int, tuple[int, ...]]] = []
        self.multiple: list[bool] = []
        self.is_dead = False
        self.sessions = 1
        self.on_write: Callable[[int, tuple[int, ...]], bool] | None = None
        self.on_read: Callable[[], None] | None = None
        self._answered_at: float | None = None

    def tune(self, unit_id: int, **rules: object) -> None:
        self.tuned = rules

    def session(self, unit_id: int) -> int:
        return self.sessions

    def last_answer_at(self, unit_id: int) -> float | None:
        return self._answered_at

    def turnaround_s(self, unit_id: int) -> float:
        return 0.0

    async def read(self, unit_id: int, table: Table, address: int, count: int, **options: object) -> tuple[int, ...]:
        await asyncio.sleep(0)
        if self.on_read is not None:
            self.on_read()
        if self.is_dead:
            raise NoAnswer("the unit is dead")
        self.reads.append((table, address, count))
        self._answered_at = perf_counter()
        cells = [(table, a) for a in range(address, address + count)]
        if any(cell not in self.words or cell in self.write_only for cell in cells):
            raise ExceptionReply(2)
        return tuple(self.words[cell] for cell in cells)

    async def write(
        self, unit_id: int, table: Table, address: int, values: tuple[int, ...], *, multiple: bool = False, **o: object
    ) -> None:
        await asyncio.sleep(0)
        if self.is_dead:
            raise NoAnswer("the unit is dead")
        if (table, address) not in self.words:
            raise ExceptionReply(2)
        self.writes.append((address, values))
        self.multiple.append(multiple)
        self._answered_at = perf_counter()
        if self.on_write is None or self.on_write(address, values):
            for i, value in enumerate(values):
                self.words[table, address + i] = value


class Image:
    """The registers of one shipped profile in a `MemoryBus`, set by name."""

    def __init__(self, name: str, *, point: int = 1) -> None:
        self.profile = load_profile(name)
        self.point = point
        rtu = self.profile.bus.transports[0] == "rtu"
        self.bus = MemoryBus(LineKind.SERIAL if rtu else LineKind.TCP)
        for register in self.profile.registers_at(None).values():
            at = address_of(register, self.profile.points, point)
            for i in range(register.codec.words):
                self.bus.words[register.table, at + i] = 0
                if not register.readable:
                    self.bus.write_only.add((register.table, at + i))

    def set(self, **values: object) -> Image:
        for name, value in values.items():
            register = self.profile.registers_at(None)[name]
            words = register.codec.encode(register.value_of(value))  # type: ignore[arg-type]
            for i, word in enumerate(words):
                self.bus.words[register.table, address_of(register, self.profile.points, self.point) + i] = word
        return self

    def get(self, name: str) -> object:
        register = self.profile.registers_at(None)[name]
        at = address_of(register, self.profile.points, self.point)
        return register.codec.decode([self.bus.words[register.table, at + i] for i in range(register.codec.words)])

    def address(self, name: str) -> int:
        return address_of(self.profile.registers_at(None)[name], self.profile.points, self.point)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def image() -> type[Image]:
    return Image


@pytest.fixture
async def pty_slave() -> AsyncIterator[PtySlave]:
    slave = PtySlave(Units())
    yield slave
    slave.close()


@pytest.fixture
async def tcp_slave() -> AsyncIterator[TcpSlave]:
    slave = TcpSlave(Units())
    await slave.start()
    yield slave
    await slave.stop()


@pytest.fixture
async def rtu_tcp_slave() -> AsyncIterator[TcpSlave]:
    slave = TcpSlave(Units(), rtu=True)
    await slave.start()
    yield slave
    await slave.stop()
