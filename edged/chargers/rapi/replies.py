"""What a controller's replies say, and what that means for a charging point. PURE.

Owns: the values of each command, the controller's states and flags, faults, its energy registers. Refuses to know: how
a reply came, what is wanted.

Invariants: a reply that is not as the protocol has it is None, never half read; what is not told is None, never a
guess; a faulted state has a blocking fault.

Numbers of states, flags and fault counters are hexadecimal, all others decimal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from edged.domain.hardware import ChargerState, Fault, FaultCode, LockState

Values = tuple[str, ...]

_HEX = re.compile(r"[0-9A-Fa-f]{1,8}")
_DECIMAL = re.compile(r"-?[0-9]{1,10}")
NO_SENSOR = -2560
COLDEST, HOTTEST = -1000, 2000
"""Tenths of a degree; what lies outside no sensor measures."""


class EvseState(IntEnum):
    """The first value of `$GS`."""

    UNKNOWN = 0x00
    NOT_CONNECTED = 0x01
    CONNECTED = 0x02
    CHARGING = 0x03
    VENT_REQUIRED = 0x04
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
    """Of the last value of `$GS`, those that edged reads."""

    HARD_FAULT = 0x0002
    AUTH_LOCKED = 0x0008
    CHARGING = 0x0040
    EV_CONNECTED = 0x0100
    BOOT_LOCK = 0x4000
    MENNEKES_MANUAL = 0x8000


OFF = frozenset({EvseState.SLEEPING, EvseState.DISABLED})
WORKING = frozenset({EvseState.NOT_CONNECTED, EvseState.CONNECTED, EvseState.CHARGING})
_FAULTS = {
    EvseState.VENT_REQUIRED: (FaultCode.OTHER, "the vehicle asks for ventilation"),
    EvseState.DIODE_CHECK: (FaultCode.EV_COMMUNICATION, "the vehicle's diode is missing"),
    EvseState.GFCI: (FaultCode.GROUND, "leakage current"),
    EvseState.NO_GROUND: (FaultCode.GROUND, "no ground"),
    EvseState.STUCK_RELAY: (FaultCode.POWER_SWITCH, "stuck relay"),
    EvseState.GFI_SELF_TEST: (FaultCode.GROUND, "self-test of the leakage detection"),
    EvseState.OVER_TEMPERATURE: (FaultCode.HIGH_TEMPERATURE, "too hot"),
    EvseState.OVER_CURRENT: (FaultCode.OVER_CURRENT, "over-current"),
    EvseState.RELAY_CLOSURE: (FaultCode.POWER_SWITCH, "the relay does not close"),
}
FAULTY = frozenset(_FAULTS)


@dataclass(frozen=True, slots=True)
class Status:
    """`$GS`. `flags` is None where an older protocol leaves them out."""

    code: int
    elapsed_s: int
    flags: Flag | None

    @property
    def state(self) -> EvseState | None:
        """None: a number that no state has."""
        return EvseState(self.code) if self.code in set(EvseState) else None

    @property
    def is_off(self) -> bool:
        return self.state in OFF

    @property
    def is_faulty(self) -> bool:
        return self.state in FAULTY

    @property
    def is_locked(self) -> bool:
        """Something holds energy back that enabling does not end: the lock after boot, or an authentication."""
        return self.flags is not None and bool(self.flags & (Flag.BOOT_LOCK | Flag.AUTH_LOCKED))

    @property
    def plugged(self) -> bool | None:
        """Whether a vehicle is there, as far as this reply alone tells."""
        match self.state:
            case EvseState.NOT_CONNECTED:
                return False
            case EvseState.CONNECTED | EvseState.CHARGING:
                return True
            case _:
                return None if self.flags is None else bool(self.flags & Flag.EV_CONNECTED)

    def charger_state(self, plugged: bool | None) -> ChargerState:
        """The normalised state; `plugged` as it is known from everywhere."""
        if self.is_faulty:
            return ChargerState.FAULTED
        match self.state:
            case EvseState.NOT_CONNECTED:
                return ChargerState.AVAILABLE
            case EvseState.CONNECTED:
                return ChargerState.CONNECTED if self.is_locked else ChargerState.CONNECTED_READY
            case EvseState.CHARGING:
                return ChargerState.CHARGING
            case EvseState.SLEEPING:
                if plugged is None:
                    return ChargerState.UNKNOWN
                return ChargerState.SUSPENDED_EVSE if plugged else ChargerState.AVAILABLE
            case EvseState.DISABLED:
                return ChargerState.UNAVAILABLE
            case _:
                return ChargerState.UNKNOWN

    def permits(self) -> bool | None:
        """Whether energy is offered to whoever plugs in; None where the state says nothing of it."""
        if self.is_off:
            return False
        return not self.is_locked if self.state in WORKING else None

    def faults(self, counters: str) -> tuple[Fault, ...]:
        """`counters`: what `$GF` says, shown beside the fault."""
        if self.state is not None and self.state in _FAULTS:
            code, info = _FAULTS[self.state]
        elif self.flags is not None and self.flags & Flag.HARD_FAULT:
            code, info = FaultCode.OTHER, "the controller reports a hard fault"
        else:
            return ()
        return (Fault(code, f"{self.code:02X}", f"{info}; {counters}" if counters else info),)


@dataclass(frozen=True, slots=True)
class Capacity:
    """`$GC`: what the controller can be set to, ampere."""

    min_a: int
    max_a: int


@dataclass(frozen=True, slots=True)
class Current:
    """`$GG`. `amperes` None: no ammeter."""

    amperes: float | None
    volts: float | None


@dataclass(frozen=True, slots=True)
class Lock:
    """`$G5`."""

    is_locked: bool
    is_manual: bool

    @property
    def state(self) -> LockState:
        return LockState.LOCKED if self.is_locked else LockState.UNLOCKED


@dataclass(frozen=True, slots=True)
class Supervision:
    """`$GY` and the answer to `$SY`. `is_missed`: a pulse came too late, and the current has been reduced since."""

    interval_s: int
    fallback_a: int
    is_missed: bool


def read_status(values: Values) -> Status | None:
    if len(values) < 2:
        return None
    code, elapsed_s = _hex(values[0], 0xFF), _decimal(values[1])
    if code is None or elapsed_s is None:
        return None
    if len(values) < 4:
        return Status(code, elapsed_s, None)
    flags = _hex(values[3], 0xFFFF)
    return None if flags is None else Status(code, elapsed_s, Flag(flags))


def read_amperes(values: Values) -> int | None:
    """The first value of `$GE`, and of the answer to `$SC`."""
    amperes = _decimal(values[0]) if values else None
    return amperes if amperes is not None and 0 <= amperes <= 255 else None


def read_capacity(values: Values) -> Capacity | None:
    """Older protocols tell least and most only; later ones what the unit was configured to as the fourth."""
    numbers = [read_amperes((value,)) for value in values]
    if len(numbers) < 2 or numbers[0] is None or numbers[1] is None:
        return None
    configured = numbers[3] if len(numbers) > 3 else numbers[1]
    if configured is None or numbers[0] > numbers[1]:
        return None
    return Capacity(numbers[0], min(numbers[1], configured) if configured else numbers[1])


def read_current(values: Values) -> Current | None:
    if len(values) < 2:
        return None
    ma, mv = _decimal(values[0]), _decimal(values[1])
    if ma is None or mv is None:
        return None
    return Current(None if ma < 0 else ma / 1000, mv / 1000 if mv > 0 else None)


def read_energy(values: Values) -> tuple[int, int] | None:
    """`$GU`: watt-seconds of the session, watt-hours of all sessions that have ended."""
    if len(values) < 2:
        return None
    session_ws, total_wh = _decimal(values[0]), _decimal(values[1])
    if session_ws is None or total_wh is None or session_ws < 0 or total_wh < 0:
        return None
    return session_ws, total_wh


def read_temperature(values: Values) -> float | None:
    """The hottest of the sensors of `$GP` that are there, degree Celsius."""
    tenths = [_decimal(value) for value in values]
    known = [t for t in tenths if t is not None and t != NO_SENSOR and COLDEST < t < HOTTEST]
    return max(known) / 10 if known else None


def read_counters(values: Values) -> str:
    """`$GF` in words; empty where it cannot be read."""
    counts = [_hex(value, 0xFF) for value in values[:3]]
    if len(counts) < 3 or None in counts:
        return ""
    return f"trips so far: leakage {counts[0]}, no ground {counts[1]}, stuck relay {counts[2]}"


def read_lock(values: Values) -> Lock | None:
    if len(values) < 2 or values[0] not in ("0", "1") or values[1] not in ("A", "M"):
        return None
    return Lock(values[0] == "1", values[1] == "M")


def read_supervision(values: Values) -> Supervision | None:
    if len(values) < 3:
        return None
    interval_s, fallback_a, trigger = _decimal(values[0]), read_amperes((values[1],)), _decimal(values[2])
    if interval_s is None or interval_s < 0 or fallback_a is None or trigger not in (0, 1, 2):
        return None
    return Supervision(interval_s, fallback_a, trigger == 2)


def read_connected(values: Values) -> bool | None:
    """`$G0`; its "2" is that the controller does not know."""
    return {"0": False, "1": True}.get(values[0]) if values else None


def _hex(text: str, most: int) -> int | None:
    if not _HEX.fullmatch(text):
        return None
    number = int(text, 16)
    return number if number <= most else None


def _decimal(text: str) -> int | None:
    return int(text) if _DECIMAL.fullmatch(text) else None


class EnergyRegister:
    """One lifetime register out of the controller's two: a session is added to its total only when it ends.

    Owns: whether the session that is told is in the total already. The answers to `$GS` and `$GU` may lie on either
    side of that end, so the two registers themselves decide, and the plug only where they have not been seen before.
    """

    def __init__(self) -> None:
        self._session_ws = self._total_wh = 0
        self._is_counted: bool | None = None

    def read(self, session_ws: int, total_wh: int, *, is_plugged: bool) -> int:
        """Watt-hours ever."""
        if self._is_counted is None or session_ws < self._session_ws:
            self._is_counted = not is_plugged
        elif total_wh > self._total_wh:
            self._is_counted = True
        elif session_ws > self._session_ws:
            self._is_counted = False
        self._session_ws, self._total_wh = session_ws, total_wh
        return total_wh if self._is_counted else total_wh + session_ws // 3600
