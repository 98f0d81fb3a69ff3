"""The entities that Home Assistant shows of a connector, and what it presses there (docs/mqtt).

Pure. Owns their names, templates and classes, and which of them there are. Refuses to know devices and when documents
are sent (`discovery`, `announcer`).
Invariants: every entity reads a topic of the contract, so it shows nothing that the mirror does not · an entity that
commands is there only where the connector can do it and Home Assistant's actor may ask for it · attributes come from
documents that seldom change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from edged.domain.hardware import Capability, Measurand
from edged.domain.station import Connector
from edged.mqtt.documents import number
from edged.mqtt.entity import EXPIRY_FACTOR, Component, Discovery, command_words, event_entity
from edged.mqtt.events import Category

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


@dataclass(frozen=True, slots=True)
class Place:
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
        return command_words(self.discovery, command, self.slug, connector=str(self.connector.number), **arguments)

    def can(self, capability: Capability) -> bool:
        return capability in self.connector.capabilities

    def may(self, command: str) -> bool:
        return self.discovery.may(command)


# --- a connector's entities


def connector_parts(at: Place) -> Iterator[Component]:
    yield from _state_parts(at)
    yield from _meter_parts(at)
    yield from _availability_parts(at)
    yield from _order_parts(at)
    yield from _event_parts(at)


def _state_parts(at: Place) -> Iterator[Component]:
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


def _meter_parts(at: Place) -> Iterator[Component]:
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


def _measured(at: Place, key: str, name: str, device_class: str, unit: str, member: str, *, offered: bool) -> Component:
    words = {
        "dev_cla": device_class,
        "stat_cla": "measurement",
        "unit_of_meas": unit,
        **at.state("meter", member),
        "exp_aft": round(EXPIRY_FACTOR * at.discovery.longest_interval_s),
    }
    return Component(key=key, platform="sensor", name=name, words=words, offered=offered)


def _availability_parts(at: Place) -> Iterator[Component]:
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


def _order_parts(at: Place) -> Iterator[Component]:
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


def _event_parts(at: Place) -> Iterator[Component]:
    here = f"value_json.station == '{at.slug}' and value_json.connector == {at.connector.number}"
    for category in (Category.RESERVATION, Category.TRANSACTION, Category.CONNECTOR):
        yield event_entity(at.discovery.names, category, here)
