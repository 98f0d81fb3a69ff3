"""The control socket over a real Unix socket."""

from __future__ import annotations

import asyncio
import grp
import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.local.client import ControlClient, ControlError, ControlUnreachable
from edged.local.control import ControlServer, ControlSocketError
from edged.local.envelope import MAX_DEPTH, MAX_LINE_BYTES, BadLine, Request, parse_line


class Desk:
    """What a daemon would do with commands; remembers the order."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, Any], str | None]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = asyncio.Event()

    async def dispatch(self, command: str, args: dict[str, Any], id: str | None) -> dict[str, Any]:
        self.seen.append((command, args, id))
        if command == "wait":
            self.waiting.set()
            await self.gate.wait()
        if command == "break":
            raise RuntimeError("a bug")
        if command == "large":
            return {"ok": True, "result": "x" * args["size"]}
        if command == "strange":
            return {"ok": True, "result": object()}
        return {"ok": True, "result": {"command": command, **args}}


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
async def server(tmp_path: Path, desk: Desk) -> AsyncIterator[ControlServer]:
    async with ControlServer(tmp_path / "control.sock", desk.dispatch, max_clients=3) as server:
        yield server


Connect = Callable[[], Any]


@pytest.fixture
async def connect(server: ControlServer, tmp_path: Path) -> AsyncIterator[Connect]:
    writers: list[asyncio.StreamWriter] = []

    async def connector() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_unix_connection(tmp_path / "control.sock", limit=1 << 24)
        writers.append(writer)
        return reader, writer

    yield connector
    for writer in writers:
        writer.close()


async def exchange(client: tuple[asyncio.StreamReader, asyncio.StreamWriter], line: bytes) -> dict[str, Any]:
    reader, writer = client
    writer.write(line + b"\n")
    return json.loads(await asyncio.wait_for(reader.readline(), 30))


async def test_a_request_gets_its_reply_with_its_id_and_command(connect):
    reply = await exchange(await connect(), b'{"id": "a4", "command": "ping", "args": {"x": 1}}')
    assert reply == {"id": "a4", "command": "ping", "ok": True, "result": {"command": "ping", "x": 1}}


async def test_args_and_id_may_be_left_out(connect, desk):
    reply = await exchange(await connect(), b'{"command": "ping"}')
    assert reply["id"] is None
    assert desk.seen == [("ping", {}, None)]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"nonsense", "bad_json"),
        (b"\xff\xfe", "bad_json"),
        (b"[" * 60_000, "bad_json"),
        (b'{"command": "a", "args": ' + b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH + b"}", "bad_json"),
        (b'{"command": "a", "args": {"x": NaN}}', "bad_json"),
        (b'{"command": "a", "args": {"x": 1e999}}', "bad_json"),
        (b'{"command": "a", "args": {"x": "\\ud800"}}', "bad_json"),
        (b'{"command": "a", "args": {"x": ' + b"9" * 5000 + b"}}", "bad_json"),
        (b"[1]", "bad_request"),
        (b"{}", "bad_request"),
        (b'{"command": 5}', "bad_request"),
        (b'{"command": ""}', "bad_request"),
        (b'{"command": "a", "id": 5}', "bad_request"),
        (b'{"command": "a", "id": "' + b"x" * 65 + b'"}', "bad_request"),
        (b'{"command": "a", "argument": {}}', "bad_request"),
        (b'{"command": "a", "args": []}', "invalid_args"),
    ],
    ids=range(16),
)
async def test_a_bad_line_costs_its_sender_one_error_and_nothing_else(connect, desk, line, code):
    client = await connect()
    reply = await exchange(client, line)
    assert (reply["ok"], reply["error"]["code"]) == (False, code)
    assert reply["error"]["message"]
    assert desk.seen == []
    assert (await exchange(client, b'{"command": "ping"}'))["ok"] is True


async def test_a_line_that_is_too_long_is_answered_and_ends_the_connection(server, tmp_path):
    reader, writer = await asyncio.open_unix_connection(tmp_path / "control.sock")
    writer.write(b"x" * (MAX_LINE_BYTES + 2))
    reply = json.loads(await asyncio.wait_for(reader.readline(), 30))
    assert reply["error"]["code"] == "bad_request"
    assert str(MAX_LINE_BYTES) in reply["error"]["message"]
    assert server.refused_lines == 1
    writer.close()


async def test_a_command_that_breaks_is_answered_internal_and_the_next_works(connect, caplog):
    client = await connect()
    for command in (b"break", b"strange"):
        reply = await exchange(client, b'{"id": "1", "command": "' + command + b'"}')
        assert (reply["id"], reply["error"]["code"]) == ("1", "internal")
    assert (await exchange(client, b'{"command": "ping"}'))["ok"] is True
    assert "the command break broke" in caplog.text


async def test_a_client_gets_its_replies_in_the_order_of_its_requests(connect, desk):
    desk.gate.clear()
    reader, writer = await connect()
    writer.write(b'{"id": "1", "command": "wait"}\n{"id": "2", "command": "ping"}\n')
    await asyncio.wait_for(desk.waiting.wait(), 30)
    desk.gate.set()
    ids = [json.loads(await asyncio.wait_for(reader.readline(), 30))["id"] for _ in range(2)]
    assert ids == ["1", "2"]


async def test_clients_do_not_wait_for_each_other(connect, desk):
    desk.gate.clear()
    slow, quick = await connect(), await connect()
    slow[1].write(b'{"command": "wait"}\n')
    await asyncio.wait_for(desk.waiting.wait(), 30)
    assert (await exchange(quick, b'{"command": "ping"}'))["ok"] is True
    desk.gate.set()


async def test_too_many_clients_are_told_so(connect, server):
    clients = [await connect() for _ in range(3)]
    for client in clients:
        await exchange(client, b'{"command": "ping"}')
    reader, _ = await connect()
    reply = json.loads(await asyncio.wait_for(reader.readline(), 30))
    assert reply["error"]["code"] == "busy"
    assert server.refused_clients == 1
    clients[0][1].close()


@pytest.mark.parametrize("size", range(120_000, 300_000, 30_000))
async def test_a_client_that_says_no_more_still_gets_all_of_a_large_answer(server, tmp_path, size):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(os.fspath(tmp_path / "control.sock"))
        client.sendall(json.dumps({"command": "large", "args": {"size": size}}).encode())
        client.shutdown(socket.SHUT_WR)
        for _ in range(50):  # the server answers, and would now hang up
            await asyncio.sleep(0)
        reply = await asyncio.to_thread(lambda: client.makefile("rb").read())
    assert len(json.loads(reply)["result"]) == size


async def test_a_client_that_never_reads_is_hung_up_on(tmp_path):
    async def flood(command: str, args: dict[str, Any], id: str | None) -> dict[str, Any]:
        return {"ok": True, "result": "x" * 4_000_000}

    async with ControlServer(tmp_path / "s", flood, write_timeout_s=0.05):
        _, writer = await asyncio.open_unix_connection(tmp_path / "s")
        writer.transport.pause_reading()
        writer.write(b'{"command": "a"}\n')
        await asyncio.wait_for(hung_up(writer), 30)
        writer.close()


async def hung_up(writer: asyncio.StreamWriter) -> None:
    """Until the other side has gone: writing then fails."""
    try:
        while True:
            writer.write(b"\n")
            await writer.drain()
            await asyncio.sleep(0.01)
    except OSError:
        return


async def test_the_socket_is_for_its_owner_and_its_group(server, tmp_path):
    assert stat.S_IMODE((tmp_path / "control.sock").stat().st_mode) == 0o660


async def test_the_socket_belongs_to_the_group_where_there_is_one(tmp_path, desk):
    group = grp.getgrgid(os.getgid())
    async with ControlServer(tmp_path / "s", desk.dispatch, group=group.gr_name):
        assert (tmp_path / "s").stat().st_gid == group.gr_gid


async def test_a_second_daemon_is_refused_and_the_first_goes_on(server, connect, desk, tmp_path):
    with pytest.raises(ControlSocketError, match="another edged already runs"):
        await ControlServer(tmp_path / "control.sock", desk.dispatch).start()
    assert (await exchange(await connect(), b'{"command": "ping"}'))["ok"] is True


async def test_somebody_else_who_listens_there_is_not_replaced(tmp_path, desk):
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(os.fspath(tmp_path / "s"))
        other.listen()
        with pytest.raises(ControlSocketError, match="already listens"):
            await ControlServer(tmp_path / "s", desk.dispatch).start()
        assert (tmp_path / "s").exists()


async def test_a_socket_that_a_crash_left_behind_is_replaced(tmp_path, desk):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(os.fspath(tmp_path / "s"))
    async with ControlServer(tmp_path / "s", desk.dispatch):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        assert (await exchange((reader, writer), b'{"command": "ping"}'))["ok"] is True
        writer.close()


async def test_a_file_that_is_no_socket_is_left_alone(tmp_path, desk):
    (tmp_path / "s").write_text("precious")
    with pytest.raises(ControlSocketError, match="is no socket"):
        await ControlServer(tmp_path / "s", desk.dispatch).start()
    assert (tmp_path / "s").read_text() == "precious"


@pytest.mark.parametrize("path", ["/proc/edged/s", "/tmp/" + "x" * 120])
async def test_a_path_that_cannot_be_is_one_sentence(desk, path):
    with pytest.raises(ControlSocketError, match="control socket"):
        await ControlServer(Path(path), desk.dispatch).start()


async def test_closing_hangs_up_removes_the_socket_and_lets_the_next_start(tmp_path, desk):
    desk.gate.clear()
    for _ in range(2):
        server = ControlServer(tmp_path / "s", desk.dispatch)
        await server.start()
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        writer.write(b'{"command": "wait"}\n')
        await asyncio.wait_for(desk.waiting.wait(), 30)
        await server.close()
        assert await asyncio.wait_for(reader.read(), 30) == b""
        assert not (tmp_path / "s").exists()
        writer.close()


# --- the client -------------------------------------------------------------------------------------------------------


def ask(path: Path, *commands: str, timeout_s: float = 5.0) -> list[dict[str, Any]]:
    with ControlClient(path, timeout_s=timeout_s) as client:
        return [client.request(command, {"n": place}, id="x") for place, command in enumerate(commands)]


async def test_the_client_sends_and_receives_one_line_each(server, tmp_path):
    replies = await asyncio.to_thread(ask, tmp_path / "control.sock", "one", "two")
    assert [reply["result"] for reply in replies] == [{"command": "one", "n": 0}, {"command": "two", "n": 1}]


async def test_the_client_does_not_wait_for_ever(server, desk, tmp_path):
    desk.gate.clear()
    with pytest.raises(ControlError, match=r"did not answer within 0\.05 s"):
        await asyncio.to_thread(ask, tmp_path / "control.sock", "wait", timeout_s=0.05)


def test_the_client_says_that_edged_is_not_running(tmp_path):
    with pytest.raises(ControlUnreachable, match=r"edged is not running .* systemctl start edged"):
        ControlClient(tmp_path / "none")


async def test_the_client_says_so_where_something_else_listens(tmp_path):
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_unix_server(babble, tmp_path / "s"):
        with pytest.raises(ControlError, match="is not edged"):
            await asyncio.to_thread(ask, tmp_path / "s", "ping")


async def test_the_client_says_so_where_the_daemon_goes_away(tmp_path):
    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.close()

    async with await asyncio.start_unix_server(leave, tmp_path / "s"):
        with pytest.raises(ControlError, match="hung up"):
            await asyncio.to_thread(ask, tmp_path / "s", "ping")


# --- laws -------------------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "command", "args", "x"]), inner),
    max_leaves=8,
)


@given(st.binary(max_size=80) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_line_is_a_clean_request_or_a_bad_line(line):
    try:
        request = parse_line(line)
    except BadLine as bad:
        assert bad.code in {"bad_json", "bad_request", "invalid_args"}
    else:
        json.dumps([request.command, request.args, request.id], allow_nan=False, ensure_ascii=False).encode()


@given(st.text(min_size=1, max_size=64, alphabet=st.characters(exclude_categories=["Cs"])))
def test_a_request_survives_the_line(command):
    line = json.dumps({"id": "1", "command": command, "args": {"a": [1, {"b": None}]}}).encode()
    assert parse_line(line) == Request("1", command, {"a": [1, {"b": None}]})
