"""A daemon of which only the events are left: steps that happen fast, the real log, disk, mirror and client.

Also a process of its own, to be killed in the middle: `python -m tests.fakes.event_burst DATABASE PORT COUNT BOOT`
makes that many events, then tells all that there are, and ends.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edged.domain.effects import Announce, Effect, Lane, Record
from edged.domain.events import Event, Tick
from edged.domain.station import Station
from edged.domain.types import Now
from edged.happenings import SpoolKeeper, TellingStore
from edged.mqtt.event_log import EventLog
from edged.mqtt.gateway_documents import GatewayView
from edged.mqtt.mirror import MqttMirror
from edged.mqtt.names import Names
from edged.mqtt.options import BrokerOptions, IdTokenPolicy, MirrorOptions
from edged.mqtt.topics import Shown
from edged.store.opening import open_store
from edged.store.port import SpoolBounds, Writes
from edged.system.clock import SystemClock
from tests.fakes.site import station

NAMES = Names("edged", "gw1")
STEP = 10
"""Events in one step."""


class _Steps:
    """The engine's store, beneath the one that tells: steps that write nothing but what is told."""

    def __init__(self, burst: Burst) -> None:
        self._burst = burst

    def difference(self, before: Station, after: Station, effects: Sequence[Effect], event: Event) -> Writes:
        return Writes()

    def commit(self, difference: Any, wall: datetime) -> None:
        self._burst.store.commit("CP1", difference, wall)

    def outbox(self, lane: Lane, after_seq: int, limit: int) -> Sequence[tuple[int, Record]]:
        return ()


class _NoStations:
    def stations(self) -> Mapping[str, Station]:
        return {}

    def shown(self, identity: str) -> Shown:
        raise AssertionError("there is none")

    def submit(self, identity: str, event: Event) -> bool:
        return False

    def read_transfers(self, identity: str, limit: int, tell: Any) -> None:
        raise AssertionError("there is none")

    def read_events(self, after_seq: int, limit: int, tell: Any) -> None:
        raise AssertionError("nobody asks")


class Burst:
    """`async with`, then `make`."""

    def __init__(self, database: Path, port: int, boot: str, *, bounds: SpoolBounds | None = None, **broker: Any):
        self.store = open_store(database, wall=datetime.now(UTC)).store
        state = self.store.events_state()
        self.clock = SystemClock()
        self.executor = ThreadPoolExecutor(max_workers=1)
        self.log = EventLog(
            boot,
            policy=IdTokenPolicy.MASKED,
            salt="gw1",
            first_seq=state.first,
            last_seq=max(state.last, state.delivered),
            delivered_seq=state.delivered,
        )
        self.keeper = SpoolKeeper(self.store, self.log, self.executor, self.clock, bounds or SpoolBounds())
        how = {"keepalive_s": 5, "backoff_first_s": 0.05, "backoff_last_s": 0.2, "connack_timeout_s": 1.0, **broker}
        self.options = MirrorOptions(
            broker=BrokerOptions(host="127.0.0.1", port=port, client_id="edged-gw1", **how), names=NAMES
        )
        self.mirror = MqttMirror(
            self.options,
            _NoStations(),
            self.clock,
            GatewayView(version="0", boot_id=boot, started_at=datetime.now(UTC), synchronized=True),
            run_id=boot,
            events=self.keeper.kept,
        )
        self._telling = TellingStore(_Steps(self), self.log, "CP1")
        self._station = station()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Burst:
        self.keeper.serve(self.mirror.news)
        self.mirror.start()
        self._tasks = [asyncio.create_task(self.keeper.run())]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.mirror.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.executor.shutdown(wait=True)
        self.store.close()

    async def make(self, count: int, *, per_s: float) -> None:
        """Steps one after the other, committed as an engine's are."""
        loop = asyncio.get_running_loop()
        begin_s = loop.time()
        for made in range(0, count, STEP):
            effects = [
                Announce(
                    "transaction.updated",
                    1,
                    {"transaction_id": f"t{n}", "status": "Charging", "previous": "SuspendedEV"},
                )
                for n in range(made, min(made + STEP, count))
            ]
            step = self._telling.difference(self._station, self._station, effects, Tick())
            now: Now = self.clock.now()
            await loop.run_in_executor(self.executor, self._telling.commit, step, now.utc)
            await asyncio.sleep(max(0.0, begin_s + made / per_s - loop.time()))

    async def told(self, within_s: float = 60.0) -> None:
        """Until the broker has everything."""
        async with asyncio.timeout(within_s):
            while self.log.delivered_seq < self.log.last_seq:
                await asyncio.sleep(0.01)


async def _run(database: Path, port: int, count: int, boot: str) -> None:
    async with Burst(database, port, boot) as burst:
        await burst.make(count, per_s=1000.0)
        await burst.told()


if __name__ == "__main__":
    asyncio.run(_run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
