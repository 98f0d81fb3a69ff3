"""A line's bytes: what it is (`BusSpec`), how fast it is, and pipes over a serial port or a TCP connection.

Owns: opening and closing, non-blocking reading into an inbox that knows when its last byte came, waiting to a point in
time more exactly than the event loop's timers. Refuses to know: frames, requests, units; why a line cannot be opened
(`opening` has the sentences), when it is opened again (`outage`).
Invariant: a pipe that is lost says so to whoever waits on it, at once, and to everyone after.

ChargerUnreachable
  LineDown      the port or connection cannot be opened, or was lost
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import math
import os
import socket
import termios
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import serial

from edged.chargers.moments import moment
from edged.chargers.opening import Trouble, busy, reason, serial_trouble, tcp_trouble
from edged.chargers.serial_ports import SerialPorts
from edged.ports import ChargerUnreachable

if TYPE_CHECKING:
    from edged.chargers.alarm import Alarm

INBOX_BYTES = 4096
CONNECT_TIMEOUT_S = 5.0
SPIN_S = 0.0005
WRITE_PATIENCE_S = 1.0
_KEEP_ALIVE = ((socket.TCP_KEEPIDLE, 15), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))
"""Seconds, seconds, times: a line on which nobody asks is found dead after half a minute."""
_UNCONFIRMED_MS = 20_000
"""So long bytes may stay without the other computer's confirmation, then the connection is lost (RFC 5482)."""
_PARITY = {"none": serial.PARITY_NONE, "even": serial.PARITY_EVEN, "odd": serial.PARITY_ODD}


class LineDown(ChargerUnreachable):
    """The serial port or TCP connection cannot be opened, or was lost; `trouble` says of which kind the first is."""

    def __init__(self, message: str, *, trouble: Trouble = Trouble.OTHER) -> None:
        super().__init__(message)
        self.trouble = trouble


class LineKind(StrEnum):
    SERIAL = "serial"
    TCP = "tcp"
    RTU_OVER_TCP = "rtu_over_tcp"


@dataclass(frozen=True, slots=True, kw_only=True)
class BusSpec:
    """One physical line. Serial: `port`, `baudrate`, `parity` (none, even, odd), `stopbits`; TCP: `host`, `tcp_port`.

    `echo`: the adapter hands back what is sent (None: notice it). `timeout_s` replaces the adaptive timeout.
    `gap_s`: a pause after every transaction, beyond what Modbus and the profiles ask for.
    """

    kind: LineKind
    port: str = ""
    baudrate: int = 9600
    parity: str = "none"
    stopbits: int = 1
    host: str = ""
    tcp_port: int = 502
    echo: bool | None = None
    timeout_s: float | None = None
    gap_s: float = 0.0

    def __post_init__(self) -> None:
        if self.kind is LineKind.SERIAL and not self.port:
            raise ValueError("a serial line needs a port")
        if self.kind is not LineKind.SERIAL and not self.host:
            raise ValueError("a TCP line needs a host")
        if self.parity not in _PARITY:
            raise ValueError(f"parity {self.parity!r} is none of {', '.join(_PARITY)}")

    def __str__(self) -> str:
        return self.port if self.kind is LineKind.SERIAL else f"{self.kind}:{self.host}:{self.tcp_port}"

    @property
    def endpoint(self) -> tuple[str, str, int]:
        """What two specs of the same physical line have in common: chargers with the same endpoint share one bus."""
        if self.kind is LineKind.SERIAL:
            return ("serial", os.path.realpath(self.port), 0)
        return ("tcp", self.host.lower(), self.tcp_port)

    @property
    def character_s(self) -> float:
        """Time of one character on the wire; 0 where the wire is a network."""
        if self.kind is not LineKind.SERIAL:
            return 0.0
        return (1 + 8 + (self.parity != "none") + self.stopbits) / self.baudrate

    @property
    def silence_s(self) -> float:
        """The silence between frames, t3.5: 1.75 ms above 19,200 baud (Modbus over serial line V1.02 §2.5.1.1)."""
        if self.kind is not LineKind.SERIAL:
            return 0.0
        return 3.5 * 11 / self.baudrate if self.baudrate <= 19_200 else 0.00175


class Inbox:
    """Bytes that came and nobody has taken yet; the oldest are dropped beyond `INBOX_BYTES`.

    `on_loss` is called once, when the line is gone: also where nobody waits.
    """

    def __init__(self) -> None:
        self.data = bytearray()
        self.last_at = 0.0
        self.lost: str | None = None
        self.on_loss: Callable[[], object] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._enough: Callable[[], bool] | None = None

    def feed(self, data: bytes) -> None:
        self.last_at = moment()
        self.data += data
        if len(self.data) > INBOX_BYTES:
            del self.data[:-INBOX_BYTES]
        if self._waiter is not None and (self._enough is None or self._enough()):
            self._wake()

    def lose(self, reason: str) -> None:
        """The line is gone: whoever waits is told."""
        if self.lost is None:
            self.lost = reason
            if self.on_loss is not None:
                self.on_loss()
        self._wake()

    async def more(self, until: float, enough: Callable[[], bool] | None = None) -> bool:
        """Wait for further bytes; False when the time `until` (`moments.moment`) came first. Raises `LineDown`.

        With `enough`, bytes that do not make it true are not told of before that time: a frame comes in many pieces.
        """
        if self.lost is not None:
            raise LineDown(self.lost)
        loop = asyncio.get_running_loop()
        if until <= loop.time():
            return False
        waiter = self._waiter = loop.create_future()
        self._enough = enough
        timer = loop.call_at(until, _expire, waiter)
        before = self.last_at
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = self._enough = None
        if self.lost is not None:
            raise LineDown(self.lost)
        return self.last_at != before

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _expire(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


async def pause_until(until: float, alarm: Alarm | None = None) -> None:
    """Wait until that moment; with an alarm to within 0.1 ms, without one to within half a millisecond.

    The loop's timers are rounded up to whole milliseconds, which at 115,200 baud is 5 % of a transaction. Without an
    alarm the wait is in whole milliseconds and what is left, at most `SPIN_S`, is spun.
    """
    if alarm is not None:
        await alarm.sleep_until(until)
        return
    remaining = until - moment()
    if remaining > SPIN_S:
        milliseconds = remaining * 1000
        whole = math.floor(milliseconds)
        await asyncio.sleep(remaining if milliseconds - whole > SPIN_S * 1000 else (whole - 0.05) / 1000)
        remaining = until - moment()
    if 0 < remaining <= SPIN_S:
        while moment() < until:
            pass
    elif remaining > 0:
        await asyncio.sleep(remaining)


class Pipe(Protocol):
    """A line that is open."""

    inbox: Inbox

    async def write(self, data: bytes) -> None:
        """Hand over all bytes, or raise `LineDown`."""

    def close(self) -> None: ...


class SerialPipe:
    """A serial port, read when the loop says so; opened exclusively, so that a second master is refused.

    `device`: what its name led to. `latency_timer_ms`: how long the adapter keeps answers back, None where it does not.
    """

    def __init__(self, port: serial.Serial, *, device: str = "", latency_timer_ms: int | None = None) -> None:
        self.inbox = Inbox()
        self.device = device
        self.latency_timer_ms = latency_timer_ms
        self._port: serial.Serial | None = port
        self._fd: int = port.fileno()
        from edged.chargers.alarm import Alarm  # ctypes, which only a serial line needs

        self.alarm = Alarm()
        asyncio.get_running_loop().add_reader(self._fd, self._readable)

    @classmethod
    async def open(cls, spec: BusSpec, ports: SerialPorts | None = None) -> SerialPipe:
        """Raises `LineDown` with a sentence on what to do."""
        port, device, timer_ms = await asyncio.to_thread(_open_port, spec, ports or SerialPorts())
        return cls(port, device=device, latency_timer_ms=timer_ms)

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, INBOX_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error.strerror or str(error))
            return
        if data:
            self.inbox.feed(data)
        else:
            self._lose("it has come to its end")

    def _lose(self, why: str) -> None:
        self._stop_reading()
        self.inbox.lose(f"the adapter is gone ({why}): plug it in again, edged opens it by itself")

    async def write(self, data: bytes) -> None:
        give_up_at = moment() + WRITE_PATIENCE_S
        while data:
            if self._port is None or self.inbox.lost is not None:
                raise LineDown(self.inbox.lost or "the serial port is closed")
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:
                if moment() > give_up_at:
                    raise LineDown("the serial port takes no bytes: unplug the adapter and plug it in again") from None
                await asyncio.sleep(0.001)
            except OSError as error:
                self._lose(error.strerror or str(error))
                raise LineDown(str(self.inbox.lost)) from error

    def _stop_reading(self) -> None:
        if self._port is not None:
            asyncio.get_running_loop().remove_reader(self._fd)

    def close(self) -> None:
        """At once: what is not sent yet is dropped, since closing would wait for it, and the whole daemon with it."""
        if self._port is not None:
            self._stop_reading()
            self.alarm.close()
            port, self._port = self._port, None
            for finish in (port.reset_output_buffer, port.close):
                with contextlib.suppress(OSError, termios.error):
                    finish()
        self.inbox.lose("the serial port is closed")


def _open_port(spec: BusSpec, ports: SerialPorts) -> tuple[serial.Serial, str, int | None]:
    """The port, the device that its name led to, and the adapter's latency timer."""
    device = ports.device(spec.port)
    try:
        port = serial.Serial(
            port=spec.port,
            baudrate=spec.baudrate,
            bytesize=serial.EIGHTBITS,
            parity=_PARITY["none" if _is_pseudo_terminal(spec.port) else spec.parity],
            stopbits=serial.STOPBITS_TWO if spec.stopbits == 2 else serial.STOPBITS_ONE,
            timeout=0,
            exclusive=True,
        )
    except termios.error as error:
        asked = f"{spec.baudrate} baud, parity {spec.parity}, stop bits {spec.stopbits}"
        raise LineDown(f"{spec.port} refused {asked} ({error.args[-1]}): write what this adapter can") from error
    except (OSError, ValueError) as error:
        trouble, sentence = serial_trouble(spec.port, error, ports)
        raise LineDown(sentence, trouble=trouble) from error
    try:
        if not _is_pseudo_terminal(spec.port):  # there it would outlive a daemon that is killed: a simulator stays
            fcntl.ioctl(port.fileno(), termios.TIOCEXCL)
        port.reset_input_buffer()
        # Whoever opened the port before us without locking it can still read our answers away.
        holders = ports.holders(spec.port)
        if holders:
            raise LineDown(busy(spec.port, holders), trouble=Trouble.BUSY)
        with contextlib.suppress(OSError, ValueError):
            port.set_low_latency_mode(True)  # a driver that knows it sets its timer to 1 ms, for whoever may open it
    except (OSError, termios.error) as error:
        port.close()
        raise LineDown(f"{spec.port} cannot be opened ({error}): unplug the adapter and plug it in again") from error
    except LineDown:
        port.close()
        raise
    return port, device, ports.latency_timer_ms(spec.port)


def _is_pseudo_terminal(port: str) -> bool:
    """A simulator's. It has no parity bit, and refuses one, but only when nothing else about it is to be changed."""
    return os.path.realpath(port).startswith("/dev/pts/")


class TcpPipe(asyncio.Protocol):
    """A TCP connection to a charger or to a serial converter."""

    def __init__(self) -> None:
        self.inbox = Inbox()
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(cls, spec: BusSpec) -> TcpPipe:
        """Raises `LineDown` with a sentence on what to do."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, pipe = await loop.create_connection(cls, spec.host, spec.tcp_port)
        except (OSError, ValueError) as error:  # TimeoutError is an OSError
            trouble, sentence = tcp_trouble(spec.host, spec.tcp_port, error)
            raise LineDown(sentence, trouble=trouble) from error
        return pipe

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        connection = transport.get_extra_info("socket")
        if connection is not None:
            _find_dead_peers(connection)

    def data_received(self, data: bytes) -> None:
        self.inbox.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        broken = reason(exc) if isinstance(exc, OSError) else str(exc or "")
        self.inbox.lose(f"the connection broke ({broken})" if exc else "the other side closed the connection")

    async def write(self, data: bytes) -> None:
        if self._transport is None:
            raise LineDown(self.inbox.lost or "the connection is closed")
        self._transport.write(data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        self.inbox.lose("the connection is closed")


def _find_dead_peers(connection: socket.socket) -> None:
    """Let the kernel notice a peer that is gone without a word (its power, its cable), also while nobody asks."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEP_ALIVE:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNCONFIRMED_MS)


async def open_pipe(spec: BusSpec) -> Pipe:
    """The line that `spec` describes, open. Raises `LineDown`."""
    return await (SerialPipe.open(spec) if spec.kind is LineKind.SERIAL else TcpPipe.open(spec))
