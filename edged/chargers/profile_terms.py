"""The words that a profile's parts are made of: registers, conditions over their values, steps of a sequence. PURE.

Owns: what a condition means, which variant of a register holds at a firmware.
Refuses to know: which part of a profile uses them for what (`profile`).
Invariant: a value that is not known answers no question.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

from edged.chargers.modbus import Table
from edged.chargers.registers import Codec, Kind, Value
from edged.domain.hardware import ChargerState

T = TypeVar("T")


Values = Mapping[str, Value | None]
"""Decoded registers by name; None where the register holds no value, missing where it was not read."""


class Transport(StrEnum):
    RTU = "rtu"
    TCP = "tcp"
    RTU_OVER_TCP = "rtu_over_tcp"


class GapScope(StrEnum):
    DEVICE = "device"  # the pause is the unit's own, others may be served meanwhile
    BUS = "bus"  # the whole line rests


class WriteFunction(StrEnum):
    ANY = "any"  # FC6 for one register, FC16 for several
    SINGLE = "single"  # FC6 only
    MULTIPLE = "multiple"  # FC16 only


class PointsBy(StrEnum):
    ADDRESS = "address"
    UNIT_ID = "unit_id"
    PORT = "port"


class Access(StrEnum):
    READ = "r"
    WRITE = "w"
    BOTH = "rw"


class Poll(StrEnum):
    ALWAYS = "always"
    ONCE = "once"  # identity and configuration: read after each connect
    NEVER = "never"  # known, shown by a probe, not needed in operation


Firmware = tuple[int, ...]


def parse_firmware(text: Value | None) -> Firmware | None:
    """The numbers of a version in order ("v1.12.3-rc" -> 1, 12, 3); None where there are none."""
    if text is None or isinstance(text, bytes):
        return None
    numbers = tuple(int(part[:9]) for part in re.findall(r"[0-9]+", str(text)))
    return numbers[:6] or None


@dataclass(frozen=True, slots=True)
class FirmwareRule:
    """`when: firmware >= 5.22` on a register. Does not hold while the firmware is unknown."""

    relation: str
    version: Firmware

    def holds(self, firmware: Firmware | None) -> bool:
        if firmware is None:
            return False
        width = max(len(firmware), len(self.version))
        have = firmware + (0,) * (width - len(firmware))
        want = self.version + (0,) * (width - len(self.version))
        match self.relation:
            case ">=":
                return have >= want
            case ">":
                return have > want
            case "<=":
                return have <= want
            case "<":
                return have < want
            case _:
                return have == want


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """One value of the device. `address` is zero-based and that of point 1; `names` are labels of raw values."""

    name: str
    table: Table
    address: int
    codec: Codec
    access: Access = Access.READ
    unit: str = ""
    poll: Poll = Poll.ALWAYS
    shared: bool = False
    names: Mapping[str, int | str] = field(default_factory=dict)
    when: FirmwareRule | None = None
    note: str = ""

    @property
    def readable(self) -> bool:
        return self.access is not Access.WRITE

    @property
    def writable(self) -> bool:
        return self.access is not Access.READ

    def value_of(self, name_or_value: Value) -> Value:
        """A label's value, or the value itself where it is no label."""
        if isinstance(name_or_value, str) and name_or_value in self.names:
            return self.names[name_or_value]
        return name_or_value


class Relation(StrEnum):
    IS = "is"
    IS_NOT = "is_not"
    BELOW = "below"
    AT_LEAST = "at_least"
    ANY_BIT = "any_bit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A question about one register's value; `states` limits it to when the charger's state is one of them."""

    register: str
    relation: Relation
    operands: tuple[Value, ...]
    states: frozenset[ChargerState] | None = None

    def holds(self, values: Values, state: ChargerState | None = None) -> bool:
        """Whether it holds; a value that is not known answers no question."""
        value = values.get(self.register)
        if value is None or (self.states is not None and state not in self.states):
            return False
        match self.relation:
            case Relation.IS:
                return value in self.operands
            case Relation.IS_NOT:
                return value not in self.operands
            case Relation.BELOW | Relation.AT_LEAST:
                bound = self.operands[0]
                if not isinstance(value, (int, float)) or not isinstance(bound, (int, float)):
                    return False
                return (value < bound) is (self.relation is Relation.BELOW)
            case Relation.ANY_BIT:
                if not isinstance(value, int):
                    return False
                return any(isinstance(bit, int) and value >> bit & 1 for bit in self.operands)


@dataclass(frozen=True, slots=True)
class Rule(Generic[T]):
    """If the condition holds, that is what it means. Of several rules the first that holds speaks."""

    condition: Condition
    means: T


def first_that_holds(rules: Sequence[Rule[T]], values: Values, state: ChargerState | None = None) -> T | None:
    return next((rule.means for rule in rules if rule.condition.holds(values, state)), None)


@dataclass(frozen=True, slots=True)
class WriteStep:
    register: str
    value: Value


class Otherwise(StrEnum):
    """What follows when a wait's time is over."""

    FAILED = "failed"
    CONTINUE = "continue"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitStep:
    """Read until the condition holds, at most `timeout_s`."""

    condition: Condition
    timeout_s: float
    otherwise: Otherwise = Otherwise.FAILED


@dataclass(frozen=True, slots=True)
class CheckStep:
    """Read now; the action has failed if the condition holds."""

    fails_if: Condition


@dataclass(frozen=True, slots=True)
class PauseStep:
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartStep:
    """The device restarts: it must fall silent or show `sign`, and then answer again, within `timeout_s`."""

    timeout_s: float
    sign: Condition | None = None


Step = WriteStep | WaitStep | CheckStep | PauseStep | RestartStep


def is_text(register: Register) -> bool:
    return register.codec.kind in (Kind.TEXT, Kind.UTF16, Kind.CHAR)
