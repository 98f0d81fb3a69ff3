"""An engine whose world is one journal: who was told what, in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edged.domain.effects import Effect, Lane, Record, Reply, RestartScope
from edged.domain.events import BootAnswered, ConnectorObserved, Event, LinkUp, Registration, Started, Tick
from edged.domain.hardware import Action, ChargerState, Desired, Meter, Observation
from edged.domain.station import Station
from edged.domain.types import Now, RequestRef
from edged.engine import Engine
from edged.ports import ChargerListener, StoreError
from edged.store.memory import MemoryStore
from edged.store.station_store import StationStore
from tests.fakes.site import START, station

Journal = list[tuple[Any, ...]]


@dataclass
class FakeClock:
    journal: Journal
    time: Now = field(default_factory=lambda: Now(START, 1000.0, True))

    def now(self) -> Now:
        return self.time

    def learn(self, utc: datetime) -> None:
        self.journal.append(("learn", utc))

    def advance(self, seconds: float) -> None:
        utc = self.time.utc + timedelta(seconds=seconds)
        self.time = replace(self.time, utc=utc, monotonic_s=self.time.monotonic_s + seconds)


@dataclass
class FakeStore:
    """The real rows on a memory disk; `broken` is what every commit raises."""

    journal: Journal
    disk: MemoryStore = field(default_factory=MemoryStore)
    broken: StoreError | None = None
    commits: int = 0

    def __post_init__(self) -> None:
        self.rows = StationStore(self.disk, "TEST")

    def difference(self, before: Station, after: Station, effects: Sequence[Effect], event: Event) -> Any:
        return self.rows.difference(before, after, effects, event)

    def commit(self, difference: Any, wall: datetime) -> None:
        if self.broken is not None:
            raise self.broken
        self.rows.commit(difference, wall)
        self.commits += 1
        self.journal.append(("commit",))

    def defer(self, difference: Any, now: Now) -> bool:
        return self.rows.defer(difference, now)

    def overdue(self, now: Now) -> bool:
        return self.rows.overdue(now)

    def keep(self, wall: datetime, *, anyway: bool = False) -> bool:
        if (anyway or self.rows.waiting) and self.broken is not None:
            raise self.broken
        kept = self.rows.keep(wall, anyway=anyway)
        if kept:
            self.commits += 1
            self.journal.append(("commit",))
        return kept

    def outbox(self, lane: Lane, after_seq: int, limit: int) -> Sequence[tuple[int, Record]]:
        return self.rows.outbox(lane, after_seq, limit)


@dataclass
class FakeDriver:
    journal: Journal
    number: int
    listener: ChargerListener | None = None

    def start(self, listener: ChargerListener) -> None:
        self.listener = listener

    def want(self, desired: Desired) -> None:
        self.journal.append(("want", self.number, desired.permit_charging))

    def perform(self, action: Action, ticket: str) -> None:
        self.journal.append(("perform", self.number, action))

    async def stop(self) -> None:
        return None


@dataclass
class FakeLink:
    journal: Journal

    def reply(self, reply: Reply, station: Station) -> None:
        self.journal.append(("reply", reply.request.id, str(reply.status)))

    def refuse(self, request: RequestRef, reason: str) -> None:
        self.journal.append(("refuse", request.id))

    def show(self, station: Station, now: Now, effects: Sequence[Effect]) -> None:
        self.journal.append(("csms", station))

    async def flush(self, timeout_s: float) -> None:
        return None


@dataclass
class FakeDesk:
    """Serves requests of one channel."""

    journal: Journal
    channel: str

    def answer(self, reply: Reply) -> bool:
        if reply.request.channel == self.channel:
            self.journal.append(("desk", self.channel, reply.request.id, str(reply.status)))
        return reply.request.channel == self.channel

    def fail(self, request: RequestRef, reason: str) -> bool:
        if request.channel == self.channel:
            self.journal.append(("desk failed", self.channel, request.id))
        return request.channel == self.channel


@dataclass
class FakeMirror:
    journal: Journal

    def show(self, station: Station, now: Now) -> None:
        self.journal.append(("mirror", station))


@dataclass
class FakeHost:
    journal: Journal

    def restart(self, scope: RestartScope) -> None:
        self.journal.append(("restart", scope))


@dataclass
class Bench:
    """One engine and its world."""

    journal: Journal
    clock: FakeClock
    store: FakeStore
    drivers: Mapping[int, FakeDriver]
    engine: Engine
    alive: list[None] = field(default_factory=list)

    @classmethod
    def build(cls, **shape: Any) -> Bench:
        journal: Journal = []
        clock, store = FakeClock(journal), FakeStore(journal)
        fresh = station(**shape)
        drivers = {number: FakeDriver(journal, number) for number in fresh.connectors}
        alive: list[None] = []
        engine = Engine(
            fresh,
            store=store,
            clock=clock,
            drivers=drivers,
            host=FakeHost(journal),
            executor=None,
            mirrors=(FakeMirror(journal),),
            desks=(FakeDesk(journal, "local"), FakeDesk(journal, "mqtt:bms")),
            alive=lambda: alive.append(None),
        )
        engine.attach(FakeLink(journal))
        return cls(journal, clock, store, drivers, engine, alive)

    async def do(self, *events: Event) -> Journal:
        """Handle events; what the world was told by them."""
        mark = len(self.journal)
        for event in events:
            await self.engine.handle(event)
        return self.journal[mark:]

    async def look(self, number: int, state: ChargerState, energy_wh: float = 1000.0) -> Journal:
        meter = Meter(energy_wh=energy_wh, power_w=0.0)
        return await self.do(ConnectorObserved(number, Observation(read_at=self.clock.now(), state=state, meter=meter)))

    async def serving(self) -> Bench:
        """Started, seen and accepted by the CSMS."""
        await self.do(Started(continued=False))
        for number in self.drivers:
            await self.look(number, ChargerState.AVAILABLE)
        await self.do(LinkUp(), BootAnswered(Registration.ACCEPTED, datetime.now(UTC), 300))
        return self

    async def ticks(self, count: int) -> Journal:
        mark = len(self.journal)
        for _ in range(count):
            self.clock.advance(1.0)
            await self.do(Tick())
        return self.journal[mark:]


@pytest.fixture
async def bench() -> Bench:
    return await Bench.build().serving()


def kinds(journal: Journal) -> list[str]:
    """Who was told, in order, without what."""
    return [entry[0] for entry in journal]
