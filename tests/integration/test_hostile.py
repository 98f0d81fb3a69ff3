"""Garbage into every door of the running daemon: after each it answers an ordinary request, and has not grown."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import struct
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from edged.simulator.csms import Csms, CsmsOffline, Token
from edged.simulator.csms_record import Direction, Kind
from edged.simulator.site import SimulatedCharger, SimulatedSite
from tests.integration.daemon import PATIENCE_S, Edged, charger, site_file
from tests.integration.peers import Broker, Peer, peer, running_broker

GROWTH_BYTES = 48 * 2**20
"""More than this and somebody else decides how much memory the daemon has."""
PREFIX = "edged/v1/gw/rpc/bms"


class Victim:
    """A daemon in service at one charger, and what it weighed before anybody was unkind to it."""

    def __init__(self, edged: Edged, csms: Csms, site: SimulatedSite) -> None:
        self.edged = edged
        self.csms = csms
        self.site = site
        self.weight = edged.resident_bytes
        self.pid = edged.running.pid

    async def unharmed(self) -> None:
        """It answers the CSMS and the installer, sees its charger, and is no heavier than it was, roughly."""
        await self.edged.until(self._answers_the_csms, "it answers the CSMS")
        assert (await self.edged.ask("ping"))["ok"]
        await self.edged.knows(lambda s: s["connectors"][0]["online"])
        assert self.edged.running.returncode is None and self.edged.running.pid == self.pid
        assert self.edged.resident_bytes < self.weight + GROWTH_BYTES
        assert "Traceback" not in self.edged.log, self.edged.log[-4000:]

    async def _answers_the_csms(self) -> bool:
        """Perhaps over a new connection, where the old one was rightly given up."""
        try:
            answer: Any = await self.csms.call("GetConfiguration", {"key": ["HeartbeatInterval"]}, timeout_s=PATIENCE_S)
        except CsmsOffline:
            return False
        return bool(answer["configurationKey"][0]["key"] == "HeartbeatInterval")


@contextlib.asynccontextmanager
async def in_service(edged: Edged, mqtt: str | None = None) -> AsyncIterator[Victim]:
    box = SimulatedCharger(name="box", make="phoenix-charx-sec", listen="tcp:127.0.0.1:0")
    async with SimulatedSite([box], speed=20.0, seed=1) as site, Csms(tokens={"ALICE": Token()}) as csms:
        chargers = {"box": charger("phoenix-charx-sec", site.endpoint("box"))}
        edged.configure(site_file(chargers, csms=csms.url, mqtt=mqtt))
        try:
            await edged.up()
            await csms.wait_for("StatusNotification", lambda p: p["connectorId"] == 1, timeout_s=PATIENCE_S)
            yield Victim(edged, csms, site)
        finally:
            await edged.close()


@pytest.fixture
async def victim(edged: Edged) -> AsyncIterator[Victim]:
    async with in_service(edged) as serving:
        yield serving


@pytest.fixture
async def broker(folder: Path) -> AsyncIterator[Broker]:
    async with running_broker(folder) as running:
        yield running


@pytest.fixture
async def mirrored(edged: Edged, broker: Broker) -> AsyncIterator[Victim]:
    """The same with a broker that it is connected to."""
    async with in_service(edged, mqtt=broker.url) as serving:
        await mirror_up(serving)
        yield serving


# --- the CSMS's line

FRAMES: dict[str, str | bytes] = {
    "not JSON": "this is not JSON",
    "empty": "",
    "binary": b"\x00\xff\xfe" * 100,
    "JSON in a binary frame": b'[2,"1","Heartbeat",{}]',
    "a scalar": "42",
    "an object": '{"a": 1}',
    "an empty list": "[]",
    "an unknown kind": '[9,"1","X",{}]',
    "a kind that is no number": '["2","1","GetConfiguration",{}]',
    "an id that is no text": '[2,17,"GetConfiguration",{}]',
    "an endless id": json.dumps([2, "x" * 100_000, "GetConfiguration", {}]),
    "an endless action": json.dumps([2, "1", "x" * 100_000, {}]),
    "no payload": '[2,"1","GetConfiguration"]',
    "a list as payload": '[2,"1","GetConfiguration",[]]',
    "deep nesting": "[" * 50_000,
    "deep nesting, closed": '[2,"1","DataTransfer",' + '{"a":' * 2000 + "1" + "}" * 2001,
    "half a character": '[2,"1","DataTransfer",{"vendorId":"\\ud800"}]',
    "numbers beyond all bounds": '[2,"1","ReserveNow",{"connectorId":1e999,"reservationId":NaN}]',
    "a long number": '[2,"1","ReserveNow",{"connectorId":' + "9" * 5000 + "}]",
    "an answer to nothing": '[3,"never-asked",{}]',
    "an error to nothing": '[4,"never-asked","InternalError","",{}]',
    "an answer of the wrong kind": '[3,"never-asked",[]]',
    "an error without a description": '[4,"never-asked"]',
    "control characters": '[2,"1","\\u001b[31mred\\n",{}]',
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
async def test_a_frame_that_is_no_message_harms_nobody(victim: Victim, frame: str | bytes):
    for _ in range(3):
        await victim.csms.send_raw(frame)
    await victim.unharmed()


async def test_a_megabyte_in_one_frame_harms_nobody(victim: Victim):
    with contextlib.suppress(ConnectionClosed):  # it may hang up in the middle
        await victim.csms.send_raw('[2,"big","DataTransfer",{"vendorId":"v","data":"' + "x" * 2**20 + '"}]')
    await victim.unharmed()
    with contextlib.suppress(ConnectionClosed):
        await victim.csms.send_raw("x" * 2**23)
    await victim.unharmed()


async def test_random_bytes_harm_nobody(victim: Victim):
    dice = random.Random(7)
    letters = '[]{}",:0123456789eE+-.truefalsn\\ \x00é☃'
    for _ in range(300):
        await victim.csms.send_raw("".join(dice.choices(letters, k=dice.randrange(1, 200))))
    await victim.unharmed()


async def test_three_thousand_calls_without_a_pause_are_each_answered_once(victim: Victim):
    """Too many wait: they are refused, not forgotten."""
    calls = [f"flood-{n}" for n in range(3000)]
    for ident in calls:
        await victim.csms.send_raw(json.dumps([2, ident, "GetConfiguration", {"key": ["HeartbeatInterval"]}]))

    def answers() -> list[str]:
        kinds = (Kind.RESULT, Kind.ERROR)
        record = victim.csms.record
        return [f.message_id for f in record if f.direction is Direction.RECEIVED and f.kind in kinds]

    async def all_answered() -> bool:
        return len(answers()) >= len(calls)

    await victim.edged.until(all_answered, "every call is answered")
    assert sorted(answers()) == sorted(calls)
    await victim.unharmed()


async def test_a_server_that_agrees_to_no_version_is_left(edged: Edged):
    """It speaks to nobody who does not speak its language, and stays there for the installer."""
    visits = 0
    said: list[str | bytes] = []

    async def deaf(connection: ServerConnection) -> None:
        nonlocal visits
        visits += 1
        async for message in connection:
            said.append(message)

    async with serve(deaf, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        edged.configure(
            site_file({"box": charger("phoenix-charx-sec", "127.0.0.1:9")}, csms=f"ws://127.0.0.1:{port}/ocpp")
        )
        await edged.up()
        await edged.knows(lambda s: visits >= 2 and not s["csms"]["connected"])
    assert said == []
    assert (await edged.ask("ping"))["ok"]


@pytest.mark.parametrize(
    "words",
    [
        b"",
        b"\x00" * 100,
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n" + b"x: y\r\n" * 20_000,
        b"x" * 10**6,
    ],
    ids=["nothing", "zeros", "another protocol", "endless headers", "one endless line"],
)
async def test_a_server_that_is_no_csms_is_tried_again_later(edged: Edged, words: bytes):
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(words)
        await writer.drain()

    async with peer(nonsense) as server:
        edged.configure(
            site_file({"box": charger("phoenix-charx-sec", "127.0.0.1:9")}, csms=f"ws://127.0.0.1:{server.port}/ocpp")
        )
        await edged.up()
        await edged.knows(lambda s: server.visits >= 2 and not s["csms"]["connected"])
    assert (await edged.ask("ping"))["ok"]
    assert "Traceback" not in edged.log


# --- the control socket


def knock(edged: Edged) -> socket.socket:
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    door.setblocking(False)
    door.connect(str(edged.control))
    return door


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense\n",
        b"\xff\xfe\x00\n",
        b"[1,2]\n",
        b'{"command": 5}\n',
        b'{"command": "no_such_thing"}\n',
        b'{"command": "reserve_now", "args": {"connector": "\\ud800"}}\n',
        b'{"command": "reserve_now", "args": {"connector": ' + b"[" * 5000 + b"]" * 5000 + b"}}\n",
        b'{"command": "status", "args": 7}\n',
        b"x" * 2**20 + b"\n",
    ],
    ids=["words", "bytes", "list", "number", "unknown", "half a character", "deep", "args", "a megabyte"],
)
async def test_a_line_that_is_no_request_gets_one_answer_that_says_why(victim: Victim, line: bytes):
    reader, writer = await asyncio.open_unix_connection(victim.edged.control, limit=2**20)
    try:
        with contextlib.suppress(OSError):
            writer.write(line)
            async with asyncio.timeout(PATIENCE_S):
                reply = json.loads(await reader.readline())
                assert reply["ok"] is False and reply["error"]["message"]
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    await victim.unharmed()


async def test_half_a_line_and_gone_leaves_nothing_behind(victim: Victim):
    for _ in range(50):
        with contextlib.closing(knock(victim.edged)) as door, contextlib.suppress(BrokenPipeError):
            door.send(b'{"command": "sta')  # the daemon may turn us away where it has not yet seen the others go
    await victim.unharmed()


async def test_who_asks_and_does_not_read_holds_nobody_up(victim: Victim):
    with contextlib.closing(knock(victim.edged)) as door:
        with contextlib.suppress(BlockingIOError):
            while True:
                door.send(b'{"command": "get_state"}\n' * 100)
        await victim.unharmed()


async def test_a_hundred_clients_do_not_shut_the_door_for_good(victim: Victim):
    with contextlib.ExitStack() as doors:
        for _ in range(100):
            with contextlib.suppress(BlockingIOError):
                doors.enter_context(contextlib.closing(knock(victim.edged)))
        answer: Any = await victim.csms.call("GetConfiguration", {"key": ["HeartbeatInterval"]}, timeout_s=PATIENCE_S)
        assert answer["configurationKey"]
    await victim.edged.answers()
    await victim.unharmed()


# --- the field bus


async def noise(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    dice = random.Random(5)
    while await reader.read(4096):
        writer.write(dice.randbytes(dice.randrange(1, 400)))
        await writer.drain()


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Talks all the time, whether asked or not."""
    while True:
        writer.write(bytes(65536))
        await writer.drain()
        await asyncio.sleep(0.01)


async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    return


async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(4096):
        pass


def answering(change: str) -> Any:
    """A slave that answers each request, but not as it should."""

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            header = await reader.readexactly(7)
            transaction, _, length, unit = struct.unpack(">HHHB", header)
            pdu = await reader.readexactly(length - 1)
            count = struct.unpack(">H", pdu[3:5])[0] if len(pdu) >= 5 else 1
            body = bytes([pdu[0], 2 * count % 256]) + bytes(2 * count)
            match change:
                case "unit":
                    unit = unit % 247 + 1
                case "function":
                    body = bytes([pdu[0] ^ 0x40]) + body[1:]
                case "length":
                    body = body[:2] + body[4:]
                case "count":
                    body = body[:1] + b"\xff" + body[2:]
                case "exception":
                    body = bytes([pdu[0] | 0x80, 0x0B])
                case "empty":
                    body = b""
                case "transaction":
                    transaction ^= 0x5555
            writer.write(struct.pack(">HHHB", transaction, 0, len(body) + 1, unit) + body)
            await writer.drain()

    return conversation


PEERS = {
    "noise": noise,
    "flood": flood,
    "closes at once": closes,
    "never answers": never,
    **{f"wrong {each}": answering(each) for each in ("unit", "function", "length", "count", "transaction")},
    "only exceptions": answering("exception"),
    "empty answers": answering("empty"),
}


@pytest.mark.parametrize("conversation", PEERS.values(), ids=PEERS)
async def test_a_charger_that_talks_nonsense_is_away_and_its_neighbour_charges(edged: Edged, conversation: Any):
    box = SimulatedCharger(name="good", make="phoenix-charx-sec", listen="tcp:127.0.0.1:0")
    async with SimulatedSite([box], speed=20.0, seed=1) as site, Csms(tokens={"ALICE": Token()}) as csms:
        bad = Peer(conversation)
        await bad.start()
        try:
            chargers = {
                "good": charger("phoenix-charx-sec", site.endpoint("good")),
                "bad": charger("phoenix-charx-sec", f"127.0.0.1:{bad.port}"),
            }
            edged.configure(site_file(chargers, csms=csms.url))
            await edged.up()
            weight = edged.resident_bytes
            await csms.wait_for("StatusNotification", lambda p: p["connectorId"] == 1, timeout_s=PATIENCE_S)
            site["good"].plug_in()
            await csms.wait_for("StatusNotification", lambda p: p["status"] == "Preparing", timeout_s=PATIENCE_S)
            site["good"].swipe("ALICE")
            await csms.wait_for("StartTransaction", timeout_s=PATIENCE_S)
            await site.until(lambda: site["good"].energy_wh > 10, timeout_s=PATIENCE_S)
            assert bad.visits >= 1
            await edged.knows(lambda s: s["connectors"][0]["online"] and not s["connectors"][1]["online"])
            assert edged.resident_bytes < weight + GROWTH_BYTES
            assert "Traceback" not in edged.log
        finally:
            await bad.stop()


# --- the broker


async def publish(broker: Broker, topic: str, payload: bytes, *more: str) -> None:
    command = ("mosquitto_pub", "-p", str(broker.port), "-t", topic, "-s", *more)
    said = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
    await asyncio.wait_for(said.communicate(payload), PATIENCE_S)
    assert said.returncode == 0


async def asked(broker: Broker, command: str, payload: bytes) -> dict[str, Any]:
    """What comes back to an ordinary request, on a topic where no answer to another request comes."""
    topics = ("-t", f"{PREFIX}/request/{command}", "-e", f"{PREFIX}/reply/{uuid.uuid4()}", "-W", "20")
    words = ("mosquitto_rr", "-p", str(broker.port), "-V", "mqttv5", *topics, "-s")
    asking = await asyncio.create_subprocess_exec(*words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    said, _ = await asyncio.wait_for(asking.communicate(payload), PATIENCE_S)
    return dict(json.loads(said))


PAYLOADS: dict[str, bytes] = {
    "nothing": b"\n",
    "not JSON": b"reserve, please",
    "bytes": bytes(range(256)),
    "a megabyte": b"x" * 2**20,
    "deep": b"[" * 15_000,
    "half a character": b'{"id": "\\ud800"}',
    "a number beyond all bounds": b'{"id": "a", "ttl_s": 1e999}',
    "another's reply topic": b'{"id": "a", "reply_to": "edged/v1/gw/status"}',
    "a wildcard as reply topic": b'{"id": "a", "reply_to": "#"}',
}


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
async def test_a_hostile_request_harms_nobody(mirrored: Victim, broker: Broker, payload: bytes):
    for topic in (f"{PREFIX}/request/reserve_now", f"{PREFIX}/request/ping", f"{PREFIX}/request/no/such"):
        await publish(broker, topic, payload)
    answer = await asked(broker, "ping", b'{"id": "after"}')
    assert answer["ok"], answer
    await mirrored.unharmed()


async def test_a_retained_command_is_never_carried_out(mirrored: Victim, broker: Broker):
    """It waits at the broker for the daemon to come back, and is refused and removed then."""
    mirrored.edged.signal(15)
    assert await mirrored.edged.ended() == 0
    order = {"id": "old", "args": {"connector": 1, "id_token": "BOB", "expires_at": "2031-01-01T00:00:00Z"}}
    await publish(broker, f"{PREFIX}/request/reserve_now", json.dumps(order).encode(), "-r")
    await mirrored.edged.up()
    mirrored.pid = mirrored.edged.running.pid
    await mirror_up(mirrored)
    answer = await asked(broker, "ping", b'{"id": "after"}')
    assert answer["ok"], answer
    reservations = await mirrored.edged.result("list_reservations")
    assert "BOB" not in json.dumps(reservations)
    assert (await mirrored.edged.status())["stations"][0]["reservations"] == []
    await mirrored.unharmed()


async def test_a_thousand_requests_at_once_cost_their_sender_the_answers(mirrored: Victim, broker: Broker):
    command = ("mosquitto_pub", "-p", str(broker.port), "-t", f"{PREFIX}/request/get_state", "-l", "-q", "1")
    said = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
    lines = b"".join(b'{"id": "r%d"}\n' % n for n in range(1000))
    await asyncio.wait_for(said.communicate(lines), PATIENCE_S)
    await mirrored.unharmed()

    async def served_again() -> bool:
        return bool((await asked(broker, "ping", b"{}"))["ok"])

    await mirrored.edged.until(served_again, "the caller is served again")


async def mirror_up(victim: Victim) -> None:
    async def connected() -> bool:
        return bool((await victim.edged.status())["mqtt"]["connected"])

    await victim.edged.until(connected, "the broker is reached")
