"""The connector's status in words, computed from facts: the field's nine (1.6 §4.9) and 2.x's five (G01).

The nine are also the MQTT contract's, whatever version the CSMS speaks. How far a session is, the five do not say.
"""

from __future__ import annotations

from edged.domain.places import shown_reserved
from edged.domain.station import Connector, Station
from edged.domain.types import Phase

AVAILABLE = "Available"
RESERVED = "Reserved"
UNAVAILABLE = "Unavailable"
FAULTED = "Faulted"
OCCUPIED = "Occupied"
AVAILABILITY_STATES = (AVAILABLE, OCCUPIED, RESERVED, UNAVAILABLE, FAULTED)
"""2.x's five words, in the order in which the station's state is chosen from those of its EVSEs."""
_OF_EVSE = (OCCUPIED, RESERVED, AVAILABLE, UNAVAILABLE, FAULTED)
_PLAIN = frozenset({AVAILABLE, FAULTED, RESERVED, UNAVAILABLE})

_OF_PHASE = {
    Phase.IDLE: AVAILABLE,
    Phase.PREPARING: "Preparing",
    Phase.CHARGING: "Charging",
    Phase.SUSPENDED_EV: "SuspendedEV",
    Phase.SUSPENDED_EVSE: "SuspendedEVSE",
    Phase.FINISHING: "Finishing",
}
_RUNNING = {**_OF_PHASE, Phase.IDLE: "SuspendedEVSE"}
"""With a transaction. Idle is then a start's very first moment, before any phase was derived: nobody may come."""


def connector_status(station: Station, number: int) -> str:
    """One of the nine words for connector `number` (1..N).

    A charger that nobody has seen yet is not offered: Unavailable. A fault goes before everything; a running
    transaction before Unavailable (it is only scheduled then); Reserved before a plug without a token (16-RES-15,
    G01.FR.09).
    """
    connector = station.connectors[number]
    if connector.blocked:
        return FAULTED
    running = station.running(number)
    driverless = running is not None and running.id_token is None  # it began with the plug: nobody has shown a token
    if running is not None and not (driverless and shown_reserved(station, number)):
        return _RUNNING[connector.phase]
    if not station.effective(number) or connector.observed_at_s is None:
        return UNAVAILABLE
    if connector.authorization is None and shown_reserved(station, number):
        return RESERVED
    return _OF_PHASE[connector.phase]


def station_status(station: Station) -> str:
    """Available, Unavailable or Faulted: connector 0 knows no more (16-GEN-05)."""
    return AVAILABLE if station.operative else UNAVAILABLE


def availability_state(station: Station, number: int) -> str:
    """One of the five words for connector `number`. Occupied while a cable is in it (G01.FR.03): a driver who was let
    in but has not plugged in occupies nothing yet."""
    status = connector_status(station, number)
    if status in _PLAIN:
        return status
    connector = station.connectors[number]
    held = connector.spent or connector.held_for is not None
    return OCCUPIED if connector.plugged or held else AVAILABLE


def evse_state(station: Station, evse: int) -> str:
    """One of the five words for an EVSE: of its connectors one at a time can charge."""
    numbers = (c.number for c in station.connectors.values() if c.layout.evse_id == evse)
    states = {availability_state(station, number) for number in numbers}
    return next((state for state in _OF_EVSE if state in states), UNAVAILABLE)


def station_state(station: Station) -> str:
    """One of the five words for the station: as long as a driver finds an EVSE, Available."""
    evses = dict.fromkeys(c.layout.evse_id for c in station.connectors.values())
    states = {evse_state(station, evse) for evse in evses}
    return next((state for state in AVAILABILITY_STATES if state in states), UNAVAILABLE)


UNBELIEVABLE_AFTER_S = 660.0
"""Twice the longest interval of polls, and a little."""


def unbelievable(station: Station, connector: Connector) -> bool:
    """A charger that answers, and has said nothing for long that could be believed."""
    seen_s = connector.observed_at_s
    return connector.online and (seen_s is None or station.clock.monotonic_s - seen_s > UNBELIEVABLE_AFTER_S)
