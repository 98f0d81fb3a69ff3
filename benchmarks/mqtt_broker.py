"""Debian's Mosquitto for the benchmarks, and a collector that hears what arrives."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from benchmarks.process import STATE_ROOT

MOSQUITTO = "/usr/sbin/mosquitto"
PATIENCE_S = 30.0


class Broker:
    """Persistence as the broker kit has it."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._path = folder / "mosquitto.conf"
        lines = [
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            "log_dest none",
            "persistence true",
            f"persistence_location {folder}/",
            "autosave_interval 60",
            "max_queued_messages 10000",
        ]
        if os.geteuid() == 0:
            lines.insert(0, "user root")
        self._path.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        out = subprocess.DEVNULL
        self._process = subprocess.Popen([MOSQUITTO, "-c", str(self._path)], stdout=out, stderr=out)
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline_s:
                    raise RuntimeError("mosquitto does not start: apt-get install mosquitto") from None
                time.sleep(0.02)

    def end(self, *, kill: bool) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill() if kill else process.terminate()
            process.wait(10)


@contextlib.contextmanager
def broker() -> Iterator[Broker]:
    with tempfile.TemporaryDirectory(dir=STATE_ROOT, prefix="edged-bench-") as folder:
        running = Broker(Path(folder))
        running.start()
        try:
            yield running
        finally:
            running.end(kill=True)


class Collector:
    """Hears everything, in a session that outlives its connections. `heard` is called on paho's thread."""

    def __init__(self, port: int, topic_filter: str, heard: Callable[[paho.MQTTMessage], None]) -> None:
        self.subscribed = threading.Event()
        self.count = 0
        self._heard = heard
        self._client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id=f"collector-{uuid.uuid4().hex[:8]}", protocol=paho.MQTTv5
        )
        self._client.on_connect = lambda client, *_: client.subscribe(topic_filter, 1)
        self._client.on_subscribe = lambda *_: self.subscribed.set()
        self._client.on_disconnect = lambda *_: self.subscribed.clear()
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(1, 1)
        properties: Any = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
        self._client.connect("127.0.0.1", port, 30, clean_start=False, properties=properties)
        self._client.loop_start()
        self.wait()

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        self.count += 1
        self._heard(message)

    def wait(self) -> None:
        if not self.subscribed.wait(PATIENCE_S):
            raise RuntimeError("the collector was not let in")

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
