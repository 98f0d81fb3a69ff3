"""What a charger is, as data: the frozen form of a device profile. PURE.

Owns: the vocabulary of a profile (registers, rules over their values, write targets, sequences) and what follows from
it (capabilities, measurands, which registers exist at a firmware). `docs/profiles.md` explains each key of the YAML.
Refuses to know: YAML, files, lines on a wire, any vendor.

Invariants (kept by `profile_reader` and `profile_checks`, which build every instance): each register that a part names
exists; each write fits its register; each wait has a deadline.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from edged.chargers.modbus import Table
from edged.chargers.profile_terms import (
    CheckStep,
    Condition,
    Firmware,
    GapScope,
    PauseStep,
    PointsBy,
    Poll,
    Register,
    RestartStep,
    Rule,
    Step,
    Transport,
    Values,
    WaitStep,
    WriteFunction,
    WriteStep,
    first_that_holds,
)
from edged.chargers.registers import Value
from edged.domain.hardware import Capability, ChargerState, FaultCode, LockState, Measurand


@dataclass(frozen=True, slots=True, kw_only=True)
class StateMap:
    """Raw status to `ChargerState`, unknown where it stands not in `states`; overlays are applied in order, each sees
    the state as it is by then."""

    register: str
    states: Mapping[Value, ChargerState]
    overlays: tuple[Rule[ChargerState], ...] = ()

    def base(self, raw: Value | None) -> ChargerState:
        """The state of a raw value before any overlay."""
        return ChargerState.UNKNOWN if raw is None else self.states.get(raw, ChargerState.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """A fault that is active while the condition holds. `catch_all`: if no other rule of its register speaks."""

    condition: Condition
    code: FaultCode
    vendor_code: str = ""
    info: str = ""
    blocking: bool = True
    catch_all: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Toggle:
    """Something with two sides that is written: permit, availability, lock.

    `sense` tells the side that the charger reports; a rule that means None says "cannot be told". Without rules the
    register itself tells, where it can be read. `settle_s`: how long the charger may take until it reports the change.
    `emulated`: it misuses another function of the charger.
    """

    register: str
    on: Value
    off: Value
    sense: tuple[Rule[bool | None], ...] = ()
    settle_s: float = 2.0
    emulated: bool = False

    def side(self, values: Values, registers: Mapping[str, Register]) -> bool | None:
        """The side that the charger reports: True on, False off, None where it cannot be told."""
        if self.sense:
            return first_that_holds(self.sense, values)
        register, value = registers.get(self.register), values.get(self.register)
        if register is None or value is None:
            return None
        return {register.value_of(self.on): True, register.value_of(self.off): False}.get(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A current limit in ampere. Below `min_a` only `withhold_a` (usually 0) is written: it stops energy."""

    register: str
    min_a: float
    max_a: float
    step_a: float
    withhold_a: float | None = None
    sense: str | None = None
    max_from: str | None = None
    settle_s: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterMap:
    """Registers of each quantity in the units of `domain.hardware.Meter`; several registers are added up."""

    energy_wh: tuple[str, ...] = ()
    power_w: tuple[str, ...] = ()
    current_a: tuple[str | None, str | None, str | None] = (None, None, None)
    voltage_v: tuple[str | None, str | None, str | None] = (None, None, None)
    frequency_hz: str | None = None
    temperature_c: str | None = None
    soc_pct: str | None = None

    @property
    def registers(self) -> frozenset[str]:
        single = (self.frequency_hz, self.temperature_c, self.soc_pct, *self.current_a, *self.voltage_v)
        return frozenset((*self.energy_wh, *self.power_w, *(name for name in single if name is not None)))


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSequence:
    """Steps of one action, run in order; done when the last has passed. `affects_all_points`: not only this one."""

    steps: tuple[Step, ...]
    affects_all_points: bool = False

    @property
    def longest_s(self) -> float:
        """The time of all waits together."""
        total = 0.0
        for step in self.steps:
            match step:
                case WaitStep() | RestartStep():
                    total += step.timeout_s
                case PauseStep():
                    total += step.seconds
                case WriteStep() | CheckStep():
                    pass
        return total


class TokenFormat(StrEnum):
    TEXT = "text"
    HEX = "hex"  # the register's bytes as upper-case hex digits


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenReader:
    """Where a reader leaves the token. With `clear` the register is emptied after reading; else a change is a swipe."""

    register: str
    format: TokenFormat = TokenFormat.TEXT
    empty: frozenset[Value] = frozenset()
    clear: WriteStep | None = None


class KeepAliveBy(StrEnum):
    ANY_READ = "any_read"
    WRITE = "write"
    SETPOINT = "setpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepAlive:
    """What must happen at least every `interval_s` so that the charger does not fall back after `timeout_s`."""

    by: KeepAliveBy
    interval_s: float
    timeout_s: float
    write: WriteStep | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InitWrite:
    """Written after each connect, before anything else. `sense`: the register that reads it back."""

    register: str
    value: Value
    sense: str | None = None
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Several charging points behind one device: point n lies (n - 1) * stride further by address, unit id or port."""

    count: int = 1
    by: PointsBy = PointsBy.ADDRESS
    stride: int = 0
    present: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Addresses first..last of one table that must never be touched."""

    table: Table
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BusRules:
    """How the device wants to be talked to."""

    transports: tuple[Transport, ...]
    unit_ids: tuple[int, int] = (1, 247)
    unit_id: int = 1
    port: int = 502
    baudrate: int = 9600
    parity: str = "none"
    stopbits: int = 1
    max_block: int = 125
    holes: bool = False
    forbidden: tuple[Span, ...] = ()
    write_function: WriteFunction = WriteFunction.ANY
    min_gap_s: float = 0.0
    gap_scope: GapScope = GapScope.DEVICE
    response_timeout_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Registers that tell who the device is."""

    firmware: str | None = None
    serial_number: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceProfile:
    """Everything edged knows of a device model.

    For people: `setup` is what an installer must wire and set, `notes` how the device behaves, `unproven` what its
    sources do not tell surely enough, and which is therefore not used.
    """

    name: str
    vendor: str
    model: str
    certainty: str
    sources: tuple[str, ...]
    setup: tuple[str, ...]
    notes: tuple[str, ...]
    unproven: tuple[str, ...]
    connector_type: str
    phases: int
    bus: BusRules
    points: Points
    registers: Mapping[str, tuple[Register, ...]]
    identity: Identity
    state: StateMap
    plugged: tuple[Rule[bool | None], ...]
    faults: tuple[FaultRule, ...]
    lock: tuple[Rule[LockState], ...]
    lock_control: Toggle | None
    meter: MeterMap
    permit: Toggle | None
    limit: Limit | None
    availability: Toggle | None
    token: TokenReader | None
    detachable: bool | Condition
    wake: tuple[WriteStep, ...]
    init: tuple[InitWrite, ...]
    keep_alive: KeepAlive | None
    boot: tuple[Condition, ...]
    boot_falls: str | None
    actions: Mapping[str, CommandSequence]

    def registers_at(self, firmware: Firmware | None) -> dict[str, Register]:
        """The registers that exist at this firmware: of each name the first variant whose `when` holds."""
        found: dict[str, Register] = {}
        for name, variants in self.registers.items():
            for variant in variants:
                if variant.when is None or variant.when.holds(firmware):
                    found[name] = variant
                    break
        return found

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the parts of the profile offer; a device may narrow it at run time (`detachable` from a register)."""
        lock_words = {rule.means for rule in self.lock}
        offers = {
            Capability.WITHHOLD: self.permit is not None
            or (self.limit is not None and self.limit.withhold_a is not None),
            Capability.LIMIT: self.limit is not None,
            Capability.LIMIT_SENSE: self.limit is not None and self.limit.sense is not None,
            Capability.PERMIT_SENSE: self._is_permit_sensed,
            Capability.UNLOCK: "unlock" in self.actions,
            Capability.RESET_SOFT: "reset_soft" in self.actions,
            Capability.RESET_HARD: "reset_hard" in self.actions,
            Capability.LOCK_SENSE: {LockState.LOCKED, LockState.UNLOCKED} <= lock_words,
            Capability.LOCK_CONTROL: self.lock_control is not None,
            Capability.DETACHABLE: self.detachable is not False,
            Capability.AVAILABILITY: self.availability is not None,
            Capability.AVAILABILITY_SENSE: self._is_sensed(self.availability),
            Capability.TOKEN_READER: self.token is not None,
        }
        return frozenset(capability for capability, offered in offers.items() if offered)

    def _is_sensed(self, toggle: Toggle | None) -> bool:
        """Whether both sides of a toggle can be read back."""
        if toggle is None:
            return False
        if toggle.sense:
            return {True, False} <= {rule.means for rule in toggle.sense}
        return any(register.readable and register.poll is Poll.ALWAYS for register in self.registers[toggle.register])

    @property
    def _is_permit_sensed(self) -> bool:
        if self.permit is not None:
            return self._is_sensed(self.permit)
        return self.limit is not None and self.limit.withhold_a is not None and self.limit.sense is not None

    @property
    def measurands(self) -> frozenset[Measurand]:
        meter = self.meter
        offers = {
            Measurand.ENERGY: bool(meter.energy_wh),
            Measurand.POWER: bool(meter.power_w),
            Measurand.CURRENT: any(meter.current_a),
            Measurand.VOLTAGE: any(meter.voltage_v),
            Measurand.FREQUENCY: meter.frequency_hz is not None,
            Measurand.TEMPERATURE: meter.temperature_c is not None,
            Measurand.SOC: meter.soc_pct is not None,
            Measurand.CURRENT_OFFERED: self.limit is not None and self.limit.sense is not None,
        }
        return frozenset(measurand for measurand, offered in offers.items() if offered)
