"""The codec: hand-computed words, sentinels, and the round trip as a law."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.chargers.registers import Codec, CodecError, WordOrder, parse_type


def codec(name: str, **options: object) -> Codec:
    kind, words = parse_type(name)
    return Codec(kind=kind, words=words, **options)  # type: ignore[arg-type]


INTEGERS = ("u16", "u32", "u48", "u64", "s16", "s32", "s64", "bits16", "bits32")


@given(st.data(), st.sampled_from(INTEGERS), st.sampled_from(WordOrder))
def test_every_integer_survives_encoding_and_decoding(data: st.DataObject, name: str, order: WordOrder) -> None:
    one = codec(name, word_order=order)
    low, high = one.raw_range
    value = data.draw(st.integers(low, high))
    assert one.decode(one.encode(value)) == value


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from((0.1, 0.001, 10.0, 0.5)),
    st.sampled_from((0.0, -40.0, 12.5)),
    st.sampled_from(WordOrder),
)
def test_a_scaled_value_survives_within_half_a_step(raw: int, scale: float, offset: float, order: WordOrder) -> None:
    one = codec("u32", scale=scale, offset=offset, word_order=order)
    value = raw * scale + offset
    decoded = one.decode(one.encode(value))
    assert isinstance(decoded, float)
    assert abs(decoded - value) <= scale / 2 + 1e-6


@given(st.floats(allow_nan=False, allow_infinity=False, width=32), st.sampled_from(WordOrder))
def test_every_f32_survives(value: float, order: WordOrder) -> None:
    one = codec("f32", word_order=order)
    assert one.decode(one.encode(value)) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_f64_survives(value: float) -> None:
    one = codec("f64")
    assert one.decode(one.encode(value)) == value


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=9))
def test_a_text_survives_in_one_and_two_bytes_a_character(text: str) -> None:
    for name in ("str10", "utf16_10"):
        assert codec(name).decode(codec(name).encode(text)) == text


@given(st.binary(min_size=6, max_size=6))
def test_bytes_survive(data: bytes) -> None:
    assert codec("bytes6").decode(codec("bytes6").encode(data)) == data


@given(st.sampled_from((*INTEGERS, "f32", "f64", "str8", "utf16_4", "bytes5", "char")), st.data())
def test_no_words_from_a_wire_ever_raise(name: str, data: st.DataObject) -> None:
    one = codec(name)
    words = data.draw(st.lists(st.integers(0, 0xFFFF), min_size=one.words, max_size=one.words))
    one.decode(words)


def test_words_are_ordered_as_the_register_says() -> None:
    assert codec("u32").decode((0x0001, 0x0002)) == 0x00010002
    assert codec("u32", word_order=WordOrder.LITTLE).decode((0x0001, 0x0002)) == 0x00020001
    assert codec("u64", word_order=WordOrder.LITTLE).decode((4, 3, 2, 1)) == 0x0001000200030004
    assert codec("f32", word_order=WordOrder.LITTLE).decode((0x0000, 0x3FC0)) == 1.5


def test_a_text_has_its_high_byte_first_and_ends_at_the_first_zero() -> None:
    assert codec("str4").decode((0x4132, 0x0041)) == "A2"
    assert codec("str2").decode((0x4332,)) == "C2"


def test_a_text_loses_padding_and_what_no_terminal_should_see() -> None:
    assert codec("str8").decode((0x2041, 0x1B42, 0x2020, 0x0000)) == "AB"


def test_a_single_character_lies_in_the_low_byte() -> None:
    assert codec("char").decode((0x0043,)) == "C"
    assert codec("char").encode("F") == (0x0046,)


def test_a_sentinel_is_no_value() -> None:
    assert codec("u16", invalid=frozenset({0xFFFF})).decode((0xFFFF,)) is None
    assert codec("s32", invalid=frozenset({-1}), scale=0.001).decode((0xFFFF, 0xFFFF)) is None
    assert codec("u32", invalid=frozenset({0xFFFFFFFF})).decode((0xFFFF, 0xFFFE)) == 0xFFFFFFFE


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_float_that_is_no_number_is_no_value(value: float) -> None:
    assert codec("f32").decode(struct.unpack(">2H", struct.pack(">f", value))) is None


def test_a_float_that_its_scale_makes_infinite_is_no_value() -> None:
    assert codec("f64", scale=1000.0).decode(struct.unpack(">4H", struct.pack(">d", 1e307))) is None


def test_scale_and_offset_make_the_engineering_value_without_noise() -> None:
    assert codec("u16", scale=0.1).decode((163,)) == 16.3
    assert codec("s16", scale=0.1, offset=-40).decode((0xFFFF,)) == -40.1


@pytest.mark.parametrize(
    ("name", "value"),
    [("u16", 65536), ("u16", -1), ("s16", 32768), ("u16", "A"), ("u16", math.nan), ("str2", "ABC"), ("str2", 7)],
)
def test_a_value_that_does_not_fit_is_refused(name: str, value: object) -> None:
    with pytest.raises(CodecError):
        codec(name).encode(value)  # type: ignore[arg-type]


def test_a_float_that_is_too_great_for_f32_is_refused() -> None:
    with pytest.raises(CodecError):
        codec("f32").encode(1e300)


def test_a_wrong_number_of_words_is_refused() -> None:
    with pytest.raises(CodecError):
        codec("u32").decode((1,))


@pytest.mark.parametrize("name", ["u8", "u128", "str", "str0", "str999", "", "float", "bytes0"])
def test_a_type_that_does_not_exist_is_named(name: str) -> None:
    with pytest.raises(CodecError):
        parse_type(name)
