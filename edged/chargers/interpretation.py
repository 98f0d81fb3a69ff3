"""From decoded registers to what a charging point is: state, faults, lock, meter. PURE.

Owns: how a profile's rules are applied. Refuses to know: the bus, earlier polls, what is wanted.
Invariant: what no register tells is None or UNKNOWN, never a guess; a faulted state has at least one blocking fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edged.chargers.profile import DeviceProfile, FaultRule, TokenFormat, TokenReader
from edged.chargers.profile_terms import Condition, Register, Relation, Values, first_that_holds
from edged.chargers.registers import Kind, Value
from edged.domain.hardware import (
    WITHOUT_VEHICLE,
    WITHOUT_WORD,
    Capability,
    ChargerState,
    Fault,
    FaultCode,
    LockState,
    Meter,
    Phases,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the registers of one poll say."""

    state: ChargerState
    is_believable: bool
    plugged: bool | None
    faults: tuple[Fault, ...]
    lock: LockState
    operative: bool | None
    permit_charging: bool | None
    limit_a: float | None
    meter: Meter


def interpret(profile: DeviceProfile, registers: Mapping[str, Register], values: Values) -> Reading:
    """What the values say; `registers` are those that exist at the device's firmware."""
    raw_state = values.get(profile.state.register)
    state = profile.state.base(raw_state)
    for overlay in profile.state.overlays:
        if overlay.condition.holds(values, state):
            state = overlay.means
    faults = find_faults(profile.faults, values, state)
    if state is ChargerState.FAULTED and not any(fault.blocking for fault in faults):
        faults = (*faults, Fault(FaultCode.OTHER, vendor_code=str(raw_state), info="the charger reports a fault"))
    limit_a = _number(values, profile.limit.sense) if profile.limit is not None else None
    return Reading(
        state=state,
        is_believable=raw_state is not None,
        plugged=_plugged(profile, values, state),
        faults=faults,
        lock=first_that_holds(profile.lock, values, state) or LockState.UNKNOWN,
        operative=profile.availability.side(values, registers) if profile.availability is not None else None,
        permit_charging=_permit(profile, registers, values, limit_a),
        limit_a=limit_a,
        meter=read_meter(profile, registers, values),
    )


def find_faults(rules: tuple[FaultRule, ...], values: Values, state: ChargerState) -> tuple[Fault, ...]:
    """The faults that are active. A `catch_all` speaks only where no other rule of its register does."""
    active = [rule for rule in rules if rule.condition.holds(values, state)]
    spoken = {rule.condition.register for rule in active if not rule.catch_all}
    return tuple(
        Fault(rule.code, _vendor_code(rule, values), rule.info, rule.blocking)
        for rule in active
        if not (rule.catch_all and rule.condition.register in spoken)
    )


def _vendor_code(rule: FaultRule, values: Values) -> str:
    if rule.vendor_code:
        return rule.vendor_code
    if rule.condition.relation is Relation.ANY_BIT:
        return "bit " + ",".join(str(bit) for bit in rule.condition.operands)
    return f"{rule.condition.register} {values.get(rule.condition.register)!r}"


def _plugged(profile: DeviceProfile, values: Values, state: ChargerState) -> bool | None:
    if profile.plugged:
        return first_that_holds(profile.plugged, values, state)
    return None if state in WITHOUT_WORD else state not in WITHOUT_VEHICLE


def _permit(
    profile: DeviceProfile, registers: Mapping[str, Register], values: Values, limit_a: float | None
) -> bool | None:
    if profile.permit is not None:
        return profile.permit.side(values, registers)
    if profile.limit is None or profile.limit.withhold_a is None or limit_a is None:
        return None
    return limit_a >= profile.limit.min_a


def read_meter(profile: DeviceProfile, registers: Mapping[str, Register], values: Values) -> Meter:
    """The meter's values; None where a register has none."""
    meter = profile.meter
    return Meter(
        energy_wh=_sum(values, meter.energy_wh),
        energy_ends_wh=_end_of(registers, meter.energy_wh),
        power_w=_sum(values, meter.power_w),
        current_a=Phases(*(_number(values, name) for name in meter.current_a)),
        voltage_v=Phases(*(_number(values, name) for name in meter.voltage_v)),
        frequency_hz=_number(values, meter.frequency_hz),
        temperature_c=_number(values, meter.temperature_c),
        soc_pct=_number(values, meter.soc_pct),
    )


def _end_of(registers: Mapping[str, Register], names: tuple[str, ...]) -> float | None:
    """What a register that is full counts as when it begins at 0 again; of a sum each part overflows by itself."""
    register = registers.get(names[0]) if len(names) == 1 else None
    if register is None or register.codec.kind is not Kind.UNSIGNED:
        return None
    _, highest = register.codec.raw_range
    return round((highest + 1) * register.codec.scale, 9)


def capabilities_of(profile: DeviceProfile, values: Values) -> frozenset[Capability]:
    """What this very device can do: a tethered one has no socket and nothing to unlock."""
    offered = profile.capabilities
    if isinstance(profile.detachable, Condition):
        if values.get(profile.detachable.register) is None or profile.detachable.holds(values):
            return offered
        offered -= {Capability.DETACHABLE}
    if Capability.DETACHABLE not in offered:
        offered -= {Capability.UNLOCK}
    return offered


def token_of(reader: TokenReader, registers: Mapping[str, Register], values: Values) -> str | None:
    """The token in the reader's register, None where it is empty."""
    value: Value | None = values.get(reader.register)
    if value is None or value in reader.empty or value == "":
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.hex().upper() if any(value) else None
    register = registers.get(reader.register)
    if reader.format is TokenFormat.HEX and isinstance(value, int) and register is not None:
        return f"{value:0{4 * register.codec.words}X}"
    return str(value)


def _number(values: Values, name: str | None) -> float | None:
    value = values.get(name) if name is not None else None
    return float(value) if isinstance(value, (int, float)) else None


def _sum(values: Values, names: tuple[str, ...]) -> float | None:
    numbers = [_number(values, name) for name in names]
    known = [number for number in numbers if number is not None]
    return round(sum(known), 6) if names and len(known) == len(names) else None
