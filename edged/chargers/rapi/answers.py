"""What a controller can be asked, and what each value of its answers means, for a person. PURE.

Owns: the questions, names, units and words. Refuses to know: how they were asked, and what the daemon makes of them
(`replies`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from edged.chargers.rapi.replies import NO_SENSOR, EvseState, Flag

Number = int | float
Words = Callable[[Number], str]

_HEX, _DECIMAL = re.compile(r"[0-9A-Fa-f]{1,8}"), re.compile(r"-?[0-9]{1,10}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One value of a reply. `base` 0: a text. `nothing`: the number that stands for none; `words` are for any other."""

    name: str
    unit: str = ""
    base: int = 10
    scale: float = 1
    nothing: int | None = None
    lack: str = "no value"
    words: Words = lambda number: ""


@dataclass(frozen=True, slots=True)
class Shown:
    """A value as it came and as it is. `value` None: none, or it is not what the protocol has; `meaning` says which."""

    raw: str
    value: Number | str | None
    meaning: str


def _state(number: Number) -> str:
    if number not in set(EvseState):
        return "a state that the protocol does not know"
    return f"state {EvseState(int(number)).name.lower().replace('_', ' ')}"


def _flags(number: Number) -> str:
    names = [flag.name.lower().replace("_", " ") for flag in Flag if flag.name and int(number) & flag]
    return ", ".join(names) or "none that edged reads"


def _among(*words: str) -> Words:
    return lambda number: words[int(number)] if 0 <= number < len(words) else "not in the protocol"


_TEMPERATURE = {"unit": "degC", "scale": 0.1, "nothing": NO_SENSOR, "lack": "no such sensor"}

QUESTIONS: Mapping[str, tuple[Value, ...]] = MappingProxyType(
    {
        "GV": (Value(name="firmware", base=0), Value(name="protocol", base=0)),
        "GS": (
            Value(name="state", base=16, words=_state),
            Value(name="elapsed", unit="s"),
            Value(name="pilot", base=16, words=_among("", "A", "B", "C", "D")),
            Value(name="vflags", base=16, words=_flags),
        ),
        "GE": (Value(name="current_setting", unit="A"), Value(name="settings", base=16)),
        "GC": (
            Value(name="least_current", unit="A"),
            Value(name="hardware_current", unit="A"),
            Value(name="pilot_current", unit="A"),
            Value(name="configured_current", unit="A"),
        ),
        "G0": (Value(name="connected", words=_among("no vehicle", "a vehicle", "it does not know")),),
        "G4": (Value(name="auth_lock", words=_among("off", "on: energy is withheld")),),
        "G5": (Value(name="lock", words=_among("unlocked", "locked")), Value(name="lock_mode", base=0)),
        "GG": (
            Value(name="current", unit="A", scale=0.001, nothing=-1, lack="no ammeter"),
            Value(name="voltage", unit="V", scale=0.001, nothing=-1, lack="no voltmeter"),
        ),
        "GP": tuple(Value(name=f"temperature_{n}", **_TEMPERATURE) for n in (1, 2, 3)),  # type: ignore[arg-type]
        "GU": (Value(name="session_energy", unit="Ws"), Value(name="total_energy", unit="Wh")),
        "GF": (
            Value(name="leakage_trips", base=16),
            Value(name="no_ground_trips", base=16),
            Value(name="stuck_relay_trips", base=16),
        ),
        "GY": (
            Value(name="heartbeat_interval", unit="s", words=lambda number: "" if number else "no supervision"),
            Value(name="heartbeat_current", unit="A"),
            Value(
                name="heartbeat_missed",
                words=_among("never", "once, and acknowledged", "yes: the current is reduced"),
            ),
        ),
    }
)
"""Each question with what its answer tells, the most telling first."""


def show(value: Value, raw: str) -> Shown:
    """A value of a reply."""
    if value.base == 0:
        return Shown(raw, raw, "")
    pattern = _HEX if value.base == 16 else _DECIMAL
    if not pattern.fullmatch(raw):
        return Shown(raw, None, "this is no number")
    number = int(raw, value.base)
    if number == value.nothing:
        return Shown(raw, None, value.lack)
    scaled: Number = number if value.scale == 1 else round(number * value.scale, 3)
    return Shown(raw, scaled, value.words(scaled))
