"""Mosquitto for the demo, and an observer that reads along what the daemon publishes.

Owns the broker's process and the observer's client. The observer's thread is paho's; what it collects is read from the
event loop under a lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edged.cli.demo.places import ACTOR, DISCOVERY, GATEWAY, STATION
from edged.cli.demo.process import Child
from edged.ports import EdgedError

TREE: Final = f"edged/v1/{GATEWAY}"
EVENTS: Final = f"{TREE}/event/"
HOW_TO_INSTALL: Final = (
    "Mosquitto is not installed: the demo goes on without a broker (apt-get install mosquitto, or make demo as root)"
)
MAX_MESSAGES: Final = 50_000
_START_S: Final = 10.0
_KNOCK_S: Final = 0.005
"""Who waits for a broker at its door is in before the daemon, which comes ever more rarely."""
_ATTEMPTS: Final = 3


class BrokerError(EdgedError):
    """Mosquitto is there and does not come up; the text says why."""


def mosquitto() -> str | None:
    """The binary, if there is one. Debian puts it where only root looks."""
    return shutil.which("mosquitto", path=os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin")))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """Mosquitto on a free port of the loopback, with nothing kept on disk."""

    def __init__(self, binary: str, directory: Path) -> None:
        self._binary = binary
        self._directory = directory
        self._child: Child | None = None
        self.port = 0

    async def start(self) -> None:
        """Raises `BrokerError`. Somebody may take the free port first: then another one is tried."""
        for _ in range(_ATTEMPTS):
            self.port = free_port()
            config = self._directory / "mosquitto.conf"
            config.write_text(
                f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_dest stderr\n"
            )
            self._child = Child([self._binary, "-c", str(config)], self._directory / "mosquitto.log")
            if await self._starts(self._child):
                return
        raise self._trouble()

    async def kill(self) -> None:
        """SIGKILL: what it had kept is gone, for nothing of it is on disk."""
        if self._child is not None:
            await self._child.kill()

    async def start_again(self) -> None:
        """At the same port, with nothing kept. Raises `BrokerError`."""
        if self._child is None or not await self._starts(self._child):
            raise self._trouble()

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.running

    @property
    def exit_status(self) -> int | None:
        return None if self._child is None else self._child.status

    async def _starts(self, child: Child) -> bool:
        await child.start()
        if await self._answers(child):
            return True
        await child.stop()
        return False

    def _trouble(self) -> BrokerError:
        said = (self._directory / "mosquitto.log").read_text(errors="replace").splitlines()
        return BrokerError(f"mosquitto does not start: {said[-1] if said else 'it says nothing'}")

    async def _answers(self, child: Child) -> bool:
        deadline_s = asyncio.get_running_loop().time() + _START_S
        while child.running and asyncio.get_running_loop().time() < deadline_s:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(_KNOCK_S)
                continue
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            return child.running
        return False

    async def stop(self) -> None:
        if self._child is not None:
            await self._child.stop()


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An event as it came first. `replayed`: it happened before the daemon was connected; `unexpected`: it begins a run
    behind one that ended without a word."""

    seq: int
    type: str
    replayed: bool
    unexpected: bool


class Observer:
    """Everything below `edged/v1/#` and Home Assistant's devices, as an ordinary client gets it.

    `topics`: the last payload of each topic that is not empty. `messages`: how many came.
    """

    def __init__(self, port: int, name: str) -> None:
        self._port = port
        self._lock = threading.Lock()
        self._topics: dict[str, str] = {}
        self._retained: dict[str, str] = {}
        self._events: dict[str, Told] = {}
        self._subscribed = threading.Event()
        self._hung_up = threading.Event()
        self.messages = 0
        self.repeated = 0
        self._name = f"demo-{name}-{uuid.uuid4().hex[:8]}"
        self._client = self._new_client()

    def _new_client(self) -> paho.Client:
        """One that ends with its connection."""
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._name,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )
        client.on_connect = lambda client, *_: client.subscribe([("edged/v1/#", 1), (f"{DISCOVERY}/#", 1)])
        client.on_subscribe = lambda *_: self._subscribed.set()
        client.on_disconnect = lambda *_: self._hung_up.set()
        client.on_message = self._on_message
        return client

    def _on_message(self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        text = message.payload.decode("utf-8", "replace")
        with self._lock:
            self.messages += 1
            if message.topic.startswith(EVENTS):
                self._note(_object(text))
            if text and len(self._topics) < MAX_MESSAGES:
                self._topics[message.topic] = text
                if message.retain:
                    self._retained[message.topic] = text
            else:
                self._topics.pop(message.topic, None)

    def _note(self, event: Mapping[str, Any]) -> None:
        """As the contract wants it: whose id is known is dropped."""
        ident, seq = event.get("id"), event.get("seq")
        if isinstance(ident, str) and isinstance(seq, int) and len(self._events) < MAX_MESSAGES:
            data = event.get("data")
            told = Told(
                seq=seq,
                type=str(event.get("event_type")),
                replayed=event.get("replayed") is True,
                unexpected=isinstance(data, dict) and data.get("unexpected") is True,
            )
            self.repeated += ident in self._events
            self._events.setdefault(ident, told)

    async def start(self, *, patience_s: float = 0.0) -> None:
        """Connected and subscribed, also anew after `stop`: then only its events and counts are left of before.
        `patience_s`: how long a broker may still be away. Raises `BrokerError`."""
        self._subscribed.clear()
        self._hung_up.clear()
        self._topics.clear()
        self._retained.clear()
        self._client = self._new_client()
        deadline_s = asyncio.get_running_loop().time() + patience_s
        while True:
            try:
                await asyncio.to_thread(self._client.connect, "127.0.0.1", self._port)
                break
            except OSError as error:
                if asyncio.get_running_loop().time() >= deadline_s:
                    raise BrokerError(f"cannot connect to mosquitto: {error}") from error
                await asyncio.sleep(_KNOCK_S)
        self._client.loop_start()
        if not await asyncio.to_thread(self._subscribed.wait, _START_S):
            raise BrokerError("mosquitto grants no subscription")

    async def outlive(self) -> None:
        """The broker has gone: whatever it had still said is heard, and then no more is expected of it."""
        await asyncio.to_thread(self._hung_up.wait, _START_S)
        await self.stop()

    async def stop(self) -> None:
        self._subscribed.clear()
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    @property
    def listening(self) -> bool:
        return self._subscribed.is_set() and not self._hung_up.is_set()

    @property
    def events(self) -> list[Told]:
        """Each event once, in the order in which they came."""
        with self._lock:
            return list(self._events.values())

    @property
    def topics(self) -> dict[str, str]:
        with self._lock:
            return dict(self._topics)

    @property
    def retained(self) -> dict[str, str]:
        """What the broker had kept when this observer came."""
        with self._lock:
            return dict(self._retained)

    def text(self, topic: str) -> str | None:
        """The last payload of a topic below the gateway's tree."""
        with self._lock:
            return self._topics.get(f"{TREE}/{topic}")

    def document(self, topic: str) -> Mapping[str, Any]:
        """A document below the gateway's tree; empty where there is none."""
        return _object(self.text(topic))

    def connector(self, number: int, aspect: str) -> Mapping[str, Any]:
        """A document of a connector; empty where there is none."""
        return self.document(f"station/{STATION}/connector/{number}/{aspect}")

    def reply(self, command: str, ident: str) -> Mapping[str, Any]:
        """The reply to a command that `send` published; empty while there is none."""
        found = _object(self.text(f"rpc/{ACTOR}/reply/{command}"))
        return found if found.get("id") == ident else {}

    def send(self, command: str, ident: str, args: Mapping[str, object]) -> None:
        """Publish a command as the building does."""
        body = json.dumps({"id": ident, "args": dict(args)})
        self._client.publish(f"{TREE}/rpc/{ACTOR}/request/{command}", body, qos=1)


def _object(text: str | None) -> Mapping[str, Any]:
    if text is None:
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
