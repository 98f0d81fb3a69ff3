"""RAPI's frames: the examples of the protocol's page, and laws that hold for any bytes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.chargers.rapi.frames import (
    MAX_FRAME_BYTES,
    MAX_REQUEST_BYTES,
    Check,
    Event,
    Flaw,
    Garbage,
    Reply,
    Request,
    Splitter,
    build,
    parse,
    parse_request,
    seal,
)

NAMES = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=2, max_size=2)
VALUES = st.text("0123456789abcdefABCDEF-.VAM", min_size=1, max_size=5)
SEQUENCES = st.none() | st.integers(1, 255)
REPLIES = st.builds(Reply, st.booleans(), st.lists(VALUES, max_size=5).map(tuple), SEQUENCES)
EVENTS = st.builds(Event, st.sampled_from(("AB", "AT", "AN", "WF")), st.lists(VALUES, max_size=5).map(tuple))
CHECKS = st.sampled_from((Check.XOR, Check.SUM))


def sealed(frame: Reply | Event, check: Check = Check.XOR) -> bytes:
    if isinstance(frame, Event):
        return seal((frame.name, *frame.values), check=check)
    return seal(("OK" if frame.is_ok else "NK", *frame.values), sequence=frame.sequence, check=check)


@pytest.mark.parametrize(
    ("request_", "check", "frame"),
    [
        (Request("GS"), Check.XOR, b"$GS^30\r"),
        (Request("FE"), Check.SUM, b"$FE*AF\r"),
        (Request("FD"), Check.SUM, b"$FD*AE\r"),
        (Request("FS"), Check.SUM, b"$FS*BD\r"),
        (Request("FE"), Check.NONE, b"$FE\r"),
        # 24^53^43^20^31^36^20^56^20^3A^30^31, added by hand
        (Request("SC", ("16", "V"), 1), Check.XOR, b"$SC 16 V :01^7E\r"),
    ],
)
def test_a_request_is_built_as_the_protocol_says(request_: Request, check: Check, frame: bytes) -> None:
    assert build(request_, check=check) == frame


@pytest.mark.parametrize("frame", [b"$GS^30\r", b"$FE*AF", b"$FS\r"])
def test_a_controller_reads_a_request_with_either_checksum_or_none(frame: bytes) -> None:
    assert parse_request(frame) == Request(frame[1:3].decode())


@pytest.mark.parametrize(
    ("frame", "flaw"),
    [
        (b"$OK 03 120 03 0140\r", Flaw.UNCHECKED),
        (b"$OK 03 120^00\r", Flaw.CHECKSUM),
        (b"$OK*BF", Flaw.CHECKSUM),
        (b"", Flaw.SHAPE),
        (b"OK^20\r", Flaw.SHAPE),
        (b"$OK^2\r", Flaw.SHAPE),
        (b"$OK^2 0\r", Flaw.SHAPE),
        (b"$OK^20\r\r", Flaw.SHAPE),
        (b"$OK^20\n", Flaw.SHAPE),
        (b"$" + b"1" * MAX_FRAME_BYTES, Flaw.LENGTH),
        (seal(("GS",), sequence=5), Flaw.UNKNOWN),
        (seal(("AT", "01"), sequence=5), Flaw.UNKNOWN),
    ],
)
def test_what_is_no_frame_is_refused_with_its_reason(frame: bytes, flaw: Flaw) -> None:
    found = parse(frame)
    assert isinstance(found, Garbage) and found.flaw is flaw


def test_a_sequence_id_of_zero_is_none() -> None:
    body = b"$OK :00"
    checksum = 0
    for byte in body:
        checksum ^= byte
    assert parse(body + b"^%02X\r" % checksum) == Garbage(Flaw.SHAPE, body + b"^%02X\r" % checksum)


def test_a_checksum_in_small_letters_is_none() -> None:
    """No controller writes it so; it is one flipped bit away from the right one."""
    assert parse(b"$OK^20\r") == Reply(True)
    assert parse(seal(("OK", "1", "2", "3"))) == Reply(True, ("1", "2", "3"))
    small = seal(("OK", "z")).replace(b"7A", b"7a")
    assert small == b"$OK z^7a\r" and isinstance(parse(small), Garbage)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_an_error(data: bytes) -> None:
    assert isinstance(parse(data), (Reply, Event, Garbage))
    assert isinstance(parse_request(data), (Request, Garbage))


@given(st.one_of(REPLIES, EVENTS), CHECKS)
def test_what_is_sealed_is_read_back(frame: Reply | Event, check: Check) -> None:
    assert parse(sealed(frame, check)) == frame


@given(NAMES, st.lists(VALUES, max_size=4), SEQUENCES, CHECKS)
def test_a_request_that_is_built_is_read_back_and_fits_a_controllers_buffer(
    name: str, parameters: list[str], sequence: int | None, check: Check
) -> None:
    request = Request(name, tuple(parameters), sequence)
    try:
        frame = build(request, check=check)
    except ValueError:
        assert len(seal((name, *parameters), sequence=sequence, check=check)) > MAX_REQUEST_BYTES
        return
    assert len(frame) <= MAX_REQUEST_BYTES
    assert parse_request(frame) == request


@given(st.one_of(REPLIES, EVENTS), CHECKS, st.data())
def test_one_flipped_bit_is_never_accepted(frame: Reply | Event, check: Check, data: st.DataObject) -> None:
    raw = bytearray(sealed(frame, check))
    bit = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[bit // 8] ^= 1 << bit % 8
    for found in (parse(bytes(raw)), *map(parse, Splitter().feed(bytes(raw) + b"\r"))):
        assert isinstance(found, Garbage)


@given(st.one_of(REPLIES, EVENTS), st.data())
def test_a_frame_with_its_end_cut_off_is_never_accepted(frame: Reply | Event, data: st.DataObject) -> None:
    raw = sealed(frame)[:-1]
    kept = data.draw(st.integers(0, len(raw) - 1))
    assert isinstance(parse(raw[:kept]), Garbage)


@given(st.lists(st.one_of(REPLIES, EVENTS), max_size=6), st.lists(st.integers(0, 200), max_size=8))
def test_frames_come_out_of_a_stream_however_it_is_cut(frames: list[Reply | Event], cuts: list[int]) -> None:
    stream = b"".join(sealed(frame) for frame in frames)
    splitter, found = Splitter(), []
    bounds = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    for begin, end in pairwise(bounds):
        found += splitter.feed(stream[begin:end])
    assert [parse(frame) for frame in found] == frames
    assert not splitter.has_begun and splitter.discarded == 0


@given(st.lists(st.binary(max_size=300), max_size=10))
def test_a_splitter_holds_no_more_than_one_frame(pieces: list[bytes]) -> None:
    splitter = Splitter()
    for piece in pieces:
        assert all(len(frame) <= MAX_FRAME_BYTES + 1 for frame in splitter.feed(piece))
    ended = splitter.feed(b"\r")
    assert all(len(frame) <= MAX_FRAME_BYTES + 1 for frame in ended) and not splitter.has_begun


def test_noise_before_a_frame_costs_nothing_but_itself() -> None:
    splitter = Splitter()
    assert splitter.feed(b"\xff\x00^12\r$O$OK^20\r\n$A") == [b"$OK^20\r"]
    assert splitter.discarded == 9 and splitter.has_begun


def test_what_never_ends_is_dropped_when_it_is_longer_than_any_frame() -> None:
    splitter = Splitter()
    assert splitter.feed(b"$" + b"1" * 100_000) == [] and not splitter.has_begun
    assert splitter.feed(b"\r$OK^20\r") == [b"$OK^20\r"]


@pytest.mark.parametrize(
    "request_",
    [
        Request("FP", ("0", "0", "twenty-characters-on-it")),
        Request("ST", tuple("1234567890")),
        Request("fe"),
        Request("FE "),
        Request("SC", ("16^",)),
        Request("SC", ("1 6",)),
        Request("SC", ("16\r",)),
        Request("SC", ("",)),
        Request("GS", (), 0),
        Request("GS", (), 256),
    ],
)
def test_what_a_controller_could_not_take_in_is_never_built(request_: Request) -> None:
    with pytest.raises(ValueError, match=r"."):
        build(request_)


def test_a_controller_loses_what_is_longer_than_its_buffer() -> None:
    longest = b"$SC " + b"1" * (MAX_REQUEST_BYTES - 5) + b"\r"
    assert isinstance(parse_request(longest), Request)
    assert parse_request(longest[:-1] + b"1\r") == Garbage(Flaw.LENGTH, longest[:-1] + b"1\r")
