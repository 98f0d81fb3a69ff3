"""When Home Assistant is told of its devices: at first, after a change, and when it has come back.

Pure: the time comes in. Owns the way in which an entity goes: first a document that says so, then, once the broker has
had that for a while, the document without it. What a former run has announced is not known here, so the first document
of a run parts with everything that is not offered now. Refuses to know entities.
Invariants: no document without an entity is sent before one that parts with it was taken · a device that did not change
costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from edged.domain.station import Station
from edged.mqtt.discovery import ONLINE, Device, of_gateway, of_station
from edged.mqtt.documents import Document
from edged.mqtt.entity import Component, Discovery
from edged.mqtt.outbox import Outbox

PARTING_S: Final = 5.0
"""Home Assistant drops a document that comes while it still works on the one before."""
WELCOME_S: Final = 5.0
"""At most so long after Home Assistant's start it is told everything: many gateways must not do so at once."""


@dataclass(slots=True)
class _Parting:
    gone: tuple[Component, ...]
    document: Document
    until_s: float | None = None


class Announcer:
    """`show_station` after each step, `show_gateway` with the stations' identities, `due` from time to time.

    `heard` takes every message of the broker that is no command.
    """

    def __init__(self, outbox: Outbox, discovery: Discovery) -> None:
        self._outbox = outbox
        self._discovery = discovery
        self._facts: dict[str, object] = {}
        self._devices: dict[str, Device] = {}
        self._parting: dict[str, _Parting] = {}
        self._welcome_at_s: float | None = None

    @property
    def own_tree(self) -> Mapping[str, str]:
        """Where our documents are, and the filter that finds them."""
        return {self._discovery.tree: self._discovery.topic("+")}

    @property
    def home_status(self) -> str:
        return self._discovery.home_status

    def show_station(self, station: Station) -> None:
        facts = (station.identity, tuple((n, c.layout, c.capabilities) for n, c in station.connectors.items()))
        if self._facts.get(station.identity.id) != facts:
            self._facts[station.identity.id] = facts
            self._show(of_station(station, self._discovery))

    def show_gateway(self, stations: Iterable[str]) -> None:
        facts = tuple(stations)
        if self._facts.get("") != facts:
            self._facts[""] = facts
            self._show(of_gateway(facts, self._discovery))

    def _show(self, devices: Mapping[str, Device]) -> None:
        for topic, device in devices.items():
            former, parting = self._devices.get(topic), self._parting.get(topic)
            self._devices[topic] = device
            there = {component.key for component in device.components if component.offered}
            had = device.absent if former is None else former.components
            gone = tuple(component for component in had if former is None or component.offered)
            gone = tuple({c.key: c for c in (*(parting.gone if parting else ()), *gone) if c.key not in there}.values())
            document = device.document(gone)
            self._parting.pop(topic, None)
            if gone:
                self._parting[topic] = _Parting(gone, document)
            self._outbox.show(topic, document)

    def heard(self, topic: str, payload: bytes, now_s: float, *, share: float) -> bool:
        """Whether the message was Home Assistant's own; `share` (0..1): of the longest wait."""
        if topic != self._discovery.home_status:
            return False
        if payload == ONLINE.encode() and self._welcome_at_s is None:
            self._welcome_at_s = now_s + WELCOME_S * share
        return True

    def due(self, now_s: float) -> bool:
        """Whether everything is to be shown again now, for Home Assistant has come back."""
        for topic, parting in list(self._parting.items()):
            if not parting.document.says_the_same(self._outbox.taken(topic)):
                parting.until_s = None
            elif parting.until_s is None:
                parting.until_s = now_s + PARTING_S
            elif now_s >= parting.until_s:
                del self._parting[topic]
                self._outbox.show(topic, self._devices[topic].document())
        if self._welcome_at_s is None or now_s < self._welcome_at_s:
            return False
        self._welcome_at_s = None
        return True
