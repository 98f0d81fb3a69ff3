"""More requests than the broker takes answers: they wait at the broker, and each gets its one answer."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from edged.mqtt.connection import Connection, Will
from edged.mqtt.mirror import MqttMirror
from edged.mqtt.options import BrokerOptions, Protocol
from edged.mqtt.outbox import CONGESTED_REPLIES, MAX_REPLIES, WINDOW

REQUESTS = 2 * MAX_REPLIES
IN_FLIGHT = 20
REQUEST = "edged/v1/gw1/rpc/bms-op/request/ping"
REPLY = "edged/v1/gw1/rpc/bms-op/reply/ping"


class SlowBroker:
    """MQTT 3.1.1 as far as it takes. Sends REQUESTS requests, IN_FLIGHT at a time without an acknowledgement; answers
    are taken, and acknowledged from `take_answers` on."""

    def __init__(self) -> None:
        self.port = 0
        self.answers: Counter[str] = Counter()
        self.sent = self.acknowledged = 0
        self.mids: list[int] = []
        self._server: asyncio.Server | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._unsaid: list[bytes] | None = []

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        if self._writer is not None:
            self._writer.transport.abort()
        await self._server.wait_closed()

    def take_answers(self) -> None:
        unsaid, self._unsaid = self._unsaid or [], None
        for ack in unsaid:
            self._write(ack)

    def send_more(self) -> None:
        while self.sent < REQUESTS and self.sent - self.acknowledged < IN_FLIGHT:
            self.sent += 1
            body = json.dumps({"id": str(self.sent)}).encode()
            rest = len(REQUEST).to_bytes(2, "big") + REQUEST.encode() + self.sent.to_bytes(2, "big") + body
            assert len(rest) < 128
            self._write(bytes((0x32, len(rest))) + rest)

    def _write(self, packet: bytes) -> None:
        assert self._writer is not None
        self._writer.write(packet)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        try:
            while True:
                kind = (await reader.readexactly(1))[0]
                length = shift = 0
                while True:
                    digit = (await reader.readexactly(1))[0]
                    length |= (digit & 127) << shift
                    shift += 7
                    if digit < 128:
                        break
                self._heard(kind, await reader.readexactly(length))
        except (asyncio.IncompleteReadError, OSError):
            writer.transport.abort()

    def _heard(self, kind: int, rest: bytes) -> None:
        match kind >> 4:
            case 1:
                self._write(b"\x20\x02\x00\x00")
            case 8:
                self._write(b"\x90\x03" + rest[:2] + b"\x01")
            case 10:
                self._write(b"\xb0\x02" + rest[:2])
            case 12:
                self._write(b"\xd0\x00")
            case 4:
                self.acknowledged += 1
                self.mids.append(int.from_bytes(rest[:2], "big"))
                self.send_more()
            case 3:
                self._published(kind, rest)

    def _published(self, kind: int, rest: bytes) -> None:
        end = 2 + int.from_bytes(rest[:2], "big")
        topic = rest[2:end].decode()
        if not kind & 0x06:
            return
        ack = b"\x40\x02" + rest[end : end + 2]
        if topic == REPLY:
            self.answers[json.loads(rest[end + 2 :])["id"]] += 1
        if topic == REPLY and self._unsaid is not None:
            self._unsaid.append(ack)
        else:
            self._write(ack)


@pytest.fixture
async def slow() -> AsyncIterator[SlowBroker]:
    broker = SlowBroker()
    await broker.open()
    yield broker
    await broker.close()


async def test_who_takes_no_answers_gets_no_more_requests_answered_and_none_is_lost(
    slow: SlowBroker, make_mirror: Callable[..., MqttMirror], until: Any
) -> None:
    mirror = make_mirror(slow.port, Protocol.V311)
    mirror.start()
    await until(lambda: mirror.link.connected and mirror._client._born)
    slow.send_more()
    await until(lambda: slow.acknowledged >= CONGESTED_REPLIES)
    for _ in range(200):  # nothing more comes however long it is
        await asyncio.sleep(0.001)
    assert slow.acknowledged <= CONGESTED_REPLIES + WINDOW
    assert mirror._outbox.counters.dropped == 0
    slow.take_answers()
    await until(lambda: len(slow.answers) == REQUESTS, 30.0)
    assert set(slow.answers.values()) == {1}
    assert mirror._outbox.counters.dropped == 0
    await until(lambda: slow.acknowledged == REQUESTS)
    assert slow.mids == sorted(slow.mids), "acknowledged in their order"


class Nobody:
    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


async def test_a_topic_that_is_too_long_for_mqtt_is_not_sent_and_harms_nobody(slow: SlowBroker) -> None:
    """An answer's topic may be longer than its request's."""
    options = BrokerOptions(host="127.0.0.1", port=slow.port, client_id="x")
    connection = Connection(options, Nobody(), v5=False, will=Will(topic="edged/v1/gw1/status", payload=b"offline"))
    await connection.open()
    body = {
        "v": 1,
        "ts": "2026-08-22T10:00:00.000Z",
        "id": None,
        "command": "ping",
        "ok": True,
        "result": {"pong": True},
    }
    topic = f"edged/v1/gw1/rpc/{'x' * 65_536}/reply/ping"
    assert connection.publish(topic, json.dumps(body).encode(), qos=1, retain=False) is None
    connection.close()
