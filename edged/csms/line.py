"""The WebSocket library's connection, made safer: no redirects, an end that comes, and why it came.

Owns what the library leaves open. Refuses to know when and why there should be a line.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from datetime import datetime
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidMessage

from edged.domain.types import Now
from edged.ocpp.framing import shown

_KERNEL_TIMEOUT_MS: Final = 60_000
_NOT_YET_VALID: Final = 9
_NO_CHECK_TIME: Final = 0x200000
"""OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and X509_V_FLAG_NO_CHECK_TIME."""
MAX_UNREAD_BYTES: Final = 2 * 1024 * 1024


class Connect(connect):
    """Follows no redirect: credentials go where the installer said, or nowhere."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class OutOfDate(OSError):
    """The peer's certificate is not valid by the time that edged knows; the text says how. Never leaves this room."""


class Line(ClientConnection):
    """Ends by itself when the peer starts to close and then does not finish, or pings and does not read the pongs;
    tells an alert of TLS for what it is."""

    overrun = False
    _doom: asyncio.TimerHandle | None = None
    _lost_by: Exception | None = None

    def judge(self) -> str:
        """Why the peer is to be told nothing, or ""; asked once the line is secured."""
        return ""

    async def handshake(self, *args: Any, **more: Any) -> None:
        problem = self.judge()
        if problem:
            raise OutOfDate(problem)
        try:
            await super().handshake(*args, **more)
        except InvalidMessage as error:  # TLS 1.3 judges the client's certificate behind the client's handshake
            if isinstance(self._lost_by, ssl.SSLError):
                raise self._lost_by from error
            raise

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            self.overrun = True  # frames of ours wait until the peer reads, the library's pongs do not
            self.transport.abort()
        elif self.protocol.close_expected():
            self._must_end()

    def eof_received(self) -> None:
        super().eof_received()
        self._must_end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost_by = exc
        if self._doom is not None:
            self._doom.cancel()
        super().connection_lost(exc)

    def _must_end(self) -> None:
        if self._doom is None:
            self._doom = self.loop.call_later(self.close_timeout or 0.0, self.transport.abort)


def reason_of(line: Line, closed: ConnectionClosed) -> str:
    """Who ended the line and with which words."""
    if line.overrun:
        return "the CSMS does not read what it is sent"
    if closed.sent is not None and not closed.rcvd_then_sent:
        return f"the CSMS broke the protocol ({closed.sent.code} {shown(closed.sent.reason)})".replace(" )", ")")
    if closed.rcvd is not None:
        return f"closed by the CSMS ({closed.rcvd.code} {shown(closed.rcvd.reason)})".replace(" )", ")")
    return "the line broke"


def too_early(error: ssl.SSLCertVerificationError) -> bool:
    """Whether a certificate is refused for nothing but that it is valid later only."""
    return error.verify_code == _NOT_YET_VALID


def without_dates(context: ssl.SSLContext) -> ssl.SSLContext:
    """Certificates are not held against the clock: one that is wrong would never be put right. See `out_of_date`."""
    context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    return context


def out_of_date(line: Line, now: Now, earliest: datetime | None) -> str:
    """Why the peer's certificate is not valid by the time that edged knows, or "". It is edged's own time: the system's
    clock, by which OpenSSL judges, may be wrong and is not ours to set. While the time is not known the certificate
    may begin later, but must not have expired even by a clock that is slow; it is not before `earliest`. Without that
    the CSMS is not who tells the time, nobody but OpenSSL judges: the clock that edged goes by may be as wrong as the
    latest that it ever was, and would lock the station out."""
    secured = line.transport.get_extra_info("ssl_object")
    if secured is None:
        return ""
    peer = secured.getpeercert()
    begins_s, ends_s = (ssl.cert_time_to_seconds(peer[name]) for name in ("notBefore", "notAfter"))
    at_s = now.utc.timestamp()
    if not now.synchronized:
        if earliest is None:
            return ""
        at_s = max(at_s, time.time(), earliest.timestamp())
    if at_s > ends_s:
        return "it has expired"
    return "it is not valid yet" if now.synchronized and at_s < begins_s else ""


def watch_by_kernel(line: Line) -> None:
    """Let the kernel notice a dead peer too: pings may be off, and unsent data must not wait a quarter of an hour."""
    peer = line.transport.get_extra_info("socket")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _KERNEL_TIMEOUT_MS)
