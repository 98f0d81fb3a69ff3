"""Whoever answers at the CSMS's secure address and cannot prove to be it: hears no word of ours, and no password."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.pki import DAY, Authority, self_signed
from tests.integration.daemon import Edged, charger, site_file
from tests.integration.peers import Conversation, peer
from tests.integration.tyrant import GROWTH_BYTES, PROMPT_S, Tyrant, until

PASSWORD = "a very long password"


def secured(edged: Edged, root: Authority, url: str) -> None:
    ca_file = edged.folder / "ca.pem"
    ca_file.write_text(root.pem)
    document = site_file({"box": charger("phoenix-charx-sec", "127.0.0.1:9")}, csms=url)
    document["stations"][0]["csms"] |= {"security_profile": 2, "password": PASSWORD, "ca_file": str(ca_file)}
    edged.configure(document)


def expired(root: Authority, folder: Path) -> ssl.SSLContext:
    then = datetime.now(UTC) - 10 * DAY
    return root.server(not_before=then, not_after=then + DAY).server_context(folder)


def not_yet(root: Authority, folder: Path) -> ssl.SSLContext:
    then = datetime.now(UTC) + 10 * DAY
    return root.server(not_before=then, not_after=then + DAY).server_context(folder)


def anothers(root: Authority, folder: Path) -> ssl.SSLContext:
    return root.server(["csms.example.com", "10.0.0.1"]).server_context(folder)


def nobodys(root: Authority, folder: Path) -> ssl.SSLContext:
    return self_signed().server_context(folder)


def of_an_unknown_root(root: Authority, folder: Path) -> ssl.SSLContext:
    return Authority.new("Test Root").server().server_context(folder)


def of_an_expired_authority(root: Authority, folder: Path) -> ssl.SSLContext:
    then = datetime.now(UTC) - 10 * DAY
    between = Authority.new("Sub", parent=root, not_before=then, not_after=then + timedelta(days=1))
    return between.server().server_context(folder)


def a_stations_own(root: Authority, folder: Path) -> ssl.SSLContext:
    """Good for a client, not for a server."""
    return root.client("127.0.0.1").server_context(folder)


WRONG = (expired, not_yet, anothers, nobodys, of_an_unknown_root, of_an_expired_authority, a_stations_own)


@pytest.mark.parametrize("context", WRONG)
async def test_a_server_with_a_wrong_certificate_is_told_nothing_and_tried_again(
    edged: Edged, folder: Path, context: Callable[[Authority, Path], ssl.SSLContext]
):
    root = Authority.new("Test Root")
    async with Tyrant(tls=context(root, folder)) as csms:
        secured(edged, root, csms.url)
        await edged.up()
        await edged.knows(lambda s: "ertificate" in str(s["csms"].get("reason")))
        await edged.logged("CsmsFailedToAuthenticate" if context is anothers else "InvalidCsmsCertificate")
        # of one that is valid later only the time is learned, where nobody has told it yet; then it is refused as well
        assert csms.connections == (1 if context is not_yet else 0), "it has let itself be connected"
        assert PASSWORD not in edged.log and "Traceback" not in edged.log
        assert edged.log.count("security.event") <= 3, "every attempt is in the security log"


async def test_a_server_with_a_good_certificate_is_let_in(edged: Edged, folder: Path):
    root = Authority.new("Test Root")
    async with Tyrant(tls=root.server().server_context(folder)) as csms:
        secured(edged, root, csms.url)
        await edged.up()
        await until(lambda: csms.calls["BootNotification"] >= 1, "it is connected")


async def no_handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def plain_text(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    await writer.drain()


async def endless_records(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The beginning of a handshake message of 16 MiB, and more and more of it."""
    await reader.read(100)
    writer.write(b"\x16\x03\x03\x40\x00\x02\xff\xff\xff" + bytes(2**14 - 4))
    while True:
        writer.write(b"\x16\x03\x03\x40\x00" + bytes(2**14))
        await writer.drain()
        await asyncio.sleep(0)


async def a_certificate_without_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A hello byte by byte."""
    await reader.read(100)
    for byte in b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc" + bytes(2**14):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.02)


TALK: dict[str, Any] = {"silence": no_handshake, "plain text": plain_text, "records": endless_records}
TALK["byte by byte"] = a_certificate_without_end


@pytest.mark.parametrize("conversation", TALK.values(), ids=TALK)
async def test_a_server_that_speaks_no_tls_keeps_nobody_waiting(edged: Edged, conversation: Conversation):
    async with peer(conversation) as server:
        secured(edged, Authority.new(), f"wss://127.0.0.1:{server.port}/ocpp")
        await edged.up()
        await until(lambda: server.visits >= 1, "it has come")
        weight = edged.resident_bytes
        for _ in range(10):
            async with asyncio.timeout(PROMPT_S):
                assert not (await edged.status())["stations"][0]["csms"]["connected"]
            await asyncio.sleep(0.1)
        assert edged.resident_bytes < weight + GROWTH_BYTES
        assert PASSWORD not in edged.log and "Traceback" not in edged.log
