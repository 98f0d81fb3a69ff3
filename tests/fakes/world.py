"""A whole site in virtual time: people, cars, chargers, a wire, a CSMS with moods, a disk that is cut from under it.

One seed gives one run, to the letter. The station under test is the real engine, the real link, the real dialect and
the real records; only the sockets, the disk and the clock are played. `Crash` is raised at a chosen port call: the
process is gone at exactly that instruction, and comes back from what the disk holds.
"""

from __future__ import annotations

import heapq
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from edged.csms.link import Link
from edged.dialects.v16 import Ocpp16
from edged.domain.effects import Effect, Reply, RestartScope
from edged.domain.events import PresentToken, Started, Tick
from edged.domain.hardware import Action, ActionOutcome, ChargerState, Desired, LockState, Meter, Observation
from edged.domain.station import Boot, Station
from edged.domain.types import IdToken, Now, RequestRef
from edged.engine import Engine
from edged.store import loading, records
from edged.store.memory import MemoryStore
from edged.store.station_store import StationStore
from tests.fakes import site as builder
from tests.fakes.central import Central

TRUTH = datetime(2026, 3, 1, 8, 0, 0, tzinfo=UTC)
POLL_EVERY_S = 2
TOKENS = ("ALICE", "BOB", "CARLA", "DAN")


class Crash(BaseException):
    """The power goes. Nothing may catch it."""


@dataclass
class VirtualClock:
    """The station's clock: wrong by `error_s` until somebody tells the time, drifting, never before `floor`."""

    world: World
    error_s: float
    synchronized: bool
    floor: datetime

    def now(self) -> Now:
        utc = self.world.true_utc() + timedelta(seconds=self.error_s)
        return Now(max(utc, self.floor), self.world.monotonic_s(), self.synchronized)

    def learn(self, utc: datetime) -> None:
        self.error_s = (utc - self.world.true_utc()).total_seconds()
        self.synchronized = True


@dataclass
class Wallbox:
    """A charger with physics: current flows only with the contactor closed, the register only rises."""

    number: int
    world: World
    desired: Desired = field(default_factory=lambda: Desired(permit_charging=False))
    listener: Any = None
    plugged: bool = False
    hungry: bool = True
    contactor: bool = False
    energy_wh: float = 5000.0
    fault: bool = False
    jammed: bool = False
    silent: bool = False
    told_lost: bool = False

    # --- ports.Driver

    def start(self, listener: Any) -> None:
        self.listener = listener

    def want(self, desired: Desired) -> None:
        self.world.instruction()
        if not self.silent:
            self.desired = desired
            self._switch()

    def perform(self, action: Action, ticket: str) -> None:
        self.world.instruction()
        assert action is not Action.UNLOCK or not self.contactor, "unlocked under load"
        listener = self.listener
        outcome = ActionOutcome.FAILED if self.jammed else ActionOutcome.DONE
        if self.silent:
            outcome = ActionOutcome.TIMEOUT
        self.world.later(1.5, lambda: listener.performed(ticket, outcome, ""))

    async def stop(self) -> None:
        return None

    # --- physics

    def _switch(self) -> None:
        self.contactor = self.desired.permit_charging and self.plugged and self.hungry and not self.fault

    def second(self) -> None:
        self._switch()
        if self.contactor:
            self.energy_wh += 3.0

    def poll(self, wanted: Desired) -> None:
        """What a driver does once a second: look, report, and put right what differs."""
        if self.listener is None:
            return
        if self.silent:
            if not self.told_lost:
                self.told_lost = True
                self.listener.lost("no answer")
            return
        self.told_lost = False
        self.desired = wanted
        self._switch()
        self.listener.observed(
            Observation(
                read_at=self.world.clock.now(),
                state=self._state(),
                lock=LockState.LOCKED if self.plugged and self.desired.permit_charging else LockState.UNLOCKED,
                permit_charging=self.desired.permit_charging,
                meter=Meter(energy_wh=self.energy_wh, power_w=10_800.0 if self.contactor else 0.0),
            )
        )

    def _state(self) -> ChargerState:
        if self.fault:
            return ChargerState.FAULTED
        if not self.plugged:
            return ChargerState.AVAILABLE
        if self.contactor:
            return ChargerState.CHARGING
        return ChargerState.CONNECTED_READY if self.desired.permit_charging else ChargerState.CONNECTED


class Wire:
    """The connection as the link sees it; the world carries the frames."""

    def __init__(self, world: World, link: Link) -> None:
        self.world = world
        self.link = link
        self.connected = False

    def send(self, frame: str) -> bool:
        self.world.instruction()
        if not self.connected:
            return False
        self.world.to_csms(self, frame)
        return True

    def settled(self) -> None: ...

    def set_ping_interval(self, seconds: float) -> None: ...

    async def flush(self, timeout_s: float) -> bool:
        return True


class World:
    """`crash_at`: port calls (counted from 1) at which the process dies; `store` outlives it."""

    def __init__(self, seed: int, *, connectors: int = 3, crash_at: Sequence[int] = ()) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.elapsed_s = 0.0
        self.calls = 0
        self.crash_at = set(crash_at)
        self.crashes = 0
        self.commit_fails = 0.0
        self.agenda: list[tuple[float, int, Callable[[], None]]] = []
        self.order = 0
        self.seconds = 0
        self.streams: dict[str, float] = {}
        self.store = MemoryStore()
        self.configuration = {
            "LocalPreAuthorize": self.random.choice(("true", "false")),
            "AllowOfflineTxForUnknownId": self.random.choice(("true", "false")),
            "MeterValueSampleInterval": "60",
            "ClockAlignedDataInterval": self.random.choice(("0", "300")),
            "StopTransactionOnEVSideDisconnect": self.random.choice(("true", "true", "false")),
            "ConnectionTimeOut": self.random.choice(("30", "90")),
            "MinimumStatusDuration": self.random.choice(("0", "0", "2")),
            "TransactionMessageAttempts": "5",
            "TransactionMessageRetryInterval": "20",
        }
        self.boxes = {n: Wallbox(n, self) for n in range(1, connectors + 1)}
        self.central = Central(self)
        self.history: list[Effect] = []
        self.restarting: RestartScope | None = None
        self.boots = 0
        self.power_loss = False
        self.clock = VirtualClock(self, 0.0, False, TRUTH)
        self.check: Callable[[World, Station, Station], None] = lambda _world, _before, _after: None
        self.line_up = True
        self.boot()

    # --- time

    def true_utc(self) -> datetime:
        return TRUTH + timedelta(seconds=self.elapsed_s)

    def monotonic_s(self) -> float:
        return 100.0 + self.elapsed_s * 1.00001

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        self.order += 1
        heapq.heappush(self.agenda, (self.elapsed_s + seconds, self.order, what))

    # --- the process

    def instruction(self) -> None:
        """One call of the station into the world: the finest grain at which the power can go."""
        self.calls += 1
        if self.calls in self.crash_at:
            raise Crash

    def boot(self) -> None:
        """Start the daemon from what the disk holds."""
        self.boots += 1
        self.power_loss = self.power_loss or self.boots == 1
        floor = self.store.last_wall() or TRUTH - timedelta(days=400)
        rtc_lost = self.power_loss and self.random.random() < 0.5
        error_s = -self.random.uniform(0, 3e7) if rtc_lost else self.random.uniform(-2, 2)
        self.clock = VirtualClock(self, error_s, not rtc_lost, floor)
        now = self.clock.now()
        shape = builder.station(len(self.boxes), policy=Ocpp16().policy, configuration=self.configuration)
        fresh = _fresh(shape, Boot(id=f"b{self.boots}", floor=floor, started_s=now.monotonic_s), now)
        loaded = loading.load(self.store.load("TEST"), fresh)
        assert not loaded.damaged, loaded.warnings
        station_store = CrashingStore(StationStore(self.store, "TEST"), self)
        if loaded.repairs:
            self.store.commit("TEST", loaded.repairs, now.utc)
        self.restarting = None
        self.engine = Engine(
            loaded.station,
            store=station_store,
            clock=self.clock,
            drivers=self.boxes,
            host=self,
            executor=None,
            mirrors=(),
        )
        ids = (f"{self.boots}-{n}" for n in range(1, 10**9))
        self.link = Link(
            loaded.station,
            Ocpp16(),
            post=self.engine.post,
            new_id=lambda: next(ids),
            monotonic=self.monotonic_s,
            read_outbox=station_store.outbox,
        )
        self.wire = Wire(self, self.link)
        self.link.attach(self.wire)  # type: ignore[arg-type]
        self.engine.attach(self.link)
        for number, box in self.boxes.items():
            box.start(_Ear(self, number))
        continued = not self.power_loss
        self.power_loss = False
        self.engine.post(Started(continued=continued))
        self.settle()

    def restart(self, scope: RestartScope) -> None:
        """ports.Host"""
        self.restarting = scope

    def die(self, *, power: bool) -> None:
        """The process is gone; with `power` the chargers and the line as well."""
        self.crashes += 1
        self.power_loss = power
        self.cut(notify=False)
        for box in self.boxes.values():
            box.listener = None
            if power:
                box.desired = Desired(permit_charging=False)
                box.contactor = False
        self.later(self.random.uniform(1, 40), self._revive)

    def _revive(self) -> None:
        try:
            self.boot()
        except Crash:
            self.die(power=self.random.random() < 0.5)
            return
        self.later(self.random.uniform(0.5, 5), self.connect)

    def settle(self) -> None:
        """Let the engine handle all that waits, checking after every step."""
        engine = self.engine
        while len(engine.inbox):
            before = engine.station
            _run(engine.handle(_run(engine.inbox.get())))
            self.check(self, before, engine.station)

    def guard(self, what: Callable[[], None]) -> None:
        """Do something to the living process; a crash ends it."""
        try:
            what()
            if self.alive():
                self.settle()
        except Crash:
            self.die(power=self.random.random() < 0.5)
        if self.restarting is not None and self.alive():
            self.die(power=False)

    def alive(self) -> bool:
        return self.boxes[1].listener is not None

    # --- the line

    def connect(self) -> None:
        if not self.line_up or not self.alive() or self.wire.connected:
            return
        self.wire.connected = True
        self.central.connected()
        self.guard(lambda: self.link.opened("ocpp1.6"))

    def cut(self, *, notify: bool = True) -> None:
        if not self.wire.connected:
            return
        self.wire.connected = False
        self.central.disconnected()
        if notify:
            self.guard(lambda: self.link.closed("cut"))

    def to_csms(self, wire: Wire, frame: str) -> None:
        self._carry("up", lambda: self.central.receive(frame) if wire.connected else None)

    def _carry(self, direction: str, arrive: Callable[[], None]) -> None:
        """A frame on its way; a stream keeps its order."""
        at_s = max(self.elapsed_s + self.random.uniform(0.01, 0.3), self.streams.get(direction, 0.0))
        self.streams[direction] = at_s
        self.later(at_s - self.elapsed_s, arrive)

    def to_station(self, message: list[Any]) -> None:
        wire, frame = self.wire, json.dumps(message)

        def arrive() -> None:
            if wire.connected and wire is self.wire and self.alive():
                self.guard(lambda: self.link.received(frame))

        self._carry("down", arrive)

    # --- life

    def run(self, seconds: float) -> None:
        """Let everything that is on the agenda happen, for so long."""
        end = self.elapsed_s + seconds
        while self.agenda and self.agenda[0][0] <= end:
            at, _, what = heapq.heappop(self.agenda)
            self.elapsed_s = max(self.elapsed_s, at)
            what()
        self.elapsed_s = end

    def start(self) -> None:
        self.later(1.0, self._second)
        self.later(0.5, self.connect)

    def _second(self) -> None:
        self.later(1.0, self._second)
        for box in self.boxes.values():
            box.second()
        if not self.alive():
            return
        wanted = dict(self.engine.wanted)
        self.seconds += 1
        for number, box in self.boxes.items():
            if (self.seconds + number) % POLL_EVERY_S:
                continue
            desired = wanted.get(number, Desired(permit_charging=False))
            self.guard(lambda box=box, desired=desired: box.poll(desired) if self.alive() else None)
        if self.alive():
            self.guard(lambda: self.engine.post(Tick()) and None)

    def show_token(self, token: str, connector: int | None) -> None:
        if self.alive():
            self.guard(lambda: self.engine.post(PresentToken(IdToken(token), connector)) and None)


@dataclass
class _Ear:
    """A listener of one process; deaf once that process is gone."""

    world: World
    number: int

    def __post_init__(self) -> None:
        self.engine = self.world.engine

    def _alive(self) -> bool:
        return self.engine is self.world.engine and self.world.alive()

    def observed(self, observation: Observation) -> None:
        from edged.domain.events import ConnectorObserved

        if self._alive():
            self.engine.post(ConnectorObserved(self.number, observation))

    def lost(self, reason: str) -> None:
        from edged.domain.events import ChargerLost

        if self._alive():
            self.engine.post(ChargerLost(self.number, reason))

    def performed(self, ticket: str, outcome: ActionOutcome, detail: str) -> None:
        from edged.domain.events import ActionPerformed

        if self._alive():
            self.world.guard(lambda: self.engine.post(ActionPerformed(ticket, outcome, detail)) and None)


class CrashingStore:
    """The disk: may refuse, may lose the power before or right after the commit."""

    def __init__(self, inner: StationStore, world: World) -> None:
        self.inner = inner
        self.world = world
        self.outbox = inner.outbox
        self.difference = inner.difference

    def commit(self, difference: Any, wall: datetime) -> None:
        self.world.instruction()
        if self.world.commit_fails and self.world.random.random() < self.world.commit_fails:
            from edged.ports import StoreError

            raise StoreError("disk full (played)")
        self.inner.commit(difference, wall)
        self.world.instruction()


def _fresh(shape: Station, boot: Boot, now: Now) -> Station:
    from dataclasses import replace

    return replace(shape, boot=boot, clock=now, wall_kept=boot.floor)


def _run(coroutine: Any) -> Any:
    """Drive a coroutine that never really waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("the engine waited in virtual time")


def reload(world: World) -> Station:
    """The station as a restart would find it now."""
    now = world.clock.now()
    shape = builder.station(len(world.boxes), policy=Ocpp16().policy, configuration=world.configuration)
    fresh = _fresh(shape, world.engine.station.boot, now)
    return loading.load(world.store.load("TEST"), fresh).station


__all__ = ["Crash", "RequestRef", "Reply", "World", "records", "reload"]
