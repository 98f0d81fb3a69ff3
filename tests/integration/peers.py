"""Who the daemon meets outside: a service manager, a broker that can hang, servers that are no good."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.integration.daemon import LOOK_S, PATIENCE_S

MOSQUITTO = "/usr/sbin/mosquitto"


class NotifySocket:
    """systemd's end of $NOTIFY_SOCKET: every message in order."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notify"
        self.messages: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._socket.setblocking(False)

    async def told(self, beginning: str, *, times: int = 1, timeout_s: float = PATIENCE_S) -> None:
        """Until so many messages that begin so have come."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                while sum(message.startswith(beginning) for message in self.messages) < times:
                    self.messages.append((await loop.sock_recv(self._socket, 4096)).decode())
        except TimeoutError:
            raise AssertionError(f"not told {beginning} within {timeout_s:g} s: {self.messages}") from None

    def close(self) -> None:
        self._socket.close()


class Broker:
    """Debian's mosquitto, which can be frozen."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    async def start(self) -> None:
        if not os.access(MOSQUITTO, os.X_OK):
            pytest.fail("this test wants a real broker: apt install mosquitto mosquitto-clients")
        path = self.folder / "mosquitto.conf"
        lines = [f"listener {self.port} 127.0.0.1", "log_dest none", "allow_anonymous true"]
        if os.geteuid() == 0:
            lines.insert(0, "user root")
        path.write_text("\n".join(lines) + "\n")
        self.process = await asyncio.create_subprocess_exec(MOSQUITTO, "-c", str(path))
        async with asyncio.timeout(PATIENCE_S):
            while not await accepts(self.port):
                await asyncio.sleep(LOOK_S)

    def freeze(self) -> None:
        """Its connections stay and say nothing any more."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    async def stop(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            await self.process.wait()


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Peer:
    """A TCP server with a conversation of its own; `visits` counts connections."""

    def __init__(self, conversation: Conversation, port: int = 0) -> None:
        self.port = port
        self.visits = 0
        self._conversation = conversation
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._visit, "127.0.0.1", self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def _visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self._conversation(reader, writer)
        except (OSError, asyncio.CancelledError, EOFError):
            pass
        finally:
            self._open.discard(task)
            writer.transport.abort()

    async def stop(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for task in tuple(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await self._server.wait_closed()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes a connection and never says a word; does not even read."""
    await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def peer(conversation: Conversation) -> AsyncIterator[Peer]:
    server = Peer(conversation)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@contextlib.asynccontextmanager
async def running_broker(folder: Path) -> AsyncIterator[Broker]:
    broker = Broker(folder)
    try:
        await broker.start()
        yield broker
    finally:
        await broker.stop()
