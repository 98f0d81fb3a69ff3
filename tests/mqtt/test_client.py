"""The client against brokers that lie, stall, limit or speak only the old version: stubs, byte by byte."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from edged.mqtt.client import BrokerClient, LinkState
from edged.mqtt.connection import Incoming
from edged.mqtt.documents import Document
from edged.mqtt.options import BrokerOptions, Protocol, TlsOptions
from edged.mqtt.outbox import Outbox

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, DISCONNECT = 1, 2, 3, 4, 8, 9, 14
NOON = datetime(2026, 8, 22, 10, tzinfo=UTC)
STATUS = "edged/v1/gw1/status"
PATIENCE_S = 30.0


class Link:
    """One client of a stub broker, packet by packet."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self.v5 = True
        self.connect = b""
        self.published: list[tuple[str, bytes, int]] = []

    async def packet(self) -> tuple[int, int, bytes]:
        """Kind, flags and body of the next packet."""
        (first,) = await self._reader.readexactly(1)
        length, shift = 0, 0
        while True:
            (byte,) = await self._reader.readexactly(1)
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        return first >> 4, first & 15, await self._reader.readexactly(length)

    def send(self, kind: int, body: bytes, flags: int = 0) -> None:
        assert len(body) < 128
        self.writer.write(bytes([kind << 4 | flags, len(body)]) + body)

    async def accept(self, properties: bytes = b"") -> None:
        """CONNACK with these properties; then SUBACK."""
        _, _, self.connect = await self.packet()
        self.v5 = self.connect[6] == 5
        self.send(CONNACK, b"\0\0" + (bytes([len(properties)]) + properties if self.v5 else b""))

    async def serve(self, *, acknowledge: bool = True) -> None:
        """Note what is published and acknowledge it, until the client goes."""
        while True:
            kind, flags, body = await self.packet()
            if kind == SUBSCRIBE:
                self.send(SUBACK, body[:2] + (b"\0\1" if self.v5 else b"\1"))
            elif kind == PUBLISH:
                self._note(flags, body)
                if acknowledge and flags & 6:
                    mid = body[2 + struct.unpack_from("!H", body)[0] :][:2]
                    self.send(PUBACK, mid)
            elif kind == DISCONNECT:
                return

    def _note(self, flags: int, body: bytes) -> None:
        (size,) = struct.unpack_from("!H", body)
        rest = body[2 + size :]
        rest = rest[2:] if flags & 6 else rest
        self.published.append((body[2 : 2 + size].decode(), rest[1:] if self.v5 else rest, flags))


Script = Callable[[Link], Awaitable[None]]


class StubBroker:
    """Runs a script for each connection; the last script is used for all that follow."""

    def __init__(self) -> None:
        self.scripts: list[Script] = []
        self.links: list[Link] = []
        self.port = 0

    async def client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = Link(reader, writer)
        self.links.append(link)
        try:
            await self.scripts[min(len(self.links), len(self.scripts)) - 1](link)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def stub() -> AsyncIterator[StubBroker]:
    broker = StubBroker()
    server = await asyncio.start_server(broker.client, "127.0.0.1", 0)
    broker.port = server.sockets[0].getsockname()[1]
    yield broker
    server.close()
    for link in broker.links:
        link.writer.close()


class Owner:
    def __init__(self) -> None:
        self.links: list[LinkState] = []
        self.messages: list[Incoming] = []
        self.births = self.acknowledgements = 0

    def connecting(self, link: LinkState) -> None: ...

    def link_changed(self, link: LinkState) -> None:
        self.links.append(link)

    def connected(self) -> None: ...

    def born(self) -> None:
        self.births += 1

    def acknowledged(self) -> None:
        self.acknowledgements += 1

    def too_large(self, topic: str, answer: Document) -> None: ...

    def received(self, message: Incoming) -> None:
        self.messages.append(message)


@pytest.fixture
async def make_client() -> AsyncIterator[Callable[..., BrokerClient]]:
    made: list[BrokerClient] = []

    def build(port: int, outbox: Outbox | None = None, **options: Any) -> BrokerClient:
        whole: dict[str, Any] = {"backoff_first_s": 0.02, "backoff_last_s": 0.05, "client_id": "edged-gw1"}
        client = BrokerClient(
            BrokerOptions(**{**whole, "host": "127.0.0.1", "port": port, **options}),
            Owner(),
            outbox or Outbox(),
            status_topic=STATUS,
            subscription="edged/v1/gw1/rpc/+/request/#",
        )
        made.append(client)
        client.start()
        return client

    yield build
    for client in made:
        await client.stop(0.2)


async def polite(link: Link) -> None:
    await link.accept()
    await link.serve()


def topic(n: int) -> str:
    return f"edged/v1/gw1/station/cs1/connector/{n}/lock"


def filled(topics: int) -> Outbox:
    outbox = Outbox()
    for n in range(topics):
        outbox.show(topic(n), Document(body={"state": "locked"}, at=NOON))
    return outbox


# --- versions


async def test_a_broker_that_speaks_only_the_old_version_gets_it_at_once(
    stub: StubBroker, make_client: Any, until: Any
) -> None:
    async def old(link: Link) -> None:
        _, _, connect = await link.packet()
        assert connect[6] == 5
        link.send(CONNACK, b"\0\1")

    stub.scripts = [old, polite]
    client = make_client(stub.port)
    await until(lambda: client.link.connected)
    assert client.link.version == "3.1.1"
    assert stub.links[1].connect[6] == 4
    assert len(stub.links) == 2


async def test_a_new_style_refusal_of_the_version_falls_back_as_well(
    stub: StubBroker, make_client: Any, until: Any
) -> None:
    async def refuse(link: Link) -> None:
        await link.packet()
        link.send(CONNACK, b"\0\x84\0")

    stub.scripts = [refuse, polite]
    client = make_client(stub.port)
    await until(lambda: client.link.version == "3.1.1")


async def test_who_asks_for_version_5_alone_never_gets_another(stub: StubBroker, make_client: Any, until: Any) -> None:
    async def refuse(link: Link) -> None:
        _, _, link.connect = await link.packet()
        link.send(CONNACK, b"\0\x84\0")

    stub.scripts = [refuse]
    client = make_client(stub.port, protocol=Protocol.V5)
    await until(lambda: len(stub.links) >= 3)
    assert {link.connect[6] for link in stub.links[:2]} == {5}
    assert "rotocol" in (client.link.error or "")


# --- what the client says of itself


async def test_connect_asks_for_a_clean_start_a_will_and_a_short_keepalive(
    stub: StubBroker, make_client: Any, until: Any
) -> None:
    stub.scripts = [polite]
    client = make_client(stub.port, username="edged", password="secret")
    await until(lambda: client.link.connected)
    connect = stub.links[0].connect
    flags = connect[7]
    assert flags & 0x02, "clean start"
    assert flags & 0x2C == 0x2C, "will, QoS 1, retained"
    assert struct.unpack_from("!H", connect, 8) == (15,)
    assert b"\x00\x07offline" in connect
    assert b"\x00\x05edged\x00\x06secret" in connect
    assert "secret" not in repr(BrokerOptions(host="h", port=1, client_id="c", password="secret"))


# --- limits


async def test_the_receive_maximum_of_the_broker_is_never_exceeded(
    stub: StubBroker, make_client: Any, until: Any
) -> None:
    async def stingy(link: Link) -> None:
        await link.accept(b"\x21\x00\x03")
        await link.serve(acknowledge=False)

    stub.scripts = [stingy]
    client = make_client(stub.port, filled(100))
    await until(lambda: client.link.connected and stub.links[0].published)
    for _ in range(20):
        client.wake()
        await asyncio.sleep(0)
    assert len(stub.links[0].published) <= 3


async def test_without_acknowledgements_nothing_piles_up_in_the_library(
    stub: StubBroker, make_client: Any, until: Any
) -> None:
    async def silent(link: Link) -> None:
        await link.accept()
        await link.serve(acknowledge=False)

    stub.scripts = [silent]
    outbox = filled(500)
    client = make_client(stub.port, outbox)
    await until(lambda: len(stub.links) == 1 and len(stub.links[0].published) == 16)
    assert (outbox.under_way, outbox.depth) == (16, 484)
    assert client.link.connected


async def test_qos_and_retain_that_the_broker_does_not_offer_are_not_used(
    stub: StubBroker, make_client: Any, until: Any
) -> None:
    async def poor(link: Link) -> None:
        await link.accept(b"\x24\x00\x25\x00")
        await link.serve()

    stub.scripts = [poor]
    make_client(stub.port, filled(30))
    await until(lambda: stub.links and len(stub.links[0].published) == 31)
    assert {flags & 7 for _, _, flags in stub.links[0].published} == {0}


@pytest.mark.parametrize(("code", "bits"), [(0x9B, 0x18), (0x9A, 0x20)])
async def test_a_will_that_the_broker_cannot_keep_is_made_simpler(
    stub: StubBroker, make_client: Any, until: Any, code: int, bits: int
) -> None:
    async def refuse(link: Link) -> None:
        await link.packet()
        link.send(CONNACK, bytes([0, code, 0]))

    stub.scripts = [refuse, polite]
    client = make_client(stub.port)
    await until(lambda: client.link.connected)
    assert stub.links[1].connect[7] & bits == 0


async def test_a_message_that_is_too_large_for_the_broker_is_left_out_and_the_rest_goes(
    stub: StubBroker, make_client: Any, until: Any
) -> None:
    async def small(link: Link) -> None:
        await link.accept(b"\x27" + struct.pack("!I", 200))
        await link.serve()

    stub.scripts = [small]
    outbox = filled(3)
    fault = {"active": True, "error_code": "OtherError", "vendor_error_code": None, "info": "x" * 300, "since": None}
    big = "edged/v1/gw1/station/cs1/connector/1/error"
    outbox.show(big, Document(body=fault, at=NOON))
    client = make_client(stub.port, outbox)
    await until(lambda: stub.links and ("edged/v1/gw1/status", b"online", 3) in stub.links[0].published)
    assert big not in {topic for topic, _, _ in stub.links[0].published}
    assert outbox.counters.refused == 1
    assert client.link.connected


async def test_the_keepalive_of_the_broker_is_taken(stub: StubBroker, make_client: Any, until: Any) -> None:
    pinged = asyncio.Event()

    async def impatient(link: Link) -> None:
        await link.accept(b"\x13\x00\x01")
        while True:
            kind, _, body = await link.packet()
            if kind == SUBSCRIBE:
                link.send(SUBACK, body[:2] + b"\0\1")
            if kind == 12:
                pinged.set()

    stub.scripts = [impatient]
    make_client(stub.port)
    await asyncio.wait_for(pinged.wait(), PATIENCE_S)


# --- trouble


async def test_a_proxy_before_a_dead_broker_is_a_failure_at_once(
    stub: StubBroker, make_client: Any, until: Any
) -> None:
    async def close(link: Link) -> None:
        await link.packet()

    stub.scripts = [close]
    client = make_client(stub.port, connack_timeout_s=60.0)
    await until(lambda: len(stub.links) >= 3)
    assert "before CONNACK" in (client.link.error or "")


async def test_a_broker_that_never_answers_is_given_up(stub: StubBroker, make_client: Any, until: Any) -> None:
    async def mute(link: Link) -> None:
        await link.packet()
        await asyncio.Event().wait()

    stub.scripts = [mute]
    client = make_client(stub.port, connack_timeout_s=0.1)
    await until(lambda: client.link.error is not None)
    assert "no CONNACK within 0.1 s" in client.link.error


async def test_an_address_that_swallows_everything_is_given_up(make_client: Any, until: Any) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        crowd = []
        try:
            for _ in range(4):  # the queue of a listener that never accepts is soon full
                other = socket.socket()
                other.setblocking(False)
                other.connect_ex(full.getsockname())
                crowd.append(other)
            client = make_client(full.getsockname()[1], connect_timeout_s=0.2, connack_timeout_s=0.2)
            await until(lambda: client.link.error is not None)
            assert "within 0.2 s" in client.link.error
            await client.stop(0.1)
        finally:
            for other in crowd:
                other.close()


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\xf0\x00" * 50,
        b"\x20\xff\xff\xff\xff\xff\xff",
        b"\x20\x03\x00\x00\x7f",
        b"\x20\x05\x00\x00\x02\xff\xff",
        b"\x20\x00",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        bytes(range(256)),
    ],
)
async def test_nonsense_instead_of_a_greeting_is_survived(
    stub: StubBroker, make_client: Any, until: Any, nonsense: bytes
) -> None:
    async def mad(link: Link) -> None:
        await link.packet()
        link.writer.write(nonsense)
        await asyncio.sleep(0.05)

    stub.scripts = [mad, mad, polite]
    client = make_client(stub.port, protocol=Protocol.V5)
    await until(lambda: client.link.connected)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x30\x02\x00\xff",  # a topic longer than its packet
        b"\x32\x05\x00\x01t\x00\x00",
        b"\x32\x01\x00",
        b"\x40\x01\x00",
        b"\x40\x04\xff\xff\x00\x00",  # an acknowledgement of nothing
        b"\x90\x02\x00\x01",
        b"\x30\x05\x00\x02\xff\xfe\x00",  # a topic that is not UTF-8
        b"\xf0\x00",
        b"\x20\x03\x00\x00\x00",  # a second greeting
        b"\xe0\x01\xff",
    ],
)
async def test_nonsense_later_on_costs_at_most_the_connection(
    stub: StubBroker, make_client: Any, until: Any, nonsense: bytes
) -> None:
    async def mad(link: Link) -> None:
        await link.accept()
        link.writer.write(nonsense)
        await asyncio.sleep(0.05)

    stub.scripts = [mad, polite]
    client = make_client(stub.port, filled(3))
    await until(lambda: len(stub.links) == 2 and ("edged/v1/gw1/status", b"online", 3) in stub.links[1].published)
    assert client.link.connected


async def test_a_broker_that_acknowledges_nothing_is_left(stub: StubBroker, make_client: Any, until: Any) -> None:
    async def silent(link: Link) -> None:
        await link.accept()
        await link.serve(acknowledge=False)

    stub.scripts = [silent, polite]
    outbox = filled(3)
    client = make_client(stub.port, outbox, ack_timeout_s=0.1)
    await until(lambda: client.link.connected)

    def dumped() -> bool:
        client.wake()  # as the mirror does twice a second
        return client.link.session == 2 and outbox.dumped

    await until(dumped)


async def test_an_outage_is_two_lines_in_the_log_however_long_it_takes(
    stub: StubBroker, make_client: Any, until: Any, caplog: Any
) -> None:
    async def brief(link: Link) -> None:
        await link.accept()
        await link.packet()

    async def close(link: Link) -> None:
        await link.packet()

    caplog.set_level(logging.INFO, "edged.mqtt")
    stub.scripts = [brief, close, close, close, close, polite]
    client = make_client(stub.port)
    await until(lambda: client.link.connected and client.link.session == 2)
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("edged.mqtt")]
    assert len([line for line in lines if "away" in line]) == 1
    assert len([line for line in lines if "connected again" in line and "attempts" in line]) == 1


async def test_a_refused_subscription_is_said_loudly(
    stub: StubBroker, make_client: Any, until: Any, caplog: Any
) -> None:
    async def deny(link: Link) -> None:
        await link.accept()
        while True:
            kind, _, body = await link.packet()
            if kind == SUBSCRIBE:
                link.send(SUBACK, body[:2] + b"\0\x87")

    stub.scripts = [deny]
    client = make_client(stub.port)
    await until(lambda: client.link.subscription_refused is not None)
    assert "ot authorized" in client.link.subscription_refused
    assert any(record.levelname == "ERROR" for record in caplog.records)


async def test_stopping_takes_no_longer_than_it_may_where_the_broker_does_not_answer(
    stub: StubBroker, make_client: Any, until: Any
) -> None:
    async def silent(link: Link) -> None:
        await link.accept()
        await link.serve(acknowledge=False)

    stub.scripts = [silent]
    client = make_client(stub.port, filled(5))
    await until(lambda: client.link.connected)
    async with asyncio.timeout(PATIENCE_S):  # it is never acknowledged
        await client.stop(0.3)
    await until(lambda: any(payload == b"offline" for _, payload, _ in stub.links[0].published))


async def test_stopping_while_dialling_is_immediate(make_client: Any, unused_address: tuple[str, int]) -> None:
    client = make_client(unused_address[1], connect_timeout_s=300.0)
    await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE_S):
        await client.stop(120.0)


@pytest.fixture
def unused_address() -> tuple[str, int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return ("127.0.0.1", probe.getsockname()[1])


# --- TLS, with Debian's broker


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, a broker's and a client's certificate."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(*new, "-x509", "-subj", "/CN=authority", "-days", "30", "-keyout", "ca.key", "-out", "ca.crt")
    for name, extra in (("broker", "subjectAltName=IP:127.0.0.1"), ("edged", "subjectAltName=DNS:edged")):
        (folder / f"{name}.ext").write_text(extra)
        openssl(*new, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        sign = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30", "-extfile", f"{name}.ext")
        openssl("x509", "-req", "-in", f"{name}.csr", *sign, "-out", f"{name}.crt")
    return folder


def tls_lines(folder: Path) -> tuple[str, ...]:
    return (
        f"cafile {folder}/ca.crt",
        f"certfile {folder}/broker.crt",
        f"keyfile {folder}/broker.key",
        "require_certificate true",
        "use_identity_as_username true",
    )


def tls_options(folder: Path) -> TlsOptions:
    return TlsOptions(
        ca_file=str(folder / "ca.crt"),
        certificate_file=str(folder / "edged.crt"),
        key_file=str(folder / "edged.key"),
    )


async def test_a_client_certificate_opens_the_broker(
    broker: Any, certificates: Path, make_client: Any, until: Any
) -> None:
    broker.stop()
    broker.start(*tls_lines(certificates))
    outbox = filled(300)
    client = make_client(broker.port, outbox, tls=tls_options(certificates))
    await until(lambda: client.link.connected and outbox.dumped)
    assert client.link.certificate_expires is not None


async def test_two_messages_in_one_record_of_tls_are_both_read(
    certificates: Path, make_client: Any, until: Any
) -> None:
    async def both(link: Link) -> None:
        await link.accept()
        while (await link.packet())[0] != PUBLISH:
            pass
        link.writer.write(b"\x30\x04\x00\x01a\x00" * 20)
        await asyncio.Event().wait()  # nothing follows that would wake the reader

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates / "broker.crt", certificates / "broker.key")
    broker = StubBroker()
    broker.scripts = [both]
    server = await asyncio.start_server(broker.client, "127.0.0.1", 0, ssl=context)
    client = make_client(server.sockets[0].getsockname()[1], tls=tls_options(certificates))
    await until(lambda: len(client._owner.messages) == 20, 5.0)
    await client.stop(0.1)
    server.close()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ca_file": None}, "certificate"),
        ({"certificate_file": None, "key_file": None}, ""),
        ({"ca_file": "/nowhere/ca.crt"}, "/nowhere/ca.crt"),
        ({"key_file": "/nowhere/edged.key"}, "edged.crt"),
    ],
)
async def test_a_certificate_that_does_not_fit_is_told(
    broker: Any, certificates: Path, make_client: Any, until: Any, changes: dict[str, Any], reason: str
) -> None:
    broker.stop()
    broker.start(*tls_lines(certificates))
    client = make_client(broker.port, tls=replace(tls_options(certificates), **changes))
    await until(lambda: client.link.error is not None)
    assert reason in client.link.error
    assert client.link.session == 0


@pytest.fixture
def passwords(tmp_path: Path) -> Path:
    path = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(path), "edged", "right"], check=True)
    return path


async def test_a_wrong_password_is_told_and_not_repeated_in_the_log(
    broker: Any, passwords: Path, make_client: Any, until: Any, caplog: Any
) -> None:
    broker.stop()
    broker.start("allow_anonymous false", f"password_file {passwords}")
    wrong = make_client(broker.port, username="edged", password="wr0ng")
    await until(lambda: wrong.link.error is not None)
    assert "ot authorized" in wrong.link.error
    assert "wr0ng" not in caplog.text
    right = make_client(broker.port, username="edged", password="right")
    await until(lambda: right.link.connected)


async def test_a_denied_publication_is_counted_and_does_not_stop_the_rest(
    broker: Any, tmp_path: Path, make_client: Any, until: Any, caplog: Any
) -> None:
    rules = tmp_path / "acl"
    rules.write_text(f"topic write {topic(1)}\ntopic write {STATUS}\n")
    broker.stop()
    broker.start("allow_anonymous true", f"acl_file {rules}")
    outbox = filled(3)
    client = make_client(broker.port, outbox)
    await until(lambda: outbox.dumped)
    assert outbox.counters.refused == 2
    assert client.link.connected
    complaints = [r for r in caplog.records if r.levelname == "WARNING" and "was not taken" in r.getMessage()]
    assert len(complaints) == 1
