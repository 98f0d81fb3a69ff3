"""The server that files are brought to: HTTP on loopback, a password, a folder. Whoever knows the password may bring.

Speaks as much HTTP/1.1 as an upload needs, one request a connection. What came is a file in the folder, under the last
part of the name that it was brought with.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

USER: Final = "csms"
MAX_BYTES: Final = 32 * 1024 * 1024
REQUEST_S: Final = 20.0
_METHODS: Final = frozenset({"POST", "PUT"})
_NAMED: Final = re.compile(r'filename="([A-Za-z0-9._-]{1,200})"')
_UNNAMED: Final = "file"


class FileBox:
    """`arrived`: the files, in the order in which they came. `knocks`: how many requests there were, good or bad."""

    def __init__(self, folder: Path, password: str) -> None:
        self.folder = folder
        self.arrived: list[Path] = []
        self.knocks = 0
        self._wanted = base64.b64encode(f"{USER}:{password}".encode())
        self._password = password
        self._server: asyncio.Server | None = None
        self._port = 0

    async def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def url(self, host: str = "127.0.0.1") -> str:
        """Where a CSMS tells its station to bring files, password included. `host`: another name for the same door."""
        return f"http://{USER}:{self._password}@{host}:{self._port}/diagnostics/"

    @property
    def address(self) -> str:
        """The same for people to look at."""
        return f"http://127.0.0.1:{self._port}/diagnostics/"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.knocks += 1
        status = "400 Bad Request"
        try:
            async with asyncio.timeout(REQUEST_S):
                status = await self._take(reader)
        except (TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            status = "400 Bad Request"
        finally:
            with contextlib.suppress(OSError):
                writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
                await writer.drain()
            writer.close()

    async def _take(self, reader: asyncio.StreamReader) -> str:
        """The status of one request. Raises `ValueError` on what is no number."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method = head[0].partition(" ")[0]
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        if not self._knows(headers):
            return "401 Unauthorized"
        if method not in _METHODS:
            return "405 Method Not Allowed"
        size = int(headers.get("content-length", "-1"))
        if not 0 <= size <= MAX_BYTES:
            return "413 Content Too Large"
        content = await reader.readexactly(size)
        path = self.folder / _name(headers)
        await asyncio.to_thread(path.write_bytes, content)
        self.arrived.append(path)
        return "201 Created"

    def _knows(self, headers: Mapping[str, str]) -> bool:
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "basic" and hmac.compare_digest(shown.encode("latin-1"), self._wanted)


def _name(headers: Mapping[str, str]) -> str:
    found = _NAMED.search(headers.get("content-disposition", ""))
    return found[1].lstrip(".") or _UNNAMED if found else _UNNAMED
