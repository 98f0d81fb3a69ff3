"""The doors of the simulated CSMS: WebSocket servers, plain or with TLS, that all lead to the same room."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Sequence

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

MAX_FRAME_BYTES = 1_048_576
Enter = Callable[[ServerConnection], Awaitable[None]]
Admit = Callable[[ServerConnection, Request], Awaitable[Response | None]]


class Doors:
    """`enter` is called with each connection that `admit` has not refused."""

    def __init__(self, enter: Enter, admit: Admit, *, host: str, subprotocols: Sequence[str]) -> None:
        self._enter = enter
        self._admit = admit
        self._host = host
        self._subprotocols = [Subprotocol(name) for name in subprotocols]
        self._servers: list[Server] = []

    async def open(self, port: int, tls: ssl.SSLContext | None) -> int:
        """One more door; the port that it got."""
        server = await serve(
            self._enter,
            self._host,
            port,
            ssl=tls,
            subprotocols=self._subprotocols,
            process_request=self._admit,
            compression=None,
            ping_interval=None,
            close_timeout=1,
            max_size=MAX_FRAME_BYTES,
        )
        self._servers.append(server)
        return int(next(iter(server.sockets)).getsockname()[1])

    async def close(self) -> None:
        while self._servers:
            server = self._servers.pop()
            server.close()
            await server.wait_closed()
