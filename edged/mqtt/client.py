"""Keeps one connection to the broker, for ever: back-off, the version to speak, dump, birth and goodbye.

Owns the order of a connection's life (docs/mqtt): subscribe, everything that was shown, then `online`.
Refuses to know what the documents mean. Never blocks its caller: `wake` only asks the loop to look at the outbox.
Invariants: an attempt uses a fresh client · `online` is said after the dump and never while stopping · one line at the
begin and one at the end of an outage, however many attempts it takes · what came with QoS 1 is acknowledged in its
order, and not while answers are congested, so that none of them is dropped for want of room.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Protocol

from edged.mqtt.backoff import Backoff
from edged.mqtt.connection import Connection, Incoming, Will
from edged.mqtt.dialling import BrokerRefused, MqttError
from edged.mqtt.documents import Document, encode
from edged.mqtt.options import BrokerOptions
from edged.mqtt.options import Protocol as Version
from edged.mqtt.outbox import Lane, Outbox

ONLINE: Final = "online"
OFFLINE: Final = "offline"

_UNSUPPORTED_VERSION: Final = 0x84
_RETAIN_UNSUPPORTED: Final = 0x9A
_QOS_UNSUPPORTED: Final = 0x9B

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """How it stands with the broker. `session`: the number of connections so far; `error`: why the last one ended."""

    connected: bool = False
    version: str | None = None
    session: int = 0
    attempts: int = 0
    error: str | None = None
    contested: bool = False
    subscription_refused: str | None = None
    certificate_expires: datetime | None = None


class Owner(Protocol):
    """Whom the client serves."""

    def connecting(self, link: LinkState) -> None:
        """A connection stands; what is shown from within this call is part of its dump."""

    def link_changed(self, link: LinkState) -> None: ...

    def connected(self) -> None:
        """The connection takes subscriptions from now on."""

    def born(self) -> None:
        """`online` is on its way: what happened may be told from now on."""

    def acknowledged(self) -> None:
        """The broker has taken something."""

    def too_large(self, topic: str, answer: Document) -> None:
        """The broker takes no message of this size: whoever waits for it does not get it."""

    def received(self, message: Incoming) -> None: ...


class BrokerClient:
    """`start`, then `wake` after every change of the outbox, at the end `stop`."""

    def __init__(
        self, options: BrokerOptions, owner: Owner, outbox: Outbox, *, status_topic: str, subscription: str
    ) -> None:
        self.link = LinkState()
        self._options = options
        self._owner = owner
        self._outbox = outbox
        self._status_topic = status_topic
        self._subscription = subscription
        self._v5 = options.protocol is not Version.V311
        self._will = Will(topic=status_topic, payload=OFFLINE.encode())
        self._backoff = Backoff(first_s=options.backoff_first_s, last_s=options.backoff_last_s)
        self._connection: Connection | None = None
        self._tickets: dict[int, int] = {}
        self._owed: deque[int] = deque()
        self._ended: asyncio.Future[str] | None = None
        self._task: asyncio.Task[None] | None = None
        self._pump_asked = False
        self._born = False
        self._greets_again = False
        self._stopping = False
        self._complained = False
        self._outage_since_s: float | None = None
        self._stood_since_s = 0.0
        self._acked_s = 0.0
        self._progress = asyncio.Event()

    # --- life

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._task.add_done_callback(log_bug)

    def wake(self) -> None:
        """Something may be due. Returns at once."""
        if self._connection is not None and not self._pump_asked:
            self._pump_asked = True
            asyncio.get_running_loop().call_soon(self._pump)

    def greet_again(self) -> None:
        """Say `online` once more, behind all that waits to be shown: somebody may have deleted it, or written over it.
        Before it was said at all, it is to come anyway."""
        self._greets_again = self._born
        self.wake()

    def listen(self, filters: tuple[str, ...]) -> None:
        """Hear these too, on the connection that there is; nobody is told whether the broker allows it."""
        if self._connection is not None:
            self._connection.subscribe(*filters, vital=False)

    def leave(self, filters: tuple[str, ...]) -> None:
        if self._connection is not None:
            self._connection.unsubscribe(*filters)

    async def stop(self, within_s: float = 2.0) -> None:
        """Say `offline` and wait for its acknowledgement (and for replies that are due), then DISCONNECT."""
        self._stopping = True
        connection = self._connection
        if connection is not None:
            self._pump()
            await self._leave_behind(connection, within_s / 2)
            self._outbox.live(self._status_topic, Document(body=OFFLINE))
            self._pump()
            await self._leave_behind(connection, within_s / 2)
            if self._connection is connection:
                await connection.disconnect(0.5)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _leave_behind(self, connection: Connection, within_s: float) -> None:
        """Wait until nothing urgent is left, or as long as that takes at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._outbox.urgent and self._connection is connection:
                    self._progress.clear()
                    await self._progress.wait()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._stopping:
            try:
                reason = await self._live_once()
                self._backoff.ended(after_s=loop.time() - self._stood_since_s)
            except MqttError as error:
                if isinstance(error, BrokerRefused) and self._adapt(error.code):
                    continue
                reason = str(error)
                self._backoff.failed()
            self._lost(reason, loop.time())
            await asyncio.sleep(self._backoff.delay_s(random.random()))

    async def _live_once(self) -> str:
        self._change(attempts=self.link.attempts + 1)
        connection = Connection(self._options, self, v5=self._v5, will=self._will)
        await connection.open()
        self._ended = asyncio.get_running_loop().create_future()
        try:
            self._establish(connection)
            return await self._ended
        finally:
            self._connection = None
            self._tickets.clear()
            self._owed.clear()
            self._outbox.disconnected()
            self._progress.set()
            connection.close()

    def _establish(self, connection: Connection) -> None:
        self._stood_since_s = asyncio.get_running_loop().time()
        self._log_up(self._stood_since_s)
        self.link = replace(
            self.link,
            connected=True,
            version="5" if connection.v5 else "3.1.1",
            session=self.link.session + 1,
            error=None,
            subscription_refused=None,
            certificate_expires=connection.certificate_expires,
        )
        self._born = self._greets_again = self._complained = False
        self._owner.connecting(self.link)
        self._outbox.connected(connection.limits.receive_maximum)
        self._connection = connection
        connection.subscribe(self._subscription)
        self._owner.connected()
        self._pump()

    def _adapt(self, code: int) -> bool:
        """Whether there is another way to ask this broker, which then is tried at once."""
        if code == _UNSUPPORTED_VERSION and self._options.protocol is Version.AUTO and self._v5:
            self._v5 = False
            log.info("the MQTT broker does not speak MQTT 5; trying 3.1.1")
        elif code == _QOS_UNSUPPORTED and self._will.qos:
            self._will = replace(self._will, qos=0)
        elif code == _RETAIN_UNSUPPORTED and self._will.retain:
            self._will = replace(self._will, retain=False)
        else:
            return False
        return True

    def _log_up(self, now_s: float) -> None:
        where = f"{self._options.host}:{self._options.port}, MQTT {'5' if self._v5 else '3.1.1'}"
        if self._outage_since_s is None:
            log.info("MQTT broker connected (%s)", where)
        else:
            away_s = now_s - self._outage_since_s
            counters = self._outbox.counters
            log.info(
                "MQTT broker connected again (%s) after %.1f s and %d attempts; %d replies dropped so far",
                where,
                away_s,
                self.link.attempts,
                counters.dropped,
            )
        self._outage_since_s = None

    def _lost(self, reason: str, now_s: float) -> None:
        was_contested = self.link.contested
        if self._outage_since_s is None:
            self._outage_since_s = now_s
            self._change(attempts=0)
            log.warning("MQTT broker %s:%d away: %s", self._options.host, self._options.port, reason)
        else:
            log.debug("MQTT broker still away: %s", reason)
        self._change(connected=False, error=reason, contested=self._backoff.contested)
        if self.link.contested and not was_contested:
            log.warning(
                "the MQTT broker ends each connection within seconds: does a second daemon use the client id %s?",
                self._options.client_id,
            )

    def _change(self, **changes: object) -> None:
        self.link = replace(self.link, **changes)  # type: ignore[arg-type]  # names and types are this class's own
        self._owner.link_changed(self.link)

    # --- sending

    def _pump(self) -> None:
        self._pump_asked = False
        connection, now_s = self._connection, asyncio.get_running_loop().time()
        if not self._outbox.under_way:
            self._acked_s = now_s
        elif connection is not None and now_s - self._acked_s > self._options.ack_timeout_s:
            connection.give_up("the broker acknowledges nothing")
        while connection is not None and connection is self._connection and not connection.ended:
            self._greet()
            parcels = self._outbox.due(now_s)
            if not parcels:
                self._acknowledge(connection)
                return
            for parcel in parcels:
                document = parcel.document
                mid = connection.publish(
                    parcel.topic,
                    encode(document),
                    qos=document.qos,
                    retain=document.retain,
                    correlation=document.correlation,
                )
                if mid is None:
                    self._complain(parcel.topic, "it is larger than the broker allows")
                    self._outbox.settled(parcel.ticket, accepted=False)
                    if parcel.lane is Lane.REPLY:
                        self._owner.too_large(parcel.topic, document)
                else:
                    self._tickets[mid] = parcel.ticket

    def _greet(self) -> None:
        if not self._born and not self._stopping and self._outbox.dumped:
            self._born = True
            self._outbox.live(self._status_topic, Document(body=ONLINE))
            self._outbox.tell_events()
            self._owner.born()
        elif self._greets_again and not self._stopping and self._outbox.caught_up:
            self._greets_again = False
            self._outbox.live(self._status_topic, Document(body=ONLINE))

    def _complain(self, topic: str, reason: str) -> None:
        level = logging.DEBUG if self._complained else logging.WARNING
        self._complained = True
        log.log(level, "MQTT message on %s was not taken: %s", topic, reason)

    # --- what the connection tells

    def received(self, message: Incoming) -> None:
        """Acknowledged when there is room for its answer: a broker that takes answers slowly is asked to wait."""
        self._owner.received(message)
        if message.mid is not None:
            self._owed.append(message.mid)
            self.wake()

    def _acknowledge(self, connection: Connection) -> None:
        while self._owed and not self._outbox.congested:
            connection.acknowledge(self._owed.popleft())

    def settled(self, mid: int, reason: str | None) -> None:
        ticket = self._tickets.pop(mid, None)
        if ticket is None:
            return
        topic = self._outbox.settled(ticket, accepted=reason is None)
        self._acked_s = asyncio.get_running_loop().time()
        if reason is not None and topic is not None:
            self._complain(topic, reason)
        self._owner.acknowledged()
        self._progress.set()
        self._pump()

    def subscribed(self, refused: str | None) -> None:
        if refused is not None:
            log.error("the MQTT broker refuses the subscription to commands (%s): %s", self._subscription, refused)
        self._change(subscription_refused=refused)

    def closed(self, reason: str) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(reason)


def log_bug(task: asyncio.Task[None]) -> None:
    """Tell of a task that ended by a bug: it must be seen, and must not take charging with it."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a part of the MQTT mirror has ended by a bug; it stands still until the next start", exc_info=error)
