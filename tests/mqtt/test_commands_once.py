"""The same id never acts twice, whenever the power goes: an answer is on the disk together with what it answers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from edged.desks import MirrorDesk, StationsView, StoredReplies
from edged.domain.effects import Effect, Reply, RestartScope
from edged.domain.events import ActionPerformed, ConnectorObserved, Event, Started
from edged.domain.hardware import Action, ActionOutcome, ChargerState, Desired, Observation
from edged.domain.station import Station
from edged.domain.types import Now, RequestRef
from edged.engine import Engine
from edged.happenings import TellingStore
from edged.mqtt.commands import Envelope, Origin, Problem, parse_request
from edged.mqtt.desk import Desk
from edged.mqtt.event_log import EventLog
from edged.mqtt.ledger import KeptReply
from edged.mqtt.names import Names
from edged.mqtt.options import IdTokenPolicy
from edged.mqtt.topics import CsmsView
from edged.ports import StoreError
from edged.store import loading
from edged.store.memory import MemoryStore
from edged.store.station_store import StationStore
from tests.fakes import site as builder

RESERVE = {"connector": 1, "id_token": "DRIVER-0001", "expires_at": "2026-05-04T13:00:00Z"}
REQUESTS = (
    ("reserve_now", "r1", RESERVE),
    ("set_configuration_key", "k1", {"key": "ConnectionTimeOut", "value": "77"}),
    ("unlock_connector", "u1", {"connector": 2}),
    ("cancel_reservation", "c1", {"reservation_id": 99}),
    ("set_limit", "l1", {"connector": 1, "limit_a": 10}),
)


class Crash(BaseException):
    """The power goes."""


class StandingClock:
    def now(self) -> Now:
        return Now(builder.START, 1000.0, True)

    def learn(self, utc: datetime) -> None: ...


@dataclass
class Front:
    """What `MirrorDesk` needs of a mirror: a desk."""

    desk: Desk

    def answer(self, reply: Reply) -> bool:
        return self.desk.settle(reply, StandingClock().now())

    def fail(self, request: RequestRef, problem: Problem) -> bool:
        return self.desk.fail(request, problem, StandingClock().now())

    def keep_with(self, request: RequestRef | None, replies: Sequence[Reply]) -> tuple[KeptReply, ...]:
        return self.desk.keep_with(request, replies, StandingClock().now())


@dataclass
class Power:
    """Goes at the `crash_at`th commit: `after` it was durable, or before. What was done is counted over all runs."""

    crash_at: int = 0
    after: bool = False
    refuse_at: int = 0
    commits: int = 0
    done: Counter[str] = field(default_factory=Counter)


class Watched:
    """The store of the engine, with the power cut."""

    def __init__(self, inner: TellingStore, power: Power) -> None:
        self.inner, self.power = inner, power
        self._acts: list[str] = []

    def difference(self, before: Station, after: Station, effects: Sequence[Effect], event: Event) -> Any:
        request = getattr(event, "request", None)
        changed = set(before.reservations) != set(after.reservations)
        changed |= before.configuration.changed != after.configuration.changed
        changed |= (before.isolation is None) != (after.isolation is None)
        changed |= before.charging_profiles != after.charging_profiles
        self._acts = [request.action] if request is not None and changed else []
        return self.inner.difference(before, after, effects, event)

    def commit(self, difference: Any, wall: datetime) -> None:
        self.power.commits += 1
        if self.power.commits == self.power.refuse_at:
            raise StoreError("no space left")
        if self.power.commits == self.power.crash_at and not self.power.after:
            raise Crash
        self.inner.commit(difference, wall)
        self.power.done.update(self._acts)
        if self.power.commits == self.power.crash_at:
            raise Crash

    def defer(self, difference: Any, now: Now) -> bool:
        return self.inner.defer(difference, now)

    def overdue(self, now: Now) -> bool:
        return self.inner.overdue(now)

    def keep(self, wall: datetime) -> bool:
        return self.inner.keep(wall)

    def outbox(self, lane: Any, after_seq: int, limit: int) -> Any:
        return self.inner.outbox(lane, after_seq, limit)


class Charger:
    """Unlocks when it is told to; says so when it is asked."""

    def __init__(self, run: Run, number: int) -> None:
        self.run, self.number = run, number

    def start(self, listener: Any) -> None: ...

    def want(self, desired: Desired) -> None: ...

    def perform(self, action: Action, ticket: str) -> None:
        self.run.power.done[f"perform {action.value}"] += 1
        self.run.engine.post(ActionPerformed(ticket, ActionOutcome.DONE))


class Host:
    def restart(self, scope: RestartScope) -> None: ...


class Run:
    """One run of the daemon, from what the disk holds."""

    def __init__(self, store: MemoryStore, power: Power, number: int) -> None:
        self.power = power
        self.answers: list[tuple[Envelope, Mapping[str, Any]]] = []
        clock = StandingClock()
        names = Names("edged", "gw1")
        view = StationsView(names, "masked")
        self.desk = Desk(view, channel="mqtt", run_id=f"run{number}", store=StoredReplies(store, clock))
        self.desk.recall(clock.now())
        front = MirrorDesk(Front(self.desk))  # type: ignore[arg-type]
        log = EventLog("b", policy=IdTokenPolicy.MASKED, salt="", first_seq=0, last_seq=0, delivered_seq=0)
        station = loading.load(store.load("TEST"), builder.station(2)).station
        telling = TellingStore(StationStore(store, "TEST"), log, "TEST", front.replies)
        self.engine = Engine(
            station,
            store=Watched(telling, power),
            clock=clock,
            drivers={n: Charger(self, n) for n in station.connectors},
            host=Host(),
            executor=None,
            desks=(front,),
        )
        view.add("TEST", self.engine, CsmsView())

    async def begin(self) -> None:
        self.engine.post(Started(continued=True))
        now = StandingClock().now()
        for number in self.engine.station.connectors:
            seen = Observation(read_at=now, state=ChargerState.AVAILABLE, plugged=False)
            self.engine.post(ConnectorObserved(number, seen))
        await self.settle()

    async def settle(self) -> None:
        while len(self.engine.inbox):
            await self.engine.handle(await self.engine.inbox.get())

    async def ask(self, command: str, ident: str, args: Mapping[str, Any]) -> Any:
        raw = json.dumps({"id": ident, "command": command, "args": args}).encode()
        now = StandingClock().now()
        request = parse_request(raw, Origin(actor="bms"), now)
        self.desk.take(request, lambda envelope, body: self.answers.append((envelope, body)), now)
        await self.settle()
        return self.answers[-1][1] if self.answers and self.answers[-1][0].id == ident else None


async def live(power: Power, store: MemoryStore, number: int) -> dict[str, Any]:
    """Ask for everything; what was answered before the power went."""
    found: dict[str, Any] = {}
    try:
        run = Run(store, power, number)
        await run.begin()
        for command, ident, args in REQUESTS:
            found[ident] = await run.ask(command, ident, args)
    except Crash:
        pass
    return found


@pytest.mark.parametrize("after", [False, True], ids=["before the commit", "after the commit"])
async def test_whenever_the_power_goes_nothing_is_done_twice(after: bool) -> None:
    whole = Power()
    await live(whole, MemoryStore(), 0)
    assert whole.done["perform unlock"] == whole.done["reserve_now"] == 1
    assert whole.commits > len(REQUESTS)
    for crash_at in range(1, whole.commits + 1):
        power, store = Power(crash_at=crash_at, after=after), MemoryStore()
        first = await live(power, store, 1)
        again = await live(power, store, 2)
        assert set(again) == {ident for _, ident, _ in REQUESTS}, "everything is answered in the end"
        assert max(power.done.values()) == 1, f"done twice after a crash at commit {crash_at}: {power.done}"
        for ident, told in first.items():
            if told is not None:
                assert {**again[ident], "repeated": True} == {**told, "repeated": True}, "another answer"
                assert again[ident]["repeated"]


async def test_what_was_begun_and_not_answered_is_told_honestly_on_repetition() -> None:
    whole, honest = Power(), 0
    await live(whole, MemoryStore(), 0)
    for crash_at in range(1, whole.commits + 1):
        power, store = Power(crash_at=crash_at, after=True), MemoryStore()
        await live(power, store, 1)
        unlocked = (await live(power, store, 2))["u1"]
        if not unlocked["ok"]:
            honest += 1
            assert unlocked["error"]["code"] == "timeout"
            assert "not known" in unlocked["error"]["message"]
            assert power.done["perform unlock"] == 0
    assert honest == 1


async def test_what_the_disk_did_not_keep_has_not_happened_and_may_be_asked_again_with_its_id() -> None:
    store, power = MemoryStore(), Power()
    run = Run(store, power, 1)
    await run.begin()
    power.refuse_at = power.commits + 1
    refused = await run.ask("reserve_now", "r1", RESERVE)
    assert refused["error"]["code"] == "internal"
    assert not run.engine.station.reservations
    accepted = await run.ask("reserve_now", "r1", RESERVE)
    assert accepted["result"]["status"] == "Accepted"
    assert "repeated" not in accepted


async def test_an_answer_that_sent_nothing_is_forgotten_also_on_the_disk() -> None:
    store, power = MemoryStore(), Power()
    run = Run(store, power, 1)
    await run.begin()
    offline = await run.ask("data_transfer", "d1", {"vendor_id": "v"})
    assert offline["error"]["code"] == "csms_offline"
    later = Run(store, power, 2)
    await later.begin()
    assert "repeated" not in await later.ask("data_transfer", "d1", {"vendor_id": "v"})


async def test_what_ended_with_the_daemon_is_not_said_to_hold_by_an_old_answer() -> None:
    """A stopped station speaks again after a restart: the same `stop` stops it anew."""
    store, power = MemoryStore(), Power()
    run = Run(store, power, 1)
    await run.begin()
    assert (await run.ask("stop", "s1", {}))["result"] is True
    assert (await run.ask("stop", "s1", {}))["repeated"] is True
    later = Run(store, power, 2)
    await later.begin()
    assert later.engine.station.isolation is None
    again = await later.ask("stop", "s1", {})
    assert (again["result"], "repeated" in again) == (True, False)
    assert later.engine.station.isolation is not None


async def test_questions_and_strangers_requests_leave_nothing_on_the_disk() -> None:
    store, power = MemoryStore(), Power()
    run = Run(store, power, 1)
    await run.begin()
    for command in ("ping", "get_state", "get_configuration_key"):
        assert (await run.ask(command, "q1", {}))["ok"]
    assert store.replies_load() == []
