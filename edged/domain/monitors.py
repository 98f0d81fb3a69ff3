"""The words of monitoring: what is watched of the device model, why the CSMS is told, what may be asked. N02 to N08.

Data only. Which monitors there may be is `monitoring`'s, when one speaks `watching`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from edged.domain.types import RequestRef
from edged.domain.variables import Component, Variable, VariableFilter

LOWEST_SEVERITY = 9
"""Severities go from 0, danger, to this, which is told to whoever looks for errors."""


class MonitorKind(StrEnum):
    """When a monitor speaks."""

    UPPER = "UpperThreshold"
    LOWER = "LowerThreshold"
    DELTA = "Delta"
    PERIODIC = "Periodic"
    CLOCK_ALIGNED = "PeriodicClockAligned"


THRESHOLDS = frozenset({MonitorKind.UPPER, MonitorKind.LOWER})
PERIODIC = frozenset({MonitorKind.PERIODIC, MonitorKind.CLOCK_ALIGNED})


class Origin(StrEnum):
    """Who has put a monitor there, and so who may change it."""

    NOTIFICATION = "HardWiredNotification"  # no monitor that anybody sees
    HARD_WIRED = "HardWiredMonitor"
    PRECONFIGURED = "PreconfiguredMonitor"
    CUSTOM = "CustomMonitor"


class MonitoringBase(StrEnum):
    """Which of the preconfigured monitors are there."""

    ALL = "All"
    FACTORY = "FactoryDefault"
    HARD_WIRED = "HardWiredOnly"


class EventTrigger(StrEnum):
    ALERTING = "Alerting"
    DELTA = "Delta"
    PERIODIC = "Periodic"


# --- kept facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """One monitor (*kept*). `value`: the threshold, the change or the seconds, in the variable's unit.
    `transaction`: only while a transaction runs there.

    `alerted`: the CSMS was told that the threshold is passed, and not yet that it no longer is; `transaction_id`: in
    which transaction. `reference`: the value that was told last, or was there when the monitor was set; None: not known
    yet.
    """

    id: int
    component: Component
    variable: Variable
    kind: MonitorKind
    value: float
    severity: int
    transaction: bool = False
    origin: Origin = Origin.CUSTOM
    alerted: bool = False
    transaction_id: str | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitoring:
    """What is kept beside the monitors. `level`: monitors with a higher severity number are not told. `last_monitor`,
    `last_event`: the last ids that were given. `cleared`: preconfigured monitors that the CSMS has taken away."""

    base: MonitoringBase = MonitoringBase.FACTORY
    level: int = LOWEST_SEVERITY
    last_monitor: int = 0
    last_event: int = 0
    cleared: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class EventTally:
    """How many events of one monitor were told since a moment (monotonic)."""

    since_s: float
    told: int


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many messages might be told at a moment (monotonic); below 0 where more was told already."""

    messages: float
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What is true for this run only. `ready`: the station's own monitors are there. `transactions`: the transaction
    of an EVSE, the last one until its vehicle has gone. `due`: when a periodic monitor speaks next (monotonic);
    `slots`: in which interval of the clock an aligned one spoke last; both, and `tallies`, by the monitor's id.
    `allowance`: of all monitors together, None: nothing was told yet. `dropping`: events find no room."""

    ready: bool = False
    transactions: Mapping[int, str] = field(default_factory=dict)
    due: Mapping[int, float] = field(default_factory=dict)
    slots: Mapping[int, int] = field(default_factory=dict)
    tallies: Mapping[int, EventTally] = field(default_factory=dict)
    allowance: Allowance | None = None
    dropping: bool = False


# --- what the CSMS is told


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorEvent:
    """A monitor has spoken. `monitor_id` None: a notification of which nobody sees a monitor. `cause`: the id of the
    event that this one follows from."""

    id: int
    trigger: EventTrigger
    component: Component
    variable: Variable
    value: str
    origin: Origin
    severity: int
    monitor_id: int | None = None
    cleared: bool = False
    transaction_id: str | None = None
    cause: int | None = None
    tech_code: str = ""
    tech_info: str = ""


@dataclass(frozen=True, slots=True)
class MonitoredVariable:
    """One variable and its monitors: an item of a report."""

    component: Component
    variable: Variable
    monitors: tuple[Monitor, ...]


# --- setting and clearing


class MonitorStatus(StrEnum):
    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    UNKNOWN_COMPONENT = "UnknownComponent"
    UNKNOWN_VARIABLE = "UnknownVariable"
    UNSUPPORTED_KIND = "UnsupportedMonitorType"
    DUPLICATE = "Duplicate"


class ClearMonitorStatus(StrEnum):
    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    NOT_FOUND = "NotFound"


class MonitoringCriterion(StrEnum):
    """Which kinds of monitors are wanted."""

    THRESHOLD = "ThresholdMonitoring"
    DELTA = "DeltaMonitoring"
    PERIODIC = "PeriodicMonitoring"


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorOrder:
    """`id` None: a new monitor; otherwise the one that it takes the place of."""

    id: int | None = None
    component: Component
    variable: Variable
    kind: MonitorKind
    value: float
    severity: int
    transaction: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorResult:
    """What became of one order. `id`: of the monitor, where it is Accepted."""

    order: MonitorOrder
    status: MonitorStatus
    id: int | None = None
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ClearMonitorResult:
    id: int
    status: ClearMonitorStatus
    reason: str = ""
    detail: str = ""


# --- commands


@dataclass(frozen=True, slots=True)
class SetMonitors:
    """Each order by itself: one that is refused takes no other with it."""

    request: RequestRef
    orders: tuple[MonitorOrder, ...]


@dataclass(frozen=True, slots=True)
class ClearMonitors:
    request: RequestRef
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SetMonitoringBase:
    request: RequestRef
    base: MonitoringBase


@dataclass(frozen=True, slots=True)
class SetMonitoringLevel:
    request: RequestRef
    severity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GetMonitoringReport:
    """The monitors of the kinds of one of `criteria`, of variables that fit one of `wanted`; an empty one of the two
    asks for nothing in particular."""

    request: RequestRef
    request_id: int
    criteria: frozenset[MonitoringCriterion] = frozenset()
    wanted: tuple[VariableFilter, ...] = ()


MonitoringCommand = SetMonitors | ClearMonitors | SetMonitoringBase | SetMonitoringLevel | GetMonitoringReport
