"""What a register's value means, for a person: its label, the state or fault it stands for, the bits set in it. PURE.

Owns: words about values. Refuses to know: how they were read.
"""

from __future__ import annotations

from collections.abc import Mapping

from edged.chargers.profile import DeviceProfile, Toggle
from edged.chargers.profile_terms import Register, Values
from edged.chargers.registers import Kind, Value
from edged.domain.hardware import Capability, ChargerState

_FITS_A_LIST = 6


def meaning_of(profile: DeviceProfile, register: Register, values: Values, state: ChargerState) -> str:
    """Everything that the profile reads out of this value, joined by "; "; empty where it is only a number."""
    value = values.get(register.name)
    if value is None:
        return "no value"
    words: list[str] = []
    words += [label for label, raw in register.names.items() if raw == value]
    if register.codec.kind is Kind.BITS and isinstance(value, int):
        words.append(_bits(value))
    if register.name == profile.state.register:
        known = profile.state.states.get(value)
        words.append(f"state {known.value.replace('_', ' ')}" if known else "a state that the profile does not know")
    for rule in profile.faults:
        condition = rule.condition
        if condition.register == register.name and not rule.catch_all and condition.holds(values, state):
            grave = "fault" if rule.blocking else "warning"
            words.append(f"{grave} {rule.code.value}" + (f" ({rule.info})" if rule.info else ""))
    for lock in profile.lock:
        if lock.condition.register == register.name and lock.condition.holds(values, state):
            words.append(f"lock {lock.means.value}")
            break
    words += _plug(profile, register, values, state)
    return "; ".join(dict.fromkeys(words))


def _plug(profile: DeviceProfile, register: Register, values: Values, state: ChargerState) -> list[str]:
    for rule in profile.plugged:
        if rule.condition.register == register.name and rule.condition.holds(values, state):
            return [] if rule.means is None else ["plugged" if rule.means else "not plugged"]
    return []


def _bits(value: int) -> str:
    set_bits = [str(bit) for bit in range(value.bit_length()) if value >> bit & 1]
    if not set_bits:
        return "no bit set"
    shown = ", ".join(set_bits[:_FITS_A_LIST]) + (", ..." if len(set_bits) > _FITS_A_LIST else "")
    return f"bit{'s' if len(set_bits) > 1 else ''} {shown}"


def shown(value: Value | None) -> str:
    """A value as a word: bytes as hex digits."""
    if value is None:
        return "-"
    if isinstance(value, bytes):
        return value.hex(" ")
    return f"{value:g}" if isinstance(value, float) and abs(value) < 1e6 else str(value)


def backing(profile: DeviceProfile) -> Mapping[Capability, frozenset[str]]:
    """The registers that each capability needs: where one of them is missing, the capability is only on paper."""
    registers: dict[Capability, frozenset[str]] = {}
    if profile.limit is not None:
        registers[Capability.LIMIT] = frozenset({profile.limit.register})
        if profile.limit.sense is not None:
            registers[Capability.LIMIT_SENSE] = frozenset({profile.limit.sense})
    if profile.permit is not None:
        registers[Capability.WITHHOLD] = frozenset({profile.permit.register})
        registers[Capability.PERMIT_SENSE] = _senses(profile.permit)
    elif profile.limit is not None and profile.limit.withhold_a is not None:
        registers[Capability.WITHHOLD] = registers[Capability.LIMIT]
    if profile.availability is not None:
        registers[Capability.AVAILABILITY] = frozenset({profile.availability.register})
        registers[Capability.AVAILABILITY_SENSE] = _senses(profile.availability)
    if profile.lock_control is not None:
        registers[Capability.LOCK_CONTROL] = frozenset({profile.lock_control.register})
    registers[Capability.LOCK_SENSE] = frozenset(rule.condition.register for rule in profile.lock)
    if profile.token is not None:
        registers[Capability.TOKEN_READER] = frozenset({profile.token.register})
    return {each: names for each, names in registers.items() if each in profile.capabilities}


def _senses(toggle: Toggle) -> frozenset[str]:
    return frozenset(rule.condition.register for rule in toggle.sense) or frozenset({toggle.register})
