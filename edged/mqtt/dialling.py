"""From a host name to a socket on which CONNECT may be sent.

paho can open its socket only blocking, so that (name look-up, TCP, TLS) happens on a thread which lives as long as the
dialling. Who waits for it waits no longer than the connect time-out; a thread that comes later closes what it got.

    MqttError              the root of this room's errors
      BrokerUnreachable    nothing, or nothing that speaks MQTT, answered in time
      BrokerRefused        the broker said no, and why
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from datetime import UTC, datetime
from typing import Any, Final

from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY, Client
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edged.mqtt.options import BrokerOptions, TlsOptions
from edged.ports import EdgedError

MAX_INCOMING_BYTES: Final = 64 * 1024
MAX_INCOMING_UNACKED: Final = 20


class MqttError(EdgedError):
    """The broker cannot be used at the moment."""


class BrokerUnreachable(MqttError):
    """Nothing, or nothing that speaks MQTT, answered in time."""


class BrokerRefused(MqttError):
    """The broker said no. `code`: the MQTT 5 reason code, translated from 3.1.1 where that was spoken."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"the broker refuses the connection: {reason}")
        self.code = code


async def dial(client: Client, options: BrokerOptions, *, v5: bool) -> None:
    """Open the client's socket; CONNECT then waits in it to be written. Raises `BrokerUnreachable`."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[str | None] = loop.create_future()
    too_late = f"no connection within {options.connect_timeout_s:g} s"
    lock, abandoned = threading.Lock(), threading.Event()

    def finish(error: str | None) -> None:
        if not done.done():
            done.set_result(error)

    def on_thread() -> None:
        error: str | None = None
        try:
            if options.tls is not None:
                client.tls_set_context(_context(options.tls))
                client.tls_insecure_set(options.tls.insecure)
            client.connect(
                options.host,
                options.port,
                options.keepalive_s,
                clean_start=True if v5 else MQTT_CLEAN_START_FIRST_ONLY,
                properties=_properties() if v5 else None,
            )
        except TimeoutError:
            error = too_late
        except (OSError, ValueError, UnicodeError) as failure:
            error = words(failure)
        with lock:
            if abandoned.is_set():
                shut(client.socket())
                return
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(finish, error)

    threading.Thread(target=on_thread, name="mqtt-dial", daemon=True).start()
    try:
        async with asyncio.timeout(options.connect_timeout_s):
            error = await done
    except BaseException as failure:
        with lock:
            abandoned.set()
            shut(client.socket())
        if isinstance(failure, TimeoutError):
            raise BrokerUnreachable(too_late) from None
        raise
    if error is not None:
        raise BrokerUnreachable(error)


def _properties() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's is untyped
    properties.SessionExpiryInterval = 0  # commands for a daemon that was away are not delivered later
    properties.MaximumPacketSize = MAX_INCOMING_BYTES
    properties.ReceiveMaximum = MAX_INCOMING_UNACKED
    return properties


class _Socket(ssl.SSLSocket):
    """Closes itself where the handshake fails; paho would leave it open until it is collected."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def _context(tls: TlsOptions) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
    except OSError as error:
        raise OSError(f"the authorities in {tls.ca_file} cannot be read: {words(error)}") from error
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Python 3.13's default: no upgrade of Debian may cut a line
    context.sslsocket_class = _Socket
    if tls.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.certificate_file is not None:
        try:
            context.load_cert_chain(tls.certificate_file, tls.key_file, password="")
        except OSError as error:
            raise OSError(f"the certificate {tls.certificate_file} cannot be used: {words(error)}") from error
    return context


def certificate_end(sock: Any) -> datetime | None:
    """When the broker's certificate ends; None without TLS or unchecked."""
    certificate = sock.getpeercert() if isinstance(sock, ssl.SSLSocket) else None
    not_after = certificate.get("notAfter") if certificate else None
    if not isinstance(not_after, str):
        return None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(not_after), tz=UTC)


def shut(sock: Any) -> None:
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            sock.close()


def words(error: BaseException) -> str:
    """One line about an error: what the system says, or its kind."""
    return " ".join(str(error).split()) or type(error).__name__
