"""A visit to the broker: somebody looks at a gateway's topics, or clears them away, and goes again.

For tools, not for the daemon: there is no outbox, no will, and nobody connects again. Owns the version to speak and the
bound on what waits to be looked at. Refuses to know what the topics mean.
Invariants: what a visitor does not take in time is left out and counted, never queued without end · never more under
way than the broker allows.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import Final, Self

from edged.mqtt.connection import Connection, Incoming
from edged.mqtt.dialling import BrokerRefused, BrokerUnreachable, MqttError
from edged.mqtt.names import Names
from edged.mqtt.options import BrokerOptions, Protocol
from edged.mqtt.outbox import WINDOW

MAX_WAITING: Final = 10_000
QUIET_S: Final = 2.0
"""A broker that has been silent for so long has told all that it keeps."""
AT_MOST_S: Final = 60.0
ANSWER_S: Final = 10.0
GOODBYE_S: Final = 1.0
_UNSUPPORTED_VERSION: Final = 0x84


class NotAllowed(MqttError):
    """The broker lets us in, but not do this."""


class Visit:
    """`async with`: connected, as `options` say. Every method raises `MqttError` once the broker is away."""

    def __init__(self, options: BrokerOptions) -> None:
        self.overlooked = 0
        self._options = options
        self._connection: Connection | None = None
        self._waiting: deque[Incoming] = deque()
        self._news = asyncio.Event()
        self._settled: dict[int, str | None] = {}
        self._subscribed: asyncio.Future[str | None] | None = None
        self._end: str | None = None

    async def __aenter__(self) -> Self:
        v5 = self._options.protocol is not Protocol.V311
        while True:
            connection = Connection(self._options, self, v5=v5, will=None)
            try:
                await connection.open()
            except BrokerRefused as error:
                if not (v5 and error.code == _UNSUPPORTED_VERSION and self._options.protocol is Protocol.AUTO):
                    raise
                v5 = False
            else:
                self._connection = connection
                return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            await self._connection.disconnect(GOODBYE_S)

    @property
    def version(self) -> str:
        return "5" if self._there.v5 else "3.1.1"

    @property
    def _there(self) -> Connection:
        if self._connection is None or self._end is not None:
            raise BrokerUnreachable(self._end or "not connected")
        return self._connection

    # --- looking

    async def listen(self, filters: Iterable[str]) -> None:
        """Returns when the broker has granted it. Raises `NotAllowed`; a broker may grant and tell nothing."""
        self._subscribed = asyncio.get_running_loop().create_future()
        self._there.subscribe(*filters)
        try:
            async with asyncio.timeout(ANSWER_S):
                refused = await self._subscribed
        except TimeoutError:
            raise BrokerUnreachable(self._end or f"no answer to a subscription within {ANSWER_S:g} s") from None
        if refused is not None:
            raise NotAllowed(f"the broker does not let this user read: {refused}")

    async def leave(self, filters: Iterable[str]) -> None:
        self._there.unsubscribe(*filters)

    async def next(self, within_s: float) -> Incoming | None:
        """What came next, None where nothing has come for so long."""
        try:
            async with asyncio.timeout(within_s):
                while not self._waiting:
                    _ = self._there
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return None
        return self._waiting.popleft()

    async def kept(self, filters: Iterable[str]) -> dict[str, bytes]:
        """Everything retained that the broker shows us, by topic."""
        wanted = tuple(filters)
        found: dict[str, bytes] = {}
        deadline_s = asyncio.get_running_loop().time() + AT_MOST_S
        await self.listen(wanted)
        while (message := await self.next(QUIET_S)) is not None:
            if message.retain and message.payload:
                found[message.topic] = message.payload
            if asyncio.get_running_loop().time() > deadline_s:
                break
        await self.leave(wanted)
        return found

    # --- clearing away

    async def delete(self, topics: Iterable[str]) -> dict[str, str]:
        """An empty retained message for each, in this order. Returns those that the broker refused, with its reason."""
        refused: dict[str, str] = {}
        under_way: dict[int, str] = {}
        window = min(WINDOW, self._there.limits.receive_maximum)
        for topic in topics:
            await self._settle(under_way, refused, window - 1)
            mid = self._there.publish(topic, b"", qos=1, retain=True)
            if mid is None:
                refused[topic] = "its name is longer than the broker allows"
            else:
                under_way[mid] = topic
        await self._settle(under_way, refused, 0)
        return refused

    async def _settle(self, under_way: dict[int, str], refused: dict[str, str], at_most: int) -> None:
        """Wait until no more than so many are under way."""
        while True:
            for mid in [mid for mid in under_way if mid in self._settled]:
                topic, reason = under_way.pop(mid), self._settled.pop(mid)
                if reason is not None and reason != "No matching subscribers":
                    refused[topic] = reason
            if len(under_way) <= at_most:
                return
            _ = self._there
            self._news.clear()
            try:
                async with asyncio.timeout(ANSWER_S):
                    await self._news.wait()
            except TimeoutError:
                raise BrokerUnreachable(f"no acknowledgement within {ANSWER_S:g} s") from None

    # --- connection.Listener

    def received(self, message: Incoming) -> None:
        """Acknowledged at once: after a few that are not a broker falls silent, as if it had told all."""
        if message.mid is not None and self._connection is not None:
            self._connection.acknowledge(message.mid)
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            self.overlooked += 1
        self._waiting.append(message)
        self._news.set()

    def settled(self, mid: int, reason: str | None) -> None:
        self._settled[mid] = reason
        self._news.set()

    def subscribed(self, refused: str | None) -> None:
        if self._subscribed is not None and not self._subscribed.done():
            self._subscribed.set_result(refused)

    def closed(self, reason: str) -> None:
        self._end = reason
        self._news.set()
        if self._subscribed is not None and not self._subscribed.done():
            self._subscribed.set_exception(BrokerUnreachable(reason))


def belongings(names: Names, discovery_prefix: str) -> tuple[str, ...]:
    """Filters for all that may be retained in this gateway's name: its own tree, and its discovery documents."""
    return (f"{names.prefix}/#", f"{discovery_prefix}/device/edged-{names.gateway}/+/config")


def farewell_order(topics: Iterable[str], names: Names) -> list[str]:
    """What announces the gateway goes first, its `status` last: nobody sees a gateway that is half there and online."""

    def place(topic: str) -> tuple[int, str]:
        if topic == names.status:
            return (2, topic)
        return (1 if topic.startswith(f"{names.prefix}/") else 0, topic)

    return sorted(topics, key=place)
