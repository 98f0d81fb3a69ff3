"""Servers in threads of their own, for an installer's tool that blocks: with TLS or without, and with any answer."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Answer = Callable[[bytes], bytes]
"""From a request's head to what is sent back."""


@dataclass
class Server:
    """`heads`: what was asked, up to the empty line; `visits`: connections; `said`: what came behind the answer."""

    port: int
    heads: list[bytes] = field(default_factory=list)
    said: list[bytes] = field(default_factory=list)
    visits: int = 0
    ended: threading.Event = field(default_factory=threading.Event)


@contextmanager
def server(answer: Answer | None, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """`answer` None: it takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        found = Server(listening.getsockname()[1])
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                try:
                    line, _ = listening.accept()
                except OSError:
                    return
                found.visits += 1
                line.settimeout(10)
                with contextlib.suppress(OSError, ValueError), line:
                    _converse(line, tls, answer, found, over)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield found
        over.set()
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def _converse(
    line: socket.socket, tls: ssl.SSLContext | None, answer: Answer | None, found: Server, over: threading.Event
) -> None:
    if answer is None:
        over.wait(10)
        return
    if tls is not None:
        line = tls.wrap_socket(line, server_side=True)
    with line:
        head = b""
        while b"\r\n\r\n" not in head:
            part = line.recv(4096)
            if not part:
                return
            head += part
        found.heads.append(head)
        line.sendall(answer(head))
        found.said.append(line.recv(4096))
        found.ended.set()


def header(head: bytes, name: str) -> str:
    """A header of a request."""
    for row in head.split(b"\r\n"):
        key, _, value = row.partition(b":")
        if key.strip().lower() == name.lower().encode():
            return value.strip().decode()
    return ""


def accepted(head: bytes, subprotocol: str | None = "ocpp1.6") -> bytes:
    """As a CSMS says yes."""
    key = header(head, "Sec-WebSocket-Key").encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(key, usedforsecurity=False).digest()).decode()
    chosen = f"Sec-WebSocket-Protocol: {subprotocol}\r\n" if subprotocol else ""
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n{chosen}Date: Sat, 22 Aug 2026 10:00:00 GMT\r\n\r\n"
    ).encode()


def status(code: int, *headers: str, body: str = "") -> Answer:
    """As a CSMS, or a proxy before it, says something else."""
    rows = "".join(f"{row}\r\n" for row in headers)
    return lambda _head: f"HTTP/1.1 {code} Reason\r\n{rows}Content-Length: {len(body)}\r\n\r\n{body}".encode()
