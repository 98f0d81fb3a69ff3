"""Framing and what counts as the reply to a request; pymodbus is the independent word on frames."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, WriteMultipleRegistersRequest

from edged.chargers.modbus import (
    CrcError,
    ExceptionReply,
    NoAnswer,
    ProtocolError,
    Read,
    Table,
    Write,
    crc16,
    diagnose_rtu,
    find_rtu_reply,
    mbap_frame,
    parse_reply,
    parse_rtu_reply,
    rtu_frame,
    split_mbap,
)
from edged.ports import ChargerError

READ = Read(table=Table.HOLDING, address=100, count=2)
REPLY = rtu_frame(7, bytes((3, 4, 0x12, 0x34, 0x56, 0x78)))


def test_the_crc_is_the_one_of_the_standard() -> None:
    assert rtu_frame(0x01, bytes.fromhex("040000000a")).hex() == "01040000000a700d"


def test_pymodbus_builds_the_same_rtu_request() -> None:
    theirs = FramerRTU(DecodePDU(True)).buildFrame(ReadHoldingRegistersRequest(address=100, count=2, dev_id=7))
    assert rtu_frame(7, READ.pdu) == theirs


def test_pymodbus_builds_the_same_mbap_request() -> None:
    pdu = WriteMultipleRegistersRequest(address=5, registers=[1, 2], dev_id=3, transaction_id=9)
    write = Write(table=Table.HOLDING, address=5, values=(1, 2), multiple=True)
    assert mbap_frame(9, 3, write.pdu) == FramerSocket(DecodePDU(True)).buildFrame(pdu)


def test_a_read_reply_gives_its_words() -> None:
    assert parse_rtu_reply(7, READ, REPLY) == (0x1234, 0x5678)


def test_bits_come_lowest_first() -> None:
    coils = Read(table=Table.COIL, address=0, count=10)
    assert parse_reply(coils, bytes((1, 2, 0b10000101, 0b10))) == (1, 0, 1, 0, 0, 0, 0, 1, 0, 1)


@pytest.mark.parametrize(
    ("write", "pdu"),
    [
        (Write(table=Table.HOLDING, address=261, values=(160,)), "06010500a0"),
        (Write(table=Table.HOLDING, address=1, values=(2, 3), multiple=True), "1000010002040002" + "0003"),
        (Write(table=Table.COIL, address=9, values=(1,)), "050009ff00"),
        (Write(table=Table.COIL, address=9, values=(1, 0, 1), multiple=True), "0f000900030105"),
    ],
)
def test_each_write_function_has_its_own_form(write: Write, pdu: str) -> None:
    assert write.pdu.hex() == pdu


@pytest.mark.parametrize(
    ("pdu", "complaint"),
    [
        (bytes((4, 4, 0, 0, 0, 0)), "function 4"),
        (bytes((3, 2, 0, 0)), "byte count 2"),
        (bytes((3, 4, 0, 0)), "byte count 4 in 4 bytes"),
        (bytes((3, 4, 0, 0, 0, 0, 0, 0)), "byte count 4 in 8 bytes"),
        (bytes((3,)), "byte count"),
        (b"", "empty"),
        (bytes((0x83,)), "exception reply"),
    ],
)
def test_a_reply_to_another_request_is_refused(pdu: bytes, complaint: str) -> None:
    with pytest.raises(ProtocolError, match=complaint):
        parse_reply(READ, pdu)


@pytest.mark.parametrize("echo", ["06010500a1", "06010400a0", "06010500", "06010500a000"])
def test_a_write_must_be_echoed_with_its_address_and_value(echo: str) -> None:
    with pytest.raises(ProtocolError):
        parse_reply(Write(table=Table.HOLDING, address=261, values=(160,)), bytes.fromhex(echo))


def test_an_exception_is_an_answer_with_a_code() -> None:
    with pytest.raises(ExceptionReply, match="illegal data address") as caught:
        parse_reply(READ, bytes((0x83, 2)))
    assert caught.value.code == 2


def test_a_frame_of_another_unit_is_not_found() -> None:
    assert find_rtu_reply(8, READ, REPLY) is None
    assert "unit 7 answered" in str(diagnose_rtu(8, READ, REPLY))


def test_a_frame_behind_ringing_bytes_is_found() -> None:
    assert find_rtu_reply(7, READ, b"\x00\xff" + REPLY + b"\x00") == REPLY


def test_what_is_wrong_with_a_line_is_told_apart() -> None:
    damaged = REPLY[:-1] + bytes((REPLY[-1] ^ 1,))
    assert isinstance(diagnose_rtu(7, READ, b""), NoAnswer)
    assert isinstance(diagnose_rtu(7, READ, damaged), CrcError)
    assert "5 of 9 bytes" in str(diagnose_rtu(7, READ, REPLY[:5]))
    assert "function 4" in str(diagnose_rtu(7, READ, rtu_frame(7, bytes((4, 4, 0, 0, 0, 0)))))


@given(st.binary(max_size=300))
@settings(max_examples=300)
def test_garbage_is_never_a_reply_and_never_another_error(data: bytes) -> None:
    if find_rtu_reply(7, READ, data) is None:
        assert isinstance(diagnose_rtu(7, READ, data), (NoAnswer, ProtocolError))
    try:
        parse_reply(READ, data)
    except ChargerError:
        pass


@given(st.integers(0, 8 * len(REPLY) - 1))
def test_one_flipped_bit_spoils_a_reply(bit: int) -> None:
    damaged = bytearray(REPLY)
    damaged[bit // 8] ^= 1 << bit % 8
    assert find_rtu_reply(7, READ, bytes(damaged)) is None


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_a_tcp_stream_is_split_the_same_wherever_it_is_cut(before: bytes, after: bytes) -> None:
    stream = mbap_frame(1, 7, b"\x03\x02\x00\x01") + mbap_frame(2, 7, b"\x83\x02")
    for cut in range(7 + 3):
        frame, taken = split_mbap(stream[:cut])
        assert (frame, taken) == (None, 0)
    frame, taken = split_mbap(stream)
    assert frame is not None and frame.pdu == b"\x03\x02\x00\x01"
    frame, _ = split_mbap(stream[taken:])
    assert frame is not None and frame.transaction_id == 2
    try:
        split_mbap(before + after)
    except ProtocolError:
        pass


@pytest.mark.parametrize("header", ["000100010006", "000100000001", "0001000000ff"])
def test_a_stream_that_is_no_modbus_is_refused(header: str) -> None:
    with pytest.raises(ProtocolError):
        split_mbap(bytes.fromhex(header) + bytes(10))


@pytest.mark.parametrize(
    "build",
    [
        lambda: Read(table=Table.HOLDING, address=0, count=126),
        lambda: Read(table=Table.HOLDING, address=0, count=0),
        lambda: Read(table=Table.HOLDING, address=65535, count=2),
        lambda: Write(table=Table.INPUT, address=0, values=(1,)),
        lambda: Write(table=Table.HOLDING, address=0, values=(65536,)),
        lambda: Write(table=Table.HOLDING, address=0, values=(1, 2)),
        lambda: Write(table=Table.COIL, address=0, values=(2,)),
    ],
)
def test_a_request_that_the_protocol_forbids_cannot_be_built(build: object) -> None:
    with pytest.raises(ValueError):
        build()  # type: ignore[operator]


def test_the_crc_of_a_frame_with_its_crc_is_zero() -> None:
    assert crc16(REPLY) == 0
