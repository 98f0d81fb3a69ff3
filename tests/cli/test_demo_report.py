"""The demo's table and accounts: what counts as success, and what turns an order wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edged.cli.demo import report
from edged.cli.demo.accounts import Totals, faults_in_order
from edged.cli.demo.ink import Ink
from edged.cli.demo.places import STATION
from edged.cli.demo.step import Evidence, Outcome, Verdict
from edged.cli.demo.witness import Witness
from edged.simulator.csms import Csms
from edged.simulator.csms_answers import RunningTransaction
from edged.simulator.csms_record import Direction, Frame, Kind

TOTALS = Totals(
    transactions=2,
    energy_wh=120.0,
    from_station=20,
    to_station=4,
    published=99,
    events=40,
    violations=(),
    proof=(),
)
SEEN = Evidence(witness=Witness.CSMS, expects="Accepted", words="ReserveNow answered Accepted", ok=True)
NOT_SEEN = Evidence(witness=Witness.HARDWARE, expects="contactor closed", words="contactor open", ok=False)
OK = Outcome(chapter="First", sentence="reserved", verdict=Verdict.OK, seconds=1.25, evidence=(SEEN,))
FAILED = replace(OK, chapter="Second", verdict=Verdict.FAILED, evidence=(SEEN, NOT_SEEN), trouble="")
NO_BROKER = replace(OK, verdict=Verdict.NO_BROKER, evidence=())
NOT_TRIED = replace(OK, verdict=Verdict.NOT_TRIED, evidence=())


def text(*outcomes: Outcome, totals: Totals = TOTALS, columns: int = 80) -> str:
    return "\n".join(report.table(outcomes, totals, columns=columns, ink=Ink()))


# --- success


@pytest.mark.parametrize(
    ("outcomes", "totals", "success"),
    [
        ((OK, OK), TOTALS, True),
        ((OK, NO_BROKER), TOTALS, True),
        ((OK, FAILED), TOTALS, False),
        ((OK, NOT_TRIED), TOTALS, False),
        ((), TOTALS, False),
        ((OK,), replace(TOTALS, violations=("a frame is no OCPP-J message",)), False),
        ((OK,), replace(TOTALS, proof=("transaction 1 was stopped 2 times",)), False),
    ],
)
def test_success_is_every_step_and_right_accounts(outcomes: tuple[Outcome, ...], totals: Totals, success: bool) -> None:
    assert report.succeeded(outcomes, totals) is success


# --- the table


def test_a_row_has_verdict_seconds_sentence_and_evidence() -> None:
    assert "ok             1.2  reserved" in text(OK)
    assert "CSMS: ReserveNow answered Accepted" in text(OK)


def test_chapters_are_numbered_and_named_once() -> None:
    told = text(OK, OK, FAILED)
    assert told.count("1. First") == 1 and told.count("2. Second") == 1


def test_a_failed_row_says_what_was_expected_and_seen() -> None:
    told = text(FAILED)
    assert "FAILED" in told and "hardware: expected contactor closed; saw contactor open" in told
    assert "CSMS: saw ReserveNow answered Accepted" in told


def test_a_step_without_a_broker_is_not_shown_as_passed() -> None:
    told = text(OK, NO_BROKER)
    assert "no broker" in told and "1 ok, 1 no broker" in told


def test_totals_name_what_is_wrong_with_the_order_and_the_protocol() -> None:
    told = text(OK, totals=replace(TOTALS, violations=("StartTransaction breaks its schema",), proof=("told twice",)))
    assert "violation: StartTransaction breaks its schema" in told and "order: told twice" in told
    assert "not everything happened" in told


def test_totals_count_messages_and_events_or_say_that_there_was_no_broker() -> None:
    assert "mqtt: 99 messages, 40 events, each counted once" in text(OK)
    assert "mqtt: no broker" in text(NO_BROKER, totals=replace(TOTALS, published=None, events=None))


def test_lines_stay_within_the_terminal() -> None:
    long = replace(OK, sentence="word " * 60, evidence=(replace(SEEN, words="seen " * 100),))
    assert max(len(line) for line in text(long, columns=80).splitlines()) <= 80


def test_nothing_unprintable_reaches_the_terminal() -> None:
    nasty = replace(OK, evidence=(replace(SEEN, words="\x1b[2Jboo"),))
    assert "\x1b" not in text(nasty)


def test_the_document_has_a_step_for_each_outcome_and_the_totals() -> None:
    document = report.document((OK, FAILED), TOTALS, seed=7, speed=30.0)
    assert document["ok"] is False and document["seed"] == 7
    assert [step["result"] for step in document["steps"]] == ["ok", "FAILED"]
    assert document["steps"][1]["evidence"][1] == {
        "witness": "hardware",
        "expected": "contactor closed",
        "seen": "contactor open",
        "ok": False,
    }
    assert document["totals"]["transactions"] == 2


# --- the proof of order


class Told:
    """A CSMS that was told certain things, without a wire."""

    def __init__(self) -> None:
        self.csms = Csms()

    def _add(self, direction: Direction, kind: Kind, message_id: str, action: str, payload: dict[str, Any]) -> None:
        record = self.csms.record
        record.add(
            Frame(
                index=record.next_index(),
                at_s=0.0,
                station=STATION,
                connection=1,
                direction=direction,
                kind=kind,
                message_id=message_id,
                action=action,
                payload=payload,
                raw="",
            )
        )

    def start(self, number: int, minute: int, *, again: bool = False) -> Told:
        payload = {"connectorId": 1, "idTag": "ALICE", "meterStart": 0, "timestamp": f"2026-08-22T10:{minute:02}:00Z"}
        message_id = f"start-{number}{'-again' if again else ''}"
        self._add(Direction.RECEIVED, Kind.CALL, message_id, "StartTransaction", payload)
        self._add(Direction.SENT, Kind.RESULT, message_id, "StartTransaction", {"transactionId": number})
        self.csms.answers.transactions[number] = RunningTransaction(
            transaction_id=number, station=STATION, started=payload
        )
        return self

    def stop(self, number: int, minute: int) -> Told:
        payload = {"transactionId": number, "meterStop": 10, "timestamp": f"2026-08-22T10:{minute:02}:00Z"}
        self._add(Direction.RECEIVED, Kind.CALL, f"stop-{number}-{minute}", "StopTransaction", payload)
        return self

    def meter(self, number: int) -> Told:
        payload: dict[str, Any] = {"connectorId": 1, "transactionId": number, "meterValue": []}
        self._add(Direction.RECEIVED, Kind.CALL, f"meter-{number}", "MeterValues", payload)
        return self


def test_transactions_that_start_and_stop_once_in_order_are_right() -> None:
    told = Told().start(1, 0).meter(1).start(2, 1).stop(1, 2).meter(2).stop(2, 3)
    assert faults_in_order(told.csms) == []


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        (Told().start(1, 0), "transaction 1 was stopped 0 times"),
        (Told().start(1, 0).stop(1, 1).stop(1, 2), "transaction 1 was stopped 2 times"),
        (Told().stop(1, 0), "StopTransaction of 1 before its start"),
        (Told().meter(1), "MeterValues of 1 before its start"),
        (Told().start(1, 0).stop(1, 1).meter(1), "MeterValues of 1 after its stop"),
        (Told().start(1, 5).start(2, 3).stop(1, 6).stop(2, 6), "StartTransaction of 2 is older"),
        (Told().start(1, 0).start(2, 0, again=True).stop(1, 1).stop(2, 1), "the same start came 2 times"),
    ],
    ids=["never stopped", "stopped twice", "stop alone", "values alone", "values late", "out of order", "told twice"],
)
def test_each_fault_in_the_order_is_named(told: Told, fault: str) -> None:
    assert any(fault in sentence for sentence in faults_in_order(told.csms))
