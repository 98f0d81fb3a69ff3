"""The entities that Home Assistant shows of a station and of the gateway, and what it presses there (docs/mqtt).

Pure, and of the same kind as a connector's (`entities`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edged.domain.slug import slug_of
from edged.mqtt.entity import Component, Discovery, command_words, diagnostic, event_entity
from edged.mqtt.events import Category


def station_parts(slug: str, discovery: Discovery) -> Iterator[Component]:
    connection = discovery.names.of_station(slug, "ocpp/connection")
    yield Component(
        key="csms",
        platform="sensor",
        name="OCPP connection",
        words=diagnostic(connection, "state", ic="mdi:lan-connect"),
    )
    yield Component(
        key="since",
        platform="sensor",
        name="OCPP connection since",
        words=diagnostic(connection, "since", dev_cla="timestamp"),
    )
    yield Component(
        key="queued",
        platform="sensor",
        name="OCPP messages waiting",
        words=diagnostic(connection, "queued", stat_cla="measurement", ic="mdi:tray-full"),
    )
    yield Component(
        key="reset",
        platform="button",
        name="Restart station",
        words={
            "dev_cla": "restart",
            "ent_cat": "config",
            **command_words(discovery, "reset", slug, type='"Soft"'),
        },
        offered=discovery.may("reset"),
    )
    here = f"value_json.station == '{slug}'"
    for category in (Category.OCPP, Category.SECURITY, Category.CONFIG):
        yield event_entity(discovery.names, category, here)


def link_parts(identity: str, alone: bool, discovery: Discovery) -> Iterator[Component]:
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
        words={"ent_cat": "config", **command_words(discovery, "restart", slug)},
        offered=discovery.may("restart"),
    )


def gateway_parts(discovery: Discovery) -> Iterator[Component]:
    names = discovery.names
    count: dict[str, Any] = {"stat_cla": "measurement"}
    yield Component(
        key="spool",
        platform="sensor",
        name="Spool depth",
        words=diagnostic(names.health, "events.waiting if value_json.events else None", ic="mdi:tray-full", **count),
    )
    yield Component(
        key="queued",
        platform="sensor",
        name="OCPP messages waiting",
        words=diagnostic(names.health, "ocpp_queued", ic="mdi:tray-full", **count),
    )
    yield Component(
        key="store",
        platform="binary_sensor",
        name="Storage",
        words={
            **diagnostic(names.health, "store != 'ok'", dev_cla="problem"),
            "pl_on": "True",
            "pl_off": "False",
        },
    )
    yield Component(
        key="disk_free",
        platform="sensor",
        name="Disk free",
        words=diagnostic(names.health, "disk_free_bytes", dev_cla="data_size", unit_of_meas="B", **count),
    )
    yield event_entity(names, Category.GATEWAY, "value_json.station is none")
