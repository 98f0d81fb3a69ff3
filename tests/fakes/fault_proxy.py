"""A TCP proxy that has the faults of a network: cut lines, refused calls, and a hole that swallows everything."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Self

_CHUNK_BYTES = 65_536


class FaultProxy:
    """Listens on `port` and leads to `target`. `cut` and `swallow` last until `heal`."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.lines = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._is_cut = False
        self._passing = asyncio.Event()
        self._passing.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        self._passing.set()
        await self._server.wait_closed()

    def cut(self) -> None:
        """Every line breaks, and who calls is hung up on."""
        self._is_cut = True
        for writer in tuple(self._writers):
            writer.transport.abort()

    def swallow(self) -> None:
        """What is sent goes nowhere, and nobody is told; calls are taken and lead nowhere."""
        self._passing.clear()

    def heal(self) -> None:
        """A new line works; what was swallowed is lost with its line."""
        self._is_cut = False
        if not self._passing.is_set():
            for writer in tuple(self._writers):
                writer.transport.abort()
            self._passing.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.lines += 1
        self._writers.add(writer)
        try:
            if not self._is_cut:
                await self._lead_on(reader, writer)
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _lead_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._passing.wait()
        try:
            behind, before = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            return
        self._writers.add(before)
        try:
            ways = [asyncio.create_task(self._copy(reader, before)), asyncio.create_task(self._copy(behind, writer))]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        finally:
            self._writers.discard(before)
            before.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK_BYTES):
                await self._passing.wait()
                writer.write(data)
                await writer.drain()
