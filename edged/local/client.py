"""The control socket's client, for the command line: blocking, one request at a time.

EdgedError
  ControlError           nothing came back; the text says what to do
    ControlUnreachable   nobody listens, or we may not
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from edged.local.envelope import MAX_LINE_BYTES
from edged.ports import EdgedError

MAX_REPLY_BYTES = 16 * 1024 * 1024
_CHUNK = 65_536


class ControlError(EdgedError):
    """Nothing came back from the daemon; the text says what to do."""


class ControlUnreachable(ControlError):
    """Nobody listens on the socket, or we are not allowed to."""


class ControlClient:
    """A connection to a running daemon. Every method may raise `ControlError`."""

    def __init__(self, path: Path, *, timeout_s: float = 35.0) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._buffer = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        try:
            self._socket.connect(os.fspath(path))
        except OSError as error:
            self._socket.close()
            raise _unreachable(path, error) from error

    def request(self, command: str, args: Mapping[str, Any] | None = None, *, id: str | None = None) -> dict[str, Any]:
        """Send one request and wait for its reply's envelope."""
        line = json.dumps({"id": id, "command": command, "args": dict(args or {})}).encode() + b"\n"
        if len(line) > MAX_LINE_BYTES:
            raise ControlError(f"the request is longer than {MAX_LINE_BYTES} bytes: send less")
        try:
            self._socket.sendall(line)
            reply = json.loads(self._read_line())
        except TimeoutError as error:
            raise ControlError(f"edged did not answer within {self._timeout_s:g} s: look into its log") from error
        except OSError as error:
            raise ControlError(f"edged hung up ({error.strerror}): it may be restarting, try again") from error
        except ValueError as error:
            raise ControlError(f"what listens on {self._path} is not edged: its answer is not JSON") from error
        if not isinstance(reply, dict):
            raise ControlError(f"what listens on {self._path} is not edged: its answer is no envelope")
        return reply

    def _read_line(self) -> bytes:
        deadline_s = time.monotonic() + self._timeout_s
        while b"\n" not in self._buffer:
            if len(self._buffer) > MAX_REPLY_BYTES:
                raise ControlError(f"the answer is longer than {MAX_REPLY_BYTES} bytes")
            remaining_s = deadline_s - time.monotonic()
            if remaining_s <= 0:
                raise TimeoutError
            self._socket.settimeout(remaining_s)
            chunk = self._socket.recv(_CHUNK)
            if not chunk:
                raise ControlError("edged hung up without an answer: it may be restarting, try again")
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _unreachable(path: Path, error: OSError) -> ControlUnreachable:
    if isinstance(error, PermissionError):
        return ControlUnreachable(f"not allowed to talk to {path}: use sudo, or join the group edged")
    if isinstance(error, (FileNotFoundError, ConnectionRefusedError)):
        return ControlUnreachable(
            f"edged is not running (nobody listens on {path}): start it with sudo systemctl start edged, or name "
            "its socket with --control"
        )
    return ControlUnreachable(f"cannot reach edged on {path}: {error.strerror or error}")
