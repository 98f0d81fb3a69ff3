from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.dialects.v16.answers import decode_authorization, decode_notice_answer, decode_record_answer
from edged.domain.effects import MeterRecord, NoticeKind, Notify, Record, RecordKind, TransactionRecord
from edged.domain.events import BootAnswered, BootFailed, RecordDelivered, Registration, TimeTold, TokenAnswered
from edged.domain.policy import Trigger
from edged.domain.types import AuthorizationStatus, IdToken, IdTokenInfo, Phase, Stamp

NOON = datetime(2025, 6, 1, 12, 0, 0, tzinfo=UTC)
ACCEPTED = IdTokenInfo(AuthorizationStatus.ACCEPTED)
BOOT = Notify(NoticeKind.BOOT)


def _record(kind: RecordKind) -> TransactionRecord:
    return TransactionRecord(
        kind=kind,
        transaction_id="tx1",
        connector=1,
        trigger=Trigger.AUTHORIZED,
        seq_no=0,
        at=Stamp(NOON, True, "boot1"),
        offline=False,
        phase=Phase.CHARGING,
    )


STARTED, UPDATED, ENDED = (_record(kind) for kind in (RecordKind.STARTED, RecordKind.UPDATED, RecordKind.ENDED))
METER = MeterRecord(1, ())


# --- records


@pytest.mark.parametrize(("wire", "reference"), [(42, 42), (0, 0), (-3, -3), (7.0, 7)])
def test_a_start_gets_its_reference_and_its_judgement(wire: Any, reference: int) -> None:
    payload = {"transactionId": wire, "idTagInfo": {"status": "Accepted"}}
    assert decode_record_answer(5, STARTED, payload) == RecordDelivered(5, STARTED, reference, ACCEPTED)


@pytest.mark.parametrize("wire", [None, "42", True, 1.5, 2**63, float("nan"), [42]])
def test_a_start_without_a_readable_reference_has_failed(wire: Any) -> None:
    assert decode_record_answer(5, STARTED, {"transactionId": wire, "idTagInfo": {"status": "Accepted"}}) is None


def test_a_start_without_any_reference_has_failed() -> None:
    assert decode_record_answer(5, STARTED, {"idTagInfo": {"status": "Accepted"}}) is None


@pytest.mark.parametrize("info", [None, "Accepted", {}, {"status": 1}])
def test_a_start_without_a_readable_judgement_is_delivered_all_the_same(info: Any) -> None:
    payload = {"transactionId": 42, "idTagInfo": info}
    assert decode_record_answer(5, STARTED, payload) == RecordDelivered(5, STARTED, 42, None)


def test_an_end_may_bring_a_judgement() -> None:
    payload = {"idTagInfo": {"status": "Blocked"}}
    info = IdTokenInfo(AuthorizationStatus.BLOCKED)
    assert decode_record_answer(5, ENDED, payload) == RecordDelivered(5, ENDED, None, info)


@pytest.mark.parametrize("record", [ENDED, UPDATED, METER])
def test_the_others_need_nothing_and_mind_nothing(record: Record) -> None:
    assert decode_record_answer(5, record, {}) == RecordDelivered(5, record)
    assert decode_record_answer(5, record, {"transactionId": 9, "vendor": []}) == RecordDelivered(5, record)


@pytest.mark.parametrize("record", [STARTED, UPDATED, ENDED, METER])
@pytest.mark.parametrize("payload", [None, [], "ok", 1])
def test_an_answer_that_is_no_object_is_a_failure(record: Record, payload: Any) -> None:
    assert decode_record_answer(5, record, payload) is None


# --- judgements


WORDS_OF_16 = ("Accepted", "Blocked", "ConcurrentTx", "Expired", "Invalid")


@pytest.mark.parametrize("status", [AuthorizationStatus(word) for word in WORDS_OF_16])
@pytest.mark.parametrize("change", [str.lower, str])
def test_each_judgement_is_read(status: AuthorizationStatus, change: Any) -> None:
    payload = {"idTagInfo": {"status": change(status.value)}}
    assert decode_authorization("t", payload) == TokenAnswered("t", IdTokenInfo(status))


def test_a_judgement_has_a_group_and_an_end() -> None:
    info = {"status": "Accepted", "parentIdTag": "Family", "expiryDate": "2025-06-01T14:00:00+02:00", "extra": 1}
    assert decode_authorization("t", {"idTagInfo": info}).info == IdTokenInfo(
        AuthorizationStatus.ACCEPTED, IdToken("Family"), NOON
    )


@pytest.mark.parametrize("word", sorted(set(AuthorizationStatus) - set(WORDS_OF_16)))
def test_a_word_that_1_6_does_not_have_is_a_no(word: str) -> None:
    answered = decode_authorization("t", {"idTagInfo": {"status": word}})
    assert answered.info == IdTokenInfo(AuthorizationStatus.INVALID)


@pytest.mark.parametrize("parent", ["", "P" * 21, None, 7, ["Family"]])
def test_a_group_that_is_no_tag_is_none(parent: Any) -> None:
    answered = decode_authorization("t", {"idTagInfo": {"status": "Accepted", "parentIdTag": parent}})
    assert answered.info == ACCEPTED


def test_an_end_that_cannot_be_read_is_none() -> None:
    answered = decode_authorization("t", {"idTagInfo": {"status": "Accepted", "expiryDate": "never"}})
    assert answered.info == ACCEPTED


@pytest.mark.parametrize("payload", [None, [], {}, {"idTagInfo": []}, {"idTagInfo": {"status": None}}])
def test_an_authorization_that_cannot_be_read_is_no_answer(payload: Any) -> None:
    assert decode_authorization("t", payload) == TokenAnswered("t", None)


# --- boot and heartbeat


@pytest.mark.parametrize("status", [Registration.ACCEPTED, Registration.PENDING, Registration.REJECTED])
def test_each_registration_is_read(status: Registration) -> None:
    payload = {"status": status.value, "currentTime": "2025-06-01T12:00:00Z", "interval": 300, "vendor": "x"}
    assert decode_notice_answer(BOOT, payload) == BootAnswered(status, NOON, 300)


@pytest.mark.parametrize(
    ("interval", "seconds"), [(0, 0), (-5, 0), (None, 0), ("300", 0), (300.0, 300), (10**9, 86_400), (True, 0)]
)
def test_an_interval_is_between_nothing_and_a_day(interval: Any, seconds: int) -> None:
    payload = {"status": "Accepted", "currentTime": "2025-06-01T12:00:00Z", "interval": interval}
    assert decode_notice_answer(BOOT, payload) == BootAnswered(Registration.ACCEPTED, NOON, seconds)


def test_a_boot_whose_time_cannot_be_read_is_answered() -> None:
    payload = {"status": "Accepted", "currentTime": "now", "interval": 60}
    assert decode_notice_answer(BOOT, payload) == BootAnswered(Registration.ACCEPTED, None, 60)


@pytest.mark.parametrize("payload", [None, [], {}, {"status": "None"}, {"status": "Maybe"}, {"status": 1}])
def test_a_boot_without_a_readable_registration_has_failed(payload: Any) -> None:
    assert decode_notice_answer(BOOT, payload) == BootFailed()


def test_a_heartbeat_tells_the_time() -> None:
    payload = {"currentTime": "2025-06-01T12:00:00.000Z"}
    assert decode_notice_answer(Notify(NoticeKind.HEARTBEAT), payload) == TimeTold(NOON)


@pytest.mark.parametrize("payload", [None, {}, {"currentTime": 5}])
def test_a_heartbeat_without_a_time_tells_nothing(payload: Any) -> None:
    assert decode_notice_answer(Notify(NoticeKind.HEARTBEAT), payload) is None


@pytest.mark.parametrize("kind", [NoticeKind.STATUS, NoticeKind.METER])
def test_the_answers_to_other_notices_mean_nothing(kind: NoticeKind) -> None:
    assert decode_notice_answer(Notify(kind), {"currentTime": "2025-06-01T12:00:00Z"}) is None


# --- anything at all

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["transactionId", "idTagInfo", "status", "currentTime", "interval", "parentIdTag", "expiryDate"]
)
ANSWERS = JSON | st.dictionaries(NAMES, JSON | st.dictionaries(NAMES, JSON, max_size=3), max_size=4)


@settings(max_examples=300)
@given(ANSWERS)
def test_no_answer_is_too_strange_to_be_read(payload: Any) -> None:
    for record in (STARTED, UPDATED, ENDED, METER):
        assert isinstance(decode_record_answer(1, record, payload), RecordDelivered | None)
    assert isinstance(decode_authorization("t", payload), TokenAnswered)
    for kind in NoticeKind:
        decode_notice_answer(Notify(kind), payload)
