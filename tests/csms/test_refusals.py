"""When asking the CSMS again cannot help."""

from __future__ import annotations

import pytest

from edged.csms.refusals import MAX_MALFORMED, Refusals
from edged.domain.effects import FirmwareRecord, Lane
from edged.domain.files import FirmwareStatus
from edged.ocpp.outbox import OutboxRow
from edged.ocpp.rpc import ErrorCode

RECORD = FirmwareRecord(FirmwareStatus.DOWNLOADING)


def row(lane: Lane, seq: int = 1) -> OutboxRow:
    return OutboxRow(seq, lane.value, RECORD)


@pytest.mark.parametrize("lane", [Lane.NOTICE, Lane.SECURITY])
@pytest.mark.parametrize("code", [ErrorCode.NOT_IMPLEMENTED, ErrorCode.NOT_SUPPORTED])
def test_a_message_that_the_csms_does_not_have_is_given_up_at_once(lane: Lane, code: ErrorCode) -> None:
    assert Refusals().refused(row(lane), code)


@pytest.mark.req("16-J-28")
@pytest.mark.parametrize("code", list(ErrorCode))
def test_a_transactions_record_keeps_its_attempts_whatever_is_said(code: ErrorCode) -> None:
    refusals = Refusals()
    assert not any(refusals.refused(row(Lane.TRANSACTION), code) for _ in range(20))
    assert refusals.of(1) == 20


@pytest.mark.req("16-J-33")
@pytest.mark.parametrize("code", [ErrorCode.FORMAT, ErrorCode.OCCURRENCE, ErrorCode.PROPERTY, ErrorCode.TYPE])
def test_a_security_event_that_is_malformed_every_time_does_not_block_the_others_for_ever(code: ErrorCode) -> None:
    refusals = Refusals()
    said = [refusals.refused(row(Lane.SECURITY), code) for _ in range(MAX_MALFORMED)]
    assert not any(said[:-1]) and said[-1]


@pytest.mark.req("16-J-33")
@pytest.mark.parametrize("code", [ErrorCode.INTERNAL, ErrorCode.GENERIC, ErrorCode.SECURITY])
def test_a_security_event_that_may_be_taken_later_is_never_hopeless(code: ErrorCode) -> None:
    refusals = Refusals()
    assert not any(refusals.refused(row(Lane.SECURITY), code) for _ in range(100))


def test_refusals_of_a_record_that_is_gone_are_forgotten() -> None:
    refusals = Refusals()
    refusals.refused(row(Lane.NOTICE, 7), ErrorCode.INTERNAL)
    refusals.forget(7)
    assert refusals.of(7) == 0
