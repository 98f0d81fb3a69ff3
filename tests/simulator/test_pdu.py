"""Frames as a slave hears them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.simulator.pdu import (
    ExceptionCode,
    ReadRequest,
    RtuRequests,
    WriteRequest,
    crc16,
    mbap_frame,
    parse_request,
    read_reply,
    rtu_frame,
    write_reply,
)

READ = bytes.fromhex("03 0005 000E")
REQUESTS = st.one_of(
    st.builds(
        lambda function, address, count: bytes((function,)) + address.to_bytes(2) + count.to_bytes(2),
        st.sampled_from([3, 4, 6]),
        st.integers(0, 0xFFFF),
        st.integers(1, 125),
    ),
    st.builds(
        lambda address, values: (
            bytes((16,))
            + address.to_bytes(2)
            + len(values).to_bytes(2)
            + bytes((2 * len(values),))
            + b"".join(value.to_bytes(2) for value in values)
        ),
        st.integers(0, 0xFFFF),
        st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=100),
    ),
)


def test_the_checksum_is_the_one_of_the_specification() -> None:
    assert crc16(bytes.fromhex("02 07")) == bytes.fromhex("41 12")  # V1.02 appendix B: 0x1241, low byte first


def test_a_frame_reads_as_other_implementations_write_it() -> None:
    assert rtu_frame(1, bytes.fromhex("03 0000 000A")) == bytes.fromhex("01 03 0000 000A C5CD")


def test_an_mbap_header_counts_the_unit_id() -> None:
    assert mbap_frame(7, 255, b"\x03\x00") == bytes.fromhex("0007 0000 0003 FF 0300")


@pytest.mark.parametrize(
    ("pdu", "code"),
    [
        ("", ExceptionCode.ILLEGAL_FUNCTION),
        ("02 0000 0001", ExceptionCode.ILLEGAL_FUNCTION),
        ("01 0000 07D1", ExceptionCode.ILLEGAL_VALUE),
        ("05 0000 0001", ExceptionCode.ILLEGAL_VALUE),
        ("05 0000", ExceptionCode.ILLEGAL_VALUE),
        ("0F 0000 0009 01 FF", ExceptionCode.ILLEGAL_VALUE),
        ("2B 0E 01 00", ExceptionCode.ILLEGAL_FUNCTION),
        ("03 0000", ExceptionCode.ILLEGAL_VALUE),
        ("03 0000 0000", ExceptionCode.ILLEGAL_VALUE),
        ("03 0000 007E", ExceptionCode.ILLEGAL_VALUE),
        ("06 0000 0001 00", ExceptionCode.ILLEGAL_VALUE),
        ("10 0000 0002 02 0001", ExceptionCode.ILLEGAL_VALUE),
        ("10 0000 0002 04 0001", ExceptionCode.ILLEGAL_VALUE),
    ],
)
def test_a_wrong_request_gets_its_exception(pdu: str, code: ExceptionCode) -> None:
    assert parse_request(bytes.fromhex(pdu)) is code


@pytest.mark.parametrize(
    ("pdu", "request_", "reply"),
    [
        ("01 0002 0009", ReadRequest(function=1, address=2, count=9), "01 02 8101"),
        ("05 0002 FF00", WriteRequest(function=5, address=2, values=(1,)), "05 0002 FF00"),
        ("05 0002 0000", WriteRequest(function=5, address=2, values=(0,)), "05 0002 0000"),
        ("0F 0002 0003 01 05", WriteRequest(function=15, address=2, values=(1, 0, 1)), "0F 0002 0003"),
    ],
)
def test_coils_are_packed_as_the_specification_says(pdu: str, request_: ReadRequest | WriteRequest, reply: str) -> None:
    assert parse_request(bytes.fromhex(pdu)) == request_
    if isinstance(request_, ReadRequest):
        assert read_reply(request_, [1, 0, 0, 0, 0, 0, 0, 1, 1]) == bytes.fromhex(reply)
    else:
        assert write_reply(request_) == bytes.fromhex(reply)


@given(st.binary(max_size=260))
def test_no_bytes_crash_the_parser(pdu: bytes) -> None:
    assert isinstance(parse_request(pdu), ReadRequest | WriteRequest | ExceptionCode)


def test_replies_echo_what_the_specification_says() -> None:
    assert read_reply(ReadRequest(function=4, address=5, count=2), [1, 0xFFFE]) == bytes.fromhex("04 04 0001 FFFE")
    assert write_reply(WriteRequest(function=6, address=261, values=(60,))) == bytes.fromhex("06 0105 003C")
    assert write_reply(WriteRequest(function=16, address=261, values=(60, 0))) == bytes.fromhex("10 0105 0002")


@given(st.lists(st.tuples(st.integers(1, 247), REQUESTS), max_size=5), st.integers(1, 20))
def test_requests_are_cut_out_whatever_the_pieces(requests: list[tuple[int, bytes]], size: int) -> None:
    stream = b"".join(rtu_frame(unit_id, pdu) for unit_id, pdu in requests)
    parser = RtuRequests()
    found: list[tuple[int, bytes]] = []
    for at in range(0, len(stream), size):
        found += parser.feed(stream[at : at + size])
    assert found == requests
    assert parser.waiting is False


@given(st.lists(st.binary(max_size=300), max_size=10))
def test_rubbish_on_the_line_is_forgotten_after_a_silence(pieces: list[bytes]) -> None:
    parser = RtuRequests()
    for piece in pieces:
        parser.feed(piece)
    parser.silence()
    assert parser.feed(rtu_frame(1, READ)) == [(1, READ)]


def test_after_a_damaged_frame_nothing_is_heard_before_a_silence() -> None:
    parser = RtuRequests()
    damaged = bytearray(rtu_frame(1, READ))
    damaged[3] ^= 1
    assert parser.feed(bytes(damaged) + rtu_frame(2, READ)) == []
    assert parser.feed(rtu_frame(3, READ)) == []
    assert parser.silence() == []
    assert parser.damaged >= 1
    assert parser.feed(rtu_frame(3, READ)) == [(3, READ)]


def test_a_function_of_unknown_length_ends_with_a_silence() -> None:
    parser = RtuRequests()
    assert parser.feed(rtu_frame(1, bytes.fromhex("2B 0E 01 00"))) == []
    assert parser.silence() == [(1, bytes.fromhex("2B 0E 01 00"))]
