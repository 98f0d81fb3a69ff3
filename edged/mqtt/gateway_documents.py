"""What the gateway says of itself: `info` and `health` (docs/mqtt).

Pure. Owns which change of its condition is news. Refuses to know stations (`topics`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from edged.mqtt.documents import Document, timestamp
from edged.mqtt.event_log import LogState
from edged.mqtt.names import Names


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayView:
    """What the gateway says of itself, beside its stations. `config_hash`: of the configuration that is in force."""

    version: str
    boot_id: str
    started_at: datetime
    synchronized: bool
    config_hash: str | None = None
    stations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthView:
    """The daemon's own condition. `buses`: name to what the line reports of itself; sizes in bytes."""

    buses: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    ocpp_queued: int | None = None
    disk_free_bytes: int | None = None
    store: str | None = None
    ntp: bool | None = None
    dropped: int | None = None

    @property
    def news(self) -> tuple[object, ...]:
        """What is worth a message at once when it changes: conditions, and losses. Everything else always moves."""
        buses = tuple((name, *_condition_of(bus)) for name, bus in sorted(self.buses.items()))
        return (buses, self.store, self.ntp, self.dropped)


def _condition_of(bus: Mapping[str, Any]) -> tuple[object, ...]:
    """Whether the line is open, why not, and of each unit whether it was ever heard and has fallen silent. One answer
    that did not come is no news: it would be told all day on a bad line."""
    told = bus.get("units")
    units = told if isinstance(told, Mapping) else {}
    silent = tuple(
        (unit, each.get("state") == "dead", each.get("last_answer_s") is None) for unit, each in units.items()
    )
    return bus.get("is_open"), bus.get("down_reason"), silent


def gateway_info(
    names: Names, view: GatewayView, *, session: int, at: datetime, events: LogState | None = None
) -> Document:
    """`info`. `session`: the number of this connection to the broker since the daemon started."""
    return Document(
        body={
            "gateway": names.gateway,
            "version": view.version,
            "contract": "1.0.0",
            "boot_id": view.boot_id,
            "started_at": timestamp(view.started_at),
            "clock": "synced" if view.synchronized else "unsynced",
            "config_hash": view.config_hash,
            "stations": list(view.stations),
            "session": session,
            "first_seq": None if events is None else events.first or None,
            "last_seq": None if events is None else events.last or None,
        },
        at=at,
    )


def health(view: HealthView, mqtt: Mapping[str, Any], *, at: datetime, events: LogState | None = None) -> Document:
    """`health`. `mqtt`: the mirror's own counters."""
    return Document(
        body={
            "mqtt": dict(mqtt),
            "buses": {name: dict(state) for name, state in view.buses.items()},
            "ocpp_queued": view.ocpp_queued,
            "disk_free_bytes": view.disk_free_bytes,
            "store": view.store,
            "ntp": view.ntp,
            "dropped": view.dropped,
            "events": None if events is None else _events(events, at),
        },
        at=at,
    )


def _events(log: LogState, at: datetime) -> dict[str, Any]:
    oldest_at = log.oldest_at
    return {
        "first": log.first or None,
        "last": log.last or None,
        "delivered": log.delivered,
        "waiting": log.waiting,
        "unkept": log.unkept,
        "lost": log.lost,
        "oldest_s": None if oldest_at is None else max(0, round((at - oldest_at).total_seconds())),
    }
