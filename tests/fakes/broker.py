"""The broker of the virtual site, and the BMS that commands through it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edged.mqtt.connection import Incoming
from edged.mqtt.documents import Document, encode
from edged.mqtt.mirror import MqttMirror
from edged.mqtt.names import Names
from edged.mqtt.options import BrokerOptions, CommandOptions, MirrorOptions
from edged.mqtt.outbox import WINDOW, Parcel
from tests.fakes.mqtt_contract import WITNESS

if TYPE_CHECKING:
    from tests.fakes.world import World

NAMES = Names("edged", "depot-3")
OPTIONS = MirrorOptions(
    broker=BrokerOptions(host="127.0.0.1", port=1883, client_id="edged"),
    names=NAMES,
    commands=CommandOptions(actors={"bms": frozenset({"*"})}, rate_per_s=1000.0, burst=1000),
)


_SHAPES: set[tuple[object, ...]] = set()


def _is_new(event: Any) -> bool:
    """Whether an event of this shape was not judged by the contract yet: a story is told a hundred times over."""
    data = sorted((name, type(value).__name__) for name, value in event["data"].items())
    shape = (event["event_type"], event["station"] is None, event["connector"] is None, *data)
    is_new = shape not in _SHAPES
    _SHAPES.add(shape)
    return is_new


class Broker:
    """Keeps what is retained, whoever published it. `mirror` is the living daemon's, or None.

    Plays the part of the mirror's MQTT client: it takes parcels out of the mirror's outbox and acknowledges them late.
    `events`: all that came, repeated or not, with the line on which; `shown`: every state that came, with the run of
    the daemon that sent it.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.mirror: MqttMirror | None = None
        self.retained: dict[str, Document] = {}
        self.events: list[tuple[int, dict[str, Any]]] = []
        self.shown: list[tuple[int, str, Document]] = []
        self.line = 0
        self.born_on = -1
        self.reachable = True
        self.asked: dict[str, tuple[str, float, int]] = {}
        self.answers: Counter[str] = Counter()
        self.results: list[tuple[str, dict[str, Any]]] = []
        self.count = 0

    # --- the line

    def daemon_started(self, mirror: MqttMirror) -> None:
        self.mirror = mirror
        self.connect()

    def daemon_died(self) -> None:
        """Whoever waited for it waits in vain; it said nothing wrong."""
        self.mirror = None
        self.line += 1
        self.asked.clear()

    def connect(self) -> None:
        if self.mirror is not None and self.reachable:
            self.line += 1
            self.mirror._outbox.connected(WINDOW)
            self.mirror.connecting(self.mirror.link)

    def go_out_of_reach(self) -> None:
        if self.reachable:
            self.reachable = False
            self.line += 1
            if self.mirror is not None:
                self.mirror._outbox.disconnected()

    def return_to_reach(self) -> None:
        if not self.reachable:
            self.reachable = True
            self.connect()

    def turn(self) -> None:
        """Twice a second: the mirror's own turn, then its client's."""
        if self.mirror is None:
            return
        self.mirror._do_what_is_due()
        if self.reachable:
            self._greet(self.mirror)
            for parcel in self.mirror._outbox.due(asyncio.get_running_loop().time()):
                self._publish(self.mirror, parcel)

    def _greet(self, mirror: MqttMirror) -> None:
        """As `mqtt.client` does once the dump has arrived."""
        if self.born_on != self.line and mirror._outbox.dumped:
            self.born_on = self.line
            mirror._outbox.tell_events()
            mirror.born()

    def _publish(self, mirror: MqttMirror, parcel: Parcel) -> None:
        line, document, boot = self.line, parcel.document, self.world.boots
        if not parcel.seq or _is_new(document.body):
            WITNESS.saw(parcel.topic, encode(document), qos=document.qos, retain=document.retain)

        def arrive() -> None:
            if line != self.line:
                return
            if parcel.document.retain:
                self.retained[parcel.topic] = parcel.document
                self.shown.append((boot, parcel.topic, document))
            elif parcel.seq and isinstance(document.body, Mapping):
                self.events.append((line, dict(document.body)))
                self.world.later(0.3, settle)  # the line may go before that: then it is told once more
                return
            else:
                self._reply(parcel)
            settle()

        def settle() -> None:
            if line == self.line:
                mirror._outbox.settled(parcel.ticket)
                mirror.acknowledged()

        # events have one way, on which nothing overtakes
        way_s = 0.2 if parcel.seq else self.world.random.uniform(0.01, 0.4)
        self.world.later(way_s, arrive)

    # --- the BMS

    def command(self, name: str, arguments: Mapping[str, Any]) -> None:
        if self.mirror is None or not self.reachable:
            return
        self.count += 1
        ident = f"b{self.count}"
        self.asked[ident] = (name, self.world.elapsed_s, self.line)
        raw = json.dumps({"id": ident, "args": arguments}).encode()
        message = Incoming(topic=NAMES.request("bms", name), payload=raw, retain=False)
        mirror = self.mirror
        self.world.guard(lambda: mirror.received(message))

    def _reply(self, parcel: Parcel) -> None:
        body = parcel.document.body
        if isinstance(body, str) or "command" not in body:
            return
        ident = str(body["id"])
        self.answers[ident] += 1
        asked = self.asked.pop(ident, None)
        if asked is not None:
            self.results.append((asked[0], dict(body)))

    def sins(self) -> list[str]:
        """Commands that were answered twice, or by nobody within their time while the line stood."""
        twice = [f"{ident} was answered {count} times" for ident, count in self.answers.items() if count > 1]
        now_s = self.world.elapsed_s
        never = [
            f"{name} was never answered"
            for name, at_s, line in self.asked.values()
            if line == self.line and now_s - at_s > (45 if name == "data_transfer" else 15)
        ]
        return twice + never
