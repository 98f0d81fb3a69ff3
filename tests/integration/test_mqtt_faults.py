"""Events over a line and a broker that fail: none is lost, none comes out of order, few come twice.

Our log on a real disk, our client, Debian's broker, a proxy with the faults of a network; who listens has a session of
its own at the broker. Times are shorter than on a real line, the faults are the same.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest

from edged.mqtt.event_log import REPEATED_AT_MOST
from edged.mqtt.outbox import RESERVED, WINDOW
from edged.store.opening import open_store
from tests.fakes.event_burst import Burst
from tests.fakes.fault_proxy import FaultProxy
from tests.mqtt.conftest import Broker

figures = logging.getLogger("edged.faults")

COUNT = 1500
PATIENCE_S = 30.0
LASTING = ("allow_anonymous true", "persistence true", "autosave_interval 1", "max_queued_messages 100000")


class Listener:
    """Who wants every event: QoS 1 and a session that outlives lines."""

    def __init__(self, port: int) -> None:
        self.ids: list[str] = []
        self.seqs: list[int] = []
        self._subscribed = threading.Event()
        self.client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id="listener", clean_session=False, protocol=paho.MQTTv311
        )
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda client, *_: client.subscribe("edged/v1/gw1/event/#", 1)
        self.client.on_subscribe = lambda *_: self._subscribed.set()
        self.client.on_message = self._heard
        self.client.connect("127.0.0.1", port, 30)
        self.client.loop_start()
        assert self._subscribed.wait(PATIENCE_S)

    def _heard(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        body = json.loads(message.payload)
        self.ids.append(body["id"])
        self.seqs.append(body["seq"])

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    @property
    def repeated(self) -> int:
        return len(self.ids) - len(set(self.ids))

    async def hears(self, seqs: set[int]) -> None:
        """Until all of these were heard."""
        async with asyncio.timeout(PATIENCE_S):
            while not seqs <= set(self.seqs):
                await asyncio.sleep(0.02)

    def judge(self, expected: list[int], *, repeated_at_most: int) -> None:
        first = list(dict.fromkeys(self.seqs))
        assert [seq for seq in expected if seq not in set(first)] == [], "lost"
        assert first == sorted(first), "out of order"
        figures.info("%d told, %d of them twice", len(first), self.repeated)
        assert self.repeated <= repeated_at_most, f"{self.repeated} came twice"


@pytest.fixture
def broker(folder: Path) -> Iterator[Broker]:
    running = Broker(folder)
    running.start(*LASTING, f"persistence_location {folder}/")
    yield running
    running.kill()


@pytest.fixture
def listener(broker: Broker) -> Iterator[Listener]:
    """Known to the broker's disk: a session that dies with the broker would say nothing about us."""
    one = Listener(broker.port)
    kept = broker.folder / "mosquitto.db"
    assert broker._process is not None
    broker._process.send_signal(signal.SIGUSR1)
    deadline_s = time.monotonic() + PATIENCE_S
    while not kept.exists():
        assert time.monotonic() < deadline_s, "the broker keeps nothing"
        time.sleep(0.01)
    yield one
    one.close()


async def cut(proxy: FaultProxy, _broker: Broker) -> None:
    proxy.cut()
    await asyncio.sleep(0.6)
    proxy.heal()


async def stop_the_broker(_proxy: FaultProxy, broker: Broker) -> None:
    await asyncio.to_thread(broker.stop)
    await asyncio.sleep(0.4)
    await asyncio.to_thread(broker.start)


async def swallow(proxy: FaultProxy, _broker: Broker) -> None:
    proxy.swallow()
    await asyncio.sleep(2.5)
    proxy.heal()


@pytest.mark.parametrize("fault", [cut, stop_the_broker, swallow])
async def test_a_fault_in_the_middle_of_a_burst_loses_nothing_and_keeps_the_order(
    folder: Path, broker: Broker, listener: Listener, fault: Callable[[FaultProxy, Broker], Awaitable[None]]
) -> None:
    async with (
        FaultProxy(broker.port) as proxy,
        Burst(folder / "edged.db", proxy.port, "b1", ack_timeout_s=1.0) as burst,
    ):
        making = asyncio.create_task(burst.make(COUNT, per_s=1000.0))
        await listener.hears(set(range(1, COUNT // 3)))
        await fault(proxy, broker)
        await making
        await burst.told(PATIENCE_S)
        await listener.hears(set(range(1, COUNT + 1)))
    listener.judge(list(range(1, COUNT + 1)), repeated_at_most=2 * (WINDOW - RESERVED))


async def test_of_a_broker_that_is_killed_nothing_is_lost_but_what_it_had_taken(
    folder: Path, broker: Broker, listener: Listener
) -> None:
    """What it has acknowledged and not passed on dies with it: whoever misses something asks `get_events`."""
    async with (
        FaultProxy(broker.port) as proxy,
        Burst(folder / "edged.db", proxy.port, "b1", ack_timeout_s=1.0) as burst,
    ):
        making = asyncio.create_task(burst.make(COUNT, per_s=1000.0))
        await listener.hears(set(range(1, COUNT // 3)))
        await asyncio.to_thread(broker.kill)
        taken_seq = burst.log.delivered_seq
        await asyncio.to_thread(broker.start)
        await making
        await burst.told(PATIENCE_S)
        await listener.hears(set(range(taken_seq + WINDOW + 1, COUNT + 1)))
        every = [one.seq for one in burst.store.events_load(0, COUNT + 1)]
    assert every == list(range(1, COUNT + 1)), "all can be asked for"
    missing = set(every) - set(listener.seqs)
    assert all(taken_seq - 2 * WINDOW < seq <= taken_seq + WINDOW for seq in missing), sorted(missing)
    listener.judge([seq for seq in every if seq not in missing], repeated_at_most=2 * WINDOW)


async def test_a_daemon_that_is_killed_in_the_middle_of_a_burst_tells_all_that_it_had_kept(
    folder: Path, broker: Broker, listener: Listener
) -> None:
    database = folder / "edged.db"
    for boot in ("b1", "b2"):
        running = await _process(database, broker.port, COUNT, boot)
        heard = len(set(listener.seqs))
        async with asyncio.timeout(PATIENCE_S):
            while len(set(listener.seqs)) < heard + 200:
                assert running.returncode is None, "it ended"
                await asyncio.sleep(0.01)
        os.kill(running.pid, signal.SIGKILL)
        await running.wait()
    last = await _process(database, broker.port, 10, "b3")
    assert await asyncio.wait_for(last.wait(), PATIENCE_S) == 0
    store = open_store(database, wall=_now()).store
    every = [one.seq for one in store.events_load(0, 10 * COUNT)]
    boots = [json.loads(one.text)["boot"] for one in store.events_load(0, 10 * COUNT)]
    store.close()
    await listener.hears(set(every))
    assert list(dict.fromkeys(boots)) == ["b1", "b2", "b3"]
    assert set(listener.seqs) == set(every), "nothing was told that was not kept"
    listener.judge(every, repeated_at_most=2 * REPEATED_AT_MOST)


async def test_daemon_and_broker_that_are_killed_at_once_lose_nothing_that_was_kept(
    folder: Path, broker: Broker, listener: Listener
) -> None:
    database = folder / "edged.db"
    running = await _process(database, broker.port, COUNT, "b1")
    await listener.hears(set(range(1, 200)))
    os.kill(running.pid, signal.SIGKILL)
    broker.kill()
    await running.wait()
    store = open_store(database, wall=_now()).store
    taken_seq = max(listener.seqs)
    last_seq = store.events_state().last
    store.close()
    await asyncio.to_thread(broker.start)
    async with Burst(database, broker.port, "b2") as burst:
        await burst.told(PATIENCE_S)
        await listener.hears(set(range(taken_seq + WINDOW + 1, last_seq + 1)))
    missing = set(range(1, last_seq + 1)) - set(listener.seqs)
    assert all(taken_seq - 2 * WINDOW < seq <= taken_seq + WINDOW for seq in missing), sorted(missing)
    first = list(dict.fromkeys(listener.seqs))
    assert first == sorted(first)


async def test_a_broker_that_comes_back_with_an_empty_store_gets_all_states_and_the_events_go_on(
    folder: Path, broker: Broker, listener: Listener
) -> None:
    async with Burst(folder / "edged.db", broker.port, "b1") as burst:
        await burst.make(50, per_s=1000.0)
        await burst.told(PATIENCE_S)
        await listener.hears(set(range(1, 51)))
        await asyncio.to_thread(broker.kill)
        (folder / "mosquitto.db").unlink(missing_ok=True)
        await burst.make(50, per_s=1000.0)
        await asyncio.to_thread(broker.start)
        await burst.told(PATIENCE_S)
        retained = await asyncio.to_thread(_retained, broker.port)
    assert {"edged/v1/gw1/status", "edged/v1/gw1/info", "edged/v1/gw1/health"} <= set(retained)
    assert retained["edged/v1/gw1/status"] == b"online"
    assert json.loads(retained["edged/v1/gw1/info"])["session"] >= 2


def _retained(port: int) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    done = threading.Event()

    def heard(_client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        found[message.topic] = message.payload
        if message.topic.endswith("/status"):
            done.set()

    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="looker")
    client.on_message = heard
    client.on_connect = lambda c, *_: c.subscribe([("edged/#", 1)])
    client.connect("127.0.0.1", port, 30)
    client.loop_start()
    assert done.wait(PATIENCE_S)
    client.disconnect()
    client.loop_stop()
    return found


async def _process(database: Path, port: int, count: int, boot: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fakes.event_burst", str(database), str(port), str(count), boot
    )


def _now() -> datetime:
    return datetime.now(UTC)
