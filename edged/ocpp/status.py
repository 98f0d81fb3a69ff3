"""The connector's status in the field's nine words, computed from facts (1.6 §4.9).

Also the MQTT contract's words, whatever version the CSMS speaks. A version with fewer words maps these.
"""

from __future__ import annotations

from edged.domain.reservation import shown_reserved
from edged.domain.station import Station
from edged.domain.types import Phase

AVAILABLE = "Available"
RESERVED = "Reserved"
UNAVAILABLE = "Unavailable"
FAULTED = "Faulted"

_OF_PHASE = {
    Phase.IDLE: AVAILABLE,
    Phase.PREPARING: "Preparing",
    Phase.CHARGING: "Charging",
    Phase.SUSPENDED_EV: "SuspendedEV",
    Phase.SUSPENDED_EVSE: "SuspendedEVSE",
    Phase.FINISHING: "Finishing",
}


def connector_status(station: Station, number: int) -> str:
    """One of the nine words for connector `number` (1..N).

    A charger that nobody has seen yet is not offered: Unavailable. A fault goes before everything; a running
    transaction before Unavailable (it is only scheduled then); Reserved before a plug without a token (16-RES-15).
    """
    connector = station.connectors[number]
    if connector.blocked:
        return FAULTED
    if station.running(number) is not None:
        return _OF_PHASE[connector.phase]
    if not station.effective(number) or connector.observed_at_s is None:
        return UNAVAILABLE
    if connector.authorization is None and shown_reserved(station, number):
        return RESERVED
    return _OF_PHASE[connector.phase]


def station_status(station: Station) -> str:
    """Available, Unavailable or Faulted: connector 0 knows no more (16-GEN-05)."""
    return AVAILABLE if station.operative else UNAVAILABLE
