"""How a variable is defined: where it belongs, what it can be, and what is behind it: a key of the configuration, or a
fact of the station. Definitions are data; `device_model` finds them and reads their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from types import MappingProxyType

from edged.domain.station import Station
from edged.domain.variables import Component, DataType, Variable

Fact = Callable[[Station, Component], str]
Limit = Callable[[Station, Component], float | None]
Values = Callable[[Station], tuple[str, ...]]
Presence = Callable[[Station, Component], bool]
_NO_WORDS: Mapping[str, str] = MappingProxyType({})


class Scope(Enum):
    """How often a component is there."""

    STATION = auto()  # once
    EVSE = auto()  # for each EVSE
    CONNECTOR = auto()  # for each connector


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Definition:
    """One variable of one component. Exactly one of `key` and `fact` is given.

    `key`: the configuration key whose value it shows, with the key's access unless `read_only`; `words` are the model's
    for the key's. `fact`: what is so now, never written. `pattern`: what a text must match beyond the key's own rule.
    `minimum`, `maximum` are the model's own limits; `most` is a limit, and `options` are values, that depend on the
    station. `present`: where the variable is there; everywhere, if not given.
    """

    component: str
    variable: Variable
    data_type: DataType
    key: str | None = None
    fact: Fact | None = None
    scope: Scope = Scope.STATION
    read_only: bool = False
    constant: bool = False
    words: Mapping[str, str] = field(default_factory=lambda: _NO_WORDS)
    pattern: str = ""
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    most: Limit | None = None
    values: tuple[str, ...] = ()
    options: Values | None = None
    present: Presence | None = None

    def __repr__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """As people write it: Component.Variable, with the variable's instance in brackets."""
        instance = f"[{self.variable.instance}]" if self.variable.instance is not None else ""
        return f"{self.component}.{self.variable.name}{instance}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One variable of this station: a definition at its place."""

    component: Component
    definition: Definition

    @property
    def variable(self) -> Variable:
        return self.definition.variable
