"""A CSMS that does what it likes: answers as it is told to, calls without waiting, keeps count and keeps no frame."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import ssl
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from edged.simulator.site import SimulatedCharger, SimulatedSite
from tests.integration.daemon import LOOK_S, PATIENCE_S, Edged, charger, site_file
from tests.integration.peers import NotifySocket

GROWTH_BYTES = 48 * 2**20
"""More than this and somebody else decides how much memory the daemon has."""
PROMPT_S = 15.0
"""`edged status` has an answer by then whatever the CSMS is up to, on the busiest machine that runs these tests; a loop
that stands still has none. How long it really takes: benchmarks/hostile.py."""
KEPT = 500

Answering = Callable[[str, dict[str, Any]], Iterable[object]]
"""From a CALL's id and payload to the frames that are sent for it: text as it is, anything else as JSON."""


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Tyrant:
    """`calls`: how often the station called what; `payloads`: its newest calls; `answers`: how many each of our CALLs
    got; `connections`: how many lines it opened. `versions`: what the station is told to offer, `speaks` the one that
    the next line gets."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, versions: Sequence[str] = ("ocpp1.6",)) -> None:
        self.versions = versions
        self.speaks = versions[0]
        self.calls: Counter[str] = Counter()
        self.payloads: deque[tuple[str, dict[str, Any]]] = deque(maxlen=KEPT)
        self.answers: Counter[str] = Counter()
        self.connections = 0
        self.port = 0
        self._tls = tls
        self._answering: dict[str, Answering] = {}
        self._waiting: dict[str, asyncio.Future[list[Any]]] = {}
        self._ids = itertools.count(1)
        self._line: ServerConnection | None = None
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            0,
            ssl=self._tls,
            subprotocols=[Subprotocol(version) for version in self.versions],
            select_subprotocol=self._choose,
            compression=None,
            ping_interval=None,
            close_timeout=1,
            max_size=2**22,
        )
        self.port = int(next(iter(self._server.sockets)).getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    def _choose(self, line: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        return next((version for version in offered if version == self.speaks), None)

    @property
    def url(self) -> str:
        return f"{'wss' if self._tls else 'ws'}://127.0.0.1:{self.port}/ocpp"

    @property
    def line(self) -> ServerConnection:
        assert self._line is not None, "the station is not connected"
        return self._line

    # --- the station calls

    def answer(self, action: str, answering: Answering) -> None:
        self._answering[action] = answering

    def answer_well(self, action: str) -> None:
        self._answering.pop(action, None)

    async def _serve(self, line: ServerConnection) -> None:
        self.connections += 1
        self._line = line
        with contextlib.suppress(ConnectionClosed):
            async for text in line:
                await self._received(line, json.loads(text))

    async def _received(self, line: ServerConnection, message: list[Any]) -> None:
        if message[0] != 2:
            self.answers[message[1]] += 1
            waiting = self._waiting.pop(message[1], None)
            if waiting is not None and not waiting.done():
                waiting.set_result(message)
            return
        _, ident, action, payload = message
        self.calls[action] += 1
        self.payloads.append((action, payload))
        for frame in self._answering.get(action, _well(action))(ident, payload):
            await line.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))

    def told(self, action: str) -> list[dict[str, Any]]:
        """The newest payloads of an action."""
        return [payload for name, payload in self.payloads if name == action]

    # --- it calls the station

    async def call(self, action: str, payload: Mapping[str, object], timeout_s: float = PATIENCE_S) -> list[Any]:
        """The whole answer."""
        ident = f"ask-{next(self._ids)}"
        self._waiting[ident] = asyncio.get_running_loop().create_future()
        await self.line.send(json.dumps([2, ident, action, payload]))
        async with asyncio.timeout(timeout_s):
            return await self._waiting[ident]

    async def result(self, action: str, payload: Mapping[str, object]) -> dict[str, Any]:
        answer = await self.call(action, payload)
        assert answer[0] == 3, answer
        return dict(answer[2])

    async def flood(self, calls: Callable[[int], tuple[str, str]], count: int) -> Counter[str]:
        """So many calls without a pause, each with an id of its own; returns when each has been answered: statuses and
        error codes, and how often they came. `calls`: from a number to an action and its payload."""
        mine = f"flood-{next(self._ids)}"
        verdicts: Counter[str] = Counter()
        done = asyncio.Event()

        def answered(message: list[Any]) -> None:
            word = message[2] if message[0] == 4 else message[2].get("status", "OK")
            verdicts[word] += 1
            if verdicts.total() == count:
                done.set()

        for number in range(count):
            ident = f"{mine}-{number}"
            self._waiting[ident] = future = asyncio.get_running_loop().create_future()
            future.add_done_callback(lambda future: answered(future.result()) if not future.cancelled() else None)
            action, payload = calls(number)
            await self.line.send(f'[2,"{ident}","{action}",{payload}]')
        async with asyncio.timeout(PATIENCE_S):
            await done.wait()
        assert all(self.answers[f"{mine}-{number}"] == 1 for number in range(count))
        self.answers.clear()
        return verdicts


def _well(action: str) -> Answering:
    usual: dict[str, dict[str, Any]] = {
        "Heartbeat": {"currentTime": now()},
        "BootNotification": {"status": "Accepted", "currentTime": now(), "interval": 1},
        "Authorize": {"idTagInfo": {"status": "Accepted"}, "idTokenInfo": {"status": "Accepted"}},
        "StartTransaction": {"transactionId": 1, "idTagInfo": {"status": "Accepted"}},
        "DataTransfer": {"status": "Accepted"},
        "SignCertificate": {"status": "Accepted"},
    }
    return lambda ident, payload: [[3, ident, usual.get(action, {})]]


# --- and who suffers it

_HEARTBEAT = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}
INQUIRIES: Mapping[str, tuple[str, dict[str, object], str]] = {
    "ocpp1.6": ("GetConfiguration", {"key": ["HeartbeatInterval"]}, "configurationKey"),
    "ocpp2.0.1": ("GetVariables", {"getVariableData": [_HEARTBEAT]}, "getVariableResult"),
}
"""What a station in service answers, and by what, in each version."""


class Victim:
    """A daemon in service at one charger, and what it weighed before anybody was unkind to it."""

    def __init__(self, edged: Edged, csms: Tyrant, site: SimulatedSite, manager: NotifySocket) -> None:
        self.edged = edged
        self.csms = csms
        self.site = site
        self.manager = manager
        self.weight = edged.resident_bytes
        self.pid = edged.running.pid
        self.lines = csms.connections
        self._since_s = time.monotonic()

    def minutely(self, count: int) -> int:
        """So many in each minute that its suffering has begun."""
        return count * (1 + int((time.monotonic() - self._since_s) / 60))

    async def unharmed(self, *, same_line: bool = True, growth_bytes: int = GROWTH_BYTES) -> None:
        """It answers its CSMS and its installer, sees its charger, owes nothing, and is no heavier, roughly."""
        await self.edged.until(self.in_service, "it serves its CSMS")
        await self.edged.knows(lambda s: s["connectors"][0]["online"] and s["queued"] == 0)
        assert self.edged.running.returncode is None and self.edged.running.pid == self.pid
        assert self.edged.resident_bytes < self.weight + growth_bytes
        assert not same_line or self.csms.connections == self.lines, "it has hung up"
        assert "Traceback" not in self.edged.log, self.edged.log[-4000:]

    async def in_service(self) -> bool:
        action, payload, telling = INQUIRIES[self.csms.speaks]
        try:
            answer = await self.csms.call(action, payload, timeout_s=5.0)
        except (ConnectionClosed, TimeoutError):
            return False
        return bool(answer[0] == 3 and telling in answer[2])

    @contextlib.asynccontextmanager
    async def alive_meanwhile(self) -> AsyncIterator[None]:
        """What happens inside must not keep the installer waiting, nor stop the engine's clock, nor the heart."""
        longest_s = 0.0
        with contextlib.suppress(AssertionError):
            await self.manager.told("WATCHDOG=1", times=10**6, timeout_s=0.1)  # what has waited until now
        self.manager.messages.clear()
        began_s = time.monotonic()

        async def look() -> None:
            nonlocal longest_s
            while True:
                asked_s = time.monotonic()
                await self.edged.status()
                longest_s = max(longest_s, time.monotonic() - asked_s)
                with contextlib.suppress(AssertionError):
                    await self.manager.told("WATCHDOG=1", times=10**6, timeout_s=0.1)

        looking = asyncio.create_task(look())
        try:
            yield
        finally:
            looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await looking
        took_s = time.monotonic() - began_s
        assert longest_s < PROMPT_S, f"edged status took {longest_s:.2f} s"
        turns = sum(message == "WATCHDOG=1" for message in self.manager.messages)
        assert turns >= took_s / PROMPT_S - 1, f"the engine's clock has turned {turns} times in {took_s:.1f} s"
        await self.beats()

    async def beats(self) -> None:
        """Another heartbeat comes."""
        before = self.csms.calls["Heartbeat"]
        await until(lambda: self.csms.calls["Heartbeat"] > before, "the heart beats")


@contextlib.asynccontextmanager
async def suffering(
    edged: Edged, csms: Tyrant | None = None, *, keys: Mapping[str, object] | None = None, **more: Any
) -> AsyncIterator[Victim]:
    """A victim in service, heart beating every second. `more`: keys of the installer's file."""
    box = SimulatedCharger(name="box", make="phoenix-charx-sec", listen="tcp:127.0.0.1:0")
    async with contextlib.AsyncExitStack() as stack:
        site = await stack.enter_async_context(SimulatedSite([box], speed=20.0, seed=1))
        manager = NotifySocket(edged.folder)
        stack.callback(manager.close)
        edged.environment |= {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "60000000"}
        csms = csms or await stack.enter_async_context(Tyrant())
        chargers = {"box": charger("phoenix-charx-sec", site.endpoint("box"))}
        document = site_file(chargers, csms=csms.url, keys=keys, level=more.pop("level", "info"))
        document["stations"][0]["csms"].update({"versions": list(csms.versions), **more.pop("station_csms", {})})
        document["stations"][0].update(more.pop("station", {}))
        document["stations"] += more.pop("stations", [])
        document["chargers"] |= more.pop("chargers", {})
        edged.configure({**document, **more})
        stack.push_async_callback(edged.close)
        await edged.up()
        await until(lambda: any(p["connectorId"] == 1 for p in csms.told("StatusNotification")), "it is in service")
        yield Victim(edged, csms, site, manager)


async def until(condition: Callable[[], bool], what: str, timeout_s: float = PATIENCE_S) -> None:
    """Look until something holds, but not for ever."""
    try:
        async with asyncio.timeout(timeout_s):
            while not condition():
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        raise AssertionError(f"not within {timeout_s:g} s: {what}") from None
