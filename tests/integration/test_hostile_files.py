"""A CSMS that names addresses to fetch from and to send to: no door opens that the installer has not opened."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.file_servers import Call, WebServer, status
from tests.integration.daemon import Edged
from tests.integration.peers import Conversation, peer, silent
from tests.integration.tyrant import Victim, now, suffering, until

SECRET = "hunter2-hunter2"


class Neighbour:
    """Whoever listens at this computer's addresses, of both families. `visits`: who knocked."""

    def __init__(self) -> None:
        self.visits = 0
        self.port = 0
        self._servers: list[asyncio.Server] = []

    async def _visited(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def __aenter__(self) -> Neighbour:
        self._servers.append(await asyncio.start_server(self._visited, "0.0.0.0", 0))
        self.port = self._servers[0].sockets[0].getsockname()[1]
        self._servers.append(await asyncio.start_server(self._visited, "::1", self.port))
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers:
            server.close()
            await server.wait_closed()


@pytest.fixture
async def neighbour() -> AsyncIterator[Neighbour]:
    async with Neighbour() as listening:
        yield listening


@pytest.fixture
def web() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


NOT_YOURS = (
    *("http://127.0.0.1:{port}/fw", "http://localhost:{port}/fw", "http://LOCALHOST.:{port}/", "http://[::1]:{port}/"),
    *("http://2130706433:{port}/", "http://0x7f000001:{port}/", "http://0x7f.1:{port}/", "http://017700000001:{port}/"),
    *("http://0177.0.0.1:{port}/", "http://127.1:{port}/", "http://0:{port}/", "http://0.0.0.0:{port}/"),
    *("http://[::]:{port}/", "http://[::ffff:127.0.0.1]:{port}/", "http://[::ffff:7f00:1]:{port}/"),
    *("http://[64:ff9b::7f00:1]:{port}/", "http://[2002:7f00:1::]:{port}/", "http://[::127.0.0.1]:{port}/"),
    *("https://127.0.0.1:{port}/", "ftp://127.0.0.1:{port}/x", "ftps://127.0.0.1:{port}/x"),
    *("http://example.com@127.0.0.1:{port}/", "http://127.0.0.1:{port}#@example.com/", "http://{name}:{port}/"),
    *("http://127。0。0。1:{port}/", "http://①②⑦.0.0.1:{port}/", "http://127.0.0.1:{port}\\@example.com/"),
    *("http://169.254.169.254/latest/meta-data/", "http://10.0.0.1:{port}/", "http://192.168.0.1:{port}/"),
    *("http://172.16.0.1:{port}/", "http://100.64.0.1:{port}/", "http://[fe80::1]:{port}/", "http://[fd00::1]:{port}/"),
    *("file:///etc/passwd", "file://localhost/etc/passwd", "/etc/passwd", "gopher://127.0.0.1:{port}/_x"),
    *(
        "data:text/plain,x",
        "javascript:1",
        "unix:///run/x",
        "http:127.0.0.1:{port}",
        "http:///127.0.0.1:{port}/",
        "//x",
    ),
)


async def failed_to_fetch(victim: Victim, location: str) -> None:
    """The order is taken, as 1.6 has no other word, and comes to nothing."""
    before = victim.csms.calls["FirmwareStatusNotification"]
    answer = await victim.csms.call("UpdateFirmware", {"location": location, "retrieveDate": now()})
    if answer[0] == 4:
        return
    await until(
        lambda: (
            victim.csms.calls["FirmwareStatusNotification"] > before
            and victim.csms.told("FirmwareStatusNotification")[-1]["status"] == "DownloadFailed"
        ),
        f"the download from {location} has failed",
    )


async def failed_to_send(victim: Victim, location: str, number: int) -> None:
    wanted = {"logType": "SecurityLog", "requestId": number, "log": {"remoteLocation": location}}
    answer = await victim.csms.call("GetLog", wanted)
    if answer[0] == 4 or answer[2]["status"] == "Rejected":
        return
    await until(lambda: ending_of(victim, number) not in (None, "Uploading"), f"the upload to {location} has ended")
    assert ending_of(victim, number) in ("UploadFailure", "PermissionDenied", "BadMessage", "NotSupportedOperation")


def ending_of(victim: Victim, number: int) -> str | None:
    told = [each["status"] for each in victim.csms.told("LogStatusNotification") if each.get("requestId") == number]
    return told[-1] if told else None


async def test_no_address_leads_to_this_computer_or_its_neighbours(edged: Edged, neighbour: Neighbour):
    async with suffering(edged) as victim:
        for number, pattern in enumerate(NOT_YOURS):
            location = pattern.replace("{port}", str(neighbour.port)).replace("{name}", socket.gethostname())
            await failed_to_fetch(victim, location)
            await failed_to_send(victim, location, number)
            assert neighbour.visits == 0, f"it went to {location}"
        assert "root:" not in edged.log
        await victim.unharmed()


async def test_what_the_installer_has_opened_is_open_and_nothing_beside_it(edged: Edged, neighbour: Neighbour):
    async with suffering(edged, files={"allowed_hosts": ["127.0.0.1"]}) as victim:
        await failed_to_fetch(victim, f"http://127.0.0.2:{neighbour.port}/")
        await failed_to_fetch(victim, f"http://[::1]:{neighbour.port}/")
        assert neighbour.visits == 0
        await failed_to_fetch(victim, f"http://127.0.0.1:{neighbour.port}/")
        assert neighbour.visits >= 1
        await victim.unharmed()


async def test_an_open_door_does_not_lead_on_to_closed_ones(
    edged: Edged, neighbour: Neighbour, web: contextlib.ExitStack
):
    port = neighbour.port
    onward = [f"http://127.0.0.1:{port}/", f"http://localhost:{port}/", f"//127.0.0.1:{port}/x", "file:///etc/passwd"]
    onward += [f"http://[::1]:{port}/", f"ftp://127.0.0.1:{port}/x", f"http://2130706433:{port}/"]
    server = web.enter_context(WebServer(*(status(302, Location=to) for to in onward), host="127.0.0.2"))
    async with suffering(edged, files={"allowed_hosts": ["127.0.0.2"]}) as victim:
        for _ in onward:
            await failed_to_fetch(victim, server.url(host="127.0.0.2"))
        assert len(server.calls) == len(onward) and neighbour.visits == 0
        await victim.unharmed()


async def test_the_credentials_of_an_address_are_used_and_never_shown(edged: Edged, web: contextlib.ExitStack):
    server = web.enter_context(WebServer(status(401), status(404), host="127.0.0.2"))
    server_url = server.url(f"/fw?token={SECRET}", host=f"operator:{SECRET}@127.0.0.2")
    async with suffering(edged, files={"allowed_hosts": ["127.0.0.2"]}, log={"level": "debug", "wire": True}) as victim:
        for location in (server_url, f"ftp://u:{SECRET}@127.0.0.1/x", f"http://u:{SECRET}@[::1/", f"x://u:{SECRET}@h/"):
            await failed_to_fetch(victim, location)
            await failed_to_send(victim, location, 1)
        assert any("Authorization" in call.headers for call in server.calls)
        assert SECRET not in edged.log
        assert SECRET not in json.dumps(await edged.status())
        assert SECRET not in json.dumps(list(victim.csms.payloads))
        await victim.unharmed()


# --- more than there is room for


def promises_all_the_disks(call: Call) -> None:
    call.say(200, b"x" * 1000, Content_Length=str(10**15))


def never_ends(call: Call) -> None:
    call.say(200, Connection="close")
    with contextlib.suppress(OSError):
        while True:
            call.wfile.write(bytes(65536))


def ends_in_chunks_never(call: Call) -> None:
    call.protocol_version = "HTTP/1.1"
    call.say(200, Transfer_Encoding="chunked")
    with contextlib.suppress(OSError):
        while True:
            call.wfile.write(b"10000\r\n" + bytes(65536) + b"\r\n")


@pytest.mark.parametrize("answer", [promises_all_the_disks, never_ends, ends_in_chunks_never])
async def test_a_firmware_larger_than_there_is_room_for_is_not_kept(
    edged: Edged, web: contextlib.ExitStack, answer: Any
):
    server = web.enter_context(WebServer(answer, host="127.0.0.2"))
    async with suffering(edged, files={"allowed_hosts": ["127.0.0.2"], "max_mb": 2}) as victim:
        await failed_to_fetch(victim, server.url(host="127.0.0.2"))
        await until(lambda: used(edged) < 2**20, "what came of it is gone")
        await victim.unharmed()


def used(edged: Edged) -> int:
    """How much lies in the folder of transfers."""
    return sum(path.stat().st_size for path in (edged.state_dir / "transfer").rglob("*") if path.is_file())


async def test_an_archive_larger_than_the_disk_fails_and_the_station_goes_on(edged: Edged):
    async with suffering(edged, files={"allowed_hosts": ["127.0.0.2"]}) as victim:
        with edged.config.open("a") as config:
            config.write("".join(f"# {secrets.token_hex(500)}\n" for _ in range(1200)))
        edged.limit_files(900_000)
        await victim.csms.result("GetDiagnostics", {"location": "http://127.0.0.2:9/"})
        told = victim.csms.told
        await until(
            lambda: [each["status"] for each in told("DiagnosticsStatusNotification")] == ["Uploading", "UploadFailed"],
            "the upload has failed",
        )
        assert "too large" in edged.log.lower(), edged.log[-1000:]
        assert used(edged) == 0
        await victim.unharmed()


# --- a server that takes nothing


async def takes_a_byte_a_second(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(1):
        await asyncio.sleep(1)


@pytest.mark.parametrize("conversation", [silent, takes_a_byte_a_second])
async def test_an_upload_that_nobody_takes_holds_nobody_up_and_gives_way_to_the_next(
    edged: Edged, conversation: Conversation
):
    async with (
        peer(conversation) as server,
        suffering(edged, files={"allowed_hosts": ["127.0.0.1"]}) as victim,
    ):
        log = {"remoteLocation": f"http://127.0.0.1:{server.port}/logs/"}
        answer = await victim.csms.result("GetLog", {"logType": "DiagnosticsLog", "requestId": 1, "log": log})
        assert answer["status"] == "Accepted"
        await until(lambda: server.visits == 1, "it has come with its log")
        async with victim.alive_meanwhile():
            for number in range(2, 60):
                answer = await victim.csms.result("GetLog", {"logType": "SecurityLog", "requestId": number, "log": log})
                assert answer["status"] == "AcceptedCanceled"
        answer = await victim.csms.result("ExtendedTriggerMessage", {"requestedMessage": "LogStatusNotification"})
        assert answer == {"status": "Accepted"}
        await until(lambda: ending_of(victim, 59) == "Uploading", "it says that it is at it")
        threads = len(list(proc_tasks(victim)))
        assert threads < 20, f"{threads} threads are left of transfers that nobody wants any more"
        edged.signal(signal.SIGTERM)
        assert await edged.ended() == 0
        assert "Traceback" not in edged.log


def proc_tasks(victim: Victim) -> Iterator[str]:
    return (path.name for path in Path(f"/proc/{victim.pid}/task").iterdir())
