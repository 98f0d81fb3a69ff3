"""When monitors speak, and what the CSMS hears of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.domain import telling, watching
from edged.domain.effects import Dequeue, Enqueue, EventRecord
from edged.domain.events import BootAnswered, LinkUp, RecordDelivered, Registration, VersionAgreed
from edged.domain.hardware import ChargerState, Fault, FaultCode, LockState, Meter
from edged.domain.monitors import (
    ClearMonitors,
    EventTrigger,
    MonitorEvent,
    MonitorKind,
    MonitorOrder,
    MonitorStatus,
    Origin,
    SetMonitoringLevel,
    SetMonitors,
)
from edged.domain.policy import Trigger
from edged.domain.variables import Component, Variable
from tests.fakes.site import POLICY, Site

TELLING = replace(POLICY, event_records=True, update_triggers=frozenset(Trigger))
EVSE = Component("EVSE", evse=1)
POWER, STATE = Variable("Power"), Variable("AvailabilityState")
UPPER, LOWER, DELTA = MonitorKind.UPPER, MonitorKind.LOWER, MonitorKind.DELTA


def open_site(connectors: int = 1, **shape: Any) -> Site:
    site = Site.build(connectors, policy=TELLING, **shape)
    site.wait(1)
    return site


def put(site: Site, kind: MonitorKind = DELTA, value: float = 1.0, **more: Any) -> int:
    fields: dict[str, Any] = {"component": EVSE, "variable": POWER, "severity": 5}
    order = MonitorOrder(**{**fields, "kind": kind, "value": value, **more})
    site.do(SetMonitors(site.ref("SetVariableMonitoring"), (order,)))
    (result,) = site.reply().data
    assert result.status is MonitorStatus.ACCEPTED, result
    return int(result.id)


def draws(site: Site, power_w: float, connector: int = 1, *, state: ChargerState = ChargerState.CONNECTED) -> None:
    """What a charger measures; a second later it was looked at."""
    energy_wh = site.energy_wh.setdefault(connector, 1000.0)
    site.look(connector, state, meter=Meter(energy_wh=energy_wh, power_w=power_w))
    site.wait(1, looks=False)


def told(site: Site, number: int | None = None) -> list[MonitorEvent]:
    """Every event so far."""
    records = [effect.record for effect in site.history if isinstance(effect, Enqueue)]
    events = [event for record in records if isinstance(record, EventRecord) for event in record.events]
    return [event for event in events if number in (None, event.monitor_id)]


def values(site: Site, number: int) -> list[tuple[str, bool]]:
    return [(event.value, event.cleared) for event in told(site, number)]


def online(site: Site) -> None:
    site.do(LinkUp())
    site.do(BootAnswered(Registration.ACCEPTED, site.now.utc, 300))


# --- thresholds


@pytest.mark.req("N07.FR.02", "N07.FR.16", "N07.FR.17")
@pytest.mark.parametrize(
    ("kind", "powers", "expected"),
    [
        (UPPER, (90, 100, 101, 200, 100, 50), [("101", False), ("100", True)]),
        (LOWER, (110, 100, 99, 0, 100, 101), [("99", False), ("100", True)]),
    ],
)
def test_a_threshold_is_told_when_it_is_passed_and_when_it_no_longer_is(
    kind: MonitorKind, powers: tuple[int, ...], expected: list[tuple[str, bool]]
) -> None:
    site = open_site()
    draws(site, powers[0])
    number = put(site, kind, 100.0)
    for power_w in powers:
        draws(site, power_w)
    assert values(site, number) == expected
    assert {event.trigger for event in told(site, number)} == {EventTrigger.ALERTING}


@pytest.mark.req("N07.FR.14")
def test_an_alert_that_is_over_after_a_power_cut_is_cleared_then_and_told_once() -> None:
    site = open_site()
    number = put(site, UPPER, 100.0)
    draws(site, 500)
    site.restart()
    site.wait(1)
    assert values(site, number) == [("500", False)]
    draws(site, 500)
    online(site)
    draws(site, 500)
    assert values(site, number) == [("500", False)]
    draws(site, 20)
    assert values(site, number) == [("500", False), ("20", True)]


@pytest.mark.req("N07.FR.12")
def test_a_monitor_that_is_cleared_says_nothing_more() -> None:
    site = open_site()
    number = put(site, UPPER, 100.0)
    draws(site, 500)
    site.do(ClearMonitors(site.ref("ClearVariableMonitoring"), (number,)))
    draws(site, 20)
    assert values(site, number) == [("500", False)]


@pytest.mark.req("N07.FR.11")
def test_a_changed_threshold_is_judged_anew_and_an_alert_stays_one() -> None:
    site = open_site()
    number = put(site, UPPER, 1000.0)
    draws(site, 500)
    put(site, UPPER, 400.0, id=number)
    draws(site, 500)
    put(site, UPPER, 300.0, id=number)
    draws(site, 500)
    assert values(site, number) == [("500", False)]
    put(site, UPPER, 600.0, id=number)
    draws(site, 500)
    assert values(site, number) == [("500", False), ("500", True)]


# --- changes


@pytest.mark.req("N07.FR.18")
def test_a_number_is_told_when_it_has_moved_by_more_than_the_delta_since_it_was_told_last() -> None:
    site = open_site()
    draws(site, 100)
    number = put(site, DELTA, 50.0)
    for power_w in (150, 120, 151, 110, 102, 101, 100):
        draws(site, power_w)
    assert values(site, number) == [("151", False), ("100", False)]
    assert {event.trigger for event in told(site, number)} == {EventTrigger.DELTA}


@pytest.mark.req("N07.FR.19")
def test_a_word_is_told_whenever_it_changes_whatever_the_delta() -> None:
    site = open_site()
    number = put(site, DELTA, 100.0, variable=STATE)
    site.plug(1)
    site.wait(2)
    site.unplug(1)
    site.wait(2)
    assert values(site, number) == [("Occupied", False), ("Available", False)]


def test_nothing_is_said_of_a_charger_that_was_not_heard_since_the_start() -> None:
    site = open_site()
    number = put(site, DELTA, 1.0, variable=STATE)
    site.restart()
    site.wait(3, looks=False)
    assert told(site, number) == []
    site.look(1, ChargerState.AVAILABLE)
    site.wait(1)
    assert told(site, number) == []


def test_the_first_value_that_is_known_is_nothing_to_tell() -> None:
    site = Site.build(1, policy=TELLING, seen=False)
    number = put(site, DELTA, 10.0)
    draws(site, 5000)
    assert told(site, number) == []
    draws(site, 0)
    assert values(site, number) == [("0", False)]


# --- who may speak


@pytest.mark.req("N05.FR.03", "N07.FR.15")
def test_a_monitor_above_the_level_waits_and_then_tells_what_is_so() -> None:
    site = open_site()
    site.do(SetMonitoringLevel(site.ref("SetMonitoringLevel"), 4))
    number = put(site, DELTA, 10.0)
    draws(site, 500)
    draws(site, 700)
    assert told(site, number) == []
    site.do(SetMonitoringLevel(site.ref("SetMonitoringLevel"), 5))
    draws(site, 700)
    assert values(site, number) == [("700", False)]


@pytest.mark.req("N07.FR.04")
@pytest.mark.parametrize(("queueing", "expected"), [("5", ["500", "0"]), ("4", [])])
def test_while_the_csms_is_away_only_what_is_severe_enough_is_queued(queueing: str, expected: list[str]) -> None:
    site = open_site()
    site.set("OfflineMonitoringEventQueuingSeverity", queueing)
    number = put(site, DELTA, 10.0)
    site.offline()
    draws(site, 500)
    draws(site, 0)
    online(site)
    draws(site, 0)
    assert [event.value for event in told(site, number)] == expected


def test_while_monitoring_is_switched_off_nothing_is_told() -> None:
    site = open_site()
    site.set("MonitoringEnabled", "false")
    number = put(site, UPPER, 10.0)
    draws(site, 500)
    assert told(site, number) == []
    site.set("MonitoringEnabled", "true")
    draws(site, 500)
    assert values(site, number) == [("500", False)]


def test_a_monitor_of_transactions_speaks_in_one_only_but_for_what_it_began() -> None:
    site = open_site()
    number = put(site, UPPER, 100.0, transaction=True)
    draws(site, 500)
    assert told(site, number) == []
    site.start(1)
    transaction = site.connector(1).transaction_id
    assert transaction is not None
    draws(site, 500, state=ChargerState.CHARGING)
    site.unplug(1)
    draws(site, 0, state=ChargerState.AVAILABLE)
    assert [(event.value, event.cleared, event.transaction_id) for event in told(site, number)] == [
        ("500", False, transaction),
        ("0", True, transaction),
    ]


def test_what_follows_from_a_transactions_end_is_still_its_until_the_car_has_gone() -> None:
    site = open_site()
    number = put(site, DELTA, 10.0)
    site.start(1)
    transaction = site.connector(1).transaction_id
    draws(site, 500, state=ChargerState.CHARGING)
    site.show("ALICE", 1)
    assert site.connector(1).transaction_id is None
    draws(site, 0)
    site.unplug(1)
    site.wait(1)
    draws(site, 300, state=ChargerState.AVAILABLE)
    assert [event.transaction_id for event in told(site, number)] == [transaction, transaction, None]


# --- how much


def test_a_value_that_flutters_floods_nobody_and_its_last_word_is_told() -> None:
    site = open_site()
    number = put(site, UPPER, 100.0)
    for _ in range(25):
        draws(site, 500)
        draws(site, 0)
    draws(site, 500)
    assert len(told(site, number)) == watching.MAX_A_MINUTE
    for _ in range(60):
        draws(site, 500)
    assert len(told(site, number)) == watching.MAX_A_MINUTE + 1
    assert values(site, number)[-1] == ("500", False)
    assert site.station.monitors[number].alerted


def test_what_one_look_finds_is_told_in_one_message_with_ids_that_rise() -> None:
    site = open_site()
    for severity in range(10):
        put(site, UPPER, 100.0, severity=severity)
    for severity in range(10):
        put(site, DELTA, 10.0, severity=severity)
    put(site, LOWER, 1.0)
    site.outbox.clear()
    draws(site, 500)
    (record,) = [one for one in site.outbox.values() if isinstance(one, EventRecord)]
    assert len(record.events) == telling.EVENTS_A_MESSAGE
    ids = [event.id for event in told(site)]
    assert ids == list(range(1, len(ids) + 1))
    site.restart()
    online(site)
    draws(site, 0)
    assert [event.id for event in told(site)] == list(range(1, len(told(site)) + 1))


def test_there_is_an_end_to_the_queue_and_the_least_severe_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "MAX_QUEUED", 4)
    site = open_site()
    loud = put(site, DELTA, 10.0, severity=2)
    put(site, MonitorKind.PERIODIC, 1.0, severity=8)
    site.offline()
    draws(site, 0)
    first = min(site.station.event_queue)
    draws(site, 500)
    for _ in range(10):
        draws(site, 500)
    draws(site, 0)
    queue = site.station.event_queue
    assert (len(queue), min(queue)) == (4, first)
    assert {seq: record for seq, record in site.outbox.items() if isinstance(record, EventRecord)} == queue
    assert [e.value for record in queue.values() for e in record.events if e.monitor_id == loud] == ["500", "0"]
    announced = [effect for effect in site.history if getattr(effect, "kind", "") == "monitoring.events_dropped"]
    assert len(announced) == 1
    again = dict(queue)
    site.restart()
    assert site.station.event_queue == again


def test_a_message_that_was_taken_leaves_the_queue() -> None:
    site = open_site()
    put(site, DELTA, 10.0)
    draws(site, 500)
    ((seq, record),) = site.station.event_queue.items()
    site.do(RecordDelivered(seq, record))
    assert site.of(Dequeue) == [Dequeue(seq)]
    assert site.station.event_queue == {}


# --- by time


@pytest.mark.req("N08.FR.05", "N08.FR.06")
def test_a_periodic_monitor_speaks_after_each_interval_since_it_was_set() -> None:
    site = open_site()
    number = put(site, MonitorKind.PERIODIC, 5.0)
    counts = []
    for _ in range(16):
        draws(site, 42)
        counts.append(len(told(site, number)))
    assert counts == [0] * 4 + [1] * 5 + [2] * 5 + [3] * 2
    assert {(event.trigger, event.value) for event in told(site, number)} == {(EventTrigger.PERIODIC, "42")}


@pytest.mark.req("N08.FR.07")
def test_a_clock_aligned_monitor_speaks_when_an_interval_of_the_day_begins() -> None:
    site = open_site()
    number = put(site, MonitorKind.CLOCK_ALIGNED, 900.0)
    moments = []
    for _ in range(1900):
        before = len(told(site, number))
        site.wait(1)
        if len(told(site, number)) > before:
            moments.append(site.now.utc.strftime("%H:%M:%S"))
    assert moments == ["12:15:00", "12:30:00"]


def test_a_clock_that_nobody_trusts_has_no_intervals() -> None:
    site = Site.build(1, policy=TELLING, online=False, synchronized=False)
    number = put(site, MonitorKind.CLOCK_ALIGNED, 2.0)
    site.wait(7)
    assert told(site, number) == []


# --- faults and locks


@pytest.mark.req("G05.FR.02", "N07.FR.05")
@pytest.mark.parametrize("seen", [{"lock": LockState.JAMMED}, {"faults": (Fault(FaultCode.CONNECTOR_LOCK, "E7"),)}])
def test_a_lock_that_fails_is_told_first_and_what_follows_from_it_names_it(seen: dict[str, Any]) -> None:
    site = open_site(2)
    site.do(SetMonitoringLevel(site.ref("SetMonitoringLevel"), 2))
    site.look(2, ChargerState.CONNECTED, **seen)
    site.wait(1, looks=False)
    lock, problem = told(site)
    assert (lock.component, lock.origin) == (
        Component("ConnectorPlugRetentionLock", evse=2, connector=1),
        Origin.NOTIFICATION,
    )
    assert (lock.variable.name, lock.value, lock.trigger, lock.monitor_id) == (
        *("Problem", "true"),
        *(EventTrigger.ALERTING, None),
    )
    assert lock.tech_code == ("E7" if "faults" in seen else "ConnectorLockFailure")
    assert (problem.component, problem.origin) == (Component("Connector", evse=2, connector=1), Origin.HARD_WIRED)
    assert problem.cause == lock.id
    site.look(2, ChargerState.CONNECTED)
    site.wait(1, looks=False)
    assert [(event.component.name, event.value, event.cleared) for event in told(site)[2:]] == [
        ("ConnectorPlugRetentionLock", "false", True),
        ("Connector", "false", False),
    ]


def test_a_lock_that_fails_is_told_whatever_the_level_the_line_and_the_switch() -> None:
    site = open_site()
    site.set("MonitoringEnabled", "false")
    site.do(SetMonitoringLevel(site.ref("SetMonitoringLevel"), 0))
    site.set("OfflineMonitoringEventQueuingSeverity", "0")
    site.offline()
    site.look(1, ChargerState.CONNECTED, lock=LockState.JAMMED)
    site.wait(1, looks=False)
    assert [event.origin for event in told(site)] == [Origin.NOTIFICATION]


def test_a_fault_that_is_there_at_the_first_start_is_told() -> None:
    site = Site.build(1, policy=TELLING, seen=False)
    site.look(1, ChargerState.FAULTED, faults=(Fault(FaultCode.GROUND, "RCD", "6 mA"),))
    site.wait(1, looks=False)
    connector = next(event for event in told(site) if event.component.name == "Connector")
    assert (connector.value, connector.tech_code, connector.tech_info) == ("true", "RCD", "GroundFailure: 6 mA")


def test_where_the_csms_takes_no_events_nothing_is_looked_at_and_later_what_is_so_is_told() -> None:
    site = open_site()
    number = put(site, UPPER, 100.0)
    site.do(VersionAgreed(POLICY, {}))
    online(site)
    draws(site, 500)
    assert told(site) == []
    site.do(VersionAgreed(TELLING, {}))
    online(site)
    draws(site, 500)
    assert values(site, number) == [("500", False)]


# --- whatever happens

MOVES = st.sampled_from(
    ["none", "draws 0", "draws 100", "draws 101", "draws 900", "offline", "online", "restart", "level 3", "level 9"]
)


def passed(kind: MonitorKind, watts: float) -> bool:
    return watts > 100 if kind is UPPER else watts < 100


@given(moves=st.lists(MOVES, max_size=25), kind=st.sampled_from([UPPER, LOWER]))
@settings(max_examples=60, deadline=None)
def test_an_alert_and_its_end_take_turns_whatever_happens(moves: list[str], kind: MonitorKind) -> None:
    site = open_site()
    number = put(site, kind, 100.0)
    site.set("OfflineMonitoringEventQueuingSeverity", "4")
    power_w = 0
    for move in moves:
        match move.split():
            case ["draws", watts]:
                power_w = int(watts)
            case ["level", severity]:
                site.do(SetMonitoringLevel(site.ref("SetMonitoringLevel"), int(severity)))
            case ["restart"]:
                site.restart()
            case ["offline"]:
                site.offline()
            case ["online"]:
                online(site)
            case _:
                pass
        draws(site, power_w)
    events = told(site, number)
    assert [event.cleared for event in events] == [bool(n % 2) for n in range(len(events))]
    assert [event.id for event in told(site)] == sorted({event.id for event in told(site)})
    assert all(passed(kind, float(event.value)) is not event.cleared for event in events)
    online(site)
    site.do(SetMonitoringLevel(site.ref("SetMonitoringLevel"), 9))
    site.wait(61, looks=False)
    draws(site, power_w)
    assert site.station.monitors[number].alerted is passed(kind, power_w)
    assert len(told(site, number)) % 2 == int(passed(kind, power_w))


# --- floods


def messages(site: Site) -> int:
    return sum(isinstance(effect, Enqueue) and isinstance(effect.record, EventRecord) for effect in site.history)


def test_however_short_the_periods_are_little_is_written_in_the_long_run() -> None:
    site = open_site()
    for severity in range(10):
        put(site, MonitorKind.PERIODIC, 1.0, severity=severity)
    site.wait(600)
    assert watching.BURST < messages(site) <= 2 * watching.BURST + 600 / watching.RECOVERY_S


def test_what_must_wait_for_others_is_told_as_soon_as_it_may() -> None:
    site = open_site()
    chatter = put(site, MonitorKind.PERIODIC, 1.0, severity=9)
    site.wait(60)
    change = put(site, DELTA, 10.0, severity=8)
    for _ in range(int(watching.RECOVERY_S) + 1):
        draws(site, 500)
    assert values(site, change) == [("500", False)]
    assert len(told(site, chatter)) < 60


def test_chatter_does_not_keep_what_is_critical_from_being_told_at_once() -> None:
    site = open_site()
    put(site, MonitorKind.PERIODIC, 1.0, severity=9)
    alarm = put(site, UPPER, 100.0, severity=watching.CRITICAL_SEVERITY)
    site.wait(60)
    draws(site, 500)
    assert values(site, alarm) == [("500", False)]


def test_messages_with_many_events_fill_the_queue_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "MAX_QUEUED_EVENTS", 30)
    site = open_site()
    for severity in range(10):
        put(site, DELTA, 10.0, severity=severity)
    site.offline()
    for power_w in (500, 0, 500, 0, 500):
        draws(site, power_w)
    assert sum(len(record.events) for record in site.station.event_queue.values()) == 30
