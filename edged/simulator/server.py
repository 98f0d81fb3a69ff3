"""The lines that simulated units hang on: Modbus TCP, RTU over TCP, and RTU on a pseudo terminal.

Owns sockets, the pty and the timing of replies on the wire; knows units by their id only, and no register. A unit
that is absent or silent says nothing. Lines bound what they hold: clients, request sizes, and how far a paced line
may lag.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import tty
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from edged.simulator.parts import Impossible
from edged.simulator.pdu import MAX_PDU_BYTES, RtuRequests
from edged.simulator.unit import SimulatedUnit
from edged.simulator.wire import Delivery, deliver

log = logging.getLogger(__name__)
wire_log = logging.getLogger("edged.wire")

MAX_CLIENTS = 16
SILENCE_S = 0.02
MAX_LAG_S = 5.0
MAX_OUTSTANDING = 1000
BITS_A_CHARACTER = 11


class Exchange:
    """Asks the units of one line. `catch_up` brings the physics to the present before a unit is asked."""

    def __init__(
        self,
        units: Mapping[int, SimulatedUnit],
        *,
        clock: Callable[[], float],
        catch_up: Callable[[], None],
        dice: random.Random,
    ) -> None:
        self._units = dict(units)
        self.clock = clock
        self._catch_up = catch_up
        self._dice = dice

    def add(self, unit: SimulatedUnit) -> None:
        """Hang a unit on the line. `Impossible` where its id is taken or no id of a unit."""
        if not 1 <= unit.unit_id <= 255:
            raise Impossible(f"{unit.name}: a unit id is between 1 and 255, not {unit.unit_id}")
        if unit.unit_id in self._units:
            raise Impossible(
                f"{unit.name}: unit id {unit.unit_id} is taken on this line by {self._units[unit.unit_id].name}"
            )
        self._units[unit.unit_id] = unit

    def ask(
        self, unit_id: int, pdu: bytes, *, transaction_id: int | None, arrived_s: float
    ) -> tuple[SimulatedUnit, Delivery] | None:
        """The reply to one request as it reaches the wire, or None where nothing does."""
        self._catch_up()
        unit = self._units.get(unit_id)
        if unit is None:
            return None
        reply = unit.answer(pdu, now_s=arrived_s)
        wire_log.debug("unit %d: %s -> %s", unit_id, pdu.hex(), "nothing" if reply is None else reply.hex())
        if reply is None:
            return None
        delivery = deliver(reply, unit_id=unit_id, transaction_id=transaction_id, faults=unit.wire, dice=self._dice)
        return None if delivery is None else (unit, delivery)


class Line(ABC):
    """One line and the units on it. `endpoint` is where a master finds it, known once started."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self._outstanding = 0

    def _after(self, delay_s: float, send: Callable[[], None]) -> None:
        """Send after a while; at once where that is now. What is too much to hold is lost, as on a choked line."""
        if delay_s <= 0:
            send()
        elif self._outstanding < MAX_OUTSTANDING:
            self._outstanding += 1
            asyncio.get_running_loop().call_later(delay_s, self._due, send)

    def _due(self, send: Callable[[], None]) -> None:
        self._outstanding -= 1
        send()

    @property
    @abstractmethod
    def endpoint(self) -> str: ...

    @abstractmethod
    async def start(self) -> None:
        """Listen. `Impossible` where the address or path is not to be had."""

    @abstractmethod
    async def stop(self) -> None: ...


class TcpLine(Line):
    """Modbus TCP, or RTU frames over TCP (`rtu`). Port 0 takes a free one."""

    def __init__(self, exchange: Exchange, *, host: str, port: int, rtu: bool = False) -> None:
        super().__init__(exchange)
        self.host = host
        self.port = port
        self._rtu = rtu
        self._server: asyncio.Server | None = None
        self._clients: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = {}

    @property
    def endpoint(self) -> str:
        return f"{self.host}:{self.port}"

    async def start(self) -> None:
        try:
            self._server = await asyncio.start_server(self._serve, self.host, self.port)
        except OSError as error:
            raise Impossible(f"cannot listen on {self.endpoint}: {error.strerror or error}") from error
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for writer in self._clients.values():
            writer.transport.abort()
        await asyncio.gather(*(task for task in self._clients if task is not None), return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._clients) >= MAX_CLIENTS:
            log.warning("%s: more than %d clients, one is turned away", self.endpoint, MAX_CLIENTS)
            writer.transport.abort()
            return
        self._clients[asyncio.current_task()] = writer
        try:
            await (self._serve_rtu if self._rtu else self._serve_mbap)(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            del self._clients[asyncio.current_task()]
            writer.transport.abort()

    async def _serve_mbap(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            header = await reader.readexactly(7)
            length = int.from_bytes(header[4:6])
            if header[2:4] != b"\0\0" or not 2 <= length <= MAX_PDU_BYTES + 1:
                log.warning("%s: a client does not speak Modbus TCP, its connection is closed", self.endpoint)
                return
            pdu = await reader.readexactly(length - 1)
            self._answer(writer, header[6], pdu, transaction_id=int.from_bytes(header[:2]))
            await writer.drain()

    async def _serve_rtu(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests = RtuRequests()
        while True:
            try:
                async with asyncio.timeout(SILENCE_S if requests.waiting else None):
                    data = await reader.read(1024)
                if not data:
                    return
                found = requests.feed(data)
            except TimeoutError:
                found = requests.silence()
            for unit_id, pdu in found:
                self._answer(writer, unit_id, pdu, transaction_id=None)
            await writer.drain()

    def _answer(self, writer: asyncio.StreamWriter, unit_id: int, pdu: bytes, *, transaction_id: int | None) -> None:
        answered = self.exchange.ask(unit_id, pdu, transaction_id=transaction_id, arrived_s=self.exchange.clock())
        if answered is None:
            return
        unit, delivery = answered
        self._after(delivery.late_s, partial(self._send, writer, unit, delivery))

    def _send(self, writer: asyncio.StreamWriter, unit: SimulatedUnit, delivery: Delivery) -> None:
        if writer.is_closing():
            return
        writer.write(delivery.frame)
        unit.spoke(self.exchange.clock())
        if delivery.cut and not self._rtu:
            writer.close()


class PtyLine(Line):
    """RTU on a pseudo terminal, with a symbolic link to it at `path`. With `baudrate` the line takes its time.

    The slave side stays open here, so a master may come and go. A pty has no parity: masters ask for none.
    """

    def __init__(self, exchange: Exchange, *, path: Path, baudrate: int | None = None) -> None:
        super().__init__(exchange)
        self.path = path
        self.lost = 0
        self._baudrate = baudrate
        self._requests = RtuRequests()
        self._descriptors: tuple[int, int] | None = None
        self._silence: asyncio.TimerHandle | None = None
        self._busy_until_s = 0.0

    @property
    def endpoint(self) -> str:
        return str(self.path)

    async def start(self) -> None:
        ours, theirs = os.openpty()
        tty.setraw(theirs)
        os.set_blocking(ours, False)
        self._descriptors = (ours, theirs)
        try:
            if self.path.is_symlink():
                self.path.unlink()
            self.path.symlink_to(os.ttyname(theirs))
        except OSError as error:
            self._close()
            raise Impossible(f"cannot make a link at {self.path}: {error.strerror or error}") from error
        asyncio.get_running_loop().add_reader(ours, self._readable, ours)

    async def stop(self) -> None:
        if self._descriptors is None:
            return
        asyncio.get_running_loop().remove_reader(self._descriptors[0])
        ours_still = self.path.is_symlink() and os.readlink(self.path) == os.ttyname(self._descriptors[1])
        if ours_still:
            self.path.unlink()
        self._close()

    def _close(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
        if self._descriptors is not None:
            for descriptor in self._descriptors:
                os.close(descriptor)
        self._descriptors = None

    def _readable(self, descriptor: int) -> None:
        try:
            data = os.read(descriptor, 1024)
        except BlockingIOError:
            return
        self._take(self._requests.feed(data))
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
        if self._requests.waiting:
            self._silence = asyncio.get_running_loop().call_later(SILENCE_S, self._quiet)

    def _quiet(self) -> None:
        self._silence = None
        self._take(self._requests.silence())

    def _take(self, requests: list[tuple[int, bytes]]) -> None:
        for unit_id, pdu in requests:
            now_s = self.exchange.clock()
            arrived_s = max(now_s, self._busy_until_s) + self._wire_s(len(pdu) + 3)
            if arrived_s - now_s > MAX_LAG_S:
                self.lost += 1
                continue
            self._busy_until_s = arrived_s
            answered = self.exchange.ask(unit_id, pdu, transaction_id=None, arrived_s=arrived_s)
            if answered is None:
                continue
            unit, delivery = answered
            left_s = arrived_s + self._gap_s() + self._wire_s(len(delivery.frame))
            if delivery.late_s == 0:
                self._busy_until_s = left_s
            self._write_at(left_s + delivery.late_s, now_s, unit, delivery.frame)

    def _wire_s(self, characters: int) -> float:
        return characters * BITS_A_CHARACTER / self._baudrate if self._baudrate else 0.0

    def _gap_s(self) -> float:
        return max(self._wire_s(7) / 2, 0.00175) if self._baudrate else 0.0

    def _write_at(self, at_s: float, now_s: float, unit: SimulatedUnit, frame: bytes) -> None:
        unit.spoke(at_s)
        self._after(at_s - now_s, partial(self._write, frame))

    def _write(self, frame: bytes) -> None:
        if self._descriptors is None:
            return
        try:
            sent = os.write(self._descriptors[0], frame)
        except BlockingIOError:
            sent = 0
        if sent < len(frame):
            self.lost += 1  # nobody reads the line: as on a real one, what was said is gone


def make_line(listen: str, exchange: Exchange, *, baudrate: int | None = None) -> Line:
    """The line that `tcp:HOST:PORT`, `rtu-tcp:HOST:PORT` or `pty:PATH` names. `Impossible` where it names none."""
    kind, _, where = listen.partition(":")
    if kind == "pty" and where:
        return PtyLine(exchange, path=Path(where), baudrate=baudrate)
    host, _, port = where.rpartition(":")
    if kind in ("tcp", "rtu-tcp") and host and port.isascii() and port.isdecimal() and int(port) <= 65_535:
        return TcpLine(exchange, host=host.strip("[]"), port=int(port), rtu=kind == "rtu-tcp")
    raise Impossible(f"cannot listen on {listen!r}: write tcp:HOST:PORT, rtu-tcp:HOST:PORT or pty:PATH")
