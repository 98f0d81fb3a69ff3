"""A site that is polled once a second, with noise on its readings, and what of it goes to the broker: a child process.

    python -m benchmarks.mqtt_load load PORT CONNECTORS CHARGING SECONDS POLICY
    python -m benchmarks.mqtt_load connect PORT CONNECTORS WHO
    python -m benchmarks.mqtt_load hole PORT CONNECTORS SECONDS FACTOR FOLDER

POLICY: edged (the core and the mirror), core (the same without the mirror), values (each value of each poll on a
topic), documents (one JSON a connector and poll). WHO: edged, paho. Prints JSON at the end; `hole` says `warm` first
and goes on at a line on its standard input: FACTOR times as many polls as in life, for so many seconds.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho

from benchmarks.mqtt_site import GATEWAY, NAMES, RealClock, Stations, bench_station, options
from edged.domain.events import ConnectorObserved, Event, PresentToken, Started, Tick
from edged.domain.hardware import ChargerState, Meter, Observation, Phases
from edged.domain.status import connector_status
from edged.domain.step import step
from edged.domain.types import IdToken
from edged.happenings import SpoolKeeper
from edged.mqtt.documents import encode
from edged.mqtt.event_log import EventLog
from edged.mqtt.mirror import MqttMirror
from edged.mqtt.options import IdTokenPolicy
from edged.mqtt.topics import topics
from edged.store.opening import open_store
from edged.store.port import SpoolBounds
from edged.unit import Pace

WARM_UP_S = 12.0
POWER_W = 11_000.0
TOKEN = IdToken("DRIVER-0001")


class Site:
    """The core under observations; `shown` after each step, a moment later, as the gateway does it."""

    def __init__(self, connectors: int, charging: int, shown: Callable[[], None] = lambda: None) -> None:
        self.clock = RealClock()
        self.station = bench_station(connectors, TOKEN, self.clock.now())
        self.charging = charging
        self._shown = shown
        self._pace = Pace()
        self._showing = False
        self._energy_wh = {n: 50_000.0 * n for n in self.station.connectors}
        self._random = random.Random(6)

    def begin(self) -> None:
        self.do(Started(continued=True))
        for n in self.station.connectors:
            self.look(n, ChargerState.CONNECTED if n <= self.charging else ChargerState.AVAILABLE)
        for n in range(1, self.charging + 1):
            self.do(PresentToken(TOKEN, n))
            self.look(n)
        statuses = [connector_status(self.station, n) for n in self.station.connectors]
        if statuses.count("Charging") != self.charging:
            raise RuntimeError(f"they do not charge: {statuses}")

    def do(self, event: Event) -> None:
        self.station = step(self.station, event, self.clock.now()).station
        if not self._showing:
            self._showing = True
            asyncio.get_running_loop().call_later(self._pace.delay_s, self._show)

    def _show(self) -> None:
        self._showing = False
        with self._pace:
            self._shown()

    def look(self, n: int, state: ChargerState | None = None) -> Meter:
        charging = n <= self.charging and state is None
        meter = self.meter(n, charging)
        state = state or (ChargerState.CHARGING if charging else ChargerState.AVAILABLE)
        plugged = n <= self.charging
        seen = Observation(
            read_at=self.clock.now(), state=state, plugged=plugged, permit_charging=charging, meter=meter
        )
        self.do(ConnectorObserved(n, seen))
        return meter

    def meter(self, n: int, charging: bool) -> Meter:
        """A second further, and each value a little off."""
        noise = self._random.gauss
        if charging:
            self._energy_wh[n] += POWER_W / 3600
        volts = Phases(*(230.0 + noise(0, 0.4) for _ in range(3)))
        amperes = Phases(*(15.9 + noise(0, 0.05) if charging else 0.0 for _ in range(3)))
        power_w = POWER_W + noise(0, 30.0) if charging else 0.0
        return Meter(
            energy_wh=round(self._energy_wh[n]),
            power_w=power_w,
            current_a=amperes,
            voltage_v=volts,
            frequency_hz=50.0 + noise(0, 0.01),
            temperature_c=35.0 + noise(0, 0.2),
        )

    async def poll(self, seconds: float, look: Callable[[int], Awaitable[None] | None], *, factor: float = 1.0) -> None:
        """Every connector `factor` times a second, one after the other."""
        loop, numbers = asyncio.get_running_loop(), tuple(self.station.connectors)
        began_s, count = loop.time(), int(seconds * factor)
        for turn in range(count):
            self.do(Tick())
            for place, n in enumerate(numbers):
                look(n)
                due_s = began_s + (turn + (place + 1) / len(numbers)) / factor
                if (ahead_s := due_s - loop.time()) > 0.001:
                    await asyncio.sleep(ahead_s)
            await asyncio.sleep(0)


# --- load


async def load(port: int, connectors: int, charging: int, seconds: float, policy: str) -> dict[str, Any]:
    sent = {"messages": 0}
    stations, mirror = Stations(), None

    def show() -> None:
        if mirror is not None:
            stations.known["BENCH"] = site.station
            mirror.show(site.station, site.clock.now())

    site = Site(connectors, charging, show)
    look: Callable[[int], Any] = site.look
    site.begin()
    if policy == "edged":
        mirror = MqttMirror(options(port), stations, site.clock, GATEWAY, run_id="bench")
        show()
        mirror.start()
    elif policy in ("values", "documents"):
        client = _plain(port)

        def look(n: int) -> None:
            meter = site.look(n)
            for topic, payload in _told(policy, n, meter):
                sent["messages"] += 1
                client.publish(topic, payload, 1 if policy == "documents" else 0, True)

    await site.poll(WARM_UP_S, look)
    began_s, cpu_s = time.perf_counter(), _cpu_s()
    before = mirror._outbox.counters.acked if mirror is not None else sent["messages"]
    await site.poll(seconds, look)
    took_s = time.perf_counter() - began_s
    after = mirror._outbox.counters.acked if mirror is not None else sent["messages"]
    found = {"per_s": (after - before) / took_s, "cpu_share": (_cpu_s() - cpu_s) / took_s, "took_s": took_s}
    if mirror is not None:
        await mirror.stop()
    return found


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _plain(port: int) -> paho.Client:
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.connect("127.0.0.1", port)
    client.loop_start()
    return client


def _told(policy: str, n: int, meter: Meter) -> list[tuple[str, str]]:
    values = {
        "power_w": meter.power_w,
        "energy_wh": meter.energy_wh,
        "frequency_hz": meter.frequency_hz,
        "temperature_c": meter.temperature_c,
    }
    for name, phases in (("current_a", meter.current_a), ("voltage_v", meter.voltage_v)):
        assert phases is not None
        values |= {f"{name}_l{k}": value for k, value in enumerate((phases.l1, phases.l2, phases.l3), start=1)}
    if policy == "values":
        return [(f"plain/{n}/{name}", f"{value:.2f}") for name, value in values.items()]
    return [(f"plain/{n}", json.dumps({"ts": datetime.now(UTC).isoformat(), **values}))]


# --- from the connection to `online`


async def connect(port: int, connectors: int, who: str) -> dict[str, Any]:
    site = Site(connectors, connectors // 5)
    site.begin()
    online, done = threading.Event(), {"at_s": 0.0}

    def heard(_client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        if message.payload == b"online":
            done["at_s"] = time.perf_counter()
            online.set()

    watcher = _plain(port)
    watcher.on_message = heard
    watcher.subscribe(NAMES.status, 1)
    documents = topics(site.station, Stations().shown("BENCH"))
    began_s = time.perf_counter()
    if who == "edged":
        mirror = MqttMirror(options(port), Stations(), site.clock, GATEWAY, run_id="bench")
        mirror.show(site.station, site.clock.now())
        began_s = time.perf_counter()
        mirror.start()
        await asyncio.to_thread(online.wait, 60)
        await mirror.stop()
    else:
        payloads = {topic: (encode(document), document.qos) for topic, document in documents.items()}
        began_s = time.perf_counter()
        client = _plain(port)
        for topic, (payload, qos) in payloads.items():
            info = client.publish(topic, payload, qos, True)
        info.wait_for_publish(60)
        client.publish(NAMES.status, "online", 1, True)
        await asyncio.to_thread(online.wait, 60)
    watcher.disconnect()
    return {"seconds": done["at_s"] - began_s, "documents": len(documents)}


# --- a black hole


async def hole(port: int, connectors: int, seconds: float, factor: float, folder: Path) -> dict[str, Any]:
    store = open_store(folder / "edged.db", wall=datetime.now(UTC)).store
    stations, clock = Stations(), RealClock()
    log = EventLog("bench", policy=IdTokenPolicy.NONE, salt=NAMES.gateway)
    keeper = SpoolKeeper(store, log, ThreadPoolExecutor(1), clock, SpoolBounds())
    mirror = MqttMirror(options(port), stations, clock, GATEWAY, run_id="bench", events=keeper.kept)
    keeper.serve(mirror.news)
    asyncio.get_running_loop().create_task(keeper.run()).add_done_callback(lambda task: task.cancelled())
    site = Site(connectors, connectors // 5, lambda: mirror.show(site.station, clock.now()))
    site.begin()
    mirror.start()
    count = 0

    def look(n: int) -> None:
        nonlocal count
        count += 1
        site.look(n)
        if count % 20 == 0:
            keeper.tell("transaction.updated", None, {"n": count, "why": "x" * 200})

    await site.poll(WARM_UP_S, look, factor=factor)
    before = _resident()
    print("warm", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    seen = [_resident()]
    watching = asyncio.get_running_loop().create_task(_watch_memory(seen))
    await site.poll(seconds, look, factor=factor)
    watching.cancel()
    return {
        "growth_bytes": max(*seen, _resident()) - before,
        "observations": count,
        "resident_bytes": before,
        "spooled": log.state.waiting,
        "waiting": mirror._outbox.depth,
        "coalesced": mirror._outbox.counters.coalesced,
        "attempts": mirror.link.attempts,
    }


async def _watch_memory(seen: list[int]) -> None:
    while True:
        seen[0] = max(seen[0], _resident())
        await asyncio.sleep(0.5)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def main(what: str, port: int, connectors: int, *more: str) -> dict[str, Any]:
    if what == "load":
        return asyncio.run(load(port, connectors, int(more[0]), float(more[1]), more[2]))
    if what == "connect":
        return asyncio.run(connect(port, connectors, more[0]))
    return asyncio.run(hole(port, connectors, float(more[0]), float(more[1]), Path(more[2])))


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])), flush=True)
