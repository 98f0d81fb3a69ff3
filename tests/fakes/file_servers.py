"""Real servers for transfers: HTTP that does whatever a test says, FTP by pyftpdlib, and an FTP server that cheats."""

from __future__ import annotations

import contextlib
import logging
import re
import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # asyncore leaves the standard library
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler
    from pyftpdlib.ioloop import IOLoop
    from pyftpdlib.servers import FTPServer

logging.getLogger("pyftpdlib").setLevel(logging.CRITICAL)
RANGE = re.compile(r"bytes=(\d+)-")
Answer = Callable[["Call"], None]


class Call(BaseHTTPRequestHandler):
    """One request. `body` is read already."""

    protocol_version = "HTTP/1.1"
    server: WebServer
    body: bytes

    def log_message(self, format: str, *args: Any) -> None:
        return None

    def _answer(self) -> None:
        self.close_connection = True
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.calls.append(self)
        with contextlib.suppress(OSError):
            self.server.answers[min(len(self.server.calls), len(self.server.answers)) - 1](self)

    do_GET = do_POST = do_PUT = _answer

    def say(self, status: int, body: bytes = b"", **headers: str) -> None:
        """A whole answer; `_` in a header's name stands for "-". Content-Length only where none is given."""
        self.send_response(status)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if not {"Content-Length", "Transfer-Encoding", "Connection"} & set(named):
            named["Content-Length"] = str(len(body))
        for name, value in named.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def reset(self) -> None:
        """Break the line in the rudest way."""
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()


class WebServer(ThreadingHTTPServer):
    """`answers`: one for each request, the last for all that follow."""

    daemon_threads = True
    block_on_close = False
    calls: list[Call]

    def __init__(self, *answers: Answer, context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        super().__init__((host, 0), Call)
        self.answers: Sequence[Answer] = answers
        self.calls = []
        self.ended = threading.Event()
        self.scheme = "http"
        if context is not None:
            self.scheme = "https"
            self.socket = context.wrap_socket(self.socket, server_side=True)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def url(self, path: str = "/fw.bin", host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        return None

    def __enter__(self) -> WebServer:
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.shutdown()
        self._thread.join()
        self.server_close()


def serving(content: bytes, *, etag: str = '"one"', **headers: str) -> Answer:
    """A good server of one file, which knows ranges and If-Range."""

    def answer(call: Call) -> None:
        wanted = RANGE.fullmatch(call.headers.get("Range", ""))
        if wanted is None or call.headers.get("If-Range") not in (None, etag):
            call.say(200, content, ETag=etag, **headers)
            return
        start = int(wanted[1])
        if start >= len(content):
            call.say(416, Content_Range=f"bytes */{len(content)}")
            return
        told = f"bytes {start}-{len(content) - 1}/{len(content)}"
        call.say(206, content[start:], ETag=etag, Content_Range=told, **headers)

    return answer


def broken_after(content: bytes, count: int, **headers: str) -> Answer:
    """Promises the whole file, sends so much of it and leaves."""

    def answer(call: Call) -> None:
        call.say(200, content[:count], Content_Length=str(len(content)), **headers)

    return answer


def status(code: int, **headers: str) -> Answer:
    return lambda call: call.say(code, b"go away", **headers)


@contextlib.contextmanager
def ftp_server(
    folder: Path,
    *,
    password: str = "s3cret/word",
    pair: tuple[Path, Path] | None = None,
    implicit: bool = False,
    host: str = "127.0.0.1",
    **settings: Any,
) -> Iterator[FTPServer]:
    """User `edged`, who may read and write `folder`. `pair`: certificate and key for TLS, which is then required;
    `implicit`: from the first byte. `settings`: of the handler's class."""
    authorizer = DummyAuthorizer()
    authorizer.add_user("edged", password, str(folder), perm="elrmwadfT")
    kind: Any = type("Handler", (TLS_FTPHandler if pair else FTPHandler,), {"authorizer": authorizer, **settings})
    kind.auth_failed_timeout = 0.01
    if implicit:
        greet = kind.handle

        def handle(self: Any) -> None:
            self.secure_connection(self.get_ssl_context())
            greet(self)

        kind.handle = handle
    if pair:
        kind.certfile, kind.keyfile = map(str, pair)
        kind.tls_control_required = kind.tls_data_required = True
    loop = IOLoop()
    server = FTPServer((host, 0), kind, ioloop=loop)
    ending = threading.Event()

    def serve() -> None:
        while not ending.is_set():
            loop.loop(timeout=0.01, blocking=False)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        ending.set()
        thread.join()
        server.close_all()


class CheatingFtp:
    """A control connection by a script: `replies` maps a command's first word to what is said to it."""

    def __init__(self, replies: dict[str, str], *, welcome: str = "220 hello") -> None:
        self.replies = {"USER": "331 go on", "PASS": "230 in", "TYPE": "200 ok", "QUIT": "221 bye"} | replies
        self.welcome = welcome
        self.commands: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._lines: list[socket.socket] = []

    def __enter__(self) -> CheatingFtp:
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = self._socket.accept()
                self._lines.append(line)
                with contextlib.suppress(OSError), line, line.makefile("rb") as said:
                    line.sendall(f"{self.welcome}\r\n".encode())
                    for command in said:
                        text = command.decode(errors="replace").strip() or "nothing"
                        self.commands.append(text)
                        line.sendall(f"{self.replies.get(text.split()[0], '500 what')}\r\n".encode())

    def __exit__(self, *_: object) -> None:
        for line in [self._socket, *self._lines]:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
        for line in self._lines:
            line.close()
