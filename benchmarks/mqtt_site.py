"""What a mirror needs around it when nothing but MQTT is measured."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from edged.dialects.v16 import Ocpp16
from edged.domain.events import Event
from edged.domain.hardware import Capability, Measurand
from edged.domain.station import Boot, Station
from edged.domain.types import IdToken, Now
from edged.mqtt.gateway_documents import GatewayView
from edged.mqtt.names import Names
from edged.mqtt.options import BrokerOptions, MirrorOptions
from edged.mqtt.topics import Shown
from edged.settings.model import ConnectorSettings, CsmsSettings, EvseSettings, GatewaySettings, StationSettings
from edged.shape import ChargerFacts, fresh_station

NAMES = Names("edged", "bench")
GATEWAY = GatewayView(version="bench", boot_id="bench", started_at=datetime.now(UTC), synchronized=True)
FACTS = ChargerFacts(
    capabilities=frozenset({Capability.WITHHOLD, Capability.LIMIT, Capability.PERMIT_SENSE}),
    measurands=frozenset(Measurand),
    connector_type="cType2",
)


class RealClock:
    def now(self) -> Now:
        return Now(datetime.now(UTC), time.monotonic(), True)

    def learn(self, utc: datetime) -> None: ...


class Stations:
    """`mqtt.desk.Stations` of which nothing is asked."""

    def __init__(self) -> None:
        self.known: dict[str, Station] = {}

    def stations(self) -> Mapping[str, Station]:
        return self.known

    def shown(self, identity: str) -> Shown:
        return Shown(names=NAMES)

    def submit(self, identity: str, event: Event) -> bool:
        return False

    def read_transfers(self, identity: str, limit: int, tell: Any) -> None:
        tell(None)

    def read_events(self, after_seq: int, limit: int, tell: Any) -> None:
        raise AssertionError("nobody asks for events here")


def options(port: int, *, keepalive_s: int = 15) -> MirrorOptions:
    broker = BrokerOptions(host="127.0.0.1", port=port, client_id="edged-bench", keepalive_s=keepalive_s)
    return MirrorOptions(broker=broker, names=NAMES)


def bench_station(connectors: int, token: IdToken, now: Now) -> Station:
    """A station with so many connectors at which this token may charge."""
    names = [f"charger-{number}" for number in range(1, connectors + 1)]
    settings = StationSettings(
        id="BENCH",
        csms=CsmsSettings(url="ws://127.0.0.1/ocpp", versions=(Ocpp16.subprotocol,)),
        evses=tuple(EvseSettings(charger=name, connectors=(ConnectorSettings(type="cType2"),)) for name in names),
    )
    station = fresh_station(
        settings,
        GatewaySettings(id=NAMES.gateway),
        dict.fromkeys(names, FACTS),
        Ocpp16(),
        boot=Boot(id="bench", floor=now.utc, started_s=now.monotonic_s),
        now=now,
        firmware_version="bench",
    )
    return replace(station, rules=replace(station.rules, offline_tokens=(token,)))
