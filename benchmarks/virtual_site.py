"""The real engine, link, dialect and SQLite store under a clock that jumps: what a life writes to the disk.

A child process, so that /proc/self/io counts nothing else. Prints JSON. Chargers are played as observations once a
second (while charging) or every ten (idle); the CSMS answers everything at once.

    python -m benchmarks.virtual_site idle HOURS STORE | transaction COUNT STORE      STORE: edged, rollback, json
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections import deque
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.process import STATE_ROOT, written_bytes
from benchmarks.thin_csms import answer_to
from edged.csms.link import Link
from edged.dialects.v16 import Ocpp16
from edged.domain.effects import RestartScope
from edged.domain.events import ConnectorObserved, Event, LinkUp, PresentToken, Started, Tick
from edged.domain.hardware import Capability, ChargerState, Measurand, Meter, Observation, Phases
from edged.domain.station import Boot, Station
from edged.domain.types import IdToken, Now
from edged.engine import Engine
from edged.ocpp.dialect import Dialect
from edged.ports import StationStore as StationStorePort
from edged.settings.model import ConnectorSettings, CsmsSettings, EvseSettings, GatewaySettings, StationSettings
from edged.shape import ChargerFacts, fresh_station
from edged.store.memory import MemoryStore
from edged.store.opening import backup_path, open_store
from edged.store.port import Writes
from edged.store.sqlite import SqliteStore
from edged.store.station_store import StationStore

ID = "BENCH"
CONNECTORS = 12
POWER_W = 11_000.0
IDLE_POLL_S = 10
TRANSACTION_S = 3600
TOKEN = IdToken("DRIVER-0001")
ANOTHER_TOKEN = IdToken("DRIVER-0002")
START = datetime(2026, 3, 1, 8, 0, 0, tzinfo=UTC)
FACTS = ChargerFacts(
    capabilities=frozenset({Capability.WITHHOLD, Capability.LIMIT, Capability.DETACHABLE, Capability.PERMIT_SENSE}),
    measurands=frozenset({Measurand.ENERGY, Measurand.POWER, Measurand.CURRENT, Measurand.VOLTAGE}),
    connector_type="cType2",
)


class JsonFile(MemoryStore):
    """All rows of the station in one JSON file, written anew and flushed at each commit."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def commit(self, station_id: str, writes: Writes, wall: datetime) -> None:
        super().commit(station_id, writes, wall)
        found = self.load(station_id)
        draft = self._path.with_suffix(".new")
        with draft.open("w") as file:
            json.dump({"facts": {k: dict(v) for k, v in found.facts.items()}, "outbox": dict(found.outbox)}, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)


class JsonFileStore(StationStore):
    """The baseline: the same commits into a JSON file."""

    def __init__(self, path: Path) -> None:
        super().__init__(JsonFile(path), ID)


class VirtualClock:
    """Jumps by `pass_s`; always synchronized."""

    def __init__(self) -> None:
        self.elapsed_s = 0.0

    def now(self) -> Now:
        return Now(START + timedelta(seconds=self.elapsed_s), 1000.0 + self.elapsed_s, True)

    def learn(self, utc: datetime) -> None: ...


class PlayedLine:
    """`csms.connection.Connection` as the link uses it; frames wait in `sent`."""

    connected = True

    def __init__(self) -> None:
        self.sent: deque[str] = deque()

    def send(self, frame: str) -> bool:
        self.sent.append(frame)
        return True

    def settled(self) -> None: ...

    def set_ping_interval(self, seconds: float) -> None: ...


class NoHost:
    def restart(self, scope: RestartScope) -> None:
        raise AssertionError("nobody asked for a restart")


class VirtualSite:
    def __init__(self, store: StationStorePort, dialect: Dialect | None = None) -> None:
        self.clock = VirtualClock()
        self.energy_wh = dict.fromkeys(range(1, CONNECTORS + 1), 50_000.0)
        self.line = PlayedLine()
        self.beside: int | None = None
        """A connector whose vehicle draws all the time."""
        dialect = dialect or Ocpp16()
        station = _station(dialect, self.clock.now())
        self.engine = Engine(station, store=store, clock=self.clock, drivers={}, host=NoHost(), executor=None)
        ids = iter(range(10**9))
        self.link = Link(
            station,
            dialect,
            post=self.engine.post,
            new_id=lambda: str(next(ids)),
            monotonic=lambda: self.clock.now().monotonic_s,
            read_outbox=store.outbox,
        )
        self.link.attach(self.line)  # type: ignore[arg-type]  # the part of it that the link uses
        self.engine.attach(self.link)

    async def start(self) -> None:
        await self.do(Started(continued=True), LinkUp())
        for number in self.energy_wh:
            await self.look(number, ChargerState.AVAILABLE)
        await self.pass_s(60)

    async def start_beside(self, number: int) -> None:
        """A vehicle comes and draws from now on."""
        await self.look(number, ChargerState.CONNECTED)
        await self.do(PresentToken(ANOTHER_TOKEN, number))
        self.beside = number

    async def do(self, *events: Event) -> None:
        """Something happens; returns when nothing more follows from it."""
        for event in events:
            self.engine.post(event)
        while len(self.engine.inbox) or self.line.sent:
            while len(self.engine.inbox):
                await self.engine.handle(await self.engine.inbox.get())
            while self.line.sent:
                message = json.loads(self.line.sent.popleft())
                if message[0] == 2:
                    answer = answer_to(message[2], self.clock.now().utc)
                    self.link.received(json.dumps([3, message[1], answer]))

    async def look(self, number: int, state: ChargerState) -> None:
        charging = state is ChargerState.CHARGING
        permitted = charging or state is ChargerState.SUSPENDED_EV
        wobble_v = 230.0 + (self.clock.elapsed_s * 7 % 13) / 10
        current_a = POWER_W / 3 / wobble_v if charging else 0.0
        meter = Meter(
            energy_wh=self.energy_wh[number],
            power_w=POWER_W if charging else 0.0,
            current_a=Phases(current_a, current_a, current_a),
            voltage_v=Phases(wobble_v, wobble_v, wobble_v),
        )
        seen = Observation(read_at=self.clock.now(), state=state, permit_charging=permitted, meter=meter)
        await self.do(ConnectorObserved(number, seen))

    async def pass_s(
        self, seconds: int, charging: int | None = None, plugged: int | None = None, full: int | None = None
    ) -> None:
        """`charging`, `plugged`, `full`: the connector whose vehicle draws, waits for a permit, or has a permit and
        draws nothing."""
        drawing = [number for number in (charging, self.beside) if number is not None]
        for _ in range(seconds):
            self.clock.elapsed_s += 1.0
            for number in drawing:
                self.energy_wh[number] += POWER_W / 3600
                await self.look(number, ChargerState.CHARGING)
            if full is not None:
                await self.look(full, ChargerState.SUSPENDED_EV)
            if not self.clock.elapsed_s % IDLE_POLL_S:
                for number in self.energy_wh:
                    if number not in (*drawing, full):
                        await self.look(number, ChargerState.CONNECTED if number == plugged else ChargerState.AVAILABLE)
            await self.do(Tick())

    async def transaction(self, number: int, *, cable_s: int = 0, pause_s: int = 0) -> None:
        """An hour at full power on one connector, online. `cable_s`: the cable is in so long before the token is shown,
        and still there so long after the token has ended it; 0: plugged, shown, and ended by unplugging. `pause_s`: so
        long in the middle of the hour the vehicle draws nothing of what it may."""
        await self.look(number, ChargerState.CONNECTED)
        await self.pass_s(cable_s, plugged=number)
        await self.do(PresentToken(TOKEN, number))
        half_s = (TRANSACTION_S - pause_s) // 2
        await self.pass_s(half_s, charging=number)
        await self.pass_s(pause_s, full=number)
        await self.pass_s(half_s, charging=number)
        if cable_s:
            await self.do(PresentToken(TOKEN, number))
            await self.look(number, ChargerState.CONNECTED)
            await self.pass_s(cable_s, plugged=number)
        await self.look(number, ChargerState.AVAILABLE)
        await self.do(Tick())


def _station(dialect: Dialect, now: Now) -> Station:
    names = [f"charger-{number}" for number in range(1, CONNECTORS + 1)]
    settings = StationSettings(
        id=ID,
        csms=CsmsSettings(url="ws://127.0.0.1/ocpp", versions=(dialect.subprotocol,)),
        evses=tuple(EvseSettings(charger=name, connectors=(ConnectorSettings(type="cType2"),)) for name in names),
        configuration={"MeterValueSampleInterval": "60", "StopTxnSampledData": "Energy.Active.Import.Register"},
    )
    return fresh_station(
        settings,
        GatewaySettings(id="bench"),
        dict.fromkeys(names, FACTS),
        dialect,
        boot=Boot(id="bench", floor=now.utc, started_s=now.monotonic_s),
        now=now,
        firmware_version="bench",
    )


async def _life(kind: str, amount: float, store: StationStorePort) -> dict[str, Any]:
    site = VirtualSite(store)
    await site.start()
    if kind == "transaction":
        await site.transaction(1)  # the file has its size, the cache its token
    before, commits, began = written_bytes(), site.engine.commits, time.perf_counter()
    if kind == "idle":
        await site.pass_s(int(amount * 3600))
    else:
        for number in range(int(amount)):
            await site.transaction(2 + number % (CONNECTORS - 1))
    return {
        "bytes": written_bytes() - before,
        "commits": site.engine.commits - commits,
        "spent_s": time.perf_counter() - began,
        "unsent": site.engine.station.queued,
    }


def live(kind: str, amount: float, store_kind: str) -> dict[str, Any]:
    """One life on one kind of store, in a directory of its own on the disk."""
    with tempfile.TemporaryDirectory(dir=STATE_ROOT, prefix="edged-bench-") as folder:
        path = Path(folder) / "edged.db"
        if store_kind == "json":
            return asyncio.run(_life(kind, amount, JsonFileStore(path)))
        opened = open_store(path, wall=START)
        with closing(opened.store):
            if store_kind == "rollback":
                opened.store._db.execute("PRAGMA journal_mode = DELETE")
            told = asyncio.run(_life(kind, amount, StationStore(opened.store, ID)))
            before = written_bytes()
            opened.store.backup(backup_path(path))
            return {**told, "backup_bytes": written_bytes() - before, "file_bytes": path.stat().st_size}


def one_commit(store: SqliteStore) -> None:
    """The smallest commit that there is."""
    store.commit(ID, Writes(put={"station": {"": {"bench": 1}}}), START)


if __name__ == "__main__":
    print(json.dumps(live(sys.argv[1], float(sys.argv[2]), sys.argv[3])))
