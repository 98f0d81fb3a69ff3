"""The control socket's server: who may connect is the file system's matter, what a command does is `dispatch`'s.

Owns the socket file, the bounds of lines and clients, and the order of answers: each client gets its replies in the
order of its requests, clients do not wait for each other. A client may stay idle for as long as it likes.

Invariants: exactly one reply for each line; at most one daemon on a path, which is its lock file's matter; a socket
that nobody listens on any more is replaced, one that somebody listens on never.

EdgedError
  ControlSocketError     the socket cannot be had; the text says why
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import grp
import logging
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from edged.local.envelope import MAX_LINE_BYTES, BadLine, Request, encode_reply, error_reply, parse_line
from edged.log_fields import fields
from edged.ports import EdgedError

log = logging.getLogger(__name__)

Dispatch = Callable[[str, dict[str, Any], str | None], Awaitable[dict[str, Any]]]
"""command, args, id -> the reply's envelope: {"ok": true, "result": ...} or {"ok": false, "error": {...}}."""

GROUP = "edged"
MODE = 0o660
MAX_CLIENTS = 32
WRITE_TIMEOUT_S = 10.0
MAX_PATH_BYTES = 107


class ControlSocketError(EdgedError):
    """The control socket cannot be had; the text says why."""


class ControlServer:
    """Serves `dispatch` on a Unix socket. `start` raises `ControlSocketError`."""

    def __init__(
        self,
        path: Path,
        dispatch: Dispatch,
        *,
        group: str = GROUP,
        max_clients: int = MAX_CLIENTS,
        write_timeout_s: float = WRITE_TIMEOUT_S,
    ) -> None:
        self._path = path
        self._dispatch = dispatch
        self._group = group
        self._max_clients = max_clients
        self._write_timeout_s = write_timeout_s
        self._server: asyncio.Server | None = None
        self._lock: int | None = None
        self._inode: int | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self.refused_lines = 0
        self.refused_clients = 0

    async def start(self) -> None:
        """Listen. Nothing is left behind where that fails."""
        if len(os.fsencode(self._path)) > MAX_PATH_BYTES:
            raise ControlSocketError(f"the path of the control socket is too long for Unix: {self._path}")
        listening: socket.socket | None = None
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(self._path)
            _clear(self._path)
            listening = _listen(self._path, self._group)
            self._inode = self._path.stat().st_ino
            self._server = await asyncio.start_unix_server(self._accept, sock=listening, limit=MAX_LINE_BYTES)
        except (OSError, ControlSocketError) as error:
            if listening is not None:
                listening.close()
            self._release()
            if isinstance(error, ControlSocketError):
                raise
            raise ControlSocketError(f"cannot open the control socket {self._path}: {error.strerror}") from error
        log.info("control socket: %s", self._path)

    async def close(self) -> None:
        """Hang up on everybody and remove the socket."""
        if self._server is not None:
            self._server.close()
        clients = tuple(self._clients)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None
        self._release()

    async def __aenter__(self) -> ControlServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _release(self) -> None:
        with contextlib.suppress(OSError):
            if self._inode is not None and self._path.stat().st_ino == self._inode:
                self._path.unlink()
        self._inode = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # --- clients ------------------------------------------------------------------------------------------------------

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._clients) >= self._max_clients:
            self.refused_clients += 1
            with contextlib.suppress(OSError):
                writer.write(encode_reply(error_reply("busy", f"{self._max_clients} others are connected already")))
            writer.close()
            return
        self._clients.add(task)
        try:
            await self._serve(reader, writer)
            writer.close()
            async with asyncio.timeout(self._write_timeout_s):
                await writer.wait_closed()
        except (OSError, TimeoutError) as error:
            log.debug("a client of the control socket is gone: %s", error)
        except asyncio.CancelledError:
            pass  # `close` hangs up; the stream's own callback would report the cancellation as an error
        finally:
            self._clients.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                line = await reader.readuntil(b"\n")
            except asyncio.IncompleteReadError as end:
                line = end.partial
                if not line.strip():
                    return
            except asyncio.LimitOverrunError:
                self.refused_lines += 1
                message = f"a line has at most {MAX_LINE_BYTES} bytes; the rest of it is not read"
                await self._send(writer, error_reply("bad_request", message))
                return
            if line.strip():
                await self._send(writer, await self._answer(line))

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = parse_line(line)
        except BadLine as bad:
            self.refused_lines += 1
            return error_reply(bad.code, str(bad), id=bad.id, command=bad.command)
        return await self._carry_out(request)

    async def _carry_out(self, request: Request) -> dict[str, Any]:
        try:
            reply = await self._dispatch(request.command, request.args, request.id)
            encode_reply(reply)
        except Exception:  # the last guard: whatever a command breaks, its sender gets one answer
            log.exception("the command %s broke", request.command, extra=fields(command=request.id))
            message = "edged made a mistake with this command; its log says more"
            return error_reply("internal", message, id=request.id, command=request.command)
        return {"id": request.id, "command": request.command, **reply}

    async def _send(self, writer: asyncio.StreamWriter, reply: dict[str, Any]) -> None:
        """A client that does not read is hung up on: `TimeoutError`."""
        writer.write(encode_reply(reply))
        async with asyncio.timeout(self._write_timeout_s):
            await writer.drain()


# --- the socket file --------------------------------------------------------------------------------------------------


def _lock(path: Path) -> int:
    """The lock that one daemon holds for as long as it lives; the kernel lets go of it even after a crash."""
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise ControlSocketError(f"another edged already runs with the control socket {path}") from error
    return descriptor


def _clear(path: Path) -> None:
    """Remove a socket that nobody listens on."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ControlSocketError(f"{path} is no socket: remove it, or name another path with --control")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except FileNotFoundError:
            return
        except OSError as error:
            raise ControlSocketError(f"cannot tell who listens on {path}: {error}") from error
    raise ControlSocketError(f"another edged already listens on {path}")


def _listen(path: Path, group: str) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(os.fspath(path))
        with contextlib.suppress(KeyError):
            group_id = grp.getgrnam(group).gr_gid
            try:
                if path.stat().st_gid != group_id:  # the service's sandbox refuses even what changes nothing
                    os.chown(path, -1, group_id)
            except PermissionError:
                log.warning("not allowed to give the control socket to the group %s", group)
        path.chmod(MODE)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening
