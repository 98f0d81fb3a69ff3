"""One WebSocket handshake by hand, to see how it is answered: nothing is said behind it but goodbye.

Invariant: of the answer no more than `MAX_HEAD_BYTES` is read, and not for longer than it may take.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import socket
import ssl
import time
from email.parser import BytesHeaderParser
from typing import Final
from urllib.parse import urlsplit

from edged import __version__
from edged.cli.doctor.csms import HttpAnswer
from edged.cli.doctor.peer import STEP_S
from edged.csms.endpoint import ConnectionSettings
from edged.csms.failure import FailureKind, failure_of

MAX_HEAD_BYTES: Final = 64 * 1024
EARLY_S, GOODBYE_S = 0.25, 0.5
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_GOODBYE: Final = b"\x88\x82\x00\x00\x00\x00\x03\xe8"
"""A close frame, 1000, masked with zeros."""


def ask(line: socket.socket, settings: ConnectionSettings, within_s: float = STEP_S) -> HttpAnswer:
    """How a CSMS answers the station's handshake. The line is closed."""
    key = base64.b64encode(os.urandom(16))
    until_s = time.monotonic() + within_s
    try:
        early = _early(line) if isinstance(line, ssl.SSLSocket) else b""
        line.settimeout(within_s)
        line.sendall(_request(settings, key))
        head = _head(line, early, until_s)
        answer = _answer(head, key) if head else _hung_up(settings)
    except TimeoutError:
        answer = HttpAnswer(problem="it takes the connection and does not answer")
    except ssl.SSLEOFError:
        answer = _hung_up(settings)
    except ssl.SSLError as error:
        failure = failure_of(error)
        answer = HttpAnswer(problem=failure.reason, kind=failure.kind)
    except OSError as error:
        answer = _hung_up(settings, f" ({error.strerror or type(error).__name__})")
    if answer.status == 101:
        _say_goodbye(line)
    with contextlib.suppress(OSError):
        line.close()
    return answer


def _hung_up(settings: ConnectionSettings, why: str = "") -> HttpAnswer:
    """Without a word: a server that does not like our certificate may, and one that misses it."""
    kind = FailureKind.CLIENT_CERTIFICATE if settings.security_profile == 3 else FailureKind.NETWORK
    return HttpAnswer(problem=f"it hangs up{why}", kind=kind)


def _early(line: ssl.SSLSocket) -> bytes:
    """What comes before anything was said: in TLS 1.3 a server judges our certificate behind our handshake, and its
    alert is lost where it finds the connection closed while we write."""
    if line.version() == "TLSv1.3":
        line.settimeout(EARLY_S)
        with contextlib.suppress(TimeoutError):
            return line.recv(4096)
    return b""


def _say_goodbye(line: socket.socket) -> None:
    """Who hears it answers it; nobody waits long for that."""
    with contextlib.suppress(OSError):
        line.sendall(_GOODBYE)
        line.settimeout(GOODBYE_S)
        line.recv(4096)


def _request(settings: ConnectionSettings, key: bytes) -> bytes:
    parts = urlsplit(settings.address)
    host = parts.netloc
    headers = {
        "Host": host,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key.decode(),
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": ", ".join(settings.subprotocols),
        "User-Agent": f"edged/{__version__}",
        **settings.headers(),
    }
    lines = [f"GET {parts.path or '/'} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("ascii")


def _head(line: socket.socket, head: bytes, until_s: float) -> bytes:
    """The answer up to its empty line, or as far as it goes. `head`: what has come of it."""
    while b"\r\n\r\n" not in head and len(head) < MAX_HEAD_BYTES:
        left_s = until_s - time.monotonic()
        if left_s <= 0:
            if head:
                break
            raise TimeoutError
        line.settimeout(left_s)
        try:
            part = line.recv(4096)
        except TimeoutError:
            if head:
                break
            raise
        if not part:
            break
        head += part
    return head.partition(b"\r\n\r\n")[0]


def _answer(head: bytes, key: bytes) -> HttpAnswer:
    first, _, rest = head.partition(b"\r\n")
    words = first.split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not (len(words[1]) == 3 and words[1].isdigit()):
        return HttpAnswer(problem="it does not speak HTTP")
    headers = BytesHeaderParser().parsebytes(rest)
    expected = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest()).decode()
    return HttpAnswer(
        status=int(words[1]),
        subprotocol=headers.get("Sec-WebSocket-Protocol"),
        location=str(headers.get("Location") or ""),
        date=str(headers.get("Date") or ""),
        sound=str(headers.get("Sec-WebSocket-Accept") or "").strip() == expected,
    )
