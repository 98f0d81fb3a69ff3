"""The mirror: shows the stations on MQTT and takes commands from there; the room's face to all others.

Owns the heartbeat, `info`, `health`, the throttling of measured values and the way of a command from a topic to the
desk and back. Refuses to know what a station is beyond its documents. Nothing in here is awaited by the control path:
every method but `stop` returns at once, whatever the broker does.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from edged.domain.effects import Reply
from edged.domain.slug import slug_of
from edged.domain.station import Station
from edged.domain.types import Now, RequestRef
from edged.mqtt.announcer import Announcer
from edged.mqtt.audit import Audit, Tell
from edged.mqtt.client import BrokerClient, LinkState, log_bug
from edged.mqtt.commands import Code, Envelope, Origin, Problem, parse_request, reply_body
from edged.mqtt.condition import condition
from edged.mqtt.connection import Incoming
from edged.mqtt.desk import Desk, Stations
from edged.mqtt.documents import Document
from edged.mqtt.entity import Discovery
from edged.mqtt.event_log import EventLog, EventReader
from edged.mqtt.gateway_documents import GatewayView, HealthView, gateway_info, health
from edged.mqtt.ledger import KeptReply, RateLimit, ReplyStore
from edged.mqtt.manifest import Manifest, TopicKeeper
from edged.mqtt.options import MirrorOptions
from edged.mqtt.outbox import Outbox
from edged.mqtt.picture import Picture
from edged.mqtt.raw import RawFrames
from edged.mqtt.telling import Telling
from edged.mqtt.throttle import Deadband
from edged.mqtt.topics import topics
from edged.ports import Clock

REPLY_WORTH_S: Final = 30.0
PURGE_ECHO_S: Final = 5.0
MAX_PURGES: Final = 256
GOODBYE_S: Final = 2.0
_TURN_S: Final = 0.5


class MqttMirror:
    """The engines' `ports.Mirror` on a broker. `run_id`: this run of the daemon, never used again.

    `start` after every station was shown once, so that what is known then is there before `online`; `show` after each
    step; `answer` and `fail` with what became of the events that the desk gave to `stations.submit`; `stop` at the end.
    `events`: the log of what happened and its reader; None: nothing is told but states. `audit`: is told of commands.
    """

    def __init__(
        self,
        options: MirrorOptions,
        stations: Stations,
        clock: Clock,
        gateway: GatewayView,
        *,
        run_id: str,
        store: ReplyStore | None = None,
        deadband: Deadband | None = None,
        events: tuple[EventLog, EventReader] | None = None,
        topics_kept: TopicKeeper | None = None,
        audit: Tell | None = None,
    ) -> None:
        self._options = options
        self._names = options.names
        self._stations = stations
        self._clock = clock
        self._gateway = gateway
        self._health = HealthView()
        self._health_told: tuple[object, ...] = ()
        self._started_s = clock.now().monotonic_s
        self._next_heartbeat_s = self._next_health_s = self._started_s
        self._heartbeats = 0
        self._outbox = Outbox()
        self._picture = Picture(
            self._outbox, self._names, form=options.points, deadband=deadband, described_at=gateway.started_at
        )
        self._frames = RawFrames(options.id_tokens, salt=options.names.gateway) if options.raw_ocpp else None
        self._purges: dict[str, float] = {}
        self._turns: asyncio.Task[None] | None = None
        self._desk = Desk(
            stations,
            channel="mqtt",
            run_id=run_id,
            rate=RateLimit(
                rate_per_s=options.commands.rate_per_s,
                burst=options.commands.burst,
                known=options.commands.actors,
            ),
            in_progress=options.commands.in_progress,
            store=store,
            republish=self._republish,
            audit=None if audit is None else Audit(audit, channel="mqtt"),
        )
        self._events = None if events is None else events[0]
        self._log_then = None if self._events is None else self._events.state
        self._telling = None
        if events is not None:
            self._telling = Telling(*events, self._outbox, self._names, self._wake)
        self._client = BrokerClient(
            options.broker,
            self,
            self._outbox,
            status_topic=self._names.status,
            subscription=self._names.requests,
        )
        self._home = self._home_assistant(deadband)
        self._manifest = Manifest(
            self._outbox,
            self._names,
            topics_kept,
            listen=self._client.listen,
            leave=self._client.leave,
            also=None if self._home is None else self._home.own_tree,
        )
        self._picture.remember(self._manifest.recall())

    # --- what the engine and the composition root call

    def _home_assistant(self, deadband: Deadband | None) -> Announcer | None:
        if self._options.home_assistant is None:
            return None
        discovery = Discovery(
            prefix=self._options.home_assistant,
            names=self._names,
            version=self._gateway.version,
            commands=self._options.commands,
            longest_interval_s=(deadband or Deadband()).max_interval_idle_s,
        )
        return Announcer(self._outbox, discovery)

    def start(self) -> None:
        self._desk.recall(self._clock.now())
        self._show_gateway()
        self._show_health(again=True)
        self._manifest.begin()
        self._client.start()
        self._turns = asyncio.get_running_loop().create_task(self._turn())
        self._turns.add_done_callback(log_bug)

    async def stop(self) -> None:
        """Answer who still waits, say `offline`, wait at most two seconds for both, then DISCONNECT."""
        if self._turns is not None:
            self._turns.cancel()
            await asyncio.wait([self._turns])
        self._manifest.end()
        self._desk.close(self._clock.now())
        await self._client.stop(GOODBYE_S)

    def show(self, station: Station, now: Now) -> None:
        """The station after a step: only what differs from what was shown is sent."""
        as_of_seq = None if self._events is None else self._events.as_of(station)
        shown = topics(station, self._stations.shown(station.identity.id))
        self._picture.show(station.identity.id, shown, now.monotonic_s, as_of_seq=as_of_seq)
        if self._home is not None:
            self._home.show_station(station)
        self._client.wake()

    def told(self, topic: str) -> Document | None:
        """What was shown on a topic last, in this run or, for what says since when, in a former one."""
        return self._picture.told(topic)

    @property
    def shows_frames(self) -> bool:
        return self._frames is not None

    def show_frame(self, station_id: str, direction: str, frame: str | bytes) -> None:
        """An OCPP frame, "in" (from the CSMS) or "out"."""
        now = self._clock.now()
        body = None if self._frames is None else self._frames.take(station_id, frame, now.monotonic_s)
        if body is not None:
            document = Document(body=body, at=now.utc, qos=0, retain=False)
            self._outbox.raw(self._names.raw(slug_of(station_id), direction), document, len(body["frame"]))
            self._client.wake()

    def news(self) -> None:
        """Something has happened that may be told."""
        if self._telling is not None:
            self._telling.go_on()

    def _wake(self) -> None:
        self._client.wake()

    def tell(self, gateway: GatewayView) -> None:
        self._gateway = gateway
        self._show_gateway()

    def tell_health(self, view: HealthView) -> None:
        self._health = view
        self._show_health(again=False)

    def answer(self, reply: Reply) -> bool:
        """The engine's answer to a command; False where nobody here waits for it."""
        return self._desk.settle(reply, self._clock.now())

    def keep_with(self, request: RequestRef | None, replies: Sequence[Reply]) -> tuple[KeptReply, ...]:
        """What the disk must have together with a step."""
        return self._desk.keep_with(request, replies, self._clock.now())

    def _republish(self) -> int:
        topics = self._outbox.show_again()
        self._client.greet_again()
        return topics + 1

    def fail(self, request: RequestRef, problem: Problem) -> bool:
        """The engine could not carry a command out, and nothing has happened."""
        return self._desk.fail(request, problem, self._clock.now())

    @property
    def link(self) -> LinkState:
        """How it stands with the broker."""
        return self._client.link

    # --- from time to time

    async def _turn(self) -> None:
        while True:
            self._do_what_is_due()
            await asyncio.sleep(_TURN_S)

    def _do_what_is_due(self) -> None:
        now = self._clock.now()
        self._desk.tick(now)
        self._picture.due(now)
        if self._home is not None and self._home.due(now.monotonic_s):
            self._republish()
        self._manifest.due(now.monotonic_s, connected=self._client.link.connected)
        self.news()
        if now.monotonic_s >= self._next_heartbeat_s and self._client.link.connected:
            self._next_heartbeat_s = now.monotonic_s + self._options.heartbeat_s
            self._heartbeats += 1
            self._outbox.live(self._names.heartbeat, self._heartbeat(now.utc, now.monotonic_s))
        again = now.monotonic_s >= self._next_health_s
        if again:
            self._next_health_s = now.monotonic_s + self._options.health_s
        self._show_health(again=again)
        self._client.wake()

    def _heartbeat(self, utc: datetime, monotonic_s: float) -> Document:
        uptime_s = round(monotonic_s - self._started_s)
        return Document(body={"uptime_s": uptime_s, "seq": self._heartbeats}, at=utc, qos=0, retain=False)

    # --- what the gateway says of itself

    def _show_gateway(self) -> None:
        at, session = self._clock.now().utc, self._client.link.session
        if self._events is not None and self._log_then is not None and not self._log_then.first:
            self._log_then = self._events.state  # nothing had reached the disk when we connected
        document = gateway_info(self._names, self._gateway, session=session, at=at, events=self._log_then)
        self._outbox.show(self._names.info, document)
        if self._home is not None:
            self._home.show_gateway(self._gateway.stations)
        self._client.wake()

    def _show_health(self, *, again: bool) -> None:
        """On a change of what matters at once, otherwise now and then: counters alone are no news."""
        link, counters = self._client.link, self._outbox.counters
        news = (
            self._health.news,
            link.session,
            link.contested,
            link.subscription_refused,
            counters.dropped,
            counters.refused,
            None if self._events is None else self._events.lost,
        )
        if not again and news == self._health_told:
            return
        self._health_told = news
        events = None if self._events is None else self._events.state
        at = self._clock.now().utc
        left_out = 0 if self._frames is None else self._frames.left_out
        mqtt = condition(link, self._outbox, self._desk, raw_left_out=left_out, at=at)
        document = health(self._health, mqtt, at=at, events=events)
        self._outbox.show(self._names.health, document, refresh=again)
        self._client.wake()

    # --- what the client tells

    def connecting(self, link: LinkState) -> None:
        self._purges.clear()
        self._next_heartbeat_s = self._clock.now().monotonic_s
        at = self._clock.now().utc
        self._log_then = None if self._events is None else self._events.state
        document = gateway_info(self._names, self._gateway, session=link.session, at=at, events=self._log_then)
        self._outbox.show(self._names.info, document)
        self._show_health(again=True)

    def link_changed(self, link: LinkState) -> None:
        if link.connected:
            self._show_health(again=False)

    def connected(self) -> None:
        self._manifest.connected(self._clock.now().monotonic_s)
        if self._home is not None:
            self._client.listen((self._home.home_status,))

    def born(self) -> None:
        if self._telling is not None:
            self._telling.begin()

    def acknowledged(self) -> None:
        self.news()

    def too_large(self, topic: str, answer: Document) -> None:
        """An answer that the broker does not take: a short one in its place, for there is one to every request."""
        body = answer.body
        if isinstance(body, str) or body.get("ok") is not True:
            return  # that was the short one
        problem = Problem(Code.INTERNAL, "it is done, but the answer is larger than the broker takes: ask for less")
        envelope = Envelope(actor="", command=body["command"], id=body["id"])
        self._reply(topic, replace(answer, body=reply_body(envelope, problem)))

    def received(self, message: Incoming) -> None:
        """A message on a request topic, whatever its sender meant by it."""
        topic = self._names.parse_request(message.topic)
        now = self._clock.now()
        if topic is None:
            if self._home is not None:
                self._home.heard(message.topic, message.payload, now.monotonic_s, share=random.random())
            self._manifest.received(message.topic, message.payload, retain=message.retain, now_s=now.monotonic_s)
            return
        if message.retain and not message.payload:
            return  # somebody deletes a retained command: that is none
        if not message.payload and now.monotonic_s < self._purges.pop(message.topic, 0.0):
            return  # 3.1.1 sends our own deletion back to us, without its flag
        if message.retain:
            self._purge(message.topic, now.monotonic_s)
        origin = Origin(
            actor=topic.actor,
            command=topic.command,
            names=self._names,
            options=self._options.commands,
            response_topic=message.response_topic,
            correlation=message.correlation,
            retained=message.retain,
        )
        self._desk.take(parse_request(message.payload, origin, now), self._send, now)

    def _purge(self, topic: str, now_s: float) -> None:
        """Delete a retained command: it would come again at every start."""
        self._reply(topic, Document(body="", retain=True))
        if self._client.link.version != "5":
            if len(self._purges) >= MAX_PURGES:
                self._purges.clear()
            self._purges[topic] = now_s + PURGE_ECHO_S

    def _send(self, envelope: Envelope, body: Mapping[str, Any]) -> None:
        if envelope.reply_topic is not None:
            document = Document(body=body, at=self._clock.now().utc, retain=False, correlation=envelope.correlation)
            self._reply(envelope.reply_topic, document)

    def _reply(self, topic: str, document: Document) -> None:
        self._outbox.reply(topic, document, asyncio.get_running_loop().time() + REPLY_WORTH_S)
        self._client.wake()
