"""A door in front of a server, in threads: open it passes bytes on, with a TLS context of its own it greets by that.

asyncio's servers leave without an alert where a handshake fails; real ones, and this, say why.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from typing import Self

CHUNK_BYTES = 1 << 16


class Gate:
    """`context`: greet with it, and let nobody in. None: pass on to `target`, a port of this machine."""

    def __init__(self, context: ssl.SSLContext | None = None, *, target: int = 0) -> None:
        self.context = context
        self.target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()

    @property
    def port(self) -> int:
        return int(self._server.getsockname()[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for one in tuple(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(caller, self.context), daemon=True).start()

    def _serve(self, caller: socket.socket, context: ssl.SSLContext | None) -> None:
        with caller, contextlib.suppress(OSError):
            if context is not None:
                context.wrap_socket(caller, server_side=True).close()
                return
            with socket.create_connection(("127.0.0.1", self.target)) as server:
                self._open |= {caller, server}
                back = threading.Thread(target=self._pass, args=(server, caller), daemon=True)
                back.start()
                self._pass(caller, server)
                back.join()
                self._open -= {caller, server}

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(CHUNK_BYTES):
                sink.sendall(chunk)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
