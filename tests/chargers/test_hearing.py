"""What bytes on a line tell of who is there."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from edged.chargers.hearing import Heard, hear_mbap, hear_rtu
from edged.chargers.modbus import Read, Table, Write, mbap_frame, rtu_frame

QUESTION = rtu_frame(5, Read(table=Table.HOLDING, address=0, count=1).pdu)


def reply(unit_id: int, *words: int) -> bytes:
    return rtu_frame(unit_id, bytes((3, 2 * len(words))) + b"".join(word.to_bytes(2, "big") for word in words))


def test_nothing_is_nothing():
    assert hear_rtu(QUESTION, b"") == Heard() == hear_mbap(b"")


def test_our_own_question_is_an_echo_and_no_other_master():
    assert hear_rtu(QUESTION, QUESTION) == Heard(is_echoed=True)


def test_a_question_that_is_not_ours_comes_from_another_master():
    theirs = rtu_frame(9, Read(table=Table.INPUT, address=5, count=14).pdu)
    assert hear_rtu(QUESTION, theirs + reply(9, *range(14))) == Heard(requests=frozenset({9}), replies=frozenset({9}))


def test_a_long_write_of_another_master_is_a_question():
    written = Write(table=Table.HOLDING, address=5, values=(1, 2, 3), multiple=True)
    bits = rtu_frame(8, bytes((15, 0, 0, 0, 10, 2, 0xFF, 3)))
    assert hear_rtu(b"", rtu_frame(9, written.pdu) + bits) == Heard(requests=frozenset({8, 9}))


def test_before_anything_is_asked_every_frame_belongs_to_somebody_else():
    heard = hear_rtu(b"", reply(3, 1) + QUESTION + b"\x00")
    assert heard.before_asking == Heard(requests=frozenset({3, 5}), noise_bytes=1)


def test_a_refusal_is_a_reply_but_a_gateways_excuse_is_none():
    assert hear_rtu(QUESTION, rtu_frame(7, b"\x83\x02")) == Heard(replies=frozenset({7}))
    assert hear_rtu(QUESTION, rtu_frame(7, b"\x83\x0b")) == Heard(is_excused=True)
    assert hear_mbap(mbap_frame(1, 7, b"\x83\x0a")) == Heard(is_excused=True)


def test_replies_are_found_between_noise():
    heard = hear_rtu(QUESTION, b"\xff\x00" + reply(3, 1) + b"\x55" + reply(4, 1, 2))
    assert heard == Heard(replies=frozenset({3, 4}), noise_bytes=3)


def test_a_reply_with_a_flipped_bit_is_noise():
    damaged = bytearray(reply(3, 1, 2))
    damaged[4] ^= 8
    assert hear_rtu(QUESTION, bytes(damaged)) == Heard(noise_bytes=len(damaged))


def test_a_stream_that_is_no_modbus_tcp_is_noise():
    assert hear_mbap(b"HTTP/1.1 400 Bad Request\r\n").noise_bytes > 20
    assert hear_mbap(mbap_frame(1, 2, b"\x03\x02\0\0") + b"\0") == Heard(replies=frozenset({2}), noise_bytes=1)


def test_what_was_heard_twice_is_put_together():
    both = Heard(replies=frozenset({1}), noise_bytes=2) | Heard(requests=frozenset({4}), noise_bytes=1, is_echoed=True)
    assert both == Heard(replies=frozenset({1}), requests=frozenset({4}), noise_bytes=3, is_echoed=True)


@given(st.binary(max_size=64), st.binary(max_size=12))
@settings(max_examples=200)
def test_whatever_comes_is_heard_without_an_error_and_counted_once(received, sent):
    for heard in (hear_rtu(sent, received), hear_mbap(received)):
        assert 0 <= heard.noise_bytes <= len(received)


@given(st.lists(st.tuples(st.integers(1, 247), st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=6)), max_size=5))
@settings(max_examples=100)
def test_every_unit_whose_reply_is_on_the_line_is_heard(replies):
    heard = hear_rtu(QUESTION, b"".join(reply(unit_id, *words) for unit_id, words in replies))
    assert heard.replies == {unit_id for unit_id, _ in replies}
    assert heard.noise_bytes == 0
