"""A visit to brokers that are old, mean, slow or loud: stubs, byte by byte. Debian's own is visited in tests/cli."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator

import pytest

from edged.mqtt import visiting
from edged.mqtt.dialling import BrokerRefused, BrokerUnreachable
from edged.mqtt.names import Names
from edged.mqtt.options import BrokerOptions, Protocol
from edged.mqtt.visiting import NotAllowed, Visit, belongings, farewell_order

NAMES = Names("edged", "gw1")
GRANTED, DENIED, OLD_VERSION, NOT_AUTHORIZED = 1, 0x87, b"\0\x84\0", b"\0\x87\0"


class Stub:
    """A broker for one visitor at a time. `greetings`: the CONNACKs of its connections, the last one for all further;
    `most`: publications that were under way at once."""

    def __init__(self) -> None:
        self.port = 0
        self.greetings = [b"\0\0\0"]
        self.granted = GRANTED
        self.acknowledges = True
        self.says: list[bytes] = []
        self.levels: list[int] = []
        self.deleted: list[str] = []
        self.most = 0
        self.acknowledged: list[int] = []
        self.tasks: list[asyncio.Task[None] | None] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        waiting: list[bytes] = []
        self.tasks.append(asyncio.current_task())
        packet = asyncio.ensure_future(_packet(reader))
        try:
            while True:
                done, _ = await asyncio.wait([packet], timeout=0.2 if waiting else None)
                if done:
                    self._answer(*packet.result(), writer, waiting)
                    packet = asyncio.ensure_future(_packet(reader))
                else:  # nothing more comes before these are acknowledged
                    for mid in waiting:
                        writer.write(b"\x40\x02" + mid)
                    waiting.clear()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            packet.cancel()
            writer.close()

    def _answer(self, kind: int, body: bytes, writer: asyncio.StreamWriter, waiting: list[bytes]) -> None:
        if kind == 1:
            self.levels.append(body[6])
            greeting = self.greetings[min(len(self.levels), len(self.greetings)) - 1]
            greeting = greeting if body[6] == 5 else greeting[:2]
            writer.write(bytes([0x20, len(greeting)]) + greeting)
        elif kind == 8:
            v5 = self.levels[-1] == 5
            codes = bytes([self.granted]) * body.count(b"gw1")
            answer = body[:2] + (b"\0" if v5 else b"") + codes
            writer.write(bytes([0x90, len(answer)]) + answer)
            for said in self.says:
                writer.write(said)
        elif kind == 4:
            self.acknowledged += struct.unpack_from("!H", body)
        elif kind == 3:
            (size,) = struct.unpack_from("!H", body)
            self.deleted.append(body[2 : 2 + size].decode())
            if self.acknowledges:
                waiting.append(body[2 + size :][:2])
                self.most = max(self.most, len(waiting))


async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    first, length = await reader.readexactly(2)
    if length > 127:
        length += 128 * ((await reader.readexactly(1))[0] - 1)
    return first >> 4, await reader.readexactly(length)


def retained(topic: str, payload: bytes, mid: int | None = None) -> bytes:
    """A PUBLISH of version 5. `mid` None: at QoS 0, otherwise at QoS 1."""
    number = b"" if mid is None else struct.pack("!H", mid)
    body = struct.pack("!H", len(topic)) + topic.encode() + number + b"\0" + payload
    return bytes([0x31 if mid is None else 0x33, len(body)]) + body


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    broker = Stub()
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    broker.port = server.sockets[0].getsockname()[1]
    yield broker
    server.close()
    await asyncio.wait([task for task in broker.tasks if task is not None], timeout=30)


@pytest.fixture(autouse=True)
def _impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visiting, "QUIET_S", 0.1)
    monkeypatch.setattr(visiting, "ANSWER_S", 1.0)


def options(stub: Stub, protocol: Protocol = Protocol.AUTO) -> BrokerOptions:
    return BrokerOptions(host="127.0.0.1", port=stub.port, client_id="visitor", protocol=protocol)


async def test_a_broker_that_knows_only_the_old_version_is_visited_in_it(stub: Stub) -> None:
    stub.greetings = [OLD_VERSION, b"\0\0\0"]
    async with Visit(options(stub)) as visit:
        assert visit.version == "3.1.1"
        await visit.listen((f"{NAMES.prefix}/#",))
    assert stub.levels == [5, 4]


async def test_who_wants_one_version_gets_that_or_a_refusal(stub: Stub) -> None:
    stub.greetings = [OLD_VERSION]
    with pytest.raises(BrokerRefused):
        async with Visit(options(stub, Protocol.V5)):
            pass
    assert stub.levels == [5]


async def test_a_visitor_who_is_not_let_in_tries_no_other_version(stub: Stub) -> None:
    stub.greetings = [NOT_AUTHORIZED]
    with pytest.raises(BrokerRefused, match="Not authorized"):
        async with Visit(options(stub)):
            pass
    assert stub.levels == [5]


async def test_a_subscription_that_is_refused_is_told(stub: Stub) -> None:
    stub.granted = DENIED
    async with Visit(options(stub)) as visit:
        with pytest.raises(NotAllowed, match="Not authorized"):
            await visit.listen((f"{NAMES.prefix}/#",))


async def test_only_what_is_kept_counts_as_kept(stub: Stub) -> None:
    live = retained("edged/v1/gw1/heartbeat", b"{}").replace(b"\x31", b"\x30", 1)
    stub.says = [retained("edged/v1/gw1/info", b"{}"), live, retained("edged/v1/gw1/status", b"")]
    async with Visit(options(stub)) as visit:
        assert await visit.kept((f"{NAMES.prefix}/#",)) == {"edged/v1/gw1/info": b"{}"}


async def test_whatever_the_broker_wants_acknowledged_is_acknowledged(stub: Stub) -> None:
    stub.says = [retained(f"edged/v1/gw1/x{n}", b"{}", mid=n) for n in range(1, 31)]
    async with Visit(options(stub)) as visit:
        assert len(await visit.kept((f"{NAMES.prefix}/#",))) == 30
    assert stub.acknowledged == list(range(1, 31))


async def test_no_more_is_under_way_than_the_broker_allows(stub: Stub) -> None:
    stub.greetings = [b"\0\0\x03\x21\0\x03"]  # Receive Maximum 3
    topics = [f"edged/v1/gw1/x{n}" for n in range(10)]
    async with Visit(options(stub)) as visit:
        assert await visit.delete(topics) == {}
    assert stub.deleted == topics
    assert stub.most == 3


async def test_a_broker_that_acknowledges_nothing_is_not_waited_for_for_ever(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visiting, "ANSWER_S", 0.1)
    stub.acknowledges = False
    async with Visit(options(stub)) as visit:
        with pytest.raises(BrokerUnreachable, match="no acknowledgement"):
            await visit.delete(["edged/v1/gw1/info"])


async def test_a_loud_broker_costs_no_memory(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visiting, "MAX_WAITING", 5)
    stub.says = [retained(f"edged/v1/gw1/x{n}", b"{}") for n in range(30)]
    async with Visit(options(stub)) as visit:
        await visit.listen((f"{NAMES.prefix}/#",))
        async with asyncio.timeout(30):
            while visit.overlooked < 25:
                await asyncio.sleep(0.01)
        seen = [await visit.next(1.0) for _ in range(5)]
    assert [message.topic[-3:] for message in seen if message is not None] == ["x25", "x26", "x27", "x28", "x29"]


async def test_the_end_of_the_line_is_told_to_whoever_waits(stub: Stub) -> None:
    async with Visit(options(stub)) as visit:
        waiting = asyncio.ensure_future(visit.next(10.0))
        await asyncio.sleep(0)
        visit.closed("the connection was lost")
        with pytest.raises(BrokerUnreachable, match="the connection was lost"):
            await waiting


def test_status_goes_last_and_announcements_first() -> None:
    topics = ["edged/v1/gw1/status", "edged/v1/gw1/a", "homeassistant/device/edged-gw1/x/config"]
    assert farewell_order(topics, NAMES) == [topics[2], topics[1], topics[0]]
    assert belongings(NAMES, "ha/x") == ("edged/v1/gw1/#", "ha/x/device/edged-gw1/+/config")
