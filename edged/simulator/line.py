"""The lines that simulated devices hang on: a TCP port or a pseudo terminal, whatever is spoken there.

Owns sockets, the pty and what they hold at most. Refuses to know frames: the line's `Language` makes a `Talk` for each
master that comes, which is fed with bytes and answers through its `Outlet`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import tty
from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path

from edged.simulator.device import SimulatedDevice
from edged.simulator.parts import Impossible

log = logging.getLogger(__name__)

MAX_CLIENTS = 16
SILENCE_S = 0.02
MAX_OUTSTANDING = 1000


class Way(StrEnum):
    """How a master reaches a line."""

    TCP = "tcp"
    CONVERTER = "rtu-tcp"
    TERMINAL = "pty"


class Outlet(ABC):
    """The way back to one master. `baudrate` None: bytes take no time."""

    way: Way
    baudrate: int | None = None

    @abstractmethod
    def send(self, data: bytes, *, delay_s: float = 0.0, sent: Callable[[], None] = lambda: None) -> None:
        """Send after a while; `sent` is called when it has left."""

    @abstractmethod
    def hang_up(self) -> None:
        """End the connection behind what was sent. A serial line has none to end."""


class Talk(ABC):
    """What is made of the bytes of one master."""

    @abstractmethod
    def feed(self, data: bytes) -> None: ...

    @property
    def waiting(self) -> bool:
        """Whether a silence of the master would change anything."""
        return False

    def silence(self) -> None:  # noqa: B027 - a hook, empty on purpose
        """The master said nothing for a while."""

    def close(self) -> None:  # noqa: B027 - a hook, empty on purpose
        """The master is gone."""


class Language(ABC):
    """What is spoken on a line, and the devices that speak it there."""

    @abstractmethod
    def add(self, device: SimulatedDevice) -> None:
        """Hang a device on the line. `Impossible` where it cannot be there."""

    @abstractmethod
    def talk(self, outlet: Outlet) -> Talk: ...


class Line(ABC):
    """One line. `endpoint` is where a master finds it, known once started."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._outstanding = 0

    def after(self, delay_s: float, send: Callable[[], None]) -> None:
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


class _Connection(Outlet):
    """One client of a TCP line."""

    def __init__(self, line: TcpLine, writer: asyncio.StreamWriter) -> None:
        self.way = line.way
        self._line = line
        self._writer = writer

    def send(self, data: bytes, *, delay_s: float = 0.0, sent: Callable[[], None] = lambda: None) -> None:
        self._line.after(delay_s, partial(self._send, data, sent))

    def _send(self, data: bytes, sent: Callable[[], None]) -> None:
        if not self._writer.is_closing():
            self._writer.write(data)
            sent()

    def hang_up(self) -> None:
        self._writer.close()


class TcpLine(Line):
    """A TCP port, of a charger itself or of a serial-to-TCP converter. Port 0 takes a free one."""

    def __init__(self, language: Language, *, host: str, port: int, way: Way) -> None:
        super().__init__(language)
        self.host = host
        self.port = port
        self.way = way
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
        talk = self.language.talk(_Connection(self, writer))
        try:
            await self._listen(reader, writer, talk)
        except ConnectionError:
            pass
        finally:
            talk.close()
            del self._clients[asyncio.current_task()]
            writer.transport.abort()

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, talk: Talk) -> None:
        while True:
            try:
                async with asyncio.timeout(SILENCE_S if talk.waiting else None):
                    data = await reader.read(1024)
                if not data:
                    return
                talk.feed(data)
            except TimeoutError:
                talk.silence()
            await writer.drain()
            if writer.is_closing():
                return


class PtyLine(Line, Outlet):
    """A pseudo terminal, with a symbolic link to it at `path`. With `baudrate` the line takes its time.

    The slave side stays open here, so a master may come and go. A pty has no parity: masters ask for none.
    """

    way = Way.TERMINAL

    def __init__(self, language: Language, *, path: Path, baudrate: int | None = None) -> None:
        super().__init__(language)
        self.path = path
        self.baudrate = baudrate
        self.lost = 0
        self._talk = language.talk(self)
        self._descriptors: tuple[int, int] | None = None
        self._silence: asyncio.TimerHandle | None = None

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
        self._talk.feed(data)
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
        if self._talk.waiting:
            self._silence = asyncio.get_running_loop().call_later(SILENCE_S, self._quiet)

    def _quiet(self) -> None:
        self._silence = None
        self._talk.silence()

    def send(self, data: bytes, *, delay_s: float = 0.0, sent: Callable[[], None] = lambda: None) -> None:
        self.after(delay_s, partial(self._write, data, sent))

    def _write(self, data: bytes, sent: Callable[[], None]) -> None:
        if self._descriptors is None:
            return
        try:
            count = os.write(self._descriptors[0], data)
        except BlockingIOError:
            count = 0
        if count < len(data):
            self.lost += 1  # nobody reads the line: as on a real one, what was said is gone
        sent()

    def hang_up(self) -> None:
        pass


def make_line(listen: str, language: Language, *, baudrate: int | None = None) -> Line:
    """The line that `tcp:HOST:PORT`, `rtu-tcp:HOST:PORT` or `pty:PATH` names. `Impossible` where it names none."""
    kind, _, where = listen.partition(":")
    if kind == Way.TERMINAL and where:
        return PtyLine(language, path=Path(where), baudrate=baudrate)
    host, _, port = where.rpartition(":")
    if kind in (Way.TCP, Way.CONVERTER) and host and port.isascii() and port.isdecimal() and int(port) <= 65_535:
        return TcpLine(language, host=host.strip("[]"), port=int(port), way=Way(kind))
    raise Impossible(f"cannot listen on {listen!r}: write tcp:HOST:PORT, rtu-tcp:HOST:PORT or pty:PATH")
