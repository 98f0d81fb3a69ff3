"""Which monitors there are, and that they stay."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edged.domain import monitoring
from edged.domain.answers import Reason, Verdict
from edged.domain.effects import Ask, ReportPage
from edged.domain.hardware import Capability
from edged.domain.monitors import (
    ClearMonitors,
    ClearMonitorStatus,
    GetMonitoringReport,
    MonitoredVariable,
    MonitoringBase,
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
from edged.domain.variables import Component, InventoryStatus, Variable, VariableFilter
from tests.fakes.site import FULL, POLICY, Site, layout

TELLING = replace(POLICY, event_records=True)
EVSE = Component("EVSE", evse=1)
POWER, STATE = Variable("Power"), Variable("AvailabilityState")
STATION_PROBLEM, CONNECTOR_PROBLEM, EVSE_STATE, LOCK_PROBLEM = 1, 1001, 2001, 3001


def open_site(connectors: int = 1, **shape: Any) -> Site:
    site = Site.build(connectors, policy=TELLING, **shape)
    site.wait(1)
    return site


def order(kind: MonitorKind = MonitorKind.DELTA, value: float = 1.0, **more: Any) -> MonitorOrder:
    fields: dict[str, Any] = {"component": EVSE, "variable": STATE, "severity": 5}
    return MonitorOrder(**{**fields, "kind": kind, "value": value, **more})


def put(site: Site, *orders: MonitorOrder) -> tuple[MonitorResult, ...]:
    site.do(SetMonitors(site.ref("SetVariableMonitoring"), orders))
    results: tuple[MonitorResult, ...] = site.reply().data
    assert [result.order for result in results] == list(orders)
    return results


def put_one(site: Site, *args: Any, **more: Any) -> int:
    (result,) = put(site, order(*args, **more))
    assert result.status is MonitorStatus.ACCEPTED, result
    assert result.id is not None
    return result.id


def status(site: Site, one: MonitorOrder) -> MonitorStatus:
    return put(site, one)[0].status


def clear(site: Site, *ids: int) -> list[ClearMonitorStatus]:
    site.do(ClearMonitors(site.ref("ClearVariableMonitoring"), ids))
    return [result.status for result in site.reply().data]


def base(site: Site, name: MonitoringBase) -> None:
    site.do(SetMonitoringBase(site.ref("SetMonitoringBase"), name))
    assert site.reply().status is InventoryStatus.ACCEPTED


def report(site: Site, *wanted: VariableFilter, criteria: tuple[MonitoringCriterion, ...] = ()) -> Any:
    """The items of the first page, or how it is refused."""
    event = GetMonitoringReport(
        request=site.ref("GetMonitoringReport"), request_id=7, criteria=frozenset(criteria), wanted=wanted
    )
    site.do(event)
    pages = [effect.question for effect in site.of(Ask) if isinstance(effect.question, ReportPage)]
    return list(pages[0].items) if pages else site.reply().status


def seen(site: Site) -> set[int]:
    items: list[MonitoredVariable] = report(site)
    return {monitor.id for item in items for monitor in item.monitors}


def test_a_station_has_its_own_monitors_where_it_has_the_hardware() -> None:
    bare = layout(2, capabilities=frozenset({Capability.WITHHOLD}))
    site = open_site(layouts=(layout(1, capabilities=FULL), bare))
    origins = {number: one.origin for number, one in site.station.monitors.items()}
    assert origins == {
        STATION_PROBLEM: Origin.PRECONFIGURED,
        CONNECTOR_PROBLEM: Origin.HARD_WIRED,
        CONNECTOR_PROBLEM + 1: Origin.HARD_WIRED,
        LOCK_PROBLEM: Origin.NOTIFICATION,
    }


def test_where_the_csms_hears_of_no_monitors_there_are_none() -> None:
    site = Site.build(1)
    site.wait(2)
    assert site.station.monitors == {}


def test_nobody_sees_or_takes_away_what_a_notification_rests_on() -> None:
    site = open_site()
    assert seen(site) == {STATION_PROBLEM, CONNECTOR_PROBLEM}
    assert clear(site, LOCK_PROBLEM) == [ClearMonitorStatus.NOT_FOUND]
    lock = Component("ConnectorPlugRetentionLock", evse=1, connector=1)
    changed = order(MonitorKind.DELTA, component=lock, variable=Variable("Problem"), id=LOCK_PROBLEM)
    assert status(site, changed) is MonitorStatus.REJECTED


@pytest.mark.req("N03.FR.03", "N03.FR.04", "N03.FR.05")
def test_a_base_brings_its_monitors_and_only_all_leaves_the_others() -> None:
    site = open_site()
    number = put_one(site)
    changed = put_one(site, severity=6, component=Component("ChargingStation"), variable=Variable("Problem"), id=1)
    assert site.station.monitors[changed].origin is Origin.CUSTOM
    base(site, MonitoringBase.ALL)
    assert seen(site) == {STATION_PROBLEM, CONNECTOR_PROBLEM, EVSE_STATE, number}
    assert site.station.monitors[changed].severity == 6
    base(site, MonitoringBase.FACTORY)
    assert seen(site) == {STATION_PROBLEM, CONNECTOR_PROBLEM}
    assert site.station.monitors[changed].origin is Origin.PRECONFIGURED
    base(site, MonitoringBase.HARD_WIRED)
    assert seen(site) == {CONNECTOR_PROBLEM}
    base(site, MonitoringBase.ALL)
    assert seen(site) == {STATION_PROBLEM, CONNECTOR_PROBLEM, EVSE_STATE}


def test_a_preconfigured_monitor_that_was_cleared_stays_away_until_a_base_is_set() -> None:
    site = open_site()
    assert clear(site, STATION_PROBLEM, CONNECTOR_PROBLEM) == [
        ClearMonitorStatus.ACCEPTED,
        ClearMonitorStatus.REJECTED,
    ]
    site.restart()
    site.wait(1)
    assert STATION_PROBLEM not in site.station.monitors
    base(site, MonitoringBase.FACTORY)
    assert STATION_PROBLEM in site.station.monitors


@pytest.mark.req("N04.FR.11", "N07.FR.13")
def test_monitors_outlive_a_power_cut_and_no_id_is_given_twice() -> None:
    site = open_site()
    first, second = put_one(site), put_one(site, MonitorKind.UPPER, 100.0, variable=POWER)
    kept = dict(site.station.monitors)
    assert clear(site, second) == [ClearMonitorStatus.ACCEPTED]
    site.restart()
    assert site.station.monitors == {number: one for number, one in kept.items() if number != second}
    site.wait(1)
    assert put_one(site, MonitorKind.LOWER, variable=POWER) == second + 1
    assert first in site.station.monitors


def test_what_the_level_and_the_base_are_outlives_a_power_cut() -> None:
    site = open_site()
    base(site, MonitoringBase.HARD_WIRED)
    site.do(SetMonitoringLevel(site.ref("SetMonitoringLevel"), 4))
    assert site.reply().status is Verdict.ACCEPTED
    site.restart()
    assert (site.station.monitoring.base, site.station.monitoring.level) == (MonitoringBase.HARD_WIRED, 4)


def test_a_monitor_whose_variable_has_gone_goes_too() -> None:
    site = open_site(2)
    gone = put_one(site, component=Component("EVSE", evse=2))
    stays = put_one(site)
    assert site.fresh is not None
    site.fresh = replace(site.fresh, connectors={1: site.fresh.connectors[1]})
    site.restart()
    site.wait(1)
    assert gone not in site.station.monitors
    assert stays in site.station.monitors
    assert CONNECTOR_PROBLEM + 1 not in site.station.monitors


@pytest.mark.req("N04.FR.03", "N04.FR.04", "N04.FR.05", "N04.FR.06", "N04.FR.10", "N04.FR.13", "N04.FR.14", "N04.FR.16")
@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (order(component=Component("Toaster")), MonitorStatus.UNKNOWN_COMPONENT),
        (order(component=Component("EVSE", evse=3)), MonitorStatus.UNKNOWN_COMPONENT),
        (order(component=Component("EVSE")), MonitorStatus.UNKNOWN_COMPONENT),
        (order(component=Component("EVSE"), variable=Variable("Crumbs")), MonitorStatus.UNKNOWN_VARIABLE),
        (order(variable=Variable("Crumbs")), MonitorStatus.UNKNOWN_VARIABLE),
        (order(MonitorKind.UPPER), MonitorStatus.UNSUPPORTED_KIND),
        (order(variable=Variable("SupplyPhases")), MonitorStatus.UNSUPPORTED_KIND),
        (order(MonitorKind.UPPER, 10**6, variable=POWER), MonitorStatus.REJECTED),
        (order(MonitorKind.LOWER, -1, variable=POWER), MonitorStatus.REJECTED),
        (order(MonitorKind.DELTA, -0.5, variable=POWER), MonitorStatus.REJECTED),
        (order(MonitorKind.PERIODIC, 0.9), MonitorStatus.REJECTED),
        (order(MonitorKind.CLOCK_ALIGNED, 90_000), MonitorStatus.REJECTED),
        (order(severity=10), MonitorStatus.REJECTED),
        (order(severity=-1), MonitorStatus.REJECTED),
        (order(id=12_345), MonitorStatus.REJECTED),
        (order(id=CONNECTOR_PROBLEM), MonitorStatus.REJECTED),
        (order(severity=4), MonitorStatus.DUPLICATE),
        (order(severity=4, component=Component("evse", evse=1)), MonitorStatus.DUPLICATE),
    ],
)
def test_an_order_that_cannot_be_is_refused_with_its_reason(one: MonitorOrder, expected: MonitorStatus) -> None:
    site = open_site()
    put_one(site, severity=4)
    before = site.station.monitors
    assert status(site, one) is expected
    assert site.station.monitors == before


@pytest.mark.req("N04.FR.12", "N04.FR.16", "N04.FR.18")
def test_a_monitor_is_replaced_only_by_one_of_its_own_variable() -> None:
    site = open_site()
    number = put_one(site)
    assert status(site, order(variable=POWER, id=number)) is MonitorStatus.REJECTED
    assert status(site, order(severity=5, value=3.0, id=number)) is MonitorStatus.ACCEPTED
    assert site.station.monitors[number].value == 3.0
    assert put_one(site, severity=6) == number + 1
    assert status(site, order(severity=6, id=number)) is MonitorStatus.DUPLICATE


def test_there_is_an_end_to_how_many_monitors_there_may_be() -> None:
    site = open_site(2)
    keys = [Variable(name) for name in ("EVConnectionTimeOut", "MaxEnergyOnInvalidId")]
    kinds = (MonitorKind.UPPER, MonitorKind.LOWER, MonitorKind.DELTA, MonitorKind.PERIODIC, MonitorKind.CLOCK_ALIGNED)
    places = [*((Component("TxCtrlr"), key) for key in keys), (EVSE, POWER), (Component("EVSE", evse=2), POWER)]
    places += [(Component("SmartChargingCtrlr"), Variable("LimitChangeSignificance"))]
    places += [(Component("OCPPCommCtrlr"), Variable("HeartbeatInterval"))]
    every = [
        order(kind, 90.0, component=component, variable=variable, severity=severity)
        for component, variable in places
        for kind in kinds
        for severity in range(10)
    ]
    accepted = [one for one in every if put(site, one)[0].status is MonitorStatus.ACCEPTED]
    assert len(accepted) == monitoring.MAX_CUSTOM
    free = order(component=Component("TxCtrlr"), variable=Variable("StopTxOnInvalidId"), severity=1)
    (result,) = put(site, free)
    assert (result.status, result.reason) == (MonitorStatus.REJECTED, Reason.OUT_OF_MEMORY)
    site.restart()
    assert len(site.station.monitors) >= monitoring.MAX_CUSTOM


@pytest.mark.req("N02.FR.06", "N02.FR.08", "N02.FR.10", "N02.FR.11", "N02.FR.12", "N02.FR.13", "N02.FR.14")
def test_a_report_holds_what_is_asked_for() -> None:
    site = open_site()
    upper = put_one(site, MonitorKind.UPPER, 100.0, variable=POWER)
    periodic = put_one(site, MonitorKind.PERIODIC, 100.0, variable=POWER)
    delta = put_one(site)

    def ids(*wanted: VariableFilter, criteria: tuple[MonitoringCriterion, ...] = ()) -> Any:
        items = report(site, *wanted, criteria=criteria)
        return items if not isinstance(items, list) else {one.id for item in items for one in item.monitors}

    assert ids(criteria=(MonitoringCriterion.THRESHOLD,)) == {upper}
    assert ids(criteria=(MonitoringCriterion.PERIODIC,)) == {periodic}
    assert ids(criteria=(MonitoringCriterion.DELTA,)) == {delta, STATION_PROBLEM, CONNECTOR_PROBLEM}
    assert ids(VariableFilter(EVSE, POWER)) == {upper, periodic}
    assert ids(VariableFilter(Component("EVSE"))) == {upper, periodic, delta}
    assert ids(VariableFilter(EVSE, POWER), criteria=(MonitoringCriterion.PERIODIC,)) == {periodic}
    assert ids(VariableFilter(EVSE, POWER), criteria=(MonitoringCriterion.DELTA,)) is InventoryStatus.EMPTY
    (power, *_rest) = [item for item in report(site) if item.variable == POWER]
    assert [one.id for one in power.monitors] == [upper, periodic]


@pytest.mark.req("N04.FR.10")
def test_a_base_brings_no_second_monitor_of_a_kind_and_severity() -> None:
    site = open_site()
    number = put_one(site, severity=8)
    base(site, MonitoringBase.ALL)
    assert (number in seen(site), EVSE_STATE in seen(site)) == (True, False)
    site.restart()
    site.wait(1)
    assert EVSE_STATE not in site.station.monitors
    clear(site, number)
    base(site, MonitoringBase.ALL)
    assert EVSE_STATE in seen(site)
