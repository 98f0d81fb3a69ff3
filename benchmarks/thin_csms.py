"""A CSMS of the fewest lines that a station will talk to: what it answers, and a WebSocket server that times CALLs.

No checks: their cost must not be in the figures. One station at a time.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

CONNECT_TIMEOUT_S = 30.0
ANSWER_TIMEOUT_S = 30.0
QUIET_S = 1.0


def answer_to(action: str, utc: datetime) -> dict[str, Any]:
    """What this CSMS says to a station's CALL: yes."""
    time_text = utc.isoformat(timespec="seconds").replace("+00:00", "Z")
    match action:
        case "BootNotification":
            return {"status": "Accepted", "currentTime": time_text, "interval": 300}
        case "Heartbeat":
            return {"currentTime": time_text}
        case "StartTransaction":
            return {"transactionId": 1, "idTagInfo": {"status": "Accepted"}}
        case "Authorize":
            return {"idTagInfo": {"status": "Accepted"}, "idTokenInfo": {"status": "Accepted"}}
        case "StopTransaction":
            return {"idTagInfo": {"status": "Accepted"}}
        case _:
            return {}


class ThinCsms:
    """`seen` holds when each action came first (perf_counter); `connected_at` when the station's line stood."""

    def __init__(self, subprotocol: str = "ocpp1.6") -> None:
        self.url = ""
        self._subprotocol = Subprotocol(subprotocol)
        self._wanted: tuple[str, asyncio.Future[float]] | None = None
        self.seen: dict[str, float] = {}
        self.connected_at = 0.0
        self._server: Server | None = None
        self._line: ServerConnection | None = None
        self._changed = asyncio.Event()
        self._heard_at = 0.0
        self._answered: asyncio.Future[tuple[float, Any]] | None = None
        self._calls = 0
        self._owed = 0

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._serve, "127.0.0.1", 0, subprotocols=[self._subprotocol], compression=None, ping_interval=None
        )
        port = next(iter(self._server.sockets)).getsockname()[1]
        self.url = f"ws://127.0.0.1:{port}/ocpp"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, line: ServerConnection) -> None:
        self._line = line
        self._heard_at = self.connected_at = time.perf_counter()
        self._changed.set()
        try:
            while True:
                self._heard(line, await line.recv(), time.perf_counter())
        except ConnectionClosed:
            self._line = None

    def _heard(self, line: ServerConnection, frame: str | bytes, at: float) -> None:
        message = json.loads(frame)
        self._heard_at = at
        if message[0] == 2:
            self.seen.setdefault(message[2], at)
            self._changed.set()
            if self._wanted is not None and self._wanted[0] == message[2] and not self._wanted[1].done():
                self._wanted[1].set_result(at)
            reply = json.dumps([3, message[1], answer_to(message[2], datetime.now(UTC))])
            self._sending = asyncio.ensure_future(line.send(reply))
        elif self._owed:
            self._owed -= 1
            self._changed.set()
        elif self._answered is not None and not self._answered.done():
            self._answered.set_result((at, message[2] if message[0] == 3 else RuntimeError(str(message))))

    async def connected(self) -> None:
        """Wait for a station."""
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            while self._line is None:
                self._changed.clear()
                await self._changed.wait()

    async def told(self, action: str) -> None:
        """Wait for the station's first CALL of a kind."""
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            while action not in self.seen:
                self._changed.clear()
                await self._changed.wait()

    async def quiet(self, quiet_s: float = QUIET_S) -> None:
        """Wait until the station has said nothing for a while."""
        deadline = time.perf_counter() + CONNECT_TIMEOUT_S
        while (rest := self._heard_at + quiet_s - time.perf_counter()) > 0:
            if time.perf_counter() > deadline:
                raise TimeoutError("the station does not stop talking")
            await asyncio.sleep(rest)

    async def call(self, action: str, payload: dict[str, Any]) -> tuple[float, Any]:
        """Ask the station; seconds from handing the frame over to having the answer, and the answer."""
        assert self._line is not None
        self._calls += 1
        frame = json.dumps([2, f"call-{self._calls}", action, payload])
        self._answered = asyncio.get_running_loop().create_future()
        sent = time.perf_counter()
        await self._line.send(frame)
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            at, answer = await self._answered
        if isinstance(answer, RuntimeError):
            raise answer
        return at - sent, answer

    async def flood(self, calls: Iterable[tuple[str, dict[str, Any]]]) -> float:
        """Send all without waiting for an answer; seconds from the first of them to the last answer."""
        assert self._line is not None
        began = time.perf_counter()
        for action, payload in calls:
            self._calls += 1
            self._owed += 1
            await self._line.send(json.dumps([2, f"call-{self._calls}", action, payload]))
        async with asyncio.timeout(10 * ANSWER_TIMEOUT_S):
            while self._owed:
                self._changed.clear()
                await self._changed.wait()
        return time.perf_counter() - began

    async def provoke(self, action: str, payload: dict[str, Any], wanted: str) -> float:
        """Ask the station for a CALL of its own; seconds from handing the frame over to having that CALL."""
        self._wanted = (wanted, asyncio.get_running_loop().create_future())
        sent = time.perf_counter()
        await self.call(action, payload)
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            at = await self._wanted[1]
        return at - sent
