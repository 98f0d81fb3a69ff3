"""The line to the CSMS against real servers, a real TLS handshake and a wire that can be cut or go silent."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from edged.csms.backoff import BackOff, BackOffPolicy
from edged.csms.connection import Connection, ConnectionSettings, CsmsSettingsError, Failure, FailureKind

PASSWORD = b"\x00\xffbinary secret"
Service = Callable[[ServerConnection], Awaitable[None]]


class Witness:
    """A listener that remembers, and that others can wait on."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []
        self._news = asyncio.Event()
        self.on_opened: Callable[[], None] = lambda: None
        self.on_received: Callable[[str | bytes], None] = lambda frame: None

    def opened(self, subprotocol: str) -> None:
        self._tell("opened", subprotocol)
        self.on_opened()

    def received(self, frame: str | bytes) -> None:
        self._tell("received", frame)
        self.on_received(frame)

    def closed(self, reason: str) -> None:
        self._tell("closed", reason)

    def failed(self, failure: Failure) -> None:
        self._tell("failed", failure)

    def _tell(self, what: str, detail: Any) -> None:
        self.told.append((what, detail))
        self._news.set()

    def all(self, what: str) -> list[Any]:
        return [detail for kind, detail in self.told if kind == what]

    async def until(self, what: str, count: int = 1) -> Any:
        async with asyncio.timeout(10.0):
            while len(self.all(what)) < count:
                self._news.clear()
                await self._news.wait()
        return self.all(what)[count - 1]


class Sleeps:
    """Waits that take no time, `free` of them; the next one lasts until `wake`."""

    def __init__(self, free: int = 0) -> None:
        self.asked: list[float] = []
        self.free = free
        self.blocked = asyncio.Event()
        self.wake = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        if len(self.asked) <= self.free:
            await asyncio.sleep(0)
            return
        self.blocked.set()
        self.wake.clear()
        await self.wake.wait()

    async def until_blocked(self) -> None:
        async with asyncio.timeout(10.0):
            await self.blocked.wait()


class Station:
    """A connection that runs, its witness and its waits."""

    def __init__(self, settings: ConnectionSettings, *, free: int = 0, ping_interval_s: float = 0.0) -> None:
        self.witness = Witness()
        self.sleeps = Sleeps(free)
        policy = BackOffPolicy(minimum_s=2.0, random_s=1.0, repeat_times=3)
        self.connection = Connection(
            settings,
            self.witness,
            BackOff(lambda: policy, lambda: 0.5),
            ping_interval_s=ping_interval_s,
            sleep=self.sleeps,
        )


@asynccontextmanager
async def running(settings: ConnectionSettings, **options: Any) -> AsyncIterator[Station]:
    station = Station(settings, **options)
    task = asyncio.create_task(station.connection.run())
    try:
        yield station
        assert not task.done(), task.result()
    finally:
        async with asyncio.timeout(10.0):
            await station.connection.stop()
            await task


@asynccontextmanager
async def csms(service: Service, **options: Any) -> AsyncIterator[str]:
    options.setdefault("subprotocols", ["ocpp1.6"])
    scheme = "wss" if "ssl" in options else "ws"
    async with serve(service, "localhost", 0, compression=None, close_timeout=0.1, **options) as server:
        yield f"{scheme}://localhost:{server.sockets[0].getsockname()[1]}/ocpp"


def settings_for(url: str, **changes: Any) -> ConnectionSettings:
    given: dict[str, Any] = {"url": url, "identity": "DEPOT-7", "subprotocols": ("ocpp1.6",), "close_timeout_s": 0.3}
    return ConnectionSettings(**(given | changes))


async def quiet(line: ServerConnection) -> None:
    """Read and say nothing."""
    async for _ in line:
        pass


async def echo(line: ServerConnection) -> None:
    async for frame in line:
        await line.send(frame)


class Wire:
    """A TCP proxy that can be cut abruptly, or go silent with its sockets open."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self.url = ""

    @classmethod
    @asynccontextmanager
    async def to(cls, url: str) -> AsyncIterator[Wire]:
        wire = cls(int(url.rsplit(":", 1)[1].split("/")[0]))
        server = await asyncio.start_server(wire._accept, "127.0.0.1", 0)
        wire.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ocpp"
        try:
            yield wire
        finally:
            server.close()
            wire.cut()
            for task in wire._tasks:
                task.cancel()
            await asyncio.gather(*wire._tasks, return_exceptions=True)

    def fall_silent(self) -> None:
        self._flows.clear()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("localhost", self._port)
        self._writers += [writer, far_writer]
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            self._tasks.add(asyncio.create_task(self._pump(source, sink)))

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(4096):
                await self._flows.wait()
                sink.write(data)
                await sink.drain()
            sink.close()
        except OSError:
            sink.transport.abort()


# --- the handshake


@pytest.mark.req("16-J-01", "16-J-02", "16-J-04")
async def test_the_identity_is_appended_encoded_and_the_agreed_version_is_told() -> None:
    paths: list[str] = []

    async def service(line: ServerConnection) -> None:
        assert line.request is not None
        paths.append(line.request.path)
        assert "Authorization" not in line.request.headers
        assert "Sec-WebSocket-Extensions" not in line.request.headers
        await quiet(line)

    async with csms(service, subprotocols=["ocpp1.6"]) as url:
        settings = settings_for(url + "/", identity="a b/ü#?:7", subprotocols=("ocpp2.0.1", "ocpp1.6"))
        async with running(settings) as station:
            assert await station.witness.until("opened") == "ocpp1.6"
            assert station.connection.connected
    assert paths == ["/ocpp/a%20b%2F%C3%BC%23%3F%3A7"]


@pytest.mark.req("16-J-05", "A00.FR.202")
async def test_basic_authentication_carries_the_identity_and_the_keys_raw_bytes() -> None:
    seen: list[str] = []

    async def service(line: ServerConnection) -> None:
        assert line.request is not None
        seen.append(line.request.headers["Authorization"])
        await quiet(line)

    async with csms(service) as url, running(settings_for(url, security_profile=1, password=PASSWORD)) as station:
        await station.witness.until("opened")
    assert base64.b64decode(seen[0].removeprefix("Basic ")) == b"DEPOT-7:" + PASSWORD


async def test_a_proxy_in_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with csms(quiet) as url, running(settings_for(url)) as station:
        await station.witness.until("opened")


@pytest.mark.req("16-J-02")
async def test_a_server_that_ignores_subprotocols_is_left_with_a_close_frame_and_counts_as_a_failure() -> None:
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def service(line: ServerConnection) -> None:
        await quiet(line)
        ended.set_result(line.close_code or 0)

    async with csms(service, subprotocols=None) as url, running(settings_for(url)) as station:
        failure = await station.witness.until("failed")
        await station.sleeps.until_blocked()
        assert await asyncio.wait_for(ended, 30) == 1000
    assert failure.kind is FailureKind.SUBPROTOCOL
    assert station.witness.all("opened") == []


async def test_a_version_that_was_not_offered_counts_as_a_failure() -> None:
    async with (
        csms(quiet, subprotocols=None, select_subprotocol=lambda line, offered: "ocpp9") as url,
        running(settings_for(url)) as station,
    ):
        assert (await station.witness.until("failed")).kind is FailureKind.SUBPROTOCOL


@pytest.mark.req("16-J-03", "20-J-04")
@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503, 301])
async def test_an_http_refusal_is_tried_again_for_ever_with_back_off(status: int) -> None:
    def refuse(line: ServerConnection, _request: Any) -> Any:
        response = line.respond(HTTPStatus(status), "no\n")
        response.headers["Location"] = "ws://127.0.0.1:1/elsewhere"
        return response

    async with csms(quiet, process_request=refuse) as url, running(settings_for(url), free=5) as station:
        await station.sleeps.until_blocked()
    assert station.sleeps.asked == [2.5, 4.5, 8.5, 16.5, 16.5, 16.5]
    assert {(f.kind, f.http_status) for f in station.witness.all("failed")} == {(FailureKind.HTTP, status)}


async def test_a_csms_without_any_of_the_versions_is_told_to_the_installer() -> None:
    """The server's library refuses a handshake without a common subprotocol before any of its code is asked."""
    async with csms(quiet, subprotocols=["ocpp0.9"]) as url, running(settings_for(url)) as station:
        assert "none of the versions that are offered" in (await station.witness.until("failed")).reason


async def test_a_refused_connection_and_an_unknown_host_are_failures_of_the_network() -> None:
    async with csms(quiet) as url:
        pass
    for dead in (url, "ws://no-such-host.invalid/ocpp"):
        async with running(settings_for(dead)) as station:
            assert (await station.witness.until("failed")).kind is FailureKind.NETWORK


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"\xff" * 20_000])
async def test_a_server_that_speaks_something_else_is_a_failure(answer: bytes) -> None:
    async def service(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(service, "127.0.0.1", 0)
    async with server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with running(settings_for(url)) as station:
            failure = await station.witness.until("failed")
    assert failure.kind in (FailureKind.PROTOCOL, FailureKind.HTTP, FailureKind.NETWORK)
    assert failure.reason.isprintable()


async def test_a_server_that_accepts_and_says_nothing_runs_into_the_time_out() -> None:
    hold = asyncio.Event()

    async def service(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hold.wait()
        writer.close()

    server = await asyncio.start_server(service, "127.0.0.1", 0)
    async with server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with running(settings_for(url, open_timeout_s=0.1)) as station:
            assert (await station.witness.until("failed")).kind is FailureKind.TIMEOUT
        hold.set()


# --- back-off


@pytest.mark.req("20-J-04")
async def test_a_csms_that_accepts_and_drops_is_not_hammered_until_the_owner_is_settled() -> None:
    async def drop(line: ServerConnection) -> None:
        await line.close(1001, "maintenance")

    async with csms(drop) as url, running(settings_for(url), free=3) as station:
        await station.sleeps.until_blocked()
        assert station.sleeps.asked == [2.5, 4.5, 8.5, 16.5]
        station.witness.on_opened = station.connection.settled
        station.sleeps.wake.set()
        station.sleeps.blocked.clear()
        await station.sleeps.until_blocked()
    assert station.sleeps.asked[4] == 2.5
    assert station.witness.all("closed")[0] == "closed by the CSMS (1001 maintenance)"


async def test_the_back_off_holds_when_we_closed_ourselves() -> None:
    async with csms(quiet) as url, running(settings_for(url)) as station:
        await station.witness.until("opened")
        station.connection.disconnect("boot refused")
        assert await station.witness.until("closed") == "boot refused"
        await station.sleeps.until_blocked()
    assert station.sleeps.asked == [2.5]


async def test_new_settings_are_used_at_once_even_in_the_middle_of_a_wait() -> None:
    async with csms(quiet) as url, running(settings_for("ws://127.0.0.1:1")) as station:
        await station.sleeps.until_blocked()
        station.connection.reconnect(settings_for(url))
        await station.witness.until("opened")
    assert len(station.sleeps.asked) == 1


async def test_new_settings_replace_a_line_that_is_up_without_a_wait() -> None:
    async with csms(quiet) as first, csms(quiet) as second, running(settings_for(first)) as station:
        await station.witness.until("opened")
        station.connection.reconnect(settings_for(second))
        await station.witness.until("opened", 2)
        assert [what for what, _ in station.witness.told] == ["opened", "closed", "opened"]
        assert station.sleeps.asked == []


async def test_a_paused_line_ends_in_good_order_and_none_is_tried_until_it_is_resumed() -> None:
    async with csms(quiet) as url, running(settings_for(url)) as station:
        await station.witness.until("opened")
        assert station.connection.send('[2,"1","Heartbeat",{}]')
        station.connection.pause("local people said so")
        assert not station.connection.connected
        assert await station.witness.until("closed") == "local people said so"
        for _ in range(20):
            await asyncio.sleep(0)
        assert station.connection.paused
        assert len(station.witness.all("opened")) == 1
        station.connection.resume()
        await station.witness.until("opened", 2)


async def test_pausing_before_there_is_a_line_cuts_the_attempts_short() -> None:
    async with running(settings_for("ws://127.0.0.1:9/ocpp")) as station:
        await station.witness.until("failed")
        station.connection.pause("local people said so")
        failures = len(station.witness.all("failed"))
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(station.witness.all("failed")) <= failures + 1


async def test_a_line_that_is_resumed_before_it_has_ended_comes_back() -> None:
    async with csms(quiet) as url, running(settings_for(url)) as station:
        await station.witness.until("opened")
        station.connection.pause("local people said so")
        station.connection.resume()
        await station.witness.until("opened", 2)


async def test_stopping_ends_a_pause() -> None:
    async with running(settings_for("ws://127.0.0.1:9/ocpp")) as station:
        station.connection.pause("local people said so")
        await asyncio.sleep(0)


async def test_stopping_cuts_an_attempt_and_a_wait_short() -> None:
    hold = asyncio.Event()

    async def service(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hold.wait()
        writer.close()

    server = await asyncio.start_server(service, "127.0.0.1", 0)
    async with server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with asyncio.timeout(30):
            async with running(settings_for(url)):
                await asyncio.sleep(0.01)
            async with running(settings_for("ws://127.0.0.1:1")) as station:
                await station.sleeps.until_blocked()
        hold.set()
    assert station.witness.all("closed") == []


async def test_stopping_before_the_start_makes_the_run_end_at_once() -> None:
    station = Station(settings_for("ws://127.0.0.1:1"))
    await station.connection.stop()
    await asyncio.wait_for(station.connection.run(), 30)
    assert station.witness.told == []


async def test_stopping_sends_what_is_queued_and_then_a_close_frame() -> None:
    got: list[str | bytes] = []
    over = asyncio.Event()

    async def service(line: ServerConnection) -> None:
        async for frame in line:
            got.append(frame)
        assert line.close_code == 1000
        over.set()

    async with csms(service) as url:
        async with running(settings_for(url, close_timeout_s=5.0, max_outgoing_bytes=1 << 30)) as station:
            await station.witness.until("opened")
            for n in range(20):
                assert station.connection.send(str(n) + "x" * 900_000)  # more than the system's buffers take at once
        await asyncio.wait_for(over.wait(), 30)
    assert got == [str(n) + "x" * 900_000 for n in range(20)]
    assert station.witness.all("closed") == ["the station stops"]
    assert not station.connection.send("too late")


# --- frames


async def test_frames_go_both_ways_in_order_also_from_within_the_listener() -> None:
    async with csms(echo) as url:
        station_settings = settings_for(url)
        async with running(station_settings) as station:
            station.witness.on_received = lambda frame: (
                station.connection.send("answer") and None if frame == "one" else None
            )
            await station.witness.until("opened")
            station.connection.send("one")
            station.connection.send("two")
            await station.witness.until("received", 3)
            assert await station.connection.flush(1.0)
    assert sorted(station.witness.all("received")) == ["answer", "one", "two"]
    assert station.witness.all("received")[:2] == ["one", "two"]


async def test_a_frame_sent_while_opening_is_told_goes_first() -> None:
    async with csms(echo) as url:
        station = Station(settings_for(url))
        station.witness.on_opened = lambda: station.connection.send("boot") and None
        task = asyncio.create_task(station.connection.run())
        assert await station.witness.until("received") == "boot"
        await station.connection.stop()
        await task


async def test_binary_frames_reach_the_listener_as_bytes() -> None:
    async def service(line: ServerConnection) -> None:
        await line.send(b"\x00\x01")
        await quiet(line)

    async with csms(service) as url, running(settings_for(url)) as station:
        assert await station.witness.until("received") == b"\x00\x01"


@pytest.mark.parametrize("size", [2_000, 2_000_000])
async def test_an_oversized_frame_closes_the_line_with_1009(size: int) -> None:
    codes: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    async def service(line: ServerConnection) -> None:
        try:
            await line.send("x" * size)
        except ConnectionClosed:
            pass
        await line.wait_closed()
        if not codes.done():
            codes.set_result(line.close_code)

    async with csms(service) as url, running(settings_for(url, max_frame_bytes=1_000)) as station:
        reason = await station.witness.until("closed")
        assert "1009" in reason
        assert await asyncio.wait_for(codes, 30) in (1009, 1006)  # a flood may not leave room for the close frame
    assert station.witness.all("received") == []


async def test_text_that_is_not_utf8_closes_the_line_and_nothing_else() -> None:
    async def service(line: ServerConnection) -> None:
        await line.send(b"\xff\xfe", text=True)
        await quiet(line)

    async with csms(service) as url, running(settings_for(url)) as station:
        assert "1007" in await station.witness.until("closed")
        await station.sleeps.until_blocked()


async def test_a_flood_of_frames_arrives_whole_and_does_not_stop_the_pings() -> None:
    async def service(line: ServerConnection) -> None:
        for n in range(3_000):
            await line.send(str(n))
        await quiet(line)

    async with csms(service) as url, running(settings_for(url, pong_timeout_s=2.0), ping_interval_s=0.01) as station:
        await station.witness.until("received", 3_000)
        assert station.witness.all("received") == [str(n) for n in range(3_000)]
        assert station.witness.all("closed") == []


async def test_a_line_that_does_not_take_frames_fills_a_bounded_queue_and_is_given_up() -> None:
    async with (
        csms(quiet) as url,
        Wire.to(url) as wire,
        running(settings_for(wire.url, max_outgoing_frames=100)) as station,
    ):
        await station.witness.until("opened")
        wire.fall_silent()
        sent = 0
        while station.connection.send("x" * 100_000) and sent < 10_000:
            sent += 1
            await asyncio.sleep(0)
        assert await station.witness.until("closed") == "too much waits to be sent"
        assert sent < 10_000 and not station.connection.connected


async def test_the_queue_is_bounded_by_size_too() -> None:
    async with csms(quiet) as url, running(settings_for(url, max_outgoing_bytes=1_000)) as station:
        await station.witness.until("opened")
        assert station.connection.send("x" * 900)
        assert not station.connection.send("x" * 200)
        assert await station.witness.until("closed") == "too much waits to be sent"


async def test_a_frame_that_is_stuck_for_too_long_ends_the_line_without_any_ping() -> None:
    async with (
        csms(quiet) as url,
        Wire.to(url) as wire,
        running(settings_for(wire.url, send_timeout_s=0.1, max_outgoing_bytes=1 << 30)) as station,
    ):
        await station.witness.until("opened")
        wire.fall_silent()
        for _ in range(100):
            station.connection.send("x" * 1_000_000)
        assert not await station.connection.flush(0.01)
        assert await station.witness.until("closed") == "a frame could not be sent in time"


async def test_a_listener_that_raises_ends_the_run_instead_of_being_silenced() -> None:
    def broken(_frame: str | bytes) -> None:
        raise RuntimeError("a bug")

    async with csms(echo) as url:
        station = Station(settings_for(url))
        station.witness.on_received = broken
        station.witness.on_opened = lambda: station.connection.send("x") and None
        with pytest.raises(ExceptionGroup) as caught:
            await asyncio.wait_for(station.connection.run(), 30)
        assert caught.group_contains(RuntimeError, match="a bug")
        await asyncio.wait_for(station.connection.stop(), 30)


# --- lines that break


async def test_an_abrupt_cut_is_told_at_once_and_the_line_comes_back() -> None:
    async with csms(quiet) as url, Wire.to(url) as wire, running(settings_for(wire.url), free=1) as station:
        await station.witness.until("opened")
        wire.cut()
        assert await station.witness.until("closed") == "the line broke"
        await station.witness.until("opened", 2)


@pytest.mark.req("16-J-08")
async def test_a_half_open_line_is_found_by_the_missing_pong() -> None:
    async with (
        csms(quiet) as url,
        Wire.to(url) as wire,
        running(settings_for(wire.url, pong_timeout_s=0.1), ping_interval_s=0.02) as station,
    ):
        await station.witness.until("opened")
        wire.fall_silent()
        assert await station.witness.until("closed") == "the CSMS did not answer a ping"


async def test_closing_a_half_open_line_does_not_wait_for_the_other_end() -> None:
    async with (
        csms(quiet) as url,
        Wire.to(url) as wire,
        running(settings_for(wire.url, close_timeout_s=0.1)) as station,
    ):
        await station.witness.until("opened")
        wire.fall_silent()
        assert station.connection.send("x" * 4_000_000)
        async with asyncio.timeout(8):
            station.connection.disconnect("enough")
            assert await station.witness.until("closed") == "enough"


async def test_a_server_that_begins_to_close_and_never_ends_is_left() -> None:
    async def service(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from websockets.server import ServerProtocol

        protocol = ServerProtocol(subprotocols=["ocpp1.6"])  # type: ignore[list-item]
        while not (events := protocol.events_received()):
            protocol.receive_data(await reader.read(4096))
        protocol.send_response(protocol.accept(events[0]))  # type: ignore[arg-type]
        protocol.send_close(1001)
        writer.write(b"".join(protocol.data_to_send()))
        while await reader.read(4096):
            pass
        writer.close()

    server = await asyncio.start_server(service, "127.0.0.1", 0)
    async with server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with running(settings_for(url, close_timeout_s=0.1)) as station:
            assert "1001" in await station.witness.until("closed")


async def test_a_server_that_pings_and_does_not_read_the_pongs_is_left_before_they_fill_the_memory() -> None:
    async def service(line: ServerConnection) -> None:
        line.transport.pause_reading()
        pings = (b"\x89\x7d" + b"x" * 125) * 1000
        for _ in range(1000):
            line.transport.write(pings)
            await asyncio.sleep(0)
            if line.transport.is_closing():
                return

    async with csms(service) as url, running(settings_for(url)) as station:
        assert await station.witness.until("closed") == "the CSMS does not read what it is sent"


# --- pings


class PingCount:
    """Counts the pings that a server sees; the library answers them by itself."""

    def __init__(self) -> None:
        self.count = 0
        self.seen = asyncio.Event()

    def line(self) -> type[ServerConnection]:
        outer = self

        class Line(ServerConnection):
            def process_event(self, event: Any) -> None:
                if getattr(event, "opcode", None) == 9:
                    outer.count += 1
                    outer.seen.set()
                super().process_event(event)

        return Line


@pytest.mark.req("16-J-08")
async def test_pings_follow_a_changed_interval_at_once_and_zero_turns_them_off() -> None:
    pings = PingCount()
    async with (
        csms(quiet, create_connection=pings.line()) as url,
        running(settings_for(url), ping_interval_s=3600.0) as station,
    ):
        await station.witness.until("opened")
        assert pings.count == 0
        station.connection.set_ping_interval(0.01)
        async with asyncio.timeout(30):
            while pings.count < 3:
                pings.seen.clear()
                await pings.seen.wait()
        station.connection.set_ping_interval(0.0)
        await asyncio.sleep(0.03)  # one may be under way
        before = pings.count
        await asyncio.sleep(0.1)
        assert pings.count == before


@pytest.mark.parametrize("interval_s", [0.0, -1.0, float("nan"), float("inf")])
async def test_an_interval_that_is_none_means_no_pings(interval_s: float) -> None:
    pings = PingCount()
    async with (
        csms(quiet, create_connection=pings.line()) as url,
        running(settings_for(url), ping_interval_s=interval_s) as station,
    ):
        await station.witness.until("opened")
        await asyncio.sleep(0.05)
        assert station.connection.connected
    assert pings.count == 0


# --- TLS


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a CA and two server certificates: for localhost, and for another host."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    extensions = ["-addext", "keyUsage=critical,keyCertSign"]
    openssl(
        "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Test CA", *extensions
    )
    for name, host in (("good", "localhost"), ("other", "csms.example.com")):
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={host}")
        (folder / "san").write_text(f"subjectAltName=DNS:{host}\n")
        signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "san"]
        openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signing)
    return folder


def server_tls(authority: Path, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / f"{name}.pem", authority / f"{name}.key")
    return context


def profile_2(url: str, authority: Path, **changes: Any) -> ConnectionSettings:
    return settings_for(
        url, **({"security_profile": 2, "password": PASSWORD, "ca_file": authority / "ca.pem"} | changes)
    )


@pytest.mark.req("A00.FR.308", "A00.FR.312")
async def test_profile_2_connects_over_tls_to_a_server_whose_certificate_it_trusts(authority: Path) -> None:
    async with csms(echo, ssl=server_tls(authority, "good")) as url, running(profile_2(url, authority)) as station:
        await station.witness.until("opened")
        station.connection.send("x")
        assert await station.witness.until("received") == "x"


@pytest.mark.req("A00.FR.309", "A00.FR.310")
@pytest.mark.parametrize(
    ("name", "ca", "kind"),
    [
        ("other", "ca.pem", FailureKind.OTHER_HOST),
        ("good", "other.pem", FailureKind.CERTIFICATE),
        ("good", None, FailureKind.CERTIFICATE),
    ],
)
async def test_a_wrong_name_and_an_unknown_authority_are_refused_before_any_secret_is_sent(
    authority: Path, name: str, ca: str | None, kind: FailureKind
) -> None:
    requests: list[str] = []

    async def service(line: ServerConnection) -> None:
        requests.append("came through")
        await quiet(line)

    async with csms(service, ssl=server_tls(authority, name)) as url:
        ca_file = None if ca is None else authority / ca
        async with running(profile_2(url, authority, ca_file=ca_file)) as station:
            failure = await station.witness.until("failed")
    assert failure.kind is kind
    assert requests == []


@asynccontextmanager
async def tls_only(context: ssl.SSLContext) -> AsyncIterator[str]:
    """A server that shakes hands and leaves. asyncio's own would not send the alert that tells why it refuses."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve_one() -> None:
            peer, _ = listening.accept()
            with peer:
                try:
                    context.wrap_socket(peer, server_side=True).close()
                except ssl.SSLError:
                    pass

        served = asyncio.create_task(asyncio.to_thread(serve_one))
        yield f"wss://localhost:{listening.getsockname()[1]}"
        await asyncio.wait_for(served, 30)


@pytest.mark.req("A00.FR.313")
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
async def test_a_server_that_offers_only_old_tls_is_refused(authority: Path) -> None:
    context = server_tls(authority, "good")
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with tls_only(context) as url, running(profile_2(url, authority)) as station:
        failure = await station.witness.until("failed")
    assert failure.kind is FailureKind.TLS_VERSION


@pytest.mark.req("A00.FR.318")
async def test_a_server_without_an_acceptable_cipher_is_refused(authority: Path) -> None:
    context = server_tls(authority, "good")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA256")
    async with tls_only(context) as url, running(profile_2(url, authority)) as station:
        assert (await station.witness.until("failed")).kind is FailureKind.TLS_CIPHER


async def test_tls_towards_a_server_without_tls_is_a_failure(authority: Path) -> None:
    async with csms(quiet) as url, running(profile_2(url.replace("ws://", "wss://"), authority)) as station:
        assert (await station.witness.until("failed")).kind in (FailureKind.TLS, FailureKind.NETWORK)


@pytest.mark.parametrize("content", [None, "this is no certificate"])
async def test_a_ca_file_that_cannot_be_used_is_a_failure_until_it_is_mended(
    authority: Path, tmp_path: Path, content: str | None
) -> None:
    ca_file = tmp_path / "ca.pem"
    if content is not None:
        ca_file.write_text(content)
    async with (
        csms(quiet, ssl=server_tls(authority, "good")) as url,
        running(profile_2(url, authority, ca_file=ca_file)) as station,
    ):
        assert (await station.witness.until("failed")).kind is FailureKind.CA_FILE
        await station.sleeps.until_blocked()
        ca_file.write_bytes((authority / "ca.pem").read_bytes())
        station.sleeps.wake.set()
        await station.witness.until("opened")


# --- settings, logs, secrets


@pytest.mark.req("16-J-06")
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"security_profile": 3}, "security profile 3"),
        ({"security_profile": 2, "password": b"x"}, "wss://"),
        ({"security_profile": 1}, "password"),
        ({"security_profile": 1, "password": b""}, "password"),
        ({"security_profile": 1, "password": b"x", "identity": "a:b"}, "colon"),
        ({"identity": ""}, "identity"),
        ({"identity": ".."}, "identity"),
        ({"identity": "a\nb"}, "identity"),
        ({"identity": "x" * 256}, "identity"),
        ({"subprotocols": ()}, "version"),
        ({"url": "http://csms"}, "ws://"),
        ({"url": "ws://"}, "ws://"),
        ({"url": "csms.example.com"}, "ws://"),
        ({"url": "ws://user:hunter2@csms"}, "credentials"),
        ({"url": "ws://csms:99999"}, "address"),
        ({"url": "ws://[::1"}, "address"),
        ({"url": "ws://" + "x" * 64 + ".example"}, "address"),
        ({"url": "ws://csms?token=hunter2"}, "query"),
        ({"url": "ws://csms#x"}, "query"),
        ({"url": "ws://csms/ö"}, "ASCII"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_a_sentence(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(CsmsSettingsError, match=words) as caught:
        settings_for(changes.pop("url", "ws://csms"), **changes)
    assert "hunter2" not in str(caught.value)


def test_the_password_is_in_no_repr() -> None:
    settings = settings_for("ws://csms", security_profile=1, password=b"hunter2hunter2xx")
    assert "hunter2" not in repr(settings) and "hunter2" not in str(settings)


async def test_an_outage_is_one_line_in_the_log_however_many_attempts_it_takes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refused = True

    def refuse(line: ServerConnection, _request: Any) -> Any:
        return line.respond(HTTPStatus.NOT_FOUND, "no\n") if refused else None

    caplog.set_level(logging.INFO, logger="edged")
    async with csms(quiet, process_request=refuse) as url, running(settings_for(url), free=9) as station:
        await station.sleeps.until_blocked()
        refused = False
        station.witness.on_opened = station.connection.settled
        station.sleeps.wake.set()
        await station.witness.until("opened")
    ours = [(r.levelname, r.getMessage()) for r in caplog.records if r.name.startswith("edged")]
    assert [level for level, _ in ours] == ["WARNING", "INFO"]
    assert "HTTP 404" in ours[0][1] and "up" in ours[1][1]


async def test_no_secret_reaches_a_log_even_with_everything_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    settings_secret = b"hunter2hunter2xx"
    encoded = base64.b64encode(b"DEPOT-7:" + settings_secret).decode()

    async def service(line: ServerConnection) -> None:
        await line.close(1008, "go away")

    server_log = logging.getLogger("test.server")
    server_log.setLevel(logging.CRITICAL)
    async with (
        csms(service, logger=server_log) as url,
        running(settings_for(url, security_profile=1, password=settings_secret)) as station,
    ):
        await station.sleeps.until_blocked()
    text = "\n".join(record.getMessage() for record in caplog.records)
    assert "go away" in text
    assert "hunter2" not in text and encoded not in text


async def test_words_of_the_csms_stay_on_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async def service(line: ServerConnection) -> None:
        await line.close(1008, "bad\nERROR forged line")

    async with csms(service) as url, running(settings_for(url)) as station:
        reason = await station.witness.until("closed")
    assert reason == "closed by the CSMS (1008 bad?ERROR forged line)"


def test_a_failure_can_be_shown_as_json() -> None:
    failure = Failure(FailureKind.HTTP, "no", 404)
    assert json.loads(json.dumps([failure.kind, failure.reason, failure.http_status])) == ["http", "no", 404]
