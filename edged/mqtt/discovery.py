"""Home Assistant's device documents (docs/mqtt): what it may show of a gateway, a station, a connector, and press.

Pure and level-triggered: the same station gives the same documents. Owns the entities: their names, templates and ids.
Refuses to know when a document is sent, and what Home Assistant had before (`announcer`).
Invariants: every entity reads a state topic of the contract, so it can show nothing that the mirror does not · an
entity that commands is there only where the connector can do it and Home Assistant's actor may ask for it · each
command carries an id, so that a repetition is not carried out twice · unique ids depend on the gateway, the station's
slug, the connector's number and the entity alone · attributes come from documents that seldom change.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from edged.domain.hardware import Capability, Measurand
from edged.domain.station import Connector, Station
from edged.mqtt.documents import Document, dump, number
from edged.mqtt.events import KINDS, Category, category_of
from edged.mqtt.names import Names, slug_of
from edged.mqtt.options import CommandOptions

ACTOR: Final = "homeassistant"
"""Home Assistant's user at the broker: the level of its requests, and its name in `mqtt.commands`."""
ONLINE: Final = "online"
EXPIRY_FACTOR: Final = 3
"""A measured value that was told so many times less often than it should be is no longer one."""
_STATUSES: Final = (
    "Available",
    "Preparing",
    "Charging",
    "SuspendedEVSE",
    "SuspendedEV",
    "Finishing",
    "Reserved",
    "Unavailable",
    "Faulted",
)
_URL: Final = "https://pypi.org/project/edged/"
_AMBIGUOUS = re.compile(r".*(-\d+|-station)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """Where and for whom. `longest_interval_s`: how long a measured value goes untold at most while readings come."""

    prefix: str
    names: Names
    version: str
    commands: CommandOptions = field(default_factory=CommandOptions)
    longest_interval_s: float = 60.0

    @property
    def home_status(self) -> str:
        """Where Home Assistant says `online` after its start."""
        return f"{self.prefix}/status"

    @property
    def tree(self) -> str:
        """The beginning of every topic of ours below the prefix."""
        return f"{self.prefix}/device/edged-{self.names.gateway}/"

    def topic(self, entity: str) -> str:
        return f"{self.tree}{entity}/config"

    def may(self, command: str) -> bool:
        return self.commands.allows(ACTOR, command)


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One entity. `offered` False: not (or no longer) there; Home Assistant is told to forget it. `words`: its
    configuration beside platform, id and name, in Home Assistant's abbreviations."""

    key: str
    platform: str
    name: str
    words: Mapping[str, Any]
    offered: bool = True


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
    parts = [part for identity in identities for part in _link_of(identity, len(identities) == 1, discovery)]
    return {discovery.topic("gateway"): Device(id=ident, head=head, components=(*parts, *_gateway_parts(discovery)))}


# --- devices


def _gateway_id(names: Names) -> str:
    return f"edged-{names.gateway}"


def _station_id(names: Names, slug: str) -> str:
    """Never that of a connector of another station: `a-1` may be a station, and connector 1 of station `a`."""
    return f"edged-{names.gateway}-{slug}" + ("-station" if _AMBIGUOUS.fullmatch(slug) else "")


def _head(discovery: Discovery, device: Mapping[str, Any], *further: str) -> dict[str, Any]:
    return {
        "dev": {name: value for name, value in device.items() if value},
        "o": {"name": "edged", "sw": discovery.version, "url": _URL},
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
    return Device(id=ident, head=_head(discovery, device), components=tuple(_station_parts(station, slug, discovery)))


def _connector(station: Station, slug: str, connector: Connector, discovery: Discovery) -> Device:
    names, n = discovery.names, connector.number
    ident = f"edged-{names.gateway}-{slug}-{n}"
    device = {
        "ids": [ident],
        "name": f"{station.identity.id} connector {n}",
        **_of_maker(station),
        "via_device": _station_id(names, slug),
    }
    at = _At(discovery, slug, connector)
    parts = (*_state_parts(at), *_meter_parts(at), *_order_parts(at), *_event_parts(at))
    return Device(id=ident, head=_head(discovery, device, at.topic("link")), components=parts)


@dataclass(frozen=True, slots=True)
class _At:
    """A connector, its topics and its commands."""

    discovery: Discovery
    slug: str
    connector: Connector

    def topic(self, aspect: str) -> str:
        return self.discovery.names.of_connector(self.slug, self.connector.number, aspect)

    def state(self, aspect: str, expression: str) -> dict[str, Any]:
        return {"stat_t": self.topic(aspect), "val_tpl": f"{{{{ value_json.{expression} }}}}"}

    def truth(self, aspect: str, member: str) -> dict[str, Any]:
        """A JSON truth value; null shows as unknown."""
        return {**self.state(aspect, member), "pl_on": "True", "pl_off": "False"}

    def command(self, command: str, **arguments: str) -> dict[str, Any]:
        return _command(self.discovery, command, self.slug, connector=str(self.connector.number), **arguments)

    def can(self, capability: Capability) -> bool:
        return capability in self.connector.capabilities

    def may(self, command: str) -> bool:
        return self.discovery.may(command)


def _command(discovery: Discovery, command: str, station: str, **arguments: str) -> dict[str, Any]:
    """`arguments` in JSON, or a template that becomes JSON. Two presses have two ids."""
    given = {"station": json.dumps(station), **arguments}
    body = ",".join(f'"{name}":{value}' for name, value in given.items())
    return {
        "cmd_t": discovery.names.request(ACTOR, command),
        "cmd_tpl": f'{{"id":"ha-{{{{ now().timestamp() }}}}","args":{{{body}}}}}',
        "qos": 1,
    }


# --- a connector's entities


def _state_parts(at: _At) -> Iterator[Component]:
    yield Component(
        key="status",
        platform="sensor",
        name="Status",
        words={"dev_cla": "enum", "ops": list(_STATUSES), **at.state("status", "status")},
    )
    yield Component(
        key="plugged",
        platform="binary_sensor",
        name="Plugged in",
        words={"dev_cla": "plug", **at.truth("status", "plugged")},
    )
    yield Component(
        key="fault",
        platform="binary_sensor",
        name="Fault",
        words={
            "dev_cla": "problem",
            "ent_cat": "diagnostic",
            **at.truth("error", "active"),
            "json_attr_t": at.topic("error"),
        },
    )
    yield Component(
        key="charging",
        platform="binary_sensor",
        name="Charging session",
        words={"dev_cla": "battery_charging", **at.truth("transaction", "active")},
    )
    yield Component(
        key="reserved",
        platform="binary_sensor",
        name="Reserved",
        words={
            "ic": "mdi:calendar-lock",
            **at.truth("reservation", "active"),
            "json_attr_t": at.topic("reservation"),
        },
    )
    yield Component(
        key="reserved_until",
        platform="sensor",
        name="Reserved until",
        words={"dev_cla": "timestamp", **at.state("reservation", "expires_at")},
    )
    yield Component(
        key="locked",
        platform="binary_sensor",
        name="Connector lock",
        words={  # on means open; a jammed lock is neither
            "dev_cla": "lock",
            **at.state("lock", "state if value_json.state in ('locked', 'unlocked') else None"),
            "pl_on": "unlocked",
            "pl_off": "locked",
        },
        offered=at.can(Capability.LOCK_SENSE),
    )


_PHASES: Final = (1, 2, 3)


def _meter_parts(at: _At) -> Iterator[Component]:
    layout = at.connector.layout
    yield _measured(at, "power", "Power", "power", "W", "power_w", offered=Measurand.POWER in layout.measurands)
    yield Component(
        key="energy",
        platform="sensor",
        name="Energy register",
        words={
            "dev_cla": "energy",
            "stat_cla": "total_increasing",
            "unit_of_meas": "Wh",
            **at.state("meter", "energy_wh"),
        },
        offered=Measurand.ENERGY in layout.measurands,
    )
    yield Component(
        key="session",
        platform="sensor",
        name="Session energy",
        words={
            "dev_cla": "energy",
            "stat_cla": "total",
            "unit_of_meas": "Wh",
            **at.state("transaction", "energy_wh"),
            "lrst_val_tpl": "{{ value_json.started_at or '' }}",
        },
        offered=Measurand.ENERGY in layout.measurands,
    )
    for quantity, unit, measurand in (("current", "A", Measurand.CURRENT), ("voltage", "V", Measurand.VOLTAGE)):
        for phase in _PHASES:
            name, member = f"{quantity.capitalize()} L{phase}", f"{quantity}_{unit.lower()}.l{phase}"
            there = measurand in layout.measurands and phase <= layout.phases
            yield _measured(at, f"{quantity}_l{phase}", name, quantity, unit, member, offered=there)
    for key, name, unit, member, measurand in (
        ("frequency", "Frequency", "Hz", "frequency_hz", Measurand.FREQUENCY),
        ("temperature", "Temperature", "°C", "temperature_c", Measurand.TEMPERATURE),
        ("battery", "Vehicle battery", "%", "soc_pct", Measurand.SOC),
    ):
        yield _measured(at, key, name, key, unit, member, offered=measurand in layout.measurands)


def _measured(at: _At, key: str, name: str, device_class: str, unit: str, member: str, *, offered: bool) -> Component:
    words = {
        "dev_cla": device_class,
        "stat_cla": "measurement",
        "unit_of_meas": unit,
        **at.state("meter", member),
        "exp_aft": round(EXPIRY_FACTOR * at.discovery.longest_interval_s),
    }
    return Component(key=key, platform="sensor", name=name, words=words, offered=offered)


def _order_parts(at: _At) -> Iterator[Component]:
    may_close = at.may("change_availability")
    yield Component(
        key="operative",
        platform="switch",
        name="Operative",
        words={
            **at.state("availability", "state"),
            "stat_on": "Operative",
            "stat_off": "Inoperative",
            "pl_on": "Operative",
            "pl_off": "Inoperative",
            **at.command("change_availability", type='"{{ value }}"'),
        },
        offered=may_close,
    )
    yield Component(
        key="in_service",
        platform="binary_sensor",
        name="Operative",
        words={**at.state("availability", "state"), "pl_on": "Operative", "pl_off": "Inoperative"},
        offered=not may_close,
    )
    ampere = {"dev_cla": "current", "unit_of_meas": "A"}
    yield Component(
        key="limit",
        platform="number",
        name="Current limit",
        words={
            **ampere,
            "min": 0,
            "max": number(at.connector.layout.max_current_ma / 1000),
            "step": 1,
            **at.state("limit", "local_limit_a"),
            **at.command("set_limit", limit_a="{{ value }}"),
        },
        offered=at.can(Capability.LIMIT) and at.may("set_limit"),
    )
    yield Component(
        key="available_current",
        platform="sensor",
        name="Available current",
        words={**ampere, **at.state("limit", "effective_a")},
        offered=at.can(Capability.LIMIT),
    )
    yield Component(
        key="stop",
        platform="button",
        name="Stop charging",
        words=at.command("stop_transaction"),
        offered=at.may("stop_transaction"),
    )
    yield Component(
        key="unlock",
        platform="button",
        name="Unlock connector",
        words=at.command("unlock_connector"),
        offered=at.can(Capability.UNLOCK) and at.may("unlock_connector"),
    )
    yield Component(
        key="lock",
        platform="lock",
        name="Keep locked",
        words={
            **at.state("lock", "state | upper"),
            "stat_jam": "JAMMED",
            "pl_lock": "locked",
            "pl_unlk": "unlocked",
            **at.command("set_lock", state='"{{ value }}"'),
        },
        offered=at.can(Capability.LOCK_CONTROL) and at.can(Capability.LOCK_SENSE) and at.may("set_lock"),
    )


def _event_parts(at: _At) -> Iterator[Component]:
    here = f"value_json.station == '{at.slug}' and value_json.connector == {at.connector.number}"
    for category in (Category.RESERVATION, Category.TRANSACTION, Category.CONNECTOR):
        yield _events(at.discovery.names, category, here)


def _events(names: Names, category: Category, here: str) -> Component:
    """What happened, with its data as attributes. Other places' events become an empty word, which is ignored."""
    body = "dict(value_json.data, event_type=value_json.event_type, source=value_json.source)"
    return Component(
        key=f"{category}_events",
        platform="event",
        name=f"{category.capitalize()} events",
        words={
            "evt_typ": sorted(kind for kind in KINDS if category_of(kind) is category),
            "stat_t": names.event(category),
            "val_tpl": f"{{{{ {body} | to_json if {here} else '' }}}}",
            "qos": 1,
        },
    )


# --- the station's and the gateway's


def _diagnostic(topic: str, expression: str, **words: Any) -> dict[str, Any]:
    return {"ent_cat": "diagnostic", **words, "stat_t": topic, "val_tpl": f"{{{{ value_json.{expression} }}}}"}


def _station_parts(station: Station, slug: str, discovery: Discovery) -> Iterator[Component]:
    connection = discovery.names.of_station(slug, "ocpp/connection")
    yield Component(
        key="csms",
        platform="sensor",
        name="OCPP connection",
        words=_diagnostic(connection, "state", ic="mdi:lan-connect"),
    )
    yield Component(
        key="since",
        platform="sensor",
        name="OCPP connection since",
        words=_diagnostic(connection, "since", dev_cla="timestamp"),
    )
    yield Component(
        key="queued",
        platform="sensor",
        name="OCPP messages waiting",
        words=_diagnostic(connection, "queued", stat_cla="measurement", ic="mdi:tray-full"),
    )
    yield Component(
        key="reset",
        platform="button",
        name="Restart station",
        words={
            "dev_cla": "restart",
            "ent_cat": "config",
            **_command(discovery, "reset", slug, type='"Soft"'),
        },
        offered=discovery.may("reset"),
    )
    here = f"value_json.station == '{slug}'"
    for category in (Category.OCPP, Category.SECURITY, Category.CONFIG):
        yield _events(discovery.names, category, here)


def _link_of(identity: str, alone: bool, discovery: Discovery) -> Iterator[Component]:
    """What the gateway shows of each station's way to its CSMS."""
    slug = slug_of(identity)
    of_station = "" if alone else f" {identity}"
    yield Component(
        key=f"connected_{slug}",
        platform="binary_sensor",
        name=f"OCPP connected{of_station}",
        words={
            "dev_cla": "connectivity",
            "ent_cat": "diagnostic",
            "stat_t": discovery.names.of_station(slug, "ocpp/is_connected"),
            "pl_on": "true",
            "pl_off": "false",
        },
    )
    yield Component(
        key=f"restart_{slug}",
        platform="button",
        name=f"Restart OCPP{of_station}",
        words={"ent_cat": "config", **_command(discovery, "restart", slug)},
        offered=discovery.may("restart"),
    )


def _gateway_parts(discovery: Discovery) -> Iterator[Component]:
    names = discovery.names
    count: dict[str, Any] = {"stat_cla": "measurement"}
    yield Component(
        key="spool",
        platform="sensor",
        name="Spool depth",
        words=_diagnostic(names.health, "events.waiting if value_json.events else None", ic="mdi:tray-full", **count),
    )
    yield Component(
        key="queued",
        platform="sensor",
        name="OCPP messages waiting",
        words=_diagnostic(names.health, "ocpp_queued", ic="mdi:tray-full", **count),
    )
    yield Component(
        key="store",
        platform="binary_sensor",
        name="Storage",
        words={
            **_diagnostic(names.health, "store != 'ok'", dev_cla="problem"),
            "pl_on": "True",
            "pl_off": "False",
        },
    )
    yield Component(
        key="disk_free",
        platform="sensor",
        name="Disk free",
        words=_diagnostic(names.health, "disk_free_bytes", dev_cla="data_size", unit_of_meas="B", **count),
    )
    yield _events(names, Category.GATEWAY, "value_json.station is none")
