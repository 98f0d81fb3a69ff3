"""A site with the real core behind it, a real broker, an integrator who looks on, and the contract as judge."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from edged.domain.configuration import Configuration
from edged.domain.effects import Reply
from edged.domain.events import ConnectorObserved, Event
from edged.domain.hardware import Capability, ChargerState, Measurand, Meter, Observation, Phases
from edged.domain.policy import Policy, ReservationUse, StartPoint
from edged.domain.station import Boot, Connector, ConnectorLayout, Identity, SiteRules, Station
from edged.domain.step import step
from edged.domain.types import IdToken, Now
from edged.mqtt.desk import TellTransfers
from edged.mqtt.gateway_documents import GatewayView
from edged.mqtt.mirror import MqttMirror
from edged.mqtt.names import Names
from edged.mqtt.options import BrokerOptions, CommandOptions, MirrorOptions, Protocol
from edged.mqtt.topics import Shown
from tests.fakes import mqtt_contract
from tests.fakes.mqtt_contract import Contract

NOON = datetime(2026, 8, 22, 10, 0, 0, tzinfo=UTC)
MOSQUITTO = "/usr/sbin/mosquitto"
PATIENCE_S = 30.0
NAMES = Names("edged", "gw1")

# --- the contract as judge


@pytest.fixture(scope="session")
def contract() -> Contract:
    return mqtt_contract.contract()


# --- a site with the real core


def make_connector(number: int = 1, **facts: Any) -> Connector:
    layout = ConnectorLayout(
        number=number,
        evse_id=number,
        connector_id=1,
        charger=f"bay{number}",
        connector_type="cType2",
        capabilities=frozenset({Capability.WITHHOLD, Capability.UNLOCK, Capability.LOCK_SENSE}),
        measurands=frozenset(Measurand),
        max_current_ma=16_000,
    )
    return Connector(layout=layout, capabilities=layout.capabilities, **facts)


def make_station(*connectors: Connector, **facts: Any) -> Station:
    whole: dict[str, Any] = {
        "identity": Identity(id="cs1", vendor="Example Energy", model="Depot 3", serial_number="DE-1"),
        "policy": Policy(
            reservation_used=ReservationUse.TRANSACTION_STARTED,
            start_points=frozenset({StartPoint.POWER_PATH_CLOSED}),
            update_triggers=frozenset(),
            reservation_records=False,
            csms_names_transactions=True,
        ),
        "rules": SiteRules(offline_tokens=(IdToken("DRIVER-0001"),)),
        "boot": Boot(id="b1", floor=NOON, started_s=0.0),
        "configuration": Configuration(changed={}, site={}, computed={}),
        "connectors": {c.number: c for c in connectors or (make_connector(1), make_connector(2))},
        "wall_kept": NOON,
        "clock": Now(NOON, 100.0, True),
    }
    return Station(**{**whole, **facts})


def observation(now: Now, **facts: Any) -> Observation:
    whole: dict[str, Any] = {
        "read_at": now,
        "state": ChargerState.AVAILABLE,
        "plugged": False,
        "current_limit_ma": 16_000,
        "meter": Meter(
            energy_wh=123_456.0,
            power_w=0.0,
            current_a=Phases(0.0, 0.0, 0.0),
            voltage_v=Phases(230.1, 229.8, 231.0),
            frequency_hz=50.0,
            temperature_c=35.0,
        ),
    }
    return Observation(**{**whole, **facts})


@dataclass
class FakeClock:
    """The wall clock stands still until it is told; the monotonic clock is real, so that time-outs happen."""

    utc: datetime = NOON
    synchronized: bool = True

    def now(self) -> Now:
        return Now(self.utc, time.monotonic(), self.synchronized)

    def learn(self, utc: datetime) -> None:
        self.utc = utc


@dataclass
class Site:
    """The core with everything but a store and chargers: events go through the real `step`, replies to the mirror."""

    clock: FakeClock
    station: Station
    mirror: MqttMirror | None = None
    full: bool = False
    asked: list[Event] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    reads: list[tuple[int, TellTransfers]] = field(default_factory=list)
    hold: bool = False
    """Keep replies back, as an engine does that waits for a charger or the CSMS."""

    def stations(self) -> Mapping[str, Station]:
        return {self.station.identity.id: self.station}

    def shown(self, identity: str) -> Shown:
        return Shown(names=NAMES) if self.mirror is None else Shown(names=NAMES, told=self.mirror.told)

    def submit(self, identity: str, event: Event) -> bool:
        if self.full:
            return False
        self.asked.append(event)
        self.happen(event)
        return True

    def read_transfers(self, identity: str, limit: int, tell: TellTransfers) -> None:
        """As from a disk: the answer comes behind whatever is done now."""
        self.reads.append((limit, tell))

    def happen(self, event: Event) -> None:
        now = self.clock.now()
        transition = step(self.station, event, now)
        self.station = transition.station
        for effect in transition.effects:
            if isinstance(effect, Reply):
                self.replies.append(effect)
                if self.mirror is not None and not self.hold:
                    self.mirror.answer(effect)
        if self.mirror is not None:
            self.mirror.show(self.station, now)

    def observe(self, number: int = 1, **facts: Any) -> None:
        self.happen(ConnectorObserved(number, observation(self.clock.now(), **facts)))

    def later(self, **delta: float) -> None:
        self.clock.utc += timedelta(**delta)


@pytest.fixture
def site() -> Site:
    clock = FakeClock()
    return Site(clock, make_station(clock=clock.now()))


# --- Debian's broker


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """Debian's mosquitto on a free port with a configuration of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self.lines: tuple[str, ...] = ("allow_anonymous true",)
        self._process: subprocess.Popen[bytes] | None = None
        if not Path(MOSQUITTO).exists():
            pytest.fail("the MQTT tests want a real broker: apt install mosquitto")

    def start(self, *lines: str) -> None:
        self.lines = lines or self.lines
        path = self.folder / "mosquitto.conf"
        head = [f"listener {self.port} 127.0.0.1", "log_dest none"]
        if os.geteuid() == 0:
            head.insert(0, "user root")  # it would give up the right to read its files in a private folder
        path.write_text("\n".join((*head, *self.lines)) + "\n")
        self._process = subprocess.Popen(
            [MOSQUITTO, "-c", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline_s:
                    pytest.fail(f"mosquitto did not start; see {path}")
                time.sleep(0.02)

    def stop(self) -> None:
        """Politely: it publishes the wills of whoever is connected."""
        self._end(kill=False)

    def kill(self) -> None:
        self._end(kill=True)

    def _end(self, *, kill: bool) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill() if kill else process.terminate()
            process.wait(PATIENCE_S)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    running = Broker(tmp_path)
    running.start()
    yield running
    running.kill()


# --- an integrator


@dataclass(frozen=True)
class Seen:
    topic: str
    payload: bytes
    retain: bool
    qos: int
    correlation: bytes | None

    @property
    def json(self) -> Any:
        return json.loads(self.payload)


class Integrator:
    """Another client of the broker, on paho's own thread. Judges every payload of edged's that it sees."""

    _numbers = itertools.count(1)

    def __init__(self, port: int, contract: Contract, *, v5: bool = True, filters: tuple[str, ...] = ("#",)) -> None:
        self.seen: list[Seen] = []
        self._contract = contract
        self._news = threading.Condition()
        self._subscribed = threading.Event()
        self._v5 = v5
        self._filters = filters
        self._wrong: list[str] = []
        self.client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id=f"integrator-{next(self._numbers)}",
            protocol=paho.MQTTv5 if v5 else paho.MQTTv311,
        )
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = lambda *_: self._subscribed.set()
        self.client.on_message = self._on_message
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", port, 30)
        self.client.loop_start()
        assert self._subscribed.wait(PATIENCE_S)

    def _on_connect(self, *_: Any) -> None:
        for topic_filter in self._filters:
            if self._v5:
                self.client.subscribe(topic_filter, options=SubscribeOptions(qos=1, retainAsPublished=True))
            else:
                self.client.subscribe(topic_filter, 1)

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        correlation = getattr(message.properties, "CorrelationData", None)
        seen = Seen(message.topic, message.payload, message.retain, message.qos, correlation)
        deleted = not seen.payload and not seen.topic.endswith("gw1/status")
        if not deleted and "/request/" not in seen.topic and seen.topic.startswith("edged/"):
            try:
                self._contract.check(seen.topic, seen.payload)
            except AssertionError as error:
                self._wrong.append(f"{seen.topic} {seen.payload!r}: {error}")
        with self._news:
            self.seen.append(seen)
            self._news.notify_all()

    def publish(
        self,
        topic: str,
        payload: bytes | str | dict[str, Any],
        *,
        retain: bool = False,
        response_topic: str | None = None,
        correlation: bytes | None = None,
    ) -> None:
        properties = None
        if response_topic is not None or correlation is not None:
            properties = Properties(PacketTypes.PUBLISH)
            if response_topic is not None:
                properties.ResponseTopic = response_topic
            if correlation is not None:
                properties.CorrelationData = correlation
        body = json.dumps(payload) if isinstance(payload, dict) else payload
        self.client.publish(topic, body, 1, retain, properties).wait_for_publish(10)

    async def wait_for(self, wanted: Callable[[list[Seen]], Any], timeout_s: float = PATIENCE_S) -> Any:
        """What `wanted` makes of all that was seen, as soon as it is true."""

        def wait() -> Any:
            with self._news:
                return self._news.wait_for(lambda: wanted(self.seen), timeout_s)

        found = await asyncio.to_thread(wait)
        assert found, f"not seen within {timeout_s:g} s; seen: {[(s.topic, s.payload) for s in self.seen]}"
        return found

    async def payload(self, topic: str, wanted: Callable[[Seen], bool] = lambda _: True) -> Seen:
        """The newest message on a topic that is as wanted."""
        return await self.wait_for(
            lambda seen: next((s for s in reversed(seen) if s.topic == topic and wanted(s)), None)
        )

    async def call(
        self,
        command: str,
        body: Any = None,
        *,
        actor: str = "bms-op",
        reply: str | None = None,
        nth: int = 1,
        **how: Any,
    ) -> Any:
        """Send a command; its `nth` reply on the reply topic."""
        topic = reply or NAMES.default_reply(actor, command)
        await asyncio.to_thread(self.publish, NAMES.request(actor, command), {} if body is None else body, **how)
        replies = await self.wait_for(lambda seen: len(r := [s for s in seen if s.topic == topic]) >= nth and r)
        return replies[nth - 1]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
        assert not self._wrong, "payloads against the contract: " + "; ".join(self._wrong)


@pytest.fixture(params=[Protocol.V5, Protocol.V311], ids=["v5", "v311"])
def protocol(request: pytest.FixtureRequest) -> Protocol:
    """Every test that takes it runs with both versions."""
    return Protocol(request.param)


@pytest.fixture
def watch(broker: Broker, contract: Contract) -> Iterator[Callable[..., Integrator]]:
    """Builds integrators; each has its payloads judged at the end."""
    made: list[Integrator] = []

    def build(**how: Any) -> Integrator:
        made.append(Integrator(broker.port, contract, **how))
        return made[-1]

    yield build
    for integrator in made:
        integrator.close()


@pytest.fixture
def integrator(watch: Callable[..., Integrator]) -> Integrator:
    return watch()


def mirror_options(port: int, protocol: Protocol = Protocol.AUTO, **changes: Any) -> MirrorOptions:
    broker = BrokerOptions(
        host="127.0.0.1", port=port, client_id="edged-gw1", protocol=protocol, backoff_first_s=0.05, backoff_last_s=0.2
    )
    commands = CommandOptions(actors={"bms-op": frozenset({"*"}), "bms-ro": frozenset({"ping"})})
    return replace(MirrorOptions(broker=broker, names=NAMES, commands=commands), **changes)


GATEWAY = GatewayView(
    version="0.1.0", boot_id="b1", started_at=NOON, synchronized=True, config_hash="abcdef", stations=("cs1",)
)


async def _until(true: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
    async with asyncio.timeout(timeout_s):
        while not true():  # a link tells nobody in here when it changes
            await asyncio.sleep(0.01)


@pytest.fixture
def until() -> Callable[..., Awaitable[None]]:
    """Bounded polling."""
    return _until


@pytest.fixture
async def make_mirror(site: Site) -> AsyncIterator[Callable[..., MqttMirror]]:
    """Builds a mirror for `site`; the last one built gets the site's news. All are stopped at the end."""
    made: list[MqttMirror] = []

    def build(
        port: int,
        protocol: Protocol = Protocol.AUTO,
        *,
        store: Any = None,
        topics_kept: Any = None,
        events: Any = None,
        **changes: Any,
    ) -> MqttMirror:
        mirror = MqttMirror(
            mirror_options(port, protocol, **changes),
            site,
            site.clock,
            GATEWAY,
            run_id=f"run{len(made)}",
            store=store,
            topics_kept=topics_kept,
            events=events,
        )
        made.append(mirror)
        site.mirror = mirror
        mirror.show(site.station, site.clock.now())
        return mirror

    yield build
    for mirror in made:
        await mirror.stop()
