"""What another master asks, as far as its frames are heard."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edged.chargers.modbus import Read, Table, Write, rtu_frame
from edged.chargers.overhearing import ANSWERED_WITHIN_S, MAX_OPEN, Overhearing, frame_length

ASKED = rtu_frame(1, Read(table=Table.HOLDING, address=100, count=2).pdu)
ANSWERED = rtu_frame(1, b"\x03\x04\0\1\0\2")
WROTE_ONE = rtu_frame(1, Write(table=Table.HOLDING, address=5, values=(7,)).pdu)
WROTE_SEVERAL = rtu_frame(1, Write(table=Table.HOLDING, address=5, values=(7, 8), multiple=True).pdu)
WROTE_SEVERAL_ECHO = rtu_frame(1, b"\x10\0\x05\0\x02")


def is_open(data: bytes, function: int = 3, unit_id: int = 1, *, at: float = 10.0) -> bool:
    others = Overhearing()
    others.heard(data, 10.0)
    return others.is_asked_by_another(unit_id, function, at)


def test_a_request_is_open_until_its_reply_is_heard_or_cannot_come_any_more() -> None:
    assert is_open(ASKED)
    assert not is_open(ASKED + ANSWERED)
    assert not is_open(ASKED + rtu_frame(1, b"\x83\x02"))
    assert is_open(ASKED, at=10 + ANSWERED_WITHIN_S - 0.01)
    assert not is_open(ASKED, at=10 + ANSWERED_WITHIN_S + 0.01)


def test_only_that_unit_and_function_is_meant() -> None:
    assert not is_open(ASKED, function=4)
    assert not is_open(ASKED, unit_id=2)
    assert is_open(ASKED + rtu_frame(2, b"\x03\x04\0\1\0\2"))


def test_of_two_equal_writes_the_second_is_the_reply() -> None:
    assert is_open(WROTE_ONE, function=6)
    assert not is_open(WROTE_ONE + WROTE_ONE, function=6)


def test_a_write_of_several_is_told_from_its_reply() -> None:
    assert is_open(WROTE_SEVERAL, function=16)
    assert not is_open(WROTE_SEVERAL + WROTE_SEVERAL_ECHO, function=16)
    assert not is_open(WROTE_SEVERAL_ECHO, function=16)


def test_a_reply_that_may_be_ours_closes_nothing() -> None:
    others = Overhearing()
    others.expect_ours(1, 3, sent_at=9.5, until=10.5)
    others.heard(ASKED + ANSWERED, 10.0)
    assert others.is_asked_by_another(1, 3, 10.1)
    others.heard(ANSWERED, 10.6)
    assert not others.is_asked_by_another(1, 3, 10.6)


def test_a_reply_to_us_that_nobody_waits_for_tells_how_late_the_unit_was() -> None:
    others = Overhearing()
    others.expect_ours(1, 3, sent_at=8.0, until=9.5)
    others.heard(ANSWERED, 10.0)
    assert others.late == {1: 2.0}
    others.heard(ANSWERED, 11.0)
    assert others.late == {1: 2.0}


@given(st.binary(max_size=20), st.integers(0, len(ASKED)))
def test_a_request_is_heard_behind_noise_and_wherever_it_is_cut(noise: bytes, cut: int) -> None:
    others = Overhearing()
    data = noise + ASKED
    others.heard(data[: len(noise) + cut], 10.0)
    others.heard(data[len(noise) + cut :], 10.0)
    assert others.is_asked_by_another(1, 3, 10.0)


@given(st.binary(max_size=400))
def test_noise_is_no_request_and_no_error(data: bytes) -> None:
    others = Overhearing()
    others.heard(data, 10.0)
    assert frame_length(data) <= len(data)


def test_what_is_kept_is_bounded() -> None:
    others = Overhearing()
    for number in range(1000):
        read = Read(table=Table.HOLDING, address=number, count=1)
        others.heard(rtu_frame(number % 250, read.pdu) + b"\0" * 300, 10.0)
        others.expect_ours(number % 250, number % 7, sent_at=0.0, until=1.0)
    assert len(others._open) <= MAX_OPEN
    assert len(others._ours_until) <= MAX_OPEN
    assert len(others._unanswered_since) <= MAX_OPEN
    assert len(others._rest) <= 256
