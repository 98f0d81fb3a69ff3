"""Home Assistant's device documents (docs/mqtt): the gateway, its stations, their connectors, each with its entities.

Pure and level-triggered: the same station gives the same documents. Refuses to know what an entity is (`entity`), when
a document is sent, and what Home Assistant had before (`announcer`).
Invariant: unique ids depend on the gateway, the station's slug, the connector's number and the entity alone, and no two
devices of a gateway share one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from edged.domain.slug import slug_of
from edged.domain.station import Connector, Station
from edged.mqtt.documents import Document, dump
from edged.mqtt.entities import Place, connector_parts
from edged.mqtt.entity import Component, Discovery
from edged.mqtt.gateway_entities import gateway_parts, link_parts, station_parts
from edged.mqtt.names import Names

ONLINE: Final = "online"
_AMBIGUOUS = re.compile(r".*(-\d+|-station)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device document's content. `head`: what stands before its components."""

    id: str
    head: Mapping[str, Any]
    components: tuple[Component, ...]

    def document(self, gone: Iterable[Component] = ()) -> Document:
        """As published. `gone`: components to be removed. They stand first: Home Assistant drops the rest of a document
        that comes while it still works on an earlier one."""
        parts: dict[str, Any] = {component.key: {"p": component.platform} for component in gone}
        for each in self.components:
            if each.offered:
                parts[each.key] = {
                    "p": each.platform,
                    "uniq_id": f"{self.id}-{each.key}",
                    "name": each.name,
                    **each.words,
                }
        return Document(body=dump({**self.head, "cmps": parts}).decode())

    @property
    def absent(self) -> tuple[Component, ...]:
        return tuple(component for component in self.components if not component.offered)


def of_station(station: Station, discovery: Discovery) -> dict[str, Device]:
    """The devices of one station by topic: itself and its connectors."""
    slug = slug_of(station.identity.id)
    devices = {discovery.topic(f"{slug}-station"): _station(station, slug, discovery)}
    for n, connector in station.connectors.items():
        devices[discovery.topic(f"{slug}-{n}")] = _connector(station, slug, connector, discovery)
    return devices


def of_gateway(stations: Iterable[str], discovery: Discovery) -> dict[str, Device]:
    """The gateway's own device. `stations`: their OCPP identities."""
    names, identities = discovery.names, tuple(stations)
    ident = _gateway_id(names)
    head = _head(
        discovery,
        {"ids": [ident], "name": f"edged {names.gateway}", "mf": "edged", "mdl": "Gateway", "sw": discovery.version},
    )
    parts = [part for identity in identities for part in link_parts(identity, len(identities) == 1, discovery)]
    return {discovery.topic("gateway"): Device(id=ident, head=head, components=(*parts, *gateway_parts(discovery)))}


# --- devices


def _gateway_id(names: Names) -> str:
    return f"edged-{names.gateway}"


def _station_id(names: Names, slug: str) -> str:
    """Never that of a connector of another station: `a-1` may be a station, and connector 1 of station `a`."""
    return f"edged-{names.gateway}-{slug}" + ("-station" if _AMBIGUOUS.fullmatch(slug) else "")


def _head(discovery: Discovery, device: Mapping[str, Any], *further: str) -> dict[str, Any]:
    return {
        "dev": {name: value for name, value in device.items() if value},
        "o": {"name": "edged", "sw": discovery.version},
        "avty": [{"t": topic} for topic in (discovery.names.status, *further)],
        "avty_mode": "all",
    }


def _of_maker(station: Station) -> dict[str, Any]:
    identity = station.identity
    return {
        "mf": identity.vendor,
        "mdl": identity.model,
        "sn": identity.serial_number,
        "sw": identity.firmware_version,
    }


def _station(station: Station, slug: str, discovery: Discovery) -> Device:
    names = discovery.names
    ident = _station_id(names, slug)
    device = {"ids": [ident], "name": station.identity.id, **_of_maker(station), "via_device": _gateway_id(names)}
    return Device(id=ident, head=_head(discovery, device), components=tuple(station_parts(slug, discovery)))


def _connector(station: Station, slug: str, connector: Connector, discovery: Discovery) -> Device:
    names, n = discovery.names, connector.number
    ident = f"edged-{names.gateway}-{slug}-{n}"
    device = {
        "ids": [ident],
        "name": f"{station.identity.id} connector {n}",
        **_of_maker(station),
        "via_device": _station_id(names, slug),
    }
    at = Place(discovery, slug, connector)
    return Device(id=ident, head=_head(discovery, device, at.topic("link")), components=tuple(connector_parts(at)))
