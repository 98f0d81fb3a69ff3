"""The words of an OpenEVSE controller: states, flags, and the named values that answer its questions. Pure data.

Source: register_maps, openevse_rapi.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, IntFlag

from edged.domain.hardware import FaultCode


class State(IntEnum):
    UNKNOWN = 0x00
    A = 0x01
    B = 0x02
    C = 0x03
    VENTILATION = 0x04
    DIODE_CHECK = 0x05
    GFCI = 0x06
    NO_GROUND = 0x07
    STUCK_RELAY = 0x08
    GFI_SELF_TEST = 0x09
    OVER_TEMPERATURE = 0x0A
    OVER_CURRENT = 0x0B
    RELAY_CLOSURE = 0x0E
    SLEEPING = 0xFE
    DISABLED = 0xFF


class Flag(IntFlag):
    HARD_FAULT = 0x0002
    AUTH_LOCKED = 0x0008
    CHARGING = 0x0040
    EV_CONNECTED = 0x0100
    BOOT_LOCK = 0x4000
    MENNEKES_MANUAL = 0x8000


HARD = frozenset({State.STUCK_RELAY, State.GFI_SELF_TEST, State.RELAY_CLOSURE})
FAULTS: Mapping[State, FaultCode] = {
    State.DIODE_CHECK: FaultCode.EV_COMMUNICATION,
    State.GFCI: FaultCode.GROUND,
    State.NO_GROUND: FaultCode.OTHER,
    State.STUCK_RELAY: FaultCode.POWER_SWITCH,
    State.GFI_SELF_TEST: FaultCode.INTERNAL,
    State.OVER_TEMPERATURE: FaultCode.HIGH_TEMPERATURE,
    State.OVER_CURRENT: FaultCode.OVER_CURRENT,
    State.VENTILATION: FaultCode.EV_COMMUNICATION,
    State.RELAY_CLOSURE: FaultCode.POWER_SWITCH,
}
"""What is wrong in the physics in each faulted state; a fault that a person names shows as the first that fits."""

ANSWERS: Mapping[str, tuple[str, ...]] = {
    "G0": ("connected",),
    "G4": ("auth_lock",),
    "G5": ("lock", "lock_mode"),
    "GC": ("least_a", "hardware_max_a", "pilot_a", "configured_max_a"),
    "GE": ("current_a", "settings"),
    "GF": ("gfci_trips", "no_ground_trips", "stuck_relay_trips"),
    "GG": ("current_ma", "voltage_mv"),
    "GP": ("temperature_1", "temperature_2", "temperature_3"),
    "GS": ("state", "elapsed_s", "pilot", "vflags"),
    "GU": ("session_ws", "total_wh"),
    "GV": ("firmware", "protocol"),
    "GY": ("heartbeat_s", "heartbeat_a", "heartbeat_missed"),
}
"""Each question, and the named values that answer it."""
TRIPS = {State.GFCI: "gfci_trips", State.NO_GROUND: "no_ground_trips", State.STUCK_RELAY: "stuck_relay_trips"}
"""The faults that are counted, and the names of their counters."""
HEX_DIGITS = {"state": 2, "pilot": 2, "vflags": 4, "settings": 4, **dict.fromkeys(TRIPS.values(), 1)}
"""Values that are told in hexadecimal, and with how many digits at least."""
