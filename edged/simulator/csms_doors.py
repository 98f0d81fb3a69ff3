"""The doors of the simulated CSMS: WebSocket servers, plain or with TLS, that all lead to the same room."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Sequence

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import NegotiationError
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

MAX_FRAME_BYTES = 1_048_576
Enter = Callable[[ServerConnection], Awaitable[None]]
Admit = Callable[[ServerConnection, Request], Awaitable[Response | None]]
Choose = Callable[[Sequence[str]], str | None]


class Doors:
    """`enter` is called with each connection that `admit` has not refused; `choose` picks one of the subprotocols
    that a station offers, or turns it away with None."""

    def __init__(self, enter: Enter, admit: Admit, choose: Choose, *, host: str) -> None:
        self._enter = enter
        self._admit = admit
        self._choose = choose
        self._host = host
        self._servers: list[Server] = []

    async def open(self, port: int, tls: ssl.SSLContext | None) -> int:
        """One more door; the port that it got."""
        server = await serve(
            self._enter,
            self._host,
            port,
            ssl=tls,
            select_subprotocol=self._select,
            process_request=self._admit,
            compression=None,
            ping_interval=None,
            close_timeout=1,
            max_size=MAX_FRAME_BYTES,
        )
        self._servers.append(server)
        return int(next(iter(server.sockets)).getsockname()[1])

    def _select(self, connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol:
        chosen = self._choose(offered)
        if chosen is None:
            raise NegotiationError(f"none of these is spoken here: {', '.join(offered) or 'nothing'}")
        return Subprotocol(chosen)

    async def close(self) -> None:
        while self._servers:
            server = self._servers.pop()
            server.close()
            await server.wait_closed()
