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
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edged.cli.demo.places import ACTOR, GATEWAY, STATION
from edged.cli.demo.process import Child
from edged.ports import EdgedError

TREE: Final = f"edged/v1/{GATEWAY}"
HOW_TO_INSTALL: Final = (
    "Mosquitto is not installed: the demo goes on without a broker (apt-get install mosquitto, or make demo as root)"
)
MAX_MESSAGES: Final = 50_000
_START_S: Final = 10.0
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
            await self._child.start()
            if await self._answers(self._child):
                return
            await self._child.stop()
        said = (self._directory / "mosquitto.log").read_text(errors="replace").splitlines()
        raise BrokerError(f"mosquitto does not start: {said[-1] if said else 'it says nothing'}")

    async def _answers(self, child: Child) -> bool:
        deadline_s = asyncio.get_running_loop().time() + _START_S
        while child.running and asyncio.get_running_loop().time() < deadline_s:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            return child.running
        return False

    async def stop(self) -> None:
        if self._child is not None:
            await self._child.stop()


class Observer:
    """Everything below `edged/v1/#`, as an ordinary client gets it.

    `topics`: the last payload of each topic that is not empty. `messages`: how many came.
    """

    def __init__(self, port: int, name: str) -> None:
        self._port = port
        self._lock = threading.Lock()
        self._topics: dict[str, str] = {}
        self._retained: dict[str, str] = {}
        self._subscribed = threading.Event()
        self.messages = 0
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"demo-{name}-{uuid.uuid4().hex[:8]}",
            protocol=MQTTProtocolVersion.MQTTv5,
        )
        self._client.on_connect = lambda client, *_: client.subscribe("edged/v1/#", qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message

    def _on_message(self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        text = message.payload.decode("utf-8", "replace")
        with self._lock:
            self.messages += 1
            if text and len(self._topics) < MAX_MESSAGES:
                self._topics[message.topic] = text
                if message.retain:
                    self._retained[message.topic] = text
            else:
                self._topics.pop(message.topic, None)

    async def start(self) -> None:
        """Connected and subscribed. Raises `BrokerError`."""
        try:
            await asyncio.to_thread(self._client.connect, "127.0.0.1", self._port)
        except OSError as error:
            raise BrokerError(f"cannot connect to mosquitto: {error}") from error
        self._client.loop_start()
        if not await asyncio.to_thread(self._subscribed.wait, _START_S):
            raise BrokerError("mosquitto grants no subscription")

    async def stop(self) -> None:
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

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
