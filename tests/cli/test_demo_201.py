"""The demo's accounts and witnesses of OCPP 2.0.1: what they must notice. Each record is written by hand."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from edged.cli.demo import accounts, claims_201
from edged.cli.demo.accounts_201 import energy_wh, faults_in_order
from edged.cli.demo.places import GATE, HALL, PLACES, STATION
from edged.cli.demo.stage import Options, Stage
from edged.cli.demo.step import Chapter, Claim, Seen
from edged.cli.demo.story_201 import INVENTORY, LIMITED, SWITCH, TOLD_LATER
from edged.simulator.csms_record import Direction, Frame, Kind
from edged.simulator.csms_transactions import TransactionView

NAME = "a-transaction"
NUMBERS = count(1)


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A stage on which nothing has been started."""
    stage = Stage(Options(speed=1.0, seed=1, broker=False))
    yield stage
    shutil.rmtree(stage.directory)


def tell(stage: Stage, action: str, **payload: Any) -> None:
    """The CSMS hears this from the station."""
    record = stage.csms.record
    record.add(
        Frame(
            index=record.next_index(),
            at_s=0.0,
            station=STATION,
            connection=1,
            direction=Direction.RECEIVED,
            kind=Kind.CALL,
            message_id=f"m{next(NUMBERS)}",
            action=action,
            payload=payload,
            raw="",
        )
    )


def event(stage: Stage, kind: str, seq_no: int, *, second: int = 0, wh: float | None = None, **more: Any) -> None:
    """A TransactionEvent of the one transaction, which is in the hall."""
    stage.csms.transactions[NAME] = TransactionView(transaction_id=NAME, station=STATION, evse=HALL.evse)
    if wh is not None:
        more["meterValue"] = [{"timestamp": "-", "sampledValue": [{"value": wh}, {"value": 1.0, "measurand": "SoC"}]}]
    tell(
        stage,
        "TransactionEvent",
        eventType=kind,
        seqNo=seq_no,
        triggerReason="Trigger",
        timestamp=f"2026-08-22T10:00:{second:02}.000Z",
        transactionInfo={"transactionId": NAME},
        **more,
    )


def look(chapter: Chapter, expects: str, stage: Stage) -> Seen:
    """What a claim of a chapter sees."""
    found: Claim = next(one for step in chapter.steps for one in step.claims if expects in one.expects)
    return found.look(stage)


# --- the accounts


def test_a_transaction_told_whole_and_in_order_is_right(stage: Stage) -> None:
    event(stage, "Started", 0, second=1, wh=100)
    event(stage, "Updated", 1, second=1, wh=140)
    event(stage, "Ended", 2, second=3, wh=150)
    assert faults_in_order(stage.csms) == []
    assert accounts.count(stage.csms) == 1
    assert energy_wh(stage.csms, HALL) == (1, 50.0)
    assert energy_wh(stage.csms, GATE) == (0, 0.0)


@pytest.mark.parametrize(
    ("events", "fault"),
    [
        ([("Started", 0, 1)], "was ended 0 times"),
        ([("Updated", 0, 1), ("Ended", 1, 2)], "was started 0 times"),
        ([("Started", 0, 1), ("Ended", 1, 2), ("Ended", 2, 3)], "was ended 2 times"),
        ([("Started", 0, 1), ("Started", 1, 2), ("Ended", 2, 3)], "was started 2 times"),
        ([("Started", 0, 1), ("Ended", 1, 2), ("Updated", 2, 3)], "was ended 1 times"),
        ([("Started", 0, 1), ("Ended", 2, 2)], "has the seqNos [0, 2]"),
        ([("Started", 1, 1), ("Ended", 2, 2)], "has the seqNos [1, 2]"),
        ([("Started", 0, 5), ("Ended", 1, 2)], "goes back in time"),
    ],
)
def test_each_fault_in_the_order_is_named(stage: Stage, events: list[tuple[str, int, int]], fault: str) -> None:
    for kind, seq_no, second in events:
        event(stage, kind, seq_no, second=second)
    assert any(fault in sentence for sentence in accounts.all_faults(stage.csms))


# --- the witnesses


def test_an_event_of_another_place_or_before_the_step_is_not_the_one_meant(stage: Stage) -> None:
    event(stage, "Started", 0)
    assert claims_201.event(HALL, eventType="Started").look(stage).ok
    assert not claims_201.event(GATE, eventType="Started").look(stage).ok
    assert not claims_201.event(HALL, eventType="Ended").look(stage).ok
    stage.begin()
    assert not claims_201.event(HALL, eventType="Started").look(stage).ok


def test_the_last_status_of_an_evse_counts(stage: Stage) -> None:
    tell(stage, "StatusNotification", evseId=HALL.evse, connectorId=1, connectorStatus="Reserved")
    assert claims_201.status_now(HALL, "Reserved").look(stage).ok
    tell(stage, "StatusNotification", evseId=HALL.evse, connectorId=1, connectorStatus="Available")
    tell(stage, "StatusNotification", evseId=GATE.evse, connectorId=1, connectorStatus="Reserved")
    assert not claims_201.status_now(HALL, "Reserved").look(stage).ok


def page(stage: Stage, seq_no: int, *, more: bool, entries: int = 80) -> None:
    data = [{"component": {"name": "EVSE", "evse": {"id": 1 + number % len(PLACES)}}} for number in range(entries)]
    tell(stage, "NotifyReport", requestId=INVENTORY, seqNo=seq_no, tbc=more, reportData=data)


@pytest.mark.parametrize(
    ("pages", "whole"),
    [
        ([(0, True, 80), (1, False, 80)], True),
        ([(0, True, 80), (1, True, 80)], False),
        ([(0, True, 80), (2, False, 80)], False),
        ([(0, False, 80), (1, False, 80)], False),
        ([(0, False, 80)], False),
        ([(0, True, 200), (1, False, 3)], True),
        ([], False),
    ],
)
def test_a_report_is_whole_when_all_its_pages_have_come(
    stage: Stage, pages: list[tuple[int, bool, int]], whole: bool
) -> None:
    for seq_no, more, entries in pages:
        page(stage, seq_no, more=more, entries=entries)
    assert look(SWITCH, "all pages", stage).ok is whole


@pytest.mark.parametrize(
    ("told", "ok"),
    [
        ([(7, 6900.0, {})], True),
        ([], False),
        ([(7, 9000.0, {})], False),
        ([(8, 6900.0, {})], False),
        ([(7, 6900.0, {}), (7, 6800.0, {})], False),
        ([(7, 6900.0, {"cleared": True})], False),
    ],
)
def test_an_alert_counts_once_from_its_monitor_and_below_its_limit(
    stage: Stage, told: list[tuple[int, float, dict[str, Any]]], ok: bool
) -> None:
    stage.notes["monitor"] = 7
    for monitor, watt, more in told:
        one = {"variableMonitoringId": monitor, "trigger": "Alerting", "actualValue": str(watt), **more}
        tell(stage, "NotifyEvent", eventData=[one])
    assert look(LIMITED, "one alert", stage).ok is ok


def test_an_end_that_is_told_with_the_time_of_its_telling_is_noticed(stage: Stage) -> None:
    stage.notes.update(transaction=NAME, left="2026-08-22T10:00:10.000Z")
    event(stage, "Started", 0)
    event(stage, "Ended", 1, second=30, offline=True)
    assert not look(TOLD_LATER, "Ended", stage).ok
    event(stage, "Ended", 1, second=9, offline=True)
    assert look(TOLD_LATER, "Ended", stage).ok


def test_a_number_that_is_missing_is_noticed(stage: Stage) -> None:
    stage.notes["transaction"] = NAME
    event(stage, "Started", 0)
    event(stage, "Ended", 1, offline=True)
    assert look(TOLD_LATER, "seqNo without a gap", stage).ok
    event(stage, "Ended", 3, offline=True)
    assert not look(TOLD_LATER, "seqNo without a gap", stage).ok
