"""The words of the device model: components, their variables, what may be asked and what is answered. 2.x B05-B08.

Data only. Which variables there are is `device_model`'s, what is done with them `variable_access`'s.
Names and instances are compared ignoring case (2.x identifierString).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from edged.domain.types import RequestRef

# --- what there is


@dataclass(frozen=True, slots=True)
class Component:
    """A part of the station: `evse` where it belongs to an EVSE, `connector` (2.x's, counted in the EVSE) where it
    belongs to a connector of it."""

    name: str
    instance: str | None = None
    evse: int | None = None
    connector: int | None = None


@dataclass(frozen=True, slots=True)
class Variable:
    name: str
    instance: str | None = None


class Attribute(StrEnum):
    ACTUAL = "Actual"
    TARGET = "Target"
    MIN_SET = "MinSet"
    MAX_SET = "MaxSet"


class DataType(StrEnum):
    STRING = "string"
    DECIMAL = "decimal"
    INTEGER = "integer"
    DATE_TIME = "dateTime"
    BOOLEAN = "boolean"
    OPTION_LIST = "OptionList"  # one of the values
    SEQUENCE_LIST = "SequenceList"  # some of them, in order
    MEMBER_LIST = "MemberList"  # some of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Characteristics:
    """What a variable's value can be. The limits bound a number's value and a text's length; `values` are those of a
    list."""

    data_type: DataType
    unit: str | None = None
    min_limit: float | None = None
    max_limit: float | None = None
    values: tuple[str, ...] = ()
    supports_monitoring: bool = False


# --- reading and writing


class VariableStatus(StrEnum):
    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    UNKNOWN_COMPONENT = "UnknownComponent"
    UNKNOWN_VARIABLE = "UnknownVariable"
    NOT_SUPPORTED_ATTRIBUTE = "NotSupportedAttributeType"
    REBOOT_REQUIRED = "RebootRequired"


@dataclass(frozen=True, slots=True)
class VariableQuery:
    """`attribute` None: it was not named, and Actual is meant."""

    component: Component
    variable: Variable
    attribute: Attribute | None = None


@dataclass(frozen=True, slots=True)
class VariableChange:
    """`value` may be a password: no repr shows it."""

    component: Component
    variable: Variable
    value: str = field(repr=False)
    attribute: Attribute | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableResult:
    """What became of one query or change; names as they were asked. `value`: of a query that is Accepted."""

    component: Component
    variable: Variable
    attribute: Attribute
    status: VariableStatus
    value: str | None = None
    reason: str = ""
    detail: str = ""


# --- reports


class ReportBase(StrEnum):
    CONFIGURATION = "ConfigurationInventory"
    FULL = "FullInventory"
    SUMMARY = "SummaryInventory"


class Criterion(StrEnum):
    """Which components are wanted: each is the name of the variable that decides."""

    ACTIVE = "Active"
    AVAILABLE = "Available"
    ENABLED = "Enabled"
    PROBLEM = "Problem"


@dataclass(frozen=True, slots=True)
class VariableFilter:
    """What of the device model is wanted: what is not named may be anything."""

    component: Component
    variable: Variable | None = None


class InventoryStatus(StrEnum):
    """How a request for a report of the device model is answered; the report itself follows in pages."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    NOT_SUPPORTED = "NotSupported"
    EMPTY = "EmptyResultSet"


# --- commands


@dataclass(frozen=True, slots=True)
class GetVariables:
    request: RequestRef
    queries: tuple[VariableQuery, ...]


@dataclass(frozen=True, slots=True)
class SetVariables:
    """Each change by itself: one that is refused takes no other with it."""

    request: RequestRef
    changes: tuple[VariableChange, ...]


@dataclass(frozen=True, slots=True)
class GetBaseReport:
    """The report is told under `request_id`."""

    request: RequestRef
    request_id: int
    base: ReportBase


@dataclass(frozen=True, slots=True, kw_only=True)
class GetReport:
    """What fits one of `wanted`, of components that meet one of `criteria`; an empty one of the two asks for nothing
    in particular."""

    request: RequestRef
    request_id: int
    criteria: frozenset[Criterion] = frozenset()
    wanted: tuple[VariableFilter, ...] = ()


VariableCommand = GetVariables | SetVariables | GetBaseReport | GetReport
