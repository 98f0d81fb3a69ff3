"""What others see of the gateway as a whole: its MQTT document, its health, and what `edged status` shows.

Looks, and changes nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edged import __version__
from edged.chargers.bus_report import brief
from edged.history import History
from edged.mqtt.gateway_documents import GatewayView, HealthView
from edged.ports import Clock
from edged.settings import Settings
from edged.store.opening import Opened
from edged.unit import Unit
from edged.yard import Yard

if TYPE_CHECKING:
    from edged.mqtt.mirror import MqttMirror


@dataclass(slots=True, kw_only=True)
class Outlook:
    """On one daemon, from its start on. `units` fills while the daemon is put together; `mirror` comes with it."""

    settings: Settings
    state_dir: Path
    run_id: str
    clock: Clock
    opened: Opened
    yard: Yard
    units: Mapping[str, Unit]
    history: History
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    mirror: MqttMirror | None = None

    def gateway(self) -> GatewayView:
        return GatewayView(
            version=__version__,
            boot_id=self.run_id,
            started_at=self.started_at,
            synchronized=self.clock.now().synchronized,
            config_hash=self.settings.digest,
            stations=tuple(station.id for station in self.settings.stations),
        )

    def health(self) -> HealthView:
        return HealthView(
            buses={name: brief(told) for name, told in self.yard.reports().items()},
            ocpp_queued=sum(unit.engine.station.queued for unit in self.units.values()),
            disk_free_bytes=shutil.disk_usage(self.state_dir).free,
            store=self.store_condition(),
            ntp=self.clock.now().synchronized,
            dropped=sum(unit.link.dropped for unit in self.units.values()),
        )

    def store_condition(self) -> str:
        """In a sentence: what was wrong at start, or is wrong now."""
        now = [unit.engine.degraded for unit in self.units.values() if unit.engine.degraded]
        return "; ".join([*self.opened.sentences, *now]) or "ok"

    def status(self) -> dict[str, Any]:
        """What `edged status` shows."""
        return {
            "gateway": self.settings.gateway.id,
            "version": __version__,
            "started_at": self.started_at.isoformat(),
            "store": self.store_condition(),
            "mqtt": None if self.mirror is None else {"connected": self.mirror.link.connected},
            "buses": self.yard.reports(),
            "history": self.history.document(),
            "stations": [unit.status() for unit in self.units.values()],
        }
