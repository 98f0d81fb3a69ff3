"""One connection to the broker: one fresh paho client on asyncio, from CONNECT to its end, never used again.

Owns the socket's life. Refuses to know topics, lanes and when to try again. Only paho's public interface is used, and
its queue never: whoever sends keeps to the window. Everything but the dialling (`dialling.py`) runs on the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from paho.mqtt import MQTTException
from paho.mqtt.client import Client, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edged.mqtt.dialling import BrokerRefused, BrokerUnreachable, certificate_end, dial, shut, words
from edged.mqtt.options import BrokerOptions

log = logging.getLogger(__name__)

_READS_PER_TURN: Final = 50
_PACKET_OVERHEAD_BYTES: Final = 32
_MAX_TOPIC_BYTES: Final = 65_535
MAX_PACKET_BYTES_311: Final = 1024 * 1024
"""3.1.1 has no word for how much a broker takes, and one that gets more ends the connection (docs/mqtt/broker.md)."""
_PARSE_ERRORS: Final = (
    MQTTException,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    struct.error,
)
"""What paho lets through when a peer sends it nonsense."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the broker's CONNACK allows (MQTT 5 §3.2.2.3); 3.1.1 knows no such words, and gets what is usual."""

    receive_maximum: int = 65_535
    maximum_qos: int = 2
    retain: bool = True
    packet_bytes: int | None = None
    keepalive_s: int | None = None
    wildcards: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Will:
    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """One message from the broker. `retain`: it is, or (3.1.1: it was replayed as) a retained one. `mid`: what
    `Connection.acknowledge` has to name, None where there is nothing to acknowledge."""

    topic: str
    payload: bytes
    retain: bool
    mid: int | None = None
    response_topic: str | None = None
    correlation: bytes | None = None


class Listener(Protocol):
    """What a connection tells. Called on the event loop, never from inside one of the connection's own methods."""

    def received(self, message: Incoming) -> None: ...

    def settled(self, mid: int, reason: str | None) -> None:
        """A message is done; `reason` None: accepted, otherwise why the broker refused it."""

    def subscribed(self, refused: str | None) -> None: ...

    def closed(self, reason: str) -> None:
        """The end, told once, and only after `open` succeeded."""


class Connection:
    """`open` once; then `publish` and `subscribe`; `disconnect` ends it with a goodbye, `close` without. `will` None:
    nobody misses us."""

    def __init__(self, options: BrokerOptions, listener: Listener, *, v5: bool, will: Will | None) -> None:
        self.v5 = v5
        self.limits = Limits(packet_bytes=None if v5 else MAX_PACKET_BYTES_311)
        self.certificate_expires: datetime | None = None
        self._options = options
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._client = self._make_client(will)
        self._socket: Any = None
        self._misc: asyncio.Task[None] | None = None
        self._connack: asyncio.Future[tuple[int, str]] = self._loop.create_future()
        self._gone: asyncio.Future[str] = self._loop.create_future()
        self._open = False
        self._vital: set[int] = set()

    def _make_client(self, will: Will | None) -> Client:
        version = MQTTProtocolVersion.MQTTv5 if self.v5 else MQTTProtocolVersion.MQTTv311
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._options.client_id,
            clean_session=None if self.v5 else True,
            protocol=version,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.max_inflight_messages_set(0)  # no bound of paho's: whoever sends keeps to the broker's
        client.connect_timeout = self._options.connect_timeout_s
        if self._options.username is not None:
            client.username_pw_set(self._options.username, self._options.password)
        if will is not None:
            client.will_set(will.topic, will.payload, qos=will.qos, retain=will.retain)
        client.on_connect = self._on_connect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_want_write
        client.on_socket_unregister_write = self._on_no_write
        return client

    # --- opening

    async def open(self) -> None:
        """Dial, say CONNECT, wait for CONNACK. Raises `MqttError`; afterwards the socket is closed."""
        try:
            await dial(self._client, self._options, v5=self.v5)
            self._attach()
            await self._greeted()
        except BaseException:
            self.close()
            raise
        self._open = True
        if self._gone.done():
            raise BrokerUnreachable(self._gone.result())

    def _attach(self) -> None:
        self._socket = self._client.socket()
        if self._socket is None:
            raise BrokerUnreachable("closed at once")
        self.certificate_expires = certificate_end(self._socket)
        self._loop.add_reader(self._socket, self._read)
        if self._client.want_write():
            self._loop.add_writer(self._socket, self._write)

    async def _greeted(self) -> None:
        wait_s = self._options.connack_timeout_s
        done, _ = await asyncio.wait((self._connack, self._gone), timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        if self._connack in done:
            code, reason = self._connack.result()
            if code >= 0x80:
                raise BrokerRefused(code, reason)
        elif self._gone in done:
            raise BrokerUnreachable(f"closed before CONNACK: {self._gone.result()}")
        else:
            raise BrokerUnreachable(f"no CONNACK within {wait_s:g} s")
        self._misc = self._loop.create_task(self._look_after())

    # --- while it is open

    def publish(
        self, topic: str, payload: bytes, *, qos: int, retain: bool, correlation: bytes | None = None
    ) -> int | None:
        """Send now. The number that `Listener.settled` will name, or None where the broker's limits forbid it."""
        limit = self.limits.packet_bytes
        topic_bytes = len(topic.encode())
        size = len(payload) + topic_bytes + len(correlation or b"") + _PACKET_OVERHEAD_BYTES
        if topic_bytes > _MAX_TOPIC_BYTES or (limit is not None and size > limit):
            return None
        properties = None
        if self.v5 and correlation is not None:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's is untyped
            properties.CorrelationData = correlation
        info = self._client.publish(
            topic, payload, min(qos, self.limits.maximum_qos), retain and self.limits.retain, properties
        )
        if info.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._fail(f"sending failed: {info.rc.name}")
        return info.mid

    def acknowledge(self, mid: int) -> None:
        """We are done with a message. As long as that is not said of so many, the broker sends no more: messages are
        to be acknowledged in their order (MQTT 4.6)."""
        if not self._gone.done() and self._client.ack(mid, 1) is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._fail("sending failed: an acknowledgement")

    def subscribe(self, *filters: str, vital: bool = True) -> None:
        """QoS 1; in version 5 with the retain flag as published and without our own messages (docs/mqtt). Only of what
        is `vital` the listener is told how it went."""
        options = SubscribeOptions(qos=1, noLocal=True, retainAsPublished=True)
        wanted = [(each, options if self.v5 else 1) for each in filters]
        _, mid = self._client.subscribe(wanted)  # type: ignore[arg-type]  # paho's hint knows one kind a list
        if vital and mid is not None:
            self._vital.add(mid)

    def unsubscribe(self, *filters: str) -> None:
        self._client.unsubscribe(list(filters))

    # --- the end

    @property
    def ended(self) -> bool:
        return self._gone.done()

    async def disconnect(self, within_s: float) -> None:
        """DISCONNECT (no will is sent), then close; at the latest after `within_s`."""
        if not self._gone.done() and self._socket is not None:
            self._open = False
            self._client.disconnect()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await asyncio.shield(self._gone)
        self.close()

    def give_up(self, reason: str) -> None:
        """Drop the line for a reason of ours; `Listener.closed` tells it."""
        self._fail(reason)

    def close(self) -> None:
        """Drop the line as it is; the broker will send our will. Nothing more is told."""
        self._open = False
        if self._misc is not None:
            self._misc.cancel()
        self._detach()

    def _detach(self) -> None:
        sock, self._socket = self._socket, None
        if sock is not None and sock.fileno() >= 0:
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)
            shut(sock)
        if not self._gone.done():
            self._gone.set_result("closed")

    def _fail(self, reason: str) -> None:
        if self._gone.done():
            return
        self._gone.set_result(reason)
        self._detach()
        if self._open:
            self._open = False
            self._loop.call_soon(self._listener.closed, reason)

    async def _look_after(self) -> None:
        while not self._gone.done():
            await asyncio.sleep(1.0)
            self._guard(self._client.loop_misc)

    def _read(self) -> None:
        """Read what is there. TLS may hold whole packets that the selector no longer sees."""
        for _ in range(_READS_PER_TURN):
            self._guard(self._client.loop_read)
            if self._gone.done() or not isinstance(self._socket, ssl.SSLSocket) or not self._socket.pending():
                return
        self._loop.call_soon(self._read)

    def _write(self) -> None:
        self._guard(self._client.loop_write)

    def _guard(self, step: Callable[[], MQTTErrorCode]) -> None:
        if self._gone.done():
            return
        try:
            rc = step()
        except _PARSE_ERRORS as error:
            self._fail(f"the broker sent nonsense: {words(error)}")
            return
        if rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._fail(_of_rc(rc))

    # --- paho's callbacks: each only notes what happened; the rest runs outside of paho's locks

    def _on_connect(self, _c: Client, _u: Any, _f: Any, code: ReasonCode, properties: Properties | None) -> None:
        if self._connack.done():
            self._fail("a second CONNACK")
            return
        if self.v5 and properties is not None:
            self.limits = _limits(properties)
        self._connack.set_result((code.value, str(code)))

    def _on_publish(self, _c: Client, _u: Any, mid: int, code: ReasonCode, _p: Properties) -> None:
        self._tell(self._listener.settled, mid, str(code) if code.is_failure else None)

    def _on_subscribe(self, _c: Client, _u: Any, mid: int, codes: list[ReasonCode], _p: Properties) -> None:
        refused = [str(code) for code in codes if code.is_failure]
        if mid not in self._vital:
            log.debug("MQTT subscription %d: %s", mid, ", ".join(refused) or "granted")
            return
        self._tell(self._listener.subscribed, ", ".join(refused) or None)

    def _on_message(self, _c: Client, _u: Any, message: MQTTMessage) -> None:
        mid = message.mid if message.qos else None
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""  # nobody's; it is acknowledged like any other
        properties = message.properties
        response = getattr(properties, "ResponseTopic", None)
        correlation = getattr(properties, "CorrelationData", None)
        self._tell(
            self._listener.received,
            Incoming(
                topic=topic,
                payload=bytes(message.payload),
                retain=bool(message.retain),
                mid=mid,
                response_topic=response if isinstance(response, str) else None,
                correlation=bytes(correlation) if isinstance(correlation, bytes | bytearray) else None,
            ),
        )

    def _tell(self, callback: Callable[..., None], *arguments: Any) -> None:
        def later() -> None:
            if self._open:
                callback(*arguments)

        self._loop.call_soon(later)

    def _on_disconnect(self, _c: Client, _u: Any, flags: DisconnectFlags, code: ReasonCode, _p: Any) -> None:
        if flags.is_disconnect_packet_from_server:
            self._fail(f"the broker ended it: {code}")
        elif code == "Keep alive timeout":
            self._fail("the broker does not answer any more")
        else:
            self._fail("the connection was lost")

    def _on_socket_close(self, _c: Client, _u: Any, sock: Any) -> None:
        if self._socket is not None:
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)
            self._socket = None

    def _on_want_write(self, _c: Client, _u: Any, sock: Any) -> None:
        if self._socket is not None:  # None: still dialling, on another thread; `_attach` asks again
            self._loop.add_writer(sock, self._write)

    def _on_no_write(self, _c: Client, _u: Any, sock: Any) -> None:
        if self._socket is not None:
            self._loop.remove_writer(sock)


def _limits(properties: Properties) -> Limits:
    return Limits(
        receive_maximum=max(1, getattr(properties, "ReceiveMaximum", 65_535)),
        maximum_qos=getattr(properties, "MaximumQoS", 2),
        retain=bool(getattr(properties, "RetainAvailable", 1)),
        packet_bytes=getattr(properties, "MaximumPacketSize", None),
        keepalive_s=getattr(properties, "ServerKeepAlive", None),
        wildcards=bool(getattr(properties, "WildcardSubscriptionAvailable", 1)),
    )


def _of_rc(rc: MQTTErrorCode) -> str:
    known = {
        MQTTErrorCode.MQTT_ERR_CONN_LOST: "the connection was lost",
        MQTTErrorCode.MQTT_ERR_PROTOCOL: "the broker broke the protocol",
    }
    return known.get(rc, rc.name)
