"""A whole site in virtual time: people, cars, chargers, a wire, a CSMS with moods, a broker, a disk that is cut off.

One seed gives one run, to the letter. The station under test is the real engine, link, dialect, records, clock and
MQTT mirror; only the sockets, the disk and time itself are played. `Crash` is raised at a chosen port call: the
process is gone at exactly that instruction, and comes back from what the disk holds.
"""

from __future__ import annotations

import heapq
import json
import random
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from edged.csms.endpoint import ConnectionSettings
from edged.csms.failure import Failure
from edged.csms.link import Link
from edged.desks import MirrorDesk, StationsView
from edged.dialects.v16 import Ocpp16
from edged.dialects.v201 import Ocpp201
from edged.domain.effects import Effect, RestartScope
from edged.domain.events import ActionPerformed, ChargerLost, ConnectorObserved, Event, PresentToken, Started, Tick
from edged.domain.hardware import ActionOutcome, Capability, Observation
from edged.domain.station import Boot, ConnectorLayout, SiteRules, Station, Vendor
from edged.domain.types import IdToken, Now
from edged.engine import Engine
from edged.mqtt.gateway_documents import GatewayView
from edged.mqtt.mirror import MqttMirror
from edged.mqtt.topics import CsmsView
from edged.ocpp.dialect import Dialect, computed_for
from edged.ports import StationStore, StoreError
from edged.settings import StationSettings
from edged.settings.model import CsmsSettings, Secret
from edged.store import loading
from edged.store.deferral import Patience
from edged.store.memory import MemoryStore
from edged.store.station_store import StationStore as StoredStation
from edged.system.clock import SystemClock
from edged.views import Watcher
from edged.words import connection_settings
from tests.fakes import site as builder
from tests.fakes.broker import NAMES, OPTIONS, Broker
from tests.fakes.central import V16, V201, Central
from tests.fakes.crew import Crew, Hook
from tests.fakes.door import CLOSED, OWN_PASSWORD, Door
from tests.fakes.spool import Spool
from tests.fakes.wallbox import Wallbox

TRUTH = datetime(2026, 3, 1, 8, 0, 0, tzinfo=UTC)
WITHOUT_BATTERY = datetime(1970, 1, 1, 0, 0, 10, tzinfo=UTC)
POLL_EVERY_S = 2
TOKENS = ("ALICE", "BOB", "CARLA", "DAN")
IDENTITY = "TEST"
ATTEMPTS_S = (4.0, 30.0)
PATIENCE = Patience(untold_s=60.0, told_s=150.0)
"""Shorter than a real one's, for a virtual life is short, too."""
VERSIONS: Mapping[str, Dialect] = {V16: Ocpp16(), V201: Ocpp201()}


class Crash(BaseException):
    """The power goes. Nothing may catch it."""


class Watch(Protocol):
    """Whoever judges the world. Each method raises `AssertionError` at what must not be."""

    def kept(self, before: Station, event: Event, after: Station, effects: tuple[Effect, ...], now: Now) -> None:
        """A step can no longer be undone: it was committed, or there was nothing to commit."""

    def committed(self) -> None:
        """The disk has all that was kept until now."""

    def handled(self, before: Station, after: Station) -> None:
        """The engine is through with an event."""

    def booted(self, station: Station) -> None: ...

    def died(self) -> None: ...

    def second(self) -> None: ...

    def asked(self, number: int, action: str, payload: Mapping[str, Any]) -> None:
        """The CSMS has asked for something; the numbers rise."""

    def acknowledged(self, number: int, action: str, asked: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """The CSMS has an answer in its hands."""

    def attempted(self, settings: ConnectionSettings) -> None:
        """The station tries to open a line."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a site is like: its shape, its settings, its clock. `slow_commits`: how many of the commits take so long
    that the rest of the world goes on meanwhile. `version`: what the CSMS speaks; `switches`: one day the other one."""

    layouts: tuple[ConnectorLayout, ...]
    configuration: Mapping[str, str]
    rules: SiteRules
    drift: float = 1e-5
    battery: bool = True
    ntp_after_s: float | None = 5.0
    mirror: bool = True
    slow_commits: float = 0.0
    version: str = V16
    switches: bool = False


def draw(seed: int) -> Plan:
    """A site of that seed. Every other one speaks 2.0.1, and every tenth changes its version in mid-life."""
    plan = _draw_site(seed)
    if seed % 2 == 0 and seed % 10 != 0:
        return plan
    rng = random.Random(f"versions {seed}")
    configuration = {
        **plan.configuration,
        "TxStartPoint": rng.choice(("PowerPathClosed", "EVConnected", "Authorized", "EVConnected,Authorized")),
        "TxStopPoint": rng.choice(("Authorized,EVConnected", "EVConnected", "PowerPathClosed", "EnergyTransfer")),
        "MasterPassGroupId": rng.choice(("", "MASTERS")),
    }
    return replace(
        plan,
        version=V201 if seed % 2 else V16,
        switches=seed % 10 in (0, 5),
        configuration=configuration,
        rules=replace(plan.rules, has_display=rng.random() < 0.7),
    )


def _draw_site(seed: int) -> Plan:
    rng = random.Random(f"plan {seed}")
    layouts = []
    for number in range(1, 4):
        drawn = set(builder.FULL)
        if rng.random() < 0.5:
            drawn |= {Capability.LOCK_CONTROL}
        if rng.random() < 0.4:
            drawn |= {Capability.AVAILABILITY, Capability.AVAILABILITY_SENSE}
        if rng.random() < 0.2:
            drawn |= {Capability.RESET_SOFT, Capability.RESET_HARD}
        shared = number == 3 and rng.random() < 0.25
        layouts.append(
            builder.layout(
                number,
                capabilities=frozenset(drawn),
                evse_id=2 if shared else number,
                connector_id=2 if shared else 1,
                connector_type=rng.choice(("cType2", "cType2", "sType2")),
            )
        )
    configuration = {
        "LocalPreAuthorize": rng.choice(("true", "false")),
        "AllowOfflineTxForUnknownId": rng.choice(("true", "false")),
        "AuthorizeRemoteTxRequests": rng.choice(("true", "false")),
        "AuthorizationCacheEnabled": rng.choice(("true", "true", "false")),
        "MeterValueSampleInterval": rng.choice(("0", "20", "60")),
        "ClockAlignedDataInterval": rng.choice(("0", "60", "300")),
        "StopTransactionOnEVSideDisconnect": rng.choice(("true", "true", "false")),
        "StopTransactionOnInvalidId": rng.choice(("true", "false")),
        "UnlockConnectorOnEVSideDisconnect": rng.choice(("true", "false")),
        "MaxEnergyOnInvalidId": rng.choice(("0", "300")),
        "StopTxnSampledData": rng.choice(("", "Energy.Active.Import.Register")),
        "ConnectionTimeOut": rng.choice(("30", "90")),
        "MinimumStatusDuration": rng.choice(("0", "0", "2")),
        "TransactionMessageAttempts": rng.choice(("2", "5")),
        "TransactionMessageRetryInterval": "10",
        "ReserveConnectorZeroSupported": rng.choice(("true", "true", "false")),
    }
    return Plan(
        layouts=tuple(layouts),
        configuration=configuration,
        rules=SiteRules(
            hard_reset=rng.choice(tuple(RestartScope)),
            time_from_csms=rng.random() < 0.8,
            offline_tokens=(IdToken("CARLA"),) if rng.random() < 0.5 else (),
            has_password=True,
            credentials_digest="the installer's",
            security_profile=rng.choice((0, 1, 1, 2)),
            has_root=rng.random() < 0.5,
            installs_firmware=rng.random() < 0.9,
            vendors={"vendor": Vendor(answer="noted")},
        ),
        drift=rng.uniform(-1e-4, 1e-4),
        battery=rng.random() < 0.4,
        ntp_after_s=rng.choice((None, 1.0, 60.0, 600.0)),
        mirror=rng.random() < 0.35,
        slow_commits=rng.choice((0.0, 0.1, 0.5)),
    )


class Computer:
    """The computer's clocks: the monotonic one drifts and begins anew with the power, the wall is wrong at first."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.boots = 0
        self.power_on()

    def power_on(self) -> None:
        world, rng = self.world, self.world.random
        self.boots += 1
        self.since_s = world.elapsed_s
        self.first_s = rng.uniform(3.0, 40.0)
        self.ntp = False
        self.wall_at_power_on = world.true_utc() + timedelta(seconds=rng.uniform(-2, 2))
        if not world.plan.battery:
            self.wall_at_power_on = WITHOUT_BATTERY + timedelta(seconds=self.first_s)
        self.error_s = 0.0
        if world.plan.ntp_after_s is not None:
            boots = self.boots
            world.later(rng.uniform(0, world.plan.ntp_after_s), lambda: self._synchronize(boots))

    def _synchronize(self, boots: int) -> None:
        if boots == self.boots:
            self.ntp = True

    def exists(self) -> bool:
        """Stands for the file that says that NTP has set the clock."""
        return self.ntp

    def monotonic_s(self) -> float:
        return self.first_s + (self.world.elapsed_s - self.since_s) * (1.0 + self.world.plan.drift)

    def wall(self) -> datetime:
        if self.ntp:
            return self.world.true_utc() + timedelta(seconds=self.error_s)
        return self.wall_at_power_on + timedelta(seconds=self.monotonic_s() - self.first_s)


class Wire:
    """The connection as the link sees it; the world carries the frames."""

    def __init__(self, world: World, settings: ConnectionSettings) -> None:
        self.world = world
        self.settings = settings
        self.connected = False
        self.trying = False
        self.paused = False

    def adopt(self, settings: ConnectionSettings) -> None:
        self.world.instruction()
        self.settings = settings

    def reconnect(self, settings: ConnectionSettings) -> None:
        """What was handed over still arrives; then the line ends, and the next attempt comes at once."""
        self.world.instruction()
        self.settings = settings
        self.world.later(0.4, lambda: self.world.move(self))

    def pause(self, reason: str) -> None:
        self.world.instruction()
        self.paused = True
        self.world.later(0.4, lambda: self.world.cut() if self.paused else None)

    def resume(self) -> None:
        self.world.instruction()
        self.paused = False
        self.world.later(0.5, self.world.connect)

    def send(self, frame: str) -> bool:
        self.world.instruction()
        if not self.connected:
            return False
        self.world.to_csms(frame)
        return True

    def settled(self) -> None: ...

    def set_ping_interval(self, seconds: float) -> None: ...

    async def flush(self, timeout_s: float) -> bool:
        return True


class World:
    """`crash_at`: port calls (counted from 1) at which the process dies; the store outlives it.

    `crash_power`: whether such a crash takes the computer's power with it; None: it depends.
    """

    def __init__(
        self, seed: int, watch: Callable[[World], Watch], *, plan: Plan | None = None, crash_at: Sequence[int] = ()
    ) -> None:
        self.seed = seed
        self.plan = plan or draw(seed)
        self.random = random.Random(seed)
        self.elapsed_s = 0.0
        self.calls = 0
        self.crash_at = set(crash_at)
        self.crash_power: bool | None = None
        self.crashes = 0
        self.unexpected = False
        self.disk_full = False
        self.commits = 0
        self.refuse_at: set[int] = set()
        self.commit_fails = 0.0
        self.agenda: list[tuple[float, int, Callable[[], None]]] = []
        self.order = 0
        self.seconds = 0
        self.streams: dict[str, float] = {}
        self.store = MemoryStore()
        self.hook = Hook(self)
        self.keys_made = 0
        self.door = Door(self.plan.rules.security_profile)
        self.boxes = {one.number: Wallbox(one.number, self, one.capabilities) for one in self.plan.layouts}
        if self.plan.version == V201 or self.plan.switches:
            for box in self.boxes.values():
                box.energy_wh += box.number  # 2.0.1 tells two connectors of an EVSE apart by their registers alone
        self.agreed = self.version_kept = self.plan.version
        self.given_up: set[int] = set()
        self.central = Central(self, version=self.agreed)
        self.broker = Broker(self)
        self.restarting: RestartScope | None = None
        self.boots = 0
        self.continued = False
        self.line_up = True
        self.line_no = 0
        self.stalled = False
        self.committing = False
        self.computer = Computer(self)
        self.watch = watch(self)
        self.boot()

    # --- time

    def true_utc(self) -> datetime:
        return TRUTH + timedelta(seconds=self.elapsed_s)

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        self.order += 1
        heapq.heappush(self.agenda, (self.elapsed_s + seconds, self.order, what))

    # --- the process

    def instruction(self) -> None:
        """One call of the station into the world: the finest grain at which the power can go."""
        self.calls += 1
        if self.calls in self.crash_at:
            raise Crash

    def fresh(self, boot: Boot, now: Now) -> Station:
        dialect = VERSIONS[self.version_kept]
        shape = builder.station(
            policy=dialect.policy,
            layouts=self.plan.layouts,
            configuration=dict(self.plan.configuration),
            rules=self.plan.rules,
        )
        computed = {**shape.configuration.computed, **computed_for(dialect, self.plan.layouts)}
        configuration = replace(shape.configuration, computed=computed)
        return replace(shape, configuration=configuration, boot=boot, clock=now, wall_kept=boot.floor)

    def evse_of(self, number: int) -> int:
        return next(one.evse_id for one in self.plan.layouts if one.number == number)

    def number_of(self, evse: int, connector_id: int) -> int | None:
        found = (one.number for one in self.plan.layouts if (one.evse_id, one.connector_id) == (evse, connector_id))
        return next(found, None)

    def boot(self) -> None:
        """Start the daemon from what the disk holds, as the composition root does."""
        self.boots += 1
        unexpected, self.unexpected = self.unexpected, True
        floor = self.store.last_wall()
        self.clock = SystemClock(
            floor=floor,
            trust_csms=self.plan.rules.time_from_csms,
            synchronized_file=self.computer,  # type: ignore[arg-type]
            wall=self.computer.wall,
            monotonic_s=self.computer.monotonic_s,
        )
        now = self.clock.now()
        boot = Boot(id=f"b{self.boots}", floor=floor or now.utc, started_s=now.monotonic_s)
        loaded = loading.load(self.store.load(IDENTITY), self.fresh(boot, now))
        assert not loaded.warnings, loaded.warnings
        if loaded.repairs:
            self.store.commit(IDENTITY, loaded.repairs, now.utc)
        station = replace(loaded.station, boot=replace(boot, reason=loaded.station.next_boot_reason or "PowerUp"))
        self.restarting = None
        self.crew = Crew(self)
        view = StationsView(NAMES, "masked")
        gateway, run_id = self._gateway(now), f"r{self.boots}"
        self.spool = Spool(self, self.clock, run_id=run_id, unexpected=unexpected)
        events = (self.spool.log, self.spool)
        self.mirror = MqttMirror(OPTIONS, view, self.clock, gateway, run_id=run_id, events=events)
        self.stored = StoredStation(self.store, IDENTITY, PATIENCE)
        self.disk = Disk(self.spool.store(self.stored, self.mirror, IDENTITY), self)
        self.spool.began(gateway)
        self.engine = Engine(
            station,
            store=self.disk,
            clock=self.clock,
            drivers=self.boxes,
            host=self,
            executor=None,
            mirrors=(Watcher(self._show),) if self.plan.mirror else (),
            desks=(MirrorDesk(self.mirror),),
            jobs=self.crew,
        )
        view.add(IDENTITY, self.engine, CsmsView())
        ids = (f"{self.boots}-{n}" for n in range(1, 10**9))
        self.link = Link(
            station,
            VERSIONS[self.version_kept],
            further=VERSIONS.values() if self.plan.switches else (),
            agreed=self._keep_version,
            post=self.engine.post,
            new_id=lambda: next(ids),
            monotonic=self.computer.monotonic_s,
            read_outbox=self.disk.outbox,
            settings_for=self.settings_for,
        )
        self.wire = Wire(self, self.settings_for(station))
        self.link.attach(self.wire)  # type: ignore[arg-type]
        self.engine.attach(self.link)
        for number, box in self.boxes.items():
            box.start(_Ear(self, number))
        self.watch.booted(station)
        self.broker.daemon_started(self.mirror)
        continued, self.continued = self.continued, True
        self.engine.post(Started(continued=continued, unexpected=unexpected))
        self.settle()

    def settings_for(self, station: Station) -> ConnectionSettings:
        rules = self.plan.rules
        scheme = "wss" if rules.security_profile >= 2 else "ws"
        csms = CsmsSettings(
            url=f"{scheme}://csms.example",
            versions=("1.6", "2.0.1"),
            security_profile=rules.security_profile,
            password=Secret(OWN_PASSWORD),
        )
        return connection_settings(StationSettings(id=IDENTITY, csms=csms, evses=()), tuple(VERSIONS), station)

    def _keep_version(self, subprotocol: str) -> None:
        self.version_kept = subprotocol

    def _gateway(self, now: Now) -> GatewayView:
        return GatewayView(version="1", boot_id=f"r{self.boots}", started_at=now.utc, synchronized=now.synchronized)

    def _show(self, station: Station, now: Now) -> None:
        self.instruction()
        self.mirror.show(station, now)

    def restart(self, scope: RestartScope) -> None:
        """ports.Host"""
        self.instruction()
        self.restarting = scope

    def die(self, *, power: bool, chargers: bool = False) -> None:
        """The process is gone; with `power` the whole computer, with `chargers` their power as well."""
        self.crashes += 1
        self.continued = not power
        self.stalled = False
        self.cut(notify=False)
        self.wire.trying = True  # nobody tries any more
        self.crew.dead = True
        if power:
            self.hook.power_cut()
        self.broker.daemon_died()
        for box in self.boxes.values():
            box.dead(power=chargers)
        self.watch.died()
        death = self.crashes
        self.later(self.random.uniform(1, 40), lambda: self._revive(death, power=power))

    def meanwhile(self) -> None:
        """While a worker thread commits the event loop turns: frames, polls and lines come and go, nothing is handled.
        The process may come to its end before the commit does."""
        engine, self.committing = self.engine, True
        self.run(self.random.uniform(0.01, 0.8))
        self.committing = False
        if self.engine is not engine or not self.alive():
            raise Crash

    def refuses(self) -> bool:
        """Whether the disk does not keep the commit that comes now."""
        self.commits += 1
        by_chance = self.commit_fails and self.random.random() < self.commit_fails
        return self.disk_full or bool(by_chance) or self.commits in self.refuse_at

    def crash(self) -> None:
        """The end of a process that a `Crash` has stopped."""
        self.committing = False
        if not self.alive():
            return
        power = self.random.random() < 0.5 if self.crash_power is None else self.crash_power
        self.die(power=power, chargers=power and self.random.random() < 0.5)

    def _revive(self, death: int, *, power: bool) -> None:
        """Start again, once: whose power goes while it is down comes back with the power."""
        if death != self.crashes:
            return
        if power:
            self.computer.power_on()
        try:
            self.boot()
        except Crash:
            self.crash()
            return
        self.later(self.random.uniform(0.5, 5), self.connect)

    def settle(self) -> None:
        """Let the engine handle all that waits, judging after every step. While it is stalled (a slow disk holds it up)
        events pile up in its inbox."""
        engine = self.engine
        while len(engine.inbox) and not self.stalled and not self.committing:
            before = engine.station
            _run(engine.handle(_run(engine.inbox.get())))
            self.watch.handled(before, engine.station)

    def guard(self, what: Callable[[], Any]) -> None:
        """Do something to the living process; a crash ends it."""
        if not self.alive():
            return
        try:
            what()
            self.settle()
        except Crash:
            self.crash()
            return
        if self.restarting is not None and self.alive():  # it may have come to its end meanwhile
            self._leave(self.restarting)

    def _leave(self, scope: RestartScope) -> None:
        """The process ends in good order: what waits goes to the disk, if it is taken there."""
        try:
            self.engine.keep_now()
            self.spool.keep_now()
        except StoreError:
            pass
        except Crash:
            self.crash()
            return
        else:
            self.unexpected = False
        self.die(power=scope is RestartScope.HOST)

    def alive(self) -> bool:
        return self.boxes[1].listener is not None

    # --- the line

    def connect(self) -> None:
        """The station's next attempt, now."""
        if not self.alive() or self.wire.connected or self.wire.paused:
            return
        settings = self.wire.settings
        if not self.line_up:
            self._fails(CLOSED)
            return
        self.watch.attempted(settings)
        failure = self.door.judge(settings)
        if failure is not None:
            self._fails(failure)
            return
        self.line_no += 1
        self.wire.connected = True
        self.door.entered(settings)
        self.central.connected(self.agreed)
        self.guard(lambda: self.link.opened(self.agreed))

    def _fails(self, failure: Failure) -> None:
        self._try_again(self.random.uniform(*ATTEMPTS_S))
        self.guard(lambda: self.link.failed(failure))

    def _try_again(self, after_s: float) -> None:
        wire = self.wire
        if wire.trying:
            return
        wire.trying = True

        def again() -> None:
            if wire is self.wire and self.alive():
                wire.trying = False
                self.connect()

        self.later(after_s, again)

    def move(self, wire: Wire) -> None:
        """The station goes another way."""
        if wire is self.wire and self.alive():
            self.cut()
            self.connect()

    def cut(self, *, notify: bool = True) -> None:
        if not self.wire.connected:
            return
        self.wire.connected = False
        self.central.disconnected()
        if notify:
            self._try_again(self.random.uniform(*ATTEMPTS_S))
            self.guard(lambda: self.link.closed("cut"))

    def to_csms(self, frame: str) -> None:
        line_no = self.line_no
        self._carry("up", lambda: self.central.receive(frame) if self._same_line(line_no) else None)

    def to_station(self, message: list[Any]) -> None:
        line_no, frame = self.line_no, json.dumps(message)
        self._carry("down", lambda: self.guard(lambda: self.link.received(frame)) if self._same_line(line_no) else None)

    def _same_line(self, line_no: int) -> bool:
        return line_no == self.line_no and self.wire.connected

    def _carry(self, direction: str, arrive: Callable[[], None]) -> None:
        """A frame on its way; a stream keeps its order."""
        at_s = max(self.elapsed_s + self.random.uniform(0.01, 0.3), self.streams.get(direction, 0.0))
        self.streams[direction] = at_s
        self.later(at_s - self.elapsed_s, arrive)

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
        self.seconds += 1
        for box in self.boxes.values():
            box.second()
        for number, box in self.boxes.items():
            if (self.seconds + number) % POLL_EVERY_S == 0:
                self.guard(box.poll)
        self.guard(lambda: self.engine.post(Tick()))
        if not self.stalled and not self.committing:
            self.guard(self.spool.turn)  # one thread commits, one thing after the other
        elif self.committing and self.plan.mirror:
            self.mirror.show(self.engine.station, self.clock.now())  # a look may fall into a commit
        self.broker.turn()
        self.watch.second()

    def show_token(self, token: str, connector: int | None) -> None:
        self.guard(lambda: self.engine.post(PresentToken(IdToken(token), connector)))

    def reload(self, *, waiting: bool = False) -> Station:
        """The station as a restart would find it now; with `waiting`, as it would if what waits had been written."""
        now = self.clock.now()
        disk = deepcopy(self.store)
        if waiting:
            disk.commit(IDENTITY, self.stored.waiting, now.utc)
        return loading.load(disk.load(IDENTITY), self.fresh(self.engine.station.boot, now)).station


class _Ear:
    """A listener of one process; deaf once that process is gone."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number
        self.engine = world.engine

    def _post(self, event: Event) -> None:
        if self.engine is self.world.engine and self.world.alive():
            self.engine.post(event)

    def observed(self, observation: Observation) -> None:
        self._post(ConnectorObserved(self.number, observation))

    def lost(self, reason: str) -> None:
        self._post(ChargerLost(self.number, reason))

    def performed(self, ticket: str, outcome: ActionOutcome, detail: str) -> None:
        self.world.guard(lambda: self._post(ActionPerformed(ticket, outcome, detail)))


class Disk:
    """The disk: may be full, may lose the power before or right after a commit. Tells the watch what is kept.

    `refused`: the steps, before and after, that were not kept since the last commit; `commits`: whether what the watch
    is told of now was committed, or there was nothing to commit; `defers`: whether it waits.
    """

    def __init__(self, inner: StationStore, world: World) -> None:
        self.inner = inner
        self.world = world
        self.outbox = inner.outbox
        self.refused: list[tuple[Station, Station]] = []
        self.commits = self.defers = False
        self._step: tuple[Station, Event, Station, tuple[Effect, ...]] | None = None

    def difference(self, before: Station, after: Station, effects: Sequence[Effect], event: Event) -> Any:
        wanted = self.inner.difference(before, after, effects, event)
        self._step = (before, event, after, tuple(effects))
        if not wanted:
            self.commits = False
            self._kept()
        return wanted

    def commit(self, difference: Any, wall: datetime) -> None:
        world = self.world
        world.instruction()
        if world.random.random() < world.plan.slow_commits:
            world.meanwhile()
        try:
            self.inner.commit(difference, wall)
        except StoreError:
            assert self._step is not None
            self.refused.append((self._step[0], self._step[2]))
            raise
        self.refused.clear()
        self.commits = True
        self._kept()
        world.watch.committed()
        world.instruction()

    def defer(self, difference: Any, now: Now) -> bool:
        if not self.inner.defer(difference, now):
            return False
        self.commits, self.defers = False, True
        self._kept()
        self.defers = False
        return True

    def overdue(self, now: Now) -> bool:
        return self.inner.overdue(now)

    def keep(self, wall: datetime, *, anyway: bool = False) -> bool:
        self.world.instruction()
        if not self.inner.keep(wall, anyway=anyway):
            return False
        self.refused.clear()
        self.world.watch.committed()
        self.world.instruction()
        return True

    def _kept(self) -> None:
        assert self._step is not None
        before, event, after, effects = self._step
        self.world.watch.kept(before, event, after, effects, after.clock)


def _run(coroutine: Any) -> Any:
    """Drive a coroutine that never really waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("the engine waited in virtual time")


__all__ = ["IDENTITY", "TOKENS", "Crash", "Plan", "Watch", "World", "draw"]
