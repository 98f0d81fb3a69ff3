"""The monitors that the station brings along. 2.x N02, N03, G05.FR.02.

Some are hard-wired, for what people have to be sent for; some are preconfigured, for what is good to know: these may be
changed and cleared, and come back with a base. Their ids follow from their places, and are below `FIRST_CUSTOM`.

Refuses to know: what the CSMS has set. Invariant: after `prepare` each monitor's variable is there and can be watched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from edged.domain import device_model
from edged.domain.device_model_facts import LOCK
from edged.domain.device_model_terms import Entry, Scope
from edged.domain.monitors import Monitor, MonitoringBase, MonitorKind, Origin
from edged.domain.station import Station
from edged.domain.transition import Draft
from edged.domain.variables import Component, Variable

FIRST_CUSTOM = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Own:
    """A monitor that edged brings along, at each place of a scope. `number`: the first of its ids. `reference`: what
    is not worth a word. `factory`: the base FactoryDefault has it, and not only All."""

    number: int
    component: str
    variable: str
    scope: Scope
    kind: MonitorKind
    severity: int
    origin: Origin
    reference: str | None = None
    factory: bool = True


OWN = (
    _Own(
        number=1,
        component="ChargingStation",
        variable="Problem",
        scope=Scope.STATION,
        kind=MonitorKind.DELTA,
        severity=5,
        origin=Origin.PRECONFIGURED,
        reference="false",
    ),
    _Own(
        number=1000,
        component="Connector",
        variable="Problem",
        scope=Scope.CONNECTOR,
        kind=MonitorKind.DELTA,
        severity=1,
        origin=Origin.HARD_WIRED,
        reference="false",
    ),
    _Own(
        number=2000,
        component="EVSE",
        variable="AvailabilityState",
        scope=Scope.EVSE,
        kind=MonitorKind.DELTA,
        severity=8,
        origin=Origin.PRECONFIGURED,
        factory=False,
    ),
    _Own(
        number=3000,
        component=LOCK,
        variable="Problem",
        scope=Scope.CONNECTOR,
        kind=MonitorKind.UPPER,
        severity=1,
        origin=Origin.NOTIFICATION,
    ),
)
"""A fault of a connector, its charger's silence included; a lock that fails (G05.FR.02); what the station is like as a
whole; and each EVSE's state, which StatusNotification tells already and so is not on by itself."""


def _places(station: Station, own: _Own) -> Iterator[tuple[int, Component]]:
    """The ids and components of one of the station's own."""
    layouts = [connector.layout for connector in station.connectors.values()]
    match own.scope:
        case Scope.STATION:
            yield own.number, Component(own.component)
        case Scope.EVSE:
            for evse in sorted({layout.evse_id for layout in layouts}):
                yield own.number + evse, Component(own.component, evse=evse)
        case Scope.CONNECTOR:
            for layout in layouts:
                place = Component(own.component, evse=layout.evse_id, connector=layout.connector_id)
                yield own.number + layout.number, place


def own_monitors(station: Station, base: MonitoringBase) -> dict[int, Monitor]:
    """Those of the station's own that a base has."""
    found: dict[int, Monitor] = {}
    for own in OWN:
        if own.origin is Origin.PRECONFIGURED and not _has(base, own):
            continue
        for number, component in _places(station, own):
            variable = Variable(own.variable)
            if isinstance(device_model.find(station, component, variable), Entry):
                found[number] = Monitor(
                    id=number,
                    component=component,
                    variable=variable,
                    kind=own.kind,
                    value=1.0,
                    severity=own.severity,
                    origin=own.origin,
                    reference=own.reference,
                )
    return found


def _has(base: MonitoringBase, own: _Own) -> bool:
    return base is MonitoringBase.ALL or (base is MonitoringBase.FACTORY and own.factory)


def clashes(one: Monitor, others: Mapping[int, Monitor]) -> bool:
    """Whether the CSMS has a monitor there that can have no second of its kind and severity."""
    return any(
        (other.component, other.variable, other.kind, other.severity)
        == (one.component, one.variable, one.kind, one.severity)
        for other in others.values()
        if other.origin is Origin.CUSTOM
    )


def prepare(draft: Draft) -> None:
    """Once a run: the station's own monitors are there, as this version and this site have them; a monitor whose
    variable has gone is gone too (N04)."""
    station = draft.station
    if station.watch.ready:
        return
    own = own_monitors(station, station.monitoring.base)
    found = {number: one for number, one in station.monitors.items() if _stays(station, one)}
    for number, one in own.items():
        old = found.get(number)
        if old is not None and old.origin is not Origin.CUSTOM:
            found[number] = replace(
                one, alerted=old.alerted, transaction_id=old.transaction_id, reference=old.reference
            )
        elif old is None and number not in station.monitoring.cleared and not clashes(one, found):
            found[number] = one
    found = {n: one for n, one in found.items() if one.origin is Origin.CUSTOM or n in own}
    draft.update(watch=replace(station.watch, ready=True))
    if found != station.monitors:
        draft.update(monitors=found)


def _stays(station: Station, monitor: Monitor) -> bool:
    entry = device_model.find(station, monitor.component, monitor.variable)
    return isinstance(entry, Entry) and device_model.characteristics(station, entry).supports_monitoring
