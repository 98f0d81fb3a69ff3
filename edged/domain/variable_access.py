"""Reading, writing and reporting variables of the device model. 2.x B05 to B08.

A request's items are independent and answered in its order. What is written goes the way that every change of a key
goes (`configuration_access`), all of it in one step and so in one commit. A report holds references: each value is what
it is when its page is sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import assert_never

from edged.domain import device_model, reporting
from edged.domain.answers import Reason
from edged.domain.configuration import ConfigKey, ConfigurationStatus, Mutability
from edged.domain.configuration_access import PASSWORD, Outcome, put_literal_password, put_value
from edged.domain.device_model_facts import ITEMS_PER_MESSAGE
from edged.domain.device_model_terms import Entry
from edged.domain.effects import ReportKind
from edged.domain.station import Station
from edged.domain.transition import Draft
from edged.domain.types import RequestRef
from edged.domain.variables import (
    Attribute,
    Component,
    Criterion,
    GetBaseReport,
    GetReport,
    GetVariables,
    InventoryStatus,
    ReportBase,
    SetVariables,
    VariableChange,
    VariableCommand,
    VariableFilter,
    VariableQuery,
    VariableResult,
    VariableStatus,
)

_STATUSES = {
    ConfigurationStatus.ACCEPTED: VariableStatus.ACCEPTED,
    ConfigurationStatus.REJECTED: VariableStatus.REJECTED,
    ConfigurationStatus.REBOOT_REQUIRED: VariableStatus.REBOOT_REQUIRED,
    ConfigurationStatus.NOT_SUPPORTED: VariableStatus.UNKNOWN_VARIABLE,
}
STATE = "AvailabilityState"


def serve(draft: Draft, event: VariableCommand) -> None:
    match event:
        case GetVariables():
            most = draft.station.configuration.number("GetConfigurationMaxKeys")
            if not _too_many(draft, event.request, event.queries, most):
                results = tuple(_read(draft.station, query) for query in event.queries)
                draft.reply(event.request, VariableStatus.ACCEPTED, data=results)
        case SetVariables():
            if not _too_many(draft, event.request, event.changes, ITEMS_PER_MESSAGE):
                changed = tuple(_write(draft, change, event.request.channel) for change in event.changes)
                draft.reply(event.request, VariableStatus.ACCEPTED, data=changed)
        case GetBaseReport():
            _tell(draft, event.request, event.request_id, _base(draft.station, event.base))
        case GetReport():
            if not _too_many(draft, event.request, event.wanted, reporting.PAGE_ITEMS):
                _tell(draft, event.request, event.request_id, _wanted(draft.station, event))
        case _:
            assert_never(event)


def _too_many(draft: Draft, request: RequestRef, items: tuple[object, ...], most: int) -> bool:
    """More than the station says that it takes are not taken at all (B06.FR.16, B08.FR.17): an answer without data."""
    if len(items) <= most:
        return False
    detail = f"more than {most} items in one request"
    draft.reply(request, VariableStatus.REJECTED, detail, reason=Reason.TOO_MANY_ELEMENTS)
    return True


# --- reading and writing


def _found(station: Station, asked: VariableQuery | VariableChange) -> Entry | VariableStatus:
    found = device_model.find(station, asked.component, asked.variable)
    if isinstance(found, Entry) and _attribute(asked) not in device_model.ATTRIBUTES:
        return VariableStatus.NOT_SUPPORTED_ATTRIBUTE
    return found


def _attribute(asked: VariableQuery | VariableChange) -> Attribute:
    return Attribute.ACTUAL if asked.attribute is None else asked.attribute


def _result(
    asked: VariableQuery | VariableChange,
    status: VariableStatus,
    *,
    value: str | None = None,
    reason: str = "",
    detail: str = "",
) -> VariableResult:
    return VariableResult(
        component=asked.component,
        variable=asked.variable,
        attribute=_attribute(asked),
        status=status,
        value=value,
        reason=reason,
        detail=detail,
    )


def _read(station: Station, query: VariableQuery) -> VariableResult:
    found = _found(station, query)
    if isinstance(found, VariableStatus):
        return _result(query, found)
    value = device_model.value(station, found)
    if value is None:
        return _result(query, VariableStatus.REJECTED, reason=Reason.WRITE_ONLY)
    return _result(query, VariableStatus.ACCEPTED, value=value)


def _write(draft: Draft, change: VariableChange, changed_by: str) -> VariableResult:
    found = _found(draft.station, change)
    if isinstance(found, VariableStatus):
        return _result(change, found)
    key = device_model.key_of(draft.station, found)
    if key is None or device_model.mutability(draft.station, found) is Mutability.READ_ONLY:
        return _result(change, VariableStatus.REJECTED, reason=Reason.READ_ONLY, detail="the variable is read-only")
    outcome = _own_flaw(draft.station, found, key, change.value)
    if outcome is None and key.name == PASSWORD:
        outcome = put_literal_password(draft, change.value, changed_by=changed_by)
    elif outcome is None:
        outcome = put_value(draft, key, change.value, changed_by=changed_by)
    return _result(change, _STATUSES[outcome.status], reason=outcome.reason, detail=outcome.detail)


def _own_flaw(station: Station, entry: Entry, key: ConfigKey, value: str) -> Outcome | None:
    """What the variable does not allow although its key may."""
    definition = entry.definition
    if definition.pattern:
        if re.fullmatch(definition.pattern, value):
            return None
        return Outcome(ConfigurationStatus.REJECTED, "not what this text may be", Reason.INVALID_VALUE)
    if definition.minimum is not None and value.strip().isdecimal() and int(value) < definition.minimum:
        detail = f"must be at least {definition.minimum:g}"
        return Outcome(ConfigurationStatus.REJECTED, detail, Reason.VALUE_TOO_LOW)
    return None


# --- reports


def _tell(draft: Draft, request: RequestRef, request_id: int, entries: Iterable[Entry]) -> None:
    items = tuple(entries)
    if not items:
        draft.reply(request, InventoryStatus.EMPTY)
    elif not reporting.has_room(draft.station):
        draft.reply(request, InventoryStatus.REJECTED, "as many reports as there may be are under way")
    else:
        draft.reply(request, InventoryStatus.ACCEPTED)
        reporting.begin(draft, ReportKind.VARIABLES, request_id, items)


def _base(station: Station, base: ReportBase) -> Iterable[Entry]:
    """B07.FR.07 to FR.09. The summary: whether it can charge, and what is wrong."""
    entries = device_model.inventory(station)
    match base:
        case ReportBase.CONFIGURATION:
            return (e for e in entries if device_model.mutability(station, e) is not Mutability.READ_ONLY)
        case ReportBase.FULL:
            return entries
        case ReportBase.SUMMARY:
            return (e for e in entries if _in_summary(station, e))


def _in_summary(station: Station, entry: Entry) -> bool:
    name = entry.variable.name
    return name == STATE or (name == Criterion.PROBLEM and device_model.value(station, entry) == "true")


def _wanted(station: Station, event: GetReport) -> Iterable[Entry]:
    """B08.FR.05, 11, 13: what fits a filter, of components that meet a criterion."""
    entries = [e for e in device_model.inventory(station) if not event.wanted or any(fits(e, f) for f in event.wanted)]
    if not event.criteria:
        return entries
    meets = {part: _meets(station, part, event.criteria) for part in dict.fromkeys(e.component for e in entries)}
    return [e for e in entries if meets[e.component]]


def fits(entry: Entry, wanted: VariableFilter) -> bool:
    """Whether an entry is meant: what a filter does not name may be anything (B08.FR.20 to FR.25)."""
    here, there = entry.component, wanted.component
    if here.name.casefold() != there.name.casefold() or not _same(here.instance, there.instance):
        return False
    if there.evse not in (None, here.evse) or there.connector not in (None, here.connector):
        return False
    variable = wanted.variable
    if variable is None:
        return True
    return entry.variable.name.casefold() == variable.name.casefold() and _same(
        entry.variable.instance, variable.instance
    )


def _same(instance: str | None, wanted: str | None) -> bool:
    return wanted is None or (instance is not None and instance.casefold() == wanted.casefold())


def _meets(station: Station, component: Component, criteria: frozenset[Criterion]) -> bool:
    """Active, Available, Enabled: not said to be false. Problem: said to be true (B08.FR.07 to FR.10)."""
    return any(_meets_one(station, component, criterion) for criterion in criteria)


def _meets_one(station: Station, component: Component, criterion: Criterion) -> bool:
    said = [device_model.value(station, one) for one in device_model.variables_of(station, component, criterion)]
    return "true" in said if said else criterion is not Criterion.PROBLEM
