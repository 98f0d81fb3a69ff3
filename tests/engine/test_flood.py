"""A thousand requests a second for a minute, on a slow disk, in virtual time: each is answered once, and the control
path does not notice: ticks, what drivers are told, the CSMS's answers."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Any

from edged.desks import StationsView
from edged.domain.commands import GetConfiguration, RequestStop
from edged.domain.effects import Reply
from edged.domain.events import BootAnswered, ConnectorObserved, LinkUp, Registration, Started
from edged.domain.hardware import ChargerState, Desired, Meter, Observation
from edged.domain.types import Now, RequestRef
from edged.engine import TICK_S, Engine
from edged.mqtt.commands import Code, Envelope, Origin, Problem, parse_request
from edged.mqtt.desk import Desk
from edged.mqtt.ledger import RateLimit
from edged.mqtt.names import Names
from edged.mqtt.options import CommandOptions
from edged.mqtt.topics import CsmsView
from tests.engine.conftest import FakeDriver, FakeHost, FakeLink, FakeStore, Journal
from tests.fakes.site import START, station
from tests.fakes.virtual_loop import VirtualLoop, run_virtually

PER_S = 1_000
MINUTE_S = 60
COMMIT_S = 0.01
ACTORS = [f"bms-{n}" for n in range(6)]
OPTIONS = CommandOptions(actors={actor: frozenset({"*"}) for actor in ACTORS})
ASKED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("set_limit", {"connector": 1, "limit_a": 16}),
    ("set_limit", {"connector": 1, "limit_a": 8}),
    ("get_configuration_key", {"keys": ["HeartbeatInterval"]}),
    ("reserve_now", {"connector": 2, "id_token": "A", "expires_at": "2027-08-22T11:00:00Z", "reservation_id": 1}),
    ("cancel_reservation", {"reservation_id": 1}),
    ("nonsense", {}),
    ("ping", {}),
)


class Clock:
    def now(self) -> Now:
        at_s = asyncio.get_running_loop().time()
        return Now(START + timedelta(seconds=at_s), at_s, True)

    def learn(self, utc: datetime) -> None: ...


class Front:
    """The desk before the engine."""

    def __init__(self, desk: Desk, clock: Clock) -> None:
        self.desk, self.clock = desk, clock

    def answer(self, reply: Reply) -> bool:
        return self.desk.settle(reply, self.clock.now())

    def fail(self, request: RequestRef, reason: str) -> bool:
        return self.desk.fail(request, Problem(Code.INTERNAL, reason), self.clock.now())


class Link(FakeLink):
    """Notes when the CSMS was answered."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self.answered: dict[str, float] = {}

    def reply(self, reply: Reply, station: Any) -> None:
        self.answered[reply.request.id] = asyncio.get_running_loop().time()


class Driver(FakeDriver):
    def __init__(self, number: int) -> None:
        super().__init__([], number)
        self.wanted: list[tuple[float, Desired]] = []

    def want(self, desired: Desired) -> None:
        self.wanted.append((asyncio.get_running_loop().time(), desired))


class Minute:
    """A station with a car that charges, a CSMS that asks every second, and people who ask a thousand times."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.answers: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()
        self.asked_at: dict[str, float] = {}
        self.ticked: list[float] = []
        self.longest_s = 0.0
        view = StationsView(Names("edged", "gw1"), "masked")
        rate = RateLimit(rate_per_s=OPTIONS.rate_per_s, burst=OPTIONS.burst, known=OPTIONS.actors)
        self.desk = Desk(view, channel="mqtt", run_id="r", rate=rate, in_progress=OPTIONS.in_progress)
        fresh = station(2)
        self.drivers = {number: Driver(number) for number in fresh.connectors}
        self.link = Link([])
        self.engine = Engine(
            fresh,
            store=FakeStore([]),
            clock=self.clock,
            drivers=self.drivers,
            host=FakeHost([]),
            executor=object(),  # type: ignore[arg-type]  # the loop's own `run_in_executor` takes the time
            desks=(Front(self.desk, self.clock),),
            alive=lambda: self.ticked.append(asyncio.get_running_loop().time()),
        )
        self.engine.attach(self.link)
        view.add("TEST", self.engine, CsmsView())

    async def live(self) -> None:
        running = asyncio.create_task(self.engine.run())
        self.engine.post(Started(continued=False))
        self.engine.post(LinkUp())
        self.engine.post(BootAnswered(Registration.ACCEPTED, datetime.now(UTC), 300))
        people = [asyncio.create_task(work()) for work in (self._people, self._chargers, self._csms)]
        await asyncio.gather(*people)
        await asyncio.sleep(11)
        self.desk.tick(self.clock.now())
        running.cancel()

    async def _people(self) -> None:
        asked = cycle([(command, json.dumps(args)) for command, args in ASKED])
        actors = cycle([*ACTORS, "stranger"])
        count = 0
        for _ in range(MINUTE_S * 10):
            for _ in range(PER_S // 10):
                count += 1
                actor, (command, args) = next(actors), next(asked)
                raw = f'{{"id": "{count}", "args": {args}}}'.encode()
                now = self.clock.now()
                self.asked_at[str(count)] = now.monotonic_s
                request = parse_request(raw, Origin(actor=actor, command=command, options=OPTIONS), now)
                self.desk.take(request, self._told, now)
            self.desk.tick(self.clock.now())
            await asyncio.sleep(0.1)

    def _told(self, envelope: Envelope, body: Mapping[str, Any]) -> None:
        ident = str(envelope.id)
        self.answers[ident] += 1
        self.codes["ok" if body["ok"] else body["error"]["code"]] += 1
        self.longest_s = max(self.longest_s, asyncio.get_running_loop().time() - self.asked_at[ident])

    async def _chargers(self) -> None:
        for _ in range(MINUTE_S):
            for number in self.drivers:
                seen = Observation(
                    read_at=self.clock.now(),
                    state=ChargerState.AVAILABLE,
                    plugged=False,
                    meter=Meter(energy_wh=1000.0, power_w=0.0),
                )
                self.engine.post(ConnectorObserved(number, seen))
            await asyncio.sleep(1.0)

    async def _csms(self) -> None:
        for number in range(MINUTE_S):
            self.asked_at[f"csms-{number}"] = asyncio.get_running_loop().time()
            request = RequestRef("csms", f"csms-{number}", "")
            event = RequestStop(request=request, external_ref=1) if number % 2 else GetConfiguration(request, ())
            assert self.engine.post(event)
            await asyncio.sleep(1.0)


def slow_disk(loop: VirtualLoop) -> Callable[..., asyncio.Task[Any]]:
    async def commit(work: Callable[..., Any], *args: Any) -> Any:
        await asyncio.sleep(COMMIT_S)
        return work(*args)

    return lambda _executor, work, *args: loop.create_task(commit(work, *args))


def test_a_thousand_requests_a_second_for_a_minute_leave_the_control_path_alone() -> None:
    found: list[Minute] = []

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        loop.run_in_executor = slow_disk(loop)  # type: ignore[method-assign,arg-type,assignment]
        found.append(Minute())
        await found[0].live()

    run_virtually(scene(), at_most_s=120)
    minute = found[0]
    count = PER_S * MINUTE_S
    assert len(minute.answers) == count and set(minute.answers.values()) == {1}, "each is answered, once"
    assert minute.codes["ok"] <= len(ACTORS) * (OPTIONS.burst + OPTIONS.rate_per_s * MINUTE_S)
    assert minute.codes["ok"] > len(ACTORS) * OPTIONS.rate_per_s * MINUTE_S / 3, "whoever keeps to the rate is served"
    assert minute.longest_s < 2.0
    # the control path
    late = [minute.link.answered[f"csms-{n}"] - minute.asked_at[f"csms-{n}"] for n in range(MINUTE_S)]
    assert max(late) < 1.0, "the CSMS waited"
    steps = [after - before for before, after in zip(minute.ticked, minute.ticked[1:], strict=False)]
    assert len(minute.ticked) >= MINUTE_S
    assert max(steps) < 2 * TICK_S, "a tick came late"
    wanted = minute.drivers[1].wanted
    assert {one.current_limit_ma for _, one in wanted} >= {8_000, 16_000}, "what was set reached the driver"
    assert minute.engine.inbox.refused == 0
