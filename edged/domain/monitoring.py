"""Which monitors there are: set, cleared, reported, chosen as a whole by a base. 2.x N02 to N06.

The ids of those that the CSMS sets begin at `FIRST_CUSTOM` and are never given twice. One of the station's own
(`own_monitors`) that it changes is the CSMS's until a base brings the old one back.

Refuses to know: when a monitor speaks. Invariants: of one variable no two monitors have the same kind and severity, but
for what nobody can see or change · at most `MAX_CUSTOM` are the CSMS's · a monitor that goes says nothing (N07.FR.12).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import assert_never

from edged.domain import device_model, reporting
from edged.domain.answers import Reason, Verdict
from edged.domain.configuration import DAY_S
from edged.domain.device_model_facts import CLEAR_ITEMS_PER_MESSAGE, MONITORS_PER_MESSAGE
from edged.domain.device_model_terms import Entry
from edged.domain.effects import ReportKind
from edged.domain.monitors import (
    LOWEST_SEVERITY,
    PERIODIC,
    THRESHOLDS,
    ClearMonitorResult,
    ClearMonitors,
    ClearMonitorStatus,
    GetMonitoringReport,
    Monitor,
    MonitoredVariable,
    MonitoringBase,
    MonitoringCommand,
    MonitoringCriterion,
    MonitorKind,
    MonitorOrder,
    MonitorResult,
    MonitorStatus,
    Origin,
    SetMonitoringBase,
    SetMonitoringLevel,
    SetMonitors,
)
from edged.domain.own_monitors import FIRST_CUSTOM, clashes, own_monitors, prepare
from edged.domain.station import Station
from edged.domain.transition import Draft, drop, put
from edged.domain.types import RequestRef
from edged.domain.variable_access import fits
from edged.domain.variables import Component, DataType, InventoryStatus, Variable, VariableStatus

MAX_CUSTOM = 256
NUMERIC = frozenset({DataType.INTEGER, DataType.DECIMAL})
KINDS_OF: Mapping[MonitoringCriterion, frozenset[MonitorKind]] = {
    MonitoringCriterion.THRESHOLD: THRESHOLDS,
    MonitoringCriterion.DELTA: frozenset({MonitorKind.DELTA}),
    MonitoringCriterion.PERIODIC: PERIODIC,
}

# --- commands


def serve(draft: Draft, event: MonitoringCommand) -> None:
    prepare(draft)
    match event:
        case SetMonitors():
            if not _too_many(draft, event.request, event.orders, MONITORS_PER_MESSAGE):
                results = tuple(_set(draft, order) for order in event.orders)
                draft.reply(event.request, MonitorStatus.ACCEPTED, data=results)
        case ClearMonitors():
            if not _too_many(draft, event.request, event.ids, CLEAR_ITEMS_PER_MESSAGE):
                cleared = tuple(_clear(draft, number) for number in event.ids)
                draft.reply(event.request, ClearMonitorStatus.ACCEPTED, data=cleared)
        case SetMonitoringBase():
            _set_base(draft, event)
        case SetMonitoringLevel():
            _set_level(draft, event)
        case GetMonitoringReport():
            if not _too_many(draft, event.request, event.wanted, reporting.PAGE_ITEMS):
                _tell(draft, event)
        case _:
            assert_never(event)


def _too_many(draft: Draft, request: RequestRef, items: tuple[object, ...], most: int) -> bool:
    """More than the station says that it takes are not taken at all: an answer without data."""
    if len(items) <= most:
        return False
    detail = f"more than {most} items in one request"
    draft.reply(request, MonitorStatus.REJECTED, detail, reason=Reason.TOO_MANY_ELEMENTS)
    return True


# --- setting


@dataclass(frozen=True, slots=True)
class _Flaw:
    status: MonitorStatus
    reason: str = ""
    detail: str = ""


def _set(draft: Draft, order: MonitorOrder) -> MonitorResult:
    station = draft.station
    entry = device_model.find(station, order.component, order.variable)
    old = _visible(station, order.id)
    flaw = _misplaced(entry, order, old)
    if flaw is None and not isinstance(entry, Entry):
        flaw = _Flaw(_unknown(station, order, entry))
    if flaw is None and isinstance(entry, Entry):
        flaw = _unsuitable(station, entry, order) or _one_too_many(station, entry, order, old)
        if flaw is None:
            return MonitorResult(order=order, status=MonitorStatus.ACCEPTED, id=_put(draft, entry, order, old))
    assert flaw is not None
    return MonitorResult(order=order, status=flaw.status, reason=flaw.reason, detail=flaw.detail)


def _visible(station: Station, number: int | None) -> Monitor | None:
    """The monitor of that id, if it is one that the CSMS knows of."""
    found = None if number is None else station.monitors.get(number)
    return None if found is None or found.origin is Origin.NOTIFICATION else found


def _misplaced(entry: Entry | VariableStatus, order: MonitorOrder, old: Monitor | None) -> _Flaw | None:
    """N04.FR.13, 16, 18: a monitor takes the place of one of its own variable, that is not hard-wired."""
    if order.id is None:
        return None
    if old is None:
        return _Flaw(MonitorStatus.REJECTED, Reason.NOT_FOUND, "no monitor has this id")
    if not isinstance(entry, Entry) or (entry.component, entry.variable) != (old.component, old.variable):
        return _Flaw(MonitorStatus.REJECTED, Reason.INVALID_VALUE, "this monitor is another variable's")
    if old.origin is Origin.HARD_WIRED:
        return _Flaw(MonitorStatus.REJECTED, Reason.READ_ONLY, "this monitor is hard-wired")
    return None


def _unknown(station: Station, order: MonitorOrder, status: VariableStatus) -> MonitorStatus:
    """N04.FR.03, 04. Of a component without its place it can still be said that it has no such variable anywhere."""
    if status is VariableStatus.UNKNOWN_VARIABLE:
        return MonitorStatus.UNKNOWN_VARIABLE
    variables = device_model.variables_in(station, order.component.name)
    if variables is None or order.component.evse is not None or order.component.instance is not None:
        return MonitorStatus.UNKNOWN_COMPONENT
    names = {name for name, _instance in variables}
    known = order.variable.name.casefold() in names
    return MonitorStatus.UNKNOWN_COMPONENT if known else MonitorStatus.UNKNOWN_VARIABLE


def _unsuitable(station: Station, entry: Entry, order: MonitorOrder) -> _Flaw | None:
    """N04.FR.05, 06, 14."""
    what = device_model.characteristics(station, entry)
    if not what.supports_monitoring:
        return _Flaw(MonitorStatus.UNSUPPORTED_KIND, detail="this variable is not monitored")
    if order.kind in THRESHOLDS and what.data_type not in NUMERIC:
        return _Flaw(MonitorStatus.UNSUPPORTED_KIND, detail="this variable is no number")
    if not 0 <= order.severity <= LOWEST_SEVERITY:
        return _out_of_range(f"severities go from 0 to {LOWEST_SEVERITY}")
    if order.kind in THRESHOLDS:
        least = float("-inf") if what.min_limit is None else what.min_limit
        most = float("inf") if what.max_limit is None else what.max_limit
        return None if least <= order.value <= most else _out_of_range("outside the limits of the variable")
    if order.kind in PERIODIC:
        return None if 1 <= order.value <= DAY_S else _out_of_range(f"a period has from 1 to {DAY_S} seconds")
    return None if order.value >= 0 else _out_of_range("a change is not negative")


def _out_of_range(detail: str) -> _Flaw:
    return _Flaw(MonitorStatus.REJECTED, Reason.VALUE_OUT_OF_RANGE, detail)


def _one_too_many(station: Station, entry: Entry, order: MonitorOrder, old: Monitor | None) -> _Flaw | None:
    """N04.FR.10, and what there is room for."""
    for one in station.monitors.values():
        same = (one.component, one.variable, one.kind, one.severity) == (
            *(entry.component, entry.variable),
            *(order.kind, order.severity),
        )
        if same and one is not old and one.origin is not Origin.NOTIFICATION:
            detail = f"monitor {one.id} is of this type and severity"
            return _Flaw(MonitorStatus.DUPLICATE, detail=detail)
    grows = old is None or old.origin is not Origin.CUSTOM
    if grows and sum(one.origin is Origin.CUSTOM for one in station.monitors.values()) >= MAX_CUSTOM:
        return _Flaw(MonitorStatus.REJECTED, Reason.OUT_OF_MEMORY, f"there are {MAX_CUSTOM} monitors already")
    return None


def _put(draft: Draft, entry: Entry, order: MonitorOrder, old: Monitor | None) -> int:
    """One that takes another's place keeps its id, and what was told of a threshold (N04.FR.12, N07.FR.11); it is the
    CSMS's from now on (N04.FR.15)."""
    station = draft.station
    number = old.id if old is not None else max(station.monitoring.last_monitor, FIRST_CUSTOM - 1) + 1
    text = device_model.value(station, entry)
    monitor = Monitor(
        id=number,
        component=entry.component,
        variable=entry.variable,
        kind=order.kind,
        value=order.value,
        severity=order.severity,
        transaction=order.transaction,
        reference=text if order.kind is MonitorKind.DELTA and text != "" else None,
    )
    if old is None:
        draft.update(monitoring=replace(station.monitoring, last_monitor=number))
    elif old.kind is order.kind and old.kind in THRESHOLDS:
        monitor = replace(monitor, alerted=old.alerted, transaction_id=old.transaction_id)
    draft.update(monitors=put(station.monitors, number, monitor))
    _begin_anew(draft, number)
    if order.kind is MonitorKind.PERIODIC:
        due = put(draft.station.watch.due, number, draft.now.monotonic_s + order.value)
        draft.update(watch=replace(draft.station.watch, due=due))
    return number


def _begin_anew(draft: Draft, *numbers: int) -> None:
    """Nothing is remembered of how these monitors spoke."""
    watch = draft.station.watch
    due, slots, tallies = dict(watch.due), dict(watch.slots), dict(watch.tallies)
    for number in numbers:
        for remembered in (due, slots, tallies):
            remembered.pop(number, None)
    draft.update(watch=replace(watch, due=due, slots=slots, tallies=tallies))


# --- clearing, base and level


def _clear(draft: Draft, number: int) -> ClearMonitorResult:
    station = draft.station
    found = _visible(station, number)
    if found is None:
        return ClearMonitorResult(number, ClearMonitorStatus.NOT_FOUND)
    if found.origin is Origin.HARD_WIRED:
        detail = "this monitor is hard-wired"
        return ClearMonitorResult(number, ClearMonitorStatus.REJECTED, Reason.READ_ONLY, detail)
    draft.update(monitors=drop(station.monitors, number))
    if number < FIRST_CUSTOM:
        cleared = (*station.monitoring.cleared, number)
        draft.update(monitoring=replace(station.monitoring, cleared=cleared))
    _begin_anew(draft, number)
    return ClearMonitorResult(number, ClearMonitorStatus.ACCEPTED)


def _set_base(draft: Draft, event: SetMonitoringBase) -> None:
    """N03.FR.03 to FR.05. Only All leaves what the CSMS has set or changed."""
    station = draft.station
    fixed = (Origin.HARD_WIRED, Origin.NOTIFICATION)
    kept = {
        number: one
        for number, one in station.monitors.items()
        if event.base is MonitoringBase.ALL or one.origin in fixed
    }
    own = {n: one for n, one in own_monitors(station, event.base).items() if not clashes(one, kept)}
    before = {n: station.monitors[n] for n in own if n in station.monitors}
    unchanged = {n: one for n, one in before.items() if one.origin is Origin.PRECONFIGURED}
    draft.update(
        monitors={**own, **unchanged, **kept},
        monitoring=replace(station.monitoring, base=event.base, cleared=()),
    )
    _begin_anew(draft, *(station.monitors.keys() - draft.station.monitors.keys()))
    draft.announce("monitoring.base_changed", None, base=event.base.value)
    draft.reply(event.request, InventoryStatus.ACCEPTED)


def _set_level(draft: Draft, event: SetMonitoringLevel) -> None:
    """N05.FR.01, 02."""
    if not 0 <= event.severity <= LOWEST_SEVERITY:
        detail = f"severities go from 0 to {LOWEST_SEVERITY}"
        draft.reply(event.request, Verdict.REJECTED, detail, reason=Reason.VALUE_OUT_OF_RANGE)
        return
    draft.update(monitoring=replace(draft.station.monitoring, level=event.severity))
    draft.reply(event.request, Verdict.ACCEPTED)


# --- the report


def _tell(draft: Draft, event: GetMonitoringReport) -> None:
    """N02.FR.01, 10."""
    items = tuple(_wanted(draft.station, event))
    if not items:
        draft.reply(event.request, InventoryStatus.EMPTY)
    elif not reporting.has_room(draft.station):
        draft.reply(event.request, InventoryStatus.REJECTED, "as many reports as there may be are under way")
    else:
        draft.reply(event.request, InventoryStatus.ACCEPTED)
        reporting.begin(draft, ReportKind.MONITORS, event.request_id, items)


def _wanted(station: Station, event: GetMonitoringReport) -> Iterator[MonitoredVariable]:
    """N02.FR.05 to FR.17: each variable once, with those of its monitors that are asked for."""
    kinds = {kind for criterion in event.criteria for kind in KINDS_OF[criterion]}
    found: dict[tuple[Component, Variable], list[Monitor]] = {}
    for _number, one in sorted(station.monitors.items()):
        if one.origin is Origin.NOTIFICATION or (event.criteria and one.kind not in kinds):
            continue
        entry = device_model.find(station, one.component, one.variable)
        if isinstance(entry, Entry) and (not event.wanted or any(fits(entry, wanted) for wanted in event.wanted)):
            found.setdefault((one.component, one.variable), []).append(one)
    for (component, variable), monitors in found.items():
        yield MonitoredVariable(component, variable, tuple(monitors))
